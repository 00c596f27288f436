//! What each value gives back and prints.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "tests")]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use vouchsafe_core::{
    AccountDigest, Address, Authenticated, ChangeOnly, ChargeId, Charged, ClauseId, Clock,
    Comparison, Entropy, IdError, Identifier, InvalidClause, Matched, NoEntropy, NotMatched,
    NotVerified, PolicyDigest, Prefix, SecretBytes, SecretString, Source, Standing, TenantId,
    Timestamp, Unavailable, UserId,
};

const ACCOUNT: AccountDigest = AccountDigest::new([1; 16]);
const ID: ChargeId = ChargeId::new(2);
const POLICY: PolicyDigest = PolicyDigest::new([0xa3; 32]);
const AT: Timestamp = Timestamp::from_micros(4);

#[test]
fn a_clause_prints_as_it_was_written() {
    assert_eq!(ClauseId::new("Z7.6").unwrap().to_string(), "Z7.6");
    let longest = "a".repeat(ClauseId::MAX_LEN);
    assert_eq!(ClauseId::new(longest.clone()).unwrap().to_string(), longest);
    assert_eq!(ClauseId::new(longest + "a"), Err(InvalidClause));
}

#[test]
fn a_policy_digest_prints_as_hexadecimal() {
    assert_eq!(POLICY.to_string(), "a3".repeat(32));
    assert_eq!(format!("{POLICY:?}"), format!("PolicyDigest({POLICY})"));
    assert_eq!(POLICY.as_bytes(), &[0xa3; 32]);
}

#[test]
fn of_ids_only_a_tenants_prints() {
    let tenant = TenantId::new("acme").unwrap();
    assert_eq!(
        (tenant.to_string(), format!("{tenant:?}")),
        ("acme".into(), "TenantId(\"acme\")".into())
    );
    let user = UserId::new("ada").unwrap();
    assert_eq!(format!("{user:?}"), "UserId(..)");
    assert_eq!(format!("{:?}", Identifier::new("ada").unwrap()), "Identifier(..)");
}

fn charged() -> Charged {
    Charged::assertion(ACCOUNT, ID, POLICY, AT)
}

#[test]
fn proofs_give_back_what_was_shown() {
    let charge = charged();
    assert_eq!(
        (charge.account(), charge.id(), charge.policy(), charge.deadline()),
        (ACCOUNT, ID, POLICY, AT)
    );
    assert_eq!((ACCOUNT.as_bytes(), ID.get()), (&[1; 16], 2));
    let not = NotMatched::assertion(charged());
    assert_eq!((not.account(), not.id(), not.policy()), (ACCOUNT, ID, POLICY));
    let none = NotVerified::assertion(charged());
    assert_eq!((none.account(), none.id(), none.policy()), (ACCOUNT, ID, POLICY));
    for standing in [Standing::Chosen, Standing::MustChange] {
        let right = Matched::assertion(charged(), standing);
        assert_eq!((right.account(), right.id(), right.policy()), (ACCOUNT, ID, POLICY));
        assert_eq!(right.standing(), standing);
    }
    let here = Authenticated::assertion(ACCOUNT, POLICY, AT);
    assert_eq!((here.account(), here.policy(), here.at()), (ACCOUNT, POLICY, AT));
    let change = ChangeOnly::assertion(ACCOUNT, POLICY, AT);
    assert_eq!((change.account(), change.policy(), change.at()), (ACCOUNT, POLICY, AT));
}

#[test]
fn an_id_may_grow_up_to_its_bound() {
    // Folding makes three bytes of each two.
    let grows = "\u{130}".repeat(42);
    assert_eq!(UserId::new(&(grows.clone() + "ab")).unwrap().as_str().len(), UserId::MAX_LEN);
    let max = UserId::MAX_LEN;
    assert_eq!(UserId::new(&(grows + "abc")), Err(IdError::TooLong { max }));
}

#[test]
fn only_one_answer_is_no_weaker() {
    assert!(Comparison::<u8>::NoWeaker.is_no_weaker());
    assert!(!Comparison::Weaker(1).is_no_weaker());
    assert!(!Comparison::Incomparable { weaker: 1, stronger: 2 }.is_no_weaker());
}

#[test]
fn a_secret_is_exposed_only_on_request() {
    assert_eq!(SecretBytes::new(b"abc".to_vec()).expose(), b"abc");
    assert_eq!(SecretString::new("käse".to_owned()).expose(), "käse");
    assert_eq!(SecretString::from("käse".to_owned()).expose(), "käse");
}

#[test]
fn where_a_request_came_from_can_be_asked() {
    let address = Address::new(IpAddr::from([192, 0, 2, 7]));
    assert_eq!(format!("{address:?}"), "Address(..)");
    assert_eq!(address.ip(), IpAddr::from([192, 0, 2, 7]));
    assert_eq!(Source::Direct(address).address(), Some(address));
    assert_eq!(Source::Forwarded { client: address, hops: 2 }.address(), Some(address));
    assert_eq!(Source::Unavailable(Unavailable::Local).address(), None);
    let block: Prefix = "198.51.100.0/24".parse().unwrap();
    assert_eq!((block.network(), block.length()), (IpAddr::from([198, 51, 100, 0]), 24));
    assert_eq!(block.to_string(), "198.51.100.0/24");
}

#[test]
fn a_moment_is_its_microseconds() {
    for micros in [-7, -1, 0, 1, 1_523_232_000_000_001] {
        assert_eq!(Timestamp::from_micros(micros).micros(), micros);
    }
    let (first, last) = (-62_135_596_800_000_000, 253_402_300_799_999_999);
    assert_eq!((Timestamp::MIN.micros(), Timestamp::MAX.micros()), (first, last));
    assert_eq!(AT.after(Duration::from_nanos(1_999)).micros(), 5);
}

/// Counts up from one.
struct Counts;

impl Entropy for Counts {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.iter_mut().zip(1..).for_each(|(byte, count)| *byte = count);
        Ok(())
    }
}

struct Nothing;

impl Entropy for Nothing {
    fn fill(&self, _: &mut [u8]) -> Result<(), NoEntropy> {
        Err(NoEntropy)
    }
}

impl Clock for Counts {
    fn now(&self) -> Timestamp {
        AT
    }
}

#[test]
fn fresh_bytes_and_the_moment_come_from_their_source() {
    assert_eq!(Counts.bytes(), Ok([1, 2, 3]));
    assert_eq!(Nothing.bytes::<3>(), Err(NoEntropy));
    let shared = Arc::new(Counts);
    assert_eq!((shared.bytes(), shared.now()), (Ok([1, 2]), AT));
    assert_eq!(Arc::new(Nothing).bytes::<2>(), Err(NoEntropy));
}
