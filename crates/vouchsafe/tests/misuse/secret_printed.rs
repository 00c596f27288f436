//! A secret in a line of the host's log.
//! error: E0277
//! fix: in format strings you may be able to use `{:?}`
use vouchsafe::core::SecretString;

pub fn log(secret: &SecretString) -> String {
    #[cfg(not(fixed))]
    return format!("asked with {secret}");
    #[cfg(fixed)]
    return format!("asked with {secret:?}");
}
