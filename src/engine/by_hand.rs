//! Review by hand: what an operator says of requests is judged by the rules first, shown, and sent as a rule's decisions are.
//! What may be said is in `permit`; sending, and seeing it through, in `send` and `seen`.

mod permit;
mod seen;
mod send;

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use permit::Refusal;
pub(super) use permit::may;

use super::{
    Engine, InForce,
    bulk::{Bulk, BulkError, Leased, Step, Watch},
    decide::may_be_judged,
    gather::{self, Learned, Sources},
    judge::{self, ByHand, HeldBack, Judged, Under},
    lifecycle::{Event, State, Verdict},
    look::Seen,
    reconcile::newly_found,
    record::{self, LANDS_WITHIN},
    worker::{Stop, Worker},
};
use crate::{
    domain::{Fingerprint, OrganizationId, RepositorySelection, RequestId, TokenId, TokenRequest},
    github::{CallError, Listing, Read},
    inventory::{AskedFilter, View},
    rules::{
        self, Decision, Policy, Truth,
        facts::{Facts, Needs},
    },
    store::{InstallationRow, RequestRow, StoreError},
};

/// How many are judged before others get a turn.
const JUDGED_AT_ONCE: usize = 10;

/// Which requests.
#[derive(Clone, Debug)]
pub enum Which {
    /// These.
    Ids(Vec<RequestId>),
    /// Those that are pending and meant by a filter.
    Filter(Box<AskedFilter>),
}

/// What an operator says of requests.
#[derive(Clone, Debug)]
pub struct Word {
    /// Yes or no.
    pub verdict: Verdict,
    /// What GitHub mails to the requester; at most 1,024 characters. An approval may have none.
    pub reason: String,
    /// Why soft rules are not to count.
    pub override_why: Option<String>,
    /// Who says so, as far as that can be known.
    pub operator: String,
}

/// Where a request stands that somebody wants to review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It may be sent.
    Ready,
    /// The rules forbid it.
    Refused(Refusal),
    /// It is not pending: what is known of it.
    NotPending(String),
    /// A review of it is under way already: what is known of that.
    UnderWay(String),
    /// It is not what was shown.
    Changed,
    /// It could not be sent, and why.
    Failed(String),
    /// It was sent, and nothing shows yet what came of it: why not.
    Sent(String),
    /// It is over, or approved and being compared, by this review: where it stands.
    Done(State),
}

/// One request, as it is shown to the operator.
#[derive(Clone, Debug)]
pub struct Item {
    /// Which.
    pub id: RequestId,
    /// As GitHub lists it; `None`: it does not.
    pub request: Option<TokenRequest>,
    /// What was read about the world, its repositories at least.
    pub facts: Option<Facts>,
    /// What the rules say, with its number in the record; `None`: no rules are in force.
    pub decision: Option<(i64, Decision)>,
    /// What stands against an approval, in words.
    pub vetoes: Vec<String>,
    /// Where it stands.
    pub stand: Stand,
    fingerprint: Option<Fingerprint>,
    call: Call,
}

/// The last call that was made for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// There was none.
    None,
    /// One of its own.
    Own,
    /// One for many, which GitHub took.
    Taken,
    /// One for many, whose answer was lost.
    Lost,
}

