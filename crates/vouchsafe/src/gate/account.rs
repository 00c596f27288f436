//! One account, one cell: credential, links and sessions change together.
//!
//! Each part is stepped by its engine. Composed here, "use the link up, set the password and end
//! the sessions" is one swap, and no crash falls between.

use std::sync::Arc;

use vouchsafe_core::{AccountDigest, Effect, Machine, Standing, Step, Timestamp, UserId};
use vouchsafe_lockout::DeviceEpoch;
use vouchsafe_password::{
    Credential, CredentialEvent, CredentialMachine, CredentialVerdict, Record, Stored,
};
use vouchsafe_policy::{ClassPolicy, Policy};
use vouchsafe_session::{
    LinkEvent, LinkMachine, LinkVerdict, Links, SessionEvent, SessionMachine, SessionRefusal,
    SessionVerdict, Sessions,
};

use super::column::{Looked, Setting};
use super::column_texts::{Column, Held};

/// Whose account it is. Written with the first link, so that a session alone says whose it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) user: UserId,
    pub(crate) class: String,
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Owner({})", self.class)
    }
}

/// What is kept of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccountState {
    pub(crate) owner: Option<Owner>,
    pub(crate) credential: Option<Credential>,
    pub(crate) links: Option<Links>,
    pub(crate) sessions: Option<Sessions>,
    /// How often every session was ended at once: a sign-in that began before does not open one.
    pub(crate) epoch: u64,
    /// Which device cookies count: another number with each new password, and when whoever asks for it
    /// has them forgotten.
    pub(crate) devices: u64,
    /// Where the host has a column of its own for the record, and it was looked at.
    pub(crate) column: Option<Column>,
}

impl AccountState {
    pub(crate) fn generation(&self) -> u64 {
        self.credential.as_ref().map_or(0, Credential::generation)
    }

    fn set(&self, opened: Option<SessionVerdict>) -> AccountVerdict {
        let devices = DeviceEpoch::new(self.devices);
        AccountVerdict::Set { owner: self.owner.clone(), opened, devices }
    }
}

/// The rules of one account.
#[derive(Clone, Debug)]
pub(crate) struct AccountMachine {
    pub(crate) account: AccountDigest,
    pub(crate) policy: Arc<Policy>,
    /// [`Generation::era`](super::generation::Generation::era) of the store.
    pub(crate) era: u64,
}

/// The rules of one account of one class.
pub(super) struct Parts<'a> {
    account: AccountDigest,
    class: &'a ClassPolicy,
    era: u64,
}

/// What is asked of an account.
#[derive(Debug)]
pub(crate) enum Ask {
    /// What is there?
    Read,
    /// What would become of this? Changes nothing.
    Would(AccountEvent),
    /// This happens.
    Do(AccountEvent),
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    View(View),
    /// What would become of it, and whether it would be a change.
    Would(AccountVerdict, bool),
    Done(AccountVerdict),
}

/// What happens to an account.
#[derive(Debug)]
pub(crate) enum AccountEvent {
    /// One of its sessions.
    Session(SessionEvent),
    /// A session opens for a password that was checked in this epoch.
    Open { epoch: u64, open: SessionEvent },
    /// A link is issued; the first one says whose account it is. Without an owner, only for an
    /// account that somebody was invited to.
    Issue { owner: Option<Owner>, issue: LinkEvent },
    /// Does this link work?
    Peek(LinkEvent),
    /// A link is used up, and nothing else changes.
    Use(LinkEvent),
    /// A link is used up, the password set, every session ended.
    Redeem { redeem: LinkEvent, set: Setting },
    /// The password is replaced, every session ended and, for its owner, one opened.
    SetPassword { set: Setting, reopen: Option<SessionEvent> },
    /// The same password, hashed anew.
    Upgrade(Setting),
    /// Somebody looked at the host's column.
    Looked(Looked),
    /// Any other change of the credential.
    Credential(CredentialEvent),
    /// No browser is known any more: cookies are of this epoch from now on, which is random.
    ForgetDevices { id: u64 },
    /// The user class changed: it takes effect at the next sign-in, so every session ends.
    Reclass(String),
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum AccountVerdict {
    Session {
        owner: Option<Owner>,
        verdict: SessionVerdict,
    },
    Link(LinkVerdict),
    Credential(CredentialVerdict),
    /// The password was set; the session that was opened for its owner.
    Set {
        owner: Option<Owner>,
        opened: Option<SessionVerdict>,
        /// What its browser's cookie is made with.
        devices: DeviceEpoch,
    },
    DevicesForgotten,
    Reclassed,
    /// What was seen in the host's column is noted, or was out of date.
    Looked,
    /// Nobody was invited under this account, or its class is not in the policy.
    NoClass,
}

/// An account as it stands.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) owner: Option<Owner>,
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
    /// Which device cookies count.
    pub(crate) devices: DeviceEpoch,
    pub(crate) disabled: bool,
    /// There was a password, and it was withdrawn.
    pub(crate) withdrawn: bool,
    /// What the password entitles to, if there is one that matches.
    pub(crate) standing: Option<Standing>,
    pub(crate) column: Option<Column>,
    /// The last record, also where it matches nothing.
    pub(super) last: Option<Box<Record>>,
    /// It is in force, but for an account that is disabled.
    in_force: bool,
    /// What the host's column holds.
    pub(super) seen: Option<Held>,
    /// That is no record of any kind that is known.
    pub(super) unreadable: bool,
}

