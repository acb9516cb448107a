//! The daily digest: what belongs into one organization's day, and whether there is anything to say. Pure: values in, text
//! and HTML out.
//!
//! Whatever there is, a digest stays small: each part holds a few of its things and how many there are of them.

mod page;
mod render;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use crate::{
    domain::{Login, TokenRequest, agrees, many},
    rules::{Caution, Decision, Mode},
};

pub use page::{Item, Kind, Line, Mark, Page, Section};
pub use render::{html, text};

/// The most HTML that a digest comes to, in bytes: mail readers cut off what is longer than 102 kB.
pub const MOST_HTML: usize = 100_000;

/// How many days before a token expires it is listed, the soonest first; at none of them before half of its life is over.
pub const EXPIRES_IN_DAYS: [i64; 4] = [1, 7, 14, 30];

/// After how many days without use a token counts as stale.
pub const STALE_AFTER_DAYS: i64 = 90;

/// Some of several things, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Few<T> {
    /// The first of them.
    pub shown: Vec<T>,
    /// How many there are.
    pub all: u64,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { shown: Vec::new(), all: 0 }
    }
}

impl<T> Few<T> {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.all == 0
    }
}

/// One organization's day.
#[derive(Clone, Debug, Serialize)]
pub struct Day {
    /// Whose.
    pub organization: Login,
    /// Which day, as the calendar in `zone` has it.
    pub date: Date,
    /// Up to when everything is in it.
    pub now: Timestamp,
    /// The zone in which times are shown.
    #[serde(skip)]
    pub zone: TimeZone,
    /// The digest before it held everything up to then.
    pub since: Timestamp,
    /// When it was due, where it comes late.
    pub late: Option<Timestamp>,
    /// How much is done with decisions; `None`: no rules are in force.
    pub mode: Option<Mode>,
    /// Which `[digest]` it is sent by.
    pub by: By,
    /// GitHub's own pages.
    pub pages: Pages,
    /// What people are to decide, the oldest first.
    pub waiting: Few<Waiting>,
    /// How many requests wait until somebody confirms that the rules may act on all of them.
    pub unconfirmed: u64,
    /// Which tokens standing policies take unless somebody objects, the soonest first.
    pub coming: Vec<Coming>,
    /// Runs of standing policies that wait for somebody.
    pub runs: Vec<WaitingRun>,
    /// Tokens that got more than was judged, and were revoked.
    pub alarms: Few<Alarm>,
    /// What is broken or degraded.
    pub troubles: Vec<Trouble>,
    /// What people and other Apps decided outside patwarden, and tokens that nobody asked for.
    pub outside: Few<Outside>,
    /// What expires soon.
    pub expiring: Few<Expiring>,
    /// What was decided since the last digest.
    pub decided: Decided,
    /// How things go.
    pub trend: Trend,
    /// Who is meant to read this and has no address that we know.
    pub without_address: Vec<Login>,
}

/// Which `[digest]` a digest is sent by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// That of the rules in force.
    Rules,
    /// That of the last good rules: those that are there now cannot be used.
    LastGoodRules,
    /// The settings': no rules are in force.
    Settings,
}

/// Where GitHub shows the things themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pages {
    /// All pending requests.
    pub requests: String,
    /// All tokens with access.
    pub tokens: String,
    /// Who owns it, which every member may see.
    pub owners: String,
}

impl Pages {
    /// GitHub's pages of an organization, by the address of its API.
    #[must_use]
    pub fn of(api_url: &str, organization: &Login) -> Self {
        let site = Self::site(api_url);
        let settings = format!("{site}/organizations/{organization}/settings");
        Self {
            owners: format!("{site}/orgs/{organization}/people?query=role%3Aowner"),
            requests: format!("{settings}/personal-access-token-requests"),
            tokens: format!("{settings}/personal-access-tokens"),
        }
    }

    /// Where GitHub is for people, by the address of its API: `https://github.com`, or an enterprise's own host.
    #[must_use]
    pub fn site(api_url: &str) -> String {
        let host = api_url.trim_end_matches('/').trim_end_matches("/api/v3");
        match host.split_once("://api.") {
            // api.github.com, and api.SUBDOMAIN.ghe.com.
            Some((scheme, host)) => format!("{scheme}://{host}"),
            None => host.to_owned(),
        }
    }
}

