//! Acting on an answer, or on silence: the request is looked at and judged by the rules of this moment, recorded, and only then
//! sent, by the same way as everything. No answer gets past a hard rule, and silence approves nothing.

use jiff::{SignedDuration, Timestamp};

use crate::{
    audit,
    domain::{RepositorySelection, cut, for_people},
    engine::{
        InForce,
        bulk::Bulk,
        by_hand,
        decide::Decided,
        gather::{self, Gathered, Sources},
        judge::{self, ByHand, HeldBack, Judged, Under},
        lifecycle::{State, Verdict},
        look::Seen,
        record,
        worker::{Worker, backoff},
    },
    github::CallError,
    review::{
        escalation::{Standing, Vote},
        reply::Reply,
    },
    rules::{Effect, MAX_REASON_CHARS, Mode, Span, facts::Fact, policy::Notify},
    store::{IssueRow, IssueState, NewReview, RequestRow, Voice},
};

use super::{Case, EscalationRow, Trouble, audience, mails::Occasion, permission::May, words};

/// How long after its end silence is not believed any more: nobody was at work here, or something was in the way.
const TOO_LATE: SignedDuration = SignedDuration::from_hours(3);

/// How long people have then, at most: as long as the rules gave them, where that is less.
const ONCE_MORE: SignedDuration = SignedDuration::from_hours(24);

/// Somebody's word, or silence, about to be acted on.
struct Word {
    verdict: Verdict,
    reason: String,
    voice: Voice,
    /// Who, and where they said it.
    by: String,
}

/// A group's silence that is over.
pub(super) struct Silence {
    pub(super) group: String,
    pub(super) after: Span,
    /// Since when.
    pub(super) since: Timestamp,
}

/// What came of judging a request for somebody's word.
enum Weighed {
    /// It is not pending, or could not be looked at.
    NotThere,
    /// It is judged, and is what was asked about.
    Same(Box<Judgement>),
    /// It is something else by now: the rules have their say, and people are asked anew.
    Another,
}

struct Judgement {
    seen: Seen,
    in_force: InForce,
    judged: Judged,
    gathered: Gathered,
    oldest: Timestamp,
}

