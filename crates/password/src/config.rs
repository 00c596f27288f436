//! What a pool is given: how much it may use, and its keys.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vouchsafe_crypto::MacKey;

use crate::history::HistoryKey;
use crate::{HashPolicy, Peppers};

/// How much a [`HashPool`](crate::HashPool) may use.
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    pub(crate) policy: HashPolicy,
    pub(crate) workers: usize,
    pub(crate) budget_kib: Option<u32>,
    pub(crate) queue: usize,
    pub(crate) max_wait: Duration,
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
    /// in KiB: 100 MiB, which runs what Django makes with Argon2, passlib's scrypt, and Argon2 as it is
    /// recommended (RFC 9106, section 4, the second; OWASP's equivalents). It is taken only when such a
    /// record comes.
    ///
    /// OWASP's first choice of scrypt (N = 2^17, r = 8, p = 1) takes 128 MiB and does not run in it: where
    /// such records are, set `budget_kib(131_072)` or more, as they never match otherwise.
    pub const LEAST_DEFAULT_KIB: u32 = 102_400;
    /// Most workers.
    pub const MAX_WORKERS: usize = 64;
    /// Longest queue.
    pub const MAX_QUEUE: usize = 65_536;

    /// Hashes as its own policy says where that is no weaker than `policy`, and as both say together
    /// where it is.
    #[must_use]
    pub fn no_weaker_than(mut self, policy: HashPolicy) -> Self {
        if !self.policy.params().is_no_weaker_than(policy.params()) {
            self.policy = self.policy.join(policy);
        }
        self
    }

    /// How many hashes run at once, 1 to 64.
    #[must_use]
    pub const fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Memory for all hashes together, in KiB; at least what one hash under the policy takes.
    ///
    /// A record that takes more never matches, and what is remembered at a higher cost bars a new
    /// password: after a policy that took more, keep its budget.
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

/// The keys that a [`HashPool`](crate::HashPool) is given; it does without any.
#[derive(Default)]
#[must_use]
pub struct PoolKeys {
    pub(crate) wrong: Option<MacKey>,
    pub(crate) history: Option<HistoryKey>,
    pub(crate) peppers: Option<Arc<Peppers>>,
}

impl PoolKeys {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// A wrong password is recognised by every pool with the same key: on other nodes, and after a
    /// restart.
    pub fn recognise_with(mut self, key: MacKey) -> Self {
        self.wrong = Some(key);
        self
    }

    /// What is remembered of passwords ([`HashPool::replace`](crate::HashPool::replace)) is keyed with it:
    /// whoever has the table and not the key can try no guess against them. What was remembered under no
    /// key is keyed at the next new password.
    ///
    /// It must stay the same, and so must every pool's over the same records: what is remembered under
    /// another key bars a new password
    /// ([`PasswordError::PreviousKey`](crate::PasswordError::PreviousKey)).
    pub fn remember_with(mut self, key: MacKey) -> Self {
        self.history = Some(HistoryKey::new(key));
        self
    }

    /// New records are sealed with the current pepper, and older ones when they are next used.
    pub fn peppers(mut self, peppers: Arc<Peppers>) -> Self {
        self.peppers = Some(peppers);
        self
    }
}

impl fmt::Debug for PoolKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wrong, history) = (self.wrong.is_some(), self.history.is_some());
        write!(f, "PoolKeys(recognise: {wrong}, remember: {history}, {:?})", self.peppers)
    }
}
