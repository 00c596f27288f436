//! Refuses bad passwords with every reason, keeps a good one, and knows it again.

use std::sync::Arc;

use vouchsafe_password::core::{
    AccountDigest, Authenticated, ChargeId, Charged, Clock, PolicyDigest, TenantId, Timestamp,
    UserId,
};
use vouchsafe_password::crypto::SystemEntropy;
use vouchsafe_password::{
    Attributes, Binding, HashPolicy, HashPool, Kind, Password, PasswordPolicy, PoolConfig, Stored,
    Unmet, Verified,
};

const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);
const NOW: Timestamp = Timestamp::from_micros(1_523_232_000_000_000);

/// It is always the same moment here.
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// An attempt that this program has counted.
fn charged(attempt: u64) -> Charged {
    let deadline = NOW.after(std::time::Duration::from_secs(10));
    Charged::assertion(ACCOUNT, ChargeId::new(attempt), PolicyDigest::NONE, deadline)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rule = PasswordPolicy::zoomph_consumer();
    let martha = Attributes::none().with("Martha Luisa Tannhof").with("acme");

    let short = Password::new("Tannhof".to_owned())?;
    let unmet = rule.check(&short, &martha).expect_err("too weak");
    assert_eq!(unmet.first(), Some(&Unmet::TooShort(8)));
    assert!(unmet.contains(&Unmet::Missing(Kind::Number)) && unmet.contains(&Unmet::Personal));

    let good = Password::new("7 Kraniche über Bremen!".to_owned())?;
    let accepted = rule.check(&good, &martha).expect("a good one");

    let config = PoolConfig::new(HashPolicy::argon2id(47_104, 1)?);
    let pool = HashPool::new(config, Arc::new(Standing), Arc::new(SystemEntropy::new()))?;
    let binding = || -> Result<Binding, Box<dyn std::error::Error>> {
        Ok(Binding::new(&TenantId::new("acme")?, &UserId::new("u-17")?))
    };
    let owner = Authenticated::assertion(ACCOUNT, PolicyDigest::NONE, NOW);
    let record = pool.hash(accepted, (&owner).into(), binding()?).wait()?;

    // What a text column keeps, and gives back.
    let column = record.as_record().to_string();
    assert!(!column.contains("Kraniche"), "{column}");
    let verify = |attempt, password: &Password, binding| {
        pool.verify(charged(attempt), password, Stored::read(Some(&column)), binding).wait()
    };
    // The same text with its letters composed otherwise is the same password.
    let typed = Password::new("7 Kraniche u\u{308}ber Bremen!".to_owned())?;
    assert!(matches!(verify(1, &typed, binding()?), Verified::Match { .. }));
    assert!(matches!(verify(2, &short, binding()?), Verified::NoMatch(_)));
    let somebody_else = Binding::new(&TenantId::new("acme")?, &UserId::new("u-18")?);
    assert!(matches!(verify(3, &typed, somebody_else), Verified::NoMatch(_)));

    // A name that nobody has costs as much.
    let nobody = pool.verify(charged(4), &typed, Stored::read(None), binding()?).wait();
    assert!(matches!(nobody, Verified::NoMatch(_)));
    Ok(())
}
