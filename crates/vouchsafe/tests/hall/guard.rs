//! What a scenario is played against, and ours.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use vouchsafe::core::Identifier;
use vouchsafe::gate::{Admitted, Attempt, Checked, Code, Issued, NotSet, Refused};
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, MemoryStore};
use vouchsafe_testkit::{Fault, FaultyStore, TestGate, block_on};

pub const PASSWORD: &str = "Brass-Lantern7";
pub const WRONG: &str = "Copper-Kettle8";

/// Who has an account.
pub const OWNER: &str = "ada";
/// Where most attempts come from.
pub const HOME: &str = "198.51.100.7";

/// May the password be looked at?
#[derive(Debug)]
pub enum Begun<T> {
    Admitted(T),
    /// Others are being verified: not now, and not locked.
    Waits,
    Refused(Answer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    SignedIn,
    Wrong,
    Locked,
    /// Not looked at, for another reason.
    NotNow,
}

/// Something that keeps guesses at five a day. An attempt has two halves, so that a scenario says
/// what happens between them.
pub trait Guard {
    type Ticket;

    fn begin(&mut self, name: &str, source: &str) -> Begun<Self::Ticket>;

    /// Looks at the password.
    fn finish(&mut self, ticket: Self::Ticket, right: bool) -> Answer;

    /// Another way in, where the owner's password is asked for too.
    fn other_door(&mut self) -> Answer;

    fn pass(&mut self, time: Duration);

    fn lose_the_store(&mut self);

    /// How many passwords were looked at.
    fn looked_at(&self) -> u64;

    fn attempt(&mut self, name: &str, source: &str, right: bool) -> Answer {
        match self.begin(name, source) {
            Begun::Admitted(ticket) => self.finish(ticket, right),
            Begun::Waits => Answer::NotNow,
            Begun::Refused(answer) => answer,
        }
    }

    fn guess(&mut self) -> Answer {
        self.attempt(OWNER, HOME, false)
    }

    /// How many of so many guesses, one after the other, were looked at.
    fn guesses(&mut self, tries: usize) -> usize {
        (0..tries).filter(|_| self.guess() == Answer::Wrong).count()
    }
}

/// A whole gate under five a day.
pub struct Ours {
    pub gate: TestGate,
    down: Arc<AtomicBool>,
    inside: Issued,
}

impl Ours {
    pub fn new() -> Self {
        Self::over(MemoryStore::new(1 << 24))
    }

    pub fn over(store: impl Cells + 'static) -> Self {
        let down = Arc::new(AtomicBool::new(false));
        let plan = Arc::clone(&down);
        let store =
            FaultyStore::new(store, move |_| plan.load(Ordering::SeqCst).then_some(Fault::Before));
        let policy = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
        let gate = block_on(TestGate::over(policy, store, |gate| gate)).unwrap();
        gate.add(OWNER, "staff", PASSWORD);
        let inside = gate.sign_in(OWNER, PASSWORD);
        Self { gate, down, inside }
    }
}

fn answer(refused: &Refused) -> Answer {
    match refused.code() {
        Code::WrongCredentials => Answer::Wrong,
        Code::Locked => Answer::Locked,
        _ => Answer::NotNow,
    }
}

impl Guard for Ours {
    type Ticket = Box<Admitted>;

    fn begin(&mut self, name: &str, source: &str) -> Begun<Self::Ticket> {
        let Ok(identifier) = Identifier::new(name) else {
            return Begun::Refused(Answer::NotNow);
        };
        let call = TestGate::call_from(source);
        let attempt = Attempt::new(TestGate::tenant(), identifier, call);
        let admit = pin!(self.gate.gate.admit(&attempt));
        // The store is memory: what is not answered at once waits for another attempt.
        match admit.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => Begun::Waits,
            Poll::Ready(Ok(admitted)) => Begun::Admitted(Box::new(admitted)),
            Poll::Ready(Err(refused)) => Begun::Refused(answer(&refused)),
        }
    }

    fn finish(&mut self, ticket: Self::Ticket, right: bool) -> Answer {
        let password = if right { PASSWORD } else { WRONG };
        match block_on(ticket.password(password.to_owned())) {
            Checked::Authenticated(authenticated) => {
                block_on(authenticated.open()).unwrap();
                Answer::SignedIn
            }
            Checked::Refused(refused) => answer(&refused),
            Checked::Next(next) => panic!("{next:?}"),
        }
    }

    fn other_door(&mut self) -> Answer {
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        let token = self.inside.token().expose();
        let principal = block_on(self.gate.gate.check(&tenant, token, &call)).unwrap();
        let acting = self.gate.gate.by(&principal, &call).unwrap();
        let new = "Linen-Compass9".to_owned();
        match block_on(acting.change_password(WRONG.to_owned(), new)) {
            Err(NotSet::Refused(refused)) => answer(&refused),
            other => panic!("{other:?}"),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.gate.clock.advance(time);
    }

    fn lose_the_store(&mut self) {
        self.down.store(true, Ordering::SeqCst);
    }

    fn looked_at(&self) -> u64 {
        self.gate.gate.work().runs
    }
}
