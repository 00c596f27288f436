//! The published bugs of this field, each played against ours, and against its own fault.
//!
//! A scenario is one function. A test plays it against the whole gate; against a small counter
//! that has the published fault and no other, which it must show; and against the same counter
//! without the fault. `hall/theirs.rs` has the faults, `hall/guard.rs` ours.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

#[path = "hall/guard.rs"]
mod guard;
#[path = "hall/theirs.rs"]
mod theirs;

use std::fmt::Debug;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use guard::{Answer, Begun, Guard, HOME, OWNER, Ours, PASSWORD, WRONG};
use theirs::{Flaw, Theirs};
use vouchsafe::core::{Source, TrustedProxies};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Code, Login};
use vouchsafe::lockout::{SourcePolicy, SourceThrottle};
use vouchsafe::policy::Policy;
use vouchsafe::store::MemoryStore;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{ManualClock, SeededEntropy, TestGate, block_on};

const HOUR: Duration = Duration::from_secs(3_600);

/// Plays a scenario against ours, the fault, and the fault mended.
fn play<T: Debug + PartialEq>(
    flaw: Flaw,
    ours: impl FnOnce(&mut Ours) -> T,
    theirs: impl Fn(&mut Theirs) -> T,
    good: &T,
    bad: &T,
) {
    assert_eq!(ours(&mut Ours::new()), *good, "ours");
    assert_eq!(theirs(&mut Theirs::new(flaw)), *bad, "{flaw:?}");
    assert_eq!(theirs(&mut Theirs::new(Flaw::Nothing)), *good, "mended");
}

/// Fifty guesses, all begun before the first is verified: how many were looked at.
fn all_at_once<G: Guard>(guard: &mut G) -> usize {
    let begun: Vec<_> = (0..50).map(|_| guard.begin(OWNER, HOME)).collect();
    let tickets = begun.into_iter().filter_map(|begun| match begun {
        Begun::Admitted(ticket) => Some(ticket),
        _ => None,
    });
    tickets.map(|ticket| guard.finish(ticket, false)).filter(|a| *a == Answer::Wrong).count()
}

/// CVE-2024-4629: logins sent in parallel were all verified before the first failure counted.
#[test]
fn keycloak_cve_2024_4629() {
    play(Flaw::CountsLate, all_at_once, all_at_once, &5, &50);
}

/// CVE-2026-9798: one sign-in flow did not ask whether the account was locked.
#[test]
fn keycloak_cve_2026_9798() {
    fn both_doors<G: Guard>(guard: &mut G) -> usize {
        let first = guard.guesses(10);
        first + (0..20).filter(|_| guard.other_door() == Answer::Wrong).count()
    }
    play(Flaw::LeavesADoor, both_doors, both_doors, &5, &25);
}

/// CVE-2023-47111: the policy's number of failed checks was exceeded by checking in parallel, from
/// real threads here.
#[test]
fn zitadel_cve_2023_47111() {
    const THREADS: usize = 16;
    let looked_at = |attempt: &(dyn Fn() -> bool + Sync)| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(attempt)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|seen| *seen).count()
        })
    };
    let ours = Ours::new();
    let at_once = Barrier::new(THREADS);
    let login = || {
        at_once.wait();
        let login = block_on(ours.gate.login(OWNER, WRONG));
        matches!(login, Login::Refused(refused) if refused.code() == Code::WrongCredentials)
    };
    assert_eq!(looked_at(&login), 5);
    for (flaw, expected) in [(Flaw::CountsLate, THREADS), (Flaw::Nothing, 5)] {
        let theirs = Mutex::new(Theirs::new(flaw));
        let login = || {
            let begun = theirs.lock().unwrap().begin(OWNER, HOME);
            // All hashing takes longer than all checking.
            at_once.wait();
            let Begun::Admitted(ticket) = begun else { return false };
            theirs.lock().unwrap().finish(ticket, false) == Answer::Wrong
        };
        assert_eq!(looked_at(&login), expected, "{flaw:?}");
    }
}

/// Guesses in pairs, each pair begun together: how many were looked at.
fn pairs<G: Guard>(guard: &mut G) -> usize {
    let mut looked_at = 0;
    for _ in 0..20 {
        for begun in [guard.begin(OWNER, HOME), guard.begin(OWNER, HOME)] {
            if let Begun::Admitted(ticket) = begun {
                looked_at += usize::from(guard.finish(ticket, false) == Answer::Wrong);
            }
        }
    }
    looked_at
}

/// CVE-2023-33170: of failures at the same time only one was counted, as the others lost the race
/// to write the row.
#[test]
fn aspnet_cve_2023_33170() {
    play(Flaw::LosesCounts, pairs, pairs, &5, &10);
}

