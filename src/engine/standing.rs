//! Standing policies are carried out: after each inventory it is asked of every token whether rules still cover it, and
//! once a day which standing policies select it; what follows is reported, waits for somebody, or is revoked.
//!
//! What policies select stands in `crate::rules::revocation`; what follows from that in `outcome`; what is known while
//! they are asked in `world` and `lists`; whom it is told before in `told`; how a run is carried out in `carry`.

mod carry;
mod lists;
mod outcome;
mod told;
mod world;

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use self::{outcome::Due, world::World};
use super::{
    bulk::{Bulk, BulkError},
    planned::lapsed,
    policy::Policies,
};
use crate::{
    audit,
    domain::{self, Covered, Grant, GrantId, RepositorySelection},
    rules::{
        coverage::{Coverage, coverage},
        revocation::{Reason, Revocation, Selection, select},
    },
    settings::AddressBook,
    store::{
        InstallationRow, ItemState, JudgedToken, NewItem, NewRevocation, NoticeRow,
        RevocationState, StandingRun,
    },
};

/// How many tokens are read from the store at once.
const READ_AT_ONCE: i64 = 1_000;

/// How often a standing policy is asked of every token, events aside. A little less than a day, so that an inventory
/// that comes every six hours is not a minute too early for it.
const A_DAY: SignedDuration = SignedDuration::from_mins(24 * 60 - 10);

/// For how long what a policy took by itself counts towards its limits.
const LIMITS_COUNT_FOR: SignedDuration = SignedDuration::from_hours(24);

/// How old a judgement may be before it is written anew although it says the same.
const SAYS_THE_SAME_FOR: SignedDuration = SignedDuration::from_hours(24);

/// What makes policies be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// All tokens and members were just listed.
    Inventory,
    /// Somebody left.
    Departure,
}

/// What carries standing policies out.
pub(super) struct Standing<'a> {
    pub(super) bulk: &'a Bulk,
    pub(super) policies: &'a Policies,
    /// Where owners are told before; `None`: no mail is sent.
    pub(super) addresses: Option<&'a AddressBook>,
    /// GitHub's API: its pages are named by it.
    pub(super) api_url: &'a str,
}

/// What one policy says of all tokens.
#[derive(Default)]
struct Asked {
    selected: Vec<Selected>,
    /// Known not to be selected, and was before.
    no_longer: Vec<GrantId>,
    cannot_say: i64,
}

/// What is to be done about the tokens that a policy selects.
#[derive(Default)]
struct Sorted<'a> {
    take: Vec<&'a Selected>,
    ask: Vec<&'a Selected>,
    tell: Vec<&'a Selected>,
    report: Vec<&'a Selected>,
}

/// A token that a policy selects.
struct Selected {
    grant: Grant,
    reasons: Vec<Reason>,
    /// Why it is left alone all the same.
    held: Option<String>,
}

impl Selected {
    fn why(&self) -> String {
        let reasons: Vec<String> = self.reasons.iter().map(Reason::to_string).collect();
        reasons.join("; ")
    }

    fn item(&self, state: ItemState) -> NewItem {
        let (grant, selected) = (self.grant.clone(), self.why());
        match &self.held {
            None => NewItem { grant, selected, state, why: String::new() },
            Some(why) => NewItem { grant, selected, state: ItemState::LeftOut, why: why.clone() },
        }
    }
}

