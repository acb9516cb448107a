//! Every token that was ever listed with access to an organization, who approved it, and what happened to it since.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, Tx, from_json, get, json, time, time_if_any};
use crate::{
    domain::{
        Approval, Coverage, Covered, Grant, GrantId, KnownToken, Login, Membership, Organization,
        OrganizationId, Owner, Permissions, Repository, RepositorySelection, RequestId,
        RequestedToken, Role, TokenId, UserId,
    },
    rules::{Decision, Effect},
};

/// An approval that our record has counts for the access that a token has, unless that was given so much later.
const GRANTED_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// With each token: whether its owner is a member, and the request of it that was approved last.
pub(super) const KNOWN_COLUMNS: &str = "t.*, i.login AS organization_login, \
        m.role AS member_role, m.gone_at AS member_gone_at, l.ended_at AS members_listed_at, \
        r.request_id AS approved_request, r.settled_by AS approved_by, r.actor AS approved_actor, \
        r.state_since AS approved_at, d.id AS decision_id, d.decision AS decision, \
        d.policy_source AS policy_source";

/// Where those come from.
pub(super) const KNOWN_FROM: &str = "FROM tokens t \
   LEFT JOIN installations i ON i.organization_id = t.organization_id \
   LEFT JOIN members m ON m.organization_id = t.organization_id AND m.user_id = t.owner_id \
   LEFT JOIN member_listings l ON l.organization_id = t.organization_id \
   LEFT JOIN requests r ON r.organization_id = t.organization_id AND r.request_id = \
        (SELECT q.request_id FROM requests q WHERE q.organization_id = t.organization_id \
            AND q.token_id = t.token_id AND (q.outcome = 'approved' OR q.state = 'checking') \
          ORDER BY q.state_since DESC LIMIT 1) \
   LEFT JOIN decisions d ON d.id = r.decision_id";

/// What happened to a token's access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenEventKind {
    /// A list showed it for the first time.
    FirstSeen,
    /// A list showed it otherwise than before: what it may do, when it expires, when access was granted.
    Changed,
    /// It has no access any more.
    Gone,
    /// It has access again.
    Back,
}

/// One thing that happened to a token's access.
#[derive(Clone, Debug, Serialize)]
pub struct TokenEventRow {
    /// When it was noticed.
    pub at: Timestamp,
    /// What.
    pub what: TokenEventKind,
    /// What changed, field by field: `[before, after]`.
    pub detail: serde_json::Map<String, serde_json::Value>,
}

/// The last time that all tokens of an organization were listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenListingRow {
    /// When the first page was asked for.
    pub began_at: Timestamp,
    /// When the last was kept.
    pub ended_at: Timestamp,
    /// How many tokens had access.
    pub active: i64,
    /// How many calls it took.
    pub calls: i64,
    /// Rows that could not be read: nothing is known of those tokens.
    pub unreadable: i64,
}

impl TokenEventKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::FirstSeen => "first-seen",
            Self::Changed => "changed",
            Self::Gone => "gone",
            Self::Back => "back",
        }
    }

    fn read(word: &str) -> Result<Self, StoreError> {
        match word {
            "first-seen" => Ok(Self::FirstSeen),
            "changed" => Ok(Self::Changed),
            "gone" => Ok(Self::Gone),
            "back" => Ok(Self::Back),
            other => Err(StoreError::Unreadable(format!("a token event `{other}`"))),
        }
    }
}

fn read_grant(row: &SqliteRow, organization: &Organization) -> Result<Grant, StoreError> {
    let selection = match get::<String>(row, "repository_selection")?.as_str() {
        "none" => RepositorySelection::None,
        "all" => RepositorySelection::All,
        "subset" => RepositorySelection::Subset,
        other => return Err(StoreError::Unreadable(format!("a repository selection `{other}`"))),
    };
    Ok(Grant {
        id: GrantId(get(row, "grant_id")?),
        organization: organization.clone(),
        owner: Owner {
            id: UserId(get(row, "owner_id")?),
            login: Login::new(get::<String>(row, "owner_login")?),
        },
        token: RequestedToken {
            id: TokenId(get(row, "token_id")?),
            name: get(row, "token_name")?,
            expired: get(row, "expired")?,
            expires_at: time_if_any(row, "expires_at")?,
            last_used_at: time_if_any(row, "last_used_at")?,
        },
        repository_selection: selection,
        permissions: from_json::<Permissions>(&get::<String>(row, "permissions")?)?,
        access_granted_at: time(row, "access_granted_at")?,
    })
}

