//! What waits for another try because people could not be reached: it is due at once where somebody may have mended that.

use jiff::Timestamp;

use super::{Store, StoreError, Tx};
use crate::domain::OrganizationId;

impl Store {
    /// Whoever starts us may just have mended the mail server or the address book: every mail that waits for its next try, and
    /// every question that did not reach everybody, is due now. Gives how many of either. What fails again waits as long as it
    /// would have.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn reach_again(&self, now: Timestamp) -> Result<(u64, u64), StoreError> {
        let mut tx = self.begin().await?;
        let mails =
            sqlx::query("UPDATE mails SET due_at = $1 WHERE state = 'waiting' AND due_at > $1")
                .bind(now.as_millisecond())
                .execute(&mut *tx.inner)
                .await?
                .rows_affected();
        let questions = tx.ask_again(None, now).await?;
        tx.commit().await?;
        Ok((mails, questions))
    }
}

impl Tx {
    /// Every question with something in its way is asked again now: those of one organization, or all. Gives how many.
    pub(crate) async fn ask_again(
        &mut self,
        organization: Option<OrganizationId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let hastened = sqlx::query(
            "UPDATE escalations SET due_at = $2 WHERE ended_at IS NULL AND note <> '' AND due_at > $2 \
                AND ($1 IS NULL OR organization_id = $1)",
        )
        .bind(organization.map(|organization| organization.0))
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(hastened.rows_affected())
    }
}
