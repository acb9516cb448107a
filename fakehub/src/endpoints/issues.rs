//! Issues: written, changed, read, listed. What is said on them is in `comments`; what follows from it in `lifecycle`.
//!
//! Source: <https://docs.github.com/rest/issues/issues>.

pub(crate) mod comments;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::repos::{base_of_repository, place};
use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::error::Error;
use crate::lifecycle::issues::IssueChange;
use crate::render::{self, Place, Writer};
use crate::state::State;
use crate::world::{Author, Issue, Repository};

/// The most characters of a title and of a text.
const LONGEST_TITLE: usize = 256;
pub(super) const LONGEST_BODY: usize = 65_536;

type Checked<T> = Result<T, Box<Answer>>;

/// The repository a path names, if it has issues.
fn with_issues<'a>(state: &'a State, context: &'a Context) -> Checked<Place<'a>> {
    let place = place(state, context)?;
    match place.repository.issues.disabled {
        true => Err(Box::new(Answer::error(410, "Issues has been disabled in this repository."))),
        false => Ok(place),
    }
}

/// The same, for a call that changes something.
pub(super) fn writable<'a>(state: &'a State, context: &'a Context) -> Checked<Place<'a>> {
    let place = with_issues(state, context)?;
    match place.repository.archived {
        true => Err(Box::new(Answer::error(403, "Repository was archived so is read-only."))),
        false => Ok(place),
    }
}

/// The issue a path names. One that was deleted is a 410, one that was moved a redirect.
pub(super) fn issue<'a>(place: &Place<'a>, context: &Context) -> Checked<&'a Issue> {
    let number = context.id("number")?;
    let issues = &place.repository.issues;
    if let Some(issue) = issues.known.get(&number) {
        return Ok(issue);
    }
    if let Some((repository, number)) = issues.transferred.get(&number) {
        let url = format!("{}/repositories/{repository}/issues/{number}", context.urls.api);
        let (status, message) = match context.writes {
            true => (307, "Temporary Redirect"),
            false => (301, "Moved Permanently"),
        };
        let body = json!({ "message": message, "url": url, "documentation_url": "https://docs.github.com/rest" });
        return Err(Box::new(Answer::json(status, body).header("location", url)));
    }
    if issues.deleted.contains(&number) {
        return Err(Box::new(Answer::error(410, "This issue was deleted")));
    }
    Err(Answer::not_found())
}

pub(super) fn writer(state: &State) -> Writer<'_> {
    Writer { app: &state.app, wishes: &state.wishes }
}

/// What the state refused after the endpoint's own checks.
pub(super) fn refused(why: Error) -> Box<Answer> {
    match why {
        Error::NotAllowed(why) => Box::new(Answer::error(403, &why)),
        _ => Answer::not_found(),
    }
}

fn shown(state: &State, context: &Context, status: u16, number: u64) -> Reply {
    let place = place(state, context)?;
    let issue = place.repository.issues.known.get(&number).ok_or_else(Answer::not_found)?;
    Ok(Answer::json(status, render::issue(&place, &state.world, writer(state), issue)))
}

/// A text field, no longer than it may be.
pub(super) fn text(
    context: &Context,
    resource: &str,
    name: &str,
    most: usize,
) -> Checked<Option<String>> {
    let Some(value) = context.field(name).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let text = value.as_str().ok_or_else(|| {
        Answer::malformed(&format!("For 'properties/{name}', {value} is not a string."))
    })?;
    if text.chars().count() > most {
        let why = format!("{name} is too long (maximum is {most} characters)");
        return Err(Answer::invalid(resource, name, "custom", &why));
    }
    Ok(Some(text.to_owned()))
}

/// A list of names; labels may be objects with a name.
fn names(context: &Context, field: &str) -> Checked<Option<Vec<String>>> {
    let Some(value) = context.field(field).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let wrong = || {
        Answer::malformed(&format!("For 'properties/{field}', {value} is not an array of names."))
    };
    let list = value.as_array().ok_or_else(wrong)?;
    let name = |one: &Value| Some(one.as_str().or_else(|| one.get("name")?.as_str())?.to_owned());
    list.iter().map(|one| name(one).ok_or_else(wrong)).collect::<Checked<_>>().map(Some)
}

fn one_of(context: &Context, field: &str, known: &[&str]) -> Checked<Option<String>> {
    let found = text(context, "Issue", field, usize::MAX)?;
    match found.as_deref() {
        Some(word) if !known.contains(&word) => Err(Answer::malformed(&format!(
            "For 'properties/{field}', {word} is not a member of {known:?}."
        ))),
        _ => Ok(found),
    }
}

/// Whoever cannot be assigned is left out, without a word.
fn assignable(place: &Place<'_>, state: &State, logins: Vec<String>) -> Vec<String> {
    let may = |login: &String| {
        state.world.user(login).is_some_and(|user| {
            state.world.access(place.organization, place.repository, user.id).is_some()
        })
    };
    logins.into_iter().filter(may).collect()
}

pub(crate) fn create(state: &mut State, context: &Context) -> Reply {
    let place = writable(state, context)?;
    let title = text(context, "Issue", "title", LONGEST_TITLE)?;
    let title = title.ok_or_else(|| Answer::malformed("\"title\" wasn't supplied."))?;
    if title.trim().is_empty() {
        return Err(Answer::invalid("Issue", "title", "missing_field", "title can't be blank"));
    }
    let body = text(context, "Issue", "body", LONGEST_BODY)?;
    let labels = names(context, "labels")?.unwrap_or_default();
    let assignees = names(context, "assignees")?.unwrap_or_default();
    let assignees = assignable(&place, state, assignees);
    let repository = place.repository.id;
    let number = state.open_issue(repository, Author::App, &title, body).map_err(refused)?.number;
    if !labels.is_empty() || !assignees.is_empty() {
        let change = IssueChange {
            labels: Some(labels),
            assignees: Some(assignees),
            ..IssueChange::default()
        };
        state.change_issue(repository, number, &Author::App, change).map_err(refused)?;
    }
    shown(state, context, 201, number)
}

