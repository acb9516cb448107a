//! From deliveries to requests: each stored delivery is read once, in order, in one transaction with what
//! it changes. Local work only: nothing here waits for GitHub.

use std::collections::HashMap;

use jiff::Timestamp;
use tracing::Instrument as _;

use super::{
    changes::{MOST_RUNS, RUNS_WITHIN},
    lifecycle::{Event, Heard, Outcome, State},
    record,
};
use crate::{
    audit::{self, Audit},
    clock::Clock,
    domain::{Installation, InstallationId, Login, OrganizationId, cut, for_people},
    github::{
        ChangeEvent, Changed, IssueEvent, RequestEvent, RequestEventAction, parse_change_event,
        parse_issue_event, parse_request_event,
    },
    store::{Guid, RequestKey, RequestRow, Store, StoreError, StoredDelivery, Tx, UNNAMED_EVENT},
};

/// How many deliveries share a transaction: few enough that nothing else waits long for its turn.
const AT_ONCE: i64 = 50;

/// The most transactions in a row: while more comes in than is read, requests must still be worked on.
const TURNS: usize = 20;

/// What was read.
#[derive(Default)]
pub(super) struct Ingested {
    /// There was something to be read.
    pub(super) some: bool,
    /// There is more to be read.
    pub(super) more: bool,
    /// Something was said of where the App is installed. A webhook is no proof of that: GitHub is to be asked.
    pub(super) look_around: bool,
}

/// What a delivery says.
enum Said {
    /// Something of a request.
    Request(RequestEvent),
    /// Something of a pull request, or of the check of one.
    Change(ChangeEvent),
    /// Something of an issue, perhaps an answer; what, is read where it stands.
    Issue(IssueEvent),
    /// Something of where the App is installed; what, is not believed anyway.
    Installation,
    /// Why it cannot be understood.
    Unclear(String),
    /// Nothing that concerns us.
    Nothing,
}

/// Where each organization's App is, as far as this transaction has read it.
type Known = HashMap<OrganizationId, (InstallationId, Login)>;

/// Reads deliveries that were not read yet.
pub(super) async fn ingest(
    store: &Store,
    clock: &Clock,
    audit: &Audit,
    counts: impl Fn(&Login) -> bool,
) -> Result<Ingested, StoreError> {
    let (mut some, mut look_around) = (false, false);
    for _ in 0..TURNS {
        let read = store.unprocessed(AT_ONCE).await?;
        let Some(last) = read.deliveries.last().map(|delivery| delivery.seq) else {
            return Ok(Ingested { some, more: false, look_around });
        };
        some = true;
        // Before the turn to write is taken: others wait for it.
        let said: Vec<_> = (read.deliveries.into_iter())
            .map(|one| {
                let span = tracing::info_span!("delivery", delivery = %Guid(&one.guid));
                (span, one.seq, said(&one), one.event)
            })
            .collect();
        let now = clock.now();
        let mut tx = store.begin().await?;
        if !tx.processed(read.after, last).await? {
            // Another process was first.
            continue;
        }
        let (mut entries, mut known) = (Vec::new(), Known::new());
        for (span, seq, said, event) in said {
            match said {
                // Whoever installs the App elsewhere is not served, and not even kept in mind.
                Said::Request(event) if !counts(&event.organization.login) => {}
                Said::Request(event) => {
                    look_around |= !note_where(&mut tx, &mut known, &event, now).await?;
                    let told = apply(&mut tx, event, now).instrument(span.clone()).await?;
                    entries.extend(told.into_iter().map(|entry| (span.clone(), entry)));
                }
                Said::Change(event) => note_change(&mut tx, &event, now).await?,
                Said::Issue(event) => {
                    let at = (event.repository, event.number);
                    if let Some(meddled) = event.meddled {
                        tx.note_meddling(at, meddled, now).await?;
                    }
                    tx.look_at_issue(event.repository, event.number, now).await?;
                }
                Said::Installation => look_around = true,
                Said::Unclear(why) => {
                    not_understood(&mut tx, seq, &event, &why, now).instrument(span).await?;
                }
                Said::Nothing => {}
            }
        }
        crate::crash::point("ingest-written");
        tx.commit().await?;
        crate::crash::point("ingest-committed");
        for (span, entry) in entries {
            span.in_scope(|| audit.write(entry));
        }
    }
    Ok(Ingested { some, more: true, look_around })
}

/// Whether deliveries of an event are read at all: those that nobody reads need not be asked for when they fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// They are.
    Always,
    /// Where they are about a repository with rules.
    OfRules,
    /// Where they are about an issue in which people are asked.
    OfReviewers,
    /// They are not, or only wake somebody who looks every few minutes anyway.
    Never,
}

