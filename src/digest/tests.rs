//! What a digest says, and what nobody can make it say.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use jiff::{SignedDuration, Timestamp, tz::TimeZoneDatabase};
use proptest::prelude::*;

use super::*;
use crate::{
    domain::{
        Organization, OrganizationId, Owner, Permissions, RepositorySelection, RequestId,
        RequestedToken, TokenId, UserId,
    },
    rules::{Effect, NearMiss, RuleId, UnknownFact, Unmet, policy::Detail},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn asked(name: &str, reason: &str) -> TokenRequest {
    let permissions: Permissions = serde_json::from_value(serde_json::json!({
        "repository": { "contents": "write", "workflows": "write", "metadata": "read" }
    }))
    .unwrap();
    TokenRequest {
        id: RequestId(7),
        organization: Organization { id: OrganizationId(1), login: Login::new("acme") },
        owner: Owner { id: UserId(3), login: Login::new("kim") },
        token: RequestedToken {
            id: TokenId(9),
            name: name.to_owned(),
            expired: false,
            expires_at: Some(at("2027-02-16T12:00:00Z")),
            last_used_at: None,
        },
        reason: Some(reason.to_owned()),
        repository_selection: RepositorySelection::Subset,
        permissions,
        created_at: at("2026-11-18T07:10:00Z"),
    }
}

fn escalated() -> Decision {
    let unmet = |key: &str, expected: &str, found: &str| Unmet {
        key: key.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
        unknown: false,
        hint: None,
    };
    Decision {
        effect: Effect::Escalate,
        by: Vec::new(),
        reason: None,
        to: vec!["owners".to_owned()],
        unknown: Vec::new(),
        only_unknown: false,
        near_miss: Some(NearMiss {
            rule: RuleId::new("approve.devs-write"),
            unmet: vec![
                unmet("allow.lifetime", "at most 30d", "90d"),
                unmet("allow.permissions.repository.workflows", "nothing", "write"),
            ],
        }),
        advisories: Vec::new(),
        waived: Vec::new(),
    }
}

fn waiting(owner: &str, name: &str, reason: &str, since: &str, urgency: Urgency) -> Waiting {
    Waiting {
        request: 7,
        owner: Login::new(owner),
        token_name: name.to_owned(),
        since: at(since),
        urgency,
        asked: Some(asked(name, reason)),
        repositories: Some(vec!["web".to_owned(), "api".to_owned()]),
        decision: Some(escalated()),
        note: String::new(),
        denies_at: None,
        issue: None,
    }
}

impl Waiting {
    /// The same, asked on an issue, where silence denies it.
    fn asked_on_an_issue(mut self) -> Self {
        self.denies_at = Some(at("2026-11-25T07:10:00Z"));
        self.issue = Some("https://github.com/acme/token-reviews/issues/7".to_owned());
        self
    }
}

/// A day on which there is something of everything.
fn full() -> Day {
    Day {
        organization: Login::new("acme"),
        date: "2026-11-21".parse().unwrap(),
        now: at("2026-11-21T07:00:05Z"),
        zone: TimeZoneDatabase::bundled().get("Europe/Vienna").unwrap(),
        since: at("2026-11-20T07:00:04Z"),
        late: None,
        mode: Some(Mode::Enforce),
        by: By::Rules,
        pages: Pages::of("https://api.github.com", &Login::new("acme")),
        waiting: Few {
            shown: vec![
                waiting(
                    "kim",
                    "deploy-prod",
                    "CHG-004211 release job",
                    "2026-11-18T07:10:00Z",
                    Urgency::Overdue,
                )
                .asked_on_an_issue(),
                waiting("lee", "nightly", "", "2026-11-21T02:10:00Z", Urgency::InTime),
            ],
            all: 14,
        },
        unconfirmed: 0,
        coming: vec![Coming {
            policy: "revoke.unused".to_owned(),
            at: at("2026-11-22T07:00:00Z"),
            tokens: 3,
            owners: Few { shown: vec![Login::new("ann"), Login::new("bo")], all: 2 },
            named: vec![
                ComingToken { token: 41, owner: Login::new("ann"), name: "old-ci".to_owned() },
                ComingToken { token: 57, owner: Login::new("bo"), name: "laptop".to_owned() },
            ],
            use_keeps: true,
        }],
        alarms: Few {
            shown: vec![Alarm {
                request: 31,
                owner: Login::new("viktor"),
                token_name: "quick look".to_owned(),
                at: at("2026-11-20T13:31:00Z"),
            }],
            all: 1,
        },
        runs: vec![WaitingRun {
            id: 12,
            policy: "revoke.leavers".to_owned(),
            tokens: 40,
            why: "40 tokens are more than max_per_run = 25".to_owned(),
            lapses: at("2026-11-22T03:00:00Z"),
        }],
        troubles: vec![Trouble {
            what: "owner.teams could not be read for 2 of the requests that wait".to_owned(),
            detail: "there is no team `ci-maintainers` that the App can see".to_owned(),
            remedy: "it is read again until it can be".to_owned(),
        }],
        outside: Few {
            shown: vec![
                Outside {
                    owner: Login::new("ann"),
                    token_name: "migration".to_owned(),
                    at: at("2026-11-20T13:31:00Z"),
                    what: OutsideWhat::Approved("olga".to_owned()),
                },
                Outside {
                    owner: Login::new("olga"),
                    token_name: "laptop".to_owned(),
                    at: at("2026-11-20T16:02:00Z"),
                    what: OutsideWhat::OwnersOwn,
                },
            ],
            all: 2,
        },
        expiring: Few {
            shown: vec![
                Expiring {
                    owner: Login::new("bo"),
                    token_name: "backup".to_owned(),
                    at: at("2026-11-22T05:00:00Z"),
                },
                Expiring {
                    owner: Login::new("bo"),
                    token_name: "pages".to_owned(),
                    at: at("2026-11-28T05:00:00Z"),
                },
            ],
            all: 2,
        },
        decided: Decided {
            by_rule: vec![
                RuleCount {
                    rule: "approve.read-only".to_owned(),
                    approved: 12,
                    ..RuleCount::default()
                },
                RuleCount {
                    rule: "approve.devs-write".to_owned(),
                    approved: 5,
                    ..RuleCount::default()
                },
                RuleCount {
                    rule: "deny.administration".to_owned(),
                    denied: 1,
                    ..RuleCount::default()
                },
            ],
            denials: Few {
                shown: vec![Denial {
                    owner: Login::new("cyril"),
                    token_name: "terraform".to_owned(),
                    rule: "deny.administration".to_owned(),
                    reason: "Tokens may not administer repositories of acme. Use a GitHub App."
                        .to_owned(),
                }],
                all: 1,
            },
            people: vec![PersonCount { who: "@olga".to_owned(), approved: 1, denied: 0 }],
            cancelled: 0,
            otherwise: 0,
        },
        trend: Trend { median_wait: Some(4), active: 412, stale: 31, before: Some((409, 31)) },
        without_address: vec![Login::new("martin")],
    }
}

fn quiet() -> Day {
    let mut day = full();
    day.waiting = Few::default();
    day.alarms = Few::default();
    day.coming.clear();
    day.runs.clear();
    day.troubles.clear();
    day.outside = Few::default();
    day.expiring = Few::default();
    day
}

/// An entry for each string that a stranger writes.
fn hostile(text: &str) -> Day {
    let mut day = full();
    let login = || Login::new(text);
    let mut one = waiting(text, text, text, "2026-11-18T07:10:00Z", Urgency::Overdue);
    one.repositories = Some(vec![text.to_owned(); 30]);
    one.note = text.to_owned();
    if let Some(near) = one.decision.as_mut().and_then(|decision| decision.near_miss.as_mut()) {
        near.unmet[0].found = text.to_owned();
        near.unmet[0].expected = text.to_owned();
    }
    let mut held = one.clone();
    if let Some(decision) = &mut held.decision {
        decision.effect = Effect::Deny;
        decision.reason = Some(text.to_owned());
        decision.unknown = vec![UnknownFact {
            fact: "owner.teams".to_owned(),
            why: text.to_owned(),
            rule: RuleId::new("escalate.x"),
            retry: true,
        }];
    }
    day.waiting = Few { shown: vec![one, held].into_iter().cycle().take(20).collect(), all: 5_000 };
    for coming in &mut day.coming {
        coming.owners.shown = vec![login(); 3];
        let token = ComingToken { token: 7, owner: login(), name: text.to_owned() };
        coming.named = vec![token; 20];
    }
    let alarm = Alarm { request: 7, owner: login(), token_name: text.to_owned(), at: day.now };
    day.alarms = Few { shown: vec![alarm; 20], all: 5_000 };
    day.runs[0].why = text.to_owned();
    day.troubles[0].detail = text.to_owned();
    day.troubles = vec![day.troubles[0].clone(); 20];
    day.outside.shown[0].owner = login();
    day.outside.shown[0].token_name = text.to_owned();
    day.outside.shown[0].what = OutsideWhat::Approved(text.to_owned());
    day.outside = Few { shown: vec![day.outside.shown[0].clone(); 20], all: 100_000 };
    let one = Expiring { owner: login(), token_name: text.to_owned(), at: day.now };
    day.expiring = Few { shown: vec![one; 300], all: 100_000 };
    let denial = Denial {
        owner: login(),
        token_name: text.to_owned(),
        rule: "deny.x".to_owned(),
        reason: text.to_owned(),
    };
    day.decided.denials = Few { shown: vec![denial; 20], all: 5_000 };
    day.decided.people = vec![PersonCount { who: text.to_owned(), approved: 1, denied: 1 }; 30];
    day.without_address = vec![login(); 20];
    day
}

#[test]
fn in_ten_seconds_an_owner_knows_what_to_do_first() {
    let page = Page::of(&full(), Detail::Full);
    insta::assert_snapshot!(format!("Subject: {}\n\n{}", page.subject, text(&page)), @r#"
    Subject: [patwarden acme] 1 alarm, 14 to decide (1 or more overdue), 3 revocations tomorrow

    acme · Saturday, 21 November 2026

    DECIDE NOW (14, THE OLDEST FIRST)
     ! kim  "deploy-prod"  waits 2 d, overdue
         wants   contents:write, workflows:write on web, api for 90 d, until
                 2027-02-16
         rules   closest approve.devs-write: lifetime 90d (allowed: at most 30d);
                 permissions.repository.workflows write (allowed: nothing)
         says    "CHG-004211 release job"
         silence denied Wed 25 Nov, 08:10 CET, unless somebody answers
         answer  https://github.com/acme/token-reviews/issues/7
     - lee  "nightly"  waits 4 h
         wants   contents:write, workflows:write on web, api for 90 d, until
                 2027-02-16
         rules   closest approve.devs-write: lifetime 90d (allowed: at most 30d);
                 permissions.repository.workflows write (allowed: nothing)
       and 12 more:
       https://github.com/organizations/acme/settings/personal-access-token-requests

    HAPPENS UNLESS YOU OBJECT
     ! revoke.leavers would take 40 tokens and waits for you
         why     40 tokens are more than max_per_run = 25
         look    patwarden revocations show 12
         confirm patwarden revocations confirm 12; without that nothing is
                 revoked, and it lapses Sun 22 Nov, 04:00 CET
     ! tomorrow (Sun 22 Nov): revoke.unused takes 3 tokens of ann, bo
         tokens  ann "old-ci" (41), bo "laptop" (57), and 1 more
         keep    using one keeps it; or one: patwarden revocations hold --org acme
                 --token NUMBER --until 2026-12-22 --why WHY; all of them:
                 --policy unused

    ALARMS
     ! viktor  "quick look"  was edited while its approval was on its way, had
       more access than was judged, and was revoked (Fri 20 Nov, 14:31 CET)
         look    patwarden requests show 31
         do      ask its owner whether that was meant

    BROKEN OR DEGRADED
     ! owner.teams could not be read for 2 of the requests that wait
         said    there is no team `ci-maintainers` that the App can see
         do      it is read again until it can be

    DECIDED OUTSIDE PATWARDEN, AND OWNERS' OWN TOKENS
     - ann  "migration"  approved by @olga (Fri 20 Nov, 14:31 CET)
     - olga  "laptop"  an owner's own, which GitHub asks nobody about (Fri 20 Nov,
       17:02 CET)

    EXPIRES SOON (2)
     - bo: "backup" tomorrow, "pages" in 7 d

    DECIDED SINCE FRI 20 NOV, 08:00 CET
     - 18 by rule: approve.read-only 12 approved; approve.devs-write 5 approved;
       deny.administration 1 denied
     - denied: cyril  "terraform"  by deny.administration
         reason  "Tokens may not administer repositories of acme. Use a GitHub
                 App."
     - 1 by people: @olga (1 approved)

    TREND
     - median wait 4 s · 94% automatic · 412 tokens active (+3) · 31 unused for 90
       days

    Pending requests: https://github.com/organizations/acme/settings/personal-access-token-requests
    Tokens with access: https://github.com/organizations/acme/settings/personal-access-tokens

    Not reached, for want of an address: martin. An operator adds them to
    [addresses] in patwarden's settings.

    patwarden sends this as [digest] of the rules of acme says. Nothing is decided
    by answering it, or by a link in it.
    "#);
}

#[test]
fn those_whose_mail_is_not_private_are_told_numbers() {
    let page = Page::of(&full(), Detail::Minimal);
    insta::assert_snapshot!(format!("Subject: {}\n\n{}", page.subject, text(&page)), @r"
    Subject: [patwarden acme] 1 alarm, 14 to decide (1 or more overdue), 3 revocations tomorrow

    acme · Saturday, 21 November 2026

    Names, reasons and repositories are left out of this mail.

    DECIDE NOW (14, THE OLDEST FIRST)
     ! 14 requests wait for a person, the oldest for 2 d

    HAPPENS UNLESS YOU OBJECT
     ! a standing policy would take 40 tokens and waits for you
         look    patwarden revocations show 12
         confirm patwarden revocations confirm 12; without that nothing is
                 revoked, and it lapses Sun 22 Nov, 04:00 CET
     ! tomorrow (Sun 22 Nov): a standing policy takes 3 tokens of 2 people
         keep    using one keeps it; or patwarden revocations hold --help

    ALARMS
     ! 1 token: was edited while its approval was on its way, had more access than
       was judged, and was revoked

    BROKEN OR DEGRADED
     ! owner.teams could not be read for 2 of the requests that wait
         do      it is read again until it can be

    DECIDED OUTSIDE PATWARDEN, AND OWNERS' OWN TOKENS
     - 2 tokens

    EXPIRES SOON (2)
     - 2 tokens expire soon

    DECIDED SINCE FRI 20 NOV, 08:00 CET
     - 18 by rule: 17 approved, 1 denied
     - 1 by people: 1 person

    TREND
     - median wait 4 s · 94% automatic · 412 tokens active (+3) · 31 unused for 90
       days

    Pending requests: https://github.com/organizations/acme/settings/personal-access-token-requests
    Tokens with access: https://github.com/organizations/acme/settings/personal-access-tokens

    Not reached, for want of an address: 1 person. An operator adds them to
    [addresses] in patwarden's settings.

    patwarden sends this as [digest] of the rules of acme says. Nothing is decided
    by answering it, or by a link in it.
    ");
    let told = format!("{}{}{}", page.subject, text(&page), html(&page));
    for name in [
        "kim",
        "lee",
        "ann",
        "bo ",
        "bo,",
        "olga",
        "martin",
        "cyril",
        "deploy-prod",
        "nightly",
        "CHG-004211",
        "web",
        "api (",
        "terraform",
        "viktor",
        "quick look",
        "old-ci",
        "token-reviews",
        "administer",
        "migration",
        "laptop",
        "backup",
        "ci-maintainers",
        "deny.",
        "approve.",
        "revoke.",
    ] {
        // But for the addresses of pages, which name the organization alone.
        assert!(!told.replace("github.com", "").contains(name), "{name} in {told}");
    }
}

#[test]
fn what_rules_decided_by_themselves_is_no_news_and_anything_else_is() {
    assert!(quiet().is_quiet());
    let page = Page::of(&quiet(), Detail::Full);
    assert_eq!(page.subject, "[patwarden acme] all quiet: 19 decided");
    assert!(text(&page).contains("All quiet"));
    let loud: [fn(&mut Day); 8] = [
        |day| day.alarms = full().alarms,
        |day| day.waiting = full().waiting,
        |day| day.unconfirmed = 1,
        |day| day.coming = full().coming,
        |day| day.runs = full().runs,
        |day| day.troubles = full().troubles,
        |day| day.outside = full().outside,
        |day| day.by = By::LastGoodRules,
    ];
    for change in loud {
        let mut day = quiet();
        change(&mut day);
        assert!(!day.is_quiet());
    }
}

#[test]
fn the_subject_says_what_to_do_first() {
    assert_eq!(
        full().subject(),
        "[patwarden acme] 1 alarm, 14 to decide (1 or more overdue), 3 revocations tomorrow"
    );
    let mut day = full();
    day.alarms = Few::default();
    day.waiting.all = 1;
    day.waiting.shown.truncate(1);
    day.runs.clear();
    day.mode = Some(Mode::Shadow);
    day.troubles.clear();
    assert_eq!(
        day.subject(),
        "[patwarden acme] SHADOW: 1 to decide (overdue), 3 revocations tomorrow"
    );
    assert_eq!(
        Pages::of("https://ghe.example/api/v3", &Login::new("acme")).requests,
        "https://ghe.example/organizations/acme/settings/personal-access-token-requests"
    );
    assert_eq!(
        Pages::of("https://api.octo.ghe.com", &Login::new("acme")).tokens,
        "https://octo.ghe.com/organizations/acme/settings/personal-access-tokens"
    );
}

#[test]
fn however_much_there_is_a_digest_stays_small_and_counts_what_it_cuts() {
    for filling in ["\"", "<", "&'\"<>", "日", "x"] {
        let page = Page::of(&hostile(&filling.repeat(2_000)), Detail::Full);
        let (html, text) = (html(&page), text(&page));
        assert!(html.len() <= MOST_HTML, "{filling}: {} bytes", html.len());
        assert!(text.len() <= MOST_HTML, "{filling}: {} bytes", text.len());
        assert!(text.contains(" more:"), "{text}");
    }
    let page = Page::of(&hostile("kim"), Detail::Full);
    assert!(text(&page).contains("and 4980 more:"), "{}", text(&page));
}

#[test]
fn an_address_in_what_a_stranger_wrote_is_not_one_to_click() {
    let page = Page::of(&hostile("https://evil.example/?x www.evil.example"), Detail::Full);
    for told in [text(&page), html(&page)] {
        assert!(!told.contains("https://evil") && !told.contains("www.evil"), "{told}");
    }
}

/// Letters that steer, break or open something, among others.
fn nasty() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\r\nBcc: everybody@example.com",
        "\n\n",
        "\u{202e}",
        "\u{200b}",
        "\u{2066}",
        "\u{0}",
        "\u{1b}[31m",
        "</div><script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "\"",
        "'",
        "&amp;",
        "&#x3c;",
        "{{ page.subject }}",
        "{% raw %}",
        "--boundary",
        "=?utf-8?Q?x?=",
        "]]>",
        "-->",
        "kim",
        " ",
        "日本",
        "🦀",
        "\u{e0041}",
        "\u{2028}",
    ]);
    prop::collection::vec(prop_oneof![pieces.prop_map(str::to_owned), "\\PC{0,12}"], 0..12)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Nothing that a stranger writes adds a line, a header, an element or a character that nobody sees.
    #[test]
    fn what_strangers_write_is_text_and_nothing_else(text_of in nasty()) {
        let page = Page::of(&hostile(&text_of), Detail::Full);
        prop_assert!(!page.subject.contains(['\r', '\n']));
        let (text, html) = (text(&page), html(&page));
        let steers = |c: char| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                    | '\u{e0000}'..='\u{e0fff}')
        };
        prop_assert!(!text.contains(steers), "{:?}", text);
        prop_assert!(!html.contains(steers), "{:?}", html);
        // The elements are those of the template, whatever stands in them.
        let elements = |html: &str| html.matches('<').count();
        let safe = clean(&page);
        prop_assert_eq!(elements(&html), elements(&self::html(&safe)));
    }
}

