//! What a check run says of a change of the rules.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use insta::assert_snapshot;
use patwarden::rules::{
    SourceFile, cases,
    diagnostic::Severity,
    load::load,
    plan::{Names, Recorded, Standing, plan},
    review::{Consequences, LONGEST_TEXT, review},
};

const RULES: &str = r#"
schema = 1
[default]
decision = "escalate"
to = "owners"
[approve.readers]
when.owner.role = ["member"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.permissions.repository = { contents = "read" }
[tests."a reader"]
wants = { repositories = ["web"], permissions.repository = { contents = "read" } }
expect = "approve"
[tests."too long"]
wants = { lifetime = "91d", repositories = ["web"], permissions.repository = { contents = "read" } }
expect = "escalate"
"#;

fn change(text: &str) -> patwarden::rules::Loaded {
    load(&[SourceFile::new("policy/rules.toml", text)])
}

#[test]
fn a_change_that_loosens_shows_who_would_get_more() {
    let new =
        change(&RULES.replace("contents = \"read\" }\n[tests", "contents = \"write\" }\n[tests"));
    let (old, new_policy) = (change(RULES).policy.unwrap(), new.policy.clone().unwrap());
    let asked = "wants.repositories = [\"web\"]\nwants.permissions.repository.contents = \"write\"\nwants.name = \"deploy\"\n";
    let (request, facts) = cases::parse_situation("x", asked, old.needs()).unwrap();
    let recorded = Recorded { standing: Standing::Pending, request, facts };
    let plan = Box::new(plan(&old, &new_policy, [recorded]));
    let shown = review(&new, &Consequences::Known(plan.clone(), Names::Shown));
    assert!(shown.passed);
    assert_eq!(shown.title, "valid; 2 cases pass; 1 milder, 0 stricter, 0 uncovered");
    assert_snapshot!(shown.summary, @r"
    The rules are valid: 1 rule, 0 warnings to look at.

    > **SHADOW**: with this mode everything is decided and recorded, and nothing is sent to GitHub.

    ### Cases

    2 of 2 pass.

    ### What this change would do

    Judged again: 1 request (1 pending, 0 with an active token). 1 would come out milder, 0 stricter; 0 active tokens are approved by no rule any more; 0 cannot be told.

    - Changed: `approve.readers`.
    - In `approve.readers`: `allow.permissions.repository.contents: read → write`.

    ### Would come out otherwise

    | | who | asks for | now | because |
    |---|---|---|---|---|
    | milder | octocat, deploy (pending) | contents&#58;write on web for 30 d | escalate → **approve** | approve, by approve.readers |
    ");
    let public = review(&new, &Consequences::Known(plan, Names::Counted));
    assert!(!public.summary.contains("deploy") && !public.summary.contains("octocat"));
    let stranger = review(&new, &Consequences::NotForTheAuthor);
    assert!(stranger.summary.contains("Not shown") && !stranger.summary.contains("milder"));
}

#[test]
fn every_error_stands_at_its_line_and_a_failing_case_tells_why() {
    let broken = review(
        &change(
            &RULES.replace("\"90d\"", "\"36h\"").replace("when.owner.role", "when.owner.rolle"),
        ),
        &Consequences::NothingInForce,
    );
    assert_eq!(
        (broken.passed, broken.title.as_str()),
        (false, "2 errors in the rules: they would not be used")
    );
    let lines: Vec<_> = broken
        .annotations
        .iter()
        .map(|a| (a.path.as_str(), a.line, a.columns, a.severity, a.title.as_str()))
        .collect();
    assert_eq!(lines[0], ("policy/rules.toml", 7, (12, 16), Severity::Error, "unknown-key"));
    assert!(broken.annotations[0].message.contains("did you mean `role`?"));
    let failing =
        review(&change(&RULES.replace("\"90d\"", "\"95d\"")), &Consequences::NothingInForce);
    assert!(!failing.passed && failing.summary.contains("1 of 2 pass"));
    assert!(
        failing
            .summary
            .contains("- `too long`: `expected escalate, and it is approve, by approve.readers`"),
        "{}",
        failing.summary
    );
}

#[test]
fn a_hostile_name_stays_inside_its_quotation_and_the_text_inside_githubs_limit() {
    let name = "x` @all <img src=http://evil> [a](b)";
    let text = RULES.replace("\"90d\"", "\"95d\"").replace("too long", name);
    let shown = review(&change(&text), &Consequences::NothingInForce).summary;
    assert!(shown.contains("- `x' @all <img src=http://evil> [a](b)`: "), "{shown}");
    let mut many = RULES.replace("\"90d\"", "\"95d\"");
    for number in 0..1_500 {
        many += &format!(
            "[tests.\"{number} {}\"]\nwants = {{ lifetime = \"91d\", repositories = [\"web\"], permissions.repository = {{ contents = \"read\" }} }}\nexpect = \"deny\"\n",
            "z".repeat(300)
        );
    }
    let review = review(&change(&many), &Consequences::NothingInForce);
    assert!(review.summary.chars().count() <= LONGEST_TEXT);
    assert_eq!(review.annotations.len(), 500);
}
