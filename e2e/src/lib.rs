//! Tests that need other programs live in `tests/`; this crate itself holds nothing.
