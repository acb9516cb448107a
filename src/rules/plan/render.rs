//! A plan as text: for the terminal, and as Markdown for a check run.

use std::fmt::Write as _;

use crate::{
    domain::{agrees, cut, many},
    rules::{decision::Effect, policy::Mode},
};

use super::{ChangedRule, Flip, Names, Plan, Standing};

/// The longest sentence of a row.
const BECAUSE: usize = 200;

/// How many rows of each kind a terminal is given.
const ROWS: usize = 50;

/// How many rules that changed are shown with what changed in them, and how much of each.
const CHANGED: usize = 20;

/// What changed in the rules themselves; `quoted` writes what a rule file says, its ids included.
fn headline(plan: &Plan, quoted: impl Fn(&str) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    let (before, after) = plan.mode;
    if before != after {
        let means = match after {
            Mode::Shadow => "nothing would be sent any more",
            Mode::ApproveOnly => {
                "what the rules approve would be approved on GitHub; nothing would be denied"
            }
            Mode::Enforce => {
                "what the rules approve and deny would be approved and denied on GitHub"
            }
        };
        lines.push(format!(
            "The mode changes from {} to {}: {means}. Pending: {}.",
            before.as_str(),
            after.as_str(),
            many(plan.compared.pending, "request")
        ));
    }
    let changed: Vec<_> = plan.changed.iter().map(|changed| changed.rule.clone()).collect();
    for (what, rules) in [("Added", &plan.added), ("Removed", &plan.removed), ("Changed", &changed)]
    {
        if !rules.is_empty() {
            let rules: Vec<_> = rules.iter().map(|rule| quoted(rule.as_str())).collect();
            lines.push(format!("{what}: {}.", cut(&rules.join(", "), 1_000)));
        }
    }
    if lines.is_empty() {
        lines.push("No rule says anything else.".to_owned());
    }
    lines
}

/// What changed in each rule.
fn bounds(plan: &Plan, quoted: impl Fn(&str) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    for ChangedRule { rule, what } in plan.changed.iter().take(CHANGED) {
        let mut said: Vec<_> = what.iter().take(CHANGED).map(|what| quoted(what)).collect();
        if what.len() > CHANGED {
            said.push(format!("and {} more", what.len() - CHANGED));
        }
        lines.push(format!("In {}: {}.", quoted(rule.as_str()), said.join("; ")));
    }
    if plan.changed.len() > CHANGED {
        let more = plan.changed.len() - CHANGED;
        lines.push(format!("In {} something changed.", many(more, "more rule")));
    }
    lines
}

/// How many there are of each kind, in a sentence.
fn counts(plan: &Plan) -> String {
    let milder = plan.loosened();
    let compared = plan.compared;
    format!(
        "Judged again: {} ({} pending, {} with an active token). {milder} would come out milder, {} stricter; {} approved by no \
         rule any more; {} cannot be told.",
        many(compared.over + compared.pending + compared.active, "request"),
        compared.pending,
        compared.active,
        plan.flips.len() - milder,
        with_is(plan.uncovered.len(), "active token"),
        plan.cannot_tell.len(),
    )
}

fn with_is(number: usize, what: &str) -> String {
    format!("{} {}", many(number, what), agrees(number, "is", "are"))
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Pending => "pending",
        Standing::Active => "active token",
        Standing::Over => "decided",
    }
}

