//! The outcomes as a table, in Markdown with columns that line up.

use std::fmt::Write as _;

use crate::siege::Row;

const HEADINGS: [&str; 11] = [
    "attack",
    "algorithm",
    "guesses an account a day",
    "opened %",
    "false locks %",
    "victims in, known device %",
    "elsewhere %",
    "others in %",
    "alarm after s",
    "memory KiB",
    "p99 ns",
];

/// The table. The last column is measured: `-` where it was not.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    let mut last = None;
    for row in rows {
        let outcome = &row.outcome;
        let attack = if last == Some(row.attack) { String::new() } else { row.attack.to_string() };
        last = Some(row.attack);
        let percent = |share: crate::replay::Share| {
            share.percent().map_or_else(|| "-".into(), |percent| format!("{percent:.2}"))
        };
        lines.push([
            attack,
            row.algorithm.name().into(),
            outcome.guesses.to_string(),
            percent(outcome.opened),
            percent(outcome.false_locks),
            percent(outcome.known),
            percent(outcome.elsewhere),
            percent(outcome.bystanders),
            match (outcome.began, outcome.alarms.first()) {
                (Some(began), Some(alarm)) => alarm.since(began).as_secs().to_string(),
                (None, Some(_)) => "false".into(),
                (_, None) => "-".into(),
            },
            outcome.bytes.div_ceil(1_024).to_string(),
            outcome.p99.map_or_else(|| "-".into(), |nanos| nanos.to_string()),
        ]);
    }
    let mut widths = [0; HEADINGS.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.len().max(*width);
        }
    }
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            // Writing to a `String` does not fail.
            let _ = match column {
                0 | 1 => write!(out, "| {cell:<width$} "),
                _ => write!(out, "| {cell:>width$} "),
            };
        }
        out.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.into_iter().enumerate() {
                let dashes = "-".repeat(width);
                let _ = match column {
                    0 | 1 => write!(out, "| {dashes} "),
                    _ => write!(out, "| {}: ", dashes.get(1..).unwrap_or_default()),
                };
            }
            out.push_str("|\n");
        }
    }
    out
}
