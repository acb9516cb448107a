//! Every diagnostic code is provoked once, and points at what is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use std::collections::BTreeSet;

use insta::assert_snapshot;
use patwarden::{
    domain::{Login, TeamId},
    rules::{
        SourceFile, Sources, Standing, calendar,
        diagnostic::{Code, Diagnostic, Severity},
        load::{MAX_FILE, load, load_layers},
        names::{self, Known, MOST_NAMES},
    },
};

const HEAD: &str = "schema = 1\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n";
const ALLOW: &str = "allow.lifetime = \"30d\"\nallow.repositories = [\"*\"]\nallow.permissions.repository = { contents = \"read\" }\n";

fn files(texts: &[(&str, &str)]) -> Vec<Diagnostic> {
    let files: Vec<_> = texts.iter().map(|(name, text)| SourceFile::new(*name, *text)).collect();
    load(&files).diagnostics
}

/// A policy with this added below its head.
fn with(text: &str) -> Vec<Diagnostic> {
    files(&[("rules.toml", &format!("{HEAD}{text}"))])
}

/// An enterprise's file and an organization's.
fn layers(enterprise: &str, organization: &str, standing: Standing) -> Vec<Diagnostic> {
    load_layers(&Sources {
        enterprise: vec![SourceFile::new("enterprise.toml", enterprise)],
        organization: vec![SourceFile::new("acme.toml", organization)],
        standing,
    })
    .diagnostics
}

