//! Who owns a token is told before a standing policy takes it, and afterwards why; and who cannot be told is not passed over.

use std::time::Duration;

use fakehub::TokenSpec;
use patwarden::{
    domain::{GrantId, Login},
    engine::Operator,
    inventory::{AskedFilter, TokenFilter},
    store::{RevocationItemRow, RevocationRow, RevocationState},
};

use crate::common::{Scene, Set, harmless, shell::run, until};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

const RULES: &str = "schema = 1\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n\
    [revoke.unused]\nwhen.unused_for = \"90d\"\ngrace = \"2d\"\nmax_per_run = 5\n";

/// Mail goes into a folder, and Kim's and Ben's addresses are known.
const SETTINGS: &str = "rules = \"{dir}/rules.toml\"\nmail = \"folder:{dir}/mail\"\n\
    mail-from = \"patwarden <bot@acme.example>\"\n\
    [addresses]\nkim = \"kim@acme.example\"\nben = \"ben@acme.example\"\n";

async fn opened(before: impl FnOnce(&Scene)) -> Scene {
    let mut set = Set::default().rules(RULES).flag("inventory-interval", "1h");
    set.file = Some(SETTINGS.to_owned());
    let mut scene = set.hub(|hub| hub.bulk_delay = Duration::ZERO).without_bot().await;
    before(&scene);
    scene.start().await;
    scene.looked_around().await;
    scene
}

fn granted(scene: &Scene, login: &str, name: &str) -> u64 {
    let since = scene.hub.now() - jiff::SignedDuration::from_hours(200 * 24);
    let spec: TokenSpec = harmless(login).named(name).since(since).never_expires();
    scene.hub.grant_token("acme", spec).unwrap().token_id
}

/// What lies in the folder: each mail's recipient, subject and text.
fn mails(scene: &Scene) -> Vec<(String, String, String)> {
    let Ok(folder) = std::fs::read_dir(scene.path("mail")) else { return Vec::new() };
    let mut mails: Vec<_> = folder
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "eml"))
        .map(|path| {
            let mail = std::fs::read_to_string(path).unwrap().replace("=\r\n", "");
            let header = |name: &str| {
                let line = mail.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap().trim().to_owned()
            };
            (header("To:"), header("Subject:"), mail.clone())
        })
        .collect();
    mails.sort();
    mails
}

async fn until_mails(scene: &Scene, many: usize) -> Vec<(String, String, String)> {
    until(&format!("{many} mails"), || async {
        Some(mails(scene)).filter(|mails| mails.len() >= many)
    })
    .await
}

async fn runs(scene: &Scene) -> Vec<(RevocationRow, Vec<RevocationItemRow>)> {
    let mut runs = Vec::new();
    for row in scene.store().revocations(None, 100).await.unwrap() {
        let items = scene.store().revocation_items(row.id, None, GrantId(0), 1_000).await.unwrap();
        runs.insert(0, (row, items));
    }
    runs
}

