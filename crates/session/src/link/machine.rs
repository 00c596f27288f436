//! Issuing, looking at and redeeming the one-time links of one account.

use vouchsafe_core::{AccountDigest, Machine, Step, Timestamp};

use super::state::{Link, Links, MAX_LIVE};
use crate::state::{AHEAD, written};
use crate::{AddressDigest, FreshLink, LinkPolicy, PresentedLink, Purpose};

/// The rules of one account's links, under a policy and its credential's present generation.
#[derive(Clone, Debug)]
pub struct LinkMachine {
    policy: LinkPolicy,
    account: AccountDigest,
    generation: u64,
}

/// On whose behalf a link is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester {
    /// Anybody who typed the name into a form. Never ends a link that somebody may be about to
    /// use, and waits for the resend floor.
    Stranger,
    /// An administrator, or the signed-in owner: earlier links for the same purpose end.
    Authority,
}

/// What is asked of an account's links.
#[derive(Debug)]
pub enum LinkEvent {
    /// Issue a link.
    Issue {
        /// The new link, made with its token.
        fresh: FreshLink,
        /// Where it is to be sent.
        address: AddressDigest,
        /// Who wants it.
        by: Requester,
    },
    /// Does this link work? For GET and HEAD, which mail scanners send too: changes nothing.
    Peek {
        /// The link.
        link: PresentedLink,
        /// The address that such a link would be sent to now.
        address: AddressDigest,
    },
    /// Use the link up, and every other one with it.
    ///
    /// A password the policy rejects must not use it up: check the password first, and compose
    /// this step and the setting of the password into one swap.
    Redeem {
        /// The link.
        link: PresentedLink,
        /// The address that such a link would be sent to now.
        address: AddressDigest,
        /// 64 random bits that name this redemption: the same event may run twice.
        id: u64,
    },
    /// End every link.
    WithdrawAll,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum LinkVerdict {
    /// The link stands; send it.
    Issued {
        /// From this moment on it is refused.
        expires: Timestamp,
    },
    /// The link works, until then.
    Valid {
        /// From this moment on it is refused.
        expires: Timestamp,
    },
    /// The link was used up by this very redemption.
    Redeemed,
    /// No link is left.
    Withdrawn,
    /// No.
    Refused(LinkRefusal),
}

/// Why a link was refused: for the access log. The outside world is told one thing for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkRefusal {
    /// There is no such link: it never was, was used, or a later one took its place.
    #[error("no such link")]
    Unknown,
    /// It is too old.
    #[error("the link has expired")]
    Expired,
    /// It was sent to another address than the account's present one.
    #[error("the link was sent to another address")]
    OtherAddress,
    /// The password was changed or the account disabled since.
    #[error("the credential changed")]
    CredentialChanged,
    /// It is another account's.
    #[error("the link is another account's")]
    OtherAccount,
    /// One was sent a short while ago.
    #[error("a link was sent less than the resend floor ago")]
    TooSoon {
        /// From this moment on another may be sent.
        until: Timestamp,
    },
    /// As many are live as may be.
    #[error("three links are live")]
    TooMany,
}

impl LinkMachine {
    /// The rules for `account`, whose credential is at `generation`.
    #[must_use]
    pub const fn new(policy: LinkPolicy, account: AccountDigest, generation: u64) -> Self {
        Self { policy, account, generation }
    }

    /// What it goes by.
    #[must_use]
    pub const fn policy(&self) -> &LinkPolicy {
        &self.policy
    }

    fn live(&self, link: &Link, now: Timestamp) -> bool {
        link.generation == self.generation && now < link.expires
    }

    fn save(&self, state: Links, verdict: LinkVerdict) -> Outcome {
        let until = state.needed_until(&self.policy);
        Step::save(state, until, verdict)
    }

    fn issue(
        &self,
        was: &Links,
        fresh: &PresentedLink,
        address: AddressDigest,
        by: Requester,
        now: Timestamp,
    ) -> Outcome {
        if fresh.account != self.account {
            return refuse(LinkRefusal::OtherAccount);
        }
        // The same event again, after a swap whose answer was lost.
        if let Some(link) = was.links.iter().find(|link| link.selector == fresh.selector) {
            return Step::keep(LinkVerdict::Issued { expires: link.expires });
        }
        let purpose = fresh.purpose;
        let mut state = was.clone();
        state.seen = now;
        state.links.retain(|link| self.live(link, now));
        match by {
            Requester::Authority => state.links.retain(|link| link.purpose != purpose),
            Requester::Stranger => {
                let until = was.sent.get(purpose).map(|at| at.after(self.policy.resend_floor()));
                if let Some(until) = until.filter(|until| now < *until) {
                    return refuse(LinkRefusal::TooSoon { until });
                }
                if state.links.iter().filter(|link| link.purpose == purpose).count() >= MAX_LIVE {
                    return refuse(LinkRefusal::TooMany);
                }
            }
        }
        let expires = now.after(self.policy.lifetime(purpose));
        state.sent.set(purpose, Some(now));
        state.links.push(Link {
            purpose,
            selector: fresh.selector,
            verifier: fresh.verifier,
            address,
            generation: self.generation,
            expires,
        });
        self.save(state, LinkVerdict::Issued { expires })
    }

