//! Reviewing by hand: what was shown is sent, once, whatever breaks; no channel gets past a hard rule, and who said it is on
//! record.

use std::{sync::Arc, time::Duration};

use fakehub::{AppSender, Fault, Hold, StaleBulk, TokenSpec};
use patwarden::{
    audit,
    domain::{AccessLevel, Login, RequestId},
    engine::{Desk, Item, Refusal, Stand, Which, Word, lifecycle::Verdict},
    inventory::AskedFilter,
};

use crate::common::{
    REVIEW, REVIEW_MANY, Scene, Set, TEAM, administrating, harmless, soon, until, writing,
};

const OLGA: &str = "operator olga@desk (local, unverified)";
const BY_OLGA: &str = "approved by operator olga@desk (local, unverified)";
const DENIED_BY_OLGA: &str = "denied by operator olga@desk (local, unverified)";

/// Denials are left to people, so that they have something to do: a soft one, a hard one, and one that asks for a fact.
const RULES: &str = r#"schema = 1
mode = "approve-only"
[default]
decision = "escalate"
to = "owners"
[deny.administration]
when.permissions.any_at_least.repository = { administration = "write" }
reason = "Tokens may not administer repositories."
[deny.organization]
enforcement = "hard"
when.permissions.any_at_least.organization = { "*" = "write" }
reason = "Tokens may not change acme itself."
[deny.platform-secrets]
enforcement = "hard"
when.owner.teams = ["platform"]
when.permissions.any_at_least.repository = { secrets = "read" }
reason = "Platform reads no secrets."
"#;

fn approve() -> Word {
    Word {
        verdict: Verdict::Approve,
        reason: "for the migration".to_owned(),
        override_why: None,
        operator: OLGA.to_owned(),
    }
}

fn deny() -> Word {
    let reason = "Pick repositories by name and ask again.".to_owned();
    Word { verdict: Verdict::Deny, reason, ..approve() }
}

fn ids(requests: &[u64]) -> Which {
    Which::Ids(requests.iter().map(|id| RequestId(i64::try_from(*id).unwrap())).collect())
}

/// Requests that wait for people, by their numbers.
async fn waiting(scene: &Scene, many: usize) -> Vec<u64> {
    let mut asked = Vec::new();
    for number in 0..many {
        asked.push(scene.ask(writing("kim").named(&format!("number {number}"))).request_id);
    }
    for request in &asked {
        scene.until_left_to_people(*request).await;
    }
    asked
}

async fn show(scene: &Scene, desk: &Desk, which: &Which, word: &Word) -> Vec<Item> {
    let installation = scene.installation().await;
    let shown = soon("it is shown", desk.show(&installation, which, word, &())).await.unwrap();
    assert_eq!(shown.unreadable, 0);
    shown.items
}

async fn send(scene: &Scene, desk: &Desk, items: &mut [Item], word: &Word) {
    let installation = scene.installation().await;
    soon("it is sent", desk.send(&installation, items, word, &())).await.unwrap();
}

/// Sends, and while the call of this operation is on its way something else happens.
async fn sent_meanwhile(
    scene: &Scene,
    desk: Desk,
    (mut items, word): (Vec<Item>, Word),
    operation: &'static str,
    meanwhile: impl FnOnce(),
) {
    let held = scene.hub.hold(Hold::before(operation));
    let installation = scene.installation().await;
    let sending =
        tokio::spawn(async move { desk.send(&installation, &mut items, &word, &()).await });
    soon("the call comes", held.reached()).await;
    meanwhile();
    held.release();
    soon("it is over", sending).await.unwrap().unwrap();
}

/// Whether it was refused because of a rule that a word why gets past.
fn is_soft(stand: &Stand) -> bool {
    matches!(stand, Stand::Refused(Refusal::Soft(_)))
}

fn is_not_in_force(stand: &Stand) -> bool {
    matches!(stand, Stand::Refused(Refusal::NotInForce(_)))
}

/// Shows and sends, as somebody who types the number at once.
async fn review(scene: &Scene, requests: &[u64], word: &Word) -> Vec<Item> {
    let desk = scene.desk().await;
    let mut items = show(scene, &desk, &ids(requests), word).await;
    send(scene, &desk, &mut items, word).await;
    items
}

