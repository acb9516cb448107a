//! Whose rules count for whom: an enterprise's above its organizations', each organization's own, and none where none are
//! named.

use patwarden::engine::InForce;

use crate::common::{RULES, Scene, Set, administrating, harmless, on_github, until};

const ABOVE: &str = r#"schema = 1
layer = "enterprise"
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[deny.ent-never-expires]
when.token.never_expires = true
reason = "Choose an expiry."
"#;

/// Two places on disk: `enterprise.toml` above `rules.toml`.
async fn under_an_enterprise(above: &str) -> Scene {
    let set = Set::default();
    let mut scene = set.without_bot().await;
    std::fs::write(scene.path("enterprise.toml"), above).unwrap();
    let path = scene.path("enterprise.toml").display().to_string();
    scene.change(|set| set.flags.push(("enterprise-rules", path)));
    scene.start().await;
    scene.looked_around().await;
    scene
}

fn in_force(scene: &Scene, login: &str) -> InForce {
    scene.bot().engine.policies().in_force(&scene.organization(login))
}

fn new_above(scene: &Scene, text: &str) {
    std::fs::write(scene.path("enterprise.toml"), text).unwrap();
    scene.bot().engine.policies().reload();
}

#[tokio::test]
async fn what_the_enterprise_denies_no_organization_approves() {
    let scene = under_an_enterprise(ABOVE).await;
    scene.new_rules(&RULES.replace("allow.lifetime = \"90d\"\n", "allow.lifetime = \"366d\"\n"));
    let fine = scene.ask(harmless("kim"));
    let never = scene.ask(harmless("lee").never_expires());
    scene.until_it_stands(fine.request_id, "approved by a rule").await;
    scene.until_it_stands(never.request_id, "denied by a rule").await;
    let decision = scene.decisions(fine.request_id).await.remove(0);
    assert!(decision.policy_source.contains(", under "), "{}", decision.policy_source);
    scene.end().await;
}

