//! The issues in which people are asked: found or made, kept up to date, closed. What is to be written is in the store first; an
//! issue or a comment whose call was not answered is looked for before it is written again.

mod comments;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{Case, Trouble, audience, words};
use crate::{
    audit,
    domain::{Fingerprint, Login, OrganizationId, RepositoryId},
    engine::{
        is_an_answer,
        lifecycle::{Outcome, State},
        record::{self, LANDS_WITHIN},
        worker::Worker,
    },
    github::{CallError, Closed, Fresh, IssueEdit, RemoteRepository},
    review::{
        issue::Ended,
        reply::{self, Reply},
    },
    rules::policy::Notify,
    store::{IssueRow, IssueState, RequestKey, StoreError},
};

/// More new ones than this about one person's requests within an hour become one list of theirs: nobody else's are on it.
const MOST_AN_HOUR: i64 = 20;

/// More than this of everybody's do too: GitHub takes 500 an hour from an App, and each of these is written to more than once.
const MOST_OF_ALL: i64 = 200;

/// How many issues about one request may be lost before no other is made: somebody deletes them on purpose.
const MOST_LOST: i64 = 3;

/// How far back an issue of ours is looked for before one is made: as long as a store may be behind after it was brought back.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(48);

/// What an issue shows that asks nothing any more.
pub(super) const WITHDRAWN: &str = "";

/// The key of the comment that says that something else is asked from here on.
fn round(case: &Case<'_>, issue: &IssueRow) -> String {
    let (asked_at, shows_since) = (case.row.asked_at.as_millisecond(), issue.shows_since);
    format!("round:{asked_at}:{shows_since}:{}", case.row.fingerprint)
}

impl IssueRow {
    /// Whether it stands in the repository that rules name so.
    pub(super) fn asks(&self, organization: &str, repository: &str) -> bool {
        self.repository_name.eq_ignore_ascii_case(&format!("{organization}/{repository}"))
    }

    /// Whether what people say there now cannot count, whatever they say.
    pub(super) fn is_mute(&self) -> bool {
        self.locked || self.shut || self.behind || self.is_left_rewritten()
    }

    /// Whether it says something else than we wrote, and that is not mended now.
    fn is_left_rewritten(&self) -> bool {
        self.state == IssueState::Open
            && self.written.is_empty()
            && self.shows.as_str() == WITHDRAWN
    }

    /// Why nobody can answer there.
    pub(super) fn why_mute(&self) -> Option<String> {
        let why = if self.locked {
            "is locked, or its repository archived: nobody can answer there"
        } else if self.is_left_rewritten() {
            "was changed too often by others: nothing that is said there counts"
        } else if self.shut {
            "was closed too often by others: it is opened again within the hour"
        } else if self.behind {
            "has more comments than are read at once: the others are read later"
        } else {
            return None;
        };
        (self.state == IssueState::Open)
            .then(|| format!("the issue {} {why}, and no time counts", self.url))
    }
}

/// The issues in which a request is asked about, and why there are no others.
pub(super) struct Channels {
    pub(super) issues: Vec<IssueRow>,
    pub(super) missing: Vec<String>,
}

