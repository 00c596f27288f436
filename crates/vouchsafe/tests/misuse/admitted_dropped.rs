//! An attempt is begun, and no password checked.
//! error: unused_must_use
//! fix: check the password with `Admitted::password`
use vouchsafe::Gate;
use vouchsafe::gate::{Attempt, Refused};

pub async fn try_it(gate: &Gate, attempt: &Attempt, password: String) -> Result<(), Refused> {
    #[cfg(not(fixed))]
    gate.admit(attempt).await?;
    #[cfg(fixed)]
    let _checked = gate.admit(attempt).await?.password(password).await;
    Ok(())
}
