//! What the tests share.
#![allow(dead_code, reason = "each test uses a part of it")]

use siege::attack::{Attack, Extent};
use siege::replay::Outcome;
use siege::siege::{Algorithm, Scale, run};

/// An office and a bit for two days: small enough for every test run.
pub const fn small(seed: u64) -> Scale {
    Scale { users: 600, extent: Extent { seed, days: 2, burst: 10_000, names: 20_000 } }
}

pub fn outcome(scale: Scale, attack: Attack, algorithm: Algorithm) -> Outcome {
    let mut rows = run(scale, &[attack], &[algorithm], None, |_, _| {}).unwrap();
    assert_eq!(rows.len(), 1);
    rows.remove(0).outcome
}