impl Standing<'_> {
    /// Asks what is to be asked now of every token, and does or prepares what follows. `members`: whether the members
    /// were listed just now; where they were not, whatever hangs on them is unknown. Gives whether something is to be
    /// carried out.
    ///
    /// # Errors
    /// What stopped it: what was not concluded is asked again.
    pub(super) async fn round(
        &self,
        installation: &InstallationRow,
        members: Result<(), String>,
        moment: Moment,
    ) -> Result<bool, BulkError> {
        let Some(mut world) = self.look(installation, members).await? else { return Ok(false) };
        self.drop_what_lapsed(&world).await?;
        let due = self.due(&world, moment).await?;
        if moment == Moment::Departure && due.is_empty() {
            return Ok(false);
        }
        let covered = moment == Moment::Inventory;
        self.read_lists(&mut world, &due, covered).await?;
        if covered {
            self.judge_coverage(&world).await?;
        }
        if due.is_empty() {
            return Ok(false);
        }
        // Every answer carries GitHub's time: with ours two days ahead, much would be long unused.
        let read = self.bulk.clients.read(installation.id)?;
        if let Err(error) = Bulk::clocks_agree(&read) {
            tracing::error!(organization = %installation.organization.login, %error, "no standing policy is asked");
            return Ok(false);
        }
        let mut any = false;
        for id in due {
            any |= self.run(&world, &id).await?;
        }
        Ok(any)
    }

    /// Runs that nobody confirmed in time, or that other rules made, are given up: they are made anew.
    async fn drop_what_lapsed(&self, world: &World) -> Result<(), BulkError> {
        let (store, now) = (&self.bulk.store, self.bulk.clock.now());
        for run in store.waiting_standing_runs(world.installation.organization.id).await? {
            let why = match lapsed(&run, now) {
                Some(_) => "nobody confirmed it within a day: it is made anew",
                None if run.grounds.as_deref() != Some(world.grounds.as_str()) => {
                    "the rules changed since it was made: it is made anew"
                }
                None => continue,
            };
            if store.drop_waiting_run(run.id, why, now).await? {
                tracing::warn!(revocation = run.id, why, "a run of a standing policy is given up");
            }
        }
        Ok(())
    }

    /// The policies that are to be asked now, by id.
    async fn due(&self, world: &World, moment: Moment) -> Result<Vec<String>, BulkError> {
        let (store, organization) = (&self.bulk.store, world.installation.organization.id);
        let ran = store.standing_runs(organization).await?;
        let now = self.bulk.clock.now();
        let mut due = Vec::new();
        for (id, revocation) in world.policy.revocations() {
            let last = ran.get(&named(id));
            let is_old = last.is_none_or(|last| {
                last.grounds != world.grounds || now.duration_since(last.ran_at).abs() >= A_DAY
            });
            let is_due = match (moment, last) {
                (Moment::Inventory, _) if is_old => true,
                _ if revocation.on().is_empty() => false,
                (_, None) => true,
                (_, Some(last)) => {
                    !store.departed_since(organization, last.ran_at).await?.is_empty()
                }
            };
            // One run of a policy at a time: the open one is finished, confirmed or lapses first.
            if is_due && store.open_run(organization, &named(id)).await?.is_none() {
                due.push(id.clone());
            }
        }
        Ok(due)
    }

    /// Says of every token whether rules cover it, and keeps what changed.
    async fn judge_coverage(&self, world: &World) -> Result<(), BulkError> {
        let store = &self.bulk.store;
        let organization = &world.installation.organization;
        let mut after = GrantId(i64::MIN);
        loop {
            let tokens = store.tokens_to_judge(organization.id, after, READ_AT_ONCE).await?;
            let Some(last) = tokens.last() else { return Ok(()) };
            after = last.known.grant.id;
            let (mut said, mut lost) = (Vec::new(), Vec::new());
            for token in &tokens {
                let facts = world.facts(self, token).await?;
                let found = coverage(&world.policy, &world.held(token, &facts));
                let now = facts.now;
                let coverage = said_of(world, token, &found, now);
                if is_lost(world, token, coverage.as_ref()) {
                    lost.push((token, found.to_string(), now));
                }
                if is_news(world, token, coverage.as_ref(), now) {
                    said.push((token.known.grant.id, coverage));
                }
            }
            store.note_coverage(organization.id, &said, &world.grounds).await?;
            for (token, why, now) in lost {
                self.tell_of_lost_cover(token, &why, now);
            }
        }
    }

    fn tell_of_lost_cover(&self, token: &JudgedToken, why: &str, now: Timestamp) {
        let grant = &token.known.grant;
        let what = format!("a rule approved it, and no approve rule covers it any more: {why}");
        let event = audit::Event::Alarm { what };
        self.bulk.audit.write(audit::Entry {
            owner: Some(grant.owner.login.clone()),
            token: Some(grant.token.name.clone()),
            ..audit::Entry::about(&grant.organization, event, now)
        });
    }

    /// Asks one policy of every token, and concludes.
    async fn run(&self, world: &World, id: &str) -> Result<bool, BulkError> {
        let Some(revocation) = world.policy.revocations().get(id) else { return Ok(false) };
        let organization = world.installation.organization.id;
        // From before departures were read: one that comes in meanwhile makes the policy be asked again.
        let began_at = world.looked_at;
        let notices = self.bulk.store.notices(organization, &named(id)).await?;
        let asked = self.ask(world, id, &notices).await?;
        if asked.cannot_say > 0 {
            tracing::warn!(
                organization = %world.installation.organization.login, policy = named(id), tokens = asked.cannot_say,
                "of some tokens a standing policy cannot say whether they are meant: they are left alone"
            );
        }
        self.conclude(world, (id, revocation), asked, &notices, began_at).await
    }

    async fn ask(
        &self,
        world: &World,
        id: &str,
        notices: &HashMap<GrantId, NoticeRow>,
    ) -> Result<Asked, BulkError> {
        let organization = &world.installation.organization;
        let mut asked = Asked::default();
        let mut stays = HashSet::new();
        let mut after = GrantId(i64::MIN);
        loop {
            let store = &self.bulk.store;
            let tokens = store.tokens_to_judge(organization.id, after, READ_AT_ONCE).await?;
            let Some(last) = tokens.last() else { break };
            after = last.known.grant.id;
            for token in &tokens {
                let facts = world.facts(self, token).await?;
                match select(&world.policy, id, &world.held(token, &facts)) {
                    Some(Selection::Selected(reasons)) => {
                        stays.insert(token.known.grant.id);
                        let held = world.hold(&named(id), token).map(ToString::to_string);
                        let mut grant = token.known.grant.clone();
                        grant.organization = organization.clone();
                        asked.selected.push(Selected { grant, reasons, held });
                    }
                    Some(Selection::CannotSay(_)) => {
                        stays.insert(token.known.grant.id);
                        asked.cannot_say += 1;
                    }
                    Some(Selection::NotSelected) | None => {}
                }
            }
        }
        asked.no_longer = notices.keys().filter(|grant| !stays.contains(grant)).copied().collect();
        Ok(asked)
    }

    /// Keeps what a policy came to, and tells it. Gives whether something is to be carried out.
    async fn conclude(
        &self,
        world: &World,
        (id, revocation): (&str, &Revocation),
        asked: Asked,
        notices: &HashMap<GrantId, NoticeRow>,
        began_at: Timestamp,
    ) -> Result<bool, BulkError> {
        let (store, now) = (&self.bulk.store, self.bulk.clock.now());
        let organization = world.installation.organization.id;
        let only = outcome::only_reports(&world.policy, revocation, world.broken.as_deref());
        let sorted = self.sorted((revocation, only.is_none()), &asked, notices, now);
        let active = store.count_tokens(organization).await?;
        let new = |state, note| {
            Row { world, id, revocation, asked: &asked, active, now }.standing_at(state, note)
        };
        let book = (self.addresses, self.api_url);
        let told = told::mails(book, &world.installation, (id, revocation), &sorted, now);
        let mut revocations = Vec::new();
        let mut reported = |tokens: &[&Selected], note: String| {
            if !tokens.is_empty() {
                let items = tokens.iter().map(|one| one.item(ItemState::Reported)).collect();
                revocations.push((new(RevocationState::Reported, note), items));
            }
        };
        reported(&sorted.report, only.unwrap_or_else(|| self.why_reported(revocation)));
        reported(&sorted.tell, told::said(revocation));
        let planned = |tokens: &[&Selected]| -> Vec<NewItem> {
            tokens.iter().map(|one| one.item(ItemState::Planned)).collect()
        };
        if !sorted.take.is_empty() {
            let since = now.saturating_sub(LIMITS_COUNT_FOR).unwrap_or(Timestamp::MIN);
            let before = store.taken_since(organization, &named(id), since).await?;
            let new = match outcome::too_many(revocation, sorted.take.len(), before, active) {
                Some(why) => new(
                    RevocationState::Waiting,
                    format!("{why}: none is revoked before somebody confirms"),
                ),
                None => {
                    let mut new = new(RevocationState::Running, String::new());
                    new.confirmed_by = Some(new.planned_by.clone());
                    new
                }
            };
            revocations.push((new, planned(&sorted.take)));
        } else if !sorted.ask.is_empty() {
            // Those whose owners know come first: there is one open run of a policy, and this one may wait for long.
            let note = told::nobody_to_tell(&sorted.ask);
            revocations.push((new(RevocationState::Waiting, note), planned(&sorted.ask)));
        }
        let grants = |one: &Selected| (one.grant.id, one.grant.access_granted_at);
        let run = StandingRun {
            policy: named(id),
            grounds: world.grounds.clone(),
            at: began_at,
            // Rules that are not those that are there, and members that nobody could read, are asked again sooner.
            complete: world.broken.is_none() && (asked.cannot_say == 0 || !world.lacks_members()),
            selected: asked.selected.iter().map(grants).collect(),
            no_longer: asked.no_longer.clone(),
            revocations,
            notices: told,
        };
        let Some(ids) = store.record_standing_run(organization, &run).await? else {
            return Ok(false);
        };
        crate::crash::point("standing-run-recorded");
        Ok(self.tell(&run, &ids, now))
    }

    /// What is to be done about each token that a policy selects. `may_act`: whether it may do more than report.
    fn sorted<'s>(
        &self,
        (revocation, may_act): (&Revocation, bool),
        asked: &'s Asked,
        notices: &HashMap<GrantId, NoticeRow>,
        now: Timestamp,
    ) -> Sorted<'s> {
        let mut sorted = Sorted::default();
        for one in &asked.selected {
            let grant = &one.grant;
            let notice = notices.get(&grant.id);
            let reach = told::reach(self.addresses, &grant.owner.login);
            let due = outcome::due(revocation, notice, grant.access_granted_at, reach, now);
            let is_new = notice.is_none_or(|it| it.access_granted_at != grant.access_granted_at);
            match due {
                Due::Take if may_act && one.held.is_none() => sorted.take.push(one),
                Due::Ask if may_act && one.held.is_none() => sorted.ask.push(one),
                Due::Tell if may_act && one.held.is_none() => sorted.tell.push(one),
                _ if is_new => sorted.report.push(one),
                _ => {}
            }
        }
        sorted
    }

    /// Why tokens are reported by a policy that may act.
    fn why_reported(&self, revocation: &Revocation) -> String {
        match (revocation.grace.seconds(), self.addresses) {
            (0, _) => "held".to_owned(),
            (_, None) => {
                "nobody can be told before: mail to owners is not set up, and no grace begins without it"
                    .to_owned()
            }
            (_, Some(_)) => {
                format!(
                    "held, or their owners cannot be told: no mail address of theirs is known. After {} somebody is asked",
                    revocation.grace
                )
            }
        }
    }

    /// Says what was kept. Gives whether something is to be carried out.
    fn tell(&self, run: &StandingRun, ids: &[i64], now: Timestamp) -> bool {
        let mut any = false;
        for ((new, items), id) in run.revocations.iter().zip(ids) {
            let (revocation, policy, tokens) = (*id, run.policy.clone(), items.len());
            let event = match new.state {
                RevocationState::Waiting => audit::Event::Alarm {
                    what: format!(
                        "{policy} waits: {} (`patwarden revocations confirm {revocation}`)",
                        new.note
                    ),
                },
                RevocationState::Running => {
                    any = true;
                    let by = new.planned_by.clone();
                    let tokens = u64::try_from(tokens).unwrap_or(u64::MAX);
                    audit::Event::RevocationConfirmed { revocation, tokens, by }
                }
                _ => {
                    let note = new.note.clone();
                    audit::Event::RevocationReported { revocation, policy, tokens, note }
                }
            };
            self.bulk.audit.write(audit::Entry::about(&new.organization, event, now));
        }
        any
    }

    /// Sees whether somebody left the organization or a team that rules name, and asks the policies that are about
    /// it. Gives whether somebody left since `since`, and whether something is to be carried out.
    ///
    /// # Errors
    /// What stopped it: it is made up for by the next inventory.
    pub(super) async fn compare(
        &self,
        installation: &InstallationRow,
        since: Timestamp,
    ) -> Result<(bool, bool), BulkError> {
        let (bulk, id) = (self.bulk, installation.organization.id);
        let left = bulk.list_members(installation, &()).await?.left;
        let logins: Vec<_> = left.into_iter().map(|owner| owner.login).collect();
        if !logins.is_empty() {
            self.list_tokens_of(installation, &logins).await?;
        }
        let any = self.round(installation, Ok(()), Moment::Departure).await?;
        Ok((!bulk.store.departed_since(id, since).await?.is_empty(), any))
    }

    /// Lists the tokens of these users anew: who left may have one that no inventory has seen.
    async fn list_tokens_of(
        &self,
        installation: &InstallationRow,
        logins: &[domain::Login],
    ) -> Result<(), BulkError> {
        let bulk = self.bulk;
        let read = bulk.clients.read(installation.id)?;
        let organization = &installation.organization;
        let call = || read.grants_of_owners(organization, logins);
        let grants = bulk.reading(installation, &read, &(), call).await?;
        bulk.store.note_grants(&grants.into_readable(), bulk.clock.now()).await?;
        Ok(())
    }

    /// Whether anybody asks what a departure means.
    pub(super) fn heeds_departures(&self, organization: &domain::Organization) -> bool {
        let policy = self.policies.in_force(organization).policy;
        policy.is_some_and(|policy| {
            policy.revocations().values().any(|revocation| !revocation.on().is_empty())
        })
    }
}

