//! May this person in: resolve, charge, verify, settle, open.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use vouchsafe_access_log::{Actor, Operation, Outcome};
use vouchsafe_core::{
    AccountDigest, Cell, CellKey, ChargeId, Charged, NotVerified, SecretString, TenantId, Timestamp,
};
use vouchsafe_lockout::{
    Begin, DeviceEpoch, Lock, LockoutEvent, LockoutState, LockoutVerdict, Reason, Seen, Subject,
};
use vouchsafe_password::{
    Binding, CredentialEvent, NotVerifiedReason, OwnerPresent, Password, Unmet, Verified,
};
use vouchsafe_policy::{ClassPolicy, Policy};

use super::account::{AccountEvent, View};
use super::call::{Attempt, Call, Draft};
use super::column::Stand;
use super::crossings::Crossed;
use super::password::attributes;
use super::sessions::Issued;
use super::{Account, Code, Gate, Later, NotSet, Refused, Underway, host_refusal, store_refusal};

/// How often a waiting attempt looks again for settlements of other nodes.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a password that has to be changed may take to be: one page's worth of thinking.
const CHANGE_WITHIN: Duration = Duration::from_secs(600);

/// What came of a whole sign-in.
#[derive(Debug)]
pub enum Login {
    /// A session is open.
    SignedIn(Issued),
    /// Something else has to happen first. It can do nothing but that.
    Next(Next),
    /// No.
    Refused(Refused),
}

/// What has to happen before a session can be opened. Ignoring it means no entry.
#[derive(Debug)]
#[non_exhaustive]
pub enum Next {
    /// The password was right, and has to be changed.
    ChangePassword(ChangePassword),
}

/// What came of a password.
#[derive(Debug)]
pub enum Checked {
    /// It was right: a session may be opened.
    Authenticated(Authenticated),
    /// It was right, and something else has to happen first.
    Next(Next),
    /// No.
    Refused(Refused),
}

/// An attempt that was charged. Dropped, the charge stays as a failure.
#[must_use = "check the password with `Admitted::password`; dropped, the attempt stays counted as a failure"]
#[derive(Debug)]
pub struct Admitted {
    gate: Gate,
    policy: Arc<Policy>,
    attempt: Attempt,
    account: AccountDigest,
    found: Option<Account>,
    charged: Charged,
    underway: Underway,
}

/// Somebody whose password was right. [`open`](Self::open) makes a session of it.
#[must_use = "`Authenticated::open` opens the session; dropped, nobody is signed in"]
#[derive(Debug)]
pub struct Authenticated {
    gate: Gate,
    policy: Arc<Policy>,
    draft: Box<Draft>,
    generation: u64,
    epoch: u64,
    proof: vouchsafe_core::Authenticated,
    devices: DeviceEpoch,
    /// When that was, by this gate's clock.
    at: Timestamp,
    replaces: Option<Arc<SecretString>>,
    underway: Underway,
}

/// A right password that is good for nothing but being replaced.
#[must_use = "`ChangePassword::set` replaces the password; dropped, it stays as it is"]
#[derive(Debug)]
pub struct ChangePassword {
    gate: Gate,
    policy: Arc<Policy>,
    draft: Draft,
    stand: Box<Stand>,
    found: Account,
    owner: OwnerPresent,
    at: Timestamp,
}

impl Gate {
    /// Resolves the name and charges the attempt, before any password is looked at.
    ///
    /// # Errors
    /// [`Code::Locked`], [`Code::DisabledByFailures`], [`Code::Throttled`], [`Code::Challenge`],
    /// [`Code::Busy`], or that a part did not answer.
    pub async fn admit(&self, attempt: &Attempt) -> Result<Admitted, Refused> {
        let policy = self.policy(&attempt.tenant)?;
        let (account, draft, found) =
            self.resolve(&policy, attempt, Operation::SignInRefused).await;
        let found = self.or_refuse(&draft, found).await?;
        let asked = self.challenge(&policy, account, attempt).await;
        self.or_refuse(&draft, asked).await?;
        let mut underway = Underway::new(self, &draft);
        match self.charge(&policy, account, &attempt.call).await {
            Ok(charged) => {
                let (gate, attempt) = (self.clone(), attempt.clone());
                Ok(Admitted { gate, policy, attempt, account, found, charged, underway })
            }
            Err(failure) => {
                let refusal = self.refuse_attempt(&policy, &draft, failure).await;
                underway.end();
                Err(refusal)
            }
        }
    }

