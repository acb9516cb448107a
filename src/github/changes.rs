//! Pull requests and what we say of them: reading one, its files, who may push; writing check runs.

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    call::Asked,
    error::CallError,
    read::{Read, segment},
    write::Write,
};
use crate::domain::{Login, RepositoryId};

/// The most annotations that one call takes.
///
/// Source: <https://docs.github.com/rest/checks/runs#create-a-check-run>.
pub(super) const ANNOTATIONS_A_CALL: usize = 50;

/// The most files of a pull request that GitHub lists.
///
/// Source: <https://docs.github.com/rest/pulls/pulls#list-pull-requests-files>.
const MOST_FILES: usize = 3_000;

/// A pull request, as far as somebody must know it to judge what it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number in its repository.
    pub number: i64,
    /// Whether it is open.
    pub open: bool,
    /// The commit that it proposes.
    pub head: String,
    /// Which repository has that commit, and whose that is; nothing where the fork is gone.
    pub head_repository: Option<RepositoryId>,
    /// Whose repository that is.
    pub head_owner: Option<Login>,
    /// The branch that it would change.
    pub base: String,
    /// Who proposes it; nobody where the account is gone.
    pub author: Option<Login>,
}

#[derive(Deserialize)]
struct WirePull {
    number: i64,
    state: String,
    head: WireHead,
    base: WireBase,
    user: Option<WireUser>,
}

#[derive(Deserialize)]
struct WireHead {
    sha: String,
    repo: Option<WireFork>,
}

#[derive(Deserialize)]
struct WireFork {
    id: i64,
    owner: WireUser,
}

#[derive(Deserialize)]
struct WireBase {
    #[serde(rename = "ref")]
    branch: String,
}

#[derive(Deserialize)]
struct WireUser {
    login: String,
}

impl From<WirePull> for PullRequest {
    fn from(wire: WirePull) -> Self {
        Self {
            number: wire.number,
            open: wire.state == "open",
            head_repository: wire.head.repo.as_ref().map(|fork| RepositoryId(fork.id)),
            head_owner: wire.head.repo.map(|fork| Login::new(fork.owner.login)),
            head: wire.head.sha,
            base: wire.base.branch,
            author: wire.user.map(|user| Login::new(user.login)),
        }
    }
}

impl Read {
    /// One pull request.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn pull_request(
        &self,
        repository: RepositoryId,
        number: i64,
    ) -> Result<PullRequest, CallError> {
        let path = format!("/repositories/{repository}/pulls/{number}");
        Ok(self.caller().get::<WirePull>(&path).await?.into())
    }

    /// The open pull requests against a branch.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn open_pull_requests(
        &self,
        repository: RepositoryId,
        base: &str,
    ) -> Result<Vec<PullRequest>, CallError> {
        let base = segment(base);
        let path = format!("/repositories/{repository}/pulls?state=open&base={base}&per_page=100");
        let pulls: Vec<WirePull> = self.caller().pages(&path).await?;
        Ok(pulls.into_iter().map(PullRequest::from).collect())
    }

    /// The paths that a pull request changes, former ones of renamed files included; `None`: more than GitHub lists.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn changed_paths(
        &self,
        repository: RepositoryId,
        number: i64,
    ) -> Result<Option<Vec<String>>, CallError> {
        #[derive(Deserialize)]
        struct File {
            filename: String,
            #[serde(default)]
            previous_filename: Option<String>,
        }
        let path = format!("/repositories/{repository}/pulls/{number}/files?per_page=100");
        let files: Vec<File> = self.caller().pages(&path).await?;
        let all = files.len() < MOST_FILES;
        let paths =
            files.into_iter().flat_map(|file| [Some(file.filename), file.previous_filename]);
        Ok(all.then(|| paths.flatten().collect()))
    }

    /// Whether somebody can push to a repository.
    ///
    /// # Errors
    /// Whatever the call came to. [`CallError::NotFound`] for somebody GitHub does not know is an answer: no.
    pub async fn may_push(
        &self,
        repository: RepositoryId,
        login: &Login,
    ) -> Result<bool, CallError> {
        #[derive(Deserialize)]
        struct Permission {
            permission: String,
        }
        let login = segment(login.as_str());
        let path = format!("/repositories/{repository}/collaborators/{login}/permission");
        match self.caller().get::<Permission>(&path).await {
            Ok(Permission { permission }) => Ok(matches!(permission.as_str(), "admin" | "write")),
            Err(CallError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The newest check run with this mark of a commit, and how many annotations it has; none where there is none.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn own_check_run(
        &self,
        repository: RepositoryId,
        commit: &str,
        mark: &str,
    ) -> Result<Option<(i64, usize)>, CallError> {
        #[derive(Deserialize)]
        struct Runs {
            check_runs: Vec<Run>,
        }
        #[derive(Deserialize)]
        struct Run {
            id: i64,
            #[serde(default)]
            external_id: Option<String>,
            #[serde(default)]
            output: Output,
        }
        #[derive(Default, Deserialize)]
        struct Output {
            #[serde(default)]
            annotations_count: usize,
        }
        let path = format!(
            "/repositories/{repository}/commits/{}/check-runs?per_page=100",
            segment(commit)
        );
        let answer = self.caller().ask(&path, Asked::default()).await?;
        let runs: Runs = answer.json()?;
        let own = runs.check_runs.into_iter().find(|run| run.external_id.as_deref() == Some(mark));
        Ok(own.map(|run| (run.id, run.output.annotations_count)))
    }
}

/// A check run that is complete.
#[derive(Clone, Debug, Serialize)]
pub struct CheckRun<'a> {
    /// What it is called, beside the others.
    pub name: &'a str,
    /// Of which commit.
    pub head_sha: &'a str,
    /// What tells our run again.
    pub external_id: &'a str,
    /// What came of it.
    pub conclusion: Conclusion,
    /// What is said.
    pub output: CheckOutput<'a>,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// The rules can be used.
    Success,
    /// They cannot.
    Failure,
}

/// What a check run shows.
#[derive(Clone, Debug, Serialize)]
pub struct CheckOutput<'a> {
    /// One line.
    pub title: &'a str,
    /// Markdown of at most 65,535 characters.
    pub summary: &'a str,
    /// What is said at lines: at most fifty.
    pub annotations: &'a [CheckAnnotation],
}

