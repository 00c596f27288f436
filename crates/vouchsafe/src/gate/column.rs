//! A host's own column of passwords, kept in step with the account's cell.
//!
//! "Use the link up, set the password, end the sessions" is one swap of the cell, and the column is
//! somewhere else. So the cell is stepped first: from then on the new password is in force, and the
//! cell says that it is not in the column yet. Then the column is compared and swapped, from the very
//! text that was seen to the new one; then the cell notes that it is done. Whoever comes by in between
//! does what is left. A crash anywhere leaves either nothing or what the next one finishes.
//!
//! The column is the host's: a text that the gate does not know is a password that the host has set
//! itself, and it wins. So does a column that is emptied, which ends what was let in; what was in force
//! is so again when that very text comes back. A text that cannot be read is nobody's decision: it
//! changes nothing, and lets nobody in.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use vouchsafe_access_log::Operation;
use vouchsafe_core::{AccountDigest, Standing, TenantId, Timestamp, UserId};
use vouchsafe_password::{Binding, CredentialEvent, CredentialVerdict, Record, Stored};
use vouchsafe_policy::Policy;

use super::account::{AccountEvent, AccountState, AccountVerdict, Owner, Parts, View};
use super::call::user_target;
use super::column_texts::{Column, Held, Judged, Rewrite, TextDigest, digest};
use super::host::Swapped;
use super::upkeep::Holding;
use super::{Account, Code, Gate, Later, Refused, host_refusal};

/// How long the host's column may take to answer: half of what a charge may stay unsettled.
const PATIENCE: Duration = Duration::from_secs(5);
/// For whom the column is asked when a name is unknown, before anybody was looked up.
const NOBODY: &str = "vouchsafe-nobody";
/// How often an account is looked at again that others change all the while.
const LOOKS: usize = 8;

/// A change of a credential and, where it is in a column, of that.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) set: CredentialEvent,
    column: Option<Rewrite>,
}

/// What stood when somebody looked, to be replaced by what they set.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) generation: u64,
    /// The last password, with what is remembered of those before.
    pub(crate) last: Option<Box<Record>>,
    pub(super) seen: Option<Held>,
}

/// A look at a column.
#[derive(Debug)]
pub(crate) struct Looked {
    /// What stood in the cell before: when something else does, the look is worth nothing.
    was: (Option<Column>, u64),
    pub(crate) owner: Owner,
    held: Held,
    /// What a text that is not known does to the credential.
    event: Option<CredentialEvent>,
    /// What the cell's own record would be in the column.
    own: Option<TextDigest>,
    /// The host's own doing, and what it ends or lets in again is in the log.
    pub(super) changes: bool,
}

impl Parts<'_> {
    /// Sets or upgrades a password, here and, where it has one, in its column.
    pub(super) fn set(
        &self,
        state: &mut AccountState,
        setting: &Setting,
        now: Timestamp,
    ) -> (bool, CredentialVerdict) {
        let (changed, verdict) = self.credential(state, &setting.set, now);
        if changed && let Some(rewrite) = &setting.column {
            state.column.get_or_insert_default().begin(rewrite);
        }
        (changed, verdict)
    }

    /// Somebody looked at the column.
    pub(super) fn looked(&self, state: &mut AccountState, looked: &Looked, now: Timestamp) -> bool {
        let Looked { held, own, event, .. } = looked;
        if (&looked.was.0, looked.was.1) != (&state.column, state.generation()) {
            return false;
        }
        let judged = Judged::of(state.column.as_ref(), *held, *own);
        let mut column = state.column.clone().unwrap_or_default();
        let void = CredentialEvent::Void;
        let event = match (judged, *held, event) {
            (Judged::Moves, ..) => {
                let moved = own.map(|new| Rewrite { seen: *held, new, upgrade: false });
                moved.iter().for_each(|moved| column.begin(moved));
                None
            }
            (Judged::Written, Held::Text(text), _) => {
                column.stands(text);
                None
            }
            (Judged::Emptied, ..) => {
                column.emptied = true;
                Some(&void)
            }
            (Judged::Unknown, Held::Text(text), Some(event)) => {
                match event {
                    CredentialEvent::Upgrade(_) => column.stands(text),
                    _ => column.adopts(text),
                }
                Some(event)
            }
            // After a restore that could not say who this is.
            (Judged::Past, ..) if state.owner.is_none() => None,
            // Nothing to go by, but that there is somebody.
            (Judged::Unknown, _, None) if state.column.is_none() && own.is_none() => None,
            _ => return false,
        };
        if let Some(event) = event {
            let (_, _changed) = self.credential(state, event, now);
        }
        state.column = Some(column);
        state.owner.get_or_insert_with(|| looked.owner.clone());
        true
    }
}

