//! Two hundred guesses at once for one account, over HTTP, each from an address of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod trial;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use trial::between;
use trial::client::Client;
use trial::house::{House, Running, START};

const TENANT: &str = "zoomph";
const PASSWORD: &str = "Sieben!Zwetschgen-7-am-Hang";
const CROWD: usize = 200;

/// What the administrator's page counts.
fn hashed(administrator: &mut Client) -> u64 {
    let page = administrator.get("/zoomph/users").unwrap();
    between(&page.body, "id='hashes-run'>", "<").expect("no counter").parse().unwrap()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// All at once; what each was answered, and how long it took.
fn wave<'a>(
    crowd: impl Iterator<Item = &'a mut Client>,
    ask: impl Fn(&mut Client) -> u16 + Sync,
) -> Vec<(u16, Duration)> {
    let crowd: Vec<_> = crowd.collect();
    let start = Barrier::new(crowd.len());
    std::thread::scope(|scope| {
        let asked: Vec<_> = crowd
            .into_iter()
            .map(|client| {
                scope.spawn(|| {
                    start.wait();
                    let begun = Instant::now();
                    (ask(client), begun.elapsed())
                })
            })
            .collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn guess(client: &mut Client) -> u16 {
    let fields = [("name", "vera"), ("password", "Wrong!Guess-7-of-many")];
    client.post("/zoomph/sign-in", &fields).unwrap().status
}

fn look(client: &mut Client) -> u16 {
    client.get("/zoomph/sign-in").unwrap().status
}

/// An administrator who has invited `vera`, and `vera` with a password.
fn settled(house: &House, portal: &Running) -> Client {
    let mut administrator = portal.client();
    let link = house.mailed("administrator@zoomph.example").unwrap();
    administrator.redeem(&Running::path(&link), PASSWORD).unwrap().shows("is set");
    administrator.sign_in(TENANT, "administrator", PASSWORD).unwrap().leads_to();
    administrator.get("/zoomph/users").unwrap();
    let vera = [
        ("email", "vera@zoomph.example"),
        ("name", "vera"),
        ("class", "staff"),
        ("role", "member"),
    ];
    administrator.post("/zoomph/users", &vera).unwrap().leads_to();
    let link = house.mailed("vera@zoomph.example").unwrap();
    portal.client().redeem(&Running::path(&link), PASSWORD).unwrap().shows("is set");
    administrator
}

#[test]
fn the_first_link_is_there_within_five_seconds() {
    let portal = House::new().start(true);
    assert!(portal.took < START, "{:?}", portal.took);
}

#[test]
fn of_two_hundred_guesses_five_are_hashed_and_nobody_else_waits() {
    let house = House::new();
    let portal = house.start(true);
    let mut administrator = settled(&house, &portal);
    let mut crowd: Vec<Client> = (1..=CROWD)
        .map(|at| {
            let mut client = Client::new(&portal.address, &format!("127.{at}.{}.9", at % 250 + 1));
            assert_eq!(look(&mut client), 200);
            client
        })
        .collect();
    let before = hashed(&mut administrator);

    let over = AtomicBool::new(false);
    let mut unrelated = portal.client();
    let (first, second, mut others) = std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut times = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                assert_eq!(unrelated.get("/amigo/forgotten").unwrap().status, 200);
                times.push(begun.elapsed());
            }
            times
        });
        let first = wave(crowd.iter_mut(), guess);
        let after_first = hashed(&mut administrator) - before;
        assert_eq!(after_first, 5, "hashed in the first wave");
        let second = wave(crowd.iter_mut(), guess);
        over.store(true, Ordering::Relaxed);
        (first, second, others.join().unwrap())
    });

    let count = |status| first.iter().filter(|(answer, _)| *answer == status).count();
    assert_eq!((count(401), count(429)), (5, CROWD - 5), "first wave: {first:?}");
    assert!(second.iter().all(|(status, _)| *status == 429), "second wave: {second:?}");

    // One after the other, each guess beside a page: what is measured is the portal, and not the
    // order in which 200 threads get their turn; a busy machine slows both.
    let (mut refused, mut looked) = (Vec::new(), Vec::new());
    for client in &mut crowd {
        let begun = Instant::now();
        assert_eq!(guess(client), 429);
        refused.push(begun.elapsed());
        let begun = Instant::now();
        assert_eq!(look(client), 200);
        looked.push(begun.elapsed());
    }
    let (refused, looked) = (median(refused), median(looked));
    assert_eq!(hashed(&mut administrator) - before, 5, "hashed in all");
    administrator.get("/zoomph/users").unwrap().shows("<strong>locked</strong>");

    others.sort();
    let p99 = others[others.len() * 99 / 100];
    println!(
        "refused {refused:?}, page {looked:?}, unrelated page p99 {p99:?} of {}",
        others.len()
    );
    assert!(refused <= looked * 3, "refused in {refused:?}, page in {looked:?}");
    assert!(others.len() >= 100, "{} samples", others.len());
    assert!(p99 < Duration::from_millis(100), "{p99:?}");
}
