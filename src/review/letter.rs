//! A mail to a reviewer, for somebody who has never heard of patwarden: what is asked, why people are, how it is decided, and
//! what silence does. Pure. Nothing is decided by a mail; its one link is GitHub's.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::issue::{Silence, moment};
use crate::{
    domain::{Login, Repository, TokenRequest, cut, for_people, unlinked},
    rules::{
        Caution, Decision,
        policy::{Detail, FinallyDecision},
        render,
    },
};

/// The most characters of a line.
const LINE: usize = 500;

/// The most characters of a requester's reason.
const REASON: usize = 2_000;

/// What is written to one reviewer.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    /// Whose rules.
    pub organization: &'a Login,
    /// Who asks for a token.
    pub requester: &'a Login,
    /// The group that is asked, by its name in the rules.
    pub group: &'a str,
    /// How many of it must approve.
    pub quorum: u32,
    /// Whether an approval needs a comment.
    pub comment_required: bool,
    /// What is asked and what the rules said; `None`: it cannot be read from the record.
    pub asked: Option<AskedFor<'a>>,
    /// What comes when nobody answers.
    pub silence: &'a Silence,
    /// The issue on which it is answered, if there is one.
    pub issue: Option<&'a str>,
    /// GitHub's own page of pending requests.
    pub page: &'a str,
    /// Since when people are asked, where this is a reminder.
    pub reminds_of: Option<Timestamp>,
    /// How much may stand in a mail to this address.
    pub detail: Detail,
}

/// What is asked, and what the rules said.
#[derive(Clone, Copy, Debug)]
pub struct AskedFor<'a> {
    /// The request as it was judged.
    pub request: &'a TokenRequest,
    /// The repositories of a `subset`, where they were read.
    pub repositories: Option<&'a [Repository]>,
    /// What the rules said.
    pub decision: &'a Decision,
    /// What weighs most in it.
    pub cautions: &'a [Caution],
}

impl Letter<'_> {
    /// The subject: one line.
    #[must_use]
    pub fn subject(&self) -> String {
        let again = if self.reminds_of.is_some() { "Reminder: " } else { "" };
        let who = match self.detail {
            Detail::Full => format!(" of {}", line(self.requester.as_str(), 60)),
            Detail::Minimal => String::new(),
        };
        let organization = line(self.organization.as_str(), 60);
        format!("[patwarden {organization}] {again}a token request{who} to decide")
    }

    /// The whole of it as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for paragraph in self.paragraphs() {
            for one in paragraph {
                text.push_str(&one);
                text.push('\n');
            }
            text.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "Decide at: {}\n\n{}", self.where_to(), self.footer());
        text
    }

    /// The whole of it as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let paragraphs: String = self
            .paragraphs()
            .iter()
            .map(|lines| {
                let lines: Vec<String> = lines.iter().map(|one| escaped(one)).collect();
                format!("<p>{}</p>", lines.join("<br>"))
            })
            .collect();
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <meta name=\"color-scheme\" content=\"light dark\"></head>\
             <body style=\"font-family:system-ui,sans-serif;line-height:1.5;max-width:600px;margin:0 auto;padding:16px\">\
             {paragraphs}<p><a href=\"{}\">Decide on GitHub</a></p><p style=\"font-size:14px\">{}</p></body></html>\n",
            escaped(self.where_to()),
            escaped(&self.footer())
        )
    }

    /// Where it is decided: an address of GitHub's.
    fn where_to(&self) -> &str {
        self.issue.unwrap_or(self.page)
    }

    fn footer(&self) -> String {
        let organization = line(self.organization.as_str(), 60);
        format!(
            "patwarden is a program that answers requests for tokens in {organization} by rules that its owners keep. You have \
             this mail because those rules name you, or a group that you are in, for what they leave to people. Nothing is \
             decided by answering it or by opening a link."
        )
    }

    /// Each is some lines, every one of them fit for a mail.
    fn paragraphs(&self) -> Vec<Vec<String>> {
        let organization = line(self.organization.as_str(), 60);
        let who = match self.detail {
            Detail::Full => line(self.requester.as_str(), 60),
            Detail::Minimal => "Somebody".to_owned(),
        };
        let mut first = format!(
            "{who} asks for access to the organization {organization} with a personal access token. Its rules do not decide that \
             by themselves, so people do, and you are one of them."
        );
        if let Some(since) = self.reminds_of {
            let _ = write!(first, " It waits since {}.", moment(since));
        }
        let mut paragraphs = vec![vec!["Hello,".to_owned()], vec![first]];
        if let Some(asked) = self.asked.filter(|_| self.detail == Detail::Full) {
            paragraphs.extend(careful(asked.cautions));
            paragraphs.push(what(&asked));
            paragraphs.push(why(asked.decision));
        }
        paragraphs.push(vec![self.how()]);
        paragraphs.extend(self.what_silence_does().map(|silence| vec![silence]));
        paragraphs
    }

    fn how(&self) -> String {
        let group = line(self.group, 60);
        let quorum = match (self.detail, self.quorum) {
            (Detail::Full, 1) => format!("One approval of {group} is enough"),
            (Detail::Full, many) => format!("{many} approvals of {group} are needed"),
            (Detail::Minimal, 1) => "One approval is enough".to_owned(),
            (Detail::Minimal, many) => format!("{many} approvals are needed"),
        };
        let approve = if self.comment_required { "/approve comment" } else { "/approve" };
        match self.issue {
            Some(_) => format!(
                "You decide with a comment on its issue: {approve}, or /deny reason, at the start of a line. {quorum}; one \
                 denial denies, and the requester is told the reason."
            ),
            None => format!(
                "An owner of the organization approves or denies it on GitHub's page of pending requests. {quorum} here; if you \
                 are not an owner, tell one what you think."
            ),
        }
    }

    fn what_silence_does(&self) -> Option<String> {
        let mut says = Vec::new();
        if let Some((at, group)) = &self.silence.next {
            let whom = match self.detail {
                Detail::Full => line(group, 60),
                Detail::Minimal => "another group".to_owned(),
            };
            says.push(format!("If nobody decides until {}, {whom} is asked too.", moment(*at)));
        }
        match &self.silence.finally {
            Some((at, FinallyDecision::Deny)) => {
                says.push(format!("It is denied on {}, unless somebody decides.", moment(*at)));
            }
            Some((at, FinallyDecision::LeavePending)) => {
                says.push(format!("Reminders end on {}; it stays pending.", moment(*at)));
            }
            None => says.push("Until somebody decides, it stays pending.".to_owned()),
        }
        (!says.is_empty()).then(|| says.join(" "))
    }
}

