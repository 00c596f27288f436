//! A list where the access log is meant.
//! error: E0277
//! fix: take a `Ledger`, a test's `VecSink`, or implement `RecordSink`
use vouchsafe::access_log::{Record, VecSink};
use vouchsafe::gate::GateBuilder;

pub fn start(gate: GateBuilder) -> GateBuilder {
    #[cfg(not(fixed))]
    let log = Vec::<Record>::new();
    #[cfg(fixed)]
    let log = VecSink::new(1 << 10);
    gate.records(log)
}