/// Something said at a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckAnnotation {
    /// The file.
    pub path: String,
    /// The first line, from 1.
    pub start_line: usize,
    /// The last line.
    pub end_line: usize,
    /// The first column, from 1.
    pub start_column: usize,
    /// The last column.
    pub end_column: usize,
    /// `notice`, `warning` or `failure`.
    pub annotation_level: &'static str,
    /// What is wrong.
    pub message: String,
    /// Its code.
    pub title: String,
}

#[derive(Deserialize)]
struct Created {
    id: i64,
}

impl Write {
    /// Writes a check run, all of its annotations included, a call for every fifty. `known`: the one that an earlier try
    /// left, with the number of its annotations; GitHub adds further ones to those.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn check_run(
        &self,
        repository: RepositoryId,
        run: &CheckRun<'_>,
        known: Option<(i64, usize)>,
    ) -> Result<i64, CallError> {
        let written = known.map_or(0, |(_, annotations)| annotations);
        let left = run.output.annotations.get(written..).unwrap_or_default();
        let mut parts = left.chunks(ANNOTATIONS_A_CALL);
        let part = |annotations| CheckRun {
            output: CheckOutput { annotations, ..run.output.clone() },
            ..run.clone()
        };
        let first = part(parts.next().unwrap_or_default());
        let base = format!("/repositories/{repository}/check-runs");
        let id = match known {
            None => {
                let created = self.send(Method::POST, &base, &first, StatusCode::CREATED).await?;
                created.json::<Created>()?.id
            }
            Some((id, _)) => {
                let path = format!("{base}/{id}");
                match self.send(Method::PATCH, &path, &first, StatusCode::OK).await {
                    Ok(_) => id,
                    // It has our mark, and is another App's.
                    Err(CallError::Forbidden { .. } | CallError::NotFound) => {
                        let all = CheckRun {
                            output: CheckOutput {
                                annotations: run
                                    .output
                                    .annotations
                                    .get(..ANNOTATIONS_A_CALL)
                                    .unwrap_or(run.output.annotations),
                                ..run.output.clone()
                            },
                            ..run.clone()
                        };
                        let made =
                            self.send(Method::POST, &base, &all, StatusCode::CREATED).await?;
                        return Ok(made.json::<Created>()?.id);
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        for annotations in parts {
            self.send(Method::PATCH, &format!("{base}/{id}"), &part(annotations), StatusCode::OK)
                .await?;
        }
        Ok(id)
    }
}

/// What a `pull_request`, `check_run` or `check_suite` event says. It wakes; what is there decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeEvent {
    /// Which repository.
    pub repository: RepositoryId,
    /// What is to be looked at.
    pub what: Changed,
}

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A pull request: it may propose another commit.
    PullRequest(i64),
    /// Somebody wants the check of this commit again.
    Again(String),
    /// Nothing: another action of the same event.
    Nothing,
}

/// Reads as much of such an event as we use.
///
/// # Errors
/// Why it cannot be understood.
pub fn parse_change_event(body: &[u8]) -> Result<ChangeEvent, String> {
    #[derive(Deserialize)]
    struct Payload {
        action: String,
        repository: Id,
        #[serde(default)]
        pull_request: Option<Number>,
        #[serde(default)]
        check_run: Option<Head>,
        #[serde(default)]
        check_suite: Option<Head>,
    }
    #[derive(Deserialize)]
    struct Id {
        id: i64,
    }
    #[derive(Deserialize)]
    struct Number {
        number: i64,
    }
    #[derive(Deserialize)]
    struct Head {
        head_sha: String,
    }
    let payload: Payload = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let what = match (payload.action.as_str(), payload.pull_request) {
        (_, Some(pull)) if pull.number <= 0 => return Err("there is no such number".to_owned()),
        ("opened" | "synchronize" | "reopened" | "edited" | "closed", Some(pull)) => {
            Changed::PullRequest(pull.number)
        }
        ("rerequested", None) => {
            let head = payload.check_run.or(payload.check_suite);
            Changed::Again(head.ok_or("it names no commit")?.head_sha)
        }
        _ => Changed::Nothing,
    };
    Ok(ChangeEvent { repository: RepositoryId(payload.repository.id), what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_a_pull_request_or_a_commit_to_be_checked_again() {
        let parse = |text: &str| parse_change_event(text.as_bytes()).map(|event| event.what);
        let opened = r#"{"action": "opened", "repository": {"id": 3}, "pull_request": {"number": 7, "x": null}}"#;
        assert_eq!(parse(opened), Ok(Changed::PullRequest(7)));
        let again = r#"{"action": "rerequested", "repository": {"id": 3}, "check_run": {"head_sha": "abc"}}"#;
        assert_eq!(parse(again), Ok(Changed::Again("abc".to_owned())));
        assert_eq!(
            parse(&again.replace("check_run", "check_suite")),
            Ok(Changed::Again("abc".to_owned()))
        );
        assert_eq!(parse(&again.replace("rerequested", "created")), Ok(Changed::Nothing));
        assert!(parse(&again.replace("check_run", "other")).is_err());
        assert!(parse("{}").is_err());
    }
}
