//! An account's bytes.
//!
//! ```text
//! 3 | user | class | credential | links | sessions | epoch: u64 | column | devices: u64
//! ```
//! Each part stands behind its length; one that is not there is empty. Numbers are big-endian. The first
//! version had neither a column nor a count of devices, the second always a column; both are read.

use vouchsafe_core::{Case, Cell, Corrupt, Space, UserId};
use vouchsafe_password::Credential;
use vouchsafe_session::{Links, Sessions};

use super::account::{AccountState, Owner};
use super::column_texts::Column;

const VERSION: u8 = 3;

impl Cell for AccountState {
    const SPACE: Space = Space::Account;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        let (version, mut rest) = match bytes.split_first() {
            Some((version @ 1..=VERSION, rest)) => (*version, rest),
            _ => return Err(Corrupt),
        };
        let user = field(&mut rest)?;
        let class = field(&mut rest)?;
        let owner = match (user, class) {
            ([], []) => None,
            (user, class) => {
                let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Corrupt);
                let user = UserId::with_case(text(user)?, Case::Exact).map_err(|_| Corrupt)?;
                Some(Owner { user, class: text(class)?.to_owned() })
            }
        };
        let state = Self {
            owner,
            credential: some(field(&mut rest)?, Credential::from_bytes)?,
            links: some(field(&mut rest)?, Links::from_bytes)?,
            sessions: some(field(&mut rest)?, Sessions::from_bytes)?,
            epoch: u64::from_be_bytes(field(&mut rest)?.try_into().map_err(|_| Corrupt)?),
            column: match version {
                1 => None,
                2 => Some(Column::from_bytes(field(&mut rest)?).ok_or(Corrupt)?),
                _ => some(field(&mut rest)?, |bytes| Column::from_bytes(bytes).ok_or(Corrupt))?,
            },
            devices: match version {
                1 | 2 => 0,
                _ => u64::from_be_bytes(field(&mut rest)?.try_into().map_err(|_| Corrupt)?),
            },
        };
        if rest.is_empty() { Ok(state) } else { Err(Corrupt) }
    }

    fn into_bytes(self) -> Vec<u8> {
        let (user, class) = match &self.owner {
            Some(owner) => (owner.user.as_str(), owner.class.as_str()),
            None => ("", ""),
        };
        let parts = [
            user.as_bytes(),
            class.as_bytes(),
            &self.credential.as_ref().map(Credential::to_bytes).unwrap_or_default(),
            &self.links.as_ref().map(Links::to_bytes).unwrap_or_default(),
            &self.sessions.as_ref().map(Sessions::to_bytes).unwrap_or_default(),
            &self.epoch.to_be_bytes(),
            &self.column.as_ref().map(Column::to_bytes).unwrap_or_default(),
            &self.devices.to_be_bytes(),
        ];
        let mut out = vec![VERSION];
        parts.into_iter().for_each(|part| put_field(&mut out, part));
        out
    }
}

/// Writes one part behind its length. What writes parts bounds them far below 4 GiB.
pub(super) fn put_field(out: &mut Vec<u8>, part: &[u8]) {
    out.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(part);
}

/// One part, behind its length.
pub(super) fn field<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Corrupt> {
    let (length, after) = rest.split_first_chunk().ok_or(Corrupt)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Corrupt)?;
    let (part, after) = after.split_at_checked(length).ok_or(Corrupt)?;
    *rest = after;
    Ok(part)
}

/// An absent part has no bytes: each engine's own begin with a version.
fn some<T>(bytes: &[u8], read: fn(&[u8]) -> Result<T, Corrupt>) -> Result<Option<T>, Corrupt> {
    if bytes.is_empty() { Ok(None) } else { read(bytes).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::populated;
    use super::*;

    #[test]
    fn bytes_come_back_and_nothing_else_does() {
        for state in [AccountState::default(), populated()] {
            let bytes = state.clone().into_bytes();
            assert_eq!(AccountState::from_bytes(bytes.clone()), Ok(state));
            for cut in 0..bytes.len() {
                assert_eq!(AccountState::from_bytes(bytes[..cut].to_vec()), Err(Corrupt));
            }
            let mut longer = bytes.clone();
            longer.push(0);
            assert_eq!(AccountState::from_bytes(longer), Err(Corrupt));
            let mut later = bytes;
            later[0] = 4;
            assert_eq!(AccountState::from_bytes(later), Err(Corrupt));
        }
        assert_eq!(AccountState::from_bytes(vec![VERSION, 255, 255, 255, 255]), Err(Corrupt));
    }

    #[test]
    fn versions_before_open_for_ever() {
        let state = AccountState { column: Some(Column::default()), ..populated() };
        let bytes = state.clone().into_bytes();
        let devices = bytes.len() - 12;
        let column = devices - 4 - state.column.as_ref().unwrap().to_bytes().len();
        assert_eq!(state.devices, 0);
        let cut = |version, at| [&[version], &bytes[1..at]].concat();
        assert_eq!(AccountState::from_bytes(cut(2, devices)), Ok(state.clone()));
        let without = AccountState { column: None, ..state };
        assert_eq!(AccountState::from_bytes(cut(1, column)), Ok(without));
        for (version, at) in [(1, devices), (2, column), (3, devices), (1, bytes.len())] {
            assert_eq!(AccountState::from_bytes(cut(version, at)), Err(Corrupt));
        }
    }
}