/// The same while time passes quickly: what is looked for later is looked for soon.
async fn review_quickly(scene: &Scene, requests: &[u64], word: &Word) -> Vec<Item> {
    let clock = scene.clock.clone();
    let time = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            clock.push(Duration::from_secs(1));
        }
    });
    let items = review(scene, requests, word).await;
    time.abort();
    items
}

/// Waits until all of them stand as denied by her.
async fn until_denied(scene: &Scene, requests: &[u64]) {
    for request in requests {
        scene.until_it_stands(*request, DENIED_BY_OLGA).await;
    }
}

fn stands(items: &[Item]) -> Vec<String> {
    items
        .iter()
        .map(|item| match &item.stand {
            Stand::Done(state) => state.to_string(),
            stand => format!("{stand:?}"),
        })
        .collect()
}

#[tokio::test]
async fn what_waits_for_people_is_approved_and_says_by_whom() {
    for sender in [AppSender::Bot, AppSender::Ghost] {
        let scene = Set::default().hub(|hub| hub.switches.app_sender = sender).open().await;
        let [request] = waiting(&scene, 1).await[..] else { panic!() };
        let desk = scene.desk().await;
        let mut items = show(&scene, &desk, &ids(&[request]), &approve()).await;
        let (shown, decision) = items[0].decision.clone().unwrap();
        assert_eq!(decision.effect.as_str(), "escalate");
        assert_eq!(
            (items[0].stand.clone(), scene.on_github(request)),
            (Stand::Ready, "pending".into())
        );
        send(&scene, &desk, &mut items, &approve()).await;
        assert_eq!(scene.on_github(request), "approved");
        scene.until_it_stands(request, BY_OLGA).await;
        assert_eq!((scene.calls(REVIEW), scene.calls(REVIEW_MANY)), (1, 0));
        assert_eq!(scene.hub.reviews(request)[0].reason.as_deref(), Some("for the migration"));

        // On record: the rules' decision, which did not act, and whose word was sent for it.
        let said = scene.store().reviews(scene.key(request).await).await.unwrap();
        assert_eq!(
            (said.len(), said[0].operator.as_str(), said[0].decision_id),
            (1, OLGA, Some(shown))
        );
        assert!(!scene.store().decision(shown).await.unwrap().unwrap().acts);
        assert_eq!(scene.effects(request).await[0].review_id, Some(said[0].id));
        let told = scene.told(request);
        assert!(told.iter().any(|event| matches!(event, audit::Event::ReviewedByHand { effect: "approve", by, .. } if by == OLGA)));
        assert!(
            told.iter().any(|event| matches!(event, audit::Event::Settled { by: "operator", .. }))
        );
        // What GitHub's list of tokens shows of it is an approval of hers as well.
        let bulk = scene.bulk().await;
        bulk.list_tokens(&scene.installation().await, &()).await.unwrap();
        scene.end().await;
    }
}

#[tokio::test]
async fn five_are_denied_with_one_call_and_one_reason() {
    let scene = Set::default().open().await;
    let asked = waiting(&scene, 5).await;
    let other = scene.ask(writing("lee")).request_id;
    scene.until_left_to_people(other).await;
    let kims = Which::Filter(Box::new(AskedFilter {
        owners: vec![Login::new("KIM")],
        permissions: vec![("contents".to_owned(), AccessLevel::Write)],
        repository: Some("web".to_owned()),
        ..AskedFilter::default()
    }));
    let desk = scene.desk().await;
    let mut items = show(&scene, &desk, &kims, &deny()).await;
    assert_eq!(items.len(), 5);
    send(&scene, &desk, &mut items, &deny()).await;
    assert_eq!(stands(&items), [DENIED_BY_OLGA; 5]);
    for request in asked {
        assert_eq!(scene.on_github(request), "denied");
        assert_eq!(scene.hub.outcome(request).reason(), Some(deny().reason.as_str()));
        // GitHub's webhook names our bot: that makes no rule's denial of it.
        scene.until_it_stands(request, DENIED_BY_OLGA).await;
    }
    assert_eq!((scene.calls(REVIEW), scene.calls(REVIEW_MANY)), (0, 1));
    assert_eq!(scene.on_github(other), "pending");
    // Nothing is a filter that means everything.
    let everything = Which::Filter(Box::default());
    let error = desk.show(&scene.installation().await, &everything, &deny(), &()).await;
    assert!(error.unwrap_err().to_string().contains("empty filter"));
    scene.end().await;
}

