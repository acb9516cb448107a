//! The pure core: what a rule file means and what it says of one request. No I/O, no clock, no async.
//!
//! [`load::load`] turns files into a [`Policy`] or into every reason why not; [`decide`] says what the policy
//! makes of one request and its [`facts`]; [`decide_with_trace`] also says why. Of tokens that are approved already,
//! [`coverage`](coverage::coverage()) says whether a rule would let them through today, and
//! [`select`](revocation::select) whether a standing policy wants them revoked.

pub mod calendar;
pub mod cases;
mod caution;
mod condition;
pub mod coverage;
mod decide;
mod decision;
pub mod diagnostic;
mod explain;
pub mod facts;
pub mod held;
mod index;
mod layer;
pub mod load;
pub mod names;
mod near_miss;
mod pattern;
mod permission_set;
pub mod plan;
pub mod policy;
mod protected;
mod quantity;
mod reason;
pub mod render;
pub mod review;
pub mod revocation;
mod rule;
pub mod schema;
pub mod starter;
mod subject;
pub mod timetable;
mod trace;
mod truth;
mod unread;
mod veto;
mod waiver;
mod window;

pub use caution::{Caution, cautions};
pub use decide::{decide, decide_with_trace};
pub use decision::{
    Decision, Effect, MAX_REASON_CHARS, NearMiss, RuleId, UnknownFact, Unmet, Waived,
};
pub use layer::Layer;
pub use load::{Loaded, SourceFile, Sources, Standing};
pub use near_miss::near_miss;
pub use policy::{Mode, PROTECTED_REPOSITORIES, Policy};
pub use protected::{Guarded, Keeps};
pub use quantity::Span;
pub(crate) use quantity::days;
pub use reason::PLACEHOLDERS;
pub use rule::{Enforcement, Part, Verb};
pub use trace::{ConditionTrace, RuleTrace, Trace, WaiverTrace};
pub use truth::Truth;
pub use unread::Unread;
pub use veto::{Veto, vetoes};
