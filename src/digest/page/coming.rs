//! What standing policies take unless somebody objects, and what was found wider than it was judged and revoked.

use jiff::SignedDuration;

use super::{
    Item, LINE, Line, Mark, NAME, Section, day_of, labelled, left_out, line, moment, more, people,
};
use crate::{
    digest::{Alarm, Coming, Day, WaitingRun, in_days, many},
    rules::policy::Detail,
};

pub(super) fn coming(day: &Day, detail: Detail, most: usize) -> Option<Section> {
    if day.coming.is_empty() && day.runs.is_empty() {
        return None;
    }
    let runs = day.runs.iter().take(most).map(|run| one_run(day, run, detail));
    let coming = day.coming.iter().take(most).map(|one| one_coming(day, one, detail));
    let left = left_out(
        (day.runs.len() + day.coming.len()) as u64,
        day.runs.len().min(most) + day.coming.len().min(most),
    );
    Some(Section {
        title: "Happens unless you object".to_owned(),
        items: runs.chain(coming).collect(),
        more: more(left, &day.pages.tokens),
    })
}

fn one_run(day: &Day, run: &WaitingRun, detail: Detail) -> Item {
    let mut lines = Vec::new();
    if detail == Detail::Full {
        lines.push(labelled("why", line(&run.why, LINE)));
    }
    lines.push(labelled("look", format!("patwarden revocations show {}", run.id)));
    lines.push(labelled(
        "confirm",
        format!(
            "patwarden revocations confirm {}; without that nothing is revoked, and it lapses {}",
            run.id,
            moment(day, run.lapses)
        ),
    ));
    let by = policy(&run.policy, detail);
    let head = format!("{by} would take {} and waits for you", many(run.tokens, "token"));
    Item { mark: Mark::Urgent, head, lines }
}

fn one_coming(day: &Day, one: &Coming, detail: Detail) -> Item {
    let days = day.days_until(one.at);
    // A month more, so that the line can be typed as it stands.
    let until = one.at.saturating_add(SignedDuration::from_hours(30 * 24)).unwrap_or(one.at);
    let until = until.strftime("%Y-%m-%d");
    let uses = if one.use_keeps { "using one keeps it; or " } else { "" };
    let (whose, keep) = match detail {
        Detail::Full => {
            let shown = one.owners.shown.iter().map(|login| line(login.as_str(), NAME));
            let shown: Vec<String> = shown.take(3).collect();
            let more = match left_out(one.owners.all, shown.len()) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let hold = format!("patwarden revocations hold --org {}", day.organization);
            let id = one.policy.trim_start_matches("revoke.");
            (
                format!("{}{more}", shown.join(", ")),
                format!(
                    "{uses}one: {hold} --token NUMBER --until {until} --why WHY; all of them: --policy {id}"
                ),
            )
        }
        Detail::Minimal => {
            (people(one.owners.all), format!("{uses}patwarden revocations hold --help"))
        }
    };
    let tokens = if detail == Detail::Full { named(one) } else { None };
    Item {
        mark: if days <= 1 { Mark::Urgent } else { Mark::Plain },
        head: format!(
            "{} ({}): {} takes {} of {whose}",
            in_days(days),
            day_of(day, one.at),
            policy(&one.policy, detail),
            many(one.tokens, "token")
        ),
        lines: [tokens, Some(labelled("keep", keep))].into_iter().flatten().collect(),
    }
}

/// The tokens by name: as many as fit.
fn named(one: &Coming) -> Option<Line> {
    let names: Vec<String> = one
        .named
        .iter()
        .map(|token| {
            let owner = line(token.owner.as_str(), NAME);
            format!("{owner} \"{}\" ({})", line(&token.name, NAME), token.token)
        })
        .scan(0, |length, name| {
            *length += name.chars().count() + 2;
            (*length <= LINE).then_some(name)
        })
        .collect();
    let more = match left_out(one.tokens, names.len()) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    (!names.is_empty()).then(|| labelled("tokens", format!("{}{more}", names.join(", "))))
}

fn policy(name: &str, detail: Detail) -> String {
    match detail {
        Detail::Full => line(name, NAME),
        Detail::Minimal => "a standing policy".to_owned(),
    }
}

/// What was given more than was judged. It is over; that it happened is not to be lost among counts.
pub(super) fn alarms(day: &Day, detail: Detail, most: usize) -> Option<Section> {
    if day.alarms.is_none() {
        return None;
    }
    let what = "was edited while its approval was on its way, had more access than was judged, and was revoked";
    let items = match detail {
        Detail::Full => {
            let one = |one: &Alarm| Item {
                mark: Mark::Urgent,
                head: format!(
                    "{}  \"{}\"  {what} ({})",
                    line(one.owner.as_str(), NAME),
                    line(&one.token_name, NAME),
                    moment(day, one.at)
                ),
                lines: vec![
                    labelled("look", format!("patwarden requests show {}", one.request)),
                    labelled("do", "ask its owner whether that was meant"),
                ],
            };
            day.alarms.shown.iter().take(most).map(one).collect()
        }
        Detail::Minimal => vec![Item {
            mark: Mark::Urgent,
            head: format!("{}: {what}", many(day.alarms.all, "token")),
            lines: Vec::new(),
        }],
    };
    let left = match detail {
        Detail::Full => left_out(day.alarms.all, day.alarms.shown.len().min(most)),
        Detail::Minimal => 0,
    };
    Some(Section { title: "Alarms".to_owned(), items, more: more(left, "") })
}
