//! Every call that a host can wait for, each with a way to succeed and a way to be refused.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use vouchsafe::access_log::{
    Operation, Outcome, Receipt, Record, RecordSink, SinkError, Target, VecSink, name,
};
use vouchsafe::core::{CellKey, Space, TenantId, Timestamp, UserId};
use vouchsafe::crypto::RootKey;
use vouchsafe::gate::{
    Acting, Admitted, Authenticated, BreakGlass, Call, ChangePassword, Checked, Code, Issued,
    Login, Next, NotSet, Principal, Purpose, Refused,
};
use vouchsafe::os::SystemEntropy;
use vouchsafe::password::Password;
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, Loaded, MemoryStore, Put, StoreError, Swap, Version};
use vouchsafe_testkit::{TestGate, block_on};

pub const PASSWORD: &str = "Brass-Lantern7";
pub const OTHER: &str = "Copper-Kettle8";

/// A sink that can be told to fail.
#[derive(Clone)]
pub struct Switched {
    pub records: VecSink,
    pub down: Arc<AtomicBool>,
    pauses: Pauses,
}

/// While on, whoever comes by has to be polled once more.
#[derive(Clone, Default)]
pub struct Pauses(Arc<AtomicBool>);

impl Pauses {
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::SeqCst);
    }

    async fn pause(&self) {
        let mut paused = !self.0.load(Ordering::SeqCst);
        poll_fn(|context| {
            if std::mem::replace(&mut paused, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    async fn around<T>(&self, operation: impl Future<Output = T> + Send) -> T {
        self.pause().await;
        let output = operation.await;
        self.pause().await;
        output
    }
}

/// A store that pauses before and after whatever it does.
struct Pausing {
    inner: Arc<MemoryStore>,
    pauses: Pauses,
}

impl Cells for Pausing {
    async fn load(&self, key: CellKey) -> Result<Loaded, StoreError> {
        self.pauses.around(self.inner.load(key)).await
    }

    async fn swap(
        &self,
        key: CellKey,
        expected: Option<Version>,
        put: Put,
    ) -> Result<Swap, StoreError> {
        self.pauses.around(self.inner.swap(key, expected, put)).await
    }

    async fn scan(
        &self,
        space: Space,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<CellKey>, StoreError> {
        self.pauses.around(self.inner.scan(space, after, limit)).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.pauses.around(self.inner.sweep(now, limit)).await
    }
}

impl RecordSink for Switched {
    async fn append(&self, record: Record) -> Result<Receipt, SinkError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(SinkError::Failed("told to".into()));
        }
        self.pauses.around(self.records.append(record)).await
    }
}

/// Ada is signed in twice, Bob is invited, Eve's password is due for a change, and Zoe, whom nobody
/// knows, is locked.
pub struct World {
    pub gate: TestGate,
    pub store: Arc<MemoryStore>,
    pub down: Arc<AtomicBool>,
    pub pauses: Pauses,
    pub tenant: TenantId,
    call: Call,
    pub ada: UserId,
    nobody: UserId,
    pub link: String,
    token: String,
    principal: Principal,
    other: Issued,
}

impl World {
    pub fn new() -> Self {
        let (records, down) = (VecSink::new(1 << 16), Arc::new(AtomicBool::new(false)));
        let pauses = Pauses::default();
        let sink =
            Switched { records: records.clone(), down: Arc::clone(&down), pauses: pauses.clone() };
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        let policies = (tenant.clone(), Policy::preset("zoomph-2018").unwrap());
        let store = Arc::new(MemoryStore::new(1 << 24));
        let pausing = Pausing { inner: Arc::clone(&store), pauses: pauses.clone() };
        let gate = TestGate::recording(policies, pausing, sink, records, |gate| {
            let entropy = SystemEntropy::new();
            let root = RootKey::generate(&entropy).unwrap();
            gate.break_glass(BreakGlass::new(MemoryStore::new(1 << 20), &root, entropy))
        });
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
        let world = Self {
            gate,
            store,
            down,
            pauses,
            tenant,
            call,
            ada,
            nobody,
            link,
            token,
            principal,
            other,
        };
        let _ = world.said();
        world
    }

    fn acting(&self) -> Acting<'_> {
        self.gate.gate.by(&self.principal, &self.call).unwrap()
    }

    pub fn operator(&self) -> Acting<'_> {
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

    pub async fn redeem(&self, link: &str) -> Result<(), Code> {
        let (gate, tenant) = (&self.gate.gate, &self.tenant);
        let redeem = gate.redeem(tenant, Purpose::Activation, link, OTHER.to_owned(), &self.call);
        not_set(redeem.await)
    }

    async fn peek(&self, link: &str) -> Result<(), Code> {
        let peek = self.gate.gate.peek(&self.tenant, Purpose::Activation, link, &self.call);
        code(peek.await)
    }

    /// A link that unlocks `ada`, asked for and mailed.
    pub fn unlock_link(&self) -> String {
        block_on(self.gate.gate.request_unlock(&TestGate::attempt("ada"))).unwrap();
        block_on(self.gate.gate.upkeep());
        let _ = self.gate.recorded();
        self.gate.mail.token().unwrap()
    }

    /// Whether the session that no case is about still holds.
    pub fn other_holds(&self) -> bool {
        let token = self.other.token().expose();
        block_on(self.gate.gate.check(&self.tenant, token, &self.call)).is_ok()
    }

    /// The records since the last time, and what the upkeep of the next minute writes.
    pub fn said(&self) -> (Vec<Record>, Vec<Record>) {
        let at_once = self.gate.recorded();
        self.gate.clock.advance(Duration::from_secs(60));
        block_on(self.gate.gate.upkeep());
        (at_once, self.gate.recorded())
    }

    /// What the store holds of accounts, and of their failures.
    pub fn cells(&self, space: Space) -> Vec<(CellKey, Vec<u8>)> {
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

/// What was prepared, waiting to be done.
pub type Run<'a> = Pin<Box<dyn Future<Output = Result<(), Code>> + 'a>>;
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

/// Something of the host's own, where `World::cells` shows it.
fn row() -> Put {
    Put::save(vec![7], Timestamp::MAX, Version::new([7; 16]))
}

fn user(_: &World) -> Target {
    Target::entity(name!("campaign"), "7").unwrap()
}

/// The calls whose records are not their own: they write what others left, or start. And the one that
/// looks at nothing but the policy and what it is given.
pub const OTHERS: [&str; 4] =
    ["upkeep.rs::upkeep", "upkeep.rs::upkeep_within", "builder.rs::open", "password.rs::unmet"];

pub fn all() -> Vec<Case> {
    use Operation as Op;
    vec![
        case("signin.rs::admit", Op::SignInRefused, |w| {
            Box::pin(async move { code(w.gate.gate.admit(&TestGate::attempt("ada")).await) })
        })
        .kind(Kind::Unfinished)
        .door()
        .or(|w| Box::pin(async move { code(w.gate.gate.admit(&TestGate::attempt("zoe")).await) })),
        case("signin.rs::password", Op::SignInRefused, |w| {
            let admitted = w.admitted();
            Box::pin(async move { checked(admitted.password(PASSWORD.to_owned()).await) })
        })
        .kind(Kind::Unfinished)
        .door()
        .or(|w| {
            let admitted = w.admitted();
            Box::pin(async move { checked(admitted.password(OTHER.to_owned()).await) })
        }),
        case("signin.rs::open", Op::SignedIn, |w| {
            let authenticated = w.authenticated();
            Box::pin(async move { code(authenticated.open().await) })
        })
        .or(|w| {
            let authenticated = w.authenticated();
            w.gate.clock.advance(Duration::from_secs(11));
            Box::pin(async move { code(authenticated.open().await) })
        }),
        case("signin.rs::login", Op::SignedIn, |w| {
            Box::pin(async move { signed_in(w.gate.login("ada", PASSWORD).await) })
        })
        .door()
        .or(|w| Box::pin(async move { signed_in(w.gate.login("ada", OTHER).await) })),
        case("signin.rs::set", Op::PasswordChanged, |w| {
            let due = w.due();
            Box::pin(async move { not_set(due.set(OTHER.to_owned()).await) })
        })
        .or(|w| {
            let due = w.due();
            w.gate.clock.advance(Duration::from_secs(601));
            Box::pin(async move { not_set(due.set(OTHER.to_owned()).await) })
        }),
        case("sessions.rs::check", Op::SessionUsed, |w| {
            // The use is due to be written into the session, too.
            w.gate.clock.advance(Duration::from_secs(120));
            Box::pin(async move { code(w.gate.gate.check(&w.tenant, &w.token, &w.call).await) })
        })
        .kind(Kind::Counted)
        .or(|w| {
            Box::pin(async move { code(w.gate.gate.check(&w.tenant, "garbage", &w.call).await) })
        }),
        case("sessions.rs::sign_out", Op::SignedOut, |w| {
            Box::pin(async move { code(w.gate.gate.sign_out(w.principal.clone(), &w.call).await) })
        }),
        case("links.rs::peek", Op::Read, |w| Box::pin(async move { w.peek(&w.link).await }))
            .kind(Kind::Counted)
            .or(|w| Box::pin(async move { w.peek("garbage").await })),
        case("links.rs::redeem", Op::Activated, |w| {
            Box::pin(async move { w.redeem(&w.link).await })
        })
        .door()
        .or(|w| Box::pin(async move { w.redeem("garbage").await })),
        case("links.rs::request_reset", Op::ResetRequested, |w| {
            w.gate.clock.advance(Duration::from_secs(301));
            Box::pin(
                async move { code(w.gate.gate.request_reset(&TestGate::attempt("ada")).await) },
            )
        })
        .or(|w| {
            // Refused, and not to be told from the other.
            Box::pin(async move {
                code(w.gate.gate.request_reset(&TestGate::attempt("u-nobody")).await)?;
                Err(Code::NoUser)
            })
        }),
        case("acting.rs::access", Op::Updated, |w| {
            Box::pin(async move { code(w.acting().access(Op::Updated, user(w)).await) })
        }),
        case("acting.rs::perform", Op::Created, |w| {
            let action = async {
                w.pauses
                    .around(w.store.swap(CellKey::new(Space::Account, [7; 16]), None, row()))
                    .await
            };
            let acting = w.acting();
            Box::pin(async move {
                let performed = acting.perform(Op::Created, user(w), action).await;
                performed.map(|done| assert!(done.is_ok())).map_err(|refused| refused.code())
            })
        }),
        case("acting.rs::denied", Op::AccessRefused, |w| {
            Box::pin(async move { code(w.acting().denied(user(w), name!("not-yours")).await) })
        }),
        case("acting.rs::invite", Op::ResetRequested, |w| {
            Box::pin(async move { code(w.acting().invite(&w.ada).await) })
        })
        .or(|w| Box::pin(async move { code(w.acting().invite(&w.nobody).await) })),
        case("acting.rs::first_link", Op::ResetRequested, |w| {
            Box::pin(async move { code(w.operator().first_link(&w.ada).await) })
        })
        .or(|w| Box::pin(async move { code(w.operator().first_link(&w.nobody).await) })),
        case("acting.rs::unlock", Op::Unlocked, |w| {
            for _ in 0..3 {
                let _ = block_on(w.gate.login("ada", OTHER));
            }
            Box::pin(async move { code(w.acting().unlock(&w.ada).await) })
        })
        .or(|w| Box::pin(async move { code(w.acting().unlock(&w.nobody).await) })),
        case("acting.rs::forget_devices", Op::DevicesForgotten, |w| {
            Box::pin(async move { code(w.acting().forget_devices(&w.ada).await) })
        })
        .or(|w| Box::pin(async move { code(w.acting().forget_devices(&w.nobody).await) })),
        case("acting.rs::states", Op::Read, |w| {
            let both = [w.ada.clone(), w.nobody.clone()];
            Box::pin(async move { code(w.acting().states(&both).await) })
        }),
        case("acting.rs::lock", Op::Read, |w| {
            Box::pin(async move { code(w.acting().lock(&w.ada).await) })
        }),
        case("acting.rs::is_active", Op::Read, |w| {
            Box::pin(async move { code(w.acting().is_active(&w.ada).await) })
        }),
        case("acting.rs::sessions", Op::Read, |w| {
            Box::pin(async move { code(w.acting().sessions(&w.ada).await) })
        }),
        case("acting.rs::end_session", Op::SessionEnded, |w| {
            let id = w.other.principal().session().id;
            Box::pin(async move { code(w.acting().end_session(&w.ada, id).await) })
        })
        .or(|w| {
            let id = w.other.principal().session().id;
            Box::pin(async move { code(w.acting().end_session(&w.nobody, id).await) })
        }),
        case("acting.rs::end_sessions", Op::SessionEnded, |w| {
            Box::pin(async move { code(w.acting().end_sessions(&w.ada).await) })
        })
        .or(|w| Box::pin(async move { code(w.acting().end_sessions(&w.nobody).await) })),
        case("acting.rs::end_other_sessions", Op::SessionEnded, |w| {
            Box::pin(async move { code(w.acting().end_other_sessions().await) })
        })
        .or(|w| Box::pin(async move { code(w.operator().end_other_sessions().await) })),
        case("acting.rs::disable", Op::Disabled, |w| {
            Box::pin(async move { code(w.acting().disable(&w.ada).await) })
        })
        .or(|w| Box::pin(async move { code(w.acting().disable(&w.nobody).await) })),
        case("acting.rs::enable", Op::RightsChanged, |w| {
            block_on(w.acting().disable(&w.ada)).unwrap();
            Box::pin(async move { code(w.acting().enable(&w.ada).await) })
        })
        .or(|w| Box::pin(async move { code(w.acting().enable(&w.nobody).await) })),
        case("acting.rs::reclass", Op::RightsChanged, |w| {
            Box::pin(async move { code(w.acting().reclass(&w.ada, "client").await) })
        })
        .or(|w| Box::pin(async move { code(w.acting().reclass(&w.ada, "no such class").await) })),
        case("acting.rs::change_password", Op::PasswordChanged, |w| {
            Box::pin(async move {
                let (old, new) = (PASSWORD.to_owned(), OTHER.to_owned());
                not_set(w.acting().change_password(old, new).await)
            })
        })
        .door()
        .or(|w| {
            Box::pin(async move {
                let (old, new) = (OTHER.to_owned(), OTHER.to_owned());
                not_set(w.acting().change_password(old, new).await)
            })
        }),
        case("acting.rs::unmet", Op::Read, |w| {
            Box::pin(async move {
                let password = Password::new(OTHER.to_owned()).unwrap();
                code(w.acting().unmet(&w.ada, &password).await)
            })
        })
        .kind(Kind::Counted)
        .or(|w| {
            Box::pin(async move {
                let password = Password::new(OTHER.to_owned()).unwrap();
                code(w.acting().unmet(&w.nobody, &password).await)
            })
        }),
        case("break_glass.rs::break_glass", Op::SignedIn, |w| {
            let right = block_on(w.operator().renew_break_glass()).unwrap();
            let _ = w.gate.recorded();
            Box::pin(async move {
                code(w.gate.gate.break_glass(&w.tenant, right, &w.call).await.map(|_| ()))
            })
        })
        .or(|w| {
            Box::pin(async move {
                let wrong = "no code".to_owned();
                code(w.gate.gate.break_glass(&w.tenant, wrong, &w.call).await.map(|_| ()))
            })
        }),
        case("break_glass.rs::renew_break_glass", Op::KeyChanged, |w| {
            Box::pin(async move { code(w.operator().renew_break_glass().await) })
        }),
        case("unlock.rs::request_unlock", Op::UnlockRequested, |w| {
            Box::pin(
                async move { code(w.gate.gate.request_unlock(&TestGate::attempt("ada")).await) },
            )
        })
        .or(|w| {
            Box::pin(async move {
                code(w.gate.gate.request_unlock(&TestGate::attempt("u-nobody")).await)?;
                Err(Code::NoUser)
            })
        }),
        case("unlock.rs::unlock", Op::Unlocked, |w| {
            let token = w.unlock_link();
            Box::pin(async move { code(w.gate.gate.unlock(&w.tenant, &token, &w.call).await) })
        })
        .door()
        .or(|w| {
            Box::pin(async move { code(w.gate.gate.unlock(&w.tenant, "garbage", &w.call).await) })
        }),
        case("upkeep.rs::confirm_clock", Op::Updated, |w| {
            Box::pin(async move { code(w.gate.gate.confirm_clock().await) })
        }),
        case("upkeep.rs::close", Op::GateClosed, |w| {
            Box::pin(async move {
                match w.gate.gate.close().await.left {
                    true => Err(Code::LogUnavailable),
                    false => Ok(()),
                }
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
