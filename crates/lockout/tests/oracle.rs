//! Random histories against the raw definition of the rule.
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

mod common;

use std::time::Duration;

use common::*;
use proptest::prelude::*;
use vouchsafe_core::Timestamp;
use vouchsafe_lockout::{Limit, Lock, LockOn, LockoutVerdict as V};
use vouchsafe_testkit::runs;

/// The rule, word for word: every charge ever made stays on the list; an attempt is admitted when
/// in every limit's window there are fewer than N charges that were not taken back.
#[derive(Default)]
struct Oracle {
    /// When, under which id, and whether it still counts.
    charges: Vec<(Timestamp, u64, bool)>,
    settled: Vec<u64>,
}

impl Oracle {
    fn admits(&self, limits: &[(usize, Duration)], now: Timestamp) -> bool {
        limits.iter().all(|&(n, window)| self.counted(window, now) < n)
    }

    /// Charges in (now − window, now].
    fn counted(&self, window: Duration, now: Timestamp) -> usize {
        let inside = |at: Timestamp| at.micros() > now.micros() - window.as_micros() as i64;
        self.charges.iter().filter(|c| c.2 && inside(c.0) && c.0 <= now).count()
    }

    fn take_back(&mut self, ids: impl Fn(u64) -> bool) {
        self.charges.iter_mut().filter(|c| ids(c.1)).for_each(|c| c.2 = false);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Begin,
    Settle { which: usize, how: u8 },
    Unlock,
    Wait(Duration),
}

fn op(windows: Vec<Duration>) -> impl Strategy<Value = Op> {
    let ticks = proptest::sample::select(windows).prop_flat_map(|window| {
        // Mostly small steps, and steps that end exactly at, just before and just after a window.
        prop_oneof![
            4 => (0_u64..5_000).prop_map(Duration::from_millis),
            1 => Just(window),
            1 => Just(window - MS),
            1 => Just(window / 3),
            1 => Just(Duration::from_secs(10)),
            1 => Just(Duration::from_micros(1)),
        ]
    });
    prop_oneof![
        8 => Just(Op::Begin),
        6 => (0_usize..8, 0_u8..8).prop_map(|(which, how)| Op::Settle { which, how }),
        1 => Just(Op::Unlock),
        4 => ticks.prop_map(Op::Wait),
    ]
}

fn limits() -> impl Strategy<Value = Vec<(u32, Duration)>> {
    let window = proptest::sample::select(vec![1_u64, 7, 20, 60, 3_600]);
    let limit = (1_u32..6, window).prop_map(|(n, s)| (n, Duration::from_secs(s)));
    proptest::collection::vec(limit, 1..=3)
}

fn history() -> impl Strategy<Value = (Vec<(u32, Duration)>, bool, Vec<Op>)> {
    (limits(), any::<bool>()).prop_flat_map(|(limits, exceeding)| {
        let windows = limits.iter().map(|(_, window)| *window).collect();
        let ops = proptest::collection::vec(op(windows), 1..120);
        (Just(limits), Just(exceeding), ops)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(runs(2_000, 200_000) as u32) })]

    #[test]
    fn admits_exactly_what_the_rule_admits((given, exceeding, ops) in history()) {
        let lock_on = if exceeding { LockOn::Exceeding } else { LockOn::Nth };
        let list: Vec<Limit> =
            given.iter().map(|&(n, window)| Limit::new(n, window).with_lock_on(lock_on)).collect();
        let raw: Vec<(usize, Duration)> =
            given.iter().map(|&(n, w)| (n as usize + usize::from(exceeding), w)).collect();
        let mut account = Account::new(machine(&list));
        let mut oracle = Oracle::default();
        let (mut now, mut next) = (START, 0_u64);
        for op in ops {
            match op {
                Op::Wait(time) => now = now.after(time),
                Op::Begin => {
                    let expected = oracle.admits(&raw, now);
                    let verdict = account.send(begin(next), now);
                    prop_assert_eq!(matches!(verdict, V::Admitted(_)), expected, "{:?}", verdict);
                    let undecided = oracle.charges.iter().any(|c| {
                        c.2 && !oracle.settled.contains(&c.1) && c.0.after(Duration::from_secs(10)) > now
                    });
                    match verdict {
                        V::Admitted(_) => oracle.charges.push((now, next, true)),
                        V::Locked { lock: Lock { until: Some(until), .. }, .. } => {
                            // Waiting is enough, and nothing less is, unless a charge is taken back.
                            prop_assert!(oracle.admits(&raw, until));
                            prop_assert!(!oracle.admits(&raw, until.before(Duration::from_micros(1))));
                        }
                        V::Wait { until } => {
                            prop_assert!(undecided, "nobody is being verified");
                            prop_assert!(until > now && until <= now.after(Duration::from_secs(10)));
                        }
                        other => prop_assert!(false, "{:?}", other),
                    }
                    next += 1;
                }
                Op::Settle { which, how } => {
                    let open: Vec<u64> = oracle
                        .charges
                        .iter()
                        .rev()
                        .map(|c| c.1)
                        .filter(|id| !oracle.settled.contains(id))
                        .collect();
                    let Some(&id) = open.get(which) else { continue };
                    match how {
                        0 => {
                            let verdict = account.send(right(id), now);
                            let signed_in = matches!(verdict, V::Authenticated { .. });
                            prop_assert!(signed_in);
                            oracle.take_back(|other| other == id);
                        }
                        1 => {
                            prop_assert!(matches!(account.send(unverified(id), now), V::Refunded));
                            oracle.take_back(|other| other == id);
                        }
                        _ => match account.send(wrong(id), now) {
                            V::Failed { locked: Some(_), .. } => {
                                prop_assert!(!oracle.admits(&raw, now), "locked with room left");
                            }
                            V::Failed { locked: None, .. } => {}
                            other => prop_assert!(false, "{:?}", other),
                        },
                    }
                    oracle.settled.push(id);
                }
                Op::Unlock => {
                    prop_assert!(matches!(account.send(unlock(1_000_000 + next), now), V::Unlocked));
                    oracle.take_back(|_| true);
                    next += 1;
                }
            }
            // LK-1 itself.
            for &(n, window) in &raw {
                prop_assert!(oracle.counted(window, now) <= n);
            }
            // The promise to the store: after `until` the state is as good as absent.
            if account.until <= now {
                account.state = None;
            }
        }
    }
}
