//! A tenant where a user is meant.
//! error: E0308
//! fix: expected `&UserId`, found `&TenantId`
use vouchsafe::core::{TenantId, UserId};
use vouchsafe::gate::{Acting, Refused};

pub async fn unlock(by: &Acting<'_>, tenant: &TenantId, user: &UserId) -> Result<(), Refused> {
    #[cfg(not(fixed))]
    return by.unlock(tenant).await;
    #[cfg(fixed)]
    return by.unlock(user).await;
}
