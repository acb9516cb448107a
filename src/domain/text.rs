//! Text for people: what strangers wrote, made fit to be shown, so that nothing in it steers what shows it; and numbers of
//! things in words.

use std::fmt::Display;

/// `text` without control characters, line breaks, and the invisible characters that reorder or hide
/// text (bidirectional controls, zero-width characters, tags), with runs of white space as one blank.
#[must_use]
pub fn for_people(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut blank = false;
    for character in text.chars() {
        if character.is_whitespace() || character.is_control() {
            blank = !shown.is_empty();
        } else if !steers(character) {
            if blank {
                shown.push(' ');
                blank = false;
            }
            shown.push(character);
        }
    }
    shown
}

/// The first `limit` characters of `text`, the last of them an ellipsis when something was cut.
#[must_use]
pub fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut shown: String = text.chars().take(limit.saturating_sub(1)).collect();
    shown.push('…');
    shown
}

/// `text` so written that no reader of mail makes a link of it: `https[:]//host[.]example`.
#[must_use]
pub fn unlinked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut before: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let next = rest.peek().copied();
        let joins = before.is_some_and(char::is_alphanumeric)
            && match character {
                '.' => next.is_some_and(char::is_alphabetic),
                ':' => next == Some('/'),
                '@' => next.is_some_and(char::is_alphanumeric),
                _ => false,
            };
        if joins {
            shown.extend(['[', character, ']']);
        } else {
            shown.push(character);
        }
        before = Some(character);
    }
    shown
}

/// So many of them: `1 token`, `2 tokens`, `0 deliveries`, `3 people`. `what` names one.
#[must_use]
pub fn many<N: Number>(number: N, what: &str) -> String {
    let ends_in_ies = what.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']));
    if number == N::from(1) {
        format!("1 {what}")
    } else if let Some(before) = what.strip_suffix("person") {
        format!("{number} {before}people")
    } else if let Some(stem) = ends_in_ies {
        format!("{number} {stem}ies")
    } else {
        format!("{number} {what}s")
    }
}

/// The word that goes with so many: `is` with one, `are` with any other number.
#[must_use]
pub fn agrees<'a, N: Number>(number: N, with_one: &'a str, with_more: &'a str) -> &'a str {
    if number == N::from(1) { with_one } else { with_more }
}

/// What counts things.
pub trait Number: Copy + Display + PartialEq + From<u8> {}

impl<N: Copy + Display + PartialEq + From<u8>> Number for N {}

/// Characters that are drawn as nothing, or that change how their neighbours are drawn.
fn steers(character: char) -> bool {
    matches!(character,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::{agrees, cut, for_people, many, unlinked};

    #[test]
    fn a_name_cannot_reorder_or_break_the_line_it_stands_in() {
        assert_eq!(for_people("ci\u{202E}nimda\u{202C}\r\nBcc: x\u{200B}\u{7}"), "cinimda Bcc: x");
        assert_eq!(for_people("\n\t "), "");
        assert_eq!(for_people("Zoë 日本 🦀"), "Zoë 日本 🦀");
    }

    #[test]
    fn what_looks_like_an_address_is_no_link() {
        assert_eq!(unlinked("see https://a.example/x?b=c"), "see https[:]//a[.]example/x?b=c");
        assert_eq!(unlinked("kim@acme.example"), "kim[@]acme[.]example");
        assert_eq!(unlinked("release 1.2. Done: web/api"), "release 1.2. Done: web/api");
    }

    #[test]
    fn one_of_a_thing_is_told_as_one() {
        for (told, due) in [
            (many(1_u64, "token"), "1 token"),
            (many(0_usize, "token"), "0 tokens"),
            (many(2_i64, "active token"), "2 active tokens"),
            (many(1_u32, "delivery"), "1 delivery"),
            (many(3_u32, "delivery"), "3 deliveries"),
            (many(2_u8, "day"), "2 days"),
            (many(1_u8, "person"), "1 person"),
            (many(41_u8, "person"), "41 people"),
        ] {
            assert_eq!(told, due);
        }
        assert_eq!((agrees(1_u8, "is", "are"), agrees(0_u8, "is", "are")), ("is", "are"));
    }

    #[test]
    fn cutting_counts_characters_and_says_that_it_cut() {
        assert_eq!(cut("日本語", 3), "日本語");
        assert_eq!(cut("日本語です", 3), "日本…");
    }
}
