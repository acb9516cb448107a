//! What every call passes before its endpoint: headers, credentials, limits, permissions, the body. Synchronous; no connection.

use std::hash::{DefaultHasher, Hash, Hasher};

use hyper::HeaderMap;
use hyper::body::Bytes;
use serde_json::Value;

use crate::answer::{Answer, AnswerBody};
use crate::auth::{self, Caller};
use crate::calls::Call;
use crate::context::Context;
use crate::faults::{Kind, Plan};
use crate::installations::is_public;
use crate::limits::{Standing, bucket_of};
use crate::render::Urls;
use crate::routes::{self, Access, Matched};
use crate::shared::Shared;
use crate::state::State;

/// The REST API versions there are (`X-GitHub-Api-Version`).
const VERSIONS: [&str; 2] = ["2022-11-28", "2026-03-10"];

/// A call that has been read from a connection.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) number: u64,
    pub(crate) method: String,
    /// Without prefix.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) urls: Urls,
}

impl Arrived {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The log's view of the call as it comes.
    pub(crate) fn logged(&self, shared: &Shared, operation: &'static str) -> Call {
        Call {
            number: 0,
            operation,
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            body: serde_json::from_slice(&self.body).ok(),
            status: None,
            at: shared.clock.now(),
            installation: None,
            user_agent: self.header("user-agent").map(str::to_owned),
        }
    }
}

/// Takes a call through all checks to its endpoint, and finishes the answer.
pub(crate) fn serve(
    shared: &Shared,
    arrived: &Arrived,
    matched: Option<Matched>,
    plan: &Plan,
) -> Answer {
    let now = shared.clock.now_ms().div_euclid(1_000);
    let mut standing = None;
    let app = shared.with(|state| std::sync::Arc::clone(&state.app));
    let authorization = arrived.header("authorization");
    let credential = auth::credential(authorization, &app, shared.clock.signing_seconds());
    let reply = shared.with(|state| {
        check_headers(arrived)?;
        let caller = state.caller(credential?)?;
        if let Caller::Installation(caller) = &caller {
            shared.calls.change(arrived.number, |call| call.installation = Some(caller.id));
        }
        let bucket = bucket_of(&caller);
        let free = matched.as_ref().is_some_and(|matched| matched.route.path == "/rate_limit");
        if free {
            standing = state.limits.standing(bucket, now);
        } else {
            match state.limits.count(bucket, now) {
                Ok(counted) => standing = counted,
                Err(over) => {
                    standing = Some(over);
                    return Err(Box::new(Answer::error(
                        403,
                        "API rate limit exceeded for this caller.",
                    )));
                }
            }
        }
        let matched = matched.ok_or_else(Answer::not_found)?;
        let needs = matched.route.access;
        let most = longest_body(matched.route);
        let context = context(shared, arrived, matched.params, caller, plan, most)?;
        admit(state, &context, needs)?;
        let answer = (matched.route.run)(state, &context)?;
        if arrived.method != "GET" || answer.status != 200 {
            return Ok(answer);
        }
        let answer = with_etag(answer);
        let known = arrived.header("if-none-match").unwrap_or_default();
        let tag =
            answer.headers.iter().find(|(name, _)| *name == "etag").map(|(_, tag)| tag.clone());
        match tag {
            Some(tag) if known.split(',').any(|one| one.trim() == tag) => {
                // A 304 costs nothing.
                if let Some(refunded) = state.limits.refund(bucket, now).filter(|_| !free) {
                    standing = Some(refunded);
                }
                Ok(Answer::empty(304).header("etag", tag))
            }
            _ => Ok(answer),
        }
    });
    let answer = reply.unwrap_or_else(|refused| *refused);
    finish(answer, standing, arrived)
}

/// Headers every answer has.
fn finish(mut answer: Answer, standing: Option<Standing>, arrived: &Arrived) -> Answer {
    if let Some(standing) = standing {
        answer.headers.extend(standing.headers());
    }
    let version = arrived.header("x-github-api-version").unwrap_or("2022-11-28");
    answer
        .header("x-github-media-type", "github.v3; format=json")
        .header("x-github-api-version-selected", version)
}

