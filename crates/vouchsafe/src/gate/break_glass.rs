//! A way in when nothing else works: every administrator locked, the shared store down.

use std::time::Duration;

use vouchsafe_access_log::{Actor, Name, Operation, Target, Text, name};
use vouchsafe_core::{
    AccountDigest, Cell, CellKey, Corrupt, Entropy, Matched, NotMatched, SecretString, Space,
    Standing, TenantId,
};
use vouchsafe_crypto::{MacKey, RootKey};
use vouchsafe_lockout::{
    Begin, Limit, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutState, LockoutVerdict,
};
use vouchsafe_policy::Policy;
use vouchsafe_store::{AnyCells, Cells, Encrypted, StoreError, drive};
use zeroize::Zeroizing;

use super::baseline::Put;
use super::call::{Call, Draft};
use super::{Acting, Code, Gate, Refused, Underway, store_refusal};

/// Who acts after breaking the glass, in the records.
const ACTOR: Name = name!("break-glass");
/// The only account behind this door.
const ACCOUNT: AccountDigest = AccountDigest::new(*b"the break glass!");
/// Guesses in a minute. At 160 random bits none of them can succeed: what is bounded is the noise.
const GUESSES: u32 = 5;
/// Letters and digits that are not mistaken for one another (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a code: five bits each, 160 together.
const LENGTH: usize = 32;

/// A door of this machine's own: its code, its count of wrong ones and its key depend on nothing
/// that is shared.
///
/// To be put behind a console or a loopback address, not on the public site: a stranger's guesses
/// keep it shut, a minute at a time.
#[derive(Debug)]
pub struct BreakGlass {
    cells: AnyCells,
    key: MacKey,
}

impl BreakGlass {
    /// Kept in `cells`, a store on this machine, under a key of its own. What the cells hold is sealed.
    pub fn new(
        cells: impl Cells + 'static,
        root: &RootKey,
        entropy: impl Entropy + 'static,
    ) -> Self {
        let key = MacKey::new(&root.derive("vouchsafe break-glass code v1", &[]));
        let cells_root = RootKey::new(&root.derive("vouchsafe break-glass cells v1", &[]));
        Self { cells: AnyCells::new(Encrypted::with_entropy(cells, cells_root, entropy)), key }
    }

    fn digest(&self, code: &[u8; LENGTH]) -> [u8; 32] {
        self.key.mac("vouchsafe break-glass code v1", &[code])
    }

    async fn code(&self) -> Result<Option<CodeDigest>, StoreError> {
        self.cells.load(CodeDigest::KEY).await?.state(CodeDigest::KEY)
    }
}

/// What is kept of the code.
#[derive(Clone, Copy)]
struct CodeDigest([u8; 32]);

impl CodeDigest {
    const KEY: CellKey = CellKey::new(Space::System, *b"break-glass code");
}

impl Cell for CodeDigest {
    const SPACE: Space = Space::System;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        match bytes.split_first() {
            Some((1, digest)) => digest.try_into().map(Self).map_err(|_| Corrupt),
            _ => Err(Corrupt),
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        [&[1], self.0.as_slice()].concat()
    }
}

/// What was typed as it was printed: in capitals, without the hyphens, and with what is easily
/// mistaken put right. `None` for what no code looks like.
fn typed(text: &str) -> Option<Zeroizing<[u8; LENGTH]>> {
    if text.len() > 4 * LENGTH {
        return None;
    }
    let mut code = Zeroizing::new([0; LENGTH]);
    let mut places = code.iter_mut();
    for byte in text.bytes().filter(|byte| !matches!(byte, b'-' | b' ')) {
        let byte = match byte.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            byte => byte,
        };
        *places.next().filter(|_| ALPHABET.contains(&byte))? = byte;
    }
    places.next().is_none().then_some(code)
}

