//! What a digest says, and what nobody can make it say.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod days;

use days::{full, hostile, quiet};
use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::rules::{Guarded, Keeps, policy::Detail};

/// What there may be on a day, and what brings it there.
type Part = (&'static str, fn(&mut Day));

/// The order in which a subject names what there is.
const ORDER: [Part; 6] = [
    ("ALARMS", |day| day.alarms = full().alarms),
    ("DECIDE NOW", |day| day.waiting = full().waiting),
    ("HAPPENS UNLESS YOU OBJECT", |day| day.coming = full().coming),
    ("revoke.leavers would take", |day| day.runs = full().runs),
    ("2 requests are held", |day| day.unconfirmed = 2),
    ("BROKEN OR DEGRADED", |day| day.troubles = full().troubles),
];

#[test]
fn the_body_has_the_order_of_the_subject() {
    let words = ["alarm", "to decide", "revocation", "run to confirm", "held", "to mend"];
    for (index, (first, has_first)) in ORDER.iter().enumerate() {
        for (other, (second, has_second)) in ORDER.iter().enumerate().skip(index + 1) {
            let mut day = quiet();
            has_first(&mut day);
            has_second(&mut day);
            let page = Page::of(&day, Detail::Full);
            let text = text(&page);
            let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words} in {text}"));
            assert!(at(first) < at(second), "{first}, then {second}, in {text}");
            let named = |index: usize| page.subject.find(words[index]).unwrap();
            assert!(named(index) < named(other), "{}", page.subject);
        }
    }
}

#[test]
fn a_command_can_be_typed_as_it_stands() {
    let page = Page::of(&full(), Detail::Full);
    let hold = "patwarden revocations hold --org acme --token 41 --until 2026-12-22 --why \"still needed\"";
    assert!(text(&page).lines().any(|line| line.ends_with(hold)), "{}", text(&page));
    // No reader breaks a line between the hyphens of a flag and its word.
    let html = html(&page);
    for word in ["--org", "--token", "--until", "2026-12-22"] {
        let whole = format!("<span style=\"white-space:nowrap\">{word}</span>");
        assert!(html.contains(&whole), "{word} in {html}");
    }
    let mut day = full();
    day.organization = Login::new("a-rather-long-name-of-an-organization-39");
    assert!(!self::html(&Page::of(&day, Detail::Full)).contains("nowrap\">a-rather"));
}

#[test]
fn what_weighs_most_stands_first_of_a_request() {
    let mut day = full();
    let guarded = vec![Guarded { repository: "acme/rules".to_owned(), keeps: Keeps::Rules }];
    day.waiting.shown[0].cautions = vec![Caution::ReachesGuarded { certain: true, guarded }];
    let page = Page::of(&day, Detail::Full);
    let item = &page.sections.iter().find(|one| one.title.starts_with("Decide")).unwrap().items[0];
    assert_eq!(
        (item.lines[0].label.as_str(), item.lines[0].text.as_str()),
        ("careful", "it could write to acme/rules, where the rules are. No rule lets that pass")
    );
}

#[test]
fn in_ten_seconds_an_owner_knows_what_to_do_first() {
    let page = Page::of(&full(), Detail::Full);
    insta::assert_snapshot!(format!("Subject: {}\n\n{}", page.subject, text(&page)), @r#"
    Subject: [patwarden acme] 1 alarm, 14 to decide (1 or more overdue), 3 revocations tomorrow

    acme · Saturday, 21 November 2026

    ALARMS
     ! viktor  "quick look"  was edited while its approval was on its way, had
       more access than was judged, and was revoked (Fri 20 Nov, 14:31 CET)
         look    patwarden requests show 31
         do      ask its owner whether that was meant

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
         answer  https://github.com/organizations/acme/settings/personal-access-token-requests
       and 12 more:
       https://github.com/organizations/acme/settings/personal-access-token-requests

    HAPPENS UNLESS YOU OBJECT
     ! tomorrow (Sun 22 Nov): 3 tokens of ann, bo lose their access, by the rule
       revoke.unused
         tokens  ann "old-ci" (41), bo "laptop" (57), and 1 more
         keep    Whoever uses a token before then keeps it. To keep one, whoever
                 runs patwarden types the first line, with the number behind its
                 name; the second line keeps all of them. Either counts until
                 2026-12-22.
         one     patwarden revocations hold --org acme --token 41 --until 2026-12-22 --why "still needed"
         all     patwarden revocations hold --org acme --policy unused --until 2026-12-22 --why "still needed"

    WAITS UNTIL SOMEBODY CONFIRMS
     ! the rule revoke.leavers would take the access of 40 tokens away
         why     40 tokens are more than max_per_run = 25
         look    patwarden revocations show 12
         confirm patwarden revocations confirm 12
         else    nothing is revoked, and it lapses Sun 22 Nov, 04:00 CET

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

    ALARMS
     ! 1 token: was edited while its approval was on its way, had more access than
       was judged, and was revoked

    DECIDE NOW (14, THE OLDEST FIRST)
     ! 14 requests wait for a person, the oldest for 2 d

    HAPPENS UNLESS YOU OBJECT
     ! tomorrow (Sun 22 Nov): 3 tokens of 2 people lose their access, by a
       standing rule
         keep    Whoever uses a token before then keeps it. Whoever runs patwarden
                 can keep one with:
         type    patwarden revocations hold --help

    WAITS UNTIL SOMEBODY CONFIRMS
     ! a standing rule would take the access of 40 tokens away
         look    patwarden revocations show 12
         confirm patwarden revocations confirm 12
         else    nothing is revoked, and it lapses Sun 22 Nov, 04:00 CET

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
