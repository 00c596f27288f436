//! What a hash may cost on this machine.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use vouchsafe_core::Clock;

use crate::hash::{self, Memory, Variant};
use crate::params::EQUIVALENTS;
use crate::{HashPolicy, NotVerifiedReason, Params, PasswordError, Record, params};

/// The memories that are tried, in MiB, beside the budget itself: powers of two, what lies half-way
/// between them, and those of the floor.
const RUNGS: [u32; 16] = [1_024, 768, 512, 384, 256, 192, 128, 96, 64, 48, 46, 32, 24, 19, 16, 12];
/// Runs for one figure, which is their median.
const RUNS: usize = 3;
/// Where beating the best so far would take this many times as long as wished, smaller memories are
/// not tried: they would have to do more work still.
const HOPELESS: u32 = 4;

/// Whether the parameters that were found take no longer than was wished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// They do not.
    WithinWish,
    /// They do: even the cheapest of the floor takes longer on this machine, and it is what was
    /// chosen, as nothing below it is.
    FloorTakesLonger,
}

/// One combination that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trial {
    /// Memory and passes.
    pub params: Params,
    /// How long one hash took.
    pub took: Duration,
}

/// What [`calibrate`] found. `Display` is a small table of all that was tried.
#[derive(Clone, Debug)]
pub struct Calibration {
    wish: Duration,
    policy: HashPolicy,
    fit: Fit,
    trials: Vec<Trial>,
}

impl Calibration {
    /// What was chosen; at or above the floor of [`HashPolicy::argon2id`].
    #[must_use]
    pub const fn policy(&self) -> HashPolicy {
        self.policy
    }

    /// Whether it takes no longer than was wished.
    #[must_use]
    pub const fn fit(&self) -> Fit {
        self.fit
    }

    /// How long one hash under it took.
    #[must_use]
    pub fn took(&self) -> Duration {
        let chosen = self.trials.iter().find(|trial| trial.params == self.policy.params());
        chosen.map_or(Duration::ZERO, |trial| trial.took)
    }

    /// All that was measured, by memory, the most first, and by passes.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }
}

/// Finds Argon2id's parameters for hashes that take up to `wish` each on this machine, in up to
/// `budget_kib` KiB of memory.
///
/// Of the combinations that fit it takes the one that costs an attacker most in hardware times
/// time, which is memory squared times passes, and never one below the floor. Memories of whole MiB
/// are tried. It hashes some dozens of times on this thread, in up to `budget_kib` of memory. What it
/// measures is one hash alone, on memory that is there already: as many at once as there are workers
/// share the machine's memory bandwidth and take longer each.
///
/// # Errors
/// [`PasswordError::Budget`] when the floor does not fit into the budget;
/// [`PasswordError::NotHashed`] when the allocator has no such memory.
pub fn calibrate(
    wish: Duration,
    budget_kib: u32,
    clock: &dyn Clock,
) -> Result<Calibration, PasswordError> {
    let not_run = PasswordError::NotHashed(NotVerifiedReason::Failed);
    let mut kept: Option<Memory> = None;
    calibrate_with(wish, budget_kib, |params| {
        let memory = match kept.take() {
            Some(memory) if memory.kib() == params.memory_kib() => memory,
            other => {
                drop(other);
                Memory::new(params.memory_kib()).ok_or_else(|| not_run.clone())?
            }
        };
        let memory = kept.insert(memory);
        let mut runs = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            let before = Moment::of(clock);
            let (salt, mut out) = ([7; Record::SALT], [0; Record::HASH]);
            hash::argon2(Variant::NEW, params, &salt, None, b"calibration", memory, &mut out)
                .map_err(|_| not_run.clone())?;
            let took = Moment::of(clock).since(&before);
            runs.push(took);
            // Nobody needs to know more exactly how much too long it is.
            if took > wish.saturating_mul(2) {
                break;
            }
        }
        runs.sort_unstable();
        Ok(runs.get(runs.len() / 2).copied().unwrap_or_default())
    })
}

/// As [`calibrate`], with another way of measuring: on another machine, say. `measure` gives the
/// time of one hash; more memory and more passes never take less.
///
/// # Errors
/// [`PasswordError::Budget`] when the floor does not fit into the budget, and those of `measure`.
pub fn calibrate_with(
    wish: Duration,
    budget_kib: u32,
    measure: impl FnMut(Params) -> Result<Duration, PasswordError>,
) -> Result<Calibration, PasswordError> {
    let mut search = Search { wish, measure, took: BTreeMap::new() };
    let budget = budget_kib.min(Params::MAX_MEMORY_KIB) / 1_024;
    let mut best: Option<Params> = None;
    let smaller = RUNGS.into_iter().filter(|mib| *mib < budget);
    for mib in std::iter::once(budget).chain(smaller) {
        let memory = mib.saturating_mul(1_024);
        let Some(range) = passes(memory, best) else { continue };
        if let Some(passes) = search.most_passes(memory, range)? {
            best = Params::new(memory, passes, 1);
        } else if best.is_some() && search.took(memory, range.0)? > wish.saturating_mul(HOPELESS) {
            break;
        }
    }
    let (chosen, fit) = match best {
        Some(params) => (params, Fit::WithinWish),
        None => (search.cheapest_of_the_floor(budget_kib)?, Fit::FloorTakesLonger),
    };
    let policy = HashPolicy::argon2id(chosen.memory_kib(), chosen.passes())?;
    let trial = |((memory, passes), took): (&(u32, u32), &Duration)| {
        Some(Trial { params: Params::new(*memory, *passes, 1)?, took: *took })
    };
    let mut trials: Vec<Trial> = search.took.iter().filter_map(trial).collect();
    trials
        .sort_by_key(|trial| (u32::MAX.abs_diff(trial.params.memory_kib()), trial.params.passes()));
    Ok(Calibration { wish, policy, fit, trials })
}

