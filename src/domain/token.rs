//! A token with access to an organization, and what is known of it beyond GitHub's list.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Grant, Login, Repository, RequestId, Role};

/// A token that has access to an organization, or had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownToken {
    /// As GitHub listed it last.
    pub grant: Grant,
    /// When a list showed it to us for the first time.
    pub first_seen_at: Timestamp,
    /// When it was found to have no access any more.
    pub gone_at: Option<Timestamp>,
    /// Who gave it the access that it has.
    pub approval: Approval,
    /// Whether its owner is a member of the organization.
    pub membership: Membership,
    /// What today's approve rules say of it; `None`: not yet judged.
    pub coverage: Option<Coverage>,
    /// The repositories of a `subset`, where they were read for the access that it has.
    pub repositories: Option<Vec<Repository>>,
}

/// Who gave a token the access that it has, as far as our record tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Approval {
    /// Rules of ours.
    Rule {
        /// Which.
        rules: Vec<String>,
        /// The decision's number in the record.
        decision: i64,
        /// The request that was approved.
        request: RequestId,
        /// Where the rules came from: a path, or a repository and its commit.
        source: String,
        /// When.
        at: Timestamp,
    },
    /// A person, in GitHub's settings or through us; or several, on an issue.
    Person {
        /// The login, as GitHub or the command line gave it; of reviewers also where they said it.
        login: String,
        /// The request that was approved.
        request: RequestId,
        /// When we heard of it.
        at: Timestamp,
    },
    /// Another App.
    App {
        /// Its bot's login.
        login: String,
        /// The request that was approved.
        request: RequestId,
        /// When we heard of it.
        at: Timestamp,
    },
    /// GitHub by itself: it is an owner's own token, which asks nobody.
    Itself,
    /// Nobody that we heard of: it was approved before we came, or while we were away.
    Unknown,
}

/// Whether the owner of a token is a member of the organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// Yes, with this role.
    Member(Role),
    /// Not any more.
    Left {
        /// Since when, where a list showed them before.
        since: Option<Timestamp>,
    },
    /// No list of members that is young enough was read.
    Unknown,
}

/// What today's approve rules say of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Whether one of them would approve it.
    pub covered: Covered,
    /// Which rule, or what is in the way: a sentence for people.
    pub why: String,
    /// When it was judged.
    pub judged_at: Timestamp,
}

/// Whether an approve rule would let a token through today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covered {
    /// One would.
    Yes,
    /// None would, and nothing that was not read could change that.
    No,
    /// It hangs on something that could not be read.
    Unknown,
}

impl Covered {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

impl Membership {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member(role) => role.as_str(),
            Self::Left { .. } => "left",
            Self::Unknown => "unknown",
        }
    }
}

impl Approval {
    /// The request that was approved, where one is on record.
    #[must_use]
    pub fn request(&self) -> Option<RequestId> {
        match self {
            Self::Rule { request, .. }
            | Self::Person { request, .. }
            | Self::App { request, .. } => Some(*request),
            Self::Itself | Self::Unknown => None,
        }
    }

    /// The login of the person or App, where one is named.
    #[must_use]
    pub fn login(&self) -> Option<Login> {
        match self {
            Self::Person { login, .. } | Self::App { login, .. } => Some(Login::new(login.clone())),
            Self::Rule { .. } | Self::Itself | Self::Unknown => None,
        }
    }
}
