//! A link is looked at, whatever it may be for.
//! error: E0061
//! fix: argument #2 of type `Purpose` is missing
use vouchsafe::Gate;
use vouchsafe::core::TenantId;
use vouchsafe::gate::{Call, Purpose};

pub async fn look(gate: &Gate, of: &TenantId, link: &str, call: &Call) {
    #[cfg(not(fixed))]
    let _view = gate.peek(of, link, call).await;
    #[cfg(fixed)]
    let _view = gate.peek(of, Purpose::Reset, link, call).await;
}
