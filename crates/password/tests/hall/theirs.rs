//! The published faults, each as the one thing that is wrong with an otherwise careful program.
//! `mended` is the same program without it.

use std::collections::BTreeMap;

/// What similarity to an attribute costs: characters compared, as a longest common subsequence
/// compares them.
pub struct Similarity {
    pub mended: bool,
}

impl Similarity {
    pub fn steps(&self, typed: &str, attribute: &str) -> Option<u64> {
        if self.mended && (typed.len() > 1_024 || attribute.len() > 256) {
            return None;
        }
        Some(typed.chars().count() as u64 * attribute.chars().count() as u64)
    }
}

/// What stands in an account's column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Hash,
    /// No such account.
    Missing,
    /// An account that was never given a password.
    Unusable,
    /// Something that does not read.
    Malformed,
}

/// How many hashes an attempt costs.
pub fn hashes(column: Column, mended: bool) -> u64 {
    match column {
        // They thought of those; the early return is for "cannot be right anyway".
        Column::Hash | Column::Missing => 1,
        Column::Unusable | Column::Malformed => u64::from(mended),
    }
}

/// What a verifier that believes what is stored sets aside for it, in KiB.
pub fn set_aside(record: &str, mended: bool) -> u64 {
    let Some(rest) = record.split("m=").nth(1) else { return 0 };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    match digits.parse::<u64>() {
        Ok(kib) if !mended || kib <= 65_536 => kib,
        _ => 0,
    }
}

/// A table of passwords, with the hashing left out: a row is a password and what its hash cost.
#[derive(Default)]
pub struct Table {
    rows: BTreeMap<&'static str, (String, u32)>,
    /// Writes fail.
    pub read_only: bool,
}

impl Table {
    pub fn row(&self, name: &str) -> Option<(String, u32)> {
        self.rows.get(name).cloned()
    }

    pub fn write(&mut self, name: &'static str, password: &str, cost: u32) -> Result<(), ()> {
        if self.read_only {
            return Err(());
        }
        self.rows.insert(name, (password.to_owned(), cost));
        Ok(())
    }

    /// Rehashes with more: what was read is what must still be there, where it is mended.
    pub fn upgrade(
        &mut self,
        name: &'static str,
        read: &(String, u32),
        mended: bool,
    ) -> Result<(), ()> {
        if mended && self.rows.get(name) != Some(read) {
            return Ok(());
        }
        self.write(name, &read.0, read.1 + 1)
    }

    /// Signs in, and rehashes on the way.
    pub fn login(&mut self, name: &'static str, password: &str, mended: bool) -> bool {
        let Some(read) = self.row(name) else { return false };
        let right = read.0 == password;
        let upgraded = !right || self.upgrade(name, &read, true).is_ok();
        right && (upgraded || mended)
    }
}

/// As much hashing at once as there are permits.
pub struct Permits {
    free: usize,
    running: usize,
    /// Most at once.
    pub most: usize,
    mended: bool,
}

impl Permits {
    pub fn new(permits: usize, mended: bool) -> Self {
        Self { free: permits, running: 0, most: 0, mended }
    }

    pub fn start(&mut self) -> bool {
        if self.free == 0 {
            return false;
        }
        self.free -= 1;
        self.running += 1;
        self.most = self.most.max(self.running);
        true
    }

    /// Whoever asked goes away; the hash goes on.
    pub fn go_away(&mut self) {
        if !self.mended {
            self.free += 1;
        }
    }
}

/// What becomes of a password's bytes after the 72nd.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// They count for nothing, at enrolment or later.
    Off,
    /// Nobody types so many, it is thought.
    Refused,
    /// An old hash becomes one of all that was typed, which nobody has checked.
    Pinned,
    /// An old hash is compared as it was made, and that of a new password is made of all of it.
    Mended,
}

/// A row with a hash by bcrypt, the hashing left out.
pub struct Bcrypt {
    /// What was hashed.
    hashed: Vec<u8>,
    whole: bool,
    cut: Cut,
}

impl Bcrypt {
    pub fn enrolled_long_ago(password: &str, cut: Cut) -> Self {
        Self { hashed: first(password).to_vec(), whole: false, cut }
    }

    pub fn login(&mut self, typed: &str) -> bool {
        if self.cut == Cut::Refused && typed.len() > 72 {
            return false;
        }
        let compared = if self.whole { typed.as_bytes() } else { first(typed) };
        let right = compared == self.hashed;
        if right && self.cut == Cut::Pinned {
            (self.hashed, self.whole) = (typed.as_bytes().to_vec(), true);
        }
        right
    }

    pub fn set(&mut self, chosen: &str) {
        (self.hashed, self.whole) = match self.cut {
            Cut::Off | Cut::Refused => (first(chosen).to_vec(), false),
            Cut::Pinned | Cut::Mended => (chosen.as_bytes().to_vec(), true),
        };
    }
}

fn first(password: &str) -> &[u8] {
    password.as_bytes().get(..72).unwrap_or(password.as_bytes())
}