/// What nobody may miss stands before what is asked.
fn careful(cautions: &[Caution]) -> Option<Vec<String>> {
    let lines = cautions.iter().map(|caution| format!("Careful: {}.", caution.in_words(named)));
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then_some(lines)
}

fn what(asked: &AskedFor<'_>) -> Vec<String> {
    let request = asked.request;
    let says = request.reason.as_deref().map(for_people).filter(|says| !says.is_empty());
    vec![
        format!("Asked for: {}", line(&render::asked(request, asked.repositories), LINE)),
        format!("The token's name: {}", line(&request.token.name, 200)),
        match says {
            Some(says) => format!("The reason given: \"{}\"", line(&says, REASON)),
            None => "No reason was given.".to_owned(),
        },
    ]
}

/// Why no rule let it pass.
fn why(decision: &Decision) -> Vec<String> {
    let mut lines = Vec::new();
    if !decision.by.is_empty() {
        let by: Vec<&str> = decision.by.iter().map(|rule| rule.as_str()).collect();
        lines.push(format!("People are to decide by the rule {}.", named(&by.join(", "))));
    }
    if let Some(near) = &decision.near_miss {
        lines.push(format!("Closest to passing was the rule {}:", named(near.rule.as_str())));
        lines.extend(near.unmet.iter().take(5).map(|unmet| {
            let (expected, found) = (line(&unmet.expected, 200), line(&unmet.found, 200));
            let key = named(unmet.key.trim_start_matches("allow."));
            format!("  - {key}: it lets pass {expected}; found {found}")
        }));
    }
    lines.extend(decision.unknown.iter().take(5).map(|unknown| {
        format!("Not known: {} ({})", named(&unknown.fact), line(&unknown.why, 200))
    }));
    if lines.is_empty() {
        lines.push("No rule of the organization is about such a request.".to_owned());
    }
    lines
}

/// A word of the rules in a line: `approve.read` is no address.
fn named(text: &str) -> String {
    cut(&for_people(text), 200)
        .replace("://", "[:]//")
        .replace("www.", "www[.]")
        .replace('@', "[@]")
}

/// A stranger's words in a line: nothing in it steers, and no address in it becomes a link by itself.
fn line(text: &str, most: usize) -> String {
    unlinked(&cut(&for_people(text), most))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
