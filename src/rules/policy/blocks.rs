//! Reviewers, waivers and the digest as rule files describe them; acting on them is not done here.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Login, Permissions, RepositorySelection, Role, TeamRef},
    rules::quantity::Span,
};

/// A group of people who are asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewers {
    /// Where they are told.
    pub notify: Vec<Notify>,
    /// Whose answer counts.
    pub may_decide: MayDecide,
    /// How many of them must approve.
    pub quorum: u32,
    /// Whether an answer needs a comment.
    pub comment_required: bool,
    /// How often they are reminded.
    pub remind_every: Option<Span>,
    /// Who is asked when they stay silent.
    pub next: Option<Next>,
    /// What happens when all stay silent.
    pub finally: Option<Finally>,
    /// Whether a file defines it; `owners` exists without.
    pub defined: bool,
}

impl Reviewers {
    /// `owners`, where no file says more.
    #[must_use]
    pub fn owners() -> Self {
        Self {
            notify: Vec::new(),
            may_decide: MayDecide { teams: Vec::new(), roles: vec![Role::Owner] },
            quorum: 1,
            comment_required: false,
            remind_every: None,
            next: None,
            finally: None,
            defined: false,
        }
    }
}

/// Where reviewers are told of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notify {
    /// An issue in a repository.
    Issue {
        /// The repository's organization.
        organization: String,
        /// The repository.
        repository: String,
    },
    /// Mail to `owners`, to a team or to an address.
    Email(String),
}

/// Whose answer counts: any one of these makes a reviewer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MayDecide {
    /// Members of these teams.
    pub teams: Vec<TeamRef>,
    /// Members of the organization with one of these roles.
    pub roles: Vec<Role>,
}

/// Who is asked after whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// After how long a silence.
    pub after: Span,
    /// The group.
    pub to: String,
}

/// What happens in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finally {
    /// After how long a silence.
    pub after: Span,
    /// What then.
    pub decision: FinallyDecision,
    /// The text of the denial, with placeholders.
    pub reason: Option<String>,
}

/// Silence never approves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinallyDecision {
    /// Refuse, with the reason.
    Deny,
    /// Stop reminding; the digest keeps listing it.
    LeavePending,
}

/// An exception to one soft rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// The rule that it silences, with its verb.
    pub rule: String,
    /// For whose tokens.
    pub owner: Login,
    /// The first day.
    pub granted: Date,
    /// The last day.
    pub until: Date,
    /// Where it is recorded.
    pub record: String,
    /// The most a token may ask for.
    pub max_permissions: Option<Permissions>,
    /// The longest lifetime in days.
    pub max_lifetime: Option<i64>,
    /// The widest selection.
    pub max_repository_selection: Option<RepositorySelection>,
}

/// The daily mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// `owners`, teams or addresses.
    pub to: Vec<String>,
    /// When.
    pub schedule: Schedule,
    /// The name of the time zone.
    pub timezone: String,
    /// How much it tells.
    pub detail: Detail,
}

/// When the digest goes out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Every day at this minute of the day.
    Daily {
        /// Counted from midnight.
        minute: u16,
    },
    /// By five fields of cron, at most once a day.
    Cron(String),
}

/// How much the digest tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Everything.
    #[default]
    Full,
    /// No names, reasons or repositories.
    Minimal,
}
