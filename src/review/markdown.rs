//! Strangers' words in Markdown: shown as they are, and nothing in them takes effect.

use std::fmt::Write as _;

use crate::domain::{cut, for_people};

/// The most characters of one value in a line.
const VALUE: usize = 200;

/// One value in a line of text, as code: no mention, reference, link, HTML or emphasis of it takes effect.
#[must_use]
pub fn inline(text: &str) -> String {
    inline_of(text, VALUE)
}

pub(super) fn inline_of(text: &str, most: usize) -> String {
    let text = cut(&for_people(text), most);
    if text.is_empty() {
        return "(nothing)".to_owned();
    }
    let ticks = "`".repeat(longest_run(&text).saturating_add(1));
    // One blank on each side is taken off again, and a backtick at an edge would join the others.
    if text.starts_with('`') || text.ends_with('`') || text.starts_with(' ') {
        return format!("{ticks} {text} {ticks}");
    }
    format!("{ticks}{text}{ticks}")
}

/// Some values in a line, and how many more there are.
pub(super) fn inline_list<'a>(
    values: impl ExactSizeIterator<Item = &'a str>,
    most: usize,
) -> String {
    let more = values.len().saturating_sub(most);
    let mut shown = values.take(most).map(inline).collect::<Vec<_>>().join(", ");
    if more > 0 {
        // Writing to a string cannot fail.
        let _ = write!(shown, " and {more} more");
    }
    shown
}

/// Text of several lines in a code block, whose fence is longer than any run of backticks in it; at most so many characters.
#[must_use]
pub fn fenced(text: &str, most: usize) -> String {
    let lines: Vec<String> = text.split(['\n', '\r']).map(line).collect();
    let text = cut(lines.join("\n").trim_matches('\n'), most);
    let text = if text.trim().is_empty() { "(nothing)" } else { &text };
    let fence = "`".repeat(longest_run(text).max(2).saturating_add(1));
    format!("{fence}text\n{text}\n{fence}\n")
}

/// A line as it is, with its indentation, and without what steers.
fn line(line: &str) -> String {
    let indent = line.len().saturating_sub(line.trim_start_matches(' ').len()).min(40);
    let text = for_people(line);
    if text.is_empty() { text } else { format!("{}{text}", " ".repeat(indent)) }
}

fn longest_run(text: &str) -> usize {
    text.split(|one| one != '`').map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_in_its_code() {
        for (text, shown) in [
            ("deploy", "`deploy`"),
            ("a`b", "``a`b``"),
            ("`a``", "``` `a`` ```"),
            ("", "(nothing)"),
            ("\u{202e}\u{200b}", "(nothing)"),
            ("@olga #1\n\n# x", "`@olga #1 # x`"),
        ] {
            assert_eq!(inline(text), shown);
        }
        assert_eq!(inline_list(["a", "b", "c"].into_iter(), 2), "`a`, `b` and 1 more");
    }

    #[test]
    fn a_fence_is_longer_than_any_run_in_it() {
        assert_eq!(fenced("a\n  b", 99), "```text\na\n  b\n```\n");
        assert_eq!(fenced("````\n/approve", 99), "`````text\n````\n/approve\n`````\n");
        assert_eq!(fenced("\u{202e}a\u{7}\r\nb", 99), "```text\na\n\nb\n```\n");
        assert_eq!(fenced("abcdef", 3), "```text\nab…\n```\n");
        assert_eq!(fenced("\n \n", 9), "```text\n(nothing)\n```\n");
    }
}
