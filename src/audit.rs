//! Every decision, every effect and every ending as one line of JSON, for files and for whoever watches.
//!
//! The store is the record; this is its echo. A line that cannot be written is reported and stops nothing.

use std::{
    fs, io,
    io::Write as _,
    path::Path,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::{
    domain::{GrantId, Login, Organization, OrganizationId, RequestId, TokenId, cut, for_people},
    watch::Tally,
};

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A request was judged and the decision recorded.
    Decided {
        /// Its number: `patwarden decisions show NUMBER` tells all.
        decision: i64,
        /// `approve`, `deny` or `escalate`.
        effect: &'static str,
        /// The rules that made it; empty means the default.
        rules: Vec<String>,
        /// The policy's mode at that moment.
        mode: &'static str,
        /// Whether patwarden acts on it.
        acts: bool,
        /// The policy: its hash.
        policy: String,
        /// Where its files came from: a path, or a repository and its commit.
        policy_source: String,
        /// Why, in one sentence.
        why: String,
    },
    /// Somebody reviewed a request from the command line; what is sent for it follows.
    ReviewedByHand {
        /// `approve` or `deny`.
        effect: &'static str,
        /// Who, as far as that can be known.
        by: String,
        /// What is sent along.
        reason: String,
        /// Why soft rules were overridden, where they were.
        override_why: Option<String>,
    },
    /// Reviewers are asked about a request that was left to people.
    ReviewersAsked {
        /// The groups.
        groups: Vec<String>,
        /// Where.
        url: String,
    },
    /// Reviewers answered, or were silent for as long as the rules say; what is sent for it follows.
    ReviewersAnswered {
        /// `approve` or `deny`.
        effect: &'static str,
        /// Who, and in which comments; or who was silent.
        by: String,
        /// What is sent along.
        reason: String,
    },
    /// A call that changes something is about to be sent.
    Sending {
        /// `approve`, `deny` or `revoke`.
        effect: &'static str,
        /// The how-manieth time.
        attempt: i64,
    },
    /// A request is over.
    Settled {
        /// `approved`, `denied`, `cancelled` or `revoked`.
        outcome: &'static str,
        /// `rule`, `operator`, `reviewers`, `silence`, `person`, `requester`, `app` or `unknown`.
        by: &'static str,
        /// The login, where somebody is named.
        actor: Option<String>,
    },
    /// It is no longer pending and nobody said why.
    Gone,
    /// Somebody confirmed that tokens are revoked.
    RevocationConfirmed {
        /// Its number: `patwarden revocations show NUMBER` tells all.
        revocation: i64,
        /// How many tokens.
        tokens: u64,
        /// Who, as far as that can be known.
        by: String,
    },
    /// A standing policy selects tokens that it does not revoke.
    RevocationReported {
        /// Its number: `patwarden revocations show NUMBER` tells all.
        revocation: i64,
        /// The policy: `revoke.ID`.
        policy: String,
        /// How many tokens.
        tokens: usize,
        /// Why they are not revoked.
        note: String,
    },
    /// A call that revokes tokens is about to be sent.
    RevocationSending {
        /// The revocation's number.
        revocation: i64,
        /// How many tokens are in the call.
        tokens: usize,
    },
    /// It is known what came of one token of a revocation.
    TokenRevoked {
        /// The revocation's number.
        revocation: i64,
        /// The grant.
        grant_id: GrantId,
        /// The token.
        token_id: TokenId,
        /// `revoked`, `already-gone`, `still-there` or `left-out`.
        outcome: &'static str,
    },
    /// Something that an owner should look at now.
    Alarm {
        /// What.
        what: String,
    },
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Of which organization, by id.
    pub organization_id: OrganizationId,
    /// The same, by login.
    pub organization: Login,
    /// On which request, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// Whose token, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Login>,
    /// Which token: its name, made fit to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// An entry about an organization, and no request.
    #[must_use]
    pub fn about(organization: &Organization, event: Event, now: Timestamp) -> Self {
        Self {
            at: now,
            organization_id: organization.id,
            organization: organization.login.clone(),
            request_id: None,
            owner: None,
            token: None,
            event,
        }
    }
}

