//! Which promises are in force now.
#[derive(Default)]
pub struct Findings;
