//! Is this a browser that has signed in to the account before?
//!
//! Its cookie is made and checked without the store. Whether it was voided is in the account's own
//! cell, beside the password, and changes with it in one swap: one load, and only for whoever has a
//! cookie that was made for this very account.

use std::sync::Arc;
use std::time::Duration;

use vouchsafe_core::{AccountDigest, SecretString, TenantId, Timestamp};
use vouchsafe_lockout::{Device, DeviceEpoch, LockoutState};
use vouchsafe_policy::Policy;
use vouchsafe_store::Cells;

use super::call::Call;
use super::{Gate, Refused, counting_by, store_refusal};

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
    /// The browser behind a call, if its cookie counts. Where that cannot be told, it does not.
    pub(super) async fn device(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
        call: &Call,
    ) -> Option<Device> {
        policy.lockout().devices()?;
        // Nothing is asked for the sake of a cookie that we did not make.
        let cookie = self.inner.devices.verify(account, call.device()?)?;
        let view = self.view(policy, account).await.ok()?;
        self.known(policy, cookie.of_epoch(view.devices)?)
    }

    /// As [`device`](Self::device), where cookies are known to be of `epoch`.
    pub(super) fn device_of(
        &self,
        policy: &Policy,
        account: AccountDigest,
        call: &Call,
        epoch: DeviceEpoch,
    ) -> Option<Device> {
        let cookie = self.inner.devices.verify(account, call.device()?)?;
        self.known(policy, cookie.of_epoch(epoch)?)
    }

    fn known(&self, policy: &Policy, device: Device) -> Option<Device> {
        counting_by(policy).knows(&device, self.now()).then_some(device)
    }

    /// A cookie for a browser that signed in to `account` at `at`, when its cookies were of `epoch`;
    /// none where the policy has no device counters. One that was `known` keeps its counter.
    pub(super) fn new_device(
        &self,
        policy: &Policy,
        account: AccountDigest,
        known: Option<Device>,
        epoch: DeviceEpoch,
        at: Timestamp,
    ) -> Result<Option<DeviceCookie>, Refused> {
        let Some(devices) = policy.lockout().devices() else { return Ok(None) };
        let id = match known {
            Some(known) => known.id(),
            None => self.fresh_number(policy)?,
        };
        let text = SecretString::new(self.inner.devices.issue(account, id, epoch, at));
        Ok(Some(DeviceCookie { text, valid_for: devices.valid_for }))
    }

    /// Ahead of everything that costs: is this source trying too often? Whoever comes from a browser
    /// that is known is not held up by what others do from the same address, unless nothing else
    /// bounds the attempts just now.
    pub(super) async fn throttle_strangers(
        &self,
        tenant: &TenantId,
        policy: &Arc<Policy>,
        account: AccountDigest,
        call: &Call,
    ) -> Result<(), Refused> {
        let Err(refusal) = self.throttle(tenant, policy, call) else { return Ok(()) };
        let counted = self.counters_down().is_none() || policy.lockout().degraded().is_some();
        match counted && self.device(policy, account, call).await.is_some() {
            true => Ok(()),
            false => Err(refusal),
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
}
