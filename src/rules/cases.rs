//! Cases in rule files: what a request should come to, and whether it does.

use std::ops::Range;

use super::{
    diagnostic::Diagnostic,
    load::reader::{Reader, Value},
    policy::Policy,
};

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Case {}

pub(crate) fn read(
    _reader: &mut Reader<'_>,
    _name: &str,
    _span: Range<usize>,
    _value: &Value<'_>,
) -> Option<Case> {
    None
}

pub(crate) fn problems(_policy: &Policy, _cases: &[Case]) -> Vec<Diagnostic> {
    Vec::new()
}
