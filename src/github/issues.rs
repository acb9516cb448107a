//! Issues on which people are asked, and what they answer there: found, opened, kept up to date, closed, commented.

use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    app::App,
    error::CallError,
    read::{Read, segment},
    write::Write,
};
use crate::domain::{Login, RepositoryId, UserId};

/// The most characters of an issue's title that GitHub takes.
pub const TITLE_LIMIT: usize = 256;

/// The most characters of an issue's or a comment's text that GitHub takes.
pub const BODY_LIMIT: usize = 65_536;

/// How many pages of comments are read at once: whoever may comment may write without end.
const PAGES_AT_ONCE: usize = 10;

/// How long it is believed who our App is.
const IDENTITY_KEEPS: SignedDuration = SignedDuration::from_hours(1);

/// Who our App is to GitHub: what it writes is known by that.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Identity {
    /// The App's numeric id.
    pub id: i64,
    /// Its name in URLs; its bot is called `SLUG[bot]`.
    pub slug: String,
}

/// Who wrote an issue or a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The account.
    pub id: UserId,
    /// Its login at the time of reading.
    pub login: Login,
    /// Whether it is a person's account, and not a bot's or anything else.
    pub person: bool,
    /// The App through which it was written, if any: by the App's bot, or by a person whom the App speaks for.
    pub app: Option<i64>,
}

impl Author {
    /// Whether it was written by a person with their own hands: only then does it say what that person wants.
    #[must_use]
    pub fn in_person(&self) -> bool {
        self.person && self.app.is_none()
    }

    /// Whether it was written by our App's bot. No person's login has brackets.
    #[must_use]
    pub fn is_ours(&self, us: &Identity) -> bool {
        let bot = format!("{}[bot]", us.slug);
        !self.person
            && self.login.as_str().eq_ignore_ascii_case(&bot)
            && self.app.is_none_or(|app| app == us.id)
    }
}

/// Which issue: where it stands, and the id that it loses when it is moved. GitHub leads calls for a moved issue to where
/// it is now, which may be a repository that everybody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueRef {
    /// The repository's number.
    pub repository: RepositoryId,
    /// The issue's number in it.
    pub number: i64,
    /// GitHub's own id.
    pub id: i64,
}

/// An issue as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// GitHub's own id.
    pub id: i64,
    /// Its number in its repository.
    pub number: i64,
    /// Whether it is open.
    pub open: bool,
    /// Whether only those who may push can comment; an App cannot.
    pub locked: bool,
    /// The title.
    pub title: String,
    /// The text, as Markdown: whoever may edit it may have changed it.
    pub body: String,
    /// Who opened it; nobody where the account is gone.
    pub author: Option<Author>,
    /// Where people see it.
    pub url: String,
}

impl Issue {
    /// The same issue in this repository.
    #[must_use]
    pub fn at(&self, repository: RepositoryId) -> IssueRef {
        IssueRef { repository, number: self.number, id: self.id }
    }
}

/// A comment as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// GitHub's own id; a later comment has a higher one.
    pub id: i64,
    /// The text, as Markdown.
    pub body: String,
    /// Who wrote it; nobody where the account is gone.
    pub author: Option<Author>,
    /// When it was written, by GitHub's clock.
    pub created_at: Timestamp,
    /// When it was last changed, by whoever may; the same moment where nobody did.
    pub updated_at: Timestamp,
    /// Where people see it.
    pub url: String,
}

impl Comment {
    /// Whether somebody changed it since it was written. GitHub counts in seconds: a change within the first is not seen.
    #[must_use]
    pub fn edited(&self) -> bool {
        self.updated_at > self.created_at
    }
}

