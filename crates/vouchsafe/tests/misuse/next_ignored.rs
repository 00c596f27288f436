//! Whoever has to change the password first is forgotten.
//! error: E0004
//! fix: `Login::Next(_)`
use vouchsafe::gate::Login;

pub fn page(login: Login) -> &'static str {
    match login {
        Login::SignedIn(_) => "home",
        Login::Refused(refused) => refused.message(),
        #[cfg(fixed)]
        Login::Next(_) => "change your password",
    }
}
