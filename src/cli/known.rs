//! What flags name and the record has never heard of: which organization, owner, repository, rule or permission was probably
//! meant. A filter with a slip of the pen would otherwise select nothing, and say nothing.

use std::collections::BTreeSet;

use super::{Usage, output};
use crate::{
    domain::{
        AccessLevel, KNOWN_PERMISSIONS, KnownToken, Organization, OrganizationId,
        RepositorySelection, RequestId,
    },
    inventory::{AskedFilter, TokenFilter},
    rules::load::nearest::nearest,
    store::{InstallationRow, Named, Store},
};

/// What `--approved-by` takes beside names.
const APPROVERS: [&str; 3] = ["rule", "itself", "unknown"];

/// The organization that is meant: the one that is named, or the only one there is.
///
/// # Errors
/// [`Usage`] for one on which the App is not; when none is named and there are several.
pub(super) async fn organization(
    store: &Store,
    named: Option<&str>,
) -> anyhow::Result<InstallationRow> {
    let installed = store.installations().await?;
    let logins = || installed.iter().map(|row| row.organization.login.as_str());
    match named {
        Some(login) => {
            let found = installed
                .iter()
                .find(|row| row.organization.login.as_str().eq_ignore_ascii_case(login));
            found.cloned().ok_or_else(|| unknown_organization(login, &logins().collect::<Vec<_>>()))
        }
        None => match installed.as_slice() {
            [only] => Ok(only.clone()),
            [] => anyhow::bail!(
                "no installation of the App is known: install it on an organization, and start `patwarden serve`"
            ),
            _ => Err(Usage(format!(
                "say which organization with --org: {}",
                output::cell(&logins().collect::<Vec<_>>().join(", "), 1_000)
            ))
            .into()),
        },
    }
}

/// The organization of these requests, where no other has requests of these numbers; else as [`organization`].
///
/// # Errors
/// As there.
pub(super) async fn organization_of(
    store: &Store,
    ids: &[RequestId],
    named: Option<&str>,
) -> anyhow::Result<InstallationRow> {
    if named.is_some() {
        return organization(store, named).await;
    }
    let mut found = BTreeSet::new();
    for id in ids {
        let rows = store.requests_numbered(*id).await?;
        found.extend(rows.iter().map(|row| row.organization.id));
    }
    only_one(store, &found).await
}

/// The only one of these organizations, where the App is still on it; else as [`organization`] when none is named.
pub(super) async fn only_one(
    store: &Store,
    found: &BTreeSet<OrganizationId>,
) -> anyhow::Result<InstallationRow> {
    if let (Some(only), 1) = (found.first(), found.len())
        && let Some(installed) = store.installation(*only).await?
    {
        return Ok(installed);
    }
    organization(store, None).await
}

