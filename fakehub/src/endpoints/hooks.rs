//! The App's webhook: its configuration, past deliveries and redelivery.
//!
//! Source: <https://docs.github.com/rest/apps/webhooks>.

use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::deliveries::{ContentType, Delivery};
use crate::state::State;

fn shown(state: &State) -> Value {
    let mut out = json!({
        "content_type": state.hook.content_type.as_str(),
        "insecure_ssl": if state.hook.insecure_ssl { "1" } else { "0" },
    });
    if let Some(fields) = out.as_object_mut() {
        if let Some(url) = &state.hook.url {
            fields.insert("url".to_owned(), json!(url));
        }
        if state.hook.secret.is_some() {
            fields.insert("secret".to_owned(), json!("********"));
        }
    }
    out
}

pub(crate) fn config(state: &mut State, _: &Context) -> Reply {
    Ok(Answer::ok(shown(state)))
}

pub(crate) fn set_config(state: &mut State, context: &Context) -> Reply {
    let mut hook = state.hook.clone();
    let text = |name: &str| match context.field(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Answer::malformed(&format!("`{name}` must be a string."))),
    };
    if let Some(url) = text("url")? {
        hook.url = Some(url);
    }
    if let Some(secret) = text("secret")? {
        hook.secret = Some(secret);
    }
    match text("content_type")?.as_deref() {
        None => {}
        Some("json") => hook.content_type = ContentType::Json,
        Some("form") => hook.content_type = ContentType::Form,
        Some(_) => return Err(Answer::malformed("`content_type` must be json or form.")),
    }
    match context.field("insecure_ssl") {
        None => {}
        Some(value) => {
            let on = value.as_str() == Some("1") || value.as_u64() == Some(1);
            hook.insecure_ssl = on;
        }
    }
    state.hook = hook;
    Ok(Answer::ok(shown(state)))
}

/// Newest first. `cursor` is the id of the last delivery seen.
pub(crate) fn deliveries(state: &mut State, context: &Context) -> Reply {
    let size = context
        .query("per_page")
        .and_then(|text| text.parse::<usize>().ok())
        .filter(|size| *size > 0)
        .unwrap_or(30)
        .min(100);
    let cursor = match context.query("cursor") {
        None => None,
        Some(text) => Some(
            text.trim_start_matches("v1_")
                .parse::<u64>()
                .map_err(|_| Answer::malformed("`cursor` is not known."))?,
        ),
    };
    let lets = |delivery: &&Delivery| match context.query("status") {
        Some("success") => (200..400).contains(&delivery.status_code),
        Some("failure") => (400..600).contains(&delivery.status_code),
        _ => true,
    };
    let mut found = state
        .deliveries
        .newest_first()
        .filter(|delivery| cursor.is_none_or(|cursor| delivery.id < cursor))
        .filter(lets);
    let page: Vec<&Delivery> = found.by_ref().take(size).collect();
    let more = found.next().is_some();
    let answer = Answer::ok(json!(page.iter().map(|delivery| delivery.item()).collect::<Vec<_>>()));
    match page.last().filter(|_| more) {
        None => Ok(answer),
        Some(last) => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            for (name, value) in context.query.iter().filter(|(name, _)| name != "cursor") {
                query.append_pair(name, value);
            }
            query.append_pair("cursor", &format!("v1_{}", last.id));
            let url = format!("{}/app/hook/deliveries?{}", context.urls.api, query.finish());
            Ok(answer.header("link", format!("<{url}>; rel=\"next\"")))
        }
    }
}

pub(crate) fn delivery(state: &mut State, context: &Context) -> Reply {
    let delivery = state.deliveries.get(context.id("id")?).ok_or_else(Answer::not_found)?;
    Ok(Answer::ok(delivery.full()))
}

pub(crate) fn redeliver(state: &mut State, context: &Context) -> Reply {
    let delivery = state.deliveries.get(context.id("id")?).ok_or_else(Answer::not_found)?;
    state.events.again(delivery);
    Ok(Answer::json(202, json!({})))
}