/// Attacker's hardware times time, in a unit of its own.
fn worth(memory: u32, passes: u32) -> u64 {
    u64::from(memory).saturating_mul(memory.into()).saturating_mul(passes.into())
}

/// From how many passes on this memory is at the floor and worth more than the best so far, and the
/// most that a pool takes. `None` for no such number.
fn passes(memory: u32, best: Option<Params>) -> Option<(u32, u32)> {
    let floor = EQUIVALENTS.iter().filter(|floor| memory >= floor.memory_kib());
    let floor = floor.map(|floor| floor.passes()).min()?;
    let best = best.map_or(0, |best| worth(best.memory_kib(), best.passes()));
    let better = best.checked_div(worth(memory, 1))?.saturating_add(1);
    let least = floor.max(u32::try_from(better).ok()?);
    let most = params::MAX_BLOCKS.checked_div(memory.into())?;
    let most = u32::try_from(most).unwrap_or(u32::MAX).min(Params::MAX_PASSES);
    (least <= most).then_some((least, most))
}

struct Search<M> {
    wish: Duration,
    measure: M,
    took: BTreeMap<(u32, u32), Duration>,
}

impl<M: FnMut(Params) -> Result<Duration, PasswordError>> Search<M> {
    /// Measured at most once.
    fn took(&mut self, memory: u32, passes: u32) -> Result<Duration, PasswordError> {
        if let Some(took) = self.took.get(&(memory, passes)) {
            return Ok(*took);
        }
        let params = Params::new(memory, passes, 1);
        let params = params.ok_or(PasswordError::HashParams { memory_kib: memory, passes })?;
        let took = (self.measure)(params)?;
        self.took.insert((memory, passes), took);
        Ok(took)
    }

    fn fits(&mut self, memory: u32, passes: u32) -> Result<bool, PasswordError> {
        Ok(self.took(memory, passes)? <= self.wish)
    }

    /// The most passes in this range that fit; `None` where even the least do not.
    fn most_passes(
        &mut self,
        memory: u32,
        (least, most): (u32, u32),
    ) -> Result<Option<u32>, PasswordError> {
        if !self.fits(memory, least)? {
            return Ok(None);
        }
        // What fits, and the first that is known not to.
        let (mut fits, mut over) = (least, most.saturating_add(1));
        while over.saturating_sub(fits) > 1 {
            let guess = self.extrapolated(memory, fits)?.clamp(fits.saturating_add(1), most);
            // Behind the first guess that was too high, by halves.
            let guess = if guess < over { guess } else { fits.midpoint(over) };
            if self.fits(memory, guess)? {
                fits = guess;
            } else {
                over = guess;
            }
        }
        Ok(Some(fits))
    }

    /// How many passes take as long as wished, if each takes what these took on average.
    fn extrapolated(&mut self, memory: u32, passes: u32) -> Result<u32, PasswordError> {
        let took = self.took(memory, passes)?.as_nanos().max(1);
        let guess = self.wish.as_nanos().saturating_mul(passes.into()).checked_div(took);
        Ok(guess.and_then(|guess| u32::try_from(guess).ok()).unwrap_or(u32::MAX))
    }

    fn cheapest_of_the_floor(&mut self, budget_kib: u32) -> Result<Params, PasswordError> {
        let mut cheapest: Option<(Duration, Params)> = None;
        for params in EQUIVALENTS.into_iter().filter(|floor| floor.memory_kib() <= budget_kib) {
            let took = self.took(params.memory_kib(), params.passes())?;
            if cheapest.is_none_or(|(least, _)| took < least) {
                cheapest = Some((took, params));
            }
        }
        cheapest.map(|(_, params)| params).ok_or(PasswordError::Budget(budget_kib))
    }
}

/// By the steady clock where there is one.
struct Moment(vouchsafe_core::Timestamp, Option<Duration>);

impl Moment {
    fn of(clock: &dyn Clock) -> Self {
        Self(clock.now(), clock.steady())
    }

    fn since(&self, earlier: &Self) -> Duration {
        match (self.1, earlier.1) {
            (Some(now), Some(then)) => now.saturating_sub(then),
            _ => self.0.since(earlier.0),
        }
    }
}

/// Milliseconds with a tenth.
fn millis(duration: Duration) -> String {
    let tenths = duration.as_micros().saturating_add(50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wish, policy, fit, trials } = self;
        writeln!(f, "{:>8}  {:>6}  {:>9}", "KiB", "passes", "ms")?;
        for Trial { params, took } in trials {
            let note = if *params == policy.params() { "  chosen" } else { "" };
            let (memory, passes) = (params.memory_kib(), params.passes());
            writeln!(f, "{memory:>8}  {passes:>6}  {:>9}{note}", millis(*took))?;
        }
        let (params, took, wish) = (policy.params(), millis(self.took()), millis(*wish));
        match fit {
            Fit::WithinWish => write!(f, "{params}: {took} ms of the {wish} ms wished"),
            Fit::FloorTakesLonger => {
                write!(f, "{params}: {took} ms, more than the {wish} ms wished, and the floor")
            }
        }
    }
}
