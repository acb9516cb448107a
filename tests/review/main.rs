//! What an escalation's issue says, and that nothing a stranger wrote takes effect in it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cautions;
mod letters;
#[path = "../rules_support/mod.rs"]
mod rules_support;

use std::{fs, path::Path};

use insta::assert_snapshot;
use jiff::Timestamp;
use letters::assert_letter_harmless;
use patwarden::{
    domain::{
        Fingerprint, Login, Permissions, Repository, RepositoryId, RepositorySelection, Role,
        TeamRef, TokenRequest, UserId,
    },
    review::{
        command::{self, Said, Why},
        issue::{Audience, End, Ended, Group, Question, Silence, Voter, mark},
        reply::Reply,
    },
    rules::{
        Caution, Decision, Guarded, Keeps, Policy, RuleId, Trace, UnknownFact, cautions,
        decide_with_trace,
        facts::{Fact, Facts},
        policy::{FinallyDecision, MayDecide},
    },
};
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag};
use rules_support::{now, policy, request};

const RULES: &str = r#"
schema = 1
[default]
decision = "escalate"
to = "security"
[reviewers.security]
notify = ["issue:acme/token-reviews"]
may_decide.teams = ["security"]
may_decide.roles = ["owner"]
quorum = 2
[approve.devs-write]
when.owner.teams = ["developers"]
allow.lifetime = "30d"
allow.repositories = ["*"]
allow.permissions.repository = { contents = "write" }
"#;

/// What strangers write who mean it.
const HOSTILE: [&str; 18] = [
    "@olga @acme/security #1 acme/web#2 GH-3",
    "see https://evil.example and www.evil.example, mail me@evil.example",
    "0123456789abcdef0123456789abcdef01234567",
    "```\n/approve\n```\n/approve",
    "````````\n# no\n````````",
    "`x` ``y`` ```z```",
    "~~~\n</details>\n/approve yes",
    "</details>\n\n/approve\n\n<details open>",
    "<!-- patwarden:1:1:0000 -->\n-->\n/approve",
    "<img src=x onerror=alert(1)><script>x</script>",
    "[click](https://evil.example) ![x](https://evil.example/x.png)",
    "[x]: https://evil.example\n[x]",
    "| a |\n|---|\n| /approve |",
    "- [ ] do it\n1. /deny no",
    "\u{202e}evorppa/\u{202c} \u{200b}\u{7}\u{0}\u{feff}",
    "a\r\n\r\n\r\n\t/approve\u{2028}/approve\u{85}/approve",
    "\\`\\`\\`\n&lt;b&gt; &#64;olga :tada:",
    "$x$ $$y$$ ^[note] [^1]\n\n[^1]: /approve",
];

fn rules() -> Policy {
    policy(&[RULES.to_owned()])
}

fn facts() -> Facts {
    let team = TeamRef::parse("developers").unwrap();
    let web = Repository::new(RepositoryId(7), "web");
    let api = Repository::new(RepositoryId(8), "api");
    Facts {
        owner_role: Fact::known(Role::Member, "GET /orgs/acme/memberships/kim", now()),
        owner_teams: [(team, Fact::known(true, "GET /orgs/acme/teams/developers/members", now()))]
            .into(),
        repositories: Fact::known(vec![web, api], "GET /…/repositories", now()),
        ..Facts::nothing_read(now())
    }
}

