//! The traps of the order, by name, each shown by the engine it is about.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{an_unlock_lets_the_owner_in, edited, every_witness_shows, happens, with};
use vouchsafe_core::{Comparison, Order};
use vouchsafe_password::{Attributes, Password};
use vouchsafe_policy::{Finding, Policy, PolicyError, Verdict, Witness, compare, join};

/// Zoomph's, with a hash that leaves room downwards and limits on links that leave it upwards.
fn baseline() -> Policy {
    let mut policy = Policy::preset("zoomph-2018").unwrap();
    for class in ["client", "consumer", "staff"] {
        policy = with(&policy, &format!("class.{class}.hash.memory"), "\"64 MiB\"");
        policy = with(&policy, &format!("class.{class}.hash.passes"), "3");
        policy = with(&policy, &format!("class.{class}.links.activation"), "\"12h\"");
        policy = with(&policy, &format!("class.{class}.links.resend_floor"), "\"10min\"");
        policy = with(&policy, &format!("class.{class}.envelope.symmetric_bits"), "192");
    }
    policy
}

#[test]
fn the_presets_compare_with_witnesses_that_show() {
    for one in Policy::PRESETS {
        for other in Policy::PRESETS {
            let (one, other) = (Policy::preset(one).unwrap(), Policy::preset(other).unwrap());
            every_witness_shows(&one, &other);
            assert_eq!(one.weakening(&other).is_none(), compare(&one, &other).weaker().is_empty());
        }
    }
    let (ours, zoomph) = (preset("vouchsafe"), preset("zoomph-2018"));
    // Ours demands no kind of character, Zoomph's no fifteen characters.
    assert_eq!(compare(&ours, &zoomph).verdict(), Verdict::Incomparable);
}

fn preset(name: &str) -> Policy {
    Policy::preset(name).unwrap()
}

#[track_caller]
fn weaker_with(path: &str, value: &str) -> Witness {
    let baseline = baseline();
    let candidate = with(&baseline, path, value);
    every_witness_shows(&candidate, &baseline);
    let report = compare(&candidate, &baseline);
    report.weaker().first().expect("weaker").witness().clone()
}

#[test]
fn three_an_hour_is_weaker_than_five_a_day() {
    let five_a_day = baseline();
    let three_an_hour = with(&five_a_day, "lockout.limits", "[{ failures = 3, window = '1h' }]");
    let report = compare(&three_an_hour, &five_a_day);
    // Four at once are stopped by the one, six in a day by the other: neither can stand in.
    assert_eq!(report.verdict(), Verdict::Incomparable);
    let ([weaker], [stronger]) = (report.weaker(), report.stronger()) else { panic!("{report:?}") };
    let attempts = |finding: &Finding| {
        let Witness::Lockout(attempts) = finding.witness() else { panic!("{finding:?}") };
        let last = attempts.attempts().last().unwrap().after;
        (attempts.attempts().len(), last)
    };
    let day = Duration::from_secs(86_400);
    let (count, last) = attempts(weaker);
    assert!(count == 6 && last < day, "six wrong attempts within a day");
    assert!(happens(&three_an_hour, weaker), "the engine verifies all six under 3 per hour");
    assert!(!happens(&five_a_day, weaker), "and refuses one of them under 5 per 24 h");
    assert_eq!(attempts(stronger), (4, Duration::ZERO));
    assert!(happens(&five_a_day, stronger) && !happens(&three_an_hour, stronger));
    // Where only the answer to "may it stand in" is asked for, it is the same.
    assert!(three_an_hour.weakening(&five_a_day).is_some());
    // Both at once are no weaker than either.
    let both = join(&three_an_hour, [&five_a_day]).unwrap();
    assert_eq!(both.lockout().limits().len(), 2);
    for one in [&three_an_hour, &five_a_day] {
        assert_eq!(compare(&both, one).verdict(), Verdict::NoWeaker);
        every_witness_shows(&both, one);
    }
}

#[test]
fn a_maximum_of_eight_is_weaker_than_one_of_sixty_four() {
    let sixty_four = with(&baseline(), "class.staff.password.max_length", "64");
    let eight = with(&sixty_four, "class.staff.password.max_length", "8");
    every_witness_shows(&eight, &sixty_four);
    let report = compare(&eight, &sixty_four);
    assert_eq!(report.verdict(), Verdict::Weaker);
    let Witness::Password(witness) = report.weaker()[0].witness() else { panic!() };
    assert_eq!(witness.password().chars().count(), 64, "a long passphrase is refused");
}

