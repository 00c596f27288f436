//! A policy for nobody in particular.
//! error: E0277
//! fix: implements `From<(TenantId,
use vouchsafe::Gate;
use vouchsafe::core::TenantId;
use vouchsafe::gate::GateBuilder;
use vouchsafe::policy::Policy;

pub fn start(acme: TenantId, policy: Policy) -> GateBuilder {
    #[cfg(not(fixed))]
    return Gate::builder(policy);
    #[cfg(fixed)]
    return Gate::builder((acme, policy));
}
