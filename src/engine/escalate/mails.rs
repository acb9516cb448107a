//! Reviewers are told by mail where the rules say so: once for what is asked, and again with each reminder. A mail links to GitHub;
//! nothing is decided by one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Case, Trouble, words};
use crate::{
    engine::{RecipientsError, worker::Worker},
    review::letter::{AskedFor, Letter},
    rules::policy::{Detail, Notify},
    store::{GroupRow, IssueRow, MailRow, MailsUnder},
};

/// Why somebody is told.
#[derive(Clone, Copy)]
pub(super) enum Occasion {
    /// The request is left to them.
    Asked,
    /// They did not answer.
    Reminded(Timestamp),
}

/// Which groups are told by mail, and whose mail a server has.
#[derive(Default)]
pub(super) struct Mailed {
    groups: BTreeMap<String, MailsUnder>,
    /// Who was to be told and could not be.
    pub(super) missing: Vec<String>,
}

impl Mailed {
    pub(super) fn and(mut self, other: Self) -> Self {
        self.groups.extend(other.groups);
        self.missing.extend(other.missing);
        self
    }

    /// Whether a mail server, or the folder, has a mail to somebody of this group.
    pub(super) fn arrived(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|mails| mails.arrived)
    }

    /// Whether nobody is told by mail.
    pub(super) fn is_nothing(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether some mail is still on its way.
    pub(super) fn is_under_way(&self) -> bool {
        self.groups.values().any(|mails| mails.waits && !mails.arrived)
    }
}

impl Worker<'_> {
    /// Puts the mails to a group into the outbox, each once.
    pub(super) async fn mail(
        &self,
        case: &Case<'_>,
        row: &GroupRow,
        occasion: Occasion,
    ) -> Result<Mailed, Trouble> {
        let to: BTreeSet<String> = case
            .defined(&row.name)
            .notify
            .into_iter()
            .filter_map(|notify| match notify {
                Notify::Email(whom) => Some(whom),
                Notify::Issue { .. } => None,
            })
            .collect();
        let mut mailed = Mailed::default();
        if to.is_empty() {
            return Ok(mailed);
        }
        if self.engine.options.addresses.is_none() {
            mailed.missing.push(RecipientsError::NoMail.to_string());
            return Ok(mailed);
        }
        let key = &case.row.key;
        // The same may be asked once more, when a request was decided about and waits again: that is another mail.
        let prefix = format!(
            "escalation/{}/{}/{}/{}",
            key.organization,
            key.request,
            case.row.asked_at.as_millisecond(),
            case.row.fingerprint
        );
        let on = match occasion {
            Occasion::Asked => format!("{prefix}/{}/asked/", row.name),
            Occasion::Reminded(at) => format!("{prefix}/{}/{}/", row.name, at.as_millisecond()),
        };
        let known = self.engine.store.mails_under(&on).await?;
        if !known.is_empty() {
            mailed.groups.insert(row.name.clone(), known);
            return Ok(mailed);
        }
        let mut reached = BTreeMap::new();
        for whom in &to {
            match self.engine.recipients(case.installation, std::slice::from_ref(whom)).await {
                Ok(recipients) => reached
                    .extend(recipients.reached().map(|one| (one.address.to_string(), one.most))),
                Err(RecipientsError::Unreadable { error, .. })
                    if matches!(error, crate::github::CallError::RateLimited { .. }) =>
                {
                    return Err(error.into());
                }
                Err(RecipientsError::Store(error)) => return Err(error.into()),
                // Whoever can be reached is told; the others are when their list can be read, unless somebody was told by then.
                Err(error) => mailed.missing.push(error.to_string()),
            }
        }
        if reached.is_empty() {
            if mailed.missing.is_empty() {
                let to: Vec<_> = to.into_iter().collect();
                mailed
                    .missing
                    .push(format!("nobody of {} has an address that is known", to.join(", ")));
            }
            return Ok(mailed);
        }
        let decision = self.readable_decision(case.row.decision_id).await?;
        let standing = self.standing(case).await?;
        let issues = self.engine.store.review_issues(*key).await?;
        // A list of many is none to answer on.
        let asks = |issue: &IssueRow| issue.request.is_some() && issue.at.is_some();
        let url = issues.into_iter().find(asks).map(|issue| issue.url);
        let base = self.base(url.as_deref());
        let now = self.engine.clock.now();
        // Where time does not count before this mail has arrived, it says what it comes to from now on.
        let silence = words::silence(&case.expected(&standing, now), false);
        let group = case.defined(&row.name);
        let organization = &case.request.organization.login;
        let page = words::page(&base, organization);
        let cautions = decision.as_ref().map(|decision| words::cautions(case, decision));
        let letter = Letter {
            organization,
            requester: &case.request.owner.login,
            group: &row.name,
            quorum: group.quorum,
            comment_required: group.comment_required,
            asked: decision.as_ref().map(|decision| AskedFor {
                request: &decision.request,
                repositories: decision.facts.repositories.value().map(Vec::as_slice),
                decision: &decision.decision,
                cautions: cautions.as_deref().unwrap_or_default(),
            }),
            silence: &silence,
            issue: url.as_deref(),
            page: &page,
            reminds_of: match occasion {
                Occasion::Asked => None,
                Occasion::Reminded(_) => Some(case.row.asked_at),
            },
            detail: Detail::Full,
        };
        let mut tx = self.begin().await?;
        for (address, most) in &reached {
            let letter = Letter { detail: *most, ..letter.clone() };
            let mail = MailRow {
                key: format!("{on}{address}"),
                organization: key.organization,
                recipient: address.clone(),
                subject: letter.subject(),
                text: letter.text(),
                html: letter.html(),
                list: String::new(),
                attempts: 0,
            };
            tx.put_mail(&mail, now).await?;
        }
        tx.commit().await?;
        let count = i64::try_from(reached.len()).unwrap_or(i64::MAX);
        let put = MailsUnder { count, arrived: false, waits: true };
        mailed.groups.insert(row.name.clone(), put);
        Ok(mailed)
    }
}
