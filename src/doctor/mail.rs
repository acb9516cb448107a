//! What would be sent by mail, where no mail is set up.

use super::{Finding, Level, found};
use crate::{
    domain::Login,
    rules::{Policy, policy::Notify},
};

/// Something that is to be sent by mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// Who says so: `the rules of acme`.
    by: String,
    /// What, in the words of rule files.
    what: Vec<String>,
    /// Standing policies that take no token back before its owner was told.
    held_back: usize,
}

impl Unsent {
    /// The digest of whoever has no rules in force, which the settings name.
    #[must_use]
    pub fn by_settings() -> Self {
        Self { by: "the settings".to_owned(), what: vec!["a digest".to_owned()], held_back: 0 }
    }

    /// What the rules of an organization have sent; `None`: nothing.
    #[must_use]
    pub fn by_rules(organization: &Login, policy: &Policy) -> Option<Self> {
        let mut what = Vec::new();
        if policy.digest().is_some() {
            what.push("the [digest]".to_owned());
        }
        let by_mail = |notify: &[Notify]| notify.iter().any(|one| matches!(one, Notify::Email(_)));
        let groups = policy.reviewers().iter().filter(|(_, group)| by_mail(&group.notify));
        what.extend(groups.map(|(id, _)| format!("what [reviewers.{id}] are asked")));
        let told = policy.revocations().iter().filter(|(_, one)| one.grace.seconds() > 0);
        let told: Vec<_> = told.map(|(id, _)| format!("the notices of [revoke.{id}]")).collect();
        let held_back = told.len();
        what.extend(told);
        let by = format!("the rules of {organization}");
        if what.is_empty() { None } else { Some(Self { by, what, held_back }) }
    }
}

/// That no mail is set up, and what is never sent for it.
#[must_use]
pub fn about_no_mail(unsent: &[Unsent]) -> Finding {
    const ABOUT: &str = "mail";
    let Some((first, others)) = unsent.split_first() else {
        return found(
            Level::Note,
            ABOUT,
            "it is not set up",
            "No digest, no notice and no question is sent by mail; no rules that were seen here ask for any.",
            "Set PATWARDEN_MAIL and PATWARDEN_MAIL_FROM where rules are to.",
        );
    };
    let others = match others.len() {
        0 => String::new(),
        1 => ", and one more place does so".to_owned(),
        many => format!(", and {many} more places do so"),
    };
    found(
        Level::Warning,
        ABOUT,
        format!(
            "it is not set up, and {} have something sent by mail: {}{others}",
            first.by,
            first.what.join(", ")
        ),
        if unsent.iter().any(|one| one.held_back > 0) {
            "None of that is ever sent. A standing policy with `grace` takes no token back, since nobody is told before."
        } else {
            "None of that is ever sent."
        },
        "Set PATWARDEN_MAIL (smtp://USER@HOST, or folder:PATH for files in place of mail), PATWARDEN_MAIL_FROM and people's \
         [addresses]; or take it out of the rules.",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::*;
    use crate::rules::{SourceFile, Sources, load::load_layers};

    fn unsent(more: &str) -> Option<Unsent> {
        let text = format!(
            "schema = 1\nmode = \"shadow\"\n[default]\ndecision = \"escalate\"\nto = \"desk\"\n\
             [reviewers.desk]\nmay_decide.roles = [\"owner\"]\n{more}"
        );
        let sources = Sources::of_organization(vec![SourceFile::new("rules.toml", text)]);
        Unsent::by_rules(&Login::new("acme"), &load_layers(&sources).policy.unwrap())
    }

    #[test]
    fn what_rules_have_sent_by_mail_is_named_and_nothing_else() {
        assert_eq!(about_no_mail(&[]).level, Level::Note);
        assert_eq!(unsent("notify = [\"issue:acme/questions\"]\n"), None);
        let at_once = "notify = [\"issue:acme/questions\"]\n[revoke.old]\nwhen.granted_for = \"90d\"\nmax_per_run = 5\n";
        assert_eq!(unsent(&format!("{at_once}grace = \"0d\"\n")), None);
        let all = "notify = [\"issue:acme/questions\", \"email:owners\"]\n[revoke.old]\nwhen.granted_for = \"90d\"\nmax_per_run = 5\n\
                   grace = \"14d\"\n[digest]\nto = [\"owners\"]\nat = \"08:00 UTC\"\n";
        let found = about_no_mail(&[unsent(all).unwrap(), Unsent::by_settings()]);
        assert_eq!(found.level, Level::Warning);
        assert!(found.why.contains("takes no token back"), "{}", found.why);
        assert_eq!(about_no_mail(&[Unsent::by_settings()]).why, "None of that is ever sent.");
        for part in ["rules of acme", "[digest]", "[reviewers.desk]", "[revoke.old]", "one more"] {
            assert!(found.what.contains(part), "{part} in {}", found.what);
        }
    }
}