fn asked() -> TokenRequest {
    let mut request: TokenRequest = serde_json::from_value(serde_json::json!({
        "id": 41, "organization": { "id": 9, "login": "acme" }, "owner": { "id": 5, "login": "kim" },
        "token": { "id": 77, "name": "deploy-prod", "expired": false, "expires_at": "2026-08-28T10:00:00Z", "last_used_at": null },
        "reason": "CHG-004211 release job\nasked for by @olga", "repository_selection": "subset",
        "permissions": { "repository": {}, "organization": {}, "other": {} },
        "created_at": "2026-05-30T10:00:00Z",
    }))
    .unwrap();
    request.permissions = Permissions {
        repository: [
            ("contents".to_owned(), "write".to_owned().into()),
            ("workflows".to_owned(), "write".to_owned().into()),
        ]
        .into(),
        ..Permissions::default()
    };
    request
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn olga() -> Voter {
    Voter { id: UserId(2), login: Login::new("olga") }
}

fn groups() -> Vec<Group> {
    let may_decide =
        MayDecide { teams: vec![TeamRef::parse("security").unwrap()], roles: vec![Role::Owner] };
    let group = |name: &str, quorum, approved| Group {
        instead_of: None,
        name: name.to_owned(),
        may_decide: may_decide.clone(),
        quorum,
        comment_required: quorum > 1,
        approved,
    };
    vec![group("security", 2, vec![olga()]), group("owners", 1, Vec::new())]
}

/// Everything that a question is made of.
struct Told {
    request: TokenRequest,
    fingerprint: Fingerprint,
    repositories: Option<Vec<Repository>>,
    decision: Decision,
    trace: Trace,
    cautions: Vec<Caution>,
    groups: Vec<Group>,
    silence: Silence,
}

impl Told {
    fn of(request: TokenRequest, facts: &Facts) -> Self {
        Self::by(&rules(), request, facts)
    }

    fn by(policy: &Policy, request: TokenRequest, facts: &Facts) -> Self {
        let repositories = facts.repositories.value().cloned();
        let (decision, trace) = decide_with_trace(policy, &request, facts);
        let guarded = policy.guarded(&request, repositories.as_deref());
        Self {
            cautions: cautions(&decision, &trace, guarded),
            fingerprint: Fingerprint::of(&request, repositories.as_deref()),
            repositories,
            decision,
            trace,
            groups: groups(),
            silence: Silence {
                next: Some((at("2026-06-04T12:00:00Z"), "owners".to_owned())),
                finally: Some((at("2026-06-08T12:00:00Z"), FinallyDecision::Deny)),
                mute: false,
            },
            request,
        }
    }

    fn ask<'a>(&'a self, audience: Audience, ended: Option<&'a Ended>) -> Question<'a> {
        Question {
            request: &self.request,
            fingerprint: &self.fingerprint,
            repositories: self.repositories.as_deref(),
            decision: &self.decision,
            trace: &self.trace,
            cautions: &self.cautions,
            groups: &self.groups,
            silence: &self.silence,
            ended,
            page: "https://github.com/organizations/acme/settings/personal-access-token-requests",
            audience,
        }
    }
}

fn told() -> Told {
    Told::of(asked(), &facts())
}

fn denied(reason: &str) -> Ended {
    let how = End::Denied(olga());
    Ended { at: at("2026-06-02T08:30:00Z"), how, reason: Some(reason.to_owned()) }
}

#[test]
fn a_reviewer_who_knows_nothing_learns_all_that_a_decision_takes() {
    let told = told();
    let question = told.ask(Audience::Reviewers, None);
    assert_snapshot!(question.title(), @"kim asks for a token: contents:write, workflows:write on 2 repositories");
    assert_snapshot!(question.body(), @r"
    <!-- patwarden:9:41:a629c050d00238151655b1263f8eed53515b0545444e5cd270f80d6ad2a3b6d3 -->
    `kim` asks the organization `acme` for access with a fine-grained personal access token. Its rules leave that to people: **you can decide here, with a comment.**

    ### What is asked

    - **The token** is called `deploy-prod`
    - **It may** `contents:write`, `workflows:write`
    - **On** 2 repositories: `web`, `api`
    - **Until** 2026-08-28 (90 days)
    - **Asked** Sat 30 May 2026, 10:00 UTC

    The reason, in the requester's own words:

    ```text
    CHG-004211 release job
    asked for by @olga
    ```

    ### Why the rules did not decide

    - No rule says what is to happen, so people are asked
    - Closest to letting it pass was `approve.devs-write`, which lacked:
      - `allow.lifetime`: lets pass `at most 30d`; found `90d`
      - `allow.permissions.repository.workflows`: lets pass `not at all`; found `write`

    ### Who decides, and how

    - **`security`**: 1 of 2 approvals (`olga`). May decide: members of the team `security`, owners of the organization; an approval needs a comment, such as `/approve seen with Olga`
    - **`owners`**: 0 of 1 approval. May decide: members of the team `security`, owners of the organization

    Each of these groups must approve. One denial is enough to deny. The requester's own answer never counts. When the request is changed, earlier answers no longer count.

    Write a comment with **one** of these at the start of a line:

    ```text
    /approve comment     yes; with enough of these it is approved
    /deny reason         no; it is denied, and the requester gets the reason
    /explain             shows how every rule judged the request
    /assign @login       asks one of those who may decide
    ```

    For example: `/deny Please ask for 30 days.`

    If nobody decides until Thu 4 Jun 2026, 12:00 UTC, `owners` is asked too.
    It is **denied** on Mon 8 Jun 2026, 12:00 UTC, unless somebody decides.

    Who owns the organization can also decide on [GitHub's own page](<https://github.com/organizations/acme/settings/personal-access-token-requests>).

    <details>
    <summary>How every rule judged it</summary>

    ```text
    approve.devs-write: not matched
      + when.owner.teams: expected developers; found in developers (GET /orgs/acme/teams/developers/members, 2026-06-01 12:00:00Z)
      - allow.lifetime: expected at most 30d; found 90d
      + allow.repositories: expected *, picked by name; found web, api (GET /…/repositories, 2026-06-01 12:00:00Z)
      - allow.permissions: expected at most repository.contents: write; found repository.contents: write, repository.workflows: write
    builtin.protected-repositories: not matched (hard, gate)
      + when.permissions.any_at_least.repository: expected any: write; found writes
      - when.repositories.any.name: expected token-reviews; found web, api
    default: escalate
    ```

    </details>
    ");
}

#[test]
fn what_was_approved_and_revoked_at_once_is_not_called_denied() {
    let told = told();
    let ended = Ended { at: at("2026-06-02T08:30:00Z"), how: End::Revoked, reason: None };
    let over = told.ask(Audience::Reviewers, Some(&ended));
    assert_eq!(over.title(), "[approved, then revoked] Token of kim");
    let body = over.body();
    assert!(
        body.contains("**This request is over: approved, and revoked at once: it was"),
        "{body}"
    );
    assert!(!body.contains("denied"), "{body}");
}

#[test]
fn in_a_public_repository_only_who_since_when_and_where_is_said() {
    let told = told();
    let question = told.ask(Audience::Anybody, None);
    assert_snapshot!(question.title(), @"A token of kim waits for a decision");
    let body = question.body();
    for secret in [
        "deploy-prod",
        "contents",
        "workflows",
        "CHG-004211",
        "web",
        "devs-write",
        "olga",
        "security",
    ] {
        assert!(!body.contains(secret) && !question.title().contains(secret), "{secret}: {body}");
    }
    assert_snapshot!(body, @r"
    <!-- patwarden:9:41:a629c050d00238151655b1263f8eed53515b0545444e5cd270f80d6ad2a3b6d3 -->
    `kim` asks for a token since 2026-05-30, and people are to decide. This repository can be read by others, so what is asked is not said here: see [GitHub's list of pending requests](<https://github.com/organizations/acme/settings/personal-access-token-requests>).

    One denial is enough to deny. The requester's own answer never counts. When the request is changed, earlier answers no longer count.

    Write a comment with **one** of these at the start of a line:

    ```text
    /approve comment     yes; with enough of these it is approved
    /deny reason         no; it is denied, and the requester gets the reason
    /explain             shows how every rule judged the request
    /assign @login       asks one of those who may decide
    ```

    For example: `/deny Please ask for 30 days.`
    ");
    let ended = denied("because of `web`");
    let over = told.ask(Audience::Anybody, Some(&ended));
    assert_eq!(over.title(), "[over] Token of kim");
    for secret in ["web", "olga", "denied"] {
        assert!(!over.body().contains(secret), "{secret}: {}", over.body());
    }
    // Nor is it said in the answers.
    let kim = Login::new("kim");
    let groups = [("security".to_owned(), 1, 2)];
    for reply in [
        Reply::Over(&ended),
        Reply::Counted { by: &kim, groups: &groups },
        Reply::Unreadable { by: &kim, why: "team security: 502" },
        Reply::NotApproved { why: "deny.admins" },
        Reply::Explained(&told.trace),
        Reply::AskedNext { group: "security" },
    ] {
        let text = reply.text("12", Audience::Anybody);
        for secret in ["web", "olga", "denied", "security", "deny", "devs-write"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

#[test]
fn what_is_over_says_who_ended_it_and_how_and_asks_nobody_any_more() {
    let told = told();
    let ended = denied("Too wide.\n@kim /approve");
    let question = told.ask(Audience::Reviewers, Some(&ended));
    assert_eq!(question.title(), "[denied] Token of kim");
    let body = question.body();
    assert!(
        body.contains("**This request is over: denied by `olga`**, Tue 2 Jun 2026, 08:30 UTC."),
        "{body}"
    );
    assert!(body.contains("```text\nToo wide.\n@kim /approve\n```"), "{body}");
    assert!(!body.contains("Write a comment"), "{body}");
}

#[test]
fn the_mark_names_organization_request_and_fingerprint_and_stands_first() {
    let told = told();
    let body = told.ask(Audience::Reviewers, None).body();
    let (request, fingerprint) = (&told.request, &told.fingerprint);
    let mark = mark(request.organization.id, request.id, fingerprint);
    assert_eq!(mark, format!("<!-- patwarden:9:41:{fingerprint} -->"));
    assert!(body.starts_with(&mark));
}

/// Strangers' words everywhere a stranger can put some.
fn hostile(words: &str) -> Told {
    let mut request = asked();
    request.token.name = words.to_owned();
    request.reason = Some(words.to_owned());
    request.owner.login = Login::new(words);
    request.permissions.repository.insert(words.to_owned(), words.to_owned().into());
    let mut facts = facts();
    let all =
        vec![Repository::new(RepositoryId(7), words), Repository::new(RepositoryId(8), "api")];
    facts.repositories = Fact::known(all, words, now());
    facts.owner_role = Fact::unknown(words);
    let mut told = Told::of(request, &facts);
    told.decision.by.push(RuleId::new(words));
    if let Some(near) = &mut told.decision.near_miss {
        for unmet in &mut near.unmet {
            words.clone_into(&mut unmet.found);
            words.clone_into(&mut unmet.key);
        }
    }
    let guarded = vec![Guarded { repository: words.to_owned(), keeps: Keeps::Rules }];
    let unknown = vec![words.to_owned()];
    told.cautions = vec![
        Caution::ReachesGuarded { certain: true, guarded },
        Caution::HardVeto { rule: words.to_owned(), unknown },
    ];
    told.groups[0].approved.push(Voter { id: UserId(1), login: Login::new(words) });
    words.clone_into(&mut told.groups[0].name);
    told.groups[0].instead_of = Some(words.to_owned());
    told.groups[0].may_decide.teams.extend(TeamRef::parse(words).ok());
    told.silence.next = Some((at("2026-06-04T12:00:00Z"), words.to_owned()));
    told.silence.mute = true;
    told.decision.reason = Some(words.to_owned());
    told.decision.unknown.push(UnknownFact {
        fact: words.to_owned(),
        why: words.to_owned(),
        rule: RuleId::new(words),
        retry: true,
    });
    told
}

/// Every text that can be made of these words.
fn texts(words: &str) -> Vec<String> {
    let told = hostile(words);
    let ended = Ended { how: End::Denied(told.groups[0].approved[1].clone()), ..denied(words) };
    let login = Login::new(words);
    let counted = [(words.to_owned(), 1, 2)];
    let replies = [
        Reply::Counted { by: &login, groups: &counted },
        Reply::Over(&ended),
        Reply::NotObeyed(Why::Several),
        Reply::NotAReviewer(&login),
        Reply::OwnRequest(&login),
        Reply::Unreadable { by: &login, why: words },
        Reply::NotApproved { why: words },
        Reply::Explained(&told.trace),
        Reply::NotAssigned(&login),
        Reply::AskedNext { group: words },
    ];
    let mut texts = Vec::new();
    for audience in [Audience::Reviewers, Audience::Anybody] {
        texts.push(told.ask(audience, None).body());
        texts.push(told.ask(audience, Some(&ended)).body());
        texts.extend(replies.iter().map(|reply| reply.text(words, audience)));
    }
    texts
}

const OURS: [&str; 4] =
    ["<details>", "</details>", "<summary>How every rule judged it</summary>", "<!-- patwarden:"];

/// Fails where anything but our own Markdown takes effect.
#[track_caller]
fn assert_harmless(text: &str, words: &str) {
    assert!(text.chars().count() <= 60_000, "{} characters", text.chars().count());
    assert!(!text.chars().any(|one| one.is_control() && one != '\n'), "{words:?}: {text:?}");
    assert!(!text.contains(['\u{202e}', '\u{200b}', '\u{feff}', '\u{2028}', '\u{85}']), "{text:?}");
    assert_eq!(command::read(text), Said::Nothing, "{words:?} gives orders: {text}");
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM;
    let mut code = false;
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => code = true,
            Event::End(pulldown_cmark::TagEnd::CodeBlock) => code = false,
            Event::Start(Tag::Link { dest_url, .. }) => {
                assert!(
                    dest_url.starts_with("https://github.com/organizations/acme/"),
                    "{dest_url}"
                );
            }
            Event::Start(
                Tag::Image { .. } | Tag::Table(_) | Tag::FootnoteDefinition(_) | Tag::BlockQuote(_),
            )
            | Event::TaskListMarker(_)
            | Event::FootnoteReference(_) => panic!("{words:?} makes {event:?}: {text}"),
            Event::Html(html) | Event::InlineHtml(html) => {
                let ours =
                    html.trim().is_empty() || OURS.iter().any(|ours| html.trim().starts_with(ours));
                assert!(ours, "{words:?} makes {html:?}: {text}");
            }
            Event::Text(said) if !code => {
                for sign in ["@", "#", "://", "www.", "GH-"] {
                    assert!(!said.contains(sign), "{words:?} says {sign} in {said:?}: {text}");
                }
            }
            _ => {}
        }
    }
}

#[test]
fn nothing_that_a_stranger_wrote_takes_effect() {
    for words in HOSTILE {
        for text in texts(words) {
            assert_harmless(&text, words);
        }
        let told = hostile(words);
        for audience in [Audience::Reviewers, Audience::Anybody] {
            let title = told.ask(audience, None).title();
            assert!(title.chars().count() <= 256 && title.lines().count() == 1, "{title:?}");
        }
    }
}

#[test]
fn however_much_is_written_a_text_has_room_on_github() {
    let mut told = hostile(&"`".repeat(20_000));
    let repositories: Vec<Repository> = (0..5_000)
        .map(|id| Repository::new(RepositoryId(id), format!("a-rather-long-name-{id}")))
        .collect();
    told.repositories = Some(repositories);
    let rules = told.trace.rules.clone();
    told.trace.rules = rules.iter().cycle().take(3_000).cloned().collect();
    let body = told.ask(Audience::Reviewers, None).body();
    assert_harmless(&body, "a lot");
    assert!(body.contains("and 4950 more"), "{body}");
    assert!(body.trim_end().ends_with("</details>"), "{body}");
}

#[test]
fn a_whole_organization_and_a_token_for_ever_are_said_loudly() {
    let mut request = asked();
    request.repository_selection = RepositorySelection::All;
    request.token.expires_at = None;
    request.reason = None;
    let told = Told::of(request, &facts());
    let body = told.ask(Audience::Reviewers, None).body();
    assert!(
        body.contains("- **On** **all repositories**, also those that do not exist yet"),
        "{body}"
    );
    assert!(body.contains("- **Until** it is revoked: it never expires"), "{body}");
    assert!(body.contains("The requester gave no reason."), "{body}");
}

#[test]
fn a_reviewer_is_called_and_nobody_else() {
    let (olga, odd) = (Login::new("olga"), Login::new("olga](x) @all"));
    let assigned =
        |who: &Login| Reply::Assigned { who, assigned: true }.text("12", Audience::Reviewers);
    assert_eq!(assigned(&olga), "<!-- patwarden:reply:12 -->\n@olga is asked now.");
    assert!(assigned(&odd).contains("`olga](x) @all` is asked"));
    let outcome = Reply::NotAReviewer(&olga).text("12", Audience::Reviewers);
    assert!(outcome.contains("`olga` is not among those who may decide"), "{outcome}");
}

/// The same texts, for renderers of other makers: `e2e` shows them to one.
#[test]
fn the_texts_that_other_renderers_are_shown_are_the_newest() {
    let all: Vec<String> = HOSTILE.iter().flat_map(|words| texts(words)).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/contract/texts.json");
    let newest = format!("{}\n", serde_json::to_string_pretty(&all).unwrap());
    if std::env::var_os("UPDATE_DOCUMENTATION").is_some() {
        fs::write(path, newest).unwrap();
        return;
    }
    assert!(
        fs::read_to_string(path).unwrap_or_default() == newest,
        "write them anew with UPDATE_DOCUMENTATION=1 cargo test --test review"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..rules_support::cases() })]

    #[test]
    fn no_words_take_effect(words in "[`~<>!\\[\\]()@#/\\\\&;:.\\-*_|\n\r\t apdeny0\u{202e}\u{0}]{0,60}") {
        for text in texts(&words) {
            assert_harmless(&text, &words);
        }
        // Words of nothing are as many lines as words.
        if words.chars().any(char::is_alphanumeric) {
            assert_letter_harmless(&words);
        }
    }

    #[test]
    fn every_request_can_be_asked_about(request in request(), facts in rules_support::facts()) {
        let told = Told::of(request, &facts);
        assert_harmless(&told.ask(Audience::Reviewers, None).body(), "a request");
        assert_harmless(&told.ask(Audience::Anybody, None).body(), "a request");
    }
}
