//! What is written to reviewers beside what `review` says of one request: lists, mails, and how our record's words are theirs.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::Case;
use crate::{
    domain::{Login, cut, for_people, unlinked},
    engine::{
        by_hand::Refusal,
        lifecycle::{Outcome, SettledBy, State},
    },
    review::{
        escalation::Standing,
        issue::{Audience, End, Ended, Group, Question, Silence, Voter},
        markdown::inline,
        reply::{self, Reply},
    },
    rules::{policy::FinallyDecision, render},
    store::{DecisionRow, RequestRow, ReviewRow, VoteRow},
};

/// What an issue is to say.
pub(super) struct Text {
    pub(super) title: String,
    pub(super) body: String,
    /// With what the body begins: by that an issue of ours is known, whatever it asks by now.
    pub(super) mark: String,
    /// Of a list: everything that it names has ended.
    pub(super) all_ended: bool,
}

/// How many requests a list names.
const LISTED: usize = 200;

/// Why something is not approved, for reviewers.
pub(super) fn refusal(refusal: &Refusal) -> String {
    match refusal {
        // What goes past that is a command line's flag.
        Refusal::Soft(rules) => format!(
            "{rules}, which is not overridden here; an operator can, with `patwarden requests approve --override WHY`"
        ),
        refusal => refusal.to_string(),
    }
}

/// When silence ends it, and how: the first that comes.
pub(super) fn finally(standing: &Standing) -> Option<(Timestamp, FinallyDecision)> {
    standing
        .deadline()
        .map(|(at, _)| (at, FinallyDecision::Deny))
        .or_else(|| standing.given_up_at().map(|at| (at, FinallyDecision::LeavePending)))
}

/// How a request ended, once it has.
pub(super) fn ended(
    request: &RequestRow,
    said: Option<&ReviewRow>,
    votes: &[VoteRow],
) -> Option<Ended> {
    let how = match &request.state {
        State::Settled(outcome, by) => end(*outcome, by, request, votes),
        State::Gone => End::Gone,
        _ => return None,
    };
    let ours = matches!(how, End::Approved(_) | End::Denied(_) | End::DeniedBySilence);
    let reason = said.filter(|_| ours).map(|said| said.reason.clone());
    Some(Ended { at: request.state_since, how, reason })
}

fn end(outcome: Outcome, by: &SettledBy, request: &RequestRow, votes: &[VoteRow]) -> End {
    let approved = matches!(outcome, Outcome::Approved);
    // Those whom our record names, by their numbers in it.
    let named = |who: &str| -> Vec<Voter> {
        let mut voters = Vec::new();
        for VoteRow { vote, .. } in votes {
            let names = who.contains(&format!("@{} ({}) in ", vote.login, vote.user));
            let voter = Voter { id: vote.user, login: vote.login.clone() };
            if names
                && Some(&vote.fingerprint) == request.fingerprint.as_ref()
                && !voters.contains(&voter)
            {
                voters.push(voter);
            }
        }
        voters
    };
    match (outcome, by) {
        (Outcome::Cancelled, _) | (_, SettledBy::Requester) => End::Cancelled,
        (_, SettledBy::Reviewers(who)) => match (approved, named(who).as_slice()) {
            (true, voters) => End::Approved(voters.to_vec()),
            (false, [voter, ..]) => End::Denied(voter.clone()),
            (false, []) => End::Elsewhere { approved, by: None },
        },
        (_, SettledBy::Silence(_)) => End::DeniedBySilence,
        (Outcome::Revoked, _) | (_, SettledBy::Rule) => End::ByRules { approved },
        (_, SettledBy::Person(login) | SettledBy::App(login)) => {
            End::Elsewhere { approved, by: Some(Login::new(login.clone())) }
        }
        (_, SettledBy::Operator(who)) => {
            End::Elsewhere { approved, by: Some(Login::new(who.clone())) }
        }
        (_, SettledBy::Unknown) => End::Elsewhere { approved, by: None },
    }
}