#[tokio::test]
async fn many_are_approved_with_one_call_and_compared() {
    let scene = Set::default().open().await;
    let asked = waiting(&scene, 4).await;
    let items = review(&scene, &asked, &approve()).await;
    for request in &asked {
        assert_eq!(scene.on_github(*request), "approved");
        scene.until_it_stands(*request, BY_OLGA).await;
    }
    assert!(items.iter().all(|item| matches!(item.stand, Stand::Done(_))), "{:?}", stands(&items));
    assert_eq!((scene.calls(REVIEW), scene.calls(REVIEW_MANY)), (0, 1));
    scene.end().await;
}

#[tokio::test]
async fn a_hard_denial_is_overridden_by_nothing_and_the_others_go_on() {
    let scene = Set::default().rules(RULES).open().await;
    let hard = scene.ask(harmless("ben").organization_permission("members", "write")).request_id;
    let fine = scene.ask(writing("ada")).request_id;
    scene.until_left_to_people(hard).await;
    scene.until_left_to_people(fine).await;
    let insisting = Word { override_why: Some("I am in a hurry".to_owned()), ..approve() };
    let items = review(&scene, &[hard, fine], &insisting).await;
    let Stand::Refused(refusal) = &items[0].stand else { panic!("{:?}", items[0].stand) };
    assert!(matches!(refusal, Refusal::Hard(rule, _) if rule.as_str() == "deny.organization"));
    let said = refusal.to_string();
    assert!(
        said.contains("nobody can override") && said.contains("Tokens may not change acme itself."),
        "{said}"
    );
    assert_eq!(
        (scene.on_github(hard), scene.on_github(fine)),
        ("pending".into(), "approved".into())
    );
    assert_eq!(scene.store().reviews(scene.key(hard).await).await.unwrap().len(), 0);
    scene.until_it_stands(fine, BY_OLGA).await;
    // To deny it needs no rule.
    review(&scene, &[hard], &deny()).await;
    scene.until_it_stands(hard, DENIED_BY_OLGA).await;
    scene.end().await;
}

#[tokio::test]
async fn a_soft_denial_is_overridden_only_with_why_and_that_is_on_record() {
    let scene = Set::default().rules(RULES).open().await;
    let soft = scene.ask(administrating("ada")).request_id;
    scene.until_left_to_people(soft).await;
    let items = review(&scene, &[soft], &approve()).await;
    assert!(
        matches!(&items[0].stand, Stand::Refused(Refusal::Soft(which)) if which.contains("deny.administration")),
        "{:?}",
        items[0].stand
    );
    assert_eq!((scene.on_github(soft), scene.calls(REVIEW)), ("pending".into(), 0));

    let why = Some("RISK-7, until the new App is there".to_owned());
    let overriding = Word { override_why: why.clone(), ..approve() };
    let plain = scene.ask(writing("lee")).request_id;
    scene.until_left_to_people(plain).await;
    review(&scene, &[soft, plain], &overriding).await;
    scene.until_it_stands(soft, BY_OLGA).await;
    scene.until_it_stands(plain, BY_OLGA).await;
    assert_eq!(scene.on_github(soft), "approved");
    // Nothing was overridden of the other.
    let said = scene.store().reviews(scene.key(plain).await).await.unwrap();
    assert_eq!(said[0].override_why, None);
    let said = scene.store().reviews(scene.key(soft).await).await.unwrap();
    assert_eq!(said[0].override_why, why);
    let told = scene.told(soft);
    assert!(told.iter().any(|event| matches!(event, audit::Event::ReviewedByHand { override_why, .. } if *override_why == why)));
    scene.end().await;
}

