//! What the owner of tokens is told: before they are revoked, what, when, why and what keeps them; and afterwards. Pure.

use jiff::Timestamp;

use super::letter::{self, Line, escaped, shown};
use crate::{
    domain::{Login, agrees, many},
    rules::Span,
};

/// What is said to the owner of some tokens before they are revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Of which organization.
    pub organization: Login,
    /// To whom.
    pub owner: Login,
    /// By which standing policy: `revoke.unused`.
    pub policy: String,
    /// How long after this mail.
    pub grace: Span,
    /// That moment, if the mail arrives at once; if not, later.
    pub not_before: Timestamp,
    /// GitHub's page of the organization's owners: whom to ask.
    pub owners: String,
    /// Whether using a token keeps it.
    pub use_keeps: bool,
    /// Which tokens.
    pub tokens: Vec<NoticeToken>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeToken {
    /// Its name: hostile text.
    pub name: String,
    /// Why, in a few words; empty: there is nothing to be said.
    pub why: String,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

impl Notice {
    /// The subject.
    #[must_use]
    pub fn subject(&self) -> String {
        let tokens = match self.tokens.as_slice() {
            [only] => format!("your token \"{}\" loses", shown(&only.name)),
            many => format!("{} of your tokens lose", many.len()),
        };
        format!("[patwarden {}] {tokens} access in {}", self.organization, span(self.grace))
    }

    /// All of it, as text.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { owner, organization, policy, .. } = self;
        let (grace, these) = (span(self.grace), these(self.tokens.len()));
        let mut letter = letter::text(
            owner,
            &format!(
                "In {grace}, not before {}, the access of {these} to the organization {organization} ends, by its rule {policy}:",
                self.day()
            ),
            &self.lines(),
            &[self.what_keeps(), STAYS.to_owned(), self.who_sends()],
        );
        letter.push_str(&format!("\nThe owners of {organization}: {}\n", self.owners));
        letter
    }

    /// The same, as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let (grace, these) = (span(self.grace), these(self.tokens.len()));
        letter::html(
            &self.owner,
            &format!(
                "In <strong>{grace}</strong>, not before <strong>{}</strong>, the access of {these} to the organization <strong>{}</strong> ends, by its \
                 rule <code>{}</code>:",
                self.day(),
                escaped(self.organization.as_str()),
                self.policy
            ),
            &self.lines(),
            &[self.what_keeps(), STAYS.to_owned(), self.who_sends()],
        )
        .replace(
            "</body>",
            &format!(
                "<p><a href=\"{}\">The owners of {}</a></p></body>",
                self.owners.replace('&', "&amp;").replace('"', "&quot;"),
                escaped(self.organization.as_str())
            ),
        )
    }

    fn day(&self) -> String {
        self.not_before.strftime("%A, %-d %B %Y (UTC)").to_string()
    }

    /// For whoever never heard of patwarden, and to whom they turn.
    fn who_sends(&self) -> String {
        format!(
            "patwarden is a program that keeps the rules of {} for tokens. It reads no answers to this mail; if anything here is \
             unclear or wrong, ask an owner of the organization.",
            self.organization
        )
    }

    fn lines(&self) -> Vec<Line> {
        let line = |token: &NoticeToken| {
            let used = token.last_used_at.map_or_else(
                || "never used".to_owned(),
                |at| format!("last used on {}", at.strftime("%Y-%m-%d")),
            );
            let why = if token.why.is_empty() { used.clone() } else { token.why.clone() };
            let text = if why.contains("used") { why } else { format!("{why}; {used}") };
            Line { name: token.name.clone(), text }
        };
        self.tokens.iter().map(line).collect()
    }

    fn what_keeps(&self) -> String {
        if self.use_keeps {
            "Do you still need it? Use it before then, and it stays. If not, there is nothing to do."
                .to_owned()
        } else {
            "Do you still need it? Tell an owner of the organization before then, or ask for a token that its rules \
             allow. If not, there is nothing to do."
                .to_owned()
        }
    }
}

/// What is said to the owner of tokens that were revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// By which organization.
    pub organization: Login,
    /// To whom.
    pub owner: Login,
    /// Why.
    pub reason: Because,
    /// Which tokens: the first of them.
    pub tokens: Vec<NoticeToken>,
    /// How many there are beside those.
    pub more: u64,
}

/// Why tokens were revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// A standing policy said so: `revoke.unused`.
    Rule(String),
    /// Somebody said so, in these words: hostile text, as any.
    Said(String),
}

impl Revoked {
    /// The subject.
    #[must_use]
    pub fn subject(&self) -> String {
        let tokens = match (self.tokens.as_slice(), self.more) {
            ([only], 0) => format!("your token \"{}\" has", shown(&only.name)),
            (many, more) => format!("{} of your tokens have", many.len() as u64 + more),
        };
        format!("[patwarden {}] {tokens} no access any more", self.organization)
    }

    /// All of it, as text.
    #[must_use]
    pub fn text(&self) -> String {
        let has = if self.is_one() { "This token has" } else { "These tokens have" };
        letter::text(
            &self.owner,
            &format!(
                "{has} no access to the organization {} any more{}",
                self.organization,
                match &self.reason {
                    Because::Rule(rule) => format!(", by its rule {rule}."),
                    Because::Said(words) => format!(". The reason: {}", shown(words)),
                }
            ),
            &self.lines(),
            &self.afterwards(),
        )
    }