/// What every row has that a run is kept in.
struct Row<'a> {
    world: &'a World,
    id: &'a str,
    revocation: &'a Revocation,
    asked: &'a Asked,
    active: i64,
    now: Timestamp,
}

impl Row<'_> {
    fn standing_at(self, state: RevocationState, note: String) -> NewRevocation {
        let expected = self.asked.selected.first().map(|one| {
            let expected: Vec<_> = one.reasons.iter().map(|it| it.expected.as_str()).collect();
            expected.join(", ")
        });
        let by = format!("{} of {}", named(self.id), self.world.source);
        NewRevocation {
            organization: self.world.installation.organization.clone(),
            policy: Some(named(self.id)),
            filter: domain::cut(&expected.unwrap_or_default(), 500),
            reason: format!("the standing policy {by}"),
            planned_by: by,
            planned_at: self.now,
            active: self.active,
            cannot_say: self.asked.cannot_say,
            state,
            spares_used: self.revocation.is_about_use(),
            grounds: Some(self.world.grounds.clone()),
            confirmed_by: None,
            note,
        }
    }
}

/// As the record names it.
fn named(id: &str) -> String {
    format!("revoke.{id}")
}

/// What is kept of an answer; `None`: not yet judged, for a list that is still to be read.
fn said_of(
    world: &World,
    token: &JudgedToken,
    found: &Coverage,
    now: Timestamp,
) -> Option<domain::Coverage> {
    let grant = &token.known.grant;
    if let Coverage::Unknown(unread) = found {
        let is_to_be_read = unread.needed.repositories
            && grant.repository_selection == RepositorySelection::Subset
            && token.known.repositories.is_none()
            && !world.unreadable.contains_key(&grant.id);
        if is_to_be_read {
            return None;
        }
    }
    Some(domain::Coverage { covered: found.covered(), why: found.to_string(), judged_at: now })
}

/// Whether rules covered a token that we approved, and the same rules do not any more: that is told once.
fn is_lost(world: &World, token: &JudgedToken, now: Option<&domain::Coverage>) -> bool {
    if now.is_none_or(|now| now.covered != Covered::No) {
        return false;
    }
    let grounds = Some(world.grounds.as_str());
    let Some(approved_under) = token.approved_under.as_deref() else { return false };
    let never_judged = token.covered_under.is_none() && Some(approved_under) == grounds;
    token.covered_last_under.as_deref() == grounds || never_judged
}

/// Whether an answer is to be written: it is another one, or the last one is old.
fn is_news(
    world: &World,
    token: &JudgedToken,
    coverage: Option<&domain::Coverage>,
    now: Timestamp,
) -> bool {
    let before = token.known.coverage.as_ref();
    let said = |it: Option<&domain::Coverage>| it.map(|it| (it.covered, it.why.clone()));
    let is_old =
        before.is_some_and(|it| now.duration_since(it.judged_at).abs() >= SAYS_THE_SAME_FOR);
    let under = coverage.map(|_| world.grounds.as_str());
    said(before) != said(coverage) || is_old || token.covered_under.as_deref() != under
}
