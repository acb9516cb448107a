//! An enterprise's rules above an organization's: what binds, what may be excepted, and who is to blame when the two
//! contradict each other.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use insta::assert_snapshot;
use patwarden::rules::{
    Decision, Effect, Mode, Policy, SourceFile, Sources, Standing, calendar, cases, decide,
    decide_with_trace,
    diagnostic::{Code, Diagnostic},
    load::{Loaded, load_layers},
    render,
};

const ENTERPRISE: &str = r#"
schema = 1
layer = "enterprise"
mode = "enforce"
[default]
decision = "escalate"
to = "secops"
[reviewers.secops]
notify = ["email:secops@bank.example"]
may_decide.teams = ["bank/security"]
"#;

const ORGANIZATION: &str = r#"
schema = 1
mode = "enforce"
"#;

const READERS: &str = r#"
[approve.readers]
when.owner.role = ["member"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.all_repositories = true
allow.permissions.repository = { contents = "write", issues = "write" }
"#;

fn loaded(enterprise: &str, organization: &str, standing: Standing) -> Loaded {
    load_layers(&Sources {
        enterprise: vec![SourceFile::new("enterprise.toml", ENTERPRISE.to_owned() + enterprise)],
        organization: vec![SourceFile::new("acme.toml", ORGANIZATION.to_owned() + organization)],
        standing,
    })
}

fn policy(enterprise: &str, organization: &str) -> Policy {
    let loaded = loaded(enterprise, organization, Standing::New);
    let shown = shown(&loaded.diagnostics);
    loaded.policy.unwrap_or_else(|| panic!("{shown}"))
}

fn judge(policy: &Policy, request: &str) -> Decision {
    let (request, facts) = cases::parse_situation("request", request, policy.needs()).unwrap();
    decide(policy, &request, &facts)
}

fn shown(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|d| d.render_human(false)).collect::<Vec<_>>().join("\n\n")
}

fn codes(loaded: &Loaded) -> Vec<Code> {
    let lint = |code: &Code| matches!(code, Code::UntestedApprove | Code::UnusedGroup);
    loaded.diagnostics.iter().map(|d| d.code).filter(|code| !lint(code)).collect()
}

/// A request of a member's, with these lines added.
fn asks(more: &str) -> String {
    format!(
        "wants.repositories = [\"web\"]\nwants.permissions.repository.contents = \"write\"\n{more}"
    )
}

#[test]
fn an_enterprise_forbids_and_no_organization_allows() {
    let policy = policy(
        "[deny.never]\nwhen.token.never_expires = true\nreason = \"Choose an expiry.\"\n\
         [escalate.admin]\nwhen.permissions.any_at_least.repository = { issues = \"write\" }\nto = \"secops\"\n",
        READERS,
    );
    assert_eq!(judge(&policy, &asks("")).effect, Effect::Approve);
    assert_eq!(judge(&policy, &asks("wants.lifetime = \"never\"\n")).effect, Effect::Deny);
    let issues = judge(&policy, &asks("wants.permissions.repository.issues = \"write\"\n"));
    assert_eq!((issues.effect, issues.to), (Effect::Escalate, vec!["secops".to_owned()]));
}

