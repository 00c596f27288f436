//! Is somebody trying a few passwords on many accounts of a tenant?

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vouchsafe_access_log::{Operation, name};
use vouchsafe_core::{AccountDigest, Prefix, Source, TenantId, Timestamp};
use vouchsafe_lockout::{Seen, SprayAlarm, SprayDetector, SprayPolicy};
use vouchsafe_policy::Policy;

use super::call::Attempt;
use super::events::event;
use super::{Code, Gate, Policies, Refused};

/// Failures of one block of addresses in one window, beyond which they are that block's own affair.
const LOUD: u32 = 8;
/// Most blocks that are told apart. Where more fail in one window, it is everybody's affair.
const MAX_BLOCKS: usize = 65_536;

/// What is watched of each tenant: it is bounded by its policy.
#[derive(Debug)]
pub(super) struct Sprays {
    tenants: BTreeMap<TenantId, Mutex<Watch>>,
    window: Duration,
    /// Whether the host can ask for more while an alarm goes on.
    challenges: bool,
}

#[derive(Debug)]
struct Watch {
    all: SprayDetector,
    /// Without what loud blocks do beyond their share: nobody has everybody asked for more by what
    /// they do from one place.
    broad: SprayDetector,
    /// Failures of each block in the window that began last.
    blocks: BTreeMap<Prefix, u32>,
    began: Timestamp,
}

impl Sprays {
    pub(super) fn new(policies: &Policies, policy: SprayPolicy, challenges: bool) -> Self {
        let watch = || {
            let [all, broad] = [policy; 2].map(SprayDetector::new);
            Mutex::new(Watch { all, broad, blocks: BTreeMap::new(), began: Timestamp::MIN })
        };
        let tenants = policies.tenants().map(|tenant| (tenant.clone(), watch())).collect();
        Self { tenants, window: policy.window(), challenges }
    }

    fn of(&self, tenant: &TenantId) -> Option<MutexGuard<'_, Watch>> {
        let watch = self.tenants.get(tenant)?;
        Some(watch.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Watch {
    /// Takes note of an attempt; the alarm that it raises.
    fn note(
        &mut self,
        now: Timestamp,
        window: Duration,
        account: AccountDigest,
        block: Option<Prefix>,
        seen: Seen,
    ) -> Option<SprayAlarm> {
        if self.began.after(window) <= now || self.began > now {
            (self.began, self.blocks) = (now, BTreeMap::new());
        }
        let loud = seen != Seen::SignedIn && block.is_some_and(|block| self.is_loud(block, 1));
        if !loud {
            self.broad.observe(now, account, seen);
        }
        self.all.observe(now, account, seen)
    }

    /// Whether a block has failed more often than is looked at, counting so many more.
    fn is_loud(&mut self, block: Prefix, more: u32) -> bool {
        let room = self.blocks.len() < MAX_BLOCKS;
        match self.blocks.get_mut(&block) {
            Some(count) => {
                *count = count.saturating_add(more);
                *count > LOUD
            }
            None if room && more > 0 => {
                self.blocks.insert(block, more);
                false
            }
            None => false,
        }
    }

    /// Whether whoever comes from there is to show that they are no program.
    fn asks(&mut self, now: Timestamp, block: Option<Prefix>) -> bool {
        let loud = block.is_some_and(|block| self.is_loud(block, 0));
        loud && self.all.alarm(now).is_some() || self.broad.alarm(now).is_some()
    }
}

/// The widest block that an address is counted in.
fn block(source: Source) -> Option<Prefix> {
    source.address()?.ladder().pop()
}

impl Gate {
    /// The spray that goes on at `tenant` now, as far as this process has seen.
    #[must_use]
    pub fn spray(&self, tenant: &TenantId) -> Option<SprayAlarm> {
        self.inner.sprays.of(tenant)?.all.alarm(self.now())
    }

    /// Takes note of a password that was looked at, and records the alarm that it raises.
    pub(super) async fn watch(
        &self,
        attempt: &Attempt,
        policy: &Policy,
        account: AccountDigest,
        seen: Seen,
    ) {
        let (now, sprays) = (self.now(), &self.inner.sprays);
        let watch = sprays.of(&attempt.tenant);
        let note = |mut watch: MutexGuard<'_, Watch>| {
            watch.note(now, sprays.window, account, block(attempt.call.source()), seen)
        };
        let raised = watch.and_then(note);
        let Some(alarm) = raised else { return };
        let SprayAlarm { id, accounts, unknown, expected, .. } = alarm;
        let text = format!("{id:016x}  {accounts} accounts, {unknown} unknown, over {expected}");
        let target = event(name!("spray"), &text);
        self.raise(&attempt.tenant, Operation::SprayAlarm, target, policy.digest()).await;
    }

    /// While a spray goes on, whoever is not known by a cookie has to show first that they are no
    /// program: everybody, if it comes from many places, and otherwise those it comes from.
    pub(super) async fn challenge(
        &self,
        policy: &Arc<Policy>,
        account: AccountDigest,
        attempt: &Attempt,
    ) -> Result<(), Refused> {
        let sprays = &self.inner.sprays;
        let can_ask = sprays.challenges && !attempt.has_passed_challenge();
        let block = block(attempt.call.source());
        let asks = |mut watch: MutexGuard<'_, Watch>| watch.asks(self.now(), block);
        if !can_ask || !sprays.of(&attempt.tenant).is_some_and(asks) {
            return Ok(());
        }
        match self.device(policy, account, &attempt.call).await {
            Some(_) => Ok(()),
            None => Err(Refused::new(Code::Challenge, policy.digest())),
        }
    }
}
