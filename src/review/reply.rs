//! What is answered on an escalation's issue, as Markdown: one comment of ours each.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{
    command::Why,
    issue::{Audience, Ended, LONGEST, moment},
    markdown::{fenced, inline},
};
use crate::{
    domain::Login,
    rules::{Trace, policy::FinallyDecision, render},
};

/// What is said.
#[derive(Clone, Debug)]
pub enum Reply<'a> {
    /// An approval counts, and more are needed.
    Counted {
        /// Whose.
        by: &'a Login,
        /// Of each group that the answer counted for: its name, how many approvals it has, and how many it needs.
        groups: &'a [(String, u32, u32)],
    },
    /// It is over.
    Over(&'a Ended),
    /// A command is not obeyed.
    NotObeyed(Why),
    /// Whoever answered is not among those who may decide.
    NotAReviewer(&'a Login),
    /// Whoever answered is the requester.
    OwnRequest(&'a Login),
    /// Whether the author may decide could not be read: the answer does not count.
    Unreadable {
        /// Whose answer.
        by: &'a Login,
        /// Why.
        why: &'a str,
    },
    /// The group wants a comment with an approval.
    CommentMissing,
    /// The comment was changed after it was written: what it said then is not known.
    Edited,
    /// The answer was written to a request that has changed since.
    Outdated,
    /// The request was changed: earlier answers no longer count.
    Changed,
    /// There were enough approvals, and it was not approved all the same.
    NotApproved {
        /// Why: the rules deny it now, or something could not be read.
        why: &'a str,
    },
    /// How the rules judged.
    Explained(&'a Trace),
    /// Somebody in particular is asked.
    Assigned {
        /// Who.
        who: &'a Login,
        /// Whether GitHub took the assignment; if not, the mention has to do.
        assigned: bool,
    },
    /// Somebody was to be asked who may not decide.
    NotAssigned(&'a Login),
    /// It still waits.
    Reminder {
        /// Since when people are asked.
        since: Timestamp,
        /// What happens in the end.
        finally: Option<(Timestamp, FinallyDecision)>,
    },
    /// It was to be denied because nobody answered, and patwarden was not at work then.
    AskedOnceMore {
        /// When.
        was: Timestamp,
        /// Until when there is time now.
        until: Timestamp,
    },
    /// Another group is asked as well.
    AskedNext {
        /// Its name.
        group: &'a str,
    },
}

/// The mark at the beginning of a comment, which nobody sees: what it is about, in our own words, such as the number of the
/// comment that it answers. What was perhaps not said is looked for by it before it is said again.
#[must_use]
pub fn mark(about: &str) -> String {
    let fits = |one: &char| one.is_ascii_alphanumeric() || matches!(one, ':' | '.');
    let about: String = about.chars().filter(fits).take(100).collect();
    format!("<!-- patwarden:reply:{about} -->")
}

impl Reply<'_> {
    /// The comment, with its mark.
    #[must_use]
    pub fn text(&self, about: &str, audience: Audience) -> String {
        let said = match audience {
            Audience::Reviewers => self.whole(),
            Audience::Anybody => self.little(),
        };
        format!("{}\n{said}", mark(about))
    }

    /// For everybody's eyes: nothing of the request, and nobody's role.
    fn little(&self) -> String {
        match self {
            Self::Over(_) => "This is over.".to_owned(),
            Self::Counted { by, .. } => format!("The approval of {} counts; more are needed.", name(by)),
            Self::AskedNext { .. } => "Nobody has decided so far, so others are asked too.".to_owned(),
            Self::Unreadable { .. } => {
                "Whether you may decide could not be read, so this does not count. Try again later.".to_owned()
            }
            Self::NotApproved { .. } => {
                "There are enough approvals, and it was not approved all the same: the reason is in patwarden's records."
                    .to_owned()
            }
            Self::Explained(_) => {
                "How the rules judged it is not said where everybody can read it.".to_owned()
            }
            other => other.whole(),
        }
    }

    fn whole(&self) -> String {
        match self {
            Self::Counted { by, groups } => {
                let mut text = format!("The approval of {} counts. So far:\n", name(by));
                for (group, have, need) in *groups {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "\n- {}: {have} of {need}", inline(group));
                }
                text
            }
            Self::Over(ended) => {
                let mut text = format!("**This is over: {}**, {}.", ended.how.by(), moment(ended.at));
                if let Some(reason) = &ended.reason {
                    let _ = write!(text, "\n\nWhat was said of it:\n\n{}", fenced(reason, 4_000));
                }
                text
            }
            Self::NotObeyed(why) => why.answer(),
            Self::NotAReviewer(who) => {
                format!("{} is not among those who may decide this, so the answer does not count.", name(who))
            }
            Self::OwnRequest(who) => format!(
                "{} asked for this token, and nobody decides on their own request: the answer does not count.",
                name(who)
            ),
            Self::Unreadable { by, why } => format!(
                "Whether {} may decide could not be read ({}), so the answer does not count. Write the command once more, \
                 later.",
                name(by),
                inline(why)
            ),
            Self::CommentMissing => "An approval needs a comment here: `/approve` and then why. It does not count yet; \
                                     write the command once more."
                .to_owned(),
            Self::Edited => "This comment was changed after it was written, so it does not count. Write the command in a new \
                             comment."
                .to_owned(),
            Self::Outdated => "The request was changed after this was written, so the answer does not count. Look at it \
                               again, and write the command once more."
                .to_owned(),
            Self::Changed => "**The request was changed.** What it asks for now stands above; earlier answers no longer count."
                .to_owned(),
            Self::NotApproved { why } => format!(
                "There are enough approvals, and it was **not approved** all the same: {}",
                inline(why)
            ),
            Self::Explained(trace) => {
                format!("How every rule judged it:\n\n{}", fenced(&render::tree(trace), LONGEST / 3))
            }
            Self::Assigned { who, assigned: true } => format!("{} is asked now.", mention(who)),
            Self::Assigned { who, assigned: false } => {
                format!("{} is asked now. GitHub would not assign the issue.", mention(who))
            }
            Self::NotAssigned(who) => {
                format!("{} is not among those who may decide this, so nobody was assigned.", name(who))
            }
            Self::Reminder { since, finally } => {
                let mut text = format!("This still waits for a decision, since {}.", moment(*since));
                match finally {
                    Some((at, FinallyDecision::Deny)) => {
                        let _ = write!(text, " It is **denied** on {}, unless somebody decides.", moment(*at));
                    }
                    Some((at, FinallyDecision::LeavePending)) => {
                        let _ = write!(text, " Reminders end on {}.", moment(*at));
                    }
                    None => {}
                }
                text
            }
            Self::AskedOnceMore { was, until } => format!(
                "This was to be denied on {}, because nobody had answered; patwarden was not at work then, so it asks once more. \
                 It is **denied** on {}, unless somebody decides.",
                moment(*was),
                moment(*until)
            ),
            Self::AskedNext { group } => {
                format!("Nobody has decided so far, so {} is asked too: either group is enough.", inline(group))
            }
        }
    }
}

/// A login as it is, without calling anybody.
fn name(login: &Login) -> String {
    inline(login.as_str())
}

/// A reviewer, called. Only what is a login for sure: anything else would be a stranger's Markdown.
fn mention(login: &Login) -> String {
    let safe = |one: char| one.is_ascii_alphanumeric() || one == '-';
    if !login.as_str().is_empty() && login.as_str().len() <= 39 && login.as_str().chars().all(safe)
    {
        format!("@{login}")
    } else {
        name(login)
    }
}
