//! What rule files name that only GitHub can tell is there: teams, repositories, custom properties, logins. Pure: who asks
//! GitHub, and how, is not known here.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
};

use crate::domain::{Login, TeamId, TeamRef};

use super::{
    diagnostic::{Code, Diagnostic, Lines, Place},
    load::{
        Loaded,
        nearest::nearest,
        reader::{shown, suggestion},
    },
};

/// The most names of one policy that are kept to be asked about.
pub const MOST_NAMES: usize = 10_000;

/// Once so many are unknown, no nearest words are looked for any more: each is a walk through all names.
const HELPED: usize = 100;

/// Something that a rule file names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A team.
    Team(TeamRef),
    /// A repository; without an organization it is one of the request's.
    Repository {
        /// Whose.
        organization: Option<Login>,
        /// Its name.
        name: String,
    },
    /// A custom property of repositories.
    Property(String),
    /// Somebody.
    Login(Login),
}

impl Name {
    pub(crate) fn repository(name: &str) -> Self {
        Self::Repository { organization: None, name: name.to_owned() }
    }

    pub(crate) fn login(login: &str) -> Self {
        Self::Login(Login::new(login))
    }
}

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What is named.
    pub name: Name,
    /// The file, by its place among the files that were loaded.
    pub(crate) file: usize,
    /// The span in its text, in bytes.
    pub(crate) span: Range<usize>,
}

/// What GitHub has, in lower case where names ignore case. What could not be read is not in it, and nothing is said of it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// By organization, in lower case: its teams by slug.
    pub teams: BTreeMap<String, BTreeMap<String, TeamId>>,
    /// Which team a slug named when a rule first asked for it: `slug`, or `organization/slug` for another organization's.
    pub pinned: HashMap<String, TeamId>,
    /// By organization, in lower case: the names of its repositories.
    pub repositories: BTreeMap<String, BTreeSet<String>>,
    /// The names of its custom properties.
    pub properties: Option<BTreeSet<String>>,
    /// Those who are in it.
    pub logins: Option<BTreeSet<Login>>,
}

/// A warning for each name of the files that GitHub does not have, for requests to `own`.
#[must_use]
pub fn unknown(loaded: &Loaded, own: &Login, known: &Known) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut lines: HashMap<usize, Lines> = HashMap::new();
    for named in &loaded.named {
        let Some(file) = loaded.files.get(named.file) else { continue };
        let Some(problem) = problem(&named.name, own, known, found.len() < HELPED) else {
            continue;
        };
        let lines = lines.entry(named.file).or_insert_with(|| Lines::of(&file.text));
        let place = Place::find(&file.name, &file.text, lines, named.span.clone());
        let mut warning = Diagnostic::new(problem.code, place, problem.message);
        warning.help = problem.help;
        found.push(warning);
    }
    found
}

struct Problem {
    code: Code,
    message: String,
    help: Option<String>,
}

fn problem(name: &Name, own: &Login, known: &Known, helped: bool) -> Option<Problem> {
    match name {
        Name::Team(team) => of_team(team, own, known, helped),
        Name::Repository { organization, name } => {
            let organization = organization.as_ref().unwrap_or(own);
            let there = known.repositories.get(&organization.as_str().to_ascii_lowercase())?;
            if there.contains(&name.to_ascii_lowercase()) {
                return None;
            }
            let message =
                format!("{organization} has no repository `{}` that the App can see", shown(name));
            let help = near(name, there.iter().map(String::as_str), helped);
            Some(Problem { code: Code::UnknownRepository, message, help })
        }
        Name::Property(name) => {
            let there = known.properties.as_ref()?;
            if there.contains(&name.to_ascii_lowercase()) {
                return None;
            }
            let message = format!(
                "{own} defines no custom property `{}`: what a repository has for it is unknown",
                shown(name)
            );
            let words: Vec<&str> = there.iter().map(String::as_str).collect();
            let help = helped.then(|| suggestion(name, &words)).flatten();
            Some(Problem { code: Code::UnknownProperty, message, help })
        }
        Name::Login(login) => {
            let there = known.logins.as_ref()?;
            if there.contains(login) {
                return None;
            }
            let message = format!("nobody in {own} has the login `{}`", shown(login.as_str()));
            let help = near(login.as_str(), there.iter().map(Login::as_str), helped);
            Some(Problem { code: Code::UnknownLogin, message, help })
        }
    }
}

fn of_team(team: &TeamRef, own: &Login, known: &Known, helped: bool) -> Option<Problem> {
    let organization = team.organization_or(own);
    let there = known.teams.get(&organization.to_ascii_lowercase())?;
    let Some(id) = there.get(team.slug()) else {
        let message = format!(
            "{organization} has no team `{}` that the App can see: who is in it is unknown",
            shown(team.slug())
        );
        let words: Vec<&str> = there.keys().map(String::as_str).collect();
        let help = helped.then(|| suggestion(team.slug(), &words)).flatten();
        return Some(Problem { code: Code::UnknownTeam, message, help });
    };
    let kept_as = team.kept_as(own);
    let before = known.pinned.get(&kept_as).filter(|before| *before != id)?;
    let message = format!(
        "`{kept_as}` is another team (number {id}) than the one that the rules meant so far (number {before}): who is in it \
         is unknown"
    );
    let help = format!("`patwarden policy trust {own} --teams` says that this one is meant");
    Some(Problem { code: Code::AnotherTeam, message, help: Some(help) })
}

fn near<'a>(name: &str, there: impl Iterator<Item = &'a str>, helped: bool) -> Option<String> {
    let near = helped.then(|| nearest(name, there)).flatten()?;
    Some(format!("did you mean `{near}`?"))
}
