//! Is this a browser that has signed in to the account before?
//!
//! Its cookie is made and checked without the store. Whether it was revoked is in the lockout's own
//! cell: the charge reads it there, and nobody else has to ask unless something else stands in the
//! way.

use std::sync::Arc;
use std::time::Duration;

use vouchsafe_core::{AccountDigest, SecretString, TenantId, Timestamp};
use vouchsafe_lockout::{Device, DeviceEpoch, LockoutEvent, LockoutState, LockoutVerdict};
use vouchsafe_policy::Policy;
use vouchsafe_store::Cells;

use super::call::Call;
use super::{Gate, Later, Refused, counting_by, store_refusal};

/// The cookie of a browser that has signed in. It lets nobody in: with it, strangers' failures do
/// not lock its owner out, and floods of others do not hold the owner up.
#[derive(Debug)]
pub struct DeviceCookie {
    text: SecretString,
    valid_for: Duration,
}

impl DeviceCookie {
    /// The cookie's value: 55 letters, digits, `-` and `_`.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// How long it is good for: its Max-Age.
    #[must_use]
    pub const fn valid_for(&self) -> Duration {
        self.valid_for
    }
}

impl Gate {
    /// The browser behind a call, if its cookie is one of ours, for this account, and not too old.
    /// Whether it was revoked is for the account's counter to say.
    pub(super) fn device(
        &self,
        policy: &Policy,
        account: AccountDigest,
        call: &Call,
    ) -> Option<Device> {
        let devices = policy.lockout().devices()?;
        let device = self.inner.devices.verify(account, call.device()?)?;
        let known = device.issued().after(devices.valid_for) > self.now();
        (known && !self.is_forgetting(account)).then_some(device)
    }

    /// Whether the cookies of an account are void, and the store has not taken it in yet.
    fn is_forgetting(&self, account: AccountDigest) -> bool {
        self.inner.later().iter().any(|later| match later {
            Later::Settle { event: LockoutEvent::ForgetDevices { account: of }, .. }
            | Later::Settle {
                event: LockoutEvent::Reset { account: of, revoke_devices: true, .. },
                ..
            } => *of == account,
            _ => false,
        })
    }

    /// A cookie for a browser that signed in to `account` at `at`; none where the policy has no
    /// device counters. A browser that is known keeps its counter, and where nobody knows the
    /// account's epoch, that of the cookie it has.
    pub(super) fn new_device(
        &self,
        policy: &Policy,
        account: AccountDigest,
        call: &Call,
        epoch: Option<DeviceEpoch>,
        at: Timestamp,
    ) -> Result<Option<DeviceCookie>, Refused> {
        let Some(devices) = policy.lockout().devices() else { return Ok(None) };
        let known = self.device(policy, account, call);
        let Some(epoch) = epoch.or(known.map(|known| known.epoch())) else { return Ok(None) };
        let id = match known {
            Some(known) => known.id(),
            None => self.fresh_number(policy)?,
        };
        let text = SecretString::new(self.inner.devices.issue(account, id, epoch, at));
        Ok(Some(DeviceCookie { text, valid_for: devices.valid_for }))
    }

    /// Ahead of everything that costs: is this source trying too often? Whoever comes from a browser
    /// that is known is not held up by what others do from the same address.
    pub(super) async fn throttle_strangers(
        &self,
        tenant: &TenantId,
        policy: &Policy,
        account: AccountDigest,
        call: &Call,
    ) -> Result<(), Refused> {
        match self.throttle(tenant, policy, call) {
            Err(refusal) if !self.is_known(policy, account, call).await => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Whether the call comes from a known browser, for certain: one load, and only for whoever
    /// has a cookie that was made for this very account.
    pub(super) async fn is_known(
        &self,
        policy: &Policy,
        account: AccountDigest,
        call: &Call,
    ) -> bool {
        let Some(device) = self.device(policy, account, call) else { return false };
        match self.failures(policy, account).await {
            Ok((state, now)) => counting_by(policy).knows(state.as_ref(), &device, now),
            Err(_) => false,
        }
    }

    /// What is kept of an account's failures, and when that is.
    pub(super) async fn failures(
        &self,
        policy: &Policy,
        account: AccountDigest,
    ) -> Result<(Option<LockoutState>, Timestamp), Refused> {
        let (key, refusal) = (LockoutState::key(account), |error| store_refusal(&error, policy));
        let loaded = self.inner.cells.load(key).await.map_err(refusal)?;
        let now = loaded.time.unwrap_or_else(|| self.now());
        Ok((loaded.state(key).map_err(refusal)?, now))
    }

    /// Voids every cookie of an account whose password was just replaced, now or as soon as the store
    /// answers again. What its owner's browser gets a new one with.
    pub(super) async fn forget_devices(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
    ) -> Option<DeviceEpoch> {
        policy.lockout().devices()?;
        match self.surely(policy, account, || LockoutEvent::ForgetDevices { account }).await {
            Some(LockoutVerdict::DevicesForgotten { epoch }) => Some(epoch),
            _ => None,
        }
    }

    /// Does something to an account's counter now, or leaves it for the upkeep when the store does
    /// not answer, or when nobody waits for it any more.
    pub(super) async fn surely(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
        event: impl Fn() -> LockoutEvent,
    ) -> Option<LockoutVerdict> {
        let mut left = Left { gate: self, policy, event: Some(event()) };
        let verdict = self.settle(policy, account, event()).await.ok()?;
        left.event = None;
        Some(verdict)
    }
}

/// What is to be tried again by the upkeep, unless it was done.
struct Left<'a> {
    gate: &'a Gate,
    policy: &'a Arc<Policy>,
    event: Option<LockoutEvent>,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.gate.inner.leave(Later::Settle { policy: Arc::clone(self.policy), event });
        }
    }
}