/// Each code with a text that provokes it, and the word at which the diagnostic points.
fn provocations() -> Vec<(Code, Vec<Diagnostic>, &'static str)> {
    let approve = |rest: &str| with(&format!("[approve.x]\n{rest}"));
    let approved = |rest: &str| approve(&format!("when.owner.role = [\"member\"]\n{ALLOW}{rest}"));
    let deny = |rest: &str| with(&format!("[deny.x]\nreason = \"No.\"\n{rest}"));
    let many = "schema = 1\n".to_owned()
        + &(0..10_001)
            .map(|n| format!("[deny.r{n}]\nreason=\"N\"\nwhen.token.expired=true\n"))
            .collect::<String>();
    let cases = (0..2_001)
        .map(|n| format!("[tests.t{n}]\nwants = {{ lifetime = \"1d\" }}\nexpect = \"escalate\"\n"))
        .collect::<String>();
    let cases = format!("schema = 1\n{cases}");
    let group = "notify = [\"email:owners\"]\nmay_decide.roles = [\"owner\"]\n";
    let waiver = |until: &str, rule: &str| {
        with(&format!(
            "[deny.x]\nreason = \"No.\"\nwhen.token.expired = true\n[deny.hard]\nenforcement = \"hard\"\nreason = \"No.\"\nwhen.token.expired = true\n\
             [waiver.w]\nrule = \"{rule}\"\nowner = \"kim\"\ngranted = 2026-01-01\nuntil = {until}\nrecord = \"R\"\nmax.lifetime = \"30d\"\n"
        ))
    };
    let test = |rest: &str| {
        with(&format!(
            "[escalate.freeze]\nto = \"owners\"\nwhen.clock = {{ from = 2026-12-15, timezone = \"Europe/Vienna\" }}\n[tests.\"a case\"]\n{rest}"
        ))
    };
    vec![
        (Code::Syntax, with("[deny.x]\nwhen = \n"), ""),
        (
            Code::TooLarge,
            files(&[("rules.toml", &format!("{HEAD}# {}", "x".repeat(MAX_FILE)))]),
            "",
        ),
        (Code::TooLarge, files(&[("a.toml", HEAD), ("b.toml", &many)]), ""),
        (Code::TooLarge, files(&[("a.toml", HEAD), ("b.toml", &cases)]), ""),
        (Code::UnsupportedSchema, files(&[("rules.toml", &HEAD.replace('1', "2"))]), "2"),
        (Code::UnsupportedSchema, files(&[("rules.toml", &HEAD.replace("schema = 1\n", ""))]), "["),
        (Code::UnknownKey, with("[aprove.x]\n"), "aprove"),
        (Code::UnknownKey, deny("when.owner.teem = [\"a\"]\n"), "teem"),
        (Code::KeyBelowHeader, with("mode = \"enforce\"\n"), "mode"),
        (
            Code::KeyBelowHeader,
            with("[tests.\"a\"]\n[tests.\"a\".world.owner]\nlogin = \"kim\"\nexpect = \"deny\"\n"),
            "expect",
        ),
        (Code::UnknownOperator, deny("when.token.lifetime.more_than = \"3d\"\n"), "more_than"),
        (Code::UnknownOperator, deny("when.token.name = \"ci-.*\"\n"), "\"ci-.*\""),
        (Code::MissingKey, approve("when.owner.role = [\"member\"]\n"), "x"),
        (Code::WrongType, deny("when.token.expired = \"yes\"\n"), "\"yes\""),
        (Code::BadValue, deny("when.owner.role = [\"admin\"]\n"), "\"admin\""),
        (Code::BadValue, deny("when.request.age.at_least = \"1d\"\n"), "age"),
        (Code::BadDuration, deny("when.token.lifetime.at_least = \"36h\"\n"), "\"36h\""),
        (Code::BadPattern, deny("when.token.name.matches = \"(\"\n"), "\"(\""),
        (Code::BadPattern, deny("when.repositories.any.name = [\"acme/web\"]\n"), "\"acme/web\""),
        (Code::BadName, deny("when.owner.teams = [\"a/b/c\"]\n"), "\"a/b/c\""),
        (
            Code::BadName,
            deny("when.clock = { weekdays = [\"friday\"], timezone = \"Europe/Wien\" }\n"),
            "\"Europe/Wien\"",
        ),
        (Code::EmptyList, deny("when.owner.teams = []\n"), "[]"),
        (Code::EmptyWhen, deny(""), "x"),
        (Code::EmptyWhen, deny("when = {}\n"), "x"),
        (
            Code::UnknownPermission,
            deny("when.permissions.any_at_least.repository = { content = \"write\" }\n"),
            "content",
        ),
        (
            Code::UnknownLevel,
            deny("when.permissions.any_at_least.repository = { contents = \"wirte\" }\n"),
            "\"wirte\"",
        ),
        (
            Code::ForbiddenPermission,
            approved("allow.permissions.other = { x = \"read\" }\n"),
            "other",
        ),
        (
            Code::UnknownPlaceholder,
            with("[deny.x]\nwhen.token.expired = true\nreason = \"{organisation}\"\n"),
            "\"{organisation}\"",
        ),
        (
            Code::UnknownPlaceholder,
            with("[deny.x]\nwhen.token.expired = true\nreason = \"{ceiling.lifetime}\"\n"),
            "\"{ceiling.lifetime}\"",
        ),
        (
            Code::ReasonTooLong,
            with(&format!(
                "[deny.x]\nwhen.token.expired = true\nreason = \"{}\"\n",
                "x".repeat(1_025)
            )),
            "\"xxx",
        ),
        (
            Code::DuplicateId,
            with(
                "[deny.x]\nwhen.token.expired = true\nreason = \"No.\"\n[escalate.X]\nwhen.token.expired = true\nto = \"owners\"\n",
            ),
            "X",
        ),
        (Code::DuplicateBlock, files(&[("a.toml", HEAD), ("b.toml", HEAD)]), "default"),
        (
            Code::UnknownGroup,
            with("[escalate.x]\nwhen.token.expired = true\nto = \"owner\"\n"),
            "\"owner\"",
        ),
        (Code::UnknownRule, waiver("2026-02-01", "deny.y"), "\"deny.y\""),
        (Code::WaiverOfHardRule, waiver("2026-02-01", "deny.hard"), "\"deny.hard\""),
        (Code::WaiverTooLong, waiver("2026-07-01", "deny.x"), "2026-07-01"),
        (
            Code::Cycle,
            with(&format!(
                "[reviewers.a]\n{group}next = {{ after = \"1d\", to = \"b\" }}\n[reviewers.b]\n{group}next = {{ after = \"1d\", to = \"a\" }}\n"
            )),
            "next",
        ),
        (
            Code::TooOften,
            with("[digest]\nto = \"owners\"\ncron = \"0 8,20 * * *\"\ntimezone = \"UTC\"\n"),
            "\"0 8,20 * * *\"",
        ),
        (
            Code::WrongLayer,
            load_layers(&Sources::of_organization(vec![SourceFile::new(
                "rules.toml",
                format!("layer = \"enterprise\"\n{HEAD}"),
            )]))
            .diagnostics,
            "\"enterprise\"",
        ),
        (Code::WrongLayer, layers(HEAD, &format!("mode = \"shadow\"\n{HEAD}"), Standing::New), ""),
        (
            Code::DuplicateId,
            layers(
                &format!(
                    "layer = \"enterprise\"\n{HEAD}[deny.x]\nreason = \"No.\"\nwhen.token.expired = true\n"
                ),
                "schema = 1\n[deny.x]\nreason = \"No.\"\nwhen.token.expired = true\n",
                Standing::New,
            ),
            "x",
        ),
        (
            Code::DisabledByUpperLayer,
            layers(
                &format!(
                    "layer = \"enterprise\"\n{HEAD}[deny.x]\nreason = \"No.\"\nwhen.token.expired = true\n"
                ),
                "schema = 1\n[deny.x]\nreason = \"No.\"\nwhen.token.expired = true\n",
                Standing::Before,
            ),
            "x",
        ),
        (
            Code::CutByUpperDefault,
            layers(
                "schema = 1\nlayer = \"enterprise\"\n[default]\ndecision = \"deny\"\nreason = \"No.\"\nto = \"owners\"\n",
                HEAD,
                Standing::New,
            ),
            "default",
        ),
        (
            Code::BadTest,
            test(
                "wants = { repositories = [\"web\"] }\nworld.repositories.wbe.visibility = \"public\"\nexpect = \"escalate\"\n",
            ),
            "wbe",
        ),
        (
            Code::StateNow,
            test("wants = { repositories = [\"web\"] }\nexpect = \"escalate\"\n"),
            "\"a case\"",
        ),
        (
            Code::FailingTest,
            test(
                "wants = { repositories = [\"web\"] }\nnow = 2026-06-01T12:00:00Z\nexpect = \"deny\"\n",
            ),
            "\"a case\"",
        ),
        (
            Code::WaiverFollowsWaiver,
            with(&["2026-01-01\nuntil = 2026-06-01", "2026-06-02\nuntil = 2026-09-01"].map(|days| format!(
                "[waiver.w{}]\nrule = \"deny.x\"\nowner = \"kim\"\ngranted = {days}\nrecord = \"R\"\nmax.lifetime = \"30d\"\n",
                &days[5..7]
            )).concat().replacen("[waiver", "[deny.x]\nreason = \"No.\"\nwhen.token.expired = true\n[waiver", 1)),
            "2026-06-02",
        ),
        (Code::CutByCeiling, approved("[ceiling]\nlifetime = \"7d\"\n"), "lifetime"),
        (
            Code::ContradictoryBounds,
            deny("when.token.lifetime = { at_least = \"9d\", at_most = \"3d\" }\n"),
            "{ at_least",
        ),
        (
            Code::ContradictoryBounds,
            approved("allow.all_repositories = true\nallow.max_repositories = 3\n"),
            "all_repositories",
        ),
        (
            Code::NothingLeft,
            approved("[ceiling]\npermissions.repository = { issues = \"read\" }\n"),
            "x",
        ),
        (
            Code::ImpliedByDeny,
            approved("[deny.y]\nreason = \"No.\"\nwhen.owner.role = [\"owner\", \"member\"]\n"),
            "x",
        ),
        (Code::UnusedGroup, with(&format!("[reviewers.a]\n{group}")), "a"),
        (
            Code::SettableText,
            approve(&format!("when.token.name.matches = \"ci-.*\"\n{ALLOW}")),
            "x",
        ),
        (
            Code::SettableText,
            deny("when.token.expired = true\nunless.request.reason.matches = \"please\"\n"),
            "reason",
        ),
        (Code::UntestedApprove, approved(""), "x"),
    ]
}

