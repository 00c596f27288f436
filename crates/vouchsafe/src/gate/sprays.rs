//! Is somebody trying a few passwords on many accounts of a tenant?

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vouchsafe_access_log::{Operation, name};
use vouchsafe_core::{AccountDigest, TenantId, Timestamp};
use vouchsafe_lockout::{Seen, SprayAlarm, SprayDetector, SprayPolicy};
use vouchsafe_policy::Policy;

use super::call::Attempt;
use super::events::event;
use super::{Code, Gate, Policies, Refused};

/// One detector a tenant: each is bounded by its policy.
#[derive(Debug)]
pub(super) struct Sprays {
    tenants: BTreeMap<TenantId, Mutex<SprayDetector>>,
    /// Whether the host can ask for more while an alarm goes on.
    challenges: bool,
}

impl Sprays {
    pub(super) fn new(policies: &Policies, policy: SprayPolicy, challenges: bool) -> Self {
        let detector = || Mutex::new(SprayDetector::new(policy));
        let tenants = policies.tenants().map(|tenant| (tenant.clone(), detector())).collect();
        Self { tenants, challenges }
    }

    fn of(&self, tenant: &TenantId) -> Option<MutexGuard<'_, SprayDetector>> {
        let detector = self.tenants.get(tenant)?;
        Some(detector.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Gate {
    /// The spray that goes on at `tenant` now, as far as this process has seen.
    #[must_use]
    pub fn spray(&self, tenant: &TenantId) -> Option<SprayAlarm> {
        self.inner.sprays.of(tenant)?.alarm(self.now())
    }

    /// Takes note of a password that was looked at, and records the alarm that it raises.
    pub(super) async fn watch(
        &self,
        tenant: &TenantId,
        policy: &Policy,
        account: AccountDigest,
        seen: Seen,
    ) {
        let now: Timestamp = self.now();
        let raised = self.inner.sprays.of(tenant).and_then(|mut s| s.observe(now, account, seen));
        let Some(alarm) = raised else { return };
        let SprayAlarm { id, accounts, unknown, expected, .. } = alarm;
        let text = format!("{id:016x}  {accounts} accounts, {unknown} unknown, over {expected}");
        let target = event(name!("spray"), &text);
        self.raise(tenant, Operation::SprayAlarm, target, policy.digest()).await;
    }

    /// While a spray goes on, whoever is not known by a cookie has to show first that they are no
    /// program.
    pub(super) async fn challenge(
        &self,
        policy: &Policy,
        account: AccountDigest,
        attempt: &Attempt,
    ) -> Result<(), Refused> {
        let asks = self.inner.sprays.challenges && !attempt.has_passed_challenge();
        if !asks || self.spray(&attempt.tenant).is_none() {
            return Ok(());
        }
        if self.is_known(policy, account, &attempt.call).await {
            return Ok(());
        }
        Err(Refused::new(Code::Challenge, policy.digest()))
    }
}