#[tokio::test]
async fn what_a_default_denies_needs_a_word_why_as_well() {
    let rules = "schema = 1\nmode = \"approve-only\"\n[default]\ndecision = \"deny\"\nreason = \"No rule covers this.\"\nto = \"owners\"\n";
    let scene = Set::default().rules(rules).open().await;
    let request = scene.ask(writing("ada")).request_id;
    scene.until_left_to_people(request).await;
    let items = review(&scene, &[request], &approve()).await;
    assert!(is_soft(&items[0].stand), "{:?}", items[0].stand);
    let overriding = Word { override_why: Some("an exception".to_owned()), ..approve() };
    review(&scene, &[request], &overriding).await;
    scene.until_it_stands(request, BY_OLGA).await;
    scene.end().await;
}

#[tokio::test]
async fn a_request_that_is_edited_after_it_was_shown_is_not_sent() {
    type Edit = fn(TokenSpec) -> TokenSpec;
    let edits: [Edit; 2] = [
        |spec| spec.repository_permission("issues", "write"),
        // GitHub's list of requests does not show which repositories: only their own list does.
        |spec| spec.on(["web", "billing"]),
    ];
    for edit in edits {
        for word in [approve(), deny()] {
            let scene = Set::default().open().await;
            let asked = waiting(&scene, 2).await;
            let desk = scene.desk().await;
            let mut items = show(&scene, &desk, &ids(&asked), &word).await;
            scene.hub.edit_request(asked[0], edit).unwrap();
            send(&scene, &desk, &mut items, &word).await;
            assert_eq!(items[0].stand, Stand::Changed);
            assert!(matches!(items[1].stand, Stand::Done(_)), "{:?}", items[1].stand);
            assert_eq!(scene.on_github(asked[0]), "pending");
            scene.until_idle().await;
            scene.end().await;
        }
    }
}

#[tokio::test]
async fn a_request_that_is_edited_on_the_way_is_revoked_when_it_got_more_than_was_shown() {
    let scene = Set::default().open().await;
    let [request] = waiting(&scene, 1).await[..] else { panic!() };
    let desk = scene.desk().await;
    let items = show(&scene, &desk, &ids(&[request]), &approve()).await;
    sent_meanwhile(&scene, desk, (items, approve()), REVIEW, || {
        scene.hub.edit_request(request, |spec| spec.on(["web", "billing"])).unwrap();
    })
    .await;
    scene.until_it_stands(request, "revoked after approval").await;
    assert_eq!((scene.on_github(request), scene.alarms(request)), ("revoked".into(), 1));
    scene.end().await;
}

#[tokio::test]
async fn after_a_lost_answer_a_review_is_settled_once_and_stays_the_operators() {
    for word in [approve(), deny()] {
        for many in [1, 3] {
            let on = if many == 1 { REVIEW } else { REVIEW_MANY };
            for fault in [
                Fault::on(on).status(502).after_effect().times(1),
                Fault::on(on).cut().times(1),
                Fault::on(on).status(502).times(1),
            ] {
                let scene = Set::default().open().await;
                let asked = waiting(&scene, many).await;
                scene.hub.fault(fault);
                review_quickly(&scene, &asked, &word).await;
                for request in &asked {
                    let wanted =
                        if word.verdict == Verdict::Approve { BY_OLGA } else { DENIED_BY_OLGA };
                    let row = scene.time_passes_until_settled(*request).await;
                    assert_eq!(row.state.to_string(), wanted);
                    let wanted =
                        if word.verdict == Verdict::Approve { "approved" } else { "denied" };
                    assert_eq!(scene.on_github(*request), wanted);
                    assert_eq!(scene.reviews(*request).0, 1, "took effect once");
                }
                scene.end().await;
            }
        }
    }
}

#[tokio::test]
async fn what_github_took_and_does_later_or_in_part_is_said_and_taken_up() {
    // Late, by more than the command waits for by its own clock; then by itself.
    let scene = Set::default().hub(|hub| hub.bulk_delay = Duration::from_secs(2)).open().await;
    let asked = waiting(&scene, 3).await;
    let items = review(&scene, &asked, &deny()).await;
    assert_eq!(stands(&items), [DENIED_BY_OLGA; 3]);
    assert_eq!((scene.calls(REVIEW), scene.calls(REVIEW_MANY)), (0, 1));
    scene.end().await;

    // In part: the rest stays as sent, until it is sure that GitHub will not do it.
    let scene = Set::default().hub(|hub| hub.switches.bulk_takes_at_most = Some(1)).open().await;
    let asked = waiting(&scene, 3).await;
    let items = review_quickly(&scene, &asked, &deny()).await;
    let left = items.iter().filter(|item| matches!(item.stand, Stand::Sent(_))).count();
    assert_eq!(left, 2, "{:?}", stands(&items));
    assert_eq!((scene.calls(REVIEW), scene.calls(REVIEW_MANY)), (0, 1));
    for request in &asked {
        scene.time_passes_until_settled(*request).await;
        scene.until_it_stands(*request, DENIED_BY_OLGA).await;
        assert_eq!((scene.on_github(*request), scene.reviews(*request).0), ("denied".into(), 1));
    }
    scene.end().await;
}