#[derive(Deserialize)]
struct WireUser {
    id: i64,
    login: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct WireApp {
    id: i64,
}

fn author(user: Option<WireUser>, app: Option<WireApp>) -> Option<Author> {
    let user = user?;
    Some(Author {
        id: UserId(user.id),
        login: Login::new(user.login),
        person: user.kind == "User",
        app: app.map(|app| app.id),
    })
}

#[derive(Deserialize)]
struct WireIssue {
    id: i64,
    number: i64,
    state: String,
    #[serde(default)]
    locked: bool,
    title: String,
    #[serde(default)]
    body: Option<String>,
    user: Option<WireUser>,
    html_url: String,
    #[serde(default)]
    performed_via_github_app: Option<WireApp>,
    // GitHub lists pull requests among issues.
    #[serde(default)]
    pull_request: Option<serde::de::IgnoredAny>,
}

impl From<WireIssue> for Issue {
    fn from(wire: WireIssue) -> Self {
        Self {
            id: wire.id,
            number: wire.number,
            open: wire.state == "open",
            locked: wire.locked,
            title: wire.title,
            body: wire.body.unwrap_or_default(),
            author: author(wire.user, wire.performed_via_github_app),
            url: wire.html_url,
        }
    }
}

#[derive(Deserialize)]
struct WireComment {
    id: i64,
    #[serde(default)]
    body: Option<String>,
    user: Option<WireUser>,
    created_at: Timestamp,
    updated_at: Timestamp,
    html_url: String,
    #[serde(default)]
    performed_via_github_app: Option<WireApp>,
}

impl From<WireComment> for Comment {
    fn from(wire: WireComment) -> Self {
        Self {
            id: wire.id,
            body: wire.body.unwrap_or_default(),
            author: author(wire.user, wire.performed_via_github_app),
            created_at: wire.created_at,
            updated_at: wire.updated_at,
            url: wire.html_url,
        }
    }
}

impl App {
    /// Who we are: asked for once an hour at most, since an App may be renamed.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn identity(&self) -> Result<Identity, CallError> {
        let now = self.caller().clock.now();
        let known = self.identity.lock().ok().and_then(|known| known.clone());
        let fresh = |at: Timestamp| now.duration_since(at).abs() < IDENTITY_KEEPS;
        if let Some((identity, _)) = known.filter(|(_, at)| fresh(*at)) {
            return Ok(identity);
        }
        let identity: Identity = self.caller().get("/app").await?;
        if let Ok(mut known) = self.identity.lock() {
            *known = Some((identity.clone(), now));
        }
        Ok(identity)
    }

    /// Whether something of an issue was done by our own bot, as far as we know by now who that is.
    #[must_use]
    pub fn did(&self, event: &IssueEvent) -> bool {
        let Some(sender) = &event.sender else { return false };
        let known = self.identity.lock().ok().and_then(|known| known.clone());
        known.is_some_and(|(us, _)| sender.is_ours(&us))
    }
}

impl Read {
    /// An issue where it was when we last saw it.
    ///
    /// # Errors
    /// Whatever the call came to; [`CallError::NotFound`] also when it was deleted, or moved to another repository.
    pub async fn issue(&self, at: IssueRef) -> Result<Issue, CallError> {
        let issue: WireIssue = self.caller().get(&path_of(at)).await?;
        match issue.id == at.id && issue.number == at.number {
            true => Ok(issue.into()),
            false => Err(CallError::NotFound),
        }
    }

    /// The issues that our App opened with this mark at the very beginning of their text, and that were touched since then:
    /// the oldest first, open and closed ones.
    ///
    /// All issues since then are listed, and ours are told by their author: GitHub's own filter by creator has been seen to
    /// find none of an App's.
    ///
    /// # Errors
    /// Whatever the calls came to; [`CallError::NotFound`] also where the repository has no issues.
    pub async fn own_issues(
        &self,
        repository: RepositoryId,
        us: &Identity,
        mark: &str,
        since: Timestamp,
    ) -> Result<Vec<Issue>, CallError> {
        let path = format!(
            "/repositories/{repository}/issues?state=all&sort=created&direction=asc&since={}&per_page=100",
            segment(&seconds(since))
        );
        let all: Vec<WireIssue> = self.caller().pages(&path).await?;
        let issues = all.into_iter().filter(|issue| issue.pull_request.is_none());
        let ours = |issue: &Issue| {
            issue.author.as_ref().is_some_and(|author| author.is_ours(us))
                // A requester's words may hold a mark as well, but not in the first place.
                && issue.body.starts_with(mark)
        };
        Ok(issues.map(Issue::from).filter(ours).collect())
    }

