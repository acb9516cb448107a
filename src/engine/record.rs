//! What happened to a request, applied to its row and its outbox in one transaction.

use jiff::{SignedDuration, Timestamp};

use super::lifecycle::{Event, Outcome, SettledBy, State, Verdict};
use crate::{
    audit,
    store::{Doubt, EffectKind, EffectState, RequestKey, RequestRow, StoreError, Tx, Voice},
};

/// How long after it was begun a call may still take effect, and a list may lag behind that: pending after
/// so long, it did not. GitHub ends a call after ten seconds.
pub(super) const LANDS_WITHIN: SignedDuration = SignedDuration::from_secs(120);

/// A row as it is after an event, and what is to be told once the transaction is durable.
pub(super) struct Happened {
    pub(super) row: RequestRow,
    pub(super) entries: Vec<audit::Entry>,
}

/// Applies `event` to a request as it stands in the store now, not as somebody read it before: a webhook
/// may have come in between. `edit` sees the row with its new state and may change everything else.
///
/// Gives `None` when there is no such row.
pub(super) async fn happen(
    tx: &mut Tx,
    key: RequestKey,
    event: &Event,
    now: Timestamp,
    edit: impl FnOnce(&mut RequestRow),
) -> Result<Option<Happened>, StoreError> {
    let Some(row) = tx.request(key).await? else { return Ok(None) };
    happen_to(tx, row, event, now, edit).await.map(Some)
}

/// The same for a row that was read in this transaction, or is new.
pub(super) async fn happen_to(
    tx: &mut Tx,
    mut row: RequestRow,
    event: &Event,
    now: Timestamp,
    edit: impl FnOnce(&mut RequestRow),
) -> Result<Happened, StoreError> {
    let before = row.state.clone();
    let doubt = doubt_after(&row, event, now);
    row.in_doubt = doubt;
    row.state = before.after(event);
    if row.state != before {
        if let Some(by) = whose_word(tx, &row).await? {
            row.state = row.state.by_word_of(&by);
        }
        moved(&mut row, &before, now);
    }
    edit(&mut row);
    let mut entries = Vec::new();
    if row.state != before {
        // Unless something was judged there is nothing in the outbox.
        if row.fingerprint.is_some()
            && let Some((state, detail)) = outbox_after(&before, doubt.is_some(), &row)
        {
            tx.end_effects(row.key(), state, &detail, now).await?;
        }
        entries.extend(told(&row, now));
        // Reviewers who are asked about it are to know, whoever did it.
        tx.wake_escalation(row.key(), now).await?;
    }
    tx.save_request(&row).await?;
    Ok(Happened { row, entries })
}

/// Whose word was sent, where it was not a rule that ended a request. A webhook only names our bot, and the call that was sent
/// last is the one that did it.
async fn whose_word(tx: &mut Tx, row: &RequestRow) -> Result<Option<SettledBy>, StoreError> {
    let kind = match &row.state {
        State::Settled(Outcome::Approved, SettledBy::Rule) => EffectKind::Approve,
        State::Settled(Outcome::Denied, SettledBy::Rule) => EffectKind::Deny,
        _ => return Ok(None),
    };
    let word = tx.voice_of_last(row.key(), kind).await?;
    Ok(word.map(|(voice, who)| match voice {
        Voice::Operator => SettledBy::Operator(who),
        Voice::Reviewers => SettledBy::Reviewers(who),
        Voice::Silence => SettledBy::Silence(who),
    }))
}

/// Whether a call of ours is in doubt after `event`. It stays so whatever is judged meanwhile: a call that was
/// sent may land late.
fn doubt_after(row: &RequestRow, event: &Event, now: Timestamp) -> Option<Doubt> {
    let known = row.in_doubt.filter(|doubt| doubt.verdict == Verdict::Approve);
    let doubt = match (&row.state, event) {
        (
            State::Sent(verdict),
            Event::Pending { .. } | Event::Absent { .. } | Event::AnswerLost,
        ) => known.or(Some(Doubt { verdict: *verdict, since: row.state_since })),
        _ => row.in_doubt,
    };
    let landed_by_now = |doubt: &Doubt| now.duration_since(doubt.since) > LANDS_WITHIN;
    doubt.filter(|doubt| !(matches!(event, Event::Pending { .. }) && landed_by_now(doubt)))
}

fn moved(row: &mut RequestRow, before: &State, now: Timestamp) {
    let to_and_fro = matches!(
        (before, &row.state),
        (State::Decided(_), State::Sent(_)) | (State::Sent(_), State::Decided(_))
    );
    if !to_and_fro {
        row.failures = 0;
        row.refusals = 0;
    }
    if matches!(row.state, State::Settled(..) | State::Checking | State::Revoking) {
        row.in_doubt = None;
    }
    row.state_since = now;
    row.looks = 0;
    row.note.clear();
    row.due_at = match row.state {
        State::Escalated | State::Held | State::Settled(..) | State::Gone => None,
        // `Sent` too: the lease keeps others away while the call is under way, and whoever finds it
        // without a lease must look.
        _ => Some(now),
    };
}

/// What becomes of an unfinished effect when a request moves on.
fn outbox_after(before: &State, doubt: bool, row: &RequestRow) -> Option<(EffectState, String)> {
    let in_doubt = doubt || matches!(before, State::Sent(_));
    let unless_in_doubt = |why: &str| {
        Some(if in_doubt {
            (EffectState::Unknown, format!("{why}, and no answer to our call"))
        } else {
            (EffectState::Void, why.to_owned())
        })
    };
    match &row.state {
        State::Decided(_) | State::Sent(_) | State::Revoking => None,
        State::Checking => Some((EffectState::Applied, String::new())),
        State::Settled(_, by) if by.is_ours() => Some((EffectState::Applied, String::new())),
        State::Settled(_, by) if in_doubt => {
            Some((EffectState::Unknown, format!("settled by {by} while our call was under way")))
        }
        State::Settled(_, by) => {
            Some((EffectState::Void, format!("settled by {by} before it was sent")))
        }
        State::Gone => unless_in_doubt("no longer pending"),
        State::Waiting => unless_in_doubt("the request changed"),
        State::Escalated | State::Held => unless_in_doubt("judged again, and left to people"),
    }
}

fn told(row: &RequestRow, now: Timestamp) -> Option<audit::Entry> {
    let event = match &row.state {
        State::Settled(outcome, by) => audit::Event::Settled {
            outcome: outcome.as_str(),
            by: by.as_str(),
            actor: by.actor().map(str::to_owned),
        },
        State::Gone => audit::Event::Gone,
        _ => return None,
    };
    Some(entry(row, event, now))
}

/// An entry about a request.
pub(super) fn entry(row: &RequestRow, event: audit::Event, now: Timestamp) -> audit::Entry {
    audit::Entry {
        at: now,
        organization_id: row.organization.id,
        organization: row.organization.login.clone(),
        request_id: Some(row.id),
        owner: Some(row.owner.login.clone()),
        token: Some(row.token_name.clone()),
        event,
    }
}
