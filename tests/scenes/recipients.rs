//! Whom `owners`, a team and an address mean: who can be reached, who cannot, and what is not known.

use fakehub::Fault;
use patwarden::{
    engine::{Recipients, RecipientsError},
    rules::policy::Detail,
};

use crate::common::{MEMBERS, Scene, Set, TEAM};

const BOOK: &str = "[addresses]\nolga = \"olga@example.com\"\nkim = \"kim@example.com\"\nada = \"ada@example.com\"\n";

async fn opened() -> Scene {
    let scene = Set::default().without_bot().await;
    let rules = format!("rules = \"{}\"\n", scene.path("rules.toml").display());
    let folder = scene.path("mail").display().to_string();
    let mut scene = scene;
    scene.change(|set| {
        set.file = Some(format!("{rules}{BOOK}"));
        set.flags.push(("mail", format!("folder:{folder}")));
        set.flags.push(("mail-from", "bot@example.com".to_owned()));
    });
    scene.start().await;
    scene.looked_around().await;
    scene
}

async fn whom(scene: &Scene, to: &[&str]) -> Result<Recipients, RecipientsError> {
    let to: Vec<String> = to.iter().map(|text| (*text).to_owned()).collect();
    let installation = scene.installation().await;
    scene.bot().engine.recipients(&installation, &to).await
}

fn shown(recipients: &Recipients) -> (Vec<String>, Vec<&str>) {
    let reached = recipients.reached().map(|one| one.address.to_string()).collect();
    (reached, recipients.without_address.iter().map(|login| login.as_str()).collect())
}

#[tokio::test]
async fn owners_and_teams_are_who_they_are_now_and_whoever_has_no_address_is_named() {
    let scene = opened().await;
    let all = whom(&scene, &["owners", "platform", "security@example.com"]).await.unwrap();
    assert_eq!(
        shown(&all),
        (
            vec![
                "kim@example.com".into(),
                "olga@example.com".into(),
                "security@example.com".into()
            ],
            vec!["lee", "martin"]
        )
    );
    // Whoever leaves the team is not written to any more, whatever the address book says.
    scene.hub.remove_team_member("acme", "platform", "kim").unwrap();
    let team = whom(&scene, &["platform"]).await.unwrap();
    assert_eq!(shown(&team), (vec![], vec!["lee"]));
    scene.end().await;
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_an_error_and_not_nobody() {
    let scene = opened().await;
    for list in [MEMBERS, TEAM] {
        let fault = scene.hub.fault(Fault::on(list).status(500));
        let error = whom(&scene, &["owners", "platform"]).await.unwrap_err();
        assert!(matches!(error, RecipientsError::Unreadable { .. }) && error.may_pass(), "{error}");
        scene.hub.clear_fault(fault);
    }
    let error = whom(&scene, &["nobodys-team"]).await.unwrap_err();
    assert!(matches!(error, RecipientsError::Unreadable { .. }) && !error.may_pass(), "{error}");
    // A slug that was given up and taken by another team: those people are not meant.
    whom(&scene, &["platform"]).await.unwrap();
    scene.hub.delete_team("acme", "platform").unwrap();
    scene.hub.world(|world| {
        world.add_organization("acme").team("platform", ["ada"]);
    });
    let error = whom(&scene, &["platform"]).await.unwrap_err();
    assert!(matches!(error, RecipientsError::AnotherTeam { .. }) && !error.may_pass(), "{error}");
    scene.end().await;
}

#[tokio::test]
async fn public_addresses_are_used_only_where_the_settings_say_so_and_are_told_the_least() {
    let mut scene = opened().await;
    scene.hub.world(|world| {
        world.add_user("martin").email = Some("martin@example.net".to_owned());
        world.add_user("lee").email = Some("lee\r\nBcc: everybody@example.com".to_owned());
    });
    let unasked = whom(&scene, &["owners", "platform"]).await.unwrap();
    assert_eq!(shown(&unasked).1, ["lee", "martin"]);
    scene.stop().await;
    scene.change(|set| set.flags.push(("mail-public-addresses", "on".to_owned())));
    scene.start().await;
    let asked = whom(&scene, &["owners", "platform"]).await.unwrap();
    assert_eq!(shown(&asked).1, ["lee"], "what is no address is none");
    let most: Vec<_> = asked.reached().map(|one| (one.address.to_string(), one.most)).collect();
    assert!(most.contains(&("martin@example.net".to_owned(), Detail::Minimal)), "{most:?}");
    assert!(most.contains(&("olga@example.com".to_owned(), Detail::Full)), "{most:?}");
    scene.end().await;
}