#[test]
fn rsa_2048_is_below_p_256() {
    let p256 = with(&baseline(), "class.staff.envelope.weakest_key", "\"P-256\"");
    let rsa = with(&p256, "class.staff.envelope.weakest_key", "\"RSA-2048\"");
    assert_eq!(compare(&rsa, &p256).verdict(), Verdict::Weaker);
    assert_eq!(compare(&p256, &rsa).verdict(), Verdict::NoWeaker);
    every_witness_shows(&rsa, &p256);
    let rsa = with(&p256, "class.staff.envelope.weakest_key", "\"RSA-3072\"");
    assert_eq!(rsa.digest(), p256.digest(), "the same floor is the same policy");
}

#[test]
fn an_idle_limit_without_an_absolute_one_is_weaker() {
    let text = edited(&baseline(), "class.staff.session.absolute", "\"none\"");
    let short = text.replace(
        "[class.staff.session]\nidle = \"30 min\"",
        "[class.staff.session]\nidle = \"10 min\"",
    );
    assert_ne!(text, short);
    let candidate = Policy::parse(&short, "short.toml").unwrap();
    let report = compare(&candidate, &baseline());
    assert_eq!(
        report.verdict(),
        Verdict::Incomparable,
        "a shorter idle limit does not make up for it"
    );
    assert_eq!(report.weaker()[0].section(), "class.staff.session");
    every_witness_shows(&candidate, &baseline());
}

#[test]
fn a_field_that_may_be_missing_is_weaker() {
    let fields = "[\"address\", \"claimed\", \"clause\", \"policy\"]";
    let witness = weaker_with("class.client.retention.optional_fields", fields);
    assert_eq!(witness.to_string(), "a record without `policy` is accepted");
}

#[test]
fn more_memory_with_fewer_passes_is_incomparable_unless_known_to_be_equal() {
    let hash = |memory: &str, passes: &str| {
        let policy = with(&baseline(), "class.staff.hash.memory", memory);
        with(&policy, "class.staff.hash.passes", passes)
    };
    let (wide, deep) = (hash("\"64 MiB\"", "1"), hash("\"19 MiB\"", "4"));
    assert_eq!(compare(&wide, &deep).verdict(), Verdict::Incomparable);
    every_witness_shows(&wide, &deep);
    let equals = [hash("\"46 MiB\"", "1"), hash("\"19 MiB\"", "2"), hash("\"12 MiB\"", "3")];
    for one in &equals {
        for other in &equals {
            assert_eq!(compare(one, other).verdict(), Verdict::NoWeaker);
        }
    }
}

#[test]
fn keeping_longer_than_the_limit_is_weaker() {
    let witness = weaker_with("class.consumer.retention.erase_by", "\"120d\"");
    assert_eq!(witness.to_string(), "a record 7776000 s old may still be kept");
    // Keeping longer within the limit is stronger, keeping for ever is not.
    let longer = with(&baseline(), "class.consumer.retention.keep_at_least", "\"60d\"");
    assert_eq!(compare(&longer, &baseline()).verdict(), Verdict::NoWeaker);
}

#[test]
fn locking_after_nothing_is_refused_and_not_stricter() {
    let text = edited(&baseline(), "lockout.limits", "[{ failures = 0, window = '24h' }]");
    let Err(PolicyError::Invalid(problems)) = Policy::parse(&text, "zero.toml") else { panic!() };
    assert_eq!(problems.list().len(), 1);
    assert_eq!(problems.list()[0].path(), "lockout.limits[0]");
}

/// The closed list of what has to be allowed, first: a passphrase of 64 characters.
#[test]
fn refusing_every_long_passphrase_is_refused_and_not_stricter() {
    let policy = with(&baseline(), "class.staff.password.min_length", "64");
    assert_eq!(compare(&policy, &baseline()).verdict(), Verdict::NoWeaker);
    let passphrase = format!("Correct horse, battery 7 staple{}", "!".repeat(33));
    let passphrase = Password::new(passphrase).unwrap();
    let rules = policy.class("staff").unwrap().password();
    assert!(rules.check(&passphrase, &Attributes::none()).is_ok(), "64 characters will do");
    for minimum in ["65", "100", "256"] {
        let text = edited(&baseline(), "class.staff.password.min_length", minimum);
        let Err(PolicyError::Invalid(problems)) = Policy::parse(&text, "long.toml") else {
            panic!("{minimum}")
        };
        let [problem] = problems.list() else { panic!("{problems}") };
        assert_eq!(problem.path(), "class.staff.password.min_length");
    }
}

