//! What a change of the rules would do to what is on record: told before it is merged.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use insta::assert_snapshot;
use patwarden::{
    domain::{Login, RequestId},
    rules::{
        Policy, SourceFile, cases,
        facts::Fact,
        load::load,
        plan::{Names, Plan, Recorded, Standing, plan},
    },
};

const OLD: &str = r#"
schema = 1
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[approve.readers]
when.owner.role = ["member"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.permissions.repository = { contents = "read" }
[deny.administration]
when.permissions.any_at_least.repository = { administration = "write" }
reason = "Use a GitHub App."
"#;

fn policy(text: &str) -> Policy {
    let loaded = load(&[SourceFile::new("rules.toml", text)]);
    loaded.policy.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

/// A request as the old rules judged it, with the facts they asked for.
fn recorded(id: i64, standing: Standing, text: &str) -> Recorded {
    let (mut request, facts) = cases::parse_situation("x", text, policy(OLD).needs()).unwrap();
    request.id = RequestId(id);
    Recorded { standing, request, facts }
}

fn on_record() -> Vec<Recorded> {
    let asks = |level: &str, rest: &str| {
        format!(
            "wants.repositories = [\"web\"]\nwants.permissions.repository.contents = {level:?}\n{rest}"
        )
    };
    vec![
        recorded(
            1,
            Standing::Active,
            &asks("read", "wants.lifetime = \"90d\"\nwants.name = \"backup\"\n"),
        ),
        recorded(2, Standing::Over, &asks("read", "wants.lifetime = \"30d\"\n")),
        recorded(
            3,
            Standing::Pending,
            &asks("write", "wants.name = \"@everybody [click](http://evil) |x|\"\n"),
        ),
        recorded(
            4,
            Standing::Over,
            &asks("read", "wants.permissions.repository.administration = \"write\"\n"),
        ),
    ]
}

fn change(new: &str) -> Plan {
    plan(&policy(OLD), &policy(new), on_record())
}

#[test]
fn the_same_rules_change_nothing() {
    let plan = change(
        &OLD.replace("[approve.readers]", "# The same, said elsewhere.\n\n[approve.readers]"),
    );
    assert!(plan.changes_nothing());
    assert_eq!((plan.added.len(), plan.removed.len(), plan.changed.len()), (0, 0, 0));
    assert_eq!(plan.compared.pending, 1);
}

#[test]
fn a_looser_and_a_stricter_rule_show_who_is_concerned() {
    let new = OLD
        .replace("contents = \"read\"", "contents = \"write\"")
        .replace("\"90d\"", "\"60d\"")
        .replace("[deny.administration]", "[deny.administrators]");
    let plan = change(&new);
    assert_eq!((plan.flips.len(), plan.loosened(), plan.uncovered.len()), (1, 1, 1));
    assert_snapshot!(plan.render(), @r#"
    Added: deny.administrators.
    Removed: deny.administration.
    Changed: approve.readers.
    In approve.readers: allow.lifetime: at most 90d → at most 60d; allow.permissions.repository.contents: read → write.
    Judged again: 4 requests (1 pending, 1 with an active token). 1 would come out milder, 0 stricter; 1 active token is approved by no rule any more; 0 cannot be told.

    Would come out otherwise:
      escalate -> approve  octocat "@everybody [click](http://evil) |x|" (request 3, pending)
          asks for contents:write on web for 30 d
          now: approve, by approve.readers

    Active tokens that no rule would approve any more:
      approve -> escalate  octocat "backup" (request 1, active token)
          asks for contents:read on web for 90 d
          now: escalate to owners, by the default; closest: approve.readers, unmet allow.lifetime
    "#);
}

#[test]
fn of_a_rule_that_says_something_else_the_old_and_the_new_bound_are_shown() {
    let changed = |old: &str, new: &str| {
        let plan = plan(&policy(&format!("{OLD}{old}")), &policy(&format!("{OLD}{new}")), []);
        assert_eq!((plan.added.len(), plan.removed.len()), (0, 0));
        plan.changed
            .iter()
            .map(|it| format!("{}: {}", it.rule, it.what.join("; ")))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let approve = "[approve.x]\nwhen.owner.teams = [\"a\"]\nallow.lifetime = \"30d\"\nallow.repositories = [\"*\"]\n\
                   allow.permissions.repository = { contents = \"read\", issues = \"read\", actions = \"read\" }\n";
    let looser = approve
        .replace("30d", "60d")
        .replace(
            "contents = \"read\", issues = \"read\"",
            "contents = \"write\", statuses = \"read\"",
        )
        .replace("[\"a\"]", "[\"a\", \"b\"]")
        + "allow.max_repositories = 3\nrequire.reason_min_length = 5\n[ceiling]\nlifetime = \"45d\"\n";
    let veto = "[deny.y]\nreason = \"No.\"\nwhen.permissions.any_at_least.repository = { contents = \"write\" }\n\
                [escalate.z]\nto = \"owners\"\nwhen.token.expired = true\n";
    let other = veto
        .replace("No.", "Never.")
        .replace("\"write\"", "\"read\", issues = \"write\"")
        .replace("[escalate.z]", "enforcement = \"hard\"\n[escalate.z]\ngate = true\nunless.request.reason.matches = \"`@olga`\"")
        + "[waiver.w]\nrule = \"escalate.z\"\nowner = \"kim\"\ngranted = 2026-01-01\nuntil = 2026-02-01\nrecord = \"R\"\nmax.lifetime = \"1d\"\n";
    assert_snapshot!([changed(approve, &looser), changed(veto, &other)].join("\n\n"), @r"
    approve.readers: allow.lifetime: at most 90d → at most 45d
    approve.x: allow.lifetime: at most 30d → at most 45d; allow.max_repositories: none → at most 3; allow.permissions.repository.contents: read → write; allow.permissions.repository.issues: read → none; allow.permissions.repository.statuses: none → read; require.reason_min_length: none → at least 5 characters; when.owner.teams: a → any of a, b

    deny.y: when.permissions.any_at_least.repository.contents: write → read; when.permissions.any_at_least.repository.issues: none → write; enforcement: soft → hard; reason: other words
    escalate.z: unless.request.reason: none → matches `@olga`; gate: false → true; waived by: nothing → waiver.w until 2026-02-01
    ");
    let shown = plan(&policy(&format!("{OLD}{veto}")), &policy(&format!("{OLD}{other}")), []);
    let text = shown.markdown(65_535, Names::Shown);
    assert!(text.contains("; `gate: false → true`; "), "{text}");
    assert!(
        text.contains("- In `escalate.z`: `unless.request.reason: none → matches '@olga'`;"),
        "{text}"
    );
    // Where everybody reads along, only which rules changed.
    let public = shown.markdown(65_535, Names::Counted);
    assert!(
        public.contains("- Changed: `deny.y`, `escalate.z`.") && !public.contains("olga"),
        "{public}"
    );
}

#[test]
fn a_check_run_shows_a_table_in_which_nothing_is_a_link_or_a_mention() {
    let plan = change(
        &OLD.replace("contents = \"read\"", "contents = \"write\"").replace("\"90d\"", "\"60d\""),
    );
    assert_snapshot!(plan.markdown(65_535, Names::Shown), @r"
    Judged again: 4 requests (1 pending, 1 with an active token). 1 would come out milder, 0 stricter; 1 active token is approved by no rule any more; 0 cannot be told.

    - Changed: `approve.readers`.
    - In `approve.readers`: `allow.lifetime: at most 90d → at most 60d`; `allow.permissions.repository.contents: read → write`.

    ### Would come out otherwise

    | | who | asks for | now | because |
    |---|---|---|---|---|
    | milder | octocat, @&#8203;everybody \[click\]\(http&#58;//evil\) \|x\| (pending) | contents&#58;write on web for 30 d | escalate → **approve** | approve, by approve.readers |

    ### Active tokens that no rule would approve any more

    | | who | asks for | now | because |
    |---|---|---|---|---|
    | stricter | octocat, backup (active token) | contents&#58;read on web for 90 d | approve → **escalate** | escalate to owners, by the default; closest&#58; approve.readers, unmet allow.lifetime |
    ");
    let public = plan.markdown(65_535, Names::Counted);
    assert!(public.contains("| escalate | approve | 1 |"), "{public}");
    for name in ["octocat", "backup", "web", "everybody"] {
        assert!(!public.contains(name), "{name}: {public}");
    }
}

#[test]
fn what_the_record_does_not_tell_is_told_apart() {
    let team = OLD.replace("when.owner.role = [\"member\"]", "when.owner.teams = [\"readers\"]");
    let plan = change(&team);
    let lacks: Vec<_> = plan.cannot_tell.iter().map(|unclear| unclear.lacks.join(",")).collect();
    assert_eq!(lacks, ["owner.teams", "owner.teams"]);
    // A request that comes out the same whatever the fact is can be told.
    assert_eq!(plan.flips, []);
    // And so it is where the record itself could not be read at the time.
    let mut recorded = on_record();
    recorded[1].facts.owner_role = Fact::unknown("GitHub answered 503");
    let plan = self::plan(&policy(OLD), &policy(&OLD.replace("\"90d\"", "\"10d\"")), recorded);
    assert_eq!(plan.cannot_tell.len(), 1);
    assert_eq!(plan.uncovered.len(), 1);
}

#[test]
fn a_change_of_mode_is_a_change() {
    let plan = change(&OLD.replace("\"enforce\"", "\"shadow\""));
    assert!(!plan.changes_nothing());
    assert!(plan.render().starts_with("The mode changes from enforce to shadow: nothing would be sent any more. Pending: 1 request."));
}

#[test]
fn ten_thousand_rows_are_cut_to_what_github_takes() {
    let many = (0..2_000).map(|id| {
        let mut recorded = recorded(
            id,
            Standing::Over,
            "wants.repositories = [\"web\"]\nwants.permissions.repository.contents = \"write\"\n",
        );
        recorded.request.owner.login = Login::new("é".repeat(39));
        recorded
    });
    let plan = plan(
        &policy(OLD),
        &policy(&OLD.replace("contents = \"read\"", "contents = \"write\"")),
        many,
    );
    assert_eq!(plan.flips.len(), 2_000);
    let text = plan.markdown(65_535, Names::Shown);
    assert!(text.chars().count() <= 65_535, "{}", text.chars().count());
    assert!(text.chars().count() > 60_000 && text.contains("There is more than fits here"));
    assert!(
        text.lines().filter(|line| line.starts_with("| milder")).all(|line| line.ends_with(" |"))
    );
}