    /// The comments of an issue that were written or changed since then, the oldest first; all of them without a moment. At most a
    /// thousand, and whether there are more.
    ///
    /// # Errors
    /// Whatever the calls came to. The comments of a moved issue are those that it has where it is: see [`Read::issue`].
    pub async fn comments_at_once(
        &self,
        at: IssueRef,
        since: Option<Timestamp>,
    ) -> Result<(Vec<Comment>, bool), CallError> {
        let since =
            since.map(|since| format!("&since={}", segment(&seconds(since)))).unwrap_or_default();
        let path = format!("{}/comments?per_page=100{since}", path_of(at));
        let (comments, more): (Vec<WireComment>, _) =
            self.caller().first_pages(&path, PAGES_AT_ONCE).await?;
        Ok((comments.into_iter().map(Comment::from).collect(), more))
    }
}

/// Why an issue is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// It was decided.
    Completed,
    /// There is nothing left to decide.
    NotPlanned,
}

/// What is to be changed of an issue; what is absent stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IssueEdit<'a> {
    /// Its title: at most [`TITLE_LIMIT`] characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    /// Its text: at most [`BODY_LIMIT`] characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason: Option<Closed>,
}

impl<'a> IssueEdit<'a> {
    /// Another title and text.
    #[must_use]
    pub fn to(title: &'a str, body: &'a str) -> Self {
        Self { title: Some(title), body: Some(body), ..Self::default() }
    }

    /// And closed.
    #[must_use]
    pub fn closed(self, why: Closed) -> Self {
        Self { state: Some("closed"), state_reason: Some(why), ..self }
    }

    /// And open again.
    #[must_use]
    pub fn reopened(self) -> Self {
        Self { state: Some("open"), state_reason: None, ..self }
    }
}

#[derive(Serialize)]
struct Text<'a> {
    body: &'a str,
}

impl Write {
    /// Opens an issue: a title of at most [`TITLE_LIMIT`] characters and a text of at most [`BODY_LIMIT`].
    ///
    /// # Errors
    /// Whatever the call came to. After [`CallError::may_have_taken_effect`] it is to be looked for
    /// ([`Read::own_issues`]) before it is opened again. [`CallError::NotFound`] also where the repository has no issues.
    pub async fn open_issue(
        &self,
        repository: RepositoryId,
        title: &str,
        body: &str,
    ) -> Result<Issue, CallError> {
        #[derive(Serialize)]
        struct Body<'a> {
            title: &'a str,
            body: &'a str,
        }
        let path = format!("/repositories/{repository}/issues");
        let body = Body { title, body };
        let made = self.send(Method::POST, &path, &body, StatusCode::CREATED).await?;
        Ok(made.json::<WireIssue>()?.into())
    }

    /// Changes an issue, closes it or opens it again. Doing so twice is as good as once.
    ///
    /// # Errors
    /// Whatever the calls came to; [`CallError::NotFound`] also when it was deleted, or moved to another repository: there
    /// nothing is written.
    pub async fn edit_issue(&self, at: IssueRef, edit: IssueEdit<'_>) -> Result<Issue, CallError> {
        self.still_there(at).await?;
        let changed = self.send(Method::PATCH, &path_of(at), &edit, StatusCode::OK).await?;
        Ok(changed.json::<WireIssue>()?.into())
    }

    /// Says something on an issue: at most [`BODY_LIMIT`] characters.
    ///
    /// # Errors
    /// As for [`Write::edit_issue`]; [`CallError::Forbidden`] on an issue that is locked. After
    /// [`CallError::may_have_taken_effect`] it is to be looked for among the comments before it is said again.
    pub async fn comment(&self, at: IssueRef, body: &str) -> Result<Comment, CallError> {
        self.still_there(at).await?;
        let path = format!("{}/comments", path_of(at));
        let made = self.send(Method::POST, &path, &Text { body }, StatusCode::CREATED).await?;
        Ok(made.json::<WireComment>()?.into())
    }

    /// Gives a comment another text.
    ///
    /// # Errors
    /// As for [`Write::edit_issue`], of the issue that it stands on.
    pub async fn edit_comment(
        &self,
        at: IssueRef,
        comment: i64,
        body: &str,
    ) -> Result<Comment, CallError> {
        self.still_there(at).await?;
        let path = format!("/repositories/{}/issues/comments/{comment}", at.repository);
        let changed = self.send(Method::PATCH, &path, &Text { body }, StatusCode::OK).await?;
        Ok(changed.json::<WireComment>()?.into())
    }

    /// Assigns an issue to one more person. Whether GitHub did: whoever cannot see the repository is left out by it, without
    /// a word.
    ///
    /// # Errors
    /// As for [`Write::edit_issue`].
    pub async fn assign(&self, at: IssueRef, login: &Login) -> Result<bool, CallError> {
        #[derive(Serialize)]
        struct Body<'a> {
            assignees: [&'a str; 1],
        }
        #[derive(Deserialize)]
        struct Assigned {
            assignees: Vec<WireUser>,
        }
        self.still_there(at).await?;
        let path = format!("{}/assignees", path_of(at));
        let body = Body { assignees: [login.as_str()] };
        let made = self.send(Method::POST, &path, &body, StatusCode::CREATED).await?;
        let assigned: Assigned = made.json()?;
        let same = |user: &WireUser| user.login.eq_ignore_ascii_case(login.as_str());
        Ok(assigned.assignees.iter().any(same))
    }

    /// A call for an issue that was moved is led to where it is now: what is said of a request must not come to stand there.
    async fn still_there(&self, at: IssueRef) -> Result<(), CallError> {
        self.reader().issue(at).await.map(|_| ())
    }
}

