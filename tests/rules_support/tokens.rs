//! Approved tokens and standing policies made up by proptest.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use patwarden::{
    domain::{Approval, Grant, GrantId, Repository, RequestId, TeamRef, TokenRequest},
    rules::{
        Policy,
        facts::{Fact, Facts},
        held::{Departed, HeldToken, Left},
    },
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
};

use super::{
    PolicyText, RuleText, TEAMS, any_policy, condition, facts, lines, now, policy, repository_test,
    request, some, who,
};

/// An approved token with all that is known of it.
#[derive(Clone, Debug)]
pub struct Held {
    pub grant: Grant,
    pub recorded: Option<TokenRequest>,
    pub approval: Approval,
    pub facts: Facts,
    pub left: Vec<Departed>,
}

impl Held {
    pub fn token(&self) -> HeldToken<'_> {
        let Self { grant, recorded, approval, facts, left } = self;
        HeldToken { grant, recorded: recorded.as_ref(), approval, facts, left }
    }

    /// The same, and its repositories were not looked at.
    pub fn without_repositories(&self) -> Self {
        let mut poorer = self.clone();
        poorer.facts.repositories = Fact::<Vec<Repository>>::not_asked();
        poorer
    }
}

fn departed() -> impl Strategy<Value = Departed> {
    let what = select(TEAMS.to_vec()).prop_map(|team| Left::Team(TeamRef::parse(team).unwrap()));
    let left = prop_oneof![Just(Left::Organization), what];
    (left, -2..100i64).prop_map(|(left, days_ago)| Departed { at: ago(days_ago), left })
}

fn ago(days: i64) -> Timestamp {
    now() - SignedDuration::from_hours(days * 24 + 1)
}

pub fn by_rule() -> Approval {
    Approval::Rule {
        rules: vec!["approve.before".to_owned()],
        decision: 1,
        request: RequestId(1),
        source: "rules.toml".to_owned(),
        at: ago(1),
    }
}

/// Who approves, other than our rules.
pub fn no_rule() -> impl Strategy<Value = Approval> {
    let (login, request, at) = ("olga".to_owned(), RequestId(1), ago(1));
    select(vec![
        Approval::Person { login: login.clone(), request, at },
        Approval::App { login, request, at },
        Approval::Itself,
        Approval::Unknown,
    ])
}

pub fn held() -> impl Strategy<Value = Held> {
    let approval = prop_oneof![4 => Just(by_rule()), 1 => no_rule()];
    (request(), 0..100i64, any::<(bool, bool)>(), 0..10u8, approval, facts(), vec(departed(), 0..4))
        .prop_map(
            |(mut request, granted, (on_record, regenerated), dead, approval, facts, left)| {
                request.created_at = ago(granted + 1);
                // Most are alive, or nothing would be said of any.
                request.token.expired = dead == 0;
                if dead > 1 {
                    let later = SignedDuration::from_hours((granted + 2) * 24);
                    request.token.expires_at = request.token.expires_at.map(|at| at + later);
                }
                let mut grant = Grant {
                    id: GrantId(1),
                    organization: request.organization.clone(),
                    owner: request.owner.clone(),
                    token: request.token.clone(),
                    repository_selection: request.repository_selection,
                    permissions: request.permissions.clone(),
                    access_granted_at: ago(granted),
                };
                if regenerated {
                    let later = SignedDuration::from_hours(240);
                    grant.token.expires_at = grant.token.expires_at.map(|at| at + later);
                }
                let recorded = on_record.then_some(request);
                Held { grant, recorded, approval, facts, left }
            },
        )
}

/// A policy of which some approve rules bound hardly anything but what they ask: of others, most tokens are over some
/// bound, and no question is left.
pub fn wide_policy(most: usize) -> impl Strategy<Value = PolicyText> {
    let allow = "allow.lifetime = \"3650d\"\nallow.repositories = [\"*\"]\nallow.all_repositories = true\n\
        allow.permissions.repository = { contents = \"write\", issues = \"write\", secrets = \"write\", \
        administration = \"write\", actions = \"write\" }\nallow.permissions.organization = { members = \"write\" }\n";
    let unless = prop_oneof![2 => Just(String::new()), 1 => lines("unless", condition(false), 1)];
    let wide = (lines("when", condition(false), 1), unless).prop_map(move |(when, unless)| {
        RuleText { verb: "approve", body: format!("{when}{unless}{allow}") }
    });
    (any_policy(most), vec(wide, 0..4)).prop_map(|(mut text, wide)| {
        text.own.rules.extend(wide);
        text
    })
}

/// One block `[revoke.ID]`, all but its head.
pub fn revocation() -> impl Strategy<Value = String> {
    let days = (1..100i64).prop_map(|days| format!("\"{days}d\""));
    let key = prop_oneof![
        1 => days.clone().prop_map(|v| ("when.unused_for", v)),
        1 => days.clone().prop_map(|v| ("when.granted_for", v)),
        1 => days.prop_map(|v| ("when.lifetime_over", v)),
        3 => Just(("when.no_longer_covered", "true".to_owned())),
        2 => who().prop_map(|(key, v)| match key {
            "owner.login" => ("when.owner.login", v),
            "owner.teams" => ("when.owner.teams", v),
            _ => ("when.owner.role", v),
        }),
        1 => some(&["all", "subset", "none"]).prop_map(|v| ("when.repository_selection", v)),
        1 => repository_test().prop_map(|v| ("when.repositories.any", v)),
        1 => repository_test().prop_map(|v| ("when.repositories.all", v)),
        3 => some(&["organization.member_removed", "membership.removed"]).prop_map(|v| ("on", v)),
    ];
    vec(key, 1..3).prop_map(|keys| {
        let keys: BTreeMap<_, _> = keys.into_iter().collect();
        let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        format!("{}grace = \"1d\"\nmax_per_run = 5\n", keys.concat())
    })
}

/// Some of them by id.
pub fn revocations() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("[a-e]", revocation(), 1..4)
}

/// The blocks with their heads.
pub fn blocks(revocations: &BTreeMap<String, String>) -> Vec<String> {
    revocations.iter().map(|(id, body)| format!("[revoke.{id}]\n{body}")).collect()
}

/// A policy with these standing policies in the organization's file.
pub fn with_revocations(text: &PolicyText, revocations: &BTreeMap<String, String>) -> Policy {
    let own = text.file() + &blocks(revocations).concat();
    policy(&text.enterprise().into_iter().chain([own]).collect::<Vec<_>>())
}
