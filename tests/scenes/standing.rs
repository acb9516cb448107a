//! Standing policies: who leaves loses the token, what nobody uses is taken back, and too many at once wait for people.

use std::time::Duration;

use fakehub::{Fault, Hold, TokenSpec};
use patwarden::{
    domain::{Covered, GrantId, KnownToken, TokenId},
    engine::Operator,
    store::{Gone, Held, ItemState, RevocationItemRow, RevocationRow, RevocationState},
};

use crate::common::{GRANT_REPOSITORIES, MEMBERS, REVOKE_MANY, Scene, Set, TEAM, harmless, until};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

const LEAVERS: &str = "[revoke.leavers]\non = [\"organization.member_removed\"]\ngrace = \"0d\"\n";
const UNUSED: &str = "[revoke.unused]\nwhen.unused_for = \"90d\"\n";

fn rules(mode: &str, rest: &str) -> String {
    format!(
        "schema = 1\nmode = \"{mode}\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n{rest}\n"
    )
}

/// A bot with these rules, and a GitHub where whoever leaves keeps the tokens, after `before` happened there; and what that gave.
async fn opened<T>(rules: &str, before: impl FnOnce(&Scene) -> T) -> (Scene, T) {
    let mut scene = Set::default()
        .rules(rules)
        .flag("inventory-interval", "1h")
        .hub(|hub| {
            hub.switches.leavers_tokens_stay = true;
            hub.bulk_delay = Duration::ZERO;
        })
        .without_bot()
        .await;
    let before = before(&scene);
    scene.start().await;
    scene.looked_around().await;
    (scene, before)
}

/// A token that was given access so many days ago, and never used.
fn granted(scene: &Scene, login: &str, days_ago: i64) -> u64 {
    let since = scene.hub.now() - jiff::SignedDuration::from_hours(days_ago * 24);
    let spec = harmless(login).since(since).never_expires();
    scene.hub.grant_token("acme", spec).unwrap().token_id
}

/// Runs of a policy, oldest first, each with its tokens.
async fn runs(scene: &Scene, policy: &str) -> Vec<(RevocationRow, Vec<RevocationItemRow>)> {
    let mut runs = Vec::new();
    for row in scene.store().revocations(None, 100).await.unwrap() {
        if row.policy.as_deref() == Some(policy) {
            let items = scene.store().revocation_items(row.id, None, GrantId(0), 1_000).await;
            runs.insert(0, (row, items.unwrap()));
        }
    }
    runs
}

/// Waits until a policy was asked of every token, for the first time.
async fn asked(scene: &Scene, policy: &str) {
    let organization = scene.organization("acme").id;
    until(&format!("{policy} is asked"), || async {
        scene.store().standing_runs(organization).await.unwrap().remove(policy)
    })
    .await;
}

/// Waits until the last run of a policy stands there.
async fn until_it_is(
    scene: &Scene,
    policy: &str,
    state: RevocationState,
) -> (RevocationRow, Vec<RevocationItemRow>) {
    until(&format!("a run of {policy} is {}", state.as_str()), || async {
        runs(scene, policy).await.pop().filter(|(row, _)| row.state == state)
    })
    .await
}

/// The same while time passes.
async fn time_passes_until_it_is(
    scene: &Scene,
    policy: &str,
    state: RevocationState,
) -> (RevocationRow, Vec<RevocationItemRow>) {
    scene
        .both_clocks_until(&format!("a run of {policy}"), Duration::from_secs(60), || async {
            runs(scene, policy).await.pop().is_some_and(|(row, _)| row.state == state)
        })
        .await;
    runs(scene, policy).await.pop().unwrap()
}

/// Waits until a token has no access any more.
async fn until_gone(scene: &Scene, token: u64) {
    until(&format!("token {token} is gone"), || async { (!scene.has_access(token)).then_some(()) })
        .await;
}

