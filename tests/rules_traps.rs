//! Mistakes that others made, or that are easily made, each tried once against a policy.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

mod rules_support;

use jiff::Timestamp;
use patwarden::{
    domain::{Login, TeamRef, TokenRequest},
    rules::{
        Decision, Effect, Policy, SourceFile, cases, decide,
        facts::{Fact, Facts},
        load::load,
    },
};
use proptest::prelude::*;
use rules_support::policy;

const READERS: &str = "
[approve.readers]
when.owner.teams = [\"readers\"]
allow.lifetime = \"90d\"
allow.repositories = [\"*\"]
allow.permissions.repository = { contents = \"read\" }
";

fn escalating(rules: &str) -> Policy {
    policy(&[format!("schema = 1\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n{rules}")])
}

fn denying(rules: &str) -> Policy {
    policy(&[format!(
        "schema = 1\n[default]\ndecision = \"deny\"\nreason = \"No rule covers this. Closest: {{near_miss}}\"\nto = \"owners\"\n{rules}"
    )])
}

fn situation(policy: &Policy, text: &str) -> (TokenRequest, Facts) {
    cases::parse_situation("request.toml", text, policy.needs()).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|p| p.render_human(false)).collect::<String>())
    })
}

fn judge(policy: &Policy, text: &str) -> Decision {
    let (request, facts) = situation(policy, text);
    decide(policy, &request, &facts)
}

const READ_WEB: &str = "repositories = [\"web\"], permissions.repository = { contents = \"read\" }";

#[test]
fn a_token_that_never_expires_is_not_a_short_one() {
    let policy = escalating(READERS);
    let world = "world.owner.teams = [\"readers\"]";
    let ask = |lifetime: &str| {
        judge(&policy, &format!("wants = {{ lifetime = \"{lifetime}\", {READ_WEB} }}\n{world}"))
    };
    assert_eq!(ask("90d").effect, Effect::Approve);
    assert_eq!(ask("never").effect, Effect::Escalate);
    assert_eq!(ask("never").near_miss.unwrap().lines(), ["approve.readers: allow.lifetime"]);
}

#[test]
fn an_owner_in_no_team_gets_an_answer() {
    let wants = format!("wants = {{ {READ_WEB} }}\nworld.owner.teams = []");
    let decision = judge(&denying(READERS), &wants);
    assert_eq!((decision.effect, decision.by.len()), (Effect::Deny, 0));
    assert_eq!(
        decision.reason.unwrap(),
        "No rule covers this. Closest: approve.readers would need a condition that is not in your hands"
    );
    assert_eq!(judge(&escalating(READERS), &wants).to, ["owners"]);
}

#[test]
fn a_team_that_was_not_looked_up_is_unknown_and_not_left_out() {
    let policy = denying(READERS);
    let (request, mut facts) = situation(&policy, &format!("wants = {{ {READ_WEB} }}"));
    assert_eq!(decide(&policy, &request, &facts).effect, Effect::Deny);
    facts.owner_teams.clear();
    let decision = decide(&policy, &request, &facts);
    assert_eq!((decision.effect, decision.only_unknown), (Effect::Escalate, true));
    assert_eq!(decision.unknown[0].fact, "owner.teams");
}

#[test]
fn a_bare_slug_and_one_with_the_organization_are_one_team() {
    let policy = escalating(&READERS.replace("\"readers\"", "\"Acme/Readers\""));
    let (mut request, mut facts) =
        situation(&policy, &format!("wants = {{ {READ_WEB} }}\nworld.owner.teams = [\"readers\"]"));
    assert_eq!(decide(&policy, &request, &facts).effect, Effect::Approve);
    let known = facts.owner_teams.remove(&TeamRef::parse("acme/readers").unwrap()).unwrap();
    facts.owner_teams.insert(TeamRef::parse("readers").unwrap(), known);
    assert_eq!(decide(&policy, &request, &facts).effect, Effect::Approve);
    // A team of that name in another organization is another team.
    request.organization.login = Login::new("globex");
    assert_eq!(decide(&policy, &request, &facts).effect, Effect::Escalate);
}

