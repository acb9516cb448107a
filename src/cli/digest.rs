//! `patwarden digest`: the daily digest as it would be now, and sending it at once.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    DATABASE_HELP, Exit,
    access::{AccessArgs, OpenedDesk, RulesArgs},
    known, output, sources,
};
use crate::{
    clock::Clock,
    digest::{Page, html, text},
    engine::{DigestError, Policies, preview_digest},
    rules::policy::Detail,
    settings::Looking,
    store::Store,
};

/// The daily digest as it would be now, and sending it at once.
#[derive(Subcommand)]
pub(super) enum Digest {
    /// Show the digest as it would be now; nothing is sent, and GitHub is not asked
    ///
    /// Who would have it is not known without GitHub: `digest send` asks. Exit code 1: no digest is set up.
    Preview(Preview),
    /// Send the digest as it is now, beside those that go out by themselves
    ///
    /// Recipients are looked up at GitHub, and the mails put into the outbox: `patwarden serve`, with the same store,
    /// sends them within seconds. Exit code 1: no digest is set up, or nobody can be reached.
    Send(Send),
}

#[derive(Args)]
pub(super) struct Preview {
    #[arg(long, value_name = "URL", help = DATABASE_HELP)]
    database_url: Option<String>,
    #[arg(
        long,
        value_name = "FILE",
        help = "A file with settings, in TOML [env: PATWARDEN_CONFIG]"
    )]
    config: Option<PathBuf>,
    #[command(flatten)]
    rules: RulesArgs,
    /// Of this organization; needed where the App is on several
    #[arg(long, value_name = "LOGIN")]
    org: Option<String>,
    /// Write the HTML into this file
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    html: Option<PathBuf>,
    /// Show the text, as is done unless told otherwise
    #[arg(long, conflicts_with_all = ["json", "html"])]
    text: bool,
    /// As those have it whose mail is not private: without names, reasons and repositories
    #[arg(long, conflicts_with = "json")]
    minimal: bool,
    /// What is in it, as JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Send {
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    rules: RulesArgs,
    /// Of this organization; needed where the App is on several
    #[arg(long, value_name = "LOGIN")]
    org: Option<String>,
    /// Now, and not at its time: there is no other way yet, and the word says what happens
    #[arg(long, required = true)]
    now: bool,
    /// Who is written to and who is not, as JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl Digest {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Preview(preview) => preview.run().await,
            Self::Send(send) => send.run().await,
        }
    }
}

impl Preview {
    async fn run(self) -> anyhow::Result<Exit> {
        let flags = self.database_url.iter().map(|url| ("database-url", url.clone()));
        let sources = sources(self.config.as_ref()).with_flags(flags);
        let looking = Looking::check(sources.with_flags(self.rules.flags()))?;
        let store = Store::open_existing(&looking.database).await?;
        let organization = known::organization(&store, self.org.as_deref()).await?.organization;
        let policies = Policies::as_recorded(looking.rules, &store).await?;
        let now = Clock::system().now();
        let (by_settings, api_url) = (looking.digest.as_ref(), &looking.api_url);
        let found =
            preview_digest(&store, &policies, by_settings, api_url, &organization, now).await;
        let preview = match found {
            // No rules, no [digest] in them: what is wrong is the rules.
            Err(DigestError::None(_)) if policies.in_force(&organization).policy.is_none() => {
                let why = policies.in_force(&organization).broken;
                let why = why.unwrap_or_else(|| "there are none".to_owned());
                output::note(&format!(
                    "no rules of {} can be used, so there is no [digest] either: {}",
                    organization.login,
                    output::cell(&why, 500)
                ));
                return Ok(Exit::NotWell);
            }
            Err(error @ DigestError::None(_)) => {
                output::note(&format!(
                    "{error}: add one, such as `to = [\"owners\"]` and `at = \"08:00 Europe/Vienna\"`"
                ));
                return Ok(Exit::NotWell);
            }
            found => found?,
        };
        let detail = if self.minimal { Detail::Minimal } else { preview.digest.detail };
        let page = Page::of(&preview.day, detail);
        if self.json {
            return output::json(&serde_json::json!({
                "subject": page.subject,
                "quiet": preview.day.is_quiet(),
                "to": preview.digest.to,
                "next": preview.next,
                "day": preview.day,
            }))
            .map(|()| Exit::Well);
        }
        if let Some(path) = &self.html {
            std::fs::write(path, html(&page))?;
            output::note(&format!("written to {}", path.display()));
            return Ok(Exit::Well);
        }
        output::line(format_args!("Subject: {}\n", page.subject));
        output::part(text(&page));
        if let Some(next) = preview.next {
            let at = next.to_zoned(preview.day.zone.clone());
            output::note(&format!(
                "The next one is due {}{}.",
                at.strftime("%Y-%m-%d %H:%M %Z"),
                if preview.day.is_quiet() { ", and is left out while all is quiet" } else { "" }
            ));
        }
        Ok(Exit::Well)
    }
}

impl Send {
    async fn run(self) -> anyhow::Result<Exit> {
        let OpenedDesk { store, desk } = self.access.open_desk_with_mail(&self.rules).await?;
        let installation = known::organization(&store, self.org.as_deref()).await?;
        let sent = desk.send_digest(&installation).await?;
        if self.json {
            output::json(
                &serde_json::json!({ "to": sent.to, "without_address": sent.without_address }),
            )?;
            return Ok(Exit::Well);
        }
        for address in &sent.to {
            output::line(format_args!("to {}", output::cell(address, 200)));
        }
        for login in &sent.without_address {
            output::line(format_args!("{} has no address", output::cell(login.as_str(), 60)));
        }
        output::line("In the outbox: `patwarden serve` sends it within seconds.");
        Ok(Exit::Well)
    }
}
