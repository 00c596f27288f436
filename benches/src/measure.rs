//! How two sides are run against each other.

use std::time::{Duration, Instant};

use crate::Result;

/// One comparison.
pub struct Case {
    /// `group/name`.
    pub name: &'static str,
    /// The peer's package.
    pub peer: &'static str,
    /// The ratio to reach.
    pub wanted: f64,
    /// What is measured.
    pub unit: Unit,
    /// Measured batches of each side.
    pub pairs: usize,
    /// Makes both sides ready, before anything is timed.
    pub prepare: fn() -> Result<Sides>,
}

/// What is measured, of one operation or in one second.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Nanoseconds an operation: less is better.
    Nanos,
    /// Operations a second: more is better.
    PerSecond,
    /// Bytes a key: less is better.
    Bytes,
    /// What two threads do, in percent of what one does: more is better.
    Percent,
}

/// One batch: so many operations, and how long they took.
pub struct Batch {
    /// How many.
    pub operations: u32,
    /// How long they took together.
    pub took: Duration,
}

/// Runs one batch.
pub type Side = Box<dyn FnMut() -> Result<Batch>>;

/// The two sides, each with its setup behind it.
pub struct Sides {
    /// Ours.
    pub ours: Side,
    /// Theirs.
    pub peer: Side,
    /// What both contain: its time is taken off either, so that what is left is what they add.
    pub common: Option<Side>,
}

/// What came out.
pub struct Outcome {
    /// Our median.
    pub ours: f64,
    /// The peer's median.
    pub peer: f64,
    /// Over 1: we are faster.
    pub speedup: f64,
}

impl Sides {
    /// Two sides that have nothing in common to take off.
    pub fn new(
        ours: impl FnMut() -> Result<Batch> + 'static,
        peer: impl FnMut() -> Result<Batch> + 'static,
    ) -> Self {
        Self { ours: Box::new(ours), peer: Box::new(peer), common: None }
    }
}

impl Batch {
    /// Times `operations` runs of `one`, which is given their numbers.
    pub fn time(operations: u32, mut one: impl FnMut(u32) -> Result<()>) -> Result<Self> {
        let start = Instant::now();
        for number in 0..operations {
            one(number)?;
        }
        Ok(Self { operations, took: start.elapsed() })
    }

    /// What `keys` take together.
    pub fn bytes(keys: u32, bytes: usize) -> Self {
        // A byte stands in for a nanosecond.
        Self { operations: keys, took: Duration::from_nanos(bytes as u64) }
    }

    /// So many percent.
    pub fn percent(percent: f64) -> Self {
        // A second stands in for a percent.
        Self { operations: 1, took: Duration::from_secs_f64(percent) }
    }

    fn value(&self, unit: Unit) -> f64 {
        let seconds = self.took.as_secs_f64();
        match unit {
            Unit::Nanos | Unit::Bytes => seconds * 1e9 / f64::from(self.operations),
            Unit::PerSecond => f64::from(self.operations) / seconds,
            Unit::Percent => seconds,
        }
    }
}

impl Case {
    /// Fewest pairs that say anything.
    const MIN_PAIRS: usize = 9;
    /// Batches of each side before it counts.
    const WARM_UP: usize = 2;

    /// What stands before the `/`.
    pub fn group(&self) -> &'static str {
        self.name.split('/').next().unwrap_or(self.name)
    }

    /// Both sides in turns, and the medians.
    pub fn run(&self) -> Result<Outcome> {
        let mut sides = (self.prepare)()?;
        let (mut ours, mut peer, mut common) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..Self::WARM_UP + self.pairs.max(Self::MIN_PAIRS) {
            let value = |side: &mut Side| side().map(|batch| batch.value(self.unit));
            let values = (
                value(&mut sides.ours)?,
                value(&mut sides.peer)?,
                sides.common.as_mut().map_or(Ok(0.0), value)?,
            );
            if round >= Self::WARM_UP {
                ours.push(values.0);
                peer.push(values.1);
                common.push(values.2);
            }
        }
        let common = median(common);
        let (ours, peer) = (median(ours) - common, median(peer) - common);
        if ours.min(peer) <= 0.0 {
            return Err("lost in the noise of what both sides contain".into());
        }
        let speedup = match self.unit {
            Unit::Nanos | Unit::Bytes => peer / ours,
            Unit::PerSecond | Unit::Percent => ours / peer,
        };
        Ok(Outcome { ours, peer, speedup })
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(nanos: &'static [u64]) -> impl FnMut() -> Result<Batch> {
        let mut next = nanos.iter().cycle();
        move || {
            let nanos = *next.next().unwrap();
            Ok(Batch { operations: 10, took: Duration::from_nanos(nanos * 10) })
        }
    }

    fn run(unit: Unit, prepare: fn() -> Result<Sides>) -> Outcome {
        let case = Case { name: "a/b", peer: "c", wanted: 1.0, unit, pairs: 9, prepare };
        case.run().unwrap()
    }

    #[test]
    fn the_median_of_an_odd_and_an_even_number() {
        assert_eq!(median(vec![5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(vec![5.0, 1.0, 3.0, 4.0]), 3.5);
    }

    #[test]
    fn an_outlier_and_the_warm_up_do_not_count() {
        const OURS: &[u64] = &[900, 900, 20, 20, 20, 20, 20, 500, 20, 20, 20];
        let outcome = run(Unit::Nanos, || Ok(Sides::new(fixed(OURS), fixed(&[30]))));
        assert_eq!((outcome.ours, outcome.peer, outcome.speedup), (20.0, 30.0, 1.5));
    }

    #[test]
    fn more_a_second_is_faster() {
        let outcome = run(Unit::PerSecond, || Ok(Sides::new(fixed(&[20]), fixed(&[30]))));
        assert!((outcome.speedup - 1.5).abs() < 1e-9);
    }

    #[test]
    fn more_percent_scale_better() {
        let sides = || {
            let (ours, peer) = (|| Ok(Batch::percent(190.0)), || Ok(Batch::percent(95.0)));
            Ok(Sides::new(ours, peer))
        };
        let outcome = run(Unit::Percent, sides);
        assert_eq!((outcome.ours, outcome.peer, outcome.speedup), (190.0, 95.0, 2.0));
    }

    #[test]
    fn what_both_contain_is_taken_off() {
        let outcome = run(Unit::Nanos, || {
            let sides = Sides::new(fixed(&[15]), fixed(&[30]));
            Ok(Sides { common: Some(Box::new(fixed(&[10]))), ..sides })
        });
        assert_eq!((outcome.ours, outcome.peer, outcome.speedup), (5.0, 20.0, 4.0));
    }

    #[test]
    fn noise_is_no_result() {
        let prepare = || {
            let sides = Sides::new(fixed(&[15]), fixed(&[30]));
            Ok(Sides { common: Some(Box::new(fixed(&[20]))), ..sides })
        };
        let (name, peer, unit) = ("a/b", "c", Unit::Nanos);
        assert!(Case { name, peer, wanted: 1.0, unit, pairs: 9, prepare }.run().is_err());
    }
}
