//! An escalation's issue as Markdown: title and text, for a reviewer who has never heard of patwarden. What is answered is in `reply`.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{
    command::COMMANDS,
    markdown::{fenced, inline, inline_list},
};
use crate::{
    domain::{
        Fingerprint, Login, OrganizationId, Repository, RepositorySelection, RequestId,
        TokenRequest, UserId, cut, for_people, many,
    },
    rules::{
        Caution, Decision, Trace,
        policy::{FinallyDecision, MayDecide},
        render,
    },
};

/// The most characters that a text of ours has; GitHub takes 65,536.
pub const LONGEST: usize = 60_000;

/// The most characters of a requester's reason that are shown.
const LONGEST_REASON: usize = 8_000;

/// The most names of a list.
const MOST_NAMES: usize = 50;

/// Who can read the issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Those who were given access to its repository.
    Reviewers,
    /// Everybody, or a whole enterprise: only who asks, since when and where to decide is said.
    Anybody,
}

/// What an issue asks.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The request as it was judged.
    pub request: &'a TokenRequest,
    /// Of what the answers count.
    pub fingerprint: &'a Fingerprint,
    /// The repositories of a `subset`, where they were read.
    pub repositories: Option<&'a [Repository]>,
    /// What the rules said.
    pub decision: &'a Decision,
    /// And how they came to it.
    pub trace: &'a Trace,
    /// What weighs most in it.
    pub cautions: &'a [Caution],
    /// Who is asked, and what they answered.
    pub groups: &'a [Group],
    /// What comes when nobody answers.
    pub silence: &'a Silence,
    /// How it ended, once it has.
    pub ended: Option<&'a Ended>,
    /// Where GitHub shows pending requests.
    pub page: &'a str,
    /// Who can read it.
    pub audience: Audience,
}

/// A group of reviewers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name in the rules.
    pub name: String,
    /// The group that did not decide in time, in whose place this one is asked as well.
    pub instead_of: Option<String>,
    /// Whose answer counts.
    pub may_decide: MayDecide,
    /// How many must approve.
    pub quorum: u32,
    /// Whether an approval needs a comment.
    pub comment_required: bool,
    /// Who approved so far.
    pub approved: Vec<Voter>,
}

/// Somebody whose answer counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Whose account.
    pub id: UserId,
    /// Its login when it answered.
    pub login: Login,
}

/// What comes when nobody answers; times are ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// From when on another group is asked as well, and which.
    pub next: Option<(Timestamp, String)>,
    /// When it ends, and how.
    pub finally: Option<(Timestamp, FinallyDecision)>,
    /// Whether nobody can answer on the issue now, so that no time counts.
    pub mute: bool,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When, by our clock.
    pub at: Timestamp,
    /// What came of it.
    pub how: End,
    /// What was said of it: a comment, or the reason of a denial.
    pub reason: Option<String>,
}

/// What came of a request, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Approved by these reviewers, on the issue.
    Approved(Vec<Voter>),
    /// Denied by this reviewer, on the issue.
    Denied(Voter),
    /// Nobody answered in time, and the rules say to deny then.
    DeniedBySilence,
    /// It was approved, its access was found to be wider than what was judged, and was taken back at once.
    Revoked,
    /// The rules decided on a later look: approved or not.
    ByRules {
        /// Whether it was approved.
        approved: bool,
    },
    /// Somebody decided elsewhere: on GitHub's own page, with another App, or by a command. Whether it was approved, and
    /// who, where that is known.
    Elsewhere {
        /// Whether it was approved.
        approved: bool,
        /// Whoever it was.
        by: Option<Login>,
    },
    /// The requester took it back.
    Cancelled,
    /// It is no longer pending, and nobody said why.
    Gone,
}

