//! When an account locks, and how often one source may try.

use std::time::Duration;

use vouchsafe_core::Order;
use vouchsafe_lockout::{
    Consecutive, Devices, Limit, LockOn, LockoutError, LockoutPolicy, MayRollBack, OnSuccess,
    Outage, Rate, Release, SourcePolicy,
};

use super::{Fields, NONE, Section, given, note, word};
use crate::compare::Witness;
use crate::read::Reader;
use crate::{Value, units};

impl Section for LockoutPolicy {
    const NAME: &'static str = "lockout";
    const FIELDS: &'static [&'static str] = &[
        "limits",
        "on_success",
        "settle_within",
        "devices",
        "consecutive",
        "repeats",
        "when_store_is_down",
        "may_roll_back",
    ];

    fn read(table: &Reader<'_>) -> Option<Self> {
        table.missing("limits");
        let own = OnSuccess::OwnCharge;
        let on_success =
            given(table, "on_success", table.choice("on_success", &ON_SUCCESS), own, own);
        let within = table.duration("settle_within");
        let ten = Duration::from_secs(10);
        let within = given(table, "settle_within", within, ten, ten);
        let (devices, consecutive) = (read_devices(table), read_consecutive(table));
        let repeats = given(table, "repeats", table.count("repeats"), 0, 0);
        let outage = read_outage(table);
        let nothing = MayRollBack::Nothing;
        let may_roll_back = table.choice("may_roll_back", &MAY_ROLL_BACK);
        let may_roll_back = given(table, "may_roll_back", may_roll_back, nothing, nothing);
        let empty = || {
            let builder = Self::builder().on_success(on_success).settle_within(within);
            let builder = builder.devices(devices).consecutive(consecutive).repeats(repeats);
            builder.when_store_is_down(outage).may_roll_back(may_roll_back)
        };
        let mut builder = empty();
        let mut count = 0_usize;
        for entry in table.tables("limits").unwrap_or_default() {
            if let Some(limit) = read_limit(&entry) {
                // On its own, so that what is wrong with it stands at its place.
                for problem in Self::builder().limit(limit).build().err().unwrap_or_default() {
                    let text = problem.to_string();
                    entry.report(text.strip_prefix("limit 0: ").unwrap_or(&text));
                }
                builder = builder.limit(limit);
                count = count.saturating_add(1);
            }
            entry.finish();
        }
        if count == 0 && table.length("limits") > 0 {
            // None could be read, which is not the same as none being there.
            builder = empty().limit(Limit::new(1, Self::MAX_WINDOW));
        }
        let problems = match builder.build() {
            Ok(policy) => return Some(policy),
            Err(problems) => problems,
        };
        for problem in problems {
            let (key, field) = match problem {
                LockoutError::SettleWithin { .. } | LockoutError::SettleBeyondWindow { .. } => {
                    ("settle_within", None)
                }
                LockoutError::NoLimit | LockoutError::TooManyLimits { .. } => ("limits", None),
                LockoutError::DeviceCounters { .. } => ("devices", Some("counters")),
                LockoutError::DeviceValidity { .. } => ("devices", Some("valid_for")),
                LockoutError::ConsecutiveCount { .. } => ("consecutive", None),
                LockoutError::ConsecutiveMemory { .. } => ("consecutive", Some("memory")),
                LockoutError::Repeats { .. } => ("repeats", None),
                LockoutError::Degraded { .. } => ("when_store_is_down", Some("degraded")),
                // Said above, at its limit.
                _ => continue,
            };
            match field.and_then(|field| Some((field, table.table(key)?))) {
                Some((field, entry)) => entry.report_at(field, problem.to_string()),
                None => table.report_at(key, problem.to_string()),
            }
        }
        None
    }

    fn fields(&self) -> Fields {
        let limit = |limit: &Limit| {
            Value::Table(vec![
                ("failures", Value::Count(limit.failures())),
                ("window", Value::Duration(limit.window())),
                ("lock_on", word(&LOCK_ON, limit.lock_on())),
                (
                    "release",
                    match limit.release() {
                        Release::WindowSlides => Value::word(WINDOW_SLIDES),
                        Release::After(hold) => Value::Duration(hold),
                        Release::Admin => Value::word(ADMIN),
                    },
                ),
            ])
        };
        let devices = |devices: Devices| {
            Value::Table(vec![
                ("counters", Value::Count(devices.counters)),
                ("valid_for", Value::Duration(devices.valid_for)),
            ])
        };
        let consecutive = |rule: Consecutive| {
            Value::Table(vec![
                ("disable_at", Value::Count(rule.disable_at)),
                ("devices_only_from", Value::Count(rule.devices_only_from)),
                ("memory", Value::Duration(rule.memory)),
            ])
        };
        let outage = |outage: Outage| match outage {
            Outage::FailDegraded { failures, window } => {
                let numbers =
                    vec![("failures", Value::Count(failures)), ("window", Value::Duration(window))];
                Value::Table(vec![("degraded", Value::Table(numbers))])
            }
            whole => word(&OUTAGES, whole),
        };
        let none = || Value::word(NONE);
        vec![
            ("limits", Value::List(self.limits().iter().map(limit).collect())),
            ("on_success", word(&ON_SUCCESS, self.on_success())),
            ("settle_within", Value::Duration(self.settle_within())),
            ("devices", self.devices().map_or_else(none, devices)),
            ("consecutive", self.consecutive().map_or_else(none, consecutive)),
            ("repeats", Value::Count(self.repeats())),
            ("when_store_is_down", outage(self.when_store_is_down())),
            ("may_roll_back", word(&MAY_ROLL_BACK, self.may_roll_back())),
        ]
    }

    fn weakening(&self, baseline: &Self) -> Option<Witness> {
        Order::weakening(self, baseline).map(Witness::Lockout)
    }

    fn joined(&self, other: &Self) -> Result<Self, String> {
        Ok(self.join(other))
    }
}

