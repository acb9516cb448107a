//! `[default]` and `[reviewers.ID]`: what one file says of each.

use std::ops::Range;

use super::{
    reader::{Reader, Value, entries, shown},
    rule_tables::{check_id, groups, reason},
    values,
};
use crate::{
    domain::{Login, Role, TeamRef},
    rules::{
        diagnostic::{Code, Place},
        layer::Layer,
        names::Name,
        policy::{Finally, FinallyDecision, MayDecide, Next, Notify, Reviewers},
        reason::Template,
    },
};

/// `[default]` with the places of its groups.
#[derive(Debug)]
pub(crate) struct DraftDefault {
    pub(crate) deny: bool,
    pub(crate) reason: Option<(Template, Place)>,
    pub(crate) to: Vec<String>,
    /// Whether it says `to` at all, which the uppermost layer must.
    pub(crate) has_to: bool,
}

pub(crate) fn default(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    span: Range<usize>,
) -> Option<DraftDefault> {
    let (mut deny, mut text, mut to) = (None, None, Vec::new());
    let (mut has_decision, mut has_reason, mut has_to) = (false, None, false);
    let is_table = reader.table(value, "default", &["decision", "reason", "to"], |reader, key, key_span, value| {
        let path = format!("default.{key}");
        match key {
            "decision" => {
                has_decision = true;
                let Some(word) = reader.string(value, &path) else { return };
                if word == "approve" {
                    let help = "write approve rules that say what is let through; the default is `escalate` or `deny`";
                    reader.error_help(Code::BadValue, value.span(), "the default is never to approve", Some(help.to_owned()));
                } else {
                    deny = reader.word(word, value.span(), &path, &[("escalate", false), ("deny", true)]);
                }
            }
            "reason" => {
                has_reason = Some(key_span);
                text = reason(reader, value, &path);
            }
            _ => {
                has_to = true;
                to = groups(reader, value, &path);
            }
        }
    });
    if !is_table {
        return None;
    }
    if !has_decision {
        reader.missing(
            span.clone(),
            "`default` has no `decision`",
            "`decision = \"escalate\"` or `\"deny\"`",
        );
    }
    match (deny, has_reason) {
        (Some(true), None) => {
            reader.missing(
                span,
                "a default of `deny` needs a `reason`",
                "say what would pass: the requester reads it in GitHub's mail",
            );
        }
        (Some(false), Some(span)) => {
            let help = "people give the reasons when a request is escalated".to_owned();
            reader.error_help(
                Code::BadValue,
                span,
                "a default of `escalate` has no `reason`",
                Some(help),
            );
        }
        _ => {}
    }
    Some(DraftDefault { deny: deny.unwrap_or(true), reason: text, to, has_to })
}

/// A group of reviewers with the places of what it names.
#[derive(Debug)]
pub(crate) struct DraftReviewers {
    pub(crate) reviewers: Reviewers,
    pub(crate) layer: Layer,
    pub(crate) place: Place,
    pub(crate) next: Option<Place>,
}

pub(crate) fn reviewers(
    reader: &mut Reader<'_>,
    id: &str,
    span: Range<usize>,
    value: &Value<'_>,
) -> Option<DraftReviewers> {
    check_id(reader, id, &span);
    let path = format!("reviewers.{id}");
    let mut group =
        Reviewers { may_decide: MayDecide::default(), defined: true, ..Reviewers::owners() };
    let mut next_place = None;
    let (mut has_notify, mut has_decide) = (false, false);
    let keys =
        ["notify", "may_decide", "quorum", "comment_required", "remind_every", "next", "finally"];
    let is_table = reader.table(value, &path, &keys, |reader, key, key_span, value| {
        let path = format!("{path}.{key}");
        match key {
            "notify" => {
                has_notify = true;
                for (text, span) in reader.strings(value, &path) {
                    group.notify.extend(notify(reader, text, span));
                }
            }
            "may_decide" => {
                has_decide = true;
                group.may_decide = may_decide(reader, value, &path);
            }
            "quorum" => {
                let quorum = reader.integer(value, &path, 1..101);
                group.quorum = quorum.and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
            }
            "comment_required" => {
                group.comment_required = reader.boolean(value, &path).unwrap_or(false)
            }
            "remind_every" => group.remind_every = reader.positive_span(value, &path),
            "next" => {
                next_place = Some(reader.place(key_span));
                group.next = next(reader, value, &path);
            }
            _ => group.finally = finally(reader, value, &path, key_span),
        }
    });
    if !is_table {
        return None;
    }
    let place = reader.place(span.clone());
    if !has_notify {
        reader.missing(
            span.clone(),
            format!("`{path}` has no `notify`"),
            "such as `notify = [\"issue:acme/token-reviews\", \"email:owners\"]`",
        );
    }
    if !has_decide {
        reader.missing(
            span,
            format!("`{path}` has no `may_decide`"),
            "such as `may_decide.teams = [\"security\"]` or `may_decide.roles = [\"owner\"]`",
        );
    }
    Some(DraftReviewers { reviewers: group, layer: reader.layer, place, next: next_place })
}