    /// The same, as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let has = if self.is_one() { "This token has" } else { "These tokens have" };
        letter::html(
            &self.owner,
            &format!(
                "{has} no access to the organization <strong>{}</strong> any more{}",
                escaped(self.organization.as_str()),
                match &self.reason {
                    Because::Rule(rule) => format!(", by its rule <code>{}</code>.", rule),
                    Because::Said(words) => format!(". The reason: {}", escaped(words)),
                }
            ),
            &self.lines(),
            &self.afterwards(),
        )
    }

    fn is_one(&self) -> bool {
        self.tokens.len() == 1 && self.more == 0
    }

    fn lines(&self) -> Vec<Line> {
        let line = |token: &NoticeToken| Line { name: token.name.clone(), text: token.why.clone() };
        let mut lines: Vec<Line> = self.tokens.iter().map(line).collect();
        if self.more > 0 {
            lines.push(Line { name: format!("and {} more", self.more), text: String::new() });
        }
        lines
    }

    fn afterwards(&self) -> Vec<String> {
        let needed = "Do you still need it? Ask for a new token; if you think that this is a mistake, tell an owner of the \
                      organization.";
        vec![needed.to_owned(), STAYS.to_owned()]
    }
}

/// What revocation does not take away.
const STAYS: &str = "The token itself is not deleted, and public data stays readable with it.";

fn these(tokens: usize) -> &'static str {
    agrees(tokens, "this token", "these tokens")
}

/// A span in words.
fn span(span: Span) -> String {
    let seconds = span.seconds();
    let (number, one) = match seconds {
        seconds if seconds % 86_400 == 0 => (seconds / 86_400, "day"),
        seconds if seconds % 3_600 == 0 => (seconds / 3_600, "hour"),
        seconds => (seconds / 60, "minute"),
    };
    many(number, one)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Because, Notice, NoticeToken, Revoked};
    use crate::domain::Login;

    fn notice() -> Notice {
        Notice {
            organization: Login::new("acme"),
            owner: Login::new("kim"),
            policy: "revoke.unused".to_owned(),
            grace: crate::rules::Span(14 * 86_400),
            not_before: "2026-12-06T08:00:00Z".parse().unwrap_or_default(),
            owners: "https://github.com/orgs/acme/people?query=role%3Aowner".to_owned(),
            use_keeps: true,
            tokens: vec![NoticeToken {
                name: "<b>x</b>\"\u{202e}\r\nBcc: a@b".to_owned(),
                why: "unused for 94 days".to_owned(),
                last_used_at: None,
            }],
        }
    }

    #[test]
    fn a_notice_says_what_when_why_and_what_keeps_it() {
        let text = notice().text();
        for part in [
            "In 14 days, not before Sunday, 6 December 2026",
            "people?query=role",
            "acme",
            "revoke.unused",
            "unused for 94 days",
            "Use it before then",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(notice().subject().lines().count(), 1);
        let other = Notice { use_keeps: false, ..notice() };
        assert!(!other.text().contains("Use it before then"));
    }

    #[test]
    fn a_tokens_name_is_text_and_nothing_else() {
        let html = notice().html();
        assert!(html.contains("&lt;b&gt;x&lt;/b&gt;&quot;"), "{html}");
        for text in [html, notice().text(), notice().subject()] {
            assert!(!text.contains('\u{202e}') && !text.contains("\nBcc"), "{text}");
        }
    }

    /// How many addresses a reader of mail would make links of.
    fn links(text: &str) -> usize {
        let text: Vec<char> = text.chars().collect();
        let begins = |four: &&[char]| matches!(four, [one, ':', '/', '/'] if one.is_alphanumeric());
        text.windows(4).filter(begins).count()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        /// Whatever a token is called, and whoever owns it: the same lines, elements and links.
        #[test]
        fn no_words_of_a_stranger_take_effect(
            words in "[<>&\"'a-z0-9:/.@\r\n\t\u{202e}\u{200b}\u{2028}\u{0}]{0,40}",
        ) {
            let named = |words: &str| {
                let token = NoticeToken { name: words.to_owned(), why: format!("used {words}"), last_used_at: None };
                let because = Because::Said(words.to_owned());
                let (organization, owner) = (Login::new("acme"), Login::new("kim"));
                let revoked = Revoked { organization, owner, reason: because, tokens: vec![token.clone()], more: 0 };
                let notice = Notice { tokens: vec![token], ..notice() };
                [
                    (notice.subject(), notice.text(), notice.html()),
                    (revoked.subject(), revoked.text(), revoked.html()),
                ]
            };
            for ((subject, text, html), (_, plain, plain_html)) in named(&words).into_iter().zip(named("x")) {
                prop_assert_eq!(subject.lines().count(), 1);
                prop_assert_eq!(text.lines().count(), plain.lines().count());
                prop_assert_eq!(html.matches('<').count(), plain_html.matches('<').count());
                for (written, plain) in [(text, plain), (html, plain_html)] {
                    prop_assert_eq!(links(&written), links(&plain), "{}", written);
                    let steers = written.contains(['\u{202e}', '\u{200b}', '\u{2028}', '\u{0}', '\r']);
                    prop_assert!(!steers);
                }
            }
        }
    }
}
