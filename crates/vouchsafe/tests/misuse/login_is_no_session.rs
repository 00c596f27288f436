//! Whatever a sign-in answers is taken for a session.
//! error: E0308
//! fix: expected `Issued`, found `Login`
use vouchsafe::Gate;
use vouchsafe::gate::{Attempt, Issued, Login};

fn set_cookie(_: Issued) {}

pub async fn sign_in(gate: &Gate, attempt: &Attempt, password: String) {
    let login: Login = gate.login(attempt, password).await;
    #[cfg(not(fixed))]
    set_cookie(login);
    #[cfg(fixed)]
    if let Login::SignedIn(issued) = login {
        set_cookie(issued);
    }
}
