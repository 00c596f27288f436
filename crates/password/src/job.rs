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
use zeroize::Zeroizing;

use crate::hash::{Memory, NotRun};
use crate::hashed::{Hashed, Input, Kdf};
use crate::pepper::{self, PepperError};
use crate::pool::{PoolKeys, not_verified};
use crate::record::{Form, Inner};
use crate::ticket::Answer;
use crate::{
    Binding, HashPolicy, NewRecord, NotVerifiedReason, OwnerPresent, Params, Password,
    PasswordError, Peppers, Record, Upgrade, Verified,
};

pub(crate) enum Job {
    Verify(VerifyJob),
    Hash(HashJob),
    Wrap(WrapJob),
}

/// A record, and what was sealed in it.
pub(crate) struct Candidate {
    stored: Record,
    standing: Standing,
    inner: Inner,
}

impl Candidate {
    pub(crate) const fn kdf(&self) -> Kdf {
        self.inner.hashed.kdf
    }
}

/// What becomes of a record that matched.
enum Renewal {
    /// The password is hashed anew.
    Hash(Params),
    /// The hash stays, and is sealed with the current pepper.
    Seal,
}

pub(crate) struct VerifyJob {
    pub(crate) charged: Charged,
    pub(crate) password: Password,
    pub(crate) record: Option<Box<Candidate>>,
    pub(crate) binding: Binding,
    pub(crate) answer: Answer<Verified>,
}

/// A digest that was kept bare is to be kept in Argon2id.
pub(crate) struct WrapJob {
    pub(crate) input: Input,
    /// In lower-case hexadecimal.
    pub(crate) digest: Zeroizing<String>,
    pub(crate) standing: Standing,
    pub(crate) binding: Binding,
    pub(crate) answer: Answer<Result<Record, PasswordError>>,
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
    /// Nobody's password.
    dummy: Hashed,
    /// What digests of wrong passwords are keyed with.
    wrong: MacKey,
    peppers: Option<Arc<Peppers>>,
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
            Self::Verify(VerifyJob { record: Some(candidate), .. }) => {
                let renewed = match bench.renewal(candidate) {
                    Some(Renewal::Hash(params)) => params.memory_kib(),
                    Some(Renewal::Seal) | None => 0,
                };
                candidate.inner.hashed.kdf.kib().max(renewed)
            }
            Self::Verify(_) | Self::Hash(_) | Self::Wrap(_) => own,
        }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Verify(job) => job.answer.is_abandoned(),
            Self::Hash(job) => job.answer.is_abandoned(),
            Self::Wrap(job) => job.answer.is_abandoned(),
        }
    }

    pub(crate) fn refuse(self, reason: NotVerifiedReason) {
        match self {
            Self::Verify(job) => job.answer.give(not_verified(job.charged, reason)),
            Self::Hash(job) => job.answer.give(Err(PasswordError::NotHashed(reason))),
            Self::Wrap(job) => job.answer.give(Err(PasswordError::NotHashed(reason))),
        }
    }

    pub(crate) fn run(self, bench: &Bench, memory: &mut Memory) {
        match self {
            Self::Verify(job) => job.run(bench, memory),
            Self::Hash(job) => job.run(bench, memory),
            Self::Wrap(job) => job.run(bench, memory),
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
            Some(candidate) => bench.compare(candidate, account, &password, &binding, memory),
            None => bench.compare_with_nobody(account, &password, memory),
        });
        let outcome = match (compared, record) {
            (Err(NotRun), _) => not_verified(charged, NotVerifiedReason::Failed),
            (Ok(Compared { right: true, .. }), Some(candidate)) => {
                let standing = candidate.standing;
                let upgrade = caught(|| bench.upgrade(*candidate, &password, &binding, memory));
                let upgrade = upgrade.unwrap_or(None);
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
        let record = caught(|| {
            bench.record(params, standing, Input::Plain, password.nfc(), &binding, memory)
        });
        drop(password);
        let owner = owner.map(|owner| owner.account());
        answer.give(hashed(record).map(|record| NewRecord { record, owner }));
    }
}

impl WrapJob {
    fn run(self, bench: &Bench, memory: &mut Memory) {
        let Self { input, digest, standing, binding, answer } = self;
        let params = bench.policy.params();
        let record = caught(|| bench.record(params, standing, input, &digest, &binding, memory));
        answer.give(hashed(record));
    }
}