impl Worker<'_> {
    /// The issues in which people are asked about a request; those that there are to be are in the outbox after this.
    pub(super) async fn channels(&self, case: &Case<'_>) -> Result<Channels, Trouble> {
        let store = &self.engine.store;
        let key = case.row.key;
        let mut issues = store.review_issues(key).await?;
        let mut missing = Vec::new();
        for group in &case.groups {
            for notify in case.defined(&group.name).notify {
                let Notify::Issue { organization, repository } = notify else { continue };
                let name = format!("{organization}/{repository}");
                if issues.iter().any(|issue| issue.asks(&organization, &repository)) {
                    continue;
                }
                if store.lost_issues(key).await? >= MOST_LOST {
                    missing.push(format!(
                        "{MOST_LOST} issues about it in {name} were deleted or moved"
                    ));
                    continue;
                }
                match self.repository(case, &organization, &repository).await {
                    Ok(found) => issues.push(self.record_issue(case, &found, name).await?),
                    Err(CallError::Unprocessable { message }) => {
                        missing.push(format!("{name}: {message}"));
                    }
                    Err(error) if is_an_answer(&error) => missing.push(format!("{name}: {error}")),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(Channels { issues, missing })
    }

    /// The repository that rules name. It is one of the organization, or it is not used.
    async fn repository(
        &self,
        case: &Case<'_>,
        organization: &str,
        name: &str,
    ) -> Result<RemoteRepository, CallError> {
        let own = &case.installation.organization;
        let refused = |message: &str| CallError::Unprocessable { message: message.to_owned() };
        if !own.login.as_str().eq_ignore_ascii_case(organization) {
            return Err(refused("reviewers are asked in a repository of the organization itself"));
        }
        let found = case.read.repository(&Login::new(organization), name, None).await?;
        let Fresh::Now(found, _) = found else { return Err(refused("it could not be read")) };
        if found.owner.id != own.id {
            return Err(refused("it belongs to somebody else by now"));
        }
        if found.archived {
            return Err(refused("it is archived: nobody can answer there"));
        }
        // Whoever may make repositories could otherwise have the questions come to one of theirs, once the name is free.
        let known = self.engine.store.review_repositories(own.id).await;
        let known = known.map_err(|error| CallError::Unreadable { why: error.to_string() })?;
        let known = known.get(&name.to_ascii_lowercase()).copied();
        let other = known.is_some_and(|known| known != found.id).then_some(found.id);
        // Kept, so that somebody can accept this one, and no other.
        let noted = self.note_refused_repository(own.id, name, other).await;
        noted.map_err(|error| CallError::Unreadable { why: error.to_string() })?;
        match other {
            Some(_) => Err(refused(&format!(
                "another repository has this name than before; `patwarden policy trust {} --reviews` accepts it",
                own.login
            ))),
            _ => Ok(found),
        }
    }

    async fn note_refused_repository(
        &self,
        organization: OrganizationId,
        name: &str,
        other: Option<RepositoryId>,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.note_refused_review_repository(organization, name, other).await?;
        tx.commit().await
    }

    /// Puts an issue of its own into the outbox; or, of too many at once, the request on a list.
    async fn record_issue(
        &self,
        case: &Case<'_>,
        repository: &RemoteRepository,
        name: String,
    ) -> Result<IssueRow, StoreError> {
        let store = &self.engine.store;
        let now = self.engine.clock.now();
        let key = case.row.key;
        let since = now.saturating_sub(SignedDuration::from_hours(1)).unwrap_or(now);
        let owner = case.request.owner.id;
        let (theirs, all) = store.issues_since(key.organization, owner, since).await?;
        let many = theirs >= MOST_AN_HOUR || all >= MOST_OF_ALL;
        let place = (repository.id, name, repository.private);
        let url = repository.url.clone();
        let new = IssueRow::new(key, place, url, case.row.fingerprint.clone(), now);
        let list = if many {
            store.open_list(key.organization, repository.id, owner).await?
        } else {
            None
        };
        let mut tx = self.begin().await?;
        let short = name_of(&new.repository_name).to_owned();
        tx.note_review_repository(key.organization, &short, repository.id, now).await?;
        // A name that it had protects it under another one: see the rules' built-in veto.
        tx.note_name(key.organization, repository.id, &repository.name, now).await?;
        let issue = match list {
            Some(list) => list,
            None => {
                let new =
                    if many { IssueRow { request: None, owner: Some(owner), ..new } } else { new };
                let id = tx.record_issue(&new).await?;
                IssueRow { id, ..new }
            }
        };
        if many {
            tx.list_request(issue.id, key).await?;
        }
        tx.commit().await?;
        Ok(issue)
    }

    /// Makes an issue that is not there, writes what is not written, and says what is to be said.
    pub(super) async fn keep_up(
        &self,
        case: &Case<'_>,
        issue: &mut IssueRow,
    ) -> Result<(), Trouble> {
        let text = self.text_of(case, issue).await?;
        if matches!(issue.state, IssueState::Recorded | IssueState::Sent) {
            self.make(case, issue, &text).await?;
        }
        if issue.is_left_rewritten() && self.remarks(issue, None).await?.left > 0 {
            // Somebody does it again and again: it is left alone for a while, and nothing that is said there counts.
            return self.write_comments(case, issue).await;
        }
        if issue.shut && issue.state == IssueState::Open && !self.reopen(issue).await? {
            return self.write_comments(case, issue).await;
        }
        if issue.written != hash(&text, "open")
            && issue.state == IssueState::Open
            && let Some(at) = issue.at.filter(|_| issue.request.is_some())
        {
            match case.read.issue(at).await {
                Ok(found) => self.note_rewriting(case, issue, &found).await?,
                // The edit finds that out as well.
                Err(CallError::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let another = issue.request.is_some() && issue.shows != case.row.fingerprint;
        if issue.written != hash(&text, "open") {
            let edit = IssueEdit::to(&text.title, &text.body);
            let reopens = issue.state == IssueState::Closed || issue.written.is_empty();
            let edit = if reopens { edit.reopened() } else { edit };
            if !self.edit(case, issue, edit).await? {
                return Ok(());
            }
            issue.state = IssueState::Open;
            issue.shut &= !reopens;
            issue.written = hash(&text, "open");
            self.save(issue).await?;
        }
        if another {
            let now = self.engine.clock.now();
            let mut tx = self.begin().await?;
            let key = round(case, issue);
            let text = if issue.shows.as_str() == WITHDRAWN {
                format!(
                    "{}\nPeople are asked about this again: only what is answered from here on counts.",
                    reply::mark(&key)
                )
            } else {
                Reply::Changed.text(&key, audience(issue))
            };
            tx.put_comment(issue.id, &key, &text, now).await?;
            tx.commit().await?;
        }
        self.write_comments(case, issue).await
    }

    async fn save(&self, issue: &IssueRow) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.save_issue(issue).await?;
        tx.commit().await
    }

    /// Makes an issue, unless it is there: a call whose answer was lost is not repeated before it is known that it came to
    /// nothing.
    async fn make(
        &self,
        case: &Case<'_>,
        issue: &mut IssueRow,
        text: &words::Text,
    ) -> Result<(), Trouble> {
        if self.adopt(case, issue, text).await? {
            return Ok(());
        }
        let now = self.engine.clock.now();
        issue.state = IssueState::Sent;
        issue.sent_at = Some(now);
        self.save(issue).await?;
        crate::crash::point("issue-sending");
        let made = case.write.open_issue(issue.repository, &text.title, &text.body).await;
        crate::crash::point("issue-answered");
        match made {
            Ok(made) => {
                issue.at = Some(made.at(issue.repository));
                issue.url = made.url;
                issue.written = hash(text, "open");
                issue.shows = case.row.fingerprint.clone();
                self.opened(case, issue).await
            }
            Err(error) => {
                if !error.may_have_taken_effect() {
                    issue.state = IssueState::Recorded;
                    issue.sent_at = None;
                    self.save(issue).await?;
                }
                Err(error.into())
            }
        }
    }

    /// Takes an issue of ours for what it is, where an earlier call made it.
    async fn adopt(
        &self,
        case: &Case<'_>,
        issue: &mut IssueRow,
        text: &words::Text,
    ) -> Result<bool, Trouble> {
        let now = self.engine.clock.now();
        let us = self.engine.app.identity().await?;
        let since = issue.recorded_at.saturating_sub(LOOK_BACK).unwrap_or(issue.recorded_at);
        let mut known = case.read.own_issues(issue.repository, &us, &text.mark, since).await?;
        // Whoever may edit an issue can give it another one's mark: what is known as something else is that.
        let others = self.engine.store.known_review_issues(issue.repository).await?;
        known.retain(|known| known.open && !others.contains(&known.id));
        if let Some(known) = known.pop() {
            issue.at = Some(known.at(issue.repository));
            issue.url = known.url;
            // What it says is written anew.
            "adopted".clone_into(&mut issue.written);
            // And what was answered there before may have been an answer to something else.
            issue.shows = Fingerprint::from_stored(WITHDRAWN.to_owned());
            self.opened(case, issue).await?;
            return Ok(true);
        }
        match issue.sent_at.and_then(|sent_at| sent_at.checked_add(LANDS_WITHIN).ok()) {
            Some(until) if until > now => Err(Trouble::Until(until)),
            _ => Ok(false),
        }
    }

    async fn opened(&self, case: &Case<'_>, issue: &mut IssueRow) -> Result<(), Trouble> {
        let now = self.engine.clock.now();
        issue.state = IssueState::Open;
        issue.look = true;
        issue.looked_at = Some(now);
        self.save(issue).await?;
        let asked = audit::Event::ReviewersAsked {
            groups: case.groups.iter().map(|group| group.name.clone()).collect(),
            url: issue.url.clone(),
        };
        self.engine.audit.write(record::entry(&case.request, asked, now));
        Ok(())
    }

    /// Changes an issue. Gives whether it is still there.
    async fn edit(
        &self,
        case: &Case<'_>,
        issue: &mut IssueRow,
        edit: IssueEdit<'_>,
    ) -> Result<bool, Trouble> {
        let Some(at) = issue.at else { return Ok(false) };
        match case.write.edit_issue(at, edit).await {
            Ok(_) => Ok(true),
            Err(CallError::NotFound) => {
                self.lose(case, issue, "was deleted or moved").await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An issue is gone. Another one is made by the next step, as long as the request is pending.
    pub(super) async fn lose(
        &self,
        case: &Case<'_>,
        issue: &mut IssueRow,
        what: &str,
    ) -> Result<(), StoreError> {
        issue.state = IssueState::Lost;
        let mut tx = self.begin().await?;
        tx.save_issue(issue).await?;
        tx.void_comments(issue.id).await?;
        tx.wake_escalation(case.row.key, self.engine.clock.now()).await?;
        tx.commit().await?;
        self.alarm(&case.row, &format!("the issue {} {what}", issue.url)).await
    }

    /// Says how it ended, and closes the issue. A list is closed when all that it names has ended.
    pub(super) async fn close(&self, case: &Case<'_>, issue: &mut IssueRow) -> Result<(), Trouble> {
        if issue.state == IssueState::Closed {
            return Ok(());
        }
        let text = self.text_of(case, issue).await?;
        let there = match issue.state {
            IssueState::Recorded if issue.sent_at.is_none() && issue.request.is_some() => false,
            IssueState::Recorded | IssueState::Sent => self.adopt(case, issue, &text).await?,
            _ => true,
        };
        if !there && issue.request.is_some() {
            // Nobody was asked, and nobody needs to be.
            issue.state = IssueState::Lost;
            return Ok(self.save(issue).await?);
        }
        if issue.request.is_none() {
            if !there {
                return Ok(());
            }
            return self.close_list(case, issue, &text).await;
        }
        let now = self.engine.clock.now();
        let key = format!("ended:{}", case.request.state_since.as_millisecond());
        let said = self.ended(case).await?;
        let said = words::over(&case.request, said.as_ref(), &key, audience(issue));
        let mut tx = self.begin().await?;
        tx.put_comment(issue.id, &key, &said, now).await?;
        tx.commit().await?;
        self.write_comments(case, issue).await?;
        if issue.state == IssueState::Lost {
            return Ok(());
        }
        let decided = matches!(
            case.request.state,
            State::Settled(Outcome::Approved | Outcome::Denied | Outcome::Revoked, _)
        );
        let why = if decided { Closed::Completed } else { Closed::NotPlanned };
        if self.edit(case, issue, IssueEdit::to(&text.title, &text.body).closed(why)).await? {
            issue.state = IssueState::Closed;
            issue.shut = false;
            issue.written = hash(&text, "closed");
            issue.shows = Fingerprint::from_stored(WITHDRAWN.to_owned());
            self.save(issue).await?;
        }
        Ok(())
    }

    async fn close_list(
        &self,
        case: &Case<'_>,
        issue: &mut IssueRow,
        text: &words::Text,
    ) -> Result<(), Trouble> {
        let edit = IssueEdit::to(&text.title, &text.body);
        let (edit, state) = if text.all_ended {
            (edit.closed(Closed::Completed), "closed")
        } else {
            (edit, "open")
        };
        if issue.written != hash(text, state) && self.edit(case, issue, edit).await? {
            issue.written = hash(text, state);
            if text.all_ended {
                issue.state = IssueState::Closed;
            }
            self.save(issue).await?;
        }
        Ok(())
    }

    /// What an issue is to say now.
    pub(super) async fn text_of(
        &self,
        case: &Case<'_>,
        issue: &IssueRow,
    ) -> Result<words::Text, StoreError> {
        let store = &self.engine.store;
        if issue.request.is_none() {
            let mut rows = Vec::new();
            for request in store.listed_in(issue.id).await? {
                let key = RequestKey { organization: issue.organization, request };
                rows.extend(store.request(key).await?);
            }
            let organization = &case.request.organization.login;
            let base = self.base(Some(&issue.url));
            let whose = &case.request.owner.login;
            return Ok(words::list(
                (issue.id, whose),
                organization,
                &rows,
                (audience(issue), &base),
            ));
        }
        let Some(decision) = self.readable_decision(case.row.decision_id).await? else {
            return Ok(words::unreadable(case, &self.base(Some(&issue.url))));
        };
        let mut standing = self.standing(case).await?;
        if !issue.locked && (issue.at.is_none() || issue.written.is_empty()) {
            // GitHub mails the first text, and time counts from when it stands there.
            standing = case.expected(&standing, self.engine.clock.now());
        }
        let ended = self.ended(case).await?;
        let base = self.base(Some(&issue.url));
        let place = words::Place { audience: audience(issue), base: &base, mute: issue.locked };
        Ok(words::issue(case, &standing, &decision, ended.as_ref(), &place))
    }

    /// How the request ended, once it has.
    async fn ended(&self, case: &Case<'_>) -> Result<Option<Ended>, StoreError> {
        let said = self.engine.store.reviews(case.row.key).await?.pop();
        let votes = self.engine.store.votes(case.row.key).await?;
        Ok(words::ended(&case.request, said.as_ref(), &votes))
    }
}

/// What stands for a text that was written.
pub(super) fn hash(text: &words::Text, state: &str) -> String {
    hash_of(&text.title, &text.body, state)
}

/// The same of what is there. Line ends and blanks around it do not count: GitHub keeps them as it likes.
pub(super) fn hash_of(title: &str, body: &str, state: &str) -> String {
    let mut hasher = Sha256::new();
    let kept = |text: &str| text.replace('\r', "").trim().to_owned();
    for part in [kept(title), kept(body), state.to_owned()] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}

/// The name of a repository without its owner's.
fn name_of(full_name: &str) -> &str {
    full_name.split_once('/').map_or(full_name, |(_, name)| name)
}

/// Until when an issue is left alone that cannot be asked in.
pub(super) fn later(now: Timestamp) -> Timestamp {
    now.saturating_add(super::REFUSED_FOR).unwrap_or(now)
}
