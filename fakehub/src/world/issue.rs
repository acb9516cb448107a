//! Issues and their comments as data. How they come about is in `lifecycle`, how they look on the wire in `render`.

use std::collections::{BTreeMap, BTreeSet};

/// Who wrote something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// The App that fakehub knows, as its bot.
    App,
    /// Another App, by its slug, as its bot.
    OtherApp(String),
    /// A person.
    Person {
        /// Who, whatever the login is by now.
        id: u64,
        /// The login at that time.
        login: String,
        /// The slug of the App through which the person wrote, if any.
        through: Option<String>,
    },
}

/// An issue (<https://docs.github.com/rest/issues/issues>).
#[derive(Debug, Clone)]
pub struct Issue {
    /// GitHub's numeric id, which is not the number.
    pub id: u64,
    /// The number in the repository.
    pub number: u64,
    /// The title.
    pub title: String,
    /// The text, as Markdown.
    pub body: Option<String>,
    /// Who opened it.
    pub author: Author,
    /// Whether it is open.
    pub open: bool,
    /// `completed`, `not_planned`, `duplicate` or `reopened`.
    pub state_reason: Option<String>,
    /// Whether only those who may push can comment.
    pub locked: bool,
    /// Names of labels.
    pub labels: Vec<String>,
    /// Logins of those it is assigned to.
    pub assignees: Vec<String>,
    /// Its comments, the oldest first.
    pub comments: Vec<IssueComment>,
    /// Unix seconds.
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) closed_at: Option<i64>,
    pub(crate) closed_by: Option<Author>,
    /// Whether it is a pull request, which GitHub lists among issues.
    pub(crate) pull: bool,
}

/// A comment of an issue (<https://docs.github.com/rest/issues/comments>).
#[derive(Debug, Clone)]
pub struct IssueComment {
    /// GitHub's numeric id.
    pub id: u64,
    /// The text, as Markdown.
    pub body: String,
    /// Who wrote it.
    pub author: Author,
    /// Unix seconds.
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// The issues of a repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Issues {
    pub(crate) known: BTreeMap<u64, Issue>,
    /// Numbers of issues that were deleted. No number is given twice.
    pub(crate) deleted: BTreeSet<u64>,
    /// Numbers of issues that were moved, to the repository and the number they have there.
    pub(crate) transferred: BTreeMap<u64, (u64, u64)>,
    /// Whether the repository has issues at all.
    pub(crate) disabled: bool,
}

impl Issues {
    /// The highest number that was ever given to an issue.
    pub(crate) fn last(&self) -> u64 {
        let last = [
            self.known.keys().next_back(),
            self.deleted.iter().next_back(),
            self.transferred.keys().next_back(),
        ];
        last.into_iter().flatten().copied().max().unwrap_or_default()
    }

    /// The issue that has this comment, and the comment's place in it.
    pub(crate) fn of_comment(&self, comment: u64) -> Option<(u64, usize)> {
        self.known.values().find_map(|issue| {
            let at = issue.comments.iter().position(|known| known.id == comment)?;
            Some((issue.number, at))
        })
    }
}
