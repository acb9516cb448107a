//! The App and its installations.

use serde_json::{Value, json};

use super::time::zulu;
use super::user::object;
use super::{MADE_AT, Urls};
use crate::app::App;
use crate::ids::node_id;
use crate::installations::{Installation, Wishes};
use crate::world::Organization;

/// The schema `integration`.
pub(crate) fn integration(app: &App, wishes: &Wishes, installations: usize, urls: &Urls) -> Value {
    let mut out = integration_simple(app, wishes, urls);
    if let Some(fields) = out.as_object_mut() {
        fields.insert("installations_count".to_owned(), json!(installations));
    }
    out
}

/// The App as check runs and suites show it.
pub(crate) fn integration_simple(app: &App, wishes: &Wishes, urls: &Urls) -> Value {
    json!({
        "id": app.id,
        "slug": app.slug,
        "node_id": node_id("Integration", app.id),
        "client_id": app.client_id,
        "owner": object("fakehub-owner", 5_099_999, "User", urls),
        "name": app.name,
        "description": "An App on a fake GitHub",
        "external_url": format!("{}/external", urls.site),
        "html_url": format!("{}/apps/{}", urls.site, app.slug),
        "created_at": zulu(MADE_AT),
        "updated_at": zulu(MADE_AT),
        "permissions": wishes.permissions,
        "events": wishes.events,
    })
}

/// The schema `installation`.
pub(crate) fn installation(
    installation: &Installation,
    organization: &Organization,
    app: &App,
    wishes: &Wishes,
    urls: &Urls,
) -> Value {
    json!({
        "id": installation.id,
        "account": object(&organization.login, organization.id, "Organization", urls),
        "repository_selection": installation.selection(),
        "access_tokens_url": format!("{}/app/installations/{}/access_tokens", urls.api, installation.id),
        "repositories_url": format!("{}/installation/repositories", urls.api),
        "html_url": format!("{}/organizations/{}/settings/installations/{}", urls.site, organization.login, installation.id),
        "app_id": app.id,
        "client_id": app.client_id,
        "app_slug": app.slug,
        "target_id": organization.id,
        "target_type": "Organization",
        "permissions": installation.permissions,
        "events": wishes.events,
        "created_at": zulu(installation.created_at),
        "updated_at": zulu(installation.updated_at),
        "single_file_name": null,
        "has_multiple_single_files": false,
        "single_file_paths": [],
        "suspended_by": installation.suspended_at.map(|_| object("fakehub-owner", 5_099_999, "User", urls)),
        "suspended_at": installation.suspended_at.map(zulu),
    })
}

/// The webhook's `installation`.
pub(crate) fn simple_installation(id: u64) -> Value {
    json!({ "id": id, "node_id": node_id("IntegrationInstallation", id) })
}
