//! How a call to GitHub can fail, as far as somebody branches on it.

use jiff::Timestamp;

/// Why a call to GitHub gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// GitHub asked us to wait: the primary limit is used up, or a secondary one struck.
    #[error("GitHub's rate limit: wait until {until}")]
    RateLimited {
        /// When to go on: from `retry-after`, `x-ratelimit-reset`, or a minute where neither is sent.
        until: Timestamp,
    },
    /// The App may not do this: a permission is missing or was not accepted yet.
    #[error("GitHub refuses ({message}){}", needs.as_deref().map(|needs| format!("; the App needs {needs}")).unwrap_or_default())]
    Forbidden {
        /// GitHub's message.
        message: String,
        /// `X-Accepted-GitHub-Permissions`, where sent.
        needs: Option<String>,
    },
    /// The key or token was not accepted, also after a new one was fetched.
    #[error("GitHub does not accept our credentials ({message})")]
    Unauthorized {
        /// GitHub's message.
        message: String,
    },
    /// It is not there, or we may not see it.
    #[error("not found on GitHub")]
    NotFound,
    /// GitHub understood the call and will not do it.
    #[error("GitHub will not do this ({message})")]
    Unprocessable {
        /// GitHub's message.
        message: String,
    },
    /// No answer, half an answer, a server error: nobody knows whether the call took effect.
    #[error("no usable answer from GitHub ({why})")]
    NoAnswer {
        /// What was seen.
        why: String,
    },
    /// An answer that is not what GitHub documents.
    #[error("an answer from GitHub that we cannot read ({why})")]
    Unreadable {
        /// What was wrong with it.
        why: String,
    },
}

/// The words for what a call comes to.
pub const CALL_OUTCOMES: &[&str] = &[
    "ok",
    "rate_limited",
    "forbidden",
    "unauthorized",
    "not_found",
    "refused",
    "no_answer",
    "unreadable",
];

impl CallError {
    /// One of [`CALL_OUTCOMES`].
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::Forbidden { .. } => "forbidden",
            Self::Unauthorized { .. } => "unauthorized",
            Self::NotFound => "not_found",
            Self::Unprocessable { .. } => "refused",
            Self::NoAnswer { .. } => "no_answer",
            Self::Unreadable { .. } => "unreadable",
        }
    }

    /// Whether a call that changes something may have changed it although it failed: then the state is
    /// read before anything is repeated.
    #[must_use]
    pub fn may_have_taken_effect(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Unreadable { .. })
    }
}

/// Why the client could not be built: something in the settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The private key is not a key.
    #[error(
        "the App's private key cannot be read: {0}. It is the .pem file that GitHub gave when the key was made"
    )]
    PrivateKey(String),
    /// The API's address is not one.
    #[error("the address of GitHub's API cannot be used: {0}")]
    ApiUrl(String),
    /// The HTTP client could not be built.
    #[error("the HTTP client cannot be built: {0}")]
    Client(String),
}
