//! Forgetting a person: what names them goes, and what was decided stays under a pseudonym. Only once nothing about them is under way.

mod texts;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;

use self::texts::{FORGOTTEN, Traces, has_word, mailed_to};
use super::{RequestKey, Store, StoreError, Tx, get};
use crate::domain::{OrganizationId, RequestId, UserId, many};

/// What is under way about them, by `$1`, the user's number; what it is that is counted, and what to do about it. Where the App
/// was removed nothing is: see [`OPEN_WHERE_REMOVED`].
const UNDER_WAY: &[(&str, &str, &str)] = &[
    (
        "SELECT COUNT(*) AS n FROM requests JOIN installations USING (organization_id) WHERE owner_id = $1 \
            AND (state NOT IN ('settled', 'gone') OR due_at IS NOT NULL OR in_doubt IS NOT NULL)",
        "request",
        "not over yet: deny, or have it cancelled",
    ),
    (
        "SELECT COUNT(*) AS n FROM tokens JOIN installations USING (organization_id) WHERE owner_id = $1 AND gone_at IS NULL",
        "token",
        "with access: revoke, and wait for the next inventory",
    ),
    (
        // A list says of a token that it has no access once it began after the request was over, lagging as GitHub's lists do.
        "SELECT COUNT(*) AS n FROM requests r JOIN installations USING (organization_id) \
          WHERE r.owner_id = $1 AND COALESCE(r.outcome, '') NOT IN ('denied', 'cancelled') \
            AND NOT EXISTS (SELECT 1 FROM tokens t WHERE t.organization_id = r.organization_id AND t.token_id = r.token_id) \
            AND NOT EXISTS (SELECT 1 FROM token_listings l WHERE l.organization_id = r.organization_id \
                AND l.unreadable = 0 AND l.began_at > r.state_since + 60000)",
        "request",
        "by which a token may have access that is on no list yet: list the tokens first, a minute after the approval: \
         `patwarden tokens list --org ORG --refresh`",
    ),
    (
        "SELECT COUNT(*) AS n FROM effects e JOIN requests r USING (organization_id, request_id) \
            JOIN installations USING (organization_id) WHERE r.owner_id = $1 AND e.state IN ('recorded', 'sent')",
        "call",
        "without a known answer: `patwarden serve` finds out",
    ),
    (
        "SELECT COUNT(*) AS n FROM escalations x JOIN requests r USING (organization_id, request_id) \
            JOIN installations USING (organization_id) WHERE r.owner_id = $1 AND x.ended_at IS NULL",
        "question",
        "to reviewers without an end: `patwarden serve` ends it with the request",
    ),
    (
        "SELECT COUNT(*) AS n FROM review_issues i JOIN installations USING (organization_id) \
            LEFT JOIN requests r USING (organization_id, request_id) WHERE (r.owner_id = $1 OR i.owner_id = $1) AND i.state NOT IN ('closed', 'lost')",
        "open issue",
        "of reviewers: `patwarden serve` closes it",
    ),
    (
        "SELECT COUNT(*) AS n FROM mails WHERE state = 'waiting' AND (key GLOB 'revoked/*/' || $1 OR key GLOB 'notice/*/' || $1 || '/*' \
            OR EXISTS (SELECT 1 FROM requests r WHERE r.owner_id = $1 \
                AND key LIKE 'escalation/' || r.organization_id || '/' || r.request_id || '/%'))",
        "mail",
        "not sent yet: `patwarden serve` does",
    ),
];

