//! Days of a digest: one on which there is something of everything, a quiet one, and one that strangers wrote.

use jiff::{Timestamp, tz::TimeZoneDatabase};

use crate::{
    digest::*,
    domain::{
        Organization, OrganizationId, Owner, Permissions, RepositorySelection, RequestId,
        RequestedToken, TokenId, UserId,
    },
    rules::{Effect, Guarded, Keeps, NearMiss, RuleId, UnknownFact, Unmet},
};

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn asked(name: &str, reason: &str) -> TokenRequest {
    let permissions: Permissions = serde_json::from_value(serde_json::json!({
        "repository": { "contents": "write", "workflows": "write", "metadata": "read" }
    }))
    .unwrap();
    TokenRequest {
        id: RequestId(7),
        organization: Organization { id: OrganizationId(1), login: Login::new("acme") },
        owner: Owner { id: UserId(3), login: Login::new("kim") },
        token: RequestedToken {
            id: TokenId(9),
            name: name.to_owned(),
            expired: false,
            expires_at: Some(at("2027-02-16T12:00:00Z")),
            last_used_at: None,
        },
        reason: Some(reason.to_owned()),
        repository_selection: RepositorySelection::Subset,
        permissions,
        created_at: at("2026-11-18T07:10:00Z"),
    }
}

pub(super) fn escalated() -> Decision {
    let unmet = |key: &str, expected: &str, found: &str| Unmet {
        key: key.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
        unknown: false,
        hint: None,
    };
    Decision {
        effect: Effect::Escalate,
        by: Vec::new(),
        reason: None,
        to: vec!["owners".to_owned()],
        unknown: Vec::new(),
        only_unknown: false,
        near_miss: Some(NearMiss {
            rule: RuleId::new("approve.devs-write"),
            unmet: vec![
                unmet("allow.lifetime", "at most 30d", "90d"),
                unmet("allow.permissions.repository.workflows", "nothing", "write"),
            ],
        }),
        advisories: Vec::new(),
        waived: Vec::new(),
    }
}

pub(super) fn waiting(
    owner: &str,
    name: &str,
    reason: &str,
    since: &str,
    urgency: Urgency,
) -> Waiting {
    Waiting {
        request: 7,
        owner: Login::new(owner),
        token_name: name.to_owned(),
        since: at(since),
        urgency,
        asked: Some(asked(name, reason)),
        repositories: Some(vec!["web".to_owned(), "api".to_owned()]),
        decision: Some(escalated()),
        cautions: Vec::new(),
        note: String::new(),
        denies_at: None,
        issue: None,
    }
}

impl Waiting {
    /// The same, asked on an issue, where silence denies it.
    fn asked_on_an_issue(mut self) -> Self {
        self.denies_at = Some(at("2026-11-25T07:10:00Z"));
        self.issue = Some("https://github.com/acme/token-reviews/issues/7".to_owned());
        self
    }
}

/// A day on which there is something of everything.
pub(super) fn full() -> Day {
    Day {
        organization: Login::new("acme"),
        date: "2026-11-21".parse().unwrap(),
        now: at("2026-11-21T07:00:05Z"),
        zone: TimeZoneDatabase::bundled().get("Europe/Vienna").unwrap(),
        since: at("2026-11-20T07:00:04Z"),
        late: None,
        mode: Some(Mode::Enforce),
        by: By::Rules,
        pages: Pages::of("https://api.github.com", &Login::new("acme")),
        waiting: Few {
            shown: vec![
                waiting(
                    "kim",
                    "deploy-prod",
                    "CHG-004211 release job",
                    "2026-11-18T07:10:00Z",
                    Urgency::Overdue,
                )
                .asked_on_an_issue(),
                waiting("lee", "nightly", "", "2026-11-21T02:10:00Z", Urgency::InTime),
            ],
            all: 14,
        },
        unconfirmed: 0,
        coming: vec![Coming {
            policy: "revoke.unused".to_owned(),
            at: at("2026-11-22T07:00:00Z"),
            tokens: 3,
            owners: Few { shown: vec![Login::new("ann"), Login::new("bo")], all: 2 },
            named: vec![
                ComingToken { token: 41, owner: Login::new("ann"), name: "old-ci".to_owned() },
                ComingToken { token: 57, owner: Login::new("bo"), name: "laptop".to_owned() },
            ],
            use_keeps: true,
        }],
        alarms: Few {
            shown: vec![Alarm {
                request: 31,
                owner: Login::new("viktor"),
                token_name: "quick look".to_owned(),
                at: at("2026-11-20T13:31:00Z"),
            }],
            all: 1,
        },
        runs: vec![WaitingRun {
            id: 12,
            policy: "revoke.leavers".to_owned(),
            tokens: 40,
            why: "40 tokens are more than max_per_run = 25".to_owned(),
            lapses: at("2026-11-22T03:00:00Z"),
        }],
        troubles: vec![Trouble {
            what: "owner.teams could not be read for 2 of the requests that wait".to_owned(),
            detail: "there is no team `ci-maintainers` that the App can see".to_owned(),
            remedy: "it is read again until it can be".to_owned(),
        }],
        outside: Few {
            shown: vec![
                Outside {
                    owner: Login::new("ann"),
                    token_name: "migration".to_owned(),
                    at: at("2026-11-20T13:31:00Z"),
                    what: OutsideWhat::Approved("olga".to_owned()),
                },
                Outside {
                    owner: Login::new("olga"),
                    token_name: "laptop".to_owned(),
                    at: at("2026-11-20T16:02:00Z"),
                    what: OutsideWhat::OwnersOwn,
                },
            ],
            all: 2,
        },
        expiring: Few {
            shown: vec![
                Expiring {
                    owner: Login::new("bo"),
                    token_name: "backup".to_owned(),
                    at: at("2026-11-22T05:00:00Z"),
                },
                Expiring {
                    owner: Login::new("bo"),
                    token_name: "pages".to_owned(),
                    at: at("2026-11-28T05:00:00Z"),
                },
            ],
            all: 2,
        },
        decided: Decided {
            by_rule: vec![
                RuleCount {
                    rule: "approve.read-only".to_owned(),
                    approved: 12,
                    ..RuleCount::default()
                },
                RuleCount {
                    rule: "approve.devs-write".to_owned(),
                    approved: 5,
                    ..RuleCount::default()
                },
                RuleCount {
                    rule: "deny.administration".to_owned(),
                    denied: 1,
                    ..RuleCount::default()
                },
            ],
            denials: Few {
                shown: vec![Denial {
                    owner: Login::new("cyril"),
                    token_name: "terraform".to_owned(),
                    rule: "deny.administration".to_owned(),
                    reason: "Tokens may not administer repositories of acme. Use a GitHub App."
                        .to_owned(),
                }],
                all: 1,
            },
            people: vec![PersonCount { who: "@olga".to_owned(), approved: 1, denied: 0 }],
            cancelled: 0,
            otherwise: 0,
        },
        trend: Trend { median_wait: Some(4), active: 412, stale: 31, before: Some((409, 31)) },
        without_address: vec![Login::new("martin")],
    }
}

