//! Every call that a host can wait for, each with a way to succeed and a way to be refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vouchsafe::access_log::{
    Operation, Outcome, Receipt, Record, RecordSink, SinkError, Target, VecSink, name,
};
use vouchsafe::core::{Space, TenantId, UserId};
use vouchsafe::gate::{
    Acting, Admitted, Authenticated, Call, ChangePassword, Checked, Code, Issued, Login, Next,
    NotSet, Principal, Purpose, Refused,
};
use vouchsafe::password::Password;
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, MemoryStore};
use vouchsafe_testkit::{TestGate, block_on};

pub const PASSWORD: &str = "Brass-Lantern7";
pub const OTHER: &str = "Copper-Kettle8";

/// A sink that can be told to fail.
#[derive(Clone)]
pub struct Switched {
    pub records: VecSink,
    pub down: Arc<AtomicBool>,
}

impl RecordSink for Switched {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(SinkError::Failed("told to".into()));
        }
        self.records.append(record).await
    }
}

/// Ada is signed in twice, Bob is invited, Eve's password is due for a change, and Zoe, whom nobody
/// knows, is locked.
pub struct World {
    pub gate: TestGate,
    pub store: Arc<MemoryStore>,
    pub down: Arc<AtomicBool>,
    pub tenant: TenantId,
    call: Call,
    ada: UserId,
    nobody: UserId,
    link: String,
    token: String,
    principal: Principal,
    other: Issued,
}

impl World {
    pub fn new() -> Self {
        let (records, down) = (VecSink::new(1 << 16), Arc::new(AtomicBool::new(false)));
        let sink = Switched { records: records.clone(), down: Arc::clone(&down) };
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        let policies = (tenant.clone(), Policy::preset("zoomph-2018").unwrap());
        let store = Arc::new(MemoryStore::new(1 << 24));
        let gate = TestGate::recording(policies, Arc::clone(&store), sink, records, |gate| gate);
        let gate = block_on(gate).unwrap();
        let ada = gate.add("ada", "staff", PASSWORD);
        let bob = gate.users.add(&tenant, "u-bob", "staff", &["bob"]);
        let (_, link) = gate.invite(&bob);
        let eve = gate.add("eve", "staff", PASSWORD);
        gate.users.change(&tenant, &eve, |eve| eve.attributes.push("Brass Lantern".to_owned()));
        for _ in 0..5 {
            let _ = block_on(gate.login("zoe", PASSWORD));
        }
        let (issued, other) = (gate.sign_in("ada", PASSWORD), gate.sign_in("ada", PASSWORD));
        let token = issued.token().expose().to_owned();
        let principal = issued.principal().clone();
        let nobody = UserId::new("u-nobody").unwrap();
        let world =
            Self { gate, store, down, tenant, call, ada, nobody, link, token, principal, other };
        let _ = world.said();
        world
    }

    fn acting(&self) -> Acting<'_> {
        self.gate.gate.by(&self.principal, &self.call).unwrap()
    }

    fn operator(&self) -> Acting<'_> {
        self.gate.gate.operator(&self.tenant, name!("console"), &self.call).unwrap()
    }

    fn admitted(&self) -> Admitted {
        block_on(self.gate.gate.admit(&TestGate::attempt("ada"))).unwrap()
    }

    fn authenticated(&self) -> Authenticated {
        match block_on(self.admitted().password(PASSWORD.to_owned())) {
            Checked::Authenticated(authenticated) => authenticated,
            other => panic!("{other:?}"),
        }
    }

    fn due(&self) -> ChangePassword {
        match block_on(self.gate.login("eve", PASSWORD)) {
            Login::Next(Next::ChangePassword(change)) => change,
            other => panic!("{other:?}"),
        }
    }

    fn redeem(&self, link: &str) -> Result<(), Code> {
        let (gate, tenant) = (&self.gate.gate, &self.tenant);
        let redeem = gate.redeem(tenant, Purpose::Activation, link, OTHER.to_owned(), &self.call);
        not_set(block_on(redeem))
    }

    fn peek(&self, link: &str) -> Result<(), Code> {
        let peek = self.gate.gate.peek(&self.tenant, Purpose::Activation, link, &self.call);
        code(block_on(peek))
    }

    /// The records since the last time, and what the upkeep of the next minute writes.
    pub fn said(&self) -> (Vec<Record>, Vec<Record>) {
        let at_once = self.gate.recorded();
        self.gate.clock.advance(Duration::from_secs(60));
        block_on(self.gate.gate.upkeep());
        (at_once, self.gate.recorded())
    }

    /// What the store holds of accounts, and of their failures.
    pub fn cells(&self, space: Space) -> Vec<(vouchsafe::core::CellKey, Vec<u8>)> {
        let keys = block_on(self.store.scan(space, None, 1_000)).unwrap();
        let load = |key| block_on(self.store.load(key)).unwrap().cell.map(|cell| (key, cell.bytes));
        keys.into_iter().filter_map(load).collect()
    }
}

