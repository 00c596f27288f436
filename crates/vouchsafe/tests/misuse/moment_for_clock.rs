//! One moment where a clock is meant.
//! error: E0277
//! fix: take `vouchsafe::os::SystemClock`, a test's `ManualClock`, or implement `Clock`
use std::sync::Arc;
use std::time::SystemTime;
use vouchsafe::gate::GateBuilder;
use vouchsafe::os::SystemClock;

pub fn start(gate: GateBuilder) -> GateBuilder {
    #[cfg(not(fixed))]
    return gate.clock(Arc::new(SystemTime::now()));
    #[cfg(fixed)]
    return gate.clock(Arc::new(SystemClock));
}
