//! `[default]`, `[reviewers.ID]`, `[revoke.ID]`, `[waiver.ID]` and `[digest]`: what one file says of each.

use std::ops::Range;

use jiff::{ToSpan, civil::Date};
use toml::de::DeValue;

use super::{
    conditions::{self, SELECTIONS},
    permissions,
    reader::{Reader, Value, entries, shown, suggestion},
    rule_tables::{check_id, groups, reason},
};
use crate::{
    domain::{Login, Role},
    rules::{
        diagnostic::{Code, Diagnostic, Place},
        policy::{
            Default, Detail, DigestBlock, Finally, FinallyDecision, MayDecide, Next, Notify,
            Reviewers, Revocation, Schedule, Waiver,
        },
        quantity::Span,
        reason::Template,
        rule::{Part, Verb},
        window,
    },
};

/// `[default]` with the places of its groups.
#[derive(Debug)]
pub(crate) struct DraftDefault {
    pub(crate) deny: bool,
    pub(crate) reason: Option<(Template, Place)>,
    pub(crate) to: Vec<(String, Place)>,
}

impl DraftDefault {
    pub(crate) fn finish(self) -> Default {
        Default {
            deny: self.deny,
            reason: self.reason.map(|(template, _)| template),
            to: self.to.into_iter().map(|(group, _)| group).collect(),
        }
    }
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
    if !has_to {
        reader.missing(
            span.clone(),
            "`default` has no `to`",
            "name who is asked when no rule names reviewers, such as `to = \"owners\"`",
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
    Some(DraftDefault { deny: deny?, reason: text, to })
}

/// A group of reviewers with the places of what it names.
#[derive(Debug)]
pub(crate) struct DraftReviewers {
    pub(crate) reviewers: Reviewers,
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
            "remind_every" => group.remind_every = positive(reader, value, &path),
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
    Some(DraftReviewers { reviewers: group, place, next: next_place })
}

fn may_decide(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> MayDecide {
    let mut may = MayDecide::default();
    reader.table(value, path, &["teams", "roles"], |reader, key, _, value| {
        let path = format!("{path}.{key}");
        if key == "teams" {
            may.teams = conditions::teams(reader, value, &path);
        } else {
            may.roles = conditions::words(reader, value, &path, &[("owner", Role::Owner)]);
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
            after = positive(reader, value, &path);
        } else {
            to = reader.string(value, &path).map(str::to_owned);
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
                "after" => after = positive(reader, value, &path),
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

fn positive(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<Span> {
    let span = reader.span(value, path)?;
    if span.seconds() > 0 {
        return Some(span);
    }
    reader.error(Code::BadDuration, value.span(), format!("`{path}` must be longer than nothing"));
    None
}

fn notify(reader: &mut Reader<'_>, text: &str, span: Range<usize>) -> Option<Notify> {
    let help = "`issue:organization/repository`, `email:owners`, `email:a-team` or `email:somebody@example.org`";
    let notify = match text.split_once(':') {
        Some(("issue", repository)) => match repository.split_once('/') {
            Some((organization, repository)) if name(organization) && name(repository) => {
                Some(Notify::Issue {
                    organization: organization.to_owned(),
                    repository: repository.to_owned(),
                })
            }
            _ => None,
        },
        Some(("email", address)) if recipient(address) => Some(Notify::Email(address.to_owned())),
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

/// `owners`, a team, or an address: plain enough that no header of a mail can be forged with it.
fn recipient(text: &str) -> bool {
    match text.split_once('@') {
        Some((user, host)) => {
            let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
            !user.is_empty() && user.chars().all(fine) && name(host) && host.contains('.')
        }
        None => text.split('/').count() <= 2 && text.split('/').all(name),
    }
}

const EVENTS: &[(&str, &str)] = &[
    ("organization.member_removed", "organization.member_removed"),
    ("membership.removed", "membership.removed"),
];

pub(crate) fn revocation(
    reader: &mut Reader<'_>,
    id: &str,
    span: Range<usize>,
    value: &Value<'_>,
) -> Option<Revocation> {
    check_id(reader, id, &span);
    let path = format!("revoke.{id}");
    let mut when = serde_json::Map::new();
    let mut on = Vec::new();
    let (mut grace, mut max_per_run, mut max_share) = (None, None, None);
    let mut seen = Vec::new();
    let keys = ["when", "on", "grace", "max_per_run", "max_share"];
    let is_table = reader.table(value, &path, &keys, |reader, key, _, value| {
        let path = format!("{path}.{key}");
        seen.push(key);
        match key {
            "when" => when = revocation_when(reader, value, &path),
            "on" => {
                on = conditions::words(reader, value, &path, EVENTS)
                    .into_iter()
                    .map(str::to_owned)
                    .collect();
            }
            "grace" => grace = reader.span(value, &path),
            "max_per_run" => {
                max_per_run =
                    reader.integer(value, &path, 1..100_001).and_then(|n| u32::try_from(n).ok());
            }
            _ => max_share = share(reader, value, &path),
        }
    });
    if !is_table {
        return None;
    }
    if !seen.contains(&"when") && !seen.contains(&"on") {
        reader.missing(span.clone(), format!("`{path}` has neither `when` nor `on`"), "say which tokens: `when.unused_for = \"90d\"`, or `on = [\"organization.member_removed\"]`");
    }
    for (key, help) in [
        ("grace", "how long after the notice, such as `grace = \"14d\"`"),
        (
            "max_per_run",
            "above it nothing is revoked and the owners are asked, such as `max_per_run = 5`",
        ),
    ] {
        if !seen.contains(&key) {
            reader.missing(span.clone(), format!("`{path}` has no `{key}`"), help);
        }
    }
    Some(Revocation { when, on, grace: grace?, max_per_run: max_per_run?, max_share })
}

fn revocation_when(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
) -> serde_json::Map<String, serde_json::Value> {
    let mut when = serde_json::Map::new();
    let keys = [
        "unused_for",
        "granted_for",
        "lifetime_over",
        "no_longer_covered",
        "owner",
        "repositories",
        "repository_selection",
    ];
    if entries(value).is_some_and(|table| table.is_empty()) {
        reader.error(Code::EmptyList, value.span(), format!("`{path}` selects nothing"));
    }
    let mut others = false;
    let is_table = reader.table(value, path, &keys, |reader, key, _, value| {
        let path = format!("{path}.{key}");
        match key {
            "unused_for" | "granted_for" | "lifetime_over" => {
                reader.days(value, &path);
            }
            "no_longer_covered" => {
                if reader.boolean(value, &path) == Some(false) {
                    let help = "leave the key out instead".to_owned();
                    reader.error_help(
                        Code::BadValue,
                        value.span(),
                        format!("`{path}` can only be true"),
                        Some(help),
                    );
                }
            }
            _ => others = true,
        }
        when.insert(key.to_owned(), json(value.get_ref()));
    });
    if is_table && others {
        // The conditions of rules, read as a deny rule's would be; what this block alone knows is known above.
        for key in ["owner", "repositories", "repository_selection"] {
            if let Some((span, value)) = entry(value, key) {
                conditions::read_one(reader, key, span, value, path, Part::When, Verb::Deny);
            }
        }
    }
    when
}

fn entry<'v, 'i>(value: &'v Value<'i>, name: &str) -> Option<(Range<usize>, &'v Value<'i>)> {
    let mut entries = entries(value)?.iter();
    entries.find(|(key, _)| &**key.get_ref() == name).map(|(key, value)| (key.span(), value))
}

fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => serde_json::Value::from(&**text),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().into()
        }
        DeValue::Float(number) => number.as_str().into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Datetime(at) => at.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let entries =
                table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())));
            serde_json::Value::Object(entries.collect())
        }
    }
}

fn share(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<u8> {
    let text = reader.string(value, path)?;
    let number = text.strip_suffix('%').and_then(|number| number.parse::<u8>().ok());
    let share = number.filter(|share| (1..=100).contains(share));
    if share.is_none() {
        let message = format!("`{path}` must be from \"1%\" to \"100%\"");
        reader.error(Code::BadValue, value.span(), message);
    }
    share
}

/// A waiver with the place of the rule it names.
#[derive(Debug)]
pub(crate) struct DraftWaiver {
    pub(crate) waiver: Waiver,
    pub(crate) place: Place,
}

const MAX_WAIVER_DAYS: i32 = 180;

pub(crate) fn waiver(
    reader: &mut Reader<'_>,
    id: &str,
    span: Range<usize>,
    value: &Value<'_>,
) -> Option<DraftWaiver> {
    check_id(reader, id, &span);
    let path = format!("waiver.{id}");
    let (mut rule, mut owner, mut record) = (None, None, None);
    let (mut granted, mut until): (Option<Date>, Option<(Date, Range<usize>)>) = (None, None);
    let (mut max_permissions, mut max_lifetime, mut max_selection) = (None, None, None);
    let mut seen = Vec::new();
    let keys = ["rule", "owner", "granted", "until", "record", "max"];
    let is_table = reader.table(value, &path, &keys, |reader, key, _, value| {
        let path = format!("{path}.{key}");
        seen.push(key);
        match key {
            "rule" => {
                rule = reader
                    .string(value, &path)
                    .map(|text| (text.to_owned(), reader.place(value.span())))
            }
            "owner" => owner = login(reader, value, &path),
            "granted" => granted = reader.date(value, &path),
            "until" => until = reader.date(value, &path).map(|date| (date, value.span())),
            "record" => record = reader.string(value, &path).map(str::to_owned),
            _ => {
                reader.table(
                    value,
                    &path,
                    &["permissions", "lifetime", "repository_selection"],
                    |reader, key, _, value| {
                        let path = format!("{path}.{key}");
                        match key {
                            "permissions" => {
                                max_permissions = Some(permissions::bound(reader, value, &path))
                            }
                            "lifetime" => max_lifetime = reader.days(value, &path),
                            _ => {
                                let word = reader.string(value, &path);
                                max_selection = word.and_then(|word| {
                                    reader.word(word, value.span(), &path, SELECTIONS)
                                });
                            }
                        }
                    },
                );
            }
        }
    });
    if !is_table {
        return None;
    }
    for key in ["rule", "owner", "granted", "until", "record", "max"] {
        if !seen.contains(&key) {
            let help =
                "a waiver names its rule, its owner, its days, its record, and the most it covers";
            reader.missing(span.clone(), format!("`{path}` has no `{key}`"), help);
        }
    }
    if let (Some(granted), Some((until, span))) = (granted, &until) {
        let last = granted.saturating_add(MAX_WAIVER_DAYS.days());
        if *until < granted {
            reader.error(Code::BadValue, span.clone(), "the waiver ends before it begins");
        } else if *until > last {
            let help = format!("at most until {last}");
            let message =
                format!("a waiver ends at most {MAX_WAIVER_DAYS} days after it was granted");
            reader.error_help(Code::WaiverTooLong, span.clone(), message, Some(help));
        }
    }
    let (rule, place) = rule?;
    let waiver = Waiver {
        rule,
        owner: owner?,
        granted: granted?,
        until: until?.0,
        record: record?,
        max_permissions,
        max_lifetime,
        max_repository_selection: max_selection,
    };
    Some(DraftWaiver { waiver, place })
}

fn login(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<Login> {
    let text = reader.string(value, path)?;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.len() <= 100 && text.chars().all(fine) {
        return Some(Login::new(text));
    }
    let help = "a waiver is for one login, without globs".to_owned();
    reader.error_help(
        Code::BadName,
        value.span(),
        format!("`{}` is not a login", shown(text)),
        Some(help),
    );
    None
}

pub(crate) fn digest(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    span: Range<usize>,
) -> Option<DigestBlock> {
    let (mut to, mut at, mut cron, mut zone) = (Vec::new(), None, None, None);
    let mut detail = Detail::default();
    let mut seen = Vec::new();
    let before = reader.diagnostics.len();
    let keys = ["to", "at", "cron", "timezone", "detail"];
    let is_table = reader.table(value, "digest", &keys, |reader, key, _, value| {
        let path = format!("digest.{key}");
        seen.push(key);
        match key {
            "to" => {
                for (text, span) in reader.one_or_more(value, &path) {
                    if recipient(text) {
                        to.push(text.to_owned());
                    } else {
                        let help = "`owners`, a team, or an address".to_owned();
                        reader.error_help(
                            Code::BadName,
                            span,
                            format!("`{}` cannot be a recipient", shown(text)),
                            Some(help),
                        );
                    }
                }
            }
            "at" => at = daily(reader, value, &path),
            "cron" => cron = schedule(reader, value, &path),
            "timezone" => zone = conditions::timezone(reader, value, &path).map(|(name, _)| name),
            _ => {
                let words = [("full", Detail::Full), ("minimal", Detail::Minimal)];
                if let Some(text) = reader.string(value, &path)
                    && let Some(word) = reader.word(text, value.span(), &path, &words)
                {
                    detail = word;
                }
            }
        }
    });
    if !is_table || reader.diagnostics.len() > before {
        return None;
    }
    if !seen.contains(&"to") {
        reader.missing(span.clone(), "`digest` has no `to`", "such as `to = [\"owners\"]`");
    }
    match (at, cron, zone) {
        (Some((minute, timezone)), None, None) => {
            Some(DigestBlock { to, schedule: Schedule::Daily { minute }, timezone, detail })
        }
        (None, Some(cron), Some(timezone)) => {
            Some(DigestBlock { to, schedule: Schedule::Cron(cron), timezone, detail })
        }
        (Some(_), ..) => {
            let message = "`digest.at` already says when and in which zone";
            reader.error(Code::BadValue, span, message);
            None
        }
        _ => {
            let help = "`at = \"08:00 Europe/Vienna\"`, or `cron` with `timezone`";
            reader.missing(span, "`digest` does not say when", help);
            None
        }
    }
}

fn daily(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<(u16, String)> {
    let text = reader.string(value, path)?;
    let parts = text.split_once(' ');
    let minute = parts.and_then(|(clock, _)| window::minute_of_day(clock)).filter(|m| *m < 24 * 60);
    let Some((minute, (_, zone))) = minute.zip(parts) else {
        let help = "such as `at = \"08:00 Europe/Vienna\"`".to_owned();
        let message = format!("`{}` is not a time and a zone", shown(text));
        reader.error_help(Code::BadValue, value.span(), message, Some(help));
        return None;
    };
    match jiff::tz::TimeZoneDatabase::bundled().get(zone) {
        Ok(_) => Some((minute, zone.to_owned())),
        Err(_) => {
            let zones: Vec<_> =
                jiff::tz::TimeZoneDatabase::bundled().available().map(|z| z.to_string()).collect();
            let known: Vec<_> = zones.iter().map(String::as_str).collect();
            let help = suggestion(zone, &known);
            reader.error_help(
                Code::BadName,
                value.span(),
                format!("there is no time zone `{}`", shown(zone)),
                help,
            );
            None
        }
    }
}

/// Five fields of cron; a minute and an hour that are one number each make it once a day at most.
fn schedule(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<String> {
    let text = reader.string(value, path)?;
    let fields: Vec<_> = text.split_ascii_whitespace().collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | ',' | '-' | '/');
    if fields.len() != 5 || !fields.iter().all(|field| field.chars().all(plain)) {
        let help = "minute, hour, day of the month, month, day of the week, such as `0 8 * * 1-5`"
            .to_owned();
        reader.error_help(
            Code::BadValue,
            value.span(),
            format!("`{path}` must have the five fields of cron"),
            Some(help),
        );
        return None;
    }
    let number = |field: Option<&&str>, most: u8| {
        field.and_then(|f| f.parse::<u8>().ok()).is_some_and(|n| n <= most)
    };
    if !number(fields.first(), 59) || !number(fields.get(1), 23) {
        let mut diagnostic = Diagnostic::new(
            Code::TooOften,
            reader.place(value.span()),
            "a digest goes out at most once a day",
        );
        diagnostic.help = Some("give one minute and one hour, such as `0 8 * * 1-5`".to_owned());
        reader.report(diagnostic);
        return None;
    }
    Some(text.to_owned())
}