impl Item {
    fn stranger(id: RequestId, stand: Stand) -> Self {
        Self {
            id,
            request: None,
            facts: None,
            decision: None,
            vetoes: Vec::new(),
            stand,
            fingerprint: None,
            call: Call::None,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The requests that are meant.
    pub items: Vec<Item>,
    /// Pending rows that GitHub lists in a form that cannot be read: nobody knows whether they are meant.
    pub unreadable: usize,
}

/// Where operators review: an engine that is not run.
pub struct Desk {
    pub(super) engine: Arc<Engine>,
    bulk: Bulk,
}

/// A request that was judged for an operator.
struct Weighed {
    seen: Seen,
    in_force: InForce,
    /// `None`: no rules are in force.
    judged: Option<Judged>,
    fingerprint: Fingerprint,
    facts: Facts,
    learned: Learned,
    /// When the oldest thing was read on which it rests.
    oldest: Timestamp,
    permitted: Result<(), Refusal>,
}

impl Weighed {
    fn under(&self) -> Option<Under<'_>> {
        let policy = self.in_force.policy.as_deref()?;
        Some(Under { policy, source: &self.in_force.source })
    }

    fn vetoes(&self) -> Vec<String> {
        let Some(judged) = &self.judged else { return Vec::new() };
        let vetoes = rules::vetoes(&judged.decision, &judged.trace);
        vetoes.iter().map(|veto| permit::in_words(&judged.decision, veto)).collect()
    }
}

/// What is read about a request that somebody reviews: what the rules ask for, and always what it reaches. What is approved
/// is what was shown.
pub(super) fn needs(policy: Option<&Policy>) -> Needs {
    let needs = policy.map(|policy| policy.needs().clone()).unwrap_or_default();
    Needs { repositories: true, ..needs }
}

impl Desk {
    /// A desk in a process of its own, over an engine that is not run. It ends at the next step once `stop` is.
    #[must_use]
    pub fn new(engine: Arc<Engine>, stop: CancellationToken) -> Self {
        let bulk = engine.bulk(stop);
        Self { engine, bulk }
    }

    /// Asks GitHub where the App is installed, and what the rules are that it has.
    ///
    /// # Errors
    /// When GitHub or the store refuses.
    pub async fn look_around(&self) -> Result<(), BulkError> {
        self.bulk.look_around(&self.engine.app).await?;
        self.engine.look_at_rules().await;
        let logins = self.engine.store.policy_logins().await?;
        self.engine.policies.rebind(&logins);
        Ok(())
    }

    /// As [`Bulk::installation`].
    ///
    /// # Errors
    /// As there.
    pub async fn installation(&self, id: OrganizationId) -> Result<InstallationRow, BulkError> {
        self.bulk.installation(id).await
    }

    /// Looks the requests up that are meant, and judges each anew. Nothing is sent; what the rules say is on record.
    ///
    /// # Errors
    /// [`BulkError::Refused`] for a filter that means everything; what GitHub or the store refuses.
    pub async fn show(
        &self,
        installation: &InstallationRow,
        which: &Which,
        word: &Word,
        watch: &dyn Watch,
    ) -> Result<Shown, BulkError> {
        let read = self.engine.clients.read(installation.id)?;
        let (listed, mut shown) = self.find(installation, &read, which, watch).await?;
        let of = u64::try_from(listed.len()).unwrap_or_default();
        for (number, some) in listed.chunks(JUDGED_AT_ONCE).enumerate() {
            if number == 1 {
                // Requests that others wait for go first. Once: where nobody works on them, nobody will.
                self.bulk.step_aside(installation.organization.id).await?;
            }
            let leased = self.bulk.lease(installation.organization.id).await?;
            let judged = self.show_some(&leased, &read, some, word).await;
            leased.release().await;
            shown.items.extend(judged?);
            let done = u64::try_from(shown.items.len()).unwrap_or_default();
            watch.step(&Step::Judging { done: done.min(of), of });
        }
        shown.items.sort_by_key(|item| item.id);
        Ok(shown)
    }

