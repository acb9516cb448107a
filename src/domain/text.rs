//! Text that strangers wrote, made fit to be shown: nothing in it may steer what shows it.

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
    use super::{cut, for_people, unlinked};

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
    fn cutting_counts_characters_and_says_that_it_cut() {
        assert_eq!(cut("日本語", 3), "日本語");
        assert_eq!(cut("日本語です", 3), "日本…");
    }
}