fn code<T>(result: Result<T, Refused>) -> Result<(), Code> {
    result.map(|_| ()).map_err(|refused| refused.code())
}

fn not_set<T>(result: Result<T, NotSet>) -> Result<(), Code> {
    match result {
        Ok(_) => Ok(()),
        Err(NotSet::Refused(refused)) => Err(refused.code()),
        Err(NotSet::Unmet(unmet)) => panic!("{unmet:?}"),
    }
}

fn signed_in(login: Login) -> Result<(), Code> {
    match login {
        Login::SignedIn(_) => Ok(()),
        Login::Refused(refused) => Err(refused.code()),
        Login::Next(next) => panic!("{next:?}"),
    }
}

fn checked(checked: Checked) -> Result<(), Code> {
    match checked {
        Checked::Authenticated(_) => Ok(()),
        Checked::Refused(refused) => Err(refused.code()),
        Checked::Next(next) => panic!("{next:?}"),
    }
}

/// How a call that succeeds is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// At once, each time.
    Each,
    /// The first at once, the number of the others by the upkeep.
    Counted,
    /// A step of a sign-in that goes no further: by the upkeep.
    Unfinished,
}

/// What was prepared is done by calling it.
pub type Run<'a> = Box<dyn FnOnce() -> Result<(), Code> + 'a>;
type Prepare = for<'a> fn(&'a World) -> Run<'a>;

/// One call of the gate.
pub struct Case {
    /// The file that has it, and its name.
    pub name: &'static str,
    pub does: Operation,
    pub kind: Kind,
    /// Whether it charges an attempt, so that failures are counted whatever happens.
    pub door: bool,
    pub works: Prepare,
    pub refused: Option<Prepare>,
}

const fn case(name: &'static str, does: Operation, works: Prepare) -> Case {
    Case { name, does, kind: Kind::Each, door: false, works, refused: None }
}

impl Case {
    const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    const fn door(mut self) -> Self {
        self.door = true;
        self
    }

    const fn or(mut self, refused: Prepare) -> Self {
        self.refused = Some(refused);
        self
    }
}

fn user(_: &World) -> Target {
    Target::entity(name!("campaign"), "7").unwrap()
}

/// The calls whose records are not their own: the one writes what others left, the other starts.
pub const OTHERS: [&str; 2] = ["upkeep.rs::upkeep", "builder.rs::open"];