pub(crate) fn get(state: &mut State, context: &Context) -> Reply {
    let place = with_issues(state, context)?;
    let number = issue(&place, context)?.number;
    shown(state, context, 200, number)
}

pub(crate) fn update(state: &mut State, context: &Context) -> Reply {
    let place = writable(state, context)?;
    let number = issue(&place, context)?.number;
    let title = text(context, "Issue", "title", LONGEST_TITLE)?;
    if title.as_deref().is_some_and(|title| title.trim().is_empty()) {
        return Err(Answer::invalid("Issue", "title", "missing_field", "title can't be blank"));
    }
    let reasons = ["completed", "not_planned", "duplicate", "reopened"];
    let change = IssueChange {
        title,
        body: text(context, "Issue", "body", LONGEST_BODY)?,
        open: one_of(context, "state", &["open", "closed"])?.map(|state| state == "open"),
        state_reason: one_of(context, "state_reason", &reasons)?,
        labels: names(context, "labels")?,
        assignees: names(context, "assignees")?.map(|logins| assignable(&place, state, logins)),
        locked: None,
    };
    let repository = place.repository.id;
    state.change_issue(repository, number, &Author::App, change).map_err(refused)?;
    shown(state, context, 200, number)
}

pub(crate) fn assign(state: &mut State, context: &Context) -> Reply {
    let place = writable(state, context)?;
    let issue = issue(&place, context)?;
    let mut all = issue.assignees.clone();
    let more = assignable(&place, state, names(context, "assignees")?.unwrap_or_default());
    all.extend(more.into_iter().filter(|login| !issue.assignees.contains(login)));
    let (repository, number) = (place.repository.id, issue.number);
    let change = IssueChange { assignees: Some(all), ..IssueChange::default() };
    state.change_issue(repository, number, &Author::App, change).map_err(refused)?;
    shown(state, context, 201, number)
}

/// What `since` says, in Unix seconds.
pub(super) fn since(context: &Context) -> Checked<Option<i64>> {
    let Some(text) = context.query("since") else { return Ok(None) };
    let at: Timestamp = text.parse().map_err(|_| {
        Answer::malformed(&format!("For 'query/since', {text} is not a date-time."))
    })?;
    Ok(Some(at.as_second()))
}

/// Pull requests are among them, as on GitHub.
pub(crate) fn list(state: &mut State, context: &Context) -> Reply {
    let place = with_issues(state, context)?;
    let wrong = |field: &str| Answer::invalid("Issue", field, "invalid", "not a known value");
    let open = match context.query("state") {
        None | Some("open") => Some(true),
        Some("closed") => Some(false),
        Some("all") => None,
        Some(_) => return Err(wrong("state")),
    };
    // A creator nobody knows is refused.
    let creator = context.query("creator").map(|login| creator(state, login)).transpose()?;
    let since = since(context)?;
    let labels: Vec<&str> =
        context.query("labels").map(|all| all.split(',').collect()).unwrap_or_default();
    let pulls = place.repository.pulls.values().map(|pull| {
        let id = state.world.user(&pull.author).map(|user| user.id).unwrap_or_default();
        let author = Author::Person { id, login: pull.author.clone(), through: None };
        Repository::as_issue(pull, author)
    });
    let issues = place.repository.issues.known.values().cloned();
    let mut all: Vec<Issue> = issues
        .chain(pulls)
        .filter(|issue| open.is_none_or(|open| open == issue.open))
        .filter(|issue| creator.as_ref().is_none_or(|creator| is_by(issue, creator)))
        .filter(|issue| since.is_none_or(|since| issue.updated_at >= since))
        .filter(|issue| {
            labels
                .iter()
                .all(|name| issue.labels.iter().any(|known| known.eq_ignore_ascii_case(name)))
        })
        .collect();
    match context.query("sort") {
        None | Some("created") => all.sort_by_key(|issue| issue.number),
        Some("updated") => all.sort_by_key(|issue| (issue.updated_at, issue.number)),
        Some("comments") => all.sort_by_key(|issue| (issue.comments.len(), issue.number)),
        Some(_) => return Err(wrong("sort")),
    }
    match context.query("direction") {
        None | Some("desc") => all.reverse(),
        Some("asc") => {}
        Some(_) => return Err(wrong("direction")),
    }
    let base = base_of_repository(state, &place, "/issues");
    let writer = writer(state);
    context.list_all(&base, &all, |issue| render::issue(&place, &state.world, writer, issue))
}

fn creator(state: &State, login: &str) -> Checked<Author> {
    if let Some(slug) = login.strip_suffix("[bot]") {
        return Ok(match slug == state.app.slug {
            true => Author::App,
            false => Author::OtherApp(slug.to_owned()),
        });
    }
    let user = state.world.user(login).ok_or_else(|| {
        Answer::invalid("Issue", "creator", "invalid", "the creator is not known")
    })?;
    Ok(Author::Person { id: user.id, login: user.login.clone(), through: None })
}

fn is_by(issue: &Issue, creator: &Author) -> bool {
    match (&issue.author, creator) {
        (Author::Person { id, .. }, Author::Person { id: wanted, .. }) => id == wanted,
        (author, creator) => author == creator,
    }
}
