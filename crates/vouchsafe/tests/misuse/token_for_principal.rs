//! Somebody acts with a token that nobody has checked.
//! error: E0308
//! fix: expected `&Principal`, found `&Token`
use vouchsafe::Gate;
use vouchsafe::core::TenantId;
use vouchsafe::gate::{Call, Refused};
use vouchsafe::session::Token;

pub async fn act(gate: &Gate, of: &TenantId, token: &Token, call: &Call) -> Result<(), Refused> {
    #[cfg(not(fixed))]
    let _acting = gate.by(token, call)?;
    #[cfg(fixed)]
    let principal = gate.check(of, token.expose(), call).await?;
    #[cfg(fixed)]
    let _acting = gate.by(&principal, call)?;
    Ok(())
}
