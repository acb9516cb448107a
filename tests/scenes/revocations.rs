//! Taking many tokens back: exactly what was planned, once, whatever breaks; and what was not known is looked at.

use std::{sync::Arc, time::Duration};

use fakehub::{Fault, Hold, StaleBulk, TokenSpec};
use patwarden::{
    domain::{AccessLevel, GrantId, Login},
    engine::{Bulk, BulkError, Carried, Operator},
    inventory::{AskedFilter, TokenFilter},
    store::{ItemState, RevocationState},
};
use tokio_util::sync::CancellationToken;

use crate::common::{GRANTS, REVOKE, REVOKE_MANY, Scene, Set, harmless, soon, writing};

const DAY: Duration = Duration::from_secs(86_400);

fn operator() -> Operator {
    Operator { name: "operator olga@desk".to_owned(), reason: "spring cleaning".to_owned() }
}

/// Tokens that can write contents and were not used for 90 days: what most who come ask for.
fn unused_writers() -> TokenFilter {
    TokenFilter {
        asked: AskedFilter {
            permissions: vec![("contents".to_owned(), AccessLevel::Write)],
            unused_for: Some(90),
            ..AskedFilter::default()
        },
        ..TokenFilter::default()
    }
}

/// A token that may write, was given access 200 days ago, and was never used.
fn forgotten(scene: &Scene, login: &str) -> TokenSpec {
    let since = scene.hub.now().checked_sub(jiff::SignedDuration::from_hours(200 * 24)).unwrap();
    writing(login).since(since).never_expires()
}

/// So many forgotten tokens of Kim's, by their own numbers.
fn forgotten_by_kim(scene: &Scene, many: usize) -> Vec<u64> {
    let token = |number| forgotten(scene, "kim").named(&format!("number {number}"));
    (0..many).map(|number| scene.hub.grant_token("acme", token(number)).unwrap().token_id).collect()
}

async fn plan(scene: &Scene, bulk: &Bulk, filter: &TokenFilter) -> i64 {
    let installation = scene.installation().await;
    let planned = bulk.plan(&installation, filter, &operator(), &()).await.unwrap();
    planned.revocation.expect("some tokens are meant").id
}

async fn plan_and_confirm(scene: &Scene, bulk: &Bulk) -> i64 {
    let id = plan(scene, bulk, &unused_writers()).await;
    bulk.confirm(id, &operator()).await.unwrap();
    id
}

fn counted(carried: &Carried, state: ItemState) -> i64 {
    carried.counts.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
}

/// Carries it out while time passes quickly: what is looked for later is looked for soon.
async fn carried_out(scene: &Scene, bulk: &Bulk, id: i64) -> Carried {
    carried_out_within(scene, bulk, id, Duration::from_secs(1)).await
}

/// The same, with so much time passing in a tenth of a second.
async fn carried_out_within(scene: &Scene, bulk: &Bulk, id: i64, step: Duration) -> Carried {
    let clock = scene.clock.clone();
    let time = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            clock.push(step);
        }
    });
    let carried = soon("the revocation comes to its end", bulk.carry_out(id, &())).await;
    time.abort();
    carried.unwrap()
}

/// What GitHub's state says: how often each token of these was revoked.
fn revoked(scene: &Scene, tokens: &[u64]) -> Vec<usize> {
    let revocations = scene.hub.revocations("acme");
    tokens
        .iter()
        .map(|token| revocations.iter().filter(|one| one.token_id == *token).count())
        .collect()
}

