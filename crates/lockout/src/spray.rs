//! Is somebody trying a few passwords on many accounts?

use std::collections::BTreeMap;
use std::time::Duration;

use vouchsafe_core::{AccountDigest, Timestamp};

use crate::LockoutError;

/// A window is looked at in so many steps.
const STEPS: usize = 6;
/// An account's failure is its first when the one before is so many windows ago.
const MEMORY: i64 = 60;
/// How many times the usual is unusual.
const FACTOR: u64 = 4;
/// The usual is a mean over about so many windows: a day of minutes.
const USUAL: u64 = 1_440;
/// Fixed point of the usual.
const ONE: u64 = 1 << 16;
/// A clock that is further back than this was wrong before: everything starts anew.
const AHEAD: Duration = Duration::from_secs(600);

/// When many accounts fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SprayPolicy {
    window: Duration,
    floor: u32,
    max_accounts: u32,
}

impl SprayPolicy {
    /// Shortest window: its sixth is still a second.
    pub const MIN_WINDOW: Duration = Duration::from_secs(6);
    /// Longest window: a day.
    pub const MAX_WINDOW: Duration = Duration::from_secs(86_400);
    /// Most accounts to keep apart: about 64 MiB.
    pub const MAX_ACCOUNTS: u32 = 1 << 20;

    /// Alarms at `floor` accounts in a `window` where nothing else goes on, and keeps at most
    /// `max_accounts` apart.
    ///
    /// # Errors
    /// [`LockoutError::Spray`] when a number is out of bounds: a floor of at least 2, and more
    /// accounts than the floor.
    pub fn new(window: Duration, floor: u32, max_accounts: u32) -> Result<Self, LockoutError> {
        let (min, max) = (Self::MIN_WINDOW, Self::MAX_WINDOW);
        let accounts = floor >= 2 && max_accounts > floor && max_accounts <= Self::MAX_ACCOUNTS;
        if window < min || window > max || !accounts {
            return Err(LockoutError::Spray { min, max, max_accounts: Self::MAX_ACCOUNTS });
        }
        Ok(Self { window, floor, max_accounts })
    }

    /// How long one look is.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// The fewest accounts that raise an alarm.
    #[must_use]
    pub const fn floor(&self) -> u32 {
        self.floor
    }

    /// How many accounts are kept apart.
    #[must_use]
    pub const fn max_accounts(&self) -> u32 {
        self.max_accounts
    }
}

impl Default for SprayPolicy {
    /// 40 accounts in a minute: ten times what 10 000 honest users leave behind in the worst minute
    /// of an ordinary week, and more than they do when every password expires on one morning and
    /// 2 000 programs go on with the old one (measured with the example `siege`). A guess on each of
    /// 10 000 accounts within four hours is above it. 65 536 accounts, about 4 MiB.
    fn default() -> Self {
        Self { window: Duration::from_secs(60), floor: 40, max_accounts: 65_536 }
    }
}

/// What was seen of an attempt that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A wrong password for an account.
    Failed,
    /// A password for a name that nobody has.
    Unknown,
    /// The right password.
    SignedIn,
}

/// Somebody is trying a few passwords on many accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SprayAlarm {
    /// Which alarm: the same for as long as it goes on, and never another one of this detector's.
    pub id: u64,
    /// When it was raised.
    pub since: Timestamp,
    /// How many accounts and unknown names had failed for the first time in the window then.
    pub accounts: u32,
    /// How many of them were unknown names.
    pub unknown: u32,
    /// How many would not have raised it.
    pub expected: u32,
}

