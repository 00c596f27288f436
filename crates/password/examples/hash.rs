//! Asks for a new password on the terminal, checks it under a preset, and prints its record:
//!
//! ```text
//! cargo run -p vouchsafe-password --features prompt --example hash -- acme martha "Martha Luisa Tannhof"
//! ```
//!
//! For an administrator's own first password: nobody else sees it, and it stands neither in a shell's
//! history nor in the list of processes.

#[cfg(unix)]
mod unix {
    use std::error::Error;
    use std::sync::Arc;
    use std::time::{SystemTime, UNIX_EPOCH};

    use vouchsafe_password::core::{Clock, TenantId, Timestamp, UserId};
    use vouchsafe_password::crypto::SystemEntropy;
    use vouchsafe_password::{
        Attributes, Binding, HashPolicy, HashPool, Password, PasswordPolicy, PoolConfig, prompt_new,
    };

    struct WallClock;

    impl Clock for WallClock {
        #[expect(clippy::disallowed_methods, reason = "a program of its own brings the time")]
        fn now(&self) -> Timestamp {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
        }
    }

    pub fn main() -> Result<(), Box<dyn Error>> {
        let mut words = std::env::args().skip(1);
        let (Some(tenant), Some(user)) = (words.next(), words.next()) else {
            return Err("usage: hash TENANT USER [NAME OR ADDRESS..]".into());
        };
        let known = [tenant.clone(), user.clone()].into_iter().chain(words);
        let person = known.fold(Attributes::none(), |person, word| person.with(&word));
        let binding = Binding::new(&TenantId::new(&tenant)?, &UserId::new(&user)?);
        let password = chosen(&person)?;
        let config = PoolConfig::new(HashPolicy::default()).workers(1);
        let pool = HashPool::new(config, Arc::new(WallClock), Arc::new(SystemEntropy::new()))?;
        // It opens no session: nothing here shows that who typed it owns the account.
        let record = pool.hash_initial(&password, binding).wait()?;
        println!("{}", record.as_record());
        Ok(())
    }

    /// Asks until the preset has nothing against it.
    fn chosen(person: &Attributes) -> Result<Password, Box<dyn Error>> {
        loop {
            let password = prompt_new("New password: ", "Once more: ")?;
            match PasswordPolicy::vouchsafe().check(&password, person) {
                Ok(_) => return Ok(password),
                Err(unmet) => unmet.iter().for_each(|rule| eprintln!("not accepted: {rule}")),
            }
        }
    }
}

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    unix::main()
}

#[cfg(not(unix))]
fn main() {}
