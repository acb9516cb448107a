//! The second act: what happens to tokens that nobody uses. Their owners are told, two weeks pass, one of them uses hers.

use std::{path::Path, time::Duration};

use anyhow::Context;

use super::{ORGANIZATION, PATIENCE, Stage, output};
use crate::store::{MailRow, MailState};

const POLICY: &str = "revoke.unused";

/// The policy's `grace`, and a minute.
const TWO_WEEKS: Duration = Duration::from_secs(14 * 86_400 + 60);

const A_DAY: Duration = Duration::from_secs(86_400);

/// Who has not used a token for long: she who uses it when she is told, and he who does not.
const USES_IT: (&str, &str) = ("yara", "laptop");
const LETS_IT_GO: (&str, &str) = ("jonas", "old-dashboard");

/// How many outcomes are compared.
pub(super) const OUTCOMES: usize = 3;

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
    time_passes(stage, A_DAY);
    digest(stage).await?;
    let hers = token(stage, USES_IT).context("her token is not there")?;
    stage.hub.use_token(hers)?;
    output::line(format_args!(
        "{} uses hers. Two weeks pass, for GitHub and for patwarden.",
        USES_IT.0
    ));
    time_passes(stage, TWO_WEEKS);
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

/// Here and at GitHub.
fn time_passes(stage: &Stage, span: Duration) {
    stage.hub.advance_for_all(span);
    stage.clock.push(span);
}

/// Waits for the digest of the next morning, and shows it.
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
    output::line(format_args!(
        "The next morning the owners have their digest. To {}:",
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
