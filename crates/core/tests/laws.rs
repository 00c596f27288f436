//! Laws of time, of the order of policies and of steps.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

use std::time::Duration;

use proptest::prelude::*;
use vouchsafe_core::{Comparison, Effect, Order, Step, Timestamp, compare};
use vouchsafe_testkit::runs;

fn cases(ci: usize, long: usize) -> ProptestConfig {
    let cases = u32::try_from(runs(ci, long)).unwrap();
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn moment() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        any::<i64>().prop_map(Timestamp::from_micros),
        (-5_i64..5).prop_map(Timestamp::from_micros),
        (0_u64..5).prop_map(|back| Timestamp::MAX.before(Duration::from_micros(back))),
        (0_u64..5).prop_map(|on| Timestamp::MIN.after(Duration::from_micros(on))),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        any::<Duration>(),
        (0_u64..10).prop_map(Duration::from_micros),
        Just(Duration::ZERO),
        Just(Duration::MAX),
    ]
}

/// What a candidate refuses, as a set; more is stronger.
#[derive(Debug)]
struct Refuses(u16);

impl Order for Refuses {
    type Witness = u32;

    fn weakening(&self, baseline: &Self) -> Option<u32> {
        (0..16).find(|bit| baseline.0 & !self.0 & (1 << bit) != 0)
    }
}

proptest! {
    #![proptest_config(cases(5_000, 500_000))]

    /// Arithmetic is that of whole numbers, held between the first and the last moment.
    #[test]
    fn time_is_clamped_arithmetic(at in moment(), by in duration()) {
        let micros = i128::try_from(by.as_micros()).unwrap();
        let clamp = |value: i128| {
            value.clamp(Timestamp::MIN.micros().into(), Timestamp::MAX.micros().into())
        };
        prop_assert_eq!(i128::from(at.after(by).micros()), clamp(i128::from(at.micros()) + micros));
        prop_assert_eq!(i128::from(at.before(by).micros()), clamp(i128::from(at.micros()) - micros));
    }

    #[test]
    fn since_undoes_after(one in moment(), other in moment()) {
        let (early, late) = (one.min(other), one.max(other));
        prop_assert_eq!(early.after(late.since(early)), late);
        prop_assert_eq!(late.before(late.since(early)), early);
        prop_assert_eq!(early.since(late), Duration::ZERO);
    }

    /// Text sorts as time does, which logs rely on.
    #[test]
    fn text_sorts_as_time(one in moment(), other in moment()) {
        prop_assert_eq!(one.to_string().cmp(&other.to_string()), one.cmp(&other));
        prop_assert_eq!(Timestamp::from_utc(one.to_utc()), one);
    }

    /// The three answers against the order of sets, and each witness is one.
    #[test]
    fn comparison_is_the_order_of_sets(one in any::<u16>(), other in any::<u16>()) {
        let refused = |set: u16, bit: u32| set & (1 << bit) != 0;
        match compare(&Refuses(one), &Refuses(other)) {
            Comparison::NoWeaker => prop_assert_eq!(one & other, other),
            Comparison::Weaker(bit) => {
                prop_assert!(refused(other, bit) && !refused(one, bit));
                prop_assert_eq!(one & other, one);
            }
            Comparison::Incomparable { weaker, stronger } => {
                prop_assert!(refused(other, weaker) && !refused(one, weaker));
                prop_assert!(refused(one, stronger) && !refused(other, stronger));
            }
        }
    }

    /// Embedding a part's step changes neither what is done nor until when.
    #[test]
    fn mapping_a_step_keeps_its_kind(kind in 0_u8..3, state in any::<u8>(), until in moment()) {
        let step = || match kind {
            0 => Step::keep('v'),
            1 => Step::save(state, until, 'v'),
            _ => Step::erase('v'),
        };
        let (effect, pending) = step().map(u64::from, |verdict| (verdict, 1)).split();
        let expected = match step().split().0 {
            Effect::Keep => Effect::Keep,
            Effect::Save { state, until } => Effect::Save { state: u64::from(state), until },
            Effect::Erase => Effect::Erase,
        };
        prop_assert_eq!(effect, expected);
        prop_assert_eq!(pending.committed(), ('v', 1));
    }
}
