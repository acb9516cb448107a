//! When an organization's digest goes out, and to whom: one a day, however many processes run and however often they stop.
//!
//! What came of a day and the mails of it are one transaction, and the day's row is there once. What was missed while nobody
//! ran is one digest, late. What cannot be read is tried again for a while; then the digest goes to those who are known, and
//! says who is not.

mod content;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp, civil::Date};
use tokio_util::sync::CancellationToken;

use self::content::Frame;
use super::{Desk, Engine, InForce, Policies, Recipients, RecipientsError};
use crate::{
    digest::{Day, Page, Pages, html, text},
    domain::{Login, Organization, OrganizationId},
    github::CallError,
    rules::{
        policy::{Detail, DigestBlock},
        timetable::{NoTimetable, Slot, Timetable},
    },
    store::{DigestRow, DigestState, InstallationRow, MailRow, Store, StoreError},
};

/// How often it is looked whether a digest is due.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// For how long recipients who cannot be read are waited for. Then the others have the digest, which says so.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);

/// How long an organization is left alone whose recipients or record could not be read.
const TRY_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// How long after a start rules count as broken only by the way: a repository is read first.
const SETTLING: SignedDuration = SignedDuration::from_mins(3);

/// From when on a digest says that it is late.
const LATE: SignedDuration = SignedDuration::from_mins(20);

/// After how long without a mail one says that all is quiet. A little less than a week: the hour is the digest's.
const WEEKLY: SignedDuration = SignedDuration::from_hours(7 * 24 - 12);

