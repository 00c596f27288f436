//! Two hundred guesses at once for one account, over HTTP, each from an address of its own.
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

mod trial;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use trial::between;
use trial::client::Client;
use trial::house::{House, Running, START};

const TENANT: &str = "zoomph";
const PASSWORD: &str = "Sieben!Zwetschgen-7-am-Hang";
const SIGN_IN: &str = "/zoomph/sign-in";
const GUESS: [(&str, &str); 2] = [("name", "vera"), ("password", "Wrong!Guess-7-of-many")];
const CROWD: usize = 200;
/// Waves of each kind whose requests are compared.
const WAVES: usize = 90;

/// What the administrator's page counts.
fn hashed(administrator: &mut Client) -> u64 {
    let page = administrator.get("/zoomph/users").unwrap();
    between(&page.body, "id='hashes-run'>", "<").expect("no counter").parse().unwrap()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// All at once: every request is written before most can be answered. What each was answered, and
/// how long after the wave's begin. One thread listens to all, which leaves the processors to the
/// portal.
fn wave(crowd: &mut [Client], path: &str, fields: Option<&[(&str, &str)]>) -> Vec<(u16, Duration)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let requests = crowd.iter_mut().map(|client| client.prepare(path, fields).unwrap());
    let requests: Vec<_> = requests.collect();
    let begun = Instant::now();
    for (connection, request) in &requests {
        (&*connection).write_all(request.as_bytes()).unwrap();
    }
    let answers = runtime.block_on(async {
        let mut listening = Vec::new();
        for (connection, _) in requests {
            connection.set_nonblocking(true).unwrap();
            let connection = tokio::net::TcpStream::from_std(connection).unwrap();
            listening.push(tokio::spawn(async move {
                let bytes = whole(&connection).await;
                let took = begun.elapsed();
                connection.into_std().unwrap().set_nonblocking(false).unwrap();
                (bytes, took)
            }));
        }
        let mut answers = Vec::new();
        for listening in listening {
            answers.push(listening.await.unwrap());
        }
        answers
    });
    let answered = |(client, (bytes, took)): (&mut Client, (Vec<u8>, _))| {
        (client.answered(&bytes).unwrap().status, took)
    };
    crowd.iter_mut().zip(answers).map(answered).collect()
}

/// The bytes of one whole response.
async fn whole(connection: &tokio::net::TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut piece = [0; 1 << 14];
    loop {
        connection.readable().await.unwrap();
        match connection.try_read(&mut piece) {
            Ok(0) => panic!("closed after {} bytes", bytes.len()),
            Ok(read) => {
                bytes.extend_from_slice(&piece[..read]);
                if trial::client::read(&mut bytes.as_slice()).is_ok() {
                    return bytes;
                }
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
}

fn guess(client: &mut Client) -> u16 {
    client.post(SIGN_IN, &GUESS).unwrap().status
}

fn look(client: &mut Client) -> u16 {
    client.get(SIGN_IN).unwrap().status
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
        let first = wave(&mut crowd, SIGN_IN, Some(&GUESS));
        let after_first = hashed(&mut administrator) - before;
        assert_eq!(after_first, 5, "hashed in the first wave");
        let second = wave(&mut crowd, SIGN_IN, Some(&GUESS));
        over.store(true, Ordering::Relaxed);
        (first, second, others.join().unwrap())
    });

    let count = |status| first.iter().filter(|(answer, _)| *answer == status).count();
    assert_eq!((count(401), count(429)), (5, CROWD - 5), "first wave: {first:?}");
    assert!(second.iter().all(|(status, _)| *status == 429), "second wave: {second:?}");

    // The same again and again, each wave of guesses beside a wave of pages over the same kept
    // connections: a single wave is as long as the order in which 200 threads get their turn.
    let (mut refused, mut looked, mut series) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..WAVES {
        let mut guesses = |crowd: &mut [Client]| {
            let answers = wave(crowd, SIGN_IN, Some(&GUESS));
            assert!(answers.iter().all(|(status, _)| *status == 429), "wave {round}: {answers:?}");
            refused.extend(answers.into_iter().map(|(_, took)| took));
        };
        let mut pages = |crowd: &mut [Client]| {
            let answers = wave(crowd, SIGN_IN, None);
            assert!(answers.iter().all(|(status, _)| *status == 200), "wave {round}: {answers:?}");
            looked.extend(answers.into_iter().map(|(_, took)| took));
        };
        if round % 2 == 0 {
            guesses(&mut crowd);
            pages(&mut crowd);
        } else {
            pages(&mut crowd);
            guesses(&mut crowd);
        }
        assert_eq!(hashed(&mut administrator) - before, 5, "hashed after wave {round}");
        if round % 15 == 14 {
            series
                .push((median(std::mem::take(&mut refused)), median(std::mem::take(&mut looked))));
        }
    }
    // The quietest of six: whoever stands in line for an account waits for each in front of him, so
    // other work on the machine tells on the guesses more than on the pages.
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    series.sort_by(|a, b| ratio(a.0, a.1).total_cmp(&ratio(b.0, b.1)));
    let (refused, looked) = series[0];

    // One after the other: what the portal alone takes.
    let (mut one_refused, mut one_looked) = (Vec::new(), Vec::new());
    for client in &mut crowd {
        let begun = Instant::now();
        assert_eq!(guess(client), 429);
        one_refused.push(begun.elapsed());
        let begun = Instant::now();
        assert_eq!(look(client), 200);
        one_looked.push(begun.elapsed());
    }
    let (one_refused, one_looked) = (median(one_refused), median(one_looked));
    assert_eq!(hashed(&mut administrator) - before, 5, "hashed in all");
    administrator.get("/zoomph/users").unwrap().shows("<strong>locked</strong>");

    others.sort();
    let p99 = others[others.len() * 99 / 100];
    println!(
        "{WAVES} waves of {CROWD}: refused {refused:?}, page {looked:?}, {:.2} times",
        ratio(refused, looked)
    );
    println!(
        "one by one: refused {one_refused:?}, page {one_looked:?}, {:.2} times",
        ratio(one_refused, one_looked)
    );
    println!("an unrelated page in the first two waves: p99 {p99:?} of {}", others.len());
    assert!(refused <= looked * 3, "in waves: refused in {refused:?}, page in {looked:?}");
    assert!(one_refused <= one_looked * 3, "refused in {one_refused:?}, page in {one_looked:?}");
    assert!(others.len() >= 100, "{} samples", others.len());
    assert!(p99 < Duration::from_millis(100), "{p99:?}");
}