#[test]
fn a_token_for_all_repositories_reaches_those_that_a_rule_names() {
    let rules = "[deny.release]\nreason = \"No.\"\nwhen.repositories.any.name = [\"release-*\"]\n[escalate.few]\nto = \"owners\"\nwhen.repositories.count.at_least = 50\n";
    let policy = escalating(rules);
    let decision = judge(&policy, "wants = { repository_selection = \"all\" }");
    assert_eq!(decision.by.iter().map(|rule| rule.as_str()).collect::<Vec<_>>(), ["deny.release"]);
    // In an exception the same question has no answer, so the rule is only unknown: people are asked.
    let excepted = denying(
        "[deny.all]\nreason = \"No.\"\nwhen.repository_selection = [\"all\"]\nunless.repositories.any.name = [\"sandbox\"]\n",
    );
    let decision = judge(&excepted, "wants = { repository_selection = \"all\" }");
    assert_eq!(decision.effect, Effect::Escalate);
    assert!(!decision.only_unknown, "reading again will not tell: {decision:?}");
    assert!(!decision.unknown[0].retry);
}

#[test]
fn a_token_for_all_repositories_needs_both_words() {
    let ask = |allow: &str| {
        let rules = READERS.replace("allow.repositories = [\"*\"]", allow);
        judge(&escalating(&rules), "wants = { repository_selection = \"all\", permissions.repository = { contents = \"read\" } }\nworld.owner.teams = [\"readers\"]").effect
    };
    assert_eq!(ask("allow.repositories = [\"*\"]"), Effect::Escalate);
    assert_eq!(ask("allow.repositories = [\"*\"]\nallow.all_repositories = true"), Effect::Approve);
    assert_eq!(
        ask("allow.repositories = [\"svc-*\"]\nallow.all_repositories = true"),
        Effect::Escalate
    );
    assert_eq!(
        ask(
            "allow.repositories = [\"*\"]\nallow.all_repositories = true\nallow.max_repositories = 1000000"
        ),
        Effect::Escalate
    );
}

#[test]
fn a_repository_hides_behind_no_spelling() {
    let policy = escalating(
        "[deny.release]\nreason = \"No.\"\nwhen.repositories.any.name = [\"release-*\", \"WebSite\"]\n",
    );
    for (name, effect) in [
        ("Release-24", Effect::Deny),
        ("website", Effect::Deny),
        ("prerelease-24", Effect::Escalate),
        ("release", Effect::Escalate),
    ] {
        assert_eq!(
            judge(&policy, &format!("wants.repositories = [\"{name}\"]")).effect,
            effect,
            "{name}"
        );
    }
}

#[test]
fn a_letter_that_looks_the_same_is_another_letter() {
    let policy = escalating(&format!(
        "{READERS}when.token.name.matches = \"ci-[a-z]+\"\nwhen.owner.login = [\"kim\"]\n"
    ));
    let ask = |name: &str, login: &str| {
        judge(&policy, &format!("wants = {{ name = \"{name}\", {READ_WEB} }}\nworld.owner = {{ login = \"{login}\", teams = [\"readers\"] }}")).effect
    };
    assert_eq!(ask("ci-build", "KIM"), Effect::Approve);
    assert_eq!(ask("ci-bu\u{456}ld", "kim"), Effect::Escalate);
    assert_eq!(ask("ci-build", "k\u{456}m"), Effect::Escalate);
    assert_eq!(ask("ci-build\\n", "kim"), Effect::Escalate);
    assert_eq!(ask("ci-build\u{200B}", "kim"), Effect::Escalate);
}

const FREEZE: &str = "[escalate.freeze]\ngate = true\nto = \"owners\"\nwhen.clock = { from = 2026-12-15, until = 2027-01-04, timezone = \"Europe/Vienna\" }\nwhen.permissions.any_at_least.repository = { \"*\" = \"read\" }\n";

