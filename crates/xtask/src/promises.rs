//! From a promise of the sources to the tests that show it: crates/policy/docs/tests.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use crate::Result;
use crate::guarantees::Guarantee;
use crate::run::root;

const PROMISES: &str = "crates/policy/docs/promises.md";
const TESTS: &str = "crates/policy/docs/tests.md";
/// What shows that the value of a field is in force.
const FIELDS: &str = "PO-3";

/// Writes the table, or checks that it is written as it should be.
pub fn table(all: &[Guarantee], write: bool) -> Result<()> {
    let read = |file| fs::read_to_string(root().join(file)).map_err(|e| format!("{file}: {e}"));
    let table = render(&read(PROMISES)?, all)?;
    if write {
        return fs::write(root().join(TESTS), table).map_err(|e| format!("{TESTS}: {e}"));
    }
    if read(TESTS)? == table {
        return Ok(());
    }
    Err(format!("{TESTS} is out of date: `cargo xtask guarantees --write` writes it anew"))
}

fn render(promises: &str, all: &[Guarantee]) -> Result<String> {
    let mut out = "# The tests behind the promises\n\n\
        Written by `cargo xtask guarantees --write` from the table of [promises](promises.md) and \
        the crates' GUARANTEES.md, and checked with the tests. Each guarantee with the promises \
        that rest on it; a promise with a value of its own rests on PO-3 too, which runs a change \
        of each compared field through its engine.\n\n\
        | guarantee | promises | tests |\n|---|---|---|\n"
        .to_owned();
    let resting = resting(promises);
    if resting.is_empty() {
        return Err(format!("{PROMISES}: no promise names a guarantee"));
    }
    for ((area, number), promises) in resting {
        let id = format!("{area}-{number}");
        let tests = all.iter().find(|g| g.id == id).map(|g| {
            let code = |test: &String| format!("`{test}`");
            g.tests.iter().map(code).collect::<Vec<_>>().join(", ")
        });
        let promises = promises.into_iter().collect::<Vec<_>>().join(", ");
        let tests = tests.unwrap_or_else(|| "none yet: the guarantee is not given".into());
        let _ = writeln!(out, "| {id} | {promises} | {tests} |");
    }
    Ok(out)
}

/// The promises that rest on each guarantee, in the order of areas and numbers.
fn resting(promises: &str) -> BTreeMap<(String, u32), BTreeSet<String>> {
    let mut resting: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for line in promises.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, id, _, _, fields, guarantees, _, _] = cells[..] else { continue };
        if !id.contains(|c: char| c.is_ascii_digit()) {
            continue; // the table's heading
        }
        let own = guarantees.split(", ").chain((!fields.is_empty()).then_some(FIELDS));
        for (area, number) in own.filter_map(|id| id.split_once('-')) {
            if let Ok(number) = number.parse() {
                resting.entry((area.to_owned(), number)).or_default().insert(id.to_owned());
            }
        }
    }
    resting
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMISES: &str = "# P\n\n| id | promise | kinds | field | guarantee | evidence |\n\
        |---|---|---|---|---|---|\n| Z2 | x | enforced | `session.idle = 30 min` | SE-10, SE-9 |  |\n\
        | Z1 | y | host |  | SE-9 | tls |\n\n- **Z1-a** (Z1): text\n";

    fn guarantee(id: &str, tests: &[&str]) -> Guarantee {
        Guarantee {
            id: id.into(),
            mark: "alone".into(),
            package: "p".into(),
            text: "t".into(),
            tests: tests.iter().map(|&test| test.to_owned()).collect(),
            open: None,
        }
    }

    #[test]
    fn each_guarantee_has_its_promises_and_its_tests() {
        let all = [guarantee("SE-9", &["a.rs::b", "a.rs::c"]), guarantee("PO-3", &["d.rs::e"])];
        let table = render(PROMISES, &all).unwrap();
        let rows: Vec<&str> = table.lines().filter(|line| line.contains("Z")).collect();
        assert_eq!(
            rows,
            [
                "| PO-3 | Z2 | `d.rs::e` |",
                "| SE-9 | Z1, Z2 | `a.rs::b`, `a.rs::c` |",
                "| SE-10 | Z2 | none yet: the guarantee is not given |",
            ]
        );
        assert!(render("# nothing\n", &all).is_err());
    }
}
