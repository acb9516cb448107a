//! Deliveries as GitHub sends them, each with its own body, GUID and signature, made fast enough that the
//! generator is not what is measured.
//!
//! What differs stands at the end of the body, so the signature of everything before it is computed once.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use patwarden::server::WEBHOOK_PATH;
use serde_json::json;
use sha2::Sha256;

/// The secret that deliveries are signed with where no GitHub, real or fake, names one.
pub const SECRET: &str = "a secret of the benchmark's own";

/// How large a body is made, about.
const BODY: usize = 6 * 1024;

/// Ids that deliveries carry: far from any that the fake hands out.
const FIRST_ID: u64 = 5_000_000_000;

/// How GUIDs are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guids {
    /// As GitHub's are: UUIDs of version 1, which begin with the time.
    Timed,
    /// Random ones: the worst case for an index over them.
    Random,
}

/// About whom deliveries are.
pub struct About {
    pub organization: (u64, String),
    pub installation: u64,
    pub action: &'static str,
}

impl Default for About {
    fn default() -> Self {
        Self {
            organization: (900_001, "acme".to_owned()),
            installation: 900_002,
            action: "created",
        }
    }
}

/// One delivery, but for what differs from one to the next.
pub struct Mould {
    bytes: Vec<u8>,
    guid_at: usize,
    signature_at: usize,
    ids_at: usize,
    signed_so_far: Hmac<Sha256>,
    guids: Guids,
}