/// Whether deliveries of this event are read by [`ingest`].
pub(super) fn reads(event: &str) -> Reads {
    match event {
        "personal_access_token_request" | "installation" => Reads::Always,
        "pull_request" | "check_run" | "check_suite" => Reads::OfRules,
        "issue_comment" | "issues" => Reads::OfReviewers,
        _ => Reads::Never,
    }
}

fn said(delivery: &StoredDelivery) -> Said {
    match delivery.event.as_str() {
        "personal_access_token_request" => {
            parse_request_event(&delivery.body).map_or_else(Said::Unclear, Said::Request)
        }
        "pull_request" | "check_run" | "check_suite" => {
            parse_change_event(&delivery.body).map_or_else(Said::Unclear, Said::Change)
        }
        "issue_comment" | "issues" => {
            parse_issue_event(&delivery.body).map_or_else(Said::Unclear, Said::Issue)
        }
        "installation" => Said::Installation,
        UNNAMED_EVENT => Said::Unclear(
            "it did not come with exactly one X-GitHub-Event: does a proxy change headers?".into(),
        ),
        _ => Said::Nothing,
    }
}

async fn note_change(tx: &mut Tx, event: &ChangeEvent, now: Timestamp) -> Result<(), StoreError> {
    match &event.what {
        Changed::PullRequest(number) => tx.note_change(event.repository, *number, now).await,
        Changed::Again(commit) => {
            // Whoever asks without end costs nothing before the hour is over.
            let since = now.saturating_sub(RUNS_WITHIN).unwrap_or(now);
            let lately = tx.runs_of(event.repository, commit, since).await?;
            let due = lately.full_until(MOST_RUNS, RUNS_WITHIN).unwrap_or(now).max(now);
            tx.check_again(event.repository, commit, due, now).await
        }
        Changed::Nothing => Ok(()),
    }
}

async fn not_understood(
    tx: &mut Tx,
    seq: i64,
    event: &str,
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let why = cut(&for_people(why), 300);
    tracing::warn!(seq, event, why, "a delivery was not understood; it is kept");
    tx.could_not_read(seq, event, &why, now).await
}

/// Notes the installation that a webhook names for an organization of which none is known. Gives whether it is
/// the one that is known: what is known is changed by what GitHub lists only, or a forged webhook could have
/// us look at another organization's grants.
async fn note_where(
    tx: &mut Tx,
    known: &mut Known,
    event: &RequestEvent,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(id) = event.installation else { return Ok(true) };
    let organization = &event.organization;
    if !known.contains_key(&organization.id)
        && let Some(row) = tx.installation(organization.id).await?
    {
        known.insert(organization.id, (row.id, row.organization.login));
    }
    if let Some((known, login)) = known.get(&organization.id) {
        return Ok(*known == id && *login == organization.login);
    }
    let installation = Installation { id, organization: organization.clone(), suspended: false };
    tx.note_installation(&installation, now).await?;
    known.insert(organization.id, (id, organization.login.clone()));
    Ok(false)
}

async fn apply(
    tx: &mut Tx,
    event: RequestEvent,
    now: Timestamp,
) -> Result<Vec<audit::Entry>, StoreError> {
    let key = RequestKey { organization: event.organization.id, request: event.id };
    let row = tx.request(key).await?.unwrap_or_else(|| first_heard_of(&event, now));
    let in_doubt = row.in_doubt.map(|doubt| doubt.verdict);
    let heard = |outcome| Event::Heard { outcome, who: who(&event), in_doubt };
    let what = match event.action {
        RequestEventAction::Created => Event::Woken,
        RequestEventAction::Approved => heard(Outcome::Approved),
        RequestEventAction::Denied => heard(Outcome::Denied),
        RequestEventAction::Cancelled => heard(Outcome::Cancelled),
    };
    let woken = matches!(what, Event::Woken);
    let happened = record::happen_to(tx, row, &what, now, |row| {
        row.organization.login = event.organization.login.clone();
        row.token_id = row.token_id.or(event.token_id);
        // A `created` for what was judged and left alone: it may have been edited. Look.
        if woken && matches!(row.state, State::Waiting | State::Escalated | State::Held) {
            row.due_at = Some(now);
        }
    })
    .await?;
    Ok(happened.entries)
}

fn who(event: &RequestEvent) -> Heard {
    match &event.sender {
        Some(sender) if sender.is_bot => Heard::Bot(sender.login.clone()),
        // The name that GitHub gives where it names nobody.
        Some(sender) if sender.login == "ghost" => Heard::Nobody,
        Some(sender) => Heard::Person(sender.login.clone()),
        None => Heard::Nobody,
    }
}

fn first_heard_of(event: &RequestEvent, now: Timestamp) -> RequestRow {
    let name = event.token_name.clone().unwrap_or_default();
    let (organization, owner) = (event.organization.clone(), event.owner.clone());
    let row = RequestRow::new(organization, event.id, owner, name, now);
    RequestRow { token_id: event.token_id, ..row }
}
