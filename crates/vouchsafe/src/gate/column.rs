//! A host's own column of passwords, kept in step with the account's cell.
//!
//! "Use the link up, set the password, end the sessions" is one swap of the cell, and the column is
//! somewhere else. So the cell is stepped first: from then on the new password is in force, and the
//! cell says that it is not in the column yet. Then the column is compared and swapped, from the very
//! text that was seen to the new one; then the cell notes that it is done. Whoever comes by in between
//! does what is left. A crash anywhere leaves either nothing or what the next one finishes.
//!
//! The column is the host's: a text in it that the gate neither saw last nor is about to write is a
//! password that the host has set itself, and it wins, over an upgrade and over a password that the
//! gate was about to write. A text that was there before another password replaced it is the past (a
//! copy that was put back, a replica that lags): nobody gets in with it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use vouchsafe_access_log::Operation;
use vouchsafe_core::{AccountDigest, Standing, TenantId, Timestamp, UserId};
use vouchsafe_crypto::MacKey;
use vouchsafe_password::{CredentialEvent, CredentialVerdict, Record, Stored};
use vouchsafe_policy::Policy;

use super::account::{AccountEvent, AccountState, AccountVerdict, Owner, Parts, View};
use super::call::user_target;
use super::host::Swapped;
use super::{Account, Code, Gate, Later, Refused, host_refusal};

/// How long the host's column may take to answer: half of what a charge may stay unsettled.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often an account is looked at again that others change all the while.
const LOOKS: usize = 8;

/// A text of one account's column, by a keyed digest.
pub(crate) type TextDigest = [u8; 16];

/// What is known of an account's column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// What it held when it was looked at last.
    seen: TextDigest,
    /// What may have replaced that: an upgrade that was being written when a new password came.
    also: Option<TextDigest>,
    /// What is in force already, and is to replace it.
    pending: Option<Pending>,
    /// What it held before another password replaced it.
    replaced: Option<TextDigest>,
    /// The store was put back from a copy: no text is believed until a password is set.
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pending {
    text: TextDigest,
    /// Another hash of the same password.
    upgrade: bool,
}

/// What a text that was found in the column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    InStep,
    /// What is in force is still to be written.
    Unwritten,
    /// It was written, which the cell does not know yet.
    Written,
    /// The host wrote something else.
    Changed,
    Past,
}

/// A change of a credential and, where it is in a column, of that.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) set: CredentialEvent,
    column: Option<Rewrite>,
}

/// What is to become of a column.
#[derive(Clone, Copy, Debug)]
struct Rewrite {
    seen: TextDigest,
    new: Pending,
}

/// What stood when somebody looked, to be replaced by what they set.
#[derive(Clone, Debug)]
pub(crate) struct Stand {
    pub(crate) generation: u64,
    /// The password in force, with what is remembered of those before.
    pub(crate) stored: Stored,
    seen: Option<TextDigest>,
    /// Another password is still to be written into the column.
    unwritten: bool,
}

/// A look at a column.
#[derive(Debug)]
pub(crate) struct Looked {
    /// What stood in the cell before: when something else does, the look is worth nothing.
    was: (Option<Column>, u64),
    pub(crate) owner: Owner,
    found: TextDigest,
    empty: bool,
    /// What the text found is.
    record: Option<Record>,
    /// What the cell's own record would be in the column.
    own: Option<TextDigest>,
}

impl Column {
    pub(super) const fn new(seen: TextDigest) -> Self {
        Self { seen, also: None, pending: None, replaced: None, closed: false }
    }

    fn judge(&self, found: TextDigest) -> Judged {
        match self.pending {
            Some(pending) if pending.text == found => Judged::Written,
            Some(_) if self.seen == found || self.also == Some(found) => Judged::Unwritten,
            None if self.seen == found && !self.closed => Judged::InStep,
            _ if self.closed || [self.replaced, self.also].contains(&Some(found)) => Judged::Past,
            _ => Judged::Changed,
        }
    }

