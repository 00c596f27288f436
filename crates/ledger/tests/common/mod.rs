//! A log with fixed keys, and records to put in it.

pub mod small_log;

use std::net::IpAddr;
use std::path::Path;

use vouchsafe_access_log::{Actor, Operation, Outcome, Record, Target, name};
use vouchsafe_core::{PolicyDigest, Source, TenantId, Timestamp, UserId};
use vouchsafe_crypto::{RootKey, SigningKey, SystemEntropy};
use vouchsafe_ledger::{
    AeadSealer, Identity, Ledger, LedgerError, LedgerOptions, Origin, Verified, verify,
};

pub const SEGMENT: usize = 64 << 10;

pub fn origin() -> Origin {
    Origin::new("test.example/log").unwrap()
}

pub fn sealer() -> AeadSealer {
    AeadSealer::new(RootKey::new(&[2; 32]))
}

pub fn identity() -> Identity {
    Identity::new(origin(), SigningKey::from_seed(&[1; 32]).public())
}

pub fn options() -> LedgerOptions {
    LedgerOptions::new(origin(), TenantId::new("operator").unwrap()).segment_bytes(SEGMENT)
}

pub fn open_with(dir: &Path, options: LedgerOptions) -> Result<Ledger, LedgerError> {
    let key = SigningKey::from_seed(&[1; 32]);
    Ledger::open(dir, options, key, sealer(), SystemEntropy::new(), Timestamp::EPOCH)
}

pub fn open(dir: &Path) -> Result<Ledger, LedgerError> {
    open_with(dir, options())
}

pub fn check(dir: &Path) -> Result<Verified, LedgerError> {
    verify(dir, &identity(), &sealer(), None, &mut |_| ())
}

pub fn record(tenant: &str, number: u64) -> Record {
    Record {
        tenant: TenantId::new(tenant).unwrap(),
        actor: Actor::User(UserId::new(&format!("user-{number}@canary.example")).unwrap()),
        target: Target::entity(name!("campaign"), &format!("canary-entity-{number}")).unwrap(),
        operation: Operation::Updated,
        outcome: Outcome::Succeeded,
        application: name!("portal"),
        source: Source::Direct(IpAddr::from([203, 0, 113, (number % 250) as u8]).into()),
        shared_source: false,
        time: Timestamp::from_micros(number as i64),
        policy: PolicyDigest::NONE,
        clause: None,
        repeats: std::num::NonZeroU32::MIN,
    }
}