fn path_of(at: IssueRef) -> String {
    format!("/repositories/{}/issues/{}", at.repository, at.number)
}

/// GitHub's `since` counts in whole seconds.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What an `issues` or `issue_comment` event says. It wakes; what is there decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueEvent {
    /// Where.
    pub repository: RepositoryId,
    /// The issue's number.
    pub number: i64,
    /// GitHub's own id of the issue.
    pub id: i64,
    /// Who did it, where it is said.
    pub sender: Option<Author>,
    /// What it tells that is not to be seen afterwards.
    pub meddled: Option<Meddled>,
}

/// What somebody did to what others wrote: taken back before anybody looks, only the event tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddled {
    /// Changed or deleted this comment, which is somebody else's.
    WithComment(i64),
    /// Gave the issue another title or text, or a comment of ours another text.
    WithText,
}

/// Reads as much of an `issues` or `issue_comment` event as we use.
///
/// # Errors
/// Why it cannot be understood.
pub fn parse_issue_event(body: &[u8]) -> Result<IssueEvent, String> {
    #[derive(Deserialize)]
    struct Payload {
        repository: Id,
        issue: Numbered,
        #[serde(default)]
        action: Option<String>,
        #[serde(default)]
        sender: Option<WireUser>,
        #[serde(default)]
        comment: Option<Said>,
    }
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        id: Option<i64>,
        #[serde(default)]
        user: Option<WireUser>,
    }
    #[derive(Deserialize)]
    struct Id {
        id: i64,
    }
    #[derive(Deserialize)]
    struct Numbered {
        id: i64,
        number: i64,
        #[serde(default)]
        user: Option<WireUser>,
    }
    let payload: Payload = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    // The issues that are looked at are our own, so whoever wrote the issue is us; and any other hand, a workflow's too,
    // meddles.
    let id = |user: Option<&WireUser>| user.map(|user| user.id);
    let (sender, ours) = (id(payload.sender.as_ref()), id(payload.issue.user.as_ref()));
    let by_another = |of: Option<i64>| of.is_none() || of != sender;
    let meddled = match (payload.action.as_deref(), &payload.comment) {
        (Some("edited"), None) if by_another(ours) => Some(Meddled::WithText),
        (Some("edited" | "deleted"), Some(comment)) => match &comment.user {
            Some(user) if user.kind == "User" && by_another(Some(user.id)) => {
                comment.id.map(Meddled::WithComment)
            }
            // Words of ours, in which nobody else's are to be read.
            Some(user) if Some(user.id) == ours && by_another(ours) => {
                payload.action.filter(|action| action == "edited").map(|_| Meddled::WithText)
            }
            _ => None,
        },
        _ => None,
    };
    Ok(IssueEvent {
        meddled,
        repository: RepositoryId(payload.repository.id),
        number: payload.issue.number,
        id: payload.issue.id,
        sender: author(payload.sender, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(login: &str, person: bool, app: Option<i64>) -> Author {
        Author { id: UserId(7), login: Login::new(login), person, app }
    }

    #[test]
    fn only_our_bot_is_us_and_only_a_person_without_an_app_is_in_person() {
        let us = Identity { id: 3, slug: "patwarden".to_owned() };
        assert!(author("patwarden[bot]", false, Some(3)).is_ours(&us));
        assert!(author("patwarden[bot]", false, None).is_ours(&us));
        assert!(!author("patwarden[bot]", false, Some(4)).is_ours(&us), "another App");
        assert!(!author("patwarden[bot]", true, None).is_ours(&us), "a person");
        assert!(!author("patwarden", false, Some(3)).is_ours(&us));
        assert!(!author("kim", true, Some(3)).is_ours(&us), "a person through us");
        assert!(author("kim", true, None).in_person());
        assert!(!author("kim", true, Some(9)).in_person());
        assert!(!author("other[bot]", false, None).in_person());
    }

    #[test]
    fn an_event_tells_what_was_done_to_others_words_and_by_a_person() {
        let told = |action: &str, sender: &str, comment: Option<&str>| {
            let user = |login: &str| {
                let kind = if login.ends_with("[bot]") { "Bot" } else { "User" };
                serde_json::json!({ "id": login.len(), "login": login, "type": kind })
            };
            let mut body = serde_json::json!({
                "action": action, "repository": { "id": 3 }, "sender": user(sender),
                "issue": { "id": 70, "number": 7, "user": user("patwarden[bot]") },
            });
            if let Some(of) = comment {
                body["comment"] = serde_json::json!({ "id": 9, "user": user(of) });
            }
            parse_issue_event(body.to_string().as_bytes()).map(|event| event.meddled)
        };
        assert_eq!(told("edited", "martin", Some("olga")), Ok(Some(Meddled::WithComment(9))));
        assert_eq!(told("deleted", "martin", Some("olga")), Ok(Some(Meddled::WithComment(9))));
        assert_eq!(told("deleted", "olga", Some("olga")), Ok(None), "their own words");
        assert_eq!(told("edited", "martin", Some("patwarden[bot]")), Ok(Some(Meddled::WithText)));
        assert_eq!(told("edited", "patwarden[bot]", Some("patwarden[bot]")), Ok(None), "as we do");
        assert_eq!(told("deleted", "martin", Some("patwarden[bot]")), Ok(None), "no answer");
        assert_eq!(told("edited", "martin", Some("another[bot]")), Ok(None), "orders nothing");
        assert_eq!(told("edited", "actions[bot]", None), Ok(Some(Meddled::WithText)), "a workflow");
        assert_eq!(told("edited", "martin", None), Ok(Some(Meddled::WithText)));
        assert_eq!(told("edited", "patwarden[bot]", None), Ok(None), "as we do");
        assert_eq!(told("closed", "martin", None), Ok(None));
    }

    #[test]
    fn an_event_names_one_issue() {
        let text = br#"{"action": "created", "repository": {"id": 3}, "issue": {"id": 70, "number": 7, "x": 1}, "comment": {}}"#;
        let event = IssueEvent {
            repository: RepositoryId(3),
            number: 7,
            id: 70,
            sender: None,
            meddled: None,
        };
        assert_eq!(parse_issue_event(text), Ok(event));
        assert!(parse_issue_event(b"{}").is_err());
    }
}
