//! What a call about a check run brings, checked as GitHub checks it. Nothing is changed here.

use jiff::Timestamp;
use serde_json::Value;

use crate::answer::Answer;
use crate::context::Context;
use crate::world::{Annotation, CheckRun};

const MOST_ANNOTATIONS: usize = 50;
const MOST_CHARACTERS: usize = 65_535;
const STATUSES: [&str; 6] =
    ["queued", "in_progress", "completed", "waiting", "requested", "pending"];
const CONCLUSIONS: [&str; 7] =
    ["action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"];
const LEVELS: [&str; 3] = ["notice", "warning", "failure"];

type Checked<T> = Result<T, Box<Answer>>;

/// The fields of a call; what is absent stays as it was.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) name: Option<String>,
    pub(super) head_sha: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
    external_id: Option<String>,
    details_url: Option<String>,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    output: Option<Output>,
    actions: Option<Vec<Value>>,
}

#[derive(Debug)]
struct Output {
    title: Option<String>,
    summary: String,
    text: Option<String>,
    annotations: Vec<Annotation>,
}

impl Input {
    /// Reads a call; a new run needs more than a change of one.
    pub(super) fn read(context: &Context, new: bool) -> Checked<Self> {
        let empty = Value::Object(serde_json::Map::new());
        let body = context.body.as_ref().unwrap_or(&empty);
        if new {
            require(body, &["name", "head_sha"])?;
        }
        let input = Self {
            name: text(body, "name")?,
            head_sha: text(body, "head_sha")?,
            status: one_of(body, "status", &STATUSES)?,
            conclusion: one_of(body, "conclusion", &CONCLUSIONS)?,
            external_id: text(body, "external_id")?,
            details_url: text(body, "details_url")?,
            started_at: time(body, "started_at")?,
            completed_at: time(body, "completed_at")?,
            output: body
                .get("output")
                .filter(|output| !output.is_null())
                .map(|output| read_output(output, new))
                .transpose()?,
            actions: list(body, "actions", 3)?,
        };
        for action in input.actions.iter().flatten() {
            require(action, &["label", "description", "identifier"])?;
            for (name, most) in [("label", 20), ("description", 40), ("identifier", 20)] {
                short(text(action, name)?.as_deref(), most)?;
            }
        }
        let ends = input.status.as_deref() == Some("completed") || input.completed_at.is_some();
        if ends && input.conclusion.is_none() {
            return Err(Answer::invalid(
                "CheckRun",
                "conclusion",
                "missing_field",
                "a completed check run needs a conclusion",
            ));
        }
        Ok(input)
    }

    /// Puts what was given into a run. A conclusion completes it, whatever the status says.
    pub(super) fn put_in(self, run: &mut CheckRun, now: Timestamp) {
        if let Some(name) = self.name {
            run.name = name;
        }
        keep(&mut run.external_id, self.external_id);
        keep(&mut run.details_url, self.details_url);
        keep(&mut run.started_at, self.started_at);
        if let Some(actions) = self.actions {
            run.actions = actions;
        }
        if let Some(conclusion) = self.conclusion {
            run.status = "completed".to_owned();
            run.conclusion = Some(conclusion);
            run.completed_at = Some(self.completed_at.unwrap_or(now));
        } else if let Some(status) = self.status {
            // Taken up again, a run has not ended any more.
            run.status = status;
            run.conclusion = None;
            run.completed_at = None;
        }
        if let Some(output) = self.output {
            keep(&mut run.title, output.title);
            run.summary = Some(output.summary);
            keep(&mut run.text, output.text);
            run.annotations.extend(output.annotations);
        }
    }
}

fn keep<T>(field: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *field = value;
    }
}

fn read_output(output: &Value, new: bool) -> Checked<Output> {
    if !output.is_object() {
        return Err(Answer::malformed("For 'properties/output', the value is not an object."));
    }
    require(output, if new { &["title", "summary"] } else { &["summary"] })?;
    let annotations = list(output, "annotations", MOST_ANNOTATIONS)?.unwrap_or_default();
    for image in list(output, "images", usize::MAX)?.iter().flatten() {
        require(image, &["alt", "image_url"])?;
    }
    let (summary, more) = (text(output, "summary")?, text(output, "text")?);
    short(summary.as_deref(), MOST_CHARACTERS)?;
    short(more.as_deref(), MOST_CHARACTERS)?;
    Ok(Output {
        title: text(output, "title")?,
        summary: summary.unwrap_or_default(),
        text: more,
        annotations: annotations.iter().map(read_annotation).collect::<Checked<_>>()?,
    })
}

