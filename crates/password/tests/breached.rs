//! The rule against breached passwords: with a list, without one, and with one that is damaged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::string_slice,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::io::Cursor;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vouchsafe_core::Standing;
use vouchsafe_password::{
    Accepted, Attributes, BreachBuilder, BreachError, BreachFilter, BreachKey, Breached,
    FingerprintBits, HashPool, Hashing, Kind, NotVerifiedReason, Password, PasswordPolicy,
    PoolConfig, Stored, Unmet,
};
use vouchsafe_testkit::ManualClock;

const KNOWN: &str = "Brass-Lantern7";
const OTHER: &str = "Copper-Kettle8";

fn password(text: &str) -> Password {
    Password::new(text.to_owned()).unwrap()
}

fn list(of: &str) -> Vec<u8> {
    let out = Cursor::new(Vec::new());
    let mut builder = BreachBuilder::new(out, FingerprintBits::Sixteen, 1).unwrap();
    builder.push(BreachKey::of(&password(of))).unwrap();
    builder.finish().unwrap().0.into_inner()
}

fn unmet(policy: &PasswordPolicy, text: &str, list: &dyn Breached) -> Vec<Unmet> {
    let checked = policy.check_against(&password(text), &Attributes::none(), list);
    checked.err().unwrap_or_default()
}

#[test]
fn with_a_list_what_is_on_it_is_refused() {
    let policy = PasswordPolicy::builder().refuse_breached(true).require(Kind::Upper);
    let policy = policy.build().unwrap();
    assert!(policy.refuses_breached());
    let known = BreachFilter::from_bytes(list(KNOWN)).unwrap();
    assert_eq!(unmet(&policy, KNOWN, &known), [Unmet::Breached]);
    assert_eq!(unmet(&policy, OTHER, &known), []);
    // With whatever else is wrong with it.
    let short = BreachFilter::from_bytes(list("qjvwkx")).unwrap();
    let all = [Unmet::TooShort(8), Unmet::Missing(Kind::Upper), Unmet::Breached];
    assert_eq!(unmet(&policy, "qjvwkx", &short), all);
}

#[test]
fn without_a_list_nothing_is_accepted() {
    let policy = PasswordPolicy::builder().refuse_breached(true).build().unwrap();
    for text in [KNOWN, OTHER] {
        let refused = policy.check(&password(text), &Attributes::none()).unwrap_err();
        assert_eq!(refused, [Unmet::NotScreened]);
    }
    // One that was damaged after it was opened.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &list(KNOWN)).unwrap();
    let filter = BreachFilter::open(file.path()).unwrap();
    assert_eq!(unmet(&policy, KNOWN, &filter), [Unmet::Breached]);
    file.as_file().set_len(60).unwrap();
    assert_eq!(filter.is_breached(&password(KNOWN)), Err(BreachError::Shard(0)));
    for text in [KNOWN, OTHER] {
        assert_eq!(unmet(&policy, text, &filter), [Unmet::NotScreened]);
    }
    // A policy that does not ask does not look.
    for policy in [PasswordPolicy::vouchsafe(), PasswordPolicy::zoomph_staff()] {
        assert!(!policy.refuses_breached());
        let text = "Brass-Lantern7-Brass-Kettle";
        assert!(policy.check(&password(text), &Attributes::none()).is_ok());
        assert_eq!(unmet(&policy, text, &filter), []);
    }
}

/// A list on a disk that stands still until it is told to go on.
struct Slow {
    came: Sender<String>,
    go: Mutex<Receiver<()>>,
    waits: AtomicBool,
}

impl Breached for Slow {
    fn is_breached(&self, password: &Password) -> Result<bool, BreachError> {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        self.waits.store(true, Ordering::SeqCst);
        self.came.send(name).unwrap();
        // Far longer than any test takes: whoever waits for it fails, rather than hang.
        let _ = self.go.lock().unwrap().recv_timeout(Duration::from_secs(30));
        self.waits.store(false, Ordering::SeqCst);
        BreachFilter::from_bytes(list(KNOWN)).unwrap().is_breached(password)
    }
}

fn slow() -> (Arc<Slow>, Receiver<String>, Sender<()>) {
    let ((came, comes), (go, let_go)) = (channel(), channel());
    (Arc::new(Slow { came, go: Mutex::new(let_go), waits: AtomicBool::new(false) }), comes, go)
}