impl End {
    /// What it comes to, in a few words: nothing of a stranger's.
    fn words(&self) -> &'static str {
        match self {
            Self::Approved(_) => "approved",
            Self::Denied(_) | Self::DeniedBySilence => "denied",
            Self::Revoked => "approved, then revoked",
            Self::ByRules { approved: true } => "approved by the rules",
            Self::ByRules { approved: false } => "denied by the rules",
            Self::Elsewhere { approved: true, .. } => "approved elsewhere",
            Self::Elsewhere { approved: false, .. } => "denied elsewhere",
            Self::Cancelled => "taken back",
            Self::Gone => "no longer pending",
        }
    }

    pub(super) fn by(&self) -> String {
        match self {
            Self::Approved(voters) => {
                let voters =
                    inline_list(voters.iter().map(|voter| voter.login.as_str()), MOST_NAMES);
                format!("approved by {voters}")
            }
            Self::Denied(voter) => format!("denied by {}", inline(voter.login.as_str())),
            Self::DeniedBySilence => "denied, because nobody answered in time".to_owned(),
            Self::Elsewhere { approved, by: Some(by) } => {
                let how = if *approved { "approved" } else { "denied" };
                format!("{how} by {}, not on this issue", inline(by.as_str()))
            }
            Self::Revoked => {
                "approved, and revoked at once: it was edited meanwhile, and had more access than was judged".to_owned()
            }
            Self::Cancelled => "taken back by its requester".to_owned(),
            other => other.words().to_owned(),
        }
    }
}

/// The mark at the beginning of an issue's text, which nobody sees: of which organization, which request, and as it was when
/// the answers began to count.
#[must_use]
pub fn mark(organization: OrganizationId, request: RequestId, fingerprint: &Fingerprint) -> String {
    format!("<!-- patwarden:{organization}:{request}:{} -->", plain(fingerprint.as_str()))
}

/// What cannot end a comment of HTML.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).take(64).collect()
}

