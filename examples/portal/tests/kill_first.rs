//! `kill -9` of the very first start, while the data folder is being made.
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

use std::path::PathBuf;
use std::time::{Duration, Instant};

use trial::house::{House, Running, links};
use vouchsafe::core::Entropy;
use vouchsafe::os::SystemEntropy;
use vouchsafe_testkit::runs;

const PASSWORD: &str = "Sieben!Zwetschgen-7-am-Hang";

fn random(below: u64) -> u64 {
    let bytes: [u8; 8] = SystemEntropy::new().bytes().unwrap();
    u64::from_le_bytes(bytes) % below
}

/// What a first start makes, in this order: each is a place to be killed at.
fn steps(house: &House) -> Vec<PathBuf> {
    let data = house.data();
    let made = ["keys", "portal.db", "gate.db", "log", "outbox"].map(|name| data.join(name));
    [data, house.secret()].into_iter().chain(made).collect()
}

/// Starts, kills some time after a random step, and gives the links it printed.
fn killed(house: &House) -> Vec<String> {
    let steps = steps(house);
    let step = &steps[usize::try_from(random(steps.len() as u64)).unwrap()];
    let (mut child, said) = house.launch();
    let begun = Instant::now();
    while !step.exists() && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_micros(100));
    }
    // The random moment itself.
    std::thread::sleep(Duration::from_micros(random(20_000) * random(10)));
    child.kill().unwrap();
    child.wait().unwrap();
    links(&said)
}

/// The first administrator's link works; afterwards no other that was printed does.
fn lived_in(portal: &Running, house: &House, printed: &[String]) {
    let mut client = portal.client();
    let link = Running::path(printed.last().expect("a link was printed"));
    client.redeem(&link, PASSWORD).unwrap().shows("is set");
    for link in printed {
        assert_eq!(client.get(&Running::path(link)).unwrap().status, 404, "a link outlives");
    }
    let mailed = house.mailed("administrator@zoomph.example").expect("the other tenant's mail");
    portal.client().redeem(&Running::path(&mailed), PASSWORD).unwrap().shows("is set");
    for tenant in ["amigo", "zoomph"] {
        let mut client = portal.client();
        client.sign_in(tenant, "administrator", PASSWORD).unwrap().leads_to();
        let people = client.get(&format!("/{tenant}/users")).unwrap();
        assert_eq!(people.body.matches("data-label='State'").count(), 1, "one administrator each");
        client.post(&format!("/{tenant}/log/verify"), &[]).unwrap().shows("The log verifies");
    }
}

#[test]
fn a_first_start_that_was_killed_is_carried_on() {
    let mut kills = 0;
    for _ in 0..runs(5, 50) {
        let house = House::new();
        let mut printed = Vec::new();
        for _ in 0..=random(6) {
            printed.extend(killed(&house));
            kills += 1;
        }
        // What was cut off is carried on: the link is printed, if it was not.
        let mut portal = house.start(false);
        assert_eq!(portal.client().get("/").unwrap().status, 200);
        assert_eq!(portal.stop(), Some(0));
        printed.extend(portal.late_links());
        let mut portal = house.start(false);
        lived_in(&portal, &house, &printed);
        assert_eq!(portal.stop(), Some(0));
        assert_eq!(portal.late_links(), Vec::<String>::new(), "after a start that was whole");
    }
    println!("{kills} kills");
}
