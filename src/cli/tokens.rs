//! `patwarden tokens`: every token with access, who approved it, and taking it back.

mod list;
mod revoke;
mod show;

use clap::Subcommand;
use jiff::Timestamp;

use super::{Exit, output};
use crate::{
    domain::{Approval, Grant, KnownToken, agrees, many},
    rules::render,
};

/// Every token with access, who approved it, and taking it back.
#[derive(Subcommand)]
pub(super) enum Tokens {
    /// List tokens with access to an organization: as `patwarden serve` listed them last, or anew with --refresh
    ///
    /// Times are UTC. Where nothing says otherwise, tokens that lost their access since are left out.
    List(Box<list::List>),
    /// One token: what it may do, where, who approved it by which rule at which commit, and what changed since
    Show(show::Show),
    /// Take the access of many tokens back: a plan first, then, once it is confirmed, exactly that
    ///
    /// With flags that say which tokens, a plan is made and shown, and nothing is revoked. `--plan ID --apply` revokes
    /// the tokens of that plan, after their number was typed. A token that was used, changed or given access again since
    /// is left out. What is interrupted goes on with `--plan ID --resume`.
    Revoke(Box<revoke::Revoke>),
}

impl Tokens {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::List(command) => command.run().await,
            Self::Show(command) => command.run().await,
            Self::Revoke(command) => command.run().await,
        }
    }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

fn expiry(grant: &Grant) -> String {
    match grant.token.expires_at {
        _ if grant.token.expired => "expired".to_owned(),
        None => "never".to_owned(),
        Some(at) => day(at),
    }
}

fn last_used(grant: &Grant) -> String {
    grant.token.last_used_at.map_or_else(|| "never".to_owned(), day)
}

fn repositories(token: &KnownToken) -> String {
    render::where_to(token.grant.repository_selection, token.repositories.as_deref())
}

/// Who gave it access, in a few words.
fn approved_by(approval: &Approval) -> String {
    match approval {
        Approval::Rule { rules, .. } => rules.join(", "),
        Approval::Person { login, .. } => login.clone(),
        Approval::App { login, .. } => format!("the App {login}"),
        Approval::Itself => "itself (an owner's own)".to_owned(),
        Approval::Unknown => "not on record".to_owned(),
    }
}

/// What is said of rows that GitHub lists and that this version cannot read, of those that reach a repository and of all.
fn unreadable(reaching: usize, all: i64) -> Vec<String> {
    let mut lines = Vec::new();
    if reaching > 0 {
        lines.push(format!(
            "Of the tokens that reach the repository, {reaching} {} listed by GitHub in a form that this version cannot read: \
             nobody can say whether others here are among those.",
            agrees(reaching, "is", "are")
        ));
    }
    if all > 0 {
        lines.push(format!(
            "{} {} listed by GitHub in a form that this version cannot read: look in the settings.",
            many(all, "token"),
            agrees(all, "is", "are")
        ));
    }
    lines
}

/// A token as scripts read it.
fn as_json(token: &KnownToken) -> serde_json::Value {
    let grant = &token.grant;
    serde_json::json!({
        "organization": grant.organization.login,
        "grant_id": grant.id,
        "token_id": grant.token.id,
        "token_name": grant.token.name,
        "owner": grant.owner.login,
        "owner_id": grant.owner.id,
        "membership": token.membership.as_str(),
        "permissions": grant.permissions,
        "repository_selection": grant.repository_selection,
        "repositories": token.repositories.as_ref().map(|all| all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>()),
        "access_granted_at": grant.access_granted_at,
        "expires_at": grant.token.expires_at,
        "expired": grant.token.expired,
        "last_used_at": grant.token.last_used_at,
        "approval": token.approval,
        "coverage": token.coverage,
        "first_seen_at": token.first_seen_at,
        "gone_at": token.gone_at,
    })
}

/// A row of the table of tokens.
fn row(token: &KnownToken) -> Vec<String> {
    let grant = &token.grant;
    let mut owner = output::cell(grant.owner.login.as_str(), 24);
    if let crate::domain::Membership::Left { .. } = token.membership {
        owner.push_str(" (left)");
    }
    vec![
        grant.id.to_string(),
        owner,
        output::cell(&grant.token.name, 30),
        output::cell(&render::permissions(&grant.permissions), 60),
        output::cell(&repositories(token), 40),
        last_used(grant),
        match token.gone_at {
            Some(at) => format!("gone {}", day(at)),
            None => expiry(grant),
        },
        output::cell(&approved_by(&token.approval), 40),
        token.coverage.as_ref().map_or("not yet judged", |found| found.covered.as_str()).to_owned(),
    ]
}

const HEADS: &[&str] = &[
    "GRANT",
    "OWNER",
    "TOKEN",
    "MAY",
    "REPOSITORIES",
    "LAST USED",
    "EXPIRES",
    "APPROVED BY",
    "COVERED",
];
