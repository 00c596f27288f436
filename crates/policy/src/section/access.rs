//! Which passwords, how they are hashed, how long sessions and links last.

use std::time::Duration;

use vouchsafe_core::Order;
use vouchsafe_password::{HashPolicy, Kind, Params, PasswordError, PasswordPolicy, PolicyProblem};
use vouchsafe_session::{AtCap, Error, LinkPolicy, Problem, Purpose, SessionPolicy};

use super::{Fields, Section, given, note, optional, optional_duration, word};
use crate::Value;
use crate::compare::Witness;
use crate::read::Reader;

/// A passphrase of this length is acceptable under every policy whose maximum admits it: refusing
/// all of them is not stricter (NIST SP 800-63B-4, 3.1.1.2: at least 64 are to be permitted).
const PASSPHRASE: u32 = 64;

/// The kinds of characters that a rule may require, by key.
const KINDS: [(&str, Kind); 4] = [
    ("require_letter", Kind::Letter),
    ("require_upper", Kind::Upper),
    ("require_number", Kind::Number),
    ("require_special", Kind::Special),
];

impl Section for PasswordPolicy {
    const NAME: &'static str = "password";
    const FIELDS: &'static [&'static str] = &[
        "min_length",
        "max_length",
        "require_letter",
        "require_upper",
        "require_number",
        "require_special",
        "refuse_common",
        "refuse_personal",
        "refuse_breached",
        "remember",
    ];

    fn read(table: &Reader<'_>) -> Option<Self> {
        let default = Self::vouchsafe();
        let min = given(table, "min_length", table.count("min_length"), default.min_length(), 1);
        let max = table.count("max_length");
        let max = given(table, "max_length", max, default.max_length(), Self::MAX_LENGTH);
        let flag = |key, default| given(table, key, table.flag(key), default, default);
        let kinds = KINDS.map(|(key, kind)| (kind, flag(key, false)));
        let common = flag("refuse_common", true);
        let personal = flag("refuse_personal", true);
        // It needs a list, which nobody has by default.
        let breached = flag("refuse_breached", false);
        let mut builder = Self::builder().min_length(min).max_length(max);
        for (kind, required) in kinds {
            builder = if required { builder.require(kind) } else { builder };
        }
        let remember = table.count("remember");
        let remember = given(table, "remember", remember, default.remembers().into(), 0);
        let remember = u8::try_from(remember).unwrap_or(u8::MAX);
        let builder = builder.refuse_common(common).refuse_personal(personal);
        let built = builder.refuse_breached(breached).remember(remember).build();
        let built = built.map_err(|error| match error {
            PasswordError::Policy(problems) => problems,
            _ => Vec::new(),
        });
        if (PASSPHRASE.saturating_add(1)..=Self::MAX_LENGTH).contains(&min) {
            let message = format!("passphrases of {PASSPHRASE} characters have to be acceptable");
            table.report_at("min_length", message);
        }
        note(table, built, |problem| match problem {
            PolicyProblem::MinLength(_) => Some("min_length"),
            PolicyProblem::Remember(_) => Some("remember"),
            _ => Some("max_length"),
        })
    }

    fn fields(&self) -> Fields {
        let mut fields = vec![
            ("min_length", Value::Count(self.min_length())),
            ("max_length", Value::Count(self.max_length())),
        ];
        fields.extend(KINDS.map(|(key, kind)| (key, Value::Flag(self.requires(kind)))));
        fields.push(("refuse_common", Value::Flag(self.refuses_common())));
        fields.push(("refuse_personal", Value::Flag(self.refuses_personal())));
        fields.push(("refuse_breached", Value::Flag(self.refuses_breached())));
        fields.push(("remember", Value::Count(self.remembers().into())));
        fields
    }

    fn weakening(&self, baseline: &Self) -> Option<Witness> {
        Order::weakening(self, baseline).map(Witness::Password)
    }

    fn joined(&self, other: &Self) -> Result<Self, String> {
        Ok(self.join(other))
    }
}

impl Section for HashPolicy {
    const NAME: &'static str = "hash";
    const FIELDS: &'static [&'static str] = &["memory", "passes"];

    fn read(table: &Reader<'_>) -> Option<Self> {
        let default = Self::default().params();
        let memory = table.size("memory").and_then(|bytes| {
            let kib = bytes.is_multiple_of(1_024).then_some(bytes / 1_024);
            let kib = kib.and_then(|kib| u32::try_from(kib).ok());
            if kib.is_none() {
                table.report_at("memory", "expected whole KiB, and less than 4 TiB");
            }
            kib
        });
        let memory = given(table, "memory", memory, default.memory_kib(), Params::MAX_MEMORY_KIB);
        let passes = table.count("passes");
        let passes = given(table, "passes", passes, default.passes(), Params::MAX_PASSES);
        let built = Self::argon2id(memory, passes).map_err(|error| vec![error]);
        note(table, built, |_| None)
    }

    fn fields(&self) -> Fields {
        let params = self.params();
        vec![
            ("memory", Value::Size(u64::from(params.memory_kib()).saturating_mul(1_024))),
            ("passes", Value::Count(params.passes())),
        ]
    }

    fn weakening(&self, baseline: &Self) -> Option<Witness> {
        Order::weakening(self, baseline).map(Witness::Hash)
    }

    fn joined(&self, other: &Self) -> Result<Self, String> {
        Ok(self.join(*other))
    }
}

