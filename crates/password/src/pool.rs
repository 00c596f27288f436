//! Hashing in bounded memory, on threads of its own, behind a bounded queue.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use vouchsafe_core::{Charged, Clock, Entropy, Standing};
use zeroize::Zeroizing;

use crate::bench::{Bench, Candidate};
use crate::hashed::{Affixes, Input};
use crate::job::{CheckJob, HashJob, Job, VerifyJob, WrapJob};
use crate::params::MAX_BLOCKS;
use crate::queue::{Config, Queue};
use crate::verify::not_verified;
use crate::{
    Accepted, Attributes, Binding, Breached, Digest, HashPolicy, Hashing, NewRecord,
    NotVerifiedReason, OwnerPresent, Password, PasswordError, PasswordPolicy, PepperError,
    PoolConfig, PoolKeys, Record, RecordError, Stored, Unmet, Verified,
};

/// A digest of a password that other software kept without a password hash about it.
///
/// ```
/// use vouchsafe_password::{BareDigest, Digest};
/// // Django's `sha1$<salt>$<digest>` is SHA-1 of salt and password.
/// let bare = BareDigest::new(Digest::Sha1, "cff36ea83f5706ce9aa7454e63e431fc726b2dc8")
///     .map(|bare| bare.salt_before(b"seasalt"));
/// assert!(bare.is_ok());
/// ```
#[derive(Clone)]
pub struct BareDigest {
    digest: Digest,
    hex: String,
    affixes: Affixes,
}

impl fmt::Debug for BareDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BareDigest({:?}, ..)", self.digest)
    }
}

impl BareDigest {
    /// Longest salt in bytes.
    pub const MAX_SALT: usize = 128;

    /// A digest in hexadecimal, of the password alone.
    ///
    /// # Errors
    /// [`RecordError::Field`] when it is not as many hexadecimal digits as the digest has.
    pub fn new(digest: Digest, hex: &str) -> Result<Self, RecordError> {
        let digits = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits || hex.len() != digest.bytes().saturating_mul(2) {
            return Err(RecordError::Field("digest"));
        }
        Ok(Self { digest, hex: hex.to_ascii_lowercase(), affixes: Affixes::default() })
    }

    /// These bytes, at most 128, stood before the password.
    #[must_use]
    pub fn salt_before(mut self, salt: &[u8]) -> Self {
        self.affixes.before = salt.to_vec();
        self
    }

    /// These bytes, at most 128, stood behind the password.
    #[must_use]
    pub fn salt_after(mut self, salt: &[u8]) -> Self {
        self.affixes.after = salt.to_vec();
        self
    }
}

/// What a pool has done, and is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Hashes computed since the pool was made, those for accounts that do not exist included.
    pub runs: u64,
    /// 1 KiB blocks of memory computed in them: for Argon2 memory times passes, summed.
    pub blocks: u64,
    /// Requests turned away unhashed.
    pub refused: u64,
    /// Requests waiting now.
    pub queued: usize,
    /// Memory held now for hashing, in KiB; never more than the budget.
    pub held_kib: u32,
}

/// Hashes and verifies passwords on threads of its own.
///
/// Memory, queue and waiting time are bounded; what does not fit is answered at once, unhashed. One more
/// thread, which sleeps, answers who waited too long while all workers are busy, by the clock that nobody
/// can set where there is one ([`Clock::steady`]).
/// Running work keeps its memory to its end, whether or not anybody still waits for it. Dropping
/// the pool answers what is queued with [`NotVerifiedReason::Stopped`] and waits for what runs.
///
/// Memory is kept between hashes, wiped when the pool has been idle for 100 ms, and before it goes
/// back to the allocator.
pub struct HashPool {
    queue: Arc<Queue>,
    policy: HashPolicy,
    threads: Vec<JoinHandle<()>>,
}

