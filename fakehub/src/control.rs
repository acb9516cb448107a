//! The control API under `/_fakehub/`, for programs that are not this process. Every route is described in README.md.

mod code;
mod input;
mod issues;
mod output;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::error::Error;
use crate::faults::Hold;
use crate::gate::Arrived;
use crate::hub::Fakehub;
use crate::shared::Shared;
use crate::tokens::Review;
use input::{Advance, Ask, Belonging, FaultInput, Handle, HoldInput, ReviewInput, SendInput};
use setup::{InstallationInput, SwitchInput, WorldInput};

type Reply = Result<Answer, Error>;

pub(crate) async fn serve(shared: &Arc<Shared>, arrived: &Arrived) -> Answer {
    let hub = Fakehub::lent(shared);
    let path = arrived.path.trim_start_matches("/_fakehub").trim_matches('/');
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let reply = match (arrived.method.as_str(), parts.as_slice()) {
        ("GET", ["holds", id]) => see_hold(&hub, arrived, id).await,
        ("GET", ["idle"]) => {
            let limit = Duration::from_millis(number(arrived, "wait_ms").unwrap_or(10_000));
            let _ = tokio::time::timeout(limit, hub.webhooks_sent()).await;
            Ok(Answer::ok(json!({ "webhooks_waiting": hub.webhooks_waiting() })))
        }
        ("GET", parts) => look(&hub, arrived, parts),
        (method, parts) => act(&hub, arrived, method, parts),
    };
    reply.unwrap_or_else(|why| {
        let status = match why {
            Error::AlreadySettled(_) => 409,
            Error::Invalid(_) | Error::NotAllowed(_) => 422,
            _ => 404,
        };
        Answer::json(status, json!({ "error": why.to_string() }))
    })
}

fn look(hub: &Fakehub, arrived: &Arrived, parts: &[&str]) -> Reply {
    let organization = text(arrived, "organization").unwrap_or_else(|| "acme".to_owned());
    let body = match parts {
        [] => output::overview(hub),
        ["key"] => {
            return Ok(Answer::raw(
                200,
                "application/x-pem-file",
                hub.app().private_key_pem.clone(),
            ));
        }
        ["requests"] => output::outcomes(hub),
        ["requests", id] => output::outcome(hub, id_of(id)?),
        ["requests", id, "reviews"] => output::reviews(hub, id_of(id)?),
        ["grants"] => output::grants(hub, &organization),
        ["revocations"] => output::revocations(hub, &organization),
        ["issues"] => issues::all(hub, arrived, &organization),
        ["check_runs"] => code::check_runs(hub, arrived, &organization),
        ["calls"] => output::calls(hub, text(arrived, "operation").as_deref()),
        ["deliveries"] => output::deliveries(hub),
        ["faults"] => hub.shared.faults.to_json(),
        _ => return Ok(*Answer::not_found()),
    };
    Ok(Answer::ok(body))
}

fn act(hub: &Fakehub, arrived: &Arrived, method: &str, parts: &[&str]) -> Reply {
    let done = Answer::ok(json!({}));
    match (method, parts) {
        ("POST", ["requests"]) => {
            let ask: Ask = read(arrived)?;
            let ids = hub.request_token(ask.organization(), ask.spec()?)?;
            Ok(Answer::json(201, output::ids(ids)))
        }
        ("PATCH", ["requests", id]) => {
            let ask: Ask = read(arrived)?;
            ask.check()?;
            let ids = hub.edit_request(id_of(id)?, |spec| ask.change(spec))?;
            Ok(Answer::ok(output::ids(ids)))
        }
        ("DELETE", ["requests", id]) => hub.cancel_request(id_of(id)?).map(|()| done),
        ("POST", ["requests", id, "review"]) => {
            let input: ReviewInput = read(arrived)?;
            let review = match input.action.as_str() {
                "approve" => Review::Approve,
                "deny" => Review::Deny(input.reason.unwrap_or_default()),
                _ => return Err(Error::Invalid("`action` is `approve` or `deny`".to_owned())),
            };
            hub.review_as(&input.by, id_of(id)?, review).map(|()| done)
        }
        ("POST", ["tokens"]) => {
            let ask: Ask = read(arrived)?;
            let ids = hub.grant_token(ask.organization(), ask.spec()?)?;
            Ok(Answer::json(201, output::ids(ids)))
        }
        ("PATCH", ["tokens", id]) => {
            let ask: Ask = read(arrived)?;
            ask.check()?;
            let ids = hub.edit_token(id_of(id)?, |spec| ask.change(spec))?;
            Ok(Answer::ok(output::ids(ids)))
        }
        ("DELETE", ["tokens", id]) => hub.delete_token(id_of(id)?).map(|()| done),
        ("POST", ["tokens", id, "use"]) => hub.use_token(id_of(id)?).map(|()| done),
        ("POST", ["join"]) => {
            let input: Belonging = read(arrived)?;
            match input.team {
                Some(team) => hub.add_team_member(&input.organization, &team, &input.user)?,
                None => hub.add_member(&input.organization, &input.user)?,
            }
            Ok(done)
        }
        ("POST", ["leave"]) => {
            let input: Belonging = read(arrived)?;
            match input.team {
                Some(team) => hub.remove_team_member(&input.organization, &team, &input.user)?,
                None => hub.remove_member(&input.organization, &input.user)?,
            }
            Ok(done)
        }
        ("POST", ["installations"]) => {
            let input: InstallationInput = read(arrived)?;
            input.apply(hub)
        }
        ("POST", ["world"]) => {
            let input: WorldInput = read(arrived)?;
            let install = input.install;
            let organization = input.organization.clone();
            hub.world(|world| input.put_in(world))?;
            let installation = if install { Some(hub.install(&organization)?) } else { None };
            Ok(Answer::ok(json!({ "installation_id": installation })))
        }
        _ => operate(hub, arrived, method, parts),
    }
}