impl View {
    fn of(state: AccountState) -> Self {
        let generation = state.generation();
        let credential = state.credential.unwrap_or_default();
        Self {
            generation,
            epoch: state.epoch,
            devices: DeviceEpoch::new(state.devices),
            disabled: credential.is_disabled(),
            withdrawn: credential.is_withdrawn(),
            standing: credential.standing(),
            column: state.column,
            in_force: credential.record().is_some(),
            last: credential.into_last().map(Box::new),
            seen: None,
            unreadable: false,
            owner: state.owner,
        }
    }

    /// What a password is compared with.
    pub(super) fn stored(&self) -> Stored {
        self.standing.and(self.last.as_deref().cloned()).into()
    }

    /// The record, as it would be in the host's column; also of a disabled account.
    pub(super) fn own(&self) -> Option<&Record> {
        self.last.as_deref().filter(|_| self.in_force)
    }

    /// Nothing matches that was replaced or taken away before.
    pub(super) fn of_the_past(self) -> Self {
        Self { standing: None, withdrawn: true, ..self }
    }

    /// Nothing matches while the host's column holds something that cannot be read.
    pub(super) fn unreadable(self) -> Self {
        Self { standing: None, unreadable: true, ..self }
    }
}

/// The new state, where there is one, and what became of it.
type Outcome = (Option<AccountState>, AccountVerdict);

impl Parts<'_> {
    /// Steps the sessions inside `state`.
    fn sessions(
        &self,
        state: &mut AccountState,
        event: &SessionEvent,
        now: Timestamp,
    ) -> (bool, SessionVerdict) {
        let policy = self.class.session().clone();
        let machine = SessionMachine::new(policy, self.account, self.era ^ state.generation());
        part(&machine, &mut state.sessions, event, now)
    }

    fn links(
        &self,
        state: &mut AccountState,
        event: &LinkEvent,
        now: Timestamp,
    ) -> (bool, LinkVerdict) {
        let policy = self.class.links().clone();
        let machine = LinkMachine::new(policy, self.account, self.era ^ state.generation());
        part(&machine, &mut state.links, event, now)
    }

    /// Steps the credential. Whatever makes a new generation ends what the old one let in: the
    /// generation voids it already, and ending it keeps the lists honest.
    pub(super) fn credential(
        &self,
        state: &mut AccountState,
        event: &CredentialEvent,
        now: Timestamp,
    ) -> (bool, CredentialVerdict) {
        let before = state.generation();
        if let CredentialEvent::Set { record, .. } = event
            && record.chosen_by().is_some_and(|owner| owner != self.account)
        {
            // Chosen by the owner of another account.
            return (false, CredentialVerdict::Refused);
        }
        let (changed, verdict) = part(&CredentialMachine, &mut state.credential, event, now);
        if state.generation() != before {
            state.devices = state.devices.wrapping_add(1);
            let (_, _ended) = self.sessions(state, &SessionEvent::RevokeAll, now);
            let (_, _withdrawn) = self.links(state, &LinkEvent::WithdrawAll, now);
        }
        (changed, verdict)
    }
}

fn finish(state: AccountState, changed: bool, verdict: AccountVerdict) -> Outcome {
    (changed.then_some(state), verdict)
}

/// Steps one part in place. Its effect is carried out by the whole state's swap, for which the
/// verdict of the whole waits.
fn part<M: Machine>(
    machine: &M,
    state: &mut Option<M::State>,
    event: &M::Event,
    now: Timestamp,
) -> (bool, M::Verdict) {
    let (effect, pending) = machine.step(state.as_ref(), event, now).split();
    let changed = match effect {
        Effect::Keep => false,
        Effect::Save { state: new, .. } => {
            *state = Some(new);
            true
        }
        Effect::Erase => state.take().is_some(),
    };
    (changed, pending.committed())
}

impl Machine for AccountMachine {
    type State = AccountState;
    type Event = Ask;
    type Verdict = Answer;