#[tokio::test]
async fn an_enterprise_that_tightens_binds_at_once_also_while_the_organizations_file_is_broken() {
    let scene = under_an_enterprise(ABOVE).await;
    scene.new_rules("nonsense");
    new_above(
        &scene,
        &format!("{ABOVE}[deny.ent-kim]\nwhen.owner.login = [\"kim\"]\nreason = \"Not kim.\"\n"),
    );
    let denied = scene.ask(harmless("kim"));
    scene.until_it_stands(denied.request_id, "denied by a rule").await;
    let waits = scene.ask(harmless("lee"));
    let row = scene.until_left_to_people(waits.request_id).await;
    assert!(row.note.contains("would be approved, but"), "{}", row.note);
    scene.new_rules(RULES);
    scene.until_it_stands(waits.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn an_enterprise_whose_file_is_broken_leaves_its_last_good_one_and_approves_nothing() {
    let mut scene = under_an_enterprise(ABOVE).await;
    new_above(&scene, "nonsense");
    let waits = scene.ask(harmless("kim"));
    let never = scene.ask(harmless("lee").never_expires());
    scene.until_it_stands(never.request_id, "denied by a rule").await;
    let row = scene.until_left_to_people(waits.request_id).await;
    assert!(row.note.contains("enterprise.toml"), "{}", row.note);
    // Nor after a restart.
    scene.stop().await;
    scene.start().await;
    scene.looked_around().await;
    assert!(in_force(&scene, "acme").policy.is_some() && in_force(&scene, "acme").broken.is_some());
    assert_eq!(scene.on_github(waits.request_id), "pending");
    new_above(&scene, ABOVE);
    scene.until_it_stands(waits.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn a_change_above_that_contradicts_a_rule_below_leaves_the_rest_of_the_file_in_force() {
    let mut scene = under_an_enterprise(ABOVE).await;
    let taken = format!(
        "{ABOVE}[deny.administration]\nwhen.permissions.any_at_least.repository = {{ administration = \"write\" }}\n\
         reason = \"Nobody administers.\"\n"
    );
    new_above(&scene, &taken);
    assert!(in_force(&scene, "acme").broken.is_none(), "{:?}", in_force(&scene, "acme").broken);
    let denied = scene.ask(administrating("kim"));
    let approved = scene.ask(harmless("lee"));
    scene.until_it_stands(denied.request_id, "denied by a rule").await;
    scene.until_it_stands(approved.request_id, "approved by a rule").await;
    let outcome = scene.hub.outcome(denied.request_id);
    assert!(outcome.reason().unwrap().starts_with("Nobody administers"), "{outcome:?}");
    // After a restart the file below is still one that was there before.
    scene.stop().await;
    scene.start().await;
    scene.looked_around().await;
    assert!(in_force(&scene, "acme").broken.is_none(), "{:?}", in_force(&scene, "acme").broken);
    // A new version below must not contradict what is above.
    scene.new_rules(&format!("{RULES}\n# new\n"));
    assert!(in_force(&scene, "acme").broken.is_some());
    scene.end().await;
}

#[tokio::test]
async fn an_enterprise_that_was_never_read_is_not_left_out() {
    let scene = under_an_enterprise("nonsense").await;
    let asked = scene.ask(harmless("kim"));
    until("it waits for rules", || async {
        scene.row(asked.request_id).await.filter(|row| row.note.contains("no valid policy"))
    })
    .await;
    new_above(&scene, ABOVE);
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

/// `acme` and `other`, each with the App; the file is the bot's settings.
async fn two_organizations(file: impl FnOnce(&Scene) -> String) -> Scene {
    let mut scene = Set::default().without_bot().await;
    scene.hub.world(|world| {
        world
            .add_organization("other")
            .owner("oskar")
            .members(["nina"])
            .repository(fakehub::Repo::private("web"));
    });
    scene.hub.install("other").unwrap();
    let file = file(&scene);
    scene.change(|set| set.file = Some(file));
    scene.start().await;
    scene.looked_around().await;
    scene
}

#[tokio::test]
async fn two_organizations_have_each_their_own_rules_and_mode() {
    let scene = two_organizations(|scene| {
        std::fs::write(scene.path("other.toml"), RULES.replace("\"90d\"", "\"7d\"")).unwrap();
        let (acme, other) = (scene.path("rules.toml"), scene.path("other.toml"));
        let (acme, other) = (acme.display(), other.display());
        format!(
            "rules = \"{acme}\"\n[organizations.other]\nrules = \"{other}\"\nmode = \"approve-only\"\n"
        )
    })
    .await;
    let acme = scene.ask(harmless("kim"));
    let other = scene.hub.request_token("other", harmless("nina")).unwrap();
    scene.until_it_stands(acme.request_id, "approved by a rule").await;
    until("it is left to people", || async {
        let rows = scene.rows().await;
        rows.into_iter().find(|row| {
            row.organization.login.as_str() == "other" && row.state.to_string() == "escalated"
        })
    })
    .await;
    assert_eq!(on_github(&scene.hub, other.request_id), "pending");
    let rows = scene.store().policies_in_force().await.unwrap();
    let modes: Vec<_> = rows
        .iter()
        .map(|row| (row.organization.login.as_str(), row.whose.as_deref(), row.mode.as_deref()))
        .collect();
    assert_eq!(
        modes,
        [
            ("acme", Some("everybody"), Some("enforce")),
            ("other", Some("organization other"), Some("approve-only"))
        ]
    );
    scene.end().await;
}

#[tokio::test]
async fn an_organization_that_is_not_named_has_no_rules_and_nothing_is_approved() {
    let scene = two_organizations(|scene| {
        format!("[organizations.ACME]\nrules = \"{}\"\n", scene.path("rules.toml").display())
    })
    .await;
    let acme = scene.ask(harmless("kim"));
    scene.until_it_stands(acme.request_id, "approved by a rule").await;
    let other = scene.hub.request_token("other", harmless("nina")).unwrap();
    until("it waits for rules", || async {
        let rows = scene.rows().await;
        rows.into_iter().find(|row| row.note.contains("the settings name no rules for other"))
    })
    .await;
    assert_eq!(on_github(&scene.hub, other.request_id), "pending");
    scene.end_with_work_left().await;
}