/// What concerns fakehub itself rather than the people on it.
fn operate(hub: &Fakehub, arrived: &Arrived, method: &str, parts: &[&str]) -> Reply {
    let done = Answer::ok(json!({}));
    match (method, parts) {
        ("POST", ["faults"]) => {
            let input: FaultInput = read(arrived)?;
            Ok(Answer::json(201, json!({ "id": hub.fault(input.fault()?) })))
        }
        ("DELETE", ["faults"]) => {
            hub.clear_faults();
            Ok(done)
        }
        ("DELETE", ["faults", id]) => {
            let id = id_of(id)?;
            if hub.clear_fault(id) { Ok(done) } else { Err(Error::UnknownId(id)) }
        }
        ("POST", ["holds"]) => {
            let input: HoldInput = read(arrived)?;
            let hold = match input.when.as_str() {
                "before" => Hold::before(&input.on),
                "after" => Hold::after(&input.on),
                _ => return Err(Error::Invalid("`when` is `before` or `after`".to_owned())),
            };
            let held = hub.hold(hold.times(input.times.unwrap_or(1)).skip(input.skip));
            let id = held.id;
            with_holds(hub, |holds| holds.insert(id, held));
            Ok(Answer::json(201, json!({ "id": id })))
        }
        ("POST", ["holds", id, verdict @ ("release" | "cut")]) => {
            let id = id_of(id)?;
            with_holds(hub, |holds| match holds.get(&id) {
                None => Err(Error::UnknownId(id)),
                Some(held) => {
                    if *verdict == "cut" {
                        held.cut()
                    } else {
                        held.release()
                    }
                    Ok(done)
                }
            })
        }
        ("DELETE", ["calls"]) => {
            hub.reset_calls();
            Ok(done)
        }
        ("POST", ["deliveries", guid, "redeliver"]) => hub.redeliver(guid).map(|()| done),
        ("POST", ["webhooks"]) => {
            let input: SendInput = read(arrived)?;
            hub.send_webhook(&input.event, input.body);
            Ok(done)
        }
        ("POST", ["ping"]) => {
            hub.ping();
            Ok(done)
        }
        ("PATCH", ["webhook"]) => {
            let input: Handle = read(arrived)?;
            input.apply(hub)?;
            Ok(done)
        }
        ("PATCH", ["switches"]) => {
            let input: SwitchInput = read(arrived)?;
            input.apply(hub)?;
            Ok(done)
        }
        ("POST", ["advance"]) => {
            let input: Advance = read(arrived)?;
            hub.advance(Duration::from_secs(input.seconds));
            Ok(Answer::ok(json!({ "now": hub.now().to_string() })))
        }
        ("POST", ["stop"]) => {
            // The answer is given some time to leave before connections are closed.
            let stop = hub.shared.stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                stop.send_replace(true);
            });
            Ok(done)
        }
        (_, ["issues", ..] | ["comments", ..]) => issues::act(hub, arrived, method, parts),
        _ => code::act(hub, arrived, method, parts),
    }
}

/// How many calls a hold has caught; waits up to `wait_ms` for the first.
async fn see_hold(hub: &Fakehub, arrived: &Arrived, id: &str) -> Reply {
    let id = id_of(id)?;
    let state = with_holds(hub, |holds| holds.get(&id).map(|held| Arc::clone(&held.state)));
    let state = state.ok_or(Error::UnknownId(id))?;
    let limit = Duration::from_millis(number(arrived, "wait_ms").unwrap_or(0));
    let _ = tokio::time::timeout(limit, state.reached(1)).await;
    Ok(Answer::ok(json!({ "id": id, "count": state.arrived(), "reached": state.arrived() > 0 })))
}

fn with_holds<T>(
    hub: &Fakehub,
    act: impl FnOnce(&mut std::collections::HashMap<u64, crate::faults::Held>) -> T,
) -> T {
    act(&mut hub.shared.holds.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn read<T: DeserializeOwned>(arrived: &Arrived) -> Result<T, Error> {
    let body: Value = if arrived.body.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(&arrived.body)
            .map_err(|why| Error::Invalid(format!("not JSON: {why}")))?
    };
    serde_json::from_value(body).map_err(|why| Error::Invalid(why.to_string()))
}

fn id_of(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| Error::Invalid(format!("`{text}` is not an id")))
}

fn text(arrived: &Arrived, name: &str) -> Option<String> {
    form_urlencoded::parse(arrived.query.as_bytes())
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

fn number(arrived: &Arrived, name: &str) -> Option<u64> {
    text(arrived, name)?.parse().ok()
}
