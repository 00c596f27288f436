//! Attacks on password doors, replayed against Vouchsafe's lockout and against the published
//! algorithms of others.
//!
//! | file | question it answers |
//! |---|---|
//! | `options` | what does the command line say |
//! | `dice` | where does chance come from |
//! | `world` | who has an account, with which password, and from where do they come |
//! | `honest` | when do the owners sign in, and what goes wrong for them |
//! | `attack` | what do strangers try, when, and from where |
//! | `guard` | what is asked of an algorithm |
//! | `ours`, `others` | the algorithms |
//! | `replay` | what happens, in order of simulated time |
//! | `monitor` | how many guesses were looked at, counted by nobody's algorithm |
//! | `siege`, `table`, `picture` | all attacks on all algorithms, as text and drawn |

pub mod attack;
pub mod dice;
pub mod guard;
pub mod honest;
pub mod monitor;
pub mod options;
pub mod others;
pub mod ours;
pub mod picture;
pub mod replay;
pub mod siege;
pub mod table;
pub mod world;
