//! Forgetting a person: what names them goes, and what was decided stays under a pseudonym. Only once nothing about them is under way.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, Tx, get};
use crate::domain::UserId;

/// What stands where something of theirs stood.
const FORGOTTEN: &str = "(forgotten)";

/// What is text for people in facts, decisions and traces, and so may hold what a requester wrote, or their login.
const FREE_TEXTS: &[&str] = &["found", "reason", "source", "why", "lacks"];

/// Texts that may name somebody: where they are, and how one is written anew.
const TEXTS: &[(&str, &str)] = &[
    (
        "SELECT rowid AS row, reason AS text FROM effects",
        "UPDATE effects SET reason = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, detail AS text FROM effects",
        "UPDATE effects SET detail = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, reason AS text FROM reviews",
        "UPDATE reviews SET reason = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, override_why AS text FROM reviews WHERE override_why IS NOT NULL",
        "UPDATE reviews SET override_why = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, operator AS text FROM reviews",
        "UPDATE reviews SET operator = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, note AS text FROM requests",
        "UPDATE requests SET note = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, actor AS text FROM requests WHERE actor IS NOT NULL",
        "UPDATE requests SET actor = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, note AS text FROM escalations",
        "UPDATE escalations SET note = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, comment AS text FROM escalation_votes",
        "UPDATE escalation_votes SET comment = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, body AS text FROM review_comments WHERE state NOT IN ('recorded', 'sent')",
        "UPDATE review_comments SET body = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, filter AS text FROM revocations",
        "UPDATE revocations SET filter = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, reason AS text FROM revocations",
        "UPDATE revocations SET reason = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, note AS text FROM revocations",
        "UPDATE revocations SET note = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, planned_by AS text FROM revocations",
        "UPDATE revocations SET planned_by = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, confirmed_by AS text FROM revocations WHERE confirmed_by IS NOT NULL",
        "UPDATE revocations SET confirmed_by = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, why AS text FROM revocation_items",
        "UPDATE revocation_items SET why = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, selected AS text FROM revocation_items",
        "UPDATE revocation_items SET selected = $1 WHERE rowid = $2",
    ),
    ("SELECT rowid AS row, why AS text FROM holds", "UPDATE holds SET why = $1 WHERE rowid = $2"),
    (
        "SELECT rowid AS row, held_by AS text FROM holds",
        "UPDATE holds SET held_by = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, released_by AS text FROM holds WHERE released_by IS NOT NULL",
        "UPDATE holds SET released_by = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, subject AS text FROM mails WHERE state <> 'waiting'",
        "UPDATE mails SET subject = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, text AS text FROM mails WHERE state <> 'waiting'",
        "UPDATE mails SET text = $1 WHERE rowid = $2",
    ),
    (
        "SELECT rowid AS row, html AS text FROM mails WHERE state <> 'waiting'",
        "UPDATE mails SET html = $1 WHERE rowid = $2",
    ),
];

/// What is under way about them, by `$1`, the user's number; and what to do about it.
const UNDER_WAY: &[(&str, &str)] = &[
    (
        "SELECT COUNT(*) AS n FROM requests WHERE owner_id = $1 AND (state NOT IN ('settled', 'gone') \
            OR due_at IS NOT NULL OR in_doubt IS NOT NULL)",
        "requests that are not over: deny them, or have them cancelled",
    ),
    (
        "SELECT COUNT(*) AS n FROM tokens WHERE owner_id = $1 AND gone_at IS NULL",
        "tokens with access: revoke them, and wait for the next inventory",
    ),
    (
        "SELECT COUNT(*) AS n FROM effects e JOIN requests r USING (organization_id, request_id) \
          WHERE r.owner_id = $1 AND e.state IN ('recorded', 'sent')",
        "calls whose answer is not known: `patwarden serve` finds out",
    ),
    (
        "SELECT COUNT(*) AS n FROM escalations x JOIN requests r USING (organization_id, request_id) \
          WHERE r.owner_id = $1 AND x.ended_at IS NULL",
        "questions to reviewers that have no end: `patwarden serve` ends them with the request",
    ),
    (
        "SELECT COUNT(*) AS n FROM review_issues i JOIN requests r USING (organization_id, request_id) \
          WHERE r.owner_id = $1 AND i.state NOT IN ('closed', 'lost')",
        "issues that are open: `patwarden serve` closes them",
    ),
];

