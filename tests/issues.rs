//! The client's part for issues, on the fake GitHub: what is written stands there, what stands there is read, and nothing is
//! written anywhere else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{sync::Arc, time::Duration};

use fakehub::{Config, Fakehub, Fault, Repo, Visibility};
use jiff::Timestamp;
use patwarden::{
    clock::Clock,
    domain::{InstallationId, Login, RepositoryId},
    github::{
        App, AppCredentials, CallError, ClientOptions, Closed, Identity, InstallationClients,
        IssueEdit, Read, Write,
    },
};

const MARK: &str = "<!-- patwarden:1:2:abc -->";

struct Scene {
    hub: Fakehub,
    app: Arc<App>,
    read: Read,
    write: Write,
    /// The repository `reviews`.
    reviews: RepositoryId,
}

impl Scene {
    async fn new() -> Self {
        let hub = Fakehub::start(Config::default().asks_by_issue()).await.unwrap();
        hub.world(|world| {
            let mut acme = world.add_organization("acme");
            acme.owner("olga").member("kim").repositories([
                Repo::private("reviews").file("README.md", "x"),
                Repo::public("docs"),
            ]);
        });
        let installation = InstallationId(hub.install("acme").unwrap().cast_signed());
        let credentials = AppCredentials {
            app_id: hub.app().id,
            private_key: hub.app().private_key_pem.clone().into(),
        };
        let options = ClientOptions { write_interval: Duration::ZERO, ..ClientOptions::default() };
        let app = App::new(&credentials, &hub.api_url(), options, Clock::system()).unwrap();
        let app = Arc::new(app);
        let clients = InstallationClients::new(Arc::clone(&app), options);
        let (read, write) =
            (clients.read(installation).unwrap(), clients.write(installation).unwrap());
        let found = read.repository(&Login::new("acme"), "reviews", None).await.unwrap();
        let patwarden::github::Fresh::Now(repository, _) = found else { panic!("it is new to us") };
        assert!(repository.private && !repository.public);
        Self { hub, app, read, write, reviews: repository.id }
    }

    async fn us(&self) -> Identity {
        self.app.identity().await.unwrap()
    }

    fn stands(&self) -> fakehub::Issue {
        self.hub.issues("acme", "reviews").remove(0)
    }
}

