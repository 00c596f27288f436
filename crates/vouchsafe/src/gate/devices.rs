//! Is this a browser that has signed in to the account before?
//!
//! Its cookie is made and checked without the store. Whether it was voided is in the account's own
//! cell, beside the password, and changes with it in one swap: one load, and only for whoever has a
//! cookie that was made for this very account.

use std::sync::Arc;
use std::time::Duration;

use vouchsafe_core::{AccountDigest, SecretString, TenantId, Timestamp};
use vouchsafe_lockout::{Cookie, Device, DeviceEpoch, LockoutEvent, LockoutState, LockoutVerdict};
use vouchsafe_policy::Policy;
use vouchsafe_store::Cells;

use super::call::Call;
use super::{Gate, Later, Refused, store_refusal};

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
    /// The cookie of a call, if it is one of ours, for this account, and not too old.
    fn cookie(&self, policy: &Policy, account: AccountDigest, call: &Call) -> Option<Cookie> {
        let devices = policy.lockout().devices()?;
        let cookie = self.inner.devices.verify(account, call.device()?)?;
        (cookie.issued().after(devices.valid_for) > self.now()).then_some(cookie)
    }

    /// The browser behind a call, if its cookie counts. Where that cannot be told, it does not.
    pub(super) async fn device(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
        call: &Call,
    ) -> Option<Device> {
        let cookie = self.cookie(policy, account, call)?;
        let view = self.view(policy, account).await.ok()?;
        cookie.of_epoch(view.devices)
    }

    /// A cookie for a browser that signed in to `account` at `at`, when its cookies were of `epoch`;
    /// none where the policy has no device counters. A browser that is known keeps its counter.
    pub(super) fn new_device(
        &self,
        policy: &Policy,
        account: AccountDigest,
        call: &Call,
        epoch: DeviceEpoch,
        at: Timestamp,
    ) -> Result<Option<DeviceCookie>, Refused> {
        let Some(devices) = policy.lockout().devices() else { return Ok(None) };
        let known = self.cookie(policy, account, call).and_then(|cookie| cookie.of_epoch(epoch));
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
        policy: &Arc<Policy>,
        account: AccountDigest,
        call: &Call,
    ) -> Result<(), Refused> {
        match self.throttle(tenant, policy, call) {
            Err(refusal) if self.device(policy, account, call).await.is_none() => Err(refusal),
            _ => Ok(()),
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
