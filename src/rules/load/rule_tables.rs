//! `[approve.ID]`, `[deny.ID]`, `[escalate.ID]`, `[ceiling]` and `[require]`: what one file says of each.

use std::ops::Range;

use super::{
    conditions::{self, Placed},
    permissions,
    reader::{Reader, Value, entries, shown},
    values,
};
use crate::{
    domain::Permissions,
    rules::{
        condition::Condition,
        decision::MAX_REASON_CHARS,
        diagnostic::{Code, Place},
        layer::Layer,
        names::Name,
        pattern::{Patterns, TextPattern},
        policy::Ceiling,
        reason::{PLACEHOLDERS, Template},
        rule::{Enforcement, Part, Verb},
    },
};

/// A rule as one file has it, before the other files and the ceiling are known.
#[derive(Debug)]
pub(crate) struct DraftRule {
    pub(crate) id: String,
    pub(crate) verb: Verb,
    pub(crate) layer: Layer,
    pub(crate) place: Place,
    pub(crate) enforcement: Enforcement,
    pub(crate) gate: bool,
    pub(crate) conditions: Vec<Placed>,
    pub(crate) allow: Option<Allow>,
    pub(crate) require: Require,
    pub(crate) to: Vec<String>,
    pub(crate) reason: Option<(Template, Place)>,
}

/// `allow.*` of an approve rule.
#[derive(Debug)]
pub(crate) struct Allow {
    pub(crate) lifetime: (i64, Place),
    pub(crate) repositories: Patterns,
    pub(crate) max_repositories: Option<(i64, Place)>,
    pub(crate) all_repositories: Option<(bool, Place)>,
    pub(crate) permissions: (Permissions, Place),
}

/// `require.*` of an approve rule, or of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Require {
    pub(crate) reason_min_length: Option<usize>,
    pub(crate) reason_matches: Option<TextPattern>,
}

const APPROVE: &[&str] = &["when", "unless", "allow", "require"];
const DENY: &[&str] = &["when", "unless", "reason", "enforcement"];
const ESCALATE: &[&str] = &["when", "unless", "to", "enforcement", "gate"];
const ENFORCEMENTS: &[(&str, Enforcement)] = &[
    ("hard", Enforcement::Hard),
    ("soft", Enforcement::Soft),
    ("advisory", Enforcement::Advisory),
];

/// The longest name of a rule: it stands in records, and in reasons that have little room.
const MAX_ID: usize = 60;

/// Whether `id` can name a rule, a group or a policy.
pub(crate) fn check_id(reader: &mut Reader<'_>, id: &str, span: &Range<usize>) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let good = !id.is_empty() && id.len() <= MAX_ID && id.chars().all(fine);
    if !good {
        let message = format!("`{}` cannot be a name", shown(id));
        let help = format!("use letters, digits, `-` and `_`, at most {MAX_ID} of them");
        reader.error_help(Code::BadName, span.clone(), message, Some(help));
    }
    good
}

/// Reads one rule. A rule that is wrong in some part is reported in all its parts, and left out.
pub(crate) fn rule(
    reader: &mut Reader<'_>,
    verb: Verb,
    id: &str,
    span: Range<usize>,
    value: &Value<'_>,
) -> Option<DraftRule> {
    let path = format!("{verb}.{id}");
    let good_id = check_id(reader, id, &span);
    let before = reader.diagnostics.iter().filter(|d| d.is_error()).count();
    let place = reader.place(span.clone());
    let mut rule = DraftRule {
        id: id.to_owned(),
        verb,
        layer: reader.layer,
        place,
        enforcement: match (verb, reader.layer) {
            (Verb::Approve, _) | (_, Layer::Enterprise) => Enforcement::Hard,
            (_, Layer::Organization) => Enforcement::Soft,
        },
        gate: false,
        conditions: Vec::new(),
        allow: None,
        require: Require::default(),
        to: Vec::new(),
        reason: None,
    };
    let (mut has_when, mut has_allow, mut has_text) = (false, false, false);
    let keys = match verb {
        Verb::Approve => APPROVE,
        Verb::Deny => DENY,
        Verb::Escalate => ESCALATE,
    };
    let is_table = reader.table(value, &path, keys, |reader, key, key_span, value| {
        let path = format!("{path}.{key}");
        match key {
            "when" => {
                has_when = entries(value).is_some_and(|table| !table.is_empty());
                rule.conditions.extend(conditions::read(reader, value, &path, Part::When, verb));
            }
            "unless" => {
                if entries(value).is_some_and(|table| table.is_empty()) {
                    reader.error(Code::EmptyList, key_span, format!("`{path}` excepts nothing"));
                }
                rule.conditions.extend(conditions::read(reader, value, &path, Part::Unless, verb));
            }
            "allow" => {
                has_allow = true;
                rule.allow = allow(reader, value, &path, key_span);
            }
            "require" => rule.require = require(reader, value, &path),
            "to" => {
                has_text = true;
                rule.to = groups(reader, value, &path);
            }
            "reason" => {
                has_text = true;
                rule.reason = reason(reader, value, &path);
            }
            "enforcement" => {
                if let Some(text) = reader.string(value, &path)
                    && let Some(word) = reader.word(text, value.span(), &path, ENFORCEMENTS)
                {
                    rule.enforcement = word;
                }
            }
            _ => rule.gate = reader.boolean(value, &path).unwrap_or(false),
        }
    });
    if !is_table {
        return None;
    }
    if !has_when {
        let help =
            "such as `when.owner.role = [\"member\"]`; a rule for everybody is hardly ever meant";
        reader.error_help(
            Code::EmptyWhen,
            span.clone(),
            format!("`{path}` has no `when`"),
            Some(help.to_owned()),
        );
    }
    match verb {
        Verb::Approve if !has_allow => {
            let help = "an approve rule bounds everything it lets through: `allow.lifetime`, `allow.repositories`, `allow.permissions`";
            reader.missing(span, format!("`{path}` has no `allow`"), help);
        }
        Verb::Deny if !has_text => {
            reader.missing(
                span,
                format!("`{path}` has no `reason`"),
                "say what would pass: the requester reads it in GitHub's mail",
            );
        }
        Verb::Escalate if !has_text => {
            reader.missing(
                span,
                format!("`{path}` has no `to`"),
                "name the reviewers, such as `to = \"owners\"`",
            );
        }
        _ => {}
    }
    let after = reader.diagnostics.iter().filter(|d| d.is_error()).count();
    (good_id && before == after).then_some(rule)
}