fn long_ago() -> Timestamp {
    "2020-01-01T00:00:00Z".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_is_opened_answered_kept_up_to_date_and_closed() {
    let scene = Scene::new().await;
    let body = format!("{MARK}\nMay she?");
    let issue = scene.write.open_issue(scene.reviews, "kim asks", &body).await.unwrap();
    let at = issue.at(scene.reviews);
    assert!(issue.open && issue.author.as_ref().unwrap().is_ours(&scene.us().await));
    scene.hub.comment("acme", "reviews", 1, "olga", "/approve").unwrap();
    scene.hub.comment_through_app("acme", "reviews", 1, "chat", Some("olga"), "/deny no").unwrap();
    scene.hub.comment_through_app("acme", "reviews", 1, "chat", None, "/approve").unwrap();
    let (comments, _) = scene.read.comments_at_once(at, None).await.unwrap();
    let in_person: Vec<bool> =
        comments.iter().map(|one| one.author.as_ref().unwrap().in_person()).collect();
    assert_eq!(in_person, [true, false, false]);
    assert_eq!((comments[0].body.as_str(), comments[0].edited()), ("/approve", false));

    let said = scene.write.comment(at, "1 of 2").await.unwrap();
    scene.write.edit_comment(at, said.id, "2 of 2").await.unwrap();
    assert!(scene.write.assign(at, &Login::new("Olga")).await.unwrap());
    assert!(!scene.write.assign(at, &Login::new("nobody-at-all")).await.unwrap());
    let edit = IssueEdit::to("kim asked", "over").closed(Closed::Completed);
    let closed = scene.write.edit_issue(at, edit).await.unwrap();
    assert!(!closed.open);
    let stands = scene.stands();
    assert_eq!(
        (stands.title.as_str(), stands.state_reason.as_deref()),
        ("kim asked", Some("completed"))
    );
    assert_eq!(stands.comments[3].body, "2 of 2");
    scene.write.edit_issue(at, IssueEdit::default().reopened()).await.unwrap();
    assert!(scene.stands().open);
    assert_eq!(scene.stands().title, "kim asked", "what is not named stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_since_is_read_to_the_last_page() {
    let scene = Scene::new().await;
    let at =
        scene.write.open_issue(scene.reviews, "kim asks", "x").await.unwrap().at(scene.reviews);
    for number in 0..205 {
        scene.hub.comment("acme", "reviews", 1, "olga", &number.to_string()).unwrap();
    }
    let (all, _) = scene.read.comments_at_once(at, None).await.unwrap();
    assert_eq!(all.len(), 205);
    assert!(all.is_sorted_by_key(|comment| comment.id));
    scene.hub.advance(Duration::from_secs(60));
    let since = scene.hub.now();
    scene.hub.edit_comment("acme", "reviews", all[7].id.cast_unsigned(), "olga", "other").unwrap();
    let late = scene.hub.comment("acme", "reviews", 1, "kim", "late").unwrap();
    let (found, _) = scene.read.comments_at_once(at, Some(since)).await.unwrap();
    let ids: Vec<i64> = found.iter().map(|comment| comment.id).collect();
    assert_eq!(ids, [all[7].id, late.id.cast_signed()]);
    assert!(found[0].edited() && !found[1].edited());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_whose_answer_was_lost_is_found_by_its_mark_and_nobody_elses_is() {
    let scene = Scene::new().await;
    let us = scene.us().await;
    // Everybody can write a mark, and a requester's words may stand in a text of ours.
    scene.hub.open_issue("acme", "reviews", "kim", "Mine", MARK).unwrap();
    let other = format!("<!-- patwarden:1:3:abc -->\n```text\n{MARK}\n```");
    scene.write.open_issue(scene.reviews, "another", &other).await.unwrap();
    let find = || scene.read.own_issues(scene.reviews, &us, MARK, long_ago());
    assert_eq!(find().await.unwrap(), []);
    scene.hub.fault(Fault::on("issues/create").cut().after_effect().times(1));
    let lost = scene.write.open_issue(scene.reviews, "ours", &format!("{MARK}\nx")).await;
    assert!(lost.unwrap_err().may_have_taken_effect());
    let changes = [("a", Some("b"))];
    scene.hub.open_pull_request("acme", "reviews", "kim", "a", "A change", changes).unwrap();
    for number in 0..120 {
        scene.hub.open_issue("acme", "reviews", "kim", &number.to_string(), "").unwrap();
    }
    let found = find().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].title.as_str(), found[0].number), ("ours", 3));
    scene
        .write
        .edit_issue(found[0].at(scene.reviews), IssueEdit::default().closed(Closed::NotPlanned))
        .await
        .unwrap();
    assert_eq!(find().await.unwrap().len(), 1, "closed ones as well");
    scene.hub.advance(Duration::from_secs(60));
    let later = scene.read.own_issues(scene.reviews, &us, MARK, scene.hub.now()).await.unwrap();
    assert_eq!(later, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_where_an_issue_was_moved_to_or_deleted_or_locked() {
    let scene = Scene::new().await;
    let issue = scene.write.open_issue(scene.reviews, "kim asks", "secret").await.unwrap();
    let at = issue.at(scene.reviews);
    scene.hub.lock_issue("acme", "reviews", 1, "olga", true).unwrap();
    assert!(scene.read.issue(at).await.unwrap().locked);
    assert!(matches!(scene.write.comment(at, "x").await, Err(CallError::Forbidden { .. })));
    scene.hub.transfer_issue("acme", "reviews", 1, "olga", "docs").unwrap();
    scene.hub.set_visibility("acme", "docs", Visibility::Public).unwrap();
    let gone = Err(CallError::NotFound);
    assert_eq!(scene.read.issue(at).await, gone);
    assert_eq!(scene.write.edit_issue(at, IssueEdit::to("t", "more")).await, gone);
    assert_eq!(scene.write.comment(at, "more").await, Err(CallError::NotFound));
    assert_eq!(scene.write.assign(at, &Login::new("olga")).await, Err(CallError::NotFound));
    let moved = scene.hub.issues("acme", "docs").remove(0);
    assert_eq!((moved.body.as_deref(), moved.comments.len()), (Some("secret"), 0));

    let issue = scene.write.open_issue(scene.reviews, "kim asks", "x").await.unwrap();
    let at = issue.at(scene.reviews);
    scene.hub.delete_issue("acme", "reviews", 2, "olga").unwrap();
    assert_eq!(scene.read.issue(at).await, Err(CallError::NotFound));
    scene.hub.set_issues("acme", "reviews", false).unwrap();
    let none = scene.write.open_issue(scene.reviews, "kim asks", "x").await;
    assert_eq!(none, Err(CallError::NotFound), "there are no issues at all");
}
