//! The second act: what happens to what nobody answers and to tokens that nobody uses. Owners have their digest, a week passes and
//! silence denies; two weeks after their owners were told one of the tokens is revoked, and one was used.

use std::{path::Path, time::Duration};

use anyhow::Context;
use fakehub::{Actor, Outcome};
use jiff::SignedDuration;

use super::{ORGANIZATION, PATIENCE, Stage, output};
use crate::store::{MailRow, MailState, RequestFilter};

const POLICY: &str = "revoke.unused";

/// After how long tokens are listed anew, and a moment.
const UNTIL_A_LIST: Duration = Duration::from_secs(7 * 3_600);

/// What is left of the policy's `grace` after the week in which nobody answered, and a day.
const ANOTHER_WEEK: Duration = Duration::from_secs(8 * 86_400);

/// When the rules have the digest sent, and where.
const DIGEST_AT: (i8, &str) = (8, "Europe/Vienna");

/// Who has not used a token for long: she who uses it when she is told, and he who does not.
const USES_IT: (&str, &str) = ("yara", "laptop");
const LETS_IT_GO: (&str, &str) = ("jonas", "old-dashboard");

/// How many outcomes are compared.
pub(super) const OUTCOMES: usize = 4;

/// Plays it. Gives what went wrong.
pub(super) async fn play(stage: &Stage, folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    output::line(
        "Meanwhile all tokens were listed, and the rule revoke.unused was asked of each: unused for 90 days,",
    );
    output::line("revoked 14 days after the owner was told.");
    let told = mails(stage, "loses access", 2).await?;
    for mail in &told {
        output::line(format_args!("   told     {}: {}", mail.recipient, mail.subject));
    }
    let text = told.first().map(|mail| mail.text.as_str()).unwrap_or_default();
    output::line("");
    for line in text.lines() {
        output::line(format_args!("     | {line}"));
    }
    output::line("");
    time_passes(stage, until_morning(stage)?).await?;
    digest(stage).await?;
    wrong.extend(silence(stage).await?);
    let hers = token(stage, USES_IT).context("her token is not there")?;
    stage.hub.use_token(hers)?;
    output::line(format_args!(
        "{} uses hers. Another week passes, for GitHub and for patwarden: it is two since their owners were told.",
        USES_IT.0
    ));
    time_passes(stage, UNTIL_A_LIST).await?;
    listed(stage).await?;
    time_passes(stage, ANOTHER_WEEK.saturating_sub(UNTIL_A_LIST)).await?;
    match mails(stage, "no access any more", 1).await {
        Ok(after) => {
            for mail in after {
                output::line(format_args!(
                    "   REVOKED  and told {}: {}",
                    mail.recipient, mail.subject
                ));
                if !mail.recipient.starts_with(LETS_IT_GO.0) {
                    wrong.push(format!("{} was not to lose a token", mail.recipient));
                }
            }
        }
        Err(error) => wrong.push(format!("nobody was told of a revocation: {error:#}")),
    }
    // GitHub's state, and not our record.
    if token(stage, LETS_IT_GO).is_some() {
        wrong.push(format!(
            "{} \"{}\" was to be revoked, and has access",
            LETS_IT_GO.0, LETS_IT_GO.1
        ));
    }
    match token(stage, USES_IT) {
        Some(_) => output::line(format_args!(
            "   KEPT     {} \"{}\": used meanwhile",
            USES_IT.0, USES_IT.1
        )),
        None => wrong.push(format!("{} \"{}\" was used, and is revoked", USES_IT.0, USES_IT.1)),
    }
    output::line(format_args!(
        "The mails are files, complete, for any mail program: {} (with --keep DIR they stay).",
        folder.join("mail").display()
    ));
    output::line("");
    Ok(wrong)
}

