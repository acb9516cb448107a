//! The same rules and the same request, decided by patwarden and by Cedar: `cargo run --release` prints nanoseconds a
//! decision and their ratio. Run by hand; what it compares with is built from the registry.
//!
//! Five conditions a rule (team, token name, lifetime, repositories, permissions), of which the last of N applies. The
//! others name other repositories. Cedar has no "for all" over a set, so each repository is an attribute of its own;
//! principals and resources are there, policies are parsed and the request is built beforehand.

use std::{fmt::Write as _, hint::black_box, str::FromStr as _, time::Instant};

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use patwarden::{
    domain::TokenRequest,
    rules::{Effect, Policy, SourceFile, cases::parse_situation, decide, facts::Facts, load::load},
};

fn prefix(number: usize, count: usize) -> String {
    if number + 1 == count { "svc-".to_owned() } else { format!("svc{number}-") }
}

fn ours(count: usize, repositories: usize) -> (Policy, TokenRequest, Facts) {
    let mut files = vec![SourceFile::new(
        "0.toml",
        "schema = 1\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n",
    )];
    let numbers: Vec<_> = (0..count).collect();
    for chunk in numbers.chunks(1_000) {
        let mut text = "schema = 1\n".to_owned();
        for number in chunk {
            let prefix = prefix(*number, count);
            write!(
                text,
                "[approve.r{number}]\nwhen.owner.teams = [\"platform\"]\nwhen.token.name.matches = \"ci-.*\"\nallow.lifetime = \"90d\"\n\
                 allow.repositories = [\"{prefix}*\"]\nallow.permissions.repository = {{ contents = \"write\", issues = \"write\" }}\n"
            )
            .expect("writing to a string");
        }
        files.push(SourceFile::new(format!("{}.toml", files.len()), text));
    }
    let policy = load(&files).policy.expect("the rules are valid");
    let names: Vec<_> =
        (0..repositories).map(|number| format!("\"svc-payments-{number}\"")).collect();
    let situation = format!(
        "wants = {{ name = \"ci-build\", lifetime = \"30d\", repositories = [{}], permissions.repository = {{ contents = \"write\", issues = \"read\" }} }}\n\
         world.owner.teams = [\"platform\"]\n",
        names.join(", ")
    );
    let (request, facts) =
        parse_situation("request", &situation, policy.needs()).expect("a request");
    (policy, request, facts)
}

fn cedar(count: usize, repositories: usize) -> (PolicySet, Request, Entities) {
    let mut text = String::new();
    for number in 0..count {
        let prefix = prefix(number, count);
        let repositories: String =
            (0..repositories).map(|r| format!(" && context.r{r} like \"{prefix}*\"")).collect();
        write!(
            text,
            "permit(principal in Team::\"platform\", action == Action::\"request\", resource) when {{ \
             context.days <= 90 && context.contents <= 2 && context.issues <= 2 && context.name like \"ci-*\"{repositories} }};\n"
        )
        .expect("writing to a string");
    }
    let policies = PolicySet::from_str(&text).expect("the policies are valid");
    let mut context =
        "{ \"days\": 30, \"contents\": 2, \"issues\": 1, \"name\": \"ci-build\"".to_owned();
    for number in 0..repositories {
        write!(context, ", \"r{number}\": \"svc-payments-{number}\"").expect("writing to a string");
    }
    context.push('}');
    let context = Context::from_json_str(&context, None).expect("a context");
    let uid = |text: &str| EntityUid::from_str(text).expect("an entity");
    let request = Request::new(
        uid("User::\"kim\""),
        uid("Action::\"request\""),
        uid("Organization::\"acme\""),
        context,
        None,
    )
    .expect("a request");
    let entities = r#"[{"uid":{"type":"User","id":"kim"},"attrs":{},"parents":[{"type":"Team","id":"platform"}]},
        {"uid":{"type":"Team","id":"platform"},"attrs":{},"parents":[]}]"#;
    (policies, request, Entities::from_json_str(entities, None).expect("entities"))
}

/// Nanoseconds a call: the median of five rounds, each of at least 100 ms.
fn time(mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..5)
        .map(|_| {
            let (start, mut calls) = (Instant::now(), 0u32);
            while start.elapsed().as_millis() < 100 {
                call();
                calls += 1;
            }
            start.elapsed().as_nanos() as f64 / f64::from(calls)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[2]
}

fn main() {
    println!(
        "{:>6} {:>13} {:>14} {:>14} {:>8}",
        "rules", "repositories", "patwarden ns", "cedar ns", "ratio"
    );
    for (count, repositories) in [(10, 1), (100, 1), (100, 17), (1_000, 1), (1_000, 17)] {
        let (policy, request, facts) = ours(count, repositories);
        assert_eq!(decide(&policy, &request, &facts).effect, Effect::Approve);
        let patwarden = time(|| {
            black_box(decide(black_box(&policy), black_box(&request), black_box(&facts)));
        });
        let (policies, request, entities) = cedar(count, repositories);
        let authorizer = Authorizer::new();
        assert_eq!(
            authorizer.is_authorized(&request, &policies, &entities).decision(),
            Decision::Allow
        );
        let cedar = time(|| {
            black_box(authorizer.is_authorized(
                black_box(&request),
                black_box(&policies),
                black_box(&entities),
            ));
        });
        println!(
            "{count:>6} {repositories:>13} {patwarden:>14.0} {cedar:>14.0} {:>8.0}",
            cedar / patwarden
        );
    }
}