#[tokio::test]
async fn two_operators_at_once_send_each_review_once() {
    let scene = Set::default().hub(|hub| hub.bulk_delay = Duration::from_secs(1)).open().await;
    let asked = waiting(&scene, 5).await;
    let (olga, martin) = (scene.desk().await, scene.desk().await);
    let his = Word { operator: "operator martin@desk (local, unverified)".to_owned(), ..deny() };
    let mut hers = show(&scene, &olga, &ids(&asked), &deny()).await;
    let mut theirs = show(&scene, &martin, &ids(&asked), &his).await;
    let word = deny();
    tokio::join!(send(&scene, &olga, &mut hers, &word), send(&scene, &martin, &mut theirs, &his));
    let done =
        |items: &[Item]| items.iter().filter(|item| matches!(item.stand, Stand::Done(_))).count();
    assert_eq!(done(&hers) + done(&theirs), 5, "{:?} {:?}", stands(&hers), stands(&theirs));
    assert_eq!(scene.calls(REVIEW_MANY) + scene.calls(REVIEW), 1);
    let other = if done(&hers) == 5 { &theirs } else { &hers };
    assert!(
        other.iter().all(|item| matches!(item.stand, Stand::UnderWay(_) | Stand::NotPending(_)))
    );
    for request in asked {
        assert_eq!(scene.reviews(request), (1, 0));
        assert_eq!(scene.store().reviews(scene.key(request).await).await.unwrap().len(), 1);
    }
    scene.end().await;
}

#[tokio::test]
async fn one_id_that_is_over_does_not_stop_the_others() {
    for stale in [StaleBulk::FailsWhole, StaleBulk::Partial] {
        let scene = Set::default().hub(|hub| hub.switches.stale_bulk = stale).open().await;
        let asked = waiting(&scene, 4).await;
        let desk = scene.desk().await;
        let items = show(&scene, &desk, &ids(&asked), &deny()).await;
        // Between the look and the call.
        sent_meanwhile(&scene, desk, (items, deny()), REVIEW_MANY, || {
            scene.hub.cancel_request(asked[1]).unwrap();
        })
        .await;
        scene.until_it_stands(asked[1], "cancelled by the requester").await;
        for request in [asked[0], asked[2], asked[3]] {
            scene.until_it_stands(request, DENIED_BY_OLGA).await;
            assert_eq!(scene.reviews(request).0, 1, "{stale:?}");
        }
        scene.end().await;
    }
}

#[tokio::test]
async fn a_fact_that_a_hard_rule_needs_and_nobody_can_read_forbids_to_approve() {
    let scene = Set::default().rules(RULES).open().await;
    let request = scene.ask(harmless("ada").repository_permission("secrets", "read")).request_id;
    scene.until_left_to_people(request).await;
    let fault = scene.hub.fault(Fault::on(TEAM).status(500));
    let insisting = Word { override_why: Some("whatever".to_owned()), ..approve() };
    let items = review(&scene, &[request], &insisting).await;
    let Stand::Refused(Refusal::MayBeDenied(rule, facts)) = &items[0].stand else {
        panic!("{:?}", items[0].stand)
    };
    assert_eq!(rule.as_str(), "deny.platform-secrets");
    assert!(facts.iter().any(|fact| fact.contains("owner.teams")), "{facts:?}");
    assert_eq!(scene.on_github(request), "pending");
    scene.hub.clear_fault(fault);
    // Ada is not of that team: once that is known, nothing forbids it.
    review(&scene, &[request], &approve()).await;
    scene.until_it_stands(request, BY_OLGA).await;
    scene.end().await;
}

