//! Hashing in bounded memory, on threads of its own, behind a bounded queue.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use vouchsafe_core::{Charged, Clock, Entropy, NotVerified};
use vouchsafe_crypto::MacKey;

use crate::job::{Bench, HashJob, Job, VerifyJob};
use crate::queue::{Config, Queue};
use crate::{
    Accepted, Binding, HashPolicy, Hashing, NewRecord, NotVerifiedReason, OwnerPresent, Params,
    Password, PasswordError, Stored, Verified,
};

/// How much a [`HashPool`] may use.
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    policy: HashPolicy,
    workers: usize,
    budget_kib: Option<u32>,
    queue: usize,
    max_wait: Duration,
}

impl PoolConfig {
    /// One worker fewer than there are cores (the rest of the service wants one too), memory for
    /// one hash a worker and never less than [`LEAST_DEFAULT_KIB`](Self::LEAST_DEFAULT_KIB), 256
    /// waiting, for at most 5 seconds (half of the 10 within which an attempt's charge must be
    /// settled).
    #[must_use]
    pub fn new(policy: HashPolicy) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = cores.saturating_sub(1).clamp(1, Self::MAX_WORKERS);
        Self { policy, workers, budget_kib: None, queue: 256, max_wait: Duration::from_secs(5) }
    }

    /// Least memory for all hashes together unless [`budget_kib`](Self::budget_kib) says otherwise,
    /// in KiB: 64 MiB, which runs any record of a published recommendation (RFC 9106, section 4,
    /// the second; OWASP's equivalents). It is taken only when such a record comes.
    pub const LEAST_DEFAULT_KIB: u32 = 65_536;
    /// Most workers.
    pub const MAX_WORKERS: usize = 64;
    /// Longest queue.
    pub const MAX_QUEUE: usize = 65_536;

    /// How many hashes run at once, 1 to 64.
    #[must_use]
    pub const fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Memory for all hashes together, in KiB; at least what one hash under the policy takes.
    ///
    /// A record that takes more never matches: after a policy that took more, keep its budget.
    #[must_use]
    pub const fn budget_kib(mut self, kib: u32) -> Self {
        self.budget_kib = Some(kib);
        self
    }

    /// How many may wait, 1 to 65 536.
    #[must_use]
    pub const fn queue(mut self, length: usize) -> Self {
        self.queue = length;
        self
    }

    /// How long one may wait for its turn.
    #[must_use]
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }
}

/// What a pool has done, and is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Argon2 runs since the pool was made, those for accounts that do not exist included.
    pub runs: u64,
    /// 1 KiB blocks computed in them: memory times passes, summed.
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
/// Memory, queue and waiting time are bounded; what does not fit is answered at once, unhashed.
/// Running work keeps its memory to its end, whether or not anybody still waits for it. Dropping
/// the pool answers what is queued with [`NotVerifiedReason::Stopped`] and waits for what runs.
///
/// Memory is kept between hashes, wiped when the pool has been idle for 100 ms, and before it goes
/// back to the allocator.
pub struct HashPool {
    queue: Arc<Queue>,
    policy: HashPolicy,
    budget_kib: u32,
    clock: Arc<dyn Clock>,
    threads: Vec<JoinHandle<()>>,
}

impl HashPool {
    /// Most blocks that a stored record may cost, memory times passes: 1 GiB in one pass or 64 MiB
    /// in 16. Costlier records are refused like malformed ones.
    pub const MAX_BLOCKS: u64 = 1 << 20;

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
        Self::start(config, clock, entropy, None)
    }

    /// As [`new`](Self::new), and a wrong password is recognised by every pool with the same key:
    /// on other nodes, and after a restart.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn keyed(
        config: PoolConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        key: MacKey,
    ) -> Result<Self, PasswordError> {
        Self::start(config, clock, entropy, Some(key))
    }

    fn start(
        config: PoolConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        key: Option<MacKey>,
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
        let bench = Arc::new(Bench::new(policy, Arc::clone(&clock), entropy, key)?);
        let queue = Arc::new(Queue::new(Config { length: queue, budget_kib, max_wait }, bench));
        // Dropping it stops the workers that were started, should a later one fail to.
        let mut pool = Self { queue, policy, budget_kib, clock, threads: Vec::new() };
        for number in 0..workers {
            let queue = Arc::clone(&pool.queue);
            let name = format!("password-hash-{number}");
            let thread = std::thread::Builder::new().name(name).spawn(move || queue.work());
            pool.threads.push(thread.map_err(|_| PasswordError::Threads)?);
        }
        Ok(pool)
    }

    /// Whether `password` is the one whose record is `stored`, of the account of `binding`. Takes
    /// the attempt's charge, and gives it back in the outcome.
    ///
    /// An absent or unusable record costs what a record under the policy costs, and never matches.
    pub fn verify(
        &self,
        charged: Charged,
        password: &Password,
        stored: impl Into<Stored>,
        binding: Binding,
    ) -> Hashing<Verified> {
        let record = match stored.into() {
            Stored::Record(record) if self.can_afford(record.params) => Some(record),
            Stored::Record(_) | Stored::Absent | Stored::Unusable(_) => None,
        };
        let (answer, hashing) = self.queue.ticket();
        let password = password.share();
        let job = VerifyJob { charged, password, record, binding, answer };
        self.queue.push(Job::Verify(job), self.clock.now());
        hashing
    }

    /// A record of a password that its owner chose.
    ///
    /// The answer is an error, [`PasswordError::NotHashed`] or [`PasswordError::NoEntropy`], when
    /// nothing was hashed.
    pub fn hash(
        &self,
        accepted: Accepted,
        owner: OwnerPresent,
        binding: Binding,
    ) -> Hashing<Result<NewRecord, PasswordError>> {
        self.enrol(accepted.0, Some(owner), binding)
    }

    /// A record of a default or initial password, or of one that somebody else chose: good for
    /// nothing but changing it.
    ///
    /// The answer is an error as for [`hash`](Self::hash).
    pub fn hash_initial(
        &self,
        password: &Password,
        binding: Binding,
    ) -> Hashing<Result<NewRecord, PasswordError>> {
        self.enrol(password.share(), None, binding)
    }

    fn enrol(
        &self,
        password: Password,
        owner: Option<OwnerPresent>,
        binding: Binding,
    ) -> Hashing<Result<NewRecord, PasswordError>> {
        let (answer, hashing) = self.queue.ticket();
        let job = HashJob { password, owner, binding, answer };
        self.queue.push(Job::Hash(job), self.clock.now());
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

    /// Decided before anything is allocated.
    fn can_afford(&self, params: Params) -> bool {
        params.memory_kib() <= self.budget_kib && params.blocks() <= Self::MAX_BLOCKS
    }
}

pub(crate) fn not_verified(charged: Charged, reason: NotVerifiedReason) -> Verified {
    #[expect(clippy::disallowed_methods, reason = "the verifier mints it: nothing was hashed")]
    let outcome = NotVerified::assertion(charged);
    Verified::NotVerified(outcome, reason)
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.queue.stop();
        let here = std::thread::current().id();
        for worker in self.threads.drain(..) {
            // A waker may drop the pool on one of its own workers, which then ends by itself.
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
