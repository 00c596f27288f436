//! A password of which a copy would stay behind, unwiped.
//! error: E0277
//! fix: From<String>
use vouchsafe::Gate;
use vouchsafe::gate::{Attempt, Login};

pub async fn sign_in(gate: &Gate, attempt: &Attempt, password: String) -> Login {
    #[cfg(not(fixed))]
    return gate.login(attempt, password.as_str()).await;
    #[cfg(fixed)]
    return gate.login(attempt, password).await;
}
