//! A request and the world around it as a case describes them: `wants`, `world`, `now`, `unknown`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use jiff::{SignedDuration, Timestamp};
use toml::de::DeValue;

use crate::{
    domain::{
        Login, Organization, OrganizationId, Owner, Permissions, Repository, RepositoryId,
        RepositorySelection, RequestId, RequestKind, RequestedToken, Role, TeamRef, TokenId,
        TokenRequest, UserId, Visibility,
    },
    rules::{
        diagnostic::{Code, Diagnostic, Place},
        facts::{Fact, Facts, Needs},
        layer::Layer,
        load::{
            self, SourceFile,
            conditions::{GROUPS, KINDS, ROLES, SELECTIONS, VISIBILITIES},
            nearest::nearest,
            reader::{Reader, Value, shown},
        },
        quantity::Span,
    },
};

/// The moment of a case that does not state one: 2026-06-01T12:00:00Z.
const NOW: i64 = 1_780_315_200;

/// The lifetime that GitHub's form proposes, for a case that does not state one.
const LIFETIME_DAYS: i64 = 30;

const SOURCE: &str = "the case";

/// A request, and what is known besides.
#[derive(Clone, Debug)]
pub(crate) struct Situation {
    pub(crate) request: TokenRequest,
    pub(crate) now_stated: bool,
    now: Timestamp,
    role: Role,
    teams: Vec<TeamRef>,
    kind: RequestKind,
    counts: Counts,
    repositories: Vec<Repository>,
    unknown: Vec<&'static str>,
}

/// What is counted of the owner; whatever the span that a rule asks for.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    active_tokens: u64,
    requests: u64,
    denials: u64,
}

/// Facts that a case can make unreadable.
const FACTS: &[(&str, &str)] = &[
    ("owner.role", "owner.role"),
    ("owner.teams", "owner.teams"),
    ("owner.active_tokens", "owner.active_tokens"),
    ("owner.requests", "owner.requests"),
    ("owner.denials", "owner.denials"),
    ("request.kind", "request.kind"),
    ("repositories", "repositories"),
    ("repositories.visibility", "repositories.visibility"),
    ("repositories.topics", "repositories.topics"),
    ("repositories.archived", "repositories.archived"),
    ("repositories.custom_properties", "repositories.custom_properties"),
];

impl Situation {
    /// The facts that a policy with these needs is given.
    pub(crate) fn facts(&self, needs: &Needs) -> Facts {
        let hidden = |fact: &str| self.unknown.contains(&fact);
        fn fact<T>(hidden: bool, value: T, now: Timestamp) -> Fact<T> {
            if hidden { Fact::unknown("the case says so") } else { Fact::known(value, SOURCE, now) }
        }
        let organization = &self.request.organization.login;
        let same = |a: &TeamRef, b: &TeamRef| {
            a.slug() == b.slug()
                && a.organization_or(organization)
                    .eq_ignore_ascii_case(b.organization_or(organization))
        };
        let teams = needs.teams.iter().map(|team| {
            let member = self.teams.iter().any(|own| same(own, team));
            (team.clone(), fact(hidden("owner.teams"), member, self.now))
        });
        let repositories = self.repositories.iter().cloned().map(|mut repository| {
            if hidden("repositories.visibility") {
                repository.visibility = None;
            }
            if hidden("repositories.topics") {
                repository.topics = None;
            }
            if hidden("repositories.archived") {
                repository.archived = None;
            }
            // What is not stated has no value; every property that a rule names exists.
            if let Some(properties) = &mut repository.custom_properties {
                for name in &needs.custom_properties {
                    properties.entry(name.clone()).or_default();
                }
            }
            if hidden("repositories.custom_properties") {
                repository.custom_properties = None;
            }
            repository
        });
        let counted = |name: &str, spans: &BTreeSet<Span>, count: u64| {
            let hidden = hidden(name);
            spans.iter().map(|span| (*span, fact(hidden, count, self.now))).collect()
        };
        let counts = self.counts;
        Facts {
            owner_active_tokens: fact(
                hidden("owner.active_tokens"),
                counts.active_tokens,
                self.now,
            ),
            owner_requests: counted("owner.requests", &needs.owner_requests, counts.requests),
            owner_denials: counted("owner.denials", &needs.owner_denials, counts.denials),
            owner_role: fact(hidden("owner.role"), self.role, self.now),
            owner_teams: teams.collect(),
            repositories: fact(hidden("repositories"), repositories.collect(), self.now),
            custom_properties_unread: hidden("repositories.custom_properties")
                .then(|| "the case says so".to_owned()),
            kind: fact(hidden("request.kind"), self.kind, self.now),
            now: self.now,
        }
    }
}

