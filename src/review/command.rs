//! What a comment on an issue orders, read as a careful person would: a command at the start of a line of ordinary text.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::domain::{Login, cut, for_people};

/// The commands, as they are shown to people: each with what it does.
pub const COMMANDS: [(&str, &str); 4] = [
    ("/approve [comment]", "yes; with enough of these it is approved"),
    ("/deny reason", "no; it is denied, and the requester gets the reason"),
    ("/explain", "shows how every rule judged the request"),
    ("/assign @login", "asks one of those who may decide"),
];

/// The most characters of what follows a command that are kept: as many as a denial's reason may have on GitHub.
pub const LONGEST_TEXT: usize = 1024;

/// The longest comment that is read. GitHub takes 65,536 characters.
const LONGEST_COMMENT: usize = 65_536;

/// The longest login that GitHub gives: 39 characters, and the suffix of an enterprise's managed users.
const LONGEST_LOGIN: usize = 64;

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Yes, with what was said beside it.
    Approve {
        /// One line, fit to be shown.
        comment: Option<String>,
    },
    /// No.
    Deny {
        /// Why: one line, fit to be shown, never empty.
        reason: String,
    },
    /// How did the rules judge?
    Explain,
    /// Somebody in particular is to answer.
    Assign {
        /// Who.
        login: Login,
    },
}

/// What a comment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing that concerns us.
    Nothing,
    /// This, and nothing else.
    Command(Command),
    /// Something that is not obeyed, and is to be answered.
    NotObeyed(Why),
}

/// Why a comment that looks like an order is not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It orders several things, or one thing twice.
    Several,
    /// It denies without a reason.
    NoReason,
    /// It assigns nobody, or somebody whose login is none.
    NoLogin,
    /// It begins with something close to a command.
    Unknown {
        /// The command that is closest, without its slash.
        nearest: &'static str,
    },
    /// It is longer than GitHub lets comments be.
    TooLong,
}

impl Why {
    /// What is answered: one paragraph of Markdown that holds nothing of the comment.
    #[must_use]
    pub fn answer(self) -> String {
        match self {
            Self::Several => "This comment holds more than one command, so none was carried out. Write one command in a \
                              comment of its own."
                .to_owned(),
            Self::NoReason => "`/deny` needs a reason, which the requester gets: `/deny Please ask for 30 days.` Nothing \
                               was done."
                .to_owned(),
            Self::NoLogin => "`/assign` needs one login: `/assign @login`. Nothing was done.".to_owned(),
            Self::Unknown { nearest } => format!(
                "This is no command, so nothing was done. Did you mean `/{nearest}`? A command stands at the start of a \
                 line, followed by a blank or nothing."
            ),
            Self::TooLong => "This comment is too long to be read. Nothing was done.".to_owned(),
        }
    }
}

const WORDS: [&str; 4] = ["approve", "deny", "explain", "assign"];

/// What `comment`, as Markdown, says.
///
/// Only a line of a plain paragraph counts: not a quotation, a list, a heading, a table, a footnote, code in any form, an HTML
/// comment, or what stands inside an HTML element that could hide it.
#[must_use]
pub fn read(comment: &str) -> Said {
    if comment.chars().nth(LONGEST_COMMENT).is_some() {
        return if comment.contains('/') { Said::NotObeyed(Why::TooLong) } else { Said::Nothing };
    }
    let mut orders = lines(comment).into_iter().filter_map(|line| Order::of(&line));
    let Some(first) = orders.next() else { return Said::Nothing };
    if orders.next().is_some() {
        return Said::NotObeyed(Why::Several);
    }
    first.said()
}

/// A line that begins with a slash in ordinary text, and the rest of its paragraph.
struct Line {
    /// Up to the first blank, as it was typed: what an entity or an escape stands for is not typed.
    word: String,
    /// As it is read, from that on.
    rest: String,
}

