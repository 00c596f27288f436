//! The scripts that the server runs: compare-and-swap, and nothing of any engine's rules.
//!
//! None says that it does not write, so a replica refuses each, a load too: what it has may be
//! stale. All but [`Script::Save`] may run in a full server.

/// Reads a cell (key 1) and the time.
const LOAD: &str = "#!lua flags=allow-oom
local was = redis.call('GET', KEYS[1])
if was and #was > 1048601 then was = '' end
local time = redis.call('TIME')
return {was, time[1], time[2]}
";

/// Compares the cell (key 1) with what is expected (argument 1), and answers with the cell and the
/// time if it is another. What is too long to be a cell is cut to what no cell is.
const COMPARE: &str = "
local was = redis.call('GET', KEYS[1])
if was and #was > 1048601 then was = '' end
if (was and string.sub(was, 1, 17)) ~= (ARGV[1] ~= '' and ARGV[1]) then
  local time = redis.call('TIME')
  return {was, time[1], time[2]}
end
";

/// Takes the cell, if there is one, out of its group's sets (keys 2 and 3; argument 2 is its digest).
const ERASE: &str = "
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
return 1
";

/// In a full server a cell is rewritten only if it does not grow.
const TIGHT: &str = "
if not was or #ARGV[3] > #was then return 0 end
";

/// Stores argument 3 until argument 4. Only a new cell, and one that now expires in another hour,
/// changes the sets.
const SAVE: &str = "
local function hour(cell) return math.ceil(struct.unpack('>i8', cell, 18) / 3600000000) end
local due = hour(ARGV[3])
if not was then redis.call('ZADD', KEYS[2], 0, ARGV[2]) end
if not was or hour(was) ~= due then redis.call('ZADD', KEYS[3], due, ARGV[2]) end
redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4])
return 1
";

/// The digests of a group (key 1) after argument 1, at most argument 2: how many were looked at,
/// the last of them, and those whose cell is there (argument 3 and the digest is its key).
const SCAN: &str = "#!lua flags=allow-oom
local found = redis.call('ZRANGE', KEYS[1], ARGV[1], '+', 'BYLEX', 'LIMIT', 0, ARGV[2])
local there = {}
for _, digest in ipairs(found) do
  if redis.call('EXISTS', ARGV[3] .. digest) == 1 then there[#there + 1] = digest end
end
return {#found, found[#found] or '', there}
";

/// Drops the cells of a group (its sets are keys 1 and 2) that expired before argument 1, in
/// microseconds; looks at those due in hour argument 2, but for the first (argument 3), at most
/// argument 4. Cells that the server dropped by itself leave the sets here. How many were looked at,
/// and how many dropped.
const SWEEP: &str = "#!lua flags=allow-oom
local found =
  redis.call('ZRANGE', KEYS[2], '-inf', ARGV[2], 'BYSCORE', 'LIMIT', ARGV[3], ARGV[4])
local dropped = 0
for _, digest in ipairs(found) do
  local cell = ARGV[5] .. digest
  local head = redis.pcall('GETRANGE', cell, 0, 24)
  local gone = head == ''
  if #head == 25 then
    gone = struct.unpack('>i8', head, 18) < tonumber(ARGV[1])
  end
  if gone then
    redis.call('DEL', cell)
    redis.call('ZREM', KEYS[1], digest)
    redis.call('ZREM', KEYS[2], digest)
    dropped = dropped + 1
  end
end
return {#found, dropped}
";

/// What the server can be asked to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    Load,
    Save,
    /// [`Save`](Self::Save) in a full server.
    Tight,
    Erase,
    Scan,
    Sweep,
}

impl Script {
    pub(crate) const ALL: [Self; 6] =
        [Self::Load, Self::Save, Self::Tight, Self::Erase, Self::Scan, Self::Sweep];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Save => "save",
            Self::Tight => "tight",
            Self::Erase => "erase",
            Self::Scan => "scan",
            Self::Sweep => "sweep",
        }
    }

    pub(crate) fn text(self) -> String {
        let may = "#!lua flags=allow-oom";
        match self {
            Self::Load => LOAD.to_owned(),
            Self::Save => ["#!lua", COMPARE, SAVE].concat(),
            Self::Tight => [may, COMPARE, TIGHT, SAVE].concat(),
            Self::Erase => [may, COMPARE, ERASE].concat(),
            Self::Scan => SCAN.to_owned(),
            Self::Sweep => SWEEP.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use vouchsafe_store::MAX_CELL;

    use super::*;
    use crate::layout::HEADER;

    #[test]
    fn the_scripts_know_the_longest_cell() {
        let longest = (MAX_CELL + HEADER).to_string();
        for script in [Script::Load, Script::Save, Script::Tight, Script::Erase] {
            assert!(script.text().contains(&longest), "{script:?}");
        }
        assert_eq!(HEADER, 25, "as they cut it");
    }
}