impl HashPool {
    /// Most blocks that a stored record may cost, memory times passes: 1 GiB in one pass or 64 MiB
    /// in 16. Costlier records are refused like malformed ones.
    pub const MAX_BLOCKS: u64 = MAX_BLOCKS;

    /// Starts the workers. A wrong password is recognised when it comes to this pool once more.
    ///
    /// # Errors
    /// [`PasswordError::Pool`] for a configuration that cannot be, [`PasswordError::NoEntropy`],
    /// [`PasswordError::Threads`].
    pub fn new(
        config: PoolConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, PasswordError> {
        Self::with_keys(config, clock, entropy, PoolKeys::new())
    }

    /// As [`new`](Self::new), with keys.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_keys(
        config: PoolConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        keys: PoolKeys,
    ) -> Result<Self, PasswordError> {
        let PoolConfig { policy, workers, budget_kib, queue, max_wait } = config;
        let one = policy.params().memory_kib();
        let for_all = u32::try_from(workers).unwrap_or(u32::MAX).saturating_mul(one);
        let budget_kib = budget_kib.unwrap_or(for_all.max(PoolConfig::LEAST_DEFAULT_KIB));
        if !(1..=PoolConfig::MAX_WORKERS).contains(&workers) {
            return Err(PasswordError::Pool("1 to 64 workers"));
        }
        if !(1..=PoolConfig::MAX_QUEUE).contains(&queue) {
            return Err(PasswordError::Pool("a queue of 1 to 65536"));
        }
        if policy.params().blocks() > Self::MAX_BLOCKS {
            return Err(PasswordError::Pool(
                "a policy of at most 2^20 blocks, memory times passes",
            ));
        }
        if budget_kib < one {
            return Err(PasswordError::Pool("memory for at least one hash under the policy"));
        }
        let bench = Arc::new(Bench::new(policy, budget_kib, clock, entropy, keys)?);
        let queue = Arc::new(Queue::new(Config { length: queue, budget_kib, max_wait }, bench));
        // Dropping it stops the workers that were started, should a later one fail to.
        let mut pool = Self { queue, policy, threads: Vec::new() };
        for number in 0..workers {
            pool.start(format!("password-hash-{number}"), Queue::work)?;
        }
        pool.start("password-expire".to_owned(), Queue::expire)?;
        Ok(pool)
    }

    fn start(&mut self, name: String, life: fn(&Queue)) -> Result<(), PasswordError> {
        let queue = Arc::clone(&self.queue);
        let thread = std::thread::Builder::new().name(name).spawn(move || life(&queue));
        self.threads.push(thread.map_err(|_| PasswordError::Threads)?);
        Ok(())
    }

    /// Whether `password` is the one whose record is `stored`, of the account of `binding`. Takes
    /// the attempt's charge, and gives it back in the outcome.
    ///
    /// An absent or unusable record costs what a record under the policy costs, and never matches;
    /// so does one that was sealed for another account.
    pub fn verify(
        &self,
        charged: Charged,
        password: &Password,
        stored: impl Into<Stored>,
        binding: Binding,
    ) -> Hashing<Verified> {
        let (answer, hashing) = self.queue.ticket();
        let bench = self.bench();
        let record = match stored.into() {
            Stored::Absent | Stored::Unusable(_) => None,
            Stored::Record(record) => match bench.open(record, &binding) {
                Ok(candidate) => bench.affords(candidate.kdf()).then(|| Box::new(candidate)),
                Err(PepperError::NoPepper(_)) => {
                    answer.give(not_verified(charged, NotVerifiedReason::NoPepper));
                    return hashing;
                }
                Err(_) => None,
            },
        };
        let password = password.share();
        let job = VerifyJob { charged, password, record, binding, answer };
        self.queue.push(Job::Verify(job));
        hashing
    }

