//! Globs over names and regexes over text, both in linear time; nothing here knows what a name belongs to.

use std::fmt;

use regex_lite::{Regex, RegexBuilder};

/// A list of globs of which any may match; `*` is any run of characters, `?` is one character.
///
/// Kept in lower case, and to be asked with lower case: names on GitHub ignore ASCII case and nothing else,
/// so a letter of another alphabet that looks the same is another letter.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Patterns {
    listed: Vec<String>,
    everything: bool,
    exact: Vec<Box<str>>,
    prefixes: Vec<Box<str>>,
    globs: Vec<Box<str>>,
}

impl Patterns {
    pub(crate) fn new(listed: Vec<String>) -> Self {
        let mut patterns = Self::default();
        for pattern in &listed {
            let pattern = pattern.to_ascii_lowercase();
            match pattern.strip_suffix('*') {
                _ if !pattern.contains(['*', '?']) => patterns.exact.push(pattern.into()),
                Some(rest) if rest.chars().all(|c| c == '*') => patterns.everything = true,
                Some(prefix) if !prefix.contains(['*', '?']) => {
                    patterns.prefixes.push(prefix.into())
                }
                _ => patterns.globs.push(pattern.into()),
            }
        }
        patterns.listed = listed;
        patterns
    }

    /// Whether `name`, in lower case, matches any of them.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.everything
            || self.exact.iter().any(|exact| **exact == *name)
            || self.prefixes.iter().any(|prefix| name.starts_with(&**prefix))
            || self.globs.iter().any(|glob| glob_matches(glob, name))
    }

    /// Whether it lets every name through.
    pub(crate) fn everything(&self) -> bool {
        self.everything
    }

    /// As they were written.
    pub(crate) fn listed(&self) -> &[String] {
        &self.listed
    }

    /// What a name must be or begin with to match, where every pattern begins with a literal: an index may
    /// look rules up by these.
    pub(crate) fn heads(&self) -> Option<Vec<Head<'_>>> {
        if self.everything {
            return None;
        }
        let exact = self.exact.iter().map(|exact| Some(Head::Exact(exact)));
        let prefixes = self.prefixes.iter().map(|prefix| Some(Head::Prefix(prefix)));
        let globs = self.globs.iter().map(|glob| {
            let literal = glob.split(['*', '?']).next().unwrap_or_default();
            (!literal.is_empty()).then_some(Head::Prefix(literal))
        });
        exact.chain(prefixes).chain(globs).collect()
    }
}

/// What a name must be, or begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Head<'a> {
    Exact(&'a str),
    Prefix(&'a str),
}

impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_any_of(f, &self.listed)
    }
}

/// Writes `a`, or `any of a, b`.
pub(crate) fn write_any_of(f: &mut impl fmt::Write, listed: &[impl AsRef<str>]) -> fmt::Result {
    if listed.len() > 1 {
        f.write_str("any of ")?;
    }
    for (i, item) in listed.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        f.write_str(item.as_ref())?;
    }
    Ok(())
}

/// Matches without recursion: on a mismatch only the last `*` is tried again, one character further on.
fn glob_matches(glob: &str, name: &str) -> bool {
    let mut glob = glob.chars();
    let mut name = name.chars();
    let mut again: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let (glob_before, name_before) = (glob.clone(), name.clone());
        match (glob.next(), name.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                name = name_before;
                again = Some((glob.clone(), name.clone()));
            }
            (Some('?'), Some(_)) => {}
            (Some(expected), Some(found)) if expected == found => {}
            _ => {
                let _ = glob_before;
                let Some((rest, mut from)) = again.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                glob = rest.clone();
                name = from.clone();
                again = Some((rest, from));
            }
        }
    }
}

/// A regex that runs in linear time; `\d`, `\w`, `\s` and `(?i)` know ASCII only, so that a look-alike
/// letter of another alphabet never passes for the letter a rule names.
#[derive(Clone, Debug)]
pub(crate) struct TextPattern {
    source: String,
    regex: Regex,
    prefix: Option<String>,
    size: usize,
}

/// Compiled size in bytes and nesting that a rule's regex may have: generous for a naming convention.
const REGEX_SIZE: usize = 64 * 1024;
const REGEX_NESTING: u32 = 32;

/// The size that is tried first. How large a regex is compiled cannot be asked, only whether it is larger than a limit.
const SMALL_REGEX: usize = 512;

impl TextPattern {
    /// A regex over the whole text.
    pub(crate) fn whole(source: &str) -> Result<Self, String> {
        // Alone first: `a)|(b` would be accepted between the brackets added here, and mean something else.
        compile(source)?;
        let (regex, size) = compile(&format!("\\A(?:{source})\\z"))?;
        Ok(Self { source: source.to_owned(), regex, size, prefix: literal_prefix(source) })
    }

