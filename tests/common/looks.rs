//! What a scene sees: in the record, on GitHub and in the audit log; and waiting until it sees it.

use std::time::{Duration, Instant};

use fakehub::Effect;
use patwarden::{
    audit,
    domain::{Login, Organization, OrganizationId, RequestId},
    engine::lifecycle::State,
    store::{DecisionFilter, DecisionRow, EffectRow, RequestFilter, RequestKey, RequestRow},
};

use super::{GLANCE, PATIENCE, Scene, on_github, until};

impl Scene {
    /// An organization as the bot knows it.
    pub fn organization(&self, login: &str) -> Organization {
        let id = self.hub.world(|world| world.organization(login).unwrap().id);
        Organization { id: OrganizationId(i64::try_from(id).unwrap()), login: Login::new(login) }
    }

    pub async fn key(&self, request: u64) -> RequestKey {
        let id = i64::try_from(request).unwrap();
        let organization = self.hub.world(|world| world.organization("acme").unwrap().id);
        RequestKey {
            organization: OrganizationId(i64::try_from(organization).unwrap()),
            request: RequestId(id),
        }
    }

    /// What the bot's record says of a request.
    pub async fn row(&self, request: u64) -> Option<RequestRow> {
        self.store().request(self.key(request).await).await.unwrap()
    }

    /// Where a request stands in the bot's record; "unheard of" when nowhere.
    pub async fn stands(&self, request: u64) -> String {
        self.row(request).await.map_or_else(|| "unheard of".to_owned(), |row| row.state.to_string())
    }

    /// Waits until a request stands there in the bot's record.
    pub async fn until_it_stands(&self, request: u64, wanted: &str) -> RequestRow {
        let mut last = String::new();
        let began = Instant::now();
        loop {
            if let Some(row) = self.row(request).await {
                last = format!("{} ({})", row.state, row.note);
                if row.state.to_string() == wanted {
                    return row;
                }
            }
            assert!(
                began.elapsed() < PATIENCE,
                "request {request} was to be {wanted} and is {last}"
            );
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits until a request is over in the bot's record.
    pub async fn until_settled(&self, request: u64) -> RequestRow {
        until(&format!("request {request} is settled"), || async {
            self.row(request).await.filter(|row| matches!(row.state, State::Settled(..)))
        })
        .await
    }

    /// Waits until the bot has judged a request and left it to people.
    pub async fn until_left_to_people(&self, request: u64) -> RequestRow {
        until(&format!("request {request} is left to people"), || async {
            self.row(request)
                .await
                .filter(|row| matches!(row.state, State::Escalated | State::Held))
        })
        .await
    }

    /// Lets time pass in small steps until `done`, so that whatever waits for a moment gets it.
    pub async fn time_passes_until<F: Future<Output = bool>>(
        &self,
        what: &str,
        step: Duration,
        mut done: impl FnMut() -> F,
    ) {
        let began = Instant::now();
        while !done().await {
            assert!(began.elapsed() < PATIENCE, "time passed in vain: {what}");
            self.clock.push(step);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets time pass until a request is over in the bot's record.
    pub async fn time_passes_until_settled(&self, request: u64) -> RequestRow {
        self.time_passes_until(
            &format!("request {request} is settled"),
            Duration::from_secs(2),
            || async {
                self.row(request).await.is_some_and(|row| matches!(row.state, State::Settled(..)))
            },
        )
        .await;
        self.row(request).await.unwrap()
    }

    /// Waits until the bot has nothing to do before some later moment: no delivery, no request due now.
    pub async fn until_idle(&self) {
        until("the bot has nothing to do", || async {
            // In the order in which it goes on: what leaves one place while it is looked at is seen at the next.
            let sent = self.hub.webhooks_waiting() == 0;
            let backlog = self.store().backlog().await.unwrap();
            let now = self.clock.now();
            let due = self.store().next_due().await.unwrap().is_some_and(|next| next <= now);
            let asking = self.store().next_due_escalation().await.unwrap();
            let due = due || asking.is_some_and(|next| next <= now);
            (sent && backlog.unprocessed == 0 && !due).then_some(())
        })
        .await;
    }

    /// Waits until the bot has read every delivery that it took.
    pub async fn until_read(&self) {
        until("every delivery is read", || async {
            (self.store().backlog().await.unwrap().unprocessed == 0).then_some(())
        })
        .await;
    }

    pub async fn rows(&self) -> Vec<RequestRow> {
        let filter = RequestFilter { organization: None, open_only: false, limit: 100_000 };
        self.store().requests(&filter).await.unwrap()
    }

    pub async fn decisions(&self, request: u64) -> Vec<DecisionRow> {
        let filter =
            DecisionFilter { request: Some(i64::try_from(request).unwrap()), limit: 1_000 };
        self.store().decisions(&filter).await.unwrap()
    }

    pub async fn effects(&self, request: u64) -> Vec<EffectRow> {
        self.store().effects(self.key(request).await).await.unwrap()
    }

    /// What was told of a request.
    pub fn told(&self, request: u64) -> Vec<audit::Event> {
        let told = self.told.lock().unwrap();
        let theirs = told
            .iter()
            .filter(|entry| entry.request_id.is_some_and(|id| u64::try_from(id.0) == Ok(request)));
        theirs.map(|entry| entry.event.clone()).collect()
    }

    pub fn alarms(&self, request: u64) -> usize {
        let told = self.told(request);
        told.iter().filter(|event| matches!(event, audit::Event::Alarm { .. })).count()
    }

    /// What was alarming, about whatever it was.
    pub fn all_alarms(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        let alarms = told.iter().filter_map(|entry| match &entry.event {
            audit::Event::Alarm { what } => Some(what.clone()),
            _ => None,
        });
        alarms.collect()
    }

    /// Time goes by, here and at GitHub.
    pub fn both_clocks(&self, by: Duration) {
        self.hub.advance_for_all(by);
        self.clock.push(by);
    }

    /// Lets time go by here and at GitHub until `done`.
    pub async fn both_clocks_until<F: Future<Output = bool>>(
        &self,
        what: &str,
        step: Duration,
        mut done: impl FnMut() -> F,
    ) {
        let began = Instant::now();
        while !done().await {
            assert!(began.elapsed() < PATIENCE, "time passed in vain: {what}");
            self.both_clocks(step);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: &str) -> usize {
        self.hub.calls_of(operation).len()
    }

    /// What GitHub's state says became of a request, in a word.
    pub fn on_github(&self, request: u64) -> String {
        on_github(&self.hub, request)
    }

    /// Who has access by this token: the grants of `acme` for it.
    pub fn has_access(&self, token: u64) -> bool {
        self.hub.grants("acme").iter().any(|grant| grant.token_id == token)
    }

    /// How many reviews of a request took effect on GitHub, and how many did not.
    pub fn reviews(&self, request: u64) -> (usize, usize) {
        let reviews = self.hub.reviews(request);
        let applied = reviews.iter().filter(|review| review.effect == Effect::Applied).count();
        (applied, reviews.len() - applied)
    }
}
