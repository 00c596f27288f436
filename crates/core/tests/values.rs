//! What each value gives back and prints.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "tests")]

use vouchsafe_core::{
    AccountDigest, Authenticated, ChangeOnly, ChargeId, Charged, ClauseId, Identifier,
    InvalidClause, Matched, NotMatched, NotVerified, PolicyDigest, Standing, TenantId, Timestamp,
    UserId,
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