/// Reads a text with `wants`, `world`, `now` and `unknown` at its top, as a case has them: a request to be
/// explained without GitHub. `name` is shown with what is wrong with it. `needs` are those of the policy that
/// is going to judge it: the owner is known not to be in the teams that it asks for and the text does not name.
///
/// # Errors
/// Everything that is wrong with the text.
pub fn parse_situation(
    name: &str,
    text: &str,
    needs: &Needs,
) -> Result<(TokenRequest, Facts), Vec<Diagnostic>> {
    let file = SourceFile::new(name, text);
    if text.len() > load::MAX_FILE {
        let message = format!("the file has {} bytes; the limit is {}", text.len(), load::MAX_FILE);
        return Err(vec![Diagnostic::new(Code::TooLarge, Place::start(name), message)]);
    }
    let mended = load::syntax::mend(&file);
    let table = load::syntax::table(&mended.text);
    let mut diagnostics = mended.problems;
    let mut reader = Reader::new(&file, Layer::Organization);
    let mut builder = Builder::default();
    let value = toml::Spanned::new(0..0, DeValue::Table(table.into_inner()));
    let keys = ["schema", "wants", "world", "now", "unknown"];
    reader.table(&value, "", &keys, |reader, key, _, value| {
        if key != "schema" {
            builder.key(reader, key, value, key);
        }
    });
    let situation = builder.finish(&mut reader, 0..0, "the request");
    diagnostics.append(&mut reader.diagnostics);
    match situation {
        Some(situation) if !diagnostics.iter().any(Diagnostic::is_error) => {
            let facts = situation.facts(needs);
            Ok((situation.request, facts))
        }
        _ => Err(diagnostics),
    }
}

/// What has been read of a situation.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    has_wants: bool,
    name: Option<String>,
    lifetime: Lifetime,
    expired: bool,
    unused_for: Option<i64>,
    age: Option<Span>,
    reason: Option<String>,
    kind: Option<RequestKind>,
    repositories: Vec<(String, Range<usize>)>,
    selection: Option<(RepositorySelection, Range<usize>)>,
    permissions: Permissions,
    organization: Option<String>,
    login: Option<String>,
    role: Option<Role>,
    teams: Vec<TeamRef>,
    counts: Counts,
    properties: BTreeMap<String, (Properties, Range<usize>)>,
    now: Option<Timestamp>,
    unknown: Vec<&'static str>,
}

#[derive(Debug, Default)]
enum Lifetime {
    #[default]
    Unstated,
    Days(i64),
    Never,
}

#[derive(Debug, Default)]
struct Properties {
    visibility: Option<Visibility>,
    topics: Vec<String>,
    archived: bool,
    custom_properties: BTreeMap<String, Vec<String>>,
    former_names: Vec<String>,
}

impl Builder {
    /// Takes in `wants`, `world`, `now` or `unknown`.
    pub(crate) fn key(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
        value: &Value<'_>,
        path: &str,
    ) {
        match key {
            "wants" => {
                self.has_wants = true;
                let keys = [
                    "name",
                    "lifetime",
                    "expired",
                    "unused_for",
                    "age",
                    "reason",
                    "kind",
                    "repositories",
                    "repository_selection",
                    "permissions",
                ];
                reader.table(value, path, &keys, |reader, key, _, value| {
                    self.wants(reader, key, value, &format!("{path}.{key}"));
                });
            }
            "world" => {
                let keys = ["organization", "owner", "repositories"];
                reader.table(value, path, &keys, |reader, key, _, value| {
                    self.world(reader, key, value, &format!("{path}.{key}"));
                });
            }
            "now" => self.now = now(reader, value, path),
            _ => {
                for (text, span) in reader.strings(value, path) {
                    self.unknown.extend(reader.word(text, span, path, FACTS));
                }
            }
        }
    }

