//! What is written to reviewers beside what `review` says of one request: lists, mails, and how our record's words are theirs.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::Case;
use crate::{
    domain::{Login, cut, for_people},
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
    rules::{self, Caution, policy::FinallyDecision},
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

/// What comes when nobody answers.
pub(super) fn silence(standing: &Standing, mute: bool) -> Silence {
    Silence {
        next: standing.handing_on().map(|(at, group)| (at, group.to_owned())),
        finally: finally(standing),
        mute,
    }
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
        (Outcome::Revoked, _) => End::Revoked,
        (_, SettledBy::Rule) => End::ByRules { approved },
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
pub(super) fn page(base: &str, organization: &Login) -> String {
    format!("{base}/organizations/{organization}/settings/personal-access-token-requests")
}

/// With what the text of a request's issue begins, whatever was asked of it when.
fn prefix(case: &Case<'_>) -> String {
    format!("<!-- patwarden:{}:{}:", case.request.organization.id, case.request.id)
}

/// Where a text stands.
pub(super) struct Place<'a> {
    pub(super) audience: Audience,
    /// Where GitHub is.
    pub(super) base: &'a str,
    /// Whether nobody can answer there.
    pub(super) mute: bool,
}

/// What weighs most in a request, by what was judged.
pub(super) fn cautions(case: &Case<'_>, decision: &DecisionRow) -> Vec<Caution> {
    let repositories = decision.facts.repositories.value().map(Vec::as_slice);
    let guarded = case.policy.guarded(&decision.request, repositories);
    rules::cautions(&decision.decision, &decision.trace, guarded)
}

/// The title and the text of an issue about one request.
pub(super) fn issue(
    case: &Case<'_>,
    standing: &Standing,
    decision: &DecisionRow,
    ended: Option<&Ended>,
    place: &Place<'_>,
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
    let silence = silence(standing, place.mute);
    let page = page(place.base, &case.request.organization.login);
    let cautions = cautions(case, decision);
    let question = Question {
        request: &decision.request,
        fingerprint: &case.row.fingerprint,
        repositories: decision.facts.repositories.value().map(Vec::as_slice),
        decision: &decision.decision,
        trace: &decision.trace,
        cautions: &cautions,
        groups: &groups,
        silence: &silence,
        ended,
        page: &page,
        audience: place.audience,
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
    (id, whose): (i64, &Login),
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
        "{mark}\nMany requests of {} came at once, so these stand here and not each in an issue of its own. Comments here \
         decide nothing: an owner decides in [GitHub's list](<{link}>), an operator with `patwarden requests approve` or \
         `deny`. Nobody's silence denies them.\n\n",
        inline(whose.as_str())
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
        title: cut(
            &format!("Token requests of {} that came at once", for_people(whose.as_str())),
            200,
        ),
        body,
        mark,
        all_ended: waiting == 0,
    }
}
