//! Pull requests and check runs as data. How they come about is in `lifecycle`, how they look on the wire in `render`.

use jiff::Timestamp;
use serde_json::Value;

/// Where a pull request's commits are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// A branch of the repository itself.
    Branch(String),
    /// A branch of this name in the author's fork.
    Fork(String),
}

impl Head {
    /// The branch's name, without its owner.
    #[must_use]
    pub fn branch(&self) -> &str {
        match self {
            Self::Branch(name) | Self::Fork(name) => name,
        }
    }
}

impl From<&str> for Head {
    fn from(branch: &str) -> Self {
        Self::Branch(branch.to_owned())
    }
}

/// A pull request (<https://docs.github.com/rest/pulls/pulls>).
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// GitHub's numeric id, which is not the number.
    pub id: u64,
    /// The number in the repository.
    pub number: u64,
    /// The title.
    pub title: String,
    /// Who opened it.
    pub author: String,
    /// Where its commits are.
    pub head: Head,
    /// The newest of them.
    pub head_sha: String,
    /// The branch it is to be merged into.
    pub base: String,
    /// That branch's tip when the pull request was last pushed to.
    pub base_sha: String,
    /// Whether it can still be merged.
    pub open: bool,
    /// The commit that merged it.
    pub merge_sha: Option<String>,
    pub(crate) merged_by: Option<String>,
    /// Unix seconds.
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) closed_at: Option<i64>,
    /// The fork's id, where there is one.
    pub(crate) fork: u64,
}

/// A check run as the App wrote it (<https://docs.github.com/rest/checks/runs>).
#[derive(Debug, Clone)]
pub struct CheckRun {
    /// GitHub's numeric id.
    pub id: u64,
    /// The check's name.
    pub name: String,
    /// The commit it is about.
    pub head_sha: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// How it ended, once it has.
    pub conclusion: Option<String>,
    /// The App's own name for it.
    pub external_id: Option<String>,
    /// Where the App shows more.
    pub details_url: Option<String>,
    /// `output.title`.
    pub title: Option<String>,
    /// `output.summary`.
    pub summary: Option<String>,
    /// `output.text`.
    pub text: Option<String>,
    /// Annotations of all calls, in order.
    pub annotations: Vec<Annotation>,
    /// Buttons, as they were sent.
    pub actions: Vec<Value>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    pub(crate) suite: u64,
}

/// What a check run says of some lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// The file.
    pub path: String,
    /// The first line.
    pub start_line: u64,
    /// The last line.
    pub end_line: u64,
    /// The first column, of a single line only.
    pub start_column: Option<u64>,
    /// The last column, of a single line only.
    pub end_column: Option<u64>,
    /// `notice`, `warning` or `failure`.
    pub level: String,
    /// What it says.
    pub message: String,
    /// Its title.
    pub title: Option<String>,
    /// More, in plain text.
    pub raw_details: Option<String>,
}
