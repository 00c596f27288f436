//! LK-12, LK-13, LK-14: who is known by a cookie, and who tries an old password, is not kept out.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod cookies;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cookies::{
    DAY, DEVICES, OTHER, PASSWORD, WRONG, cookie, forget, link, lock, login, memory, over, policy,
    refused, with, with_devices,
};
use vouchsafe::access_log::{Operation, name};
use vouchsafe::core::Clock;
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Call, Code, Login, Next, Purpose};
use vouchsafe::os::SystemEntropy;
use vouchsafe::policy::Policy;
use vouchsafe::store::Cells;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{CountingStore, Fault, FaultyStore, TestGate, Users, block_on, runs};

/// However crowded the machine is.
const PATIENT: Duration = Duration::from_secs(60);
const INSIDE: &str = "203.0.113.7";

/// Strangers guess from everywhere, all the time; whoever has a cookie signs in, every time.
fn signs_in_during_an_attack(store: impl Cells + 'static, times: usize) {
    let gate = over(with_devices(), store, |gate| gate);
    gate.add("ada", "staff", PASSWORD);
    let cookie = cookie(&gate, "ada", PASSWORD);
    lock(&gate, "ada");
    let over = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (gate, over) = (&gate, Arc::clone(&over));
            scope.spawn(move || {
                for number in (thread..).step_by(4).take_while(|_| !over.load(Ordering::SeqCst)) {
                    let [a, b, c, d] = number.wrapping_mul(0x9e37_79b1).to_be_bytes();
                    let call = TestGate::call_from(&format!("{a}.{b}.{c}.{d}"));
                    // Throttled once they come from one network too often.
                    let code = refused(login(gate, "ada", WRONG, call)).code();
                    assert!(matches!(code, Code::Locked | Code::Throttled), "{code:?}");
                }
            });
        }
        let mut known = cookie;
        for time in 0..times {
            match login(&gate, "ada", PASSWORD, with(&known)) {
                Login::SignedIn(issued) => known = issued.device().unwrap().expose().to_owned(),
                other => panic!("{time}: {other:?}"),
            }
        }
        over.store(true, Ordering::SeqCst);
    });
    // From an address of its own: the owner's has spent its share by now.
    let call = TestGate::call_from("192.0.2.7");
    assert_eq!(refused(login(&gate, "ada", PASSWORD, call)).code(), Code::Locked);
}

#[test]
fn the_owner_signs_in_during_an_attack_in_memory() {
    signs_in_during_an_attack(memory(), runs(200, 2_000));
}

#[test]
fn the_owner_signs_in_during_an_attack_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        SqliteStore::builder(folder.path().join("cells.db")).deadline(PATIENT).open().unwrap();
    signs_in_during_an_attack(store, runs(50, 500));
}

/// A cookie that does not count is as good as none, and nobody sees the difference.
#[test]
fn a_cookie_that_does_not_count_is_as_good_as_none() {
    let gate = over(with_devices(), memory(), |gate| gate);
    let ada = gate.add("ada", "staff", PASSWORD);
    gate.add("bob", "staff", PASSWORD);
    let too_old = cookie(&gate, "ada", PASSWORD);
    gate.clock.advance(180 * DAY);
    let revoked = cookie(&gate, "ada", PASSWORD);
    forget(&gate, &ada);
    let (good, foreign) = (cookie(&gate, "ada", PASSWORD), cookie(&gate, "bob", PASSWORD));
    let mut forged = good.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'B' } else { 'A' });
    lock(&gate, "ada");
    let none = refused(login(&gate, "ada", PASSWORD, TestGate::call()));
    for bad in ["", "A", &too_old, &revoked, &foreign, &forged, &format!("{good}A")] {
        assert_eq!(refused(login(&gate, "ada", PASSWORD, with(bad))), none, "{bad}");
    }
    assert!(matches!(login(&gate, "ada", PASSWORD, with(&good)), Login::SignedIn(_)));
    // The device has five tries of its own, and no more.
    for _ in 0..5 {
        let wrong = refused(login(&gate, "ada", WRONG, with(&good)));
        assert_eq!(wrong.code(), Code::WrongCredentials);
    }
    assert_eq!(refused(login(&gate, "ada", PASSWORD, with(&good))), none);
}