/// Somebody whom the record knows.
#[derive(Clone, Debug, Serialize)]
pub struct Person {
    /// The number of their account.
    pub id: UserId,
    /// What the account was called, as far as the record knows.
    pub logins: BTreeSet<String>,
    /// Whether the last inventory still had them in an organization: the next one would write them down again.
    pub member: bool,
}

/// How much was forgotten, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// What stands for them from now on; another one at each try.
    #[serde(skip)]
    pub pseudonym: String,
    /// Requests, which stay under it.
    pub requests: u64,
    /// Decisions, which stay under it.
    pub decisions: u64,
    /// Answers on issues, which stay under it.
    pub answers: u64,
    /// Tokens in reports of revocations, which stay under it.
    pub reported: u64,
    /// Tokens without access, which go.
    pub tokens: u64,
    /// Memberships and when they ended, which go.
    pub memberships: u64,
    /// Other texts that named them, mails among them.
    pub texts: u64,
    /// Bodies of webhooks, which go.
    pub deliveries: u64,
}

impl Forgotten {
    /// All of it.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.requests
            + self.decisions
            + self.answers
            + self.reported
            + self.tokens
            + self.memberships
            + self.texts
            + self.deliveries
    }
}

/// What is theirs: how they are called, and what they called things.
struct Traces {
    logins: BTreeSet<String>,
    words: BTreeSet<String>,
    pseudonym: String,
    /// In place of the account's number. No account has one like it.
    number: i64,
}

impl Store {
    /// The accounts that had this login, as far as the record knows: more than one, where a login was given up and taken again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn people_called(&self, login: &str) -> Result<Vec<UserId>, StoreError> {
        let rows = sqlx::query(
            "SELECT owner_id AS id FROM requests WHERE owner_login = $1 COLLATE NOCASE \
             UNION SELECT owner_id FROM tokens WHERE owner_login = $1 COLLATE NOCASE \
             UNION SELECT user_id FROM members WHERE login = $1 COLLATE NOCASE \
             UNION SELECT user_id FROM escalation_votes WHERE login = $1 COLLATE NOCASE",
        )
        .bind(login)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok(UserId(get(row, "id")?))).collect()
    }

    /// What the record knows of an account; nothing, where it is unheard of.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn person(&self, id: UserId) -> Result<Option<Person>, StoreError> {
        let rows = sqlx::query(
            "SELECT owner_login AS login, FALSE AS member FROM requests WHERE owner_id = $1 \
             UNION SELECT owner_login, FALSE FROM tokens WHERE owner_id = $1 \
             UNION SELECT login, gone_at IS NULL FROM members WHERE user_id = $1 \
             UNION SELECT login, FALSE FROM escalation_votes WHERE user_id = $1",
        )
        .bind(id.0)
        .fetch_all(&self.readers)
        .await?;
        let mut person = Person { id, logins: BTreeSet::new(), member: false };
        for row in &rows {
            person.logins.insert(get(row, "login")?);
            person.member |= get::<bool>(row, "member")?;
        }
        Ok((!rows.is_empty()).then_some(person))
    }

    /// What is under way about them, each with what to do about it: before that is over, nothing is forgotten.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn under_way(&self, person: &Person) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for (count, what) in UNDER_WAY {
            let row = sqlx::query(*count).bind(person.id.0).fetch_one(&self.readers).await?;
            let count: i64 = get(&row, "n")?;
            if count > 0 {
                found.push(format!("{count} {what}"));
            }
        }
        Ok(found)
    }

    /// What [`Store::forget`] would come to: done, counted, and undone.
    ///
    /// # Errors
    /// As there.
    pub async fn would_forget(&self, person: &Person) -> Result<Forgotten, StoreError> {
        let mut tx = self.begin().await?;
        let mut forgotten = tx.forget(person).await?;
        drop(tx);
        let mut inbox = self.inbox.writer.begin_with("BEGIN IMMEDIATE").await?;
        forgotten.deliveries = delete_deliveries(&mut inbox, self.read_to().await?, person).await?;
        inbox.rollback().await?;
        Ok(forgotten)
    }

    /// Forgets a person: their name, number, names of tokens and reasons give way to a pseudonym; tokens without access, memberships
    /// and webhooks about them are deleted. Deliveries that were not read yet stay until they are old.
    ///
    /// # Errors
    /// When something about them is under way, and when the database refuses; then nothing is forgotten.
    pub async fn forget(&self, person: &Person) -> Result<Forgotten, StoreError> {
        let mut tx = self.begin().await?;
        let mut forgotten = tx.forget(person).await?;
        tx.commit().await?;
        let mut inbox = self.inbox.writer.begin_with("BEGIN IMMEDIATE").await?;
        forgotten.deliveries = delete_deliveries(&mut inbox, self.read_to().await?, person).await?;
        inbox.commit().await?;
        Ok(forgotten)
    }

    async fn read_to(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT value FROM cursors WHERE name = 'deliveries'")
            .fetch_one(&self.readers)
            .await?;
        get(&row, "value")
    }
}

