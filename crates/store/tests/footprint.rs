//! What a million accounts take. In a process of its own, which nothing else allocates in.
#![cfg(all(target_os = "linux", not(loom)))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::time::Duration;

use vouchsafe_core::{AccountDigest, ChargeId, PolicyDigest, Timestamp};
use vouchsafe_lockout::{
    Begin, Limit, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutState, LockoutVerdict,
};
use vouchsafe_store::{MemoryStore, drive};
use vouchsafe_testkit::{SeededEntropy, block_on};

const ACCOUNTS: usize = 1_000_000;

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn an_account_with_a_live_charge_takes_at_most_96_bytes() {
    let day = Duration::from_secs(24 * 3_600);
    let policy = LockoutPolicy::builder().limit(Limit::new(5, day)).build().unwrap();
    let machine = LockoutMachine::new(policy, PolicyDigest::NONE);
    let entropy = SeededEntropy::new(1);
    let now = Timestamp::EPOCH.after(50 * 365 * day);
    let before = resident();
    let store = MemoryStore::new(1 << 30);
    for number in 0..ACCOUNTS {
        let digest = (u128::from(entropy.next()) << 64) | u128::from(entropy.next());
        let account = AccountDigest::new(digest.to_be_bytes());
        let begin = Begin::new(account, ChargeId::new(entropy.next()));
        let now = now.after(Duration::from_micros(u64::try_from(number).unwrap()));
        let key = LockoutState::key(account);
        let event = LockoutEvent::Begin(begin);
        match block_on(drive(&store, &entropy, key, &machine, event, now)).unwrap() {
            LockoutVerdict::Admitted(_charge_stays) => {}
            other => panic!("{other:?}"),
        }
    }
    let taken = resident() - before;
    let (each, counted) = (taken / ACCOUNTS, store.used() / ACCOUNTS);
    println!("{each} bytes an account, of which the store counts {counted}");
    assert!(each <= 96 && counted <= 96, "{each} bytes, {counted} counted");
    // What an allocator keeps of tables that have grown is not counted.
    assert!(taken <= store.used() / 20 * 21, "{taken} bytes, {} counted", store.used());
}
