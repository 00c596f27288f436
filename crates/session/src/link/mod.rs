//! One-time links: what they are for, where they lead, and who may still use them.

mod machine;
mod origin;
mod policy;
mod state;

pub use machine::{LinkEvent, LinkMachine, LinkRefusal, LinkVerdict, Requester};
pub use origin::LinkOrigin;
pub use policy::{LinkPolicy, LinkPolicyBuilder, LinkWitness, Purpose};
pub use state::{Links, MAX_LIVE};