const AT_CAP: [(&str, AtCap); 2] =
    [("end-longest-unused", AtCap::EndLongestUnused), ("refuse", AtCap::Refuse)];

/// The problems that the session engine has with a section.
fn session_problems(error: Error) -> Vec<Problem> {
    match error {
        Error::Policy(problems) => problems,
        _ => Vec::new(),
    }
}

fn session_field(problem: &Problem) -> Option<&'static str> {
    match problem {
        Problem::Duration { field, .. } | Problem::Count { field, .. } => Some(field),
        _ => None,
    }
}

impl Section for SessionPolicy {
    const NAME: &'static str = "session";
    const FIELDS: &'static [&'static str] =
        &["idle", "absolute", "granularity", "max_sessions", "at_cap"];

    fn read(table: &Reader<'_>) -> Option<Self> {
        let default = Self::default();
        let absolute = optional_duration(table, "absolute", default.absolute());
        // No idle limit is longer than the absolute one, or than a month.
        let month = Duration::from_secs(30 * 86_400);
        let longest = absolute.unwrap_or(month).min(month);
        let idle = given(table, "idle", table.duration("idle"), default.idle(), longest);
        let granularity = table.duration("granularity");
        let granularity =
            given(table, "granularity", granularity, default.granularity(), Duration::ZERO);
        let max = table.count("max_sessions");
        let max = given(table, "max_sessions", max, default.max_sessions(), 1);
        let at_cap = table.choice("at_cap", &AT_CAP);
        let at_cap = given(table, "at_cap", at_cap, default.at_cap(), AtCap::Refuse);
        let builder = Self::builder(idle).granularity(granularity).max_sessions(max).at_cap(at_cap);
        let builder = match absolute {
            Some(absolute) => builder.absolute(absolute),
            None => builder.without_absolute(),
        };
        note(table, builder.build().map_err(session_problems), session_field)
    }

    fn fields(&self) -> Fields {
        vec![
            ("idle", Value::Duration(self.idle())),
            ("absolute", optional(self.absolute())),
            ("granularity", Value::Duration(self.granularity())),
            ("max_sessions", Value::Count(self.max_sessions())),
            ("at_cap", word(&AT_CAP, self.at_cap())),
        ]
    }

    /// What has to be allowed is compared too: that somebody who signs in rightly gets in.
    fn weakening(&self, baseline: &Self) -> Option<Witness> {
        let refused = sign_ins(self) < sign_ins(baseline);
        let sessions = self.max_sessions();
        Order::weakening(self, baseline)
            .map(Witness::Session)
            .or_else(|| refused.then_some(Witness::SignInRefused { sessions }))
    }

    /// Refuses at its cap only what both refuse.
    fn joined(&self, other: &Self) -> Result<Self, String> {
        let joined = self.join(other);
        let most = sign_ins(self).max(sign_ins(other));
        let at_cap =
            if most > joined.max_sessions() { AtCap::EndLongestUnused } else { AtCap::Refuse };
        let builder = Self::builder(joined.idle())
            .granularity(joined.granularity())
            .max_sessions(joined.max_sessions())
            .at_cap(at_cap);
        let builder = match joined.absolute() {
            Some(absolute) => builder.absolute(absolute),
            None => builder.without_absolute(),
        };
        builder.build().map_err(|error| error.to_string())
    }
}

/// How many sign-ins, one after the other and without a sign-out, are all let in.
fn sign_ins(policy: &SessionPolicy) -> u32 {
    match policy.at_cap() {
        AtCap::EndLongestUnused => u32::MAX,
        AtCap::Refuse => policy.max_sessions(),
    }
}

impl Section for LinkPolicy {
    const NAME: &'static str = "links";
    const FIELDS: &'static [&'static str] =
        &["activation", "reset", "unlock", "email_change", "resend_floor"];

    fn read(table: &Reader<'_>) -> Option<Self> {
        let default = Self::default();
        let mut builder = Self::builder();
        for purpose in Purpose::ALL {
            let key = purpose.name();
            let usual = default.lifetime(purpose);
            let lifetime = given(table, key, table.duration(key), usual, usual);
            builder = builder.lifetime(purpose, lifetime);
        }
        let (floor, usual) = (table.duration("resend_floor"), default.resend_floor());
        let floor = given(table, "resend_floor", floor, usual, usual);
        let built = builder.resend_floor(floor).build().map_err(session_problems);
        note(table, built, session_field)
    }

    fn fields(&self) -> Fields {
        let lifetime = |purpose: Purpose| (purpose.name(), Value::Duration(self.lifetime(purpose)));
        let mut fields: Fields = Purpose::ALL.into_iter().map(lifetime).collect();
        fields.push(("resend_floor", Value::Duration(self.resend_floor())));
        fields
    }

    fn weakening(&self, baseline: &Self) -> Option<Witness> {
        Order::weakening(self, baseline).map(Witness::Links)
    }

    fn joined(&self, other: &Self) -> Result<Self, String> {
        Ok(self.join(other))
    }
}