#[tokio::test]
async fn without_valid_rules_nothing_is_approved_and_everything_can_be_denied() {
    let scene = Set::default().open().await;
    let asked = waiting(&scene, 2).await;
    scene.new_rules("schema = 1\nmode = \"enforced\"\n");
    let insisting = Word { override_why: Some("whatever".to_owned()), ..approve() };
    let items = review(&scene, &asked[..1], &insisting).await;
    assert!(is_not_in_force(&items[0].stand), "{:?}", items[0].stand);
    assert_eq!(scene.on_github(asked[0]), "pending");
    review(&scene, &asked, &deny()).await;
    until_denied(&scene, &asked).await;
    scene.new_rules(crate::common::RULES);
    scene.end().await;

    // Never any rules at all: one, and many.
    let scene = Set::default().rules("nothing of the kind").open().await;
    for many in [1, 3] {
        let mut asked = Vec::new();
        for number in 0..many {
            asked.push(scene.ask(writing("kim").named(&format!("{many} {number}"))).request_id);
        }
        for request in &asked {
            until("it is heard of", || async { scene.row(*request).await }).await;
        }
        let items = review(&scene, &asked, &insisting).await;
        assert!(items.iter().all(|item| is_not_in_force(&item.stand)), "{:?}", stands(&items));
        review(&scene, &asked, &deny()).await;
        for request in asked {
            scene.until_it_stands(request, DENIED_BY_OLGA).await;
            assert_eq!(scene.on_github(request), "denied");
        }
    }
    scene.end().await;
}

#[tokio::test]
async fn other_rules_than_those_in_force_get_nobody_past_a_veto() {
    let scene = Set::default().rules(RULES).open().await;
    let hard = scene.ask(harmless("ben").organization_permission("members", "write")).request_id;
    scene.until_left_to_people(hard).await;
    until("the policy in force is noted", || async {
        scene.store().policies_in_force().await.unwrap().into_iter().next()
    })
    .await;
    let lenient = scene.path("lenient.toml");
    std::fs::write(&lenient, crate::common::RULES).unwrap();
    let mut settings = scene.settings();
    settings.rules.everybody = Some(patwarden::settings::Place::Disk(lenient));
    let desk = scene.desk_with(settings).await;
    let items = show(&scene, &desk, &ids(&[hard]), &approve()).await;
    let Stand::Refused(Refusal::NotInForce(why)) = &items[0].stand else { panic!("{items:?}") };
    assert!(why.contains("lenient.toml") && why.contains("same settings"), "{why}");
    // The same files, and something else made of them than `serve` does.
    let open = scene.ask(harmless("kim").on_all()).request_id;
    scene.until_left_to_people(open).await;
    let items = show(&scene, &scene.desk().await, &ids(&[open]), &approve()).await;
    assert!(matches!(&items[0].stand, Stand::Ready), "{items:?}");
    let mut settings = scene.settings();
    settings.rules.highest_mode = patwarden::rules::Mode::Shadow;
    let desk = scene.desk_with(settings).await;
    let items = show(&scene, &desk, &ids(&[open]), &approve()).await;
    assert!(is_not_in_force(&items[0].stand), "{items:?}");
    scene.end().await;
}

#[tokio::test]
async fn rules_that_change_while_somebody_types_the_number_count() {
    let mut scene = Set::default().without_bot().await;
    let request = scene.ask(administrating("ada")).request_id;
    let lenient =
        crate::common::RULES.replace("[deny.administration]", "[escalate.administration]");
    let lenient =
        lenient.replace("reason = \"Tokens may not administer repositories.\"", "to = \"owners\"");
    std::fs::write(scene.path("rules.toml"), lenient).unwrap();
    let desk = scene.desk().await;
    let mut items = show(&scene, &desk, &ids(&[request]), &approve()).await;
    assert_eq!(items[0].stand, Stand::Ready, "{:?}", items[0].decision);
    std::fs::write(scene.path("rules.toml"), crate::common::RULES).unwrap();
    send(&scene, &desk, &mut items, &approve()).await;
    assert!(is_soft(&items[0].stand), "{:?}", items[0].stand);
    assert_eq!(scene.on_github(request), "pending");
    // Looked at and never sent: `serve` waits for a confirmation, as at any first run.
    scene.start().await;
    scene.looked_around().await;
    scene.until_it_stands(request, "held").await;
    scene.end().await;
}

