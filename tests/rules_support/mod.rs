//! Policies, requests and facts made up by proptest, and the few shorthands that rule tests share.

#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_docs_in_private_items,
    reason = "a test says what went wrong by panicking"
)]

pub mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use patwarden::{
    domain::{
        AccessLevel, Login, Organization, OrganizationId, Owner, Permissions, Repository,
        RepositoryId, RepositorySelection, RequestId, RequestKind, RequestedToken, Role, TeamRef,
        TokenId, TokenRequest, UserId, Visibility,
    },
    rules::{
        Policy, SourceFile, Span,
        facts::{Fact, Facts},
        load::load,
    },
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::{select, subsequence},
};

pub const TEAMS: [&str; 4] = ["xyzzy-dev", "xyzzy-sec", "xyzzy-ci", "other-org/xyzzy-dev"];
pub const REPOSITORIES: [&str; 8] =
    ["web", "svc-pay", "Svc-Log", "release-24", "Release-25", ".github", "token-reviews", "docs"];

/// The body of an approve rule for everybody.
pub const LENIENT: &str = "when.owner.login = [\"*\"]\nallow.lifetime = \"3650d\"\nallow.repositories = [\"*\"]\n\
    allow.all_repositories = true\nallow.permissions.repository = { contents = \"write\" }\n";

/// How many cases each property is tried on; `PROPTEST_CASES` asks for more, and the gate for ten thousand.
pub fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A rule as text.
#[derive(Clone, Debug)]
pub struct RuleText {
    pub verb: &'static str,
    pub body: String,
}

const GROUPS: &str = "[reviewers.owners]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.roles = [\"owner\"]\n\
    [reviewers.sec]\nnotify = [\"email:owners\"]\nmay_decide.roles = [\"owner\"]\n";

/// One layer as text, in pieces that can be put together in any order.
#[derive(Clone, Debug)]
pub struct LayerText {
    pub deny: bool,
    pub rules: Vec<RuleText>,
    pub ceiling: Option<String>,
}

impl LayerText {
    fn blocks(&self) -> String {
        let decision = if self.deny {
            "decision = \"deny\"\nreason = \"No rule covers this. {near_miss}\"\n"
        } else {
            "decision = \"escalate\"\n"
        };
        let ceiling = self.ceiling.as_ref().map_or(String::new(), |c| format!("[ceiling]\n{c}\n"));
        format!("mode = \"enforce\"\n[default]\n{decision}to = \"owners\"\n{ceiling}")
    }

    /// The rules with their ids, which say where they stood at first.
    fn numbered(&self, letter: char) -> Vec<String> {
        let rule = |(number, rule): (usize, &RuleText)| {
            format!("[{}.{letter}{number}]\n{}", rule.verb, rule.body)
        };
        self.rules.iter().enumerate().map(rule).collect()
    }

    /// The ids of those that a waiver may name.
    fn soft(&self, letter: char) -> Vec<String> {
        let rules = self.rules.iter().enumerate();
        let soft = rules.filter(|(_, rule)| rule.body.contains("enforcement = \"soft\""));
        soft.map(|(number, rule)| format!("{}.{letter}{number}", rule.verb)).collect()
    }
}

/// A waiver as text, all but its rule: that is the one of the soft rules that this number comes to.
#[derive(Clone, Debug)]
pub struct WaiverText {
    rule: usize,
    body: String,
}

/// A policy as text: an organization's layer, and perhaps an enterprise's above it.
#[derive(Clone, Debug)]
pub struct PolicyText {
    pub upper: Option<LayerText>,
    pub own: LayerText,
    pub waivers: Vec<WaiverText>,
}

