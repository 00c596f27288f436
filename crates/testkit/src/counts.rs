//! How many cases a test runs.

/// Whether the long run was asked for: `VOUCHSAFE_LONG=1`, as `cargo xtask long` sets it.
#[must_use]
pub fn is_long() -> bool {
    std::env::var_os("VOUCHSAFE_LONG").is_some_and(|value| value == "1")
}

/// The number of cases: `ci` in the ordinary run, `long` in the long one.
#[must_use]
pub fn runs(ci: usize, long: usize) -> usize {
    if is_long() { long } else { ci }
}
