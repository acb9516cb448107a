//! Text that is not TOML: which mistakes it has, each once, and what of the text means something without them.
//!
//! One bracket that is not closed makes nonsense of all that follows it. So what a mistake stands in is blanked, in the way
//! that lets the parser come furthest, and the rest is read as if that had never been there.

use std::{borrow::Cow, ops::Range};

use toml::Spanned;
use toml::de::DeTable;

use super::SourceFile;
use crate::rules::diagnostic::{Code, Diagnostic, Place};

/// So many mistakes are looked for in one file: each is a handful of further looks at the whole of it.
const MOST: usize = 20;

/// Of a larger text only the first mistake is told.
const LARGEST: usize = 64 * 1024;

/// A text, and what was found wrong with it.
pub(crate) struct Mended<'s> {
    /// The text with what is not TOML blanked: every place in it is where it was.
    pub(crate) text: Cow<'s, str>,
    pub(crate) problems: Vec<Diagnostic>,
}

impl Mended<'_> {
    /// The same without this line, and whatever follows it.
    fn without(mut self, line: Option<&Range<usize>>) -> Self {
        let from = line.map_or(0, |line| line.start);
        self.text = Cow::Owned(blanked(&self.text, &(from..self.text.len())));
        self
    }
}

/// The table that a text is, as far as it is one.
pub(crate) fn table(text: &str) -> Spanned<DeTable<'_>> {
    DeTable::parse_recoverable(text).0
}

/// Finds what is not TOML, and takes it out.
pub(crate) fn mend(file: &SourceFile) -> Mended<'_> {
    let mut mended = Mended { text: Cow::Borrowed(&file.text), problems: Vec::new() };
    let lines = lines(&file.text);
    let mut before = None;
    while let Some(mistake) = first_mistake(&mended.text) {
        let at = line_of(&lines, mistake.span.start);
        // Where nothing helps, what follows is not to be believed.
        if before.is_some_and(|before| at <= before) || mended.problems.len() == MOST {
            return mended.without(lines.get(at));
        }
        before = Some(at);
        let place = Place::new(&file.name, &file.text, mistake.span);
        let mut problem = Diagnostic::new(Code::Syntax, place, mistake.message);
        if file.text.len() > LARGEST {
            mended.problems.push(problem);
            return mended.without(lines.get(at));
        }
        let way_out = way_out(&mended.text, &lines, at);
        if let Some(begins) = way_out.begins.filter(|begins| *begins < at) {
            let help = format!("what is not closed begins on line {}", begins + 1);
            problem = problem.help(help);
        }
        mended.problems.push(problem);
        mended.text = Cow::Owned(way_out.text);
    }
    mended
}

struct Mistake {
    span: Range<usize>,
    message: String,
}

fn first_mistake(text: &str) -> Option<Mistake> {
    let errors = DeTable::parse_recoverable(text).1;
    let first = errors.iter().min_by_key(|error| error.span().map_or(0, |span| span.start))?;
    Some(Mistake { span: first.span().unwrap_or(0..0), message: first.message().to_owned() })
}

/// A text without a mistake, or with the next one further down.
struct WayOut {
    text: String,
    /// The line in which what was taken out begins.
    begins: Option<usize>,
}

/// Tries what may be wrong, and keeps what lets the parser come furthest; of equals, what comes first.
fn way_out(text: &str, lines: &[Range<usize>], at: usize) -> WayOut {
    let line = |index: usize| lines.get(index).and_then(|line| text.get(line.clone()));
    let is_header =
        |index: usize| line(index).is_some_and(|line| line.trim_start().starts_with('['));
    let stands_alone = |index: usize| line(index).is_some_and(|line| DeTable::parse(line).is_ok());
    let is_empty = |index: usize| {
        line(index).is_some_and(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    };
    // Something may have been opened above: the lines before that are no TOML by themselves.
    let opened = (0..at)
        .rev()
        .take_while(|index| is_empty(*index) || !stands_alone(*index))
        .filter(|index| !is_empty(*index))
        .last();
    let next_header = (at + 1..lines.len()).find(|index| is_header(*index) && stands_alone(*index));
    let until_header = next_header.unwrap_or(lines.len());
    let mut ways = Vec::new();
    if is_header(at) || line(at).is_some_and(lost_its_bracket) {
        ways.extend(opened.map(|opened| opened..at));
        // What stands below a header that is none would seem to belong to the table above.
        ways.push(at..until_header);
    } else {
        ways.push(at..at + 1);
        ways.extend(opened.map(|opened| opened..at));
        ways.extend(opened.map(|opened| opened..at + 1));
        ways.push(at..until_header);
    }
    let mut best: Option<(usize, WayOut)> = None;
    for way in ways {
        let bytes = lines.get(way.start).map_or(0, |line| line.start)
            ..lines.get(way.end.saturating_sub(1)).map_or(0, |line| line.end);
        let text = blanked(text, &bytes);
        let next = first_mistake(&text);
        let next = next.map(|mistake| line_of(lines, mistake.span.start));
        // A line further down that is wrong by itself is another mistake; one that is not suffers from this one.
        let reach = next.filter(|next| stands_alone(*next)).unwrap_or(usize::MAX);
        if best.as_ref().is_none_or(|(best, _)| reach > *best) {
            best = Some((reach, WayOut { text, begins: Some(way.start) }));
        }
    }
    best.map_or_else(|| WayOut { text: String::new(), begins: None }, |(_, way_out)| way_out)
}

/// Whether a line is a header but for the bracket that it should begin with.
fn lost_its_bracket(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default().trim();
    line.ends_with(']') && !line.contains('=') && line.starts_with(|c: char| c.is_alphanumeric())
}

/// The lines of a text, without what ends them.
fn lines(text: &str) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in text.split('\n') {
        lines.push(start..start + line.len());
        start += line.len() + 1;
    }
    lines
}

fn line_of(lines: &[Range<usize>], at: usize) -> usize {
    lines.partition_point(|line| line.end < at).min(lines.len().saturating_sub(1))
}

/// The text with blanks there, but for the ends of lines.
fn blanked(text: &str, there: &Range<usize>) -> String {
    let mut blanked = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        if there.contains(&at) && !matches!(character, '\n' | '\r') {
            blanked.extend(std::iter::repeat_n(' ', character.len_utf8()));
        } else {
            blanked.push(character);
        }
    }
    blanked
}
