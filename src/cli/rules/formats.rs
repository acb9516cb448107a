//! Diagnostics for other programs: GitHub's workflow commands and SARIF.

use serde_json::{Value, json};

use crate::{
    engine::NotAsked,
    rules::diagnostic::{Code, Diagnostic, Severity},
};

/// One diagnostic as a workflow command.
///
/// Source: <https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>.
pub(super) fn github(diagnostic: &Diagnostic) -> String {
    let command = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Lint => "notice",
    };
    let place = &diagnostic.place;
    format!(
        "::{command} file={},line={},col={},endColumn={},title={}::{}",
        property(&place.file),
        place.line,
        place.column,
        place.column + place.width(),
        property(diagnostic.code.as_str()),
        data(&diagnostic.in_words()),
    )
}

/// What could not be asked of GitHub as a workflow command, without a place: it is no fault of a file.
pub(super) fn github_not_asked(not_asked: &NotAsked) -> String {
    let NotAsked { what, why } = not_asked;
    format!("::error title=not-asked::{}", data(&format!("{what}: {why}")))
}

/// Text after the second `::`: a line break in it would begin another command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// All diagnostics as one SARIF log, and what could not be asked of GitHub as notifications of the tool's.
///
/// Source: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.
pub(super) fn sarif(diagnostics: &[Diagnostic], not_asked: &[NotAsked]) -> Value {
    let rules: Vec<Value> = Code::ALL
        .iter()
        .map(|(code, means)| {
            json!({
                "id": code.as_str(),
                "shortDescription": { "text": means },
                "help": { "text": format!("{means} See {}", code.page()) },
                "defaultConfiguration": { "level": level(code.severity()) },
            })
        })
        .collect();
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| {
            let related: Vec<Value> = diagnostic
                .related
                .iter()
                .map(|(place, what)| {
                    let mut location = location(place);
                    if let Some(location) = location.as_object_mut() {
                        location.insert("message".to_owned(), json!({ "text": what }));
                    }
                    location
                })
                .collect();
            json!({
                "ruleId": diagnostic.code.as_str(),
                "level": level(diagnostic.severity),
                "message": { "text": diagnostic.in_words() },
                "locations": [location(&diagnostic.place)],
                "relatedLocations": related,
            })
        })
        .collect();
    let notifications: Vec<Value> = not_asked
        .iter()
        .map(|NotAsked { what, why }| {
            json!({ "level": "error", "message": { "text": format!("not asked: {what}: {why}") } })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "patwarden",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": not_asked.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Lint => "note",
    }
}

fn location(place: &crate::rules::diagnostic::Place) -> Value {
    // The name of a file is a reference to a URI there.
    let uri = place.file.split('/').map(escaped).collect::<Vec<_>>().join("/");
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri },
        "region": {
            "startLine": place.line,
            "startColumn": place.column,
            "endColumn": place.column + place.width(),
        },
    } })
}

fn escaped(segment: &str) -> String {
    let mut text = String::new();
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