const ON_SUCCESS: [(&str, OnSuccess); 3] = [
    ("own-charge", OnSuccess::OwnCharge),
    ("same-device", OnSuccess::SameDevice),
    ("older-failures", OnSuccess::OlderFailures),
];
const OUTAGES: [(&str, Outage); 2] = [("refuse", Outage::Refuse), ("open", Outage::FailOpen)];
const MAY_ROLL_BACK: [(&str, MayRollBack); 3] = [
    ("nothing", MayRollBack::Nothing),
    ("counters", MayRollBack::Counters),
    ("everything", MayRollBack::Everything),
];
const LOCK_ON: [(&str, LockOn); 2] = [("nth", LockOn::Nth), ("exceeding", LockOn::Exceeding)];
const WINDOW_SLIDES: &str = "window-slides";
const ADMIN: &str = "admin";

fn read_devices(table: &Reader<'_>) -> Option<Devices> {
    let entry = table.table_or("devices", &[(NONE, ())])?.ok()?;
    let Devices { counters, valid_for } = Devices::default();
    let devices = Devices {
        counters: given(&entry, "counters", entry.count("counters"), counters, counters),
        valid_for: given(&entry, "valid_for", entry.duration("valid_for"), valid_for, valid_for),
    };
    entry.finish();
    Some(devices)
}

fn read_consecutive(table: &Reader<'_>) -> Option<Consecutive> {
    let entry = table.table_or("consecutive", &[(NONE, ())])?.ok()?;
    let Consecutive { disable_at, devices_only_from, memory } = Consecutive::default();
    let disable_at = given(&entry, "disable_at", entry.count("disable_at"), disable_at, disable_at);
    let from = devices_only_from.min(disable_at);
    let rule = Consecutive {
        disable_at,
        devices_only_from: given(
            &entry,
            "devices_only_from",
            entry.count("devices_only_from"),
            from,
            from,
        ),
        memory: given(&entry, "memory", entry.duration("memory"), memory, memory),
    };
    entry.finish();
    Some(rule)
}

