//! A second password for one charge.
//! error: E0382
//! fix: Admitted::password` takes ownership of the receiver `self`
use vouchsafe::Gate;
use vouchsafe::gate::{Attempt, Refused};

pub async fn guess(gate: &Gate, attempt: &Attempt, words: [String; 2]) -> Result<(), Refused> {
    let [first, second] = words;
    let admitted = gate.admit(attempt).await?;
    let _checked = admitted.password(first).await;
    #[cfg(fixed)]
    let admitted = gate.admit(attempt).await?;
    let _checked = admitted.password(second).await;
    Ok(())
}
