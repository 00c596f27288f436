//! `migrate FOLDER [users.csv passwords.csv]`: the bundled files where none are named.

use std::error::Error;
use std::path::PathBuf;

const USAGE: &str = "migrate FOLDER [users.csv passwords.csv]";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (folder, users, passwords) = match arguments.as_slice() {
        [folder] => {
            let (users, passwords) =
                (include_str!("../users.csv"), include_str!("../passwords.csv"));
            (folder, users.to_owned(), passwords.to_owned())
        }
        [folder, users, passwords] => (folder, read(users)?, read(passwords)?),
        _ => return Err(USAGE.into()),
    };
    std::fs::create_dir_all(folder)?;
    let migrated = vouchsafe_testkit::block_on(migrate::migrate(folder, &users, &passwords))?;
    println!("{:<40} {:<28} {:<20} first sign-in", "user", "the column held", "it holds");
    for user in migrated {
        println!("{user}");
    }
    Ok(())
}
