//! Where the rules of whom are, and how much they may do: what settings say, checked. Reads no rule.

use std::{fmt, path::PathBuf};

use super::{Sources, highest_mode};
use crate::{
    domain::{Login, RepositoryId},
    rules::Mode,
};

/// What a place in a repository begins with.
const GITHUB: &str = "github:";

/// The longest path in a repository.
const LONGEST_PATH: usize = 500;

/// A place where rule files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file or a directory on this machine.
    Disk(PathBuf),
    /// A file or a directory of a repository on GitHub, on its default branch.
    Repository(RepositoryPlace),
}

/// A file or a directory of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPlace {
    /// The organization that has it, as it was called when the setting was written.
    pub owner: Login,
    /// The repository, as it was called then.
    pub name: String,
    /// What ends in `.toml` is one file; anything else is a directory.
    pub path: String,
    /// Its number, where the settings name it: then no other is ever taken for it.
    pub id: Option<RepositoryId>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(path) => path.display().fmt(f),
            Self::Repository(RepositoryPlace { owner, name, path, .. }) => {
                write!(f, "{GITHUB}{owner}/{name}/{path}")
            }
        }
    }
}

impl Place {
    /// Reads a setting.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix(GITHUB) else { return Ok(Self::Disk(text.into())) };
        let wrong = || {
            format!(
                "`{text}` is no place in a repository; write {GITHUB}OWNER/REPOSITORY/PATH, where PATH is a `.toml` file or a directory"
            )
        };
        let mut parts = rest.splitn(3, '/');
        let (Some(owner), Some(name), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let path = path.trim_end_matches('/');
        let is_name = |text: &str| {
            !text.trim_matches('.').is_empty()
                && text.len() <= 100
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        let is_segment = |text: &str| {
            !text.trim_matches('.').is_empty() && !text.chars().any(|c| c.is_control() || c == '\\')
        };
        if !is_name(owner)
            || !is_name(name)
            || path.len() > LONGEST_PATH
            || !path.split('/').all(is_segment)
        {
            return Err(wrong());
        }
        Ok(Self::Repository(RepositoryPlace {
            owner: Login::new(owner),
            name: name.to_owned(),
            path: path.to_owned(),
            id: None,
        }))
    }
}

/// What the settings say of one organization.
#[derive(Clone, Debug)]
pub struct OrganizationRules {
    /// Its login.
    pub login: Login,
    /// Where its rules are, unless they are everybody's.
    pub place: Option<Place>,
    /// The most that its policy may do, unless that is everybody's.
    pub highest_mode: Option<Mode>,
}

/// Whose rules are where.
#[derive(Clone, Debug)]
pub struct RulesSettings {
    /// The enterprise's, above all organizations'.
    pub enterprise: Option<Place>,
    /// Those of every organization that is not named with a place of its own.
    pub everybody: Option<Place>,
    /// The organizations that are named.
    pub organizations: Vec<OrganizationRules>,
    /// The most that any policy may do.
    pub highest_mode: Mode,
}

/// Reads what settings say of rules; every problem is noted in `s`.
pub(super) fn check(s: &mut Sources) -> Option<RulesSettings> {
    let everybody = s.parsed("rules", Place::parse);
    let enterprise = s.parsed("enterprise-rules", Place::parse);
    let highest_mode = s.parsed("highest-mode", highest_mode);
    let organizations = organizations(s);
    if !names_a_place(s) {
        s.needed("rules", everybody.as_ref());
    }
    Some(RulesSettings { enterprise, everybody, organizations, highest_mode: highest_mode? })
}

/// Whether some organization is given rules of its own, be they well written or not.
fn names_a_place(s: &Sources) -> bool {
    let organizations = s.file.as_ref().and_then(|(_, table)| table.get("organizations"));
    organizations.is_some_and(|organizations| match organizations.as_table() {
        Some(tables) => tables.values().any(|one| one.get("rules").is_some()),
        // That they are no tables is told, and what they were meant to say is not known.
        None => true,
    })
}

fn organizations(s: &mut Sources) -> Vec<OrganizationRules> {
    let Some((file, table)) = &s.file else { return Vec::new() };
    let Some(value) = table.get("organizations") else { return Vec::new() };
    let (mut found, mut problems) = (Vec::<OrganizationRules>::new(), Vec::new());
    let shown = file.display();
    let Some(tables) = value.as_table() else {
        s.problems
            .push(format!("{shown}: write a table for each organization, [organizations.LOGIN], or a list of those that count"));
        return found;
    };
    for (login, value) in tables {
        let place = format!("[organizations.{login}] in {shown}");
        let Some(table) = value.as_table() else {
            problems.push(format!("{place} is no table"));
            continue;
        };
        let login = Login::new(login.clone());
        if found.iter().any(|other| other.login == login) {
            problems.push(format!(
                "{place} names an organization that another table names: GitHub ignores case"
            ));
        }
        match organization(login, table, &place) {
            Ok(one) => found.push(one),
            Err(wrong) => problems.extend(wrong),
        }
    }
    s.problems.extend(problems);
    found
}

fn organization(
    login: Login,
    table: &toml::Table,
    place: &str,
) -> Result<OrganizationRules, Vec<String>> {
    let mut problems = Vec::new();
    let mut one = OrganizationRules { login, place: None, highest_mode: None };
    let mut id = None;
    for (key, value) in table {
        let read = match (key.as_str(), value) {
            ("rules", toml::Value::String(text)) if !text.trim().is_empty() => {
                Place::parse(text.trim()).map(|place| one.place = Some(place))
            }
            ("mode", toml::Value::String(text)) => {
                highest_mode(text).map(|mode| one.highest_mode = Some(mode))
            }
            ("repository_id", toml::Value::Integer(number)) if *number > 0 => {
                id = Some(RepositoryId(*number));
                Ok(())
            }
            ("rules" | "mode", _) => Err("must be a text, and not empty".to_owned()),
            ("repository_id", _) => Err("must be the repository's number".to_owned()),
            _ => Err("is no setting of an organization; there are rules, mode and repository_id"
                .to_owned()),
        };
        problems.extend(read.err().map(|why| format!("`{key}` of {place}: {why}")));
    }
    match (&mut one.place, id) {
        (Some(Place::Repository(repository)), id) => repository.id = id,
        (_, Some(_)) => problems.push(format!(
            "`repository_id` of {place} pins a repository, and its `rules` name none: {GITHUB}OWNER/REPOSITORY/PATH"
        )),
        (_, None) => {}
    }
    if problems.is_empty() && one.place.is_none() && one.highest_mode.is_none() {
        problems.push(format!("{place} says nothing: rules, mode, or both"));
    }
    if problems.is_empty() { Ok(one) } else { Err(problems) }
}

impl Sources {
    /// Whether a name stands for a table of the settings file, and not for a setting.
    pub(super) fn is_table(name: &str) -> bool {
        matches!(name, "organizations" | "addresses")
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, RepositoryPlace};
    use crate::{
        domain::{Login, RepositoryId},
        rules::Mode,
        settings::{Settings, Sources},
    };