    /// Whether `policy` accepts a password of a user with these attributes, as
    /// [`PasswordPolicy::check_against`] answers, on one of the pool's threads: `list` may be on a disk
    /// that is slow. It takes none of the memory for hashes. A policy that refuses no breached
    /// password is answered at once.
    ///
    /// The answer is the unmet rules, with [`Unmet::NotScreened`] where the list does not answer, or
    /// the pool has no place for it.
    pub fn check(
        &self,
        policy: &PasswordPolicy,
        password: &Password,
        attributes: &Attributes,
        list: Arc<dyn Breached>,
    ) -> Hashing<Result<Accepted, Vec<Unmet>>> {
        let (answer, hashing) = self.queue.ticket();
        if policy.refuses_breached() {
            let (policy, attributes) = (policy.clone(), attributes.clone());
            let job = CheckJob { policy, password: password.share(), attributes, list, answer };
            self.queue.push(Job::Check(job));
        } else {
            answer.give(policy.check(password, attributes));
        }
        hashing
    }

    /// A record of a password that its owner chose, for an account that has none so far.
    ///
    /// The answer is an error, [`PasswordError::NotHashed`] or [`PasswordError::NoEntropy`], when
    /// nothing was hashed.
    pub fn hash(
        &self,
        accepted: Accepted,
        owner: OwnerPresent,
        binding: Binding,
    ) -> Hashing<Result<NewRecord, PasswordError>> {
        self.enrol(accepted.password, accepted.remember, None, Some(owner), binding)
    }

    /// As [`hash`](Self::hash), for a password that replaces another: it is compared with those that
    /// the policy remembers, at the cost of one more hash, and with one that must be changed in any
    /// case.
    ///
    /// What was set before the policy remembered anything is known only as the newest. Entries that
    /// cost less than a record under the pool's policy are dropped, as they would be guessed instead.
    ///
    /// Whoever has the table (and its pepper, and the key that is given to
    /// [`PoolKeys::remember_with`]) tries a guess against all remembered passwords at the cost of one: a
    /// long memory is of use to them, too.
    ///
    /// A `previous` that is no record ([`Stored::Unusable`]) is compared with nothing. One that cannot
    /// be compared with where the policy asks for it is in the way of the change; for whoever should
    /// have a new password all the same, `previous` is [`Stored::Absent`].
    ///
    /// The answer is an error as for [`hash`](Self::hash), [`PasswordError::Reused`],
    /// [`PasswordError::PreviousCosts`], [`PasswordError::PreviousKey`] or
    /// [`PasswordError::PreviousTampered`].
    pub fn replace(
        &self,
        accepted: Accepted,
        owner: OwnerPresent,
        binding: Binding,
        previous: impl Into<Stored>,
    ) -> Hashing<Result<NewRecord, PasswordError>> {
        let Accepted { password, remember } = accepted;
        match self.previous(previous.into(), remember, &binding) {
            Ok(previous) => self.enrol(password, remember, previous, Some(owner), binding),
            Err(error) => {
                let (answer, hashing) = self.queue.ticket();
                answer.give(Err(error));
                hashing
            }
        }
    }

    /// A record of a default or initial password, or of one that somebody else chose: good for
    /// nothing but changing it. For an account that has none so far.
    ///
    /// The answer is an error as for [`hash`](Self::hash).
    pub fn hash_initial(
        &self,
        password: &Password,
        binding: Binding,
    ) -> Hashing<Result<NewRecord, PasswordError>> {
        self.enrol(password.share(), 0, None, None, binding)
    }

