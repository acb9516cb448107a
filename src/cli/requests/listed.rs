//! Which requests on record flags mean, and the list of them as CSV.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Line;
use crate::{
    cli::output,
    domain::{Fingerprint, RepositorySelection, TokenRequest},
    inventory::{AskedFilter, View},
    rules::{Truth, render},
    store::{DecisionRow, RequestRow},
};

/// What flags mean of what is on record.
pub(super) struct Selected {
    pub(super) rows: Vec<RequestRow>,
    /// Of how many nobody can say whether they are meant.
    pub(super) cannot_say: usize,
}

/// Those of `rows` that `filter` means, as GitHub listed them last.
pub(super) fn select(
    rows: Vec<RequestRow>,
    decisions: &HashMap<i64, DecisionRow>,
    filter: &AskedFilter,
    now: Timestamp,
) -> Selected {
    if filter.is_empty() {
        return Selected { rows, cannot_say: 0 };
    }
    let mut cannot_say = 0;
    let mut meant = Vec::new();
    for row in rows {
        let decision = row.decision_id.and_then(|id| decisions.get(&id));
        let truth = match &row.listed {
            Some(request) => {
                let reaches = reaches(request, decision, filter.repository.as_deref());
                filter.selects(&View { reaches, ..View::from(request) }, now)
            }
            None => Truth::Unknown,
        };
        match truth {
            Truth::Matched => meant.push(row),
            Truth::Unknown => cannot_say += 1,
            Truth::NotMatched => {}
        }
    }
    Selected { rows: meant, cannot_say }
}

/// What is said of those of which nobody can say whether they are meant.
pub(super) fn unsaid(cannot_say: usize) -> String {
    format!(
        "Of {cannot_say} others nobody can say whether they are meant: GitHub has not listed them yet, or which repositories \
         they would reach was not read."
    )
}

/// Whether a request reaches a repository, by what was read when it was judged: unless it was changed since.
fn reaches(request: &TokenRequest, decision: Option<&DecisionRow>, name: Option<&str>) -> Truth {
    let known = View::from(request).reaches;
    let (RepositorySelection::Subset, Some(name)) = (request.repository_selection, name) else {
        return known;
    };
    let same = |decision: &&DecisionRow| {
        Fingerprint::of(&decision.request, None) == Fingerprint::of(request, None)
    };
    let repositories = decision.filter(same).and_then(|row| row.facts.repositories.value());
    Truth::of_option(repositories.map(|repositories| {
        repositories.iter().any(|repository| repository.name.eq_ignore_ascii_case(name))
    }))
}

const COLUMNS: [&str; 22] = [
    "organization",
    "request_id",
    "token_id",
    "owner",
    "token_name",
    "permissions",
    "repository_selection",
    "asked_at",
    "expires_at",
    "last_used_at",
    "says",
    "state",
    "outcome",
    "settled_by",
    "actor",
    "decision",
    "effect",
    "rules",
    "why",
    "review_reason",
    "override_why",
    "note",
];

/// Prints requests as CSV, `rows` beside their `lines`.
pub(super) fn csv(rows: &[RequestRow], lines: &[Line]) -> anyhow::Result<()> {
    let mut writer = output::csv();
    writer.write_record(COLUMNS)?;
    for (row, line) in rows.iter().zip(lines) {
        let cells = cells(row, line);
        writer.write_record(cells.iter().map(|cell| output::csv_cell(cell)))?;
    }
    Ok(writer.flush()?)
}

fn cells(row: &RequestRow, line: &Line) -> [String; 22] {
    let request = row.listed.as_ref();
    let of = |cell: &dyn Fn(&TokenRequest) -> String| request.map(cell).unwrap_or_default();
    let number = |number: Option<i64>| number.map(|it| it.to_string()).unwrap_or_default();
    let moment = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let word = |word: Option<&str>| word.unwrap_or_default().to_owned();
    let review = line.review.as_ref();
    [
        line.organization.clone(),
        line.request_id.to_string(),
        number(line.token_id),
        line.owner.clone(),
        line.token_name.clone(),
        of(&|request| render::permissions(&request.permissions)),
        of(&|request| request.repository_selection.as_str().to_owned()),
        of(&|request| request.created_at.to_string()),
        of(&|request| {
            request.token.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string())
        }),
        of(&|request| moment(request.token.last_used_at)),
        of(&|request| request.reason.clone().unwrap_or_default()),
        line.state.clone(),
        word(line.outcome),
        word(line.settled_by),
        word(line.actor.as_deref()),
        number(line.decision),
        word(line.effect),
        line.rules.join(" "),
        word(line.why.as_deref()),
        word(review.map(|review| review.reason.as_str())),
        word(review.and_then(|review| review.override_why.as_deref())),
        line.note.clone(),
    ]
}
