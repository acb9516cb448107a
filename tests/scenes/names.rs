//! `patwarden rules check --org`: what rule files name is asked of GitHub, each list once; what is not there is a warning at its
//! place, and what could not be asked is neither right nor wrong.

use std::collections::BTreeMap;

use fakehub::{Fault, PropertyDefinition, Repo};
use insta::assert_snapshot;
use serde_json::Value;

use crate::common::{RULES, Scene, Set, TEAM_BY_SLUG, TEAMS_OF, harmless};

const INSTALLATION: &str = "apps/get-org-installation";
const MEMBERS: &str = "orgs/list-members";
const MEMBERSHIP: &str = "orgs/get-membership-for-user";
const REPOSITORIES: &str = "repos/list-for-org";
const SCHEMA: &str = "orgs/custom-properties-for-repos-get-organization-definitions";

/// Everything that can be named, each with a slip of the pen.
const SLIPS: &str = r#"[approve.platform]
when.owner.teams = ["platfrom"]
unless.owner.login = ["bill", "adda", "svc-*"]
allow.lifetime = "30d"
allow.repositories = ["wbe", "api", "lib-*"]
allow.permissions.repository = { contents = "read" }
[escalate.sox]
when.repositories.any.custom_properties.soxx = ["true"]
to = "security"
[deny.old]
when.repositories.all.name = ["Billing", "biling"]
reason = "No."
[waiver.w]
rule = "deny.old"
owner = "kimm"
granted = 2099-01-01
until = 2099-01-31
record = "R"
max.lifetime = "1d"
[reviewers.security]
notify = ["issue:acme/tokn-reviews", "email:platform", "email:owners", "email:a@acme.example"]
may_decide.teams = ["acme/securty"]
[digest]
to = ["owners", "platforn"]
at = "08:00 UTC"
"#;

async fn scene() -> Scene {
    let scene = Set::default().without_bot().await;
    scene.hub.world(|world| {
        world
            .add_organization("acme")
            .team("security", ["olga"])
            .repository(Repo::private("token-reviews"))
            .property_definition(PropertyDefinition {
                name: "sox".to_owned(),
                value_type: "true_false".to_owned(),
                required: false,
                default_value: None,
                allowed_values: Vec::new(),
            });
    });
    scene
}