/// Requests of theirs that are open in some way where the App was removed, by `$1`, the user's number: nothing more comes of them. They
/// are not kept under a pseudonym: where the App is installed again, the same request is found again, and is its requester's.
const OPEN_WHERE_REMOVED: &str = "SELECT r.organization_id, r.request_id FROM requests r WHERE r.owner_id = $1 \
    AND NOT EXISTS (SELECT 1 FROM installations i WHERE i.organization_id = r.organization_id) \
    AND (r.state NOT IN ('settled', 'gone') OR r.due_at IS NOT NULL OR r.in_doubt IS NOT NULL \
        OR EXISTS (SELECT 1 FROM effects e WHERE e.organization_id = r.organization_id AND e.request_id = r.request_id \
            AND e.state IN ('recorded', 'sent')) \
        OR EXISTS (SELECT 1 FROM escalations x WHERE x.organization_id = r.organization_id AND x.request_id = r.request_id \
            AND x.ended_at IS NULL) \
        OR EXISTS (SELECT 1 FROM review_issues i WHERE i.organization_id = r.organization_id AND i.request_id = r.request_id \
            AND i.state NOT IN ('closed', 'lost')))";

/// Somebody whom the record knows.
#[derive(Clone, Debug, Serialize)]
pub struct Person {
    /// The number of their account.
    pub id: UserId,
    /// What the account was called, as far as the record knows.
    pub logins: BTreeSet<String>,
    /// Those of them that other accounts had too: where one stands without a number, nobody knows who is meant.
    pub shared: BTreeSet<String>,
    /// Where mails to them went, in small letters, and nobody else's.
    pub addresses: BTreeSet<String>,
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
    /// Rows of requests that were open where the App was removed, which go.
    pub given_up: u64,
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
    /// Other rows with texts that named them, or their number: mails, answers that did not count.
    pub texts: u64,
    /// Bodies of webhooks, which go.
    pub deliveries: u64,
}

