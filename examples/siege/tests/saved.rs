//! The table and the picture that are checked in are what the command makes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::path::Path;

use siege::attack::Attack;
use siege::picture::picture;
use siege::siege::{Algorithm, Scale, run};
use siege::table::table;

#[test]
fn table_and_picture_are_those_of_the_command() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("result");
    let rows = run(Scale::saved(), &Attack::ALL, &Algorithm::ALL, None, |_, _| {}).unwrap();
    for (name, made) in [("table.md", table(&rows)), ("picture.svg", picture(&rows))] {
        let path = folder.join(name);
        if std::env::var_os("VOUCHSAFE_BLESS").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(kept == made, "{}: VOUCHSAFE_BLESS=1 writes it anew", path.display());
        if name == "picture.svg" {
            for algorithm in Algorithm::ALL {
                assert!(made.contains(&format!(">{}</text>", algorithm.name())), "{algorithm:?}");
            }
        }
    }
}