    fn with_file(text: &str) -> Result<Settings, Vec<String>> {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("patwarden.toml");
        std::fs::write(&path, text).expect("written");
        let sources = Sources::default().with_file(&path).with_flags([("app-id", "7".to_owned())]);
        let secrets = [("GITHUB_APP_PRIVATE_KEY", "a key"), ("GITHUB_WEBHOOK_SECRET", "one")];
        let sources = sources.with_environment(|name| {
            secrets.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        Settings::check(sources).map_err(|problems| problems.0)
    }

    #[test]
    fn a_place_is_on_the_disk_or_in_a_repository() {
        assert_eq!(Place::parse("rules/a.toml"), Ok(Place::Disk("rules/a.toml".into())));
        let place = Place::parse("github:acme/.github-private/patwarden/").expect("a place");
        let Place::Repository(repository) = &place else { panic!("{place:?}") };
        assert_eq!(
            *repository,
            RepositoryPlace {
                owner: Login::new("ACME"),
                name: ".github-private".to_owned(),
                path: "patwarden".to_owned(),
                id: None
            }
        );
        assert_eq!(place.to_string(), "github:acme/.github-private/patwarden");
        for wrong in [
            "github:acme",
            "github:acme/rules",
            "github:acme/rules/",
            "github:acme/../x.toml",
            "github:acme/rules/a/../b.toml",
            "github:acme/rules//b.toml",
            "github:a b/rules/b.toml",
            "github:/rules/b.toml",
        ] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn organizations_are_named_in_the_file_and_one_of_them_is_enough() {
        let settings = with_file(
            "enterprise-rules = \"e.toml\"\n[organizations.acme]\nrules = \"github:acme/rules/a.toml\"\n\
             mode = \"approve-only\"\nrepository_id = 12\n",
        );
        let rules = settings.expect("valid").rules;
        assert_eq!(rules.enterprise, Some(Place::Disk("e.toml".into())));
        assert!(rules.everybody.is_none());
        let [acme] = rules.organizations.as_slice() else { panic!("{rules:?}") };
        assert_eq!(acme.highest_mode, Some(Mode::ApproveOnly));
        let Some(Place::Repository(place)) = &acme.place else { panic!("{acme:?}") };
        assert_eq!(place.id, Some(RepositoryId(12)));
    }

    #[test]
    fn without_rules_for_anybody_nothing_starts() {
        let found =
            with_file("[organizations.acme]\nmode = \"shadow\"\n").err().expect("a problem");
        assert!(found.iter().any(|one| one.contains("PATWARDEN_RULES")), "{found:?}");
    }

    #[test]
    fn all_that_is_wrong_with_organizations_is_told_at_once() {
        let found = with_file(
            "[organizations.a]\nrules = \"\"\nrulez = 1\n[organizations.b]\nmode = \"yolo\"\n\
             [organizations.c]\nrules = \"x.toml\"\nrepository_id = 3\n[organizations.d]\n\
             [organizations.e]\nmode = \"shadow\"\n[organizations.E]\nmode = \"shadow\"\n",
        );
        let found = found.err().expect("problems");
        for (place, what) in [
            ("organizations.a", "`rules`"),
            ("organizations.a", "`rulez`"),
            ("organizations.b", "approve-only"),
            ("organizations.c", "`rules` name none"),
            ("organizations.d", "says nothing"),
            ("organizations.", "ignores case"),
        ] {
            assert!(
                found.iter().any(|one| one.contains(place) && one.contains(what)),
                "{place} / {what} in {found:#?}"
            );
        }
        assert_eq!(found.len(), 6, "{found:#?}");
    }
}
