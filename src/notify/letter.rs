//! A letter to one person about some tokens, as text and as HTML: an address, a sentence, a list, what follows. Pure.

use crate::domain::{Login, cut, for_people, unlinked};

/// One thing that a letter lists.
pub(super) struct Line {
    /// Its name: hostile text.
    pub(super) name: String,
    /// What is said of it: hostile text. Nothing where it is empty.
    pub(super) text: String,
}

/// The letter as text. `sentence` is fit to be shown.
pub(super) fn text(to: &Login, sentence: &str, lines: &[Line], after: &[String]) -> String {
    let mut letter = format!("Hello {to},\n\n{sentence}\n\n");
    for Line { name, text } in lines {
        match text.as_str() {
            "" => letter.push_str(&format!("  - {}\n", shown(name))),
            text => letter.push_str(&format!("  - \"{}\": {}\n", shown(name), shown(text))),
        }
    }
    for paragraph in after {
        letter.push_str(&format!("\n{paragraph}\n"));
    }
    letter
}

/// The letter as HTML. `sentence` is HTML.
pub(super) fn html(to: &Login, sentence: &str, lines: &[Line], after: &[String]) -> String {
    let items: String = lines
        .iter()
        .map(|Line { name, text }| match text.as_str() {
            "" => format!("<li>{}</li>", escaped(name)),
            text => format!("<li><strong>{}</strong>: {}</li>", escaped(name), escaped(text)),
        })
        .collect();
    let after: String = after.iter().map(|text| format!("<p>{}</p>", escaped(text))).collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\"></head>\
         <body style=\"font-family:system-ui,sans-serif;line-height:1.5;max-width:600px;margin:0 auto;padding:16px\">\
         <p>Hello {},</p><p>{sentence}</p><ul>{items}</ul>{after}</body></html>\n",
        escaped(to.as_str())
    )
}

/// Hostile text in a line, of which no link is made.
pub(super) fn shown(text: &str) -> String {
    unlinked(&cut(&for_people(text), 300))
}

/// Hostile text in HTML.
pub(super) fn escaped(text: &str) -> String {
    shown(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
