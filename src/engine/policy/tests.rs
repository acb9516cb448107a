//! Who is entitled to which rules, whatever they are called by now.

use super::*;
use crate::{rules::Mode, settings::OrganizationRules};

const RULES: &str =
    "schema = 1\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n";

fn organization(id: i64, login: &str) -> Organization {
    Organization { id: OrganizationId(id), login: Login::new(login) }
}

struct Scene {
    folder: tempfile::TempDir,
    store: Store,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        for name in ["all.toml", "acme.toml"] {
            let text = format!("{RULES}# {name}\n");
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        let store = Store::open(&folder.path().join("store.sqlite")).await.expect("a store");
        Self { folder, store }
    }

    fn place(&self, name: &str) -> Option<Place> {
        Some(Place::Disk(self.folder.path().join(name)))
    }

    /// Rules for everybody, others for acme, and a mode of its own for careful.
    async fn open(&self) -> Policies {
        let named = |login, place, highest_mode| OrganizationRules {
            login: Login::new(login),
            place,
            highest_mode,
        };
        let settings = RulesSettings {
            enterprise: None,
            everybody: self.place("all.toml"),
            organizations: vec![
                named("ACME", self.place("acme.toml"), None),
                named("careful", None, Some(Mode::Shadow)),
            ],
            highest_mode: Mode::Enforce,
        };
        Policies::open(settings, &self.store, Timestamp::UNIX_EPOCH).await.expect("policies")
    }
}

#[tokio::test]
async fn each_has_its_own_rules_and_the_others_have_everybodys() {
    let policies = Scene::new().await.open().await;
    let of = |organization| policies.in_force(&organization);
    assert!(of(organization(1, "acme")).source.ends_with("acme.toml"));
    assert!(of(organization(2, "other")).source.ends_with("all.toml"));
    let careful = of(organization(3, "careful"));
    assert!(careful.source.ends_with("all.toml"));
    let mode = |it: InForce| it.policy.map(|policy| policy.mode());
    assert_eq!(mode(careful), Some(Mode::Shadow));
    assert_eq!(mode(of(organization(2, "other"))), Some(Mode::Enforce));
}

#[tokio::test]
async fn a_new_name_changes_nobodys_rules_and_a_name_given_up_gives_nobody_any() {
    let scene = Scene::new().await;
    let policies = scene.open().await;
    let acme = organization(1, "acme");
    policies.bind(&[acme], &scene.store).await.expect("kept");
    // Now, and after a restart.
    for policies in [policies, scene.open().await] {
        let renamed = policies.in_force(&organization(1, "acme-corp"));
        assert!(renamed.source.ends_with("acme.toml"), "{}", renamed.source);
        let taken = policies.in_force(&organization(9, "acme"));
        assert!(taken.policy.is_none());
        let why = taken.broken.expect("why not");
        assert!(why.contains("patwarden policy trust acme"), "{why}");
    }
    // Until somebody says that this one is meant.
    let policies = scene.open().await;
    let whose = whose_of(&Login::new("acme"));
    scene.store.trust_login(&whose, OrganizationId(9)).await.expect("kept");
    policies.rebind(&scene.store.policy_logins().await.expect("read"));
    assert!(policies.in_force(&organization(9, "acme")).policy.is_some());
}

#[tokio::test]
async fn another_place_in_the_settings_begins_anew() {
    let scene = Scene::new().await;
    scene.open().await;
    let row = scene.store.policy_place(EVERYBODY).await.expect("read").expect("a row");
    assert!(row.good.is_some());
    std::fs::write(scene.folder.path().join("all.toml"), "nonsense").expect("written");
    let broken = scene.open().await.in_force(&organization(2, "other"));
    assert!(broken.policy.is_some() && broken.broken.is_some(), "the last good one, kept");
    let settings = RulesSettings {
        enterprise: None,
        everybody: scene.place("absent.toml"),
        organizations: Vec::new(),
        highest_mode: Mode::Enforce,
    };
    let moved =
        Policies::open(settings, &scene.store, Timestamp::UNIX_EPOCH).await.expect("policies");
    assert!(moved.in_force(&organization(2, "other")).policy.is_none());
}
