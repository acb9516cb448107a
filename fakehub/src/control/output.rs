//! What the control API shows: fakehub's own view, not GitHub's.

use serde_json::{Value, json};

use crate::hub::Fakehub;
use crate::tokens::{Actor, Effect, Outcome, RepositoryChoice, RequestIds};

pub(super) fn ids(ids: RequestIds) -> Value {
    json!({ "request_id": ids.request_id, "token_id": ids.token_id, "grant_id": ids.grant_id })
}

pub(super) fn overview(hub: &Fakehub) -> Value {
    let installations: Vec<Value> = hub.shared.with(|state| {
        state
            .installations
            .values()
            .filter_map(|installation| {
                let organization = state.world.organizations.get(&installation.organization)?;
                Some(json!({ "id": installation.id, "organization": organization.login }))
            })
            .collect()
    });
    json!({
        "api_url": hub.api_url(),
        "ghes_url": hub.ghes_url(),
        "app": { "id": hub.app().id, "client_id": hub.app().client_id, "slug": hub.app().slug },
        "installations": installations,
        "now": hub.now().to_string(),
        "webhooks_waiting": hub.webhooks_waiting(),
    })
}

fn actor(actor: &Actor) -> Value {
    match actor {
        Actor::App => json!("app"),
        Actor::Person(login) => json!(format!("person:{login}")),
        Actor::GitHub => json!("github"),
    }
}

fn shown(id: u64, outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Pending => json!({ "request_id": id, "outcome": "pending" }),
        Outcome::Approved { by, reason, at, grant_id } => json!({
            "request_id": id, "outcome": "approved", "by": actor(by), "reason": reason, "at": at.to_string(),
            "grant_id": grant_id,
        }),
        Outcome::Denied { by, reason, at } => json!({
            "request_id": id, "outcome": "denied", "by": actor(by), "reason": reason, "at": at.to_string(),
        }),
        Outcome::Cancelled { at } => {
            json!({ "request_id": id, "outcome": "cancelled", "at": at.to_string() })
        }
        Outcome::NeverAsked => json!({ "request_id": id, "outcome": "never_asked" }),
    }
}

pub(super) fn outcomes(hub: &Fakehub) -> Value {
    hub.outcomes().iter().map(|(id, outcome)| shown(*id, outcome)).collect()
}

pub(super) fn outcome(hub: &Fakehub, id: u64) -> Value {
    shown(id, &hub.outcome(id))
}

pub(super) fn reviews(hub: &Fakehub, id: u64) -> Value {
    hub.reviews(id)
        .iter()
        .map(|review| {
            json!({
                "request_id": review.request_id,
                "action": review.action,
                "reason": review.reason,
                "bulk": review.bulk,
                "installation": review.installation,
                "at": review.at.to_string(),
                "effect": match review.effect {
                    Effect::Applied => "applied",
                    Effect::AlreadySettled => "already_settled",
                    Effect::Unknown => "unknown",
                },
            })
        })
        .collect()
}

pub(super) fn grants(hub: &Fakehub, organization: &str) -> Value {
    hub.grants(organization)
        .iter()
        .map(|grant| {
            json!({
                "id": grant.id,
                "token_id": grant.token_id,
                "token_name": grant.token_name,
                "owner": grant.owner,
                "repositories": match &grant.repositories {
                    RepositoryChoice::None => json!("none"),
                    RepositoryChoice::All => json!("all"),
                    RepositoryChoice::Named(names) => json!(names),
                },
                "permissions": grant.permissions,
                "granted_at": grant.granted_at.to_string(),
                "expires_at": grant.expires_at.map(|at| at.to_string()),
            })
        })
        .collect()
}

pub(super) fn revocations(hub: &Fakehub, organization: &str) -> Value {
    hub.revocations(organization)
        .iter()
        .map(|revocation| {
            json!({
                "grant_id": revocation.grant_id,
                "token_id": revocation.token_id,
                "owner": revocation.owner,
                "by": actor(&revocation.by),
                "at": revocation.at.to_string(),
            })
        })
        .collect()
}

pub(super) fn calls(hub: &Fakehub, operation: Option<&str>) -> Value {
    let calls = operation.map_or_else(|| hub.calls(), |operation| hub.calls_of(operation));
    calls
        .iter()
        .map(|call| {
            json!({
                "number": call.number,
                "operation": call.operation,
                "method": call.method,
                "path": call.path,
                "query": call.query,
                "body": call.body,
                "status": call.status,
                "at": call.at.to_string(),
                "installation": call.installation,
                "user_agent": call.user_agent,
            })
        })
        .collect()
}

pub(super) fn deliveries(hub: &Fakehub) -> Value {
    hub.deliveries().iter().map(|delivery| delivery.full()).collect()
}
