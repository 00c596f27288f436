//! LK-12, LK-20, LK-27: an owner is not kept out by strangers in line, by a browser that went away, nor by
//! an answer that was lost.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

#[path = "column/memory.rs"]
mod column;
mod cookies;
mod hourglass;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64ct::{Base64UrlUnpadded, Encoding};
use column::Column;
use cookies::{
    OTHER, PASSWORD, WRONG, attempt, cookie, link, lock, login, memory, over, refused, until, with,
    with_devices,
};
use hourglass::{Hourglass, Waiting, poll};
use vouchsafe::access_log::{Receipt, Record, RecordSink, SinkError, VecSink};
use vouchsafe::core::{CellKey, Space, Timestamp};
use vouchsafe::gate::{Admitted, Checked, Code, Login, Purpose};
use vouchsafe::store::{Cells, Loaded, MemoryStore, Put, StoreError, Swap, Version};
use vouchsafe_testkit::{Fault, FaultyStore, TestGate, block_on};

/// A known browser's attempt while so many strangers stand in line for their counter, which is full and
/// stays so. However crowded the machine is.
fn behind_strangers(strangers: usize) -> Option<Login> {
    let timer = Hourglass::default();
    let gate = over(with_devices(), memory(), |gate| gate.timer(timer));
    gate.add("ada", "staff", PASSWORD);
    let cookie = cookie(&gate, "ada", PASSWORD);
    let stranger = attempt("ada", TestGate::call());
    // Strangers, whose passwords are being looked at, or whose callers have gone.
    let _held: Vec<Admitted> =
        (0..5).map(|_| block_on(gate.gate.admit(&stranger)).unwrap()).collect();
    let mut crowd: Vec<Waiting<'_>> = (0..strangers)
        .map(|_| -> Waiting<'_> { Box::pin(gate.gate.login(&stranger, WRONG.to_owned())) })
        .collect();
    for waiting in &mut crowd {
        assert!(poll(waiting).is_none());
    }
    let known = attempt("ada", with(&cookie));
    let mut owner: Waiting<'_> = Box::pin(gate.gate.login(&known, PASSWORD.to_owned()));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if let Some(login) = poll(&mut owner) {
            return Some(login);
        }
        std::thread::yield_now();
    }
    None
}

#[test]
fn nobody_in_front_is_no_hindrance() {
    assert!(matches!(behind_strangers(0), Some(Login::SignedIn(_))));
}

#[test]
fn a_stranger_who_waits_does_not_hold_a_known_browser_up() {
    let owner = behind_strangers(1);
    assert!(matches!(owner, Some(Login::SignedIn(_))), "{owner:?}");
}

#[test]
fn strangers_in_line_do_not_turn_a_known_browser_away() {
    let owner = behind_strangers(257);
    assert!(matches!(owner, Some(Login::SignedIn(_))), "{owner:?}");
}

/// The new password is in force and the link is used up, the browser gave up on a slow column: the lock
/// has to go in the end, as it does where the counters were down.
#[test]
fn a_reset_that_is_dropped_at_the_column_lifts_the_lock() {
    let column = Arc::new(Column::default());
    let gate = over(with_devices(), memory(), |gate| gate.credentials(Arc::clone(&column)));
    gate.add("ada", "staff", PASSWORD);
    lock(&gate, "ada");
    let reset = link(&gate, Purpose::Reset);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    column.hangs.store(true, Ordering::SeqCst);
    let redeem = gate.gate.redeem(&tenant, Purpose::Reset, &reset, OTHER.to_owned(), &call);
    until(redeem, || column.reached.load(Ordering::SeqCst));
    column.hangs.store(false, Ordering::SeqCst);
    block_on(gate.gate.upkeep());
    block_on(gate.gate.upkeep());
    let peek = block_on(gate.gate.peek(&tenant, Purpose::Reset, &reset, &call));
    assert_eq!(peek.unwrap_err().code(), Code::NoLink, "used up");
    let owner = login(&gate, "ada", OTHER, TestGate::call());
    assert!(matches!(owner, Login::SignedIn(_)), "{owner:?}");
}

/// A store that hangs where it is told to.
struct Stall {
    inner: MemoryStore,
    loads: Mutex<Option<Space>>,
    swaps: Mutex<Option<Space>>,
    reached: AtomicBool,
}

impl Stall {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: memory(),
            loads: Mutex::default(),
            swaps: Mutex::default(),
            reached: AtomicBool::new(false),
        })
    }

    async fn at(&self, at: &Mutex<Option<Space>>, key: CellKey) {
        let here = *at.lock().unwrap() == Some(key.space);
        if here {
            self.reached.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
    }
}