/// LK-14: somebody behind the same address spends what the throttle lets by; whoever is known is
/// not kept out by it, and asks the store no more than whoever is not.
#[test]
fn a_flood_from_inside_does_not_keep_a_known_device_out() {
    let store = Arc::new(CountingStore::new(memory()));
    let gate = over(with_devices(), Arc::clone(&store), |gate| gate);
    let ada = gate.add("ada", "staff", PASSWORD);
    gate.add("bob", "staff", PASSWORD);
    let revoked = cookie(&gate, "ada", PASSWORD);
    forget(&gate, &ada);
    let (good, foreign) = (cookie(&gate, "ada", PASSWORD), cookie(&gate, "bob", PASSWORD));
    let inside = || TestGate::call_from(INSIDE);
    let flood = (0..1_000).map(|_| refused(login(&gate, "zoe", WRONG, inside())).code());
    assert!(flood.collect::<Vec<_>>().contains(&Code::Throttled));
    let none = refused(login(&gate, "ada", PASSWORD, inside()));
    assert_eq!(none.code(), Code::Throttled);
    for bad in [&foreign, &revoked] {
        let before = (store.loads(), store.swaps());
        let call = inside().with_device(Some(bad.clone()));
        assert_eq!(refused(login(&gate, "ada", PASSWORD, call)), none);
        let asked = u64::from(*bad == revoked);
        assert_eq!((store.loads(), store.swaps()), (before.0 + asked, before.1));
    }
    for _ in 0..100 {
        let call = inside().with_device(Some(good.clone()));
        assert!(matches!(login(&gate, "ada", PASSWORD, call), Login::SignedIn(_)));
    }
    // It is for one account only.
    let call = inside().with_device(Some(good));
    assert_eq!(refused(login(&gate, "bob", PASSWORD, call)).code(), Code::Throttled);
}

/// A new password voids every cookie, however it was set; lifting a lock voids none.
#[test]
fn a_new_password_voids_every_cookie() {
    let gate = over(with_devices(), memory(), |gate| gate);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let ada = gate.add("ada", "staff", PASSWORD);
    let is_known = |cookie: &str, password: &str| {
        gate.clock.advance(Duration::from_secs(1));
        lock(&gate, "ada");
        let known = matches!(login(&gate, "ada", password, with(cookie)), Login::SignedIn(_));
        let operator = gate.gate.operator(&tenant, name!("console"), &call).unwrap();
        block_on(operator.unlock(&ada)).unwrap();
        known
    };
    let mut old = cookie(&gate, "ada", PASSWORD);
    let unlock = link(&gate, Purpose::Unlock);
    block_on(gate.gate.unlock(&tenant, &unlock, &call)).unwrap();
    assert!(is_known(&old, PASSWORD), "after an unlock");

    let reset = link(&gate, Purpose::Reset);
    block_on(gate.gate.redeem(&tenant, Purpose::Reset, &reset, OTHER.to_owned(), &call)).unwrap();
    assert!(!is_known(&old, OTHER), "after a reset");

    old = cookie(&gate, "ada", OTHER);
    assert!(is_known(&old, OTHER));
    let issued = gate.sign_in("ada", OTHER);
    let by = gate.gate.by(issued.principal(), &call).unwrap();
    let changed = block_on(by.change_password(OTHER.to_owned(), PASSWORD.to_owned())).unwrap();
    assert!(!is_known(&old, PASSWORD), "after a change");
    let kept = changed.device().unwrap().expose().to_owned();
    assert!(is_known(&kept, PASSWORD), "the browser that changed it");

    gate.users.change(&tenant, &ada, |ada| ada.attributes.push("Brass Lantern".to_owned()));
    match login(&gate, "ada", PASSWORD, TestGate::call()) {
        Login::Next(Next::ChangePassword(change)) => {
            block_on(change.set(OTHER.to_owned())).unwrap()
        }
        other => panic!("{other:?}"),
    }
    assert!(!is_known(&kept, OTHER), "after a change that was due");

    old = cookie(&gate, "ada", OTHER);
    let _ = gate.recorded();
    forget(&gate, &ada);
    let recorded: Vec<_> = gate.recorded().into_iter().map(|record| record.operation).collect();
    assert_eq!(recorded, [Operation::DevicesForgotten]);
    assert!(!is_known(&old, OTHER), "after an administrator forgot them");
}

