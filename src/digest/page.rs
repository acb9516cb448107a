//! A day in words: what stands in which order, and what is left out for those whose mail is not private. What a digest says
//! is said here once; text and HTML only lay it out.
//!
//! Whatever comes from people is hostile: it becomes one line, bounded, and no address in it is one to click.

mod coming;

use coming::{alarms, coming, confirmations};
use jiff::SignedDuration;

use super::{
    By, Day, Decided, OutsideWhat, RuleCount, Trouble, Urgency, Waiting, expire, in_days, span,
};
use crate::{
    domain::{Repository, RepositoryId, TokenRequest, agrees, cut, for_people, many},
    rules::{Decision, Effect, Mode, policy::Detail, render},
};

/// A digest in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The one line above the mail.
    pub subject: String,
    /// Whose, and of which day.
    pub title: String,
    /// What is to be known before anything else.
    pub notices: Vec<String>,
    /// In order; none is empty.
    pub sections: Vec<Section>,
    /// At the end.
    pub links: Vec<Line>,
    /// Whom it did not reach, why it comes.
    pub footer: Vec<String>,
}

/// A part of a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it is about.
    pub title: String,
    /// The things.
    pub items: Vec<Item>,
    /// How many were left out, and GitHub's page that has them, if one does; `None`: none was.
    pub more: Option<Line>,
}

/// One thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Whether it hurries.
    pub mark: Mark,
    /// The thing itself.
    pub head: String,
    /// More about it.
    pub lines: Vec<Line>,
}

impl Item {
    /// Whether it hurries.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.mark == Mark::Urgent
    }
}

/// A line with what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `wants`; may be empty.
    pub label: String,
    /// The rest.
    pub text: String,
    /// What the rest is.
    pub kind: Kind,
}

/// What a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Words.
    Words,
    /// An address of GitHub's.
    Link,
    /// A command that can be typed as it stands: it is not broken within a word, so that no flag loses its hyphens.
    Command,
}

/// The longest word of a command that has to stay in one piece: a longer one is broken on a phone rather than cut off.
const WHOLE: usize = 30;

impl Line {
    /// Whether the rest is an address of GitHub's.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.kind == Kind::Link
    }

    /// Whether the rest is a command.
    #[must_use]
    pub fn is_command(&self) -> bool {
        self.kind == Kind::Command
    }

    /// The words of the rest, and whether each is to stay in one piece.
    pub fn words(&self) -> impl Iterator<Item = (&str, bool)> {
        self.text.split(' ').map(|word| (word, word.chars().count() <= WHOLE))
    }
}

/// Whether something hurries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It does.
    Urgent,
    /// It does not.
    Plain,
}

/// The longest hostile text in one place, in characters.
const QUOTED: usize = 200;

/// The longest name.
const NAME: usize = 60;

/// The longest line that we make ourselves of what was found.
const LINE: usize = 400;

/// How many tokens of one owner are named.
const OF_ONE_OWNER: usize = 5;

/// The day in words: `most` things of a kind are shown, all are counted.
#[must_use]
pub(super) fn page(day: &Day, detail: Detail, most: usize) -> Page {
    let sections = [
        alarms(day, detail, most),
        waiting(day, detail, most),
        coming(day, detail, most),
        confirmations(day, detail, most),
        troubles(day, detail, most),
        outside(day, detail, most),
        expiring(day, detail, most),
        decided(day, detail, most),
        trend(day),
    ];
    let title = day.date.strftime("%A, %-d %B %Y");
    Page {
        subject: line(&day.subject(), QUOTED),
        title: format!("{} · {title}", day.organization),
        notices: notices(day, detail),
        sections: sections.into_iter().flatten().collect(),
        links: vec![
            labelled("Pending requests", day.pages.requests.clone()),
            labelled("Tokens with access", day.pages.tokens.clone()),
        ],
        footer: footer(day, detail),
    }
}