pub(super) fn read_known(row: &SqliteRow) -> Result<KnownToken, StoreError> {
    let organization = Organization {
        id: OrganizationId(get(row, "organization_id")?),
        login: Login::new(get::<Option<String>>(row, "organization_login")?.unwrap_or_default()),
    };
    let grant = read_grant(row, &organization)?;
    let membership = membership(row, &grant)?;
    let of = get::<Option<i64>>(row, "repositories_of")?;
    let repositories = get::<Option<String>>(row, "repositories")?
        .filter(|_| of == Some(grant.access_granted_at.as_millisecond()))
        .map(|text| from_json::<Vec<Repository>>(&text))
        .transpose()?;
    Ok(KnownToken {
        first_seen_at: time(row, "first_seen_at")?,
        gone_at: time_if_any(row, "gone_at")?,
        approval: approval(row, &grant, membership)?,
        coverage: coverage(row)?,
        membership,
        repositories,
        grant,
    })
}

fn membership(row: &SqliteRow, grant: &Grant) -> Result<Membership, StoreError> {
    let role = match get::<Option<String>>(row, "member_role")?.as_deref() {
        Some("owner") => Some(Role::Owner),
        Some("member") => Some(Role::Member),
        Some("billing_manager") => Some(Role::BillingManager),
        _ => None,
    };
    let left = time_if_any(row, "member_gone_at")?;
    let listed_at = time_if_any(row, "members_listed_at")?;
    Ok(match (role, left, listed_at) {
        (_, _, None) => Membership::Unknown,
        (_, Some(since), _) => Membership::Left { since: Some(since) },
        (Some(role), None, _) => Membership::Member(role),
        // Never on a list: one that is older than the token's access says nothing of its owner.
        (None, None, Some(listed)) if listed > grant.access_granted_at => {
            Membership::Left { since: None }
        }
        (None, None, Some(_)) => Membership::Unknown,
    })
}

fn approval(
    row: &SqliteRow,
    grant: &Grant,
    membership: Membership,
) -> Result<Approval, StoreError> {
    let nobody = if membership == Membership::Member(Role::Owner) {
        Approval::Itself
    } else {
        Approval::Unknown
    };
    let (Some(request), Some(at)) =
        (get::<Option<i64>>(row, "approved_request")?, time_if_any(row, "approved_at")?)
    else {
        return Ok(nobody);
    };
    if grant.access_granted_at.duration_since(at) > GRANTED_WITHIN {
        // It was given access again since, and not through what is on record.
        return Ok(Approval::Unknown);
    }
    let request = RequestId(request);
    let actor = get::<Option<String>>(row, "approved_actor")?.unwrap_or_default();
    // While the access of an approval of ours is being compared, nobody has settled it yet.
    let by = get::<Option<String>>(row, "approved_by")?;
    Ok(match by.as_deref() {
        None | Some("rule") => {
            let (Some(decision), Some(text)) =
                (get::<Option<i64>>(row, "decision_id")?, get::<Option<String>>(row, "decision")?)
            else {
                return Ok(Approval::Unknown);
            };
            let said = from_json::<Decision>(&text)?;
            if said.effect != Effect::Approve {
                // An operator's word, whose access is being compared.
                return Ok(Approval::Unknown);
            }
            let rules = said.by;
            let source = get::<Option<String>>(row, "policy_source")?.unwrap_or_default();
            let rules = rules.iter().map(ToString::to_string).collect();
            Approval::Rule { rules, decision, request, source, at }
        }
        Some("person" | "operator" | "reviewers") => Approval::Person { login: actor, request, at },
        Some("app") => Approval::App { login: actor, request, at },
        Some(_) => nobody,
    })
}

