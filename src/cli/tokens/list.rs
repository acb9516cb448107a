//! `patwarden tokens list`: tokens with access, filtered, as a table, JSON or CSV.

use clap::Args;

use super::{HEADS, as_json, minute, row};
use crate::{
    cli::{
        Exit,
        access::{AccessArgs, Progress, organization},
        filter::TokenArgs,
        output,
    },
    clock::Clock,
    domain::{GrantId, KnownToken},
    rules::Truth,
    store::{Gone, Store},
};

/// How many tokens are read from the store at once.
const READ_AT_ONCE: i64 = 1_000;

#[derive(Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    access: AccessArgs,
    /// Of this organization; needed where the App is on several
    #[arg(long, value_name = "LOGIN")]
    org: Option<String>,
    #[command(flatten)]
    which: TokenArgs,
    /// Ask GitHub first: a call for each hundred tokens, with the App's key
    #[arg(long)]
    refresh: bool,
    /// Those that lost their access since, too
    #[arg(long)]
    gone: bool,
    /// At most this many in the table; JSON and CSV have all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// As JSON, for scripts: all of them
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// As CSV, for spreadsheets: all of them
    #[arg(long)]
    csv: bool,
}

impl List {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<Exit> {
        let filter = self.which.filter();
        // GitHub alone knows which subset holds a repository, and without a call for each token only by its own filter.
        let asks_github = self.refresh || filter.asked.repository.is_some();
        let (store, installation, reaching) = if asks_github {
            let opened = self.access.open().await?;
            let named = organization(&opened.store, self.org.as_deref()).await?;
            let installation = opened.bulk.installation(named.organization.id).await?;
            let progress = Progress::new();
            if self.refresh {
                opened.bulk.list_tokens(&installation, &progress).await?;
                opened.bulk.list_members(&installation, &progress).await?;
            }
            let reaching = opened.bulk.reaching(&installation, &filter, &progress).await?;
            progress.end();
            (opened.store, installation, reaching)
        } else {
            let store = self.access.store().await?;
            let installation = organization(&store, self.org.as_deref()).await?;
            (store, installation, None)
        };
        let organization = &installation.organization;
        let listing = store.token_listing(organization.id).await?;
        let Some(listing) = listing else {
            anyhow::bail!(
                "the tokens of {} were never listed: `patwarden serve` does it when it starts, or add --refresh",
                organization.login
            );
        };
        let mut out = Out::new(self.json, self.csv, self.limit)?;
        let (mut cannot_say, mut of) = (0, 0);
        let gone = if self.gone { Gone::With } else { Gone::Without };
        let now = Clock::system().now();
        each(&store, organization.id, gone, |token| {
            of += 1;
            match filter.selects(&token, reaching.as_ref(), now) {
                Truth::Matched => out.token(&token)?,
                Truth::Unknown => cannot_say += 1,
                Truth::NotMatched => {}
            }
            Ok(())
        })
        .await?;
        let found = out.end()?;
        // What was revoked since the listing has no access any more.
        let active = store.count_tokens(organization.id).await?;
        if self.json || self.csv {
            return Ok(Exit::Well);
        }
        output::line("");
        output::line(format_args!(
            "{found} of {} tokens {} access to {}, as listed at {} UTC{}.",
            if self.gone { of.to_string() } else { active.to_string() },
            if self.gone { "that have or had" } else { "with" },
            output::cell(organization.login.as_str(), 40),
            minute(listing.ended_at),
            if found > self.limit {
                format!("; the first {} are shown (--limit)", self.limit)
            } else {
                String::new()
            },
        ));
        if cannot_say > 0 {
            output::line(format_args!(
                "Of {cannot_say} others nobody can say yet whether they are meant: members were never listed (--refresh), or \
                 it is not yet judged whether a rule covers them."
            ));
        }
        if listing.unreadable > 0 {
            output::line(format_args!(
                "{} tokens are listed by GitHub in a form that this version cannot read: look at them in the settings.",
                listing.unreadable
            ));
        }
        Ok(Exit::Well)
    }
}

/// Every token of an organization, a thousand in memory at a time.
async fn each(
    store: &Store,
    organization: crate::domain::OrganizationId,
    gone: Gone,
    mut see: impl FnMut(KnownToken) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut after = GrantId(i64::MIN);
    loop {
        let tokens = store.tokens(organization, after, gone, READ_AT_ONCE).await?;
        let Some(last) = tokens.last() else { return Ok(()) };
        after = last.grant.id;
        tokens.into_iter().try_for_each(&mut see)?;
    }
}

/// Where tokens go, one by one.
enum Out {
    Table { rows: Vec<Vec<String>>, found: usize, limit: usize },
    Json { found: usize },
    Csv { writer: Box<csv::Writer<std::io::Stdout>>, found: usize },
}

impl Out {
    fn new(json: bool, csv: bool, limit: usize) -> anyhow::Result<Self> {
        Ok(match (json, csv) {
            (true, _) => {
                output::part("[");
                Self::Json { found: 0 }
            }
            (_, true) => {
                let mut writer = output::csv();
                writer.write_record(COLUMNS)?;
                Self::Csv { writer: Box::new(writer), found: 0 }
            }
            _ => Self::Table { rows: Vec::new(), found: 0, limit },
        })
    }

    fn token(&mut self, token: &KnownToken) -> anyhow::Result<()> {
        match self {
            Self::Table { rows, found, limit } => {
                *found += 1;
                if rows.len() < *limit {
                    rows.push(row(token));
                }
            }
            Self::Json { found } => {
                let comma = if *found > 0 { ",\n " } else { "\n " };
                output::part(format_args!("{comma}{}", serde_json::to_string(&as_json(token))?));
                *found += 1;
            }
            Self::Csv { writer, found } => {
                *found += 1;
                let cells = columns(token);
                writer.write_record(cells.iter().map(|cell| output::csv_cell(cell)))?;
            }
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<usize> {
        match self {
            Self::Table { rows, found, .. } => {
                if !rows.is_empty() {
                    output::table(HEADS, rows);
                }
                Ok(found)
            }
            Self::Json { found } => {
                output::line("\n]");
                Ok(found)
            }
            Self::Csv { mut writer, found } => {
                writer.flush()?;
                Ok(found)
            }
        }
    }
}

const COLUMNS: [&str; 15] = [
    "organization",
    "grant_id",
    "token_id",
    "token_name",
    "owner",
    "membership",
    "permissions",
    "repository_selection",
    "access_granted_at",
    "expires_at",
    "last_used_at",
    "approved_by",
    "covered",
    "first_seen_at",
    "gone_at",
];

fn columns(token: &KnownToken) -> [String; 15] {
    let grant = &token.grant;
    let moment = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    [
        grant.organization.login.to_string(),
        grant.id.to_string(),
        grant.token.id.to_string(),
        grant.token.name.clone(),
        grant.owner.login.to_string(),
        token.membership.as_str().to_owned(),
        crate::rules::render::permissions(&grant.permissions),
        grant.repository_selection.as_str().to_owned(),
        grant.access_granted_at.to_string(),
        grant.token.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        moment(grant.token.last_used_at),
        super::approved_by(&token.approval),
        token.coverage.as_ref().map(|found| found.covered.as_str()).unwrap_or_default().to_owned(),
        token.first_seen_at.to_string(),
        moment(token.gone_at),
    ]
}