/// A line that is an order, or close to one.
enum Order {
    Known(&'static str, String),
    Close(&'static str),
}

impl Order {
    fn of(line: &Line) -> Option<Self> {
        let word = line.word.to_ascii_lowercase();
        if let Some(known) = WORDS.into_iter().find(|known| *known == word) {
            return Some(Self::Known(known, line.rest.clone()));
        }
        // A path is no order that was misspelt.
        if word.contains('/') || word.chars().count() > 24 {
            return None;
        }
        let close = WORDS.into_iter().map(|known| (distance(&word, known), known)).min()?;
        (close.0 <= 2).then_some(Self::Close(close.1))
    }

    fn said(self) -> Said {
        let (word, rest) = match self {
            Self::Known(word, rest) => (word, rest),
            Self::Close(nearest) => return Said::NotObeyed(Why::Unknown { nearest }),
        };
        let text = cut(&for_people(&rest), LONGEST_TEXT);
        let order = match word {
            "approve" => {
                Ok(Command::Approve { comment: Some(text).filter(|text| !text.is_empty()) })
            }
            "deny" if text.chars().any(char::is_alphanumeric) => Ok(Command::Deny { reason: text }),
            "deny" => Err(Why::NoReason),
            "explain" => Ok(Command::Explain),
            _ => login(&rest).map(|login| Command::Assign { login }).ok_or(Why::NoLogin),
        };
        match order {
            Ok(command) => Said::Command(command),
            Err(why) => Said::NotObeyed(why),
        }
    }
}

/// The one login that stands there.
fn login(rest: &str) -> Option<Login> {
    let mut words = rest.split_whitespace();
    let (word, more) = (words.next()?, words.next());
    let login = word.strip_prefix('@').unwrap_or(word);
    let fits = !login.is_empty()
        && login.len() <= LONGEST_LOGIN
        && login.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_'));
    (fits && more.is_none()).then(|| Login::new(login))
}

/// The lines of plain paragraphs that begin with a slash.
fn lines(comment: &str) -> Vec<Line> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM;
    let mut found: Vec<Line> = Vec::new();
    // Everything that is open, and how many HTML elements are.
    let (mut depth, mut plain, mut elements) = (0_usize, false, 0_usize);
    let (mut at_start, mut open): (bool, Option<Line>) = (false, None);
    for (event, range) in Parser::new_ext(comment, options).into_offset_iter() {
        match &event {
            Event::Start(tag) => {
                if depth == 0 {
                    plain = matches!(tag, Tag::Paragraph);
                    at_start = plain;
                } else {
                    at_start = false;
                }
                depth = depth.saturating_add(1);
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                if depth == 0 || matches!(tag, TagEnd::Paragraph) {
                    found.extend(open.take());
                    plain = false;
                }
            }
            Event::Text(text) => {
                let begins = at_start && depth == 1 && plain && elements == 0;
                if let Some(word) = typed(comment, range.start).filter(|_| begins) {
                    found.extend(open.take());
                    open = Some(Line { word, rest: without_word(text) });
                } else if let Some(line) = &mut open {
                    line.rest.push_str(text);
                }
                at_start = false;
            }
            Event::SoftBreak | Event::HardBreak => {
                at_start = depth == 1 && plain;
                if let Some(line) = &mut open {
                    line.rest.push(' ');
                }
            }
            Event::Code(text) => {
                at_start = false;
                if let Some(line) = &mut open {
                    line.rest.push_str(text);
                }
            }
            Event::Html(text) | Event::InlineHtml(text) => {
                at_start = false;
                elements = still_open(text, elements);
            }
            _ => at_start = false,
        }
    }
    found.extend(open);
    found
}

/// The word that was typed after a slash at this place, if a slash was typed there and nothing but a few blanks before it on
/// its line.
fn typed(comment: &str, at: usize) -> Option<String> {
    let (before, from) = (comment.get(..at)?, comment.get(at..)?);
    let indent = before.rsplit(['\n', '\r']).next().unwrap_or_default();
    // Four blanks would be code anywhere else.
    if indent.len() > 3 || !indent.bytes().all(|byte| byte == b' ') {
        return None;
    }
    let word = from.strip_prefix('/')?.split(char::is_whitespace).next().unwrap_or_default();
    (!word.is_empty()).then(|| word.to_owned())
}

fn without_word(text: &str) -> String {
    text.split_once(char::is_whitespace).map(|(_, rest)| rest.to_owned()).unwrap_or_default()
}

/// How many HTML elements are open after `html`. Elements without an end and comments do not count.
fn still_open(html: &str, before: usize) -> usize {
    const WITHOUT_END: [&str; 8] = ["br", "hr", "img", "input", "link", "meta", "source", "wbr"];
    let mut open = before;
    for tag in html.split('<').skip(1) {
        let (closes, rest) = match tag.strip_prefix('/') {
            Some(rest) => (true, rest),
            None => (false, tag),
        };
        let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        if name.is_empty() || WITHOUT_END.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            continue;
        }
        open = if closes { open.saturating_sub(1) } else { open.saturating_add(1) };
    }
    open
}

