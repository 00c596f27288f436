//! `migrate FOLDER [users.csv passwords.csv]`: the bundled files where none are named.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or("migrate FOLDER [users.csv passwords.csv]")?;
    let mut file = |bundled: &str| match arguments.next() {
        Some(path) => {
            std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        }
        None => Ok(bundled.to_owned()),
    };
    let users = file(include_str!("../users.csv"))?;
    let passwords = file(include_str!("../passwords.csv"))?;
    std::fs::create_dir_all(&folder)?;
    let migrated = vouchsafe_testkit::block_on(migrate::migrate(&folder, &users, &passwords))?;
    println!("{:<40} {:<28} {:<20} first sign-in", "user", "the column held", "it holds");
    for user in migrated {
        println!("{user}");
    }
    Ok(())
}
