//! A process with little memory: in a control group where one can be made, with a bound on its
//! address space elsewhere.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bounds the memory of one process.
pub struct Cage {
    bytes: u64,
    how: How,
}

enum How {
    /// A control group of version 2, with swap switched off.
    V2(PathBuf),
    /// One of version 1.
    V1(PathBuf),
    /// No control group can be made here.
    AddressSpace,
}

impl fmt::Display for Cage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.bytes >> 20;
        match &self.how {
            How::V2(group) => write!(f, "{mib} MiB in the control group {}", group.display()),
            How::V1(group) => write!(f, "{mib} MiB in the control group (v1) {}", group.display()),
            How::AddressSpace => {
                write!(f, "{mib} MiB of address space: no control group can be made here")
            }
        }
    }
}

impl Cage {
    pub fn new(name: &str, bytes: u64) -> Self {
        let name = format!("vouchsafe-{}-{name}", std::process::id());
        let how = v2(&name, bytes).or_else(|| v1(&name, bytes)).unwrap_or(How::AddressSpace);
        Self { bytes, how }
    }

    /// What the process is to have in its environment.
    pub fn environment(&self) -> [(&'static str, &'static str); 2] {
        // glibc sets much more address space aside for each thread than the thread uses; and a
        // backtrace needs memory of which there is none left.
        let arenas = if matches!(self.how, How::AddressSpace) { "1" } else { "8" };
        [("MALLOC_ARENA_MAX", arenas), ("RUST_BACKTRACE", "0")]
    }

    pub fn close_around(&self, process: u32) {
        match &self.how {
            How::V2(group) | How::V1(group) => {
                fs::write(group.join("cgroup.procs"), process.to_string()).unwrap();
            }
            How::AddressSpace => {
                let (process, most) = (process.to_string(), format!("--as={}", self.bytes));
                let set = Command::new("prlimit").args(["--pid", &process, &most]).status();
                assert!(set.expect("prlimit (apt-get install util-linux)").success());
            }
        }
    }

    /// How many processes were killed in it for want of memory, where that is counted.
    pub fn kills(&self) -> Option<u64> {
        let file = match &self.how {
            How::V2(group) => group.join("memory.events"),
            How::V1(group) => group.join("memory.oom_control"),
            How::AddressSpace => return None,
        };
        let events = fs::read_to_string(file).unwrap();
        let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Some(killed.expect("a count of kills").trim().parse().unwrap())
    }

    /// The most memory that was used in it at once, in bytes, where that is kept.
    pub fn peak(&self) -> Option<u64> {
        let file = match &self.how {
            How::V2(group) => group.join("memory.peak"),
            How::V1(group) => group.join("memory.max_usage_in_bytes"),
            How::AddressSpace => return None,
        };
        // Kept since Linux 5.19.
        fs::read_to_string(file).ok().map(|bytes| bytes.trim().parse().unwrap())
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        if let How::V2(group) | How::V1(group) = &self.how {
            // It stays busy for a moment after the end of the last process in it.
            while fs::remove_dir(group)
                .is_err_and(|error| error.kind() == std::io::ErrorKind::ResourceBusy)
            {
                std::thread::yield_now();
            }
        }
    }
}

/// Beside this process's own group, or below it where that has the right.
fn v2(name: &str, bytes: u64) -> Option<How> {
    let own = own_group("cgroup2", "")?;
    [own.parent().map(Path::to_owned), Some(own)].into_iter().flatten().find_map(|parent| {
        let control = parent.join("cgroup.subtree_control");
        if !fs::read_to_string(&control).ok()?.split_whitespace().any(|one| one == "memory") {
            fs::write(&control, "+memory").ok()?;
        }
        made(parent.join(name), &[("memory.max", bytes)], &[("memory.swap.max", 0)]).map(How::V2)
    })
}

fn v1(name: &str, bytes: u64) -> Option<How> {
    let own = own_group("cgroup", "memory")?;
    let with_swap = [("memory.memsw.limit_in_bytes", bytes)];
    made(own.join(name), &[("memory.limit_in_bytes", bytes)], &with_swap).map(How::V1)
}

/// A group with these bounds; those of `where_there` are missing in kernels without swap accounts.
fn made(group: PathBuf, bounds: &[(&str, u64)], where_there: &[(&str, u64)]) -> Option<PathBuf> {
    fs::create_dir(&group).ok()?;
    let set = |(file, bytes): &(&str, u64)| fs::write(group.join(file), bytes.to_string());
    let there = where_there.iter().filter(|(file, _)| group.join(file).exists());
    let done = bounds.iter().chain(there).all(|bound| set(bound).is_ok());
    let usable =
        done && fs::OpenOptions::new().write(true).open(group.join("cgroup.procs")).is_ok();
    if usable {
        return Some(group);
    }
    let _ = fs::remove_dir(&group);
    None
}

/// This process's group in the hierarchy of this type, and with this controller.
fn own_group(kind: &str, controller: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let has = |list: &str| list.split(',').any(|one| one == controller);
    // `hierarchy:controllers:path`, the controllers empty in version 2.
    let own = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        has(controllers).then_some(path)
    })?;
    // `.. .. .. root point options .. - type source options`
    mounts.lines().find_map(|line| {
        let (mount, about) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut about = about.split(' ');
        let (this, options) = (about.next()?, about.nth(1)?);
        if this != kind || (!controller.is_empty() && !has(options)) {
            return None;
        }
        let below = Path::new(own).strip_prefix(root).ok()?;
        Some(Path::new(point).join(below))
    })
}
