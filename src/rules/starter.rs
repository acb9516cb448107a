//! A policy to begin with, from five answers: rules and the tests that show what they say.

use std::fmt::Write as _;

use super::quantity;
use crate::domain::many;

/// What somebody answered, fit to be written into a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    organization: String,
    readers: Who,
    writers: Who,
    days: i64,
    reviewers: Who,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    All,
    Owners,
    Nobody,
    Team(String),
}

impl Who {
    fn parse(text: &str, question: &str, words: &[(&str, Self)]) -> Result<Self, String> {
        if let Some((_, who)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
            return Ok(who.clone());
        }
        if is_name(text) {
            return Ok(Self::Team(text.to_ascii_lowercase()));
        }
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        Err(format!(
            "{question}: `{text}` is not a team's slug; write one, or {}",
            words.join(" or ")
        ))
    }
}

/// Whether it can be a login or a slug: nothing in it can end a string or begin another line.
fn is_name(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !text.is_empty() && text.len() <= 100 && text.chars().all(fine)
}

impl Answers {
    /// Checks five answers: the organization; who may read, who may write (`all`, `nobody` or a team's slug); for how
    /// many days; and who decides on the rest (`owners` or a team's slug).
    ///
    /// # Errors
    /// A sentence that says which answer cannot be used and what would do.
    pub fn new(
        organization: &str,
        readers: &str,
        writers: &str,
        lifetime: &str,
        reviewers: &str,
    ) -> Result<Self, String> {
        if !is_name(organization) {
            return Err(format!("`{organization}` is not an organization's login"));
        }
        let digits = lifetime.trim_end_matches([' ', 'd', 'D']);
        let days = quantity::days(&format!("{digits}d"))
            .map_err(|why| format!("a lifetime of `{lifetime}`: {why}"))?;
        if !(1..=366).contains(&days) {
            return Err(format!(
                "a lifetime of {}: write 1 to 366, which is GitHub's own limit",
                many(days, "day")
            ));
        }
        let nobody = ("nobody", Who::Nobody);
        let answers = Self {
            organization: organization.to_owned(),
            readers: Who::parse(readers, "who may read", &[("all", Who::All), nobody.clone()])?,
            writers: Who::parse(writers, "who may write", &[nobody])?,
            days,
            reviewers: Who::parse(reviewers, "who decides", &[("owners", Who::Owners)])?,
        };
        if answers.readers == Who::Nobody && answers.writers == Who::Nobody {
            return Err("if nobody may read or write at once, people decide on everything: GitHub does that without rules".to_owned());
        }
        Ok(answers)
    }

    /// The file.
    #[must_use]
    pub fn policy(&self) -> String {
        let mut text = String::new();
        self.rules(&mut text);
        self.tests(&mut text);
        text
    }

    fn group(&self) -> &str {
        match &self.reviewers {
            Who::Team(team) => team,
            _ => "owners",
        }
    }