fn asking() -> PasswordPolicy {
    PasswordPolicy::builder().refuse_breached(true).build().unwrap()
}

fn check(
    pool: &HashPool,
    policy: &PasswordPolicy,
    text: &str,
    list: &Arc<Slow>,
) -> Hashing<Result<Accepted, Vec<Unmet>>> {
    let list: Arc<dyn Breached> = Arc::<Slow>::clone(list);
    pool.check(policy, &password(text), &Attributes::none(), list)
}

/// On a thread of the pool, and without the memory of those who hash meanwhile.
#[test]
fn a_slow_list_is_in_nobodys_way() {
    let kib = common::cheap().params().memory_kib();
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(2).budget_kib(kib));
    let record = common::record(&pool, KNOWN);
    let (list, comes, go) = slow();
    for (text, refused) in [(KNOWN, Some(vec![Unmet::Breached])), (OTHER, None)] {
        let checked = check(&pool, &asking(), text, &list);
        assert!(comes.recv().unwrap().starts_with("password-hash-"));
        // All the memory that there is, kept from the last hash or fresh.
        let verified =
            pool.verify(common::charged(1), &password(KNOWN), record.clone(), common::martha());
        assert_eq!(common::matched(verified.wait()), Some(Standing::Chosen));
        assert!(list.waits.load(Ordering::SeqCst), "the hash waited for the list");
        assert_eq!(pool.work().held_kib, kib);
        go.send(()).unwrap();
        assert_eq!(checked.wait().err(), refused);
    }
    assert_eq!(pool.work().runs, 3, "a look is no hash");
}

/// A disk that stands still holds the only worker: whoever waits behind it is told in time.
#[test]
fn nobody_waits_longer_than_allowed_behind_a_list_that_stands_still() {
    let clock = Arc::new(ManualClock::at(common::NOW));
    let config = PoolConfig::new(common::cheap()).workers(1).max_wait(Duration::from_millis(20));
    let pool = common::pool_at(config, Arc::clone(&clock));
    let (list, comes, go) = slow();
    let checked = check(&pool, &asking(), OTHER, &list);
    comes.recv().unwrap();
    let ask =
        || pool.verify(common::charged(1), &password(OTHER), Stored::Absent, common::martha());
    let (first, second) = (ask(), ask());
    clock.advance(Duration::from_micros(20_001));
    for late in [first, second] {
        assert_eq!(common::reason(late.wait()), NotVerifiedReason::Waited);
    }
    assert!(list.waits.load(Ordering::SeqCst), "the list stands still to the end");
    assert_eq!((pool.work().queued, pool.work().refused, pool.work().runs), (0, 2, 0));
    // Who comes now waits for as long as the clock says, which is not too long.
    let patient = ask();
    go.send(()).unwrap();
    assert!(checked.wait().is_ok());
    assert_eq!(common::matched(patient.wait()), None);
    assert_eq!((pool.work().refused, pool.work().runs), (2, 1));
}

/// The clock is put back by a day meanwhile: nobody waits for a day.
#[test]
fn a_clock_that_is_put_back_keeps_nobody_waiting() {
    let clock = Arc::new(ManualClock::at(common::NOW));
    let config = PoolConfig::new(common::cheap()).workers(1).max_wait(Duration::from_millis(20));
    let pool = common::pool_at(config, Arc::clone(&clock));
    let (list, comes, go) = slow();
    let checked = check(&pool, &asking(), OTHER, &list);
    comes.recv().unwrap();
    let late = pool.verify(common::charged(1), &password(OTHER), Stored::Absent, common::martha());
    clock.set(common::NOW.before(Duration::from_secs(86_400)));
    clock.advance(Duration::from_micros(20_001));
    assert_eq!(common::reason(late.wait()), NotVerifiedReason::Waited);
    assert!(list.waits.load(Ordering::SeqCst), "the list stands still to the end");
    go.send(()).unwrap();
    assert!(checked.wait().is_ok());
}