impl PolicyText {
    /// The organization's file without its rules.
    pub fn head(&self) -> String {
        let groups = if self.upper.is_some() { "" } else { GROUPS };
        let upper = self.upper.iter().flat_map(|upper| upper.soft('e'));
        let soft: Vec<_> = upper.chain(self.own.soft('r')).collect();
        let waiver = |(number, waiver): (usize, &WaiverText)| {
            let rule = soft.get(waiver.rule % soft.len().max(1))?;
            Some(format!("[waiver.w{number}]\nrule = {rule:?}\n{}", waiver.body))
        };
        let waivers: String = self.waivers.iter().enumerate().filter_map(waiver).collect();
        format!("schema = 1\n{}{groups}{waivers}", self.own.blocks())
    }

    /// The organization's rules with their ids, which say where they stood at first.
    pub fn numbered(&self) -> Vec<String> {
        self.own.numbered('r')
    }

    /// The organization's file.
    pub fn file(&self) -> String {
        self.head() + &self.numbered().concat()
    }

    /// The enterprise's file.
    pub fn enterprise(&self) -> Option<String> {
        let upper = self.upper.as_ref()?;
        let rules = upper.numbered('e').concat();
        Some(format!("schema = 1\nlayer = \"enterprise\"\n{}{GROUPS}{rules}", upper.blocks()))
    }

    pub fn load(&self) -> Policy {
        policy(&self.enterprise().into_iter().chain([self.file()]).collect::<Vec<_>>())
    }
}

/// Loads texts that must be valid.
pub fn policy(texts: &[String]) -> Policy {
    let name =
        |(number, text): (usize, &String)| SourceFile::new(format!("{number}.toml"), text.clone());
    let loaded = load(&texts.iter().enumerate().map(name).collect::<Vec<_>>());
    let errors: Vec<_> =
        loaded.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.render_human(false)).collect();
    loaded.policy.unwrap_or_else(|| panic!("{}\n{}", errors.join("\n"), texts.join("\n---\n")))
}

fn list(items: &[impl AsRef<str>]) -> String {
    let items: Vec<_> = items.iter().map(|item| format!("{:?}", item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

fn some(items: &'static [&'static str]) -> impl Strategy<Value = String> {
    subsequence(items, 1..=items.len().min(3)).prop_map(|items| list(&items))
}

fn bounds(at_least: bool, unit: &'static str) -> BoxedStrategy<String> {
    let quoted =
        move |n: i64| if unit.is_empty() { n.to_string() } else { format!("\"{n}{unit}\"") };
    let least = (0..120i64).prop_map(move |n| format!("{{ at_least = {} }}", quoted(n)));
    let most = (0..120i64).prop_map(move |n| format!("{{ at_most = {} }}", quoted(n)));
    if at_least { least.boxed() } else { prop_oneof![least, most].boxed() }
}

fn listed_permissions(stars: bool) -> impl Strategy<Value = String> {
    let mut names = vec!["contents", "issues", "secrets", "administration", "actions"];
    if stars {
        names.push("*");
    }
    btree_map(select(names), select(vec!["read", "write"]), 1..4).prop_map(|map| {
        let entries: Vec<_> =
            map.iter().map(|(name, level)| format!("{name:?} = {level:?}")).collect();
        format!("{{ {} }}", entries.join(", "))
    })
}

fn repository_test() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        some(&["web", "svc-*", "release-*", "*", ".github", "?eb"]).prop_map(|v| ("name", v)),
        some(&["public", "private", "internal"]).prop_map(|v| ("visibility", v)),
        some(&["prod", "p*"]).prop_map(|v| ("topics", v)),
        any::<bool>().prop_map(|v| ("archived", v.to_string())),
        some(&["gold", "silver"]).prop_map(|v| ("custom_properties.tier", v)),
        any::<bool>().prop_map(|v| ("custom_properties.sox.is_set", v.to_string())),
    ];
    vec(key, 1..4).prop_map(|keys| {
        let keys: BTreeMap<_, _> = keys.into_iter().collect();
        let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        format!("{{ {} }}", keys.join(", "))
    })
}