    /// Who answers to the name, ahead of everything that costs; the account that the attempt counts
    /// on, which an unknown name has too; and what is written about it.
    pub(super) async fn resolve(
        &self,
        policy: &Arc<Policy>,
        attempt: &Attempt,
        operation: Operation,
    ) -> (AccountDigest, Draft, Result<Option<Account>, Refused>) {
        let Attempt { tenant, identifier, call, .. } = attempt;
        let found = self.inner.accounts.resolve(tenant, identifier).await;
        let found = found.map_err(|_| host_refusal(policy));
        let user = found.as_ref().ok().and_then(Option::as_ref).map(|account| &account.user);
        let subject = user.map_or(Subject::Unknown(identifier), Subject::User);
        let account = self.inner.account(tenant, subject);
        let draft = Draft::stranger(tenant, policy, account, user, operation, call);
        let found = match found {
            Ok(found) => {
                self.throttle_strangers(tenant, policy, account, call).await.map(|()| found)
            }
            unresolved => unresolved,
        };
        (account, draft, found)
    }

    /// The whole sign-in: admit, check the password, open the session.
    pub async fn login(&self, attempt: &Attempt, password: impl Into<SecretString>) -> Login {
        let admitted = match self.admit(attempt).await {
            Ok(admitted) => admitted,
            Err(refused) => return Login::Refused(refused),
        };
        match admitted.password(password).await {
            Checked::Authenticated(authenticated) => match authenticated.open().await {
                Ok(issued) => Login::SignedIn(issued),
                Err(refused) => Login::Refused(refused),
            },
            Checked::Next(next) => Login::Next(next),
            Checked::Refused(refused) => Login::Refused(refused),
        }
    }

    /// Charges one attempt on `account`, standing in line and waiting while others hold all the
    /// charges.
    pub(super) async fn charge(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
        call: &Call,
    ) -> Result<Charged, Failure> {
        let key = LockoutState::key(account);
        let busy = || Refused::new(Code::Busy, policy.digest());
        let mut limit = pin!(self.inner.timer.0.sleep_boxed(policy.lockout().wait().time));
        let device = self.device(policy, account, call).await;
        // A browser that is known stands in a line of its own, as it counts on a counter of its own.
        let line = device.map_or(0, |device| u128::from(device.id()).wrapping_add(1));
        let line = u128::from_be_bytes(*account.as_bytes()).wrapping_add(line);
        let line = CellKey::new(LockoutState::SPACE, line.to_be_bytes());
        let mut line = pin!(self.inner.turns.take(line));
        let turn = poll_fn(|context| match line.as_mut().poll(context) {
            Poll::Ready(turn) => Poll::Ready(turn.ok()),
            Poll::Pending => limit.as_mut().poll(context).map(|()| None),
        });
        let _turn = turn.await.ok_or_else(busy)?;
        let waiting = self.inner.settlements.watch(key);
        loop {
            let begin = Begin::new(account, self.fresh_id(policy)?).from_device(device);
            match self.lockout(policy, LockoutEvent::Begin(begin)).await {
                Ok(LockoutVerdict::Admitted(charged)) => return Ok(charged),
                Ok(LockoutVerdict::Wait { .. }) => {}
                Ok(LockoutVerdict::Locked { lock, crossing }) => {
                    let crossed = crossing.map(|crossing| Crossed { account, crossing });
                    let refusal = self.locked(policy, lock);
                    return Err(Failure { refusal, hashed: false, crossed });
                }
                // A beginning is answered with one of the three above.
                Ok(_) => return Err(busy().into()),
                Err(undelivered) => {
                    let refusal = store_refusal(&undelivered.error, policy);
                    if let LockoutEvent::Begin(begin) = undelivered.event {
                        self.refund_later(policy, LockoutEvent::NotVerified(begin.withdraw()));
                    }
                    return Err(refusal.into());
                }
            }
            let mut out_of_time = false;
            let look_again = self.inner.timer.0.sleep_boxed(LOOK_AGAIN);
            let mut look_again = pin!(look_again);
            let otherwise = poll_fn(|context| {
                if limit.as_mut().poll(context).is_ready() {
                    out_of_time = true;
                    return Poll::Ready(());
                }
                look_again.as_mut().poll(context)
            });
            waiting.next(otherwise).await;
            if out_of_time {
                return Err(busy().into());
            }
        }
    }