/// What a host's column holds: a record of ours, or one of other software.
fn read(text: Option<&str>) -> Option<Record> {
    let text = text?;
    let record = match Stored::read(Some(text)) {
        Stored::Record(record) => record,
        _ => Record::import(text, Standing::Chosen).ok()?,
    };
    // It has to be kept in the cell, too.
    let again = record.to_string().parse::<Record>();
    again.is_ok_and(|again| again == record).then_some(record)
}

impl View {
    pub(super) fn into_stand(self) -> Stand {
        Stand { generation: self.generation, last: self.last, seen: self.seen }
    }

    /// Whether the host's column holds what is in force, or the host took it away.
    pub(super) fn is_written(&self) -> bool {
        self.column.as_ref().is_none_or(|column| !column.pending || column.emptied)
    }
}

impl Gate {
    /// An account as it stands, its column looked at where the host has one, and what was left
    /// undone there done. The same work for nobody.
    pub(super) async fn look(
        &self,
        policy: &Arc<Policy>,
        tenant: &TenantId,
        account: AccountDigest,
        user: Option<&Account>,
    ) -> Result<View, Refused> {
        if self.inner.credentials.is_none() {
            return self.view(policy, account).await;
        }
        let Some(user) = user else {
            let view = self.view(policy, account).await?;
            let _text = self.column(policy, tenant, &self.somebody(policy, tenant)?).await?;
            return Ok(view);
        };
        if let Some(somebody) = self.inner.somebody.get(tenant) {
            somebody.get_or_init(|| user.user.clone());
        }
        let key = &self.inner.digests;
        for _ in 0..LOOKS {
            let mut view = self.view(policy, account).await?;
            let text = self.column(policy, tenant, &user.user).await?;
            let held = Held::of(key, account, text.as_deref());
            view.seen = Some(held);
            let text_of_own = view.own().map(ToString::to_string);
            let own = text_of_own.as_deref().map(|own| digest(key, account, own));
            let judged = Judged::of(view.column.as_ref(), held, own);
            let known = view.column.is_some() || own.is_some();
            let (mut event, mut resealed) = (None, false);
            match judged {
                Judged::InStep => return Ok(view),
                Judged::Past if view.owner.is_none() => {}
                Judged::Past if held == Held::Nothing || read(text.as_deref()).is_some() => {
                    return Ok(view.of_the_past());
                }
                Judged::Past => return Ok(view.unreadable()),
                Judged::Unwritten => {
                    let Some(new) = &text_of_own else { return Ok(view) };
                    match self.write(policy, tenant, &user.user, text.as_deref(), new).await {
                        Ok(Swapped::Done | Swapped::Superseded) => continue,
                        // In force all the same; whoever comes next tries again.
                        Err(_) => return Ok(view),
                    }
                }
                Judged::Unknown => {
                    event = self
                        .read(tenant, &user.user, text.as_deref())
                        .map(|found| self.unknown_text(found, &view, tenant, user));
                    resealed = matches!(event, Some(CredentialEvent::Upgrade(_)));
                    if event.is_none() && known {
                        return Ok(view.unreadable());
                    }
                }
                Judged::Written | Judged::Moves | Judged::Emptied => {}
            }
            let changes = match judged {
                Judged::Unknown => known && !resealed,
                Judged::Written => view.column.as_ref().is_some_and(|column| column.emptied),
                judged => judged == Judged::Emptied,
            };
            let looked = Looked {
                was: (view.column.clone(), view.generation),
                owner: Owner { user: user.user.clone(), class: user.class.clone() },
                held,
                event,
                own,
                changes,
            };
            let step = self.account(policy, account, AccountEvent::Looked(looked));
            let noted = if changes {
                let target = user_target(&user.user);
                let draft = self.own(tenant, Operation::PasswordChanged, target, policy.digest());
                self.recorded(&draft, step).await?
            } else {
                step.await?
            };
            if matches!(noted, AccountVerdict::NoClass) {
                // The host gave the user a class that the policy does not have.
                return Ok(if judged == Judged::Past { view.of_the_past() } else { view });
            }
        }
        Err(Refused::new(Code::Busy, policy.digest()))
    }

    /// For whom the column is asked when a name is unknown: an id of the host's own form, as it may well
    /// refuse to look for any other.
    fn somebody(&self, policy: &Policy, tenant: &TenantId) -> Result<UserId, Refused> {
        match self.inner.somebody.get(tenant).and_then(OnceLock::get) {
            Some(somebody) => Ok(somebody.clone()),
            // Were it no id, no unknown name would be told that it is wrong: that is noticed.
            None => UserId::new(NOBODY).map_err(|_| host_refusal(policy)),
        }
    }

