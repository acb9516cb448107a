//! Requests that are edited while we look at them: what is approved is what was decided, or it is taken back.

use std::time::Duration;

use fakehub::{EditedRequest, Fault, Hold, TokenSpec};

use crate::common::{
    GRANT_REPOSITORIES, GRANTS, LIST, REPOSITORIES, REVIEW, REVOKE, Scene, Set, harmless, soon,
    writing,
};

const EDITS: [EditedRequest; 3] = [
    EditedRequest::SameIdSilently,
    EditedRequest::SameIdCreatedAgain,
    EditedRequest::CancelledThenCreated,
];

/// Edits a request between our list and our approval. Gives its old and its new ids.
async fn edited_on_the_way(
    scene: &Scene,
    change: impl FnOnce(TokenSpec) -> TokenSpec,
) -> (fakehub::RequestIds, fakehub::RequestIds) {
    let held = scene.hub.hold(Hold::before(REVIEW));
    let asked = scene.ask(harmless("kim").on(["web", "api"]));
    soon("the review is sent", held.reached()).await;
    let edited = scene.hub.edit_request(asked.request_id, change).unwrap();
    held.release();
    (asked, edited)
}

async fn is_caught(edit: EditedRequest, change: impl FnOnce(TokenSpec) -> TokenSpec) {
    let scene = Set::default().hub(|hub| hub.switches.edited_request = edit).open().await;
    let (asked, edited) = edited_on_the_way(&scene, change).await;
    if edit == EditedRequest::CancelledThenCreated {
        // The call was for the old id, which is gone: nothing was approved, and the new one is judged anew.
        scene.until_it_stands(asked.request_id, "cancelled by the requester").await;
        scene.until_left_to_people(edited.request_id).await;
        assert_eq!(scene.on_github(edited.request_id), "pending");
    } else {
        scene.until_it_stands(asked.request_id, "revoked after approval").await;
        assert_eq!(scene.on_github(asked.request_id), "revoked");
        assert_eq!(scene.alarms(asked.request_id), 1);
        assert_eq!(scene.calls(REVOKE), 1);
    }
    assert!(!scene.has_access(asked.token_id), "{edit:?}: the wider access did not stay");
    scene.end().await;
}

#[tokio::test]
async fn wider_permissions_that_slip_in_are_taken_back_with_an_alarm() {
    for edit in EDITS {
        is_caught(edit, |spec| spec.repository_permission("contents", "write")).await;
    }
}

#[tokio::test]
async fn another_repository_that_slips_in_is_taken_back_with_an_alarm() {
    let forbidding = |edit| {
        // The name is what the rules look at, so the edit makes the request one for people.
        let rules = crate::common::RULES
            .replace("allow.repositories = [\"*\"]", "allow.repositories = [\"web\", \"api\"]");
        Set::default().rules(&rules).hub(move |hub| hub.switches.edited_request = edit)
    };
    for edit in [EditedRequest::SameIdSilently, EditedRequest::SameIdCreatedAgain] {
        let scene = forbidding(edit).open().await;
        let (asked, _) = edited_on_the_way(&scene, |spec| spec.on(["web", "api", "billing"])).await;
        scene.until_it_stands(asked.request_id, "revoked after approval").await;
        assert_eq!(scene.calls(GRANT_REPOSITORIES), 1);
        assert_eq!(scene.alarms(asked.request_id), 1);
        assert!(!scene.has_access(asked.token_id));
        scene.end().await;
    }
}

#[tokio::test]
async fn all_repositories_that_slip_in_are_taken_back_with_an_alarm() {
    for edit in EDITS {
        is_caught(edit, TokenSpec::on_all).await;
    }
}

#[tokio::test]
async fn a_token_that_is_made_to_never_expire_is_taken_back_with_an_alarm() {
    for edit in EDITS {
        is_caught(edit, TokenSpec::never_expires).await;
    }
}

#[tokio::test]
async fn less_than_was_decided_stays() {
    for edit in [EditedRequest::SameIdSilently, EditedRequest::SameIdCreatedAgain] {
        let scene = Set::default().hub(|hub| hub.switches.edited_request = edit).open().await;
        let (asked, _) = edited_on_the_way(&scene, |spec| spec.on(["web"])).await;
        let row = scene.time_passes_until_settled(asked.request_id).await;
        assert_eq!(row.state.to_string(), "approved by a rule");
        assert!(row.note.contains("narrower"), "{}", row.note);
        assert!(scene.has_access(asked.token_id));
        assert_eq!(scene.alarms(asked.request_id), 0);
        scene.end().await;
    }
}

#[tokio::test]
async fn an_edit_between_list_and_judgement_is_not_approved_as_it_was() {
    let scene = Set::default().open().await;
    let held = scene.hub.hold(Hold::after(LIST));
    let asked = scene.ask(harmless("kim"));
    soon("the list is read", held.reached()).await;
    scene
        .hub
        .edit_request(asked.request_id, |spec| spec.repository_permission("contents", "write"))
        .unwrap();
    held.release();
    scene.until_it_stands(asked.request_id, "revoked after approval").await;
    assert!(!scene.has_access(asked.token_id));
    scene.end().await;
}

