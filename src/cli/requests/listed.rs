//! Which requests on record flags mean, and the list of them as a table and as CSV.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::Line;
use crate::{
    cli::output,
    domain::{Fingerprint, Repository, RepositorySelection, TokenRequest, agrees, many},
    inventory::{AskedFilter, View},
    rules::{Truth, render},
    store::{DecisionRow, RequestRow},
};

/// What flags mean of what is on record.
pub(super) struct Selected {
    pub(super) rows: Vec<RequestRow>,
    /// Of how many nobody can say whether they are meant.
    pub(super) cannot_say: usize,
    /// Each part of the filter, as flags, and how many it means by itself.
    pub(super) parts: Vec<(String, u64)>,
}

/// Those of `rows` that `filter` means, as GitHub listed them last.
pub(super) fn select(
    rows: Vec<RequestRow>,
    decisions: &HashMap<i64, DecisionRow>,
    filter: &AskedFilter,
    now: Timestamp,
) -> Selected {
    if filter.is_empty() {
        return Selected { rows, cannot_say: 0, parts: Vec::new() };
    }
    let mut cannot_say = 0;
    let mut parts: Vec<_> = filter.parts().into_iter().map(|part| (part, 0)).collect();
    let mut meant = Vec::new();
    for row in rows {
        let decision = row.decision_id.and_then(|id| decisions.get(&id));
        let truth = match &row.listed {
            Some(request) => {
                let reaches = reaches(request, decision, filter.repository.as_deref());
                let view = View { reaches, ..View::from(request) };
                for (part, alone) in &mut parts {
                    *alone += u64::from(part.selects(&view, now) == Truth::Matched);
                }
                filter.selects(&view, now)
            }
            None => Truth::Unknown,
        };
        match truth {
            Truth::Matched => meant.push(row),
            Truth::Unknown => cannot_say += 1,
            Truth::NotMatched => {}
        }
    }
    let parts = parts.into_iter().map(|(part, alone)| (part.to_string(), alone)).collect();
    Selected { rows: meant, cannot_say, parts }
}

/// What is said of those of which nobody can say whether they are meant.
pub(super) fn unsaid(cannot_say: usize) -> String {
    format!(
        "Of {} nobody can say whether {} meant: GitHub has not listed {} yet, or which repositories would be reached was not \
         read.",
        many(cannot_say, "other"),
        agrees(cannot_say, "it is", "they are"),
        agrees(cannot_say, "it", "them")
    )
}

/// Whether a request reaches a repository, by what was read when it was judged: unless it was changed since.
fn reaches(request: &TokenRequest, decision: Option<&DecisionRow>, name: Option<&str>) -> Truth {
    let known = View::from(request).reaches;
    let (RepositorySelection::Subset, Some(name)) = (request.repository_selection, name) else {
        return known;
    };
    Truth::of_option(repositories(request, decision).map(|repositories| {
        repositories.iter().any(|repository| repository.name.eq_ignore_ascii_case(name))
    }))
}

/// The repositories of a request as they were read when it was judged: unless it was changed since.
pub(super) fn repositories<'a>(
    request: &TokenRequest,
    decision: Option<&'a DecisionRow>,
) -> Option<&'a [Repository]> {
    let same = |decision: &&DecisionRow| {
        Fingerprint::of(&decision.request, None) == Fingerprint::of(request, None)
    };
    decision.filter(same).and_then(|row| row.facts.repositories.value()).map(Vec::as_slice)
}

/// Prints requests as a table.
pub(super) fn table(lines: &[Line], now: Timestamp) {
    // Where there is one organization, its name in every row says nothing.
    let several = lines.windows(2).any(|pair| match pair {
        [one, other] => one.organization != other.organization,
        _ => false,
    });
    let mut heads =
        vec!["REQUEST", "OWNER", "TOKEN", "ASKS FOR", "ON", "STATE", "AGE", "DECISION", "WHY"];
    if several {
        heads.insert(1, "ORGANIZATION");
    }
    output::table(
        &heads,
        lines.iter().map(|line| {
            let by_hand = line.by_hand();
            let asked = line.asked.as_ref().filter(|asked| asked.is_heard());
            let asked = asked.map(ToString::to_string);
            let why = match (&line.note, by_hand.as_ref().or(asked.as_ref()), &line.why) {
                (note, ..) if !note.is_empty() => note,
                (_, Some(people), _) => people,
                // The state says what is to happen.
                (.., Some(why)) => {
                    why.find(", by ").and_then(|at| why.get(at + 2..)).unwrap_or(why)
                }
                _ => "",
            };
            let mut cells = vec![
                line.request_id.to_string(),
                output::cell(&line.owner, 24),
                output::cell(&line.token_name, 30),
                output::cell(&line.asks_for, 200),
                output::cell(&line.on, 200),
                line.state.clone(),
                age(now.duration_since(line.since)),
                line.decision.map_or_else(|| "-".to_owned(), |id| id.to_string()),
                output::cell(why, 200),
            ];
            if several {
                cells.insert(1, output::cell(&line.organization, 30));
            }
            cells
        }),
    );
}

/// For how long something has stood where it stands, in one unit.
fn age(since: SignedDuration) -> String {
    match since.as_mins() {
        ..60 => format!("{} min", since.as_mins().max(0)),
        60..2_880 => format!("{} h", since.as_hours()),
        _ => format!("{} d", since.as_hours() / 24),
    }
}

const COLUMNS: [&str; 23] = [
    "organization",
    "request_id",
    "token_id",
    "owner",
    "token_name",
    "permissions",
    "repository_selection",
    "repositories",
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

fn cells(row: &RequestRow, line: &Line) -> [String; 23] {
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
        line.repositories.as_ref().map(|names| names.join(" ")).unwrap_or_default(),
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