fn who() -> BoxedStrategy<(&'static str, String)> {
    prop_oneof![
        some(&["kim", "plugh-*", "SAM", "*"]).prop_map(|v| ("owner.login", v)),
        some(&TEAMS).prop_map(|v| ("owner.teams", v)),
        some(&["owner", "member", "billing_manager"]).prop_map(|v| ("owner.role", v)),
    ]
    .boxed()
}

/// What is counted of the owner.
fn counts() -> BoxedStrategy<(&'static str, String)> {
    let within = select(vec!["1d", "6h"]);
    let counted =
        (1..4u8, within).prop_map(|(n, w)| format!("{{ at_least = {n}, within = {w:?} }}"));
    prop_oneof![
        (0..4u8).prop_map(|n| ("owner.active_tokens", format!("{{ at_least = {n} }}"))),
        counted.clone().prop_map(|v| ("owner.requests", v)),
        counted.prop_map(|v| ("owner.denials", v)),
    ]
    .boxed()
}

/// Conditions of which asking for more can only make more hold.
fn growing() -> BoxedStrategy<(&'static str, String)> {
    prop_oneof![
        who(),
        bounds(true, "d").prop_map(|v| ("token.lifetime", v)),
        bounds(true, "").prop_map(|v| ("repositories.count", v)),
        counts(),
        repository_test().prop_map(|v| ("repositories.any", v)),
        listed_permissions(true).prop_map(|v| ("permissions.any_at_least.repository", v)),
        Just(("permissions.any_at_least.organization", "{ \"*\" = \"write\" }".to_owned())),
    ]
    .boxed()
}

fn condition(stars: bool) -> BoxedStrategy<(&'static str, String)> {
    prop_oneof![
        who(),
        Just(("organization.login", "[\"ACME\"]".to_owned())),
        select(vec!["ci-.*", "[a-z]+", "x|y"]).prop_map(|v| ("token.name.matches", format!("{v:?}"))),
        bounds(false, "d").prop_map(|v| ("token.lifetime", v)),
        bounds(false, "d").prop_map(|v| ("token.unused_for", v)),
        any::<bool>().prop_map(|v| ("token.never_expires", v.to_string())),
        any::<bool>().prop_map(|v| ("token.expired", v.to_string())),
        some(&["new", "change"]).prop_map(|v| ("request.kind", v)),
        (1..30u8).prop_map(|n| ("request.reason.min_length", n.to_string())),
        some(&["none", "all", "subset"]).prop_map(|v| ("repository_selection", v)),
        bounds(false, "").prop_map(|v| ("repositories.count", v)),
        counts(),
        repository_test().prop_map(|v| ("repositories.any", v)),
        repository_test().prop_map(|v| ("repositories.all", v)),
        listed_permissions(stars).prop_map(|v| ("permissions.any_at_least.repository", v)),
        listed_permissions(false).prop_map(|v| ("permissions.within.repository", v)),
        Just((
            "clock",
            "{ from = 2026-05-30, until = 2026-06-02, weekdays = [\"monday\"], timezone = \"Europe/Vienna\" }".to_owned()
        )),
    ]
    .boxed()
}

