//! What is said of a change of the rules to whoever proposes it: every diagnostic at its line, what the cases come to, and
//! what would come out otherwise. Text only; how it is sent is not known here.

use std::fmt::Write as _;

use crate::domain::{agrees, cut, for_people, many};

use super::{
    cases::{self, Report},
    diagnostic::{Code, Diagnostic, Severity},
    load::Loaded,
    plan::{Names, Plan},
    policy::{Mode, Policy},
};

/// The longest text that GitHub takes in a check run, in characters.
///
/// Source: <https://docs.github.com/rest/checks/runs#create-a-check-run>.
pub const LONGEST_TEXT: usize = 65_535;

/// The most annotations of one review: more help nobody.
const MOST_ANNOTATIONS: usize = 500;

/// The longest message at a line.
const LONGEST_MESSAGE: usize = 4_000;

/// How many failing cases are told in the summary; all of them are annotated.
const FAILING_CASES: usize = 20;

/// What is said of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Whether the rules could be used as they are.
    pub passed: bool,
    /// One line.
    pub title: String,
    /// Markdown of at most [`LONGEST_TEXT`] characters.
    pub summary: String,
    /// What is said at lines.
    pub annotations: Vec<Annotation>,
}

/// Something said at a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The file's path in the repository.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The first and the last column, from 1.
    pub columns: (usize, usize),
    /// How bad.
    pub severity: Severity,
    /// The code.
    pub title: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// What a change would do, or why that is not shown.
#[derive(Clone, Debug)]
pub enum Consequences {
    /// What differs, and whether people may be named.
    Known(Box<Plan>, Names),
    /// Who proposes the change may not see what is on record: answers would tell it, one question at a time.
    NotForTheAuthor,
    /// There is nothing to compare with: no policy is in force.
    NothingInForce,
    /// The rules are no rules as they are.
    Invalid,
    /// The record could not be read in time.
    NotRead,
}

/// Puts it into words.
#[must_use]
pub fn review(loaded: &Loaded, consequences: &Consequences) -> Review {
    let report = cases::run(loaded);
    let errors = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let passed = loaded.policy.is_some();
    Review {
        passed,
        title: title(loaded.policy.as_ref(), &report, errors, consequences),
        summary: summary(loaded, &report, errors, consequences),
        annotations: loaded.diagnostics.iter().take(MOST_ANNOTATIONS).map(annotation).collect(),
    }
}

/// What a file shows by itself, for somebody who may not know what stands above it: nothing in this answers a question about
/// another file.
#[must_use]
pub fn review_of_file_alone(loaded: &Loaded) -> Review {
    let own = |diagnostic: &&Diagnostic| {
        !matches!(
            diagnostic.code,
            Code::MissingKey
                | Code::UnknownGroup
                | Code::UnknownRule
                | Code::UnknownPlaceholder
                | Code::WaiverOfHardRule
                | Code::FailingTest
                | Code::StateNow
        ) && diagnostic.is_error()
    };
    let own: Vec<_> = loaded.diagnostics.iter().filter(own).collect();
    let passed = own.is_empty();
    Review {
        passed,
        title: match own.len() {
            0 => "no mistake that the file shows by itself".to_owned(),
            errors => format!("{} in the rules: they would not be used", many(errors, "error")),
        },
        summary: "These rules stand under an enterprise's, which not everybody may read. Who proposed this change cannot push to \
                  this repository, so the file was looked at by itself: cases were not run, and what the change would do is not \
                  shown. Somebody who can push may open it again as their own.\n"
            .to_owned(),
        annotations: own.into_iter().take(MOST_ANNOTATIONS).map(annotation).collect(),
    }
}

fn title(
    policy: Option<&Policy>,
    report: &Report,
    errors: usize,
    consequences: &Consequences,
) -> String {
    if policy.is_none() {
        return format!("{} in the rules: they would not be used", many(errors, "error"));
    }
    let cases = report.cases.len();
    let cases = format!("{} {}", many(cases, "case"), agrees(cases, "passes", "pass"));
    match consequences {
        Consequences::Known(plan, _) if plan.changes_nothing() => {
            format!("valid; {cases}; nothing on record comes out otherwise")
        }
        Consequences::Known(plan, _) => {
            let (before, after) = plan.mode;
            let mode = if before == after {
                String::new()
            } else {
                format!("mode {} → {}; ", before.as_str(), after.as_str())
            };
            format!(
                "{mode}valid; {cases}; {} milder, {} stricter, {} uncovered",
                plan.loosened(),
                plan.flips.len() - plan.loosened(),
                plan.uncovered.len()
            )
        }
        _ => format!("valid; {cases}"),
    }
}