/// Watches one tenant's attempts for a spray: few guesses on each of many accounts, from however
/// many addresses, which neither an account's count nor an address's throttle sees.
///
/// An account is **new** in the window when its first failure in 60 windows falls into it and it has
/// not been signed in to since. Owners who mistype sign in right after; a program that goes on with
/// an old password is new once. The alarm is raised when
///
/// ```text
/// new ≥ floor + 4 × usual + signed_in / 2
/// ```
///
/// `usual` is the mean of `new` over a day (with minutes as windows), standing still during an
/// alarm, and `signed_in` is how many accounts were signed in to in the window: more failures are
/// to be expected when more people come. So a stranger who wants to hide 100 accounts in a window
/// needs 200 of their own to sign in to meanwhile, or days of patience to become usual; and slower
/// than `floor` accounts in a window nobody is seen, for which a second detector with a longer
/// window is the answer.
///
/// An alarm goes on until `new` has been below half its threshold for 60 windows, so that there is
/// at most one in so long. The memory is bounded: beyond `max_accounts` each failure counts as an
/// account of its own, and nobody's sign-in counts, which only raises alarms earlier. Of an account,
/// half of its keyed digest is kept, for 60 windows at most. What it knows is this process's and
/// starts afresh with it.
pub struct SprayDetector {
    policy: SprayPolicy,
    accounts: BTreeMap<u64, Account>,
    steps: [Step; STEPS],
    /// Which step it is, counted from the epoch.
    step: i64,
    seen: Timestamp,
    usual: u64,
    alarm: Option<(SprayAlarm, Timestamp)>,
}

impl std::fmt::Debug for SprayDetector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SprayDetector({} accounts, {:?})", self.len(), self.alarm)
    }
}

/// What is kept of one account: when, in steps.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    failed: Option<i64>,
    /// Counted in the step it failed in, and not signed in to since.
    new: Option<Seen>,
    signed_in: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    failed: u32,
    unknown: u32,
    signed_in: u32,
}

impl SprayDetector {
    /// A detector that has seen nothing.
    #[must_use]
    pub fn new(policy: SprayPolicy) -> Self {
        Self {
            policy,
            accounts: BTreeMap::new(),
            steps: [Step::default(); STEPS],
            step: i64::MIN,
            seen: Timestamp::MIN,
            usual: 0,
            alarm: None,
        }
    }

    /// Takes note of an attempt that was verified, and gives the alarm that it raises, if it does:
    /// once for each alarm.
    pub fn observe(
        &mut self,
        now: Timestamp,
        account: AccountDigest,
        seen: Seen,
    ) -> Option<SprayAlarm> {
        self.roll(now);
        let [a, b, c, d, e, f, g, h, ..] = *account.as_bytes();
        self.note(u64::from_le_bytes([a, b, c, d, e, f, g, h]), seen);
        self.judge()
    }

    /// The alarm in force at `now`.
    pub fn alarm(&mut self, now: Timestamp) -> Option<SprayAlarm> {
        self.roll(now);
        self.alarm.map(|(alarm, _)| alarm)
    }

    /// How many accounts it keeps apart now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether it keeps none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// How many accounts are new in the window, unknown names among them, and how many would be too
    /// many: for a chart.
    #[must_use]
    pub fn level(&self) -> (u32, u32) {
        let sum = self.sum();
        (sum.failed.saturating_add(sum.unknown), self.threshold(sum))
    }

    fn note(&mut self, key: u64, seen: Seen) {
        let step = self.step;
        let room = self.accounts.len() < self.policy.max_accounts as usize;
        if !room && !self.accounts.contains_key(&key) {
            self.count(step, seen, seen != Seen::SignedIn);
            return;
        }
        let account = self.accounts.entry(key).or_default();
        if seen == Seen::SignedIn {
            let resolved = account.new.take().zip(account.failed);
            // One that has left the window was let go of.
            let again = account.signed_in.is_some();
            account.signed_in.get_or_insert(step);
            if let Some((was, failed)) = resolved {
                self.uncount(failed, was);
            }
            self.count(step, seen, !again);
        } else if account.failed.is_none() {
            (account.failed, account.new) = (Some(step), Some(seen));
            self.count(step, seen, true);
        }
    }

    fn count(&mut self, step: i64, seen: Seen, counts: bool) {
        let slot = slot(step).and_then(|slot| self.steps.get_mut(slot)).filter(|_| counts);
        if let Some(slot) = slot {
            let number = slot.of(seen);
            *number = number.saturating_add(1);
        }
    }