/// What `rules check` says of the scene's rules and these ones, and its exit code. Of the settings it has no more than it needs.
async fn check(scene: &Scene, more: &str, arguments: &[&str]) -> (String, i32) {
    let app = scene.hub.app();
    let environment = BTreeMap::from([
        ("GITHUB_APP_ID", app.id.to_string()),
        ("GITHUB_APP_PRIVATE_KEY", app.private_key_pem.clone()),
        ("GITHUB_API_URL", scene.hub.api_url()),
        ("PATWARDEN_DATABASE_URL", format!("sqlite:{}", scene.store_path().display())),
    ]);
    std::fs::write(scene.path("acme.toml"), format!("{RULES}{more}")).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_patwarden"));
    command.args(["rules", "check", "acme.toml"]).args(arguments).current_dir(scene.folder());
    command.env_clear().envs(environment).stdin(std::process::Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (said.concat(), output.status.code().unwrap())
}

/// The warnings about names: the code, the line, what is underlined, and what is said.
fn warnings(json: &str) -> Vec<String> {
    let json: Value = serde_json::from_str(json).unwrap();
    let all = json["diagnostics"].as_array().unwrap().iter();
    let of_names = all.filter(|it| {
        let code = it["code"].as_str().unwrap();
        code == "another-team" || code.starts_with("unknown-")
    });
    let shown = of_names.map(|it| {
        let span = &it["place"]["span"];
        let at = |end: &str| usize::try_from(span[end].as_u64().unwrap()).unwrap();
        let marked = &it["place"]["text"].as_str().unwrap()[at("start")..at("end")];
        let help = it["help"].as_str().map(|help| format!(" ({help})")).unwrap_or_default();
        let (code, message) = (it["code"].as_str().unwrap(), it["message"].as_str().unwrap());
        assert_eq!(it["severity"], "warning");
        format!("{code} {} {marked}: {message}{help}", it["place"]["line"])
    });
    shown.collect()
}

fn not_asked(json: &str) -> Vec<String> {
    let json: Value = serde_json::from_str(json).unwrap();
    let all = json["names"]["not_asked"].as_array().unwrap().iter();
    all.map(|it| format!("{}: {}", it["what"].as_str().unwrap(), it["why"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn what_is_not_there_is_told_at_its_place_with_the_nearest_name_that_is() {
    let scene = scene().await;
    let (json, code) = check(&scene, SLIPS, &["--org", "acme", "--json"]).await;
    assert_snapshot!(warnings(&json).join("\n"), @r#"
    unknown-team 16 "platfrom": acme has no team `platfrom` that the App can see: who is in it is unknown (did you mean `platform`?)
    unknown-login 17 "adda": nobody in acme has the login `adda` (did you mean `ada`?)
    unknown-repository 19 "wbe": acme has no repository `wbe` that the App can see (did you mean `web`?)
    unknown-property 22 soxx: acme defines no custom property `soxx`: what a repository has for it is unknown (did you mean `sox`?)
    unknown-repository 25 "biling": acme has no repository `biling` that the App can see (did you mean `billing`?)
    unknown-login 29 "kimm": nobody in acme has the login `kimm` (did you mean `kim`?)
    unknown-repository 35 "issue:acme/tokn-reviews": acme has no repository `tokn-reviews` that the App can see (did you mean `token-reviews`?)
    unknown-team 36 "acme/securty": acme has no team `securty` that the App can see: who is in it is unknown (did you mean `security`?)
    unknown-team 38 "platforn": acme has no team `platforn` that the App can see: who is in it is unknown (did you mean `platform`?)
    "#);
    assert_eq!((code, not_asked(&json)), (0, Vec::new()));
    // Each list once, however many names; a call for each login that is in no list.
    let lists = [INSTALLATION, TEAMS_OF, MEMBERS, REPOSITORIES, SCHEMA];
    assert_eq!(lists.map(|operation| scene.calls(operation)), [1; 5]);
    assert_eq!((scene.calls(MEMBERSHIP), scene.calls(TEAM_BY_SLUG)), (3, 0));
    scene.leave().await;
}

#[tokio::test]
async fn where_all_of_it_is_there_nothing_is_said_and_without_asking_nothing_is_called() {
    let scene = scene().await;
    let right = SLIPS
        .replace("platfrom", "platform")
        .replace("platforn", "Acme/Platform")
        .replace("adda", "ADA")
        .replace("wbe", "web")
        .replace("soxx", "SOX")
        .replace("biling", "api")
        .replace("kimm", "kim")
        .replace("tokn", "token")
        .replace("securty", "security");
    let (said, code) = check(&scene, &right, &["--org", "ACME"]).await;
    assert!(said.contains("ACME: 13 names looked up, and all of them are there"), "{said}");
    assert!(!said.contains("unknown-"), "{said}");
    assert_eq!(code, 0);
    scene.hub.reset_calls();
    let (said, code) = check(&scene, SLIPS, &[]).await;
    assert!(code == 0 && !said.contains("platfrom"), "{said}");
    // What names nothing asks whether the App is there at all, and no more.
    let (said, code) = check(&scene, "", &["--org", "acme"]).await;
    assert!(code == 0 && said.contains("name nothing that could be looked up"), "{said}");
    assert_eq!(scene.hub.calls().len(), 1);
    scene.leave().await;
}

#[tokio::test]
async fn what_could_not_be_asked_is_said_once_and_is_not_well() {
    let scene = scene().await;
    scene.hub.fault(Fault::on(TEAMS_OF).missing_permission());
    scene.hub.fault(Fault::on(SCHEMA).status(502));
    let (json, code) = check(&scene, SLIPS, &["--org", "acme", "--json"]).await;
    let warnings = warnings(&json);
    assert!(
        warnings.iter().all(|one| !one.contains("team") && !one.contains("prop")),
        "{warnings:?}"
    );
    assert!(warnings.iter().any(|one| one.starts_with("unknown-login")), "the others are asked");
    let told = not_asked(&json);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("the teams of acme: GitHub refuses"), "{told:?}");
    assert!(told[1].starts_with("the custom properties of acme: no usable answer"), "{told:?}");
    assert_eq!(code, 1, "what was not asked does not look like all well");

    let (lines, code) = check(&scene, SLIPS, &["--org", "acme", "--format", "github"]).await;
    let told: Vec<_> =
        lines.lines().filter(|line| line.starts_with("::error title=not-asked::the ")).collect();
    assert_eq!((told.len(), code), (2, 1), "{lines}");
    let (log, _) = check(&scene, SLIPS, &["--org", "acme", "--format", "sarif"]).await;
    let log: Value = serde_json::from_str(&log).unwrap();
    let invocation = &log["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    assert_eq!(invocation["toolExecutionNotifications"].as_array().unwrap().len(), 2);
    let (said, _) = check(&scene, SLIPS, &["--org", "acme"]).await;
    assert_eq!(said.matches("NOT ASKED").count(), 2, "{said}");
    scene.leave().await;
}

#[tokio::test]
async fn an_organization_without_the_app_and_a_github_that_is_down_are_not_all_well() {
    let scene = scene().await;
    for org in ["acme-labs", "nosuch"] {
        let (said, code) = check(&scene, SLIPS, &["--org", org]).await;
        assert!(said.contains("the App is not installed on it"), "{said}");
        assert!(!said.contains("unknown-"), "{said}");
        assert_eq!(code, 1);
    }
    // Another organization's things are asked for where they are.
    let other = "[reviewers.x]\nnotify = [\"issue:elsewhere/reviews\"]\nmay_decide.teams = [\"elsewhere/sre\"]\n";
    let (said, code) = check(&scene, other, &["--org", "acme"]).await;
    assert_eq!((said.matches("NOT ASKED: anything of elsewhere").count(), code), (1, 1), "{said}");
    scene.hub.world(|world| {
        world
            .add_organization("elsewhere")
            .team("sre", ["nina"])
            .repository(Repo::private("review"));
    });
    scene.hub.install("elsewhere").unwrap();
    let (json, code) = check(&scene, other, &["--org", "acme", "--json"]).await;
    assert_eq!(
        warnings(&json),
        [
            "unknown-repository 16 \"issue:elsewhere/reviews\": elsewhere has no repository `reviews` that the App can see (did you mean `review`?)"
        ]
    );
    assert_eq!(code, 0);
    scene.hub.fault(Fault::on("*").status(503));
    let (said, code) = check(&scene, SLIPS, &["--org", "acme"]).await;
    assert_eq!((said.matches("NOT ASKED").count(), code), (1, 1), "{said}");
    scene.leave().await;
}

#[tokio::test]
async fn an_app_that_was_given_some_repositories_says_nothing_of_the_others() {
    let scene = scene().await;
    scene.hub.choose_repositories("acme", Some(&["web", "token-reviews"])).unwrap();
    let names = |names: &str| {
        format!("[deny.x]\nwhen.repositories.any.name = [{names}]\nreason = \"No.\"\n")
    };
    let (said, code) = check(&scene, &names("\"web\""), &["--org", "acme"]).await;
    assert!(code == 0 && said.contains("1 name looked up, and it is there"), "{said}");
    let (json, code) =
        check(&scene, &names("\"web\", \"billing\""), &["--org", "acme", "--json"]).await;
    assert_eq!(warnings(&json), [""; 0]);
    assert_eq!(
        not_asked(&json),
        [
            "the repositories billing of acme: the App was given other repositories, and does not see these"
        ]
    );
    assert_eq!(code, 1);
    scene.leave().await;
}

#[tokio::test]
async fn a_slug_that_names_another_team_than_the_rules_meant_is_told() {
    let team = "[deny.platform]\nwhen.owner.teams = [\"platform\"]\nreason = \"No.\"\n";
    let mut scene = Set::default().rules(&format!("{RULES}{team}")).open().await;
    let asked = scene.ask(harmless("ada"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    let (said, code) = check(&scene, team, &["--org", "acme"]).await;
    assert!(code == 0 && said.contains("1 name looked up, and it is there"), "{said}");
    scene.stop().await;
    scene.hub.delete_team("acme", "platform").unwrap();
    scene.hub.world(|world| {
        world.add_organization("acme").team("platform", ["ben"]);
    });
    let (json, code) = check(&scene, team, &["--org", "acme", "--json"]).await;
    let told = warnings(&json).remove(0);
    assert!(
        told.starts_with("another-team 16 \"platform\": `platform` is another team (number "),
        "{told}"
    );
    assert!(
        told.ends_with("(`patwarden policy trust acme --teams` says that this one is meant)"),
        "{told}"
    );
    assert_eq!(code, 0);
    scene.leave().await;
}

#[test]
fn only_what_is_needed_to_ask_is_asked_of_the_settings() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_patwarden"))
        .args(["rules", "check", "rules/small-org.toml", "--org", "acme"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the settings have 2 problems"), "{said}");
    for setting in ["GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY_PATH"] {
        assert!(said.contains(setting), "{said}");
    }
    assert_eq!(output.status.code(), Some(2));
}
