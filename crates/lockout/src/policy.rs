//! How many failures, in how long, and what then.

use std::time::Duration;

use crate::{Consecutive, Devices, LockoutError, MayRollBack, Outage};

/// Which failure locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LockOn {
    /// The Nth failure locks; the next attempt is refused unverified. "After five failed attempts"
    /// reads so.
    #[default]
    Nth,
    /// The failure after the Nth locks: "when five failed attempts are exceeded".
    Exceeding,
}

/// When a lock ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Release {
    /// As soon as fewer than N failures are in the window.
    #[default]
    WindowSlides,
    /// As `WindowSlides`, and not before this long after the attempt that filled the limit. Whoever
    /// wants a fresh start after 30 minutes chooses a window of 30 minutes: a lock shorter than the
    /// window would let more than N failures into it.
    After(Duration),
    /// Never: an administrator unlocks. So the store keeps a cell for every name that was locked, for
    /// ever, and for those that somebody made up, too: nobody unlocks them, and what an unknown name is
    /// told has to be what a known one is.
    Admin,
}

/// What a correct attempt takes back, beside its own charge; least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OnSuccess {
    /// Nothing: a stranger's failures are still there after the owner has signed in, so that the
    /// owner's daily sign-in hands nobody fresh guesses.
    OwnCharge,
    /// Older failures of the same known device, whose user has just shown who they are. From a
    /// stranger's browser, nothing. Whoever has a copy of its cookie gets fresh guesses with each of
    /// the owner's sign-ins: see [`LockoutPolicy::guess_budget_beside_owner`].
    #[default]
    SameDevice,
    /// The account's older failures too. Each sign-in of the owner then gives a stranger new
    /// guesses; attempts that are not settled yet stay counted.
    OlderFailures,
}

/// At most so many failures in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    failures: u32,
    window: Duration,
    lock_on: LockOn,
    release: Release,
}

impl Limit {
    /// `failures` in `window` lock, until the window has slid. [`PolicyBuilder::build`] checks the
    /// numbers.
    #[must_use]
    pub const fn new(failures: u32, window: Duration) -> Self {
        Self { failures, window, lock_on: LockOn::Nth, release: Release::WindowSlides }
    }

    /// The same limit with this reading of the number.
    #[must_use]
    pub const fn with_lock_on(self, lock_on: LockOn) -> Self {
        Self { lock_on, ..self }
    }

    /// The same limit with this release.
    #[must_use]
    pub const fn with_release(self, release: Release) -> Self {
        Self { release, ..self }
    }

    /// The number as written.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// The window: half-open, a failure exactly this old no longer counts.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// Which failure locks.
    #[must_use]
    pub const fn lock_on(&self) -> LockOn {
        self.lock_on
    }

    /// When the lock ends by itself.
    #[must_use]
    pub const fn release(&self) -> Release {
        self.release
    }

    /// How many charges one window holds: N, or N + 1 where exceeding N locks.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        match self.lock_on {
            LockOn::Nth => self.failures,
            LockOn::Exceeding => self.failures.saturating_add(1),
        }
    }

    fn problems(&self, limit: usize, found: &mut Vec<LockoutError>) {
        let max = LockoutPolicy::MAX_FAILURES;
        if self.failures == 0 {
            found.push(LockoutError::NoFailures { limit });
        }
        if self.failures > max {
            found.push(LockoutError::TooManyFailures { limit, found: self.failures, max });
        }
        let (min, max) = (LockoutPolicy::MIN_WINDOW, LockoutPolicy::MAX_WINDOW);
        if self.window < min || self.window > max {
            found.push(LockoutError::Window { limit, min, max });
        }
        if let Release::After(hold) = self.release
            && (hold < min || hold > max)
        {
            found.push(LockoutError::Release { limit, min, max });
        }
    }
}

/// How long, and in what company, an attempt waits while others hold all the charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wait {
    /// How long one attempt waits at most.
    pub time: Duration,
    /// How many attempts wait for one account at most.
    pub per_key: u32,
    /// How many attempts wait in the process at most.
    pub per_process: u32,
}

impl Default for Wait {
    /// 5 s: longer than N verifications take. 256 for one account and 4 096 in all: bounds memory,
    /// and is far above what one person's programs do at once.
    fn default() -> Self {
        Self { time: Duration::from_secs(5), per_key: 256, per_process: 4_096 }
    }
}