/// The pool goes while the only worker waits for a list: what is queued is answered before that ends.
#[test]
fn who_waits_behind_a_list_that_stands_still_is_told_when_the_pool_goes() {
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(1));
    let (list, comes, go) = slow();
    let checked = check(&pool, &asking(), OTHER, &list);
    comes.recv().unwrap();
    let ask =
        || pool.verify(common::charged(1), &password(OTHER), Stored::Absent, common::martha());
    let waiting = [ask(), ask()];
    let going = std::thread::spawn(move || drop(pool));
    for told in waiting {
        assert_eq!(common::reason(told.wait()), NotVerifiedReason::Stopped);
    }
    assert!(list.waits.load(Ordering::SeqCst), "the list stands still to the end");
    go.send(()).unwrap();
    going.join().unwrap();
    assert!(checked.wait().is_ok());
}

/// Panics when it goes, on a thread of the pool.
struct Brittle;

impl Breached for Brittle {
    fn is_breached(&self, _: &Password) -> Result<bool, BreachError> {
        Ok(false)
    }
}

impl Drop for Brittle {
    fn drop(&mut self) {
        let pools = |name: &str| name.starts_with("password-");
        assert!(!std::thread::current().name().is_some_and(pools), "told to");
    }
}

#[test]
fn a_list_that_panics_when_it_goes_takes_no_worker_with_it() {
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(1));
    for _ in 0..3 {
        let checked =
            pool.check(&asking(), &password(OTHER), &Attributes::none(), Arc::new(Brittle));
        assert!(checked.wait().is_ok());
    }
    common::record(&pool, OTHER);
}

/// Panics wherever it goes.
struct Loud;

impl Breached for Loud {
    fn is_breached(&self, _: &Password) -> Result<bool, BreachError> {
        Ok(false)
    }
}

impl Drop for Loud {
    fn drop(&mut self) {
        panic!("told to");
    }
}

/// So many went away from a full queue, and whoever comes next makes room: with what is dropped then they
/// have nothing to do.
fn takes_the_place_of_loud_ones(loud: usize) {
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(1).queue(loud));
    let (list, comes, go) = slow();
    let first = check(&pool, &asking(), OTHER, &list);
    comes.recv().unwrap();
    for _ in 0..loud {
        drop(pool.check(&asking(), &password(OTHER), &Attributes::none(), Arc::new(Loud)));
    }
    let second = check(&pool, &asking(), OTHER, &list);
    for checked in [first, second] {
        go.send(()).unwrap();
        assert!(checked.wait().is_ok());
    }
}

#[test]
fn a_list_that_panics_when_it_goes_takes_nobody_with_it_who_wants_its_place() {
    takes_the_place_of_loud_ones(1);
}

/// Two panics at once would end the whole process.
#[test]
fn two_lists_that_panic_when_they_go_take_nobody_with_them_either() {
    takes_the_place_of_loud_ones(2);
}

/// No place, no list that answers: nothing is accepted, and every other rule is answered.
#[test]
fn what_is_not_looked_up_is_not_accepted() {
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(1).queue(1));
    let (list, comes, go) = slow();
    let first = check(&pool, &asking(), OTHER, &list);
    comes.recv().unwrap();
    // Who asks for no list waits for nobody.
    let rule = PasswordPolicy::builder().build().unwrap();
    let unasked = check(&pool, &rule, KNOWN, &list);
    assert_eq!(pool.work().queued, 0);
    assert!(unasked.wait().is_ok());
    let second = check(&pool, &asking(), KNOWN, &list);
    let third = check(&pool, &asking(), "qjvwkx", &list).wait();
    assert_eq!(third.err().unwrap(), [Unmet::TooShort(8), Unmet::NotScreened]);
    go.send(()).unwrap();
    assert!(first.wait().is_ok());
    comes.recv().unwrap();
    go.send(()).unwrap();
    assert_eq!(second.wait().err().unwrap(), [Unmet::Breached]);
    // Nobody listens to it any more: it panics, and the worker is there afterwards.
    drop(comes);
    let refused = check(&pool, &asking(), OTHER, &list).wait().err();
    assert_eq!(refused.unwrap(), [Unmet::NotScreened]);
    drop(common::record(&pool, KNOWN));
}

#[test]
fn the_two_reasons_have_codes_and_texts_of_their_own() {
    let (breached, not) = (Unmet::Breached, Unmet::NotScreened);
    assert_eq!((breached.code(), not.code()), ("password.breached", "password.not_screened"));
    assert_eq!(breached.to_string(), "not a password that is known from a breach elsewhere");
    assert!(not.to_string().contains("could not be checked just now"));
}