impl Cells for Stall {
    vouchsafe_testkit::pass_on!(inner: scan sweep);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        self.at(&self.loads, key).await;
        self.inner.load(key).await
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        self.at(&self.swaps, key).await;
        self.inner.swap(key, expected, put).await
    }
}

/// A sink that reads back, so that there is a witness.
#[derive(Clone)]
struct Readable(VecSink, Arc<Mutex<Vec<Record>>>);

impl RecordSink for Readable {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        self.1.lock().unwrap().push(record.clone());
        self.0.append(record).await
    }

    async fn read_back(
        &self,
        before: Option<u64>,
        most: usize,
    ) -> Result<Option<Vec<(u64, Record)>>, SinkError> {
        let all = self.1.lock().unwrap();
        let numbered = (0..).zip(all.iter().cloned());
        let mut found: Vec<_> =
            numbered.filter(|(n, _)| before.is_none_or(|before| *n < before)).collect();
        found.reverse();
        found.truncate(most);
        Ok(Some(found))
    }
}

/// The unlock link is used up in one swap; then the store's generation goes up, which is a swap and a
/// record; then the lock is lifted. Whoever goes away in between has a used link and a lock.
#[test]
fn an_unlock_that_is_dropped_after_its_link_was_used_lifts_the_lock() {
    let store = Stall::new();
    let records = VecSink::new(1 << 16);
    let sink = Readable(records.clone(), Arc::default());
    let policies = (TestGate::tenant(), with_devices());
    let gate = TestGate::recording(policies, Arc::clone(&store), sink, records, |gate| gate);
    let gate = block_on(gate).unwrap();
    gate.add("ada", "staff", PASSWORD);
    lock(&gate, "ada");
    let unlock = link(&gate, Purpose::Unlock);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    *store.swaps.lock().unwrap() = Some(Space::System);
    let unlocking = gate.gate.unlock(&tenant, &unlock, &call);
    until(unlocking, || store.reached.load(Ordering::SeqCst));
    *store.swaps.lock().unwrap() = None;
    block_on(gate.gate.upkeep());
    block_on(gate.gate.upkeep());
    let peek = block_on(gate.gate.peek(&tenant, Purpose::Unlock, &unlock, &call));
    assert_eq!(peek.unwrap_err().code(), Code::NoLink, "used up");
    let owner = login(&gate, "ada", PASSWORD, TestGate::call());
    assert!(matches!(owner, Login::SignedIn(_)), "{owner:?}");
}

/// "the charge never stays": whoever has a link that opens did not guess it. Dropped between its charge
/// and its settlement, it stays all the same, and five of them shut the door for a day.
#[test]
fn redemptions_that_are_dropped_do_not_shut_the_door_of_links() {
    let store = Stall::new();
    let gate = over(with_devices(), Arc::clone(&store), |gate| gate);
    gate.add("ada", "staff", PASSWORD);
    let reset = link(&gate, Purpose::Reset);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let redeem = || gate.gate.redeem(&tenant, Purpose::Reset, &reset, OTHER.to_owned(), &call);
    for _ in 0..5 {
        store.reached.store(false, Ordering::SeqCst);
        *store.loads.lock().unwrap() = Some(Space::Account);
        // Somebody who will not wait.
        until(redeem(), || store.reached.load(Ordering::SeqCst));
        *store.loads.lock().unwrap() = None;
        block_on(gate.gate.upkeep());
        gate.clock.advance(Duration::from_secs(60));
    }
    let redeemed = block_on(redeem());
    assert!(redeemed.is_ok(), "{redeemed:?}");
}

/// LK-27, the other half: a right password whose *settlement* the store does not take. The proof that it
/// was right is dropped, and the charge stays as a failure.
#[test]
fn a_right_password_whose_settlement_is_lost_is_no_failure() {
    let down = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&down);
    let store =
        FaultyStore::new(memory(), move |_| gone.load(Ordering::SeqCst).then_some(Fault::Before));
    let counters = Arc::new(store);
    let gate = over(with_devices(), memory(), |gate| gate.counters(Arc::clone(&counters)));
    gate.add("ada", "staff", PASSWORD);
    for _ in 0..5 {
        let admitted = block_on(gate.gate.admit(&TestGate::attempt("ada"))).unwrap();
        // The store of the failures goes away for a moment, a few times a day.
        down.store(true, Ordering::SeqCst);
        match block_on(admitted.password(PASSWORD.to_owned())) {
            Checked::Refused(refused) => assert_eq!(refused.code(), Code::Unavailable),
            other => panic!("{other:?}"),
        }
        down.store(false, Ordering::SeqCst);
        block_on(gate.gate.upkeep());
        gate.clock.advance(Duration::from_secs(3_600));
    }
    let owner = login(&gate, "ada", PASSWORD, TestGate::call());
    assert!(matches!(owner, Login::SignedIn(_)), "{owner:?}");
}