/// Why no digest was made.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// Neither the rules nor the settings say when and to whom.
    #[error("no digest is set up for {0}: its rules have no [digest]")]
    None(Login),
    /// The schedule is none.
    #[error(transparent)]
    Schedule(#[from] NoTimetable),
    /// Nobody knows who is to have it.
    #[error(transparent)]
    Recipients(#[from] RecipientsError),
    /// Nobody who is to have it can be reached.
    #[error("nobody who is to have the digest of {organization} has an address{}", named(without))]
    Nobody {
        /// Whose digest.
        organization: Login,
        /// Who was meant.
        without: Vec<Login>,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn named(without: &[Login]) -> String {
    let names: Vec<&str> = without.iter().take(20).map(Login::as_str).collect();
    if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
}

/// A digest as it would be now.
pub struct Preview {
    /// What is in it.
    pub day: Day,
    /// When it goes out and how much it tells.
    pub digest: DigestBlock,
    /// When the next one is due.
    pub next: Option<Timestamp>,
}

/// Who was written to.
pub struct SentDigest {
    /// The addresses.
    pub to: Vec<String>,
    /// Who has none.
    pub without_address: Vec<Login>,
}

/// The digest of an organization as it would be now. GitHub is not asked.
///
/// # Errors
/// When there is none, or the store refuses.
pub async fn preview_digest(
    store: &Store,
    policies: &Policies,
    by_settings: Option<&DigestBlock>,
    api_url: &str,
    organization: &Organization,
    now: Timestamp,
) -> Result<Preview, DigestError> {
    let in_force = policies.in_force(organization);
    let none = || DigestError::None(organization.login.clone());
    let digest = block(&in_force, by_settings).ok_or_else(none)?;
    let table = Timetable::of(&digest)?;
    let frame = Frame {
        date: table.date(now),
        now,
        zone: table.zone().clone(),
        late: None,
        pages: Pages::of(api_url, &organization.login),
        without_address: Vec::new(),
        unknown_recipients: Vec::new(),
    };
    let day = content::day(store, &in_force, organization, frame).await?;
    Ok(Preview { day, digest, next: table.after(now).map(|slot| slot.at) })
}

/// Which `[digest]` counts: that of the rules in force, which are the last good ones while those that are there cannot be
/// used; the settings', where there are none.
fn block(in_force: &InForce, by_settings: Option<&DigestBlock>) -> Option<DigestBlock> {
    match &in_force.policy {
        Some(policy) => policy.digest().cloned(),
        None => by_settings.cloned(),
    }
}

/// What one process remembers of organizations between two looks.
struct Watch {
    started_at: Timestamp,
    /// Whose recipients were looked at since the start.
    looked: HashSet<OrganizationId>,
    /// Since when recipients could not be read, and until when nobody tries again.
    failing: HashMap<OrganizationId, (Timestamp, Timestamp)>,
}

impl Engine {
    /// Sends each organization's digest at its time, until `stop`.
    pub(super) async fn keep_digests(self: Arc<Self>, stop: CancellationToken) {
        let mut watch =
            Watch { started_at: self.clock.now(), looked: HashSet::new(), failing: HashMap::new() };
        while !stop.is_cancelled() {
            match self.store.installations().await {
                Ok(installations) => {
                    for installation in installations {
                        if let Err(error) = self.see_to_digest(&mut watch, &installation).await {
                            let organization = &installation.organization.login;
                            tracing::error!(%organization, %error, "no digest was made; it is tried again");
                            let now = self.clock.now();
                            watch.left_alone(installation.organization.id, now, None);
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the store was not asked whose digest is due");
                }
            }
            tokio::select! {
                () = self.clock.sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn see_to_digest(
        &self,
        watch: &mut Watch,
        installation: &InstallationRow,
    ) -> Result<(), DigestError> {
        let organization = &installation.organization;
        let now = self.clock.now();
        // Requests first, which people wait for; and whoever is suspended is refused every list.
        if installation.suspended
            || installation.looked_at.is_none()
            || watch.failing.get(&organization.id).is_some_and(|(_, until)| *until > now)
        {
            return Ok(());
        }
        let in_force = self.policies.in_force(organization);
        if in_force.broken.is_some() && now.duration_since(watch.started_at) < SETTLING {
            return Ok(());
        }
        let Some(digest) = block(&in_force, self.options.digest.as_deref()) else { return Ok(()) };
        let table = Timetable::of(&digest)?;
        if !watch.looked.contains(&organization.id) {
            self.look_for_recipients(organization, installation, &digest).await;
            watch.looked.insert(organization.id);
        }
        let Some(slot) = table.last(now) else { return Ok(()) };
        match self.store.last_digest(organization.id, None).await? {
            None => {
                // What was due before there was anybody to send it is not late.
                self.record(organization, slot, now, DigestState::Begun, Vec::new()).await?;
                return Ok(());
            }
            Some(last) if slot.at <= last.slot_at || slot.date == last.date => return Ok(()),
            Some(_) => {}
        }
        let (recipients, unknown) = match self.known_recipients(installation, &digest).await {
            (recipients, unknown) if unknown.is_empty() => (recipients, Vec::new()),
            (recipients, unknown) => {
                let since = watch.failing.get(&organization.id).map_or(now, |(since, _)| *since);
                let may_pass = unknown.iter().any(RecipientsError::may_pass);
                if may_pass && now.duration_since(since) < PATIENCE {
                    for error in &unknown {
                        tracing::warn!(organization = %organization.login, %error, "the digest waits for its recipients");
                    }
                    watch.left_alone(organization.id, now, limited_until(&unknown));
                    return Ok(());
                }
                (recipients, unknown)
            }
        };
        let late = (now.duration_since(slot.at) > LATE).then_some(slot.at);
        let frame = self.frame(&table, (slot.date, now), late, &recipients, &unknown, organization);
        let day = content::day(&self.store, &in_force, organization, frame).await?;
        let state = self.what_comes_of(&day, &recipients, organization).await?;
        let mails = match state {
            DigestState::Sent => {
                mails(&day, &digest, &recipients, organization, &slot.date.to_string())
            }
            DigestState::Begun | DigestState::Quiet | DigestState::Nobody => Vec::new(),
        };
        match state {
            DigestState::Nobody => {
                let without = recipients.without_address.iter().cloned().collect();
                let error =
                    DigestError::Nobody { organization: organization.login.clone(), without };
                tracing::error!(%error, "a digest was not sent");
            }
            _ => {
                let (mails, date) = (mails.len(), slot.date);
                tracing::info!(organization = %organization.login, %date, mails, "the digest");
            }
        }
        // Whether it was kept by us or by another process, the day is over.
        self.record(organization, slot, now, state, mails).await?;
        watch.failing.remove(&organization.id);
        Ok(())
    }

    /// Whether the day's digest is sent.
    async fn what_comes_of(
        &self,
        day: &Day,
        recipients: &Recipients,
        organization: &Organization,
    ) -> Result<DigestState, StoreError> {
        if day.is_quiet() {
            let sent = self.store.last_digest(organization.id, Some(DigestState::Sent)).await?;
            if sent.is_some_and(|sent| day.now.duration_since(sent.made_at) < WEEKLY) {
                return Ok(DigestState::Quiet);
            }
        }
        Ok(if recipients.is_nobody() { DigestState::Nobody } else { DigestState::Sent })
    }

    /// Keeps what came of a day, and its mails: both or neither. Gives whether nobody was first.
    async fn record(
        &self,
        organization: &Organization,
        slot: Slot,
        now: Timestamp,
        state: DigestState,
        mails: Vec<MailRow>,
    ) -> Result<bool, StoreError> {
        let (active, stale) = content::tokens(&self.store, organization, now).await?;
        let row = DigestRow {
            organization: organization.id,
            date: slot.date,
            slot_at: slot.at,
            made_at: now,
            state,
            active,
            stale,
        };
        let mut tx = self.store.begin().await?;
        if !tx.record_digest(&row).await? {
            return Ok(false);
        }
        for mail in &mails {
            tx.put_mail(mail, now).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Sends the digest as it is now, beside those that go out by themselves: it is none of the day's.
    ///
    /// # Errors
    /// When there is none, a list cannot be read, or nobody can be reached.
    pub async fn send_digest(
        &self,
        installation: &InstallationRow,
    ) -> Result<SentDigest, DigestError> {
        let organization = &installation.organization;
        let in_force = self.policies.in_force(organization);
        let none = || DigestError::None(organization.login.clone());
        let digest = block(&in_force, self.options.digest.as_deref()).ok_or_else(none)?;
        let table = Timetable::of(&digest)?;
        let now = self.clock.now();
        let recipients = self.recipients(installation, &digest.to).await?;
        let without_address: Vec<Login> = recipients.without_address.iter().cloned().collect();
        if recipients.is_nobody() {
            let organization = organization.login.clone();
            return Err(DigestError::Nobody { organization, without: without_address });
        }
        let frame =
            self.frame(&table, (table.date(now), now), None, &recipients, &[], organization);
        let day = content::day(&self.store, &in_force, organization, frame).await?;
        let mails = mails(&day, &digest, &recipients, organization, &now.to_string());
        let mut tx = self.store.begin().await?;
        for mail in &mails {
            tx.put_mail(mail, now).await?;
        }
        tx.commit().await?;
        let to = mails.into_iter().map(|mail| mail.recipient).collect();
        Ok(SentDigest { to, without_address })
    }

    fn frame(
        &self,
        table: &Timetable,
        (date, now): (Date, Timestamp),
        late: Option<Timestamp>,
        recipients: &Recipients,
        unknown: &[RecipientsError],
        organization: &Organization,
    ) -> Frame {
        Frame {
            date,
            now,
            zone: table.zone().clone(),
            late,
            pages: Pages::of(&self.options.api_url, &organization.login),
            without_address: recipients.without_address.iter().cloned().collect(),
            unknown_recipients: unknown.iter().map(ToString::to_string).collect(),
        }
    }

    /// Who is to have it, each by themselves: one list that cannot be read keeps nobody else from reading.
    async fn known_recipients(
        &self,
        installation: &InstallationRow,
        digest: &DigestBlock,
    ) -> (Recipients, Vec<RecipientsError>) {
        let (mut known, mut unknown) = (Recipients::default(), Vec::new());
        for whom in &digest.to {
            match self.recipients(installation, std::slice::from_ref(whom)).await {
                Ok(recipients) => known = known.and(recipients),
                Err(error) => unknown.push(error),
            }
        }
        (known, unknown)
    }

    /// Says at start where a digest would reach nobody: by the time that it is missed, nobody would look for it.
    async fn look_for_recipients(
        &self,
        organization: &Organization,
        installation: &InstallationRow,
        digest: &DigestBlock,
    ) {
        let (known, unknown) = self.known_recipients(installation, digest).await;
        for error in unknown {
            tracing::warn!(organization = %organization.login, %error, "some who are to have the digest are not known");
        }
        let without = known.without_address.iter().cloned().collect();
        if known.is_nobody() {
            let error = DigestError::Nobody { organization: organization.login.clone(), without };
            tracing::error!(%error, "the digest would reach nobody: add people to [addresses] in the settings, or an address to `to` of [digest]");
        }
    }
}

impl Desk {
    /// As [`Engine::send_digest`].
    ///
    /// # Errors
    /// As there.
    pub async fn send_digest(
        &self,
        installation: &InstallationRow,
    ) -> Result<SentDigest, DigestError> {
        self.engine.send_digest(installation).await
    }
}

impl Watch {
    fn left_alone(
        &mut self,
        organization: OrganizationId,
        now: Timestamp,
        until: Option<Timestamp>,
    ) {
        let next = now.saturating_add(TRY_AGAIN).unwrap_or(now);
        let until = until.map_or(next, |until| until.max(next));
        self.failing.entry(organization).or_insert((now, until)).1 = until;
    }
}

fn limited_until(errors: &[RecipientsError]) -> Option<Timestamp> {
    let until = errors.iter().filter_map(|error| match error {
        RecipientsError::Unreadable { error: CallError::RateLimited { until }, .. } => Some(*until),
        _ => None,
    });
    until.max()
}

/// A mail for each who can be reached, told as much as the rules and their address allow.
fn mails(
    day: &Day,
    digest: &DigestBlock,
    recipients: &Recipients,
    organization: &Organization,
    of: &str,
) -> Vec<MailRow> {
    let mut told: Vec<(Detail, String, String, String)> = Vec::new();
    let mut mails = Vec::new();
    for recipient in recipients.reached() {
        let detail = match (digest.detail, recipient.most) {
            (Detail::Full, Detail::Full) => Detail::Full,
            _ => Detail::Minimal,
        };
        if told.iter().all(|(known, ..)| *known != detail) {
            let page = Page::of(day, detail);
            told.push((detail, text(&page), html(&page), page.subject));
        }
        let Some((_, text, html, subject)) = told.iter().find(|(known, ..)| *known == detail)
        else {
            continue;
        };
        mails.push(MailRow {
            key: format!("digest/{}/{of}/{}", organization.id, recipient.address),
            organization: organization.id,
            recipient: recipient.address.to_string(),
            subject: subject.clone(),
            text: text.clone(),
            html: html.clone(),
            list: format!("digest.{}", organization.login),
            attempts: 0,
        });
    }
    mails
}