/// A valid lockout policy: all of its limits hold together.
///
/// Limits that the others imply are dropped, so that two policies that refuse the same attempts
/// are equal in [`limits`](Self::limits).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockoutPolicy {
    pub(crate) limits: Vec<Limit>,
    pub(crate) settle_within: Duration,
    pub(crate) wait: Wait,
    pub(crate) on_success: OnSuccess,
    pub(crate) devices: Option<Devices>,
    pub(crate) consecutive: Option<Consecutive>,
    pub(crate) repeats: u32,
    pub(crate) when_store_is_down: Outage,
    pub(crate) may_roll_back: MayRollBack,
}

impl LockoutPolicy {
    /// A document lists at most so many limits. A [`join`](Self::join) may hold more: never two
    /// with the same capacity and release, so it stays bounded.
    pub const MAX_LIMITS: usize = 4;
    /// Largest number of failures of a limit: the log of one account stays below 1.2 KB.
    pub const MAX_FAILURES: u32 = 64;
    /// Shortest window, and shortest timed lock.
    pub const MIN_WINDOW: Duration = Duration::from_secs(1);
    /// Longest window, and longest timed lock: 366 days.
    pub const MAX_WINDOW: Duration = Duration::from_secs(366 * 24 * 3_600);
    /// Shortest time to settle: below it an ordinary verification under load would count as failed.
    pub const MIN_SETTLE_WITHIN: Duration = Duration::from_secs(1);
    /// Longest time to settle: for as long a crashed attempt makes others wait.
    pub const MAX_SETTLE_WITHIN: Duration = Duration::from_secs(300);
    /// Most repeats that are forgiven in any 24 hours: a client that polls with an old password once
    /// in 72 minutes is let by, and hashing for nothing stays bounded.
    pub const MAX_REPEATS: u32 = 20;
    /// Longest wait.
    pub const MAX_WAIT: Duration = Duration::from_secs(60);
    /// Most waiting attempts in a process.
    pub const MAX_WAITING: u32 = 65_536;

    /// A policy to be filled in.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder {
            limits: Vec::new(),
            settle_within: Duration::from_secs(10),
            wait: Wait::default(),
            on_success: OnSuccess::default(),
            devices: None,
            consecutive: None,
            repeats: 0,
            when_store_is_down: Outage::default(),
            may_roll_back: MayRollBack::default(),
        }
    }

    /// The limits, shortest window first; none is implied by the others.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// For how long a charge may stay unsettled before it counts as failed; no verification
    /// starts later than that after its charge. Never longer than the longest window: what a store
    /// may forget, nobody begins to verify.
    #[must_use]
    pub const fn settle_within(&self) -> Duration {
        self.settle_within
    }

    /// The bounds on waiting.
    #[must_use]
    pub const fn wait(&self) -> Wait {
        self.wait
    }

    /// What a correct attempt takes back.
    #[must_use]
    pub const fn on_success(&self) -> OnSuccess {
        self.on_success
    }

    /// The device counters; `None`: all devices together are one counter.
    #[must_use]
    pub const fn devices(&self) -> Option<Devices> {
        self.devices
    }

    /// The bound on failures without a success between them, if there is one. Without device
    /// counters its two numbers are equal.
    #[must_use]
    pub const fn consecutive(&self) -> Option<Consecutive> {
        self.consecutive
    }

    /// How many repeats of one of the last three wrong secrets are forgiven in any 24 hours.
    #[must_use]
    pub const fn repeats(&self) -> u32 {
        self.repeats
    }

    /// What happens to attempts while the store of the failures does not answer. It is the host's to
    /// carry out: an engine without its state is not asked.
    #[must_use]
    pub const fn when_store_is_down(&self) -> Outage {
        self.when_store_is_down
    }

    /// What the store may forget of what it acknowledged. It is the host's to see to, before it
    /// opens.
    #[must_use]
    pub const fn may_roll_back(&self) -> MayRollBack {
        self.may_roll_back
    }

    pub(crate) fn longest_window(&self) -> Duration {
        self.limits.iter().map(Limit::window).max().unwrap_or_default()
    }
}