/// Time goes by, an hour and its inventory at a time.
async fn hours(scene: &Scene, many: usize) {
    let organization = scene.organization("acme").id;
    let listed = || async {
        let listing = scene.store().token_listing(organization).await.unwrap();
        listing.map(|listing| listing.began_at)
    };
    for _ in 0..many {
        let before = listed().await;
        scene.both_clocks_until("an inventory", HOUR, || async { listed().await != before }).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

async fn until_gone(scene: &Scene, token: u64) {
    scene.both_clocks_until("it is gone", HOUR, || async { !scene.has_access(token) }).await;
}

async fn days(scene: &Scene, many: u32) {
    for _ in 0..many {
        scene.both_clocks(DAY);
        hours(scene, 1).await;
    }
}

#[tokio::test]
async fn an_owner_is_told_and_what_is_not_used_by_then_is_revoked_and_told_again() {
    let (mut first, mut second, mut bens) = (0, 0, 0);
    let scene = opened(|scene| {
        (first, second) = (granted(scene, "kim", "laptop"), granted(scene, "kim", "old ci"));
        bens = granted(scene, "ben", "https://evil.example\r\nBcc: all@acme.example");
    })
    .await;
    // One mail for each owner, not one for each token.
    let told = until_mails(&scene, 2).await;
    let [(ben, _, bens_mail), (kim, subject, kims_mail)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!((ben.as_str(), kim.as_str()), ("ben@acme.example", "kim@acme.example"));
    assert_eq!(subject, "[patwarden acme] 2 of your tokens lose access in 2 days");
    for part in ["laptop", "old ci", "never used, granted 200d ago", "Use it before then"] {
        assert!(kims_mail.contains(part), "{part} in {kims_mail}");
    }
    assert!(!bens_mail.contains("\nBcc:") && !bens_mail.contains("evil.example"), "{bens_mail}");
    let reported = runs(&scene).await;
    assert_eq!(reported.len(), 1);
    assert!(reported[0].0.note.contains("their owners are told by mail"), "{}", reported[0].0.note);
    days(&scene, 1).await;
    assert!(scene.has_access(first), "a day is not two");
    // Kim still needs one of them.
    scene.hub.use_token(second).unwrap();
    days(&scene, 1).await;
    until_gone(&scene, first).await;
    until_gone(&scene, bens).await;
    assert!(scene.has_access(second), "it was used meanwhile");
    // And afterwards: once each, by the reason of the rules.
    scene
        .both_clocks_until("two mails more", 20 * Duration::from_secs(1), || async {
            mails(&scene).len() >= 4
        })
        .await;
    days(&scene, 2).await;
    let all = mails(&scene);
    assert_eq!(all.len(), 4, "{all:?}");
    let after =
        all.iter().find(|(to, subject, _)| to.starts_with("kim") && !subject.contains(" in "));
    let (_, subject, text) = after.unwrap();
    assert_eq!(subject, "[patwarden acme] your token \"laptop\" has no access any more");
    assert!(text.contains("by its rule revoke.unused") && !text.contains("old ci"), "{text}");
    scene.end().await;
}

#[tokio::test]
async fn the_digest_does_not_list_what_was_used_since_its_owner_was_told() {
    let mut second = 0;
    let scene = opened(|scene| {
        let digest = "[digest]\nto = [\"owners\"]\nat = \"08:00 UTC\"\n";
        std::fs::write(scene.path("rules.toml"), format!("{RULES}{digest}")).unwrap();
        granted(scene, "kim", "laptop");
        second = granted(scene, "kim", "old ci");
    })
    .await;
    until_mails(&scene, 1).await;
    let digest = || async {
        let (out, error, code) = run(&scene, "patwarden digest preview --org acme", "").await;
        assert_eq!(code, 0, "{error}");
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    until("both are on their way out", || async {
        let said = digest().await;
        said.contains("2 tokens of kim lose their access, by the rule revoke.unused").then_some(())
    })
    .await;
    // GitHub tells of the use with the next list, and the policy is asked a day later.
    scene.hub.use_token(second).unwrap();
    let installation = scene.installation().await;
    scene.bulk().await.list_tokens(&installation, &()).await.unwrap();
    let said = digest().await;
    assert!(said.contains("1 token of kim loses its access"), "{said}");
    assert!(!said.contains("old ci") && said.contains("1 unused for 90 days"), "{said}");
    scene.end().await;
}

#[tokio::test]
async fn whose_address_nobody_knows_is_asked_about_when_the_time_is_over() {
    let (mut lees, mut kims) = (0, 0);
    let scene = opened(|scene| {
        (lees, kims) = (granted(scene, "lee", "laptop"), granted(scene, "kim", "ci"));
    })
    .await;
    until_mails(&scene, 1).await;
    let notes: Vec<String> = runs(&scene).await.into_iter().map(|(run, _)| run.note).collect();
    assert!(notes.iter().any(|note| note.contains("no mail address of theirs")), "{notes:?}");
    days(&scene, 2).await;
    // Kim's first: the question may wait for long.
    until_gone(&scene, kims).await;
    days(&scene, 2).await;
    let asked = until("somebody is asked", || async {
        let waits = |(run, _): &(RevocationRow, _)| run.state == RevocationState::Waiting;
        runs(&scene).await.into_iter().find(waits)
    })
    .await;
    assert!(asked.0.note.contains("no mail reaches lee"), "{}", asked.0.note);
    assert!(scene.has_access(lees));
    let olga = "operator olga@desk (local, unverified)".to_owned();
    let olga = Operator { name: olga, reason: String::new() };
    scene.bulk().await.confirm(asked.0.id, &olga).await.unwrap();
    until_gone(&scene, lees).await;
    scene.end().await;
}

#[tokio::test]
async fn while_mail_cannot_be_sent_no_grace_begins() {
    let mut kims = 0;
    let scene = opened(|scene| {
        // Where the folder is to be, there is a file.
        std::fs::write(scene.path("mail"), "").unwrap();
        kims = granted(scene, "kim", "laptop");
    })
    .await;
    days(&scene, 1).await;
    let organization = scene.organization("acme").id;
    let notices = scene.store().notices(organization, "revoke.unused").await.unwrap();
    let told: Vec<_> = notices.values().map(|notice| notice.told).collect();
    assert_eq!(told, [patwarden::store::Notified::OnTheWay]);
    std::fs::remove_file(scene.path("mail")).unwrap();
    scene
        .both_clocks_until("the mail is there", HOUR / 2, || async { !mails(&scene).is_empty() })
        .await;
    // From now on two days.
    days(&scene, 1).await;
    assert!(scene.has_access(kims));
    days(&scene, 2).await;
    until_gone(&scene, kims).await;
    scene.end().await;
}

#[tokio::test]
async fn two_bots_on_one_store_tell_an_owner_once() {
    let scene = opened(|scene| {
        granted(scene, "kim", "laptop");
    })
    .await;
    let other = scene.another_bot().await;
    until_mails(&scene, 1).await;
    days(&scene, 1).await;
    assert_eq!(mails(&scene).len(), 1);
    other.stop().await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn the_reason_that_somebody_gives_by_hand_reaches_the_owner() {
    let mut kims = 0;
    let scene = opened(|scene| {
        let spec = harmless("kim").named("laptop");
        kims = scene.hub.grant_token("acme", spec).unwrap().token_id;
    })
    .await;
    hours(&scene, 1).await;
    let bulk = scene.bulk().await;
    let who = Operator {
        name: "operator olga@desk (local, unverified)".to_owned(),
        reason: "CHG-7: found in a public log".to_owned(),
    };
    let asked = AskedFilter { owners: vec![Login::new("kim")], ..AskedFilter::default() };
    let filter = TokenFilter { asked, ..TokenFilter::default() };
    let planned = bulk.plan(&scene.installation().await, &filter, &who, &()).await.unwrap();
    let id = planned.revocation.unwrap().id;
    bulk.confirm(id, &who).await.unwrap();
    bulk.carry_out(id, &()).await.unwrap();
    assert!(!scene.has_access(kims));
    scene
        .both_clocks_until("a mail", Duration::from_secs(20), || async {
            !mails(&scene).is_empty()
        })
        .await;
    let (to, _, text) = mails(&scene).remove(0);
    assert_eq!(to, "kim@acme.example");
    assert!(text.contains("CHG-7: found in a public log") && !text.contains("olga"), "{text}");
    scene.end().await;
}
