//! What happens to issues and their comments, by people and by Apps; and the webhooks each step sends.

use serde_json::{Value, json};

use super::repositories::Told;
use crate::error::Error;
use crate::ids::next;
use crate::render::{self, Writer};
use crate::state::State;
use crate::world::{Access, Author, Issue, IssueComment};

/// What is to be changed; absent fields stay.
#[derive(Debug, Clone, Default)]
pub(crate) struct IssueChange {
    pub(crate) title: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) open: Option<bool>,
    pub(crate) state_reason: Option<String>,
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) assignees: Option<Vec<String>>,
    pub(crate) locked: Option<bool>,
}

impl State {
    /// Somebody who writes: a new user where nobody has the login.
    pub(crate) fn person(&mut self, login: &str, through: Option<&str>) -> Author {
        let user = self.world.add_user(login);
        let (id, login) = (user.id, user.login.clone());
        Author::Person { id, login, through: through.map(str::to_owned) }
    }

    /// Refuses a person who has less than this access. Apps were let in by their permission.
    pub(crate) fn may(
        &self,
        repository: u64,
        author: &Author,
        least: Access,
        what: &str,
    ) -> Result<(), Error> {
        let Author::Person { id, login, .. } = author else { return Ok(()) };
        let (organization, known) = self.repository_by_id(repository)?;
        match self.world.access(organization, known, *id) {
            Some(access) if access >= least => Ok(()),
            _ => Err(Error::NotAllowed(format!("{login} may not {what}"))),
        }
    }

    pub(crate) fn issue(&self, repository: u64, number: u64) -> Result<&Issue, Error> {
        let (_, known) = self.repository_by_id(repository)?;
        known.issues.known.get(&number).ok_or(Error::UnknownId(number))
    }

    fn issue_mut(&mut self, repository: u64, number: u64) -> Result<&mut Issue, Error> {
        let known = self.writable(repository)?;
        known.issues.known.get_mut(&number).ok_or(Error::UnknownId(number))
    }

    /// Opens an issue.
    pub(crate) fn open_issue(
        &mut self,
        repository: u64,
        author: Author,
        title: &str,
        body: Option<String>,
    ) -> Result<Issue, Error> {
        self.may(repository, &author, Access::Read, "open an issue")?;
        let now = self.now();
        let id = next(&mut self.world.counters.issue);
        let known = self.writable(repository)?;
        if known.issues.disabled {
            return Err(Error::NotAllowed("the repository has no issues".to_owned()));
        }
        let issue = Issue {
            id,
            number: known.next_number(),
            title: title.to_owned(),
            body,
            author: author.clone(),
            open: true,
            state_reason: None,
            locked: false,
            labels: Vec::new(),
            assignees: Vec::new(),
            comments: Vec::new(),
            created_at: now,
            updated_at: now,
            closed_at: None,
            closed_by: None,
            pull: false,
        };
        known.issues.known.insert(issue.number, issue.clone());
        self.tell_of_issue(repository, issue.number, "opened", &author, json!({}));
        Ok(issue)
    }

    /// Changes an issue; each kind of change sends its own webhook.
    pub(crate) fn change_issue(
        &mut self,
        repository: u64,
        number: u64,
        by: &Author,
        change: IssueChange,
    ) -> Result<(), Error> {
        let now = self.now();
        let issue = self.issue_mut(repository, number)?;
        let before = issue.clone();
        if let Some(title) = change.title {
            issue.title = title;
        }
        if change.body.is_some() {
            issue.body = change.body;
        }
        if let Some(labels) = change.labels {
            issue.labels = labels;
        }
        if let Some(assignees) = change.assignees {
            issue.assignees = assignees;
        }
        if let Some(locked) = change.locked {
            issue.locked = locked;
        }
        match change.open {
            Some(false) if issue.open => {
                issue.open = false;
                let reason = change.state_reason.filter(|reason| reason != "reopened");
                issue.state_reason = Some(reason.unwrap_or_else(|| "completed".to_owned()));
                issue.closed_at = Some(now);
                issue.closed_by = Some(by.clone());
            }
            Some(true) if !issue.open => {
                issue.open = true;
                issue.state_reason = Some("reopened".to_owned());
                issue.closed_at = None;
                issue.closed_by = None;
            }
            _ => {
                if !issue.open
                    && let Some(reason) = change.state_reason.filter(|reason| reason != "reopened")
                {
                    issue.state_reason = Some(reason);
                }
            }
        }
        issue.updated_at = now;
        let after = issue.clone();
        self.tell_of_change(repository, by, &before, &after);
        Ok(())
    }

