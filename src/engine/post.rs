//! The outbox of mail is emptied: each mail is sent until a mail server, or the folder, has it.

use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::{after, or_stop};
use crate::{
    clock::Clock,
    notify::{Mail, MailError, Mailer},
    store::{MailRow, MailState, Store, StoreError},
    watch::{Counter, Tally},
};

/// How often the outbox is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How many mails are sent in a row before the outbox is looked at again.
const SENT_AT_ONCE: i64 = 20;

/// The longest pause before a mail is tried again.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(30);

/// The words for what becomes of an attempt to send a mail.
pub const MAIL_RESULTS: &[&str] = &["sent", "not_now", "refused"];

/// Sends what is in the outbox.
pub struct Post {
    store: Store,
    mailer: Mailer,
    clock: Clock,
    tally: Tally,
}

impl Post {
    /// Sends what is in the outbox of `store` by `mailer`. Nothing happens before [`Post::run`].
    #[must_use]
    pub fn new(store: Store, mailer: Mailer, clock: Clock) -> Self {
        Self { store, mailer, clock, tally: Tally::default() }
    }

    /// The same, with what becomes of mails counted there.
    #[must_use]
    pub fn counting(self, tally: Tally) -> Self {
        Self { tally, ..self }
    }

    /// Sends until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.store.due_mails(self.clock.now(), SENT_AT_ONCE).await {
                Ok(due) => {
                    for row in due {
                        if stop.is_cancelled() {
                            return;
                        }
                        if let Err(error) = self.send(row).await {
                            tracing::error!(%error, "what came of a mail could not be kept; it is sent again");
                        }
                    }
                }
                Err(error) => tracing::error!(%error, "the outbox of mail cannot be read"),
            }
            let _ = or_stop(&stop, tokio::time::sleep(LOOK_EVERY)).await;
        }
    }

    async fn send(&self, row: MailRow) -> Result<(), StoreError> {
        let sent = match row.recipient.parse() {
            Ok(to) => {
                let MailRow { key, subject, text, html, list, .. } = row.clone();
                self.mailer.send(&Mail { key, to, subject, text, html, list }).await
            }
            Err(_) => Err(MailError::Refused("the recipient is no mail address".to_owned())),
        };
        let now = self.clock.now();
        let (state, note, due_at) = match sent {
            Ok(()) => {
                self.tally.count(Counter::Mails, ["sent"]);
                (MailState::Sent, String::new(), now)
            }
            Err(error @ MailError::Refused(_)) => {
                tracing::error!(subject = row.subject, %error, "a mail will not be sent");
                self.tally.count(Counter::Mails, ["refused"]);
                (MailState::Refused, error.to_string(), now)
            }
            Err(error @ MailError::NotNow(_)) => {
                tracing::warn!(subject = row.subject, %error, "a mail was not sent; it is tried again");
                self.tally.count(Counter::Mails, ["not_now"]);
                (MailState::Waiting, error.to_string(), after(now, pause(row.attempts)))
            }
        };
        let mut tx = self.store.begin().await?;
        tx.note_mail(&row.key, state, &note, (now, due_at)).await?;
        tx.commit().await
    }
}

/// How long a mail waits that was tried so often in vain.
fn pause(attempts: i64) -> Duration {
    let seconds = 5_i64 << attempts.clamp(0, 10);
    let pause = SignedDuration::from_secs(seconds).min(LONGEST_PAUSE);
    Duration::try_from(pause).unwrap_or(LOOK_EVERY)
}
