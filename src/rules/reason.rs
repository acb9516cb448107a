//! The text of a denial: its placeholders, checked when it is loaded, and its rendering for one request.

use crate::domain::{cut, for_people};

use super::decision::{MAX_REASON_CHARS, NearMiss};

/// What may stand between braces. Nothing here tells the requester about teams, other people or patterns.
pub const PLACEHOLDERS: &[(&str, &str)] = &[
    ("rule", "the rule that denies, with its verb"),
    ("organization", "the organization that was asked"),
    ("owner", "whose token it is"),
    ("ceiling.lifetime", "the longest lifetime that any rule lets through, such as `90d`"),
    ("ceiling.max_repositories", "the most repositories that any rule lets through"),
    ("policy_url", "where the rules can be read"),
    (
        "near_miss",
        "the approve rule that came closest and what it lacked; cut first where there is no room",
    ),
];

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder(String),
}

/// What is wrong with a template, and where in it (bytes from its beginning).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateProblem {
    pub(crate) placeholder: Option<String>,
    pub(crate) message: String,
}

/// What the placeholders stand for in one denial.
pub(crate) struct Values<'a> {
    pub(crate) rule: &'a str,
    pub(crate) organization: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) ceiling_lifetime: Option<String>,
    pub(crate) ceiling_max_repositories: Option<String>,
    pub(crate) policy_url: &'a str,
    pub(crate) near_miss: Option<&'a NearMiss>,
}

impl Template {
    /// Reads a text; `{{` and `}}` stand for the braces themselves.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<TemplateProblem>> {
        let mut pieces = Vec::new();
        let mut problems = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '{' if rest.next_if_eq(&'{').is_some() => literal.push('{'),
                '}' if rest.next_if_eq(&'}').is_some() => literal.push('}'),
                '{' => {
                    let mut name = String::new();
                    let closed = loop {
                        match rest.next() {
                            Some('}') => break true,
                            Some(inner) if inner != '{' => name.push(inner),
                            _ => break false,
                        }
                    };
                    if !closed {
                        let message = "this brace is not closed; write `{{` for a brace".to_owned();
                        problems.push(TemplateProblem { placeholder: None, message });
                    } else if PLACEHOLDERS.iter().any(|(known, _)| *known == name) {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                        pieces.push(Piece::Placeholder(name));
                    } else {
                        let message = format!("there is no placeholder `{{{name}}}`");
                        problems.push(TemplateProblem { placeholder: Some(name), message });
                    }
                }
                '}' => {
                    let message = "this brace was not opened; write `}}` for a brace".to_owned();
                    problems.push(TemplateProblem { placeholder: None, message });
                }
                other => literal.push(other),
            }
        }
        pieces.push(Piece::Text(literal));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        if problems.is_empty() { Ok(Self { pieces }) } else { Err(problems) }
    }

    /// Whether it names this placeholder.
    pub(crate) fn names(&self, placeholder: &str) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Placeholder(name) if name == placeholder))
    }

    /// The text for one denial, at most [`MAX_REASON_CHARS`] long; what came closest is cut first.
    pub(crate) fn render(&self, values: &Values<'_>) -> String {
        let near_miss = values.near_miss.map_or_else(|| "none".to_owned(), hint);
        let fixed = self.fill(values, "").chars().count();
        let mentions =
            self.pieces.iter().filter(|p| matches!(p, Piece::Placeholder(n) if n == "near_miss"));
        let room = MAX_REASON_CHARS.saturating_sub(fixed) / mentions.count().max(1);
        let near_miss = if room == 0 { String::new() } else { cut(&near_miss, room) };
        cut(&self.fill(values, &near_miss), MAX_REASON_CHARS)
    }

    fn fill(&self, values: &Values<'_>, near_miss: &str) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Placeholder(name) => text.push_str(&match name.as_str() {
                    "rule" => for_people(values.rule),
                    "organization" => for_people(values.organization),
                    "owner" => for_people(values.owner),
                    "ceiling.lifetime" => limit(values.ceiling_lifetime.as_ref()),
                    "ceiling.max_repositories" => limit(values.ceiling_max_repositories.as_ref()),
                    "policy_url" if values.policy_url.is_empty() => {
                        "in the organization's policy".to_owned()
                    }
                    "policy_url" => for_people(values.policy_url),
                    _ => near_miss.to_owned(),
                }),
            }
        }
        text
    }
}

/// A limit that an upper layer set, or what stands for one that it has taken back since.
fn limit(value: Option<&String>) -> String {
    value.cloned().unwrap_or_else(|| "the limit".to_owned())
}

/// What came closest, in words that the requester may read.
fn hint(near_miss: &NearMiss) -> String {
    let mut hints: Vec<&str> = near_miss.unmet.iter().filter_map(|u| u.hint.as_deref()).collect();
    hints.dedup();
    let elsewhere = near_miss.unmet.iter().any(|unmet| unmet.hint.is_none());
    if elsewhere {
        hints.push("a condition that is not in your hands");
    }
    format!("{} would need {}", near_miss.rule, hints.join("; "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::{Template, Values};
    use crate::rules::decision::{NearMiss, RuleId, Unmet};

    fn values<'a>(owner: &'a str, near_miss: Option<&'a NearMiss>) -> Values<'a> {
        Values {
            rule: "deny.x",
            organization: "acme",
            owner,
            ceiling_lifetime: Some("90d".to_owned()),
            ceiling_max_repositories: None,
            policy_url: "https://example.org/rules",
            near_miss,
        }
    }

    #[test]
    fn braces_are_placeholders_unless_doubled() {
        let text = Template::parse("{owner}: {{x}} at most {ceiling.lifetime} ({rule})").unwrap();
        assert_eq!(text.render(&values("kim", None)), "kim: {x} at most 90d (deny.x)");
        for bad in ["{owner", "}", "{nobody}", "{}", "{{{", "{a{owner}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_came_closest_is_cut_before_the_text_is() {
        let unmet = |hint: Option<String>| Unmet {
            key: "allow.lifetime".to_owned(),
            expected: String::new(),
            found: String::new(),
            unknown: false,
            hint,
        };
        let near = NearMiss {
            rule: RuleId::new("approve.x"),
            unmet: vec![unmet(Some("y".repeat(2_000))), unmet(None)],
        };
        let text = Template::parse("before {near_miss} after")
            .unwrap()
            .render(&values("kim", Some(&near)));
        assert_eq!(text.chars().count(), 1024);
        assert!(text.starts_with("before approve.x would need yyy") && text.ends_with("… after"));
        let long = Template::parse(&format!("{}{{near_miss}}", "z".repeat(1_200))).unwrap();
        assert_eq!(long.render(&values("kim", Some(&near))).chars().count(), 1024);
    }

    #[test]
    fn a_name_cannot_steer_the_text() {
        let text = Template::parse("{owner}!").unwrap().render(&values("k\u{202E}im\n", None));
        assert_eq!(text, "kim!");
    }
}