/// Which of four counters a cookie is on.
fn lane(cookie: &str) -> u64 {
    let raw = Base64UrlUnpadded::decode_vec(cookie).unwrap();
    u64::from_le_bytes(raw[1..9].try_into().unwrap()) % 4
}

/// "the browser that changed it gets a new one": with a new number, on whichever counter that happens
/// to be, while failures stay. The browser's own counter, on which it has just shown who it is, was free.
#[test]
fn the_browser_that_changed_the_password_keeps_its_counter() {
    let (mut kept, mut lost) = (0, 0);
    for _ in 0..8 {
        let gate = over(with_devices(), memory(), |gate| gate);
        gate.add("ada", "staff", PASSWORD);
        let mut cookies: Vec<Option<String>> = vec![None; 4];
        while cookies.iter().any(Option::is_none) {
            let new = cookie(&gate, "ada", PASSWORD);
            let lane = usize::try_from(lane(&new)).unwrap();
            cookies[lane] = Some(new);
        }
        let own = cookies.pop().flatten().unwrap();
        lock(&gate, "ada");
        // Cookies that were stolen, or browsers that are somebody else's now.
        for stolen in cookies.iter().flatten() {
            for _ in 0..5 {
                let _ = refused(login(&gate, "ada", WRONG, with(stolen)));
            }
        }
        let Login::SignedIn(issued) = login(&gate, "ada", PASSWORD, with(&own)) else { panic!() };
        let call = with(issued.device().unwrap().expose());
        let by = gate.gate.by(issued.principal(), &call).unwrap();
        let changed = block_on(by.change_password(PASSWORD.to_owned(), OTHER.to_owned())).unwrap();
        let new = changed.device().unwrap().expose();
        match login(&gate, "ada", OTHER, with(new)) {
            Login::SignedIn(_) => kept += 1,
            _ => lost += 1,
        }
    }
    assert_eq!(lost, 0, "{kept} browsers are in, {lost} are not");
}

/// A store that has a time of its own, which stands still.
struct Timed(MemoryStore, Timestamp);

impl Cells for Timed {
    vouchsafe_testkit::pass_on!(0: scan sweep);

    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        Ok(self.0.load(key).await?.at(self.1))
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        Ok(match self.0.swap(key, expected, put).await? {
            Swap::Conflict(loaded) => Swap::Conflict(loaded.at(self.1)),
            other => other,
        })
    }
}

/// LK-16: a node whose clock is not the store's lets people in, and knows their browsers.
#[test]
fn whatever_a_nodes_clock_says_beside_the_stores_people_get_in() {
    let seconds = Duration::from_secs;
    let start = TestGate::start();
    for away in [0, 9, 10, 11, 500, 599] {
        for time in [start.before(seconds(away)), start.after(seconds(away))] {
            let gate = over(with_devices(), Timed(memory(), time), |gate| gate);
            gate.add("ada", "staff", PASSWORD);
            let known = cookie(&gate, "ada", PASSWORD);
            lock(&gate, "ada");
            let owner = login(&gate, "ada", PASSWORD, with(&known));
            assert!(matches!(owner, Login::SignedIn(_)), "{away}: {owner:?}");
        }
    }
}

/// LK-2: by that clock, a password that comes when the charge counts as failed is not looked at.
#[test]
fn a_password_that_comes_too_late_by_the_nodes_clock_is_not_looked_at() {
    let start = TestGate::start();
    let store = Timed(memory(), start.before(Duration::from_secs(300)));
    let gate = over(with_devices(), store, |gate| gate);
    gate.add("ada", "staff", PASSWORD);
    for (late, looked_at) in [(10, true), (11, false)] {
        let admitted = block_on(gate.gate.admit(&TestGate::attempt("ada"))).unwrap();
        gate.clock.advance(Duration::from_secs(late));
        let before = gate.gate.work().runs;
        let checked = block_on(admitted.password(PASSWORD.to_owned()));
        assert_eq!(gate.gate.work().runs > before, looked_at, "{late}: {checked:?}");
    }
}