impl Gate {
    /// Lets in whoever has the break-glass code, by this machine's own count and key: with the shared
    /// store down, and every administrator locked. What they then do is done as `break-glass`.
    ///
    /// # Errors
    /// [`Code::WrongCredentials`], [`Code::Locked`] for a minute at most, or that this machine's own
    /// store or the log does not answer. Without a [`BreakGlass`], or before
    /// [`Acting::renew_break_glass`] has made a code, every code is wrong.
    pub async fn break_glass<'a>(
        &'a self,
        tenant: &TenantId,
        code: impl Into<SecretString>,
        call: &'a Call,
    ) -> Result<Acting<'a>, Refused> {
        let policy = self.policy(tenant)?;
        let draft = Draft::stranger(tenant, &policy, ACCOUNT, None, Operation::SignInRefused, call);
        let throttled = self.throttle(tenant, &policy, call);
        self.or_refuse(&draft, throttled).await?;
        let mut underway = Underway::new(self, &draft);
        let checked = self.check_code(&policy, &code.into()).await;
        let checked = self.or_refuse(&draft, checked).await;
        underway.end();
        checked?;
        let draft = Draft {
            actor: Actor::Service(ACTOR),
            target: target(),
            operation: Operation::SignedIn,
            ..draft
        };
        self.recorded(&draft, async { Ok(()) }).await?;
        self.operator(tenant, ACTOR, call)
    }

    /// Charges, compares, settles.
    async fn check_code(&self, policy: &Policy, code: &SecretString) -> Result<(), Refused> {
        let refusal = |code| Refused::new(code, policy.digest());
        let wrong = || refusal(Code::WrongCredentials);
        let glass = self.inner.break_glass.as_ref().ok_or_else(wrong)?;
        let limit = Limit::new(GUESSES, Duration::from_secs(60));
        let rules = LockoutPolicy::builder().limit(limit).build();
        let rules = rules.map_err(|_| refusal(Code::Unavailable))?;
        let machine = LockoutMachine::new(rules, policy.digest());
        let step = async |event| {
            let key = LockoutState::key(ACCOUNT);
            drive(&glass.cells, &self.inner.entropy, key, &machine, event, self.now())
                .await
                .map_err(|undelivered| store_refusal(&undelivered.error, policy))
        };
        let begin = LockoutEvent::Begin(Begin::new(ACCOUNT, self.fresh_id(policy)?));
        let charged = match step(begin).await? {
            LockoutVerdict::Admitted(charged) => charged,
            LockoutVerdict::Locked { lock, .. } => {
                let left = lock.until.map_or(Duration::ZERO, |until| until.since(self.now()));
                return Err(refusal(Code::Locked).after(left));
            }
            _ => return Err(refusal(Code::Busy)),
        };
        let kept = glass.code().await.map_err(|error| store_refusal(&error, policy))?;
        let right = match (typed(code.expose()), kept) {
            (Some(typed), Some(CodeDigest(kept))) => {
                glass.key.verify("vouchsafe break-glass code v1", &[&*typed], &kept)
            }
            _ => false,
        };
        #[expect(clippy::disallowed_methods, reason = "the code was compared just now")]
        let settle = if right {
            LockoutEvent::Matched(Matched::assertion(charged, Standing::Chosen))
        } else {
            LockoutEvent::NotMatched(NotMatched::assertion(charged))
        };
        step(settle).await?;
        if right { Ok(()) } else { Err(wrong()) }
    }
}

impl Acting<'_> {
    /// Makes a new break-glass code, to be printed and locked away: it is shown this once. The one
    /// before is void.
    ///
    /// # Errors
    /// [`Code::NoUser`] when the gate has no [`BreakGlass`]; that a part did not answer.
    pub async fn renew_break_glass(&self) -> Result<SecretString, Refused> {
        let draft = self.draft(Operation::KeyChanged, target());
        let gate = self.gate;
        let refusal = |code| self.refusal(code);
        let glass = gate.inner.break_glass.as_ref().ok_or_else(|| refusal(Code::NoUser));
        let glass = gate.or_refuse(&draft, glass).await?;
        let mut code = Zeroizing::new([0; LENGTH]);
        let fresh = gate.inner.entropy.fill(&mut *code).map_err(|_| refusal(Code::Unavailable));
        gate.or_refuse(&draft, fresh).await?;
        // Five bits of each byte choose one of thirty-two letters, evenly.
        for place in &mut *code {
            *place = ALPHABET.get(usize::from(*place % 32)).copied().unwrap_or(b'0');
        }
        let new = CodeDigest(glass.digest(&code));
        gate.recorded(&draft, async {
            let (key, now) = (CodeDigest::KEY, gate.now());
            drive(&glass.cells, &gate.inner.entropy, key, &Put::new(), new, now)
                .await
                .map_err(|undelivered| store_refusal(&undelivered.error, &self.policy))
        })
        .await?;
        // As long as it gets, so that no copy is left behind.
        let mut printed = String::with_capacity(LENGTH.saturating_mul(2));
        for (at, letter) in code.iter().enumerate() {
            if at > 0 && at % 4 == 0 {
                printed.push('-');
            }
            printed.push(char::from(*letter));
        }
        Ok(SecretString::new(printed))
    }
}

fn target() -> Target {
    Target::Entity { kind: name!("key"), id: Text::clipped("break-glass") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_read_as_it_was_printed() {
        let printed = "0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV-WXYZ";
        let code = typed(printed).unwrap();
        assert_eq!(&*code, ALPHABET);
        assert_eq!(typed(&printed.to_lowercase().replace('-', " ")), Some(code.clone()));
        assert_eq!(typed(&printed.replace('0', "o").replace('1', "l")), Some(code.clone()));
        assert_eq!(typed(&printed.replace('1', "I")), Some(code));
        let short = printed.strip_suffix('Z').unwrap();
        for wrong in ["", short, &format!("{short}U"), &format!("{printed}0"), &"0".repeat(9_999)] {
            assert_eq!(typed(wrong), None, "{wrong}");
        }
    }
}