fn allow(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
    span: Range<usize>,
) -> Option<Allow> {
    let (mut lifetime, mut repositories, mut max, mut all, mut listed) =
        (None, None, None, None, None);
    let mut seen = Vec::new();
    let keys = ["lifetime", "repositories", "max_repositories", "all_repositories", "permissions"];
    let is_table = reader.table(value, path, &keys, |reader, key, span, value| {
        let path = format!("{path}.{key}");
        let place = reader.place(span);
        seen.push(key);
        match key {
            "lifetime" => lifetime = reader.days(value, &path).map(|days| (days, place)),
            "repositories" => {
                repositories = values::globs(reader, value, &path, Some(Name::repository));
            }
            "max_repositories" => {
                max = reader.integer(value, &path, 1..1_000_001).map(|most| (most, place));
            }
            "all_repositories" => all = reader.boolean(value, &path).map(|yes| (yes, place)),
            _ => listed = Some((permissions::bound(reader, value, &path), place)),
        }
    });
    if !is_table {
        return None;
    }
    for (key, example) in [
        ("lifetime", "`allow.lifetime = \"30d\"`"),
        ("repositories", "`allow.repositories = [\"*\"]` for any that are picked by name"),
        ("permissions", "`allow.permissions.repository = { contents = \"read\" }`"),
    ] {
        if !seen.contains(&key) {
            let help =
                format!("an approve rule bounds everything it lets through, such as {example}");
            reader.missing(span.clone(), format!("`{path}` has no `{key}`"), &help);
        }
    }
    if let Some((permissions, place)) = &listed
        && permissions.iter().next().is_none()
        && reader.diagnostics.iter().all(|d| d.place.line != place.line)
    {
        reader.error(Code::EmptyList, span, format!("`{path}.permissions` allows nothing"));
    }
    Some(Allow {
        lifetime: lifetime?,
        repositories: repositories?,
        max_repositories: max,
        all_repositories: all,
        permissions: listed?,
    })
}