#[test]
fn every_code_is_provoked_and_points_at_its_cause() {
    let mut provoked = BTreeSet::new();
    for (code, diagnostics, at) in provocations() {
        let found: Vec<_> =
            diagnostics.iter().filter(|diagnostic| diagnostic.code == code).collect();
        let shown: Vec<_> =
            diagnostics.iter().map(|diagnostic| diagnostic.render_human(false)).collect();
        assert!(!found.is_empty(), "no {code} in:\n{}", shown.join("\n"));
        let pointed = |d: &Diagnostic| d.place.text.get(d.place.span.clone()).unwrap().to_owned();
        assert!(
            at.is_empty() || found.iter().any(|d| pointed(d).starts_with(at)),
            "{code} does not point at {at}:\n{}",
            shown.join("\n")
        );
        for diagnostic in found {
            assert_eq!(diagnostic.severity, code.severity());
            assert_eq!(diagnostic.to_json()["code"], code.as_str());
            assert!(!diagnostic.message.is_empty());
        }
        provoked.insert(code);
    }
    let elsewhere = [outdated(), looked_up()].concat();
    provoked.extend(elsewhere.iter().map(|diagnostic| diagnostic.code));
    let all: BTreeSet<_> = Code::ALL.iter().map(|(code, _)| *code).collect();
    assert_eq!(provoked, all);
}