    fn tell_of_change(&mut self, repository: u64, by: &Author, before: &Issue, after: &Issue) {
        let number = after.number;
        let mut changes = serde_json::Map::new();
        if before.title != after.title {
            changes.insert("title".to_owned(), json!({ "from": before.title }));
        }
        if before.body != after.body {
            let from = before.body.clone().unwrap_or_default();
            changes.insert("body".to_owned(), json!({ "from": from }));
        }
        if !changes.is_empty() {
            let changes = json!({ "changes": changes });
            self.tell_of_issue(repository, number, "edited", by, changes);
        }
        for login in after.assignees.iter().filter(|login| !before.assignees.contains(login)) {
            let user = self.world.user(login).map(|user| render::webhook_user(user, &self.urls));
            let more = json!({ "assignee": user });
            self.tell_of_issue(repository, number, "assigned", by, more);
        }
        match (before.open, after.open) {
            (true, false) => self.tell_of_issue(repository, number, "closed", by, json!({})),
            (false, true) => self.tell_of_issue(repository, number, "reopened", by, json!({})),
            _ => {}
        }
        match (before.locked, after.locked) {
            (false, true) => self.tell_of_issue(repository, number, "locked", by, json!({})),
            (true, false) => self.tell_of_issue(repository, number, "unlocked", by, json!({})),
            _ => {}
        }
    }

    /// Deletes an issue with all that was said on it. It is told as it was.
    pub(crate) fn delete_issue(
        &mut self,
        repository: u64,
        number: u64,
        by: &Author,
    ) -> Result<(), Error> {
        self.issue(repository, number)?;
        self.tell_of_issue(repository, number, "deleted", by, json!({}));
        let known = self.writable(repository)?;
        known.issues.known.remove(&number);
        known.issues.deleted.insert(number);
        Ok(())
    }

    /// Moves an issue to another repository of the same organization, where it has another number and id. Gives the number.
    pub(crate) fn transfer_issue(
        &mut self,
        repository: u64,
        number: u64,
        by: &Author,
        to: u64,
    ) -> Result<u64, Error> {
        let mut issue = self.issue(repository, number)?.clone();
        issue.id = next(&mut self.world.counters.issue);
        let target = self.writable(to)?;
        issue.number = target.next_number();
        let new = issue.number;
        target.issues.known.insert(new, issue);
        let shown = self.shown(to, |told| {
            let issue = told.place.repository.issues.known.get(&new)?;
            Some(json!({
                "new_issue": render::issue_webhook(&told.place, told.world, writer(told), issue),
                "new_repository": render::repository_webhook(&told.place),
            }))
        });
        let changes = json!({ "changes": shown });
        self.tell_of_issue(repository, number, "transferred", by, changes);
        let known = self.writable(repository)?;
        known.issues.known.remove(&number);
        known.issues.transferred.insert(number, (to, new));
        Ok(new)
    }

    /// Adds a comment.
    pub(crate) fn add_comment(
        &mut self,
        repository: u64,
        number: u64,
        author: Author,
        body: &str,
    ) -> Result<IssueComment, Error> {
        let locked = self.issue(repository, number)?.locked;
        let least = if locked { Access::Write } else { Access::Read };
        self.may(repository, &author, least, "comment on this issue")?;
        let now = self.now();
        let id = next(&mut self.world.counters.issue_comment);
        let issue = self.issue_mut(repository, number)?;
        let comment = IssueComment {
            id,
            body: body.to_owned(),
            author: author.clone(),
            created_at: now,
            updated_at: now,
        };
        issue.comments.push(comment.clone());
        issue.updated_at = now;
        self.tell_of_comment(repository, id, "created", &author, json!({}));
        Ok(comment)
    }

