//! Opening, checking and ending the sessions of one account.

use vouchsafe_core::{AccountDigest, Authenticated, Machine, Step, Timestamp};

use crate::state::{AHEAD, Entry, written};
use crate::{AtCap, Fresh, Label, SecretDigest, Session, SessionId, SessionPolicy, Sessions};

/// The rules of one account's sessions, under a policy and its credential's present generation.
///
/// The generation is a number that whoever keeps the credential raises whenever the password is
/// set or the account disabled: every session opened under another one is then refused. It belongs
/// in the same cell as the sessions, so that both change in one swap. A lockout does not raise it:
/// a stranger's failures must not sign anybody out.
#[derive(Clone, Debug)]
pub struct SessionMachine {
    policy: SessionPolicy,
    account: AccountDigest,
    generation: u64,
}

/// What is asked of an account's sessions. There is no "save": a request in flight cannot bring
/// back what has ended.
#[derive(Debug)]
pub enum SessionEvent {
    /// Somebody signed in: open a session, always under a new secret and id.
    Open {
        /// Who has been shown to be here.
        proof: Authenticated,
        /// The generation of the credential that was verified.
        generation: u64,
        /// The new session's secret hash and id.
        fresh: Fresh,
        /// The session the browser presented while signing in, which ends.
        replaces: Option<SecretDigest>,
        /// Where from.
        label: Label,
    },
    /// A token is presented with a request. This is what counts as use.
    Check {
        /// The hash of its secret.
        secret: SecretDigest,
    },
    /// The holder of a token signs out.
    SignOut {
        /// The hash of its secret.
        secret: SecretDigest,
    },
    /// End the session with this id.
    Revoke {
        /// Its public name.
        id: SessionId,
    },
    /// End every session but that of the holder, who must have one.
    RevokeOthers {
        /// The hash of the holder's secret.
        secret: SecretDigest,
    },
    /// End every session.
    RevokeAll,
    /// Which sessions are there?
    List,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum SessionVerdict {
    /// The session is open.
    Opened {
        /// The session.
        session: Session,
        /// The one that had to end for it, at the cap.
        displaced: Vec<SessionId>,
    },
    /// The token holds.
    Active(Session),
    /// These sessions ended now; none when there was nothing left to end.
    Ended(Vec<SessionId>),
    /// The sessions that hold now, the longest open first.
    Listed(Vec<Session>),
    /// No.
    Refused(SessionRefusal),
}

/// Why a session was refused: for the access log. The outside world is told one thing for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefusal {
    /// There is no such session: it never was, was ended, or has long expired.
    #[error("no such session")]
    Unknown,
    /// It was not used for as long as the policy allows.
    #[error("the session was idle for too long")]
    Idle,
    /// It is as old as the policy allows.
    #[error("the session is too old")]
    Absolute,
    /// The password was changed or the account disabled since.
    #[error("the credential changed")]
    CredentialChanged,
    /// The account has as many sessions as it may.
    #[error("too many sessions")]
    TooMany,
    /// The proof is about another account than the one whose sessions these are.
    #[error("proof of another account")]
    OtherAccount,
}

impl SessionMachine {
    /// The rules for `account`, whose credential is at `generation`.
    #[must_use]
    pub const fn new(policy: SessionPolicy, account: AccountDigest, generation: u64) -> Self {
        Self { policy, account, generation }
    }

    /// What it goes by.
    #[must_use]
    pub const fn policy(&self) -> &SessionPolicy {
        &self.policy
    }

    fn standing(&self, entry: &Entry, now: Timestamp) -> Result<(), SessionRefusal> {
        if entry.generation != self.generation {
            return Err(SessionRefusal::CredentialChanged);
        }
        let age = now.since(entry.opened);
        if self.policy.absolute().is_some_and(|absolute| age >= absolute) {
            return Err(SessionRefusal::Absolute);
        }
        if now.since(entry.last_seen) >= self.policy.idle() {
            return Err(SessionRefusal::Idle);
        }
        Ok(())
    }

    fn save(&self, state: Sessions, verdict: SessionVerdict) -> Step<Sessions, SessionVerdict> {
        let until = state.needed_until(&self.policy);
        Step::save(state, until, verdict)
    }

    fn check(&self, was: &Sessions, secret: &SecretDigest, now: Timestamp) -> Outcome {
        let Some(at) = find(was, secret) else { return refuse(SessionRefusal::Unknown) };
        let Some(entry) = was.entries.get(at) else { return refuse(SessionRefusal::Unknown) };
        if let Err(refusal) = self.standing(entry, now) {
            return refuse(refusal);
        }
        let unwritten = now.since(entry.last_seen);
        if unwritten.is_zero() || unwritten < self.policy.granularity() {
            return Step::keep(SessionVerdict::Active(entry.view(&self.policy)));
        }
        let mut state = was.clone();
        state.seen = now;
        let mut session = entry.view(&self.policy);
        if let Some(entry) = state.entries.get_mut(at) {
            entry.last_seen = now;
            session = entry.view(&self.policy);
        }
        self.save(state, SessionVerdict::Active(session))
    }