fn notices(day: &Day, detail: Detail) -> Vec<String> {
    let mut notices = Vec::new();
    if day.mode == Some(Mode::Shadow) {
        notices.push(
            "SHADOW: patwarden decides and records, and sends nothing to GitHub. What it says here is what it would do."
                .to_owned(),
        );
    }
    if day.mode == Some(Mode::ApproveOnly) {
        notices
            .push("APPROVE-ONLY: patwarden approves, and denies and revokes nothing.".to_owned());
    }
    match day.by {
        By::Rules => {}
        By::LastGoodRules => notices.push(
            "The rules that are there now cannot be used. Nothing is approved; this digest goes by the last good ones."
                .to_owned(),
        ),
        By::Settings => notices.push(
            "No rules are in force. Nothing is approved; this digest goes by patwarden's settings."
                .to_owned(),
        ),
    }
    if let Some(due) = day.late {
        notices.push(format!(
            "This digest was due {} and comes late. It holds everything since {}.",
            moment(day, due),
            moment(day, day.since)
        ));
    }
    if day.is_quiet() {
        notices.push(format!(
            "All quiet: nothing waits, nothing is broken. {} decided since {}. This mail comes once a week while there \
             is nothing to say.",
            day.decided.all(),
            moment(day, day.since)
        ));
    }
    if detail == Detail::Minimal {
        notices.push("Names, reasons and repositories are left out of this mail.".to_owned());
    }
    notices
}

fn footer(day: &Day, detail: Detail) -> Vec<String> {
    let mut footer = Vec::new();
    let without = day.without_address.len();
    if without > 0 {
        let whom = match detail {
            Detail::Full => names(day.without_address.iter().map(|login| login.as_str()), 20),
            Detail::Minimal => many(without as u64, "person"),
        };
        footer.push(format!(
            "Not reached, for want of an address: {whom}. An operator adds them to [addresses] in patwarden's settings."
        ));
    }
    let by = match day.by {
        By::Rules | By::LastGoodRules => format!("[digest] of the rules of {}", day.organization),
        By::Settings => "its settings".to_owned(),
    };
    footer.push(format!(
        "patwarden sends this as {by} say{}. Nothing is decided by answering it, or by a link in it.",
        if day.by == By::Settings { "" } else { "s" }
    ));
    footer
}

fn waiting(day: &Day, detail: Detail, most: usize) -> Option<Section> {
    if day.waiting.is_none() {
        return None;
    }
    let mut items = Vec::new();
    let shown = day.waiting.shown.iter().take(most);
    match detail {
        Detail::Full => items.extend(shown.map(|one| one_waiting(day, one))),
        Detail::Minimal => {
            if let Some(oldest) = day.waiting.shown.first() {
                let age = span(day.now.duration_since(oldest.since));
                items.push(Item {
                    mark: mark(oldest.urgency),
                    head: format!(
                        "{} {} for a person, the oldest for {age}",
                        many(day.waiting.all, "request"),
                        agrees(day.waiting.all, "waits", "wait")
                    ),
                    lines: Vec::new(),
                });
            }
        }
    }
    let left = match detail {
        Detail::Full => left_out(day.waiting.all, day.waiting.shown.len().min(most)),
        Detail::Minimal => 0,
    };
    Some(Section {
        title: format!("Decide now ({}, the oldest first)", day.waiting.all),
        items,
        more: more(left, &day.pages.requests),
    })
}

fn one_waiting(day: &Day, one: &Waiting) -> Item {
    let age = span(day.now.duration_since(one.since));
    let overdue = if one.urgency == Urgency::Overdue { ", overdue" } else { "" };
    let mut lines = Vec::new();
    lines.extend(one.cautions.iter().map(|caution| {
        let words = caution.in_words(|name| line(name, NAME));
        labelled("careful", line(&words, LINE))
    }));
    if let Some(asked) = &one.asked {
        lines.push(labelled("wants", wants(day, asked, one.repositories.as_deref())));
    }
    match &one.decision {
        Some(decision) => {
            lines.extend(why(decision).into_iter().map(|text| labelled("rules", text)));
        }
        None => lines.push(labelled("rules", "have not judged it")),
    }
    if !one.note.is_empty() {
        lines.push(labelled("note", line(&one.note, QUOTED)));
    }
    let reason = one.asked.as_ref().and_then(|asked| asked.reason.as_deref()).unwrap_or_default();
    if !for_people(reason).is_empty() {
        lines.push(labelled("says", format!("\"{}\"", line(reason, QUOTED))));
    }
    if let Some(at) = one.denies_at {
        let when = moment(day, at);
        lines.push(labelled("silence", format!("denied {when}, unless somebody answers")));
    }
    let answer = one.issue.as_ref().unwrap_or(&day.pages.requests);
    lines.push(Line { kind: Kind::Link, ..labelled("answer", answer.clone()) });
    Item {
        mark: mark(one.urgency),
        head: format!(
            "{}  \"{}\"  waits {age}{overdue}",
            line(one.owner.as_str(), NAME),
            line(&one.token_name, NAME)
        ),
        lines,
    }
}

