//! Settings as people may see them: what each is, where that was said, and nothing of what is secret.

use serde::Serialize;

use super::sources::{KEYS, Sources};

/// What is shown in place of a secret.
const HIDDEN: &str = "(hidden)";

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its name.
    pub name: &'static str,
    /// Its value; nothing, where nobody says anything or it cannot be used.
    pub value: Option<String>,
    /// Where that was said: a flag, a variable, a file, or the default.
    pub from: Option<String>,
    /// What is wrong with how it is said.
    pub problem: Option<String>,
}

impl Sources {
    /// Every setting as it would count, secrets hidden.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown> {
        let shown = KEYS.iter().map(|key| {
            let (said, from) = match self.find(key) {
                Some((said, origin)) => (Some(said), Some(origin.to_string())),
                None => (None, None),
            };
            let (value, problem) = match said {
                None => (None, None),
                Some(Ok(_)) if key.secret => (Some(HIDDEN.to_owned()), None),
                Some(Ok(value)) => (Some(without_password(&value)), None),
                Some(Err(why)) => (None, Some(why)),
            };
            Shown { name: key.name, value, from, problem }
        });
        shown.collect()
    }

    /// The tables of the settings file, which are no settings of one value: their names, and how many entries each has.
    #[must_use]
    pub fn tables(&self) -> Vec<(String, usize)> {
        let table = self.file.iter().flat_map(|(_, table)| table);
        table
            .filter_map(|(name, value)| Some((name.clone(), value.as_table()?.len())))
            .filter(|(name, _)| Self::is_table(name))
            .collect()
    }

    /// What is no problem, and should be known.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// An address without the password in it. There should be none, but here it is shown to people.
pub(super) fn without_password(value: &str) -> String {
    // To the last `@`, whatever stands before it: a password may have signs in it that no address should have.
    let Some((before, host)) = value.rsplit_once('@') else { return value.to_owned() };
    let Some((scheme, user)) = before.split_once(':') else { return value.to_owned() };
    match user.strip_prefix("//").map(|user| user.split_once(':')) {
        Some(Some((user, _))) => format!("{scheme}://{user}:{HIDDEN}@{host}"),
        Some(None) => value.to_owned(),
        // No address as it should be: what is what in it nobody can say.
        None => format!("{scheme}:{HIDDEN}@{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Sources;

    #[test]
    fn each_setting_says_where_it_is_from_and_no_secret_is_shown() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("patwarden.toml");
        let text = "github-timeout = \"7s\"\nreconcile-interval = \"9m\"\n[retention]\ndecisions = \"500d\"\n";
        std::fs::write(&path, text).expect("written");
        let sources = Sources::default()
            .with_file(&path)
            .with_environment(|name| match name {
                "GITHUB_APP_PRIVATE_KEY" => Some("TOPSECRET".to_owned()),
                "PATWARDEN_RECONCILE_INTERVAL" => Some("8m".to_owned()),
                "PATWARDEN_DATABASE_URL" => Some("postgres://me:TOPSECRET@db/x".to_owned()),
                "PATWARDEN_LISTEN" => Some(String::new()),
                _ => None,
            })
            .with_flags([("app-id", "7".to_owned())]);
        let shown = sources.shown();
        let of = |name: &str| {
            let one = shown.iter().find(|one| one.name == name).expect("a setting");
            (one.value.as_deref(), one.from.as_deref().unwrap_or_default())
        };
        assert_eq!(of("app-id"), (Some("7"), "--app-id"));
        assert_eq!(of("reconcile-interval"), (Some("8m"), "PATWARDEN_RECONCILE_INTERVAL"));
        assert_eq!(of("github-timeout").0, Some("7s"));
        assert!(of("github-timeout").1.contains("patwarden.toml"));
        assert_eq!(of("retention-decisions").0, Some("500d"));
        assert_eq!(of("most-at-once"), (Some("25"), "the default"));
        assert_eq!(of("private-key").0, Some("(hidden)"));
        assert_eq!(of("listen"), (None, "PATWARDEN_LISTEN"));
        assert_eq!(of("database-url").0, Some("postgres://me:(hidden)@db/x"));
        assert!(!format!("{shown:?}").contains("TOPSECRET"));
    }

    #[test]
    fn a_password_in_an_address_is_hidden_also_where_the_address_is_none() {
        let hidden = |value: &str| super::without_password(value);
        assert_eq!(hidden("mysql://me:TOP/SECRET@db/x"), "mysql://me:(hidden)@db/x");
        assert_eq!(hidden("smtp://me:TOP@SECRET@mail.example"), "smtp://me:(hidden)@mail.example");
        assert_eq!(hidden("smtp:/me:TOPSECRET@mail.example"), "smtp:(hidden)@mail.example");
        assert_eq!(hidden("me:TOPSECRET@mail.example"), "me:(hidden)@mail.example");
        for whole in
            ["smtp://bot@mail.example", "patwarden <p@example.com>", "https://api.github.com"]
        {
            assert_eq!(hidden(whole), whole);
        }
    }
}