/// Here and at GitHub, once what is to be sent by now is sent: else it would be late by as much.
async fn time_passes(stage: &Stage, span: Duration) -> anyhow::Result<()> {
    let store = &stage.service.store;
    let began = tokio::time::Instant::now();
    while !store.mails(MailState::Waiting, 1).await?.is_empty()
        || store.unwritten_comments().await? > 0
    {
        anyhow::ensure!(began.elapsed() < PATIENCE, "the outbox is not empty");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.hub.advance_for_all(span);
    stage.clock.push(span);
    Ok(())
}

/// Waits until tokens were listed anew: GitHub tells of a use with a list, and the digests after it know.
async fn listed(stage: &Stage) -> anyhow::Result<()> {
    let store = &stage.service.store;
    let now = stage.clock.now() - SignedDuration::from_mins(1);
    let began = tokio::time::Instant::now();
    for installation in store.installations().await? {
        let id = installation.organization.id;
        while store.token_listing(id).await?.is_none_or(|listing| listing.began_at < now) {
            anyhow::ensure!(began.elapsed() < PATIENCE, "the tokens were not listed anew");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// How long it is until the next digest, and a moment.
fn until_morning(stage: &Stage) -> anyhow::Result<Duration> {
    let (hour, zone) = DIGEST_AT;
    let now = stage.clock.now().to_zoned(jiff::tz::TimeZoneDatabase::bundled().get(zone)?);
    let today = now.with().hour(hour).minute(0).second(2).subsec_nanosecond(0).build()?;
    let morning = if today > now { today } else { today.checked_add(jiff::Span::new().days(1))? };
    Ok(Duration::try_from(now.duration_until(&morning))?)
}

/// What nobody answers is denied when the rules say. Gives what went wrong.
async fn silence(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let store = &stage.service.store;
    let filter = RequestFilter { organization: None, open_only: true, limit: 50 };
    for row in store.requests(&filter).await? {
        let Some(asked) = store.escalation(row.key()).await? else { continue };
        let Some(at) = asked.denies_at else { continue };
        output::line(format_args!(
            "Nobody answers {} \"{}\". A week passes, with a reminder; the rules say what comes of that.",
            row.owner.login,
            output::cell(&row.token_name, 40)
        ));
        let left = at.duration_since(stage.clock.now()) + SignedDuration::from_secs(30);
        time_passes(stage, Duration::try_from(left).unwrap_or_default()).await?;
        let began = tokio::time::Instant::now();
        let request = u64::try_from(row.id.0)?;
        loop {
            if let Outcome::Denied { by: Actor::App, reason, .. } = stage.hub.outcome(request) {
                output::line(format_args!(
                    "   DENIED   by silence, and told {}: {}",
                    row.owner.login,
                    output::cell(&reason.unwrap_or_default(), 200)
                ));
                output::line("");
                return Ok(Vec::new());
            }
            if began.elapsed() > PATIENCE {
                let outcome = stage.hub.outcome(request);
                return Ok(vec![format!("silence was to deny {}, and it is {outcome:?}", row.id)]);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(vec!["nothing was left that silence could deny".to_owned()])
}

/// Waits for the next digest, and shows it.
async fn digest(stage: &Stage) -> anyhow::Result<()> {
    let began = tokio::time::Instant::now();
    let digests = loop {
        let mut sent = stage.service.store.mails(MailState::Sent, 100).await?;
        sent.retain(|mail| !mail.list.is_empty());
        if !sent.is_empty() {
            break sent;
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "no digest went out");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let to: Vec<&str> = digests.iter().map(|mail| mail.recipient.as_str()).collect();
    let Some(mail) = digests.first() else { return Ok(()) };
    // The morning of the same day, where it is still night: so the day is said, with the zone in which it is one.
    let (_, zone) = DIGEST_AT;
    let now = stage.clock.now().to_zoned(jiff::tz::TimeZoneDatabase::bundled().get(zone)?);
    output::line(format_args!(
        "Time passes until {} {zone}. Then the owners have their digest. To {}:",
        now.strftime("%A, %-d %B %Y, %H:%M"),
        to.join(", ")
    ));
    output::line("");
    output::line(format_args!("     | Subject: {}", mail.subject));
    for line in mail.text.lines() {
        output::line(format_args!("     | {line}"));
    }
    output::line("");
    Ok(())
}

/// The token of somebody, while it has access.
fn token(stage: &Stage, (owner, name): (&str, &str)) -> Option<u64> {
    let grants = stage.hub.grants(ORGANIZATION);
    let grant = grants.iter().find(|grant| grant.owner == owner && grant.token_name == name);
    grant.map(|grant| grant.token_id)
}

/// Waits until so many mails went out with these words in the subject.
async fn mails(stage: &Stage, words: &str, many: usize) -> anyhow::Result<Vec<MailRow>> {
    let began = tokio::time::Instant::now();
    loop {
        let mut sent = stage.service.store.mails(MailState::Sent, 100).await?;
        sent.retain(|mail| mail.subject.contains(words));
        sent.sort_by(|a, b| a.recipient.cmp(&b.recipient));
        if sent.len() >= many {
            return Ok(sent);
        }
        anyhow::ensure!(
            began.elapsed() < PATIENCE,
            "{} of {many} mails of {POLICY} with \"{words}\" went out",
            sent.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