fn wants(day: &Day, asked: &TokenRequest, repositories: Option<&[String]>) -> String {
    let repositories: Option<Vec<Repository>> = repositories.map(|names| {
        names.iter().map(|name| Repository::new(RepositoryId(0), name.clone())).collect()
    });
    let until = match asked.token.expires_at {
        Some(at) => format!(", until {}", at.to_zoned(day.zone.clone()).strftime("%Y-%m-%d")),
        None => String::new(),
    };
    line(&format!("{}{until}", render::asked(asked, repositories.as_deref())), LINE)
}

/// Why rules left it to people, or what they would do if they might.
fn why(decision: &Decision) -> Vec<String> {
    let by: Vec<&str> = decision.by.iter().map(|rule| rule.as_str()).collect();
    let by = if by.is_empty() { "the default".to_owned() } else { by.join(", ") };
    let mut lines = Vec::new();
    match decision.effect {
        Effect::Approve => lines.push(format!("would approve it, by {by}")),
        Effect::Deny => {
            let reason = line(decision.reason.as_deref().unwrap_or_default(), QUOTED);
            lines.push(format!("would deny it, by {by}: {reason}"));
        }
        Effect::Escalate => {
            if let Some(near) = &decision.near_miss {
                let unmet: Vec<String> = near
                    .unmet
                    .iter()
                    .take(3)
                    .map(|unmet| {
                        let key = unmet.key.trim_start_matches("allow.");
                        format!("{key} {} (allowed: {})", unmet.found, unmet.expected)
                    })
                    .collect();
                let further = match near.unmet.len().saturating_sub(3) {
                    0 => String::new(),
                    more => format!(", and {more} more"),
                };
                lines.push(format!("closest {}: {}{further}", near.rule, unmet.join("; ")));
            }
            if !decision.by.is_empty() {
                lines.push(format!("{by} asks {}", decision.to.join(" and ")));
            }
        }
    }
    if let Some(unknown) = decision.unknown.first() {
        lines.push(format!("could not read {}: {}", unknown.fact, unknown.why));
    }
    lines.iter().map(|text| line(text, LINE)).collect()
}

fn troubles(day: &Day, detail: Detail, most: usize) -> Option<Section> {
    let one = |trouble: &Trouble| {
        let mut lines = Vec::new();
        if detail == Detail::Full && !trouble.detail.is_empty() {
            lines.push(labelled("said", line(&trouble.detail, LINE)));
        }
        if !trouble.remedy.is_empty() {
            lines.push(labelled("do", line(&trouble.remedy, LINE)));
        }
        Item { mark: Mark::Urgent, head: line(&trouble.what, LINE), lines }
    };
    let items: Vec<Item> = day.troubles.iter().take(most).map(one).collect();
    let left = left_out(day.troubles.len() as u64, items.len());
    let more = more(left, "");
    (!items.is_empty()).then(|| Section { title: "Broken or degraded".to_owned(), items, more })
}

fn outside(day: &Day, detail: Detail, most: usize) -> Option<Section> {
    if day.outside.is_none() {
        return None;
    }
    let items = match detail {
        Detail::Full => {
            let one = |one: &super::Outside| {
                let what = match &one.what {
                    OutsideWhat::Approved(who) => format!("approved by @{}", line(who, NAME)),
                    OutsideWhat::Denied(who) => format!("denied by @{}", line(who, NAME)),
                    OutsideWhat::OwnersOwn => {
                        "an owner's own, which GitHub asks nobody about".to_owned()
                    }
                    OutsideWhat::Unexplained => {
                        "has access, and no request for it is on record".to_owned()
                    }
                };
                plain(format!(
                    "{}  \"{}\"  {what} ({})",
                    line(one.owner.as_str(), NAME),
                    line(&one.token_name, NAME),
                    moment(day, one.at)
                ))
            };
            day.outside.shown.iter().take(most).map(one).collect()
        }
        Detail::Minimal => vec![plain(many(day.outside.all, "token"))],
    };
    let left = match detail {
        Detail::Full => left_out(day.outside.all, day.outside.shown.len().min(most)),
        Detail::Minimal => 0,
    };
    Some(Section {
        title: "Decided outside patwarden, and owners' own tokens".to_owned(),
        items,
        more: more(left, &day.pages.tokens),
    })
}

