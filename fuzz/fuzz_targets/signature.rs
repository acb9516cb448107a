//! The signature's header: whatever stands there, only the right digest under one of the secrets is taken. The first byte says
//! how the header is made, the second how long it is; the body is what is left.

#![no_main]

use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use patwarden::server::Secrets;
use sha2::Sha256;

const SECRETS: [&str; 2] = ["the old one", "the new one"];

fn signed(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length will do");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fuzz_target!(|data: &[u8]| {
    let [kind, length, rest @ ..] = data else { return };
    let (header, body) = rest.split_at(usize::from(*length).min(rest.len()));
    let secrets = Secrets::new(&SECRETS.map(|secret| secret.to_owned().into())).expect("two secrets");
    let right = SECRETS.map(|secret| signed(secret, body));
    let mut header = match kind % 4 {
        0 => header.to_vec(),
        1 => [b"sha256=", header].concat(),
        // The right one, with bytes of it changed.
        even => {
            let mut right = right[usize::from(even % 2)].clone().into_bytes();
            for change in header.chunks_exact(2) {
                let place = usize::from(change[0]) % right.len();
                right[place] = change[1];
            }
            right
        }
    };
    header.truncate(100);
    let Ok(header) = std::str::from_utf8(&header) else { return };
    let is_right = right.iter().any(|right| {
        header.starts_with("sha256=") && header.eq_ignore_ascii_case(right)
    });
    assert_eq!(secrets.verify(body, header), is_right, "{header:?} over {body:?}");
});
