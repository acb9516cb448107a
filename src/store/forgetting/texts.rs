//! What names somebody in texts: which columns hold texts, and how one is written anew. Of others' texts no more goes than a login.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{super::get, Forgotten, Person, StoreError, Tx};
use crate::domain::for_people;

/// What stands where something of theirs stood.
pub(super) const FORGOTTEN: &str = "(forgotten)";

/// What is text for people in facts, decisions and traces, and so may hold what a requester wrote, or their login.
const FREE_TEXTS: &[&str] = &["found", "reason", "source", "why", "lacks"];

/// By how much of its beginning something is known that is quoted, which may be cut.
const HEAD_CHARS: usize = 30;

/// The rows of their own requests, by `$1`, the user's number.
const OF_THEIR_REQUESTS: &str = "(organization_id, request_id) IN \
    (SELECT organization_id, request_id FROM requests WHERE owner_id = $1)";

const OF_THEIR_TOKENS: &str = "json_extract(planned, '$.owner.id') = $1";

/// Their own answers.
const THEIR_ANSWERS: &str = "user_id = $1";

const NOT_THEIRS: &str = "FALSE";

/// A column with texts that people or we wrote.
struct Column {
    table: &'static str,
    name: &'static str,
    /// In which of its rows we wrote of what they asked for or had, and may have quoted them. Of what others wrote of that, no more
    /// than their login is changed: it is those others' word.
    theirs: &'static str,
    /// Which of its rows are settled: what is still to be sent is sent as it is.
    settled: &'static str,
}

/// Why an answer does not count: we wrote it, of whoever gave the answer. Whoever else had the login is not meant.
const WHY_VOID: Column = column("escalation_votes", "void", THEIR_ANSWERS);

const fn column(table: &'static str, name: &'static str, theirs: &'static str) -> Column {
    Column { table, name, theirs, settled: "TRUE" }
}

const fn sent(table: &'static str, name: &'static str, theirs: &'static str) -> Column {
    Column { table, name, theirs, settled: "state NOT IN ('recorded', 'sent')" }
}

const TEXTS: &[Column] = &[
    sent("effects", "reason", NOT_THEIRS),
    sent("effects", "detail", OF_THEIR_REQUESTS),
    column("reviews", "reason", NOT_THEIRS),
    column("reviews", "override_why", NOT_THEIRS),
    column("requests", "note", OF_THEIR_REQUESTS),
    column("escalations", "note", OF_THEIR_REQUESTS),
    column("escalation_votes", "comment", NOT_THEIRS),
    column("escalation_votes", "void", NOT_THEIRS),
    sent("review_comments", "body", NOT_THEIRS),
    column("revocations", "filter", NOT_THEIRS),
    column("revocations", "reason", NOT_THEIRS),
    column("revocations", "note", NOT_THEIRS),
    column("revocation_items", "why", OF_THEIR_TOKENS),
    column("revocation_items", "selected", OF_THEIR_TOKENS),
    column("holds", "why", NOT_THEIRS),
    column("mails", "subject", NOT_THEIRS),
    column("mails", "text", NOT_THEIRS),
    column("mails", "html", NOT_THEIRS),
    column("mails", "note", NOT_THEIRS),
];

/// Who acted. A login that stands alone may be an account on a machine, or of somebody who has it by now: only with its number
/// it says who is meant.
const ACTORS: &[Column] = &[
    column("requests", "actor", NOT_THEIRS),
    column("reviews", "operator", NOT_THEIRS),
    column("revocations", "planned_by", NOT_THEIRS),
    column("revocations", "confirmed_by", NOT_THEIRS),
    column("holds", "held_by", NOT_THEIRS),
    column("holds", "released_by", NOT_THEIRS),
];

/// What names them, and what stands for it.
pub(super) struct Traces {
    id: i64,
    /// How they were called.
    logins: BTreeSet<String>,
    /// Those of them that nobody else had.
    alone: BTreeSet<String>,
    addresses: BTreeSet<String>,
    /// What they called their tokens, and why they wanted them.
    words: BTreeSet<String>,
    pub(super) pseudonym: String,
    /// In place of the account's number. No account has one like it.
    pub(super) number: i64,
}