    /// The requests that are meant, as GitHub lists them, and what is to be said of those that it does not list.
    async fn find(
        &self,
        installation: &InstallationRow,
        read: &Read,
        which: &Which,
        watch: &dyn Watch,
    ) -> Result<(Vec<TokenRequest>, Shown), BulkError> {
        let organization = &installation.organization;
        self.may_call(installation, watch).await?;
        match which {
            Which::Filter(filter) if filter.is_empty() => Err(BulkError::Refused(
                "an empty filter means every pending request: say which, such as --owner LOGIN or --permission contents=read"
                    .to_owned(),
            )),
            Which::Filter(filter) => {
                let Listing { mut requests, unreadable } = read.pending_requests(organization).await?;
                let mut unreadable = unreadable.len();
                let reaching: Option<BTreeSet<RequestId>> = match &filter.repository {
                    Some(name) => {
                        let reaching = read.pending_requests_reaching(organization, name).await?;
                        unreadable = unreadable.max(reaching.unreadable.len());
                        Some(reaching.requests.iter().map(|request| request.id).collect())
                    }
                    None => None,
                };
                let now = self.engine.clock.now();
                requests.retain(|request| {
                    let reaches = reaching.as_ref().map(|reaching| reaching.contains(&request.id));
                    let view = View { reaches: Truth::of_option(reaches), ..View::from(request) };
                    filter.selects(&view, now) == Truth::Matched
                });
                Ok((requests, Shown { items: Vec::new(), unreadable }))
            }
            Which::Ids(ids) => {
                let ids: BTreeSet<RequestId> = ids.iter().copied().collect();
                let mut tokens = Vec::new();
                for id in &ids {
                    let key = crate::store::RequestKey { organization: organization.id, request: *id };
                    let row = self.engine.store.request(key).await?;
                    tokens.extend(row.and_then(|row| row.token_id));
                }
                let listing = if tokens.len() == ids.len() {
                    read.pending_requests_of(organization, &tokens).await?
                } else {
                    read.pending_requests(organization).await?
                };
                let Listing { mut requests, unreadable } = listing;
                requests.retain(|request| ids.contains(&request.id));
                let mut shown = Shown::default();
                for id in ids.iter().filter(|id| requests.iter().all(|request| request.id != **id)) {
                    let hidden = unreadable.iter().find(|(row, _)| row.is_none_or(|row| row == *id));
                    let stand = match hidden {
                        Some((_, why)) => Stand::Failed(unreadable_row(why)),
                        None => Stand::NotPending(self.known_of(organization.id, *id).await?),
                    };
                    shown.items.push(Item::stranger(*id, stand));
                }
                Ok((requests, shown))
            }
        }
    }

    /// What our record says of a request that is not listed.
    async fn known_of(
        &self,
        organization: OrganizationId,
        id: RequestId,
    ) -> Result<String, StoreError> {
        let key = crate::store::RequestKey { organization, request: id };
        Ok(match self.engine.store.request(key).await?.map(|row| row.state) {
            Some(state @ State::Settled(..)) => state.to_string(),
            Some(_) => "no longer pending".to_owned(),
            None => "not pending, and never heard of".to_owned(),
        })
    }

    async fn show_some(
        &self,
        leased: &Leased,
        read: &Read,
        requests: &[TokenRequest],
        word: &Word,
    ) -> Result<Vec<Item>, BulkError> {
        let worker = self.worker(leased);
        let looked_at = self.engine.clock.now();
        let mut items = Vec::new();
        let mut seen = Vec::new();
        for request in requests {
            match self.take_up(&worker, request, Unheard::Imagined).await? {
                Ok(row) => seen.push((row, request.clone())),
                Err(stand) => {
                    let shown = Some(request.clone());
                    items.push(Item { request: shown, ..Item::stranger(request.id, stand) });
                }
            }
        }
        for weighed in self.weigh(read, &seen, looked_at, word).await? {
            let vetoes = weighed.vetoes();
            let Weighed { seen: (row, request), judged, learned, .. } = &weighed;
            let decision = match (judged, weighed.under()) {
                (Some(judged), Some(under)) => {
                    let id = worker.note_shown(row, request, &under, judged, learned).await?;
                    Some((id, judged.decision.clone()))
                }
                _ => None,
            };
            items.push(Item {
                id: row.id,
                request: Some(request.clone()),
                decision,
                vetoes,
                stand: match weighed.permitted {
                    Ok(()) => Stand::Ready,
                    Err(refusal) => Stand::Refused(refusal),
                },
                fingerprint: Some(weighed.fingerprint),
                facts: Some(weighed.facts),
                call: Call::None,
            });
        }
        Ok(items)
    }

