//! What people wrote on an issue: each comment is read once, in order, and what it says is in the record together with what is
//! answered. An answer counts for what the issue showed when it was written, and only by somebody who may decide.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Case, Trouble, audience, issues, permission::May};
use crate::{
    domain::{Fingerprint, Login, UserId},
    engine::{lifecycle::Verdict, worker::Worker},
    github::{Author, CallError, Comment, Issue},
    review::{
        command::{self, Command, Said},
        escalation::{Due, Vote},
        reply::{self, Reply},
    },
    store::{IssueRow, IssueState, NewRemark, NewVote, RemarkKind, Remarks, StoreError},
};

const REOPENED_TEXT: &str = "Closing this issue decides nothing, and the request is still pending: so it is open again. \
    `/approve` or `/deny reason` in a comment of its own decides.";

/// How many of one person's comments on an issue are answered within an hour, how often what we wrote there is written anew, and
/// how often it is opened again; what is beyond that is in the record only. Each costs a call that changes something, and everybody
/// gets a mail.
const MOST_ANSWERED: i64 = 5;
const ANSWERED_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// How much earlier than a comment with a lower number one may say that it was written.
const WRITTEN_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// What becomes of a comment.
#[derive(Default)]
struct Read {
    vote: Option<NewVote>,
    /// What is answered.
    answer: Option<String>,
    /// Why it does not count, where it was a command.
    remark: Option<RemarkKind>,
}

impl Read {
    fn answered(comment: &Comment, issue: &IssueRow, reply: &Reply<'_>) -> Self {
        let text = reply.text(&answer_key(comment), audience(issue));
        let kind = match reply {
            Reply::NotAReviewer(_) | Reply::OwnRequest(_) => RemarkKind::NotAllowed,
            _ => RemarkKind::Answered,
        };
        Self { vote: None, answer: Some(text), remark: Some(kind) }
    }

    /// A command of somebody who was told often enough that it does not count: not even looked up.
    fn not_heard() -> Self {
        Self { remark: Some(RemarkKind::NotAllowed), ..Self::default() }
    }
}

fn answer_key(comment: &Comment) -> String {
    format!("answer:{}", comment.id)
}

