//! A host's column in memory, and what other software writes into one.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64Unpadded, Encoding};
use vouchsafe::core::{TenantId, UserId};
use vouchsafe::gate::{Credentials, HostError, Swapped};

/// A host's column in memory, which may hang where it is written.
#[derive(Default)]
pub struct Column {
    pub text: Mutex<Option<String>>,
    pub hangs: AtomicBool,
    pub reached: AtomicBool,
}

impl Credentials for Column {
    async fn load(&self, _: &TenantId, _: &UserId) -> Result<Option<String>, HostError> {
        Ok(self.text.lock().unwrap().clone())
    }

    async fn swap(
        &self,
        _: &TenantId,
        _: &UserId,
        expected: Option<&str>,
        new: &str,
    ) -> Result<Swapped, HostError> {
        if self.hangs.load(Ordering::SeqCst) {
            self.reached.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        let mut text = self.text.lock().unwrap();
        if text.as_deref() != expected {
            return Ok(Swapped::Superseded);
        }
        *text = Some(new.to_owned());
        Ok(Swapped::Done)
    }
}

/// A hash of `password` that other software made, as weak as a test's own.
pub fn foreign(password: &str) -> String {
    let argon2 =
        Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let (salt, mut hash) = (b"salt of theirs", [0; 32]);
    argon2.hash_password_into(password.as_bytes(), salt, &mut hash).unwrap();
    let base64 = Base64Unpadded::encode_string;
    format!("$argon2id$v=19$m=8,t=1,p=1${}${}", base64(salt), base64(&hash))
}