/// LK-20: made and voided in any order while the clock stands ahead or is right, a cookie stays void at the
/// time that it bears, and the owner gets one that works each time.
#[test]
fn a_cookie_that_a_wrong_clock_has_seen_stays_void() {
    let ten = Duration::from_secs(600);
    for ahead in [ten, ten + Duration::from_secs(60), 30 * DAY, 4_000 * DAY] {
        for (made_ahead, voided_ahead) in
            [(true, true), (true, false), (false, true), (false, false)]
        {
            let gate = over(with_devices(), memory(), |gate| gate);
            let ada = gate.add("ada", "staff", PASSWORD);
            let (tenant, call) = (TestGate::tenant(), TestGate::call());
            let right = gate.clock.now();
            let stand =
                |is_ahead| gate.clock.set(if is_ahead { right.after(ahead) } else { right });
            let is_known = |cookie: &str| {
                lock(&gate, "ada");
                let known =
                    matches!(login(&gate, "ada", PASSWORD, with(cookie)), Login::SignedIn(_));
                let operator = gate.gate.operator(&tenant, name!("console"), &call).unwrap();
                block_on(operator.unlock(&ada)).unwrap();
                known
            };
            stand(made_ahead);
            let old = cookie(&gate, "ada", PASSWORD);
            assert!(is_known(&old));
            stand(voided_ahead);
            forget(&gate, &ada);
            for is_ahead in [voided_ahead, !voided_ahead, true] {
                stand(is_ahead);
                assert!(!is_known(&old), "{ahead:?}: {made_ahead}, {voided_ahead}, {is_ahead}");
                let new = cookie(&gate, "ada", PASSWORD);
                assert!(is_known(&new), "{ahead:?}: {made_ahead}, {voided_ahead}, {is_ahead}");
            }
        }
    }
}

/// What counts is not for the counters to say: cookies are made, and void ones are void, while they do
/// not answer.
#[test]
fn cookies_are_made_and_told_apart_during_an_outage() {
    for outage in ["\"open\"", "{ degraded = { failures = 2, window = \"1h\" } }"] {
        let down = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&down);
        let plan = move |_| gone.load(Ordering::SeqCst).then_some(Fault::Before);
        let counters = FaultyStore::new(memory(), plan);
        let asks = format!("when_store_is_down = {outage}");
        let policy = policy(&[DEVICES, ("when_store_is_down = \"refuse\"", &asks)]);
        let gate = over(policy, memory(), |gate| gate.counters(counters));
        let ada = gate.add("ada", "staff", PASSWORD);
        let before = cookie(&gate, "ada", PASSWORD);
        down.store(true, Ordering::SeqCst);
        forget(&gate, &ada);
        let made = cookie(&gate, "ada", PASSWORD);
        let Login::SignedIn(kept) = login(&gate, "ada", PASSWORD, with(&made)) else { panic!() };
        let kept = kept.device().unwrap().expose().to_owned();
        down.store(false, Ordering::SeqCst);
        gate.clock.advance(Duration::from_secs(2));
        block_on(gate.gate.upkeep());
        assert_eq!(gate.gate.counters_down(), None);
        lock(&gate, "ada");
        for (cookie, counts) in [(before, false), (made, true), (kept, true)] {
            let known = matches!(login(&gate, "ada", PASSWORD, with(&cookie)), Login::SignedIn(_));
            assert_eq!(known, counts, "{outage}");
        }
    }
}

/// An owner whose account is locked for strangers changes the password from a known browser.
#[test]
fn a_known_browser_changes_the_password_during_an_attack() {
    let gate = over(with_devices(), memory(), |gate| gate);
    gate.add("ada", "staff", PASSWORD);
    let known = with(&cookie(&gate, "ada", PASSWORD));
    lock(&gate, "ada");
    let Login::SignedIn(issued) = login(&gate, "ada", PASSWORD, known.clone()) else { panic!() };
    let change = |call: &Call| {
        let by = gate.gate.by(issued.principal(), call).unwrap();
        block_on(by.change_password(PASSWORD.to_owned(), OTHER.to_owned())).map(|_| ())
    };
    change(&TestGate::call()).unwrap_err();
    change(&known).unwrap();
}

/// Without device counters nobody gets a cookie, and none counts.
#[test]
fn a_policy_without_device_counters_gives_no_cookie() {
    let with_them = over(with_devices(), memory(), |gate| gate);
    with_them.add("ada", "staff", PASSWORD);
    let gate = over(policy(&[]), memory(), |gate| gate);
    gate.add("ada", "staff", PASSWORD);
    assert!(gate.sign_in("ada", PASSWORD).device().is_none());
    lock(&gate, "ada");
    let call = with(&cookie(&with_them, "ada", PASSWORD));
    assert_eq!(refused(login(&gate, "ada", PASSWORD, call)).code(), Code::Locked);
}

fn forgiving() -> Policy {
    policy(&[("repeats = 0", "repeats = 20")])
}

