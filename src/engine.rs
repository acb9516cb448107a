//! The imperative shell around the rules: claim, gather facts, decide, record, act, check, reconcile.

pub mod lifecycle;