/// How many letters differ (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut above_left = line;
        let mut left = line + 1;
        let mut next = vec![left];
        for (place, known) in other.iter().enumerate() {
            let above = row.get(place + 1).copied().unwrap_or_default();
            left = (above_left + usize::from(letter != *known)).min(above + 1).min(left + 1);
            above_left = above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn approve() -> Said {
        Said::Command(Command::Approve { comment: None })
    }

    fn approve_with(comment: &str) -> Said {
        Said::Command(Command::Approve { comment: Some(comment.to_owned()) })
    }

    fn deny(reason: &str) -> Said {
        Said::Command(Command::Deny { reason: reason.to_owned() })
    }

    #[test]
    fn a_command_is_obeyed_at_the_start_of_a_line_of_ordinary_text() {
        for (comment, said) in [
            ("/approve", approve()),
            ("  /approve  ", approve()),
            ("/Approve\r\n", approve()),
            ("/approve fine with me", approve_with("fine with me")),
            ("I have looked at it.\n\n/approve", approve()),
            ("I have looked at it.\n/approve", approve()),
            ("/approve\nSeen with Olga.", approve_with("Seen with Olga.")),
            (
                "/deny Please ask for *30 days*, and `read` only",
                deny("Please ask for 30 days, and read only"),
            ),
            ("/deny a <!-- hidden --> b", deny("a b")),
            ("/deny too\u{202e} wide\u{7}", deny("too wide")),
            ("> May she?\n\n/approve", approve()),
            ("- one\n- two\n\n/approve", approve()),
            ("see /usr/bin/x\n/approve", approve()),
            ("/usr/bin/approve is a path\n\n/approve", approve()),
            ("<!-- a note -->\n\n/approve", approve()),
            ("one<br>two\n\n/approve", approve()),
            ("<b>so</b>\n\n/approve", approve()),
            ("/explain, please", Said::NotObeyed(Why::Unknown { nearest: "explain" })),
            ("/explain please", Said::Command(Command::Explain)),
            ("/assign @olga", Said::Command(Command::Assign { login: Login::new("olga") })),
            (
                "/assign olga_acme",
                Said::Command(Command::Assign { login: Login::new("olga_acme") }),
            ),
        ] {
            assert_eq!(read(comment), said, "{comment:?}");
        }
    }

    #[test]
    fn what_is_quoted_listed_hidden_or_code_is_no_order() {
        for comment in [
            "",
            "approve",
            "please /approve",
            "> /approve",
            "> she asks\n/approve",
            "- /approve",
            "1. /approve",
            "- [ ] /approve",
            "- one\n\n  /approve",
            "    /approve",
            "\t/approve",
            "```\n/approve\n```",
            "~~~\n/approve",
            "`/approve`",
            "one `two\n/approve` three",
            "# /approve",
            "/approve\n---",
            "| a |\n|---|\n| /approve |",
            "<!-- /approve -->",
            "<!--\n\n/approve\n\n-->",
            "<!-- x -->/approve",
            "<pre>\n\n/approve\n\n</pre>",
            "<details>\n\n/approve\n\n</details>",
            "one <span hidden>\n/approve</span>",
            "[^1]: /approve\n\n[^1]",
            "\\/approve",
            "&#47;approve",
            "**/approve**",
            "/app**rove**",
            "/<b>approve</b>",
            "[/approve](x)",
            "![/approve](x)",
            "/",
            "//approve",
            "/ approve",
            "/usr/bin/approve",
            "/reopen",
            "some text\n    /approve",
        ] {
            assert_eq!(read(comment), Said::Nothing, "{comment:?}");
        }
    }

    #[test]
    fn what_cannot_be_obeyed_is_answered() {
        for (comment, why) in [
            ("/approve\n/approve", Why::Several),
            ("/approve\n\n/deny no", Why::Several),
            ("/approve\n\n/explain", Why::Several),
            ("/aprove\n\n/deny no", Why::Several),
            ("/deny", Why::NoReason),
            ("/deny ...", Why::NoReason),
            ("/deny <!-- because -->", Why::NoReason),
            ("/assign", Why::NoLogin),
            ("/assign @olga @kim", Why::NoLogin),
            ("/assign @ol/ga", Why::NoLogin),
            ("/aprove", Why::Unknown { nearest: "approve" }),
            ("/approved", Why::Unknown { nearest: "approve" }),
            ("/approve.", Why::Unknown { nearest: "approve" }),
            ("/approve, but not yet", Why::Unknown { nearest: "approve" }),
            ("/app\u{200b}rove", Why::Unknown { nearest: "approve" }),
            ("/\u{430}pprove", Why::Unknown { nearest: "approve" }),
            ("/denny no", Why::Unknown { nearest: "deny" }),
        ] {
            assert_eq!(read(comment), Said::NotObeyed(why), "{comment:?}");
            assert_eq!(read(&why.answer()), Said::Nothing, "an answer orders nothing");
        }
        let long = format!("/approve {}", "x".repeat(LONGEST_COMMENT));
        assert_eq!(read(&long), Said::NotObeyed(Why::TooLong));
        let Said::Command(Command::Deny { reason }) =
            read(&format!("/deny {}", "ab ".repeat(2_000)))
        else {
            panic!("a long reason is cut, and obeyed");
        };
        assert_eq!(reason.chars().count(), LONGEST_TEXT);
    }

    fn order() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("/approve".to_owned()),
            Just("/explain".to_owned()),
            "[a-z ]{0,12}".prop_map(|text| format!("/approve {text}")),
            "[a-z]{1,12}".prop_map(|text| format!("/deny {text}")),
            "[a-z]{1,12}".prop_map(|text| format!("/assign @{text}")),
        ]
    }

    fn wrapped() -> impl Strategy<Value = String> {
        (order(), "[a-z .,]{0,20}", 0..9_usize).prop_map(|(order, text, how)| match how {
            0 => format!("{text}\n\n```\n{order}\n```\n"),
            1 => format!("{text}\n\n~~~~ {text}\n{order}\n"),
            2 => format!("> {order}\n{order}"),
            3 => format!("x {text} `{order}` {text}"),
            4 => format!("<!--\n{text}\n\n{order}\n-->"),
            5 => format!("{text}\n\n- {order}"),
            6 => format!("a\n\n    {order}"),
            7 => format!("<details>\n\n{order}\n\n</details>"),
            _ => format!("> > {text}\n> {order}"),
        })
    }

    proptest! {
        #[test]
        fn nothing_that_is_wrapped_is_ever_obeyed(comment in wrapped()) {
            prop_assert_eq!(read(&comment), Said::Nothing, "{:?}", comment);
        }

        #[test]
        fn a_command_beside_anything_wrapped_is_the_only_one(order in order(), wrapped in wrapped()) {
            // What is open to the end takes in whatever follows; so the order goes first.
            let comment = format!("{order}\n\n{wrapped}");
            prop_assert!(matches!(read(&comment), Said::Command(_)), "{:?}", comment);
        }

        #[test]
        fn the_same_order_twice_is_not_obeyed(order in order(), text in "[a-z]{1,9}") {
            let comment = format!("{order}\n\n{text}\n\n{order}");
            prop_assert_eq!(read(&comment), Said::NotObeyed(Why::Several));
        }

        #[test]
        fn whatever_is_written_is_read_without_a_surprise(comment in "[/apdenyrov >`~<!\\-\\\\\n\t&#47;*|@\u{202e}]{0,80}") {
            if let Said::Command(_) = read(&comment) {
                let there = comment.split(['\n', '\r']).any(|line| {
                    let bare = line.trim_start_matches(' ');
                    let word = bare.split(char::is_whitespace).next().unwrap_or_default();
                    line.len() - bare.len() < 4 && ["/approve", "/deny", "/explain", "/assign"].contains(&word)
                });
                prop_assert!(there, "{:?}", comment);
            }
        }
    }
}