/// The last comment on an issue: how it ended, or why nobody is asked any more.
pub(super) fn over(
    request: &RequestRow,
    ended: Option<&Ended>,
    key: &str,
    audience: Audience,
) -> String {
    match (ended, audience) {
        (Some(ended), audience) => Reply::Over(ended).text(key, audience),
        (None, Audience::Anybody) => format!("{}\nNobody is asked any more.", reply::mark(key)),
        (None, Audience::Reviewers) => {
            let note = if request.note.is_empty() { "the rules" } else { &request.note };
            format!("{}\nNobody is asked about this any more: {}.", reply::mark(key), inline(note))
        }
    }
}

/// Where GitHub shows pending requests.
fn page(base: &str, organization: &Login) -> String {
    format!("{base}/organizations/{organization}/settings/personal-access-token-requests")
}

/// With what the text of a request's issue begins, whatever was asked of it when.
fn prefix(case: &Case<'_>) -> String {
    format!("<!-- patwarden:{}:{}:", case.request.organization.id, case.request.id)
}

/// The title and the text of an issue about one request.
pub(super) fn issue(
    case: &Case<'_>,
    standing: &Standing,
    decision: &DecisionRow,
    ended: Option<&Ended>,
    (audience, base): (Audience, &str),
) -> Text {
    let votes = standing.approvals_by_group();
    let groups: Vec<Group> = standing
        .asked
        .iter()
        .map(|asked| Group {
            name: asked.name.clone(),
            instead_of: asked.instead_of.clone(),
            may_decide: asked.group.may_decide.clone(),
            quorum: asked.group.quorum,
            comment_required: asked.group.comment_required,
            approved: votes
                .get(asked.name.as_str())
                .into_iter()
                .flatten()
                .map(|vote| Voter { id: vote.user, login: vote.login.clone() })
                .collect(),
        })
        .collect();
    let silence = Silence {
        next: standing.handing_on().map(|(at, group)| (at, group.to_owned())),
        finally: finally(standing),
    };
    let page = page(base, &case.request.organization.login);
    let question = Question {
        request: &decision.request,
        fingerprint: &case.row.fingerprint,
        repositories: decision.facts.repositories.value().map(Vec::as_slice),
        decision: &decision.decision,
        trace: &decision.trace,
        groups: &groups,
        silence: &silence,
        ended,
        page: &page,
        audience,
    };
    Text { title: question.title(), body: question.body(), mark: prefix(case), all_ended: false }
}

/// The same where the decision that left it to people cannot be read.
pub(super) fn unreadable(case: &Case<'_>, base: &str) -> Text {
    let mark = prefix(case);
    let who = inline(case.request.owner.login.as_str());
    let body = format!(
        "{mark}{} -->\n{who} asks for a token, and people are to decide; what is asked cannot be read from the record. See \
         [GitHub's list of pending requests](<{}>).\n",
        case.row.fingerprint,
        page(base, &case.request.organization.login)
    );
    Text { title: "A token request".to_owned(), body, mark, all_ended: false }
}

/// The title and the text of a list of many.
pub(super) fn list(
    id: i64,
    organization: &Login,
    rows: &[RequestRow],
    (audience, base): (Audience, &str),
) -> Text {
    let mark = format!("<!-- patwarden:list:{id} -->");
    let open =
        |row: &&RequestRow| !matches!(row.state, State::Settled(..) | State::Gone | State::Held);
    let waiting = rows.iter().filter(open).count();
    let link = page(base, organization);
    let mut body = format!(
        "{mark}\nMany requests came at once, so they stand here and not each in an issue of its own. Comments here decide \
         nothing: an owner decides in [GitHub's list]({link}), an operator with `patwarden requests approve` or `deny`.\n\n"
    );
    for row in rows.iter().take(LISTED) {
        let stands = match (open(&row), audience) {
            (true, _) => "waiting".to_owned(),
            (false, Audience::Anybody) => "over".to_owned(),
            (false, Audience::Reviewers) => inline(&row.state.to_string()),
        };
        let _ = writeln!(body, "- {} of {}: {stands}", row.id, inline(row.owner.login.as_str()));
    }
    if let Some(more) = rows.len().checked_sub(LISTED).filter(|more| *more > 0) {
        let _ = writeln!(body, "- and {more} more");
    }
    Text {
        title: "Token requests that came at once".to_owned(),
        body,
        mark,
        all_ended: waiting == 0,
    }
}

