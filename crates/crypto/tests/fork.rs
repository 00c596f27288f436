//! A process that forks draws nothing twice. Here, because forking is unsafe.
#![cfg(unix)]
#![expect(unsafe_code, reason = "fork")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::collections::HashSet;
use std::io::{PipeReader, Read, Write};
use std::sync::Mutex;

use vouchsafe_core::{AccountDigest, Entropy, NoEntropy, TenantId};
use vouchsafe_crypto::{RootKey, SystemEntropy};
use vouchsafe_session::TokenKeys;

/// Ids that each process draws.
const EACH: usize = 1_000;

fn ids(entropy: &impl Entropy, count: usize) -> Vec<[u8; 16]> {
    let keys = TokenKeys::new(&RootKey::new(&[3; 32]));
    let tenant = TenantId::new("acme").unwrap();
    let issue = || keys.issue(&tenant, AccountDigest::new([7; 16]), entropy).unwrap();
    (0..count).map(|_| *issue().1.id().as_bytes()).collect()
}

/// A child of this process, which draws its ids and sends them.
fn child(entropy: &impl Entropy) -> (libc::pid_t, PipeReader) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: the child only allocates, which glibc and musl allow after a fork, writes to its
    // pipe, and leaves.
    match unsafe { libc::fork() } {
        -1 => panic!("{}", std::io::Error::last_os_error()),
        0 => {
            let drawn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                writer.write_all(&ids(entropy, EACH).concat())
            }));
            let code = i32::from(!matches!(drawn, Ok(Ok(()))));
            // SAFETY: nothing of the test's may run in this process: no destructor, no test.
            unsafe { libc::_exit(code) }
        }
        id => (id, reader),
    }
}

/// How many ids are drawn twice in a process that has drawn some, and in its two children.
fn repeated(entropy: &impl Entropy) -> usize {
    let mut all = ids(entropy, 10);
    let children = [child(entropy), child(entropy)];
    all.extend(ids(entropy, EACH));
    for (id, mut reader) in children {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        all.extend(bytes.as_chunks::<16>().0);
        let mut status = 0;
        // SAFETY: waits for the child just made.
        assert_eq!(unsafe { libc::waitpid(id, &raw mut status, 0) }, id);
        assert_eq!(status, 0);
    }
    assert_eq!(all.len(), 10 + 3 * EACH);
    all.len() - all.iter().collect::<HashSet<_>>().len()
}

#[test]
fn no_id_is_drawn_twice_after_a_fork() {
    assert_eq!(repeated(&SystemEntropy::new()), 0);
}

/// Draws a page at a time, and does not notice a fork.
struct Buffered(Mutex<Vec<u8>>);

impl Entropy for Buffered {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        let mut page = self.0.lock().unwrap();
        for byte in out {
            if page.is_empty() {
                page.resize(4_096, 0);
                SystemEntropy::new().fill(&mut page)?;
            }
            *byte = page.pop().unwrap();
        }
        Ok(())
    }
}

#[test]
fn a_generator_that_does_not_notice_a_fork_is_caught() {
    let repeated = repeated(&Buffered(Mutex::default()));
    assert!(repeated > 50, "{repeated}");
}