/// Second: that several correct sign-ins of one person all get in.
#[test]
fn refusing_a_correct_sign_in_is_weaker() {
    let (cap, at_cap) = ("class.staff.session.max_sessions", "class.staff.session.at_cap");
    let witness = weaker_with(at_cap, "\"refuse\"");
    assert_eq!(witness, Witness::SignInRefused { sessions: 10 });
    // Fewer sessions are stronger as long as nobody is refused for it; then they are both.
    let refusing = with(&baseline(), at_cap, "\"refuse\"");
    let one = with(&baseline(), cap, "1");
    assert_eq!(compare(&one, &baseline()).verdict(), Verdict::NoWeaker);
    let one_refusing = with(&one, at_cap, "\"refuse\"");
    assert_eq!(compare(&one_refusing, &refusing).verdict(), Verdict::Incomparable);
    every_witness_shows(&one_refusing, &refusing);
    let joined = join(&one_refusing, [&refusing]).unwrap();
    assert_eq!(joined.values()[at_cap].to_string(), "end-longest-unused");
    assert_eq!(joined.values()[cap].to_string(), "1");
}

/// Third: a way out of a lock. No document can be without one, whatever its release.
#[test]
fn every_lock_can_be_undone_and_none_can_be_without_release() {
    for release in ["window-slides", "admin", "1s", "48h", "366d"] {
        let limit = format!("[{{ failures = 5, window = '24h', release = '{release}' }}]");
        let policy = with(&baseline(), "lockout.limits", &limit);
        assert!(an_unlock_lets_the_owner_in(policy.lockout()), "{release}");
    }
    for no_way_out in [
        "[{ failures = 5, window = '24h', release = 'never' }]",
        "[{ failures = 5, window = '24h', release = 'none' }]",
        "[{ failures = 5, window = '24h', release = '367d' }]",
        "[{ failures = 5, window = '367d' }]",
        "[{ failures = 0, window = '24h', release = 'admin' }]",
    ] {
        let text = edited(&baseline(), "lockout.limits", no_way_out);
        assert!(Policy::parse(&text, "closed.toml").is_err(), "{no_way_out}");
    }
    let text = edited(&baseline(), "class.staff.links.unlock", "\"0s\"");
    assert!(Policy::parse(&text, "closed.toml").is_err(), "a link that never works");
}

#[test]
fn a_class_without_a_rule_is_weaker() {
    let text = baseline().to_toml().replace("class.consumer.", "class.visitor.");
    let candidate = Policy::parse(&text, "classes.toml").unwrap();
    let report = compare(&candidate, &baseline());
    assert_eq!(report.weaker()[0].witness(), &Witness::NoClass("consumer".to_owned()));
    assert_eq!(report.stronger()[0].witness(), &Witness::NoClass("visitor".to_owned()));
    every_witness_shows(&candidate, &baseline());
}

#[test]
fn what_one_rule_implies_is_not_missed_nor_flagged() {
    // A capital letter is a letter: demanding one as well changes nothing (Z7.5 and Z7.2).
    let without = with(&baseline(), "class.staff.password.require_letter", "false");
    assert_eq!(without.digest(), baseline().digest());
    // Once the capital letter is given up, the letter is still demanded, and can be given up.
    let letter = with(&baseline(), "class.staff.password.require_upper", "false");
    let bare = with(&letter, "class.staff.password.require_letter", "false");
    assert_eq!(compare(&bare, &letter).verdict(), Verdict::Weaker);
    every_witness_shows(&bare, &letter);
    every_witness_shows(&letter, &baseline());
}

#[test]
fn the_core_order_gives_the_same_answer() {
    let weak = with(&baseline(), "class.staff.session.idle", "\"1h\"");
    let Comparison::Weaker(finding) = vouchsafe_core::compare(&weak, &baseline()) else { panic!() };
    assert_eq!(finding.section(), "class.staff.session");
    let text = finding.to_string();
    assert!(text.ends_with("idle 30 min -> 1 h (Z7.7)"), "{text}");
}
