//! The body of the event `personal_access_token_request`.
//!
//! Source: <https://docs.github.com/webhooks/webhook-events-and-payloads#personal_access_token_request>.

use serde_json::{Value, json};

use super::time::{with_offset, zulu};
use super::{Urls, organization_webhook, repository_stub, simple_installation, simple_user};
use crate::config::Switches;
use crate::permissions::Permissions;
use crate::tokens::{PendingRequest, Selection, Token};
use crate::world::{Organization, User};

/// Everything the body is made of.
pub(crate) struct PatEvent<'a> {
    pub(crate) action: &'a str,
    pub(crate) request: &'a PendingRequest,
    pub(crate) token: &'a Token,
    pub(crate) owner: &'a User,
    pub(crate) organization: &'a Organization,
    pub(crate) sender: Value,
    pub(crate) installation: u64,
    pub(crate) now: i64,
    pub(crate) switches: &'a Switches,
}

pub(crate) fn pat_request_event(event: &PatEvent<'_>, urls: &Urls) -> Value {
    let result = &event.request.shape.permissions;
    let nothing = Permissions::default();
    let before = event.request.before.as_ref().map_or(&nothing, |shape| shape.permissions.as_ref());
    let (count, repositories) = match &event.request.shape.repositories {
        // Null, not absent and not empty, for "none" and "all".
        Selection::None | Selection::All => (Value::Null, Value::Null),
        Selection::Subset(ids) => {
            let cut = event.switches.webhook_repositories_cut.unwrap_or(usize::MAX);
            let known = ids.iter().filter_map(|id| event.organization.repository_by_id(*id));
            let shown: Vec<Value> = known
                .take(cut)
                .map(|repository| repository_stub(repository, event.organization))
                .collect();
            (json!(ids.len()), json!(shown))
        }
    };
    let mut request = json!({
        "id": event.request.id,
        "owner": simple_user(event.owner, urls),
        "permissions_added": result.added_to(before).to_json(),
        "permissions_upgraded": result.upgraded_from(before).to_json(),
        "permissions_result": result.to_json(),
        "repository_selection": event.request.shape.repositories.as_str(),
        "repository_count": count,
        "repositories": repositories,
        "created_at": with_offset(event.request.created_at, event.owner.utc_offset_minutes),
        "token_id": event.token.id,
        "token_name": event.token.name,
        "token_expired": event.token.is_expired(event.now),
        "token_expires_at": event.token.expires_at.map(zulu),
        "token_last_used_at": event.token.last_used_at.map(zulu),
    });
    if !event.switches.webhook_token_fields
        && let Some(fields) = request.as_object_mut()
    {
        fields.remove("token_id");
        fields.remove("token_name");
    }
    json!({
        "action": event.action,
        "personal_access_token_request": request,
        "organization": organization_webhook(event.organization, urls),
        "sender": event.sender,
        "installation": simple_installation(event.installation),
    })
}
