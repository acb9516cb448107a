//! `patwarden rules explain`: a request from a file, from the record, or from flags.

use std::{fmt::Write as _, path::PathBuf};

use super::{
    super::{Exit, StoreArgs, output},
    RulesArgs, as_followed, print, valid,
};
use crate::{
    domain::{PermissionGroup, TokenRequest, known_levels},
    rules::{self, Policy, cases, facts::Facts, render},
    store::RequestFilter,
};

pub(super) const EXAMPLE: &str = "\
By flags; this one is approved, by approve.devs-write of that file:

    patwarden rules explain rules/small-org.toml \\
      --owner kim --team developers \\
      --repository web --permission contents=write \\
      --reason 'Nightly update of vendored data'

From the record: patwarden rules explain rules/small-org.toml --pending 4711

From a file with the tables of a test, `wants`, `world` and `now`:

    wants.lifetime = \"60d\"
    wants.repositories = [\"web\"]
    wants.permissions.repository = { contents = \"read\" }
    world.owner = { login = \"kim\", teams = [\"developers\"] }";

#[derive(clap::Args)]
pub(in crate::cli) struct Explain {
    #[command(flatten)]
    rules: RulesArgs,
    /// The file that describes the request, in TOML, as below
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pending", "described"])]
    request: Option<PathBuf>,
    /// A request that is on record, by GitHub's number, as `requests list` shows it, with the facts that were read when
    /// it was judged
    #[arg(long, value_name = "ID", conflicts_with = "described")]
    pending: Option<i64>,
    #[command(flatten)]
    described: Described,
    #[command(flatten)]
    store: StoreArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// A request by flags.
#[derive(clap::Args)]
#[group(id = "described", multiple = true)]
struct Described {
    /// Whose token
    #[arg(long, value_name = "LOGIN")]
    owner: Option<String>,
    /// A team that the owner is in; may be given several times
    #[arg(long = "team", value_name = "SLUG")]
    teams: Vec<String>,
    #[arg(
        long,
        value_name = "ROLE",
        help = "The owner's role: owner, member, billing_manager or stranger"
    )]
    role: Option<String>,
    /// The organization that is asked
    #[arg(long, value_name = "LOGIN")]
    organization: Option<String>,
    /// The token's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How long: 30d, or never
    #[arg(long, value_name = "DAYS")]
    lifetime: Option<String>,
    /// A repository by name; may be given several times
    #[arg(long = "repository", value_name = "NAME", conflicts_with = "all_repositories")]
    repositories: Vec<String>,
    /// All repositories
    #[arg(long)]
    all_repositories: bool,
    /// A permission and its level: contents=write, organization.members=read; may be given several times
    #[arg(long = "permission", value_name = "NAME=LEVEL", value_parser = permission)]
    permissions: Vec<Permission>,
    /// The requester's words
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// When it is judged, such as 2026-12-20T12:00:00Z
    #[arg(long, value_name = "TIME")]
    now: Option<jiff::Timestamp>,
}

#[derive(Clone, Debug)]
struct Permission {
    group: PermissionGroup,
    name: String,
    level: String,
}

/// Reads `contents=write` or `organization.members=read`; without a group, the one in which GitHub has that name.
fn permission(text: &str) -> Result<Permission, String> {
    let (name, level) = text.split_once('=').ok_or("write NAME=LEVEL, such as contents=read")?;
    let (group, name) = match name.split_once('.') {
        Some((group, name)) => {
            let known = PermissionGroup::ALL.into_iter().find(|known| known.as_str() == group);
            (known.ok_or("the groups are repository, organization and other")?, name)
        }
        None => {
            let known = PermissionGroup::ALL;
            let group = known.into_iter().find(|group| known_levels(*group, name).is_some());
            (group.unwrap_or(PermissionGroup::Repository), name)
        }
    };
    Ok(Permission { group, name: name.to_owned(), level: level.to_owned() })
}

impl Described {
    /// The tables of a test that say the same.
    fn toml(&self) -> String {
        let mut text = "wants.name = ".to_owned() + &quoted(self.name.as_deref().unwrap_or("test"));
        text.push('\n');
        let mut line = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{key} = {value}");
            }
        };
        let one = |text: &Option<String>| text.as_deref().map(quoted);
        let list = |items: &[String]| {
            let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
            (!items.is_empty()).then(|| format!("[{}]", items.join(", ")))
        };
        line("wants.lifetime", one(&self.lifetime));
        line("wants.reason", one(&self.reason));
        line("wants.repositories", list(&self.repositories));
        line("wants.repository_selection", self.all_repositories.then(|| quoted("all")));
        for Permission { group, name, level } in &self.permissions {
            let key = format!("wants.permissions.{}.{}", group.as_str(), quoted(name));
            line(&key, Some(quoted(level)));
        }
        line("world.organization", one(&self.organization));
        line("world.owner.login", one(&self.owner));
        line("world.owner.role", one(&self.role));
        line("world.owner.teams", list(&self.teams));
        line("now", self.now.map(|now| quoted(&now.to_string())));
        text
    }
}