/// The newest one stays, and so does what was not read: see `retention`.
async fn delete_deliveries(
    inbox: &mut sqlx::Transaction<'_, sqlx::Sqlite>,
    read_to: i64,
    person: &Person,
) -> Result<u64, StoreError> {
    let mut deleted = 0;
    for login in &person.logins {
        deleted += sqlx::query(
            "DELETE FROM deliveries WHERE seq <= $1 AND seq < (SELECT MAX(seq) FROM deliveries) \
                AND (instr(lower(CAST(body AS TEXT)), $2) > 0 OR instr(lower(CAST(body AS TEXT)), $3) > 0)",
        )
        .bind(read_to)
        .bind(format!("\"login\":\"{}\"", login.to_ascii_lowercase()))
        .bind(format!("\"login\": \"{}\"", login.to_ascii_lowercase()))
        .execute(&mut **inbox)
        .await?
        .rows_affected();
    }
    Ok(deleted)
}

impl Tx {
    async fn forget(&mut self, person: &Person) -> Result<Forgotten, StoreError> {
        let id = person.id.0;
        for (count, what) in UNDER_WAY {
            let row = sqlx::query(*count).bind(id).fetch_one(&mut *self.inner).await?;
            let count: i64 = get(&row, "n")?;
            if count > 0 {
                return Err(StoreError::Unfit(format!("there are {count} {what}")));
            }
        }
        let traces = self.traces_of(person).await?;
        let mut forgotten =
            Forgotten { pseudonym: traces.pseudonym.clone(), ..Forgotten::default() };
        // While the requests still say whose they are.
        forgotten.decisions = self.forget_decisions(id, &traces).await?;
        forgotten.reported = self.forget_reports(id, &traces).await?;
        forgotten.texts = self.forget_mails_to(id).await?;
        forgotten.requests = sqlx::query(
            "UPDATE requests SET owner_id = $2, owner_login = $3, token_name = $4, listed = NULL WHERE owner_id = $1",
        )
        .bind(id)
        .bind(traces.number)
        .bind(&traces.pseudonym)
        .bind(FORGOTTEN)
        .execute(&mut *self.inner)
        .await?
        .rows_affected();
        forgotten.answers =
            sqlx::query("UPDATE escalation_votes SET user_id = $2, login = $3 WHERE user_id = $1")
                .bind(id)
                .bind(traces.number)
                .bind(&traces.pseudonym)
                .execute(&mut *self.inner)
                .await?
                .rows_affected();
        for statement in [
            "DELETE FROM token_events WHERE (organization_id, grant_id) IN \
                 (SELECT organization_id, grant_id FROM tokens WHERE owner_id = $1)",
            "DELETE FROM notices WHERE (organization_id, grant_id) IN \
                 (SELECT organization_id, grant_id FROM tokens WHERE owner_id = $1)",
        ] {
            sqlx::query(statement).bind(id).execute(&mut *self.inner).await?;
        }
        forgotten.tokens = sqlx::query("DELETE FROM tokens WHERE owner_id = $1")
            .bind(id)
            .execute(&mut *self.inner)
            .await?
            .rows_affected();
        for statement in [
            "DELETE FROM members WHERE user_id = $1",
            "DELETE FROM departures WHERE user_id = $1",
            "DELETE FROM team_members WHERE user_id = $1",
        ] {
            forgotten.memberships +=
                sqlx::query(statement).bind(id).execute(&mut *self.inner).await?.rows_affected();
        }
        for (look, write) in TEXTS {
            forgotten.texts += self.forget_texts(look, write, &traces).await?;
        }
        Ok(forgotten)
    }

