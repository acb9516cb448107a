//! An App that somebody installs where nobody meant it to be: only the organizations that the settings name are served.

use crate::common::{LIST, Set, harmless, soon, until};

#[tokio::test]
async fn an_organization_that_is_not_named_is_ignored_and_told_of() {
    let mut scene = Set::default().flag("reconcile-interval", "60s").without_bot().await;
    scene.hub.world(|world| {
        world
            .add_organization("other")
            .owner("oscar")
            .members(["kim"])
            .repository(fakehub::Repo::private("web"));
    });
    scene.hub.install("other").unwrap();
    // Before anybody said so it was served: then nothing of that may go on.
    scene.start().await;
    scene.looked_around().await;
    until("both are known", || async {
        (scene.store().installations().await.unwrap().len() == 2).then_some(())
    })
    .await;
    scene.stop().await;
    scene.change(|set| set.flags.push(("allowed-organizations", "ACME".to_owned())));
    scene.start().await;
    let others = scene.hub.request_token("other", harmless("kim")).unwrap();
    let ours = scene.ask(harmless("kim"));
    scene.until_it_stands(ours.request_id, "approved by a rule").await;
    soon("both webhooks arrive", scene.hub.webhooks_sent()).await;
    scene.until_read().await;
    until("it is told", || async {
        let ignored = scene.store().ignored_installations().await.unwrap();
        (ignored.len() == 1 && ignored[0].0.as_str() == "other").then_some(())
    })
    .await;
    assert_eq!(scene.on_github(others.request_id), "pending");
    assert!(scene.rows().await.iter().all(|row| row.organization.login.as_str() == "acme"));
    let installed = scene.store().installations().await.unwrap();
    assert_eq!(installed.len(), 1);
    let looked = scene.hub.calls_of(LIST);
    let last = looked.last().expect("a look");
    assert!(last.path.contains("acme"), "{}", last.path);
    scene.end().await;
}
