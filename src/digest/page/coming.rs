//! What was found wider than it was judged and revoked, what standing policies take unless somebody objects, and what nothing is
//! done about before somebody confirms.

use jiff::SignedDuration;

use super::{
    Item, LINE, Line, Mark, NAME, Section, command, day_of, labelled, left_out, line, moment, more,
};
use crate::{
    digest::{Alarm, Coming, Day, WaitingRun, in_days},
    domain::{agrees, many},
    rules::policy::Detail,
};

pub(super) fn coming(day: &Day, detail: Detail, most: usize) -> Option<Section> {
    let items: Vec<Item> =
        day.coming.iter().take(most).map(|one| one_coming(day, one, detail)).collect();
    let left = left_out(day.coming.len() as u64, items.len());
    let more = more(left, &day.pages.tokens);
    let title = "Happens unless you object".to_owned();
    (!items.is_empty()).then_some(Section { title, items, more })
}

fn one_coming(day: &Day, one: &Coming, detail: Detail) -> Item {
    let days = day.days_until(one.at);
    let whose = match detail {
        Detail::Full => {
            let shown = one.owners.shown.iter().map(|login| line(login.as_str(), NAME));
            let shown: Vec<String> = shown.take(3).collect();
            match left_out(one.owners.all, shown.len()) {
                0 => shown.join(", "),
                more => format!("{} and {more} more", shown.join(", ")),
            }
        }
        Detail::Minimal => many(one.owners.all, "person"),
    };
    Item {
        mark: if days <= 1 { Mark::Urgent } else { Mark::Plain },
        head: format!(
            "{} ({}): {} of {whose} {}, by {}",
            in_days(days),
            day_of(day, one.at),
            many(one.tokens, "token"),
            agrees(one.tokens, "loses its access", "lose their access"),
            policy(&one.policy, detail),
        ),
        lines: match detail {
            Detail::Full => named(one).into_iter().chain(how_to_keep(day, one)).collect(),
            Detail::Minimal => vec![
                labelled(
                    "keep",
                    format!("{} Whoever runs patwarden can keep one with:", spared(one))
                        .trim_start(),
                ),
                command("type", "patwarden revocations hold --help"),
            ],
        },
    }
}

/// What somebody types who never heard of patwarden, and what comes of it.
fn how_to_keep(day: &Day, one: &Coming) -> Vec<Line> {
    // A month more, so that the lines can be typed as they stand.
    let until = one.at.saturating_add(SignedDuration::from_hours(30 * 24)).unwrap_or(one.at);
    let until = until.strftime("%Y-%m-%d");
    let hold = |what: &str| {
        let organization = &day.organization;
        format!(
            "patwarden revocations hold --org {organization} {what} --until {until} --why \"still needed\""
        )
    };
    let id = one.policy.trim_start_matches("revoke.");
    let all = command("all", hold(&format!("--policy {id}")));
    let spared = spared(one);
    let Some(first) = one.named.first() else {
        let keep =
            format!("{spared} To keep all of them until {until}, whoever runs patwarden types:");
        return vec![labelled("keep", keep.trim_start()), all];
    };
    let keep = format!(
        "{spared} To keep one, whoever runs patwarden types the first line, with the number behind its name; the second line \
         keeps all of them. Either counts until {until}."
    );
    let one = command("one", hold(&format!("--token {}", first.token)));
    vec![labelled("keep", keep.trim_start()), one, all]
}

/// What spares a token without anybody's word, where something does.
fn spared(one: &Coming) -> &'static str {
    if one.use_keeps { "Whoever uses a token before then keeps it." } else { "" }
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
        Detail::Full => format!("the rule {}", line(name, NAME)),
        Detail::Minimal => "a standing rule".to_owned(),
    }
}

/// What nothing is done about before somebody says so.
pub(super) fn confirmations(day: &Day, detail: Detail, most: usize) -> Option<Section> {
    let mut items: Vec<Item> =
        day.runs.iter().take(most).map(|run| one_run(day, run, detail)).collect();
    let left = left_out(day.runs.len() as u64, items.len());
    if day.unconfirmed > 0 {
        items.push(held(day));
    }
    let title = "Waits until somebody confirms".to_owned();
    (!items.is_empty()).then_some(Section { title, items, more: more(left, &day.pages.tokens) })
}

fn one_run(day: &Day, run: &WaitingRun, detail: Detail) -> Item {
    let head = format!(
        "{} would take the access of {} away",
        policy(&run.policy, detail),
        many(run.tokens, "token")
    );
    let why = (detail == Detail::Full).then(|| labelled("why", line(&run.why, LINE)));
    let lapses = moment(day, run.lapses);
    let lines = [
        command("look", format!("patwarden revocations show {}", run.id)),
        command("confirm", format!("patwarden revocations confirm {}", run.id)),
        labelled("else", format!("nothing is revoked, and it lapses {lapses}")),
    ];
    Item { mark: Mark::Urgent, head, lines: why.into_iter().chain(lines).collect() }
}

/// Requests that are judged and of which nothing is sent, for there are many.
fn held(day: &Day) -> Item {
    let (requests, organization) = (many(day.unconfirmed, "request"), &day.organization);
    Item {
        mark: Mark::Urgent,
        head: format!("{requests} {} held", agrees(day.unconfirmed, "is", "are")),
        lines: vec![
            labelled("why", "a first run, or changed rules, would act on all of them at once"),
            command("look", format!("patwarden requests list --org {organization}")),
            command("confirm", format!("patwarden requests confirm --org {organization}")),
            labelled("else", "nothing is sent for them, and they stay pending"),
        ],
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
                    command("look", format!("patwarden requests show {}", one.request)),
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