pub(super) fn quiet() -> Day {
    let mut day = full();
    day.waiting = Few::default();
    day.alarms = Few::default();
    day.coming.clear();
    day.runs.clear();
    day.troubles.clear();
    day.outside = Few::default();
    day.expiring = Few::default();
    day
}

/// An entry for each string that a stranger writes.
pub(super) fn hostile(text: &str) -> Day {
    let mut day = full();
    let login = || Login::new(text);
    let mut one = waiting(text, text, text, "2026-11-18T07:10:00Z", Urgency::Overdue);
    one.repositories = Some(vec![text.to_owned(); 30]);
    one.note = text.to_owned();
    let guarded = vec![Guarded { repository: text.to_owned(), keeps: Keeps::Rules }; 30];
    one.cautions = vec![
        Caution::ReachesGuarded { certain: true, guarded },
        Caution::HardVeto { rule: text.to_owned(), unknown: vec![text.to_owned(); 30] },
    ];
    if let Some(near) = one.decision.as_mut().and_then(|decision| decision.near_miss.as_mut()) {
        near.unmet[0].found = text.to_owned();
        near.unmet[0].expected = text.to_owned();
    }
    let mut held = one.clone();
    if let Some(decision) = &mut held.decision {
        decision.effect = Effect::Deny;
        decision.reason = Some(text.to_owned());
        decision.unknown = vec![UnknownFact {
            fact: "owner.teams".to_owned(),
            why: text.to_owned(),
            rule: RuleId::new("escalate.x"),
            retry: true,
        }];
    }
    day.waiting = Few { shown: vec![one, held].into_iter().cycle().take(20).collect(), all: 5_000 };
    for coming in &mut day.coming {
        coming.owners.shown = vec![login(); 3];
        let token = ComingToken { token: 7, owner: login(), name: text.to_owned() };
        coming.named = vec![token; 20];
    }
    let alarm = Alarm { request: 7, owner: login(), token_name: text.to_owned(), at: day.now };
    day.alarms = Few { shown: vec![alarm; 20], all: 5_000 };
    day.runs[0].why = text.to_owned();
    day.troubles[0].detail = text.to_owned();
    day.troubles = vec![day.troubles[0].clone(); 20];
    day.outside.shown[0].owner = login();
    day.outside.shown[0].token_name = text.to_owned();
    day.outside.shown[0].what = OutsideWhat::Approved(text.to_owned());
    day.outside = Few { shown: vec![day.outside.shown[0].clone(); 20], all: 100_000 };
    let one = Expiring { owner: login(), token_name: text.to_owned(), at: day.now };
    day.expiring = Few { shown: vec![one; 300], all: 100_000 };
    let denial = Denial {
        owner: login(),
        token_name: text.to_owned(),
        rule: "deny.x".to_owned(),
        reason: text.to_owned(),
    };
    day.decided.denials = Few { shown: vec![denial; 20], all: 5_000 };
    day.decided.people = vec![PersonCount { who: text.to_owned(), approved: 1, denied: 1 }; 30];
    day.without_address = vec![login(); 20];
    day
}
