//! The inventory: every token is found, whoever approved it and whether or not anybody told us.

use std::time::Duration;

use fakehub::{Fault, Review, TokenSpec};
use patwarden::{
    domain::{Approval, GrantId, KnownToken, Membership, Role, TokenId},
    store::{Gone, TokenEventKind},
};

use crate::common::{GRANT_REPOSITORIES, GRANTS, MEMBERS, Scene, Set, harmless, until, writing};

/// Every token that the store knows of `acme`, those that are gone too.
async fn known(scene: &Scene) -> Vec<KnownToken> {
    let organization = scene.organization("acme").id;
    let first = GrantId(i64::MIN);
    scene.store().tokens(organization, first, Gone::With, 1_000_000).await.unwrap()
}

async fn of(scene: &Scene, token: u64) -> KnownToken {
    let token = TokenId(i64::try_from(token).unwrap());
    let known = known(scene).await;
    known.into_iter().find(|known| known.grant.token.id == token).expect("it is known")
}

#[tokio::test]
async fn every_token_is_found_with_a_call_for_each_hundred_and_none_for_each_token() {
    let scene = Set::default().open().await;
    for number in 0..250 {
        let spec = TokenSpec::by("kim").named(&format!("number {number}")).on(["web", "api"]);
        scene.hub.grant_token("acme", spec).unwrap();
    }
    scene.hub.reset_calls();
    let bulk = scene.bulk().await;
    let listing = bulk.list_tokens(&scene.installation().await, &()).await.unwrap();
    assert_eq!((listing.active, listing.calls, scene.calls(GRANTS)), (250, 3, 3));
    assert_eq!(scene.calls(GRANT_REPOSITORIES), 0);
    assert_eq!(known(&scene).await.len(), 250);
    // Listed again, nothing is news.
    bulk.list_tokens(&scene.installation().await, &()).await.unwrap();
    let token = &known(&scene).await[0];
    let organization = scene.organization("acme").id;
    let events = scene.store().token_events(organization, token.grant.id).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.what).collect();
    assert_eq!(kinds, [TokenEventKind::FirstSeen]);
    scene.end().await;
}

#[tokio::test]
async fn a_token_says_who_approved_it_also_when_nobody_told_us() {
    let scene = Set::default().open().await;
    let by_rule = scene.ask(harmless("kim"));
    scene.until_it_stands(by_rule.request_id, "approved by a rule").await;
    let by_olga = scene.ask(writing("lee"));
    scene.until_left_to_people(by_olga.request_id).await;
    scene.hub.review_as("olga", by_olga.request_id, Review::Approve).unwrap();
    scene.until_settled(by_olga.request_id).await;
    let before_us = scene.hub.grant_token("acme", TokenSpec::by("ada").on(["web"])).unwrap();
    let owners = scene.hub.grant_token("acme", TokenSpec::by("olga").on_all()).unwrap();

    let bulk = scene.bulk().await;
    let installation = scene.installation().await;
    bulk.list_tokens(&installation, &()).await.unwrap();
    assert_eq!(of(&scene, owners.token_id).await.membership, Membership::Unknown);
    bulk.list_members(&installation, &()).await.unwrap();

    let Approval::Rule { rules, decision, source, .. } =
        of(&scene, by_rule.token_id).await.approval
    else {
        panic!("a rule approved it");
    };
    assert_eq!(rules, ["approve.read"]);
    assert_eq!(decision, scene.decisions(by_rule.request_id).await[0].id);
    assert!(source.ends_with("rules.toml"), "{source}");
    let olgas = of(&scene, by_olga.token_id).await.approval;
    assert!(matches!(olgas, Approval::Person { login, .. } if login == "olga"));
    assert_eq!(of(&scene, before_us.token_id).await.approval, Approval::Unknown);
    assert_eq!(of(&scene, owners.token_id).await.approval, Approval::Itself);
    assert_eq!(of(&scene, owners.token_id).await.membership, Membership::Member(Role::Owner));
    scene.end().await;
}