/// What is printed for each code, in one place to be read by whoever changes a word.
#[test]
fn every_code_is_printed_as_people_see_it() {
    let mut printed: Vec<_> = provocations()
        .iter()
        .map(|(code, diagnostics, _)| {
            let provoked = diagnostics.iter().find(|diagnostic| diagnostic.code == *code).unwrap();
            provoked.render_human(false)
        })
        .collect();
    let elsewhere = [outdated(), looked_up()].concat();
    printed.extend(elsewhere.iter().map(|diagnostic| diagnostic.render_human(false)));
    assert_snapshot!("every_code", printed.join("\n\n"));
}

/// What the calendar says, and loading does not.
fn outdated() -> Vec<Diagnostic> {
    let text = format!(
        "{HEAD}[deny.x]\nreason = \"No.\"\nwhen.clock = {{ until = 2026-01-31, timezone = \"UTC\" }}\n\
         [waiver.w]\nrule = \"deny.x\"\nowner = \"kim\"\ngranted = 2026-01-01\nuntil = 2026-01-31\nrecord = \"R\"\nmax.lifetime = \"30d\"\n"
    );
    let policy = load(&[SourceFile::new("rules.toml", text)]).policy.unwrap();
    calendar::outdated(&policy, "2026-06-01".parse().unwrap())
}

/// What GitHub says, and loading does not.
fn looked_up() -> Vec<Diagnostic> {
    let text = format!(
        "{HEAD}[deny.x]\nreason = \"No.\"\nwhen.owner.teams = [\"platform\", \"platfrom\"]\nunless.owner.login = [\"kimm\", \"bot-*\"]\n\
         when.repositories.any = {{ name = [\"wbe\", \"lib-*\"], custom_properties.soxx = [\"true\"] }}\n"
    );
    let loaded = load(&[SourceFile::new("rules.toml", text)]);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let known = Known {
        teams: [("acme".to_owned(), [("platform".to_owned(), TeamId(8))].into())].into(),
        pinned: [("platform".to_owned(), TeamId(7))].into(),
        repositories: [("acme".to_owned(), words(&["web", "api"]))].into(),
        properties: Some(words(&["sox"])),
        logins: Some([Login::new("kim")].into()),
    };
    let told = names::unknown(&loaded, &Login::new("acme"), &known);
    assert!(told.iter().all(|diagnostic| diagnostic.severity == Severity::Warning));
    // Of what could not be asked, nothing is said.
    assert_eq!(names::unknown(&loaded, &Login::new("acme"), &Known::default()), []);
    told
}

