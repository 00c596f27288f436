//! What settles reaches its own charge, in whatever order it comes.
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

mod common;

use common::*;
use vouchsafe_core::{Cell, ChargeId, PolicyDigest};
use vouchsafe_lockout::{
    Consecutive, Devices, Limit, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutVerdict as V,
    OnSuccess,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Right,
    Wrong(u8),
    Unverified,
    Never,
}

const ENDS: [End; 4] = [End::Right, End::Wrong(1), End::Unverified, End::Never];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Begin(u64),
    Settle(u64, End),
    Unlock,
}

/// What counts after these acts: the charges in the log, by id, and the run.
fn expected(acts: &[Act], on_success: OnSuccess) -> (Vec<u64>, usize) {
    // id, failed, in the run
    let mut log: Vec<(u64, bool, bool)> = Vec::new();
    let mut wrong: Vec<u8> = Vec::new();
    let mut kept = false;
    for act in acts {
        // Wrong secrets are forgotten with the last that the account is remembered for.
        if log.is_empty() && !kept {
            wrong.clear();
        }
        match *act {
            Act::Begin(id) => log.push((id, false, true)),
            Act::Unlock => (log, wrong, kept) = (Vec::new(), Vec::new(), true),
            Act::Settle(id, end) => {
                let Some(own) = log.iter().position(|c| c.0 == id && !c.1) else { continue };
                match end {
                    End::Wrong(secret) if !wrong.contains(&secret) => {
                        wrong.push(secret);
                        log[own].1 = true;
                    }
                    End::Right => {
                        let older = |at| at < own;
                        let mut at = 0;
                        log.retain(|c| {
                            let device = |id: u64| id == 1 || id == 2;
                            let same = device(c.0) && device(id);
                            let takes = match on_success {
                                OnSuccess::OwnCharge => false,
                                OnSuccess::SameDevice => same,
                                _ => true,
                            };
                            let keep = at != own && !(older(at) && c.1 && takes);
                            at += 1;
                            keep
                        });
                        log.iter_mut().for_each(|c| c.2 &= !c.1);
                    }
                    repeated => {
                        kept |= matches!(repeated, End::Wrong(_));
                        log.remove(own);
                    }
                }
            }
        }
    }
    let run = log.iter().filter(|c| c.2).count();
    (log.into_iter().map(|c| c.0).collect(), run)
}

/// Every order of these acts in which nothing settles before it begins.
fn orders(rest: &[Act], done: &mut Vec<Act>, each: &mut impl FnMut(&[Act])) {
    if rest.is_empty() {
        return each(done);
    }
    for at in 0..rest.len() {
        let act = rest[at];
        let begun = |id| done.contains(&Act::Begin(id));
        if matches!(act, Act::Settle(id, _) if !begun(id)) {
            continue;
        }
        let mut others = rest.to_vec();
        others.remove(at);
        done.push(act);
        orders(&others, done, each);
        done.pop();
    }
}

fn fresh(on_success: OnSuccess) -> Account {
    let run = Consecutive { disable_at: 5, devices_only_from: 5, memory: DAY };
    let builder =
        LockoutPolicy::builder().limit(Limit::new(9, DAY)).on_success(on_success).repeats(20);
    let policy = builder.devices(Devices::default()).consecutive(run).build().unwrap();
    Account::new(LockoutMachine::new(policy, PolicyDigest::NONE))
}

fn event(act: Act) -> LockoutEvent {
    match act {
        // 1 and 2 come from one device, 0 from a stranger.
        Act::Begin(0) => begin(0),
        Act::Begin(id) => begin_from(id, 5),
        Act::Settle(id, End::Right) => right(id),
        Act::Settle(id, End::Wrong(secret)) => wrong_secret(id, secret),
        Act::Settle(id, _) => unverified(id),
        Act::Unlock => LockoutEvent::Unlock { account: ACCOUNT, id: ChargeId::new(77) },
    }
}

/// Three attempts, every way in which each can end, every order, with and without an unlock, every
/// event delivered once or twice.
#[test]
fn every_order_of_three_attempts_counts_what_it_should() {
    let mut count = 0_usize;
    for on_success in [OnSuccess::OwnCharge, OnSuccess::SameDevice, OnSuccess::OlderFailures] {
        for mut ends in (0..64).map(|n| [ENDS[n % 4], ENDS[n / 4 % 4], ENDS[n / 16]]) {
            // Two of them typed the same.
            if ends[2] == End::Wrong(1) {
                ends[2] = End::Wrong(2);
            }
            for unlock in [false, true] {
                let mut acts: Vec<Act> = (0..3).map(Act::Begin).collect();
                let ended = (0..3).zip(ends).filter(|(_, end)| *end != End::Never);
                acts.extend(ended.map(|(id, end)| Act::Settle(id, end)));
                acts.extend(unlock.then_some(Act::Unlock));
                orders(&acts, &mut Vec::new(), &mut |order| {
                    count += 1;
                    check(order, on_success);
                });
            }
        }
    }
    // 90 orders of six acts, 630 of seven, and fewer where somebody never settles.
    assert!(count > 3 * 27 * (90 + 630), "{count}");
}

fn check(order: &[Act], on_success: OnSuccess) {
    let (left, run) = expected(order, on_success);
    for twice in [false, true] {
        let mut account = fresh(on_success);
        for act in order {
            account.send(event(*act), START);
            if twice {
                let saves = account.saves;
                account.send(event(*act), START);
                assert_eq!(account.saves, saves, "{act:?} once more, in {order:?}");
            }
        }
        let state = account.state.clone().unwrap_or_default();
        assert_eq!(state.len(), left.len(), "{on_success:?} {order:?}");
        let bytes = state.into_bytes();
        for id in &left {
            let there = bytes.windows(8).any(|part| part == u64::to_le_bytes(*id));
            assert!(there, "{id} is gone: {order:?}");
        }
        assert_eq!(run_of(&mut account), run, "{on_success:?} {order:?}");
    }
}

/// How many of the five of a run are taken, from outside: the rest are admitted.
fn run_of(account: &mut Account) -> usize {
    let run = Consecutive { disable_at: 5, devices_only_from: 5, memory: DAY };
    let wide = LockoutPolicy::builder().limit(Limit::new(64, DAY)).devices(Devices::default());
    let policy = wide.consecutive(run).build().unwrap();
    account.machine = LockoutMachine::new(policy, PolicyDigest::NONE);
    let free =
        (100..200).take_while(|id| matches!(account.send(begin(*id), START), V::Admitted(_)));
    5 - free.count()
}