impl Tx {
    /// Looked up while the requests still say whose they are.
    pub(super) async fn traces_of(&mut self, person: &Person) -> Result<Traces, StoreError> {
        let mut random = [0u8; 4];
        getrandom::fill(&mut random).map_err(|error| StoreError::Unfit(error.to_string()))?;
        let rows = sqlx::query(
            "SELECT token_name AS word FROM requests WHERE owner_id = $1 \
             UNION SELECT token_name FROM tokens WHERE owner_id = $1 \
             UNION SELECT json_extract(d.request, '$.token.name') FROM decisions d \
               JOIN requests r USING (organization_id, request_id) WHERE r.owner_id = $1 \
             UNION SELECT json_extract(d.request, '$.reason') FROM decisions d \
               JOIN requests r USING (organization_id, request_id) WHERE r.owner_id = $1",
        )
        .bind(person.id.0)
        .fetch_all(&mut *self.inner)
        .await?;
        let mut words = BTreeSet::new();
        for row in &rows {
            let word: Option<String> = get(row, "word")?;
            let word = word.unwrap_or_default();
            words.extend([for_people(&word), word.trim().to_owned()]);
        }
        words.remove("");
        Ok(Traces {
            id: person.id.0,
            logins: person.logins.clone(),
            alone: person.logins.difference(&person.shared).cloned().collect(),
            addresses: person.addresses.clone(),
            words,
            pseudonym: format!("forgotten-{}", hex::encode(random)),
            number: -1 - i64::from(u32::from_be_bytes(random)),
        })
    }

    /// Clears all texts of them. Gives how many were changed.
    pub(super) async fn forget_in_texts(&mut self, traces: &Traces) -> Result<u64, StoreError> {
        let mut changed = 0;
        for column in TEXTS {
            changed += self
                .rewrite(column, traces, |text, theirs| match theirs {
                    true => traces.without_words(&traces.without_names(text)),
                    false => traces.without_names(text),
                })
                .await?;
        }
        changed += self
            .rewrite(&WHY_VOID, traces, |text, theirs| match theirs {
                true => traces.without_any_login(text),
                false => text.to_owned(),
            })
            .await?;
        for column in ACTORS {
            changed += self.rewrite(column, traces, |text, _| traces.without_number(text)).await?;
        }
        Ok(changed)
    }

    async fn rewrite(
        &mut self,
        column: &Column,
        traces: &Traces,
        anew: impl Fn(&str, bool) -> String,
    ) -> Result<u64, StoreError> {
        let Column { table, name, theirs, settled } = column;
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT rowid AS row, {name} AS text, COALESCE({theirs}, FALSE) AS theirs, $1 AS whose FROM {table} \
              WHERE {settled} AND {name} IS NOT NULL AND {name} <> ''"
        )))
        .bind(traces.id)
        .fetch_all(&mut *self.inner)
        .await?;
        let mut changed = 0;
        for row in &rows {
            let text: String = get(row, "text")?;
            let without = anew(&text, get(row, "theirs")?);
            if without != text {
                changed += sqlx::query(sqlx::AssertSqlSafe(format!(
                    "UPDATE {table} SET {name} = $1 WHERE rowid = $2"
                )))
                .bind(without)
                .bind(get::<i64>(row, "row")?)
                .execute(&mut *self.inner)
                .await?
                .rows_affected();
            }
        }
        Ok(changed)
    }

    /// Mails to them, mails about their requests, and their addresses in the others. What is still to be sent is not among them.
    pub(super) async fn forget_mails(
        &mut self,
        traces: &Traces,
        forgotten: &mut Forgotten,
    ) -> Result<(), StoreError> {
        let rows =
            sqlx::query("SELECT rowid AS row, key, recipient FROM mails WHERE state <> 'waiting'")
                .fetch_all(&mut *self.inner)
                .await?;
        for row in &rows {
            let (key, recipient): (String, String) = (get(row, "key")?, get(row, "recipient")?);
            let row: i64 = get(row, "row")?;
            if mailed_to(&key) == Some(traces.id) {
                forgotten.texts += sqlx::query("DELETE FROM mails WHERE rowid = $1")
                    .bind(row)
                    .execute(&mut *self.inner)
                    .await?
                    .rows_affected();
            } else if traces.addresses.contains(&recipient.to_ascii_lowercase()) {
                // By its key it is known that others were told together with them.
                let key = key.strip_suffix(&recipient).unwrap_or(&key);
                forgotten.texts +=
                    sqlx::query("UPDATE mails SET recipient = $1, key = $2 WHERE rowid = $3")
                        .bind(FORGOTTEN)
                        .bind(format!("{key}{}", traces.pseudonym))
                        .bind(row)
                        .execute(&mut *self.inner)
                        .await?
                        .rows_affected();
            }
        }
        forgotten.texts += sqlx::query(
            "UPDATE mails SET subject = $2, text = $2, html = $2 WHERE state <> 'waiting' AND EXISTS \
                (SELECT 1 FROM requests r WHERE r.owner_id = $1 \
                    AND mails.key LIKE 'escalation/' || r.organization_id || '/' || r.request_id || '/%')",
        )
        .bind(traces.id)
        .bind(FORGOTTEN)
        .execute(&mut *self.inner)
        .await?
        .rows_affected();
        Ok(())
    }
}