    async fn traces_of(&mut self, person: &Person) -> Result<Traces, StoreError> {
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
        let words = rows
            .iter()
            .map(|row| get::<Option<String>>(row, "word"))
            .collect::<Result<Vec<_>, StoreError>>()?;
        let words = words.into_iter().flatten().filter(|word| !word.trim().is_empty());
        Ok(Traces {
            logins: person.logins.clone(),
            words: words.collect(),
            pseudonym: format!("forgotten-{}", hex::encode(random)),
            number: -1 - i64::from(u32::from_be_bytes(random)),
        })
    }

    /// What was asked for, decided and why stays; who asked, how they called the token and why they wanted it goes.
    async fn forget_decisions(&mut self, id: i64, traces: &Traces) -> Result<u64, StoreError> {
        let rows = sqlx::query(
            "SELECT d.id, d.request, d.facts, d.decision, d.trace FROM decisions d \
               JOIN requests r USING (organization_id, request_id) WHERE r.owner_id = $1",
        )
        .bind(id)
        .fetch_all(&mut *self.inner)
        .await?;
        for row in &rows {
            let mut request = json_of(row, "request")?;
            traces.hide_owner(&mut request);
            if let Some(reason) = request.get_mut("reason").filter(|reason| !reason.is_null()) {
                *reason = FORGOTTEN.into();
            }
            let without = |column| {
                let mut value = json_of(row, column)?;
                traces.hide_in_texts(&mut value);
                Ok::<_, StoreError>(value.to_string())
            };
            let (facts, decision, trace) =
                (without("facts")?, without("decision")?, without("trace")?);
            sqlx::query(
                "UPDATE decisions SET request = $1, facts = $2, decision = $3, trace = $4 WHERE id = $5",
            )
            .bind(request.to_string())
            .bind(facts)
            .bind(decision)
            .bind(trace)
            .bind(get::<i64>(row, "id")?)
            .execute(&mut *self.inner)
            .await?;
        }
        Ok(rows.len() as u64)
    }

    async fn forget_reports(&mut self, id: i64, traces: &Traces) -> Result<u64, StoreError> {
        let rows = sqlx::query(
            "SELECT rowid AS row, planned FROM revocation_items WHERE json_extract(planned, '$.owner.id') = $1",
        )
        .bind(id)
        .fetch_all(&mut *self.inner)
        .await?;
        for row in &rows {
            let mut planned = json_of(row, "planned")?;
            traces.hide_owner(&mut planned);
            sqlx::query(
                "UPDATE revocation_items SET owner_login = $1, token_name = $2, planned = $3 WHERE rowid = $4",
            )
            .bind(&traces.pseudonym)
            .bind(FORGOTTEN)
            .bind(planned.to_string())
            .bind(get::<i64>(row, "row")?)
            .execute(&mut *self.inner)
            .await?;
        }
        Ok(rows.len() as u64)
    }

    /// Addresses to which they were told of their tokens.
    async fn forget_mails_to(&mut self, id: i64) -> Result<u64, StoreError> {
        Ok(sqlx::query(
            "UPDATE mails SET recipient = $2 WHERE state <> 'waiting' AND recipient <> $2 \
                AND (key LIKE 'revoked/%/' || $1 OR key IN (SELECT n.mail FROM notices n \
                    JOIN tokens t USING (organization_id, grant_id) WHERE t.owner_id = $1 AND n.mail IS NOT NULL))",
        )
        .bind(id)
        .bind(FORGOTTEN)
        .execute(&mut *self.inner)
        .await?
        .rows_affected())
    }

    async fn forget_texts(
        &mut self,
        look: &'static str,
        write: &'static str,
        traces: &Traces,
    ) -> Result<u64, StoreError> {
        let rows = sqlx::query(look).fetch_all(&mut *self.inner).await?;
        let mut changed = 0;
        for row in &rows {
            if let Some(text) = traces.hidden(&get::<String>(row, "text")?) {
                changed += sqlx::query(write)
                    .bind(text)
                    .bind(get::<i64>(row, "row")?)
                    .execute(&mut *self.inner)
                    .await?
                    .rows_affected();
            }
        }
        Ok(changed)
    }
}

