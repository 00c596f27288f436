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
use crate::history::{Entry, History};
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
    /// Memory that comparing with it takes, in KiB.
    pub(crate) fn kib(&self) -> u32 {
        let history = self.inner.history.as_ref().map_or(0, |h| h.params.memory_kib());
        self.inner.hashed.kdf.kib().max(history)
    }

    /// Blocks of memory that comparing with it computes.
    pub(crate) fn blocks(&self) -> u64 {
        let history = self.inner.history.as_ref().map_or(0, |h| h.params.blocks());
        self.inner.hashed.kdf.blocks().max(history)
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
    /// How many passwords are remembered, this one included.
    pub(crate) remember: u8,
    /// What it replaces.
    pub(crate) previous: Option<Box<Candidate>>,
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
                candidate.kib().max(renewed)
            }
            Self::Hash(HashJob { previous: Some(previous), .. }) => previous.kib().max(own),
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
        let Self { password, remember, previous, owner, binding, answer } = self;
        let standing = if owner.is_some() { Standing::Chosen } else { Standing::MustChange };
        let owner = owner.map(|owner| owner.account());
        let made = caught(|| {
            let previous = previous.as_deref();
            let history = match bench.history(previous, remember, &password, &binding, memory)? {
                Ok(history) => history,
                Err(refused) => return Ok(Err(refused)),
            };
            let what = What { input: Input::Plain, text: password.nfc(), history };
            bench.record(bench.policy.params(), standing, what, &binding, memory)
        });
        drop(password);
        answer.give(hashed(made).map(|record| NewRecord { record, owner }));
    }
}

impl WrapJob {
    fn run(self, bench: &Bench, memory: &mut Memory) {
        let Self { input, digest, standing, binding, answer } = self;
        let params = bench.policy.params();
        let record = caught(|| {
            let what = What { input, text: &digest, history: None };
            bench.record(params, standing, what, &binding, memory)
        });
        answer.give(hashed(record));
    }
}

fn hashed<T>(record: Result<Result<T, PasswordError>, NotRun>) -> Result<T, PasswordError> {
    record.unwrap_or(Err(PasswordError::NotHashed(NotVerifiedReason::Failed)))
}

/// What a new record is made of.
struct What<'a> {
    input: Input,
    text: &'a str,
    history: Option<History>,
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
        let expected = &candidate.inner.hashed.hash;
        let tag = self.tag(candidate, password, binding, memory)?;
        Ok(self.compared(account, &tag, expected))
    }

    /// Whether `password` is the one of `candidate`.
    fn is_right(
        &self,
        candidate: &Candidate,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<bool, NotRun> {
        let tag = self.tag(candidate, password, binding, memory)?;
        Ok(tag.ct_eq(&candidate.inner.hashed.hash).into())
    }

    /// What `password` comes to under `candidate`.
    fn tag(
        &self,
        candidate: &Candidate,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Zeroizing<Vec<u8>>, NotRun> {
        let Candidate { stored, inner: Inner { hashed, .. }, .. } = candidate;
        let binding = stored.bound.then_some(binding);
        let mut again = |text| {
            self.count(hashed.kdf);
            hashed.again(text, binding, memory)
        };
        match stored.form {
            Form::Nfc => again(password.nfc()),
            // Enrolled elsewhere as it was typed there; here it may have been typed composed.
            Form::Raw if password.raw() != password.nfc() => {
                let raw = again(password.raw())?;
                if raw.ct_eq(&hashed.hash).into() { Ok(raw) } else { again(password.nfc()) }
            }
            Form::Raw => again(password.raw()),
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
                let history = self.renewed(inner.history, password, binding, memory)?;
                let what = What { input: Input::Plain, text: password.nfc(), history };
                self.record(params, standing, what, binding, memory)?
            }
            Some(Renewal::Seal) => {
                self.seal(Record::plain(standing, expected.bound, expected.form, inner), binding)
            }
            None => return Ok(None),
        };
        Ok(new.ok().map(|new| Upgrade::new(expected, new)))
    }

    /// What is remembered beside a password that is hashed anew.
    fn renewed(
        &self,
        history: Option<Box<History>>,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Option<History>, NotRun> {
        match history {
            None => Ok(None),
            Some(history) if !self.policy.upgrades(history.params) => Ok(Some(*history)),
            // Entries that cost less than records do would be guessed instead of them.
            Some(old) => match self.salt() {
                Ok(salt) => {
                    let fresh = History::new(self.policy.params(), salt);
                    let entry = self.entry(&fresh, password, binding, memory)?;
                    Ok(Some(fresh.with(entry, old.depth())))
                }
                Err(_) => Ok(None),
            },
        }
    }

    fn entry(
        &self,
        history: &History,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Entry, NotRun> {
        self.count(Kdf::new(history.params));
        history.entry(password.nfc(), binding, memory)
    }

    /// What is to be remembered once `password` has replaced `previous`, if it may.
    fn history(
        &self,
        previous: Option<&Candidate>,
        remember: u8,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Result<Option<History>, PasswordError>, NotRun> {
        let imposed = previous.is_some_and(|p| p.standing == Standing::MustChange);
        if remember == 0 && !imposed {
            return Ok(Ok(None));
        }
        let kept = previous
            .and_then(|previous| previous.inner.history.as_deref())
            .filter(|history| !self.policy.upgrades(history.params));
        // Of the newest alone the record itself says whether it is used again.
        if let (Some(previous), None) = (previous, kept)
            && self.is_right(previous, password, binding, memory)?
        {
            return Ok(Err(PasswordError::Reused));
        }
        let history = match (kept, self.salt()) {
            (Some(kept), _) => kept.clone(),
            (None, Ok(salt)) => History::new(self.policy.params(), salt),
            (None, Err(error)) => return Ok(Err(error.into())),
        };
        let entry = self.entry(&history, password, binding, memory)?;
        if history.holds(&entry, remember.max(1)) {
            return Ok(Err(PasswordError::Reused));
        }
        Ok(Ok((remember > 0).then(|| history.with(entry, remember))))
    }

    /// A record of `what`, bound to `binding`.
    fn record(
        &self,
        params: Params,
        standing: Standing,
        what: What<'_>,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Result<Record, PasswordError>, NotRun> {
        let What { input, text, history } = what;
        let salt = match self.salt() {
            Ok(salt) => salt,
            Err(error) => return Ok(Err(error.into())),
        };
        let (kdf, hash) = (Kdf::new(params), vec![0; Record::HASH]);
        self.count(kdf);
        let mut hashed = Hashed { input: Input::Plain, kdf, salt, hash };
        hashed.hash = hashed.again(text, Some(binding), memory)?.to_vec();
        let form = if input == Input::Plain { Form::Nfc } else { Form::Raw };
        let inner = Inner::new(Hashed { input, ..hashed }, history);
        Ok(self.seal(Record::plain(standing, true, form, inner), binding))
    }

    fn salt(&self) -> Result<Vec<u8>, NoEntropy> {
        let mut salt = vec![0; Record::SALT];
        self.entropy.fill(&mut salt)?;
        Ok(salt)
    }

    fn seal(&self, plain: Record, binding: &Binding) -> Result<Record, PasswordError> {
        match &self.peppers {
            Some(peppers) => Ok(peppers.seal(&plain, binding, &*self.entropy)?),
            None => Ok(plain),
        }
    }
}