    fn worker(&self, leased: &Leased) -> Worker<'_> {
        Worker { engine: &self.engine, lease: leased.lease.clone() }
    }

    /// Notes that a request is listed, and gives its row, unless nothing is to be said of it now.
    async fn take_up(
        &self,
        worker: &Worker<'_>,
        request: &TokenRequest,
        unheard: Unheard<'_>,
    ) -> Result<Result<RequestRow, Stand>, StoreError> {
        let now = self.engine.clock.now();
        let key =
            crate::store::RequestKey { organization: request.organization.id, request: request.id };
        let mut tx = worker.begin().await?;
        let row = match (tx.request(key).await?, unheard) {
            (Some(row), _) => row,
            (None, Unheard::Imagined) => return Ok(Ok(newly_found(request, true, now))),
            (None, Unheard::Kept(decision)) => {
                // Should nothing come of it, `serve` does nothing before somebody confirms: it may be one of many that
                // a first run finds.
                let row = RequestRow {
                    decision_id: decision.copied(),
                    ..newly_found(request, true, now)
                };
                tx.save_request(&row).await?;
                row
            }
        };
        let recently = now.duration_since(row.state_since).abs() <= LANDS_WITHIN;
        match &row.state {
            State::Sent(_) if recently => {
                drop(tx);
                return Ok(Err(Stand::UnderWay(self.under_way(&row).await?)));
            }
            State::Checking | State::Revoking => {
                return Ok(Err(Stand::UnderWay("approved a moment ago".to_owned())));
            }
            State::Settled(..) if recently => {
                return Ok(Err(Stand::NotPending(row.state.to_string())));
            }
            State::Settled(..) => {
                let event = Event::Pending { changed: false, long_settled: true };
                record::happen(&mut tx, key, &event, now, |_| {}).await?;
            }
            _ => {}
        }
        let row = worker.note_pending(&mut tx, key, request, now).await?;
        tx.commit().await?;
        Ok(match row {
            Some(row) if may_be_judged(&row.state) => Ok(row),
            Some(row) => Err(Stand::NotPending(row.state.to_string())),
            None => Err(Stand::NotPending("no longer on record".to_owned())),
        })
    }

    async fn under_way(&self, row: &RequestRow) -> Result<String, StoreError> {
        let review = self.engine.store.open_review(row.key()).await?;
        let by = review
            .map_or_else(|| "by the rules".to_owned(), |review| format!("by {}", review.operator));
        Ok(format!("a review of it {by} is under way since {:.0}", row.state_since))
    }

    /// Reads the facts about requests and judges them. Those that there was no time for are left out.
    async fn weigh(
        &self,
        read: &Read,
        seen: &[Seen],
        looked_at: Timestamp,
        word: &Word,
    ) -> Result<Vec<Weighed>, BulkError> {
        let mut weighed: Vec<Weighed> = Vec::new();
        for (row, request) in seen {
            self.bulk.check_stop()?;
            let in_force = self.engine.policies.in_force(&request.organization);
            let policy = in_force.policy.clone();
            let engine = &self.engine;
            let sources = Sources {
                read,
                store: &engine.store,
                cache: &engine.cache,
                clock: &engine.clock,
                together: seen,
                looked_at,
            };
            let gathered = gather::gather(sources, request, &needs(policy.as_deref())).await?;
            if let Some(until) = gathered.limited_until {
                engine.cache.forget(request.organization.id).await;
                return Err(CallError::RateLimited { until }.into());
            }
            let facts = gathered.facts;
            let not_in_force = self.not_in_force(&request.organization, &in_force).await?;
            let judged = policy.map(|policy| {
                let broken = in_force.broken.as_deref();
                let held_back = HeldBack { broken, unconfirmed: false };
                let judged = judge::judge(&policy, &held_back, request, facts.clone());
                Judged { by_hand: Some(ByHand::Shown), ..judged }
            });
            let permitted = match (&judged, word.verdict) {
                (_, Verdict::Deny) => Ok(()),
                (None, _) => Err(Refusal::NotInForce(
                    not_in_force.unwrap_or_else(|| "no rules were loaded".to_owned()),
                )),
                (Some(judged), verdict) => {
                    let over = word.override_why.as_deref();
                    let broken = not_in_force.as_deref();
                    may(verdict, &judged.decision, &judged.trace, broken, over)
                        .and_then(|()| reaches_what_is_shown(request, &facts))
                }
            };
            let repositories = facts.repositories.value().map(Vec::as_slice);
            weighed.push(Weighed {
                seen: (row.clone(), request.clone()),
                fingerprint: Fingerprint::of(request, repositories),
                oldest: gather::oldest(&facts).map_or(looked_at, |read_at| read_at.min(looked_at)),
                in_force,
                judged,
                facts,
                learned: gathered.learned,
                permitted,
            });
        }
        Ok(weighed)
    }