/// CVE-2024-21652: counters in memory were gone after a crash, which anybody could cause.
#[test]
fn argocd_cve_2024_21652() {
    const ROUNDS: usize = 3;
    if let Some(file) = std::env::var_os("VOUCHSAFE_HALL_FILE") {
        return guess_and_wait(file.as_ref());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cells.db");
    drop(installation(&file).add(OWNER, "staff", PASSWORD));
    let crash = |_| {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "argocd_cve_2024_21652", "--nocapture", "--test-threads=1"])
            .env("VOUCHSAFE_HALL_FILE", &file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.find_map(|line| Some(line.unwrap().strip_prefix("wrong ")?.to_owned()));
        // SIGKILL: nothing is written after it.
        child.kill().unwrap();
        child.wait().unwrap();
        said.unwrap().parse::<usize>().unwrap()
    };
    assert_eq!((0..ROUNDS).map(crash).sum::<usize>(), 5);

    let mut theirs = Theirs::new(Flaw::Nothing);
    let crash = |_| {
        let wrong = theirs.guesses(3);
        theirs.restart();
        wrong
    };
    assert_eq!((0..ROUNDS).map(crash).sum::<usize>(), 9);
}

/// A gate over a file, with the same keys whoever opens it.
fn installation(file: &Path) -> TestGate {
    let policy = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
    let keys = Keyring::ephemeral(&SeededEntropy::new(7)).unwrap();
    let store = SqliteStore::builder(file).deadline(Duration::from_secs(60)).open().unwrap();
    block_on(TestGate::over(policy, store, |gate| gate.keys(keys))).unwrap()
}