/// A string as TOML writes it.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\U{:08X}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

impl Explain {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let mut policy = valid(&self.rules.rules, self.rules.load()?)?;
        if self.pending.is_some() {
            policy = as_followed(policy, &self.store.open().await?).await?;
        } else if self.request.is_none() && self.described.permissions.is_empty() {
            anyhow::bail!(
                "which request? Describe one, with --permission contents=read at least; `patwarden rules explain --help` shows how"
            );
        }
        for Permission { group, name, .. } in &self.described.permissions {
            if known_levels(*group, name).is_none() {
                output::line(format_args!(
                    "GitHub documents no {} permission `{}`: it counts as the strongest.",
                    group.as_str(),
                    output::cell(name, 60)
                ));
            }
        }
        let (request, facts) = self.subject(&policy).await?;
        let (decision, trace) = rules::decide_with_trace(&policy, &request, &facts);
        if self.json {
            output::json(&serde_json::json!({ "decision": decision, "trace": trace }))?;
            return Ok(Exit::Well);
        }
        output::line(render::sentence(&decision));
        if let Some(reason) = &decision.reason {
            output::line(format_args!("with the reason: {}", output::cell(reason, 1_100)));
        }
        output::line("");
        output::line(render::tree(&trace).trim_end());
        Ok(Exit::Well)
    }

    async fn subject(&self, policy: &Policy) -> anyhow::Result<(TokenRequest, Facts)> {
        if let Some(id) = self.pending {
            return self.recorded(id).await;
        }
        let (name, text) = match &self.request {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    anyhow::anyhow!("{} cannot be read: {error}", path.display())
                })?;
                (path.display().to_string(), text)
            }
            None => ("the flags".to_owned(), self.described.toml()),
        };
        cases::parse_situation(&name, &text, policy.needs()).map_err(|diagnostics| {
            print(&diagnostics);
            anyhow::anyhow!("no request can be made of {name}")
        })
    }

    /// As it was judged last. What no rule asked for then is not known now, and the trace says so.
    async fn recorded(&self, id: i64) -> anyhow::Result<(TokenRequest, Facts)> {
        let store = self.store.open().await?;
        let filter = RequestFilter { limit: 100_000, ..RequestFilter::default() };
        let rows = store.requests(&filter).await?;
        let mut decided = Vec::new();
        for row in rows.iter().filter(|row| row.id.0 == id) {
            if let Some(decision) = row.decision_id {
                decided.extend(store.decision(decision).await?);
            }
        }
        match <[_; 1]>::try_from(decided) {
            Ok([decision]) => Ok((decision.request, decision.facts)),
            Err(others) if others.is_empty() => anyhow::bail!(
                "request {id} was not judged yet, or was never heard of; `patwarden requests list --all` shows those there are"
            ),
            Err(_) => anyhow::bail!("several organizations have a request {id}"),
        }
    }
}