fn hashed<T>(record: Result<Result<T, NoEntropy>, NotRun>) -> Result<T, PasswordError> {
    match record {
        Ok(record) => record.map_err(PasswordError::from),
        Err(NotRun) => Err(PasswordError::NotHashed(NotVerifiedReason::Failed)),
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
        keys: PoolKeys,
    ) -> Result<Self, PasswordError> {
        let PoolKeys { wrong, peppers } = keys;
        let (mut salt, mut hash) = (vec![0; Record::SALT], vec![0; Record::HASH]);
        entropy.fill(&mut salt)?;
        entropy.fill(&mut hash)?;
        let wrong = match wrong {
            // Nobody's salt is everywhere the same, as everybody else's is: a wrong password that
            // is repeated elsewhere is recognised for a name that nobody answers to, too.
            Some(key) => {
                salt = key.digest("vouchsafe salt of nobody v1", &[]).to_vec();
                key
            }
            None => MacKey::generate(&entropy)?,
        };
        let dummy = Hashed { input: Input::Plain, kdf: Kdf::new(policy.params()), salt, hash };
        let (runs, blocks) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { policy, clock, entropy, dummy, wrong, peppers, runs, blocks })
    }

    /// The present moment; with a clock that panics it is too late for anybody.
    pub(crate) fn now(&self) -> Timestamp {
        caught(|| Ok(self.clock.now())).unwrap_or(Timestamp::MAX)
    }

    /// Runs and blocks so far.
    pub(crate) fn done(&self) -> (u64, u64) {
        (self.runs.load(Ordering::Relaxed), self.blocks.load(Ordering::Relaxed))
    }

    fn count(&self, kdf: Kdf) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.blocks.fetch_add(kdf.blocks(), Ordering::Relaxed);
    }

    /// `record` with what was sealed in it.
    pub(crate) fn open(&self, record: Record, binding: &Binding) -> Result<Candidate, PepperError> {
        let (standing, inner) = pepper::open(self.peppers.as_deref(), &record, binding)?;
        Ok(Candidate { stored: record, standing, inner })
    }

    fn compare(
        &self,
        candidate: &Candidate,
        account: AccountDigest,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Compared, NotRun> {
        let Candidate { stored, inner: Inner { hashed, .. }, .. } = candidate;
        let binding = stored.bound.then_some(binding);
        let mut compare = |text| {
            self.count(hashed.kdf);
            let tag = hashed.again(text, binding, memory)?;
            Ok(self.compared(account, &tag, &hashed.hash))
        };
        match stored.form {
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
        let nobodys = &self.dummy;
        self.count(nobodys.kdf);
        let tag = nobodys.again(password.nfc(), Some(&Binding::nobody()), memory)?;
        Ok(Compared { right: false, ..self.compared(account, &tag, &nobodys.hash) })
    }

    /// The same work whether or not the tag is the expected one.
    fn compared(&self, account: AccountDigest, tag: &[u8], expected: &[u8]) -> Compared {
        let mac = self.wrong.mac("vouchsafe wrong password v1", &[account.as_bytes(), tag]);
        let [a, b, c, d, e, f, ..] = mac;
        let digest = WrongDigest::new([a, b, c, d, e, f]);
        Compared { right: tag.ct_eq(expected).into(), digest }
    }

    /// What a matching record becomes: never one that costs less.
    fn renewal(&self, candidate: &Candidate) -> Option<Renewal> {
        let Candidate { stored, inner: Inner { hashed, .. }, .. } = candidate;
        let own = self.policy.params();
        let Some(old) = hashed.argon2id() else { return Some(Renewal::Hash(own)) };
        if self.policy.upgrades(old) {
            return Some(Renewal::Hash(own));
        }
        if !stored.bound || stored.form == Form::Raw {
            return Some(Renewal::Hash(if own.is_no_weaker_than(old) { own } else { old }));
        }
        let current = self.peppers.as_ref().map(|peppers| peppers.current());
        (current.is_some() && stored.pepper() != current).then_some(Renewal::Seal)
    }

    fn upgrade(
        &self,
        candidate: Candidate,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Option<Upgrade>, NotRun> {
        let renewal = self.renewal(&candidate);
        let Candidate { stored: expected, standing, inner } = candidate;
        let new = match renewal {
            Some(Renewal::Hash(params)) => {
                self.record(params, standing, Input::Plain, password.nfc(), binding, memory)?
            }
            Some(Renewal::Seal) => {
                self.seal(Record::plain(standing, expected.bound, expected.form, inner), binding)
            }
            None => return Ok(None),
        };
        Ok(new.ok().map(|new| Upgrade::new(expected, new)))
    }

    /// A record of `text`, bound to `binding`: the password, or for a wrapped digest that digest.
    fn record(
        &self,
        params: Params,
        standing: Standing,
        input: Input,
        text: &str,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Result<Record, NoEntropy>, NotRun> {
        let mut salt = vec![0; Record::SALT];
        if let Err(error) = self.entropy.fill(&mut salt) {
            return Ok(Err(error));
        }
        let (kdf, hash) = (Kdf::new(params), vec![0; Record::HASH]);
        self.count(kdf);
        let mut hashed = Hashed { input: Input::Plain, kdf, salt, hash };
        hashed.hash = hashed.again(text, Some(binding), memory)?.to_vec();
        let form = if input == Input::Plain { Form::Nfc } else { Form::Raw };
        let inner = Inner::new(Hashed { input, ..hashed });
        Ok(self.seal(Record::plain(standing, true, form, inner), binding))
    }

    fn seal(&self, plain: Record, binding: &Binding) -> Result<Record, NoEntropy> {
        match &self.peppers {
            Some(peppers) => peppers.seal(&plain, binding, &*self.entropy),
            None => Ok(plain),
        }
    }
}
