//! What the tests share.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod hostile;
#[cfg(target_os = "linux")]
pub mod scan;

use std::sync::Arc;

use vouchsafe_core::{
    AccountDigest, ChargeId, Charged, PolicyDigest, Standing, TenantId, Timestamp, UserId,
};
use vouchsafe_password::{
    Accepted, Attributes, Binding, HashPolicy, HashPool, NotVerifiedReason, OwnerPresent, Password,
    PasswordPolicy, PoolConfig, PoolKeys, Record, Upgrade, Verified,
};
use vouchsafe_testkit::{ManualClock, SeededEntropy};

pub const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
pub const DEADLINE: Timestamp = Timestamp::from_micros(1_700_000_010_000_000);
pub const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);

pub fn cheap() -> HashPolicy {
    HashPolicy::danger_below_floor(64, 2).unwrap()
}

pub fn pool(config: PoolConfig) -> HashPool {
    pool_at(config, Arc::new(ManualClock::at(NOW)))
}

pub fn pool_at(config: PoolConfig, clock: Arc<ManualClock>) -> HashPool {
    HashPool::new(config, clock, Arc::new(SeededEntropy::new(1))).unwrap()
}

/// One worker, and these keys.
pub fn pool_with(policy: HashPolicy, keys: PoolKeys) -> HashPool {
    let (clock, entropy) = (Arc::new(ManualClock::at(NOW)), Arc::new(SeededEntropy::new(1)));
    HashPool::with_keys(PoolConfig::new(policy).workers(1), clock, entropy, keys).unwrap()
}

pub fn charged(id: u64) -> Charged {
    Charged::assertion(ACCOUNT, ChargeId::new(id), PolicyDigest::NONE, DEADLINE)
}

pub fn password(text: &str) -> Password {
    Password::new(text.to_owned()).unwrap()
}

pub fn accepted(text: &str) -> Accepted {
    let any = PasswordPolicy::builder().min_length(1).refuse_common(false).build().unwrap();
    any.check(&password(text), &Attributes::none()).unwrap()
}

pub fn martha() -> Binding {
    Binding::new(&TenantId::new("acme").unwrap(), &UserId::new("martha").unwrap())
}

pub fn record(pool: &HashPool, text: &str) -> Record {
    let owner = OwnerPresent::assertion(ACCOUNT);
    pool.hash(accepted(text), owner, martha()).wait().unwrap().as_record().clone()
}

/// `Some` with the standing for a match, `None` for none; nothing else may come.
pub fn matched(verified: Verified) -> Option<Standing> {
    match verified {
        Verified::Match { matched, .. } => Some(matched.standing()),
        Verified::NoMatch(_) => None,
        Verified::NotVerified(_, reason) => panic!("not verified: {reason}"),
    }
}

/// What a match is to be stored as instead, if anything.
pub fn upgrade(verified: Verified) -> Option<Upgrade> {
    match verified {
        Verified::Match { upgrade, .. } => upgrade,
        other => panic!("{other:?}"),
    }
}

/// Why nothing was hashed.
pub fn reason(verified: Verified) -> NotVerifiedReason {
    match verified {
        Verified::NotVerified(_, reason) => reason,
        other => panic!("{other:?}"),
    }
}

pub fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap())
        .collect()
}

/// Peak resident memory of this process in KiB, since [`forget_peak`].
pub fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// By how much the peak rose. What is read directly after [`forget_peak`] may be more than the next
/// peak: the kernel counts pages roughly.
pub fn risen(before: usize) -> usize {
    peak().saturating_sub(before)
}

pub fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}