fn json_of(row: &SqliteRow, column: &str) -> Result<Value, StoreError> {
    super::from_json(&get::<String>(row, column)?)
}

impl Traces {
    /// A request or a grant, as GitHub lists them.
    fn hide_owner(&self, of: &mut Value) {
        if let Some(owner) = of.get_mut("owner").and_then(Value::as_object_mut) {
            owner.insert("id".to_owned(), self.number.into());
            owner.insert("login".to_owned(), self.pseudonym.clone().into());
        }
        if let Some(token) = of.get_mut("token").and_then(Value::as_object_mut) {
            token.insert("name".to_owned(), FORGOTTEN.into());
        }
    }

    fn hide_in(&self, text: &mut String) {
        if let Some(hidden) = self.hidden(text) {
            *text = hidden;
        }
    }

    /// In facts, a decision or a trace, where all else are words of GitHub's, of the rules, and ours.
    fn hide_in_texts(&self, within: &mut Value) {
        match within {
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    match value {
                        Value::String(text) if FREE_TEXTS.contains(&name.as_str()) => {
                            self.hide_in(text);
                        }
                        Value::Array(texts) if FREE_TEXTS.contains(&name.as_str()) => {
                            let texts = texts.iter_mut().filter_map(|text| match text {
                                Value::String(text) => Some(text),
                                _ => None,
                            });
                            texts.for_each(|text| self.hide_in(text));
                        }
                        other => self.hide_in_texts(other),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.hide_in_texts(value)),
            _ => {}
        }
    }

    /// A text without them; nothing, where they are not in it. What they wrote takes the whole text with it: it may be cut or
    /// quoted in any way.
    fn hidden(&self, text: &str) -> Option<String> {
        if self.words.iter().any(|word| has_word(text, word)) {
            return Some(FORGOTTEN.to_owned());
        }
        let mut hidden = text.to_owned();
        for login in &self.logins {
            while let Some((begin, end)) = find_word(&hidden, login) {
                hidden.replace_range(begin..end, &self.pseudonym);
            }
        }
        (hidden != text).then_some(hidden)
    }
}

fn has_word(text: &str, word: &str) -> bool {
    find_word(text, word).is_some()
}

/// Where a word stands by itself, in whatever case: `kim` is not in `kimberley`, nor in `forgotten-kim`.
fn find_word(text: &str, word: &str) -> Option<(usize, usize)> {
    if word.is_empty() {
        return None;
    }
    let (lower, word) = (text.to_ascii_lowercase(), word.to_ascii_lowercase());
    let of_a_word = |character: char| character.is_alphanumeric() || character == '-';
    lower.match_indices(&word).map(|(at, found)| (at, at + found.len())).find(|(begin, end)| {
        let before = lower.get(..*begin).and_then(|before| before.chars().next_back());
        let after = lower.get(*end..).and_then(|after| after.chars().next());
        !before.is_some_and(of_a_word) && !after.is_some_and(of_a_word)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Traces;

    #[test]
    fn a_login_gives_way_where_it_stands_by_itself_and_what_somebody_wrote_takes_the_text_with_it()
    {
        let traces = Traces {
            logins: BTreeSet::from(["Kim".to_owned()]),
            words: BTreeSet::from(["deploy".to_owned()]),
            pseudonym: "forgotten-1".to_owned(),
            number: -1,
        };
        let hidden = |text: &str| traces.hidden(text).unwrap_or_else(|| text.to_owned());
        assert_eq!(
            hidden("GET /orgs/acme/memberships/kim"),
            "GET /orgs/acme/memberships/forgotten-1"
        );
        assert_eq!(hidden("operator KIM@host, kim"), "operator forgotten-1@host, forgotten-1");
        assert_eq!(hidden("kimberley, kim-2 and akim"), "kimberley, kim-2 and akim");
        assert_eq!(hidden("the name is `deploy`"), "(forgotten)");
        assert_eq!(hidden("deployments=read"), "deployments=read");
    }
}