fn coverage(row: &SqliteRow) -> Result<Option<Coverage>, StoreError> {
    let covered = match get::<Option<String>>(row, "covered")?.as_deref() {
        Some("yes") => Covered::Yes,
        Some("no") => Covered::No,
        Some("unknown") => Covered::Unknown,
        _ => return Ok(None),
    };
    let why = get::<Option<String>>(row, "covered_why")?.unwrap_or_default();
    let judged_at = time_if_any(row, "covered_at")?;
    Ok(judged_at.map(|judged_at| Coverage { covered, why, judged_at }))
}

impl Store {
    /// Tokens of an organization after this grant, in the order of their grants: at most so many. Those that have no
    /// access any more only where `gone` is asked for.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tokens(
        &self,
        organization: OrganizationId,
        after: GrantId,
        gone: Gone,
        limit: i64,
    ) -> Result<Vec<KnownToken>, StoreError> {
        let which = match gone {
            Gone::Without => "AND t.gone_at IS NULL",
            Gone::With => "",
        };
        let statement = format!(
            "SELECT {KNOWN_COLUMNS} {KNOWN_FROM} WHERE t.organization_id = $1 AND t.grant_id > $2 {which} \
             ORDER BY t.grant_id LIMIT $3"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(organization.0)
            .bind(after.0)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(read_known).collect()
    }

    /// Every token, of one organization or of any, whose grant or which itself has this number.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tokens_numbered(
        &self,
        id: i64,
        organization: Option<OrganizationId>,
    ) -> Result<Vec<KnownToken>, StoreError> {
        let statement = format!(
            "SELECT {KNOWN_COLUMNS} {KNOWN_FROM} WHERE (t.grant_id = $1 OR t.token_id = $1) \
                AND ($2 IS NULL OR t.organization_id = $2) ORDER BY t.organization_id, t.grant_id LIMIT 20"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(id)
            .bind(organization.map(|organization| organization.0))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(read_known).collect()
    }

    /// How many tokens of an organization have access, as listed last.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn count_tokens(&self, organization: OrganizationId) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS active FROM tokens WHERE organization_id = $1 AND gone_at IS NULL",
        )
        .bind(organization.0)
        .fetch_one(&self.readers)
        .await?;
        get(&row, "active")
    }

    /// How many of them have expired by now: GitHub lists them still, and they open nothing.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn count_expired_tokens(
        &self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS expired FROM tokens \
              WHERE organization_id = $1 AND gone_at IS NULL AND (expired OR expires_at <= $2)",
        )
        .bind(organization.0)
        .bind(now.as_millisecond())
        .fetch_one(&self.readers)
        .await?;
        get(&row, "expired")
    }

    /// What happened to a token's access, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn token_events(
        &self,
        organization: OrganizationId,
        grant: GrantId,
    ) -> Result<Vec<TokenEventRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT at, what, detail FROM token_events \
              WHERE organization_id = $1 AND grant_id = $2 ORDER BY id",
        )
        .bind(organization.0)
        .bind(grant.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(TokenEventRow {
                    at: time(row, "at")?,
                    what: TokenEventKind::read(&get::<String>(row, "what")?)?,
                    detail: from_json(&get::<String>(row, "detail")?)?,
                })
            })
            .collect()
    }

    /// The last time that all tokens of an organization were listed to the end.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn token_listing(
        &self,
        organization: OrganizationId,
    ) -> Result<Option<TokenListingRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM token_listings WHERE organization_id = $1")
            .bind(organization.0)
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| {
            Ok(TokenListingRow {
                began_at: time(&row, "began_at")?,
                ended_at: time(&row, "ended_at")?,
                active: get(&row, "active")?,
                calls: get(&row, "calls")?,
                unreadable: get(&row, "unreadable")?,
            })
        })
        .transpose()
    }

    /// Keeps a page of a list of grants: one transaction, and none where nothing changed.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_grants(&self, grants: &[Grant], now: Timestamp) -> Result<(), StoreError> {
        let mut changed = Vec::new();
        for grant in grants {
            let before = self.stored_grant(grant).await?;
            match before {
                None => changed.push((grant, TokenEventKind::FirstSeen, serde_json::Map::new())),
                Some((before, gone)) => {
                    let detail = difference(&before, grant)?;
                    if gone {
                        changed.push((grant, TokenEventKind::Back, detail));
                    } else if before != *grant {
                        changed.push((grant, TokenEventKind::Changed, detail));
                    }
                }
            }
        }
        for some in changed.chunks(super::ROWS_AT_ONCE) {
            let mut tx = self.begin().await?;
            for (grant, what, detail) in some {
                tx.save_grant(grant, now).await?;
                // Being used is no news; whoever asks when has it in the row.
                if *what != TokenEventKind::Changed || !detail.is_empty() {
                    tx.note_token_event(grant.organization.id, grant.id, *what, detail, now)
                        .await?;
                }
            }
            tx.commit().await?;
        }
        Ok(())
    }

    async fn stored_grant(&self, grant: &Grant) -> Result<Option<(Grant, bool)>, StoreError> {
        let row = sqlx::query("SELECT * FROM tokens WHERE organization_id = $1 AND grant_id = $2")
            .bind(grant.organization.id.0)
            .bind(grant.id.0)
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| {
            let gone = time_if_any(&row, "gone_at")?.is_some();
            Ok((read_grant(&row, &grant.organization)?, gone))
        })
        .transpose()
    }

    /// The active tokens of an organization that a list to its end did not show, with their tokens' ids.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tokens_not_among(
        &self,
        organization: OrganizationId,
        seen: &BTreeSet<GrantId>,
        first_seen_before: Timestamp,
    ) -> Result<HashMap<TokenId, GrantId>, StoreError> {
        let mut missing = HashMap::new();
        let mut after = i64::MIN;
        loop {
            // Some at a time: there may be a hundred thousand, and few of them are missing.
            let rows = sqlx::query(
                "SELECT grant_id, token_id, first_seen_at FROM tokens \
                  WHERE organization_id = $1 AND gone_at IS NULL AND grant_id > $2 \
                  ORDER BY grant_id LIMIT 1000",
            )
            .bind(organization.0)
            .bind(after)
            .fetch_all(&self.readers)
            .await?;
            let Some(last) = rows.last() else { break };
            after = get(last, "grant_id")?;
            for row in &rows {
                let grant = GrantId(get(row, "grant_id")?);
                if !seen.contains(&grant) && time(row, "first_seen_at")? < first_seen_before {
                    missing.insert(TokenId(get(row, "token_id")?), grant);
                }
            }
        }
        Ok(missing)
    }

    /// These have no access any more.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_gone(
        &self,
        organization: OrganizationId,
        gone: &[GrantId],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for some in gone.chunks(super::ROWS_AT_ONCE) {
            let mut tx = self.begin().await?;
            for grant in some {
                tx.token_gone(organization, *grant, now).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// A list of all tokens of an organization was read and kept to the end.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_token_listing(
        &self,
        organization: OrganizationId,
        listing: &TokenListingRow,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO token_listings (organization_id, began_at, ended_at, active, calls, unreadable) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (organization_id) DO UPDATE \
             SET began_at = excluded.began_at, ended_at = excluded.ended_at, active = excluded.active, \
                 calls = excluded.calls, unreadable = excluded.unreadable",
        )
        .bind(organization.0)
        .bind(listing.began_at.as_millisecond())
        .bind(listing.ended_at.as_millisecond())
        .bind(listing.active)
        .bind(listing.calls)
        .bind(listing.unreadable)
        .execute(&mut *tx.inner)
        .await?;
        tx.commit().await
    }
}