    fn step(
        &self,
        was: Option<&AccountState>,
        ask: &Ask,
        now: Timestamp,
    ) -> Step<AccountState, Answer> {
        let state = was.cloned().unwrap_or_default();
        let event = match ask {
            Ask::Read => return Step::keep(Answer::View(View::of(state))),
            Ask::Would(event) | Ask::Do(event) => event,
        };
        let (new, verdict) = self.happens(state, event, now);
        match (ask, new) {
            (Ask::Would(_), new) => Step::keep(Answer::Would(verdict, new.is_some())),
            (_, None) => Step::keep(Answer::Done(verdict)),
            // An account stays until it is deleted: its generation is what voids old sessions.
            (_, Some(new)) => Step::save(new, Timestamp::MAX, Answer::Done(verdict)),
        }
    }
}

impl AccountMachine {
    fn happens(&self, mut state: AccountState, event: &AccountEvent, now: Timestamp) -> Outcome {
        let class = match event {
            AccountEvent::Issue { owner: Some(owner), .. } if state.owner.is_none() => {
                Some(owner.class.as_str())
            }
            AccountEvent::Looked(looked) if state.owner.is_none() => {
                Some(looked.owner.class.as_str())
            }
            AccountEvent::Reclass(class) if state.owner.is_some() => Some(class.as_str()),
            // Disabled again by a restore that could not say who this is: of no class there is anything
            // to end.
            AccountEvent::Credential(_) if state.owner.is_none() && state.credential.is_some() => {
                self.policy.classes().next().map(|(class, _)| class)
            }
            _ => state.owner.as_ref().map(|owner| owner.class.as_str()),
        };
        let class = class.and_then(|class| self.policy.class(class).ok());
        let Some(class) = class else { return (None, AccountVerdict::NoClass) };
        let parts = Parts { account: self.account, class, era: self.era };
        match event {
            AccountEvent::Session(event) => {
                let owner = state.owner.clone();
                let (mut changed, verdict) = parts.sessions(&mut state, event, now);
                if matches!(event, SessionEvent::RevokeAll) {
                    state.epoch = state.epoch.saturating_add(1);
                    changed = true;
                }
                finish(state, changed, AccountVerdict::Session { owner, verdict })
            }
            AccountEvent::Open { epoch, open } => {
                let owner = state.owner.clone();
                let (changed, verdict) = if state.epoch == *epoch {
                    parts.sessions(&mut state, open, now)
                } else {
                    (false, SessionVerdict::Refused(SessionRefusal::CredentialChanged))
                };
                finish(state, changed, AccountVerdict::Session { owner, verdict })
            }
            AccountEvent::Issue { owner, issue } => {
                let (changed, verdict) = parts.links(&mut state, issue, now);
                if changed && state.owner.is_none() {
                    state.owner.clone_from(owner);
                }
                finish(state, changed, AccountVerdict::Link(verdict))
            }
            // Looking changes nothing, unless a clock that stood wrong is to be corrected.
            AccountEvent::Peek(event) | AccountEvent::Use(event) => {
                let (changed, verdict) = parts.links(&mut state, event, now);
                finish(state, changed, AccountVerdict::Link(verdict))
            }
            AccountEvent::Redeem { redeem, set } => {
                let (changed, verdict) = parts.links(&mut state, redeem, now);
                if verdict != LinkVerdict::Redeemed {
                    return (None, AccountVerdict::Link(verdict));
                }
                if !changed {
                    // This very redemption, seen again: the password was set with it.
                    let verdict = state.set(None);
                    return (None, verdict);
                }
                match parts.set(&mut state, set, now).1 {
                    CredentialVerdict::Set { .. } => {
                        let verdict = state.set(None);
                        finish(state, true, verdict)
                    }
                    // Not set, so not used up either.
                    verdict => (None, AccountVerdict::Credential(verdict)),
                }
            }
            AccountEvent::SetPassword { set, reopen } => match parts.set(&mut state, set, now) {
                (changed, CredentialVerdict::Set { .. }) => {
                    let open = |open| parts.sessions(&mut state, open, now).1;
                    let opened = reopen.as_ref().map(open);
                    let verdict = state.set(opened);
                    finish(state, changed, verdict)
                }
                (_, verdict) => (None, AccountVerdict::Credential(verdict)),
            },
            AccountEvent::Credential(event) => {
                let (changed, verdict) = parts.credential(&mut state, event, now);
                finish(state, changed, AccountVerdict::Credential(verdict))
            }
            AccountEvent::Upgrade(setting) => {
                let (changed, verdict) = parts.set(&mut state, setting, now);
                finish(state, changed, AccountVerdict::Credential(verdict))
            }
            AccountEvent::Looked(looked) => {
                let changed = parts.looked(&mut state, looked, now);
                finish(state, changed, AccountVerdict::Looked)
            }
            AccountEvent::ForgetDevices { id } => {
                let changed = state.devices != *id;
                state.devices = *id;
                finish(state, changed, AccountVerdict::DevicesForgotten)
            }
            AccountEvent::Reclass(class) => {
                let changed = match &mut state.owner {
                    Some(owner) if owner.class != *class => {
                        owner.class.clone_from(class);
                        true
                    }
                    _ => false,
                };
                if changed {
                    let (_, _ended) = parts.sessions(&mut state, &SessionEvent::RevokeAll, now);
                    state.epoch = state.epoch.saturating_add(1);
                }
                finish(state, changed, AccountVerdict::Reclassed)
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use vouchsafe_core::{PolicyDigest, TenantId};
    use vouchsafe_crypto::RootKey;
    use vouchsafe_session::{Label, Purpose, Requester, TokenKeys};
    use vouchsafe_testkit::SeededEntropy;

    const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);

    fn machine() -> AccountMachine {
        let policy = Arc::new(Policy::preset("zoomph-2018").unwrap());
        AccountMachine { account: ACCOUNT, policy, era: 0 }
    }

    fn owner() -> Owner {
        Owner { user: UserId::new("u-1").unwrap(), class: "staff".to_owned() }
    }

    fn step(
        state: &mut Option<AccountState>,
        event: AccountEvent,
        now: Timestamp,
    ) -> AccountVerdict {
        let (effect, pending) = machine().step(state.as_ref(), &Ask::Do(event), now).split();
        if let Effect::Save { state: new, until } = effect {
            assert_eq!(until, Timestamp::MAX);
            *state = Some(new);
        }
        match pending.committed() {
            Answer::Done(verdict) => verdict,
            other => panic!("{other:?}"),
        }
    }

    /// An account with two links and a session.
    pub(crate) fn populated() -> AccountState {
        let entropy = SeededEntropy::new(1);
        let keys = TokenKeys::new(&RootKey::new(&[1; 32]));
        let tenant = TenantId::new("acme").unwrap();
        let now = Timestamp::from_micros(1_523_232_000_000_000);
        let mut state = None;
        for purpose in [Purpose::Activation, Purpose::Reset] {
            let (_, fresh) = keys.issue_link(&tenant, ACCOUNT, purpose, &entropy).unwrap();
            let address = vouchsafe_core::Identifier::new("ada@acme.example").unwrap();
            let address = keys.address(&tenant, &address);
            let issue = LinkEvent::Issue { fresh, address, by: Requester::Authority };
            let event = AccountEvent::Issue { owner: Some(owner()), issue };
            let verdict = step(&mut state, event, now);
            assert!(matches!(verdict, AccountVerdict::Link(LinkVerdict::Issued { .. })));
        }
        let (_, fresh) = keys.issue(&tenant, ACCOUNT, &entropy).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test's own proof")]
        let proof = vouchsafe_core::Authenticated::assertion(ACCOUNT, PolicyDigest::NONE, now);
        let label = Label::new("a browser");
        let open = SessionEvent::Open { proof, generation: 0, fresh, replaces: None, label };
        let verdict = step(&mut state, AccountEvent::Session(open), now);
        let AccountVerdict::Session { verdict: SessionVerdict::Opened { .. }, owner } = verdict
        else {
            panic!("{verdict:?}")
        };
        assert_eq!(owner, Some(self::owner()));
        state.unwrap()
    }

    #[test]
    fn nothing_happens_to_an_account_that_nobody_was_invited_to() {
        let now = Timestamp::EPOCH;
        let mut state = None;
        for event in [
            AccountEvent::Session(SessionEvent::RevokeAll),
            AccountEvent::Credential(CredentialEvent::Disable),
            AccountEvent::Peek(LinkEvent::WithdrawAll),
        ] {
            assert!(matches!(step(&mut state, event, now), AccountVerdict::NoClass));
            assert_eq!(state, None);
        }
    }

    /// A new generation ends sessions and links in the same step.
    #[test]
    fn disabling_ends_everything_in_one_step() {
        let mut state = Some(populated());
        let disable = AccountEvent::Credential(CredentialEvent::Disable);
        let verdict = step(&mut state, disable, Timestamp::from_micros(1_523_232_000_000_001));
        assert!(matches!(verdict, AccountVerdict::Credential(CredentialVerdict::Disabled)));
        let state = state.unwrap();
        assert_eq!(state.generation(), 1);
        assert!(state.sessions.unwrap().is_empty());
    }
}