#[tokio::test]
async fn what_was_planned_is_revoked_a_hundred_a_call_and_nothing_else() {
    let scene = Set::default().open().await;
    let meant = forgotten_by_kim(&scene, 250);
    let used = scene.hub.grant_token("acme", forgotten(&scene, "lee")).unwrap().token_id;
    scene.hub.use_token(used).unwrap();
    let reads = harmless("ada").never_expires().since("2020-01-01T00:00:00Z".parse().unwrap());
    let reads = scene.hub.grant_token("acme", reads).unwrap().token_id;

    let bulk = scene.bulk().await;
    let id = plan(&scene, &bulk, &unused_writers()).await;
    assert!(scene.hub.revocations("acme").is_empty(), "a plan revokes nothing");
    let row = scene.store().revocation(id).await.unwrap().unwrap();
    assert_eq!((row.active, row.state), (252, RevocationState::Planned));
    assert_eq!(row.filter, "--permission contents=write --unused-for 90d");
    let error = bulk.carry_out(id, &()).await.unwrap_err();
    assert!(error.to_string().contains("nobody has confirmed it"), "{error}");

    bulk.confirm(id, &operator()).await.unwrap();
    scene.hub.reset_calls();
    let carried = soon("it comes to its end", bulk.carry_out(id, &())).await.unwrap();
    assert_eq!(counted(&carried, ItemState::Revoked), 250);
    assert_eq!(carried.revocation.state, RevocationState::Done);
    assert_eq!((scene.calls(REVOKE_MANY), scene.calls(REVOKE)), (3, 0));
    assert!(revoked(&scene, &meant).iter().all(|times| *times == 1));
    assert_eq!(revoked(&scene, &[used, reads]), [0, 0]);
    // Two lists of fifty before each call, and at the end, twice, the list of the two that are left: the shorter way.
    assert_eq!(scene.calls(GRANTS), 5 + 2);
    scene.end().await;
}

#[tokio::test]
async fn a_token_that_was_used_or_changed_or_given_access_again_since_the_plan_is_left_out() {
    let scene = Set::default().open().await;
    let tokens = forgotten_by_kim(&scene, 4);
    let bulk = scene.bulk().await;
    let id = plan_and_confirm(&scene, &bulk).await;
    scene.hub.use_token(tokens[0]).unwrap();
    let more = scene.hub.edit_token(tokens[1], |spec| spec.on(["web", "billing"])).unwrap();
    scene.hub.review_as("olga", more.request_id, fakehub::Review::Approve).unwrap();
    scene.hub.delete_token(tokens[2]).unwrap();
    let carried = carried_out(&scene, &bulk, id).await;
    assert_eq!(counted(&carried, ItemState::LeftOut), 2);
    assert_eq!(counted(&carried, ItemState::AlreadyGone), 1);
    assert_eq!(counted(&carried, ItemState::Revoked), 1);
    assert_eq!(revoked(&scene, &tokens), [0, 0, 0, 1]);
    let items = scene.store().revocation_items(id, Some(ItemState::LeftOut), GrantId(0), 9).await;
    let whys: Vec<String> = items.unwrap().into_iter().map(|item| item.why).collect();
    assert!(whys.iter().any(|why| why.starts_with("it was used since it was planned")), "{whys:?}");
    assert!(whys.iter().any(|why| why.starts_with("it was given access again")), "{whys:?}");
    scene.end().await;
}

#[tokio::test]
async fn a_lost_answer_is_looked_at_and_nothing_is_revoked_twice() {
    for fault in [
        Fault::on(REVOKE_MANY).status(502).after_effect().times(1),
        Fault::on(REVOKE_MANY).cut().after_effect().times(1),
        Fault::on(REVOKE_MANY).status(502).times(1),
        Fault::on(REVOKE_MANY).cut().times(1),
    ] {
        let took_effect = format!("{fault:?}").contains("after_effect: true");
        let scene = Set::default().open().await;
        let tokens = forgotten_by_kim(&scene, 30);
        let bulk = scene.bulk().await;
        let id = plan_and_confirm(&scene, &bulk).await;
        scene.hub.fault(fault);
        let carried = carried_out(&scene, &bulk, id).await;
        assert_eq!(counted(&carried, ItemState::Revoked), 30);
        assert!(revoked(&scene, &tokens).iter().all(|times| *times == 1));
        assert_eq!(scene.calls(REVOKE_MANY), if took_effect { 1 } else { 2 });
        scene.end().await;
    }
}