    fn open(&self, was: &Sessions, open: Opening<'_>, now: Timestamp) -> Outcome {
        if open.proof.account() != self.account {
            return refuse(SessionRefusal::OtherAccount);
        }
        if open.generation != self.generation {
            return refuse(SessionRefusal::CredentialChanged);
        }
        // The same event again, after a swap whose answer was lost.
        if let Some(entry) = find(was, open.fresh.secret()).and_then(|at| was.entries.get(at)) {
            let session = entry.view(&self.policy);
            return Step::keep(SessionVerdict::Opened { session, displaced: Vec::new() });
        }
        let mut state = was.clone();
        state.seen = now;
        state.entries.retain(|entry| {
            self.standing(entry, now).is_ok()
                && open.replaces.is_none_or(|old| entry.secret != *old)
        });
        let mut displaced = Vec::new();
        let cap = usize::try_from(self.policy.max_sessions()).unwrap_or(usize::MAX);
        while state.entries.len() >= cap {
            if self.policy.at_cap() == AtCap::Refuse {
                return refuse(SessionRefusal::TooMany);
            }
            let unused = |(_, entry): &(usize, &Entry)| entry.last_seen;
            let Some((at, _)) = state.entries.iter().enumerate().min_by_key(unused) else { break };
            displaced.push(state.entries.remove(at).id);
        }
        let entry = Entry {
            secret: *open.fresh.secret(),
            id: open.fresh.id(),
            opened: now,
            last_seen: now,
            generation: self.generation,
            label: open.label.clone(),
        };
        let session = entry.view(&self.policy);
        state.entries.push(entry);
        self.save(state, SessionVerdict::Opened { session, displaced })
    }

    fn end(&self, was: &Sessions, ends: impl Fn(&Entry) -> bool, now: Timestamp) -> Outcome {
        let ended: Vec<_> = was.entries.iter().filter(|e| ends(e)).map(|e| e.id).collect();
        if ended.is_empty() {
            return Step::keep(SessionVerdict::Ended(ended));
        }
        let mut state = was.clone();
        state.seen = now;
        state.entries.retain(|entry| !ends(entry));
        self.save(state, SessionVerdict::Ended(ended))
    }
}

type Outcome = Step<Sessions, SessionVerdict>;

struct Opening<'a> {
    proof: &'a Authenticated,
    generation: u64,
    fresh: &'a Fresh,
    replaces: Option<&'a SecretDigest>,
    label: &'a Label,
}

fn refuse(refusal: SessionRefusal) -> Outcome {
    Step::keep(SessionVerdict::Refused(refusal))
}

/// Which entry has this secret's hash, each compared in constant time.
fn find(was: &Sessions, secret: &SecretDigest) -> Option<usize> {
    was.entries.iter().position(|entry| entry.secret == *secret)
}

impl Machine for SessionMachine {
    type State = Sessions;
    type Event = SessionEvent;
    type Verdict = SessionVerdict;

    fn step(&self, was: Option<&Sessions>, event: &SessionEvent, now: Timestamp) -> Outcome {
        let Some(was) = was else { return self.stepped(&Sessions::empty(now), event, now) };
        if was.seen <= now.after(AHEAD) {
            return self.stepped(was, event, now.max(was.seen));
        }
        let was = was.restamped(now);
        let step = self.stepped(&was, event, now);
        written(step, was, |was, verdict| self.save(was, verdict))
    }
}

impl SessionMachine {
    fn stepped(&self, was: &Sessions, event: &SessionEvent, now: Timestamp) -> Outcome {
        match event {
            SessionEvent::Open { proof, generation, fresh, replaces, label } => {
                let (replaces, generation) = (replaces.as_ref(), *generation);
                self.open(was, Opening { proof, generation, fresh, replaces, label }, now)
            }
            SessionEvent::Check { secret } => self.check(was, secret, now),
            SessionEvent::SignOut { secret } => self.end(was, |entry| entry.secret == *secret, now),
            SessionEvent::Revoke { id } => self.end(was, |entry| entry.id == *id, now),
            SessionEvent::RevokeOthers { secret } => {
                let holder = find(was, secret).and_then(|at| was.entries.get(at));
                let standing = holder
                    .ok_or(SessionRefusal::Unknown)
                    .and_then(|entry| self.standing(entry, now));
                match standing {
                    Ok(()) => self.end(was, |entry| entry.secret != *secret, now),
                    Err(refusal) => refuse(refusal),
                }
            }
            SessionEvent::RevokeAll => self.end(was, |_| true, now),
            SessionEvent::List => {
                let holds = |entry: &&Entry| self.standing(entry, now).is_ok();
                let live = was.entries.iter().filter(holds);
                Step::keep(SessionVerdict::Listed(live.map(|e| e.view(&self.policy)).collect()))
            }
        }
    }
}
