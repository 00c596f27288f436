//! Session tokens with idle and absolute limits, one-time links, cookies and CSRF tokens.

mod error;
mod link;
mod machine;
mod policy;
mod state;
mod text;
mod token;
mod wire;

pub use error::{Error, Problem};
pub use link::{
    LinkEvent, LinkMachine, LinkOrigin, LinkPolicy, LinkPolicyBuilder, LinkRefusal, LinkVerdict,
    LinkWitness, Links, MAX_LIVE, Purpose, Requester,
};
pub use machine::{SessionEvent, SessionMachine, SessionRefusal, SessionVerdict};
pub use policy::{AtCap, MAX_SESSIONS, SessionPolicy, SessionPolicyBuilder, SessionWitness};
pub use state::{Label, Session, SessionId, Sessions};
pub use token::{
    AddressDigest, Fresh, FreshLink, Presented, PresentedLink, SecretDigest, Token, TokenKeys,
};
