//! A state's bytes.
//!
//! ```text
//! 2 | parts: u8 | seen: i64 | [unlocked: ago, id] | [run: count, last: ago]
//!   | wrong × [u8; 6] | [repeats: count - 1, count × ago]
//!   | [notices: count - 1, count × (ago × 8 + kind × 2 + announced, id)]
//!   | charges × (ago × 8 + device? × 4 + past × 2 + failed, id, [device: u64])
//! ```
//! `ago` is microseconds before `seen`; it and counts are LEB128. `id` and `i64` are little-endian.
//! Charges reach to the end, oldest first. What an account of one charge takes, version 1 took too;
//! there is one way to write a state, and no other is read but one: behind the unlock there once was,
//! under one of two flags, since when or since which epoch cookies are void. It is skipped: they are of
//! a form that is not read any more.
//!
//! Version 1, which is read for ever:
//! ```text
//! 1 | flags | seen: i64 | [unlocked: at i64, id u64] | count: u8 | count × (at i64, id u64, failed u8)
//! ```

use vouchsafe_core::{ChargeId, Corrupt, Timestamp, WrongDigest};

use crate::counters::{Consecutive, Devices};
use crate::event::CrossingKind;
use crate::state::{Charge, Notice, Run, Unlocked};
use crate::{LockoutPolicy, LockoutState};

const VERSION: u8 = 2;

const UNLOCKED: u8 = 1;
/// As it was once written.
const DEVICES_SINCE: u8 = 1 << 1;
const DEVICES_EPOCH: u8 = 1 << 7;
const RUN: u8 = 1 << 2;
const WRONG_SHIFT: u32 = 3;
const WRONG: u8 = 0b11 << WRONG_SHIFT;
const REPEATS: u8 = 1 << 5;
const NOTICES: u8 = 1 << 6;

const FAILED: u64 = 1;
const PAST: u64 = 1 << 1;
const DEVICE: u64 = 1 << 2;
const ANNOUNCED: u64 = 1;

/// Every counter of an account full (one more than the largest number of failures, for
/// [`crate::LockOn::Exceeding`]), and a whole run in flight.
const MAX_CHARGES: usize = (LockoutPolicy::MAX_FAILURES as usize + 1)
    * (1 + Devices::MAX_COUNTERS as usize)
    + Consecutive::MAX_FAILURES as usize;
/// A number of one byte, and an id.
const SHORTEST_CHARGE: usize = 9;
/// One a counter, and two of the run.
const MAX_NOTICES: usize = 1 + Devices::MAX_COUNTERS as usize + 2;

/// Writes `state` in place of what `bytes` held.
pub(crate) fn write(state: &LockoutState, bytes: &mut Vec<u8>) {
    let guess = state.charges.len().saturating_mul(24).saturating_add(64);
    bytes.clear();
    bytes.reserve(guess);
    let mut out = Writer { bytes, seen: state.seen };
    let part = |there: bool, flag: u8| if there { flag } else { 0 };
    let wrong = u8::try_from(state.more.wrong.len()).unwrap_or(u8::MAX) << WRONG_SHIFT;
    out.bytes.push(VERSION);
    out.bytes.push(
        part(state.more.unlocked.is_some(), UNLOCKED)
            | part(state.more.run.is_some(), RUN)
            | (wrong & WRONG)
            | part(!state.more.repeats.is_empty(), REPEATS)
            | part(!state.more.notices.is_empty(), NOTICES),
    );
    out.bytes.extend(state.seen.micros().to_le_bytes());
    if let Some(unlocked) = state.more.unlocked {
        out.number(out.ago(unlocked.at));
        out.id(unlocked.id);
    }
    if let Some(run) = state.more.run {
        out.number(run.count.into());
        out.number(out.ago(run.last));
    }
    for wrong in &state.more.wrong {
        out.bytes.extend(wrong.as_bytes());
    }
    if !state.more.repeats.is_empty() {
        out.count(state.more.repeats.len());
        for at in &state.more.repeats {
            out.number(out.ago(*at));
        }
    }
    if !state.more.notices.is_empty() {
        out.count(state.more.notices.len());
        for notice in &state.more.notices {
            let kind = notice.kind.code() << 1;
            out.number(
                out.ago(notice.at) << 3 | kind | if notice.announced { ANNOUNCED } else { 0 },
            );
            out.id(notice.id);
        }
    }
    for charge in &state.charges {
        let flag = |there: bool, flag: u64| if there { flag } else { 0 };
        let flags = flag(charge.failed, FAILED)
            | flag(charge.past, PAST)
            | flag(charge.device.is_some(), DEVICE);
        out.number(out.ago(charge.at) << 3 | flags);
        out.id(charge.id);
        if let Some(device) = charge.device {
            out.bytes.extend(device.to_le_bytes());
        }
    }
}

pub(crate) fn read(bytes: &[u8]) -> Result<LockoutState, Corrupt> {
    match bytes.split_first() {
        Some((1, rest)) => read_1(&mut Reader { bytes: rest, seen: Timestamp::MIN }),
        Some((&VERSION, rest)) => read_2(&mut Reader { bytes: rest, seen: Timestamp::MIN }),
        _ => Err(Corrupt),
    }
}