#[test]
fn a_freeze_opens_no_door_for_a_stranger() {
    let policy = denying(&format!("{READERS}{FREEZE}"));
    let ask = |now: &str, teams: &str| {
        judge(
            &policy,
            &format!("now = {now}\nwants = {{ {READ_WEB} }}\nworld.owner.teams = [{teams}]"),
        )
    };
    assert_eq!(ask("2026-12-01T00:00:00Z", "\"readers\"").effect, Effect::Approve);
    assert_eq!(ask("2026-12-24T00:00:00Z", "\"readers\"").by[0].as_str(), "escalate.freeze");
    assert_eq!(ask("2026-12-24T00:00:00Z", "").effect, Effect::Deny);
    // Without `gate` the same rule would hand the stranger to people.
    let open = denying(&format!("{READERS}{}", FREEZE.replace("gate = true", "gate = false")));
    let stranger = judge(&open, &format!("now = 2026-12-24T00:00:00Z\nwants = {{ {READ_WEB} }}"));
    assert_eq!(stranger.effect, Effect::Escalate);
}

#[test]
fn a_case_cannot_flip_at_midnight() {
    let case = |now: &str| {
        let tests = format!(
            "[tests.\"frozen\"]\n{now}wants = {{ {READ_WEB} }}\nworld.owner.teams = [\"readers\"]\nexpect = \"escalate\"\n[tests.\"who has nothing to do with it\"]\nwants.repositories = [\"web\"]\nexpect = \"escalate\"\n"
        );
        load(&[
            SourceFile::new(
                "a.toml",
                format!(
                    "schema = 1\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n{READERS}{FREEZE}"
                ),
            ),
            SourceFile::new("a.tests.toml", tests),
        ])
    };
    let silent = case("");
    assert!(silent.policy.is_none());
    let codes: Vec<_> =
        silent.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.code.as_str()).collect();
    assert_eq!(codes, ["state-now"]);
    assert!(case("now = 2026-12-24T00:00:00Z\n").policy.is_some());
}

#[test]
fn lifetimes_are_whole_days_left_rounded_down() {
    let policy = escalating(READERS);
    let (mut request, facts) =
        situation(&policy, &format!("wants = {{ {READ_WEB} }}\nworld.owner.teams = [\"readers\"]"));
    let at = |text: &str| text.parse::<Timestamp>().ok();
    request.created_at = at("2026-06-01T08:00:00Z").unwrap();
    // "90 days" in GitHub's form ends late on the last day.
    for (expires, effect) in [
        ("2026-08-30T23:59:59Z", Effect::Approve),
        ("2026-08-31T07:59:59Z", Effect::Approve),
        ("2026-08-31T08:00:00Z", Effect::Escalate),
    ] {
        request.token.expires_at = at(expires);
        assert_eq!(decide(&policy, &request, &facts).effect, effect, "{expires}");
    }
}

#[test]
fn the_policy_repository_is_protected_once_it_is_named() {
    let rules = READERS.replace("\"read\"", "\"write\"");
    let policy = escalating(&rules);
    let text = "wants = { repositories = [\"Policies\"], permissions.repository = { contents = \"write\" } }\nworld.owner.teams = [\"readers\"]";
    assert_eq!(judge(&policy, text).effect, Effect::Approve);
    let policy = policy.with_protected("ACME", "policies");
    let decision = judge(&policy, text);
    assert_eq!(
        (decision.effect, decision.by[0].as_str()),
        (Effect::Escalate, "builtin.protected-repositories")
    );
    assert_eq!(judge(&policy, &text.replace("\"write\"", "\"read\"")).effect, Effect::Approve);
    assert_eq!(
        judge(&policy, &format!("{text}\nworld.organization = \"globex\"")).effect,
        Effect::Approve
    );
}

