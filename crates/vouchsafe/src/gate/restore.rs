//! The store was put back from a copy: what it forgot is not to be believed any more.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use vouchsafe_access_log::{AnySink, Name, Operation, Outcome, Record, RecordSink, Target};
use vouchsafe_core::{
    Case, CellKey, Effect, Entropy, Machine, Space, Step, TenantId, Timestamp, UserId,
};
use vouchsafe_crypto::MacKey;
use vouchsafe_lockout::{AccountKey, Subject};
use vouchsafe_password::{CredentialEvent, CredentialMachine};
use vouchsafe_store::{AnyCells, drive};

use super::OpenError;
use super::account::{AccountState, Owner};
use super::baseline::{Put, promise};
use super::generation::{Found, Fresh, Generation, Witness, about_store, read_back};
use super::host::AnyAccounts;

/// A change is recorded before it is made. One that was recorded so long before the copy's last
/// witness is in the copy: no call takes a minute from its record to its swap.
const MARGIN: Duration = Duration::from_secs(60);

/// What was done because the store had been put back from a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// When the log saw the copy's generation; `None` when it never did, as of a copy that went on
    /// elsewhere: then all that the log holds counts.
    pub since: Option<Timestamp>,
    /// Whose password, rights or class changed since, by the log: their password was withdrawn, so
    /// that only a mailed link sets one; whoever was disabled since is disabled again. What class
    /// they had is not in the log, so this is to be gone through, and [`Acting::reclass`] called.
    ///
    /// [`Acting::reclass`]: super::Acting::reclass
    pub users: Vec<(TenantId, UserId)>,
}

/// What a gate that opens has at hand.
pub(super) struct Parts<'a> {
    pub(super) cells: &'a AnyCells,
    pub(super) sink: &'a AnySink,
    pub(super) digests: &'a MacKey,
    pub(super) entropy: &'a Arc<dyn Entropy>,
    pub(super) accounts: &'a AnyAccounts,
    /// Whether passwords are in a column of the host's.
    pub(super) has_column: bool,
    pub(super) application: &'a Name,
    /// In whose name it is recorded.
    pub(super) tenant: &'a TenantId,
    pub(super) now: Timestamp,
}

/// What the log saw since the copy was the latest.
pub(super) struct Lost {
    newer: Witness,
    since: Option<Timestamp>,
    /// Whose credential changed, and whether they were disabled.
    users: BTreeMap<TenantId, BTreeMap<UserId, bool>>,
    /// The digests of the documents that each tenant was promised.
    pub(super) promised: BTreeMap<TenantId, BTreeSet<String>>,
}

impl Found {
    /// What a store lost of which the log has seen this.
    pub(super) async fn lost(
        &self,
        newer: Witness,
        sink: &AnySink,
        digests: &MacKey,
    ) -> Result<Lost, OpenError> {
        let mut users = BTreeMap::<_, BTreeMap<_, _>>::new();
        let mut promised = BTreeMap::<_, BTreeSet<_>>::new();
        let (mut since, mut elsewhere) = (None, false);
        let read = read_back(sink, |_, record| {
            if let (Some(seen), Some(copy)) = (Witness::read(record, digests), self.cell) {
                // A copy that went on beside another log: which of them are its own, nobody knows.
                elsewhere |= seen.number == copy.number && seen.id != copy.id;
                if !elsewhere && seen.number <= copy.number {
                    since.get_or_insert(seen.at);
                }
            }
            if let Some((user, disabled)) = changed(record) {
                let of = users.entry(record.tenant.clone()).or_default();
                let disable = of.entry(user).or_insert(false);
                *disable |= disabled;
            }
            if let Some(digest) = promise(record) {
                promised.entry(record.tenant.clone()).or_default().insert(digest.to_owned());
            }
            since.is_none_or(|since| record.time.after(MARGIN) >= since)
        });
        read.await?;
        Ok(Lost { newer, since, users, promised })
    }
}

