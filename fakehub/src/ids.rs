//! Where numbers, GUIDs and token strings come from. Nothing here knows what they name.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// Counters whose ranges do not meet, so that one kind of id used in place of another is never right by accident.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) user: u64,
    pub(crate) organization: u64,
    pub(crate) team: u64,
    pub(crate) repository: u64,
    pub(crate) installation: u64,
    pub(crate) request: u64,
    pub(crate) grant: u64,
    pub(crate) token: u64,
    pub(crate) delivery: u64,
    pub(crate) pull: u64,
    pub(crate) check_run: u64,
    pub(crate) check_suite: u64,
    pub(crate) issue: u64,
    pub(crate) issue_comment: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            user: 5_100_000,
            organization: 9_200_000,
            team: 3_300_000,
            repository: 640_400_000,
            installation: 50_500_000,
            request: 1_600_000,
            grant: 7_700_000,
            token: 28_800_000,
            delivery: 190_000_000_000,
            pull: 1_840_000_000,
            check_run: 24_700_000_000,
            check_suite: 36_200_000_000,
            issue: 2_250_000_000,
            issue_comment: 3_560_000_000,
        }
    }
}

/// Raises a counter and gives its new value.
pub(crate) fn next(counter: &mut u64) -> u64 {
    *counter = counter.saturating_add(1);
    *counter
}

/// Fills a buffer with random bytes. Without a source of randomness a fake still has to answer, so zeros stay.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0_u8; N];
    let _ = getrandom::fill(&mut bytes);
    bytes
}

/// A version 4 GUID, as in `X-GitHub-Delivery`.
pub(crate) fn guid() -> String {
    let mut bytes = random::<16>();
    if let Some(byte) = bytes.get_mut(6) {
        *byte = (*byte & 0x0f) | 0x40;
    }
    if let Some(byte) = bytes.get_mut(8) {
        *byte = (*byte & 0x3f) | 0x80;
    }
    let text = hex::encode(bytes);
    let mut out = String::with_capacity(36);
    for (position, letter) in text.chars().enumerate() {
        if matches!(position, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(letter);
    }
    out
}

/// An installation token in the long form (`ghs_APPID_JWT`), which no client may take for 40 characters.
pub(crate) fn installation_token(app_id: u64) -> String {
    let body = URL_SAFE_NO_PAD.encode(random::<96>());
    let signature = URL_SAFE_NO_PAD.encode(random::<64>());
    format!("ghs_{app_id}_eyJhbGciOiJFUzI1NiJ9.{body}.{signature}")
}

/// GitHub's opaque `node_id`: the kind and the number, in base 64.
pub(crate) fn node_id(kind: &str, id: u64) -> String {
    STANDARD.encode(format!("0{}:{kind}{id}", kind.len()))
}