impl Question<'_> {
    /// The mark that the text begins with.
    #[must_use]
    pub fn mark(&self) -> String {
        mark(self.request.organization.id, self.request.id, self.fingerprint)
    }

    /// The title: at most 256 characters, none of them the requester's own but the login.
    #[must_use]
    pub fn title(&self) -> String {
        let who = for_people(self.request.owner.login.as_str());
        let title = match (self.ended, self.audience) {
            (Some(_), Audience::Anybody) => format!("[over] Token of {who}"),
            (Some(ended), Audience::Reviewers) => format!("[{}] Token of {who}", ended.how.words()),
            (None, Audience::Anybody) => format!("A token of {who} waits for a decision"),
            (None, Audience::Reviewers) => {
                let what = render::permissions(&self.request.permissions);
                format!("{who} asks for a token: {} on {}", cut(&what, 100), self.reach())
            }
        };
        cut(&title, 200)
    }

    /// The text.
    #[must_use]
    pub fn body(&self) -> String {
        let mut text = format!("{}\n", self.mark());
        match self.audience {
            Audience::Reviewers => self.whole(&mut text),
            Audience::Anybody => self.little(&mut text),
        }
        text
    }

    /// For everybody's eyes.
    fn little(&self, text: &mut String) {
        let who = inline(self.request.owner.login.as_str());
        let since = day(self.request.created_at);
        if self.ended.is_some() {
            let _ = writeln!(text, "The request of {who} for a token, of {since}, is over.");
            return;
        }
        let _ = writeln!(
            text,
            "{who} asks for a token since {since}, and people are to decide. This repository can be read by others, so what is \
             asked is not said here: see [GitHub's list of pending requests](<{}>).\n",
            link(self.page)
        );
        how_to_decide(text, self.comment_needed());
    }

    /// Whether somebody's approval needs a comment: nobody who reads it is asked for less.
    fn comment_needed(&self) -> bool {
        self.groups.iter().any(|group| group.comment_required)
    }

    fn whole(&self, text: &mut String) {
        let request = self.request;
        let (who, organization) =
            (inline(request.owner.login.as_str()), inline(request.organization.login.as_str()));
        match self.ended {
            Some(ended) => {
                let _ = writeln!(
                    text,
                    "**This request is over: {}**, {}.\n",
                    ended.how.by(),
                    moment(ended.at)
                );
                if let Some(reason) = &ended.reason {
                    let _ = writeln!(
                        text,
                        "What was said of it:\n\n{}",
                        fenced(reason, LONGEST_REASON)
                    );
                }
            }
            None => {
                let _ = writeln!(
                    text,
                    "{who} asks the organization {organization} for access with a fine-grained personal access token. Its rules \
                     leave that to people: **you can decide here, with a comment.**\n"
                );
            }
        }
        self.what_weighs_most(text);
        self.what_is_asked(text);
        self.why_not_automatic(text);
        if self.ended.is_none() {
            text.push_str("### Who decides, and how\n\n");
            self.groups(text);
            how_to_decide(text, self.comment_needed());
            self.what_silence_does(text);
        } else if !self.groups.is_empty() {
            text.push_str("### Who was asked\n\n");
            self.groups(text);
        }
        let tail = "\n</details>\n";
        let head = "<details>\n<summary>How every rule judged it</summary>\n\n";
        let left = LONGEST
            .saturating_sub(text.chars().count())
            .saturating_sub(head.len() + tail.len() + 200);
        // A fence may have to be longer than what it holds.
        let trace = fenced(&render::tree(self.trace), left / 3);
        let _ = write!(text, "{head}{trace}{tail}");
    }

    /// What nobody may miss stands before anything else, and is never folded away.
    fn what_weighs_most(&self, text: &mut String) {
        for caution in self.cautions {
            let _ = writeln!(text, "**Careful:** {}.\n", caution.in_words(inline));
        }
    }

    fn what_is_asked(&self, text: &mut String) {
        let request = self.request;
        let _ = writeln!(text, "### What is asked\n");
        let _ = writeln!(text, "- **The token** is called {}", inline(&request.token.name));
        let asked = render::permissions(&request.permissions);
        let asked: Vec<&str> = asked.split(", ").collect();
        let _ = writeln!(text, "- **It may** {}", inline_list(asked.into_iter(), MOST_NAMES));
        let on = match (request.repository_selection, self.repositories) {
            (RepositorySelection::All, _) => {
                "**all repositories**, also those that do not exist yet".to_owned()
            }
            (RepositorySelection::None, _) => "no repository".to_owned(),
            (RepositorySelection::Subset, None) => {
                "some repositories; which was not read".to_owned()
            }
            (RepositorySelection::Subset, Some(list)) => {
                let names = inline_list(list.iter().map(|one| one.name.as_str()), MOST_NAMES);
                format!("{}: {names}", self.reach())
            }
        };
        let _ = writeln!(text, "- **On** {on}");
        let until = match request.token.expires_at {
            None => "it is revoked: it never expires".to_owned(),
            Some(at) => {
                let days = many(days_between(request.created_at, at), "day");
                format!("{} ({days})", day(at))
            }
        };
        let _ = writeln!(text, "- **Until** {until}");
        let _ = writeln!(text, "- **Asked** {}\n", moment(request.created_at));
        match request.reason.as_deref().filter(|reason| !for_people(reason).is_empty()) {
            Some(reason) => {
                let _ = writeln!(
                    text,
                    "The reason, in the requester's own words:\n\n{}",
                    fenced(reason, LONGEST_REASON)
                );
            }
            None => text.push_str("The requester gave no reason.\n\n"),
        }
    }

    fn why_not_automatic(&self, text: &mut String) {
        let decision = self.decision;
        text.push_str("### Why the rules did not decide\n\n");
        if decision.by.is_empty() {
            text.push_str("- No rule says what is to happen, so people are asked\n");
        } else {
            let by = inline_list(decision.by.iter().map(|rule| rule.as_str()), MOST_NAMES);
            let _ = writeln!(text, "- People are asked by {by}");
        }
        if let Some(near) = &decision.near_miss {
            let _ = writeln!(
                text,
                "- Closest to letting it pass was {}, which lacked:",
                inline(near.rule.as_str())
            );
            for unmet in near.unmet.iter().take(10) {
                let _ = writeln!(
                    text,
                    "  - {}: lets pass {}; found {}",
                    inline(&unmet.key),
                    inline(&unmet.expected),
                    inline(&unmet.found)
                );
            }
        }
        for unknown in decision.unknown.iter().take(10) {
            let _ =
                writeln!(text, "- Not known: {} ({})", inline(&unknown.fact), inline(&unknown.why));
        }
        for waived in decision.waived.iter().take(10) {
            let _ = writeln!(
                text,
                "- {} is silenced by {} ({})",
                inline(waived.rule.as_str()),
                inline(&waived.waiver),
                inline(&waived.record)
            );
        }
        text.push('\n');
    }

    fn groups(&self, text: &mut String) {
        for group in self.groups.iter().take(MOST_NAMES) {
            let _ = write!(
                text,
                "- **{}**: {} of {}",
                inline(&group.name),
                group.approved.len(),
                many(group.quorum, "approval")
            );
            if !group.approved.is_empty() {
                let by = group.approved.iter().map(|voter| voter.login.as_str());
                let _ = write!(text, " ({})", inline_list(by, MOST_NAMES));
            }
            let _ = write!(text, ". May decide: {}", whose(&group.may_decide));
            if group.comment_required {
                text.push_str("; an approval needs a comment, such as `/approve seen with Olga`");
            }
            if let Some(silent) = &group.instead_of {
                let _ = write!(
                    text,
                    "; asked too because {} did not decide in time: either of the two is enough",
                    inline(silent)
                );
            }
            text.push('\n');
        }
        text.push('\n');
        let named = self.groups.iter().filter(|group| group.instead_of.is_none()).count();
        if named > 1 && self.ended.is_none() {
            text.push_str("Each of these groups must approve. ");
        }
    }

    fn what_silence_does(&self, text: &mut String) {
        if self.silence.mute {
            text.push_str(
                "**This issue is locked, or its repository archived, so nobody can answer here.** While that is so, no time \
                 counts, and nobody's silence denies it; afterwards time begins anew.\n\n",
            );
        }
        if let Some((at, group)) = &self.silence.next {
            let _ = writeln!(
                text,
                "If nobody decides until {}, {} is asked too.",
                moment(*at),
                inline(group)
            );
        }
        match &self.silence.finally {
            Some((at, FinallyDecision::Deny)) => {
                let _ =
                    writeln!(text, "It is **denied** on {}, unless somebody decides.", moment(*at));
            }
            Some((at, FinallyDecision::LeavePending)) => {
                let _ = writeln!(
                    text,
                    "If nobody decides, reminders end on {}, and it stays pending.",
                    moment(*at)
                );
            }
            None => text.push_str("It stays pending until somebody decides.\n"),
        }
        let _ = writeln!(
            text,
            "\nWho owns the organization can also decide on [GitHub's own page](<{}>).\n",
            link(self.page)
        );
    }

    /// `2 repositories`.
    fn reach(&self) -> String {
        match (self.request.repository_selection, self.repositories) {
            (RepositorySelection::All, _) => "all repositories".to_owned(),
            (RepositorySelection::None, _) => "no repository".to_owned(),
            (RepositorySelection::Subset, None) => "some repositories".to_owned(),
            (RepositorySelection::Subset, Some(list)) => many(list.len(), "repository"),
        }
    }
}

