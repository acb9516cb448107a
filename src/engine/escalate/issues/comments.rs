//! Comments on an issue: written in the order of the outbox, and looked for first where a call was not answered.

use jiff::SignedDuration;

use super::round;
use crate::{
    engine::{
        escalate::{Case, Trouble},
        record::LANDS_WITHIN,
        worker::Worker,
    },
    github::CallError,
    review::reply,
    store::{CommentRow, IssueRow, StoreError},
};

/// How far back a comment of ours is looked for whose call was not answered: as far as the clocks may be apart, and more.
const LOOK_FOR_COMMENT: SignedDuration = SignedDuration::from_hours(1);

impl Worker<'_> {
    /// Writes the comments that are in the outbox, in their order.
    pub(super) async fn write_comments(
        &self,
        case: &Case<'_>,
        issue: &mut IssueRow,
    ) -> Result<(), Trouble> {
        let Some(at) = issue.at else { return Ok(()) };
        for comment in self.engine.store.comments_to_write(issue.id).await? {
            let mark = reply::mark(&comment.key);
            if let Some(id) = self.written_before(case, issue, &comment, &mark).await? {
                self.comment_is_there(case, issue, &comment, id).await?;
                continue;
            }
            let now = self.engine.clock.now();
            let mut tx = self.begin().await?;
            tx.comment_sent(issue.id, &comment.key, Some(now)).await?;
            tx.commit().await?;
            crate::crash::point("comment-sending");
            match case.write.comment(at, &comment.body).await {
                Ok(written) => self.comment_is_there(case, issue, &comment, written.id).await?,
                Err(CallError::NotFound) => {
                    return Ok(self.lose(case, issue, "was deleted or moved").await?);
                }
                Err(error) => {
                    if !error.may_have_taken_effect() {
                        let mut tx = self.begin().await?;
                        tx.comment_sent(issue.id, &comment.key, None).await?;
                        tx.commit().await?;
                    }
                    if matches!(error, CallError::Forbidden { .. })
                        && case.read.issue(at).await?.locked
                    {
                        // People cannot answer there either, unless they may push: said once, in the log and the record.
                        let mut tx = self.begin().await?;
                        tx.void_comments(issue.id).await?;
                        tx.commit().await?;
                        let what =
                            format!("the issue {} is locked: nothing can be said there", issue.url);
                        return Ok(self.alarm(&case.row, &what).await?);
                    }
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// The comment of ours that an earlier call wrote whose answer was lost.
    async fn written_before(
        &self,
        case: &Case<'_>,
        issue: &IssueRow,
        comment: &CommentRow,
        mark: &str,
    ) -> Result<Option<i64>, Trouble> {
        let (Some(at), Some(sent_at)) = (issue.at, comment.sent_at) else { return Ok(None) };
        let us = self.engine.app.identity().await?;
        // However many others wrote: at worst it stands there twice.
        let since = sent_at.saturating_sub(LOOK_FOR_COMMENT).unwrap_or(sent_at);
        let (there, _) = case.read.comments_at_once(at, Some(since)).await?;
        let known = there.into_iter().find(|known| {
            known.author.as_ref().is_some_and(|author| author.is_ours(&us))
                && known.body.starts_with(mark)
        });
        if let Some(known) = known {
            return Ok(Some(known.id));
        }
        let until = sent_at.saturating_add(LANDS_WITHIN).unwrap_or(sent_at);
        if until > self.engine.clock.now() { Err(Trouble::Until(until)) } else { Ok(None) }
    }

    async fn comment_is_there(
        &self,
        case: &Case<'_>,
        issue: &mut IssueRow,
        comment: &CommentRow,
        id: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.comment_done(issue.id, &comment.key, Some(id)).await?;
        if comment.key == round(case, issue) {
            // Only what is said from here on is said of this.
            issue.shows = case.row.fingerprint.clone();
            issue.shows_since = id;
            tx.save_issue(issue).await?;
        }
        tx.commit().await
    }
}