/// In the child: three guesses, then it stays until it is killed.
fn guess_and_wait(file: &Path) {
    let gate = installation(file);
    gate.users.add(&TestGate::tenant(), &format!("u-{OWNER}"), "staff", &[OWNER]);
    let wrong = (0..3).filter(|_| match block_on(gate.login(OWNER, WRONG)) {
        Login::Refused(refused) if refused.code() == Code::WrongCredentials => true,
        Login::Refused(refused) if refused.code() == Code::Locked => false,
        other => panic!("{other:?}"),
    });
    println!("\nwrong {}", wrong.count());
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// CVE-2024-21662: the cache of counters was bounded, and other names pushed the victim's out.
#[test]
fn argocd_cve_2024_21662() {
    fn crowd<G: Guard>(guard: &mut G) -> usize {
        let mut looked_at = 0;
        for round in 0..3 {
            looked_at += guard.guesses(4);
            for name in 0..1_000 {
                let source = format!("10.{round}.{}.{}", name / 200, name % 200);
                let _ = guard.attempt(&format!("nobody-{round}-{name}"), &source, false);
            }
        }
        looked_at
    }
    // Room for a few hundred counters, of which none is given up for another. Whether it still has
    // room for the victim's fifth charge is chance; a sixth is not looked at either way.
    let store = Arc::new(MemoryStore::new(1 << 16));
    let looked_at = crowd(&mut Ours::over(Arc::clone(&store)));
    assert!(looked_at == 4 || looked_at == 5, "{looked_at}");
    assert!(store.used() > (1 << 16) / 10 * 9, "the crowd was too small: {}", store.used());
    assert_eq!(crowd(&mut Theirs::new(Flaw::Evicts(1_000))), 12);
    assert_eq!(crowd(&mut Theirs::new(Flaw::Nothing)), 5);
}

/// parse-server #10266: a success that raced the failures cleared the lock they had led to.
#[test]
fn parse_server_10266() {
    fn race<G: Guard>(guard: &mut G) -> usize {
        let Begun::Admitted(owner) = guard.begin(OWNER, HOME) else { panic!("refused") };
        let before = guard.guesses(10);
        assert_eq!(guard.finish(owner, true), Answer::SignedIn);
        before + guard.guesses(10)
    }
    play(Flaw::ClearsOnSuccess, race, race, &5, &9);
}

/// Cacti #7683: the count was no single step, and unknown names were neither hashed for nor
/// counted, which told who exists.
#[test]
fn cacti_7683() {
    play(Flaw::LosesCounts, pairs, pairs, &5, &10);
    /// Of seven guesses at a name that exists and at one that does not: how many were answered as
    /// wrong, how many as locked, and how many passwords were looked at.
    fn told<G: Guard>(guard: &mut G) -> [(usize, usize, u64); 2] {
        [OWNER, "zoe"].map(|name| {
            let before = guard.looked_at();
            let answers: Vec<_> = (0..7).map(|_| guard.attempt(name, HOME, false)).collect();
            let count = |answer| answers.iter().filter(|one| **one == answer).count();
            (count(Answer::Wrong), count(Answer::Locked), guard.looked_at() - before)
        })
    }
    let (same, tells) = ([(5, 2, 5), (5, 2, 5)], [(5, 2, 5), (7, 0, 0)]);
    play(Flaw::KnownOnly, told, told, &same, &tells);
}

/// devise #2825: one attempt more than the configured number was verified.
#[test]
fn devise_2825() {
    fn one_by_one<G: Guard>(guard: &mut G) -> usize {
        guard.guesses(20)
    }
    play(Flaw::OneTooMany, one_by_one, one_by_one, &5, &6);
}

/// django-axes #261: failures with an empty user name locked everybody out.
#[test]
fn axes_261() {
    fn empty_names<G: Guard>(guard: &mut G) -> Answer {
        for _ in 0..10 {
            let _ = guard.attempt("", HOME, false);
        }
        guard.attempt(OWNER, HOME, true)
    }
    let (good, bad) = (Answer::SignedIn, Answer::Locked);
    play(Flaw::EmptyIsEverybody, empty_names, empty_names, &good, &bad);
}

/// django-axes #608: counted by address alone, an account is anybody's who has many addresses.
#[test]
fn axes_608() {
    fn from_everywhere<G: Guard>(guard: &mut G) -> usize {
        let from = |address: usize| format!("203.0.113.{address}");
        (0..40).filter(|n| guard.attempt(OWNER, &from(*n), false) == Answer::Wrong).count()
    }
    play(Flaw::ByAddress, from_everywhere, from_everywhere, &5, &40);
}

/// django-axes #865: an attempt while locked began the lock anew, so that a client with an old
/// password kept its owner out for ever.
#[test]
fn axes_865() {
    fn impatient<G: Guard>(guard: &mut G) -> Answer {
        assert_eq!(guard.guesses(5), 5);
        for _ in 0..23 {
            guard.pass(HOUR);
            assert_eq!(guard.guess(), Answer::Locked);
        }
        guard.pass(HOUR);
        guard.attempt(OWNER, HOME, true)
    }
    play(Flaw::Extends, impatient, impatient, &Answer::SignedIn, &Answer::Locked);
}

/// keycloak #48272: of several honest logins at once, all but the first were told "locked".
#[test]
fn keycloak_48272() {
    /// How many signed in, and how many were told that the account is locked.
    fn honest_crowd<G: Guard>(guard: &mut G) -> (usize, usize) {
        let (mut waiting, mut signed_in, mut locked) = (20, 0, 0);
        while waiting > 0 {
            let begun: Vec<_> = (0..waiting).map(|_| guard.begin(OWNER, HOME)).collect();
            for begun in begun {
                match begun {
                    Begun::Waits => continue,
                    Begun::Admitted(ticket) => {
                        signed_in += usize::from(guard.finish(ticket, true) == Answer::SignedIn);
                    }
                    Begun::Refused(answer) => locked += usize::from(answer == Answer::Locked),
                }
                waiting -= 1;
            }
        }
        (signed_in, locked)
    }
    play(Flaw::LocksWhileVerifying, honest_crowd, honest_crowd, &(20, 0), &(1, 19));
}

/// Keys from the left-most hop of X-Forwarded-For: whoever writes the header is a new client with
/// every request.
#[test]
fn left_most_forwarded_for() {
    const PROXY: &str = "10.0.0.1";
    let header = |n: u32| format!("203.{}.{}.7, {HOME}", n / 200, n % 200);
    let let_through = |see: &dyn Fn(&str) -> Source| {
        let clock = Arc::new(ManualClock::at(TestGate::start()));
        let throttle = SourceThrottle::new(&SourcePolicy::default(), clock);
        (0..1_000).filter(|n| throttle.check(&see(&header(*n))).is_ok()).count()
    };
    let trusted = TrustedProxies::new(vec![PROXY.parse().unwrap()]);
    let peer: IpAddr = PROXY.parse().unwrap();
    let ours = |header: &str| trusted.source(peer, [header.as_bytes()]);
    let left_most = |header: &str| {
        let first: IpAddr = header.split(',').next().unwrap().parse().unwrap();
        Source::Direct(first.into())
    };
    assert_eq!(let_through(&ours), SourcePolicy::default().narrow().attempts() as usize);
    assert_eq!(let_through(&left_most), 1_000);
}

/// rack-attack: with its store down every count was one, so everybody was let through.
#[test]
fn rack_attack_without_its_store() {
    fn outage<G: Guard>(guard: &mut G) -> usize {
        let before = guard.guesses(3);
        guard.lose_the_store();
        before + guard.guesses(20)
    }
    play(Flaw::FailsOpen, outage, outage, &3, &23);
}