fn expiring(day: &Day, detail: Detail, most: usize) -> Option<Section> {
    if day.expiring.is_none() {
        return None;
    }
    let mut owners: Vec<(&str, Vec<String>)> = Vec::new();
    for one in &day.expiring.shown {
        let in_days = in_days(day.days_until(one.at));
        let said = format!("\"{}\" {in_days}", line(&one.token_name, NAME));
        match owners.iter_mut().find(|(owner, _)| *owner == one.owner.as_str()) {
            Some((_, tokens)) => tokens.push(said),
            None => owners.push((one.owner.as_str(), vec![said])),
        }
    }
    let mut shown = 0;
    let items = match detail {
        Detail::Full => owners
            .into_iter()
            .take(most)
            .map(|(owner, tokens)| {
                shown += tokens.len();
                let more = match tokens.len().saturating_sub(OF_ONE_OWNER) {
                    0 => String::new(),
                    more => format!(", and {more} more"),
                };
                let named: Vec<String> = tokens.into_iter().take(OF_ONE_OWNER).collect();
                plain(format!("{}: {}{more}", line(owner, NAME), named.join(", ")))
            })
            .collect(),
        Detail::Minimal => {
            shown = usize::MAX;
            vec![plain(format!("{} soon", expire(day.expiring.all)))]
        }
    };
    let left = left_out(day.expiring.all, shown);
    Some(Section {
        title: format!("Expires soon ({})", day.expiring.all),
        items,
        more: more(left, &day.pages.tokens),
    })
}

fn decided(day: &Day, detail: Detail, most: usize) -> Option<Section> {
    let Decided { by_rule, denials, people, cancelled, otherwise } = &day.decided;
    if day.decided.all() == 0 {
        return None;
    }
    let mut items = Vec::new();
    if day.decided.automatic() > 0 {
        let (rules, left) = match detail {
            Detail::Full => {
                let rules = by_rule.iter().take(most);
                let rules = rules.map(|one| format!("{} {}", line(&one.rule, NAME), outcomes(one)));
                (rules.collect::<Vec<_>>(), by_rule.len().saturating_sub(most))
            }
            Detail::Minimal => {
                let all = by_rule.iter().fold(RuleCount::default(), |all, one| RuleCount {
                    rule: String::new(),
                    approved: all.approved + one.approved,
                    denied: all.denied + one.denied,
                    revoked: all.revoked + one.revoked,
                });
                (vec![outcomes(&all)], 0)
            }
        };
        let more = match left {
            0 => String::new(),
            left => format!("; and {}", many(left, "more rule")),
        };
        let automatic = day.decided.automatic();
        items.push(plain(format!("{automatic} by rule: {}{more}", rules.join("; "))));
    }
    if detail == Detail::Full {
        for denial in denials.shown.iter().take(most) {
            items.push(Item {
                mark: Mark::Plain,
                head: format!(
                    "denied: {}  \"{}\"  by {}",
                    line(denial.owner.as_str(), NAME),
                    line(&denial.token_name, NAME),
                    line(&denial.rule, NAME)
                ),
                lines: vec![labelled("reason", format!("\"{}\"", line(&denial.reason, QUOTED)))],
            });
        }
    }
    let by_people: u64 = people.iter().map(|one| one.approved + one.denied).sum();
    if by_people > 0 {
        let named = people.iter().take(most).map(|one| {
            let (approved, denied) = (one.approved, one.denied);
            let count = RuleCount { approved, denied, ..RuleCount::default() };
            format!("{} ({})", line(&one.who, NAME), outcomes(&count))
        });
        let text = match detail {
            Detail::Full => named.collect::<Vec<_>>().join(", "),
            Detail::Minimal => many(people.len(), "person"),
        };
        items.push(plain(format!("{by_people} by people: {text}")));
    }
    if *cancelled > 0 {
        items.push(plain(format!("{cancelled} taken back by the requester")));
    }
    if *otherwise > 0 {
        items
            .push(plain(format!("{otherwise} otherwise: by another App, or nobody knows by whom")));
    }
    let left = match detail {
        Detail::Full => left_out(denials.all, denials.shown.len().min(most)),
        Detail::Minimal => 0,
    };
    let more = (left > 0).then(|| labelled(&format!("and {left} more denied by rules"), ""));
    Some(Section { title: format!("Decided since {}", moment(day, day.since)), items, more })
}