    /// Why nothing may be approved on these rules: they are broken, or not those by which `serve` judges. A command that was
    /// given other settings must not get past a veto.
    async fn not_in_force(
        &self,
        organization: &crate::domain::Organization,
        in_force: &InForce,
    ) -> Result<Option<String>, StoreError> {
        if let Some(why) = &in_force.broken {
            return Ok(Some(why.clone()));
        }
        let noted = self.engine.store.policies_in_force().await?;
        let noted = noted.into_iter().find(|row| row.organization.id == organization.id);
        // With the mode, which settings may cap, and what is protected, which settings name.
        let grounds = in_force.policy.as_deref().map(judge::grounds);
        Ok(noted.filter(|noted| noted.grounds != grounds).map(|noted| {
            format!(
                "the rules that this command was given ({}), or what settings make of them, are not those that `patwarden \
                 serve` has in force ({}): give it \
                 the same settings, and after a change of the rules wait until `serve` has read them",
                in_force.source, noted.source
            )
        }))
    }

    /// Waits until GitHub may be called.
    async fn may_call(
        &self,
        installation: &InstallationRow,
        watch: &dyn Watch,
    ) -> Result<(), BulkError> {
        loop {
            self.bulk.check_stop()?;
            let now = self.engine.clock.now();
            let parked = self.engine.store.parked_until(installation.id).await?;
            let Some(until) = parked.filter(|until| *until > now) else { return Ok(()) };
            watch.step(&Step::Waiting { until, why: "GitHub asked us to wait" });
            self.bulk.sleep_until(until).await?;
        }
    }
}

/// What is made of a request that is not on record.
enum Unheard<'a> {
    /// A row that is not kept: it is only looked at.
    Imagined,
    /// A row, with this decision.
    Kept(Option<&'a i64>),
}

fn unreadable_row(why: &str) -> String {
    format!("GitHub's list shows it in a form that we cannot read: {why}")
}

fn reaches_what_is_shown(request: &TokenRequest, facts: &Facts) -> Result<(), Refusal> {
    use crate::rules::facts::Fact;
    match (&facts.repositories, request.repository_selection) {
        (Fact::Unknown { why }, RepositorySelection::Subset) => Err(Refusal::Unread(why.clone())),
        _ => Ok(()),
    }
}

/// What stopped the work of a pass, for whoever waits for it.
async fn stopped(desk: &Desk, installation: &InstallationRow, stop: Stop) -> BulkError {
    match stop {
        Stop::Store(error) => error.into(),
        Stop::Parked => match desk.engine.store.parked_until(installation.id).await {
            Ok(until) => {
                let until = until.unwrap_or_else(|| desk.engine.clock.now());
                CallError::RateLimited { until }.into()
            }
            Err(error) => error.into(),
        },
    }
}

/// The tokens of requests, by which GitHub's lists are asked.
fn tokens<'a>(items: impl IntoIterator<Item = &'a Item>) -> Vec<TokenId> {
    items.into_iter().filter_map(|item| Some(item.request.as_ref()?.token.id)).collect()
}