fn summary(loaded: &Loaded, report: &Report, errors: usize, consequences: &Consequences) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    match &loaded.policy {
        None => {
            let _ = writeln!(
                text,
                "**These rules would not be used.** There {} {}; the rules in force would stay, and nothing would be \
                 approved until the file is mended.",
                agrees(errors, "is", "are"),
                many(errors, "error")
            );
        }
        Some(policy) => {
            let doubts = loaded.diagnostics.len() - errors;
            let _ = writeln!(
                text,
                "The rules are valid: {}, {} to look at.",
                many(policy.rule_count(), "rule"),
                many(doubts, "warning")
            );
            match policy.mode() {
                Mode::Shadow => text.push_str(
                    "\n> **SHADOW**: with this mode everything is decided and recorded, and nothing is sent to GitHub.\n",
                ),
                Mode::ApproveOnly => text.push_str("\n> **approve-only**: with this mode nothing is denied.\n"),
                Mode::Enforce => {}
            }
        }
    }
    let failing: Vec<_> = report.cases.iter().filter(|case| !case.passed).collect();
    let counted = match loaded.compiled {
        None => "Not run: the rules cannot be read as they are.".to_owned(),
        Some(_) => {
            let passing = report.cases.len() - failing.len();
            format!("{passing} of {} {}.", report.cases.len(), agrees(passing, "passes", "pass"))
        }
    };
    let _ = writeln!(text, "\n### Cases\n\n{counted}");
    for case in failing.iter().take(FAILING_CASES) {
        let _ = writeln!(
            text,
            "- `{}`: {}",
            code(&case.name),
            case.problems
                .iter()
                .map(|problem| format!("`{}`", code(problem)))
                .collect::<Vec<_>>()
                .join("; ")
        );
    }
    // Those of the layer that is proposed: the other one's names are not everybody's.
    let own = loaded.compiled.iter().flat_map(|compiled| &compiled.policy.rules);
    let own: Vec<_> =
        own.filter(|rule| loaded.is_lowest(rule.layer)).map(|rule| &rule.id).collect();
    let unexercised: Vec<_> = report.unexercised.iter().filter(|rule| own.contains(rule)).collect();
    if !unexercised.is_empty() {
        let rules: Vec<_> = unexercised.iter().map(|rule| format!("`{rule}`")).collect();
        let _ = writeln!(text, "\nNo case shows what these do: {}.", cut(&rules.join(", "), 2_000));
    }
    text.push_str("\n### What this change would do\n\n");
    match consequences {
        Consequences::Known(plan, names) => {
            let room = LONGEST_TEXT.saturating_sub(text.chars().count());
            text.push_str(&plan.markdown(room, *names));
        }
        Consequences::NotForTheAuthor => text.push_str(
            "Not shown: it is made from what people asked for, and who proposed this change cannot push to this repository. \
             Somebody who can may run `patwarden rules plan`.\n",
        ),
        Consequences::Invalid => {
            text.push_str("Nothing, as long as the rules cannot be used.\n");
        }
        Consequences::NothingInForce => {
            text.push_str("There are no rules in force to compare with.\n");
        }
        Consequences::NotRead => {
            text.push_str("The record could not be read in time; `patwarden rules plan` shows it.\n");
        }
    }
    cut(&text, LONGEST_TEXT)
}

/// Text that others wrote, inside a quotation of code: nothing ends it, nothing in it is markup.
fn code(text: &str) -> String {
    cut(&for_people(text).replace('`', "'"), 500)
}

fn annotation(diagnostic: &Diagnostic) -> Annotation {
    let place = &diagnostic.place;
    Annotation {
        path: place.file.clone(),
        line: place.line,
        columns: (place.column, place.column + place.width() - 1),
        severity: diagnostic.severity,
        title: diagnostic.code.as_str().to_owned(),
        message: cut(&diagnostic.in_words(), LONGEST_MESSAGE),
    }
}