#[tokio::test]
async fn what_was_recorded_before_a_command_died_is_finished_by_serve_as_the_operators() {
    let scene = Set::default().open().await;
    let asked = waiting(&scene, 3).await;
    let desk = Arc::new(scene.desk().await);
    let mut items = show(&scene, &desk, &ids(&asked), &deny()).await;
    let held = scene.hub.hold(Hold::before(REVIEW_MANY));
    let installation = scene.installation().await;
    let sending = tokio::spawn(async move {
        let word = deny();
        desk.send(&installation, &mut items, &word, &()).await
    });
    soon("the call comes", held.reached()).await;
    sending.abort();
    let _ = sending.await;
    held.cut();
    // One is edited meanwhile: what was said was not said of that.
    scene.hub.edit_request(asked[0], |spec| spec.on(["web", "billing"])).unwrap();
    for request in &asked[1..] {
        let row = scene.time_passes_until_settled(*request).await;
        assert_eq!(row.state.to_string(), DENIED_BY_OLGA);
        assert_eq!((scene.on_github(*request), scene.reviews(*request).0), ("denied".into(), 1));
    }
    scene.until_left_to_people(asked[0]).await;
    assert_eq!(scene.on_github(asked[0]), "pending");
    scene
        .time_passes_until("nothing is in doubt", Duration::from_secs(30), || async {
            scene.row(asked[0]).await.is_some_and(|row| row.due_at.is_none())
        })
        .await;
    scene.end().await;
}

#[tokio::test]
async fn nothing_needs_a_serve_that_runs() {
    let mut scene = Set::default().without_bot().await;
    let asked: Vec<u64> = (0..3)
        .map(|number| scene.ask(writing("kim").named(&format!("{number}"))).request_id)
        .collect();
    let items = review(&scene, &asked[..1], &approve()).await;
    assert_eq!(stands(&items), [BY_OLGA]);
    let items = review(&scene, &asked[1..], &deny()).await;
    assert_eq!(stands(&items), [DENIED_BY_OLGA; 2]);
    // What is not there is said so.
    let items = review(&scene, &[asked[0], 99_999], &deny()).await;
    assert!(
        items.iter().all(|item| matches!(item.stand, Stand::NotPending(_))),
        "{:?}",
        stands(&items)
    );
    // A bot that starts later has nothing to say of them.
    scene.start().await;
    scene.looked_around().await;
    scene.until_idle().await;
    assert_eq!(scene.stands(asked[0]).await, BY_OLGA);
    scene.end().await;
}

#[tokio::test]
async fn what_is_only_looked_at_is_still_one_of_many_at_a_first_run() {
    let mut scene = Set::default().flag("most-at-once", "2").without_bot().await;
    let asked: Vec<u64> = (0..4)
        .map(|number| scene.ask(harmless("kim").named(&format!("{number}"))).request_id)
        .collect();
    let desk = scene.desk().await;
    let items = show(&scene, &desk, &ids(&asked), &approve()).await;
    assert!(items.iter().all(|item| item.stand == Stand::Ready));
    drop(desk);
    scene.start().await;
    scene.looked_around().await;
    for request in &asked {
        scene.until_it_stands(*request, "held").await;
    }
    assert_eq!(scene.calls(REVIEW), 0);
    scene.end().await;
}

#[tokio::test]
async fn a_reason_that_github_would_not_take_is_not_cut() {
    let scene = Set::default().open().await;
    let asked = waiting(&scene, 1).await;
    let desk = scene.desk().await;
    let mut items = show(&scene, &desk, &ids(&asked), &deny()).await;
    let installation = scene.installation().await;
    for reason in ["x".repeat(1_025), "  ".to_owned()] {
        let word = Word { reason, ..deny() };
        desk.send(&installation, &mut items, &word, &()).await.unwrap_err();
    }
    assert_eq!((scene.calls(REVIEW), items[0].stand.clone()), (0, Stand::Ready));
    scene.end().await;
}
