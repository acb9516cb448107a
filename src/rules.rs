//! The pure core: what a rule file means and what it says of one request. No I/O, no clock, no async.

pub mod facts;