/// Whether anything is on record of an organization, or the App is on it: of one that was never heard of, "nothing" would be
/// no answer.
///
/// # Errors
/// [`Usage`] for one that was never heard of.
pub(super) async fn is_on_record(store: &Store, login: &str) -> anyhow::Result<()> {
    let known = store.organizations_heard_of().await?;
    if known.iter().any(|known| known.eq_ignore_ascii_case(login)) {
        return Ok(());
    }
    Err(unknown_organization(login, &known.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn unknown_organization(login: &str, known: &[&str]) -> anyhow::Error {
    let on = match known {
        [] => "none yet, as far as `patwarden serve` has seen".to_owned(),
        known => output::cell(&known.join(", "), 1_000),
    };
    let meant = meant(login, known.iter().copied());
    Usage(format!(
        "the App is not on an organization `{}`, as far as we know{meant}; it is on: {on}",
        output::cell(login, 60)
    ))
    .into()
}

/// `, did you mean …?`, where there is a word that is near.
fn meant<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wrong, known)
        .map(|near| format!(" (did you mean `{}`?)", output::cell(near, 100)))
        .unwrap_or_default()
}

/// Looks at every name in a filter over requests. Permissions that there are not are an error; of other names that nobody
/// has heard of a line is written to standard error: they may be new.
///
/// # Errors
/// [`Usage`] for a permission, or a level of one, that GitHub does not have; when the store refuses.
pub(super) async fn look_at(
    store: &Store,
    organization: Option<&Organization>,
    filter: &AskedFilter,
) -> anyhow::Result<()> {
    let of = organization.map(|organization| organization.id);
    let whose = Whose(organization);
    for (name, level) in &filter.permissions {
        permission(store, of, name, level).await?;
    }
    if !filter.owners.is_empty() {
        let known = store.heard_of(Named::Owner, of).await?;
        for owner in filter.owners.iter().map(|login| login.as_str()) {
            if let Some(near) = unheard(owner, &known) {
                whose.note(&format!("nobody with the login `{}`", output::cell(owner, 60)), &near);
            }
        }
    }
    if let Some(repository) = &filter.repository {
        let known = store.heard_of(Named::Repository, of).await?;
        if let Some(near) = unheard(repository, &known) {
            let what = format!(
                "nothing of which it knows that it reaches a repository `{}`",
                output::cell(repository, 100)
            );
            whose.note(&what, &near);
        }
    }
    for token in &filter.tokens {
        if !store.has_heard_of_token(*token, of).await? {
            whose.note(&format!("no token of the number {token}"), "");
        }
    }
    Ok(())
}

/// The same for a filter over tokens.
///
/// # Errors
/// As there.
pub(super) async fn look_at_tokens(
    store: &Store,
    organization: &Organization,
    filter: &TokenFilter,
) -> anyhow::Result<()> {
    look_at(store, Some(organization), &filter.asked).await?;
    if filter.approved_by.iter().all(|by| APPROVERS.contains(&by.as_str())) {
        return Ok(());
    }
    let mut known = store.heard_of(Named::Approver, Some(organization.id)).await?;
    known.extend(APPROVERS.map(str::to_owned));
    for by in &filter.approved_by {
        if let Some(near) = unheard(by, &known) {
            let what = format!("nothing that was approved by `{}`", output::cell(by, 100));
            Whose(Some(organization)).note(&what, &near);
        }
    }
    Ok(())
}

/// Says so where no standing policy of this name was ever asked of tokens: a hold of it would keep nothing.
///
/// # Errors
/// When the store refuses.
pub(super) async fn look_at_policy(
    store: &Store,
    organization: &Organization,
    policy: &str,
) -> anyhow::Result<()> {
    let known = store.standing_runs(organization.id).await?.into_keys().collect();
    if let Some(near) = unheard(policy, &known) {
        let what = format!("no run of a standing policy `{}` yet", output::cell(policy, 100));
        Whose(Some(organization)).note(&what, &near);
    }
    Ok(())
}

/// Of whom the record was asked.
struct Whose<'a>(Option<&'a Organization>);

impl Whose<'_> {
    fn note(&self, what: &str, near: &str) {
        let of = match self.0 {
            Some(organization) => format!(" of {}", output::cell(organization.login.as_str(), 40)),
            None => String::new(),
        };
        output::note(&format!("note: the record{of} has {what}{near}"));
    }
}

/// Where `name` is not among those that are known: what to say of the nearest.
fn unheard(name: &str, known: &BTreeSet<String>) -> Option<String> {
    if known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return None;
    }
    Some(meant(name, known.iter().map(String::as_str)))
}

/// Whether GitHub has a permission of this name with a level that high; or, invented since, a token or a request has it.
async fn permission(
    store: &Store,
    organization: Option<OrganizationId>,
    name: &str,
    level: &AccessLevel,
) -> anyhow::Result<()> {
    let documented = KNOWN_PERMISSIONS.iter().filter(|(_, known, _)| *known == name);
    let highest = documented.filter_map(|(_, _, levels)| levels.iter().max()).max();
    if let Some(highest) = highest {
        if level <= highest {
            return Ok(());
        }
        return Err(Usage(format!(
            "no token has `{name}={level}`: GitHub gives `{name}` at most as `{highest}`"
        ))
        .into());
    }
    let known = store.heard_of(Named::Permission, organization).await?;
    if known.contains(name) {
        return Ok(());
    }
    let documented = KNOWN_PERMISSIONS.iter().map(|(_, known, _)| *known);
    let meant = meant(name, documented.chain(known.iter().map(String::as_str)));
    Err(Usage(format!(
        "GitHub has no permission `{}`, and no token or request on record has one{meant}",
        output::cell(name, 100)
    ))
    .into())
}

/// A number that GitHub or the record gave something, as `listed` shows it.
pub(super) fn number(text: &str, listed: &str) -> Result<i64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("write its number, as `patwarden {listed}` shows it"))
}

/// Where GitHub was not asked which repositories a token reaches: those with which it was approved, if that is on record.
///
/// # Errors
/// When the store refuses.
pub(super) async fn add_repositories(store: &Store, token: &mut KnownToken) -> anyhow::Result<()> {
    let subset = token.grant.repository_selection == RepositorySelection::Subset;
    if let Some(request) =
        token.approval.request().filter(|_| subset && token.repositories.is_none())
    {
        token.repositories =
            store.repositories_judged(token.grant.organization.id, request).await?;
    }
    Ok(())
}