    /// Until when the link works.
    fn find(
        &self,
        was: &Links,
        presented: &PresentedLink,
        address: AddressDigest,
        now: Timestamp,
    ) -> Result<Timestamp, LinkRefusal> {
        if presented.account != self.account {
            return Err(LinkRefusal::OtherAccount);
        }
        let same = |link: &&Link| {
            let verified = link.verifier == presented.verifier;
            verified && link.selector == presented.selector && link.purpose == presented.purpose
        };
        let link = was.links.iter().find(same).ok_or(LinkRefusal::Unknown)?;
        if link.generation != self.generation {
            return Err(LinkRefusal::CredentialChanged);
        }
        if link.address != address {
            return Err(LinkRefusal::OtherAddress);
        }
        if now >= link.expires {
            return Err(LinkRefusal::Expired);
        }
        Ok(link.expires)
    }
}

type Outcome = Step<Links, LinkVerdict>;

fn refuse(refusal: LinkRefusal) -> Outcome {
    Step::keep(LinkVerdict::Refused(refusal))
}

impl Machine for LinkMachine {
    type State = Links;
    type Event = LinkEvent;
    type Verdict = LinkVerdict;

    fn step(&self, was: Option<&Links>, event: &LinkEvent, now: Timestamp) -> Outcome {
        let Some(was) = was else { return self.stepped(&Links::empty(now), event, now) };
        if was.seen <= now.after(AHEAD) {
            return self.stepped(was, event, now.max(was.seen));
        }
        let was = was.restamped(&self.policy, now);
        let step = self.stepped(&was, event, now);
        written(step, was, |was, verdict| self.save(was, verdict))
    }
}

impl LinkMachine {
    fn stepped(&self, was: &Links, event: &LinkEvent, now: Timestamp) -> Outcome {
        match event {
            LinkEvent::Issue { fresh, address, by } => {
                self.issue(was, &fresh.0, *address, *by, now)
            }
            LinkEvent::Peek { link, address } => match self.find(was, link, *address, now) {
                Ok(expires) => Step::keep(LinkVerdict::Valid { expires }),
                Err(refusal) => refuse(refusal),
            },
            LinkEvent::Redeem { id, .. } if was.redeemed == Some(*id) => {
                Step::keep(LinkVerdict::Redeemed)
            }
            LinkEvent::Redeem { link, address, id } => {
                if let Err(refusal) = self.find(was, link, *address, now) {
                    return refuse(refusal);
                }
                let links = Vec::new();
                let state = Links { seen: now, redeemed: Some(*id), links, sent: was.sent };
                self.save(state, LinkVerdict::Redeemed)
            }
            LinkEvent::WithdrawAll if was.links.is_empty() => Step::keep(LinkVerdict::Withdrawn),
            LinkEvent::WithdrawAll => {
                let mut state = was.clone();
                state.seen = now;
                state.links.clear();
                self.save(state, LinkVerdict::Withdrawn)
            }
        }
    }
}

impl FreshLink {
    /// What it is for.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        self.0.purpose
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, SecretDigest};

    #[test]
    fn selector_verifier_and_purpose_have_to_fit() {
        let account = AccountDigest::new([1; 16]);
        let link = PresentedLink {
            account,
            purpose: Purpose::Reset,
            selector: [2; 16],
            verifier: SecretDigest::new([3; 32]),
        };
        let (address, by) = (AddressDigest([4; 16]), Requester::Stranger);
        let machine = LinkMachine::new(LinkPolicy::default(), account, 0);
        let issue = LinkEvent::Issue { fresh: FreshLink(link), address, by };
        let (effect, _) = machine.step(None, &issue, Timestamp::EPOCH).split();
        let vouchsafe_core::Effect::Save { state, .. } = effect else { panic!("{effect:?}") };
        let peek = |link| {
            let event = LinkEvent::Peek { link, address };
            machine.step(Some(&state), &event, Timestamp::EPOCH).split().1.committed()
        };
        assert!(matches!(peek(link), LinkVerdict::Valid { .. }));
        for other in [
            PresentedLink { selector: [0; 16], ..link },
            PresentedLink { verifier: SecretDigest::new([0; 32]), ..link },
            PresentedLink { purpose: Purpose::Unlock, ..link },
        ] {
            assert_eq!(peek(other), LinkVerdict::Refused(LinkRefusal::Unknown), "{other:?}");
        }
    }
}
