//! The laws of the order and the join, over policies at large.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::{document, every_witness_shows};
use proptest::prelude::*;
use vouchsafe_core::Order;
use vouchsafe_policy::{Policy, PolicyError, join};
use vouchsafe_testkit::runs;

/// Counters of devices, a bound on consecutive failures, and forgiven repeats; in small numbers.
fn counters() -> impl Strategy<Value = String> {
    let devices = prop::sample::select(vec!["'none'", "{ counters = 1 }", "{ counters = 2 }"]);
    let run = (1_u32..4, 0_u32..2, 1_u32..3).prop_map(|(from, more, hours)| {
        let at = from + more;
        format!("{{ disable_at = {at}, devices_only_from = {from}, memory = '{hours}h' }}")
    });
    let run = prop_oneof![2 => Just("'none'".to_owned()), 1 => run];
    let down = prop::sample::select(vec![
        "'refuse'",
        "{ degraded = { failures = 1, window = '1h' } }",
        "{ degraded = { failures = 2, window = '1h' } }",
        "'open'",
    ]);
    let lost = prop::sample::select(vec!["nothing", "counters", "everything"]);
    (devices, run, 0_u32..3, down, lost).prop_map(|(devices, run, repeats, down, lost)| {
        format!(
            "devices = {devices}\nconsecutive = {run}\nrepeats = {repeats}\n\
             when_store_is_down = {down}\nmay_roll_back = '{lost}'\n"
        )
    })
}

/// Counters of devices alone: with the others, a witness errs on the side of "weaker".
fn devices() -> impl Strategy<Value = String> {
    let devices =
        prop::sample::select(vec!["'none'", "{}", "{ counters = 1 }", "{ counters = 2 }"]);
    devices.prop_map(|devices| format!("devices = {devices}\n"))
}

/// A policy of one class whose fields take few values, so that pairs are often comparable.
fn any_policy(counters: impl Strategy<Value = String>) -> impl Strategy<Value = Policy> {
    let limit = (1_u32..4, prop::sample::select(vec![1_u32, 2, 24]))
        .prop_map(|(n, hours)| format!("{{ failures = {n}, window = '{hours}h' }}"));
    let door = prop::collection::vec(limit, 1..3);
    let flags = prop::array::uniform6(any::<bool>());
    let small = prop::array::uniform10(0_usize..3);
    (door, counters, flags, small).prop_map(|(limits, counters, flags, at)| {
        let [upper, number, common, breached, at_rest, nullable] = flags;
        let idle = ["10min", "30min", "1h"][at[0]];
        let absolute = ["1h", "12h", "none"][at[1]];
        let minimum = [8, 10, 15][at[2]];
        let maximum = [16, 64, 256][at[3]];
        let erase = ["60d", "90d", "none"][at[4]];
        let keep = ["1d", "30d", "60d"][at[5]];
        let key = ["RSA-2048", "P-256", "P-384"][at[6]];
        let reset = ["10min", "30min", "1h"][at[7]];
        let (cap, at_cap) = ([1, 2, 10][at[8]], ["end-longest-unused", "refuse", "refuse"][at[9]]);
        let optional = if nullable { "'address', 'policy'" } else { "'address'" };
        let text = document(&format!(
            "[lockout]\nlimits = [{}]\n{counters}\
             [class.staff]\n\
             session = {{ idle = '{idle}', absolute = '{absolute}', \
             max_sessions = {cap}, at_cap = '{at_cap}' }}\n\
             password = {{ min_length = {minimum}, max_length = {maximum}, \
             require_upper = {upper}, require_number = {number}, refuse_common = {common}, \
             refuse_breached = {breached} }}\n\
             retention = {{ keep_at_least = '{keep}', erase_by = '{erase}', \
             optional_fields = [{optional}] }}\n\
             envelope = {{ at_rest = {at_rest}, weakest_key = '{key}' }}\n\
             links.reset = '{reset}'\n",
            limits.join(", ")
        ));
        Policy::parse(&text, "generated.toml").unwrap_or_else(|error| panic!("{error}\n{text}"))
    })
}

fn device_counters(policy: &Policy) -> u32 {
    policy.lockout().devices().map_or(0, |devices| devices.counters)
}

fn no_weaker(one: &Policy, other: &Policy) -> bool {
    one.weakening(other).is_none()
}

/// The join, or nothing where the two contradict each other.
fn joined(one: &Policy, other: &Policy) -> Option<Policy> {
    match join(one, [other]) {
        Ok(policy) => Some(policy),
        Err(PolicyError::Contradiction(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(runs(10_000, 1_000_000) as u32))]

    #[test]
    fn reflexive_antisymmetric_transitive(
        a in any_policy(counters()), b in any_policy(counters()), c in any_policy(counters()),
    ) {
        prop_assert!(no_weaker(&a, &a));
        if no_weaker(&a, &b) && no_weaker(&b, &a) {
            prop_assert_eq!(a.values(), b.values());
            prop_assert_eq!(a.digest(), b.digest());
        }
        if no_weaker(&a, &b) && no_weaker(&b, &c) {
            prop_assert!(no_weaker(&a, &c));
        }
    }

    #[test]
    fn the_join_is_the_least_upper_bound(
        a in any_policy(counters()), b in any_policy(counters()), c in any_policy(counters()),
    ) {
        let Some(ab) = joined(&a, &b) else { return Ok(()) };
        prop_assert!(no_weaker(&ab, &a) && no_weaker(&ab, &b));
        prop_assert_eq!(joined(&b, &a).unwrap().values(), ab.values());
        prop_assert_eq!(joined(&a, &a).unwrap().values(), a.values());
        prop_assert_eq!(joined(&ab, &b).unwrap().values(), ab.values());
        // More counters, or a success that takes back more, with less room in each may stand in for
        // both, and not for the join.
        let fewer = device_counters(&c) <= device_counters(&ab)
            && c.lockout().on_success() <= ab.lockout().on_success();
        if fewer && no_weaker(&c, &a) && no_weaker(&c, &b) {
            prop_assert!(no_weaker(&c, &ab));
        }
        // An upper bound above the join, so that the law above is not void.
        if let Some(abc) = joined(&ab, &c) {
            prop_assert!(no_weaker(&abc, &ab));
            let bc = joined(&b, &c).unwrap();
            prop_assert_eq!(joined(&a, &bc).unwrap().values(), abc.values());
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(runs(500, 100_000) as u32))]

    #[test]
    fn every_witness_between_any_two_shows(
        a in any_policy(devices()), b in any_policy(devices()),
    ) {
        every_witness_shows(&a, &b);
        prop_assert_eq!(Policy::parse(&a.to_toml(), "again.toml").unwrap(), a);
    }
}
