//! A right password, and no session opened for it.
//! error: unused_must_use
//! fix: `Authenticated::open` opens the session
use vouchsafe::gate::{Authenticated, Refused};

fn just_signed_in(authenticated: Authenticated) -> Authenticated {
    authenticated
}

pub async fn let_in(authenticated: Authenticated) -> Result<(), Refused> {
    #[cfg(not(fixed))]
    just_signed_in(authenticated);
    #[cfg(fixed)]
    let _issued = just_signed_in(authenticated).open().await?;
    Ok(())
}