/// Collects a [`LockoutPolicy`].
#[must_use = "`build` makes the policy"]
#[derive(Clone, Debug)]
pub struct PolicyBuilder {
    limits: Vec<Limit>,
    settle_within: Duration,
    wait: Wait,
    on_success: OnSuccess,
    devices: Option<Devices>,
    consecutive: Option<Consecutive>,
    repeats: u32,
    when_store_is_down: Outage,
    may_roll_back: MayRollBack,
}

impl PolicyBuilder {
    /// Adds a limit, which holds together with the others.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// Default 10 s: many times what one Argon2id verification takes. A policy of shorter windows
    /// only has to say less.
    pub fn settle_within(mut self, within: Duration) -> Self {
        self.settle_within = within;
        self
    }

    /// Default [`Wait::default`].
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// Default [`OnSuccess::SameDevice`].
    pub fn on_success(mut self, on_success: OnSuccess) -> Self {
        self.on_success = on_success;
        self
    }

    /// Default `None`: "five failures" is read as five on the account, whatever they come from.
    pub fn devices(mut self, devices: impl Into<Option<Devices>>) -> Self {
        self.devices = devices.into();
        self
    }

    /// Default `None`: a source that says nothing of it promises nothing of it.
    pub fn consecutive(mut self, consecutive: impl Into<Option<Consecutive>>) -> Self {
        self.consecutive = consecutive.into();
        self
    }

    /// Default 0: whoever counts failed attempts counts those, too.
    pub fn repeats(mut self, repeats: u32) -> Self {
        self.repeats = repeats;
        self
    }

    /// Default [`Outage::Refuse`]: without a count nobody guesses.
    pub fn when_store_is_down(mut self, outage: Outage) -> Self {
        self.when_store_is_down = outage;
        self
    }

    /// Default [`MayRollBack::Nothing`]: what was counted stays counted.
    pub fn may_roll_back(mut self, what: MayRollBack) -> Self {
        self.may_roll_back = what;
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn build(self) -> Result<LockoutPolicy, Vec<LockoutError>> {
        let mut found = Vec::new();
        if self.limits.is_empty() {
            found.push(LockoutError::NoLimit);
        }
        if self.limits.len() > LockoutPolicy::MAX_LIMITS {
            let max = LockoutPolicy::MAX_LIMITS;
            found.push(LockoutError::TooManyLimits { found: self.limits.len(), max });
        }
        for (index, limit) in self.limits.iter().enumerate() {
            limit.problems(index, &mut found);
        }
        let (min, max) = (LockoutPolicy::MIN_SETTLE_WITHIN, LockoutPolicy::MAX_SETTLE_WITHIN);
        if self.settle_within < min || self.settle_within > max {
            found.push(LockoutError::SettleWithin { min, max });
        }
        if self.wait.time > LockoutPolicy::MAX_WAIT {
            found.push(LockoutError::WaitTime { max: LockoutPolicy::MAX_WAIT });
        }
        let max = LockoutPolicy::MAX_WAITING;
        if self.wait.per_process > max || self.wait.per_key > self.wait.per_process {
            found.push(LockoutError::WaitCount { max });
        }
        if let Some(devices) = self.devices {
            devices.problems(&mut found);
        }
        if let Some(consecutive) = self.consecutive {
            consecutive.problems(&mut found);
        }
        if self.repeats > LockoutPolicy::MAX_REPEATS {
            found.push(LockoutError::Repeats { max: LockoutPolicy::MAX_REPEATS });
        }
        self.when_store_is_down.problems(&mut found);
        let limits = crate::curve::normalised(self.limits);
        let longest = limits.iter().map(Limit::window).max().unwrap_or_default();
        if found.is_empty() && self.settle_within > longest {
            found.push(LockoutError::SettleBeyondWindow { longest });
        }
        if !found.is_empty() {
            return Err(found);
        }
        let without_devices = |rule: Consecutive| match self.devices {
            Some(_) => rule,
            None => Consecutive { devices_only_from: rule.disable_at, ..rule },
        };
        Ok(LockoutPolicy {
            limits,
            settle_within: self.settle_within,
            wait: self.wait,
            on_success: self.on_success,
            devices: self.devices,
            consecutive: self.consecutive.map(without_devices),
            repeats: self.repeats,
            when_store_is_down: self.when_store_is_down,
            may_roll_back: self.may_roll_back,
        })
    }
}