/// A request that waits for people.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    /// Its number at GitHub.
    pub request: i64,
    /// Whose token.
    pub owner: Login,
    /// The token's name: hostile text.
    pub token_name: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether it waits for too long.
    pub urgency: Urgency,
    /// What is asked; `None`: no list has shown it yet.
    pub asked: Option<TokenRequest>,
    /// The names of its repositories, where they were read.
    pub repositories: Option<Vec<String>>,
    /// What the rules say of it; `None`: no rules have judged it.
    pub decision: Option<Decision>,
    /// What weighs most in it.
    pub cautions: Vec<Caution>,
    /// What is in the way, for people.
    pub note: String,
    /// When silence denies it, if it does.
    pub denies_at: Option<Timestamp>,
    /// Where it is answered, where people are asked on an issue: GitHub's own address of that. Where they are not, it is on
    /// GitHub's page of pending requests.
    pub issue: Option<String>,
}

/// Whether something waits for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// For longer than its reviewers are to be reminded of it, or for a day.
    Overdue,
    /// Not yet.
    InTime,
}

/// Tokens that a standing policy takes on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coming {
    /// `revoke.ID`.
    pub policy: String,
    /// When the first of them is taken.
    pub at: Timestamp,
    /// How many.
    pub tokens: u64,
    /// Whose: some of them.
    pub owners: Few<Login>,
    /// Which: the first of them that are taken.
    pub named: Vec<ComingToken>,
    /// Whether using one keeps it.
    pub use_keeps: bool,
}

/// A token that a standing policy takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComingToken {
    /// Its number at GitHub.
    pub token: i64,
    /// Whose.
    pub owner: Login,
    /// Its name: hostile text.
    pub name: String,
}

/// A token that got more than was judged, and lost it at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// The number of its request.
    pub request: i64,
    /// Whose.
    pub owner: Login,
    /// Its name: hostile text.
    pub token_name: String,
    /// When it was revoked.
    pub at: Timestamp,
}

/// A run of a standing policy that waits for somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitingRun {
    /// The number of its revocation.
    pub id: i64,
    /// `revoke.ID`.
    pub policy: String,
    /// How many tokens it would take.
    pub tokens: u64,
    /// Why it waits.
    pub why: String,
    /// When it lapses.
    pub lapses: Timestamp,
}

/// Something that is broken or degraded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// What, without anybody's name in it.
    pub what: String,
    /// More of it: names, places, what was said.
    pub detail: String,
    /// What to do about it.
    pub remedy: String,
}

/// Something that was decided outside patwarden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outside {
    /// Whose token.
    pub owner: Login,
    /// Its name: hostile text.
    pub token_name: String,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: OutsideWhat,
}

/// What happened outside patwarden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "by")]
pub enum OutsideWhat {
    /// Somebody approved it in GitHub's settings.
    Approved(String),
    /// Somebody denied it there.
    Denied(String),
    /// It belongs to an owner, whom GitHub does not ask.
    OwnersOwn,
    /// It has access, and nobody knows who gave it.
    Unexplained,
}

/// A token that expires soon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expiring {
    /// Whose.
    pub owner: Login,
    /// Its name: hostile text.
    pub token_name: String,
    /// When.
    pub at: Timestamp,
}

/// What was decided since the last digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// What rules decided, by the first of them, the most first.
    pub by_rule: Vec<RuleCount>,
    /// What rules denied.
    pub denials: Few<Denial>,
    /// What people decided, wherever they did.
    pub people: Vec<PersonCount>,
    /// How many requesters took their request back.
    pub cancelled: u64,
    /// How many ended otherwise: by another App, or nobody knows by whom.
    pub otherwise: u64,
}

impl Decided {
    /// How many requests are over.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.automatic()
            + self.people.iter().map(|one| one.approved + one.denied).sum::<u64>()
            + self.cancelled
            + self.otherwise
    }

    /// How many of them rules decided.
    #[must_use]
    pub fn automatic(&self) -> u64 {
        self.by_rule.iter().map(|one| one.approved + one.denied + one.revoked).sum()
    }
}

/// What a rule decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// The rule, with its verb; `the default`.
    pub rule: String,
    /// How many it approved.
    pub approved: u64,
    /// How many it denied.
    pub denied: u64,
    /// How many of its approvals were taken back, because more was granted than was judged.
    pub revoked: u64,
}