impl Forgotten {
    /// All of it.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.requests
            + self.given_up
            + self.decisions
            + self.answers
            + self.reported
            + self.tokens
            + self.memberships
            + self.texts
            + self.deliveries
    }
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
             UNION SELECT user_id FROM escalation_votes WHERE login = $1 COLLATE NOCASE \
             UNION SELECT json_extract(planned, '$.owner.id') FROM revocation_items WHERE owner_login = $1 COLLATE NOCASE",
        )
        .bind(login)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok(UserId(get(row, "id")?))).collect()
    }

    /// What the record knows of an account; nothing, where it is unheard of. Of somebody who only commented it knows no login.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn person(&self, id: UserId) -> Result<Option<Person>, StoreError> {
        let rows = sqlx::query(
            "SELECT owner_login AS login, FALSE AS member FROM requests WHERE owner_id = $1 \
             UNION SELECT owner_login, FALSE FROM tokens WHERE owner_id = $1 \
             UNION SELECT login, gone_at IS NULL FROM members WHERE user_id = $1 \
             UNION SELECT login, FALSE FROM escalation_votes WHERE user_id = $1 \
             UNION SELECT owner_login, FALSE FROM revocation_items WHERE json_extract(planned, '$.owner.id') = $1 \
             UNION SELECT NULL, FALSE FROM review_remarks WHERE user_id = $1 AND user_id <> 0 \
             UNION SELECT NULL, FALSE FROM review_issues WHERE owner_id = $1 \
             UNION SELECT NULL, FALSE FROM departures WHERE user_id = $1 \
             UNION SELECT NULL, FALSE FROM team_members WHERE user_id = $1",
        )
        .bind(id.0)
        .fetch_all(&self.readers)
        .await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut person = Person {
            id,
            logins: BTreeSet::new(),
            shared: BTreeSet::new(),
            addresses: BTreeSet::new(),
            member: false,
        };
        for row in &rows {
            person.logins.extend(get::<Option<String>>(row, "login")?);
            person.member |= get::<bool>(row, "member")?;
        }
        for login in &person.logins {
            if self.people_called(login).await?.iter().any(|other| *other != id) {
                person.shared.insert(login.clone());
            }
        }
        let mails = sqlx::query(
            "SELECT key, recipient FROM mails WHERE key GLOB 'revoked/*' OR key GLOB 'notice/*'",
        )
        .fetch_all(&self.readers)
        .await?;
        let mut others = BTreeSet::new();
        for mail in &mails {
            let address = get::<String>(mail, "recipient")?.to_ascii_lowercase();
            match mailed_to(&get::<String>(mail, "key")?) {
                Some(to) if to == id.0 => person.addresses.insert(address),
                _ => others.insert(address),
            };
        }
        person.addresses.retain(|address| !others.contains(address));
        Ok(Some(person))
    }

    /// What is under way about them, each with what to do about it: before that is over, nothing is forgotten.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn under_way(&self, person: &Person) -> Result<Vec<String>, StoreError> {
        self.begin().await?.under_way(person).await
    }

    /// What [`Store::forget`] would come to: done, counted, and undone.
    ///
    /// # Errors
    /// As there.
    pub async fn would_forget(&self, person: &Person) -> Result<Forgotten, StoreError> {
        let deliveries = self.deliveries_about(person).await?.len() as u64;
        let forgotten = self.begin().await?.forget(person).await?;
        Ok(Forgotten { deliveries, ..forgotten })
    }

    /// Forgets a person: their name, number, names of tokens and reasons give way to a pseudonym; tokens without access, memberships
    /// and webhooks about them are deleted. Deliveries that were not read yet stay until they are old. Of what others said or
    /// decided, no more is changed than their login, and that only where nobody else had it.
    ///
    /// # Errors
    /// When something about them is under way, and when the database refuses; then nothing is forgotten.
    pub async fn forget(&self, person: &Person) -> Result<Forgotten, StoreError> {
        let mut tx = self.begin().await?;
        let mut forgotten = tx.forget(person).await?;
        tx.commit().await?;
        for seq in self.deliveries_about(person).await? {
            forgotten.deliveries += sqlx::query("DELETE FROM deliveries WHERE seq = $1")
                .bind(seq)
                .execute(&self.inbox.writer)
                .await?
                .rows_affected();
        }
        Ok(forgotten)
    }

    /// The deliveries that name their account by its number, or have a login that only they had in any text. The newest one stays, and so does
    /// what was not read: see `retention`.
    async fn deliveries_about(&self, person: &Person) -> Result<Vec<i64>, StoreError> {
        let read = sqlx::query("SELECT value FROM cursors WHERE name = 'deliveries'")
            .fetch_one(&self.readers)
            .await?;
        let read: i64 = get(&read, "value")?;
        let mut about = BTreeSet::new();
        // Whoever has a login and this number is an account, whatever else has the number.
        let by_number = sqlx::query(
            "WITH known AS (SELECT seq, CAST(body AS TEXT) AS body FROM deliveries \
                 WHERE seq <= $1 AND seq < (SELECT MAX(seq) FROM deliveries)) \
             SELECT seq FROM known WHERE instr(body, $2) > 0 AND CASE WHEN json_valid(body) THEN EXISTS \
                 (SELECT 1 FROM json_tree(known.body) part WHERE CASE part.type WHEN 'object' \
                     THEN json_extract(part.value, '$.id') = $2 AND json_extract(part.value, '$.login') IS NOT NULL \
                     ELSE FALSE END) \
                 ELSE FALSE END",
        )
        .bind(read)
        .bind(person.id.0)
        .fetch_all(&self.inbox.readers)
        .await?;
        for row in &by_number {
            about.insert(get(row, "seq")?);
        }
        for login in person.logins.difference(&person.shared) {
            let may_name = sqlx::query(
                "SELECT seq FROM deliveries WHERE seq <= $1 AND seq < (SELECT MAX(seq) FROM deliveries) \
                    AND instr(lower(CAST(body AS TEXT)), $2) > 0",
            )
            .bind(read)
            .bind(login.to_ascii_lowercase())
            .fetch_all(&self.inbox.readers)
            .await?;
            // One at a time: a body may have 25 MiB.
            for row in &may_name {
                let seq: i64 = get(row, "seq")?;
                let row = sqlx::query("SELECT body FROM deliveries WHERE seq = $1")
                    .bind(seq)
                    .fetch_optional(&self.inbox.readers)
                    .await?;
                let body = row.map(|row| get::<Vec<u8>>(&row, "body")).transpose()?;
                if body.is_some_and(|body| has_word(&String::from_utf8_lossy(&body), login)) {
                    about.insert(seq);
                }
            }
        }
        Ok(about.into_iter().collect())
    }
}

