//! What a mail to a reviewer says, and that nothing a stranger wrote takes effect in it.

use insta::assert_snapshot;
use patwarden::{
    review::letter::{AskedFor, Letter},
    rules::policy::Detail,
};

use super::{HOSTILE, Told, at, hostile, told};

impl Told {
    /// The mail about it, to one of the first group.
    pub(super) fn letter(&self, detail: Detail, issue: Option<&'static str>) -> Letter<'_> {
        Letter {
            organization: &self.request.organization.login,
            requester: &self.request.owner.login,
            group: &self.groups[0].name,
            quorum: self.groups[0].quorum,
            comment_required: self.groups[0].comment_required,
            asked: Some(AskedFor {
                request: &self.request,
                repositories: self.repositories.as_deref(),
                decision: &self.decision,
                cautions: &self.cautions,
            }),
            silence: &self.silence,
            issue,
            page: PAGE,
            reminds_of: None,
            detail,
        }
    }
}

const PAGE: &str = "https://github.com/organizations/acme/settings/personal-access-token-requests";
pub(super) const ISSUE: &str = "https://github.com/acme/token-reviews/issues/7";

#[test]
fn a_mail_says_what_is_asked_why_people_are_how_to_decide_and_what_silence_does() {
    let told = told();
    let letter = told.letter(Detail::Full, Some(ISSUE));
    assert_snapshot!(format!("Subject: {}\n\n{}", letter.subject(), letter.text()), @r#"
    Subject: [patwarden acme] a token request of kim to decide

    Hello,

    kim asks for access to the organization acme with a personal access token. Its rules do not decide that by themselves, so people do, and you are one of them.

    Asked for: contents:write, workflows:write on web, api for 90 d
    The token's name: deploy-prod
    The reason given: "CHG-004211 release job asked for by @olga"

    Closest to passing was the rule approve.devs-write:
      - lifetime: it lets pass at most 30d; found 90d
      - permissions.repository.workflows: it lets pass not at all; found write

    You decide with a comment on its issue: /approve comment, or /deny reason, at the start of a line. 2 approvals of security are needed; one denial denies, and the requester is told the reason.

    If nobody decides until Thu 4 Jun 2026, 12:00 UTC, owners is asked too. It is denied on Mon 8 Jun 2026, 12:00 UTC, unless somebody decides.

    Decide at: https://github.com/acme/token-reviews/issues/7

    patwarden is a program that answers requests for tokens in acme by rules that its owners keep. You have this mail because those rules name you, or a group that you are in, for what they leave to people. Nothing is decided by answering it or by opening a link.
    "#);
}

#[test]
fn a_mail_that_is_not_private_names_nobody_and_nothing() {
    let mut told = told();
    told.groups[0].name = "secops".to_owned();
    told.silence.next = Some((at("2026-06-04T12:00:00Z"), "directors".to_owned()));
    let letter = told.letter(Detail::Minimal, None);
    for text in [letter.subject(), letter.text(), letter.html()] {
        for secret in
            ["kim", "deploy-prod", "contents", "CHG-", "web", "devs-write", "secops", "directors"]
        {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert!(letter.text().contains("It is denied on Mon 8 Jun 2026, 12:00 UTC"));
    assert!(letter.text().contains(PAGE));
}

/// Fails where a mail has a line, a link, an element or a sign of a stranger's.
#[track_caller]
pub(super) fn assert_letter_harmless(words: &str) {
    let (told, plain) = (hostile(words), hostile("kim"));
    for detail in [Detail::Full, Detail::Minimal] {
        let (letter, plain) = (told.letter(detail, Some(ISSUE)), plain.letter(detail, Some(ISSUE)));
        let (subject, text, html) = (letter.subject(), letter.text(), letter.html());
        assert_eq!(subject.lines().count(), 1, "{subject:?}");
        assert_eq!(text.lines().count(), plain.text().lines().count(), "{words:?}: {text}");
        let elements = |html: &str| html.matches('<').count();
        assert_eq!(elements(&html), elements(&plain.html()), "{words:?}: {html}");
        for written in [subject, text, html] {
            assert!(!written.chars().any(|one| one.is_control() && one != '\n'), "{written:?}");
            let ours = written.matches("https://github.com/acme/token-reviews/issues/7").count();
            let letters: Vec<char> = written.chars().collect();
            let address =
                |four: &&[char]| four[0].is_alphanumeric() && four[1..] == [':', '/', '/'];
            assert_eq!(letters.windows(4).filter(address).count(), ours, "{words:?}: {written}");
            for sign in ["\u{202e}", "\u{200b}", "\u{2028}", "www.evil", "@evil.example"] {
                assert!(!written.contains(sign), "{words:?}: {sign} in {written}");
            }
        }
    }
}

#[test]
fn nothing_that_a_stranger_wrote_takes_effect_in_a_mail() {
    for words in HOSTILE {
        assert_letter_harmless(words);
    }
}