#[tokio::test]
async fn a_call_that_github_carries_out_late_or_in_part_is_seen_through() {
    // Late: a minute by the bot's clock.
    let scene = Set::default().hub(|hub| hub.bulk_delay = Duration::from_secs(3)).open().await;
    let tokens = forgotten_by_kim(&scene, 30);
    let bulk = scene.bulk().await;
    let id = plan_and_confirm(&scene, &bulk).await;
    let carried = carried_out(&scene, &bulk, id).await;
    assert_eq!(counted(&carried, ItemState::Revoked), 30);
    assert!(revoked(&scene, &tokens).iter().all(|times| *times == 1));
    assert_eq!(scene.calls(REVOKE_MANY), 1);
    scene.end().await;

    // In part: twenty of a call, so the others are in another.
    let scene = Set::default().hub(|hub| hub.switches.bulk_takes_at_most = Some(20)).open().await;
    let tokens = forgotten_by_kim(&scene, 30);
    let bulk = scene.bulk().await;
    let id = plan_and_confirm(&scene, &bulk).await;
    let carried = carried_out(&scene, &bulk, id).await;
    assert_eq!(counted(&carried, ItemState::Revoked), 30);
    assert!(revoked(&scene, &tokens).iter().all(|times| *times == 1));
    assert_eq!(scene.calls(REVOKE_MANY), 2);
    scene.end().await;

    // Never: what GitHub says it took and does not do is told as what it is.
    let scene = Set::default().hub(|hub| hub.switches.bulk_takes_at_most = Some(0)).open().await;
    forgotten_by_kim(&scene, 3);
    let bulk = scene.bulk().await;
    let id = plan_and_confirm(&scene, &bulk).await;
    let carried = carried_out(&scene, &bulk, id).await;
    assert_eq!(counted(&carried, ItemState::StillThere), 3);
    assert_eq!(scene.calls(REVOKE_MANY), 3);
    scene.end().await;
}

#[tokio::test]
async fn githubs_limits_make_it_wait_and_not_fail() {
    for fault in [
        Fault::on(REVOKE_MANY).secondary_limit(Some(Duration::from_secs(40))).times(1),
        Fault::on(REVOKE_MANY).rate_limited(Duration::from_secs(3_600)).times(1),
        Fault::on(GRANTS).too_many_requests(Duration::from_secs(20)).times(1),
        Fault::on(REVOKE_MANY).bad_credentials().times(1),
    ] {
        // Time passes faster than GitHub would be with its work.
        let scene = Set::default().hub(|hub| hub.bulk_delay = Duration::ZERO).open().await;
        let tokens = forgotten_by_kim(&scene, 130);
        let bulk = scene.bulk().await;
        let id = plan_and_confirm(&scene, &bulk).await;
        scene.hub.fault(fault);
        let carried = carried_out_within(&scene, &bulk, id, Duration::from_secs(60)).await;
        assert_eq!(counted(&carried, ItemState::Revoked), 130);
        assert!(revoked(&scene, &tokens).iter().all(|times| *times == 1));
        scene.end().await;
    }
}

