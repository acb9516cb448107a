//! What GitHub can tell about the people and repositories behind a request.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{Login, RepositoryId};

/// A member's role in an organization.
///
/// GitHub's API calls owners `admin`; its pages, its documentation and rule files say `owner`.
/// Source: <https://docs.github.com/rest/orgs/members#get-organization-membership-for-a-user>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An owner of the organization (`admin` on the wire).
    Owner,
    /// An ordinary member.
    Member,
    /// Someone who sees the bills and nothing else.
    BillingManager,
    /// Known not to be a member of the organization at all.
    Stranger,
}

impl Role {
    /// The role's name in rule files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
            Self::BillingManager => "billing_manager",
            Self::Stranger => "stranger",
        }
    }
}

/// A team as a rule names it. Slugs ignore case, so both parts are kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TeamRef {
    organization: Option<String>,
    slug: String,
}

impl TeamRef {
    /// Reads `slug` (a team of the request's organization) or `organization/slug`.
    ///
    /// # Errors
    /// Says what is wrong when a part is empty or there is more than one slash.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let mut parts = lower.split('/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(slug), None, None) if !slug.is_empty() => {
                Ok(Self { organization: None, slug: slug.to_owned() })
            }
            (Some(organization), Some(slug), None)
                if !organization.is_empty() && !slug.is_empty() =>
            {
                Ok(Self { organization: Some(organization.to_owned()), slug: slug.to_owned() })
            }
            _ => Err(format!("`{text}` is not a team: write `slug` or `organization/slug`")),
        }
    }

    /// The team of this slug in an organization.
    #[must_use]
    pub fn of(organization: &str, slug: &str) -> Self {
        Self {
            organization: Some(organization.to_ascii_lowercase()),
            slug: slug.to_ascii_lowercase(),
        }
    }

    /// The organization, where the rule names one.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// The team's slug, in lower case.
    #[must_use]
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// The login of the organization whose team this is.
    #[must_use]
    pub fn organization_or<'a>(&'a self, of_the_request: &'a Login) -> &'a str {
        self.organization().unwrap_or(of_the_request.as_str())
    }

    /// How it is kept for requests to `own`: without the organization where it is that one, whose login may change.
    #[must_use]
    pub fn kept_as(&self, own: &Login) -> String {
        let organization = self.organization_or(own);
        if own.as_str().eq_ignore_ascii_case(organization) {
            self.slug.clone()
        } else {
            format!("{organization}/{}", self.slug)
        }
    }
}

impl fmt::Display for TeamRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.organization {
            Some(organization) => write!(f, "{organization}/{}", self.slug),
            None => self.slug.fmt(f),
        }
    }
}

impl TryFrom<String> for TeamRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<TeamRef> for String {
    fn from(team: TeamRef) -> Self {
        team.to_string()
    }
}

/// Who may see a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Those who were given access.
    Private,
    /// Every member of the enterprise.
    Internal,
}

impl Visibility {
    /// The word that GitHub and rule files use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Internal => "internal",
        }
    }
}

/// One repository that a token asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// The id, which outlives renames.
    pub id: RepositoryId,
    /// The name without the organization.
    pub name: String,
    /// Who may see it; `None` when the answer did not say (a word we do not know counts as that).
    pub visibility: Option<Visibility>,
    /// Whether it is archived; `None` when the answer did not say.
    pub archived: Option<bool>,
    /// Its topics; `None` when the answer did not say.
    pub topics: Option<Vec<String>>,
    /// The values of its custom properties by lower-case name; an empty list where one has no value, no entry
    /// where the organization has no such property. `None` when they were not read.
    ///
    /// Source: <https://docs.github.com/rest/orgs/custom-properties#list-custom-property-values-for-organization-repositories>.
    #[serde(default)]
    pub custom_properties: Option<BTreeMap<String, Vec<String>>>,
    /// Other names under which we saw this repository before.
    #[serde(default)]
    pub former_names: Vec<String>,
}

impl Repository {
    /// A repository of which nothing but its name is known.
    #[must_use]
    pub fn new(id: RepositoryId, name: impl Into<String>) -> Self {
        Self {
            id,
            name: name.into(),
            visibility: None,
            archived: None,
            topics: None,
            custom_properties: None,
            former_names: Vec::new(),
        }
    }
}