impl Mould {
    pub fn new(secret: &str, about: &About, guids: Guids) -> Self {
        let (body, ids_at_in_body) = body(about);
        let head = format!(
            "POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GitHub-Hookshot/0a1b2c3\r\n\
             Accept: */*\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             X-GitHub-Delivery: {}\r\nX-GitHub-Event: personal_access_token_request\r\n\
             X-GitHub-Hook-ID: 424242\r\nX-GitHub-Hook-Installation-Target-ID: 4242\r\n\
             X-GitHub-Hook-Installation-Target-Type: integration\r\nX-Hub-Signature-256: sha256={}\r\n\r\n",
            body.len(),
            "g".repeat(36),
            "s".repeat(64),
        );
        let guid_at = head.find("gggggggg").expect("a GUID in the head");
        let signature_at = head.find("ssssssss").expect("a signature in the head");
        let mut signed_so_far =
            Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
        signed_so_far.update(&body.as_bytes()[..ids_at_in_body]);
        let ids_at = head.len() + ids_at_in_body;
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body.as_bytes());
        Self { bytes, guid_at, signature_at, ids_at, signed_so_far, guids }
    }

    /// Everything that is sent for one delivery, as long as what every other one sends.
    pub fn blank(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// The size of a body.
    pub fn body_size(&self) -> usize {
        let head = self.bytes.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
        self.bytes.len() - head - 4
    }

    /// Makes `delivery` (a [`Mould::blank`]) delivery number `number`.
    pub fn fill(&self, delivery: &mut [u8], number: u64) {
        decimal(FIRST_ID + number, &mut delivery[self.ids_at..self.ids_at + 10]);
        let token = self.ids_at + r#"0000000000,"token_id":"#.len();
        decimal(FIRST_ID + 1_000_000_000 + number, &mut delivery[token..token + 10]);
        let mut mac = self.signed_so_far.clone();
        mac.update(&delivery[self.ids_at..]);
        let signature: [u8; 32] = mac.finalize().into_bytes().into();
        hex_into(&signature, &mut delivery[self.signature_at..self.signature_at + 64]);
        let mut at = self.guid_at;
        let guid = self.guid(number);
        for part in [&guid[..4], &guid[4..6], &guid[6..8], &guid[8..10], &guid[10..]] {
            hex_into(part, &mut delivery[at..at + 2 * part.len()]);
            at += 2 * part.len();
            if at < self.guid_at + 36 {
                delivery[at] = b'-';
                at += 1;
            }
        }
    }

    fn guid(&self, number: u64) -> [u8; 16] {
        let mut guid = [0; 16];
        if self.guids == Guids::Random {
            guid[..8].copy_from_slice(&mixed(2 * number).to_be_bytes());
            guid[8..].copy_from_slice(&mixed(2 * number + 1).to_be_bytes());
            return guid;
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ticks = u64::try_from(since_1970.as_nanos() / 100).unwrap_or(0) + 0x01B2_1DD2_1381_4000;
        guid[..4].copy_from_slice(&(ticks as u32).to_be_bytes());
        guid[4..6].copy_from_slice(&((ticks >> 32) as u16).to_be_bytes());
        guid[6..8].copy_from_slice(&(((ticks >> 48) as u16 & 0x0FFF) | 0x1000).to_be_bytes());
        // The rest tells machines and moments apart; here it is also what makes them all different.
        guid[8..].copy_from_slice(&(mixed(number) >> 2 | 1 << 63).to_be_bytes());
        guid
    }
}

/// A body of the size that is wanted, and where its ids stand.
fn body(about: &About) -> (String, usize) {
    let (organization, login) = &about.organization;
    let user = |id: u64, login: &str| {
        let api = format!("https://api.github.com/users/{login}");
        json!({
            "login": login, "id": id, "node_id": format!("MDQ6VXNlcg{id}"),
            "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"), "gravatar_id": "",
            "url": api, "html_url": format!("https://github.com/{login}"),
            "followers_url": format!("{api}/followers"), "following_url": format!("{api}/following{{/other_user}}"),
            "gists_url": format!("{api}/gists{{/gist_id}}"), "starred_url": format!("{api}/starred{{/owner}}{{/repo}}"),
            "subscriptions_url": format!("{api}/subscriptions"), "organizations_url": format!("{api}/orgs"),
            "repos_url": format!("{api}/repos"), "events_url": format!("{api}/events{{/privacy}}"),
            "received_events_url": format!("{api}/received_events"), "type": "User", "site_admin": false,
        })
    };
    let repository = |number: u64| {
        json!({
            "id": 700_000 + number, "node_id": format!("R_kgDOKx{number:06}"),
            "name": format!("service-{number:03}"), "full_name": format!("{login}/service-{number:03}"),
            "private": true,
        })
    };
    let write = |repositories: u64| {
        let before = json!({
            "action": about.action,
            "organization": {
                "login": login, "id": organization, "node_id": format!("O_kgDOB{organization}"),
                "url": format!("https://api.github.com/orgs/{login}"),
                "repos_url": format!("https://api.github.com/orgs/{login}/repos"),
                "events_url": format!("https://api.github.com/orgs/{login}/events"),
                "hooks_url": format!("https://api.github.com/orgs/{login}/hooks"),
                "issues_url": format!("https://api.github.com/orgs/{login}/issues"),
                "members_url": format!("https://api.github.com/orgs/{login}/members{{/member}}"),
                "public_members_url": format!("https://api.github.com/orgs/{login}/public_members{{/member}}"),
                "avatar_url": format!("https://avatars.githubusercontent.com/u/{organization}?v=4"),
                "description": "We make everything",
            },
            "sender": user(910_001, "kim"),
            "installation": {"id": about.installation, "node_id": "MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9u"},
        })
        .to_string();
        let request = json!({
            "owner": user(910_001, "kim"),
            "permissions_added": {"repository": {"contents": "read", "issues": "write", "metadata": "read"}},
            "permissions_upgraded": {}, "permissions_result": {"repository": {"contents": "read", "issues": "write", "metadata": "read"}},
            "repository_selection": "subset", "repository_count": repositories,
            "repositories": (0..repositories).map(repository).collect::<Vec<_>>(),
            "created_at": "2026-03-05T09:12:31+01:00", "token_name": "nightly export of issues",
            "token_expired": false, "token_expires_at": "2026-04-04T08:12:30Z", "token_last_used_at": null,
        })
        .to_string();
        let head = format!(
            "{},\"personal_access_token_request\":{},\"id\":",
            before.trim_end_matches('}').to_owned() + "}",
            request.trim_end_matches('}')
        );
        let at = head.len();
        (head + "0000000000,\"token_id\":0000000000}}", at)
    };
    let one_more = write(2).0.len() - write(1).0.len();
    let enough = (BODY - write(1).0.len()) / one_more;
    write(u64::try_from(enough).expect("a small number") + 1)
}

fn decimal(mut number: u64, into: &mut [u8]) {
    for place in into.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn hex_into(bytes: &[u8], into: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(into.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Scatters numbers: each stays unlike every other.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