#[test]
fn very_many_names_are_not_all_kept_and_that_shows() {
    let many: Vec<_> = (0..=MOST_NAMES).map(|n| format!("\"n{n}\"")).collect();
    let text = |names: &[String]| {
        let names = names.join(", ");
        format!("{HEAD}[deny.x]\nreason = \"No.\"\nwhen.repositories.any.name = [{names}]\n")
    };
    let kept = |text| load(&[SourceFile::new("rules.toml", text)]).named().len();
    assert_eq!(kept(text(&many[..MOST_NAMES])), MOST_NAMES);
    let twice =
        format!("{}{}", text(&many), text(&many).replace(HEAD, "").replace("deny.x", "deny.y"));
    assert_eq!(kept(twice), MOST_NAMES + 1);
}

#[test]
fn waivers_in_a_row_are_told_when_they_last_longer_than_one_may() {
    let waiver = |id: &str, owner: &str, granted: &str, until: &str| {
        format!(
            "[waiver.{id}]\nrule = \"deny.x\"\nowner = \"{owner}\"\ngranted = {granted}\nuntil = {until}\nrecord = \"R\"\nmax.lifetime = \"1d\"\n"
        )
    };
    let told = |waivers: &[String]| {
        let rule = "[deny.x]\nreason = \"No.\"\nwhen.token.expired = true\n";
        let found = with(&format!("{rule}{}", waivers.concat()));
        assert!(found.iter().all(|d| d.code == Code::WaiverFollowsWaiver), "{found:?}");
        found.iter().map(|d| d.place.line).collect::<Vec<_>>()
    };
    let first = waiver("a", "kim", "2026-01-01", "2026-06-29");
    let next = |granted, until| waiver("b", "KIM", granted, until);
    // 180 days from the first day on are the most, whoever grants them in how many parts.
    assert_eq!(
        told(&[waiver("a", "kim", "2026-01-01", "2026-03-31"), next("2026-04-01", "2026-06-30")]),
        [0usize; 0]
    );
    assert_eq!(told(&[first.clone(), next("2026-06-30", "2026-12-01")]), [18]);
    assert_eq!(
        told(&[next("2026-07-06", "2026-12-01"), first.clone()]),
        [11],
        "in whatever order they stand"
    );
    assert_eq!(
        told(&[first.clone(), next("2026-07-07", "2026-12-01")]),
        [0usize; 0],
        "in between the rule applied"
    );
    assert_eq!(told(&[first, waiver("b", "lee", "2026-06-30", "2026-12-01")]), [0usize; 0]);
    // A row of short ones.
    let row: Vec<_> = [
        ("a", "01-01", "02-28"),
        ("b", "03-01", "04-30"),
        ("c", "05-01", "06-30"),
        ("d", "07-01", "08-31"),
    ]
    .map(|(id, granted, until)| {
        waiver(id, "kim", &format!("2026-{granted}"), &format!("2026-{until}"))
    })
    .to_vec();
    assert_eq!(told(&row), [32]);
}

