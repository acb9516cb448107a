//! The demonstration's script: who asks for what, what goes wrong, what must have come of it.

use std::collections::BTreeMap;

use serde::Deserialize;

const SCRIPT: &str = include_str!("script.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    step: Vec<Step>,
}

/// One request and its story.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) who: String,
    pub(super) token: String,
    pub(super) asks: Asks,
    pub(super) says: String,
    /// What is remarkable about it.
    pub(super) story: Option<String>,
    /// What becomes of its webhook.
    #[serde(default)]
    pub(super) webhook: Webhook,
    /// What GitHub does meanwhile.
    #[serde(default)]
    pub(super) github: GitHub,
    /// What must be GitHub's state once patwarden is done with it.
    pub(super) expect: String,
    /// The rule that must have decided it.
    pub(super) rule: Option<String>,
    /// What people do afterwards.
    pub(super) then: Option<Then>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asks {
    /// None: it never expires.
    pub(super) days: Option<u64>,
    pub(super) repositories: Repositories,
    #[serde(default)]
    pub(super) repository: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) organization: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Repositories {
    /// `all` or `none`.
    Word(String),
    Named(Vec<String>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Webhook {
    #[default]
    Sent,
    Lost,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum GitHub {
    #[default]
    Well,
    AnswerLost,
    MembersDown,
    EditedInBetween,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Then {
    /// Who reviews it by hand.
    pub(super) owner: Option<String>,
    pub(super) review: Option<String>,
    /// What that owner answers on the issue instead.
    pub(super) comment: Option<String>,
    /// The requester takes it back.
    #[serde(default)]
    pub(super) cancel: bool,
    /// What must be GitHub's state, and ours, then.
    pub(super) expect: String,
}

/// The script.
pub(super) fn steps() -> anyhow::Result<Vec<Step>> {
    Ok(toml::from_str::<Script>(SCRIPT)?.step)
}
