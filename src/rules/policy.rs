//! A loaded policy: compiled rules and the blocks around them. Reading files stands in `load`.

mod blocks;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::{Permissions, RepositoryId};

use super::{
    coverage::Cover,
    decision::RuleId,
    facts::Needs,
    index::Index,
    load::SourceFile,
    reason::Template,
    revocation::{Departure, Revocation},
    rule::{Rule, Verb, share},
};

pub use blocks::{
    Detail, Digest as DigestBlock, Finally, FinallyDecision, MayDecide, Next, Notify, Reviewers,
    Schedule, Waiver,
};

/// What patwarden may do with its decisions; the later one acts more.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Decide and record; send nothing to GitHub, requesters or reviewers.
    #[default]
    Shadow,
    /// Approve and ask people; what would be denied or revoked is shown and left.
    ApproveOnly,
    /// Do all of it.
    Enforce,
}

impl Mode {
    /// All modes, the least acting first.
    pub const ALL: [Self; 3] = [Self::Shadow, Self::ApproveOnly, Self::Enforce];

    /// The word in rule files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::ApproveOnly => "approve-only",
            Self::Enforce => "enforce",
        }
    }
}

/// What happens when no rule applies: never an approval.
#[derive(Clone, Debug)]
pub(crate) struct Default {
    pub(crate) deny: bool,
    pub(crate) reason: Option<Template>,
    pub(crate) to: Vec<String>,
}

/// Upper bounds on approve rules.
#[derive(Clone, Debug, std::default::Default)]
pub(crate) struct Ceiling {
    pub(crate) lifetime: Option<i64>,
    pub(crate) max_repositories: Option<i64>,
    pub(crate) all_repositories: Option<bool>,
    pub(crate) permissions: Option<Permissions>,
}

impl Ceiling {
    /// What is under both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        fn both<T: Clone>(a: &Option<T>, b: &Option<T>, and: impl Fn(&T, &T) -> T) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(and(a, b)),
                (a, b) => a.clone().or_else(|| b.clone()),
            }
        }
        Self {
            lifetime: both(&self.lifetime, &other.lifetime, |a, b| *a.min(b)),
            max_repositories: both(&self.max_repositories, &other.max_repositories, |a, b| {
                *a.min(b)
            }),
            all_repositories: both(&self.all_repositories, &other.all_repositories, |a, b| {
                *a && *b
            }),
            permissions: both(&self.permissions, &other.permissions, Permissions::and),
        }
    }
}

/// The name under which the built-in veto appears in decisions and traces.
pub const PROTECTED_REPOSITORIES: &str = "builtin.protected-repositories";

/// Everything that a valid set of rule files says.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) mode: Mode,
    pub(crate) default: Default,
    pub(crate) ceiling: Ceiling,
    /// By layer and id, so that no order of files or rules can matter.
    pub(crate) rules: Vec<Rule>,
    pub(crate) index: Index,
    /// Its approve rules as they are asked of tokens.
    pub(crate) cover: Cover,
    /// How many answers of conditions are remembered within one decision.
    pub(crate) slots: usize,
    pub(crate) protected: BTreeSet<(String, String)>,
    /// The same by number, which no rename changes.
    pub(crate) protected_ids: BTreeSet<RepositoryId>,
    pub(crate) policy_url: String,
    reviewers: BTreeMap<String, Reviewers>,
    revocations: BTreeMap<String, Revocation>,
    waivers: BTreeMap<String, Waiver>,
    digest: Option<DigestBlock>,
    needs: Needs,
    approvals_disabled: bool,
    hash: String,
    sources: Vec<SourceFile>,
}

/// What the loader hands over.
pub(crate) struct Parts {
    pub(crate) mode: Mode,
    pub(crate) default: Default,
    pub(crate) ceiling: Ceiling,
    pub(crate) rules: Vec<Rule>,
    pub(crate) reviewers: BTreeMap<String, Reviewers>,
    pub(crate) revocations: BTreeMap<String, Revocation>,
    pub(crate) waivers: BTreeMap<String, Waiver>,
    pub(crate) digest: Option<DigestBlock>,
    /// An upper layer made approve rules of a lower one impossible, which were left out.
    pub(crate) approvals_disabled: bool,
    pub(crate) sources: Vec<SourceFile>,
}

impl Policy {
    pub(crate) fn new(mut parts: Parts) -> Self {
        parts.rules.sort_by(|a, b| (a.layer, &a.id).cmp(&(b.layer, &b.id)));
        parts.sources.sort_by(|a, b| a.name.cmp(&b.name));
        let protected = parts.reviewers.values().flat_map(|group| &group.notify);
        let protected = protected.filter_map(|notify| match notify {
            Notify::Issue { organization, repository } => {
                Some((organization.to_ascii_lowercase(), repository.to_ascii_lowercase()))
            }
            Notify::Email(_) => None,
        });
        Self {
            mode: parts.mode,
            default: parts.default,
            ceiling: parts.ceiling,
            slots: share(&mut parts.rules),
            index: Index::new(&parts.rules),
            cover: Cover::new(&parts.rules),
            protected: protected.collect(),
            protected_ids: BTreeSet::new(),
            policy_url: String::new(),
            reviewers: parts.reviewers,
            revocations: parts.revocations,
            waivers: parts.waivers,
            digest: parts.digest,
            needs: needs(&parts.rules),
            approvals_disabled: parts.approvals_disabled,
            hash: hash(&parts.sources),
            rules: parts.rules,
            sources: parts.sources,
        }
    }

