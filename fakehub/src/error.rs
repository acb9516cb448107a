//! What can go wrong when fakehub is started or driven. What a *caller of the API* is told is in `answer`.

/// A step of the test or the command line that GitHub itself would not have allowed, or a start that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The port could not be listened on.
    Listen(String),
    /// The App's key could not be made.
    Key(String),
    /// fakehub was started outside a tokio runtime.
    NoRuntime,
    /// No organization has this login.
    UnknownOrganization(String),
    /// No repository of the organization has this name.
    UnknownRepository(String),
    /// No branch or commit of the repository has this name.
    UnknownRef(String),
    /// No team of the organization has this slug.
    UnknownTeam(String),
    /// No user has this login.
    UnknownUser(String),
    /// No request, grant or token has this id.
    UnknownId(u64),
    /// The request was already approved, denied or cancelled.
    AlreadySettled(u64),
    /// The person may not do this on GitHub; the text says why.
    NotAllowed(String),
    /// A delivery with this GUID is not (or no longer) recorded.
    UnknownDelivery(String),
    /// The input to the control API was not understood.
    Invalid(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(why) => write!(f, "cannot listen: {why}"),
            Self::Key(why) => write!(f, "the App's key: {why}"),
            Self::NoRuntime => write!(f, "fakehub must be started inside a tokio runtime"),
            Self::UnknownOrganization(login) => write!(f, "there is no organization `{login}`"),
            Self::UnknownRepository(name) => write!(f, "there is no repository `{name}`"),
            Self::UnknownRef(name) => write!(f, "there is no branch or commit `{name}`"),
            Self::UnknownTeam(slug) => write!(f, "there is no team `{slug}`"),
            Self::UnknownUser(login) => write!(f, "there is no user `{login}`"),
            Self::UnknownId(id) => write!(f, "nothing has the id {id}"),
            Self::AlreadySettled(id) => write!(f, "request {id} is already settled"),
            Self::NotAllowed(why) => write!(f, "GitHub would not allow this: {why}"),
            Self::UnknownDelivery(guid) => write!(f, "no delivery {guid} is recorded"),
            Self::Invalid(why) => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for Error {}