#[tokio::test]
async fn an_edit_of_what_waits_for_people_is_judged_again() {
    for edit in EDITS {
        let scene = Set::default()
            .hub(|hub| hub.switches.edited_request = edit)
            .flag("reconcile-interval", "60s")
            .open()
            .await;
        let asked = scene.ask(writing("kim"));
        scene.until_left_to_people(asked.request_id).await;
        let edited = scene
            .hub
            .edit_request(asked.request_id, |spec| spec.repository_permission("contents", "read"))
            .unwrap();
        scene
            .time_passes_until("the edit is seen", Duration::from_secs(10), || async {
                scene.stands(edited.request_id).await == "approved by a rule"
            })
            .await;
        assert_eq!(scene.on_github(edited.request_id), "approved");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_revocation_that_fails_is_tried_until_it_is_done() {
    for status in [500, 403, 404, 422] {
        let scene = Set::default().open().await;
        scene.hub.fault(Fault::on(REVOKE).status(status).times(2));
        let (asked, _) =
            edited_on_the_way(&scene, |spec| spec.repository_permission("contents", "write")).await;
        scene
            .time_passes_until("it is revoked", Duration::from_secs(1), || async {
                scene.stands(asked.request_id).await == "revoked after approval"
            })
            .await;
        assert!(
            !scene.has_access(asked.token_id),
            "{status}: our record says revoked, and it is not"
        );
        assert_eq!(scene.alarms(asked.request_id), 1);
        scene.end().await;
    }
}

#[tokio::test]
async fn a_wider_grant_that_the_list_hides_for_a_while_is_found_and_taken_back() {
    let scene = Set::default().open().await;
    let held = scene.hub.hold(Hold::before(REVIEW));
    let asked = scene.ask(harmless("kim"));
    soon("the review is sent", held.reached()).await;
    scene
        .hub
        .edit_request(asked.request_id, |spec| spec.repository_permission("contents", "write"))
        .unwrap();
    scene.hub.fault(Fault::on(GRANTS).lag(Duration::from_secs(3600)).times(2));
    held.release();
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.stands(asked.request_id).await, "revoked after approval");
    assert!(!scene.has_access(asked.token_id));
    scene.end().await;
}

#[tokio::test]
async fn a_revocation_does_not_count_as_done_because_the_list_hides_the_grant() {
    let scene = Set::default().open().await;
    // The revocation is refused once; when we look again, the list is an hour old and shows no grant.
    scene.hub.fault(Fault::on(REVOKE).status(500).times(1));
    scene.hub.fault(Fault::on(GRANTS).lag(Duration::from_secs(3600)).skip(1).times(2));
    let (asked, _) =
        edited_on_the_way(&scene, |spec| spec.repository_permission("contents", "write")).await;
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.stands(asked.request_id).await, "revoked after approval");
    assert!(!scene.has_access(asked.token_id), "our record says revoked, and it is not");
    scene.end().await;
}

#[tokio::test]
async fn an_edit_after_a_lost_call_does_not_escape_the_comparison() {
    // The call is held before GitHub acts on it, and for us it is lost. Meanwhile the request is edited to
    // what the rules leave to people; then GitHub acts on the old call after all.
    let scene = Set::default().flag("github-timeout", "300ms").open().await;
    let held = scene.hub.hold(Hold::before(REVIEW));
    let asked = scene.ask(harmless("kim"));
    soon("the review is sent", held.reached()).await;
    scene
        .hub
        .edit_request(asked.request_id, |spec| spec.repository_permission("contents", "write"))
        .unwrap();
    scene
        .time_passes_until("it is judged again", Duration::from_secs(1), || async {
            scene.stands(asked.request_id).await == "escalated"
        })
        .await;
    held.release();
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.stands(asked.request_id).await, "revoked after approval");
    assert!(!scene.has_access(asked.token_id), "the rules never said yes to that");
    assert_eq!(scene.reviews(asked.request_id), (1, 0));
    scene.end().await;
}

#[tokio::test]
async fn a_request_whose_repositories_cannot_be_read_is_not_approved() {
    let scene = Set::default().open().await;
    let fault = scene.hub.fault(Fault::on(REPOSITORIES).status(404));
    let asked = scene.ask(harmless("kim"));
    scene.until_left_to_people(asked.request_id).await;
    assert_eq!(scene.on_github(asked.request_id), "pending");
    scene.hub.clear_fault(fault);
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.on_github(asked.request_id), "approved");
    scene.end().await;
}

#[tokio::test]
async fn an_approval_whose_access_is_never_seen_is_an_alarm() {
    let scene = Set::default().open().await;
    scene.hub.fault(Fault::on(GRANTS).lag(Duration::from_secs(86_400)));
    let asked = scene.ask(harmless("kim"));
    let row = scene.time_passes_until_settled(asked.request_id).await;
    assert!(row.note.contains("ALARM"), "{}", row.note);
    assert_eq!(scene.alarms(asked.request_id), 1);
    scene.end().await;
}