/// A mail to a reviewer.
pub(super) struct Letter<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) standing: &'a Standing,
    pub(super) decision: Option<&'a DecisionRow>,
    pub(super) issue: Option<&'a str>,
    pub(super) base: &'a str,
    pub(super) again: bool,
    pub(super) minimal: bool,
}

impl Letter<'_> {
    pub(super) fn subject(&self) -> String {
        let request = &self.case.request;
        let again = if self.again { "Reminder: " } else { "" };
        let who = if self.minimal { String::new() } else { format!(" of {}", request.owner.login) };
        format!("[patwarden {}] {again}a token request{who} to decide", request.organization.login)
    }

    fn paragraphs(&self) -> Vec<String> {
        let request = &self.case.request;
        let mut paragraphs = vec![if self.minimal {
            format!("A token request in {} is left to you.", request.organization.login)
        } else {
            format!(
                "{} asks for a token in {}, and it is left to you.",
                request.owner.login, request.organization.login
            )
        }];
        if let Some(decision) = self.decision.filter(|_| !self.minimal) {
            paragraphs.push(asks(decision));
            paragraphs
                .push(format!("Not decided by a rule: {}.", render::sentence(&decision.decision)));
        }
        if let Some((at, _)) = self.standing.deadline() {
            paragraphs.push(format!(
                "Unless somebody decides, it is denied at {}.",
                at.strftime("%Y-%m-%d %H:%M UTC")
            ));
        }
        paragraphs
    }

    /// Where it is decided.
    fn where_to(&self) -> String {
        let organization = &self.case.request.organization.login;
        self.issue.map_or_else(|| page(self.base, organization), str::to_owned)
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for paragraph in self.paragraphs() {
            for one in paragraph.lines() {
                let _ = writeln!(text, "{}", unlinked(&cut(&for_people(one), 500)));
            }
            text.push('\n');
        }
        let _ = writeln!(text, "Decide at: {}", self.where_to());
        text
    }

    pub(super) fn html(&self) -> String {
        let escaped = |text: &str| {
            unlinked(&cut(&for_people(text), 500))
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;")
                .replace('\'', "&#39;")
        };
        let paragraphs: String = self
            .paragraphs()
            .iter()
            .map(|paragraph| {
                let lines: Vec<String> = paragraph.lines().map(escaped).collect();
                format!("<p>{}</p>", lines.join("<br>"))
            })
            .collect();
        let link = self.where_to().replace('&', "&amp;").replace('"', "&quot;");
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <meta name=\"color-scheme\" content=\"light dark\"></head>\
             <body style=\"font-family:system-ui,sans-serif;line-height:1.5;max-width:600px;margin:0 auto;padding:16px\">\
             {paragraphs}<p><a href=\"{link}\">Decide on GitHub</a></p></body></html>\n"
        )
    }
}

/// What is asked for, and what the requester says: text for a fence or a mail.
fn asks(decision: &DecisionRow) -> String {
    let request = &decision.request;
    let repositories = decision.facts.repositories.value().map(Vec::as_slice);
    let says = request.reason.as_deref().map(for_people).filter(|says| !says.is_empty());
    format!(
        "{}\ntoken: {}\nsays: {}",
        render::asked(request, repositories),
        cut(&for_people(&request.token.name), 200),
        says.map_or_else(|| "nothing".to_owned(), |says| cut(&says, 2_000))
    )
}
