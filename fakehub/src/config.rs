//! How a fakehub is started, and its answers to the questions GitHub's documentation leaves open.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How to start a [`crate::Fakehub`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; `127.0.0.1:0`, a free port, unless told.
    pub listen: SocketAddr,
    /// Where webhooks go; nowhere unless told, here or by [`crate::Fakehub::set_webhook_url`].
    pub webhook_url: Option<String>,
    /// The secret webhooks are signed with; random unless told.
    pub webhook_secret: Option<String>,
    /// The App's slug; `patwarden` unless told.
    pub app_slug: String,
    /// What the App asks for besides what patwarden always does, name to level.
    pub app_permissions: BTreeMap<String, String>,
    /// Events the App is subscribed to besides those patwarden always is.
    pub app_events: Vec<String>,
    /// How long every API call takes at least.
    pub latency: Duration,
    /// How long a bulk call's effect comes after its 202; 300 ms unless told.
    pub bulk_delay: Duration,
    /// Calls an hour and installation; 5,000 unless told, `None` is no limit and no headers (GHES's default).
    pub rate_limit: Option<u32>,
    /// How long a receiver of webhooks has; 10 s unless told (GHES: 30 s).
    pub webhook_time_limit: Duration,
    /// In which order webhooks of one organization go out.
    pub webhook_order: WebhookOrder,
    /// How many calls the log keeps before it forgets the oldest.
    pub call_log: usize,
    /// How many deliveries are kept before the oldest is forgotten.
    pub delivery_log: usize,
    /// Answers to open questions.
    pub switches: Switches,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            webhook_url: None,
            webhook_secret: None,
            app_slug: "patwarden".to_owned(),
            app_permissions: BTreeMap::new(),
            app_events: Vec::new(),
            latency: Duration::ZERO,
            bulk_delay: Duration::from_millis(300),
            rate_limit: Some(5_000),
            webhook_time_limit: Duration::from_secs(10),
            webhook_order: WebhookOrder::Sequential,
            call_log: 200_000,
            delivery_log: 20_000,
            switches: Switches::default(),
        }
    }
}

impl Config {
    /// With this address to listen on.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// With these answers to open questions.
    #[must_use]
    pub fn switches(mut self, switches: Switches) -> Self {
        self.switches = switches;
        self
    }

    /// With an App that asks for this, too.
    #[must_use]
    pub fn app_permission(mut self, name: &str, level: &str) -> Self {
        self.app_permissions.insert(name.to_owned(), level.to_owned());
        self
    }

    /// With an App that is subscribed to these events, too.
    #[must_use]
    pub fn app_events<S: Into<String>>(mut self, events: impl IntoIterator<Item = S>) -> Self {
        self.app_events.extend(events.into_iter().map(Into::into));
        self
    }

    /// With an App that reads its rules from a repository: it may read pull requests and write check runs, and hears of
    /// pushes, pull requests, repositories, checks and teams.
    #[must_use]
    pub fn rules_in_a_repository(self) -> Self {
        self.app_permission("pull_requests", "read").app_permission("checks", "write").app_events([
            "check_run",
            "check_suite",
            "pull_request",
            "push",
            "repository",
            "team",
        ])
    }

    /// With an App that asks people by issues: it may write them, and hears of them and of their comments.
    #[must_use]
    pub fn asks_by_issue(self) -> Self {
        self.app_permission("issues", "write").app_events(["issues", "issue_comment"])
    }

    /// With this limit of calls an hour and installation.
    #[must_use]
    pub fn rate_limit(mut self, limit: Option<u32>) -> Self {
        self.rate_limit = limit;
        self
    }

    /// With bulk effects this long after their 202.
    #[must_use]
    pub fn bulk_delay(mut self, delay: Duration) -> Self {
        self.bulk_delay = delay;
        self
    }

    /// With this receiver of webhooks.
    #[must_use]
    pub fn webhook_url(mut self, url: &str) -> Self {
        self.webhook_url = Some(url.to_owned());
        self
    }

    /// With this secret for webhooks.
    #[must_use]
    pub fn webhook_secret(mut self, secret: &str) -> Self {
        self.webhook_secret = Some(secret.to_owned());
        self
    }
}

/// In which order the webhooks of one organization go out. Organizations never wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookOrder {
    /// One after the other: the next starts when the last was answered.
    #[default]
    Sequential,
    /// Each at once.
    Concurrent,
}

/// Open questions about GitHub's behaviour, one field each. Tests that touch one run under every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Switches {
    /// Who is the `sender` of a webhook about the App's own decision.
    pub app_sender: AppSender,
    /// What reviewing an already settled or vanished id is answered with.
    pub settled_review: SettledReview,
    /// What a bulk review or revocation with one stale id does.
    pub stale_bulk: StaleBulk,
    /// How many ids of a bulk call take effect, from the first on; `None` (default) is all of them.
    pub bulk_takes_at_most: Option<usize>,
    /// After how many repositories a webhook's `repositories` is cut; `None` (default) is never.
    pub webhook_repositories_cut: Option<usize>,
    /// Whether a token that was never used matches `last_used_before`; default no.
    pub never_used_matches_last_used_before: bool,
    /// Whether webhooks carry `token_id` and `token_name`; default yes, a capture of 2024 had neither.
    pub webhook_token_fields: bool,
    /// Whether an owner's own token sends `approved`; default yes.
    pub owner_token_sends_approved: bool,
    /// Whether the tokens of somebody who leaves an organization stay listed with access to it; default no.
    pub leavers_tokens_stay: bool,
    /// What editing a request that still waits does.
    pub edited_request: EditedRequest,
    /// `status_code` of a delivery nobody answered; default 0, which `status=failure` does not find.
    pub no_answer_status_code: u16,
    /// Whether `Link` of an organization's lists names it by number (`/organizations/1/…`), as github.com does; default yes.
    pub numeric_links: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            app_sender: AppSender::Bot,
            settled_review: SettledReview::NotFound,
            stale_bulk: StaleBulk::FailsWhole,
            bulk_takes_at_most: None,
            webhook_repositories_cut: None,
            never_used_matches_last_used_before: false,
            webhook_token_fields: true,
            owner_token_sends_approved: true,
            leavers_tokens_stay: false,
            edited_request: EditedRequest::SameIdSilently,
            no_answer_status_code: 0,
            numeric_links: true,
        }
    }
}

/// Answers to "who is the sender when an App decided?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppSender {
    /// `SLUG[bot]`, of type `Bot`. The default.
    Bot,
    /// The user `ghost`.
    Ghost,
}

/// Answers to "what does reviewing a settled id say?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettledReview {
    /// 404. The default.
    NotFound,
    /// 422 with `errors[]`.
    Unprocessable,
}

/// Answers to "what does a bulk call with one stale id do?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleBulk {
    /// 422, and nothing is done. The default.
    FailsWhole,
    /// 202, and the ids that are good are done.
    Partial,
}

/// Answers to "what does editing a waiting request send?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditedRequest {
    /// The request keeps its id and changes; no webhook. The default, and the hardest for a client.
    SameIdSilently,
    /// The request keeps its id and changes; `created` is sent once more.
    SameIdCreatedAgain,
    /// `cancelled` for the old id, `created` for a new one.
    CancelledThenCreated,
}