    fn locked(&self, policy: &Policy, lock: Lock) -> Refused {
        let (code, field) = match lock.reason {
            Reason::Limit => (Code::Locked, "lockout.limits"),
            Reason::Consecutive => (Code::DisabledByFailures, "lockout.consecutive"),
        };
        let refused = Refused::new(code, policy.digest()).under(policy.clause_for(field).cloned());
        match lock.until {
            Some(until) => refused.after(until.since(self.now())),
            None => refused,
        }
    }

    /// Settles a charge on the counter, and lets the next in line know.
    pub(super) async fn settle(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
        event: LockoutEvent,
    ) -> Result<LockoutVerdict, Refused> {
        let settled = self.lockout(policy, event).await;
        self.inner.settlements.settled(LockoutState::key(account));
        settled.map_err(|undelivered| {
            let refusal = store_refusal(&undelivered.error, policy);
            if let event @ (LockoutEvent::NotVerified(_) | LockoutEvent::Matched(_)) =
                undelivered.event
            {
                self.refund_later(policy, event);
            }
            refusal
        })
    }

    pub(super) fn refund_later(&self, policy: &Arc<Policy>, event: LockoutEvent) {
        self.inner.leave(Later::Settle { policy: Arc::clone(policy), event });
    }

    /// Takes back the charge of an attempt whose password was not looked at.
    pub(super) async fn unverified(&self, policy: &Arc<Policy>, charged: Charged) {
        let account = charged.account();
        // A refund that the store does not take now waits for it.
        let _ = self.settle(policy, account, unverified(charged)).await;
    }

    /// Verifies a password against `view` under a charge, and settles it. Where it was hashed anew, `view`
    /// has the new record.
    pub(super) async fn verify(
        &self,
        policy: &Arc<Policy>,
        tenant: &TenantId,
        user: Option<&Account>,
        charged: Charged,
        password: &Password,
        view: &mut View,
    ) -> Result<Proof, Failure> {
        let account = charged.account();
        if view.unreadable {
            // The host's mistake, and no wrong password.
            self.unverified(policy, charged).await;
            return Err(Refused::new(Code::Corrupt, policy.digest()).into());
        }
        let binding = user.map_or_else(Binding::nobody, |user| Binding::new(tenant, &user.user));
        let verified = self.inner.pool.verify(charged, password, view.stored(), binding).await;
        let mut unhashed = Code::Busy;
        let (event, upgrade) = match verified {
            Verified::Match { matched, upgrade } => (LockoutEvent::Matched(matched), upgrade),
            Verified::NoMatch(not_matched) => (LockoutEvent::NotMatched(not_matched), None),
            Verified::NotVerified(not_verified, reason) => {
                unhashed = match reason {
                    NotVerifiedReason::NoPepper => Code::Unavailable,
                    _ => Code::Busy,
                };
                (LockoutEvent::NotVerified(not_verified), None)
            }
        };
        let refusal = |code| Refused::new(code, policy.digest());
        let verdict = self.settle(policy, account, event).await?;
        let proof = match verdict {
            LockoutVerdict::Authenticated(proof) => Proof::Authenticated(proof),
            LockoutVerdict::ChangeOnly(proof) => Proof::ChangeOnly(proof),
            LockoutVerdict::Failed { crossing, .. } => {
                let crossed = crossing.map(|crossing| Crossed { account, crossing });
                let refusal = refusal(Code::WrongCredentials);
                return Err(Failure { refusal, hashed: true, crossed });
            }
            // Hashed, and the same wrong password as before: not worth a charge.
            LockoutVerdict::Repeated => {
                let refusal = refusal(Code::WrongCredentials);
                return Err(Failure { refusal, hashed: true, crossed: None });
            }
            // Nothing was hashed; the charge is back.
            _ => return Err(refusal(unhashed).into()),
        };
        if let Some(upgrade) = upgrade {
            // Replaced by whoever has shown it just now, it is known afterwards.
            view.last = Some(Box::new(upgrade.new_record().clone()));
            // A failed write never fails the sign-in: the next one upgrades again.
            let set = CredentialEvent::Upgrade(upgrade);
            let set = self.setting(account, view.seen, set);
            if self.account(policy, account, AccountEvent::Upgrade(set)).await.is_ok() {
                let _ = self.look(policy, tenant, account, user).await;
            }
        }
        Ok(proof)
    }

