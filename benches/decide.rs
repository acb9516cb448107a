//! How long one decision takes: ours and a plain hand-written matcher, on the same rules in the same run.
//!
//! `cargo bench --bench decide` prints nanoseconds for each size, then the ratios. Five conditions a rule: team,
//! token name, lifetime, repositories, permissions; the last of N rules is the one that applies. In what the
//! other rules differ from it decides how much an index can do, so there are three kinds of rule sets.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and ends when it cannot run"
)]

use std::{collections::HashSet, fmt::Write as _, hint::black_box};

use criterion::{BenchmarkId, Criterion, Throughput};
use jiff::{SignedDuration, Timestamp};
use patwarden::{
    domain::{
        AccessLevel, Login, Organization, OrganizationId, Owner, Repository, RepositoryId,
        RepositorySelection, RequestId, RequestedToken, Role, TokenId, TokenRequest, UserId,
        Visibility,
    },
    rules::{
        Effect, Policy, SourceFile, decide, decide_with_trace,
        facts::{Fact, Facts},
        load::load,
    },
};

const RULES: [usize; 4] = [10, 100, 1_000, 10_000];
const REPOSITORIES: [usize; 2] = [1, 17];

/// In what the rules that do not apply differ from the one that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Differ {
    /// Each names other repositories.
    ByRepository,
    /// Each names another team, of two hundred.
    ByTeam,
    /// By turns in one of the five conditions: lifetimes and permissions cannot be looked up.
    InTurns,
}

const KINDS: [(Differ, &str); 3] =
    [(Differ::ByRepository, "repository"), (Differ::ByTeam, "team"), (Differ::InTurns, "turns")];

/// One rule, as both matchers are given it.
struct Rule {
    team: String,
    name_prefix: String,
    days: i64,
    repository_prefix: String,
    contents: &'static str,
}

fn rules(count: usize, differ: Differ) -> Vec<Rule> {
    let rule = |number: usize| {
        let last = number + 1 == count;
        let part = match differ {
            Differ::ByRepository => 3,
            Differ::ByTeam => 0,
            Differ::InTurns => number % 5,
        };
        let other = |this: usize| !last && part == this;
        Rule {
            team: if other(0) { format!("team-{}", number % 200) } else { "platform".to_owned() },
            name_prefix: if other(1) { format!("job{number}-") } else { "ci-".to_owned() },
            days: if other(2) { 29 } else { 90 },
            repository_prefix: if other(3) { format!("svc{number}-") } else { "svc-".to_owned() },
            contents: if other(4) { "read" } else { "write" },
        }
    };
    (0..count).map(rule).collect()
}

fn policy(rules: &[Rule]) -> Policy {
    let mut text = "schema = 1\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n".to_owned();
    for (number, rule) in rules.iter().enumerate() {
        write!(
            text,
            "[approve.r{number}]\nwhen.owner.teams = [\"{}\"]\nwhen.token.name.matches = \"{}[a-z0-9-]+\"\n\
             allow.lifetime = \"{}d\"\nallow.repositories = [\"{}*\"]\n\
             allow.permissions.repository = {{ contents = \"{}\", issues = \"write\" }}\n",
            rule.team, rule.name_prefix, rule.days, rule.repository_prefix, rule.contents
        )
        .unwrap();
    }
    // Ten thousand rules are more than a file may hold.
    let rest = text.split_off(text.find("[approve").unwrap());
    let mut files = vec![SourceFile::new("0.toml", text)];
    let rules: Vec<_> = rest.split_inclusive("issues = \"write\" }\n").collect();
    for (number, chunk) in rules.chunks(1_000).enumerate() {
        files.push(SourceFile::new(
            format!("{}.toml", number + 1),
            "schema = 1\n".to_owned() + &chunk.concat(),
        ));
    }
    load(&files).policy.unwrap()
}

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn situation(policy: &Policy, repositories: usize) -> (TokenRequest, Facts) {
    let request = TokenRequest {
        id: RequestId(1),
        organization: Organization { id: OrganizationId(1), login: Login::new("acme") },
        owner: Owner { id: UserId(1), login: Login::new("kim") },
        token: RequestedToken {
            id: TokenId(1),
            name: "ci-build".to_owned(),
            expired: false,
            expires_at: Some(now() + SignedDuration::from_hours(30 * 24)),
            last_used_at: None,
        },
        reason: Some("CHG-123456 rotate the runner's token".to_owned()),
        repository_selection: RepositorySelection::Subset,
        permissions: patwarden::domain::Permissions {
            repository: [("contents", "write"), ("issues", "read"), ("metadata", "read")]
                .map(|(name, level)| (name.to_owned(), AccessLevel::from(level.to_owned())))
                .into(),
            ..Default::default()
        },
        created_at: now(),
    };
    let repository = |number: usize| Repository {
        visibility: Some(Visibility::Private),
        archived: Some(false),
        topics: Some(Vec::new()),
        ..Repository::new(
            RepositoryId(i64::try_from(number).unwrap()),
            format!("Svc-Payments-{number}"),
        )
    };
    let known = |team: &_| Fact::known(format!("{team}") == "platform", "GET /teams", now());
    let teams = policy.needs().teams.iter();
    let facts = Facts {
        owner_role: Fact::known(Role::Member, "GET /memberships", now()),
        owner_teams: teams
            .map(|team: &patwarden::domain::TeamRef| (team.clone(), known(team)))
            .collect(),
        repositories: Fact::known(
            (0..repositories).map(repository).collect(),
            "GET /repositories",
            now(),
        ),
        ..Facts::nothing_read(now())
    };
    (request, facts)
}

