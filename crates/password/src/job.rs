//! One piece of the pool's work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use subtle::ConstantTimeEq;
use vouchsafe_core::{
    AccountDigest, Charged, Clock, Entropy, Matched, NoEntropy, NotMatched, Standing, Timestamp,
    WrongDigest,
};
use vouchsafe_crypto::MacKey;

use crate::hash::{self, Memory, NotRun};
use crate::pool::not_verified;
use crate::record::Form;
use crate::ticket::Answer;
use crate::{
    Binding, HashPolicy, NewRecord, NotVerifiedReason, OwnerPresent, Params, Password,
    PasswordError, Record, Upgrade, Verified,
};

pub(crate) enum Job {
    Verify(VerifyJob),
    Hash(HashJob),
}

pub(crate) struct VerifyJob {
    pub(crate) charged: Charged,
    pub(crate) password: Password,
    pub(crate) record: Option<Record>,
    pub(crate) binding: Binding,
    pub(crate) answer: Answer<Verified>,
}

pub(crate) struct HashJob {
    pub(crate) password: Password,
    pub(crate) owner: Option<OwnerPresent>,
    pub(crate) binding: Binding,
    pub(crate) answer: Answer<Result<NewRecord, PasswordError>>,
}

/// What every job needs.
pub(crate) struct Bench {
    policy: HashPolicy,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Salt and tag of nobody's password.
    dummy: ([u8; Record::SALT], [u8; Record::HASH]),
    /// What digests of wrong passwords are keyed with.
    wrong: MacKey,
    runs: AtomicU64,
    blocks: AtomicU64,
}

/// What a comparison came to.
struct Compared {
    right: bool,
    /// Which password it was, should it be wrong.
    digest: WrongDigest,
}

impl Job {
    /// Memory that it needs, in KiB.
    pub(crate) fn kib(&self, bench: &Bench) -> u32 {
        let own = bench.policy.params().memory_kib();
        match self {
            Self::Verify(VerifyJob { record: Some(record), .. }) => {
                let upgraded = bench.upgraded(record).map_or(0, Params::memory_kib);
                record.params.memory_kib().max(upgraded)
            }
            Self::Verify(_) | Self::Hash(_) => own,
        }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Verify(job) => job.answer.is_abandoned(),
            Self::Hash(job) => job.answer.is_abandoned(),
        }
    }

    pub(crate) fn refuse(self, reason: NotVerifiedReason) {
        match self {
            Self::Verify(job) => job.answer.give(not_verified(job.charged, reason)),
            Self::Hash(job) => job.answer.give(Err(PasswordError::NotHashed(reason))),
        }
    }

    pub(crate) fn run(self, bench: &Bench, memory: &mut Memory) {
        match self {
            Self::Verify(job) => job.run(bench, memory),
            Self::Hash(job) => job.run(bench, memory),
        }
    }
}

impl VerifyJob {
    fn run(self, bench: &Bench, memory: &mut Memory) {
        let Self { charged, password, record, binding, answer } = self;
        if bench.now() > charged.deadline() {
            return answer.give(not_verified(charged, NotVerifiedReason::Late));
        }
        let account = charged.account();
        let compared = caught(|| match &record {
            Some(record) => bench.compare(record, account, &password, &binding, memory),
            None => bench.compare_with_nobody(account, &password, memory),
        });
        let outcome = match (compared, record) {
            (Err(NotRun), _) => not_verified(charged, NotVerifiedReason::Failed),
            (Ok(Compared { right: true, .. }), Some(record)) => {
                let standing = record.standing;
                let upgrade =
                    caught(|| bench.upgrade(record, &password, &binding, memory)).unwrap_or(None);
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the verifier mints it: the tags agree"
                )]
                let matched = Matched::assertion(charged, standing);
                Verified::Match { matched, upgrade }
            }
            (Ok(Compared { digest, .. }), _) => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the verifier mints it: the tags differ"
                )]
                let outcome = NotMatched::assertion(charged).with_digest(digest);
                Verified::NoMatch(outcome)
            }
        };
        drop(password);
        answer.give(outcome);
    }
}

impl HashJob {
    fn run(self, bench: &Bench, memory: &mut Memory) {
        let Self { password, owner, binding, answer } = self;
        let standing = if owner.is_some() { Standing::Chosen } else { Standing::MustChange };
        let params = bench.policy.params();
        let record = caught(|| match bench.salt() {
            Err(error) => Ok(Err(error.into())),
            Ok(salt) => bench.record(params, standing, salt, &password, &binding, memory).map(Ok),
        });
        let failed = PasswordError::NotHashed(NotVerifiedReason::Failed);
        let record = record.unwrap_or(Err(failed));
        drop(password);
        let owner = owner.map(|owner| owner.account());
        answer.give(record.map(|record| NewRecord { record, owner }));
    }
}