    pub(super) fn fresh_number(&self, policy: &Policy) -> Result<u64, Refused> {
        self.fresh_id(policy).map(ChargeId::get)
    }
}

/// The refund of a charge under which nothing was compared.
pub(super) fn unverified(charged: Charged) -> LockoutEvent {
    #[expect(clippy::disallowed_methods, reason = "nothing was hashed under this charge")]
    LockoutEvent::NotVerified(NotVerified::assertion(charged))
}

/// Why an attempt did not get in.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) refusal: Refused,
    /// Its password was looked at.
    pub(super) hashed: bool,
    /// The lock that it met or made, and that is to be announced.
    pub(super) crossed: Option<Crossed>,
}

impl From<Refused> for Failure {
    fn from(refusal: Refused) -> Self {
        Self { refusal, hashed: false, crossed: None }
    }
}

/// What a right password showed.
pub(super) enum Proof {
    Authenticated(vouchsafe_core::Authenticated),
    ChangeOnly(vouchsafe_core::ChangeOnly),
}

/// A password that was right, and what stood in the account when it was checked.
struct Right {
    found: Account,
    proof: Proof,
    /// Whether today's rule lets it be chosen.
    meets: bool,
    stand: Stand,
    epoch: u64,
    devices: DeviceEpoch,
}

impl Admitted {
    /// Checks the password. An unknown name costs the same work as a known one.
    pub async fn password(self, password: impl Into<SecretString>) -> Checked {
        let Self { gate, policy, attempt, account, found, charged, mut underway } = self;
        let draft = underway.draft.clone();
        let checked = gate.checked(&policy, &attempt, account, found, charged, password.into());
        let Right { found, proof, meets, stand, epoch, devices } = match checked.await {
            Ok(right) => right,
            Err(failure) => {
                let refusal = gate.refuse_attempt(&policy, &draft, failure).await;
                underway.end();
                return Checked::Refused(refusal);
            }
        };
        let draft = Draft { actor: Actor::User(found.user.clone()), ..draft };
        let owner = match proof {
            Proof::Authenticated(proof) if meets => {
                let draft = Box::new(draft.doing(Operation::SignedIn));
                let replaces = attempt.replaces();
                return Checked::Authenticated(Authenticated {
                    policy,
                    draft,
                    generation: stand.generation,
                    epoch,
                    proof,
                    devices,
                    at: gate.now(),
                    gate,
                    replaces,
                    underway,
                });
            }
            Proof::Authenticated(proof) => OwnerPresent::from(&proof),
            Proof::ChangeOnly(proof) => OwnerPresent::from(proof),
        };
        let draft = draft.doing(Operation::PasswordChanged);
        let recorded = gate.record(&draft, Outcome::Refused(super::password::DUE)).await;
        underway.end();
        if let Err(refusal) = recorded {
            return Checked::Refused(refusal);
        }
        let at = gate.now();
        let stand = Box::new(stand);
        let change = ChangePassword { gate, policy, draft, stand, found, owner, at };
        Checked::Next(Next::ChangePassword(change))
    }
}