/// What somebody would write in an afternoon: rules in order, the first that matches wins, no third truth
/// value, no reasons, no vetoes, nothing remembered from one rule to the next.
struct Plain {
    rules: Vec<PlainRule>,
}

struct PlainRule {
    team: String,
    name_prefix: String,
    days: i64,
    repository_prefix: String,
    permissions: Vec<(String, AccessLevel)>,
}

impl Plain {
    fn new(rules: &[Rule]) -> Self {
        let rule = |rule: &Rule| PlainRule {
            team: rule.team.clone(),
            name_prefix: rule.name_prefix.clone(),
            days: rule.days,
            repository_prefix: rule.repository_prefix.clone(),
            permissions: [("contents", rule.contents), ("issues", "write"), ("metadata", "read")]
                .map(|(name, level)| (name.to_owned(), AccessLevel::from(level.to_owned())))
                .into(),
        };
        Self { rules: rules.iter().map(rule).collect() }
    }

    fn first(
        &self,
        request: &TokenRequest,
        teams: &HashSet<String>,
        names: &[String],
    ) -> Option<usize> {
        let starts = |name: &str, prefix: &str| {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let days = request
            .token
            .expires_at
            .map(|at| (at.as_second() - request.created_at.as_second()) / 86_400);
        self.rules.iter().position(|rule| {
            let tail = request.token.name.strip_prefix(rule.name_prefix.as_str());
            teams.contains(&rule.team)
                && tail.is_some_and(|tail| {
                    !tail.is_empty()
                        && tail
                            .bytes()
                            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                })
                && days.is_some_and(|days| days <= rule.days)
                && request.permissions.iter().all(|(_, name, level)| {
                    rule.permissions.iter().any(|(allowed, most)| allowed == name && level <= most)
                })
                && names.iter().all(|name| starts(name, &rule.repository_prefix))
        })
    }
}

fn bench(criterion: &mut Criterion) {
    for (differ, kind) in KINDS {
        for repositories in REPOSITORIES {
            let mut group =
                criterion.benchmark_group(format!("by-{kind}/{repositories}-repositories"));
            for count in RULES {
                let rules = rules(count, differ);
                let policy = policy(&rules);
                let (request, facts) = situation(&policy, repositories);
                group.throughput(Throughput::Elements(1));
                let decision = decide(&policy, &request, &facts);
                assert_eq!(decision.effect, Effect::Approve, "{decision:?}");
                group.bench_function(BenchmarkId::new("patwarden", count), |bencher| {
                    bencher.iter(|| {
                        decide(black_box(&policy), black_box(&request), black_box(&facts))
                    });
                });
                let plain = Plain::new(&rules);
                let teams: HashSet<String> = HashSet::from(["platform".to_owned()]);
                let names: Vec<String> =
                    facts.repositories.value().unwrap().iter().map(|r| r.name.clone()).collect();
                assert_eq!(plain.first(&request, &teams, &names), Some(count - 1));
                group.bench_function(BenchmarkId::new("plain", count), |bencher| {
                    bencher.iter(|| {
                        plain.first(black_box(&request), black_box(&teams), black_box(&names))
                    });
                });
                // Nothing applies: every approve rule is asked how near it came.
                let mut longer = request.clone();
                longer.token.expires_at = Some(now() + SignedDuration::from_hours(200 * 24));
                assert_eq!(decide(&policy, &longer, &facts).effect, Effect::Escalate);
                group.bench_function(BenchmarkId::new("patwarden-near-miss", count), |bencher| {
                    bencher
                        .iter(|| decide(black_box(&policy), black_box(&longer), black_box(&facts)));
                });
                if count <= 1_000 {
                    group.bench_function(BenchmarkId::new("patwarden-trace", count), |bencher| {
                        bencher.iter(|| {
                            decide_with_trace(
                                black_box(&policy),
                                black_box(&request),
                                black_box(&facts),
                            )
                        });
                    });
                }
            }
            group.finish();
        }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(600))
        .configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}