fn check_headers(arrived: &Arrived) -> Result<(), Box<Answer>> {
    if arrived.header("user-agent").is_none_or(str::is_empty) {
        let text = "Request forbidden: a User-Agent header is required.\r\n";
        return Err(Box::new(Answer::raw(403, "text/plain", text)));
    }
    // Several different versions on one call are as unknown as a wrong one.
    for version in arrived.headers.get_all("x-github-api-version") {
        if !version.to_str().is_ok_and(|version| VERSIONS.contains(&version)) {
            return Err(Box::new(Answer::error(
                400,
                "The API version given in X-GitHub-Api-Version is not supported.",
            )));
        }
    }
    Ok(())
}

fn context(
    shared: &Shared,
    arrived: &Arrived,
    params: Vec<(&'static str, String)>,
    caller: Caller,
    plan: &Plan,
    most: usize,
) -> Result<Context, Box<Answer>> {
    let lag = plan.lag.map(|lag| i64::try_from(lag.as_millis()).unwrap_or(i64::MAX / 4));
    Ok(Context {
        params,
        path: arrived.path.clone(),
        query: form_urlencoded::parse(arrived.query.as_bytes()).into_owned().collect(),
        body: body(arrived, most)?,
        writes: arrived.method != "GET",
        caller,
        urls: arrived.urls.clone(),
        accept: arrived.header("accept").unwrap_or_default().to_owned(),
        version: arrived.header("x-github-api-version").unwrap_or("2022-11-28").to_owned(),
        as_of_ms: lag.map(|lag| shared.clock.now_ms().saturating_sub(lag)),
        lose_row: plan.lose_row,
    })
}

/// How many characters a body may have. A check run alone may bring two texts of 65,535 and its annotations, and an issue
/// is measured by its text and not by its JSON.
fn longest_body(route: &routes::Route) -> usize {
    let measured = ["checks/", "issues/"].iter().any(|family| route.operation.starts_with(family));
    if measured { usize::MAX } else { 65_536 }
}

fn body(arrived: &Arrived, most: usize) -> Result<Option<Value>, Box<Answer>> {
    if arrived.method == "GET" || arrived.body.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(&arrived.body)
        .map_err(|_| Box::new(Answer::error(400, "Problems parsing JSON")))?;
    if text.chars().count() > most {
        return Err(Answer::malformed("The body is too long (the maximum is 65536 characters)."));
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|_| Box::new(Answer::error(400, "Problems parsing JSON")))?;
    if !value.is_object() {
        return Err(Box::new(Answer::error(400, "Body should be a JSON object")));
    }
    Ok(Some(value))
}

/// Whether the caller may call this.
fn admit(state: &State, context: &Context, needs: Access) -> Result<(), Box<Answer>> {
    match (needs, &context.caller) {
        (Access::Public, _) | (Access::App, Caller::App) => Ok(()),
        (Access::AnyInstallation, Caller::Installation(_)) => Ok(()),
        (Access::AnyInstallation, Caller::Nobody) => Err(Answer::requires_authentication()),
        (Access::AnyInstallation, _) => Err(missing("metadata", "read")),
        (Access::App, _) => {
            Err(Box::new(Answer::error(401, "A JSON web token could not be decoded")))
        }
        (Access::Installation(permission, level), caller) => {
            installation_may(state, context, caller, permission, level)
        }
    }
}

fn installation_may(
    state: &State,
    context: &Context,
    caller: &Caller,
    permission: &str,
    level: &str,
) -> Result<(), Box<Answer>> {
    let (owner, name) = (context.param("owner"), context.param("repo"));
    // A former name is refused where the repository itself would be.
    let found =
        state.world.repository_by_route(owner, name).or_else(|| state.world.moved(owner, name));
    let public = found.is_some_and(|(_, repository)| is_public(repository));
    let readable = public && level == "read";
    if readable && !matches!(caller, Caller::Installation(_)) {
        return Ok(());
    }
    let caller = match caller {
        Caller::Installation(caller) => caller,
        Caller::Nobody => return Err(Answer::requires_authentication()),
        // The App's JWT and people's tokens are for other endpoints.
        Caller::App | Caller::User => return Err(missing(permission, level)),
    };
    let organization = match found {
        Some((organization, _)) => Some(organization),
        None if owner.is_empty() => state.world.organization_by_route(context.param("org")),
        None => state.world.organization(owner),
    };
    let organization = organization.ok_or_else(Answer::not_found)?;
    let reached = organization.id == caller.organization
        && found.is_none_or(|(_, repository)| caller.reaches(repository.id));
    if !reached {
        return match public {
            true if readable => Ok(()),
            true => Err(missing(permission, level)),
            false => Err(Answer::not_found()),
        };
    }
    if caller.has(permission, level) { Ok(()) } else { Err(missing(permission, level)) }
}

fn missing(permission: &str, level: &str) -> Box<Answer> {
    let answer = Answer::error(403, "Resource not accessible by integration");
    Box::new(answer.header("x-accepted-github-permissions", format!("{permission}={level}")))
}

fn with_etag(mut answer: Answer) -> Answer {
    let (content_type, bytes) = answer.to_bytes();
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let tag = format!("W/\"{:016x}{:08x}\"", hasher.finish(), bytes.len());
    // Written once: the connection sends the same bytes.
    answer.body = AnswerBody::Raw(content_type.unwrap_or("application/json; charset=utf-8"), bytes);
    answer.header("etag", tag)
}

/// The answer a fault puts in place of the call's own.
pub(crate) fn fault_answer(
    shared: &Shared,
    arrived: &Arrived,
    route: Option<&routes::Route>,
    kind: &Kind,
) -> Answer {
    let now = shared.clock.now_ms().div_euclid(1_000);
    let standing = |used_up: bool, reset: i64| {
        let limit = shared.config.rate_limit.unwrap_or(5_000);
        Standing { limit, used: if used_up { limit } else { 1 }, reset }
    };
    let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 4);
    let plain =
        |answer: Answer| finish(answer, Some(standing(false, now.saturating_add(3_600))), arrived);
    match kind {
        Kind::Status(404) => plain(*Answer::not_found()),
        Kind::Status(422) => plain(*Answer::invalid(
            "PersonalAccessTokenRequest",
            "data",
            "invalid",
            "not acceptable",
        )),
        Kind::Status(401) | Kind::BadCredentials => plain(*Answer::bad_credentials()),
        Kind::Status(500) => plain(Answer::error(500, "Internal Server Error")),
        Kind::Status(502) => plain(Answer::error(502, "Server Error")),
        Kind::Status(503) => {
            plain(Answer::error(503, "No server is currently available to service your request."))
        }
        Kind::Status(status) => plain(Answer::error(*status, "An error fakehub was asked for")),
        Kind::Answer(status, body) => plain(Answer::json(*status, body.clone())),
        Kind::MissingPermission => {
            let (permission, level) = match route.map(|route| route.access) {
                Some(Access::Installation(permission, level)) => (permission, level),
                _ => ("metadata", "read"),
            };
            plain(*missing(permission, level))
        }
        Kind::PrimaryLimit(reset_in) => finish(
            Answer::error(403, "API rate limit exceeded for this installation."),
            Some(standing(true, now.saturating_add(seconds(*reset_in)))),
            arrived,
        ),
        Kind::SecondaryLimit(retry_after) => {
            let answer = Answer::error(
                403,
                "You have exceeded a secondary rate limit. Please wait before you try again.",
            );
            plain(match retry_after {
                Some(after) => answer.header("retry-after", after.as_secs().to_string()),
                None => answer,
            })
        }
        Kind::TooManyRequests(after) => plain(
            Answer::error(
                429,
                "You have exceeded a secondary rate limit. Please wait before you try again.",
            )
            .header("retry-after", after.as_secs().to_string()),
        ),
        // These do not end a call by an answer; see `plan`.
        Kind::Slow(_) | Kind::Mute | Kind::Cut | Kind::Half | Kind::Lag(_) | Kind::LoseRow => {
            plain(Answer::empty(500))
        }
    }
}