    /// As [`hash_initial`](Self::hash_initial), in place of another password: it is compared with nothing,
    /// and what is remembered beside `previous` is remembered beside it. Whoever gets it takes none of
    /// those passwords again, nor this one.
    ///
    /// A `previous` that does not open leaves nothing to remember; without its pepper the answer is
    /// [`NotVerifiedReason::NoPepper`].
    pub fn replace_initial(
        &self,
        password: &Password,
        binding: Binding,
        previous: impl Into<Stored>,
    ) -> Hashing<Result<NewRecord, PasswordError>> {
        let opened = match previous.into() {
            Stored::Record(record) => Some(self.bench().open(record, &binding)),
            Stored::Absent | Stored::Unusable(_) => None,
        };
        if let Some(Err(PepperError::NoPepper(_))) = opened {
            let (answer, hashing) = self.queue.ticket();
            answer.give(Err(PasswordError::NotHashed(NotVerifiedReason::NoPepper)));
            return hashing;
        }
        let previous = opened.and_then(Result::ok).map(Box::new);
        self.enrol(password.share(), 0, previous, None, binding)
    }

    /// A record of a password of which there is a bare digest, wrapped in Argon2id without the
    /// password. Its next successful use makes an ordinary record of it.
    ///
    /// The answer is an error as for [`hash`](Self::hash), or [`PasswordError::Record`] for a salt
    /// that is too long.
    pub fn wrap(
        &self,
        bare: BareDigest,
        standing: Standing,
        binding: Binding,
    ) -> Hashing<Result<Record, PasswordError>> {
        let (answer, hashing) = self.queue.ticket();
        let BareDigest { digest, hex, affixes } = bare;
        if affixes.before.len().max(affixes.after.len()) > BareDigest::MAX_SALT {
            answer.give(Err(RecordError::Field("salt").into()));
            return hashing;
        }
        let (input, digest) = (Input::Digest(digest, affixes), Zeroizing::new(hex));
        let job = WrapJob { input, digest, standing, binding, answer };
        self.queue.push(Job::Wrap(job));
        hashing
    }

    fn enrol(
        &self,
        password: Password,
        remember: u8,
        previous: Option<Box<Candidate>>,
        owner: Option<OwnerPresent>,
        binding: Binding,
    ) -> Hashing<Result<NewRecord, PasswordError>> {
        let (answer, hashing) = self.queue.ticket();
        let job = HashJob { password, remember, previous, owner, binding, answer };
        self.queue.push(Job::Hash(job));
        hashing
    }

    /// The policy that new records are made under.
    #[must_use]
    pub const fn policy(&self) -> HashPolicy {
        self.policy
    }

    /// What the pool has done, and is doing.
    #[must_use]
    pub fn work(&self) -> Work {
        self.queue.stats()
    }

    /// What a new password is to be compared with, if anything.
    fn previous(
        &self,
        stored: Stored,
        remember: u8,
        binding: &Binding,
    ) -> Result<Option<Box<Candidate>>, PasswordError> {
        let Stored::Record(record) = stored else { return Ok(None) };
        let asked = remember > 0 || record.standing() == Standing::MustChange;
        let bench = self.bench();
        let candidate = match bench.open(record, binding) {
            Ok(candidate) => candidate,
            Err(PepperError::NoPepper(_)) => {
                return Err(PasswordError::NotHashed(NotVerifiedReason::NoPepper));
            }
            Err(_) if asked => return Err(PasswordError::PreviousTampered),
            Err(_) => return Ok(None),
        };
        let former = bench.former(&candidate, remember);
        if let Some(kdf) = former.kdfs().find(|kdf| !bench.affords(*kdf)) {
            return Err(PasswordError::PreviousCosts { kib: kdf.kib(), blocks: kdf.blocks() });
        }
        if !former.opens_with(bench.history.as_ref()) {
            return Err(PasswordError::PreviousKey);
        }
        Ok(Some(Box::new(candidate)))
    }

    pub(crate) fn bench(&self) -> &Bench {
        self.queue.bench()
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.queue.stop();
        let here = std::thread::current().id();
        for worker in self.threads.drain(..) {
            // A waker may drop the pool on one of its own threads, which then ends by itself.
            if worker.thread().id() != here {
                // A worker catches what its work panics with.
                let _ = worker.join();
            }
        }
    }
}

impl fmt::Debug for HashPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashPool").field("policy", &self.policy).finish_non_exhaustive()
    }
}
