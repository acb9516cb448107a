//! `patwarden tokens list`: tokens with access, filtered, as a table, JSON or CSV.

use clap::Args;

use super::{HEADS, as_json, minute, row};
use crate::{
    cli::{
        Exit,
        access::{AccessArgs, Progress},
        filter::TokenArgs,
        known, output,
    },
    clock::Clock,
    domain::{GrantId, KnownToken, agrees, many},
    rules::Truth,
    store::Gone,
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
            let named = known::organization(&opened.store, self.org.as_deref()).await?;
            let heard = opened.store.token_listing(named.organization.id).await?.is_some();
            if heard {
                known::look_at_tokens(&opened.store, &named.organization, &filter).await?;
            }
            let installation = opened.bulk.installation(named.organization.id).await?;
            let progress = Progress::new();
            if self.refresh {
                opened.bulk.list_tokens(&installation, &progress).await?;
                opened.bulk.list_members(&installation, &progress).await?;
            }
            if !heard {
                known::look_at_tokens(&opened.store, &named.organization, &filter).await?;
            }
            let reaching = opened.bulk.reaching(&installation, &filter, &progress).await?;
            progress.end();
            (opened.store, installation, reaching)
        } else {
            let store = self.access.store().await?;
            let installation = known::organization(&store, self.org.as_deref()).await?;
            known::look_at_tokens(&store, &installation.organization, &filter).await?;
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
        let unreadable_reaching = reaching.as_ref().map_or(0, |reaching| reaching.unreadable);
        let reaching = reaching.as_ref().map(|reaching| &reaching.grants);
        let mut parts: Vec<_> = filter.parts().into_iter().map(|part| (part, 0)).collect();
        let mut out = Out::new(self.json, self.csv, self.limit)?;
        let (mut cannot_say, mut of) = (0, 0);
        let gone = if self.gone { Gone::With } else { Gone::Without };
        let now = Clock::system().now();
        let mut after = GrantId(i64::MIN);
        loop {
            let tokens = store.tokens(organization.id, after, gone, READ_AT_ONCE).await?;
            let Some(last) = tokens.last() else { break };
            after = last.grant.id;
            for mut token in tokens {
                of += 1;
                for (part, alone) in &mut parts {
                    *alone += u64::from(part.selects(&token, reaching, now) == Truth::Matched);
                }
                match filter.selects(&token, reaching, now) {
                    Truth::Matched if out.is_full() => out.count(),
                    Truth::Matched => {
                        known::add_repositories(&store, &mut token).await?;
                        out.token(&token)?;
                    }
                    Truth::Unknown => cannot_say += 1,
                    Truth::NotMatched => {}
                }
            }
        }
        let found = out.end()?;
        // What was revoked since the listing has no access any more.
        let expired = store.count_expired_tokens(organization.id, now).await?;
        let active = store.count_tokens(organization.id).await? - expired;
        let besides = match expired {
            0 => String::new(),
            expired => format!(" (and {expired} expired)"),
        };
        let said = Said { cannot_say, unreadable_reaching, unreadable: listing.unreadable };
        if self.json || self.csv {
            said.lines().iter().for_each(|line| output::note(line));
            return Ok(Exit::Well);
        }
        if found > 0 {
            output::line("");
        }
        output::line(format_args!(
            "{found} of {} access to {}{besides}, as listed at {} UTC{}.",
            if self.gone {
                format!("{} that {} or had", many(of, "token"), agrees(of, "has", "have"))
            } else {
                format!("{} with", many(active, "token"))
            },
            output::cell(organization.login.as_str(), 40),
            minute(listing.ended_at),
            if found > self.limit {
                format!("; the first {} are shown (--limit)", self.limit)
            } else {
                String::new()
            },
        ));
        if found == 0 && !filter.is_empty() {
            output::line(format_args!("None is meant by {filter}."));
            let parts: Vec<_> =
                parts.into_iter().map(|(part, alone)| (part.to_string(), alone)).collect();
            output::parts(&parts);
        }
        said.lines().iter().for_each(output::line);
        Ok(Exit::Well)
    }
}

/// Of how many tokens the list cannot tell.
struct Said {
    cannot_say: u64,
    unreadable_reaching: usize,
    unreadable: i64,
}

impl Said {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.cannot_say > 0 {
            lines.push(format!(
                "Of {} nobody can say yet whether {} meant: members were never listed (--refresh), or it is not yet judged \
                 whether a rule covers {}.",
                many(self.cannot_say, "other"),
                agrees(self.cannot_say, "it is", "they are"),
                agrees(self.cannot_say, "it", "them")
            ));
        }
        lines.extend(super::unreadable(self.unreadable_reaching, self.unreadable));
        lines
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

    /// Whether what follows is only counted.
    fn is_full(&self) -> bool {
        matches!(self, Self::Table { rows, limit, .. } if rows.len() >= *limit)
    }

    /// Counts one that is not shown.
    fn count(&mut self) {
        let (Self::Table { found, .. } | Self::Json { found } | Self::Csv { found, .. }) = self;
        *found += 1;
    }

    fn token(&mut self, token: &KnownToken) -> anyhow::Result<()> {
        match self {
            Self::Table { rows, found, .. } => {
                *found += 1;
                rows.push(row(token));
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

const COLUMNS: [&str; 16] = [
    "organization",
    "grant_id",
    "token_id",
    "token_name",
    "owner",
    "membership",
    "permissions",
    "repository_selection",
    "repositories",
    "access_granted_at",
    "expires_at",
    "last_used_at",
    "approved_by",
    "covered",
    "first_seen_at",
    "gone_at",
];

fn columns(token: &KnownToken) -> [String; 16] {
    let grant = &token.grant;
    let moment = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let repositories = token.repositories.iter().flatten().map(|one| one.name.as_str());
    [
        grant.organization.login.to_string(),
        grant.id.to_string(),
        grant.token.id.to_string(),
        grant.token.name.clone(),
        grant.owner.login.to_string(),
        token.membership.as_str().to_owned(),
        crate::rules::render::permissions(&grant.permissions),
        grant.repository_selection.as_str().to_owned(),
        repositories.collect::<Vec<_>>().join(" "),
        grant.access_granted_at.to_string(),
        grant.token.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        moment(grant.token.last_used_at),
        super::approved_by(&token.approval),
        token.coverage.as_ref().map(|found| found.covered.as_str()).unwrap_or_default().to_owned(),
        token.first_seen_at.to_string(),
        moment(token.gone_at),
    ]
}