/// For a terminal.
pub(super) fn terminal(plan: &Plan) -> String {
    let said = [headline(plan, str::to_owned), bounds(plan, str::to_owned)].concat();
    let mut text = said.join("\n") + "\n" + &counts(plan) + "\n";
    for (title, flips) in [
        ("Would come out otherwise", &plan.flips),
        ("Active tokens that no rule would approve any more", &plan.uncovered),
    ] {
        if flips.is_empty() {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{title}:");
        for flip in flips.iter().take(ROWS) {
            let about = &flip.subject;
            let _ = writeln!(
                text,
                "  {} -> {}  {} \"{}\" (request {}, {})\n      asks for {}\n      now: {}",
                flip.old,
                flip.new,
                about.owner,
                about.token_name,
                about.request_id,
                standing(about.standing),
                about.asks,
                cut(&flip.because, BECAUSE),
            );
        }
        more(&mut text, flips.len());
    }
    if !plan.cannot_tell.is_empty() {
        let _ =
            writeln!(text, "\nCannot tell, since the record lacks a fact that the rules ask for:");
        for unclear in plan.cannot_tell.iter().take(ROWS) {
            let about = &unclear.subject;
            let _ = writeln!(
                text,
                "  {} \"{}\" (request {}): {}",
                about.owner,
                about.token_name,
                about.request_id,
                unclear.lacks.join(", ")
            );
        }
        more(&mut text, plan.cannot_tell.len());
    }
    text
}

fn more(text: &mut String, all: usize) {
    if all > ROWS {
        let _ = writeln!(text, "  and {} more (--json shows all)", all - ROWS);
    }
}

/// For a check run.
pub(super) fn markdown(plan: &Plan, limit: usize, names: Names) -> String {
    let mut text = format!("{}\n\n", counts(plan));
    let quoted = |text: &str| format!("`{}`", text.replace('`', "'"));
    let mut said = headline(plan, quoted);
    // Where everybody reads along, not even bounds are told: an upper layer may have set them, and its file may be private.
    if names == Names::Shown {
        said.extend(bounds(plan, quoted));
    }
    for line in said {
        let _ = writeln!(text, "- {line}");
    }
    if names == Names::Counted {
        text.push_str("\n| from | to | how many |\n|---|---|---|\n");
        for ((old, new), count) in by_effect(plan) {
            let _ = writeln!(text, "| {old} | {new} | {count} |");
        }
        return cut(&text, limit);
    }
    let tail = "\nThere is more than fits here; `patwarden rules plan` shows all of it.\n";
    let room = limit.saturating_sub(tail.chars().count());
    let mut full = false;
    for (title, flips) in [
        ("Would come out otherwise", &plan.flips),
        ("Active tokens that no rule would approve any more", &plan.uncovered),
    ] {
        if flips.is_empty() {
            continue;
        }
        let head = format!(
            "\n### {title}\n\n| | who | asks for | now | because |\n|---|---|---|---|---|\n"
        );
        full |= !push(&mut text, &head, room);
        for flip in flips {
            full |= full || !push(&mut text, &row(flip), room);
        }
    }
    if !plan.cannot_tell.is_empty() {
        full |= full || !push(&mut text, "\n### Cannot tell\n\n", room);
        for unclear in &plan.cannot_tell {
            let line = format!(
                "- {} of {}: the record lacks {}\n",
                escaped(&unclear.subject.token_name),
                escaped(&unclear.subject.owner),
                escaped(&unclear.lacks.join(", "))
            );
            full |= full || !push(&mut text, &line, room);
        }
    }
    if full {
        text.push_str(tail);
    }
    text
}

/// Adds it where there is room for all of it.
fn push(text: &mut String, more: &str, room: usize) -> bool {
    let fits = text.chars().count() + more.chars().count() <= room;
    if fits {
        text.push_str(more);
    }
    fits
}

fn row(flip: &Flip) -> String {
    let about = &flip.subject;
    let mark = if flip.loosens() { "milder" } else { "stricter" };
    format!(
        "| {mark} | {}, {} ({}) | {} | {} → **{}** | {} |\n",
        escaped(&about.owner),
        escaped(&about.token_name),
        standing(about.standing),
        escaped(&about.asks),
        flip.old,
        flip.new,
        escaped(&cut(&flip.because, BECAUSE)),
    )
}

fn by_effect(plan: &Plan) -> std::collections::BTreeMap<(Effect, Effect), usize> {
    let mut counts = std::collections::BTreeMap::new();
    for flip in plan.flips.iter().chain(&plan.uncovered) {
        *counts.entry((flip.old, flip.new)).or_default() += 1;
    }
    counts
}

/// Text that others wrote, for a table in Markdown: nothing in it is a link, a mention, an image or markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // Between an at sign or a number sign and what follows: no mention, no reference.
            '@' | '#' => {
                escaped.push(character);
                escaped.push_str("&#8203;");
            }
            '\\' | '$' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '!' | '|' | '~' => {
                escaped.push('\\');
                escaped.push(character);
            }
            // A bare address would become a link.
            ':' => escaped.push_str("&#58;"),
            '.' if escaped.len() >= 3
                && escaped[escaped.len() - 3..].eq_ignore_ascii_case("www") =>
            {
                escaped.push_str("&#46;");
            }
            '\n' | '\r' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