impl Worker<'_> {
    /// Enough people approved. Each of them is asked for once more: who may not decide any more does not count.
    pub(super) async fn say_approved(
        &self,
        case: &Case<'_>,
        issues: &[IssueRow],
        votes: Vec<Vote>,
    ) -> Result<(), Trouble> {
        let mut fell = false;
        for vote in &votes {
            for group in &vote.counts_in {
                if !case.groups.iter().any(|row| row.name == *group) {
                    continue;
                }
                let may =
                    self.may_decide(case, (vote.user, &vote.login), &case.defined(group)).await?;
                let why = match may {
                    May::Yes => continue,
                    May::No => format!("{} may not decide any more", vote.login),
                    May::Unread(why) => format!("whether {} may decide: {why}", vote.login),
                };
                self.void(case, issues, vote, &why).await?;
                fell = true;
                break;
            }
        }
        if fell {
            return Ok(());
        }
        let Weighed::Same(judgement) = self.weigh(case).await? else { return Ok(()) };
        let broken = judgement.in_force.broken.as_deref();
        let refusal =
            match (&judgement.gathered.facts.repositories, judgement.seen.1.repository_selection) {
                (Fact::Unknown { why }, RepositorySelection::Subset) => {
                    Some(format!("its repositories could not be read: {why}"))
                }
                _ => {
                    let (decision, trace) = (&judgement.judged.decision, &judgement.judged.trace);
                    by_hand::may(Verdict::Approve, decision, trace, broken, None)
                        .err()
                        .map(|refusal| words::refusal(&refusal))
                }
            };
        if let Some(why) = refusal {
            let last = votes.iter().max_by_key(|vote| vote.comment_id);
            if let Some(vote) = last {
                self.void(case, issues, vote, &why).await?;
            }
            // The rules say what they say: a denial among it is theirs.
            return self.let_rules_decide(case, *judgement).await;
        }
        if self.asks_others(case, &judgement).await? {
            return Ok(());
        }
        let said: Vec<&str> = votes
            .iter()
            .map(|vote| vote.comment.as_str())
            .filter(|said| !said.is_empty())
            .collect();
        let reason = match said.join("; ") {
            said if said.is_empty() => "Approved by reviewers of the organization.".to_owned(),
            said => said,
        };
        let word = Word {
            verdict: Verdict::Approve,
            reason: cut(&for_people(&reason), MAX_REASON_CHARS),
            voice: Voice::Reviewers,
            by: self.names(case, &votes).await?,
        };
        self.act_on(case, *judgement, word).await
    }

    /// Whether the rules ask somebody by now who was not asked: a fact that they look at changed meanwhile. Then those are
    /// asked, and nothing is approved before they have answered too.
    async fn asks_others(&self, case: &Case<'_>, judgement: &Judgement) -> Result<bool, Trouble> {
        let Some(policy) = judgement.in_force.policy.as_deref() else { return Ok(true) };
        let decision = &judgement.judged.decision;
        if decision.effect != Effect::Escalate {
            return Ok(false);
        }
        let to = if decision.to.is_empty() { policy.default_to() } else { &decision.to };
        let is_asked = |name: &String| {
            case.groups.iter().any(|row| row.instead_of.is_none() && row.name == *name)
        };
        if to.iter().all(is_asked) {
            return Ok(false);
        }
        let now = self.engine.clock.now();
        let mut tx = self.begin().await?;
        super::ask_people(&mut tx, &judgement.seen.0, policy, to, now, now).await?;
        tx.wake_escalation(case.row.key, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Somebody denied it: one is enough.
    pub(super) async fn say_denied(
        &self,
        case: &Case<'_>,
        _issues: &[IssueRow],
        vote: Vote,
    ) -> Result<(), Trouble> {
        let Weighed::Same(judgement) = self.weigh(case).await? else { return Ok(()) };
        let word = Word {
            verdict: Verdict::Deny,
            reason: cut(&for_people(&vote.comment), MAX_REASON_CHARS),
            voice: Voice::Reviewers,
            by: self.names(case, std::slice::from_ref(&vote)).await?,
        };
        self.act_on(case, *judgement, word).await
    }

    /// Nobody answered for as long as the rules say. It is denied only where nothing else keeps it waiting, and the clocks agree.
    /// Where that was so long ago that nobody was at work here, people are asked once more first.
    pub(super) async fn say_silent(
        &self,
        case: &mut Case<'_>,
        issues: &[IssueRow],
        standing: &Standing,
        silence: &Silence,
    ) -> Result<(), Trouble> {
        let Silence { group, after, since } = silence;
        let Weighed::Same(judgement) = self.weigh(case).await? else { return Ok(()) };
        // The list that was just read says what time it is at GitHub.
        let now = self.engine.clock.now();
        let in_the_way = match Bulk::clocks_agree(&case.read) {
            Err(error) => Some(error.to_string()),
            Ok(()) => in_the_way(&judgement, case).or_else(|| {
                let by_mail = |notify: &Notify| matches!(notify, Notify::Email(_));
                let there =
                    |issue: &IssueRow| issue.state == IssueState::Open && issue.request.is_some();
                let can_answer =
                    issues.iter().any(there) || case.defined(group).notify.iter().any(by_mail);
                (!can_answer).then(|| "there is no issue any more to answer on".to_owned())
            }),
        };
        if let Some(why) = in_the_way {
            let note = format!("{group} was silent for {after}, and it is not denied: {why}");
            if judgement.judged.decision.effect != Effect::Escalate {
                return self.let_rules_decide(case, *judgement).await;
            }
            return Ok(self.rest(&case.row, super::issues::later(now), &note).await?);
        }
        if now.duration_since(*since) > TOO_LATE {
            return self.ask_once_more(case, issues, silence).await;
        }
        let decision = &judgement.judged.decision;
        let reason =
            case.policy.silence_reason(group, &judgement.seen.1, decision.near_miss.as_ref());
        let Some(reason) = reason else { return Ok(()) };
        let asked = standing.asked.iter().find(|asked| asked.name == *group);
        let since = asked.and_then(|asked| asked.reached_at).unwrap_or(case.row.asked_at);
        let word = Word {
            verdict: Verdict::Deny,
            reason,
            voice: Voice::Silence,
            by: format!("reviewers.{group}: no answer within {after} since {since:.0}"),
        };
        self.act_on(case, *judgement, word).await
    }

    /// Nobody was at work when it was to be denied, and perhaps not for long before. Of many that are found so, none is denied
    /// before its reviewers had a reminder and a day.
    async fn ask_once_more(
        &self,
        case: &mut Case<'_>,
        issues: &[IssueRow],
        Silence { group, after, since }: &Silence,
    ) -> Result<(), Trouble> {
        let now = self.engine.clock.now();
        let wait = SignedDuration::from_secs(after.seconds()).min(ONCE_MORE);
        let until = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let Some(row) = case.groups.iter_mut().find(|row| row.name == *group) else {
            return Ok(());
        };
        (row.denies_from, row.reminded_at) = (Some(until), Some(now));
        let asked = row.clone();
        // Told before it is kept: whoever breaks off in between tells it again rather than never.
        self.mail(case, &asked, Occasion::Reminded(now)).await?;
        let text = Reply::AskedOnceMore { was: *since, until };
        let mut tx = self.begin().await?;
        tx.save_group(case.row.key, &asked).await?;
        for issue in issues.iter().filter(|issue| issue.request.is_some()) {
            let key = format!("once-more:{}", now.as_millisecond());
            tx.put_comment(issue.id, &key, &text.text(&key, audience(issue)), now).await?;
        }
        tx.wake_escalation(case.row.key, now).await?;
        Ok(tx.commit().await?)
    }

    /// An answer does not count any more, and whoever gave it is told why.
    async fn void(
        &self,
        case: &Case<'_>,
        issues: &[IssueRow],
        vote: &Vote,
        why: &str,
    ) -> Result<(), Trouble> {
        let now = self.engine.clock.now();
        let mut tx = self.begin().await?;
        tx.void_vote(case.row.key, vote.comment_id, why).await?;
        if let Some(issue) = issues.iter().find(|issue| issue.request.is_some()) {
            let key = format!("void:{}", vote.comment_id);
            let text = Reply::NotApproved { why }.text(&key, audience(issue));
            tx.put_comment(issue.id, &key, &text, now).await?;
        }
        tx.wake_escalation(case.row.key, now).await?;
        Ok(tx.commit().await?)
    }

    /// Who answered, and where.
    async fn names(&self, case: &Case<'_>, votes: &[Vote]) -> Result<String, Trouble> {
        let known = self.engine.store.votes(case.row.key).await?;
        let name = |vote: &Vote| {
            let row = known.iter().find(|row| row.vote.comment_id == vote.comment_id);
            let url = row.map(|row| row.url.as_str()).unwrap_or_default();
            format!("@{} ({}) in {url}", vote.login, vote.user)
        };
        Ok(votes.iter().map(name).collect::<Vec<_>>().join(" and "))
    }

    /// Looks at the request once more and judges it on facts of this moment.
    async fn weigh(&self, case: &Case<'_>) -> Result<Weighed, Trouble> {
        let engine = self.engine;
        let seen = self.look(case.installation, &case.read, vec![case.request.clone()]).await?;
        let looked_at = engine.clock.now();
        let Some(seen) = seen.into_iter().find(|(row, _)| row.id == case.request.id) else {
            // Gone, or not to be read: the row says which, and wakes this when it moves.
            let failures = case.row.failures + 1;
            let until = backoff(looked_at, failures);
            let waiting = EscalationRow { due_at: Some(until), failures, ..case.row.clone() };
            let mut tx = self.begin().await?;
            tx.save_escalation(&waiting, case.row.due_at).await?;
            tx.commit().await?;
            return Ok(Weighed::NotThere);
        };
        let in_force = engine.policies.in_force(&case.installation.organization);
        let Some(policy) = in_force.policy.clone().filter(|policy| policy.mode() != Mode::Shadow)
        else {
            self.rest(&case.row, super::after(looked_at, 30), "no policy that acts").await?;
            return Ok(Weighed::NotThere);
        };
        if judge::grounds(&policy) != judge::grounds(&case.policy) {
            // Who is asked, and how many must agree, was counted by other rules.
            let mut tx = self.begin().await?;
            tx.wake_escalation(case.row.key, looked_at).await?;
            tx.commit().await?;
            return Ok(Weighed::NotThere);
        }
        let sources = Sources {
            read: &case.read,
            store: &engine.store,
            cache: &engine.cache,
            clock: &engine.clock,
            together: std::slice::from_ref(&seen),
            looked_at,
        };
        let gathered = gather::gather(sources, &seen.1, &by_hand::needs(Some(&policy))).await?;
        if let Some(until) = gathered.limited_until {
            engine.cache.forget(case.installation.organization.id).await;
            return Err(CallError::RateLimited { until }.into());
        }
        let oldest =
            gather::oldest(&gathered.facts).map_or(looked_at, |read_at| read_at.min(looked_at));
        let held_back =
            HeldBack { broken: in_force.broken.as_deref(), unconfirmed: seen.0.unconfirmed };
        let judged = judge::judge(&policy, &held_back, &seen.1, gathered.facts.clone());
        let same = judged.fingerprint == case.row.fingerprint && seen.0.state == State::Escalated;
        let judgement = Judgement { seen, in_force, judged, gathered, oldest };
        if same {
            return Ok(Weighed::Same(Box::new(judgement)));
        }
        self.let_rules_decide(case, judgement).await?;
        Ok(Weighed::Another)
    }

    /// Records what the rules say and nothing else; the next pass acts on it, or people are asked anew.
    async fn let_rules_decide(&self, case: &Case<'_>, judgement: Judgement) -> Result<(), Trouble> {
        let Judgement { seen: (row, request), in_force, judged, gathered, .. } = judgement;
        let Some(policy) = in_force.policy.as_deref() else { return Ok(()) };
        let under = Under { policy, source: &in_force.source };
        self.record(&row, &request, &under, judged, &gathered.learned).await?;
        let mut tx = self.begin().await?;
        tx.wake_escalation(case.row.key, self.engine.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Records a word with the effect in the outbox, and sends it.
    async fn act_on(
        &self,
        case: &Case<'_>,
        judgement: Judgement,
        word: Word,
    ) -> Result<(), Trouble> {
        let Judgement { seen: (row, request), in_force, judged, gathered, oldest } = judgement;
        let Some(policy) = in_force.policy.as_deref() else { return Ok(()) };
        let review = NewReview {
            fingerprint: judged.fingerprint.clone(),
            verdict: word.verdict,
            reason: word.reason.clone(),
            override_why: None,
            voice: word.voice,
            operator: word.by.clone(),
        };
        let judged = judged.with_word(word.verdict, word.reason.clone(), ByHand::Said(review));
        let under = Under { policy, source: &in_force.source };
        let recorded = self.record(&row, &request, &under, judged, &gathered.learned).await?;
        let decided = |row: &RequestRow| row.state == State::Decided(word.verdict);
        let Some(row) = recorded.filter(decided) else { return Ok(()) };
        crate::crash::point("answer-recorded");
        let said = audit::Event::ReviewersAnswered {
            effect: word.verdict.as_str(),
            by: word.by,
            reason: word.reason,
        };
        self.engine.audit.write(record::entry(&row, said, self.engine.clock.now()));
        self.act(case.installation, vec![Decided { row, oldest }]).await?;
        Ok(())
    }
}

/// What keeps silence from denying.
fn in_the_way(judgement: &Judgement, case: &Case<'_>) -> Option<String> {
    let decision = &judgement.judged.decision;
    if let Some(why) = &judgement.in_force.broken {
        return Some(why.clone());
    }
    if decision.effect != Effect::Escalate {
        return Some("the rules say something else by now".to_owned());
    }
    if decision.only_unknown {
        let unknown = decision.unknown.first();
        return Some(unknown.map_or_else(
            || "a fact cannot be read".to_owned(),
            |unknown| format!("cannot know {}: {}", unknown.fact, unknown.why),
        ));
    }
    let enforced =
        judgement.in_force.policy.as_ref().is_some_and(|policy| policy.mode() == Mode::Enforce);
    (!enforced || case.request.unconfirmed).then(|| "the rules are not enforced".to_owned())
}
