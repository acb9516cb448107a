//! `patwarden replay`: signs a payload file and sends it, as GitHub would. For local work.

use std::path::PathBuf;

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;

use super::{Exit, output, sources};

/// What is sent, and where.
#[derive(clap::Args)]
#[command(
    after_help = "The secret is taken from GITHUB_WEBHOOK_SECRET (the first, when there are several) \
or from the file that GITHUB_WEBHOOK_SECRET_PATH names."
)]
pub(super) struct Replay {
    /// The payload, in JSON
    file: PathBuf,
    /// What X-GitHub-Event says
    #[arg(long, value_name = "NAME", default_value = "personal_access_token_request")]
    event: String,
    /// Where it is sent
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000/webhooks/github")]
    to: String,
    /// What X-GitHub-Delivery says, to send the same delivery twice [default: a new one]
    #[arg(long, value_name = "GUID")]
    delivery: Option<String>,
}

impl Replay {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let secrets = crate::settings::secrets(sources(None))?;
        let body = std::fs::read(&self.file)
            .with_context(|| format!("{} cannot be read", self.file.display()))?;
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&body) {
            anyhow::bail!("{} is not JSON: {error}", self.file.display());
        }
        let secret =
            secrets.first().map(|secret| secret.expose_secret().as_bytes()).unwrap_or_default();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret)?;
        mac.update(&body);
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let delivery = match self.delivery {
            Some(delivery) => delivery,
            None => {
                let mut random = [0u8; 16];
                getrandom::fill(&mut random)
                    .map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
                let digits = hex::encode(random);
                let part = |range: std::ops::Range<usize>| {
                    digits.get(range).unwrap_or_default().to_owned()
                };
                [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
            }
        };
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let answer = reqwest::Client::builder()
            .timeout(std::time::Duration::from_secs(30))
            .no_proxy()
            .build()?
            .post(&self.to)
            .header("content-type", "application/json")
            .header("user-agent", "GitHub-Hookshot/patwarden-replay")
            .header("x-github-event", &self.event)
            .header("x-github-delivery", &delivery)
            .header("x-hub-signature-256", signature)
            .body(body)
            .send()
            .await
            .with_context(|| {
                format!("{} does not answer: does `patwarden serve` run there?", self.to)
            })?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        output::line(format_args!("{delivery} answered {status} {}", output::cell(&text, 200)));
        Ok(match status.as_u16() {
            200..=299 => Exit::Well,
            401 => anyhow::bail!(
                "the signature was not accepted: is GITHUB_WEBHOOK_SECRET that of the server?"
            ),
            _ => Exit::NotWell,
        })
    }
}
