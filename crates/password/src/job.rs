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
use crate::history::{History, HistoryKey};
use crate::pepper::{self, PepperError};
use crate::pool::{PoolKeys, not_verified};
use crate::record::{Form, Inner};
use crate::renewal::Renewal;
use crate::ticket::Answer;
use crate::{
    Accepted, Attributes, Binding, Breached, HashPolicy, HashPool, NewRecord, NotVerifiedReason,
    OwnerPresent, Params, Password, PasswordError, PasswordPolicy, Peppers, Record, Unmet,
    Verified,
};

pub(crate) enum Job {
    Verify(VerifyJob),
    Hash(HashJob),
    Wrap(WrapJob),
    Check(CheckJob),
}

/// A record, and what was sealed in it.
pub(crate) struct Candidate {
    pub(crate) stored: Record,
    pub(crate) standing: Standing,
    pub(crate) inner: Inner,
}

impl Candidate {
    /// What comparing with it runs.
    pub(crate) const fn kdf(&self) -> Kdf {
        self.inner.hashed.kdf
    }
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

/// A new password is to be looked up in a list, which may be on a disk.
pub(crate) struct CheckJob {
    pub(crate) policy: PasswordPolicy,
    pub(crate) password: Password,
    pub(crate) attributes: Attributes,
    pub(crate) list: Arc<dyn Breached>,
    pub(crate) answer: Answer<Result<Accepted, Vec<Unmet>>>,
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
    pub(crate) policy: HashPolicy,
    budget_kib: u32,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Nobody's password.
    dummy: Hashed,
    /// What digests of wrong passwords are keyed with.
    wrong: MacKey,
    /// What is remembered of passwords is keyed with it.
    pub(crate) history: Option<HistoryKey>,
    pub(crate) peppers: Option<Arc<Peppers>>,
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
            Self::Verify(VerifyJob { record: Some(candidate), password, .. }) => {
                let renewed = match bench.renewal(candidate, password) {
                    Some(Renewal::Hash(params)) => {
                        let entering = bench.entering(candidate).map_or(0, Kdf::kib);
                        params.memory_kib().max(entering)
                    }
                    Some(Renewal::Seal) | None => 0,
                };
                candidate.kdf().kib().max(renewed)
            }
            Self::Hash(HashJob { previous: Some(previous), remember, owner: Some(_), .. }) => {
                let former = bench.former(previous, *remember);
                former.kdfs().map(Kdf::kib).fold(own, u32::max)
            }
            Self::Verify(_) | Self::Hash(_) | Self::Wrap(_) => own,
            Self::Check(_) => 0,
        }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Verify(job) => job.answer.is_abandoned(),
            Self::Hash(job) => job.answer.is_abandoned(),
            Self::Wrap(job) => job.answer.is_abandoned(),
            Self::Check(job) => job.answer.is_abandoned(),
        }
    }

    pub(crate) fn refuse(self, reason: NotVerifiedReason) {
        match self {
            Self::Verify(job) => job.answer.give(not_verified(job.charged, reason)),
            Self::Hash(job) => job.answer.give(Err(PasswordError::NotHashed(reason))),
            Self::Wrap(job) => job.answer.give(Err(PasswordError::NotHashed(reason))),
            Self::Check(job) => job.not_screened(),
        }
    }

    pub(crate) fn run(self, bench: &Bench, memory: &mut Memory) {
        match self {
            Self::Verify(job) => job.run(bench, memory),
            Self::Hash(job) => job.run(bench, memory),
            Self::Wrap(job) => job.run(bench, memory),
            Self::Check(job) => job.run(),
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
            let history = if owner.is_some() {
                bench.history(previous, remember, &password, &binding, memory)?
            } else {
                Ok(previous.and_then(|previous| bench.kept(previous)))
            };
            let history = match history {
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

impl CheckJob {
    fn run(self) {
        let Self { policy, password, attributes, list, .. } = &self;
        match caught(|| Ok(policy.check_against(password, attributes, &**list))) {
            Ok(checked) => self.answer.give(checked),
            Err(NotRun) => self.not_screened(),
        }
    }

    /// Every other rule is answered all the same.
    fn not_screened(self) {
        self.answer.give(self.policy.check(&self.password, &self.attributes));
    }
}

fn hashed<T>(record: Result<Result<T, PasswordError>, NotRun>) -> Result<T, PasswordError> {
    record.unwrap_or(Err(PasswordError::NotHashed(NotVerifiedReason::Failed)))
}

/// What a new record is made of.
pub(crate) struct What<'a> {
    pub(crate) input: Input,
    pub(crate) text: &'a str,
    pub(crate) history: Option<History>,
}

/// A panic below, in the host's clock or entropy for one, would take a worker and the charge with
/// it, and leave somebody waiting for ever.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, NotRun>) -> Result<T, NotRun> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(NotRun))
}

impl Bench {
    pub(crate) fn new(
        policy: HashPolicy,
        budget_kib: u32,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        keys: PoolKeys,
    ) -> Result<Self, PasswordError> {
        let PoolKeys { wrong, history, peppers } = keys;
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
        Ok(Self {
            policy,
            budget_kib,
            clock,
            entropy,
            dummy,
            wrong,
            history,
            peppers,
            runs,
            blocks,
        })
    }

    /// Whether it may be run at all: decided before anything is allocated.
    pub(crate) fn affords(&self, kdf: Kdf) -> bool {
        kdf.kib() <= self.budget_kib && kdf.blocks() <= HashPool::MAX_BLOCKS
    }

    /// The present moment; with a clock that panics it is too late for anybody.
    pub(crate) fn now(&self) -> Timestamp {
        caught(|| Ok(self.clock.now())).unwrap_or(Timestamp::MAX)
    }

    /// Runs and blocks so far.
    pub(crate) fn done(&self) -> (u64, u64) {
        (self.runs.load(Ordering::Relaxed), self.blocks.load(Ordering::Relaxed))
    }

    pub(crate) fn count(&self, kdf: Kdf) {
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
        let (raw, nfc) = (password.raw(), password.nfc());
        let texts: &[&str] = match candidate.stored.form {
            Form::Nfc => &[nfc],
            // Enrolled elsewhere as it was typed there; here it may have been typed composed.
            Form::Raw if raw != nfc => &[raw, nfc],
            Form::Raw => &[raw],
        };
        let tag = self.tag(candidate, texts, binding, memory)?;
        let compared = self.compared(account, &tag, expected);
        let right = compared.right && candidate.inner.hashed.tells(nfc);
        Ok(Compared { right, ..compared })
    }

    /// What `texts`, the forms of one password, come to under `candidate`: of the first that is right,
    /// or of the last.
    pub(crate) fn tag(
        &self,
        candidate: &Candidate,
        texts: &[&str],
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Zeroizing<Vec<u8>>, NotRun> {
        let Candidate { stored, inner: Inner { hashed, .. }, .. } = candidate;
        let binding = stored.bound.then_some(binding);
        let mut last = Err(NotRun);
        for text in texts {
            self.count(hashed.kdf);
            let tag = hashed.again(text, binding, memory)?;
            if tag.ct_eq(&hashed.hash).into() {
                return Ok(tag);
            }
            last = Ok(tag);
        }
        last
    }

    /// The same work for an account that has nothing to compare with: a match takes a candidate.
    fn compare_with_nobody(
        &self,
        account: AccountDigest,
        password: &Password,
        memory: &mut Memory,
    ) -> Result<Compared, NotRun> {
        let nobodys = &self.dummy;
        self.count(nobodys.kdf);
        let tag = nobodys.again(password.nfc(), Some(&Binding::nobody()), memory)?;
        Ok(self.compared(account, &tag, &nobodys.hash))
    }

    /// The same work whether or not the tag is the expected one.
    fn compared(&self, account: AccountDigest, tag: &[u8], expected: &[u8]) -> Compared {
        let mac = self.wrong.mac("vouchsafe wrong password v1", &[account.as_bytes(), tag]);
        let [a, b, c, d, e, f, ..] = mac;
        let digest = WrongDigest::new([a, b, c, d, e, f]);
        Compared { right: tag.ct_eq(expected).into(), digest }
    }

    /// A record of `what`, bound to `binding`.
    pub(crate) fn record(
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

    pub(crate) fn salt(&self) -> Result<Vec<u8>, NoEntropy> {
        let mut salt = vec![0; Record::SALT];
        self.entropy.fill(&mut salt)?;
        Ok(salt)
    }

    pub(crate) fn seal(&self, plain: Record, binding: &Binding) -> Result<Record, PasswordError> {
        match &self.peppers {
            Some(peppers) => Ok(peppers.seal(&plain, binding, &*self.entropy)?),
            None => Ok(plain),
        }
    }
}
