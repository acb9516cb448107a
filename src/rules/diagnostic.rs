//! What is wrong or doubtful in a rule file, with its place; finding it stands in `load`, printing in the CLI.

mod code;

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::{Deserialize, Serialize};

pub use code::{Code, Severity};

/// A span in a file, with the line it stands in, so that it can be shown without the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted in characters, from 1.
    pub column: usize,
    /// The whole line.
    pub text: String,
    /// The span within the line, in bytes.
    pub span: Range<usize>,
}

/// The longest line that is kept with a place; a longer one is shown in part.
const MAX_LINE: usize = 400;

/// Where the lines of a text begin, so that many places in it are found quickly.
#[derive(Clone, Debug)]
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The number of the line in which this byte stands, from 1, and where that line begins.
    fn find(&self, at: usize) -> (usize, usize) {
        let line = self.0.partition_point(|start| *start <= at);
        (line.max(1), self.0.get(line.saturating_sub(1)).copied().unwrap_or(0))
    }
}

impl Place {
    /// The place of `span` in `text`, the content of `file`. A span over several lines is shown on its first.
    #[must_use]
    pub fn new(file: &str, text: &str, span: Range<usize>) -> Self {
        Self::find(file, text, &Lines::of(text), span)
    }

    /// The same, for a text whose lines were found before.
    pub(crate) fn find(file: &str, text: &str, lines: &Lines, span: Range<usize>) -> Self {
        let start = floor_boundary(text, span.start.min(text.len()));
        let (line, line_start) = lines.find(start);
        let rest = text.get(line_start..).unwrap_or_default();
        let whole = rest.split('\n').next().unwrap_or_default();
        let whole = whole.strip_suffix('\r').unwrap_or(whole);
        let column = text.get(line_start..start).unwrap_or_default().chars().count() + 1;
        // A window of the line around the span, if the line is monstrous.
        let from = floor_boundary(
            whole,
            (start - line_start).saturating_sub(MAX_LINE / 2).min(whole.len()),
        );
        let from = if whole.len() <= MAX_LINE { 0 } else { from };
        let until = floor_boundary(whole, (from + MAX_LINE).min(whole.len()));
        let shown = whole.get(from..until).unwrap_or_default();
        let begin = (start - line_start).saturating_sub(from).min(shown.len());
        let length = span.end.saturating_sub(span.start).max(1);
        let end = floor_boundary(shown, (begin + length).min(shown.len())).max(begin);
        Self { file: file.to_owned(), line, column, text: shown.to_owned(), span: begin..end }
    }

    /// How many characters the span has, one at least.
    #[must_use]
    pub fn width(&self) -> usize {
        self.text.get(self.span.clone()).map_or(1, |text| text.chars().count()).max(1)
    }

    /// The beginning of a file.
    #[must_use]
    pub fn start(file: &str) -> Self {
        Self { file: file.to_owned(), line: 1, column: 1, text: String::new(), span: 0..0 }
    }
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// One problem or doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Which kind.
    pub code: Code,
    /// How bad: only errors keep a policy from being used.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do, or the nearest right word.
    pub help: Option<String>,
    /// Other places that belong to it, each with what is there.
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// A problem of this kind.
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            place,
            message: message.into(),
            help: None,
            related: Vec::new(),
        }
    }

    /// The same, with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, with another place that belongs to it.
    #[must_use]
    pub fn related(mut self, place: Place, what: impl Into<String>) -> Self {
        self.related.push((place, what.into()));
        self
    }

    /// Whether it keeps the policy from being used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Whether it is a case that does not come out as it says; its trace is in the report of the cases.
    #[must_use]
    pub fn is_failing_test(&self) -> bool {
        matches!(self.code, Code::FailingTest | Code::StateNow)
    }

    /// For a terminal or a log: the line with the span underlined.
    #[must_use]
    pub fn render_human(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Lint => Level::WARNING.with_name(Some("lint")),
        };
        let snippet = |place: &Place, kind: AnnotationKind, label: Option<&str>| {
            let text = if place.text.is_empty() { " ".to_owned() } else { visible(&place.text) };
            let end = place.span.end.min(text.len());
            let annotation = kind.span(place.span.start.min(end)..end).label(label.map(visible));
            Snippet::source(text)
                .line_start(place.line)
                .path(visible(&place.file))
                .annotation(annotation)
        };
        let message = visible(&self.message);
        let mut group: Group<'_> = level
            .primary_title(message)
            .id(self.code.as_str())
            .element(snippet(&self.place, AnnotationKind::Primary, None));
        for (place, what) in &self.related {
            group = group.element(snippet(place, AnnotationKind::Context, Some(what)));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(visible(help)));
        }
        group = group.element(Level::NOTE.message(format!("see {}", self.code.page())));
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }

    /// What is wrong and what to do, without the place.
    #[must_use]
    pub fn in_words(&self) -> String {
        let help = self.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        visible(&format!("{}{help}", self.message))
    }

    /// For programs: one JSON object.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// `text` with each control or steering character replaced by as many question marks as it has bytes, so
/// that a hostile file can neither drive the terminal nor move the underline.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\t' {
            shown.push(' ');
        } else if character.is_control()
            || (!character.is_ascii()
                && !character.is_whitespace()
                && crate::domain::for_people(character.encode_utf8(&mut [0; 4])).is_empty())
        {
            shown.extend(std::iter::repeat_n('?', character.len_utf8()));
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::{Code, Diagnostic, Place};

    #[test]
    fn a_place_counts_characters_and_survives_any_span() {
        let text = "a = 1\r\nké = \"日本\"\nlast";
        let at = text.find("日").unwrap();
        let place = Place::new("x.toml", text, at..at + 6);
        assert_eq!((place.line, place.column), (2, 7));
        assert_eq!(place.text.get(place.span.clone()), Some("日本"));
        for start in 0..text.len() + 3 {
            for end in start..text.len() + 5 {
                let place = Place::new("x.toml", text, start..end);
                assert!(place.text.get(place.span).is_some(), "{start}..{end}");
            }
        }
        let long = format!("{}\u{202E}{}", "é".repeat(1_000), "y".repeat(1_000));
        let place = Place::new("x\u{1b}]0;\n::error::.toml", &long, 2_000..2_003);
        assert!(place.text.len() <= 400 && place.line == 1);
        let shown = Diagnostic::new(Code::Syntax, place, "m\u{1b}[31m").render_human(false);
        assert!(!shown.contains(['\u{1b}', '\u{202E}']) && !shown.contains("\n::"), "{shown}");
    }
}
