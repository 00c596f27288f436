//! A new password, and nobody looks whether it was taken.
//! error: unused_must_use
//! fix: this `Result` may be an `Err` variant, which should be handled
use vouchsafe::gate::{ChangePassword, NotSet};

pub async fn change(change: ChangePassword, new: String) -> Result<(), NotSet> {
    #[cfg(not(fixed))]
    change.set(new).await;
    #[cfg(fixed)]
    change.set(new).await?;
    Ok(())
}