/// What a person decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PersonCount {
    /// Who, as GitHub or the command line said.
    pub who: String,
    /// How many they approved.
    pub approved: u64,
    /// How many they denied.
    pub denied: u64,
}

/// A denial by a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// Whose token.
    pub owner: Login,
    /// Its name: hostile text.
    pub token_name: String,
    /// By which rule.
    pub rule: String,
    /// With what reason.
    pub reason: String,
}

/// How things go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trend {
    /// How long half of the decided requests waited at most, in seconds; `None`: none was decided.
    pub median_wait: Option<i64>,
    /// How many tokens have access.
    pub active: i64,
    /// How many of those nobody used for long.
    pub stale: i64,
    /// Both as the last digest had them.
    pub before: Option<(i64, i64)>,
}

impl Day {
    /// Whether there is nothing to say: nothing to decide, to object to, to mend or to know. What rules decided by
    /// themselves is no news.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.waiting.is_none()
            && self.unconfirmed == 0
            && self.coming.is_empty()
            && self.runs.is_empty()
            && self.alarms.is_none()
            && self.troubles.is_empty()
            && self.outside.is_none()
            && self.expiring.is_none()
            && self.by == By::Rules
    }

    /// How many of the shown requests wait for too long.
    fn overdue(&self) -> usize {
        self.waiting.shown.iter().filter(|one| one.urgency == Urgency::Overdue).count()
    }

    /// How many days of the calendar lie between this digest's and a moment's.
    fn days_until(&self, at: Timestamp) -> i64 {
        let then = at.to_zoned(self.zone.clone()).date();
        self.date.until(then).map_or(0, |span| i64::from(span.get_days()))
    }

    /// The one line above it.
    #[must_use]
    pub fn subject(&self) -> String {
        let mut parts = Vec::new();
        // Of several things three are said: this one is always among them.
        if self.alarms.all > 0 {
            parts.push(many(self.alarms.all, "alarm"));
        }
        if self.waiting.all > 0 {
            let overdue = match (self.overdue(), self.waiting.all) {
                (0, _) => String::new(),
                (_, 1) => " (overdue)".to_owned(),
                (some, all) if all > self.waiting.shown.len() as u64 => {
                    format!(" ({some} or more overdue)")
                }
                (some, _) => format!(" ({some} overdue)"),
            };
            parts.push(format!("{} to decide{overdue}", self.waiting.all));
        }
        if let Some(first) = self.coming.first() {
            let days = self.days_until(first.at);
            let same = self.coming.iter().filter(|one| self.days_until(one.at) == days);
            let tokens: u64 = same.map(|one| one.tokens).sum();
            parts.push(format!("{} {}", many(tokens, "revocation"), in_days(days)));
        }
        if !self.runs.is_empty() {
            parts.push(format!("{} to confirm", many(self.runs.len() as u64, "run")));
        }
        if self.unconfirmed > 0 {
            let held = many(self.unconfirmed, "request");
            parts.push(format!("{held} held for a confirmation"));
        }
        if !self.troubles.is_empty() {
            parts.push(format!("{} to mend", many(self.troubles.len() as u64, "thing")));
        }
        if parts.is_empty() {
            if self.outside.all > 0 {
                parts.push(format!("{} outside patwarden", many(self.outside.all, "token")));
            }
            if self.expiring.all > 0 {
                parts.push(format!("{} soon", expire(self.expiring.all)));
            }
        }
        if parts.is_empty() {
            parts.push(format!("all quiet: {} decided", self.decided.all()));
        }
        parts.truncate(3);
        let shadow = if self.is_shadow() { "SHADOW: " } else { "" };
        format!("[patwarden {}] {shadow}{}", self.organization, parts.join(", "))
    }

    fn is_shadow(&self) -> bool {
        self.mode == Some(Mode::Shadow)
    }
}

fn expire(number: u64) -> String {
    format!("{} {}", many(number, "token"), agrees(number, "expires", "expire"))
}

fn in_days(days: i64) -> String {
    match days {
        i64::MIN..=0 => "today".to_owned(),
        1 => "tomorrow".to_owned(),
        days => format!("in {days} d"),
    }
}

/// A span of time in one unit: `4 s`, `12 min`, `5 h`, `3 d`.
fn span(span: SignedDuration) -> String {
    match span.as_secs() {
        seconds @ ..60 => format!("{} s", seconds.max(0)),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
