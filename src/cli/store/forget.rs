//! `patwarden store forget`: what forgetting a person comes to, and doing it once the number was typed.

use std::collections::BTreeSet;

use crate::{
    cli::{Exit, StoreArgs, Usage, output},
    domain::{UserId, many},
    store::{Person, Store},
};

/// Whom.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("whom").required(true).args(["login", "user_id"]))]
pub(in crate::cli) struct Forget {
    /// By login
    #[arg(value_name = "LOGIN")]
    login: Option<String>,
    /// By the number of the account, where several had the login
    #[arg(long, value_name = "N")]
    user_id: Option<i64>,
    /// An address of theirs to which mails went, and nobody else's; may be given several times. Where they were told of their own tokens
    /// is known
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<String>,
    /// Say what it comes to, and end there
    #[arg(long)]
    dry_run: bool,
    /// Ask for no number
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    #[command(flatten)]
    store: StoreArgs,
}

impl Forget {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        let person = self.person(&store).await?;
        output::line(format_args!("{}, number {}:", listed(&person.logins), person.id));
        let under_way = store.under_way(&person).await?;
        if !under_way.is_empty() {
            for what in under_way {
                output::line(format_args!("  {what}"));
            }
            output::line("Nothing is forgotten before that is over.");
            return Ok(Exit::NotWell);
        }
        let would = store.would_forget(&person).await?;
        for (what, count) in [
            ("requests that stay, under a pseudonym", would.requests),
            ("rows of open requests to be deleted, where the App was removed", would.given_up),
            (
                "decisions that stay, with rules, permissions and repositories, under it",
                would.decisions,
            ),
            ("answers to other requests that stay, under it", would.answers),
            ("tokens in reports of revocations that stay, under it", would.reported),
            ("tokens without access to be deleted, with their history", would.tokens),
            ("memberships of organizations and teams to be deleted", would.memberships),
            ("other rows, texts and mails to be cleared of them", would.texts),
            ("bodies of webhooks to be deleted", would.deliveries),
        ] {
            output::line(format_args!("  {what}: {count}"));
        }
        if !person.shared.is_empty() {
            output::line(format_args!(
                "Another account had the login {} too: what people wrote stays as it is, but for the login with their number.",
                listed(&person.shared)
            ));
        }
        if person.member {
            output::line("They are still a member: the next inventory writes that down again.");
        }
        output::line(
            "Not reached: a login without a number where it stands for who acted, the audit log, the log, mailboxes, issues and comments at GitHub, rules that name them, copies of the store.",
        );
        if self.dry_run {
            return Ok(Exit::Well);
        }
        if !self.yes && !confirmed(would.rows()).await? {
            output::line("Nothing was forgotten.");
            return Ok(Exit::NotWell);
        }
        let forgotten = store.forget(&person).await?;
        store.close().await;
        output::line(format_args!(
            "Forgotten: {}. They are {} from now on.",
            many(forgotten.rows(), "row"),
            forgotten.pseudonym
        ));
        Ok(Exit::Well)
    }

    async fn person(&self, store: &Store) -> anyhow::Result<Person> {
        let ids = match (&self.login, self.user_id) {
            (Some(login), _) => store.people_called(login).await?,
            (None, Some(id)) => vec![UserId(id)],
            (None, None) => Vec::new(),
        };
        match ids.as_slice() {
            [id] => match store.person(*id).await? {
                Some(mut person) => {
                    let given = self.address.iter().map(|address| address.to_ascii_lowercase());
                    person.addresses.extend(given);
                    Ok(person)
                }
                None => Err(Usage("the record knows nobody of this number".to_owned()).into()),
            },
            [] => Err(Usage("the record knows nobody of this login".to_owned()).into()),
            several => {
                let several: Vec<String> = several.iter().map(ToString::to_string).collect();
                Err(Usage(format!(
                    "several accounts had this login: name one by --user-id, of {}",
                    several.join(", ")
                ))
                .into())
            }
        }
    }
}

fn listed(logins: &BTreeSet<String>) -> String {
    let logins: Vec<&str> = logins.iter().map(String::as_str).collect();
    match logins.as_slice() {
        [] => "Somebody without a known login".to_owned(),
        logins => output::cell(&logins.join(", "), 200),
    }
}

async fn confirmed(rows: u64) -> anyhow::Result<bool> {
    output::line(format_args!(
        "Type {rows}, which is all of it, to forget them; that cannot be undone. Anything else leaves it:"
    ));
    Ok(output::typed().await?.trim() == rows.to_string())
}
