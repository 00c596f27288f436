//! Tokens: fresh, sealed, never shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_docs,
    clippy::string_slice,
    reason = "tests"
)]

mod common;

use std::collections::HashSet;

use common::*;
use vouchsafe_core::{Entropy, NoEntropy, Space, TenantId, Timestamp};
use vouchsafe_crypto::{RootKey, SystemEntropy};
use vouchsafe_session::{Error, Purpose, SessionVerdict, TokenKeys};
use vouchsafe_store::{Cells, Encrypted, Put, StoreError, Stored, Version};
use vouchsafe_testkit::{block_on, runs};

struct Dry;

impl Entropy for Dry {
    fn fill(&self, _: &mut [u8]) -> Result<(), NoEntropy> {
        Err(NoEntropy)
    }
}

#[test]
fn without_entropy_nothing_is_issued() {
    let keys = keys();
    assert_eq!(keys.issue(&tenant(), ACCOUNT, &Dry).unwrap_err(), Error::NoEntropy);
    for purpose in Purpose::ALL {
        let refused = keys.issue_link(&tenant(), ACCOUNT, purpose, &Dry);
        assert_eq!(refused.unwrap_err(), Error::NoEntropy);
    }
}

#[test]
fn ids_do_not_collide() {
    let (keys, entropy, count) = (keys(), SystemEntropy::new(), runs(100_000, 1_000_000));
    let (mut ids, mut tails) = (HashSet::new(), HashSet::new());
    let mut ones = [0_u32; 128];
    for _ in 0..count {
        let (token, new) = keys.issue(&tenant(), ACCOUNT, &entropy).unwrap();
        let id = *new.id().as_bytes();
        for (bit, ones) in ones.iter_mut().enumerate() {
            *ones += u32::from(id[bit / 8] >> (bit % 8) & 1);
        }
        assert!(ids.insert(id));
        // The last 42 characters lie in the secret.
        assert!(tails.insert(token.expose()[61..].to_owned()));
    }
    // Each bit is set half of the time, within six standard deviations.
    let (half, slack) = (count as f64 / 2.0, 3.0 * (count as f64).sqrt());
    for (bit, ones) in ones.into_iter().enumerate() {
        assert!((f64::from(ones) - half).abs() < slack, "bit {bit}: {ones} of {count}");
    }
}

#[test]
fn a_changed_or_foreign_token_does_not_open() {
    let keys = keys();
    let (token, new) = fresh(&seeded(1));
    let text = token.expose().as_bytes();
    let presented = keys.open(&tenant(), text).unwrap();
    assert_eq!((presented.account, presented.secret), (ACCOUNT, *new.secret()));
    for at in 0..text.len() {
        for letter in [b'A', b'b', b'7', b'_', b'=', b' ', 0xC3] {
            let mut changed = text.to_vec();
            changed[at] = letter;
            if changed != text {
                assert_eq!(keys.open(&tenant(), &changed), Err(Error::Token), "{at}");
            }
        }
    }
    for end in 0..text.len() {
        assert_eq!(keys.open(&tenant(), &text[..end]), Err(Error::Token));
    }
    assert_eq!(keys.open(&tenant(), &vec![b'A'; 1 << 20]), Err(Error::Token));
    let other = TenantId::new("other").unwrap();
    assert_eq!(keys.open(&other, text), Err(Error::Token));
    let foreign = TokenKeys::new(&RootKey::new(&[4; 32]));
    assert_eq!(foreign.open(&tenant(), text), Err(Error::Token));
    for purpose in Purpose::ALL {
        assert_eq!(keys.open_link(&tenant(), purpose, text), Err(Error::Token));
    }
    // The handles of one account have nothing in common but the version.
    let (second, _) = fresh(&seeded(2));
    let same = token.expose().bytes().zip(second.expose().bytes()).skip(2);
    assert!(same.filter(|(one, two)| one == two).count() < 12);
}

#[test]
fn no_token_in_state_or_debug() {
    let (token, new) = fresh(&seeded(3));
    let shown = format!("{token:?} {new:?} {:?}", keys());
    assert!(shown.starts_with("Token(..) Fresh { secret: SecretDigest(..), id: SessionId("));
    assert!(shown.ends_with(" TokenKeys(..)"));
    let text = token.expose().to_owned();
    let event = AccountEvent::Session(open(new, 0, at(0)));
    let machine = AccountMachine::default();
    let mut account = None;
    let debug = format!("{event:?}");
    let verdict = format!("{:?}", apply(&machine, &mut account, &event, at(0)));
    let stored = vouchsafe_core::Cell::into_bytes(account.clone().unwrap());
    let all = format!("{shown}{debug}{verdict}{account:?}{stored:?}").into_bytes();
    for window in text.as_bytes().windows(8).chain(text.as_bytes()[61..].windows(5)) {
        assert!(!all.windows(window.len()).any(|seen| seen == window));
        assert!(!stored.windows(window.len()).any(|seen| seen == window));
    }
    // A copied store lets nobody in: the raw secret, the last 32 bytes of a token, is not there.
    let raw = decode(&text);
    for window in raw[raw.len() - 32..].windows(4) {
        assert!(!stored.windows(4).any(|seen| seen == window));
    }
    let known = keys().open(&tenant(), text.as_bytes()).unwrap().secret;
    let event = AccountEvent::Session(check(known));
    let verdict = apply(&machine, &mut account, &event, at(1));
    assert!(matches!(verdict, AccountVerdict::Session(SessionVerdict::Active(_))), "{verdict:?}");
}

/// base64url, bit by bit: a second decoder.
fn decode(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: Vec<u8> = text
        .chars()
        .map(|letter| alphabet.find(letter).unwrap())
        .flat_map(|six| (0..6).rev().map(move |bit| u8::from(six >> bit & 1 == 1)))
        .collect();
    bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

#[test]
fn an_edited_or_moved_cell_is_corrupt() {
    let inner = std::sync::Arc::new(memory());
    let cells = Encrypted::new(inner.clone(), RootKey::new(&[5; 32]));
    let machine = AccountMachine::default();
    let (_, new) = fresh(&seeded(4));
    deliver(&cells, &machine, 1, AccountEvent::Session(open(new, 0, at(0))), at(0));
    let keys = block_on(inner.scan(Space::Account, None, 9)).unwrap();
    let Stored { bytes, version, .. } = block_on(inner.load(keys[0])).unwrap().cell.unwrap();
    let moved = vouchsafe_core::CellKey::new(Space::Account, [9; 16]);
    let put = Put::save(bytes.clone(), Timestamp::MAX, Version::new([1; 16]));
    block_on(inner.swap(moved, None, put)).unwrap();
    assert!(matches!(block_on(cells.load(moved)), Err(StoreError::Corrupt { .. })));
    let mut edited = bytes;
    *edited.last_mut().unwrap() ^= 1;
    let put = Put::save(edited, Timestamp::MAX, Version::new([2; 16]));
    block_on(inner.swap(keys[0], Some(version), put)).unwrap();
    assert!(matches!(block_on(cells.load(keys[0])), Err(StoreError::Corrupt { .. })));
}