/// To which account a mail went, where its key says so: `revoked/ORGANIZATION/REVOCATION/USER`, `notice/ORGANIZATION/POLICY/USER/TIME`.
pub(super) fn mailed_to(key: &str) -> Option<i64> {
    let from_the_end = match key.split('/').next()? {
        "revoked" => 0,
        "notice" => 1,
        _ => return None,
    };
    key.rsplit('/').nth(from_the_end)?.parse().ok()
}

impl Traces {
    /// A request or a grant, as GitHub lists them.
    pub(super) fn hide_owner(&self, of: &mut Value) {
        if let Some(owner) = of.get_mut("owner").and_then(Value::as_object_mut) {
            owner.insert("id".to_owned(), self.number.into());
            owner.insert("login".to_owned(), self.pseudonym.clone().into());
        }
        if let Some(token) = of.get_mut("token").and_then(Value::as_object_mut) {
            token.insert("name".to_owned(), FORGOTTEN.into());
        }
    }

    /// In facts, a decision or a trace of theirs, where all else are words of GitHub's, of the rules, and ours.
    pub(super) fn hide_in_texts(&self, within: &mut Value) {
        match within {
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    match value {
                        Value::String(text) if FREE_TEXTS.contains(&name.as_str()) => {
                            *text = self.without_quotes(text);
                        }
                        Value::Array(texts) if FREE_TEXTS.contains(&name.as_str()) => {
                            for text in texts {
                                match text {
                                    Value::String(text) => *text = self.without_quotes(text),
                                    other => self.hide_in_texts(other),
                                }
                            }
                        }
                        other => self.hide_in_texts(other),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.hide_in_texts(value)),
            _ => {}
        }
    }

    /// A text of ours, which may quote what they wrote, and cut it: then the whole text goes.
    fn without_quotes(&self, text: &str) -> String {
        let quotes = |word: &String| {
            let head: String = word.chars().take(HEAD_CHARS).collect();
            let cut = head.len() < word.len();
            has_word(text, &head) || (cut && text.contains(&head))
        };
        if self.words.iter().any(quotes) {
            return FORGOTTEN.to_owned();
        }
        self.without_names(text)
    }

    fn without_words(&self, text: &str) -> String {
        // The longest first: one may be within another.
        let mut words: Vec<&String> = self.words.iter().collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        words.iter().fold(text.to_owned(), |text, word| replaced(&text, word, FORGOTTEN))
    }

    fn without_names(&self, text: &str) -> String {
        let mut text = self.without_number(text);
        for address in &self.addresses {
            text = replaced(&text, address, FORGOTTEN);
        }
        for login in &self.alone {
            text = replaced(&text, login, &self.pseudonym);
        }
        text
    }

    /// A text of which it is known that it is about this account.
    fn without_any_login(&self, text: &str) -> String {
        let hide = |text: String, login: &String| replaced(&text, login, &self.pseudonym);
        self.logins.iter().fold(self.without_number(text), hide)
    }