/// A panic below, in the host's clock or entropy for one, would take a worker and the charge with
/// it, and leave somebody waiting for ever.
fn caught<T>(work: impl FnOnce() -> Result<T, NotRun>) -> Result<T, NotRun> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(NotRun))
}

impl Bench {
    pub(crate) fn new(
        policy: HashPolicy,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        wrong: Option<MacKey>,
    ) -> Result<Self, PasswordError> {
        let mut dummy = ([0; Record::SALT], [0; Record::HASH]);
        entropy.fill(&mut dummy.0)?;
        entropy.fill(&mut dummy.1)?;
        let wrong = match wrong {
            // Nobody's salt is everywhere the same, as everybody else's is: a wrong password that
            // is repeated elsewhere is recognised for a name that nobody answers to, too.
            Some(key) => {
                dummy.0 = key.digest("vouchsafe salt of nobody v1", &[]);
                key
            }
            None => MacKey::generate(&entropy)?,
        };
        let (runs, blocks) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { policy, clock, entropy, dummy, wrong, runs, blocks })
    }

    /// The present moment; with a clock that panics it is too late for anybody.
    pub(crate) fn now(&self) -> Timestamp {
        caught(|| Ok(self.clock.now())).unwrap_or(Timestamp::MAX)
    }

    /// Runs and blocks so far.
    pub(crate) fn done(&self) -> (u64, u64) {
        (self.runs.load(Ordering::Relaxed), self.blocks.load(Ordering::Relaxed))
    }

    fn count(&self, params: Params) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.blocks.fetch_add(params.blocks(), Ordering::Relaxed);
    }

    fn compare(
        &self,
        record: &Record,
        account: AccountDigest,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Compared, NotRun> {
        let Record { params, salt, hash, .. } = record;
        let binding = record.bound.then_some(binding);
        let mut compare = |text| {
            self.count(*params);
            let tag = hash::tag(*params, salt, binding, text, memory, hash.len())?;
            Ok(self.compared(account, &tag, hash))
        };
        match record.form {
            Form::Nfc => compare(password.nfc()),
            // Enrolled elsewhere as it was typed there; here it may have been typed composed.
            Form::Raw if password.raw() != password.nfc() => {
                let raw = compare(password.raw())?;
                if raw.right { Ok(raw) } else { compare(password.nfc()) }
            }
            Form::Raw => compare(password.raw()),
        }
    }

    /// The same work for an account that has nothing to compare with.
    fn compare_with_nobody(
        &self,
        account: AccountDigest,
        password: &Password,
        memory: &mut Memory,
    ) -> Result<Compared, NotRun> {
        let params = self.policy.params();
        self.count(params);
        let nobody = Binding::nobody();
        let (salt, hash) = &self.dummy;
        let tag = hash::tag(params, salt, Some(&nobody), password.nfc(), memory, hash.len())?;
        Ok(Compared { right: false, ..self.compared(account, &tag, hash) })
    }

    /// The same work whether or not the tag is the expected one.
    fn compared(&self, account: AccountDigest, tag: &[u8], expected: &[u8]) -> Compared {
        let mac = self.wrong.mac("vouchsafe wrong password v1", &[account.as_bytes(), tag]);
        let [a, b, c, d, e, f, ..] = mac;
        let digest = WrongDigest::new([a, b, c, d, e, f]);
        Compared { right: tag.ct_eq(expected).into(), digest }
    }

    /// What a matching record is to be hashed with anew, if it is: never with less.
    fn upgraded(&self, record: &Record) -> Option<Params> {
        let own = self.policy.params();
        if self.policy.upgrades(record.params) {
            return Some(own);
        }
        let old = !record.bound || record.form == Form::Raw;
        let params = if own.is_no_weaker_than(record.params) { own } else { record.params };
        old.then_some(params)
    }

    fn upgrade(
        &self,
        record: Record,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Option<Upgrade>, NotRun> {
        let (Some(params), Ok(salt)) = (self.upgraded(&record), self.salt()) else {
            return Ok(None);
        };
        let new = self.record(params, record.standing, salt, password, binding, memory)?;
        Ok(Some(Upgrade { expected: record, new }))
    }

    fn record(
        &self,
        params: Params,
        standing: Standing,
        salt: [u8; Record::SALT],
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Record, NotRun> {
        self.count(params);
        let (salt, mut hash) = (salt.to_vec(), vec![0; Record::HASH]);
        hash::run(params, &salt, Some(binding), password.nfc(), memory, &mut hash)?;
        Ok(Record { standing, bound: true, form: Form::Nfc, params, salt, hash })
    }

    fn salt(&self) -> Result<[u8; Record::SALT], NoEntropy> {
        let mut salt = [0; Record::SALT];
        self.entropy.fill(&mut salt)?;
        Ok(salt)
    }
}