    fn wants(&mut self, reader: &mut Reader<'_>, key: &str, value: &Value<'_>, path: &str) {
        let text = |reader: &mut Reader<'_>| reader.string(value, path).map(str::to_owned);
        match key {
            "name" => self.name = text(reader),
            "reason" => self.reason = text(reader),
            "lifetime" => {
                self.lifetime = if value.get_ref().as_str() == Some("never") {
                    Lifetime::Never
                } else {
                    reader.days(value, path).map_or(Lifetime::Unstated, Lifetime::Days)
                };
            }
            "expired" => self.expired = reader.boolean(value, path).unwrap_or(false),
            "unused_for" => self.unused_for = reader.days(value, path),
            "age" => self.age = reader.span(value, path),
            "kind" => {
                let word = reader.string(value, path);
                self.kind = word.and_then(|word| reader.word(word, value.span(), path, KINDS));
            }
            "repositories" => {
                let names = reader.strings(value, path);
                for (name, span) in &names {
                    if let Some((_, alone)) = name.rsplit_once('/') {
                        let help = format!("write `{}`", shown(alone));
                        let message = format!("`{}` stands with its organization", shown(name));
                        reader.error_help(Code::BadTest, span.clone(), message, Some(help));
                    }
                }
                self.repositories =
                    names.into_iter().map(|(name, span)| (name.to_owned(), span)).collect();
            }
            "repository_selection" => {
                let word = reader.string(value, path);
                let word = word.and_then(|word| reader.word(word, value.span(), path, SELECTIONS));
                self.selection = word.map(|selection| (selection, value.span()));
            }
            _ => self.permissions(reader, value, path),
        }
    }

    /// Any name and any level: a case may ask what becomes of a permission that GitHub invents tomorrow.
    fn permissions(&mut self, reader: &mut Reader<'_>, value: &Value<'_>, path: &str) {
        reader.table(
            value,
            path,
            &["repository", "organization", "other"],
            |reader, key, _, value| {
                let map = match GROUPS.iter().position(|(group, _)| *group == key) {
                    Some(0) => &mut self.permissions.repository,
                    Some(1) => &mut self.permissions.organization,
                    _ => &mut self.permissions.other,
                };
                reader.named(value, &format!("{path}.{key}"), |reader, name, _, value| {
                    if let Some(level) = reader.string(value, &format!("{path}.{key}.{name}")) {
                        map.insert(name.to_owned(), level.to_owned().into());
                    }
                });
            },
        );
    }

