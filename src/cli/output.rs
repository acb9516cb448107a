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
    crate::telemetry::colours(std::io::stdout().is_terminal())
}

/// How many columns a table may take where the terminal does not say how many it has.
const WIDTH: usize = 120;

/// No column is cut shorter than this, so that numbers stay whole.
const NARROWEST: usize = 12;

/// Prints a table: no lines, one row a thing, none longer than the terminal is wide. What is cut ends in an ellipsis; the
/// same command has all of it with `--json`.
pub(super) fn table(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut rows: Vec<Vec<String>> = rows.into_iter().collect();
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    // Shells know the variable and seldom pass it on. None where this goes into a pipe.
    let asked = asked.or_else(|| {
        terminal_size::terminal_size().map(|(terminal_size::Width(columns), _)| columns.into())
    });
    fit(heads, &mut rows, asked.filter(|columns| *columns >= 60).unwrap_or(WIDTH));
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

/// Cuts the longest cells until a row takes no more than `limit` columns, or nothing is left to cut.
fn fit(heads: &[&str], rows: &mut [Vec<String>], limit: usize) {
    let length = |text: &str| text.chars().count();
    let mut widths: Vec<usize> = heads.iter().map(|head| length(head)).collect();
    for row in rows.iter() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = length(cell).max(*width);
        }
    }
    // Two blanks between two columns.
    let gaps = widths.len().saturating_sub(1) * 2;
    while widths.iter().sum::<usize>() + gaps > limit {
        // A moment that is cut is none, and a GUID cannot be typed.
        let whole = |head: &str| head.ends_with("(UTC)") || head == "GUID";
        let may_shrink = widths.iter_mut().zip(heads).filter(|(_, head)| !whole(head));
        // Why it is so can be asked of each thing by itself; what it is must be seen here.
        let weight = |head: &str, width: usize| match head {
            "WHY" | "GITHUB SAYS" => width * 2,
            _ => width,
        };
        let may_shrink = may_shrink.filter(|(width, _)| **width > NARROWEST);
        let widest = may_shrink.max_by_key(|(width, head)| weight(head, **width));
        let Some((widest, _)) = widest else { break };
        *widest -= 1;
    }
    for row in rows {
        for (cell, width) in row.iter_mut().zip(&widths) {
            if length(cell) > *width {
                *cell = cut(cell, *width);
            }
        }
    }
}

/// Says of each part of a filter how many it means by itself: where all of it means nothing, which part is to blame.
pub(super) fn parts(parts: &[(String, u64)]) {
    let longest = parts.iter().map(|(part, _)| part.chars().count()).max().unwrap_or_default();
    if parts.len() < 2 {
        return;
    }
    line("Each part of it by itself means:");
    for (part, alone) in parts {
        let alone = if *alone == 0 { "none".to_owned() } else { alone.to_string() };
        line(format_args!("  {part:<width$}  {alone}", width = longest.min(60)));
    }
}

/// Hostile text for one cell: nothing in it steers, and it is not longer than `limit`.
pub(super) fn cell(text: &str, limit: usize) -> String {
    cut(&for_people(text), limit)
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn the_longest_cells_are_cut_first_and_numbers_and_moments_never() {
        let long = "some sentence that says why, and then says it once more".to_owned();
        let mut rows = vec![vec![
            "1600069".to_owned(),
            "2026-11-21 23:57".to_owned(),
            long,
            "docs, handbook, web".to_owned(),
        ]];
        fit(&["REQUEST", "SINCE (UTC)", "WHY", "WHERE"], &mut rows, 80);
        let row = rows.concat().concat();
        assert_eq!(row.chars().count() + 6, 80);
        let cut = "16000692026-11-21 23:57some sentence that says why, an…docs, handbook, web";
        assert_eq!(row, cut);
        fit(&["REQUEST", "SINCE (UTC)", "WHY", "WHERE"], &mut rows, 10);
        assert_eq!(rows.concat().concat(), "16000692026-11-21 23:57some senten…docs, handb…");
    }
}
