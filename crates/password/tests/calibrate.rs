//! What `calibrate` finds, against every combination tried by brute force.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use vouchsafe_core::{Clock, Timestamp};
use vouchsafe_password::{
    Calibration, Fit, HashPolicy, HashPool, Params, PasswordError, calibrate, calibrate_with,
};
use vouchsafe_testkit::runs;

const MEMORIES: [u32; 16] =
    [1_024, 768, 512, 384, 256, 192, 128, 96, 64, 48, 46, 32, 24, 19, 16, 12];

/// A made-up machine: so much for a hash, and for a block of 1 KiB; more for one that the caches do
/// not hold.
#[derive(Clone, Copy, Debug)]
struct Machine {
    hash_nanos: u64,
    block_nanos: u64,
    cache_mib: u32,
    slower_percent: u64,
}

impl Machine {
    fn took(self, params: Params) -> Duration {
        let cached = params.memory_kib() <= self.cache_mib * 1_024;
        let percent = if cached { 100 } else { 100 + self.slower_percent };
        let blocks = params.blocks() * self.block_nanos * percent / 100;
        Duration::from_nanos(self.hash_nanos + blocks)
    }

    fn calibrate(self, wish: Duration, budget_kib: u32) -> Result<Calibration, PasswordError> {
        calibrate_with(wish, budget_kib, |params| Ok(self.took(params)))
    }
}

fn worth(params: Params) -> u64 {
    u64::from(params.memory_kib()).pow(2) * u64::from(params.passes())
}

/// The worth of the best that fits; `None` when nothing does.
fn oracle(machine: Machine, wish: Duration, budget_kib: u32) -> Option<u64> {
    let memories = MEMORIES.into_iter().chain([budget_kib / 1_024]).map(|mib| mib * 1_024);
    let all = memories.filter(|kib| *kib <= budget_kib).flat_map(|kib| {
        (1..=Params::MAX_PASSES).filter_map(move |passes| HashPolicy::argon2id(kib, passes).ok())
    });
    all.map(HashPolicy::params)
        .filter(|params| params.blocks() <= HashPool::MAX_BLOCKS && machine.took(*params) <= wish)
        .map(worth)
        .max()
}

prop_compose! {
    fn any_machine()(
        hash_nanos in 0..3_000_000_u64,
        block_nanos in prop_oneof![1..20_u64, 200..4_000_u64],
        cache_mib in 0..80_u32,
        slower_percent in 0..60_u64,
    ) -> Machine {
        Machine { hash_nanos, block_nanos, cache_mib, slower_percent }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(u32::try_from(runs(600, 200_000)).unwrap()))]

    #[test]
    fn nothing_that_fits_is_worth_more(
        machine in any_machine(),
        wish_ms in prop_oneof![1..100_u64, 1..4_000_u64],
        budget_kib in prop_oneof![12_288..70_000_u32, 12_288..1_200_000_u32],
    ) {
        let wish = Duration::from_millis(wish_ms);
        let mut measured = Vec::new();
        let found = calibrate_with(wish, budget_kib, |params| {
            measured.push(params);
            Ok(machine.took(params))
        }).unwrap();
        let params = found.policy().params();
        let best = oracle(machine, wish, budget_kib.min(Params::MAX_MEMORY_KIB));
        prop_assert!(HashPolicy::argon2id(params.memory_kib(), params.passes()).is_ok());
        prop_assert!(params.memory_kib() <= budget_kib);
        prop_assert_eq!(found.took(), machine.took(params));
        match found.fit() {
            Fit::WithinWish => {
                prop_assert_eq!(Some(worth(params)), best);
                prop_assert!(found.took() <= wish);
            }
            Fit::FloorTakesLonger => {
                prop_assert_eq!(best, None);
                prop_assert!(found.took() > wish);
                let floor = [(47_104, 1), (19_456, 2), (12_288, 3)].into_iter();
                let floor = floor.filter(|(kib, _)| *kib <= budget_kib);
                let costs: Vec<_> =
                    floor.map(|(kib, passes)| machine.took(Params::new(kib, passes, 1).unwrap())).collect();
                prop_assert_eq!(Some(&found.took()), costs.iter().min());
            }
        }
        // Each once, none over the budget, all in the table, and few enough to wait for.
        prop_assert!(measured.len() <= 120 && measured.iter().all(|p| p.memory_kib() <= budget_kib));
        let listed: Vec<_> = found.trials().iter().map(|trial| trial.params).collect();
        prop_assert!(measured.len() == listed.len() && measured.iter().all(|p| listed.contains(p)));
    }

    #[test]
    fn a_longer_wish_never_finds_less(
        machine in any_machine(),
        (short, longer) in (1..2_000_u64, 0..500_u64),
        (budget_kib, more) in (12_288..300_000_u32, 0..300_000_u32),
    ) {
        let wish = Duration::from_millis(short);
        let of = |wish, budget| worth(machine.calibrate(wish, budget).unwrap().policy().params());
        let found = machine.calibrate(wish, budget_kib).unwrap();
        let base = worth(found.policy().params());
        if found.fit() == Fit::WithinWish {
            prop_assert!(of(wish + Duration::from_millis(longer), budget_kib) >= base);
        }
        let later = machine.calibrate(wish + Duration::from_millis(longer), budget_kib).unwrap();
        prop_assert!(found.fit() == Fit::FloorTakesLonger || later.fit() == Fit::WithinWish);
        // A budget that only adds to the choice.
        let rung = MEMORIES.into_iter().map(|mib| mib * 1_024).find(|kib| *kib <= budget_kib).unwrap();
        if found.fit() == Fit::WithinWish {
            prop_assert!(of(wish, rung) <= of(wish, rung + more));
        }
    }
}