#[test]
fn only_errors_keep_a_policy_from_being_used() {
    let loaded = load(&[SourceFile::new(
        "rules.toml",
        format!("{HEAD}[approve.x]\nwhen.token.name.matches = \"ci-.*\"\n{ALLOW}"),
    )]);
    assert!(loaded.policy.is_some() && !loaded.has_errors());
    assert!(loaded.diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error));
    for (code, diagnostics, _) in provocations() {
        let error =
            diagnostics.iter().any(|diagnostic| diagnostic.code == code && diagnostic.is_error());
        assert_eq!(error, code.severity() == Severity::Error, "{code}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let text = "schema = 1\nmoed = \"enforce\"\n[default]\ndecision = \"aprove\"\nto = \"nobody\"\nmode = \"shadow\"\n\
                [approve.x]\nwhen.owner.team = [\"a\"]\nallow.lifetime = \"36h\"\nallow.permissions.repository = { \"*\" = \"read\", contens = \"read\" }\n\
                [deny.x]\nreason = \"{nmae}\"\n";
    let shown: Vec<_> = files(&[("rules.toml", text)])
        .iter()
        .map(|d| {
            format!(
                "{}:{}:{} {} {}{}",
                d.place.file,
                d.place.line,
                d.place.column,
                d.code,
                d.message,
                d.help.as_ref().map_or(String::new(), |h| format!(" ({h})"))
            )
        })
        .collect();
    assert_snapshot!(shown.join("\n"), @r#"
    rules.toml:2:1 unknown-key a rule file has no `moed` (did you mean `mode`?)
    rules.toml:4:12 bad-value `default.decision` cannot be `aprove` (possible: escalate, deny)
    rules.toml:5:6 unknown-group there are no reviewers `nobody` (add a table [reviewers.nobody], or name one of: owners)
    rules.toml:6:1 key-below-header `mode` belongs to the whole file, and here it is part of `default` (move `mode` to the top of the file, above the first [table])
    rules.toml:8:12 unknown-key `approve.x.when.owner` has no `team` (did you mean `teams`?)
    rules.toml:9:1 missing-key `approve.x.allow` has no `repositories` (an approve rule bounds everything it lets through, such as `allow.repositories = ["*"]` for any that are picked by name)
    rules.toml:9:18 bad-duration `36h` is not a duration here (lifetimes are counted in whole days; write days, such as "90d")
    rules.toml:10:34 forbidden-permission `*` names every permission, also those GitHub invents tomorrow: an upper bound must list them
    rules.toml:10:48 unknown-permission GitHub has no repository permission `contens` (did you mean `contents`?)
    rules.toml:11:7 empty-when `deny.x` has no `when` (such as `when.owner.role = ["member"]`; a rule for everybody is hardly ever meant)
    rules.toml:11:7 duplicate-id there are two of the name `x` (ids are unique over verbs, files and layers, so that a record names one rule)
    rules.toml:12:10 unknown-placeholder there is no placeholder `{nmae}` (possible: {rule} {organization} {owner} {ceiling.lifetime} {ceiling.max_repositories} {policy_url} {near_miss})
    "#);
}

#[test]
fn an_error_after_any_number_of_doubts_is_an_error() {
    let doubts: String = (0..250)
        .map(|n| format!("[approve.a{n}]\nwhen.token.lifetime = {{ at_least = \"9d\", at_most = \"3d\" }}\n{ALLOW}"))
        .collect();
    let misspelt =
        format!("[approve.x]\nwhen.owner = {{ login = [\"*\"], teem = [\"a\"] }}\n{ALLOW}");
    let loaded = load(&[SourceFile::new("rules.toml", format!("{HEAD}{doubts}{misspelt}"))]);
    assert!(loaded.policy.is_none(), "the rule is in force without its misspelt condition");
    assert!(loaded.diagnostics.iter().any(|diagnostic| diagnostic.code == Code::UnknownKey));
}

fn shown(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    errors.map(|diagnostic| diagnostic.render_human(false)).collect::<Vec<_>>().join("\n\n")
}

#[test]
fn a_wrong_word_is_underlined_and_the_right_one_named() {
    assert_snapshot!(shown(&with("[deny.administration]\nwhen.permissions.any_at_least.repository = { adminstration = \"write\" }\nreason = \"No.\"\n")), @r#"
    error[unknown-permission]: GitHub has no repository permission `adminstration`
     --> rules.toml:6:46
      |
    6 | when.permissions.any_at_least.repository = { adminstration = "write" }
      |                                              ^^^^^^^^^^^^^
      |
      = help: did you mean `administration`?
      = note: see docs/rules.md#unknown-permission
    "#);
}

#[test]
fn a_key_below_the_wrong_header_is_explained() {
    assert_snapshot!(shown(&with("mode = \"enforce\"\n")), @r#"
    error[key-below-header]: `mode` belongs to the whole file, and here it is part of `default`
     --> rules.toml:5:1
      |
    5 | mode = "enforce"
      | ^^^^
      |
      = help: move `mode` to the top of the file, above the first [table]
      = note: see docs/rules.md#key-below-header
    "#);
}

#[test]
fn two_rules_of_one_name_are_shown_in_both_places() {
    let rule = "schema = 1\n[deny.expired]\nwhen.token.expired = true\nreason = \"No.\"\n";
    let escalate = "schema = 1\n\n[escalate.expired]\nwhen.token.expired = true\nto = \"owners\"\n";
    assert_snapshot!(shown(&files(&[("a.toml", HEAD), ("b.toml", rule), ("c.toml", escalate)])), @r"
    error[duplicate-id]: there are two of the name `expired`
     --> c.toml:3:11
      |
    3 | [escalate.expired]
      |           ^^^^^^^
      |
     ::: b.toml:2:7
      |
    2 | [deny.expired]
      |       ------- the other one
      |
      = help: ids are unique over verbs, files and layers, so that a record names one rule
      = note: see docs/rules.md#duplicate-id
    ");
}

#[test]
fn an_unfinished_rule_says_what_it_lacks() {
    assert_snapshot!(shown(&with("[approve.x]\nwhen.owner.role = [\"member\"]\nallow.lifetime = \"30d\"\n")), @r#"
    error[missing-key]: `approve.x.allow` has no `repositories`
     --> rules.toml:7:1
      |
    7 | allow.lifetime = "30d"
      | ^^^^^
      |
      = help: an approve rule bounds everything it lets through, such as `allow.repositories = ["*"]` for any that are picked by name
      = note: see docs/rules.md#missing-key

    error[missing-key]: `approve.x.allow` has no `permissions`
     --> rules.toml:7:1
      |
    7 | allow.lifetime = "30d"
      | ^^^^^
      |
      = help: an approve rule bounds everything it lets through, such as `allow.permissions.repository = { contents = "read" }`
      = note: see docs/rules.md#missing-key
    "#);
}

#[test]
fn a_failing_case_is_an_error_of_its_file() {
    let tests = "[tests.\"a reader\"]\nwants = { repositories = [\"web\"], permissions.repository = { contents = \"read\" } }\nexpect = \"approve\"\nby = [\"approve.x\"]\n";
    assert_snapshot!(shown(&files(&[("rules.toml", HEAD), ("rules.tests.toml", tests)])), @r#"
    error[failing-test]: the case "a reader" fails: expected approve, and it is escalate to owners, by the default; expected `by` to be approve.x, and it is nothing
     --> rules.tests.toml:1:8
      |
    1 | [tests."a reader"]
      |        ^^^^^^^^^^
      |
      = help: `patwarden rules test` shows the whole reasoning; mend the rule, or what the case asks for and expects
      = note: see docs/rules.md#failing-test
    "#);
}

#[test]
fn a_file_of_tests_holds_tests_only() {
    assert_snapshot!(shown(&files(&[("rules.toml", HEAD), ("x.tests.toml", "mode = \"enforce\"\n")])), @r#"
    error[unknown-key]: `mode` cannot stand in a file of tests
     --> x.tests.toml:1:1
      |
    1 | mode = "enforce"
      | ^^^^
      |
      = help: a file whose name ends in `.tests.toml` holds `[tests]` only
      = note: see docs/rules.md#unknown-key
    "#);
}

#[test]
fn what_follows_from_broken_toml_is_not_told() {
    let text = format!(
        "{HEAD}[deny.x]\nwhen.owner.role = [\"member\nreason = \"No.\"\n[deny.y]\nreason = \"No.\"\nwhen.owner.rol = [\"member\"]\n"
    );
    assert_snapshot!(shown(&files(&[("rules.toml", &text)])), @r#"
    error[syntax]: invalid basic string, expected `"`
     --> rules.toml:6:27
      |
    6 | when.owner.role = ["member
      |                           ^
      |
      = note: see docs/rules.md#syntax

    error[unknown-key]: `deny.y.when.owner` has no `rol`
      --> rules.toml:10:12
       |
    10 | when.owner.rol = ["member"]
       |            ^^^
       |
       = help: did you mean `role`?
       = note: see docs/rules.md#unknown-key
    "#);
}

#[test]
fn a_hostile_file_does_not_drive_the_terminal() {
    let shown = shown(&with(
        "[deny.\"\u{1b}]0;x\u{7}\u{202E}\"]\nreason = \"No.\"\nwhen.\"\\u001b[31m\" = 1\n",
    ));
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202E}']), "{shown}");
    let colored = with("[aprove.x]\n")[0].render_human(true);
    assert!(colored.contains('\u{1b}'));
}

#[test]
fn slips_that_have_nothing_to_do_with_each_other_are_all_told_and_so_is_what_stands_between() {
    let text = format!(
        "{HEAD}[deny.a\nreason = \"No.\"\nwhen.token.expired = true\n\
         [deny.b]\nreason = \"No.\"\nwhen.owner.rol = [\"member\"]\n\
         [deny.c]\nreason = \"No.\"\nwhen.owner.login = [\n  \"kim\",\n  \"lee\"\nenforcement = \"hrad\"\n\
         [deny.d]\nreason = \"No.\"\nwhen.owner.tems = [\"a\"]\n"
    );
    let told: Vec<_> = files(&[("rules.toml", &text)])
        .iter()
        .map(|d| {
            format!(
                "{} {}{}",
                d.place.line,
                d.code,
                d.help.as_ref().map_or(String::new(), |help| format!(" ({help})"))
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "5 syntax",
            "10 unknown-key (did you mean `role`?)",
            "16 syntax (what is not closed begins on line 13)",
            "16 bad-value (did you mean `hard`?)",
            "19 unknown-key (did you mean `teams`?)"
        ]
    );
    // Also where they follow each other in one table.
    let text =
        format!("{HEAD}[deny.a]\nreason = \"No.\nwhen.token.expired = tru\nenforcement = hard\n");
    let told: Vec<_> =
        files(&[("rules.toml", &text)]).iter().map(|d| (d.place.line, d.code)).collect();
    assert_eq!(told, [(6, Code::Syntax), (7, Code::Syntax), (8, Code::Syntax)]);
    // A large file is not looked at again and again: the first slip, and what stands above it.
    let large = format!("{}{text}#{}", "# a line\n".repeat(9_000), "x".repeat(100));
    let told: Vec<_> = files(&[("rules.toml", &large)]).iter().map(|d| d.code).collect();
    assert_eq!(told, [Code::Syntax]);
}

/// Every bracket, brace, quotation mark and equals sign of whole policies, left out one by one.
#[test]
fn one_slip_in_the_syntax_is_one_error_wherever_it_is() {
    for text in [
        include_str!("../rules/small-org.toml"),
        include_str!("../rules/enterprise/enterprise.toml"),
    ] {
        one_slip_is_one_error(text);
    }
}

fn one_slip_is_one_error(text: &str) {
    let slips: Vec<usize> =
        text.match_indices(['"', '[', ']', '{', '}', '=']).map(|(at, _)| at).collect();
    let mut worst = Vec::new();
    for at in &slips {
        let slipped = format!("{}{}", &text[..*at], &text[at + 1..]);
        let found = files(&[("rules.toml", &slipped)]);
        let errors: Vec<_> = found.iter().filter(|d| d.is_error()).collect();
        let syntax = errors.iter().filter(|d| d.code == Code::Syntax).count();
        if syntax > 0 && errors.len() > 1 {
            let line = text[..*at].matches('\n').count() + 1;
            let shown: Vec<_> = errors
                .iter()
                .map(|d| format!("{}:{} {}", d.place.line, d.code, d.message))
                .collect();
            worst.push(format!("{line} {}: {shown:#?}", &text[*at..=*at]));
        }
    }
    assert!(worst.is_empty(), "{} of {}:\n{}", worst.len(), slips.len(), worst.join("\n"));
}