#[test]
fn of_several_denials_the_hard_one_is_sent_and_all_are_recorded() {
    let rule = |id: &str, more: &str| {
        format!("[deny.{id}]\nwhen.token.expired = true\nreason = \"{id}\"\n{more}")
    };
    let policy = escalating(
        &[
            rule("a", ""),
            rule("c", "enforcement = \"hard\"\n"),
            rule("b", "enforcement = \"hard\"\n"),
            rule("d", "enforcement = \"advisory\"\n"),
        ]
        .concat(),
    );
    let decision = judge(&policy, "wants.expired = true");
    assert_eq!(
        decision.by.iter().map(|rule| rule.as_str()).collect::<Vec<_>>(),
        ["deny.b", "deny.c", "deny.a"]
    );
    assert_eq!(decision.reason.as_deref(), Some("b"));
    assert_eq!(decision.advisories[0].as_str(), "deny.d");
}

#[test]
fn each_group_that_is_named_is_asked() {
    let policy = escalating(
        "[reviewers.a]\nnotify = [\"email:owners\"]\nmay_decide.roles = [\"owner\"]\n[reviewers.b]\nnotify = [\"email:owners\"]\nmay_decide.teams = [\"b\"]\nquorum = 2\n\
         [escalate.x]\nwhen.token.expired = true\nto = \"b\"\n[escalate.y]\nwhen.token.expired = true\nto = [\"a\", \"b\"]\n",
    );
    assert_eq!(judge(&policy, "wants.expired = true").to, ["a", "b"]);
    assert_eq!(judge(&policy, "wants.expired = false").to, ["owners"]);
}

#[test]
fn a_known_escalation_does_not_wait_for_a_fact_that_cannot_undo_it() {
    let rules =
        format!("{READERS}[escalate.expired]\nwhen.token.expired = true\nto = \"owners\"\n");
    let text = format!("unknown = [\"owner.teams\"]\nwants = {{ expired = true, {READ_WEB} }}");
    let decision = judge(&escalating(&rules), &text);
    assert_eq!(
        (decision.effect, decision.only_unknown, decision.unknown.len()),
        (Effect::Escalate, false, 0)
    );
    // A denial that hangs on it would.
    let rules = format!("{rules}[deny.team]\nwhen.owner.teams = [\"leavers\"]\nreason = \"No.\"\n");
    let decision = judge(&escalating(&rules), &text);
    assert_eq!((decision.effect, decision.only_unknown), (Effect::Escalate, true));
}

#[test]
fn an_empty_list_of_a_subset_is_unread() {
    let policy = escalating(READERS);
    let (request, mut facts) =
        situation(&policy, &format!("wants = {{ {READ_WEB} }}\nworld.owner.teams = [\"readers\"]"));
    facts.repositories = Fact::known(Vec::new(), "GET", facts.now);
    let decision = decide(&policy, &request, &facts);
    assert_eq!((decision.effect, decision.only_unknown), (Effect::Escalate, true));
}

#[test]
fn a_reason_of_blanks_is_no_reason() {
    let policy = escalating(&format!("{READERS}require.reason_min_length = 5\n"));
    for (reason, effect) in [
        ("12345", Effect::Approve),
        ("1234", Effect::Escalate),
        ("1   \\u200b\\u200b\\t2", Effect::Escalate),
    ] {
        let text = format!(
            "wants = {{ reason = \"{reason}\", {READ_WEB} }}\nworld.owner.teams = [\"readers\"]"
        );
        assert_eq!(judge(&policy, &text).effect, effect, "{reason}");
    }
}