    /// What a text that was not known before does: a password that the host set itself is in force, with
    /// what is remembered of those before; of the one in force it is but another seal.
    fn unknown_text(
        &self,
        found: Record,
        view: &View,
        tenant: &TenantId,
        user: &Account,
    ) -> CredentialEvent {
        let (pool, binding) = (&self.inner.pool, Binding::new(tenant, &user.user));
        let emptied = view.column.as_ref().is_some_and(|column| column.emptied);
        let own = view.own().filter(|_| !emptied && found.pepper().is_some());
        let record = match &view.last {
            Some(last) => pool.remembering(found, last, &binding),
            None => found,
        };
        // With what is remembered: beside the one in force it may have been taken over, too.
        if let Some(resealed) = own.and_then(|own| pool.resealed(own, &record, &binding)) {
            return CredentialEvent::Upgrade(resealed);
        }
        CredentialEvent::Adopt { record }
    }

    /// What was looked at, with a new record for it.
    pub(super) fn setting(
        &self,
        account: AccountDigest,
        seen: Option<Held>,
        set: CredentialEvent,
    ) -> Setting {
        let new = match &set {
            CredentialEvent::Set { record, .. } => Some((record.as_record(), false)),
            CredentialEvent::Upgrade(upgrade) => Some((upgrade.new_record(), true)),
            _ => None,
        };
        let column = seen.zip(new).map(|(seen, (record, upgrade))| {
            let new = digest(&self.inner.digests, account, &record.to_string());
            Rewrite { seen, new, upgrade }
        });
        Setting { set, column }
    }

    /// A password was set over `stand`: it goes into its column, now or, when that does not answer,
    /// by the upkeep; it is in force all the same.
    ///
    /// # Errors
    /// [`Code::Raced`] when the host has set another one meanwhile, which stays.
    pub(super) async fn put_in_column(
        &self,
        policy: &Arc<Policy>,
        tenant: &TenantId,
        account: AccountDigest,
        user: &Account,
        stand: &Stand,
    ) -> Result<(), Refused> {
        if self.inner.credentials.is_none() {
            return Ok(());
        }
        let (tenant, user) = (tenant.clone(), Box::new(user.clone()));
        let later = Later::Write { policy: Arc::clone(policy), tenant, account, user };
        let mut left = Holding(&self.inner, Some(later));
        let Some(Later::Write { tenant, user, .. }) = &left.1 else { return Ok(()) };
        let Ok(view) = self.look(policy, tenant, account, Some(user)).await else { return Ok(()) };
        if !view.is_written() {
            return Ok(());
        }
        left.1 = None;
        match view.generation == stand.generation.saturating_add(1) {
            true => Ok(()),
            false => Err(Refused::new(Code::Raced, policy.digest())),
        }
    }

    /// Whether the column of a user holds a password, as it stands: for lists, which change nothing.
    pub(super) async fn has_password(
        &self,
        policy: &Policy,
        tenant: &TenantId,
        user: &UserId,
        view: &View,
    ) -> Result<bool, Refused> {
        if self.inner.credentials.is_none() || view.disabled {
            return Ok(view.standing.is_some());
        }
        let (key, account) = (&self.inner.digests, self.account_of(tenant, user));
        let text = self.column(policy, tenant, user).await?;
        let own = view.own().map(|own| digest(key, account, &own.to_string()));
        let held = Held::of(key, account, text.as_deref());
        let judged = Judged::of(view.column.as_ref(), held, own);
        let there = !view.is_written() || self.read(tenant, user, text.as_deref()).is_some();
        Ok(there && judged != Judged::Past)
    }

    /// As [`read`], without what was sealed for somebody else or damaged: nobody's password, either.
    fn read(&self, tenant: &TenantId, user: &UserId, text: Option<&str>) -> Option<Record> {
        let binding = Binding::new(tenant, user);
        read(text).filter(|found| self.inner.pool.believes(found, &binding))
    }

    async fn column(
        &self,
        policy: &Policy,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<String>, Refused> {
        let Some(credentials) = &self.inner.credentials else { return Ok(None) };
        self.patiently(policy, credentials.load(tenant, user)).await
    }

    async fn write(
        &self,
        policy: &Policy,
        tenant: &TenantId,
        user: &UserId,
        expected: Option<&str>,
        new: &str,
    ) -> Result<Swapped, Refused> {
        let Some(credentials) = &self.inner.credentials else { return Err(host_refusal(policy)) };
        self.patiently(policy, credentials.swap(tenant, user, expected, new)).await
    }

    /// The host's answer, if it comes in time.
    async fn patiently<T>(
        &self,
        policy: &Policy,
        call: impl Future<Output = Result<T, super::HostError>>,
    ) -> Result<T, Refused> {
        let mut call = pin!(call);
        let mut limit = pin!(self.inner.timer.0.sleep_boxed(PATIENCE));
        let answer = poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(answer.ok()),
            Poll::Pending => limit.as_mut().poll(context).map(|()| None),
        });
        answer.await.ok_or_else(|| host_refusal(policy))
    }
}
