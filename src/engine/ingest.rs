//! From deliveries to requests: each stored delivery is read once, in order, in one transaction with what
//! it changes. Local work only: nothing here waits for GitHub.

use jiff::Timestamp;

use super::{
    lifecycle::{Event, Heard, Outcome, State},
    record,
};
use crate::{
    audit::Audit,
    clock::Clock,
    domain::{Installation, cut, for_people},
    github::{RequestEvent, RequestEventAction, parse_request_event},
    store::{RequestKey, RequestRow, Store, StoreError, StoredDelivery, Tx},
};

/// How many deliveries share a transaction: few enough that an accept never waits long for its turn.
const AT_ONCE: i64 = 50;

/// The most transactions in a row: while more comes in than is read, requests must still be worked on.
const TURNS: usize = 20;

/// What was read.
#[derive(Default)]
pub(super) struct Ingested {
    /// There is more to be read.
    pub(super) more: bool,
    /// Something was said of where the App is installed. A webhook is no proof of that: GitHub is to be asked.
    pub(super) look_around: bool,
}

/// Reads deliveries that were not read yet.
pub(super) async fn ingest(
    store: &Store,
    clock: &Clock,
    audit: &Audit,
) -> Result<Ingested, StoreError> {
    let mut look_around = false;
    for _ in 0..TURNS {
        if !store.has_unprocessed().await? {
            return Ok(Ingested { more: false, look_around });
        }
        let now = clock.now();
        let mut tx = store.begin().await?;
        let deliveries = tx.unprocessed(AT_ONCE).await?;
        let Some(last) = deliveries.last().map(|delivery| delivery.seq) else {
            return Ok(Ingested { more: false, look_around });
        };
        let mut entries = Vec::new();
        for delivery in &deliveries {
            match delivery.event.as_str() {
                "personal_access_token_request" => match parse_request_event(&delivery.body) {
                    Ok(event) => {
                        look_around |= !note_where(&mut tx, &event, now).await?;
                        entries.extend(apply(&mut tx, event, now).await?);
                    }
                    Err(why) => not_understood(&mut tx, delivery, &why, now).await?,
                },
                // Whatever it says.
                "installation" => look_around = true,
                _ => {}
            }
        }
        tx.processed_up_to(last).await?;
        crate::crash::point("ingest-written");
        tx.commit().await?;
        crate::crash::point("ingest-committed");
        for entry in entries {
            audit.write(entry);
        }
    }
    Ok(Ingested { more: true, look_around })
}

async fn not_understood(
    tx: &mut Tx,
    delivery: &StoredDelivery,
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let why = cut(&for_people(why), 300);
    let (seq, event) = (delivery.seq, &delivery.event);
    tracing::warn!(seq, event, why, "a delivery was not understood; it is kept");
    tx.could_not_read(delivery, &why, now).await
}

/// Notes the installation that a webhook names for an organization of which none is known. Gives whether it is
/// the one that is known: what is known is changed by what GitHub lists only, or a forged webhook could have
/// us look at another organization's grants.
async fn note_where(tx: &mut Tx, event: &RequestEvent, now: Timestamp) -> Result<bool, StoreError> {
    let Some(id) = event.installation else { return Ok(true) };
    match tx.installation(event.organization.id).await? {
        Some(known) => Ok(known.id == id && known.organization.login == event.organization.login),
        None => {
            let organization = event.organization.clone();
            let installation = Installation { id, organization, suspended: false };
            tx.note_installation(&installation, now).await?;
            Ok(false)
        }
    }
}

async fn apply(
    tx: &mut Tx,
    event: RequestEvent,
    now: Timestamp,
) -> Result<Vec<crate::audit::Entry>, StoreError> {
    let key = RequestKey { organization: event.organization.id, request: event.id };
    let known = tx.request(key).await?;
    if known.is_none() {
        tx.save_request(&first_heard_of(&event, now)).await?;
    }
    let in_doubt = known.and_then(|row| row.in_doubt).map(|doubt| doubt.verdict);
    let heard = |outcome| Event::Heard { outcome, who: who(&event), in_doubt };
    let what = match event.action {
        RequestEventAction::Created => Event::Woken,
        RequestEventAction::Approved => heard(Outcome::Approved),
        RequestEventAction::Denied => heard(Outcome::Denied),
        RequestEventAction::Cancelled => heard(Outcome::Cancelled),
    };
    let woken = matches!(what, Event::Woken);
    let happened = record::happen(tx, key, &what, now, |row| {
        row.organization.login = event.organization.login.clone();
        row.token_id = row.token_id.or(event.token_id);
        // A `created` for what was judged and left alone: it may have been edited. Look.
        if woken && matches!(row.state, State::Waiting | State::Escalated | State::Held) {
            row.due_at = Some(now);
        }
    })
    .await?;
    Ok(happened.map(|happened| happened.entries).unwrap_or_default())
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