pub fn all() -> Vec<Case> {
    use Operation as Op;
    vec![
        case("signin.rs::admit", Op::SignInRefused, |w| {
            Box::new(|| code(block_on(w.gate.gate.admit(&TestGate::attempt("ada")))))
        })
        .kind(Kind::Unfinished)
        .door()
        .or(|w| Box::new(|| code(block_on(w.gate.gate.admit(&TestGate::attempt("zoe")))))),
        case("signin.rs::password", Op::SignInRefused, |w| {
            let admitted = w.admitted();
            Box::new(|| checked(block_on(admitted.password(PASSWORD.to_owned()))))
        })
        .kind(Kind::Unfinished)
        .door()
        .or(|w| {
            let admitted = w.admitted();
            Box::new(|| checked(block_on(admitted.password(OTHER.to_owned()))))
        }),
        case("signin.rs::open", Op::SignedIn, |w| {
            let authenticated = w.authenticated();
            Box::new(|| code(block_on(authenticated.open())))
        })
        .or(|w| {
            let authenticated = w.authenticated();
            w.gate.clock.advance(Duration::from_secs(11));
            Box::new(|| code(block_on(authenticated.open())))
        }),
        case("signin.rs::login", Op::SignedIn, |w| {
            Box::new(|| signed_in(block_on(w.gate.login("ada", PASSWORD))))
        })
        .door()
        .or(|w| Box::new(|| signed_in(block_on(w.gate.login("ada", OTHER))))),
        case("signin.rs::set", Op::PasswordChanged, |w| {
            let due = w.due();
            Box::new(|| not_set(block_on(due.set(OTHER.to_owned()))))
        })
        .or(|w| {
            let due = w.due();
            w.gate.clock.advance(Duration::from_secs(601));
            Box::new(|| not_set(block_on(due.set(OTHER.to_owned()))))
        }),
        case("sessions.rs::check", Op::SessionUsed, |w| {
            // The use is due to be written into the session, too.
            w.gate.clock.advance(Duration::from_secs(120));
            Box::new(|| code(block_on(w.gate.gate.check(&w.tenant, &w.token, &w.call))))
        })
        .kind(Kind::Counted)
        .or(|w| Box::new(|| code(block_on(w.gate.gate.check(&w.tenant, "garbage", &w.call))))),
        case("sessions.rs::sign_out", Op::SignedOut, |w| {
            Box::new(|| code(block_on(w.gate.gate.sign_out(w.principal.clone(), &w.call))))
        }),
        case("links.rs::peek", Op::Read, |w| Box::new(|| w.peek(&w.link)))
            .kind(Kind::Counted)
            .or(|w| Box::new(|| w.peek("garbage"))),
        case("links.rs::redeem", Op::Activated, |w| Box::new(|| w.redeem(&w.link)))
            .door()
            .or(|w| Box::new(|| w.redeem("garbage"))),
        case("links.rs::request_reset", Op::ResetRequested, |w| {
            w.gate.clock.advance(Duration::from_secs(301));
            Box::new(|| code(block_on(w.gate.gate.request_reset(&TestGate::attempt("ada")))))
        })
        .or(|w| {
            // Refused, and not to be told from the other.
            Box::new(|| {
                code(block_on(w.gate.gate.request_reset(&TestGate::attempt("u-nobody"))))?;
                Err(Code::NoUser)
            })
        }),
        case("acting.rs::access", Op::Updated, |w| {
            Box::new(|| code(block_on(w.acting().access(Op::Updated, user(w)))))
        }),
        case("acting.rs::denied", Op::AccessRefused, |w| {
            Box::new(|| code(block_on(w.acting().denied(user(w), name!("not-yours")))))
        }),
        case("acting.rs::invite", Op::ResetRequested, |w| {
            Box::new(|| code(block_on(w.acting().invite(&w.ada))))
        })
        .or(|w| Box::new(|| code(block_on(w.acting().invite(&w.nobody))))),
        case("acting.rs::first_link", Op::ResetRequested, |w| {
            Box::new(|| code(block_on(w.operator().first_link(&w.ada))))
        })
        .or(|w| Box::new(|| code(block_on(w.operator().first_link(&w.nobody))))),
        case("acting.rs::unlock", Op::Unlocked, |w| {
            for _ in 0..3 {
                let _ = block_on(w.gate.login("ada", OTHER));
            }
            Box::new(|| code(block_on(w.acting().unlock(&w.ada))))
        })
        .or(|w| Box::new(|| code(block_on(w.acting().unlock(&w.nobody))))),
        case("acting.rs::states", Op::Read, |w| {
            let both = [w.ada.clone(), w.nobody.clone()];
            Box::new(move || code(block_on(w.acting().states(&both))))
        }),
        case("acting.rs::lock", Op::Read, |w| Box::new(|| code(block_on(w.acting().lock(&w.ada))))),
        case("acting.rs::is_active", Op::Read, |w| {
            Box::new(|| code(block_on(w.acting().is_active(&w.ada))))
        }),
        case("acting.rs::sessions", Op::Read, |w| {
            Box::new(|| code(block_on(w.acting().sessions(&w.ada))))
        }),
        case("acting.rs::end_session", Op::SessionEnded, |w| {
            let id = w.other.principal().session().id;
            Box::new(move || code(block_on(w.acting().end_session(&w.ada, id))))
        })
        .or(|w| {
            let id = w.other.principal().session().id;
            Box::new(move || code(block_on(w.acting().end_session(&w.nobody, id))))
        }),
        case("acting.rs::end_sessions", Op::SessionEnded, |w| {
            Box::new(|| code(block_on(w.acting().end_sessions(&w.ada))))
        })
        .or(|w| Box::new(|| code(block_on(w.acting().end_sessions(&w.nobody))))),
        case("acting.rs::end_other_sessions", Op::SessionEnded, |w| {
            Box::new(|| code(block_on(w.acting().end_other_sessions())))
        })
        .or(|w| Box::new(|| code(block_on(w.operator().end_other_sessions())))),
        case("acting.rs::disable", Op::Disabled, |w| {
            Box::new(|| code(block_on(w.acting().disable(&w.ada))))
        })
        .or(|w| Box::new(|| code(block_on(w.acting().disable(&w.nobody))))),
        case("acting.rs::enable", Op::RightsChanged, |w| {
            block_on(w.acting().disable(&w.ada)).unwrap();
            Box::new(|| code(block_on(w.acting().enable(&w.ada))))
        })
        .or(|w| Box::new(|| code(block_on(w.acting().enable(&w.nobody))))),
        case("acting.rs::reclass", Op::RightsChanged, |w| {
            Box::new(|| code(block_on(w.acting().reclass(&w.ada, "client"))))
        })
        .or(|w| Box::new(|| code(block_on(w.acting().reclass(&w.ada, "no such class"))))),
        case("acting.rs::change_password", Op::PasswordChanged, |w| {
            Box::new(|| {
                let (old, new) = (PASSWORD.to_owned(), OTHER.to_owned());
                not_set(block_on(w.acting().change_password(old, new)))
            })
        })
        .door()
        .or(|w| {
            Box::new(|| {
                let (old, new) = (OTHER.to_owned(), OTHER.to_owned());
                not_set(block_on(w.acting().change_password(old, new)))
            })
        }),
        case("acting.rs::unmet", Op::Read, |w| {
            Box::new(|| {
                let password = Password::new(OTHER.to_owned()).unwrap();
                code(block_on(w.acting().unmet(&w.ada, &password)))
            })
        })
        .kind(Kind::Counted)
        .or(|w| {
            Box::new(|| {
                let password = Password::new(OTHER.to_owned()).unwrap();
                code(block_on(w.acting().unmet(&w.nobody, &password)))
            })
        }),
        case("upkeep.rs::close", Op::GateClosed, |w| {
            Box::new(|| match block_on(w.gate.gate.close()).left {
                true => Err(Code::LogUnavailable),
                false => Ok(()),
            })
        }),
    ]
}

/// Whether a record says what it has to: whose, under which policy, and how it ended.
pub fn is_about(record: &Record, world: &World, case: &Case) -> bool {
    let policy = world.gate.gate.policy(&world.tenant).unwrap().digest();
    let succeeded = match case.kind {
        Kind::Unfinished => record.outcome == Outcome::Failed(name!("outcome.unknown")),
        _ if case.name == "acting.rs::denied" => {
            record.outcome == Outcome::Refused(name!("not-yours"))
        }
        _ => record.outcome == Outcome::Succeeded,
    };
    succeeded
        && record.operation == case.does
        && record.tenant == world.tenant
        && record.policy == policy
}
