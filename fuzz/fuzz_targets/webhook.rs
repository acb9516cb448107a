//! The body of a signed webhook, read as each event that we know: nothing of it may end the process, and what is read stays
//! within the bounds of what is kept.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patwarden::github::{
    parse_change_event, parse_departure_event, parse_issue_event, parse_repository_event,
    parse_request_event,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(event) = parse_request_event(data) {
        // Both are GitHub's, and bounded before anything is kept.
        assert!(event.organization.login.as_str().chars().count() <= 1_000);
        assert!(event.owner.login.as_str().chars().count() <= 1_000);
    }
    let _ = parse_change_event(data);
    let _ = parse_issue_event(data);
    let _ = parse_repository_event(data);
    let _ = parse_departure_event(data);
});