fn may_decide(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> MayDecide {
    let mut may = MayDecide::default();
    reader.table(value, path, &["teams", "roles"], |reader, key, _, value| {
        let path = format!("{path}.{key}");
        if key == "teams" {
            may.teams = values::named_teams(reader, value, &path);
        } else {
            may.roles = values::words(reader, value, &path, &[("owner", Role::Owner)]);
        }
    });
    if entries(value).is_some_and(|table| table.is_empty()) {
        reader.error(Code::EmptyList, value.span(), format!("`{path}` names nobody"));
    }
    may
}

fn next(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<Next> {
    let (mut after, mut to) = (None, None);
    let before = reader.diagnostics.len();
    let is_table = reader.table(value, path, &["after", "to"], |reader, key, _, value| {
        let path = format!("{path}.{key}");
        if key == "after" {
            after = reader.positive_span(value, &path);
        } else {
            to = reader.string(value, &path).map(str::to_owned);
            let place = reader.place(value.span());
            reader.named_groups.extend(to.clone().map(|name| (name, place)));
        }
    });
    if is_table && (after.is_none() || to.is_none()) && reader.diagnostics.len() == before {
        reader.missing(
            value.span(),
            format!("`{path}` needs `after` and `to`"),
            "such as `next = { after = \"1d\", to = \"owners\" }`",
        );
    }
    Some(Next { after: after?, to: to? })
}

fn finally(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
    span: Range<usize>,
) -> Option<Finally> {
    let (mut after, mut decision, mut text) = (None, None, None);
    let before = reader.diagnostics.len();
    let words = [("deny", FinallyDecision::Deny), ("leave_pending", FinallyDecision::LeavePending)];
    let is_table =
        reader.table(value, path, &["after", "decision", "reason"], |reader, key, _, value| {
            let path = format!("{path}.{key}");
            match key {
                "after" => after = reader.positive_span(value, &path),
                "decision" => {
                    let word = reader.string(value, &path);
                    decision = word.and_then(|word| reader.word(word, value.span(), &path, &words));
                }
                _ => {
                    let parsed = reason(reader, value, &path);
                    text = parsed.and(value.get_ref().as_str()).map(str::to_owned);
                }
            }
        });
    if !is_table || reader.diagnostics.len() > before {
        return None;
    }
    let example = "such as `finally = { after = \"7d\", decision = \"deny\", reason = \"…\" }`";
    let (Some(after), Some(decision)) = (after, decision) else {
        reader.missing(span, format!("`{path}` needs `after` and `decision`"), example);
        return None;
    };
    match (decision, &text) {
        (FinallyDecision::Deny, None) => {
            reader.missing(span, format!("`{path}` denies and needs a `reason`"), example);
        }
        (FinallyDecision::LeavePending, Some(_)) => {
            reader.error(
                Code::BadValue,
                span,
                format!("`{path}` leaves the request pending and has no `reason`"),
            );
        }
        _ => {}
    }
    Some(Finally { after, decision, reason: text })
}

fn notify(reader: &mut Reader<'_>, text: &str, span: Range<usize>) -> Option<Notify> {
    let help = "`issue:organization/repository`, `email:owners`, `email:a-team` or `email:somebody@example.org`";
    let notify = match text.split_once(':') {
        Some(("issue", repository)) => match repository.split_once('/') {
            Some((organization, repository)) if name(organization) && name(repository) => {
                let organization_of = Some(Login::new(organization));
                let named =
                    Name::Repository { organization: organization_of, name: repository.to_owned() };
                reader.note(named, span.clone());
                Some(Notify::Issue {
                    organization: organization.to_owned(),
                    repository: repository.to_owned(),
                })
            }
            _ => None,
        },
        Some(("email", address)) if recipient(address) => {
            note_team(reader, address, span.clone());
            Some(Notify::Email(address.to_owned()))
        }
        _ => None,
    };
    if notify.is_none() {
        let message = format!("`{}` is not a way to notify", shown(text));
        reader.error_help(Code::BadName, span, message, Some(help.to_owned()));
    }
    notify
}

fn name(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.len() <= 100 && text.chars().all(fine)
}

/// Notes the team that a recipient is, where it is one.
pub(crate) fn note_team(reader: &mut Reader<'_>, recipient: &str, span: Range<usize>) {
    if recipient != "owners"
        && !recipient.contains('@')
        && let Ok(team) = TeamRef::parse(recipient)
    {
        reader.note(Name::Team(team), span);
    }
}

/// `owners`, a team, or an address: plain enough that no header of a mail can be forged with it.
pub(crate) fn recipient(text: &str) -> bool {
    match text.split_once('@') {
        Some((user, host)) => {
            let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
            !user.is_empty() && user.chars().all(fine) && name(host) && host.contains('.')
        }
        None => text.split('/').count() <= 2 && text.split('/').all(name),
    }
}