#[tokio::test]
async fn a_fifth_of_the_hours_calls_is_left_to_requests() {
    let scene = Set::default().hub(|hub| hub.rate_limit = Some(100)).open().await;
    forgotten_by_kim(&scene, 30);
    let bulk = scene.bulk().await;
    let id = plan_and_confirm(&scene, &bulk).await;
    let installation = scene.installation().await;
    scene.hub.leave_calls(u64::try_from(installation.id.0).unwrap(), 20);
    // Somebody asks GitHub something, and so it is known.
    bulk.list_tokens(&installation, &()).await.unwrap();
    let run = tokio::spawn(async move { bulk.carry_out(id, &()).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(scene.calls(REVOKE_MANY), 0);
    // A request is decided meanwhile.
    let asked = scene.ask(harmless("ada"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.clock.push(Duration::from_secs(3_600));
    let carried = soon("the next hour", run).await.unwrap().unwrap();
    assert_eq!(counted(&carried, ItemState::Revoked), 30);
    scene.end().await;
}

#[tokio::test]
async fn an_id_that_vanished_does_not_stop_the_others() {
    for stale in [StaleBulk::FailsWhole, StaleBulk::Partial] {
        let scene = Set::default().hub(|hub| hub.switches.stale_bulk = stale).open().await;
        let tokens = forgotten_by_kim(&scene, 20);
        let bulk = Arc::new(scene.bulk().await);
        let id = plan_and_confirm(&scene, &bulk).await;
        // Between the look and the call.
        let held = scene.hub.hold(Hold::before(REVOKE_MANY));
        let run = {
            let bulk = Arc::clone(&bulk);
            tokio::spawn(async move { bulk.carry_out(id, &()).await })
        };
        soon("the call comes", held.reached()).await;
        scene.hub.delete_token(tokens[7]).unwrap();
        held.release();
        let carried = soon("it comes to its end", run).await.unwrap().unwrap();
        let over =
            counted(&carried, ItemState::Revoked) + counted(&carried, ItemState::AlreadyGone);
        assert_eq!(over, 20, "{stale:?}");
        let mut times = revoked(&scene, &tokens);
        assert_eq!(times.remove(7), 0);
        assert!(times.iter().all(|times| *times == 1), "{stale:?}: {times:?}");
        scene.end().await;
    }
}

#[tokio::test]
async fn what_github_will_not_take_together_is_revoked_one_by_one_and_no_limit_counts_as_a_refusal()
{
    let refused = serde_json::json!({ "message": "Validation Failed", "status": "422" });
    for fault in [
        Fault::on(REVOKE_MANY).answer(422, refused),
        Fault::on(REVOKE_MANY).secondary_limit(Some(Duration::from_secs(5))).times(5),
    ] {
        let scene = Set::default().hub(|hub| hub.bulk_delay = Duration::ZERO).open().await;
        let tokens = forgotten_by_kim(&scene, 130);
        let bulk = scene.bulk().await;
        let id = plan_and_confirm(&scene, &bulk).await;
        scene.hub.fault(fault);
        let carried = carried_out(&scene, &bulk, id).await;
        assert_eq!(counted(&carried, ItemState::Revoked), 130, "{:?}", carried.counts);
        assert!(revoked(&scene, &tokens).iter().all(|times| *times == 1));
        scene.end().await;
    }
}

#[tokio::test]
async fn two_operators_who_revoke_the_same_tokens_at_once_revoke_each_once() {
    let scene = Set::default().open().await;
    let tokens = forgotten_by_kim(&scene, 250);
    let (olga, martin) = (scene.bulk().await, scene.bulk().await);
    let hers = plan_and_confirm(&scene, &olga).await;
    let his = plan_and_confirm(&scene, &martin).await;
    assert_ne!(hers, his);
    let (hers, his) = tokio::join!(olga.carry_out(hers, &()), martin.carry_out(his, &()));
    let (hers, his) = (hers.unwrap(), his.unwrap());
    let by_both = counted(&hers, ItemState::Revoked) + counted(&his, ItemState::Revoked);
    assert_eq!(by_both, 250, "{:?} {:?}", hers.counts, his.counts);
    assert!(revoked(&scene, &tokens).iter().all(|times| *times == 1));
    // And one plan by two at once.
    let tokens = forgotten_by_kim(&scene, 250);
    let id = plan_and_confirm(&scene, &olga).await;
    let (hers, his) = tokio::join!(olga.carry_out(id, &()), martin.carry_out(id, &()));
    assert_eq!(counted(&hers.unwrap(), ItemState::Revoked), 250);
    assert_eq!(counted(&his.unwrap(), ItemState::Revoked), 250);
    assert!(revoked(&scene, &tokens).iter().all(|times| *times == 1));
    scene.end().await;
}

#[tokio::test]
async fn what_is_interrupted_goes_on_where_it_was_left() {
    let scene = Set::default().open().await;
    let tokens = forgotten_by_kim(&scene, 250);
    let stop = CancellationToken::new();
    let bulk = scene.bulk_until(stop.clone()).await;
    let id = plan_and_confirm(&scene, &bulk).await;
    let held = scene.hub.hold(Hold::before(REVOKE_MANY).skip(1));
    let run = tokio::spawn(async move { bulk.carry_out(id, &()).await });
    soon("the second call comes", held.reached()).await;
    stop.cancel();
    held.release();
    let error = soon("it stops", run).await.unwrap().unwrap_err();
    assert!(matches!(error, BulkError::Interrupted), "{error}");
    assert_eq!(scene.calls(REVOKE_MANY), 2);
    let row = scene.store().revocation(id).await.unwrap().unwrap();
    assert_eq!(row.state, RevocationState::Running);
    // Tokens that came since are none of its business.
    let later = forgotten_by_kim(&scene, 1);
    let bulk = scene.bulk().await;
    let carried = carried_out(&scene, &bulk, id).await;
    assert_eq!(counted(&carried, ItemState::Revoked), 250);
    assert_eq!(scene.calls(REVOKE_MANY), 3);
    assert!(revoked(&scene, &tokens).iter().all(|times| *times == 1));
    assert_eq!(revoked(&scene, &later), [0]);
    scene.end().await;
}

#[tokio::test]
async fn an_empty_filter_is_refused_and_one_that_means_everything_says_so_in_its_share() {
    let scene = Set::default().open().await;
    forgotten_by_kim(&scene, 5);
    let bulk = scene.bulk().await;
    let installation = scene.installation().await;
    let error = bulk.plan(&installation, &TokenFilter::default(), &operator(), &()).await;
    assert!(error.unwrap_err().to_string().contains("empty filter"));
    let everybody = TokenFilter {
        asked: AskedFilter { owners: vec![Login::new("KIM")], ..AskedFilter::default() },
        ..TokenFilter::default()
    };
    let planned = bulk.plan(&installation, &everybody, &operator(), &()).await.unwrap();
    assert_eq!(planned.summary.share_of(planned.listing.active), 100);
    // Nothing is confirmed that nobody typed.
    assert!(scene.hub.revocations("acme").is_empty());
    scene.end().await;
}

#[tokio::test]
async fn with_a_clock_two_days_ahead_nothing_is_planned_and_no_plan_is_confirmed() {
    let scene = Set::default().open().await;
    // Used 89 days ago: not long enough.
    let used = scene.hub.now().checked_sub(jiff::SignedDuration::from_hours(89 * 24)).unwrap();
    scene.hub.grant_token("acme", forgotten(&scene, "kim").last_used(used)).unwrap();
    let meant = forgotten_by_kim(&scene, 1);
    let bulk = scene.bulk().await;
    let id = plan(&scene, &bulk, &unused_writers()).await;
    scene.clock.push(2 * DAY);
    let lapsed = bulk.confirm(id, &operator()).await.unwrap_err();
    assert!(lapsed.to_string().contains("lapsed"), "{lapsed}");
    let installation = scene.installation().await;
    let error = bulk.plan(&installation, &unused_writers(), &operator(), &()).await.unwrap_err();
    assert!(error.to_string().contains("ahead of GitHub's"), "{error}");
    assert_eq!(revoked(&scene, &meant), [0]);
    scene.end().await;
}

#[tokio::test]
async fn requests_are_decided_while_thousands_of_tokens_are_revoked() {
    let scene = Set::default().open().await;
    let tokens = forgotten_by_kim(&scene, 3_000);
    let bulk = scene.bulk().await;
    let id = plan_and_confirm(&scene, &bulk).await;
    let run = tokio::spawn(async move { bulk.carry_out(id, &()).await });
    let mut decided = 0;
    while !run.is_finished() {
        let asked = scene.ask(harmless("ada"));
        scene.until_it_stands(asked.request_id, "approved by a rule").await;
        decided += usize::from(!run.is_finished());
    }
    let carried = run.await.unwrap().unwrap();
    assert_eq!(counted(&carried, ItemState::Revoked), 3_000);
    assert!(decided >= 3, "only {decided} requests were decided while tokens were revoked");
    assert!(revoked(&scene, &tokens).iter().all(|times| *times == 1));
    scene.end().await;
}