#[tokio::test]
async fn an_approval_on_record_does_not_speak_for_access_that_was_given_much_later() {
    let scene = Set::default().open().await;
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    let bulk = scene.bulk().await;
    bulk.list_tokens(&scene.installation().await, &()).await.unwrap();
    assert!(matches!(of(&scene, asked.token_id).await.approval, Approval::Rule { .. }));
    // While nobody listens, Kim edits it and Olga approves what it has become.
    scene.hub.drop_webhooks(true);
    scene.hub.advance(Duration::from_secs(15 * 60));
    let again = scene
        .hub
        .edit_token(asked.token_id, |spec| spec.repository_permission("contents", "write"))
        .unwrap();
    scene.hub.review_as("olga", again.request_id, Review::Approve).unwrap();
    bulk.list_tokens(&scene.installation().await, &()).await.unwrap();
    assert_eq!(of(&scene, asked.token_id).await.approval, Approval::Unknown);
    scene.end_with_work_left().await;
}

#[tokio::test]
async fn what_a_token_may_do_its_end_and_its_return_are_kept_as_history() {
    let scene = Set::default().open().await;
    let token = scene.hub.grant_token("acme", harmless("kim")).unwrap();
    let bulk = scene.bulk().await;
    let installation = scene.installation().await;
    bulk.list_tokens(&installation, &()).await.unwrap();
    scene.hub.use_token(token.token_id).unwrap();
    bulk.list_tokens(&installation, &()).await.unwrap();
    assert!(of(&scene, token.token_id).await.grant.token.last_used_at.is_some());
    let more = scene
        .hub
        .edit_token(token.token_id, |spec| spec.repository_permission("contents", "write"))
        .unwrap();
    scene.hub.review_as("olga", more.request_id, Review::Approve).unwrap();
    bulk.list_tokens(&installation, &()).await.unwrap();
    scene.hub.delete_token(token.token_id).unwrap();
    bulk.list_tokens(&installation, &()).await.unwrap();

    let kims = of(&scene, token.token_id).await;
    assert!(kims.gone_at.is_some());
    let organization = scene.organization("acme").id;
    let events = scene.store().token_events(organization, kims.grant.id).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.what).collect();
    // Being used is no news.
    assert_eq!(kinds, [TokenEventKind::FirstSeen, TokenEventKind::Changed, TokenEventKind::Gone]);
    let permissions = events[1].detail["permissions"].to_string();
    assert!(permissions.contains(r#""contents":"read""#), "{permissions}");
    assert!(permissions.contains(r#""contents":"write""#), "{permissions}");
    scene.end().await;
}

#[tokio::test]
async fn a_row_that_a_list_loses_between_its_pages_is_looked_for_before_its_token_counts_as_gone() {
    let scene = Set::default().open().await;
    for number in 0..150 {
        let spec = TokenSpec::by("kim").named(&format!("number {number}"));
        scene.hub.grant_token("acme", spec).unwrap();
    }
    let bulk = scene.bulk().await;
    let installation = scene.installation().await;
    bulk.list_tokens(&installation, &()).await.unwrap();
    let fault = scene.hub.fault(Fault::on(GRANTS).lose_row().times(1));
    let listing = bulk.list_tokens(&installation, &()).await.unwrap();
    assert_eq!(scene.hub.fault_fired(fault), 1);
    assert_eq!((listing.active, listing.calls), (150, 3));
    assert!(known(&scene).await.iter().all(|token| token.gone_at.is_none()));
    scene.end().await;
}

#[tokio::test]
async fn a_listing_that_breaks_off_makes_nothing_gone() {
    let scene = Set::default().open().await;
    for number in 0..150 {
        let spec = TokenSpec::by("kim").named(&format!("number {number}"));
        scene.hub.grant_token("acme", spec).unwrap();
    }
    let bulk = scene.bulk().await;
    let installation = scene.installation().await;
    let first = bulk.list_tokens(&installation, &()).await.unwrap();
    scene.hub.fault(Fault::on(GRANTS).skip(1).missing_permission());
    let error = bulk.list_tokens(&installation, &()).await.unwrap_err();
    assert!(error.to_string().contains("organization_personal_access_tokens"), "{error}");
    assert!(known(&scene).await.iter().all(|token| token.gone_at.is_none()));
    let organization = scene.organization("acme").id;
    assert_eq!(scene.store().token_listing(organization).await.unwrap(), Some(first));
    scene.end().await;
}

#[tokio::test]
async fn who_left_is_known_by_comparing_lists_and_half_a_list_makes_nobody_leave() {
    let scene = Set::default().open().await;
    let kims = scene.hub.grant_token("acme", harmless("kim")).unwrap();
    let bulk = scene.bulk().await;
    let installation = scene.installation().await;
    bulk.list_tokens(&installation, &()).await.unwrap();
    bulk.list_members(&installation, &()).await.unwrap();
    let role = Membership::Member(Role::Member);
    assert_eq!(of(&scene, kims.token_id).await.membership, role);
    // The owners cannot be listed.
    scene.hub.fault(Fault::on(MEMBERS).skip(1).times(1).missing_permission());
    bulk.list_members(&installation, &()).await.unwrap_err();
    assert_eq!(of(&scene, kims.token_id).await.membership, role);
    scene.hub.drop_webhooks(true);
    scene.hub.remove_member("acme", "kim").unwrap();
    let changes = bulk.list_members(&installation, &()).await.unwrap();
    assert_eq!(changes.left.len(), 1);
    let kim = of(&scene, kims.token_id).await;
    assert!(matches!(kim.membership, Membership::Left { since: Some(_) }), "{kim:?}");
    scene.end().await;
}

#[tokio::test]
async fn another_login_is_no_departure_and_somebody_elses_login_is_no_membership() {
    let scene = Set::default().hub(|hub| hub.switches.leavers_tokens_stay = true).open().await;
    let bills = scene.hub.grant_token("acme", harmless("bill")).unwrap();
    let kims = scene.hub.grant_token("acme", harmless("kim")).unwrap();
    let bulk = scene.bulk().await;
    let installation = scene.installation().await;
    bulk.list_tokens(&installation, &()).await.unwrap();
    bulk.list_members(&installation, &()).await.unwrap();
    scene.hub.drop_webhooks(true);
    // A billing manager is on no list, and is asked for by name; Ada takes the login that Kim gave up when she left.
    scene.hub.remove_member("acme", "kim").unwrap();
    scene.hub.world(|world| {
        assert!(world.rename_user("bill", "william"));
        assert!(world.rename_user("kim", "elsewhere") && world.rename_user("ada", "kim"));
    });
    let changes = bulk.list_members(&installation, &()).await.unwrap();
    let left: Vec<&str> = changes.left.iter().map(|owner| owner.login.as_str()).collect();
    assert_eq!(left, ["kim"]);
    let billing = Membership::Member(Role::BillingManager);
    assert_eq!(of(&scene, bills.token_id).await.membership, billing);
    let kim = of(&scene, kims.token_id).await.membership;
    assert!(matches!(kim, Membership::Left { since: Some(_) }), "{kim:?}");
    scene.end().await;
}

#[tokio::test]
async fn the_bot_takes_the_inventory_by_itself_at_start_and_by_interval() {
    let scene = Set::default().flag("inventory-interval", "1h").open().await;
    scene.hub.drop_webhooks(true);
    let kims = scene.hub.grant_token("acme", harmless("kim")).unwrap();
    let organization = scene.organization("acme").id;
    let listed = || async { scene.store().token_listing(organization).await.unwrap() };
    let first = until("the first inventory", listed).await;
    until("the members were listed", || async {
        scene.store().members_listed_at(organization).await.unwrap()
    })
    .await;
    scene
        .time_passes_until("the next inventory", Duration::from_secs(600), || async {
            listed().await.is_some_and(|listing| listing.began_at > first.began_at)
        })
        .await;
    assert_eq!(of(&scene, kims.token_id).await.gone_at, None);
    scene.end().await;
}

#[tokio::test]
async fn an_app_that_may_not_see_members_does_not_list_all_tokens_each_time_it_tries() {
    let mut scene = Set::default().flag("inventory-interval", "6h").without_bot().await;
    scene.hub.fault(Fault::on(MEMBERS).missing_permission());
    scene.start().await;
    let organization = scene.organization("acme").id;
    let listing = || async { scene.store().token_listing(organization).await.unwrap() };
    until("the tokens are listed", listing).await;
    let calls = scene.calls(GRANTS);
    let tried = scene.calls(MEMBERS);
    let again = || async { scene.calls(MEMBERS) > tried + 2 };
    scene.time_passes_until("it is tried again", Duration::from_secs(300), again).await;
    assert_eq!(scene.calls(GRANTS), calls);
    assert_eq!(scene.store().members_listed_at(organization).await.unwrap(), None);
    scene.end().await;
}
