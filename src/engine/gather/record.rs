//! What our own record says of a request's owner: other requests, and denials.

use jiff::{SignedDuration, Timestamp};

use super::Gatherer;
use crate::{
    rules::{
        Span,
        facts::{Fact, Facts, Needs},
    },
    store::StoreError,
};

/// Where that comes from, in the trace.
const OUR_RECORD: &str = "our record";

impl Gatherer<'_> {
    /// How many other requests of the owner's we heard of, and how many were denied, within each span that rules
    /// name.
    pub(super) async fn counts(&self, needs: &Needs, facts: &mut Facts) -> Result<(), StoreError> {
        let (store, key, owner) = (self.sources.store, self.key(), self.request.owner.id);
        for span in &needs.owner_requests {
            let (now, since) = self.ending_now(*span);
            let count = store.heard_of_others(key, owner, since).await?;
            facts.owner_requests.insert(*span, Fact::known(count, OUR_RECORD, now));
        }
        for span in &needs.owner_denials {
            let (now, since) = self.ending_now(*span);
            let count = store.denied_others(key, owner, since).await?;
            facts.owner_denials.insert(*span, Fact::known(count, OUR_RECORD, now));
        }
        Ok(())
    }

    fn ending_now(&self, span: Span) -> (Timestamp, Timestamp) {
        let now = self.now();
        let before = SignedDuration::from_secs(span.seconds());
        (now, now.saturating_sub(before).unwrap_or(Timestamp::MIN))
    }
}