    /// The facts that its rules ask for.
    #[must_use]
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    /// The facts that its approve rules and its standing policies ask for of a token: with every team that some rule
    /// names, where a standing policy is about leaving one.
    #[must_use]
    pub fn standing_needs(&self) -> Needs {
        let mut needs = self.cover.needs();
        for revocation in self.revocations.values() {
            revocation.ask(&mut needs);
            if revocation.on().contains(&Departure::Team) {
                needs.teams.extend(self.needs.teams.iter().cloned());
            }
        }
        needs
    }

    /// Whether an upper layer made approve rules of a lower one impossible, which were left out: what they covered is
    /// covered by nothing, and nobody who wrote rules meant that.
    #[must_use]
    pub fn approvals_were_disabled(&self) -> bool {
        self.approvals_disabled
    }

    /// What may be done with its decisions.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The same policy, acting no more than `cap` allows.
    #[must_use]
    pub fn with_mode(mut self, cap: Mode) -> Self {
        self.mode = self.mode.min(cap);
        self
    }

    /// The same policy, which never approves write access to `organization/repository` either: for the
    /// repository that holds the policy itself.
    #[must_use]
    pub fn with_protected(mut self, organization: &str, repository: &str) -> Self {
        self.protected.insert((organization.to_ascii_lowercase(), repository.to_ascii_lowercase()));
        self
    }

    /// The same for a repository by its number: whatever it is called at this moment.
    #[must_use]
    pub fn with_protected_id(mut self, repository: RepositoryId) -> Self {
        self.protected_ids.insert(repository);
        self
    }

    /// The same protections as another policy has, too.
    #[must_use]
    pub fn protected_as(mut self, other: &Self) -> Self {
        self.protected.extend(other.protected.iter().cloned());
        self.protected_ids.extend(&other.protected_ids);
        self
    }

    /// SHA-256, in hex, over the repositories that are protected: part of the grounds of a decision, and of no file.
    #[must_use]
    pub fn protection(&self) -> String {
        let mut hasher = Sha256::new();
        for (organization, repository) in &self.protected {
            hasher.update(format!("{organization}/{repository}\n"));
        }
        for id in &self.protected_ids {
            hasher.update(format!("{id}\n"));
        }
        hex::encode(hasher.finalize())
    }

    /// The same policy with the address that `{policy_url}` stands for in denials.
    #[must_use]
    pub fn with_policy_url(mut self, url: impl Into<String>) -> Self {
        self.policy_url = url.into();
        self
    }

    /// SHA-256, in hex, over the names and texts of all its files.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// How many rules it has, without those that are built in.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// The ids of its rules, with their verbs, in order.
    pub fn rule_ids(&self) -> impl Iterator<Item = (&RuleId, Verb)> {
        self.rules.iter().map(|rule| (&rule.id, rule.verb))
    }

    /// Who is asked, by the group's name; `owners` is always there.
    #[must_use]
    pub fn reviewers(&self) -> &BTreeMap<String, Reviewers> {
        &self.reviewers
    }

    /// The standing revocation policies, by id.
    #[must_use]
    pub fn revocations(&self) -> &BTreeMap<String, Revocation> {
        &self.revocations
    }

    /// The waivers.
    #[must_use]
    pub fn waivers(&self) -> &BTreeMap<String, Waiver> {
        &self.waivers
    }

    /// The digest, if there is one.
    #[must_use]
    pub fn digest(&self) -> Option<&DigestBlock> {
        self.digest.as_ref()
    }

    /// The groups that are asked when no rule names reviewers.
    #[must_use]
    pub fn default_to(&self) -> &[String] {
        &self.default.to
    }

    /// Whether a request to which no rule applies is denied; otherwise it is left to people.
    #[must_use]
    pub fn denies_by_default(&self) -> bool {
        self.default.deny
    }

    /// Its files, by name.
    #[must_use]
    pub fn sources(&self) -> &[SourceFile] {
        &self.sources
    }

    /// The repositories to which no rule approves write access, as lower-case organization and name.
    #[must_use]
    pub fn protected_repositories(&self) -> &BTreeSet<(String, String)> {
        &self.protected
    }
}

pub(super) fn needs(rules: &[Rule]) -> Needs {
    let mut needs = Needs::default();
    for check in rules.iter().flat_map(|rule| &rule.checks) {
        needs.ask(&check.condition);
    }
    needs
}

fn hash(sources: &[SourceFile]) -> String {
    let mut hasher = Sha256::new();
    for text in sources.iter().flat_map(|source| [&source.name, &source.text]) {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    hex::encode(hasher.finalize())
}
