//! FA-1: every door counts before it looks.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use vouchsafe::gate::{Code, Login, NotSet, Purpose};
use vouchsafe::policy::Policy;
use vouchsafe_testkit::{TestGate, block_on};

const PASSWORD: &str = "Brass-Lantern7";
const WRONG: &str = "Copper-Kettle8";
const NEW: &str = "Linen-Compass9";

fn code<T>(set: Result<T, NotSet>) -> Code {
    match set {
        Err(NotSet::Refused(refused)) => refused.code(),
        Err(NotSet::Unmet(unmet)) => panic!("{unmet:?}"),
        Ok(_) => panic!("set"),
    }
}

/// Sign-in and change of password share the account's counter; links have one of their own.
#[test]
fn every_door_is_charged() {
    let gate = TestGate::open(Policy::preset("zoomph-2018").unwrap());
    let ada = gate.add("ada", "staff", PASSWORD);
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let issued = gate.sign_in("ada", PASSWORD);
    let principal = block_on(gate.gate.check(&tenant, issued.token().expose(), &call)).unwrap();
    let acting = gate.gate.by(&principal, &call).unwrap();
    let change = || block_on(acting.change_password(WRONG.to_owned(), NEW.to_owned()));

    for _ in 0..3 {
        assert_eq!(code(change()), Code::WrongCredentials);
    }
    for _ in 0..2 {
        let login = block_on(gate.login("ada", WRONG));
        assert!(matches!(login, Login::Refused(r) if r.code() == Code::WrongCredentials));
    }
    let hashed = gate.gate.work().runs;
    assert_eq!(code(change()), Code::Locked);
    let right = block_on(acting.change_password(PASSWORD.to_owned(), NEW.to_owned()));
    assert_eq!(code(right), Code::Locked);
    assert_eq!(gate.gate.work().runs, hashed, "refused unhashed");

    // The door for links: whoever has a link did not guess it, so a used one posted again and again
    // closes the door on nobody, and neither does text that no key of ours made.
    let (purpose, link) = gate.invite(&ada);
    assert_eq!(purpose, Purpose::Reset);
    let redeem = |link: &str| {
        block_on(gate.gate.redeem(&tenant, Purpose::Reset, link, NEW.to_owned(), &call))
    };
    redeem(&link).unwrap();
    for _ in 0..20 {
        assert_eq!(code(redeem(&link)), Code::NoLink);
        assert_eq!(code(redeem("garbage")), Code::NoLink);
    }
    gate.clock.advance(std::time::Duration::from_secs(301));
    block_on(gate.gate.request_reset(&TestGate::attempt("ada"))).unwrap();
    block_on(gate.gate.upkeep());
    redeem(&gate.mail.token().unwrap()).unwrap();
    let operator =
        gate.gate.operator(&tenant, vouchsafe::access_log::name!("console"), &call).unwrap();
    block_on(operator.unlock(&ada)).unwrap();
    let _ = gate.sign_in("ada", NEW);
}