    /// What is in the column is not believed until a password is set.
    pub(crate) const fn close(&mut self) {
        self.pending = None;
        self.closed = true;
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let pending = self.pending.map(|pending| (pending.text, pending.upgrade));
        let (text, upgrade) = pending.unwrap_or_default();
        let (replaced, also) = (self.replaced.is_some(), self.also.is_some());
        let flags = [self.pending.is_some(), upgrade, replaced, self.closed, also];
        let flags = flags.into_iter().enumerate().map(|(at, set)| u8::from(set) << at).sum();
        let mut out = vec![flags];
        let [replaced, also] = [self.replaced, self.also].map(Option::unwrap_or_default);
        for part in [self.seen, text, replaced, also] {
            out.extend(part);
        }
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[flags], rest) = bytes.split_first_chunk()?;
        let (seen, rest) = rest.split_first_chunk()?;
        let (text, rest) = rest.split_first_chunk()?;
        let (replaced, rest) = rest.split_first_chunk()?;
        let also = rest.try_into().ok()?;
        let flag = |at: u8| flags & (1 << at) != 0;
        let pending = flag(0).then_some(Pending { text: *text, upgrade: flag(1) });
        let (replaced, also) = (flag(2).then_some(*replaced), flag(4).then_some(also));
        let column = Self { seen: *seen, also, pending, replaced, closed: flag(3) };
        // One form only.
        (column.to_bytes() == bytes).then_some(column)
    }
}

impl Rewrite {
    /// The column with this under way. `None` while another password is: nothing may come back that
    /// was replaced, so the one goes first. What else was seen counts for nothing beside the cell, as
    /// within a generation only upgrades change it, and they give way.
    fn begun(&self, column: Option<Column>) -> Option<Column> {
        let begun = |seen| Column { pending: Some(self.new), ..Column::new(seen) };
        let Some(column) = column else { return Some(begun(self.seen)) };
        let again = [column.pending.map(|pending| pending.text), Some(column.seen)];
        if again.contains(&Some(self.new.text)) {
            return Some(column);
        }
        let (seen, also) = match column.pending {
            None if column.judge(self.seen) == Judged::Past => (self.seen, None),
            None => (column.seen, None),
            Some(Pending { text, upgrade: true }) => (column.seen, Some(text)),
            Some(_) => return None,
        };
        Some(Column { also, replaced: column.replaced, ..begun(seen) })
    }
}