/// `12 approved, 1 denied`.
fn outcomes(count: &RuleCount) -> String {
    let all = [
        (count.approved, "approved"),
        (count.denied, "denied"),
        (count.revoked, "revoked at once"),
    ];
    let some = all.into_iter().filter(|(number, _)| *number > 0);
    some.map(|(number, word)| format!("{number} {word}")).collect::<Vec<_>>().join(", ")
}

fn trend(day: &Day) -> Option<Section> {
    let trend = &day.trend;
    let mut parts = Vec::new();
    if let Some(wait) = trend.median_wait {
        parts.push(format!("median wait {}", span(SignedDuration::from_secs(wait))));
    }
    let all = day.decided.all();
    if let Some(share) = (day.decided.automatic() * 100).checked_div(all) {
        parts.push(format!("{share}% automatic"));
    }
    let change = |now: i64, before: Option<i64>| match before.map(|before| now - before) {
        Some(0) | None => String::new(),
        Some(by) => format!(" ({by:+})"),
    };
    if trend.active > 0 || trend.before.is_some() {
        let before = trend.before;
        parts.push(format!(
            "{} active{}",
            many(u64::try_from(trend.active).unwrap_or_default(), "token"),
            change(trend.active, before.map(|(active, _)| active))
        ));
        parts.push(format!(
            "{} unused for {} days{}",
            trend.stale,
            super::STALE_AFTER_DAYS,
            change(trend.stale, before.map(|(_, stale)| stale))
        ));
    }
    (!parts.is_empty()).then(|| Section {
        title: "Trend".to_owned(),
        items: vec![plain(parts.join(" · "))],
        more: None,
    })
}

/// Hostile text in a line: nothing in it steers, and no address in it becomes a link by itself.
fn line(text: &str, limit: usize) -> String {
    let shown = cut(&for_people(text), limit);
    shown.replace("://", "[:]//").replace("www.", "www[.]").replace("WWW.", "WWW[.]")
}

fn labelled(label: &str, text: impl Into<String>) -> Line {
    Line { label: label.to_owned(), text: text.into(), kind: Kind::Words }
}

fn command(label: &str, text: impl Into<String>) -> Line {
    Line { kind: Kind::Command, ..labelled(label, text) }
}

fn plain(head: String) -> Item {
    Item { mark: Mark::Plain, head, lines: Vec::new() }
}

fn mark(urgency: Urgency) -> Mark {
    match urgency {
        Urgency::Overdue => Mark::Urgent,
        Urgency::InTime => Mark::Plain,
    }
}

fn names<'a>(names: impl ExactSizeIterator<Item = &'a str>, most: usize) -> String {
    let left = names.len().saturating_sub(most);
    let mut shown: Vec<String> = names.take(most).map(|name| line(name, NAME)).collect();
    if left > 0 {
        shown.push(format!("and {left} more"));
    }
    shown.join(", ")
}

fn left_out(all: u64, shown: usize) -> u64 {
    all.saturating_sub(shown as u64)
}

fn more(left: u64, page: &str) -> Option<Line> {
    (left > 0).then(|| labelled(&format!("and {left} more"), page))
}

fn moment(day: &Day, at: jiff::Timestamp) -> String {
    at.to_zoned(day.zone.clone()).strftime("%a %-d %b, %H:%M %Z").to_string()
}

fn day_of(day: &Day, at: jiff::Timestamp) -> String {
    at.to_zoned(day.zone.clone()).strftime("%a %-d %b").to_string()
}