fn read_outage(table: &Reader<'_>) -> Outage {
    let entry = match table.table_or("when_store_is_down", &OUTAGES) {
        None => return Outage::Refuse,
        Some(Err(whole)) => return whole,
        Some(Ok(entry)) => entry,
    };
    entry.missing("degraded");
    let degraded = entry.table("degraded").and_then(|numbers| {
        numbers.missing("failures");
        numbers.missing("window");
        let (failures, window) = (numbers.count("failures"), numbers.duration("window"));
        numbers.finish();
        Some(Outage::FailDegraded { failures: failures?, window: window? })
    });
    entry.finish();
    degraded.unwrap_or_default()
}

fn read_limit(entry: &Reader<'_>) -> Option<Limit> {
    entry.missing("failures");
    entry.missing("window");
    let failures = entry.count("failures");
    let window = entry.duration("window");
    let lock_on =
        given(entry, "lock_on", entry.choice("lock_on", &LOCK_ON), LockOn::Nth, LockOn::Nth);
    let release = match entry.find("release") {
        None => Some(Release::WindowSlides),
        Some(_) => match entry.text("release")? {
            WINDOW_SLIDES => Some(Release::WindowSlides),
            ADMIN => Some(Release::Admin),
            text => units::parse_duration(text).map(Release::After).or_else(|| {
                let message =
                    format!("expected \"{WINDOW_SLIDES}\", \"{ADMIN}\", or {}", units::DURATION);
                entry.report_at("release", message);
                None
            }),
        },
    };
    Some(Limit::new(failures?, window?).with_lock_on(lock_on).with_release(release?))
}

impl Section for SourcePolicy {
    const NAME: &'static str = "throttle";
    const FIELDS: &'static [&'static str] = &["narrow", "middle", "wide", "max_sources"];

    fn read(table: &Reader<'_>) -> Option<Self> {
        let default = Self::default();
        let narrow = read_rate(table, "narrow", default.narrow());
        let middle = read_rate(table, "middle", default.middle());
        let wide = read_rate(table, "wide", default.wide());
        let sources =
            table.count("max_sources").map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let most = default.max_sources();
        let max_sources = given(table, "max_sources", sources, most, most);
        let built = Self::new(narrow, middle, wide, max_sources).map_err(|error| vec![error]);
        note(table, built, |_| Some("max_sources"))
    }

    fn fields(&self) -> Fields {
        let rate = |rate: Rate| {
            Value::Table(vec![
                ("attempts", Value::Count(rate.attempts())),
                ("window", Value::Duration(rate.per())),
            ])
        };
        let max_sources = u32::try_from(self.max_sources()).unwrap_or(u32::MAX);
        vec![
            ("narrow", rate(self.narrow())),
            ("middle", rate(self.middle())),
            ("wide", rate(self.wide())),
            ("max_sources", Value::Count(max_sources)),
        ]
    }

    /// Throttles are approximate and promise nothing, so none is weaker.
    fn weakening(&self, _: &Self) -> Option<Witness> {
        None
    }

    fn joined(&self, other: &Self) -> Result<Self, String> {
        let slower = |a: Rate, b: Rate| {
            let pace = |one: Rate, two: Rate| {
                u128::from(one.attempts()).saturating_mul(two.per().as_micros())
            };
            if (pace(a, b), a.attempts()) <= (pace(b, a), b.attempts()) { a } else { b }
        };
        Self::new(
            slower(self.narrow(), other.narrow()),
            slower(self.middle(), other.middle()),
            slower(self.wide(), other.wide()),
            self.max_sources().max(other.max_sources()),
        )
        .map_err(|error| error.to_string())
    }
}

fn read_rate(table: &Reader<'_>, key: &'static str, default: Rate) -> Rate {
    let Some(entry) = table.table(key) else { return default };
    entry.missing("attempts");
    entry.missing("window");
    let attempts = entry.count("attempts");
    let window = entry.duration("window");
    let rate = attempts.zip(window).and_then(|(attempts, window)| {
        note(&entry, Rate::new(attempts, window).map_err(|error| vec![error]), |_| None)
    });
    entry.finish();
    rate.unwrap_or(default)
}
