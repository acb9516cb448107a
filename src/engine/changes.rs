//! Pull requests that change rules: each is loaded by the loader that puts rules in force, and a check run says what came of
//! it. What a pull request holds is data, by whoever opened it: it decides nothing, and learns nothing it may not know.

mod sweep;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{
    ENTERPRISE, Engine, Held, InForce, LOOK_EVERY, NoRules, after, is_an_answer, on_record,
    retry_pause, rules_at,
};
use crate::{
    domain::{RepositoryId, cut, for_people},
    github::{CallError, CheckAnnotation, CheckOutput, CheckRun, Conclusion, PullRequest, Read},
    rules::{
        Policy, SourceFile, Sources, Standing,
        diagnostic::Severity,
        load::{Loaded, load, load_layers},
        plan::{self, Names, Plan},
        review::{Annotation, Consequences, LONGEST_TEXT, Review, review, review_of_file_alone},
    },
    store::{ChangeRow, InstallationRow, Reviewed, StoreError, Told},
};

/// What the check is called.
const NAME: &str = "patwarden rules";

/// How often all open pull requests are listed: one call for each repository with rules.
const SWEEP_EVERY: Duration = Duration::from_secs(900);

/// How long one pull request may take, from its first call to its last.
const LONGEST: Duration = Duration::from_secs(120);

/// How long it may take to judge what one proposes.
const LONGEST_REVIEW: Duration = Duration::from_secs(60);

/// How long what is on record may be judged again.
const LONGEST_PLAN: Duration = Duration::from_secs(30);

/// After so many failures in a row a change is left alone until a push, a click, or the next list of open pull requests.
const MOST_ATTEMPTS: i64 = 12;

/// The most check runs of one commit within [`RUNS_WITHIN`]: who asks for another one is answered later.
pub(super) const MOST_RUNS: usize = 6;

/// The time in which check runs of one commit are counted.
pub(super) const RUNS_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// The most organizations whose record is judged again for one change of rules that several have.
const MOST_ORGANIZATIONS: usize = 50;

/// Why nothing was said.
#[derive(Debug, thiserror::Error)]
enum NotSaid {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it took longer than {} s", LONGEST.as_secs())]
    TooLong,
    #[error("{MOST_RUNS} checks of its commit were written within an hour; the next may be at {0}")]
    TooOften(Timestamp),
    #[error("the App is not installed where the repository is, or nobody follows it any more")]
    NotOurs,
}