impl Tx {
    async fn under_way(&mut self, person: &Person) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for (sql, what, then) in UNDER_WAY {
            let row = sqlx::query(*sql).bind(person.id.0).fetch_one(&mut *self.inner).await?;
            let count: i64 = get(&row, "n")?;
            if count > 0 {
                found.push(format!("{} {then}", many(count, what)));
            }
        }
        // A digest, or whatever else goes to them: by its key nobody knows that it does.
        let waiting = sqlx::query("SELECT key, recipient FROM mails WHERE state = 'waiting'")
            .fetch_all(&mut *self.inner)
            .await?;
        let mut to_them = 0;
        for row in &waiting {
            let counted = mailed_to(&get::<String>(row, "key")?) == Some(person.id.0);
            let address = get::<String>(row, "recipient")?.to_ascii_lowercase();
            to_them += usize::from(!counted && person.addresses.contains(&address));
        }
        if to_them > 0 {
            found.push(format!(
                "{} to their address not sent yet: `patwarden serve` sends it",
                many(to_them, "mail")
            ));
        }
        Ok(found)
    }

    async fn forget(&mut self, person: &Person) -> Result<Forgotten, StoreError> {
        let under_way = self.under_way(person).await?;
        if !under_way.is_empty() {
            return Err(StoreError::Unfit(format!("under way: {}", under_way.join("; "))));
        }
        let id = person.id.0;
        let traces = self.traces_of(person).await?;
        let mut forgotten =
            Forgotten { pseudonym: traces.pseudonym.clone(), ..Forgotten::default() };
        // While requests, issues and tokens still say whose they are.
        self.forget_mails(&traces, &mut forgotten).await?;
        forgotten.given_up = self.give_up_where_removed(id).await?;
        forgotten.texts += self.forget_in_texts(&traces).await?;
        forgotten.decisions = self.forget_decisions(id, &traces).await?;
        forgotten.reported = self.forget_reports(id, &traces).await?;
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
        for statement in [
            "UPDATE review_remarks SET user_id = $2 WHERE user_id = $1",
            "UPDATE review_issues SET owner_id = $2 WHERE owner_id = $1",
        ] {
            forgotten.texts += sqlx::query(statement)
                .bind(id)
                .bind(traces.number)
                .execute(&mut *self.inner)
                .await?
                .rows_affected();
        }
        Ok(forgotten)
    }

    /// What is open where the App was removed goes as a whole. Gives how many rows.
    async fn give_up_where_removed(&mut self, id: i64) -> Result<u64, StoreError> {
        let open = sqlx::query(OPEN_WHERE_REMOVED).bind(id).fetch_all(&mut *self.inner).await?;
        let mut deleted = 0;
        for row in &open {
            let key = RequestKey {
                organization: OrganizationId(get(row, "organization_id")?),
                request: RequestId(get(row, "request_id")?),
            };
            deleted += self.delete_request(key, i64::MAX).await?;
        }
        // A list of many of their requests.
        for statement in [
            "UPDATE review_comments SET state = 'void' WHERE state IN ('recorded', 'sent') AND issue_id IN \
                 (SELECT id FROM review_issues WHERE owner_id = $1 \
                     AND organization_id NOT IN (SELECT organization_id FROM installations))",
            "UPDATE review_issues SET state = 'lost' WHERE owner_id = $1 AND state NOT IN ('closed', 'lost') \
                 AND organization_id NOT IN (SELECT organization_id FROM installations)",
        ] {
            sqlx::query(statement).bind(id).execute(&mut *self.inner).await?;
        }
        Ok(deleted)
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
}

fn json_of(row: &SqliteRow, column: &str) -> Result<Value, StoreError> {
    super::from_json(&get::<String>(row, column)?)
}