#[test]
fn requirements_of_the_whole_file_bind_every_rule() {
    let policy = escalating(&format!(
        "[require]\nreason_min_length = 10\nreason_matches = \"CHG-\"\n[ceiling]\nlifetime = \"30d\"\nmax_repositories = 1\n{READERS}require.reason_min_length = 3\n"
    ));
    let ask = |wants: &str| {
        judge(
            &policy,
            &format!(
                "wants = {{ {wants}, permissions.repository = {{ contents = \"read\" }} }}\nworld.owner.teams = [\"readers\"]"
            ),
        )
    };
    let reason = "reason = \"CHG-12345678\"";
    assert_eq!(
        ask(&format!("{reason}, lifetime = \"30d\", repositories = [\"a\"]")).effect,
        Effect::Approve
    );
    assert_eq!(
        ask(&format!("{reason}, lifetime = \"31d\", repositories = [\"a\"]")).effect,
        Effect::Escalate
    );
    assert_eq!(ask(&format!("{reason}, repositories = [\"a\", \"b\"]")).effect, Effect::Escalate);
    assert_eq!(
        ask("reason = \"CHG-12\", repositories = [\"a\"]").near_miss.unwrap().lines(),
        ["approve.readers: require.reason_min_length"]
    );
    assert_eq!(
        ask("reason = \"no ticket here\", repositories = [\"a\"]").near_miss.unwrap().lines(),
        ["approve.readers: require.reason_matches"]
    );
}

#[test]
fn the_hash_tells_texts_and_names_apart_and_no_order() {
    let file = |name: &str, text: &str| SourceFile::new(name, text);
    let head = "schema = 1\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n";
    let hash = |files: &[SourceFile]| load(files).policy.unwrap().hash().to_owned();
    let both = [file("a.toml", head), file("b.toml", "schema = 1\n")];
    let turned = [both[1].clone(), both[0].clone()];
    assert_eq!(hash(&both), hash(&turned));
    assert_ne!(hash(&both), hash(&[file("a.toml", head), file("c.toml", "schema = 1\n")]));
    assert_ne!(hash(&both), hash(&[file("a.toml", head), file("b.toml", "schema = 1\n\n")]));
    assert_eq!(hash(&both).len(), 64);
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let n = 100_000;
    for text in [
        format!("a = {}{}", "[".repeat(n), "]".repeat(n)),
        format!("a = {}", "{a=".repeat(n)),
        format!("{}a = 1", "a.".repeat(n)),
        format!("[{}a]\nb = 1", "a.".repeat(n)),
        format!("[deny.x]\nwhen = {}", "{when=".repeat(n)),
        (0..79).fold(String::new(), |text, _| format!("{text}{{ {}a = ", "a.".repeat(78))),
    ] {
        assert!(load(&[SourceFile::new("x.toml", text)]).policy.is_none());
    }
}

proptest! {
    #![proptest_config(rules_support::cases())]

    #[test]
    fn loading_never_panics_on_anything(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = load(&[SourceFile::new("x.toml", text)]);
        let _ = load(&[SourceFile::new("x.tests.toml", String::from_utf8_lossy(&bytes))]);
    }

    /// Pieces of rule files in any order: nearly right is where loaders break.
    #[test]
    fn loading_never_panics_on_what_looks_like_rules(pieces in proptest::collection::vec(piece(), 0..40)) {
        let loaded = load(&[SourceFile::new("x.toml", pieces.concat())]);
        prop_assert_eq!(loaded.policy.is_none(), loaded.has_errors());
        for diagnostic in &loaded.diagnostics {
            prop_assert!(!diagnostic.render_human(false).is_empty());
            prop_assert!(diagnostic.place.line >= 1 && diagnostic.place.column >= 1);
        }
        let _ = cases::run(&loaded).render();
    }
}

fn piece() -> impl Strategy<Value = String> {
    let words = "schema = 1|mode = \"shadow\"|[default]|decision = \"deny\"|to = \"owners\"|[approve.a]|[deny.b]|[escalate.c]|[ceiling]|[require]|[reviewers.r]|[revoke.v]|[waiver.w]|[digest]|[tests.\"t\"]|when|unless|allow|owner|teams|token|lifetime|repositories|any|all|name|permissions|any_at_least|within|repository|contents|clock|wants|world|expect|by|finally|next|notify|.|.|.|=|=|=|{|}|[|]|,|\"90d\"|\"36h\"|\"*\"|\"a\"|1|true|2026-06-01|\"issue:a/b\"|\n|\n|\n|\n| |\"|#|é|\u{202E}|\r\n|\\";
    proptest::sample::select(words.split('|').map(str::to_owned).collect::<Vec<_>>())
}
