//! Which policy is in force for which tenant.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use vouchsafe_core::TenantId;
use vouchsafe_policy::Policy;

/// The tenants of one installation, and the policy of each.
#[derive(Clone)]
pub struct Policies(BTreeMap<TenantId, Arc<Policy>>);

impl Policies {
    pub(crate) fn get(&self, tenant: &TenantId) -> Option<Arc<Policy>> {
        self.0.get(tenant).cloned()
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.0.keys()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TenantId, &Arc<Policy>)> {
        self.0.iter()
    }
}

/// One tenant.
impl From<(TenantId, Policy)> for Policies {
    fn from((tenant, policy): (TenantId, Policy)) -> Self {
        Self(BTreeMap::from([(tenant, Arc::new(policy))]))
    }
}

/// Several tenants.
impl FromIterator<(TenantId, Policy)> for Policies {
    fn from_iter<I: IntoIterator<Item = (TenantId, Policy)>>(tenants: I) -> Self {
        Self(tenants.into_iter().map(|(tenant, policy)| (tenant, Arc::new(policy))).collect())
    }
}

impl From<BTreeMap<TenantId, Policy>> for Policies {
    fn from(tenants: BTreeMap<TenantId, Policy>) -> Self {
        tenants.into_iter().collect()
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(t, policy)| (t, policy.digest()))).finish()
    }
}