#[test]
fn a_budget_below_the_floor_is_refused() {
    let machine = Machine { hash_nanos: 0, block_nanos: 500, cache_mib: 0, slower_percent: 0 };
    let of = |budget| machine.calibrate(Duration::from_secs(1), budget);
    for budget in [0, 1_024, 12_287] {
        assert_eq!(of(budget).unwrap_err(), PasswordError::Budget(budget));
    }
    assert_eq!(of(12_288).unwrap().policy().params().memory_kib(), 12_288);
    let failed = calibrate_with(Duration::from_secs(1), 65_536, |_| Err(PasswordError::Threads));
    assert_eq!(failed.unwrap_err(), PasswordError::Threads);
}

#[test]
fn the_table_says_what_was_tried_and_chosen() {
    let machine = Machine { hash_nanos: 0, block_nanos: 500, cache_mib: 0, slower_percent: 0 };
    let found = machine.calibrate(Duration::from_millis(100), 65_536).unwrap();
    assert_eq!(
        found.to_string(),
        "     KiB  passes         ms\n\
         \u{20}  65536       1       32.8\n\
         \u{20}  65536       3       98.3  chosen\n\
         \u{20}  65536       4      131.1\n\
         \u{20}  49152       6      147.5\n\
         \u{20}  47104       6      141.3\n\
         \u{20}  32768      13      213.0\n\
         \u{20}  24576      22      270.3\n\
         \u{20}  19456      35      340.5\n\
         \u{20}  16384      49      401.4\n\
         m=65536,t=3,p=1: 98.3 ms of the 100.0 ms wished"
    );
}

/// Each reading is this much later than the one before it.
struct Steps(AtomicI64, i64);

impl Clock for Steps {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(self.1, Ordering::Relaxed))
    }
}

#[test]
fn time_is_the_given_clocks() {
    // Three hashes, and one where that is more than twice too long.
    for (wish, hashes) in [(9_999, 3), (5_000, 3), (4_999, 1)] {
        let clock = Steps(AtomicI64::new(0), 10_000);
        let found = calibrate(Duration::from_micros(wish), 12_288, &clock).unwrap();
        assert_eq!((found.fit(), found.took()), (Fit::FloorTakesLonger, Duration::from_millis(10)));
        assert_eq!(Some(found.policy().params()), Params::new(12_288, 3, 1));
        assert_eq!(clock.0.into_inner(), hashes * 2 * 10_000, "{wish}");
    }
}

/// Of what takes as long it is the one with the most memory.
#[test]
fn the_first_of_the_floor_among_equals() {
    let found = calibrate_with(Duration::ZERO, 65_536, |_| Ok(Duration::from_millis(1))).unwrap();
    assert_eq!(found.fit(), Fit::FloorTakesLonger);
    assert_eq!(Some(found.policy().params()), Params::new(47_104, 1, 1));
}

struct Real(Instant);

impl Clock for Real {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }

    fn steady(&self) -> Option<Duration> {
        Some(self.0.elapsed())
    }
}

/// Whatever this machine is, and is doing.
#[test]
fn a_real_run_keeps_to_the_floor_and_the_wish() {
    let clock = Real(Instant::now());
    for wish in [Duration::from_micros(1), Duration::from_millis(60)] {
        let found = calibrate(wish, 20_480, &clock).unwrap();
        let params = found.policy().params();
        assert!(HashPolicy::argon2id(params.memory_kib(), params.passes()).is_ok());
        assert!(params.memory_kib() <= 20_480);
        assert_eq!(found.fit() == Fit::WithinWish, found.took() <= wish, "{found}");
        assert!(found.took() > Duration::from_micros(100), "{found}");
        assert!(found.trials().iter().all(|trial| trial.took > Duration::from_micros(100)));
    }
    let hopeless = calibrate(Duration::from_micros(1), 20_480, &clock).unwrap();
    assert_eq!(hopeless.fit(), Fit::FloorTakesLonger);
}
