//! What scenes about asking reviewers share: a GitHub with a repository for reviews, what people say there, what is seen there. No
//! scenes.

use std::time::Duration;

use fakehub::{Issue, Repo, RequestIds};

use crate::common::{Scene, Set, until, writing};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) const REVIEWS: &str = "token-reviews";

/// Rules that leave writing to people, asked as `rest` says.
pub(crate) fn rules(rest: &str) -> String {
    format!(
        "schema = 1\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n\
         [deny.administration]\nwhen.permissions.any_at_least.repository = {{ administration = \"write\" }}\n\
         reason = \"Tokens may not administer repositories.\"\n{rest}\n"
    )
}

pub(crate) const OWNERS: &str =
    "[reviewers.owners]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.roles = [\"owner\"]\n";

/// Nobody's answer within a week denies; after two days others are asked as well.
pub(crate) const SILENT: &str = "[reviewers.owners]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.roles = [\"owner\"]\n\
    next = { after = \"2d\", to = \"platform\" }\n\
    finally = { after = \"7d\", decision = \"deny\", reason = \"Nobody answered.\" }\n\
    [reviewers.platform]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.teams = [\"platform\"]\nquorum = 2\n";

/// A GitHub with a repository for reviews, and an App that may write issues; no bot yet.
pub(crate) async fn set(rules: &str, reviews: Repo) -> Scene {
    let scene = Set::default()
        .rules(rules)
        .hub(|hub| *hub = hub.clone().asks_by_issue())
        .without_bot()
        .await;
    scene.hub.world(|world| {
        world.add_organization("acme").repository(reviews);
    });
    scene
}

pub(crate) async fn opened(rules: &str) -> Scene {
    let mut scene = set(rules, Repo::private(REVIEWS)).await;
    scene.start().await;
    scene.looked_around().await;
    scene
}

/// The same with mail into a folder, and these addresses known: lines of the settings file.
pub(crate) async fn opened_with_mail(rules: &str, addresses: &str) -> Scene {
    let mut scene = set(rules, Repo::private(REVIEWS)).await;
    scene.change(|set| set.file = Some(mail_settings(addresses)));
    scene.start().await;
    scene.looked_around().await;
    scene
}

pub(crate) fn mail_settings(addresses: &str) -> String {
    format!(
        "rules = \"{{dir}}/rules.toml\"\nmail = \"folder:{{dir}}/mail\"\nmail-from = \"patwarden <bot@acme.example>\"\n\
         [addresses]\n{addresses}\n"
    )
}

/// The mails in the folder.
pub(crate) fn mails(scene: &Scene) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(scene.path("mail")) else { return Vec::new() };
    let files = folder.map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|it| it == "eml"));
    files.map(|path| std::fs::read_to_string(path).unwrap().replace("=\r\n", "")).collect()
}

pub(crate) async fn until_mails(scene: &Scene, many: usize) -> Vec<String> {
    until(&format!("{many} mails are there"), || async {
        Some(mails(scene)).filter(|mails| mails.len() == many)
    })
    .await
}

pub(crate) fn issues(scene: &Scene) -> Vec<Issue> {
    scene.hub.issues("acme", REVIEWS)
}

/// The issue of this number, with a condition.
pub(crate) async fn until_issue(
    scene: &Scene,
    number: u64,
    what: &str,
    is: impl Fn(&Issue) -> bool,
) -> Issue {
    until(&format!("issue {number} {what}"), || async {
        issues(scene).into_iter().find(|issue| issue.number == number && is(issue))
    })
    .await
}

/// Asks for a token that people decide about, and waits until they are asked.
pub(crate) async fn asked(scene: &Scene, login: &str) -> (RequestIds, u64) {
    let before = issues(scene).len();
    let ids = scene.ask(writing(login));
    let issue =
        until("an issue is opened", || async { issues(scene).into_iter().nth(before) }).await;
    // Also in the bot's record: from then on time counts.
    scene.until_idle().await;
    (ids, issue.number)
}

pub(crate) fn say(scene: &Scene, issue: u64, login: &str, text: &str) {
    scene.hub.comment("acme", REVIEWS, issue, login, text).unwrap();
}

/// Waits until the bot has said that.
pub(crate) async fn until_said(scene: &Scene, issue: u64, text: &str) -> Issue {
    until_issue(scene, issue, &format!("says `{text}`"), |issue| {
        ours(issue).any(|said| said.contains(text))
    })
    .await
}

/// What the bot wrote there.
pub(crate) fn ours(issue: &Issue) -> impl Iterator<Item = &str> {
    let ours = issue.comments.iter().filter(|one| one.author == fakehub::Author::App);
    ours.map(|one| one.body.as_str())
}

/// Time goes by here and at GitHub, in one step, and the bot takes notice.
pub(crate) async fn passes(scene: &Scene, by: Duration) {
    scene.both_clocks(by);
    scene.until_idle().await;
}

/// What is noted to be in the way of asking people about a request.
pub(crate) async fn until_noted(scene: &Scene, request: u64, text: &str) {
    until(&format!("`{text}` is noted"), || async {
        let row = scene.store().escalation(scene.key(request).await).await.unwrap();
        row.is_some_and(|row| row.note.contains(text)).then_some(())
    })
    .await;
}

/// Nobody counts as reached, so that nobody is silent.
pub(crate) async fn no_time_counts(scene: &Scene, asked: RequestIds) {
    let groups = scene.store().escalation_groups(scene.key(asked.request_id).await).await.unwrap();
    assert!(groups.iter().all(|group| group.reached_at.is_none()), "{groups:?}");
}

/// Says something on an issue that decides the request, and waits until that is done.
pub(crate) async fn decides(scene: &Scene, asked: RequestIds, issue: u64, login: &str, text: &str) {
    say(scene, issue, login, text);
    scene.until_settled(asked.request_id).await;
    let done = if text.starts_with("/approve") { "approved" } else { "denied" };
    assert_eq!(scene.on_github(asked.request_id), done);
}

pub(crate) async fn until_closed(scene: &Scene, issue: u64) -> Issue {
    until_issue(scene, issue, "is closed", |issue| !issue.open).await
}

/// Silence denies after a whole week from now on, and not earlier.
pub(crate) async fn denied_after_a_week(scene: &Scene, asked: RequestIds, issue: u64) -> Issue {
    for _ in 0..3 {
        passes(scene, 2 * DAY).await;
    }
    assert_eq!(scene.on_github(asked.request_id), "pending");
    scene.both_clocks(DAY + HOUR);
    scene.until_settled(asked.request_id).await;
    assert_eq!(scene.on_github(asked.request_id), "denied");
    until_closed(scene, issue).await
}