    /// Takes one back that was counted in `step`, unless that is out of the window.
    fn uncount(&mut self, step: i64, seen: Seen) {
        if step > self.step.saturating_sub(STEPS as i64)
            && let Some(slot) = slot(step).and_then(|slot| self.steps.get_mut(slot))
        {
            let number = slot.of(seen);
            *number = number.saturating_sub(1);
        }
    }

    fn sum(&self) -> Step {
        self.steps.iter().fold(Step::default(), |sum, step| Step {
            failed: sum.failed.saturating_add(step.failed),
            unknown: sum.unknown.saturating_add(step.unknown),
            signed_in: sum.signed_in.saturating_add(step.signed_in),
        })
    }

    fn threshold(&self, sum: Step) -> u32 {
        let usual = self.usual.saturating_mul(FACTOR).checked_div(ONE).unwrap_or(0);
        let usual = u32::try_from(usual).unwrap_or(u32::MAX);
        self.policy.floor.saturating_add(usual).saturating_add(sum.signed_in >> 1)
    }

    fn judge(&mut self) -> Option<SprayAlarm> {
        let (sum, now) = (self.sum(), self.seen);
        let (new, threshold) = (sum.failed.saturating_add(sum.unknown), self.threshold(sum));
        if let Some((_, last)) = &mut self.alarm {
            if new >= threshold >> 1 {
                *last = now;
            }
            return None;
        }
        if new < threshold {
            return None;
        }
        let alarm = SprayAlarm {
            // Never another's: the next one is at least 60 windows later.
            id: now.micros().unsigned_abs(),
            since: now,
            accounts: new,
            unknown: sum.unknown,
            expected: threshold.saturating_sub(1),
        };
        self.alarm = Some((alarm, now));
        Some(alarm)
    }

    /// Lets go of what has left the window.
    fn roll(&mut self, now: Timestamp) {
        if self.seen > now.after(AHEAD) {
            *self = Self::new(self.policy);
        }
        self.seen = self.seen.max(now);
        let length = self.policy.window.as_micros().checked_div(STEPS as u128).unwrap_or(1);
        let step = i64::try_from(length).ok();
        let step = step.and_then(|length| self.seen.micros().checked_div_euclid(length));
        let Some(step) = step.filter(|step| *step > self.step) else { return };
        let passed = step.saturating_sub(self.step);
        let window = STEPS as i64;
        for later in 1..=passed.min(window) {
            self.learn(1);
            let number = slot(self.step.saturating_add(later));
            if let Some(slot) = number.and_then(|number| self.steps.get_mut(number)) {
                *slot = Step::default();
            }
        }
        self.learn(u64::try_from(passed.saturating_sub(window)).unwrap_or(0));
        self.step = step;
        let quiet = |last: Timestamp| last.after(self.policy.window.saturating_mul(60));
        if self.alarm.is_some_and(|(_, last)| quiet(last) <= self.seen) {
            self.alarm = None;
        }
        let (recent, known) =
            (step.saturating_sub(window), step.saturating_sub(window.saturating_mul(MEMORY)));
        self.accounts.retain(|_, account| {
            account.failed = account.failed.filter(|at| *at > known);
            account.signed_in = account.signed_in.filter(|at| *at > recent);
            account.failed.is_some() || account.signed_in.is_some()
        });
    }

    /// So many steps end with what is in the window now.
    fn learn(&mut self, steps: u64) {
        if self.alarm.is_some() {
            return;
        }
        let sum = self.sum();
        let new = u64::from(sum.failed.saturating_add(sum.unknown)).saturating_mul(ONE);
        let all = USUAL.saturating_mul(STEPS as u64);
        let share = |of: u64| of.saturating_mul(steps.min(all)).checked_div(all).unwrap_or(0);
        self.usual = self.usual.saturating_sub(share(self.usual)).saturating_add(share(new));
    }
}

impl Step {
    fn of(&mut self, seen: Seen) -> &mut u32 {
        match seen {
            Seen::Failed => &mut self.failed,
            Seen::Unknown => &mut self.unknown,
            Seen::SignedIn => &mut self.signed_in,
        }
    }
}

fn slot(step: i64) -> Option<usize> {
    usize::try_from(step.checked_rem_euclid(STEPS as i64)?).ok()
}
