//! Which cores a side runs on. Cores of one machine differ, by a fifth where others share them: two
//! sides that ran on a core each would be compared by their cores.

use crate::Result;
use crate::measure::Batch;

/// The cores that this thread, and what it starts, keeps to until this is dropped.
pub struct Kept(#[cfg(target_os = "linux")] rustix::thread::CpuSet);

#[cfg(target_os = "linux")]
impl Kept {
    /// To one of the first two cores there are.
    pub fn to(number: usize) -> Result<Self> {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        let all = sched_getaffinity(None)?;
        let mut there = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
        let core = there.nth(number).ok_or("there are no two cores")?;
        let mut one = CpuSet::new();
        one.set(core);
        sched_setaffinity(None, &one)?;
        Ok(Self(all))
    }
}

#[cfg(target_os = "linux")]
impl Drop for Kept {
    fn drop(&mut self) {
        // What it was allowed before, it is allowed.
        let _ = rustix::thread::sched_setaffinity(None, &self.0);
    }
}

#[cfg(not(target_os = "linux"))]
impl Kept {
    /// Where threads cannot be kept to a core they run anywhere.
    pub fn to(_: usize) -> Result<Self> {
        Ok(Self())
    }
}

/// What two threads do together, in percent of what one does: of the mean of what it does on either
/// core. `rate` is asked for so much a second, of so many threads.
pub fn scaling(mut rate: impl FnMut(usize) -> Result<f64>) -> Result<Batch> {
    let mut alone = 0.0;
    for core in 0..2 {
        let _kept = Kept::to(core)?;
        alone += rate(1)? / 2.0;
    }
    Ok(Batch::percent(100.0 * rate(2)? / alone))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::thread::sched_getaffinity;

    use super::*;

    #[test]
    fn what_is_started_meanwhile_is_kept_to_one_core_and_later_on_to_none() {
        let cores = || std::thread::spawn(|| sched_getaffinity(None).unwrap().count());
        let before = cores().join().unwrap();
        let kept = Kept::to(0).unwrap();
        assert_eq!(cores().join().unwrap(), 1);
        drop(kept);
        assert_eq!(cores().join().unwrap(), before);
    }

    #[test]
    fn two_are_set_against_the_mean_of_one() {
        if std::thread::available_parallelism().unwrap().get() < 2 {
            return;
        }
        let mut rates = [10.0, 30.0, 36.0].into_iter();
        let batch = scaling(|_| Ok(rates.next().unwrap())).unwrap();
        assert_eq!(batch.took.as_secs_f64(), 180.0);
    }
}