fn how_to_decide(text: &mut String, comment_needed: bool) {
    text.push_str(
        "One denial is enough to deny. The requester's own answer never counts. When the request is changed, earlier answers no \
         longer count.\n\n",
    );
    text.push_str("Write a comment with **one** of these at the start of a line:\n\n");
    let width = COMMANDS.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    text.push_str("```text\n");
    for (command, does) in COMMANDS {
        let command = if comment_needed {
            command.replace("[comment]", "comment")
        } else {
            command.to_owned()
        };
        let _ = writeln!(text, "{command:width$}   {does}");
    }
    text.push_str("```\n\nFor example: `/deny Please ask for 30 days.`\n\n");
}

/// Who is in a group, in words.
fn whose(may_decide: &MayDecide) -> String {
    let teams = may_decide
        .teams
        .iter()
        .map(|team| format!("members of the team {}", inline(&team.to_string())));
    let roles = may_decide
        .roles
        .iter()
        .map(|role| format!("{}s of the organization", role.as_str().replace('_', " ")));
    let all: Vec<String> = teams.chain(roles).take(MOST_NAMES).collect();
    if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
}

/// An address of ours, so that it can stand between angle brackets.
pub(super) fn link(url: &str) -> String {
    let fits = |one: &char| one.is_ascii_graphic() && !matches!(one, '<' | '>' | '\\' | '`' | '"');
    url.chars().filter(fits).collect()
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// A moment for people, with its weekday.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%a %-d %b %Y, %H:%M UTC").to_string()
}

fn days_between(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_hours() / 24
}
