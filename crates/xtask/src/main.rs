//! The workspace own tasks.
fn main() {}
