//! Rule files by somebody who means harm: each gets a clear error or a correct answer, and takes neither long nor much.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use patwarden::rules::{
    Effect, Policy, SourceFile, cases, decide,
    diagnostic::{Code, Diagnostic},
    load::{Loaded, MAX_FILE, MAX_TOTAL, load},
};

const HEAD: &str = "schema = 1\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n";

fn loaded(texts: impl IntoIterator<Item = String>) -> Loaded {
    let files = texts.into_iter().enumerate();
    let files: Vec<_> = files.map(|(n, text)| SourceFile::new(format!("{n}.toml"), text)).collect();
    load(&files)
}

fn errors(loaded: &Loaded) -> Vec<Code> {
    loaded.diagnostics.iter().filter(|d| d.is_error()).map(|d: &Diagnostic| d.code).collect()
}

fn effect(policy: &Policy, request: &str) -> Effect {
    let (request, facts) = cases::parse_situation("request", request, policy.needs()).unwrap();
    decide(policy, &request, &facts).effect
}

#[test]
fn ten_megabytes_are_refused_before_they_are_read() {
    assert_eq!(
        errors(&loaded([format!("{HEAD}# {}", "x".repeat(10 * 1024 * 1024))])),
        [Code::TooLarge]
    );
    // Many that are small enough each are refused together.
    let many = (0..=MAX_TOTAL / MAX_FILE).map(|n| {
        let head = if n == 0 { HEAD } else { "schema = 1\n" };
        format!("{head}# {}", "x".repeat(MAX_FILE - HEAD.len() - 10))
    });
    assert_eq!(errors(&loaded(many)), [Code::TooLarge]);
}

#[test]
fn a_hundred_thousand_rules_are_refused_and_ten_thousand_are_not() {
    let rules = |count: usize| {
        let rules =
            (0..count).map(|n| format!("[deny.r{n}]\nreason=\"N\"\nwhen.owner.login=[\"u{n}\"]\n"));
        let rules: Vec<String> = rules.collect();
        let files = rules.chunks(10_000).map(|rules| format!("schema = 1\n{}", rules.concat()));
        loaded(std::iter::once(HEAD.to_owned()).chain(files))
    };
    assert_eq!(errors(&rules(100_000)), [Code::TooLarge]);
    let policy = rules(10_000).policy.unwrap();
    assert_eq!(
        effect(&policy, "wants.name = \"x\"\nworld.owner.login = \"u9999\"\n"),
        Effect::Deny
    );
    assert_eq!(
        effect(&policy, "wants.name = \"x\"\nworld.owner.login = \"u10000\"\n"),
        Effect::Escalate
    );
}

#[test]
fn what_explodes_in_other_engines_is_linear_here_or_refused() {
    let rule = |regex: &str| {
        format!("{HEAD}[deny.x]\nreason = \"No.\"\nwhen.request.reason.matches = {regex:?}\n")
    };
    for regex in ["(a+)+$", "(a|aa)+$", "^(.*?,){11}P", "(x+x+)+y"] {
        let policy = loaded([rule(regex)]).policy.unwrap();
        let reason = "a".repeat(1_000) + "!";
        assert_eq!(
            effect(&policy, &format!("wants.reason = {reason:?}\n")),
            Effect::Escalate,
            "{regex}"
        );
    }
    for regex in [
        "((a{100}){100}){100}",
        "(((((((((((((((((((((((((((((((((a)))))))))))))))))))))))))))))))))",
        r"(a)\1",
        "(?=a)b",
    ] {
        assert_eq!(errors(&loaded([rule(regex)])), [Code::BadPattern], "{regex}");
    }
}

#[test]
fn many_large_expressions_are_refused_together() {
    let rules = |count: usize| {
        let rule = |n| {
            format!("[deny.r{n}]\nreason=\"N\"\nwhen.token.name.matches=\"x{n}[a-z]{{800}}\"\n")
        };
        loaded([HEAD.to_owned() + &(0..count).map(rule).collect::<String>()])
    };
    assert!(rules(100).policy.is_some());
    let many = rules(5_000);
    assert_eq!(errors(&many), [Code::TooLarge]);
    assert!(many.diagnostics[0].message.contains("regular expressions"));
}

#[test]
fn a_login_of_another_alphabet_is_refused_where_it_is_written_and_matches_nobody() {
    let policy = |login: &str| {
        loaded([format!("{HEAD}[deny.x]\nreason = \"No.\"\nwhen.owner.login = [{login:?}]\n")])
    };
    assert_eq!(errors(&policy("аdmin")), [Code::BadPattern], "a Cyrillic letter");
    let policy = policy("admin").policy.unwrap();
    for (login, expected) in [
        ("ADMIN", Effect::Deny),
        ("аdmin", Effect::Escalate),
        ("admın", Effect::Escalate),
        ("admin\u{200B}", Effect::Escalate),
    ] {
        assert_eq!(
            effect(&policy, &format!("wants.name = \"x\"\nworld.owner.login = '{login}'\n")),
            expected,
            "{login}"
        );
    }
}

#[test]
fn a_ring_of_a_thousand_reviewers_is_told_once() {
    let group = |n: usize| {
        format!(
            "[reviewers.g{n}]\nnotify = [\"email:owners\"]\nmay_decide.roles = [\"owner\"]\nnext = {{ after = \"1d\", to = \"g{}\" }}\n",
            (n + 1) % 1_000
        )
    };
    let ring = loaded([HEAD.to_owned() + &(0..1_000).map(group).collect::<String>()]);
    assert_eq!(errors(&ring), [Code::Cycle]);
    assert!(
        ring.diagnostics.iter().all(|d| d.message.len() < 10_000),
        "the ring is not written out"
    );
}

#[test]
fn of_very_many_mistakes_some_are_told_and_the_errors_first() {
    let slips = |n| {
        format!(
            "schema = 1\n{}",
            (0..300).map(|m| format!("[approve.r{n}x{m}]\nwen = 1\n")).collect::<String>()
        )
    };
    let many = loaded(std::iter::once(HEAD.to_owned()).chain((0..50).map(slips)));
    assert!(many.policy.is_none());
    assert!((1_000..=2_000).contains(&many.diagnostics.len()), "{}", many.diagnostics.len());
    assert!(many.diagnostics[0].is_error());
}

#[test]
fn ten_thousand_wrong_names_take_no_longer_than_they_must() {
    let rules: String = (0..9_000)
        .map(|n| format!("[deny.rule-number-{n}]\nreason=\"N\"\nwhen.token.expired=true\n"))
        .collect();
    let waivers: String = (0..4_000)
        .map(|n| format!("[waiver.w{n}]\nrule = \"deny.rule-nubmer-{n}\"\nowner = \"kim\"\ngranted = 2026-01-01\nuntil = 2026-02-01\nrecord = \"R\"\nmax.lifetime = \"1d\"\n"))
        .collect();
    let groups: String = (0..5_000).map(|n| format!("[reviewers.group-number-{n}]\nnotify = [\"email:owners\"]\nmay_decide.roles = [\"owner\"]\nnext = {{ after = \"1d\", to = \"group-nubmer-{n}\" }}\n")).collect();
    let loaded = loaded([
        HEAD.to_owned() + &rules,
        format!("schema = 1\n{waivers}"),
        format!("schema = 1\n{groups}"),
    ]);
    assert!(loaded.policy.is_none());
    assert!(
        errors(&loaded).contains(&Code::UnknownRule)
            || errors(&loaded).contains(&Code::UnknownGroup)
    );
}