#[test]
fn ceilings_of_all_layers_bind_by_the_smaller_number() {
    let enterprise = "[ceiling]\nlifetime = \"60d\"\nmax_repositories = 2\npermissions.repository = { contents = \"write\", actions = \"read\" }\n\
                      [require]\nreason_min_length = 10\n";
    let organization = "[ceiling]\nlifetime = \"70d\"\nmax_repositories = 1\n[require]\nreason_matches = \"CHG\"\n";
    let policy = policy(enterprise, &(READERS.to_owned() + organization));
    let passes = "wants.reason = \"CHG-1 and so on\"\n";
    assert_eq!(
        judge(&policy, &asks(&(passes.to_owned() + "wants.lifetime = \"60d\"\n"))).effect,
        Effect::Approve
    );
    let unmet = |more: &str| {
        let near_miss = judge(&policy, &asks(more)).near_miss.unwrap();
        near_miss.unmet.iter().map(|unmet| unmet.key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(unmet(&(passes.to_owned() + "wants.lifetime = \"61d\"\n")), ["allow.lifetime"]);
    assert_eq!(unmet("wants.reason = \"CHG-1\"\n"), ["require.reason_min_length"]);
    assert_eq!(unmet("wants.reason = \"a longer one\"\n"), ["require.reason_matches"]);
    let issues = passes.to_owned() + "wants.permissions.repository.issues = \"read\"\n";
    assert_eq!(unmet(&issues), ["allow.permissions.repository.issues"]);
    let two = "wants.repositories = [\"web\", \"api\"]\nwants.permissions.repository.contents = \"read\"\nwants.reason = \"CHG-1 and so on\"\n";
    assert_eq!(
        judge(&policy, two).near_miss.unwrap().lines(),
        ["approve.readers: allow.max_repositories"]
    );
}

/// Whoever reads "at most 60d" and finds 90d in the rule must learn where the other number is.
#[test]
fn a_trace_says_whose_bound_it_is_where_the_rule_says_another() {
    let enterprise = "[ceiling]\nlifetime = \"60d\"\nmax_repositories = 2\nall_repositories = false\n\
                      permissions.repository = { contents = \"write\", actions = \"read\" }\n\
                      [require]\nreason_min_length = 10\nreason_matches = \"[A-Z]\"\n";
    let organization = "require.reason_min_length = 5\n[ceiling]\nlifetime = \"70d\"\nmax_repositories = 1\n\
                        permissions.repository = { contents = \"read\" }\n[require]\nreason_matches = \"CHG\"\n";
    let policy = policy(enterprise, &(READERS.to_owned() + organization));
    let (request, facts) =
        cases::parse_situation("request", &asks("wants.lifetime = \"61d\"\n"), policy.needs())
            .unwrap();
    let (_, trace) = decide_with_trace(&policy, &request, &facts);
    let tree = render::tree(&trace);
    let of_the_rule: Vec<_> =
        tree.lines().skip_while(|line| !line.starts_with("approve.readers")).take(9).collect();
    assert_snapshot!(of_the_rule.join("\n"), @r#"
    approve.readers: not matched
      + when.owner.role: expected member; found member (the case, 2026-06-01 12:00:00Z)
      - allow.lifetime: expected at most 60d, by the enterprise's [ceiling]; found 61d
      + allow.repositories: expected *, picked by name, by the enterprise's [ceiling]; found web (the case, 2026-06-01 12:00:00Z)
      - allow.permissions: expected at most repository.contents: read, by the enterprise's [ceiling] and the organization's [ceiling]; found repository.contents: write
      + allow.max_repositories: expected at most 1, by the organization's [ceiling]; found 1 (the case, 2026-06-01 12:00:00Z)
      - require.reason_min_length: expected at least 10 characters, by the enterprise's [require]; found "" (0 characters)
      - require.reason_matches: expected matches [A-Z], by the enterprise's [require]; found "" (0 characters)
      - require.reason_matches: expected matches CHG, by the organization's [require]; found "" (0 characters)
    "#);
    // What the rule itself bounds at least as tightly is its own.
    let loose =
        self::policy("[ceiling]\nlifetime = \"90d\"\n[require]\nreason_min_length = 1\n", READERS);
    let (_, trace) = decide_with_trace(&loose, &request, &facts);
    let conditions = &trace
        .rules
        .iter()
        .find(|rule| rule.rule.as_str() == "approve.readers")
        .unwrap()
        .conditions;
    let lifetime = conditions.iter().find(|one| one.key == "allow.lifetime").unwrap();
    assert_eq!(lifetime.bound_by, []);
}

#[test]
fn the_least_acting_mode_of_all_layers_wins_and_none_means_shadow() {
    let mode = |enterprise: &str, organization: &str| {
        let sources = Sources {
            enterprise: vec![SourceFile::new(
                "e.toml",
                ENTERPRISE.replace("mode = \"enforce\"", enterprise),
            )],
            organization: vec![SourceFile::new("o.toml", format!("schema = 1\n{organization}\n"))],
            standing: Standing::New,
        };
        load_layers(&sources).policy.unwrap().mode()
    };
    assert_eq!(mode("mode = \"enforce\"", "mode = \"enforce\""), Mode::Enforce);
    assert_eq!(mode("mode = \"approve-only\"", "mode = \"enforce\""), Mode::ApproveOnly);
    assert_eq!(mode("mode = \"enforce\"", ""), Mode::Shadow);
    assert_eq!(mode("", "mode = \"enforce\""), Mode::Shadow);
}

#[test]
fn a_lower_default_tightens_and_adds_whom_to_ask() {
    let default = "[default]\ndecision = \"deny\"\nreason = \"No rule covers this.\"\nto = \"team\"\n\
                   [reviewers.team]\nnotify = [\"email:owners\"]\nmay_decide.roles = [\"owner\"]\n";
    let policy = policy("", default);
    assert_eq!(judge(&policy, &asks("")).effect, Effect::Deny);
    assert_eq!(policy.default_to(), ["secops", "team"]);
    // Without a word of its own the upper layer's stands.
    assert_eq!(
        judge(&self::policy("", READERS), &asks("wants.lifetime = \"91d\"\n")).effect,
        Effect::Escalate
    );
    // An upper layer names only what it knows: it is complete without the ones below.
    let below =
        loaded("[escalate.x]\nwhen.token.expired = true\nto = \"team\"\n", default, Standing::New);
    assert_eq!(codes(&below), [Code::UnknownGroup]);
}

#[test]
fn a_lower_layer_redefines_nothing_and_waives_nothing_hard() {
    let enterprise =
        "[deny.never]\nwhen.token.never_expires = true\nreason = \"Choose an expiry.\"\n";
    let organization = "[deny.never]\nwhen.token.expired = true\nreason = \"Expired.\"\n\
        [waiver.w]\nrule = \"deny.never\"\nowner = \"kim\"\ngranted = 2026-06-01\nuntil = 2026-06-30\nrecord = \"R\"\nmax.lifetime = \"30d\"\n";
    assert_snapshot!(shown(&loaded(enterprise, organization, Standing::New).diagnostics), @r#"
    error[duplicate-id]: an upper layer has a `never`, and it cannot be redefined
      --> acme.toml:4:7
       |
     4 | [deny.never]
       |       ^^^^^
       |
      ::: enterprise.toml:11:7
       |
    11 | [deny.never]
       |       ----- the upper layer's
       |
       = help: give this one a name of its own; it adds to the upper layer's
       = note: see docs/rules.md#duplicate-id

    error[waiver-of-hard-rule]: `deny.never` is hard, and only a soft rule can be waived
      --> acme.toml:8:8
       |
     8 | rule = "deny.never"
       |        ^^^^^^^^^^^^
       |
      ::: enterprise.toml:11:7
       |
    11 | [deny.never]
       |       ----- the rule
       |
       = note: see docs/rules.md#waiver-of-hard-rule
    "#);
}

#[test]
fn what_an_upper_change_contradicts_is_left_out_and_the_file_stays() {
    let enterprise = "[deny.never]\nwhen.token.never_expires = true\nreason = \"Choose an expiry.\"\n\
        [approve.readers]\nwhen.owner.teams = [\"nobody\"]\nallow.lifetime = \"1d\"\nallow.repositories = [\"x\"]\nallow.permissions.repository = { issues = \"read\" }\n";
    let organization = READERS.to_owned()
        + "[deny.never]\nwhen.token.expired = true\nreason = \"Expired.\"\n\
           [escalate.far]\nwhen.repositories.count.at_least = 1\nto = \"gone\"\n\
           [waiver.w]\nrule = \"deny.never\"\nowner = \"kim\"\ngranted = 2026-06-01\nuntil = 2026-06-30\nrecord = \"R\"\nmax.lifetime = \"30d\"\n\
           [tests.\"it was approved\"]\nwants = { repositories = [\"web\"], permissions.repository = { contents = \"read\" } }\nexpect = \"approve\"\n";
    let loaded = loaded(enterprise, &organization, Standing::Before);
    assert!(!loaded.has_errors(), "{}", shown(&loaded.diagnostics));
    assert_snapshot!(shown(&loaded.diagnostics.iter().filter(|d| d.code == Code::DisabledByUpperLayer).cloned().collect::<Vec<_>>()), @r#"
    warning[disabled-by-upper-layer]: an upper layer has a `readers`, and it cannot be redefined: it is left out
      --> acme.toml:5:10
       |
     5 | [approve.readers]
       |          ^^^^^^^
       |
      ::: enterprise.toml:14:10
       |
    14 | [approve.readers]
       |          ------- the upper layer's
       |
       = help: give this one a name of its own; it adds to the upper layer's
       = note: see docs/rules.md#disabled-by-upper-layer

    warning[disabled-by-upper-layer]: an upper layer has a `never`, and it cannot be redefined: it is kept under a name that tells its layer
      --> acme.toml:11:7
       |
    11 | [deny.never]
       |       ^^^^^
       |
      ::: enterprise.toml:11:7
       |
    11 | [deny.never]
       |       ----- the upper layer's
       |
       = help: give this one a name of its own; it adds to the upper layer's
       = note: see docs/rules.md#disabled-by-upper-layer

    warning[disabled-by-upper-layer]: there are no reviewers `gone`: those whom the default asks stand in
      --> acme.toml:16:6
       |
    16 | to = "gone"
       |      ^^^^^^
       |
       = help: add a table [reviewers.gone], or name one of: owners, secops
       = note: see docs/rules.md#disabled-by-upper-layer

    warning[disabled-by-upper-layer]: `deny.never` is hard, and only a soft rule can be waived: the waiver silences nothing
      --> acme.toml:18:8
       |
    18 | rule = "deny.never"
       |        ^^^^^^^^^^^^
       |
      ::: enterprise.toml:11:7
       |
    11 | [deny.never]
       |       ----- the rule
       |
       = note: see docs/rules.md#disabled-by-upper-layer

    warning[disabled-by-upper-layer]: the case "it was approved" fails: expected approve, and it is escalate to secops, by escalate.far; closest: approve.readers, unmet when.owner.teams, allow.lifetime, allow.repositories, allow.permissions.repository.contents, since an upper layer changed
      --> acme.toml:24:8
       |
    24 | [tests."it was approved"]
       |        ^^^^^^^^^^^^^^^^^
       |
       = note: see docs/rules.md#disabled-by-upper-layer
    "#);
    let policy = loaded.policy.unwrap();
    // The approve rule is gone, the veto stays under a name of its own, and those whom the default asks stand in.
    let decision = judge(&policy, &asks(""));
    assert_eq!((decision.effect, decision.to), (Effect::Escalate, vec!["secops".to_owned()]));
    let expired = judge(&policy, &asks("wants.expired = true\n"));
    assert_eq!(expired.by[0].as_str(), "deny.never@organization");
    assert_eq!(judge(&policy, &asks("wants.lifetime = \"never\"\n")).by[0].as_str(), "deny.never");
}

const WAIVED: &str = "[deny.all]\nenforcement = \"soft\"\nwhen.repository_selection = [\"all\"]\nreason = \"Pick them.\"\n";

fn waiver(more: &str) -> String {
    format!(
        "{READERS}[waiver.w]\nrule = \"deny.all\"\nowner = \"Scanner\"\ngranted = 2026-06-01\nuntil = 2026-06-30\nrecord = \"RISK-1\"\n{more}"
    )
}

#[test]
fn a_waiver_silences_one_rule_for_one_owner_until_its_last_day() {
    let policy = policy(WAIVED, &waiver("max.permissions.repository = { contents = \"write\" }\n"));
    let all = |login: &str, now: &str, more: &str| {
        judge(
            &policy,
            &format!(
                "wants.repository_selection = \"all\"\nwants.permissions.repository.contents = \"write\"\nworld.owner.login = {login:?}\nnow = {now}\n{more}"
            ),
        )
    };
    let waived = all("scanner", "2026-06-01T00:00:00Z", "");
    assert_eq!(waived.effect, Effect::Approve);
    assert_eq!(waived.waived[0].waiver, "waiver.w");
    assert!(render::sentence(&waived).contains("deny.all is silenced by waiver.w (RISK-1)"));
    assert_eq!(all("SCANNER", "2026-06-30T23:59:59Z", "").effect, Effect::Approve);
    // The day after, the day before, somebody else, more than it covers.
    assert_eq!(all("scanner", "2026-07-01T00:00:00Z", "").effect, Effect::Deny);
    assert_eq!(all("scanner", "2026-05-31T23:59:59Z", "").effect, Effect::Deny);
    assert_eq!(all("kim", "2026-06-15T00:00:00Z", "").effect, Effect::Deny);
    let more = "wants.permissions.repository.issues = \"read\"\n";
    assert_eq!(all("scanner", "2026-06-15T00:00:00Z", more).effect, Effect::Deny);
}

#[test]
fn a_waiver_is_bounded_by_lifetime_and_selection_as_well() {
    let policy =
        policy(WAIVED, &waiver("max.lifetime = \"30d\"\nmax.repository_selection = \"subset\"\n"));
    let judge = |more: &str| {
        judge(
            &policy,
            &format!(
                "wants.permissions.repository.contents = \"write\"\nworld.owner.login = \"scanner\"\nnow = 2026-06-15T00:00:00Z\n{more}"
            ),
        )
    };
    // It cannot widen: a waiver for picked repositories does not silence what forbids all of them.
    let all = judge("wants.repository_selection = \"all\"\n");
    assert_eq!((all.effect, all.waived.len()), (Effect::Deny, 0));
    let wide = self::policy(WAIVED, &waiver("max.lifetime = \"30d\"\n"));
    let ask = |days: &str| {
        self::judge(&wide, &format!("wants.repository_selection = \"all\"\nwants.permissions.repository.contents = \"write\"\nworld.owner.login = \"scanner\"\nnow = 2026-06-15T00:00:00Z\nwants.lifetime = {days:?}\n")).effect
    };
    assert_eq!(
        (ask("30d"), ask("31d"), ask("never")),
        (Effect::Approve, Effect::Deny, Effect::Deny)
    );
}

#[test]
fn the_trace_names_a_waiver_and_says_why_it_does_not_help() {
    let policy = policy(WAIVED, &waiver("max.lifetime = \"30d\"\n"));
    let text = "wants.repository_selection = \"all\"\nwants.lifetime = \"60d\"\nworld.owner.login = \"scanner\"\nnow = 2026-07-02T00:00:00Z\n";
    let (request, facts) = cases::parse_situation("request", text, policy.needs()).unwrap();
    let (_, trace) = decide_with_trace(&policy, &request, &facts);
    let rule = trace.rules.iter().find(|rule| rule.rule.as_str() == "deny.all").unwrap();
    assert_snapshot!(render::rule(rule), @r"
    deny.all: matched (soft), from the enterprise
      waiver.w: does not silence it: it ended on 2026-06-30; the lifetime is over max.lifetime, 30d (RISK-1)
      + when.repository_selection: expected all; found all
    ");
}

#[test]
fn a_case_that_touches_a_waiver_states_what_day_it_is() {
    let case = "[tests.a]\nwants = { repository_selection = \"all\" }\nworld.owner.login = \"scanner\"\nexpect = \"escalate\"\n";
    let loaded = loaded(WAIVED, &(waiver("max.lifetime = \"30d\"\n") + case), Standing::New);
    assert_eq!(codes(&loaded), [Code::StateNow]);
}

#[test]
fn loading_reads_no_clock_and_the_calendar_is_asked_apart() {
    let freeze = "[escalate.freeze]\ngate = true\nto = \"secops\"\nwhen.clock = { until = 2026-06-10, timezone = \"UTC\" }\n";
    let policy = policy(WAIVED, &(waiver("max.lifetime = \"30d\"\n") + freeze));
    let codes = |day: &str| {
        let found = calendar::outdated(&policy, day.parse().unwrap());
        found.into_iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>()
    };
    assert_eq!(codes("2026-06-10"), []);
    assert_eq!(codes("2026-06-30"), [Code::DateInThePast]);
    assert_eq!(codes("2026-07-01"), [Code::ExpiredWaiver, Code::DateInThePast]);
}

#[test]
fn an_enterprises_cases_are_about_what_it_says_by_itself() {
    let case = "[tests.\"secops is asked\"]\nwants = { repositories = [\"web\"], permissions.repository = { contents = \"read\" } }\nexpect = \"escalate\"\n";
    let loaded = loaded(case, READERS, Standing::New);
    assert!(!loaded.has_errors(), "{}", shown(&loaded.diagnostics));
    assert!(cases::run(&loaded).passed());
}

#[test]
fn a_veto_knows_a_repository_by_its_former_names_and_an_approval_does_not() {
    let rules = READERS
        .replace("[\"*\"]", "[\"harmless-*\", \"release-*\"]")
        .replace("allow.all_repositories = true\n", "")
        + "[escalate.release]\nwhen.repositories.any.name = [\"release-*\"]\nto = \"secops\"\n";
    let policy = policy("", &rules);
    let ask = |more: &str| {
        judge(
            &policy,
            &format!(
                "wants.repositories = [\"harmless-24\"]\nwants.permissions.repository.contents = \"write\"\n{more}"
            ),
        )
    };
    assert_eq!(ask("").effect, Effect::Approve);
    let renamed = ask("world.repositories.harmless-24.formerly = [\"Release-24\"]\n");
    assert_eq!(renamed.by[0].as_str(), "escalate.release");
    let policy = self::policy(
        "",
        &READERS.replace("[\"*\"]", "[\"web-*\"]").replace("allow.all_repositories = true\n", ""),
    );
    let former = judge(
        &policy,
        "wants.repositories = [\"api\"]\nwants.permissions.repository.contents = \"read\"\nworld.repositories.api.formerly = \"web-api\"\n",
    );
    assert_eq!(former.effect, Effect::Escalate);
}

#[test]
fn a_property_is_one_of_its_values_set_or_unknown() {
    let rules = |when: &str| {
        policy(
            "",
            &format!(
                "{READERS}[deny.x]\nreason = \"No.\"\nwhen.repositories.any.custom_properties.{when}\n"
            ),
        )
    };
    let ask = |policy: &Policy, more: &str| judge(policy, &asks(more)).effect;
    let gold = rules("Tier = [\"gold\", \"silver\"]");
    assert_eq!(
        ask(&gold, "world.repositories.web.custom_properties.tier = \"gold\"\n"),
        Effect::Deny
    );
    assert_eq!(
        ask(&gold, "world.repositories.web.custom_properties.TIER = [\"tin\", \"silver\"]\n"),
        Effect::Deny
    );
    // Values keep their case; what has none is not one of them; what cannot be read goes to people.
    assert_eq!(
        ask(&gold, "world.repositories.web.custom_properties.tier = \"Gold\"\n"),
        Effect::Approve
    );
    assert_eq!(ask(&gold, ""), Effect::Approve);
    assert_eq!(ask(&gold, "unknown = [\"repositories.custom_properties\"]\n"), Effect::Escalate);
    assert_eq!(ask(&rules("tier.is_set = false"), ""), Effect::Deny);
    assert_eq!(
        ask(
            &rules("tier.is_set = true"),
            "world.repositories.web.custom_properties.tier = \"tin\"\n"
        ),
        Effect::Deny
    );
    assert_eq!(ask(&rules("tier.is_set = true"), ""), Effect::Approve);
}

#[test]
fn what_the_owner_did_lately_is_counted() {
    let rules = |when: &str| {
        policy("", &format!("{READERS}[deny.x]\nreason = \"No.\"\nwhen.owner.{when}\n"))
    };
    let ask = |policy: &Policy, more: &str| judge(policy, &asks(more)).effect;
    for (when, stated) in [
        ("denials = { at_least = 3, within = \"1d\" }", "denials"),
        ("requests = { at_least = 3, within = \"6h\" }", "requests"),
        ("active_tokens.at_least = 3", "active_tokens"),
    ] {
        let policy = rules(when);
        assert_eq!(ask(&policy, &format!("world.owner.{stated} = 3\n")), Effect::Deny, "{when}");
        assert_eq!(ask(&policy, &format!("world.owner.{stated} = 2\n")), Effect::Approve, "{when}");
        assert_eq!(
            ask(&policy, &format!("unknown = [\"owner.{stated}\"]\n")),
            Effect::Escalate,
            "{when}"
        );
    }
}
