//! After an approval: is the access that was given what was decided? If it is wider, it is taken back.
//!
//! The one revocation that nobody confirmed, and the only one there ever is.

use tracing::Instrument as _;

use super::{
    judge::{self, Fit},
    lifecycle::{Event, State},
    record,
    worker::{Stop, Worker, after, backoff, next_look, span_of},
};
use crate::{
    audit,
    domain::{Grant, GrantId, RepositorySelection, TokenId},
    github::{CallError, Read},
    store::{DecisionRow, EffectKind, InstallationRow, NewEffect, RequestRow, StoreError},
};

impl Worker<'_> {
    /// Compares each grant with its decision: one list of grants for up to fifty, and the repositories of
    /// those whose decision rested on them.
    pub(super) async fn check(
        &self,
        installation: &InstallationRow,
        read: &Read,
        rows: Vec<RequestRow>,
    ) -> Result<(), Stop> {
        if rows.is_empty() {
            return Ok(());
        }
        let tokens: Vec<TokenId> = rows.iter().filter_map(|row| row.token_id).collect();
        let grants = match read.grants_of(&installation.organization, &tokens).await {
            Ok(grants) => grants,
            Err(error) => return self.failed(installation.id, &rows, &error).await,
        };
        for row in rows {
            if self.engine.is_stopping() {
                break;
            }
            let grant = match row.token_id.map(|token| grants.of(token)).transpose() {
                Ok(grant) => grant.flatten(),
                Err(error) => {
                    self.failed(installation.id, std::slice::from_ref(&row), &error).await?;
                    continue;
                }
            };
            let span = span_of(&row);
            match row.state {
                State::Revoking => self.revoke(installation, row, grant).instrument(span).await?,
                _ => self.compare(installation, read, row, grant).instrument(span).await?,
            }
        }
        Ok(())
    }

    async fn compare(
        &self,
        installation: &InstallationRow,
        read: &Read,
        row: RequestRow,
        grant: Option<&Grant>,
    ) -> Result<(), Stop> {
        let Some(decision) = self.approval_of(&row).await? else {
            tracing::error!(request = %row.id, "approved by us, and the decision is not in the record");
            let (mut tx, now) = (self.begin().await?, self.engine.clock.now());
            self.postpone(&mut tx, row.key(), "the decision is not in the record", now).await?;
            return Ok(tx.commit().await?);
        };
        let decided_repositories = decision.facts.repositories.value().map(Vec::as_slice);
        let fit = match grant {
            None => None,
            Some(grant) => {
                let asked_which = decided_repositories.is_some();
                let granted = if asked_which
                    && grant.repository_selection == RepositorySelection::Subset
                {
                    match read.grant_repositories(&installation.organization, grant.id).await {
                        Ok(repositories) => Some(repositories),
                        // Revoked or cut down between the two calls: look again.
                        Err(CallError::NotFound) => return self.look_again(&row, None).await,
                        Err(error) => return self.failed(installation.id, &[row], &error).await,
                    }
                } else {
                    None
                };
                Some(judge::compare(
                    &decision.request,
                    decided_repositories,
                    grant,
                    granted.as_deref(),
                ))
            }
        };
        // A changed token keeps its old access until the list catches up: that is not what was approved now,
        // whether it is wider or narrower. Believed only when it stays so.
        let outdated =
            grant.is_some_and(|grant| grant.access_granted_at < decision.request.created_at);
        if outdated && next_look(&row).is_some() {
            return self.look_again(&row, fit).await;
        }
        match (fit, grant) {
            (Some(Fit::More), Some(grant)) => self.wider(installation, row, &decision, grant).await,
            (Some(Fit::Same), _) => {
                self.checked(&row, &Event::GrantFits, "").await.map_err(Stop::from)
            }
            (fit, _) => self.look_again(&row, fit).await,
        }
    }

    /// The list may lag behind the approval. After the last look it counts as what it is: no more than was
    /// decided.
    async fn look_again(&self, row: &RequestRow, fit: Option<Fit>) -> Result<(), Stop> {
        let Some(wait) = next_look(row) else {
            let (event, note) = match fit {
                None => (
                    Event::GrantMissing,
                    "ALARM: approved, and its access was not to be seen afterwards: compare it by hand",
                ),
                Some(_) => {
                    (Event::GrantFits, "approved; its access is narrower than what was decided")
                }
            };
            if fit.is_none() {
                // GitHub said yes, and nothing shows what that allows: somebody must look.
                let now = self.engine.clock.now();
                let alarm = audit::Event::Alarm { what: note.to_owned() };
                self.engine.audit.write(record::entry(row, alarm, now));
                self.engine.call_for_people(row, &[]);
            }
            return Ok(self.checked(row, &event, note).await?);
        };
        let now = self.engine.clock.now();
        let again = row.state_since.saturating_add(wait).unwrap_or(now).max(after(now, 1));
        let mut tx = self.begin().await?;
        record::happen(&mut tx, row.key(), &Event::Woken, now, |row| {
            if matches!(row.state, State::Checking) {
                row.looks += 1;
                row.due_at = Some(again);
            }
        })
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn checked(&self, row: &RequestRow, event: &Event, note: &str) -> Result<(), StoreError> {
        let now = self.engine.clock.now();
        let mut tx = self.begin().await?;
        let happened =
            record::happen(&mut tx, row.key(), event, now, |row| row.note = note.to_owned())
                .await?;
        crate::crash::point("check-written");
        tx.commit().await?;
        crate::crash::point("check-committed");
        self.tell(happened);
        Ok(())
    }

    async fn wider(
        &self,
        installation: &InstallationRow,
        row: RequestRow,
        decision: &DecisionRow,
        grant: &Grant,
    ) -> Result<(), Stop> {
        let now = self.engine.clock.now();
        let what = "approved for less than it asks by now: edited between our look and our answer; being revoked";
        let mut tx = self.begin().await?;
        let happened = record::happen(&mut tx, row.key(), &Event::GrantIsWider, now, |row| {
            row.note = what.to_owned();
        })
        .await?;
        let revocation = NewEffect {
            fingerprint: &decision.fingerprint,
            kind: EffectKind::Revoke,
            decision_id: Some(decision.id),
            review_id: None,
            target_id: grant.id.0,
            reason: "",
        };
        tx.record_effect(row.key(), &revocation, now).await?;
        tx.commit().await?;
        crate::crash::point("revoke-recorded");
        let alarm = audit::Event::Alarm { what: what.to_owned() };
        self.engine.audit.write(record::entry(&row, alarm, now));
        // What was revoked must stand as such in the record: were it something else by now, nothing is sent.
        let revoking =
            happened.as_ref().is_some_and(|now| matches!(now.row.state, State::Revoking));
        self.tell(happened);
        if revoking { self.revoke(installation, row, Some(grant)).await } else { Ok(()) }
    }

    async fn revoke(
        &self,
        installation: &InstallationRow,
        row: RequestRow,
        grant: Option<&Grant>,
    ) -> Result<(), Stop> {
        let key = row.key();
        // A list may lag and not show the grant: we know its id, and GitHub says when it is gone.
        let effects = self.engine.store.effects(key).await?;
        let recorded = effects.iter().rfind(|effect| effect.kind == EffectKind::Revoke);
        let target =
            grant.map(|grant| grant.id).or(recorded.map(|effect| GrantId(effect.target_id)));
        let Some(target) = target else {
            return Ok(self.checked(&row, &Event::Revoked, REVOKED).await?);
        };
        let write = match self.engine.clients.write(installation.id) {
            Ok(write) => write,
            Err(error) => return self.failed(installation.id, &[row], &error).await,
        };
        write.my_turn().await;
        let now = self.engine.clock.now();
        let mut tx = self.begin().await?;
        tx.effect_sent(key, now).await?;
        tx.commit().await?;
        let attempt = recorded.map_or(0, |effect| effect.attempts) + 1;
        let sending = audit::Event::Sending { effect: "revoke", attempt };
        self.engine.audit.write(record::entry(&row, sending, now));
        match write.revoke(&installation.organization, target).await {
            Ok(()) => Ok(self.checked(&row, &Event::Revoked, REVOKED).await?),
            // Not to be found where the list shows it: look again. GitHub also says 404 for "you may not".
            Err(CallError::NotFound) if grant.is_none() => {
                Ok(self.checked(&row, &Event::Revoked, REVOKED).await?)
            }
            Err(error @ CallError::RateLimited { .. }) => {
                self.failed(installation.id, &[row], &error).await
            }
            Err(error) => {
                let mut tx = self.begin().await?;
                record::happen(&mut tx, key, &Event::Woken, now, |row| {
                    row.failures += 1;
                    row.note = format!(
                        "its access is wider than decided and could not be revoked: {error}"
                    );
                    row.due_at = Some(backoff(now, row.failures));
                })
                .await?;
                tx.commit().await?;
                tracing::error!(request = %row.id, %error, "a token with more access than decided could not be revoked; tried again");
                Ok(())
            }
        }
    }

    /// The decision that was sent as an approval: the request may have been judged again while that call
    /// was under way.
    async fn approval_of(&self, row: &RequestRow) -> Result<Option<DecisionRow>, StoreError> {
        let effects = self.engine.store.effects(row.key()).await?;
        let sent = effects
            .iter()
            .filter(|effect| effect.kind == EffectKind::Approve)
            .max_by_key(|effect| effect.sent_at);
        self.readable_decision(sent.and_then(|effect| effect.decision_id).or(row.decision_id)).await
    }
}

const REVOKED: &str = "ALARM: it was edited between our look and our approval; its access was wider than decided and was revoked";