    /// A regex that may match anywhere in the text.
    pub(crate) fn anywhere(source: &str) -> Result<Self, String> {
        let (regex, size) = compile(source)?;
        Ok(Self { source: source.to_owned(), regex, size, prefix: None })
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.prefix.as_deref().is_none_or(|prefix| text.starts_with(prefix))
            && self.regex.is_match(text)
    }

    /// Bytes that it takes at most, compiled.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// What a text must begin with to match, where that is evident.
    pub(crate) fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }
}

impl PartialEq for TextPattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for TextPattern {}

/// The regex, and a bound on its size.
fn compile(source: &str) -> Result<(Regex, usize), String> {
    let mut size = SMALL_REGEX;
    loop {
        let built = RegexBuilder::new(source).size_limit(size).nest_limit(REGEX_NESTING).build();
        match built {
            Ok(regex) => return Ok((regex, size)),
            Err(error) if size >= REGEX_SIZE => return Err(error.to_string()),
            Err(_) => size *= 2,
        }
    }
}

/// The letters, digits, `-` and `_` with which every match of `source` begins. Only what is evident:
/// alternatives, groups and flags give nothing, and a repeated last character is left out.
fn literal_prefix(source: &str) -> Option<String> {
    if source.contains(['|', '(']) {
        return None;
    }
    let literal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut prefix: String = source.chars().take_while(|c| literal(*c)).collect();
    if source[prefix.len()..].starts_with(['*', '+', '?', '{']) {
        prefix.pop();
    }
    (!prefix.is_empty()).then_some(prefix)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::{Head, Patterns, TextPattern, glob_matches};

    #[test]
    fn globs_know_star_and_question_mark() {
        for (glob, name, expected) in [
            ("release-*", "release-24", true),
            ("release-*", "release-", true),
            ("release-*", "prerelease-24", false),
            ("*-prod", "a-prod-prod", true),
            ("*-prod", "a-prod-x", false),
            ("a*b*c", "aXbXbXc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("*", "", true),
            ("**", "x", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(glob_matches(glob, name), expected, "{glob} on {name}");
            let patterns = Patterns::new(vec![glob.to_owned()]);
            assert_eq!(patterns.matches(name), expected, "{glob} on {name}, sorted");
        }
    }

    #[test]
    fn a_hostile_glob_takes_no_time() {
        let glob = "a*".repeat(40) + "b";
        assert!(!glob_matches(&glob, &"a".repeat(5_000)));
    }

    #[test]
    fn heads_are_given_only_when_all_patterns_have_one() {
        let heads = |listed: &[&str]| {
            let patterns = Patterns::new(listed.iter().map(|&p| p.to_owned()).collect());
            patterns.heads().map(|heads| heads.len())
        };
        assert_eq!(heads(&["web", "svc-*", "a?b"]), Some(3));
        assert_eq!(heads(&["web", "*-prod"]), None);
        assert_eq!(heads(&["*"]), None);
        let svc = Patterns::new(vec!["SVC-*".to_owned()]);
        assert_eq!(svc.heads(), Some(vec![Head::Prefix("svc-")]));
    }

    #[test]
    fn whole_means_whole_and_ascii_means_ascii() {
        let ci = TextPattern::whole("ci-[a-z0-9-]+").unwrap();
        assert!(ci.matches("ci-build"));
        for other in ["ci-", "xci-build", "ci-build x", "ci-build\n", "CI-build", "ci-bu\u{456}ld"]
        {
            assert!(!ci.matches(other), "{other:?}");
        }
        let either = TextPattern::whole("a|b").unwrap();
        assert!(either.matches("b") && !either.matches("ab"));
        assert!(TextPattern::whole("a)|(b").is_err());
        assert!(!TextPattern::whole(r"(?i)k\d").unwrap().matches("\u{212A}1"));
        assert!(!TextPattern::whole(r"\d").unwrap().matches("\u{0663}"));
        assert_eq!(TextPattern::whole("ab*c").unwrap().prefix(), Some("a"));
        assert_eq!(TextPattern::whole("ab|c").unwrap().prefix(), None);
    }

    #[test]
    fn a_regex_is_refused_rather_than_grown() {
        assert!(TextPattern::anywhere(&"(".repeat(100)).is_err());
        assert!(TextPattern::anywhere("(a{500}){500}").is_err());
        assert!(TextPattern::anywhere(r"(a)\1").is_err());
    }
}