/// LK-13: a program goes on with the old password for a week, every 73 minutes.
#[test]
fn a_stale_client_does_not_lock_its_owner() {
    let gate = over(forgiving(), memory(), |gate| gate);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    gate.add("ada", "staff", OTHER);
    let reset = link(&gate, Purpose::Reset);
    block_on(gate.gate.redeem(&tenant, Purpose::Reset, &reset, PASSWORD.to_owned(), &call))
        .unwrap();
    for name in ["ada", "zoe"] {
        let before = gate.gate.work().runs;
        let tries = 7 * 24 * 60 / 73;
        for _ in 0..tries {
            gate.clock.advance(Duration::from_secs(73 * 60));
            assert_eq!(refused(block_on(gate.login(name, OTHER))).code(), Code::WrongCredentials);
        }
        assert_eq!(gate.gate.work().runs - before, tries, "{name}: each is hashed");
    }
    let _ = gate.sign_in("ada", PASSWORD);
    // Of the distinct guesses, five are looked at as ever: here, the program's is one.
    for guess in 0..4 {
        assert_eq!(
            refused(block_on(gate.login("ada", &format!("Guess-Nr-{guess}")))).code(),
            Code::WrongCredentials
        );
        gate.clock.advance(Duration::from_secs(60));
    }
    assert!(matches!(block_on(gate.login("ada", "Guess-Nr-5")), Login::Refused(_)));
    assert_eq!(refused(block_on(gate.login("ada", PASSWORD))).code(), Code::Locked);
}

/// Without the policy's word for it, each counts.
#[test]
fn repeats_count_where_the_policy_does_not_forgive_them() {
    let gate = over(policy(&[]), memory(), |gate| gate);
    gate.add("ada", "staff", PASSWORD);
    lock(&gate, "ada");
}

#[test]
fn a_password_that_was_mistyped_three_times_and_then_chosen_works() {
    let gate = over(forgiving(), memory(), |gate| gate);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    gate.add("ada", "staff", PASSWORD);
    for _ in 0..3 {
        assert_eq!(refused(block_on(gate.login("ada", OTHER))).code(), Code::WrongCredentials);
    }
    let issued = gate.sign_in("ada", PASSWORD);
    let by = gate.gate.by(issued.principal(), &call).unwrap();
    block_on(by.change_password(PASSWORD.to_owned(), OTHER.to_owned())).unwrap();
    let _ = gate.sign_in("ada", OTHER);
    // And by a link, too.
    for _ in 0..3 {
        assert_eq!(refused(block_on(gate.login("ada", PASSWORD))).code(), Code::WrongCredentials);
    }
    let reset = link(&gate, Purpose::Reset);
    block_on(gate.gate.redeem(&tenant, Purpose::Reset, &reset, PASSWORD.to_owned(), &call))
        .unwrap();
    let _ = gate.sign_in("ada", PASSWORD);
}

/// The revocation is one of the counters: it is not to end with them.
#[test]
fn a_cookie_that_was_voided_stays_void_when_the_process_ends() {
    let kept = Arc::new(memory());
    let keys = Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap());
    let rolls = ("may_roll_back = \"nothing\"", "may_roll_back = \"counters\"");
    let users = Users::default();
    let open = || {
        let (keys, users) = (Arc::clone(&keys), users.clone());
        over(policy(&[DEVICES, rolls]), Arc::clone(&kept), |gate| {
            gate.keys(keys).accounts(users).counters_in_memory(1 << 20)
        })
    };
    let first = open();
    let ada = users.add(&TestGate::tenant(), "u-ada", "staff", &["ada"]);
    first.activate(&TestGate::tenant(), &ada, PASSWORD);
    let old = cookie(&first, "ada", PASSWORD);
    forget(&first, &ada);
    lock(&first, "ada");
    assert_eq!(refused(login(&first, "ada", PASSWORD, with(&old))).code(), Code::Locked);
    drop(first);
    let second = open();
    second.clock.advance(Duration::from_secs(60));
    lock(&second, "ada");
    assert_eq!(refused(login(&second, "ada", PASSWORD, with(&old))).code(), Code::Locked);
}

/// Nor is it to wait until there is room: somebody who knew the old password may keep it full.
#[test]
fn a_cookie_is_void_after_a_reset_while_made_up_names_fill_the_counters() {
    let gate = over(with_devices(), memory(), |gate| {
        gate.counters_in_memory(8 << 10).danger_store_may_roll_back()
    });
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    gate.add("ada", "staff", PASSWORD);
    let old = cookie(&gate, "ada", PASSWORD);
    // The cells of an hour ago make room for nobody before a day is over.
    gate.clock.advance(Duration::from_secs(2 * 3_600));
    for name in 0..200 {
        let wrong = refused(login(&gate, &format!("nobody-{name}"), WRONG, call.clone()));
        assert_eq!(wrong.code(), Code::WrongCredentials);
    }
    let reset = link(&gate, Purpose::Reset);
    block_on(gate.gate.redeem(&tenant, Purpose::Reset, &reset, OTHER.to_owned(), &call)).unwrap();
    block_on(gate.gate.upkeep());
    let inside = || TestGate::call_from(INSIDE);
    while refused(login(&gate, "zoe", WRONG, inside())).code() != Code::Throttled {}
    let known = refused(login(&gate, "ada", WRONG, inside().with_device(Some(old))));
    assert_eq!(known.code(), Code::Throttled);
}
