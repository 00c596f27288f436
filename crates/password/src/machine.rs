//! How a credential changes: a set password replaces what it was set against, and nothing newer.

use vouchsafe_core::{Machine, Standing, Step, Timestamp};

use crate::state::Enabled;
use crate::{Credential, NewRecord, Record, Upgrade};

/// Steps a [`Credential`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CredentialMachine;

/// What happens to a credential.
#[derive(Debug)]
pub enum CredentialEvent {
    /// A new password, hashed while the credential was at generation `expect`.
    Set {
        /// The generation that it replaces.
        expect: u64,
        /// The new record, fresh from the pool.
        record: NewRecord,
    },
    /// The same password, hashed anew.
    Upgrade(Upgrade),
    /// From now on the password is good for nothing but changing it, if it is still the one of
    /// generation `expect`.
    RequireChange {
        /// The generation that is meant.
        expect: u64,
    },
    /// No password matches until one is set with a link, and everything issued before is void: what
    /// is kept of it is not the latest, and good for nothing but knowing what was used before.
    Withdraw,
    /// What was found where a host keeps the record itself and has set another one: it is in force,
    /// and everything issued before is void.
    Adopt {
        /// What was found.
        record: Record,
    },
    /// Everything issued before is void; the password stays.
    Void,
    /// The password no longer matches, and everything issued before is void.
    Disable,
    /// It matches again.
    Enable,
}

/// What became of it.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialVerdict {
    /// The new password is in force, and this is its generation.
    Set {
        /// The new generation.
        generation: u64,
        /// What it entitles to.
        standing: Standing,
    },
    /// The new hash is in force.
    Upgraded,
    /// It can only be changed.
    ChangeRequired,
    /// There is none.
    Withdrawn,
    /// What was found is in force.
    Adopted,
    /// What was issued is void.
    Voided,
    /// It is disabled.
    Disabled,
    /// It is enabled.
    Enabled,
    /// Something else was set in the meantime, and stays: nothing changed.
    Superseded {
        /// The generation in force.
        generation: u64,
    },
    /// The account is disabled: nothing changed.
    Refused,
}

impl Machine for CredentialMachine {
    type State = Credential;
    type Event = CredentialEvent;
    type Verdict = CredentialVerdict;

    fn step(
        &self,
        was: Option<&Credential>,
        event: &CredentialEvent,
        _now: Timestamp,
    ) -> Step<Credential, CredentialVerdict> {
        let was = was.cloned().unwrap_or_default();
        let superseded = CredentialVerdict::Superseded { generation: was.generation };
        let next = was.generation.saturating_add(1);
        match event {
            CredentialEvent::Set { expect, record } => {
                let record = record.as_record();
                let standing = record.standing();
                if was.is_disabled() {
                    Step::keep(CredentialVerdict::Refused)
                } else if was.record() == Some(record) {
                    // Salts are never reused: the same record is this very event, seen again.
                    let generation = was.generation;
                    Step::keep(CredentialVerdict::Set { generation, standing })
                } else if was.generation != *expect {
                    Step::keep(superseded)
                } else {
                    let verdict = CredentialVerdict::Set { generation: next, standing };
                    save(was.with(next, record.clone()), verdict)
                }
            }
            CredentialEvent::Upgrade(upgrade) => {
                let (expected, new) = (upgrade.expected(), upgrade.new_record());
                if was.record() == Some(new) {
                    Step::keep(CredentialVerdict::Upgraded)
                } else if was.record() == Some(expected) {
                    let generation = was.generation;
                    save(was.with(generation, new.clone()), CredentialVerdict::Upgraded)
                } else {
                    Step::keep(superseded)
                }
            }
            CredentialEvent::RequireChange { expect } => match was.record() {
                Some(record) if was.generation == *expect => {
                    if record.standing() == Standing::MustChange {
                        return Step::keep(CredentialVerdict::ChangeRequired);
                    }
                    let record = record.clone().must_change();
                    save(was.with(*expect, record), CredentialVerdict::ChangeRequired)
                }
                _ => Step::keep(superseded),
            },
            CredentialEvent::Withdraw if was.record().is_none() => {
                Step::keep(CredentialVerdict::Withdrawn)
            }
            CredentialEvent::Withdraw => save(
                Credential { generation: next, withdrawn: true, ..was },
                CredentialVerdict::Withdrawn,
            ),
            CredentialEvent::Adopt { record } => {
                save(was.with(next, record.clone()), CredentialVerdict::Adopted)
            }
            CredentialEvent::Void => {
                save(Credential { generation: next, ..was }, CredentialVerdict::Voided)
            }
            CredentialEvent::Disable if was.is_disabled() => {
                Step::keep(CredentialVerdict::Disabled)
            }
            CredentialEvent::Disable => save(
                Credential { generation: next, enabled: Enabled::No, ..was },
                CredentialVerdict::Disabled,
            ),
            CredentialEvent::Enable if was.is_disabled() => save(
                Credential { generation: next, enabled: Enabled::Yes, ..was },
                CredentialVerdict::Enabled,
            ),
            CredentialEvent::Enable => Step::keep(CredentialVerdict::Enabled),
        }
    }
}

fn save(state: Credential, verdict: CredentialVerdict) -> Step<Credential, CredentialVerdict> {
    Step::save(state, Timestamp::MAX, verdict)
}