    /// Gives a comment another text: by its author, or by who may push.
    pub(crate) fn edit_comment(
        &mut self,
        repository: u64,
        comment: u64,
        by: &Author,
        body: &str,
    ) -> Result<(), Error> {
        let (number, at) = self.comment(repository, comment, by)?;
        let now = self.now();
        let issue = self.issue_mut(repository, number)?;
        let known = issue.comments.get_mut(at).ok_or(Error::UnknownId(comment))?;
        let before = std::mem::replace(&mut known.body, body.to_owned());
        known.updated_at = now;
        issue.updated_at = now;
        let changes = json!({ "changes": { "body": { "from": before } } });
        self.tell_of_comment(repository, comment, "edited", by, changes);
        Ok(())
    }

    /// Deletes a comment: by its author, or by who may push. It is told as it was.
    pub(crate) fn delete_comment(
        &mut self,
        repository: u64,
        comment: u64,
        by: &Author,
    ) -> Result<(), Error> {
        let (number, at) = self.comment(repository, comment, by)?;
        self.tell_of_comment(repository, comment, "deleted", by, json!({}));
        self.issue_mut(repository, number)?.comments.remove(at);
        Ok(())
    }

    /// Where a comment is, for somebody who may change it.
    fn comment(&self, repository: u64, comment: u64, by: &Author) -> Result<(u64, usize), Error> {
        let (_, known) = self.repository_by_id(repository)?;
        let (number, at) = known.issues.of_comment(comment).ok_or(Error::UnknownId(comment))?;
        let author = known.issues.known.get(&number).and_then(|issue| issue.comments.get(at));
        let own = match (author.map(|comment| &comment.author), by) {
            (Some(Author::Person { id, .. }), Author::Person { id: by, .. }) => id == by,
            _ => false,
        };
        if !own {
            self.may(repository, by, Access::Write, "change somebody else's comment")?;
        }
        Ok((number, at))
    }

    /// Something of a repository as a body shows it.
    fn shown(
        &self,
        repository: u64,
        show: impl FnOnce(&Told<'_>) -> Option<Value>,
    ) -> Option<Value> {
        let (organization, known) = self.repository_by_id(repository).ok()?;
        let place = render::Place { organization, repository: known, urls: &self.urls };
        let (app, wishes) = (&*self.app, &self.wishes);
        show(&Told { place, world: &self.world, app, wishes, now: self.now() })
    }

    fn tell_of_issue(
        &mut self,
        repository: u64,
        number: u64,
        action: &str,
        by: &Author,
        mut more: Value,
    ) {
        let sender = self.sender_of(by);
        self.tell(repository, "issues", Some(action), &sender, |told| {
            let issue = told.place.repository.issues.known.get(&number)?;
            let shown = render::issue_webhook(&told.place, told.world, writer(told), issue);
            more.as_object_mut()?.insert("issue".to_owned(), shown);
            Some(more)
        });
    }

    fn tell_of_comment(
        &mut self,
        repository: u64,
        comment: u64,
        action: &str,
        by: &Author,
        mut more: Value,
    ) {
        let sender = self.sender_of(by);
        self.tell(repository, "issue_comment", Some(action), &sender, |told| {
            let issues = &told.place.repository.issues;
            let (number, at) = issues.of_comment(comment)?;
            let issue = issues.known.get(&number)?;
            let writer = writer(told);
            let mut said = render::issue_comment(
                &told.place,
                told.world,
                writer,
                number,
                issue.comments.get(at)?,
            );
            render::plain_gravatars(&mut said);
            let fields = more.as_object_mut()?;
            fields.insert("comment".to_owned(), said);
            let shown = render::issue_webhook(&told.place, told.world, writer, issue);
            fields.insert("issue".to_owned(), shown);
            Some(more)
        });
    }

    /// The login of whoever does something.
    fn sender_of(&self, by: &Author) -> String {
        match by {
            Author::App => format!("{}[bot]", self.app.slug),
            Author::OtherApp(slug) => format!("{slug}[bot]"),
            Author::Person { id, .. } => self.world.login_of(*id),
        }
    }
}

fn writer<'a>(told: &Told<'a>) -> Writer<'a> {
    Writer { app: told.app, wishes: told.wishes }
}