    /// Without the login that stands with the number of this very account.
    fn without_number(&self, text: &str) -> String {
        let anew = format!("@{} ({})", self.pseudonym, self.number);
        self.logins.iter().fold(text.to_owned(), |text, login| {
            replaced(&text, &format!("@{login} ({})", self.id), &anew)
        })
    }
}

fn replaced(text: &str, word: &str, with: &str) -> String {
    let (mut anew, mut done) = (String::with_capacity(text.len()), 0);
    while let Some((begin, end)) = find_word(text, word, done) {
        anew.push_str(text.get(done..begin).unwrap_or_default());
        anew.push_str(with);
        done = end;
    }
    anew.push_str(text.get(done..).unwrap_or_default());
    anew
}

pub(super) fn has_word(text: &str, word: &str) -> bool {
    find_word(text, word, 0).is_some()
}

/// Where a word stands by itself, in whatever case and not before `from`: `kim` is not in `kimberley`, nor in `forgotten-kim`.
fn find_word(text: &str, word: &str, from: usize) -> Option<(usize, usize)> {
    if word.is_empty() {
        return None;
    }
    let (lower, word) = (text.to_ascii_lowercase(), word.to_ascii_lowercase());
    let of_a_word =
        |character: char| character.is_alphanumeric() || character == '-' || character == '_';
    let found = lower.match_indices(&word).map(|(at, found)| (at, at + found.len()));
    found.filter(|(begin, _)| *begin >= from).find(|(begin, end)| {
        let before = lower.get(..*begin).and_then(|before| before.chars().next_back());
        let after = lower.get(*end..).and_then(|after| after.chars().next());
        !before.is_some_and(of_a_word) && !after.is_some_and(of_a_word)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::{Traces, mailed_to};

    fn traces() -> Traces {
        Traces {
            id: 7,
            logins: BTreeSet::from(["Kim".to_owned()]),
            alone: BTreeSet::from(["Kim".to_owned()]),
            addresses: BTreeSet::from(["k@acme.example".to_owned()]),
            words: BTreeSet::from([
                "deploy".to_owned(),
                "for the nightly build of all the pages".to_owned(),
            ]),
            pseudonym: "forgotten-1".to_owned(),
            number: -1,
        }
    }

    #[test]
    fn a_login_gives_way_where_it_stands_by_itself_and_its_number_with_it() {
        let hidden = |text: &str| traces().without_names(text);
        for (text, expected) in [
            ("GET /memberships/kim", "GET /memberships/forgotten-1"),
            ("KIM, kim and @Kim (7)", "forgotten-1, forgotten-1 and @forgotten-1 (-1)"),
            ("kimberley, kim-2, kim_2 and akim", "kimberley, kim-2, kim_2 and akim"),
            ("K@acme.example refused it", "(forgotten) refused it"),
            ("deploy it", "deploy it"),
        ] {
            assert_eq!(hidden(text), expected);
        }
    }

    #[test]
    fn who_acted_is_known_by_the_number_alone_and_so_is_everybody_under_a_login_that_two_had() {
        let mut shared = traces();
        shared.alone.clear();
        let text = "kim, @kim (77) in x and @kim (7) in y";
        let expected = "kim, @kim (77) in x and @forgotten-1 (-1) in y";
        assert_eq!(traces().without_number(text), expected);
        assert_eq!(shared.without_names(text), expected);
    }

    #[test]
    fn what_they_wrote_goes_from_a_text_about_them_and_takes_a_text_that_quotes_it_with_it() {
        assert_eq!(traces().without_words("a deploy, deployed"), "a (forgotten), deployed");
        let mut trace = json!({"found": "\"for the nightly build of all t…\"", "why": ["kim", "deploy"],
            "rule": "deploy", "reason": "No."});
        traces().hide_in_texts(&mut trace);
        let expected = json!({"found": "(forgotten)", "why": ["forgotten-1", "(forgotten)"],
            "rule": "deploy", "reason": "No."});
        assert_eq!(trace, expected);
    }

    #[test]
    fn a_key_says_to_whom_a_mail_went() {
        assert_eq!(mailed_to("revoked/1/2/7"), Some(7));
        assert_eq!(mailed_to("notice/1/7/9/123"), Some(9));
        assert_eq!(mailed_to("digest/1/x/7"), None);
    }
}