/// Waits until this many inventories were begun since, an hour each.
async fn inventories(scene: &Scene, many: usize) {
    let organization = scene.organization("acme").id;
    let listed = || async {
        let listing = scene.store().token_listing(organization).await.unwrap();
        listing.map(|listing| listing.began_at)
    };
    for _ in 0..many {
        let before = listed().await;
        scene
            .both_clocks_until("another inventory", HOUR / 4, || async { listed().await != before })
            .await;
        // What follows from it.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

async fn with_access(scene: &Scene) -> Vec<KnownToken> {
    let organization = scene.organization("acme").id;
    scene.store().tokens(organization, GrantId(0), Gone::Without, 1_000).await.unwrap()
}

async fn of(scene: &Scene, token: u64) -> KnownToken {
    let organization = scene.organization("acme").id;
    let known = scene.store().tokens(organization, GrantId(0), Gone::With, 1_000).await.unwrap();
    let token = TokenId(i64::try_from(token).unwrap());
    known.into_iter().find(|known| known.grant.token.id == token).expect("it is known")
}

async fn covered(scene: &Scene, token: u64) -> Option<Covered> {
    of(scene, token).await.coverage.map(|coverage| coverage.covered)
}

fn olga() -> Operator {
    Operator { name: "operator olga@desk (local, unverified)".to_owned(), reason: String::new() }
}

fn outcomes(items: &[RevocationItemRow]) -> Vec<(&str, ItemState)> {
    items.iter().map(|item| (item.owner.as_str(), item.state)).collect()
}

#[tokio::test]
async fn who_leaves_loses_the_token_as_soon_as_github_tells() {
    let rules = rules("enforce", &format!("{LEAVERS}max_per_run = 5"));
    let both = |scene: &Scene| ["kim", "lee"].map(|login| granted(scene, login, 10));
    let (scene, [kims, lees]) = opened(&rules, both).await;
    asked(&scene, "revoke.leavers").await;
    // Being used saves nobody who left.
    scene.hub.use_token(kims).unwrap();
    scene.hub.remove_member("acme", "kim").unwrap();
    until_gone(&scene, kims).await;
    let (run, items) =
        time_passes_until_it_is(&scene, "revoke.leavers", RevocationState::Done).await;
    assert_eq!(outcomes(&items), [("kim", ItemState::Revoked)]);
    assert!(items[0].selected.contains("left acme"), "{}", items[0].selected);
    let by = run.confirmed_by.unwrap();
    assert!(by.starts_with("revoke.leavers of ") && by.ends_with("rules.toml"), "{by}");
    assert!(scene.has_access(lees));
    scene.end().await;
}

#[tokio::test]
async fn who_left_is_found_by_comparing_lists_when_the_webhook_is_lost_or_the_bot_comes_later() {
    let rules = rules("enforce", &format!("{LEAVERS}max_per_run = 5"));
    let (scene, [kims, adas, bills]) = opened(&rules, |scene| {
        // A billing manager is on no list of members, and is not somebody who left.
        let tokens = ["kim", "ada", "bill"].map(|login| granted(scene, login, 10));
        // Before the bot has ever seen a list.
        scene.hub.remove_member("acme", "ada").unwrap();
        tokens
    })
    .await;
    until_gone(&scene, adas).await;
    time_passes_until_it_is(&scene, "revoke.leavers", RevocationState::Done).await;
    scene.hub.drop_webhooks(true);
    scene.hub.remove_member("acme", "kim").unwrap();
    inventories(&scene, 1).await;
    until_gone(&scene, kims).await;
    assert!(scene.has_access(bills));
    scene.end().await;
}

#[tokio::test]
async fn a_token_that_nobody_uses_is_taken_back_and_one_that_was_used_meanwhile_is_spared() {
    let block = format!("{UNUSED}grace = \"0d\"\nmax_per_run = 1");
    let (scene, [kims, lees, bens]) = opened(&rules("enforce", &block), |scene| {
        [("kim", 200), ("lee", 200), ("ben", 89)].map(|(login, days)| granted(scene, login, days))
    })
    .await;
    // Two are more than one: none is touched.
    let (run, items) = until_it_is(&scene, "revoke.unused", RevocationState::Waiting).await;
    assert!(run.note.contains("more than max_per_run = 1"), "{}", run.note);
    assert_eq!(outcomes(&items), [("kim", ItemState::Planned), ("lee", ItemState::Planned)]);
    let alarms = scene.all_alarms();
    assert!(alarms.iter().any(|what| what.contains("patwarden revocations confirm")), "{alarms:?}");
    inventories(&scene, 2).await;
    assert_eq!(runs(&scene, "revoke.unused").await.len(), 1, "one that waits is enough");
    assert_eq!(scene.all_alarms().len(), 1);
    assert_eq!(scene.hub.revocations("acme").len(), 0);
    scene.hub.use_token(lees).unwrap();
    scene.bulk().await.confirm(run.id, &olga()).await.unwrap();
    let (run, items) =
        time_passes_until_it_is(&scene, "revoke.unused", RevocationState::Done).await;
    assert_eq!(outcomes(&items), [("kim", ItemState::Revoked), ("lee", ItemState::LeftOut)]);
    assert!(run.confirmed_by.unwrap().contains("olga@desk"));
    assert!(scene.has_access(lees) && scene.has_access(bens) && !scene.has_access(kims));
    scene.end().await;
}

#[tokio::test]
async fn a_limit_is_not_slipped_under_by_leaving_one_after_the_other() {
    let rules = rules("enforce", &format!("{LEAVERS}max_per_run = 2"));
    let (scene, tokens) =
        opened(&rules, |scene| ["kim", "lee", "ada"].map(|login| granted(scene, login, 10))).await;
    asked(&scene, "revoke.leavers").await;
    for (login, token) in [("kim", tokens[0]), ("lee", tokens[1])] {
        scene.hub.remove_member("acme", login).unwrap();
        scene
            .both_clocks_until("it is gone", Duration::from_secs(30), || async {
                !scene.has_access(token)
            })
            .await;
        time_passes_until_it_is(&scene, "revoke.leavers", RevocationState::Done).await;
    }
    scene.hub.remove_member("acme", "ada").unwrap();
    let (run, _) =
        time_passes_until_it_is(&scene, "revoke.leavers", RevocationState::Waiting).await;
    assert!(run.note.contains("with 2 that it took within a day"), "{}", run.note);
    assert!(scene.has_access(tokens[2]));
    scene.end().await;
}

#[tokio::test]
async fn a_larger_share_than_allowed_waits_and_lapses_after_a_day_and_is_made_anew() {
    let block = format!("{UNUSED}grace = \"0d\"\nmax_per_run = 5\nmax_share = \"20%\"");
    let (scene, kims) = opened(&rules("enforce", &block), |scene| {
        for _ in 0..3 {
            granted(scene, "lee", 1);
        }
        granted(scene, "kim", 200)
    })
    .await;
    let (first, _) = until_it_is(&scene, "revoke.unused", RevocationState::Waiting).await;
    assert!(first.note.contains("1 of 4 active tokens"), "{}", first.note);
    scene.both_clocks(DAY + HOUR);
    until("it is made anew", || async {
        (runs(&scene, "revoke.unused").await.len() == 2).then_some(())
    })
    .await;
    let states: Vec<_> =
        runs(&scene, "revoke.unused").await.into_iter().map(|(row, _)| row.state).collect();
    assert_eq!(states, [RevocationState::Dropped, RevocationState::Waiting]);
    assert!(scene.has_access(kims));
    scene.end().await;
}

#[tokio::test]
async fn shadow_reports_what_would_be_revoked_and_each_token_once() {
    let rules = rules("shadow", &format!("{UNUSED}grace = \"0d\"\nmax_per_run = 5"));
    let (scene, [kims, lees]) =
        opened(&rules, |scene| [granted(scene, "kim", 200), granted(scene, "lee", 89)]).await;
    let (run, items) = until_it_is(&scene, "revoke.unused", RevocationState::Reported).await;
    assert_eq!(outcomes(&items), [("kim", ItemState::Reported)]);
    assert!(run.note.starts_with("shadow"), "{}", run.note);
    scene.both_clocks(DAY);
    inventories(&scene, 1).await;
    // A day later only Lee's is news.
    until("Lee's is reported", || async {
        (runs(&scene, "revoke.unused").await.len() == 2).then_some(())
    })
    .await;
    let (_, items) = runs(&scene, "revoke.unused").await.pop().unwrap();
    assert_eq!(outcomes(&items), [("lee", ItemState::Reported)]);
    scene.both_clocks(DAY);
    inventories(&scene, 1).await;
    assert_eq!(runs(&scene, "revoke.unused").await.len(), 2);
    assert!(scene.has_access(kims) && scene.has_access(lees));
    assert_eq!(scene.calls(REVOKE_MANY), 0);
    scene.end().await;
}

#[tokio::test]
async fn who_leaves_the_team_that_a_token_was_approved_for_loses_it() {
    let approve = "[approve.platform]\nwhen.owner.teams = [\"platform\"]\nallow.lifetime = \"90d\"\n\
        allow.repositories = [\"*\"]\nallow.permissions.repository = { contents = \"read\" }\n\
        [revoke.left-the-team]\non = [\"membership.removed\"]\nwhen.no_longer_covered = true\n\
        grace = \"0d\"\nmax_per_run = 5";
    let (scene, ()) = opened(&rules("enforce", approve), |_| {}).await;
    let (kims, lees) = (scene.ask(harmless("kim")), scene.ask(harmless("lee")));
    for asked in [kims, lees] {
        scene.until_it_stands(asked.request_id, "approved by a rule").await;
    }
    // Nobody's rules gave Kim this one.
    let by_hand = granted(&scene, "kim", 3);
    inventories(&scene, 1).await;
    assert_eq!(covered(&scene, kims.token_id).await, Some(Covered::Yes));
    assert_eq!(runs(&scene, "revoke.left-the-team").await.len(), 0);
    scene.hub.remove_team_member("acme", "platform", "kim").unwrap();
    until_gone(&scene, kims.token_id).await;
    assert!(scene.has_access(lees.token_id) && scene.has_access(by_hand));
    // Who is unknown to be out is not out: the team cannot be read.
    time_passes_until_it_is(&scene, "revoke.left-the-team", RevocationState::Done).await;
    scene.hub.fault(Fault::on(TEAM).missing_permission());
    scene.hub.remove_team_member("acme", "platform", "lee").unwrap();
    inventories(&scene, 2).await;
    assert!(scene.has_access(lees.token_id));
    assert_eq!(covered(&scene, lees.token_id).await, Some(Covered::Unknown));
    scene.end().await;
}

#[tokio::test]
async fn whether_rules_cover_a_token_costs_a_call_only_where_its_repositories_matter() {
    let approve = |repositories: &str| {
        let rest = format!(
            "[approve.read]\nwhen.owner.role = [\"member\"]\nallow.lifetime = \"90d\"\n\
             allow.repositories = [\"{repositories}\"]\n\
             allow.permissions.repository = {{ contents = \"read\" }}"
        );
        rules("enforce", &rest)
    };
    let (scene, (on_web, on_api, writes)) = opened(&approve("*"), |scene| {
        let grant = |spec: TokenSpec| scene.hub.grant_token("acme", spec).unwrap().token_id;
        let on_web: Vec<u64> =
            (0..20).map(|number| grant(harmless("kim").named(&format!("{number}")))).collect();
        let writes = grant(harmless("kim").repository_permission("contents", "write"));
        (on_web, grant(harmless("kim").on(["api"])), writes)
    })
    .await;
    until("they are judged", || async {
        let known = with_access(&scene).await;
        (known.len() == 22 && known.iter().all(|known| known.coverage.is_some())).then_some(())
    })
    .await;
    assert_eq!(covered(&scene, on_web[0]).await, Some(Covered::Yes));
    assert_eq!(covered(&scene, writes).await, Some(Covered::No));
    assert_eq!(scene.calls(GRANT_REPOSITORIES), 0, "any repositories that are picked will do");
    // Now it matters which: a call for each, but for the one that may do too much anyway.
    scene.new_rules(&approve("web"));
    inventories(&scene, 1).await;
    until("they are judged anew", || async {
        (covered(&scene, on_api).await == Some(Covered::No)).then_some(())
    })
    .await;
    assert_eq!(covered(&scene, on_web[19]).await, Some(Covered::Yes));
    assert_eq!(scene.calls(GRANT_REPOSITORIES), 21);
    inventories(&scene, 3).await;
    assert_eq!(scene.calls(GRANT_REPOSITORIES), 21, "what was read counts for a day");
    scene.both_clocks(DAY);
    until("they are read again", || async {
        (scene.calls(GRANT_REPOSITORIES) >= 42).then_some(())
    })
    .await;
    inventories(&scene, 1).await;
    assert_eq!(scene.calls(GRANT_REPOSITORIES), 42);
    scene.end().await;
}

#[tokio::test]
async fn a_token_whose_repository_left_the_rule_is_told_of_once() {
    let approve = "[approve.web]\nwhen.owner.role = [\"member\"]\nallow.lifetime = \"90d\"\n\
        allow.repositories = [\"web\"]\nallow.permissions.repository = { contents = \"read\" }";
    let (scene, ()) = opened(&rules("enforce", approve), |_| {}).await;
    let kims = scene.ask(harmless("kim"));
    scene.until_it_stands(kims.request_id, "approved by a rule").await;
    inventories(&scene, 1).await;
    assert_eq!(covered(&scene, kims.token_id).await, Some(Covered::Yes));
    scene.hub.rename_repository("acme", "web", "shop").unwrap();
    for _ in 0..2 {
        scene.both_clocks(DAY);
        inventories(&scene, 1).await;
        assert_eq!(covered(&scene, kims.token_id).await, Some(Covered::No));
        let alarms = scene.all_alarms();
        assert_eq!(alarms.len(), 1, "{alarms:?}");
        assert!(alarms[0].contains("no approve rule covers it any more"), "{alarms:?}");
    }
    assert!(scene.has_access(kims.token_id), "no policy asks for more than that");
    scene.end().await;
}

#[tokio::test]
async fn while_members_cannot_be_read_nobody_has_left() {
    let members =
        "[revoke.idle-members]\nwhen.unused_for = \"5d\"\nwhen.owner.role = [\"member\"]\n";
    let blocks = format!(
        "{LEAVERS}max_per_run = 5\n{UNUSED}grace = \"0d\"\nmax_per_run = 5\n\
         {members}grace = \"0d\"\nmax_per_run = 5"
    );
    let (scene, [kims, lees]) = opened(&rules("enforce", &blocks), |scene| {
        let tokens = [granted(scene, "kim", 10), granted(scene, "lee", 200)];
        scene.hub.remove_member("acme", "kim").unwrap();
        scene.hub.fault(Fault::on(MEMBERS).missing_permission());
        tokens
    })
    .await;
    // What asks for nobody's membership goes on.
    until_gone(&scene, lees).await;
    time_passes_until_it_is(&scene, "revoke.unused", RevocationState::Done).await;
    inventories(&scene, 1).await;
    assert!(scene.has_access(kims));
    assert!(runs(&scene, "revoke.leavers").await.is_empty());
    assert!(runs(&scene, "revoke.idle-members").await.is_empty(), "nor is anybody a member");
    scene.end().await;
}

#[tokio::test]
async fn a_row_that_the_list_of_members_loses_takes_nobodys_token() {
    let rules = rules("enforce", &format!("{LEAVERS}max_per_run = 5"));
    let (scene, tokens) = opened(&rules, |scene| {
        scene.hub.fault(Fault::on(MEMBERS).answer(200, serde_json::json!([])).times(1));
        ["kim", "lee", "ada", "ben", "chiara"].map(|login| granted(scene, login, 9))
    })
    .await;
    asked(&scene, "revoke.leavers").await;
    inventories(&scene, 1).await;
    assert!(tokens.iter().all(|token| scene.has_access(*token)));
    scene.end().await;
}

#[tokio::test]
async fn with_a_clock_two_days_ahead_no_standing_policy_is_asked() {
    let block = format!("{UNUSED}grace = \"0d\"\nmax_per_run = 5");
    let (scene, kims) = opened(&rules("enforce", &block), |scene| {
        scene.clock.push(2 * DAY);
        granted(scene, "kim", 89)
    })
    .await;
    let organization = scene.organization("acme").id;
    until("the first inventory", || async {
        scene.store().members_listed_at(organization).await.unwrap()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(scene.has_access(kims));
    assert!(scene.store().standing_runs(organization).await.unwrap().is_empty());
    // Once they agree it is asked, and ninety days are ninety days.
    scene.hub.advance_for_all(2 * DAY);
    inventories(&scene, 1).await;
    asked(&scene, "revoke.unused").await;
    until_gone(&scene, kims).await;
    scene.end().await;
}

#[tokio::test]
async fn a_run_that_was_made_by_other_rules_is_given_up() {
    let block = |most: u32| format!("{UNUSED}grace = \"0d\"\nmax_per_run = {most}");
    let (scene, tokens) = opened(&rules("enforce", &block(1)), |scene| {
        ["kim", "lee"].map(|login| granted(scene, login, 200))
    })
    .await;
    let (run, _) = until_it_is(&scene, "revoke.unused", RevocationState::Waiting).await;
    scene.new_rules(&rules("approve-only", &block(1)));
    scene.bulk().await.confirm(run.id, &olga()).await.unwrap();
    let (run, items) =
        time_passes_until_it_is(&scene, "revoke.unused", RevocationState::Dropped).await;
    assert_eq!(outcomes(&items), [("kim", ItemState::LeftOut), ("lee", ItemState::LeftOut)]);
    assert!(items[0].why.contains("the rules changed"), "{} {}", items[0].why, run.note);
    assert!(tokens.iter().all(|token| scene.has_access(*token)));
    scene.end().await;
}

#[tokio::test]
async fn who_is_back_before_a_confirmed_run_begins_keeps_the_token() {
    let rules = rules("enforce", &format!("{LEAVERS}max_per_run = 1"));
    let (scene, [kims, lees]) = opened(&rules, |scene| {
        ["kim", "lee"].map(|login| {
            let token = granted(scene, login, 10);
            scene.hub.remove_member("acme", login).unwrap();
            token
        })
    })
    .await;
    let (run, _) = until_it_is(&scene, "revoke.leavers", RevocationState::Waiting).await;
    scene.hub.add_member("acme", "lee").unwrap();
    scene.bulk().await.confirm(run.id, &olga()).await.unwrap();
    let (_, items) = time_passes_until_it_is(&scene, "revoke.leavers", RevocationState::Done).await;
    assert_eq!(outcomes(&items), [("kim", ItemState::Revoked), ("lee", ItemState::LeftOut)]);
    assert!(scene.has_access(lees) && !scene.has_access(kims));
    scene.end().await;
}

#[tokio::test]
async fn a_bot_that_is_stopped_in_the_middle_goes_on_after_its_next_start() {
    let block = format!("{UNUSED}grace = \"0d\"\nmax_per_run = 500");
    let (mut scene, (tokens, held)) = opened(&rules("enforce", &block), |scene| {
        let since = scene.hub.now() - jiff::SignedDuration::from_hours(200 * 24);
        let grant = |number: u32| {
            let spec = harmless("kim").named(&format!("{number}")).since(since).never_expires();
            scene.hub.grant_token("acme", spec).unwrap().token_id
        };
        let tokens: Vec<u64> = (0..150).map(grant).collect();
        (tokens, scene.hub.hold(Hold::before(REVOKE_MANY)))
    })
    .await;
    crate::common::soon("the first call comes", held.reached()).await;
    tokio::join!(scene.stop(), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        held.release();
    });
    assert!(scene.hub.revocations("acme").len() <= 100);
    scene.start().await;
    let (_, items) = time_passes_until_it_is(&scene, "revoke.unused", RevocationState::Done).await;
    assert!(items.iter().all(|item| item.state == ItemState::Revoked));
    let revocations = scene.hub.revocations("acme");
    let times = |token: &u64| revocations.iter().filter(|one| one.token_id == *token).count();
    assert!(tokens.iter().all(|token| times(token) == 1));
    scene.end().await;
}

#[tokio::test]
async fn what_is_held_is_left_alone_and_told_and_taken_after_its_release() {
    let mut scene = Set::default()
        .rules(&rules("enforce", &format!("{UNUSED}grace = \"0d\"\nmax_per_run = 5")))
        .flag("inventory-interval", "off")
        .open()
        .await;
    let (kims, lees) = (granted(&scene, "kim", 200), granted(&scene, "lee", 200));
    let organization = scene.organization("acme").id;
    let (held, now) = (Held::Token(TokenId(i64::try_from(kims).unwrap())), scene.clock.now());
    let until_then = now + jiff::SignedDuration::from_hours(240);
    let by = "operator olga@desk";
    scene.store().hold(organization, &held, until_then, "audit in May", by, now).await.unwrap();
    scene.stop().await;
    scene.change(|set| set.flags.retain(|(name, _)| *name != "inventory-interval"));
    scene.change(|set| set.flags.push(("inventory-interval", "1h".to_owned())));
    scene.start().await;
    until_gone(&scene, lees).await;
    time_passes_until_it_is(&scene, "revoke.unused", RevocationState::Done).await;
    let reported = runs(&scene, "revoke.unused").await.remove(0);
    assert_eq!(reported.0.state, RevocationState::Reported);
    assert_eq!(outcomes(&reported.1), [("kim", ItemState::LeftOut)]);
    assert!(
        reported.1[0].why.contains("by operator olga@desk: audit in May"),
        "{}",
        reported.1[0].why
    );
    assert!(scene.has_access(kims));
    let released = scene.store().release_holds(organization, &held, by, scene.clock.now()).await;
    assert_eq!(released.unwrap(), 1);
    scene.both_clocks(DAY);
    inventories(&scene, 1).await;
    until_gone(&scene, kims).await;
    scene.end().await;
}

#[tokio::test]
async fn without_mail_no_grace_begins_and_nothing_is_revoked() {
    let block = format!("{UNUSED}grace = \"2d\"\nmax_per_run = 5");
    let kims = |scene: &Scene| granted(scene, "kim", 200);
    let (scene, kims) = opened(&rules("enforce", &block), kims).await;
    let (run, items) = until_it_is(&scene, "revoke.unused", RevocationState::Reported).await;
    assert_eq!(outcomes(&items), [("kim", ItemState::Reported)]);
    assert!(run.note.contains("mail to owners is not set up"), "{}", run.note);
    scene.both_clocks(9 * DAY);
    inventories(&scene, 1).await;
    assert!(scene.has_access(kims));
    assert_eq!(runs(&scene, "revoke.unused").await.len(), 1, "told once");
    scene.end().await;
}

#[tokio::test]
async fn a_round_reads_a_share_of_the_hours_calls_and_the_rest_later() {
    let approve = "[approve.web]\nwhen.owner.role = [\"member\"]\nallow.lifetime = \"90d\"\n\
        allow.repositories = [\"web\"]\nallow.permissions.repository = { contents = \"read\" }";
    let mut tokens = Vec::new();
    let mut scene = Set::default()
        .rules(&rules("enforce", approve))
        .flag("inventory-interval", "1h")
        .hub(|hub| hub.rate_limit = Some(100))
        .without_bot()
        .await;
    for number in 0..50 {
        let spec = harmless("kim").named(&format!("{number}"));
        tokens.push(scene.hub.grant_token("acme", spec).unwrap().token_id);
    }
    scene.start().await;
    scene.looked_around().await;
    let judged = || async {
        let known = with_access(&scene).await;
        known.iter().filter(|known| known.coverage.is_some()).count()
    };
    for round in [20, 40, 50] {
        until("a part of them is judged", || async { (judged().await == round).then_some(()) })
            .await;
        assert_eq!(scene.calls(GRANT_REPOSITORIES), round);
        if round < 50 {
            inventories(&scene, 1).await;
        }
    }
    scene.end().await;
}

#[tokio::test]
async fn what_an_upper_layer_made_impossible_is_reported_as_no_longer_covered_and_not_taken() {
    let above = "schema = 1\nlayer = \"enterprise\"\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\n\
        to = \"owners\"\n";
    let revoke =
        "[revoke.uncovered]\nwhen.no_longer_covered = true\ngrace = \"0d\"\nmax_per_run = 5\n";
    let approve = "[approve.read]\nwhen.owner.role = [\"member\"]\nallow.lifetime = \"90d\"\n\
        allow.repositories = [\"*\"]\nallow.permissions.repository = { contents = \"read\" }\n";
    let mut scene = Set::default()
        .rules(&rules("enforce", &format!("{approve}{revoke}")))
        .flag("inventory-interval", "1h")
        .hub(|hub| hub.bulk_delay = Duration::ZERO)
        .without_bot()
        .await;
    let upper = scene.path("enterprise.toml");
    std::fs::write(&upper, above).unwrap();
    scene.change(|set| set.flags.push(("enterprise-rules", upper.display().to_string())));
    scene.start().await;
    scene.looked_around().await;
    let kims = scene.ask(harmless("kim"));
    scene.until_it_stands(kims.request_id, "approved by a rule").await;
    inventories(&scene, 1).await;
    assert_eq!(covered(&scene, kims.token_id).await, Some(Covered::Yes));

    // The enterprise takes the name of the rule for one of its own: nobody who wrote `approve.read` took it back.
    let taken = "[escalate.read]\nwhen.token.never_expires = true\nto = \"owners\"\n";
    std::fs::write(&upper, format!("{above}{taken}")).unwrap();
    scene.bot().engine.policies().reload();
    let in_force = scene.bot().engine.policies().in_force(&scene.organization("acme"));
    assert!(in_force.policy.unwrap().approvals_were_disabled(), "{:?}", in_force.broken);
    scene.both_clocks(DAY);
    let (run, items) =
        time_passes_until_it_is(&scene, "revoke.uncovered", RevocationState::Reported).await;
    assert_eq!(outcomes(&items), [("kim", ItemState::Reported)]);
    assert!(
        run.note.contains("made approve rules of this organization impossible"),
        "{}",
        run.note
    );
    assert_eq!(covered(&scene, kims.token_id).await, Some(Covered::No));
    inventories(&scene, 2).await;
    assert!(scene.has_access(kims.token_id));

    // That the organization itself takes its rule back is another matter.
    std::fs::write(&upper, above).unwrap();
    scene.bot().engine.policies().reload();
    inventories(&scene, 1).await;
    assert_eq!(covered(&scene, kims.token_id).await, Some(Covered::Yes));
    scene.new_rules(&rules("enforce", revoke));
    scene.both_clocks(DAY);
    time_passes_until_it_is(&scene, "revoke.uncovered", RevocationState::Done).await;
    assert!(!scene.has_access(kims.token_id));
    scene.end().await;
}