/// Whether tokens without access are meant as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Only those that have access.
    Without,
    /// All that ever had.
    With,
}

impl Tx {
    async fn save_grant(&mut self, grant: &Grant, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO tokens (organization_id, grant_id, token_id, token_name, owner_id, owner_login, \
                 repository_selection, permissions, expired, expires_at, last_used_at, access_granted_at, \
                 first_seen_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT (organization_id, grant_id) DO UPDATE SET token_id = excluded.token_id, \
                 token_name = excluded.token_name, owner_id = excluded.owner_id, \
                 owner_login = excluded.owner_login, \
                 repository_selection = excluded.repository_selection, \
                 permissions = excluded.permissions, expired = excluded.expired, \
                 expires_at = excluded.expires_at, last_used_at = excluded.last_used_at, \
                 access_granted_at = excluded.access_granted_at, gone_at = NULL, \
                 covered = CASE WHEN tokens.access_granted_at = excluded.access_granted_at THEN tokens.covered END, \
                 covered_under = CASE WHEN tokens.access_granted_at = excluded.access_granted_at \
                     THEN tokens.covered_under END, \
                 covered_last_under = CASE WHEN tokens.access_granted_at = excluded.access_granted_at \
                     THEN tokens.covered_last_under END",
        )
        .bind(grant.organization.id.0)
        .bind(grant.id.0)
        .bind(grant.token.id.0)
        .bind(&grant.token.name)
        .bind(grant.owner.id.0)
        .bind(grant.owner.login.as_str())
        .bind(grant.repository_selection.as_str())
        .bind(json(&grant.permissions)?)
        .bind(grant.token.expired)
        .bind(grant.token.expires_at.map(Timestamp::as_millisecond))
        .bind(grant.token.last_used_at.map(Timestamp::as_millisecond))
        .bind(grant.access_granted_at.as_millisecond())
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    pub(crate) async fn token_gone(
        &mut self,
        organization: OrganizationId,
        grant: GrantId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let gone = sqlx::query(
            "UPDATE tokens SET gone_at = $3 \
              WHERE organization_id = $1 AND grant_id = $2 AND gone_at IS NULL",
        )
        .bind(organization.0)
        .bind(grant.0)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        if gone.rows_affected() == 0 {
            return Ok(());
        }
        let nothing = serde_json::Map::new();
        self.note_token_event(organization, grant, TokenEventKind::Gone, &nothing, now).await
    }

    async fn note_token_event(
        &mut self,
        organization: OrganizationId,
        grant: GrantId,
        what: TokenEventKind,
        detail: &serde_json::Map<String, serde_json::Value>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO token_events (organization_id, grant_id, at, what, detail) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(organization.0)
        .bind(grant.0)
        .bind(now.as_millisecond())
        .bind(what.as_str())
        .bind(json(detail)?)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}

/// What of a grant is not as it was, but for its use.
fn difference(
    before: &Grant,
    after: &Grant,
) -> Result<serde_json::Map<String, serde_json::Value>, StoreError> {
    let mut detail = serde_json::Map::new();
    let mut compare = |name: &str, before: serde_json::Value, after: serde_json::Value| {
        if before != after {
            detail.insert(name.to_owned(), serde_json::json!([before, after]));
        }
    };
    compare("token_name", before.token.name.as_str().into(), after.token.name.as_str().into());
    compare("owner", before.owner.login.as_str().into(), after.owner.login.as_str().into());
    compare(
        "repository_selection",
        before.repository_selection.as_str().into(),
        after.repository_selection.as_str().into(),
    );
    compare("expired", before.token.expired.into(), after.token.expired.into());
    for (name, before, after) in [
        (
            "permissions",
            serde_json::to_value(&before.permissions),
            serde_json::to_value(&after.permissions),
        ),
        (
            "expires_at",
            serde_json::to_value(before.token.expires_at),
            serde_json::to_value(after.token.expires_at),
        ),
        (
            "access_granted_at",
            serde_json::to_value(before.access_granted_at),
            serde_json::to_value(after.access_granted_at),
        ),
    ] {
        let unwritable = |error: serde_json::Error| StoreError::Unreadable(error.to_string());
        compare(name, before.map_err(unwritable)?, after.map_err(unwritable)?);
    }
    Ok(detail)
}
