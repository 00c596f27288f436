//! Two sessions for one right password.
//! error: E0382
//! fix: Authenticated::open` takes ownership of the receiver `self`
use vouchsafe::gate::{Authenticated, Issued, Refused};

pub async fn open(right: Authenticated, again: Authenticated) -> Result<[Issued; 2], Refused> {
    #[cfg(not(fixed))]
    return Ok([right.open().await?, right.open().await?]);
    #[cfg(fixed)]
    return Ok([right.open().await?, again.open().await?]);
}
