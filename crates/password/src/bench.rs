//! What every piece of the pool's work is done with: the policy, the keys, and nobody's password.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use subtle::ConstantTimeEq;
use vouchsafe_core::{AccountDigest, Clock, Entropy, NoEntropy, Standing, Timestamp, WrongDigest};
use vouchsafe_crypto::MacKey;
use zeroize::Zeroizing;

use crate::config::PoolKeys;
use crate::hash::{Memory, NotRun};
use crate::hashed::{Hashed, Input, Kdf};
use crate::history::{History, HistoryKey};
use crate::pepper::{self, PepperError};
use crate::record::{Form, Inner};
use crate::{Binding, HashPolicy, Params, Password, PasswordError, Peppers, Record, params};

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
pub(crate) struct Compared {
    pub(crate) right: bool,
    /// Which password it was, should it be wrong.
    pub(crate) digest: WrongDigest,
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
        kdf.kib() <= self.budget_kib && kdf.blocks() <= params::MAX_BLOCKS
    }

    /// The present moment; with a clock that panics it is too late for anybody.
    pub(crate) fn now(&self) -> Timestamp {
        caught(|| Ok(self.clock.now())).unwrap_or(Timestamp::MAX)
    }

    /// How long ago some fixed moment was, whatever the clock is set to meanwhile; `None` from a clock
    /// that panics.
    pub(crate) fn steady(&self) -> Option<Duration> {
        let set = || self.clock.now().since(Timestamp::EPOCH);
        caught(|| Ok(self.clock.steady().unwrap_or_else(set))).ok()
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

    pub(crate) fn compare(
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
    pub(crate) fn compare_with_nobody(
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