/// The same page with nothing in it that could open an element.
fn clean(page: &Page) -> Page {
    let mut page = page.clone();
    let wash = |text: &mut String| *text = text.replace(['<', '>', '&', '"', '\''], "_");
    page.notices.iter_mut().chain(&mut page.footer).for_each(wash);
    for section in &mut page.sections {
        for item in &mut section.items {
            wash(&mut item.head);
            item.lines.iter_mut().for_each(|line| wash(&mut line.text));
        }
    }
    page
}

#[test]
fn a_quiet_week_is_told_in_one_look() {
    let page = Page::of(&quiet(), Detail::Full);
    insta::assert_snapshot!(text(&page), @r#"
    acme · Saturday, 21 November 2026

    All quiet: nothing waits, nothing is broken. 19 decided since Fri 20 Nov,
    08:00 CET. This mail comes once a week while there is nothing to say.

    DECIDED SINCE FRI 20 NOV, 08:00 CET
     - 18 by rule: approve.read-only 12 approved; approve.devs-write 5 approved;
       deny.administration 1 denied
     - denied: cyril  "terraform"  by deny.administration
         reason  "Tokens may not administer repositories of acme. Use a GitHub
                 App."
     - 1 by people: @olga (1 approved)

    TREND
     - median wait 4 s · 94% automatic · 412 tokens active (+3) · 31 unused for 90
       days

    Pending requests: https://github.com/organizations/acme/settings/personal-access-token-requests
    Tokens with access: https://github.com/organizations/acme/settings/personal-access-tokens

    Not reached, for want of an address: martin. An operator adds them to
    [addresses] in patwarden's settings.

    patwarden sends this as [digest] of the rules of acme says. Nothing is decided
    by answering it, or by a link in it.
    "#);
}

#[test]
fn spans_are_told_in_one_unit() {
    for (seconds, told) in
        [(-5, "0 s"), (4, "4 s"), (119, "1 min"), (7_200, "2 h"), (172_800, "2 d")]
    {
        assert_eq!(span(SignedDuration::from_secs(seconds)), told);
    }
}
