#![doc = include_str!("../README.md")]

// Whose types stand in this crate's interface: a user names no other crate.
pub use vouchsafe_core as core;
pub use vouchsafe_crypto as crypto;

mod cookie;
mod csrf;
mod error;
mod link;
mod machine;
mod policy;
mod state;
mod text;
mod token;
mod wire;

pub use cookie::{Cookie, CookieRead, MAX_HEADER, SameSite, SetCookie};
pub use csrf::{
    Binding, CsrfDecision, CsrfKeys, CsrfRefusal, CsrfToken, PRE_LOGIN_LIFETIME, PreLoginId,
    RequestFacts, decide,
};
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

/// What this crate promises, and the tests that show it.
#[doc = include_str!("../GUARANTEES.md")]
pub mod guarantees {}