impl Parts<'_> {
    /// Sets or upgrades a password, here and, where it has one, in its column.
    pub(super) fn set(
        &self,
        state: &mut AccountState,
        setting: &Setting,
        now: Timestamp,
    ) -> (bool, CredentialVerdict) {
        let begun = setting.column.map(|rewrite| rewrite.begun(state.column));
        if begun == Some(None) {
            let generation = state.generation();
            return (false, CredentialVerdict::Superseded { generation });
        }
        let (changed, verdict) = self.credential(state, &setting.set, now);
        if changed && let Some(begun) = begun {
            state.column = begun;
        }
        (changed, verdict)
    }

    /// Somebody looked at the column.
    pub(super) fn looked(&self, state: &mut AccountState, looked: &Looked, now: Timestamp) -> bool {
        let Looked { found, own, .. } = *looked;
        if looked.was != (state.column, state.generation()) {
            return false;
        }
        let adopt = |state: &mut AccountState, replaced| {
            let event = CredentialEvent::Adopt { record: looked.record.clone() };
            let (_, _adopted) = self.credential(state, &event, now);
            state.column = Some(Column { replaced, ..Column::new(found) });
        };
        match state.column {
            // Looked at for the first time. Until now it was here, and moves.
            None if looked.empty && own.is_some() => {
                let pending = own.map(|text| Pending { text, upgrade: true });
                state.column = Some(Column { pending, ..Column::new(found) });
            }
            None if own == Some(found) || (own.is_none() && looked.record.is_none()) => {
                state.column = Some(Column::new(found));
            }
            None => adopt(state, None),
            Some(column) => match (column.judge(found), column.pending) {
                (Judged::Written, Some(pending)) => {
                    let replaced =
                        if pending.upgrade { column.replaced } else { Some(column.seen) };
                    let also = column.also;
                    state.column = Some(Column { also, replaced, ..Column::new(found) });
                }
                (Judged::Changed, _) => adopt(state, Some(column.seen)),
                _ => return false,
            },
        }
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

fn digest(key: &MacKey, account: AccountDigest, text: Option<&str>) -> TextDigest {
    let (is, text) = (u8::from(text.is_some()), text.unwrap_or_default());
    let parts = [account.as_bytes().as_slice(), &[is], text.as_bytes()];
    key.digest("vouchsafe password column v1", &parts)
}

impl View {
    pub(super) fn stand(&self) -> Stand {
        let pending = self.column.and_then(|column| column.pending);
        let unwritten = pending.is_some_and(|pending| !pending.upgrade);
        let (generation, stored, seen) = (self.generation, self.stored.clone(), self.seen);
        Stand { generation, stored, seen, unwritten }
    }

    /// Whether the host's column holds what is in force.
    pub(super) fn is_written(&self) -> bool {
        self.column.is_none_or(|column| column.pending.is_none())
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
            if let Ok(nobody) = UserId::new("nobody") {
                let _ = self.column(policy, tenant, &nobody).await?;
            }
            return Ok(view);
        };
        let key = &self.inner.digests;
        for _ in 0..LOOKS {
            let mut view = self.view(policy, account).await?;
            let text = self.column(policy, tenant, &user.user).await?;
            let mut found = digest(key, account, text.as_deref());
            view.seen = Some(found);
            let text_of_own = view.own.as_ref().map(ToString::to_string);
            let own = text_of_own.as_deref().map(|own| digest(key, account, Some(own)));
            match view.column.map(|column| column.judge(found)) {
                Some(Judged::InStep) => return Ok(view),
                Some(Judged::Past) => return Ok(view.of_the_past()),
                Some(Judged::Unwritten) => {
                    let (Some(new), Some(own)) = (&text_of_own, own) else { return Ok(view) };
                    match self.write(policy, tenant, &user.user, text.as_deref(), new).await {
                        Ok(Swapped::Done) => found = own,
                        Ok(Swapped::Superseded) => continue,
                        // In force all the same; whoever comes next tries again.
                        Err(_) => return Ok(view),
                    }
                }
                None if own.is_none() && text.is_none() => return Ok(view),
                Some(Judged::Written | Judged::Changed) | None => {}
            }
            let looked = Looked {
                was: (view.column, view.generation),
                owner: Owner { user: user.user.clone(), class: user.class.clone() },
                found,
                empty: text.is_none(),
                record: read(text.as_deref()),
                own,
            };
            let changed = match view.column {
                Some(column) => column.judge(found) == Judged::Changed,
                None => own.is_some_and(|own| own != found) && text.is_some(),
            };
            let step = self.account(policy, account, AccountEvent::Looked(looked));
            let noted = if changed {
                // The host's own doing, and what it ends is in the log.
                let target = user_target(&user.user);
                let draft = self.own(tenant, Operation::PasswordChanged, target, policy.digest());
                self.recorded(&draft, step).await?
            } else {
                step.await?
            };
            if matches!(noted, AccountVerdict::NoClass) {
                // The host gave the user a class that the policy does not have.
                return Ok(view);
            }
        }
        Err(Refused::new(Code::Busy, policy.digest()))
    }

    /// What was looked at, with a new record for it.
    pub(super) fn setting(
        &self,
        policy: &Policy,
        account: AccountDigest,
        stand: &Stand,
        set: CredentialEvent,
    ) -> Result<Setting, Refused> {
        let new = match &set {
            CredentialEvent::Set { record, .. } => Some((record.as_record(), false)),
            CredentialEvent::Upgrade(upgrade) => Some((upgrade.new_record(), true)),
            _ => None,
        };
        if stand.unwritten {
            return Err(host_refusal(policy));
        }
        let column = stand.seen.zip(new).map(|(seen, (record, upgrade))| {
            let text = digest(&self.inner.digests, account, Some(&record.to_string()));
            Rewrite { seen, new: Pending { text, upgrade } }
        });
        Ok(Setting { set, column })
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
        let mut left = Left { gate: self, later: Some(later) };
        let Some(Later::Write { tenant, user, .. }) = &left.later else { return Ok(()) };
        let Ok(view) = self.look(policy, tenant, account, Some(user)).await else { return Ok(()) };
        if !view.is_written() {
            return Ok(());
        }
        left.later = None;
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
        let text = self.column(policy, tenant, user).await?;
        Ok(!view.is_written() || read(text.as_deref()).is_some())
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

/// What is to be done by the upkeep, unless it was done.
struct Left<'a> {
    gate: &'a Gate,
    later: Option<Later>,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        if let Some(later) = self.later.take() {
            self.gate.inner.leave(later);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_core::{Cell, Corrupt};

    const A: TextDigest = [1; 16];
    const B: TextDigest = [2; 16];
    const C: TextDigest = [3; 16];

    const fn rewrite(seen: TextDigest, text: TextDigest, upgrade: bool) -> Rewrite {
        Rewrite { seen, new: Pending { text, upgrade } }
    }

    #[test]
    fn bytes_come_back_and_nothing_else_does() {
        for bits in 0..32_u8 {
            let pending = (bits & 1 != 0).then_some(Pending { text: B, upgrade: bits & 2 != 0 });
            let [replaced, also] = [(4, C), (8, A)].map(|(bit, t)| (bits & bit != 0).then_some(t));
            let column = Column { seen: A, also, pending, replaced, closed: bits & 16 != 0 };
            let state = AccountState { column: Some(column), ..AccountState::default() };
            let bytes = state.clone().into_bytes();
            assert_eq!(bytes.first(), Some(&3));
            assert_eq!(AccountState::from_bytes(bytes.clone()), Ok(state));
            for cut in 0..bytes.len() {
                let cut = bytes.get(..cut).unwrap().to_vec();
                assert_eq!(AccountState::from_bytes(cut), Err(Corrupt));
            }
            for bit in 5..8 {
                let mut bytes = column.to_bytes();
                *bytes.first_mut().unwrap() |= 1 << bit;
                assert_eq!(Column::from_bytes(&bytes), None);
            }
        }
    }

    /// An upgrade gives way to a new password, also when it is written late.
    #[test]
    fn an_upgrade_that_is_written_late_is_still_to_be_replaced() {
        let upgrading = rewrite(A, B, true).begun(Some(Column::new(A))).unwrap();
        assert_eq!(upgrading.judge(A), Judged::Unwritten);
        let set = rewrite(A, C, false).begun(Some(upgrading)).unwrap();
        for found in [A, B] {
            assert_eq!(set.judge(found), Judged::Unwritten);
        }
        assert_eq!(set.judge(C), Judged::Written);
        assert_eq!(set.judge([4; 16]), Judged::Changed);
        // It goes first, whatever comes next.
        assert_eq!(rewrite(A, [4; 16], false).begun(Some(set)), None);
        assert_eq!(rewrite(A, C, false).begun(Some(set)), Some(set));
    }

    #[test]
    fn what_was_replaced_is_the_past() {
        let column = Column { replaced: Some(B), also: Some(C), ..Column::new(A) };
        assert_eq!(column.judge(A), Judged::InStep);
        assert_eq!([B, C].map(|text| column.judge(text)), [Judged::Past; 2]);
        assert_eq!(column.judge([4; 16]), Judged::Changed);
        let mut closed = column;
        closed.close();
        assert_eq!([A, B, [4; 16]].map(|text| closed.judge(text)), [Judged::Past; 3]);
        assert_eq!(rewrite(B, [4; 16], false).begun(Some(closed)).unwrap().seen, B);
    }
}