impl Worker<'_> {
    /// Reads the comments that were not read. Gives whether every issue was looked at.
    pub(super) async fn read_answers(
        &self,
        case: &Case<'_>,
        issues: &mut Vec<IssueRow>,
    ) -> Result<bool, Trouble> {
        let mut all = true;
        for issue in issues.iter_mut().filter(|issue| issue.request.is_some()) {
            if !issue.look || issue.state != IssueState::Open {
                all = false;
                continue;
            }
            self.read_issue(case, issue).await?;
        }
        issues.retain(|issue| issue.state != IssueState::Lost);
        Ok(all)
    }

    async fn read_issue(&self, case: &Case<'_>, issue: &mut IssueRow) -> Result<(), Trouble> {
        let Some(at) = issue.at else { return Ok(()) };
        // From here on, what is heard of it counts anew.
        let mut tx = self.begin().await?;
        tx.issue_looked_at(issue.id, self.engine.clock.now()).await?;
        tx.commit().await?;
        issue.look = false;
        let found = match case.read.issue(at).await {
            Ok(found) => found,
            Err(CallError::NotFound) => {
                return Ok(self.lose(case, issue, "was deleted or moved").await?);
            }
            Err(error) => return Err(error.into()),
        };
        self.note_what_was_done_to(case, issue, &found).await?;
        // What was not read was written after what was, by GitHub's own clock, or as good as at once with it.
        let since = issue.read_to_at.map(|at| at.saturating_sub(WRITTEN_WITHIN).unwrap_or(at));
        let (mut comments, more) = case.read.comments_at_once(at, since).await?;
        comments.sort_by_key(|comment| comment.id);
        issue.behind = more;
        let read_to = issue.read_to;
        for comment in comments.iter().filter(|comment| comment.id > read_to) {
            let lately = self.remarks(issue, comment.author.as_ref().map(|one| one.id)).await?;
            let read = self.read_comment(case, issue, comment, &lately).await?;
            let edited = self.who_edited(case, comment, &lately).await?;
            let now = self.engine.clock.now();
            let mut after = issue.clone();
            after.read_to = comment.id;
            after.read_to_at = Some(comment.created_at);
            let mut tx = self.begin().await?;
            if let Some(vote) = &read.vote {
                tx.record_vote(case.row.key, vote, now).await?;
            }
            let user = comment.author.as_ref().map(|author| author.id);
            if let Some(kind) = edited {
                let remark =
                    NewRemark { issue: issue.id, id: comment.id, user, kind, answered: false };
                tx.note_remark(&remark, now).await?;
            }
            let answer = read.answer.as_ref().filter(|_| lately.answered < MOST_ANSWERED);
            if let Some(answer) = answer {
                tx.put_comment(issue.id, &answer_key(comment), answer, now).await?;
            }
            if let Some(kind) = read.remark {
                let (id, answered) = (comment.id, answer.is_some());
                let remark = NewRemark { issue: issue.id, id, user, kind, answered };
                tx.note_remark(&remark, now).await?;
            }
            tx.save_issue(&after).await?;
            tx.commit().await?;
            *issue = after;
            if read.vote.is_some() {
                self.acknowledge(case, issue, comment).await?;
            }
        }
        issue.looked_at = Some(self.engine.clock.now());
        let mut tx = self.begin().await?;
        tx.save_issue(issue).await?;
        Ok(tx.commit().await?)
    }

    /// Somebody closed or locked the issue, showed its repository to everybody, or changed what we wrote.
    async fn note_what_was_done_to(
        &self,
        case: &Case<'_>,
        issue: &mut IssueRow,
        found: &Issue,
    ) -> Result<(), Trouble> {
        let repository = case.read.repository_by_id(issue.repository).await?;
        issue.private = repository.private;
        issue.locked = found.locked || repository.archived;
        issue.shut = !found.open;
        let mut tx = self.begin().await?;
        tx.save_issue(issue).await?;
        tx.commit().await?;
        self.note_rewriting(case, issue, found).await
    }

    /// Has an issue opened again that somebody closed, unless that was done too often lately. Gives whether it is to be.
    pub(super) async fn reopen(&self, issue: &mut IssueRow) -> Result<bool, Trouble> {
        if issue.written.is_empty() {
            // It is written anew, and opened with that.
            return Ok(true);
        }
        if self.remarks(issue, None).await?.reopened >= MOST_ANSWERED {
            return Ok(false);
        }
        // Closing says neither yes nor no, and its request is pending. An empty hash has it written and opened.
        issue.reopened += 1;
        issue.written.clear();
        let now = self.engine.clock.now();
        let key = format!("reopened:{}", issue.reopened);
        let text = format!("{}\n{REOPENED_TEXT}", reply::mark(&key));
        let (id, kind) = (now.as_millisecond(), RemarkKind::Reopened);
        let remark = NewRemark { issue: issue.id, id, user: None, kind, answered: true };
        let mut tx = self.begin().await?;
        tx.put_comment(issue.id, &key, &text, now).await?;
        tx.note_remark(&remark, now).await?;
        tx.save_issue(issue).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Somebody changed what we wrote. To be asked before it is written anew as well: otherwise nobody would know that people
    /// answered to something else.
    pub(super) async fn note_rewriting(
        &self,
        case: &Case<'_>,
        issue: &mut IssueRow,
        found: &Issue,
    ) -> Result<(), Trouble> {
        // Compared with what we wrote last, whatever we would write by now; and with that as well, since the answer to our
        // last edit may be lost.
        let there = issues::hash_of(&found.title, &found.body, "open");
        // Changed and restored before anybody looked: people may have answered in between.
        let ours = !self.engine.store.was_reworded(issue.id).await?
            && (issue.written.is_empty()
                || there == issue.written
                || there == issues::hash(&self.text_of(case, issue).await?, "open"));
        if !ours {
            // Whoever may edit the issue may have made it say something else: it is written anew, and what was answered to
            // the other words does not count.
            issue.written.clear();
            issue.shows = Fingerprint::from_stored(issues::WITHDRAWN.to_owned());
            let answered = self.remarks(issue, None).await?.rewritten < MOST_ANSWERED;
            let now = self.engine.clock.now();
            let (id, kind) = (now.as_millisecond(), RemarkKind::Rewritten);
            let remark = NewRemark { issue: issue.id, id, user: None, kind, answered };
            let mut tx = self.begin().await?;
            tx.save_issue(issue).await?;
            tx.note_remark(&remark, now).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// What was written on an issue lately because of this person; of changes of what we wrote, because of anybody.
    pub(super) async fn remarks(
        &self,
        issue: &IssueRow,
        user: Option<UserId>,
    ) -> Result<Remarks, StoreError> {
        let since = self.engine.clock.now().saturating_sub(ANSWERED_WITHIN);
        self.engine.store.remarks(issue.id, user, since.unwrap_or(Timestamp::MIN)).await
    }

    /// What a comment that was edited before it was read comes to. One by somebody who may decide may have been an answer, and
    /// another's hand that changed it: no list tells whose. Whoever may not decide has nothing that could be taken away.
    async fn who_edited(
        &self,
        case: &Case<'_>,
        comment: &Comment,
        lately: &Remarks,
    ) -> Result<Option<RemarkKind>, Trouble> {
        let by = |author: &&Author| author.in_person() && author.id != case.request.owner.id;
        let author = comment.author.as_ref().filter(by).filter(|_| comment.edited());
        let Some(author) = author.filter(|_| lately.not_allowed < MOST_ANSWERED) else {
            return Ok(None);
        };
        Ok(Some(match self.reviewer(case, &author.login).await? {
            Ok(user) if user == author.id => RemarkKind::Changed,
            Err(May::Unread(_)) => RemarkKind::Changed,
            _ => RemarkKind::NotAllowed,
        }))
    }

    async fn read_comment(
        &self,
        case: &Case<'_>,
        issue: &IssueRow,
        comment: &Comment,
        lately: &Remarks,
    ) -> Result<Read, Trouble> {
        // Bots, and whoever speaks through an App, order nothing; nor does an account that is gone.
        let Some(author) = comment.author.as_ref().filter(|author| author.in_person()) else {
            return Ok(Read::default());
        };
        let answer = |reply: Reply<'_>| Read::answered(comment, issue, &reply);
        let command = match command::read(&comment.body) {
            Said::Nothing => return Ok(Read::default()),
            Said::NotObeyed(why) => return Ok(answer(Reply::NotObeyed(why))),
            Said::Command(command) => command,
        };
        if comment.edited() {
            return Ok(answer(Reply::Edited));
        }
        if issue.shows != case.row.fingerprint || comment.id < issue.shows_since {
            return Ok(answer(Reply::Outdated));
        }
        if lately.not_allowed >= MOST_ANSWERED {
            return Ok(Read::not_heard());
        }
        match command {
            Command::Approve { comment: said } => {
                let said = said.unwrap_or_default();
                self.vote(case, (issue, comment, author), Verdict::Approve, said).await
            }
            Command::Deny { reason } => {
                self.vote(case, (issue, comment, author), Verdict::Deny, reason).await
            }
            Command::Explain => {
                let decision = self.readable_decision(case.row.decision_id).await?;
                let said = decision.map(|decision| answer(Reply::Explained(&decision.trace)));
                Ok(said.unwrap_or_default())
            }
            Command::Assign { login } => self.assign(case, (issue, comment, author), login).await,
        }
    }

    async fn assign(
        &self,
        case: &Case<'_>,
        (issue, comment, author): (&IssueRow, &Comment, &Author),
        login: Login,
    ) -> Result<Read, Trouble> {
        let answer = |reply: Reply<'_>| Ok(Read::answered(comment, issue, &reply));
        match self.reviewer(case, &author.login).await? {
            Ok(user) if user == author.id => {}
            Err(May::Unread(why)) => {
                return answer(Reply::Unreadable { by: &author.login, why: &why });
            }
            _ => return answer(Reply::NotAReviewer(&author.login)),
        }
        if let Err(why) = self.reviewer(case, &login).await? {
            return match why {
                May::Unread(why) => answer(Reply::Unreadable { by: &login, why: &why }),
                _ => answer(Reply::NotAssigned(&login)),
            };
        }
        let Some(at) = issue.at else { return Ok(Read::default()) };
        // Assigned twice is assigned once. Whoever cannot be is mentioned in the answer all the same.
        let assigned = match case.write.assign(at, &login).await {
            Ok(assigned) => assigned,
            Err(error @ CallError::RateLimited { .. }) => return Err(error.into()),
            Err(_) => false,
        };
        answer(Reply::Assigned { who: &login, assigned })
    }

    async fn vote(
        &self,
        case: &Case<'_>,
        (issue, comment, author): (&IssueRow, &Comment, &Author),
        verdict: Verdict,
        said: String,
    ) -> Result<Read, Trouble> {
        let answer = |reply: Reply<'_>| Ok(Read::answered(comment, issue, &reply));
        let by = &author.login;
        if author.id == case.request.owner.id {
            return answer(Reply::OwnRequest(by));
        }
        let (mut counts_in, mut lacks_comment, mut unread) = (BTreeSet::new(), false, Vec::new());
        for row in &case.groups {
            let group = case.defined(&row.name);
            match self.may_decide(case, (author.id, &author.login), &group).await? {
                May::Yes if group.comment_required && said.trim().is_empty() => {
                    lacks_comment = true
                }
                May::Yes => drop(counts_in.insert(row.name.clone())),
                May::No => {}
                May::Unread(why) => unread.push(why),
            }
        }
        if counts_in.is_empty() {
            let why = unread.join("; ");
            return match (lacks_comment, unread.is_empty()) {
                (true, _) => answer(Reply::CommentMissing),
                (false, true) => answer(Reply::NotAReviewer(by)),
                (false, false) => answer(Reply::Unreadable { by, why: &why }),
            };
        }
        let vote = Vote {
            user: author.id,
            login: author.login.clone(),
            verdict,
            fingerprint: case.row.fingerprint.clone(),
            counts_in,
            comment: said,
            comment_id: comment.id,
        };
        let vote = NewVote { vote, url: comment.url.clone() };
        Ok(Read { vote: Some(vote), ..Read::default() })
    }

    /// Says how far it is, where an answer was counted and is not the last that is needed.
    async fn acknowledge(
        &self,
        case: &Case<'_>,
        issue: &IssueRow,
        comment: &Comment,
    ) -> Result<(), Trouble> {
        let standing = self.standing(case).await?;
        let now = self.engine.clock.now();
        if matches!(standing.due(now), Due::Approve(_) | Due::Deny(_)) {
            return Ok(());
        }
        let Some(author) = &comment.author else { return Ok(()) };
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let groups: Vec<_> = standing
            .tallies()
            .into_iter()
            .map(|tally| (tally.group, count(tally.approved_by.len()), count(tally.quorum)))
            .collect();
        let key = answer_key(comment);
        let counted = Reply::Counted { by: &author.login, groups: &groups };
        let text = counted.text(&key, audience(issue));
        let mut tx = self.begin().await?;
        tx.put_comment(issue.id, &key, &text, now).await?;
        Ok(tx.commit().await?)
    }
}