fn read_2(from: &mut Reader<'_>) -> Result<LockoutState, Corrupt> {
    let parts = from.byte()?;
    let has = |flag: u8| parts & flag != 0;
    from.seen = from.time()?;
    let mut state = LockoutState { seen: from.seen, ..LockoutState::default() };
    if has(UNLOCKED) {
        state.more.unlocked = Some(Unlocked { at: from.moment()?, id: from.id()? });
    }
    if has(DEVICES_SINCE) {
        from.moment()?;
    }
    if has(DEVICES_EPOCH) && (from.number()? == 0 || has(DEVICES_SINCE)) {
        return Err(Corrupt);
    }
    if has(RUN) {
        let count = from.number()?;
        let count = u32::try_from(count).ok().filter(|count| *count > 0).ok_or(Corrupt)?;
        state.more.run = Some(Run { count, last: from.moment()? });
    }
    for _ in 0..(parts & WRONG) >> WRONG_SHIFT {
        state.more.wrong.push(WrongDigest::new(from.take()?));
    }
    if has(REPEATS) {
        for _ in 0..from.count(LockoutPolicy::MAX_REPEATS as usize)? {
            let at = from.moment()?;
            if state.more.repeats.last().is_some_and(|before| *before > at) {
                return Err(Corrupt);
            }
            state.more.repeats.push(at);
        }
    }
    if has(NOTICES) {
        for _ in 0..from.count(MAX_NOTICES)? {
            let word = from.number()?;
            let kind = CrossingKind::from_code(word >> 1 & 3).ok_or(Corrupt)?;
            let (at, announced) = (from.before(word >> 3)?, word & ANNOUNCED != 0);
            state.more.notices.push(Notice { id: from.id()?, kind, at, announced });
        }
    }
    state.charges.reserve_exact((from.bytes.len() / SHORTEST_CHARGE).min(MAX_CHARGES));
    while !from.bytes.is_empty() {
        if state.charges.len() == MAX_CHARGES {
            return Err(Corrupt);
        }
        let word = from.number()?;
        let (at, id) = (from.before(word >> 3)?, from.id()?);
        let device = if word & DEVICE == 0 { None } else { Some(u64::from_le_bytes(from.take()?)) };
        if state.charges.last().is_some_and(|before| before.at > at) {
            return Err(Corrupt);
        }
        let (failed, past) = (word & FAILED != 0, word & PAST != 0);
        state.charges.push(Charge { at, id, failed, past, device });
    }
    Ok(state)
}

fn read_1(from: &mut Reader<'_>) -> Result<LockoutState, Corrupt> {
    let flags = from.byte()?;
    let seen = from.time()?;
    let unlocked = match flags {
        0 => None,
        // Stamped by its own moment, which no step wrote later than `seen`.
        1 => Some(Unlocked { at: from.time()?.min(seen), id: from.id()? }),
        _ => return Err(Corrupt),
    };
    let count = from.byte()?;
    let mut charges: Vec<Charge> = Vec::with_capacity(count.into());
    for _ in 0..count {
        let (at, id) = (from.time()?, from.id()?);
        let failed = match from.byte()? {
            0 => false,
            1 => true,
            _ => return Err(Corrupt),
        };
        if at > seen || charges.last().is_some_and(|before| before.at > at) {
            return Err(Corrupt);
        }
        charges.push(Charge { at, id, failed, past: false, device: None });
    }
    if !from.bytes.is_empty() {
        return Err(Corrupt);
    }
    let mut state = LockoutState { seen, charges, ..LockoutState::default() };
    if unlocked.is_some() {
        state.more.unlocked = unlocked;
    }
    Ok(state)
}

struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    seen: Timestamp,
}

impl Writer<'_> {
    /// Microseconds before the latest moment seen, which nothing kept is later than.
    fn ago(&self, at: Timestamp) -> u64 {
        u64::try_from(self.seen.micros().saturating_sub(at.micros())).unwrap_or(0)
    }

    fn number(&mut self, mut number: u64) {
        while number >= 1 << 7 {
            self.bytes.push(number.to_le_bytes()[0] | 1 << 7);
            number >>= 7;
        }
        self.bytes.push(number.to_le_bytes()[0]);
    }

    fn count(&mut self, count: usize) {
        self.number(u64::try_from(count.saturating_sub(1)).unwrap_or(u64::MAX));
    }

    fn id(&mut self, id: ChargeId) {
        self.bytes.extend(id.get().to_le_bytes());
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    seen: Timestamp,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or(Corrupt)?;
        self.bytes = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, Corrupt> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// A number in its shortest form.
    fn number(&mut self) -> Result<u64, Corrupt> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            number |=
                part.checked_shl(shift).filter(|moved| moved >> shift == part).ok_or(Corrupt)?;
            if byte < 1 << 7 {
                return if byte == 0 && shift > 0 { Err(Corrupt) } else { Ok(number) };
            }
        }
        Err(Corrupt)
    }

    /// One to `max`.
    fn count(&mut self, max: usize) -> Result<usize, Corrupt> {
        let count = usize::try_from(self.number()?).map_err(|_| Corrupt)?.saturating_add(1);
        if count > max { Err(Corrupt) } else { Ok(count) }
    }

    fn time(&mut self) -> Result<Timestamp, Corrupt> {
        exact(i64::from_le_bytes(self.take()?))
    }

    /// So many microseconds before the latest moment seen.
    fn before(&self, ago: u64) -> Result<Timestamp, Corrupt> {
        let micros = i64::try_from(ago).ok().and_then(|ago| self.seen.micros().checked_sub(ago));
        exact(micros.ok_or(Corrupt)?)
    }

    fn moment(&mut self) -> Result<Timestamp, Corrupt> {
        let ago = self.number()?;
        self.before(ago)
    }

    fn id(&mut self) -> Result<ChargeId, Corrupt> {
        Ok(ChargeId::new(u64::from_le_bytes(self.take()?)))
    }
}

/// A moment outside the calendar was never written.
fn exact(micros: i64) -> Result<Timestamp, Corrupt> {
    let time = Timestamp::from_micros(micros);
    if time.micros() == micros { Ok(time) } else { Err(Corrupt) }
}