    fn world(&mut self, reader: &mut Reader<'_>, key: &str, value: &Value<'_>, path: &str) {
        match key {
            "organization" => self.organization = reader.string(value, path).map(str::to_owned),
            "owner" => {
                let keys = ["login", "role", "teams", "active_tokens", "requests", "denials"];
                reader.table(value, path, &keys, |reader, key, _, value| {
                    let path = format!("{path}.{key}");
                    let count = |reader: &mut Reader<'_>| {
                        let count = reader.integer(value, &path, 0..1_000_001);
                        count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
                    };
                    match key {
                        "active_tokens" => self.counts.active_tokens = count(reader),
                        "requests" => self.counts.requests = count(reader),
                        "denials" => self.counts.denials = count(reader),
                        "login" => self.login = reader.string(value, &path).map(str::to_owned),
                        "role" => {
                            let word = reader.string(value, &path);
                            self.role =
                                word.and_then(|word| reader.word(word, value.span(), &path, ROLES));
                        }
                        // In no team is something one may say.
                        _ if matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()) =>
                            {}
                        _ => {
                            let teams = load::values::teams(reader, value, &path);
                            self.teams = teams.into_iter().map(|(team, _)| team).collect();
                        }
                    }
                });
            }
            _ => reader.named(value, path, |reader, name, span, value| {
                let path = format!("{path}.{name}");
                let mut properties = Properties::default();
                let keys = ["visibility", "topics", "archived", "custom_properties", "formerly"];
                reader.table(value, &path, &keys, |reader, key, _, value| {
                    let path = format!("{path}.{key}");
                    match key {
                        "custom_properties" => {
                            reader.named(value, &path, |reader, name, _, value| {
                                let values =
                                    reader.one_or_more(value, &format!("{path}.{}", shown(name)));
                                let values = values.into_iter().map(|(value, _)| value.to_owned());
                                properties
                                    .custom_properties
                                    .insert(name.to_ascii_lowercase(), values.collect());
                            })
                        }
                        "formerly" => {
                            let names = reader.one_or_more(value, &path);
                            properties.former_names =
                                names.into_iter().map(|(name, _)| name.to_owned()).collect();
                        }
                        "visibility" => {
                            let word = reader.string(value, &path);
                            properties.visibility = word.and_then(|word| {
                                reader.word(word, value.span(), &path, VISIBILITIES)
                            });
                        }
                        "archived" => {
                            properties.archived = reader.boolean(value, &path).unwrap_or(false)
                        }
                        _ if matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()) =>
                            {}
                        _ => {
                            let topics = reader.strings(value, &path);
                            properties.topics =
                                topics.into_iter().map(|(topic, _)| topic.to_owned()).collect();
                        }
                    }
                });
                self.properties.insert(name.to_owned(), (properties, span));
            }),
        }
    }

    /// The situation, with everything unstated filled in.
    pub(crate) fn finish(
        mut self,
        reader: &mut Reader<'_>,
        span: Range<usize>,
        path: &str,
    ) -> Option<Situation> {
        if !self.has_wants {
            let help = "the request: `wants = { lifetime = \"30d\", repositories = [\"web\"], permissions.repository = { contents = \"read\" } }`";
            reader.missing(span, format!("{path} has no `wants`"), help);
            return None;
        }
        let selection = match (&self.selection, self.repositories.is_empty()) {
            (None, true) => RepositorySelection::None,
            (None, false) | (Some((RepositorySelection::Subset, _)), _) => {
                RepositorySelection::Subset
            }
            (Some((other, _)), true) => *other,
            (Some((other, span)), false) => {
                let message = format!(
                    "the request names repositories, so it cannot be for `{}`",
                    other.as_str()
                );
                reader.error(Code::BadTest, span.clone(), message);
                return None;
            }
        };
        if let Some((_, span)) = &self.selection
            && selection == RepositorySelection::Subset
            && self.repositories.is_empty()
            && !self.unknown.contains(&"repositories")
        {
            let help =
                "name them in `repositories`, or say `unknown = [\"repositories\"]`".to_owned();
            reader.error_help(
                Code::BadTest,
                span.clone(),
                "a subset of which repositories?",
                Some(help),
            );
        }
        let names: Vec<String> = self.repositories.iter().map(|(name, _)| name.clone()).collect();
        for (name, (_, span)) in &self.properties {
            if !names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)) {
                let message =
                    format!("the request does not ask for the repository `{}`", shown(name));
                let help = nearest(name, names.iter().map(String::as_str))
                    .map(|near| format!("did you mean `{near}`?"));
                reader.error_help(Code::BadTest, span.clone(), message, help);
            }
        }
        let mut ids = 1..;
        let repositories = names.into_iter().map(|name| {
            let stated =
                self.properties.iter().find(|(stated, _)| stated.eq_ignore_ascii_case(&name));
            let stated = stated.map(|(_, (properties, _))| properties);
            Repository {
                id: RepositoryId(ids.next().unwrap_or_default()),
                visibility: Some(stated.and_then(|p| p.visibility).unwrap_or(Visibility::Private)),
                archived: Some(stated.is_some_and(|p| p.archived)),
                topics: Some(stated.map(|p| p.topics.clone()).unwrap_or_default()),
                custom_properties: Some(
                    stated.map(|p| p.custom_properties.clone()).unwrap_or_default(),
                ),
                former_names: stated.map(|p| p.former_names.clone()).unwrap_or_default(),
                name,
            }
        });
        let repositories = repositories.collect();
        let now = self.now.or_else(|| Timestamp::from_second(NOW).ok())?;
        let earlier =
            |seconds: i64| now.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(now);
        let days = |days: i64| SignedDuration::from_hours(days * 24);
        let created_at = earlier(self.age.map_or(0, Span::seconds));
        let expires_at = match self.lifetime {
            Lifetime::Never => None,
            Lifetime::Days(lifetime) => created_at.saturating_add(days(lifetime)).ok(),
            Lifetime::Unstated => created_at.saturating_add(days(LIFETIME_DAYS)).ok(),
        };
        let request = TokenRequest {
            id: RequestId(1),
            organization: Organization {
                id: OrganizationId(1),
                login: Login::new(self.organization.take().unwrap_or_else(|| "acme".to_owned())),
            },
            owner: Owner {
                id: UserId(1),
                login: Login::new(self.login.take().unwrap_or_else(|| "octocat".to_owned())),
            },
            token: RequestedToken {
                id: TokenId(1),
                name: self.name.take().unwrap_or_else(|| "test".to_owned()),
                expired: self.expired,
                expires_at,
                last_used_at: self.unused_for.map(|unused| earlier(unused * 86_400)),
            },
            reason: self.reason.take(),
            repository_selection: selection,
            permissions: self.permissions,
            created_at,
        };
        Some(Situation {
            request,
            now_stated: self.now.is_some(),
            now,
            role: self.role.unwrap_or(Role::Member),
            teams: self.teams,
            kind: self.kind.unwrap_or(RequestKind::New),
            counts: self.counts,
            repositories,
            unknown: self.unknown,
        })
    }
}

fn now(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<Timestamp> {
    let text = match value.get_ref() {
        DeValue::Datetime(at) => at.to_string(),
        DeValue::String(text) => text.to_string(),
        _ => String::new(),
    };
    let now = text.parse().ok();
    if now.is_none() {
        reader.wrong_type(value, path, "a moment with its offset, such as 2026-06-01T12:00:00Z");
    }
    now
}
