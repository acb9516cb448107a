//! A notice to the owner of tokens: what will be taken back, when, why, and what keeps it. Pure.

use jiff::Timestamp;

use crate::{
    domain::{Login, cut, for_people},
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
    /// Why: a sentence.
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
        format!("[patwarden {}] {tokens} access in {}", self.organization, self.grace)
    }

    /// All of it, as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "Hello {},\n\nin {} the access of {} to the organization {} ends, by its rule {}:\n\n",
            self.owner,
            self.grace,
            if self.tokens.len() == 1 { "this token" } else { "these tokens" },
            self.organization,
            self.policy
        );
        for token in &self.tokens {
            text.push_str(&format!(
                "  - \"{}\": {}; last used {}\n",
                shown(&token.name),
                shown(&token.why),
                used(token)
            ));
        }
        text.push_str(&format!("\n{}\n", self.what_keeps()));
        text.push_str(
            "\nThe token itself is not deleted, and public data stays readable with it.\n",
        );
        text
    }

    /// The same, as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let tokens: String = self
            .tokens
            .iter()
            .map(|token| {
                format!(
                    "<li><strong>{}</strong>: {}; last used {}</li>",
                    escaped(&token.name),
                    escaped(&token.why),
                    used(token)
                )
            })
            .collect();
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"color-scheme\" content=\"light dark\"></head>\
             <body style=\"font-family:system-ui,sans-serif;line-height:1.5;max-width:600px;margin:0 auto;padding:16px\">\
             <p>Hello {},</p><p>in <strong>{}</strong> the access of {} to the organization <strong>{}</strong> ends, by its \
             rule <code>{}</code>:</p><ul>{tokens}</ul><p>{}</p>\
             <p>The token itself is not deleted, and public data stays readable with it.</p></body></html>\n",
            escaped(self.owner.as_str()),
            self.grace,
            if self.tokens.len() == 1 { "this token" } else { "these tokens" },
            escaped(self.organization.as_str()),
            escaped(&self.policy),
            escaped(&self.what_keeps())
        )
    }

    fn what_keeps(&self) -> String {
        if self.use_keeps {
            "Do you still need it? Use it before then, and it stays. If not, nothing is to be done."
                .to_owned()
        } else {
            "Do you still need it? Tell an owner of the organization before then, or ask for a token that its rules \
             allow. If not, nothing is to be done."
                .to_owned()
        }
    }
}

fn used(token: &NoticeToken) -> String {
    token.last_used_at.map_or_else(|| "never".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
}

/// Hostile text in a line.
fn shown(text: &str) -> String {
    cut(&for_people(text), 200)
}

/// Hostile text in HTML.
fn escaped(text: &str) -> String {
    shown(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::{Notice, NoticeToken};
    use crate::domain::Login;

    fn notice() -> Notice {
        Notice {
            organization: Login::new("acme"),
            owner: Login::new("kim"),
            policy: "revoke.unused".to_owned(),
            grace: crate::rules::Span(14 * 86_400),
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
        for part in ["in 14d", "acme", "revoke.unused", "unused for 94 days", "Use it before then"]
        {
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
}
