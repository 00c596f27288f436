//! A session for a password that can only be changed.
//! error: E0308
//! fix: expected `Authenticated`, found `ChangeOnly`
use vouchsafe::core::{Authenticated, ChangeOnly};
use vouchsafe::session::{Fresh, Label, SessionEvent};

pub fn open(due: ChangeOnly, right: Authenticated, fresh: Fresh) -> SessionEvent {
    #[cfg(not(fixed))]
    let proof = due;
    #[cfg(fixed)]
    let proof = right;
    SessionEvent::Open { proof, generation: 1, fresh, replaces: None, label: Label::default() }
}