fn read_annotation(one: &Value) -> Checked<Annotation> {
    require(one, &["path", "start_line", "end_line", "annotation_level", "message"])?;
    let refuse = |field: &str, why: &str| Answer::invalid("CheckAnnotation", field, "invalid", why);
    let (start_line, end_line) = (number(one, "start_line")?, number(one, "end_line")?);
    let (start_column, end_column) = (number(one, "start_column")?, number(one, "end_column")?);
    let (start_line, end_line) = (start_line.unwrap_or_default(), end_line.unwrap_or_default());
    if start_line == 0 {
        return Err(refuse("start_line", "lines begin at 1"));
    }
    if end_line < start_line {
        return Err(refuse("end_line", "end_line must not be before start_line"));
    }
    if start_line != end_line && (start_column.is_some() || end_column.is_some()) {
        return Err(refuse("start_column", "columns are for annotations of one line"));
    }
    if let (Some(start), Some(end)) = (start_column, end_column)
        && end < start
    {
        return Err(refuse("end_column", "end_column must not be before start_column"));
    }
    let (message, title) = (text(one, "message")?, text(one, "title")?);
    let raw_details = text(one, "raw_details")?;
    for long in [&message, &raw_details] {
        if long.as_ref().is_some_and(|text| text.len() > 64 * 1024) {
            return Err(refuse("message", "at most 64 KB"));
        }
    }
    short(title.as_deref(), 255)?;
    Ok(Annotation {
        path: text(one, "path")?.unwrap_or_default(),
        start_line,
        end_line,
        start_column,
        end_column,
        level: one_of(one, "annotation_level", &LEVELS)?.unwrap_or_default(),
        message: message.unwrap_or_default(),
        title,
        raw_details,
    })
}

fn require(object: &Value, names: &[&str]) -> Checked<()> {
    let missing: Vec<String> = names
        .iter()
        .filter(|name| object.get(**name).is_none_or(Value::is_null))
        .map(|name| format!("\"{name}\""))
        .collect();
    match missing.as_slice() {
        [] => Ok(()),
        [one] => Err(Answer::malformed(&format!("{one} wasn't supplied."))),
        several => Err(Answer::malformed(&format!("{} weren't supplied.", several.join(", ")))),
    }
}

fn given<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

fn text(object: &Value, name: &str) -> Checked<Option<String>> {
    let Some(value) = given(object, name) else {
        return Ok(None);
    };
    let text = value.as_str().ok_or_else(|| not_a(name, value, "string"))?;
    Ok(Some(text.to_owned()))
}

fn number(object: &Value, name: &str) -> Checked<Option<u64>> {
    let Some(value) = given(object, name) else {
        return Ok(None);
    };
    value.as_u64().map(Some).ok_or_else(|| not_a(name, value, "integer"))
}

fn time(object: &Value, name: &str) -> Checked<Option<Timestamp>> {
    let Some(text) = text(object, name)? else {
        return Ok(None);
    };
    let at = text.parse().map_err(|_| not_a(name, &Value::String(text), "date-time"))?;
    Ok(Some(at))
}

fn one_of(object: &Value, name: &str, known: &[&str]) -> Checked<Option<String>> {
    let found = text(object, name)?;
    match found.as_deref() {
        Some(word) if !known.contains(&word) => Err(Answer::malformed(&format!(
            "For 'properties/{name}', {word} is not a member of {known:?}."
        ))),
        _ => Ok(found),
    }
}

fn list(object: &Value, name: &str, most: usize) -> Checked<Option<Vec<Value>>> {
    let Some(value) = given(object, name) else {
        return Ok(None);
    };
    let list = value.as_array().ok_or_else(|| not_a(name, value, "array"))?;
    if list.len() > most {
        let many = list.len();
        return Err(Answer::malformed(&format!(
            "No more than {most} items are allowed; {many} were supplied."
        )));
    }
    Ok(Some(list.clone()))
}

fn short(text: Option<&str>, most: usize) -> Checked<()> {
    let length = text.map_or(0, |text| text.chars().count());
    if length > most {
        return Err(Answer::malformed(&format!(
            "Only {most} characters are allowed; {length} were supplied."
        )));
    }
    Ok(())
}

fn not_a(name: &str, value: &Value, kind: &str) -> Box<Answer> {
    Answer::malformed(&format!("For 'properties/{name}', {value} is not a {kind}."))
}
