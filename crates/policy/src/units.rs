//! Durations and sizes as people write them: `24h`, `30 d`, `19 MiB`.

use std::time::Duration;

/// Longest first, so that printing picks the coarsest exact unit.
const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

pub(crate) const DURATION: &str =
    "a duration as text with its unit (ms, s, min, h or d), such as \"24h\"";
pub(crate) const SIZE: &str =
    "a size as text with its unit (B, KiB, MiB or GiB), such as \"19 MiB\"";

/// Splits `24h` or `19 MiB` into its number and its unit.
fn parts(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = parts(text)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

fn printed(amount: u64, units: &[(&'static str, u64)]) -> String {
    let exact = |(name, factor): &(&'static str, u64)| {
        let whole = amount.checked_div(*factor)?;
        (whole > 0 && whole.checked_mul(*factor) == Some(amount)).then_some((whole, *name))
    };
    let smallest = if units == SIZES { "B" } else { "ms" };
    let (whole, name) = units.iter().find_map(exact).unwrap_or((amount, smallest));
    format!("{whole} {name}")
}

pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    scaled(text, &TIMES).map(Duration::from_millis)
}

pub(crate) fn print_duration(duration: Duration) -> String {
    printed(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &TIMES)
}

pub(crate) fn parse_size(text: &str) -> Option<u64> {
    scaled(text, &SIZES)
}

pub(crate) fn print_size(bytes: u64) -> String {
    printed(bytes, &SIZES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_the_same_amount() {
        for (text, millis, printed) in [
            ("24h", 86_400_000, "1 d"),
            ("30 d", 2_592_000_000, "30 d"),
            ("90 min", 5_400_000, "90 min"),
            ("1500ms", 1_500, "1500 ms"),
            ("0s", 0, "0 ms"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(print_duration(duration), printed);
            assert_eq!(parse_duration(printed), Some(duration));
        }
        assert_eq!(parse_size("19 MiB"), Some(19 << 20));
        assert_eq!(print_size(19 << 20), "19 MiB");
        assert_eq!(print_size(1_000), "1000 B");
    }

    #[test]
    fn refuses_what_has_no_unit_or_overflows() {
        for bad in ["", "24", "h", "24 hours ago", "-1h", "1.5h", "24H", "18446744073709551615d"] {
            assert_eq!(parse_duration(bad), None, "{bad:?}");
        }
        for bad in ["19", "19MB", "19 mib", "99999999999 GiB"] {
            assert_eq!(parse_size(bad), None, "{bad:?}");
        }
    }
}
