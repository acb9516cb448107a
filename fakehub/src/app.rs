//! The GitHub App fakehub knows: its ids, its keys and its webhook secret. How calls are checked is in `auth`.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// The App, as its owner sees it on GitHub's settings page.
#[derive(Clone)]
pub struct App {
    /// The numeric App id, the older form of a JWT's `iss`.
    pub id: u64,
    /// The client id, the recommended form of a JWT's `iss`.
    pub client_id: String,
    /// The name in URLs; `SLUG[bot]` is the login of the App's own user.
    pub slug: String,
    /// The display name.
    pub name: String,
    /// The first private key in PEM, PKCS#1, as GitHub hands it out. Made when the process first starts a fake.
    pub private_key_pem: String,
    /// The secret webhooks are signed with.
    pub webhook_secret: String,
    /// What is kept of the private keys that are active: a JWT may be signed by any of them.
    pub(crate) keys: Vec<ActiveKey>,
}

/// What GitHub keeps of a private key, and shows on the App's page.
#[derive(Clone)]
pub(crate) struct ActiveKey {
    /// Names it on the page.
    pub(crate) id: u64,
    /// SHA-256 of the public key (X.509, DER), in base64.
    pub(crate) fingerprint: String,
    /// The public key in DER, PKCS#1.
    pub(crate) public_der: Vec<u8>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("id", &self.id)
            .field("client_id", &self.client_id)
            .field("slug", &self.slug)
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) private_pem: String,
    fingerprint: String,
    public_der: Vec<u8>,
}

impl Key {
    /// What GitHub keeps of it.
    pub(crate) fn active(&self, id: u64) -> ActiveKey {
        let (fingerprint, public_der) = (self.fingerprint.clone(), self.public_der.clone());
        ActiveKey { id, fingerprint, public_der }
    }
}

/// One key a process: making one takes long enough to be felt by a test suite that starts hundreds of fakes.
pub(crate) fn process_key() -> Result<Key, Error> {
    static KEY: OnceLock<Key> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key.clone());
    }
    let made = make_key()?;
    Ok(KEY.get_or_init(|| made).clone())
}

/// The same for Apps that are registered: the first one's is not good for them.
pub(crate) fn registered_key() -> Result<Key, Error> {
    static KEY: OnceLock<Key> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key.clone());
    }
    let made = make_key()?;
    Ok(KEY.get_or_init(|| made).clone())
}

/// A key of its own.
pub(crate) fn make_key() -> Result<Key, Error> {
    let refused = |what: &str| Error::Key(what.to_owned());
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| refused("no key could be made"))?;
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| refused("the key cannot be exported"))?;
    let pkcs1 =
        pkcs1_of(pkcs8.as_ref()).ok_or_else(|| refused("the exported key is not PKCS#8"))?;
    let public = pair.public_key();
    let shown: PublicKeyX509Der<'_> =
        public.as_der().map_err(|_| refused("the public key cannot be exported"))?;
    Ok(Key {
        private_pem: pem("RSA PRIVATE KEY", pkcs1),
        fingerprint: STANDARD.encode(Sha256::digest(shown.as_ref())),
        public_der: public.as_ref().to_vec(),
    })
}

/// The `PrivateKey` octet string inside PKCS#8: `SEQUENCE { INTEGER, SEQUENCE, OCTET STRING }` (RFC 5208, section 5).
fn pkcs1_of(pkcs8: &[u8]) -> Option<&[u8]> {
    let (tag, inside, _) = tlv(pkcs8)?;
    let (version, _, rest) = tlv(inside)?;
    let (algorithm, _, rest) = tlv(rest)?;
    let (key, octets, _) = tlv(rest)?;
    ((tag, version, algorithm, key) == (0x30, 0x02, 0x30, 0x04)).then_some(octets)
}

/// One DER element: its tag, its contents and what follows it.
fn tlv(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = bytes
            .iter()
            .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))?;
        (length, rest)
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while let Some((line, after)) = rest.split_at_checked(64) {
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    if !rest.is_empty() {
        out.push_str(rest);
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}
