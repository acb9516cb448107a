//! A digest laid out: as text that is complete by itself, and as HTML for the rest. One column, no images, inline style.

use askama::Template;

use super::{
    Day, MOST_HTML,
    page::{Item, Mark, Page, page},
};
use crate::rules::policy::Detail;

/// How many things of a kind are shown: fewer, where that comes to too much.
const SHOWN: [usize; 4] = [20, 10, 5, 2];

/// How wide the text is.
const WIDTH: usize = 78;

#[derive(Template)]
#[template(path = "digest.html")]
struct Html<'a> {
    page: &'a Page,
}

impl Page {
    /// The digest in words, with as much of it as stays small.
    #[must_use]
    pub fn of(day: &Day, detail: Detail) -> Self {
        let mut last = page(day, detail, 1);
        for most in SHOWN {
            let page = page(day, detail, most);
            if html(&page).len() <= MOST_HTML {
                return page;
            }
            last = page;
        }
        last
    }
}

/// The whole of it as HTML.
#[must_use]
pub fn html(page: &Page) -> String {
    // It has nothing in it that can fail: fields of text, written to memory.
    Html { page }.render().unwrap_or_default()
}

/// The whole of it as text.
#[must_use]
pub fn text(page: &Page) -> String {
    let mut text = String::new();
    wrapped(&mut text, "", "", &page.title);
    for notice in &page.notices {
        text.push('\n');
        wrapped(&mut text, "", "", notice);
    }
    for section in &page.sections {
        text.push('\n');
        wrapped(&mut text, "", "", &section.title.to_uppercase());
        for item in &section.items {
            lay_out(&mut text, item);
        }
        if let Some(more) = &section.more {
            let page =
                if more.text.is_empty() { String::new() } else { format!(": {}", more.text) };
            wrapped(&mut text, "   ", "   ", &format!("{}{page}", more.label));
        }
    }
    text.push('\n');
    for link in &page.links {
        text.push_str(&format!("{}: {}\n", link.label, link.text));
    }
    for line in &page.footer {
        text.push('\n');
        wrapped(&mut text, "", "", line);
    }
    text
}

fn lay_out(text: &mut String, item: &Item) {
    let first = match item.mark {
        Mark::Urgent => " ! ",
        Mark::Plain => " - ",
    };
    wrapped(text, first, "   ", &item.head);
    for line in &item.lines {
        let label = format!("     {:<8}", line.label);
        if line.is_command() {
            // In one piece, so that it can be copied.
            text.push_str(&format!("{label}{}\n", line.text));
        } else {
            wrapped(text, &label, "             ", &line.text);
        }
    }
}

/// Adds a line, broken at blanks where it is too long; what has no blanks stays whole, so that addresses do.
fn wrapped(text: &mut String, first: &str, then: &str, line: &str) {
    let mut width = first.chars().count();
    let start = width;
    text.push_str(first);
    for word in line.split(' ') {
        let length = word.chars().count();
        if width > start && width + 1 + length > WIDTH {
            while text.ends_with(' ') {
                text.pop();
            }
            text.push('\n');
            text.push_str(then);
            width = then.chars().count();
        } else if width > start {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += length;
    }
    while text.ends_with(' ') {
        text.pop();
    }
    text.push('\n');
}
