//! Tables of permissions in rule files: names and levels that GitHub documents, and nothing else.

use super::reader::{Reader, Value, shown, suggestion};
use crate::{
    domain::{AccessLevel, KNOWN_PERMISSIONS, PermissionGroup, Permissions, known_levels},
    rules::diagnostic::Code,
};

/// Reads `{ contents = "read" }`; `*` only where `stars` says so.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
    group: PermissionGroup,
    stars: bool,
) -> Option<Vec<(String, AccessLevel)>> {
    let Some(table) = super::reader::entries(value) else {
        reader.wrong_type(value, path, "a table such as { contents = \"read\" }");
        return None;
    };
    let mut listed = Vec::new();
    for (key, value) in table {
        let name: &str = key.get_ref();
        if name == "*" && !stars {
            let message = "`*` names every permission, also those GitHub invents tomorrow: an upper bound must list them";
            reader.error(Code::ForbiddenPermission, key.span(), message);
            continue;
        }
        let levels = known_levels(group, name);
        if name != "*" && levels.is_none() {
            let message = format!("GitHub has no {} permission `{}`", group.as_str(), shown(name));
            let help = elsewhere(group, name).or_else(|| suggestion(name, &names(group)));
            reader.error_help(Code::UnknownPermission, key.span(), message, help);
            continue;
        }
        let Some(text) = reader.string(value, &format!("{path}.{name}")) else { continue };
        let level = AccessLevel::from(text.to_owned());
        let known = levels.map_or(!matches!(level, AccessLevel::Unrecognized(_)), |levels| {
            levels.contains(&level)
        });
        if known {
            listed.push((name.to_owned(), level));
        } else {
            let words: Vec<_> = levels
                .unwrap_or(&[AccessLevel::Read, AccessLevel::Write, AccessLevel::Admin])
                .iter()
                .map(AccessLevel::as_str)
                .collect();
            let message = format!("`{name}` cannot be `{}`", shown(text));
            let help = format!("possible: {}", words.join(", "));
            reader.error_help(Code::UnknownLevel, value.span(), message, Some(help));
        }
    }
    Some(listed)
}

/// Reads the tables of all groups below `allow.permissions` or `ceiling.permissions`.
pub(crate) fn bound(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Permissions {
    let mut permissions = Permissions::default();
    reader.table(
        value,
        path,
        &["repository", "organization", "other"],
        |reader, key, span, value| {
            let path = format!("{path}.{key}");
            let group = match key {
                "repository" => PermissionGroup::Repository,
                "organization" => PermissionGroup::Organization,
                _ => {
                    let message = "no rule allows permissions of the group `other`";
                    return reader.error(Code::ForbiddenPermission, span, message);
                }
            };
            if let Some(listed) = read(reader, value, &path, group, false) {
                let map = if group == PermissionGroup::Repository {
                    &mut permissions.repository
                } else {
                    &mut permissions.organization
                };
                map.extend(listed);
            }
        },
    );
    permissions
}

/// A list as the permissions of one group.
pub(crate) fn of_group(group: PermissionGroup, listed: Vec<(String, AccessLevel)>) -> Permissions {
    let map = listed.into_iter().collect();
    let mut permissions = Permissions::default();
    match group {
        PermissionGroup::Repository => permissions.repository = map,
        PermissionGroup::Organization => permissions.organization = map,
        PermissionGroup::Other => permissions.other = map,
    }
    permissions
}

fn names(group: PermissionGroup) -> Vec<&'static str> {
    KNOWN_PERMISSIONS.iter().filter(|(g, ..)| *g == group).map(|(_, name, _)| *name).collect()
}

fn elsewhere(group: PermissionGroup, name: &str) -> Option<String> {
    let other = PermissionGroup::ALL
        .into_iter()
        .find(|g| *g != group && known_levels(*g, name).is_some())?;
    Some(format!("`{name}` is a permission of the group `{}`", other.as_str()))
}