fn lines(
    part: &'static str,
    conditions: BoxedStrategy<(&'static str, String)>,
    least: usize,
) -> BoxedStrategy<String> {
    vec(conditions, least..4)
        .prop_map(move |conditions| {
            let conditions: BTreeMap<_, _> = conditions.into_iter().collect();
            conditions.iter().map(|(key, value)| format!("{part}.{key} = {value}\n")).collect()
        })
        .boxed()
}

fn allow() -> impl Strategy<Value = String> {
    let names = prop_oneof![
        3 => Just("[\"*\"]".to_owned()),
        1 => some(&["web", "svc-*", "docs", "*-24"]),
    ];
    (
        0..120u8,
        names,
        proptest::option::of(0..6u8),
        any::<bool>(),
        listed_permissions(false),
        proptest::option::of(1..20u8),
    )
        .prop_map(|(days, names, max, all, permissions, reason)| {
            let max =
                max.map_or(String::new(), |max| format!("allow.max_repositories = {}\n", max + 1));
            let all = if all { "allow.all_repositories = true\n" } else { "" };
            let reason =
                reason.map_or(String::new(), |n| format!("require.reason_min_length = {n}\n"));
            format!(
                "allow.lifetime = \"{days}d\"\nallow.repositories = {names}\n{max}{all}\
                 allow.permissions.repository = {permissions}\n{reason}"
            )
        })
}

pub fn approve_rule() -> BoxedStrategy<RuleText> {
    approve_rule_of(condition(false), true)
}

fn approve_rule_of(
    conditions: BoxedStrategy<(&'static str, String)>,
    unless: bool,
) -> BoxedStrategy<RuleText> {
    let exceptions =
        if unless { lines("unless", conditions.clone(), 0) } else { Just(String::new()).boxed() };
    // Half of them are for nearly everybody, or hardly anything would ever be approved.
    let wide =
        select(vec!["when.owner.login = [\"*\"]\n", "when.owner.role = [\"member\", \"owner\"]\n"]);
    let when = prop_oneof![wide.prop_map(str::to_owned), lines("when", conditions, 1)];
    (when, prop_oneof![2 => Just(String::new()), 1 => exceptions], allow())
        .prop_map(|(when, unless, allow)| RuleText {
            verb: "approve",
            body: when + &unless + &allow,
        })
        .boxed()
}

fn strict_rule_of(
    conditions: BoxedStrategy<(&'static str, String)>,
    unless: BoxedStrategy<String>,
    gates: bool,
) -> BoxedStrategy<RuleText> {
    let deny = (lines("when", conditions.clone(), 1), unless.clone(), select(vec!["hard", "soft", "advisory"]))
        .prop_map(|(when, unless, enforcement)| RuleText {
            verb: "deny",
            body: format!("{when}{unless}enforcement = {enforcement:?}\nreason = \"No, {{owner}}: {{near_miss}} ({{rule}})\"\n"),
        });
    let gate = if gates { Just(true).boxed() } else { any::<bool>().boxed() };
    let escalate = (lines("when", conditions, 1), unless, gate, select(vec!["owners", "sec"]))
        .prop_map(|(when, unless, gate, to)| RuleText {
            verb: "escalate",
            body: format!("{when}{unless}gate = {gate}\nto = {to:?}\n"),
        });
    prop_oneof![deny, escalate].boxed()
}

/// Any policy, of up to `most` rules.
pub fn any_policy(most: usize) -> impl Strategy<Value = PolicyText> {
    let exceptions =
        prop_oneof![2 => Just(String::new()), 1 => lines("unless", condition(true), 0)].boxed();
    let rule = prop_oneof![approve_rule(), strict_rule_of(condition(true), exceptions, false)];
    let ceiling = proptest::option::weighted(
        0.2,
        (1..100u8, 1..6u8)
            .prop_map(|(days, most)| format!("lifetime = \"{days}d\"\nmax_repositories = {most}")),
    );
    let layer = |most: usize| {
        (any::<bool>(), vec(rule.clone(), 0..most), ceiling.clone())
            .prop_map(|(deny, rules, ceiling)| LayerText { deny, rules, ceiling })
    };
    (proptest::option::of(layer(most / 2)), layer(most), vec(waiver(), 0..4))
        .prop_map(|(upper, own, waivers)| PolicyText { upper, own, waivers })
}

/// A policy that has an enterprise above it.
pub fn layered_policy(most: usize) -> impl Strategy<Value = PolicyText> {
    any_policy(most).prop_filter("two layers", |policy| policy.upper.is_some())
}

fn waiver() -> impl Strategy<Value = WaiverText> {
    let most = select(vec![
        "max.lifetime = \"60d\"",
        "max.permissions.repository = { contents = \"write\", issues = \"write\" }",
        "max.repository_selection = \"subset\"",
        "max.repository_selection = \"all\"",
    ]);
    let until = select(vec!["2026-05-31", "2026-06-01", "2026-07-01"]);
    (any::<usize>(), select(vec!["kim", "SAM", "plugh-1"]), until, most).prop_map(
        |(rule, owner, until, most)| WaiverText {
            rule,
            body: format!(
                "owner = {owner:?}\ngranted = 2026-05-01\nuntil = {until}\nrecord = \"RISK-1\"\n{most}\n"
            ),
        },
    )
}

/// A policy whose deny and escalate rules ask only whether there is at least so much, whose approve rules ask
/// only who it is, and in which nothing but an approval opens a door that the default keeps shut.
pub fn growing_policy() -> impl Strategy<Value = PolicyText> {
    any::<bool>().prop_flat_map(|deny| {
        let strict = strict_rule_of(growing(), Just(String::new()).boxed(), deny);
        let rule = prop_oneof![approve_rule_of(who(), false), strict];
        vec(rule, 0..10).prop_map(move |rules| PolicyText {
            upper: None,
            own: LayerText { deny, rules, ceiling: None },
            waivers: Vec::new(),
        })
    })
}

pub fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn levels() -> impl Strategy<Value = AccessLevel> {
    select(vec!["read", "read", "read", "read", "write", "write", "write", "admin", "maintain"])
        .prop_map(|l| l.to_owned().into())
}

pub fn permissions() -> impl Strategy<Value = Permissions> {
    let names = |names: &[&str]| select(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
    let repository = names(&[
        "contents",
        "issues",
        "secrets",
        "administration",
        "metadata",
        "actions",
        "brand_new",
    ]);
    (
        btree_map(repository, levels(), 0..4),
        btree_map(names(&["members", "newest"]), levels(), 0..2),
        btree_map(names(&["odd"]), levels(), 0..2),
        0..10u8,
    )
        .prop_map(|(repository, organization, other, rare)| Permissions {
            repository,
            organization: if rare < 2 { organization } else { BTreeMap::new() },
            other: if rare == 0 { other } else { BTreeMap::new() },
        })
}

pub fn request() -> impl Strategy<Value = TokenRequest> {
    let selection = select(vec![
        RepositorySelection::Subset,
        RepositorySelection::Subset,
        RepositorySelection::Subset,
        RepositorySelection::All,
        RepositorySelection::None,
    ]);
    (
        (select(vec!["kim", "Sam", "plugh-1"]), select(vec!["ci-x", "abc", "x", "ci-\u{202E}"])),
        proptest::option::weighted(0.9, -2..90i64),
        proptest::option::of(0..200i64),
        (proptest::option::of("[a-z ]{0,25}"), any::<bool>(), 0..5i64),
        selection,
        permissions(),
    )
        .prop_map(
            |((login, name), lifetime, unused, (reason, expired, age), selection, permissions)| {
                let created_at = now() - SignedDuration::from_hours(age * 24);
                let days = |days: i64| SignedDuration::from_hours(days * 24 + 5);
                TokenRequest {
                    id: RequestId(1),
                    organization: Organization { id: OrganizationId(1), login: Login::new("Acme") },
                    owner: Owner { id: UserId(1), login: Login::new(login) },
                    token: RequestedToken {
                        id: TokenId(1),
                        name: name.to_owned(),
                        expired,
                        expires_at: lifetime.map(|lifetime| created_at + days(lifetime)),
                        last_used_at: unused.map(|unused| now() - days(unused)),
                    },
                    reason,
                    repository_selection: selection,
                    permissions,
                    created_at,
                }
            },
        )
}

fn fact<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Fact<T>> {
    prop_oneof![
        5 => value.prop_map(|value| Fact::known(value, "GET /something", now())),
        1 => Just(Fact::unknown("GitHub answered 503")),
    ]
    .boxed()
}

pub fn repositories() -> impl Strategy<Value = Vec<Repository>> {
    vec(
        (
            select(REPOSITORIES.to_vec()),
            proptest::option::weighted(
                0.8,
                select(vec![Visibility::Public, Visibility::Private, Visibility::Internal]),
            ),
            proptest::option::weighted(0.8, any::<bool>()),
            proptest::option::weighted(
                0.8,
                subsequence(vec!["Prod".to_owned(), "x".to_owned()], 0..=2),
            ),
            properties(),
            proptest::option::weighted(0.2, select(REPOSITORIES.to_vec())),
        ),
        0..5,
    )
    .prop_map(|listed| {
        let mut seen = BTreeSet::new();
        let mut repositories = Vec::new();
        for (id, (name, visibility, archived, topics, custom_properties, former)) in
            (1..).zip(listed)
        {
            if seen.insert(name) {
                repositories.push(Repository {
                    visibility,
                    archived,
                    topics,
                    custom_properties,
                    former_names: former.map(str::to_owned).into_iter().collect(),
                    ..Repository::new(RepositoryId(id), name)
                });
            }
        }
        repositories
    })
}

fn properties() -> impl Strategy<Value = Option<BTreeMap<String, Vec<String>>>> {
    let values = subsequence(vec!["gold".to_owned(), "no".to_owned()], 0..=2);
    let names = select(vec!["tier".to_owned(), "sox".to_owned()]);
    proptest::option::weighted(0.8, btree_map(names, values, 0..3))
}

fn counted() -> impl Strategy<Value = BTreeMap<Span, Fact<u64>>> {
    btree_map(select(vec![Span(86_400), Span(6 * 3_600)]), fact(0..5u64), 0..3)
}

pub fn facts() -> impl Strategy<Value = Facts> {
    let role =
        select(vec![Role::Owner, Role::Member, Role::Member, Role::BillingManager, Role::Stranger]);
    let teams = btree_map(select(TEAMS.to_vec()), fact(any::<bool>()), 0..5);
    (
        fact(role),
        teams,
        fact(repositories()),
        fact(select(vec![RequestKind::New, RequestKind::Change])),
        fact(0..6u64),
        (counted(), counted()),
    )
        .prop_map(|(owner_role, teams, repositories, kind, active, (requests, denials))| {
            Facts {
                owner_active_tokens: active,
                owner_requests: requests,
                owner_denials: denials,
                owner_role,
                owner_teams: teams
                    .into_iter()
                    .map(|(team, fact)| (TeamRef::parse(team).unwrap(), fact))
                    .collect(),
                repositories,
                kind,
                ..Facts::nothing_read(now())
            }
        })
}

/// `facts` with some of them taken away, as `which` says bit by bit.
pub fn without(facts: &Facts, which: u32) -> Facts {
    let mut poorer = facts.clone();
    let mut bits = (0..).map(|bit| which >> (bit % 32) & 1 == 1);
    let mut take = || bits.next().unwrap_or(false);
    if take() {
        poorer.owner_role = Fact::unknown("lost");
    }
    if take() {
        poorer.kind = Fact::unknown("lost");
    }
    if take() && take() {
        poorer.repositories = Fact::unknown("lost");
    }
    if take() {
        poorer.owner_active_tokens = Fact::unknown("lost");
    }
    for counts in [&mut poorer.owner_requests, &mut poorer.owner_denials] {
        counts.retain(|_, _| !take());
    }
    let teams: Vec<_> = poorer.owner_teams.keys().cloned().collect();
    for team in teams {
        match (take(), take()) {
            (true, true) => drop(poorer.owner_teams.remove(&team)),
            (true, false) => drop(poorer.owner_teams.insert(team, Fact::unknown("lost"))),
            _ => {}
        }
    }
    if let Fact::Known { value, .. } = &mut poorer.repositories {
        for repository in value {
            if take() {
                repository.visibility = None;
            }
            if take() {
                repository.archived = None;
            }
            if take() {
                repository.topics = None;
            }
            if take() {
                repository.custom_properties = None;
            }
        }
    }
    poorer
}