    fn rules(&self, text: &mut String) {
        let (group, organization) = (self.group(), &self.organization);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "# What is decided without people, and what is not. docs/rules.md explains every key.\n\
             schema = 1\n\
             mode = \"shadow\"   # decides and sends nothing; then \"approve-only\", then \"enforce\"\n\n\
             # What no rule speaks of goes to people.\n\
             [default]\ndecision = \"escalate\"\nto = \"{group}\"\n\n"
        );
        if let Some(when) = condition(&self.readers) {
            let _ = write!(
                text,
                "# Reading a few repositories that are picked by name.\n[approve.readers]\n{when}\
                 allow.lifetime = \"{}d\"\nallow.repositories = [\"*\"]\nallow.max_repositories = 10\n\
                 allow.permissions.repository = {{ contents = \"read\", issues = \"read\", pull_requests = \"read\", actions = \"read\" }}\n\n",
                self.days
            );
        }
        if let Some(when) = condition(&self.writers) {
            let _ = write!(
                text,
                "# Writing to fewer, for a third of the time, with a reason.\n[approve.writers]\n{when}\
                 allow.lifetime = \"{}d\"\nallow.repositories = [\"*\"]\nallow.max_repositories = 5\n\
                 allow.permissions.repository = {{ contents = \"write\", issues = \"write\", pull_requests = \"write\", actions = \"read\" }}\n\
                 require.reason_min_length = 15\n\n",
                self.short()
            );
        }
        let _ = write!(
            text,
            "# Nobody's token administers repositories, or changes the organization.\n\
             [deny.administration]\nwhen.permissions.any_at_least.repository = {{ administration = \"write\" }}\n\
             reason = \"Tokens may not administer repositories of {{organization}}. Use a GitHub App, or ask an owner. (rule {{rule}})\"\n\
             [deny.organization-write]\nwhen.permissions.any_at_least.organization = {{ \"*\" = \"write\" }}\n\
             reason = \"Tokens may not change {{organization}} itself. Use a GitHub App, or ask an owner. (rule {{rule}})\"\n\n"
        );
        let may_decide = match &self.reviewers {
            Who::Team(team) => format!("teams = [\"{team}\"]"),
            _ => "roles = [\"owner\"]".to_owned(),
        };
        let _ = write!(
            text,
            "# Who is asked, and where: an issue in a private repository, and mail to the owners.\n\
             [reviewers.{group}]\nnotify = [\"issue:{organization}/token-reviews\", \"email:owners\"]\n\
             may_decide.{may_decide}\nremind_every = \"1d\"\n\
             finally = {{ after = \"14d\", decision = \"leave_pending\" }}\n\n\
             [digest]\nto = [\"owners\"]\nat = \"08:00 UTC\"\n"
        );
    }

    /// The lifetime of a token that writes.
    fn short(&self) -> i64 {
        (self.days / 3).max(1)
    }

    fn tests(&self, text: &mut String) {
        let group = self.group();
        let _ = write!(
            text,
            "\n# What the rules are meant to say; `patwarden rules test` runs this.\n"
        );
        let mut case = |name: &str, lines: &[String]| {
            let _ = write!(text, "\n[tests.\"{name}\"]\n{}\n", lines.join("\n"));
        };
        let wants = |days: i64, level: &str, reason: &str| {
            format!(
                "wants = {{ lifetime = \"{days}d\", repositories = [\"web\"], permissions.repository = {{ contents = \"{level}\", issues = \"{level}\" }}, reason = \"{reason}\" }}"
            )
        };
        let owner = |who: &Who| match who {
            Who::Team(team) => format!("world.owner = {{ login = \"kim\", teams = [\"{team}\"] }}"),
            _ => "world.owner = { login = \"kim\", role = \"member\" }".to_owned(),
        };
        let rule = |id: &str| format!("by = [\"approve.{id}\"]");
        let near = |line: &str| format!("near_miss = [\"{line}\"]");
        let escalate = || format!("expect = \"escalate\"\nto = [\"{group}\"]");
        if self.readers != Who::Nobody {
            case(
                "who may read gets a token at once",
                &[
                    wants(self.days, "read", ""),
                    owner(&self.readers),
                    "expect = \"approve\"".to_owned(),
                    rule("readers"),
                ],
            );
            case(
                "a day more than the lifetime goes to people",
                &[
                    wants(self.days + 1, "read", ""),
                    owner(&self.readers),
                    escalate(),
                    near("approve.readers: allow.lifetime"),
                ],
            );
        }
        if self.writers != Who::Nobody {
            case(
                "who may write and says why gets a token at once",
                &[
                    wants(self.short(), "write", "Nightly update of vendored data"),
                    owner(&self.writers),
                    "expect = \"approve\"".to_owned(),
                    rule("writers"),
                ],
            );
            case(
                "without a reason it goes to people",
                &[
                    wants(self.short(), "write", "because"),
                    owner(&self.writers),
                    escalate(),
                    near("approve.writers: require.reason_min_length"),
                ],
            );
        }
        case(
            "who is in no team does not write without people",
            &[
                wants(1, "write", "Nightly update of vendored data"),
                "world.owner = { login = \"sam\", teams = [] }".to_owned(),
                escalate(),
            ],
        );
        case("administration is refused", &[
            "wants = { repositories = [\"web\"], permissions.repository = { administration = \"write\" } }".to_owned(),
            "expect = \"deny\"".to_owned(), "by = [\"deny.administration\"]".to_owned(),
        ]);
        case(
            "changing the organization is refused",
            &[
                "wants = { permissions.organization = { members = \"write\" } }".to_owned(),
                "expect = \"deny\"".to_owned(),
                "by = [\"deny.organization-write\"]".to_owned(),
            ],
        );
        case("a token that never expires goes to people", &[
            "wants = { lifetime = \"never\", repositories = [\"web\"], permissions.repository = { contents = \"read\" } }".to_owned(),
            escalate(),
        ]);
    }
}

fn condition(who: &Who) -> Option<String> {
    match who {
        Who::All | Who::Owners => Some("when.owner.role = [\"member\"]\n".to_owned()),
        Who::Team(team) => Some(format!("when.owner.teams = [\"{team}\"]\n")),
        Who::Nobody => None,
    }
}