impl Engine {
    /// Looks at pull requests as they come in, and once in a while at all that are open: webhooks are lost.
    pub(super) async fn review_changes(self: Arc<Self>, stop: CancellationToken) {
        let mut sweep_at = self.clock.now();
        loop {
            let now = self.clock.now();
            if now >= sweep_at {
                sweep_at = after(now, SWEEP_EVERY);
                self.sweep().await;
            }
            let until = now.saturating_add(SignedDuration::from_secs(300)).unwrap_or(now);
            match self.store.take_due_change(now, until).await {
                Ok(Some(row)) => {
                    self.look_at_change(row).await;
                    if !stop.is_cancelled() {
                        continue;
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the store was not asked for changed rules"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn look_at_change(&self, row: ChangeRow) {
        let said =
            tokio::time::timeout(LONGEST, self.say(&row)).await.unwrap_or(Err(NotSaid::TooLong));
        let now = self.clock.now();
        let kept = match said {
            Ok(reviewed) => self.store.change_is_done(&row, &reviewed, now).await,
            Err(error @ NotSaid::TooOften(next)) => {
                tracing::info!(%error, repository = %row.repository, number = row.number, "asked again too often");
                self.store.change_waits(&row, next).await
            }
            Err(error @ NotSaid::NotOurs) => {
                tracing::debug!(%error, repository = %row.repository, "a pull request is left alone");
                self.store.change_is_done(&row, &Reviewed::Nothing, now).await
            }
            Err(error) if row.attempts >= MOST_ATTEMPTS => {
                tracing::error!(
                    %error, repository = %row.repository, number = row.number,
                    "no check could be written for a change of rules; it is left until open pull requests are listed again, a quarter of an hour later"
                );
                self.store.change_is_done(&row, &Reviewed::Nothing, now).await
            }
            Err(error) => {
                tracing::warn!(%error, repository = %row.repository, number = row.number, "a change of rules is looked at again");
                let failures = u32::try_from(row.attempts).unwrap_or(1);
                let next = after(now, retry_pause(failures));
                let next = match error {
                    NotSaid::Call(CallError::RateLimited { until }) => next.max(until),
                    _ => next,
                };
                self.store.change_waits(&row, next).await
            }
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "what became of a check could not be kept");
        }
    }

    /// Says what is to be said; gives what was said of which commit.
    async fn say(&self, row: &ChangeRow) -> Result<Reviewed, NotSaid> {
        let held = self.policies.held_by(row.repository);
        let installation = self.installation_of(&held).await?;
        let read = self.clients.read(installation.id)?;
        // Requests for tokens come first: checks live on what they leave.
        if let Some(limits) = read.limits()
            && limits.remaining < limits.limit / 2
            && limits.resets_at > self.clock.now()
        {
            return Err(NotSaid::Call(CallError::RateLimited { until: limits.resets_at }));
        }
        let pull = match read.pull_request(row.repository, row.number).await {
            Ok(pull) => pull,
            // There is none of this number, whatever somebody said.
            Err(CallError::NotFound) => return Ok(Reviewed::Nothing),
            Err(error) => return Err(error.into()),
        };
        let on_branch: Vec<&Held> = held
            .iter()
            .filter(|held| held.default_branch.as_deref() == Some(&*pull.base))
            .collect();
        if !pull.open || on_branch.is_empty() {
            return Ok(Reviewed::Nothing);
        }
        let said = self.store.said_of(row.repository, &pull.head).await?;
        let before = said.iter().map(|said| said.told).max();
        let for_this = said.iter().any(|said| said.number == row.number);
        if let Some(told) = before.filter(|told| !row.again && (for_this || *told == Told::All)) {
            return Ok(Reviewed::Known(pull.head, told));
        }
        let now = self.clock.now();
        let since = now.saturating_sub(RUNS_WITHIN).unwrap_or(now);
        let lately = self.store.runs_of(row.repository, &pull.head, since).await?;
        if let Some(next) = lately.full_until(MOST_RUNS, RUNS_WITHIN).filter(|_| row.again) {
            return Err(NotSaid::TooOften(next));
        }
        let paths = read.changed_paths(row.repository, row.number).await?;
        let touched = |held: &&Held| {
            paths.as_ref().is_none_or(|paths| paths.iter().any(|path| touches(path, &held.path)))
        };
        let touched: Vec<&Held> = on_branch.into_iter().filter(touched).collect();
        if touched.is_empty() {
            // Looked at: nothing of this commit is asked for again.
            return Ok(Reviewed::Known(pull.head, Told::All));
        }
        let may_know = self.may_know(&read, row.repository, &pull).await?;
        let told = if may_know { Told::All } else { Told::Part };
        if before == Some(told) && !row.again {
            // It was proposed before by somebody who may know as much.
            return Ok(Reviewed::Known(pull.head, told));
        }
        let mut reviews = Vec::new();
        for held in touched {
            let review = self.review(&read, row.repository, held, &pull.head, told);
            reviews.push(match tokio::time::timeout(LONGEST_REVIEW, review).await {
                Ok(review) => review?,
                // Said, and not tried again: it would take as long.
                Err(_) => too_long(),
            });
        }
        let Some(mut review) = reviews.into_iter().reduce(both) else {
            return Ok(Reviewed::Known(pull.head, told));
        };
        if lately.count + 1 >= MOST_RUNS {
            let next = lately.first.unwrap_or(now).saturating_add(RUNS_WITHIN).unwrap_or(now);
            review = until_later(review, next);
        }
        // Who may know more gets a run of its own beside what somebody else was told.
        let part = if may_know { "" } else { ":part" };
        let mark = format!("patwarden:{}:{}{part}", row.repository, pull.head);
        // What an earlier try left is finished, not written twice; who asks again gets another.
        let known = if row.again {
            None
        } else {
            read.own_check_run(row.repository, &pull.head, &mark).await?
        };
        let annotations: Vec<_> = review.annotations.iter().map(annotation).collect();
        let run = CheckRun {
            name: NAME,
            head_sha: &pull.head,
            external_id: &mark,
            conclusion: if review.passed { Conclusion::Success } else { Conclusion::Failure },
            output: CheckOutput {
                title: &review.title,
                summary: &review.summary,
                annotations: &annotations,
            },
        };
        let id =
            self.clients.write(installation.id)?.check_run(row.repository, &run, known).await?;
        tracing::info!(
            repository = %row.repository, number = row.number, commit = pull.head, run = id, passed = review.passed,
            title = review.title, "a change of rules was checked"
        );
        Ok(Reviewed::Written(pull.head, told))
    }

    async fn installation_of(&self, held: &[Held]) -> Result<InstallationRow, NotSaid> {
        let owner = held.first().map(|held| held.owner.clone()).ok_or(NotSaid::NotOurs)?;
        let rows = self.store.installations().await?;
        let row = rows.into_iter().find(|row| row.organization.login == owner && !row.suspended);
        row.ok_or(NotSaid::NotOurs)
    }

    async fn review(
        &self,
        read: &Read,
        repository: RepositoryId,
        held: &Held,
        commit: &str,
        told: Told,
    ) -> Result<Review, NotSaid> {
        let files = match rules_at(read, repository, &held.path, commit).await {
            Ok(files) => files,
            Err(NoRules::Call(error)) if !is_an_answer(&error) => return Err(error.into()),
            Err(trouble) => return Ok(no_rules(&trouble)),
        };
        let upper = match self.policies.enterprise_files() {
            Some(upper) if held.whose != ENTERPRISE => upper.files.clone(),
            _ => Vec::new(),
        };
        if told == Told::Part && !upper.is_empty() {
            // Under the enterprise's rules every case would be a question about them, answered.
            let sources = Sources::of_organization(files);
            return self.judging(move || review_of_file_alone(&load_layers(&sources))).await;
        }
        let sources = if held.whose == ENTERPRISE {
            Sources { enterprise: files.clone(), ..Sources::default() }
        } else {
            // Under names that no file of a repository has: of an upper layer's files the pull request has no lines.
            let hidden = |file: SourceFile| SourceFile { name: format!("\0{}", file.name), ..file };
            Sources {
                enterprise: upper.into_iter().map(hidden).collect(),
                organization: files.clone(),
                standing: Standing::New,
            }
        };
        let loaded = self.judging(move || load_layers(&sources)).await?;
        let consequences = self.consequences(read, repository, held, told, &files, &loaded).await?;
        let mut said = self.judging(move || review(&loaded, &consequences)).await?;
        said.annotations.retain(|annotation| !annotation.path.starts_with('\0'));
        Ok(said)
    }

    /// Whether who proposes a change may know what is on record: who opened it can push to the repository, and nobody else
    /// can push to what it proposes.
    async fn may_know(
        &self,
        read: &Read,
        repository: RepositoryId,
        pull: &PullRequest,
    ) -> Result<bool, NotSaid> {
        let Some(author) = &pull.author else { return Ok(false) };
        let own =
            pull.head_repository == Some(repository) || pull.head_owner.as_ref() == Some(author);
        Ok(own && read.may_push(repository, author).await?)
    }

    /// Judges rules that somebody proposes, one after the other: it cannot be broken off, and what somebody proposes may
    /// take its time. Never on a thread that serves.
    async fn judging<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotSaid> {
        let turn = Arc::clone(&self.judging).acquire_owned().await;
        let turn = turn.map_err(|error| StoreError::Unfit(error.to_string()))?;
        let judged = tokio::task::spawn_blocking(move || {
            let judged = work();
            drop(turn);
            judged
        });
        judged.await.map_err(|error| {
            NotSaid::Store(StoreError::Unfit(format!(
                "judging a change of rules broke off: {error}"
            )))
        })
    }

    /// What the change would do to what is on record, for whoever may know it.
    async fn consequences(
        &self,
        read: &Read,
        repository: RepositoryId,
        held: &Held,
        told: Told,
        files: &[SourceFile],
        loaded: &Loaded,
    ) -> Result<Consequences, NotSaid> {
        if loaded.policy.is_none() {
            return Ok(Consequences::Invalid);
        }
        if told == Told::Part {
            return Ok(Consequences::NotForTheAuthor);
        }
        // Counts only also where a whole enterprise may read.
        let private = read.repository_by_id(repository).await?.private;
        let names = if private { Names::Shown } else { Names::Counted };
        let planned = tokio::time::timeout(LONGEST_PLAN, self.plan(held, files)).await;
        Ok(match planned {
            Ok(Ok(Some(plan))) => Consequences::Known(Box::new(plan), names),
            Ok(Ok(None)) => Consequences::NothingInForce,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the record could not be read for a change of rules");
                Consequences::NotRead
            }
            Err(_) => Consequences::NotRead,
        })
    }

    /// For every organization whose rules these are: what is on record, judged by the rules in force and by those
    /// proposed.
    async fn plan(&self, held: &Held, files: &[SourceFile]) -> Result<Option<Plan>, NotSaid> {
        let mut all: Option<Plan> = None;
        let installed = self.store.installations().await?;
        let concerned =
            installed.into_iter().map(|row| row.organization).filter_map(|organization| {
                let in_force = self.policies.in_force(&organization);
                let theirs =
                    held.whose == ENTERPRISE || in_force.files_of.as_ref() == Some(&held.whose);
                theirs.then_some((organization, in_force))
            });
        for (organization, in_force) in concerned.take(MOST_ORGANIZATIONS) {
            let InForce { policy: Some(policy), .. } = in_force else { continue };
            let login = organization.login.as_str().to_owned();
            let (recorded, _) = on_record(&self.store, Some(login), self.clock.now()).await?;
            let (enterprise, files) = (held.whose == ENTERPRISE, files.to_vec());
            let judged = self.judging(move || {
                let (old, new) = versions(&policy, enterprise, files)?;
                Some(plan::plan(&old, &new, recorded))
            });
            let plan = judged.await?;
            all = match (all, plan) {
                (Some(all), Some(plan)) => Some(all.and(plan)),
                (all, plan) => all.or(plan),
            };
        }
        Ok(all)
    }
}

/// The rules in force and those proposed, both as their files say: the modes are not capped, so that a change of the mode
/// shows.
fn versions(
    in_force: &Policy,
    enterprise: bool,
    files: Vec<SourceFile>,
) -> Option<(Policy, Policy)> {
    let protected = |policy: Policy| policy.protected_as(in_force);
    let old = load(in_force.sources()).policy?;
    let before = Sources::by_head(in_force.sources().to_vec());
    let proposed = if enterprise {
        Sources { enterprise: files, organization: before.organization, standing: Standing::Before }
    } else {
        Sources { enterprise: before.enterprise, organization: files, standing: Standing::New }
    };
    Some((protected(old), protected(load_layers(&proposed).policy?)))
}

/// Whether a changed path is among the rules at a place: the file, the cases beside it, or a `.toml` of the directory.
fn touches(path: &str, place: &str) -> bool {
    if let Some(stem) = place.strip_suffix(".toml") {
        return path == place || path.strip_suffix(".tests.toml") == Some(stem);
    }
    let folder = if place.is_empty() { String::new() } else { format!("{place}/") };
    path.strip_prefix(&folder).is_some_and(|file| !file.contains('/') && file.ends_with(".toml"))
}

/// What is said where no rules are left.
fn no_rules(trouble: &NoRules) -> Review {
    Review {
        passed: false,
        title: "no rules would be left".to_owned(),
        summary: format!(
            "**These rules would not be used**: `{}`. The rules in force would stay, and nothing would be approved until the \
             files are back.",
            for_people(&trouble.to_string()).replace('`', "'")
        ),
        annotations: Vec::new(),
    }
}

/// What is said of rules that take too long to be judged.
fn too_long() -> Review {
    Review {
        passed: false,
        title: "too much to be checked".to_owned(),
        summary: format!(
            "Judging these rules took longer than {} s, and was given up. `patwarden rules test` takes its time.",
            LONGEST_REVIEW.as_secs()
        ),
        annotations: Vec::new(),
    }
}

/// The last one for a while: whoever wants another one must know when it may come.
fn until_later(review: Review, next: Timestamp) -> Review {
    let more = format!(
        "\n\n---\n\nThis commit was checked {MOST_RUNS} times within an hour. Asked again, it is checked at {} UTC.\n",
        next.strftime("%Y-%m-%d %H:%M")
    );
    let room = LONGEST_TEXT.saturating_sub(more.chars().count());
    Review { summary: cut(&review.summary, room) + &more, ..review }
}

/// Two sets of rules in one repository make one check run.
fn both(one: Review, other: Review) -> Review {
    Review {
        passed: one.passed && other.passed,
        title: format!("{}; {}", one.title, other.title),
        summary: cut(&format!("{}\n\n---\n\n{}", one.summary, other.summary), LONGEST_TEXT),
        annotations: [one.annotations, other.annotations].concat(),
    }
}

fn annotation(annotation: &Annotation) -> CheckAnnotation {
    CheckAnnotation {
        path: annotation.path.clone(),
        start_line: annotation.line,
        end_line: annotation.line,
        start_column: annotation.columns.0,
        end_column: annotation.columns.1,
        annotation_level: match annotation.severity {
            Severity::Error => "failure",
            Severity::Warning => "warning",
            Severity::Lint => "notice",
        },
        message: annotation.message.clone(),
        title: annotation.title.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::touches;

    #[test]
    fn a_change_touches_the_rules_or_it_does_not() {
        for (path, place, expected) in [
            ("rules.toml", "rules.toml", true),
            ("rules.tests.toml", "rules.toml", true),
            ("other.toml", "rules.toml", false),
            ("x/rules.toml", "rules.toml", false),
            ("policy/a.toml", "policy", true),
            ("policy/deep/a.toml", "policy", false),
            ("policy/README.md", "policy", false),
            ("policyx/a.toml", "policy", false),
            ("a.toml", "", true),
            ("policy/a.toml", "", false),
        ] {
            assert_eq!(touches(path, place), expected, "{path} in {place}");
        }
    }
}
