//! The list of all metrics.

use std::borrow::Cow;

use prometheus_client::registry::Unit;

use super::{Metric, Named, age, counted, limits, number, read, unix, whole, yes};
use crate::watch::Counter;

const S: Option<Unit> = Some(Unit::Seconds);

/// Every metric.
pub const METRICS: &[Metric] = &[
    read("patwarden_build_info", None, &["version"], "One, with the version that runs", |_, to| {
        to.put([Cow::Borrowed(env!("CARGO_PKG_VERSION"))], 1.0);
    }),
    read("patwarden_start_time", S, &[], "When the process began, in Unix time", |view, to| {
        to.put([], unix(view.started_at));
    }),
    read(
        "patwarden_store_writable",
        None,
        &[],
        "Whether a delivery could be stored: 1, or 0",
        |view, to| to.put([], yes(view.writable.is_ok())),
    ),
    read(
        "patwarden_store_readable",
        None,
        &[],
        "Whether the record could be read: 1, or 0. At 0, whatever is read from it is missing here",
        |view, to| to.put([], yes(view.watched.is_ok())),
    ),
    counted(
        "patwarden_webhooks",
        &["result"],
        Counter::Webhooks,
        "What came to the webhook's address, by what became of it",
    ),
    counted(
        "patwarden_connections_closed",
        &["why"],
        Counter::ConnectionsClosed,
        "Connections that were closed to make room for others",
    ),
    counted(
        "patwarden_connections_refused",
        &["why"],
        Counter::ConnectionsRefused,
        "Connections for which there was no room",
    ),
    read(
        "patwarden_deliveries_waiting",
        None,
        &[],
        "Webhooks that are stored and not read yet",
        |view, to| {
            if let Ok(watched) = &view.watched {
                to.put([], number(watched.deliveries_waiting));
            }
        },
    ),
    read(
        "patwarden_deliveries_oldest_age",
        S,
        &[],
        "How long the oldest of them waits; 0 when none does",
        |view, to| {
            if let Ok(watched) = &view.watched {
                to.put([], age(view.now, watched.oldest_delivery));
            }
        },
    ),
    read(
        "patwarden_deliveries_not_understood",
        None,
        &[],
        "Webhooks on record that were signed and not understood",
        |view, to| {
            if let Ok(watched) = &view.watched {
                to.put([], number(watched.not_understood));
            }
        },
    ),
    read(
        "patwarden_requests_open",
        None,
        &["organization", "state"],
        "Requests that are not over, by state: `escalated` and `held` are left to people, the others are ours to work on",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.requests {
                let state = Cow::Owned(row.state.clone());
                to.add([named.organization(row.organization), state], number(row.count));
            }
        },
    ),
    read(
        "patwarden_requests_oldest_age",
        S,
        &["organization", "state"],
        "How long ago the oldest request in this state came into it",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.requests {
                let state = Cow::Owned(row.state.clone());
                let age = age(view.now, Some(row.since));
                to.most([named.organization(row.organization), state], age);
            }
        },
    ),
    read(
        "patwarden_requests_unconfirmed",
        None,
        &["organization"],
        "Requests that wait for `patwarden requests confirm`, because a first run or a changed policy would act on many at once",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.requests {
                to.add([named.organization(row.organization)], number(row.unconfirmed));
            }
        },
    ),
    read(
        "patwarden_work_overdue",
        S,
        &[],
        "How long work has been due that nobody has begun; 0 when none is",
        |view, to| {
            if let Ok(watched) = &view.watched {
                to.put([], age(view.now, watched.due_since));
            }
        },
    ),
    read(
        "patwarden_reviews_unfinished",
        None,
        &[],
        "Approvals and denials that are recorded and not known to have had their effect",
        |view, to| {
            if let Ok(watched) = &view.watched {
                to.put([], number(watched.unfinished_effects));
            }
        },
    ),
    counted(
        "patwarden_decisions",
        &["organization", "effect", "mode"],
        Counter::Decisions,
        "Decisions, by effect and by the mode of the policy: in `shadow` nothing is sent",
    ),
    counted(
        "patwarden_rule_decisions",
        &["organization", "effect", "rule"],
        Counter::RuleDecisions,
        "The same by rule: one that two rules made counts for both, and `default` is none",
    ),
    counted(
        "patwarden_requests_settled",
        &["organization", "outcome", "by"],
        Counter::Settled,
        "Requests that are over, by how they ended and who ended them",
    ),
    read(
        "patwarden_escalations_open",
        None,
        &["organization"],
        "Requests about which reviewers are asked",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.escalations {
                to.add([named.organization(row.organization)], number(row.open));
            }
        },
    ),
    read(
        "patwarden_escalations_failing",
        None,
        &["organization"],
        "Those of them of which the last attempt to ask somebody failed",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.escalations {
                to.add([named.organization(row.organization)], number(row.failing));
            }
        },
    ),
    counted(
        "patwarden_revocation_tokens",
        &["organization", "outcome"],
        Counter::Revocations,
        "Tokens of revocations, by what came of them",
    ),
    read(
        "patwarden_revocations_open",
        None,
        &["organization", "state"],
        "Revocations that wait for somebody to confirm them, or are under way",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.revocations {
                let state = Cow::Owned(row.state.clone());
                to.add([named.organization(row.organization), state], number(row.count));
            }
        },
    ),
    counted(
        "patwarden_alarms",
        &["organization"],
        Counter::Alarms,
        "What an owner should look at now: each is in the log as ALARM",
    ),
    read(
        "patwarden_policy_usable",
        None,
        &["organization"],
        "Whether the rules as they are now can be used: 1, or 0, and then nothing is approved",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.policies {
                let organization = named.organization(row.organization.id);
                to.least([organization], yes(row.broken.is_none()));
            }
        },
    ),
    read(
        "patwarden_policy_mode",
        None,
        &["organization", "mode"],
        "One, with the mode of the rules in force; `none`: there never were any",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.policies {
                let mode = row.mode.clone().map_or(Cow::Borrowed("none"), Cow::Owned);
                to.most([named.organization(row.organization.id), mode], 1.0);
            }
        },
    ),
    read(
        "patwarden_policy_age",
        S,
        &["organization"],
        "How long ago the rules in force, or whether they can be used, changed last",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.policies {
                let age = age(view.now, Some(row.since));
                to.most([named.organization(row.organization.id)], age);
            }
        },
    ),
    counted(
        "patwarden_github_calls",
        &["outcome"],
        Counter::Calls,
        "Calls to GitHub, by what they came to",
    ),
    read(
        "patwarden_github_calls_left",
        None,
        &["organization"],
        "Calls that GitHub's hourly limit leaves, as its last answer said",
        |view, to| limits(view, to, |limits| number(limits.remaining)),
    ),
    read(
        "patwarden_github_calls_limit",
        None,
        &["organization"],
        "GitHub's hourly limit",
        |view, to| limits(view, to, |limits| number(limits.limit)),
    ),
    read(
        "patwarden_github_wait",
        S,
        &["organization"],
        "How long it is until GitHub takes calls for an organization again, where it asked for a pause; 0 elsewhere",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.installations {
                to.most([named.organization(row.organization.id)], 0.0);
                let parked = (named.watched.parked.iter())
                    .find(|parked| parked.organization == row.organization.login.as_str());
                if let Some(parked) = parked {
                    let wait = age(parked.until, Some(view.now));
                    to.most([named.organization(row.organization.id)], wait);
                }
            }
        },
    ),
    read(
        "patwarden_installation_suspended",
        None,
        &["organization"],
        "Whether the App's installation is suspended: 1, or 0",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.installations {
                to.most([named.organization(row.organization.id)], yes(row.suspended));
            }
        },
    ),
    read(
        "patwarden_last_reconcile_timestamp",
        S,
        &[],
        "When all pending requests were last listed, in Unix time; missing before the first time",
        |view, to| {
            if let Some(at) = view.reconciled_at {
                to.put([], unix(at));
            }
        },
    ),
    read(
        "patwarden_last_inventory_timestamp",
        S,
        &["organization"],
        "When all tokens with access were last listed, in Unix time",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.inventories {
                to.least([named.organization(row.organization)], unix(row.at));
            }
        },
    ),
    read(
        "patwarden_tokens_active",
        None,
        &["organization"],
        "How many tokens had access by then",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.inventories {
                to.add([named.organization(row.organization)], number(row.active));
            }
        },
    ),
    counted(
        "patwarden_mails",
        &["result"],
        Counter::Mails,
        "Attempts to send a mail: `sent`; `not_now`, and it is tried again; `refused` for good",
    ),
    read("patwarden_mails_waiting", None, &[], "Mails that are still to be sent", |view, to| {
        if let Ok(watched) = &view.watched {
            to.put([], number(watched.mails_waiting));
        }
    }),
    read(
        "patwarden_mails_oldest_age",
        S,
        &[],
        "How long the oldest of them waits; 0 when none does",
        |view, to| {
            if let Ok(watched) = &view.watched {
                to.put([], age(view.now, watched.oldest_mail));
            }
        },
    ),
    read(
        "patwarden_resident_memory",
        Some(Unit::Bytes),
        &[],
        "The memory that the process has in use; on Linux",
        |view, to| {
            if let Some(process) = view.process {
                to.put([], whole(process.resident));
            }
        },
    ),
    read(
        "patwarden_open_files",
        None,
        &[],
        "Files and connections that the process has open; on Linux",
        |view, to| {
            if let Some(process) = view.process {
                to.put([], whole(process.open_files));
            }
        },
    ),
];