/// Where entries go.
#[derive(Clone)]
pub struct Audit {
    file: Option<Arc<Mutex<fs::File>>>,
    tally: Tally,
    watchers: broadcast::Sender<Entry>,
}

impl Audit {
    /// Entries go to whoever watches, and to the end of `file` where one is named.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn new(file: Option<&Path>) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = file
            .map(|path| fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path))
            .transpose()?
            .map(|file| Arc::new(Mutex::new(file)));
        Ok(Self { file, tally: Tally::default(), watchers: broadcast::Sender::new(1024) })
    }

    /// The same, with what happens counted there.
    #[must_use]
    pub fn counting(self, tally: Tally) -> Self {
        Self { tally, ..self }
    }

    /// Watches what comes from now on. Whoever is too slow loses the oldest.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Entry> {
        self.watchers.subscribe()
    }

    /// Writes one entry.
    pub fn write(&self, mut entry: Entry) {
        entry.token = entry.token.map(|token| cut(&for_people(&token), 100));
        let line = match serde_json::to_string(&entry) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!(%error, "an audit entry could not be put into words");
                return;
            }
        };
        log(&entry);
        self.tally.told(&entry);
        if let Some(file) = &self.file {
            let written = file.lock().map_err(|error| error.to_string()).and_then(|mut file| {
                file.write_all(format!("{line}\n").as_bytes()).map_err(|e| e.to_string())
            });
            if let Err(error) = written {
                tracing::error!(%error, "the audit file cannot be written; the store has the record");
            }
        }
        // Nobody watching is no error.
        let _ = self.watchers.send(entry);
    }
}

/// The same for the log: what happened in the message, what one filters by in the fields.
fn log(entry: &Entry) {
    let organization = &entry.organization;
    let request = entry.request_id.map(|id| id.0);
    let owner = entry.owner.as_ref().map(Login::as_str);
    let token = entry.token.as_deref();
    match &entry.event {
        Event::Decided { decision, effect, mode, acts, why, .. } => {
            tracing::info!(%organization, request, owner, token, decision, effect, mode, acts, why, "decided");
        }
        Event::ReviewedByHand { effect, by, override_why, .. } => {
            tracing::info!(%organization, request, owner, token, effect, by, override_why, "reviewed by hand");
        }
        Event::ReviewersAsked { groups, url } => {
            let groups = groups.join(", ");
            tracing::info!(%organization, request, owner, token, groups, url, "reviewers are asked");
        }
        Event::ReviewersAnswered { effect, by, .. } => {
            tracing::info!(%organization, request, owner, token, effect, by, "reviewers answered");
        }
        Event::Sending { effect, attempt } => {
            tracing::info!(%organization, request, owner, token, effect, attempt, "sending a review");
        }
        Event::Settled { outcome, by, actor } => {
            let actor = actor.as_deref().unwrap_or_default();
            tracing::info!(%organization, request, owner, token, outcome, by, actor, "settled");
        }
        Event::Gone => {
            tracing::info!(%organization, request, owner, token, "no longer pending, and nobody said why");
        }
        Event::RevocationConfirmed { revocation, tokens, by } => {
            tracing::info!(%organization, revocation, tokens, by, "tokens are to be revoked");
        }
        Event::RevocationReported { revocation, policy, tokens, note } => {
            tracing::warn!(%organization, revocation, policy, tokens, note, "tokens that are not revoked");
        }
        Event::RevocationSending { revocation, tokens } => {
            tracing::info!(%organization, revocation, tokens, "revoking tokens");
        }
        Event::TokenRevoked { revocation, grant_id, token_id, outcome } => {
            tracing::info!(%organization, revocation, owner, token, %grant_id, %token_id, outcome, "what came of a token");
        }
        Event::Alarm { what } => {
            tracing::error!(%organization, request, owner, token, what, "ALARM");
        }
    }
}