impl Gate {
    /// Checks a password under its charge.
    async fn checked(
        &self,
        policy: &Arc<Policy>,
        attempt: &Attempt,
        account: AccountDigest,
        found: Option<Account>,
        charged: Charged,
        password: SecretString,
    ) -> Result<Right, Failure> {
        let tenant = &attempt.tenant;
        let Ok(password) = Password::new(password) else {
            // Longer than any password can be: not hashed, so not counted either.
            self.unverified(policy, charged).await;
            return Err(Refused::new(Code::WrongCredentials, policy.digest()).into());
        };
        let mut view = match self.look(policy, tenant, account, found.as_ref()).await {
            Ok(view) => view,
            Err(refusal) => {
                self.unverified(policy, charged).await;
                return Err(refusal.into());
            }
        };
        // A password that today's rule refuses lets nobody in: it is to be changed first. Looked
        // up for unknown names too, so that the work is the same.
        let rules = || policy.classes().map(|(_, class)| class.password());
        let rule = match &found {
            Some(found) => policy.class(&found.class).ok().map(ClassPolicy::password),
            None => rules().next(),
        };
        // Without the words of whose name it is, as looking for those would tell by the time that it takes
        // whether somebody has the name that a guess is made of.
        let words = attributes(tenant, None);
        // A list of breached passwords that cannot be read just now is no reason to change one.
        let screened = |unmet: Vec<Unmet>| unmet.iter().all(|unmet| *unmet == Unmet::NotScreened);
        let meets = match rule {
            Some(rule) => self.meets(rule, &password, &words).await.map_or_else(screened, |_| true),
            None => false,
        };
        // The list is asked for everybody or nobody: it does not tell of which class somebody is.
        if rule.is_none_or(|rule| !rule.refuses_breached())
            && let Some(asking) = rules().find(|rule| rule.refuses_breached())
        {
            let _answer = self.meets(asking, &password, &words).await;
        }
        let user = found.as_ref();
        let verified = self.verify(policy, tenant, user, charged, &password, &mut view).await;
        let seen = match &verified {
            Ok(_) => Some(Seen::SignedIn),
            Err(failure) if !failure.hashed => None,
            Err(_) if found.is_some() => Some(Seen::Failed),
            Err(_) => Some(Seen::Unknown),
        };
        if let Some(seen) = seen {
            self.watch(attempt, policy, account, seen).await;
        }
        let proof = verified.map_err(|mut failure| {
            if view.withdrawn && failure.refusal.code() == Code::WrongCredentials {
                failure.refusal = Refused::new(Code::ResetRequired, policy.digest());
            }
            failure
        })?;
        // Nobody's record matches nothing: there always is somebody here.
        let nobody = || Refused::new(Code::WrongCredentials, policy.digest());
        let found = found.ok_or_else(nobody)?;
        // It is right, which is no secret any more.
        let words = attributes(tenant, Some(&found));
        let meets = meets
            && rule
                .is_some_and(|rule| rule.check(&password, &words).map_or_else(screened, |_| true));
        let (epoch, devices) = (view.epoch, view.devices);
        Ok(Right { found, proof, meets, stand: view.into_stand(), epoch, devices })
    }
}

impl Authenticated {
    /// Opens a session, always under a new token. To be called at once: after as long as a charge
    /// may stay unsettled (10 s), or when every session was ended meanwhile, it is too late.
    ///
    /// # Errors
    /// [`Code::NoSession`] when it is too late, that a part did not answer, or that the account may
    /// have no more sessions.
    pub async fn open(self) -> Result<Issued, Refused> {
        let Self { gate, policy, draft, generation, epoch, proof, .. } = self;
        let (devices, at, replaces, mut underway) =
            (self.devices, self.at, self.replaces, self.underway);
        let late = gate.now().since(at) > policy.lockout().settle_within();
        let replaces = replaces.as_ref().map(|token| token.expose());
        let account = proof.account();
        let known = gate.device_of(&policy, account, &draft.call, devices);
        let device = gate.new_device(&policy, account, known, devices, proof.at());
        let opening = gate.opening(&policy, &draft, proof, generation, replaces);
        let opening = opening.and_then(|opening| match late {
            true => Err(Refused::new(Code::NoSession, policy.digest())),
            false => Ok((opening, device?)),
        });
        let opening = gate.or_refuse(&draft, opening).await;
        // What follows forgets nothing by itself.
        underway.end();
        let ((open, token, tenant), device) = opening?;
        gate.recorded(&draft, async {
            let open = AccountEvent::Open { epoch, open };
            let verdict = gate.account(&policy, token.account, open).await?;
            let mut issued = gate.issued(&policy, tenant, token, verdict)?;
            issued.known_by(device);
            Ok(issued)
        })
        .await
    }
}

impl ChangePassword {
    /// Replaces the password, within ten minutes. The person then signs in with the new one.
    ///
    /// # Errors
    /// [`NotSet::Unmet`] with every rule the new password fails, or [`NotSet::Refused`].
    pub async fn set(self, new: impl Into<SecretString>) -> Result<(), NotSet> {
        let Self { gate, policy, draft, stand, found, owner, at } = self;
        if gate.now().since(at) > CHANGE_WITHIN {
            let refusal = Refused::new(Code::NoSession, policy.digest());
            return Err(NotSet::Refused(gate.refuse(&draft, refusal).await));
        }
        let last = stand.last.as_deref();
        let record = gate.hash(&policy, &draft, &found, owner, last, new.into()).await?;
        gate.recorded(&draft, async {
            gate.set_password(&policy, &draft.tenant, &found, &stand, record, None).await
        })
        .await?;
        Ok(())
    }
}
