//! Standard output and standard error: the only two places where anything is printed.

use std::{
    fmt,
    io::{IsTerminal, Write},
};

use comfy_table::{ContentArrangement, Table, presets};

use crate::domain::{cut, for_people};

/// Prints a line. A reader that went away ends the output, not the command.
pub(super) fn line(line: impl fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a part of a line.
pub(super) fn part(text: impl fmt::Display) {
    let _ = write!(std::io::stdout(), "{text}");
}

/// Prints CSV.
pub(super) fn csv() -> csv::Writer<std::io::Stdout> {
    csv::Writer::from_writer(std::io::stdout())
}

/// Hostile text for one cell of a spreadsheet: nothing in it steers, and none of it is a formula.
pub(super) fn csv_cell(text: &str) -> String {
    let text = for_people(text);
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

/// Reads the line that somebody types.
pub(super) async fn typed() -> anyhow::Result<String> {
    let typed = tokio::task::spawn_blocking(|| {
        let mut typed = String::new();
        std::io::stdin().read_line(&mut typed).map(|_| typed)
    });
    tokio::select! {
        typed = typed => Ok(typed??),
        // Whoever stops here has not typed what was asked for.
        _ = tokio::signal::ctrl_c() => Ok(String::new()),
    }
}

/// Prints a value as JSON, for scripts.
pub(super) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Asks for something: the answer is typed behind it.
pub(super) fn prompt(question: impl fmt::Display) {
    let _ = write!(std::io::stdout(), "{question}");
    let _ = std::io::stdout().flush();
}

/// Says something beside what was asked for: on standard error, so that what is read by scripts stays as it is.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Says what went wrong, with every cause once.
pub(super) fn error(error: &anyhow::Error) {
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            said.push_str(": ");
            said.push_str(&cause);
        }
    }
    let _ = writeln!(std::io::stderr(), "error: {said}");
}

/// Whether colours are welcome.
pub(super) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Prints a table: no lines, one row a thing.
pub(super) fn table(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heads.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for row in table.lines() {
        // Every cell has a blank on both sides; the first needs none.
        line(row.trim_end().strip_prefix(' ').unwrap_or(&row));
    }
}

/// Hostile text for one cell: nothing in it steers, and it is not longer than `limit`.
pub(super) fn cell(text: &str, limit: usize) -> String {
    cut(&for_people(text), limit)
}