/// Reads `[require]` or `require.*`.
pub(crate) fn require(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Require {
    let mut require = Require::default();
    reader.table(value, path, &["reason_min_length", "reason_matches"], |reader, key, _, value| {
        let path = format!("{path}.{key}");
        if key == "reason_min_length" {
            require.reason_min_length = values::length(reader, value, &path);
        } else {
            require.reason_matches = values::regex(reader, value, &path, TextPattern::anywhere);
        }
    });
    require
}

/// Reads `[ceiling]`.
pub(crate) fn ceiling(reader: &mut Reader<'_>, value: &Value<'_>) -> Ceiling {
    let mut ceiling = Ceiling::default();
    let keys = ["lifetime", "max_repositories", "all_repositories", "permissions"];
    reader.table(value, "ceiling", &keys, |reader, key, _, value| {
        let path = format!("ceiling.{key}");
        match key {
            "lifetime" => ceiling.lifetime = reader.days(value, &path),
            "max_repositories" => {
                ceiling.max_repositories = reader.integer(value, &path, 1..1_000_001);
            }
            "all_repositories" => ceiling.all_repositories = reader.boolean(value, &path),
            _ => ceiling.permissions = Some(permissions::bound(reader, value, &path)),
        }
    });
    ceiling
}

/// Reads `to`: one group or several.
pub(crate) fn groups(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Vec<String> {
    let mut groups = Vec::new();
    for (name, span) in reader.one_or_more(value, path) {
        let place = reader.place(span);
        reader.named_groups.push((name.to_owned(), place));
        groups.push(name.to_owned());
    }
    groups
}

/// Reads the text of a denial.
pub(crate) fn reason(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
) -> Option<(Template, Place)> {
    let text = reader.string(value, path)?;
    let place = reader.place(value.span());
    if text.trim().is_empty() {
        let message = format!("`{path}` is empty");
        reader.error_help(
            Code::BadValue,
            value.span(),
            message,
            Some("say what would pass".to_owned()),
        );
        return None;
    }
    let length = text.chars().count();
    if length > MAX_REASON_CHARS {
        let message =
            format!("`{path}` has {length} characters, and GitHub takes {MAX_REASON_CHARS}");
        reader.error(Code::ReasonTooLong, value.span(), message);
        return None;
    }
    match Template::parse(text) {
        Ok(template) => Some((template, place)),
        Err(problems) => {
            for problem in problems {
                let help = match problem.placeholder {
                    Some(name) => {
                        super::nearest::nearest(&name, PLACEHOLDERS.iter().map(|(name, _)| *name))
                            .map(|near| format!("did you mean `{{{near}}}`?"))
                            .or_else(|| {
                                let all: Vec<_> = PLACEHOLDERS
                                    .iter()
                                    .map(|(name, _)| format!("{{{name}}}"))
                                    .collect();
                                Some(format!("possible: {}", all.join(" ")))
                            })
                    }
                    None => None,
                };
                reader.error_help(Code::UnknownPlaceholder, value.span(), problem.message, help);
            }
            None
        }
    }
}

/// A condition of `allow`, and the layers whose ceilings make it what it is.
pub(crate) struct Bounded {
    pub(crate) key: &'static str,
    pub(crate) condition: Condition,
    pub(crate) by: Vec<Layer>,
}

/// The conditions of `allow`, cut down to the ceilings, of which the uppermost comes first.
pub(crate) fn allow_conditions(allow: &Allow, ceilings: &[(Layer, Ceiling)]) -> Vec<Bounded> {
    use crate::{
        domain::PermissionGroup,
        rules::{permission_set::Within, quantity::Bounds},
    };
    let (mut lifetime, mut lifetime_by) = (allow.lifetime.0, Vec::new());
    let (mut max, mut max_by) =
        (allow.max_repositories.as_ref().map(|(most, _)| *most), Vec::new());
    let mut all = allow.all_repositories.as_ref().is_some_and(|(yes, _)| *yes);
    let (mut permissions, mut permissions_by) = (allow.permissions.0.clone(), Vec::new());
    let mut all_by = Vec::new();
    for (layer, ceiling) in ceilings {
        if let Some(most) = ceiling.lifetime.filter(|most| *most < lifetime) {
            (lifetime, lifetime_by) = (most, vec![*layer]);
        }
        if let Some(most) =
            ceiling.max_repositories.filter(|most| max.is_none_or(|max| *most < max))
        {
            (max, max_by) = (Some(most), vec![*layer]);
        }
        if all && ceiling.all_repositories == Some(false) {
            (all, all_by) = (false, vec![*layer]);
        }
        let cut = cut_permissions(&permissions, ceiling);
        if cut != permissions {
            permissions = cut;
            permissions_by.push(*layer);
        }
    }
    let repositories = Condition::AllowRepositories { names: allow.repositories.clone(), all };
    let within = Condition::PermissionsWithin(Within::new(&PermissionGroup::ALL, permissions));
    let mut conditions = vec![
        Bounded {
            key: "allow.lifetime",
            condition: Condition::TokenLifetime(Bounds::at_most(lifetime)),
            by: lifetime_by,
        },
        Bounded { key: "allow.repositories", condition: repositories, by: all_by },
        Bounded { key: "allow.permissions", condition: within, by: permissions_by },
    ];
    if let Some(max) = max {
        let condition = Condition::RepositoriesCount(Bounds::at_most(max));
        conditions.push(Bounded { key: "allow.max_repositories", condition, by: max_by });
    }
    conditions
}

/// What is in both.
pub(crate) fn cut_permissions(allow: &Permissions, ceiling: &Ceiling) -> Permissions {
    match &ceiling.permissions {
        Some(bound) => allow.and(bound),
        None => allow.clone(),
    }
}