impl Parts<'_> {
    /// Makes a store that was put back one that can be opened.
    ///
    /// Its generation goes up last, by one swap, which voids everything that was handed out before.
    /// Cut short ahead of it, the store is still one that does not open; behind it, all is done.
    pub(super) async fn restore(
        &self,
        found: &mut Found,
        lost: Lost,
    ) -> Result<Restored, OpenError> {
        let Lost { newer, since, users, .. } = lost;
        let copy = found.cell.map_or(0, |cell| cell.number);
        let text = format!("put back: generation {copy}, the log has seen {}", newer.number);
        self.record(&text).await?;
        let mut distrusted = Vec::new();
        for (tenant, users) in users {
            let accounts = AccountKey::new(self.digests, &tenant);
            for (user, disable) in users {
                let account = accounts.digest(Subject::User(&user));
                let key = CellKey::new(Space::Account, *account.as_bytes());
                // Whom the copy does not know is the host's to say.
                let owner = self.accounts.find(&tenant, &user).await.ok().flatten();
                let owner = owner.map(|found| Owner { user: user.clone(), class: found.class });
                let distrust = Distrust { disable, has_column: self.has_column, owner };
                drive(self.cells, self.entropy, key, &distrust, (), self.now)
                    .await
                    .map_err(|undelivered| OpenError::from(undelivered.error))?;
                distrusted.push((tenant.clone(), user));
            }
        }
        let fresh = Fresh { salt: self.entropy.id()?, at: self.now };
        let number = newer.number.max(copy).saturating_add(1);
        let new = Generation { number, id: self.entropy.id()?, restored: Some(fresh) };
        let key = Generation::key(self.digests);
        drive(self.cells, self.entropy, key, &Put::new(), new, self.now)
            .await
            .map_err(|undelivered| OpenError::from(undelivered.error))?;
        found.cell = Some(new);
        Ok(Restored { since, users: distrusted })
    }

    async fn record(&self, text: &str) -> Result<(), OpenError> {
        let draft = about_store(self.application, self.tenant, text);
        let record = draft.record(self.application, self.now, Outcome::Succeeded, NonZeroU32::MIN);
        self.sink.append(record).await.map(drop).map_err(|_| OpenError::Log)
    }
}

/// Whose credential or class this changed, and whether it disabled them.
fn changed(record: &Record) -> Option<(UserId, bool)> {
    let disabled = match record.operation {
        Operation::Disabled => true,
        Operation::Activated | Operation::PasswordChanged | Operation::RightsChanged => false,
        _ => return None,
    };
    let Target::Entity { kind, id } = &record.target else { return None };
    if record.outcome != Outcome::Succeeded || kind.as_str() != "user" {
        return None;
    }
    Some((UserId::with_case(&id.original(), Case::Exact).ok()?, disabled))
}

/// Withdraws a password that is not the latest.
struct Distrust {
    disable: bool,
    /// The host has a column, which may hold a password that the copy knows nothing of.
    has_column: bool,
    owner: Option<Owner>,
}

impl Machine for Distrust {
    type State = AccountState;
    type Event = ();
    type Verdict = ();

    fn step(&self, was: Option<&AccountState>, (): &(), now: Timestamp) -> Step<AccountState, ()> {
        let mut state = was.cloned().unwrap_or_default();
        if state.credential.is_none() && !self.disable && !self.has_column {
            // Nobody's yet: there is nothing to get in with.
            return Step::keep(());
        }
        let mut events = vec![CredentialEvent::Withdraw];
        if self.disable {
            events.push(CredentialEvent::Disable);
        }
        for event in &events {
            let step = CredentialMachine.step(state.credential.as_ref(), event, now);
            if let Effect::Save { state: new, .. } = step.split().0 {
                state.credential = Some(new);
            }
        }
        if self.has_column {
            state.column.get_or_insert_default();
        }
        if let Some(column) = &mut state.column {
            column.close();
        }
        if was == Some(&state) {
            return Step::keep(());
        }
        state.owner = state.owner.or_else(|| self.owner.clone());
        (state.sessions, state.links) = (None, None);
        state.epoch = state.epoch.saturating_add(1);
        Step::save(state, Timestamp::MAX, ())
    }
}
