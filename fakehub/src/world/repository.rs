//! Repositories and their custom properties. How they look on the wire is in `render`.

use std::collections::BTreeMap;

use serde_json::Value;

/// Who can see a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Those with access.
    Private,
    /// The enterprise's members.
    Internal,
}

impl Visibility {
    /// GitHub's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Internal => "internal",
        }
    }
}

/// A repository of an organization (<https://docs.github.com/rest/repos/repos>).
#[derive(Debug, Clone)]
pub struct Repository {
    /// GitHub's numeric id.
    pub id: u64,
    /// The name without the organization.
    pub name: String,
    /// What the repository says it is.
    pub description: Option<String>,
    /// Who can see it.
    pub visibility: Visibility,
    /// Whether it is read-only.
    pub archived: bool,
    /// Whether it is a fork.
    pub fork: bool,
    /// Its topics.
    pub topics: Vec<String>,
    /// Values of custom properties: a string or an array of strings.
    pub properties: BTreeMap<String, Value>,
    /// Files of the default branch, path to text.
    pub files: BTreeMap<String, String>,
}

/// How to make a [`Repository`]; the id is given when it is added.
#[derive(Debug, Clone)]
pub struct Repo(pub(super) Repository);

impl Repo {
    /// A repository everybody can see.
    #[must_use]
    pub fn public(name: &str) -> Self {
        Self::new(name, Visibility::Public)
    }

    /// A repository only those with access can see.
    #[must_use]
    pub fn private(name: &str) -> Self {
        Self::new(name, Visibility::Private)
    }

    /// A repository the enterprise can see.
    #[must_use]
    pub fn internal(name: &str) -> Self {
        Self::new(name, Visibility::Internal)
    }

    fn new(name: &str, visibility: Visibility) -> Self {
        Self(Repository {
            id: 0,
            name: name.to_owned(),
            description: None,
            visibility,
            archived: false,
            fork: false,
            topics: Vec::new(),
            properties: BTreeMap::new(),
            files: BTreeMap::new(),
        })
    }

    /// With these topics.
    #[must_use]
    pub fn topics<S: Into<String>>(mut self, topics: impl IntoIterator<Item = S>) -> Self {
        self.0.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// With this value of a custom property: a string, or an array of strings.
    #[must_use]
    pub fn property(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.properties.insert(name.to_owned(), value.into());
        self
    }

    /// With this description.
    #[must_use]
    pub fn described(mut self, text: &str) -> Self {
        self.0.description = Some(text.to_owned());
        self
    }

    /// With this file on the default branch.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.0.files.insert(path.to_owned(), text.to_owned());
        self
    }

    /// Archived.
    #[must_use]
    pub fn archived(mut self) -> Self {
        self.0.archived = true;
        self
    }
}

/// One custom property an organization defines (<https://docs.github.com/rest/orgs/custom-properties>).
#[derive(Debug, Clone)]
pub struct PropertyDefinition {
    /// The property's name.
    pub name: String,
    /// `string`, `single_select`, `multi_select`, `true_false` or `url`.
    pub value_type: String,
    /// Whether every repository must have a value.
    pub required: bool,
    /// The value of a repository that says nothing.
    pub default_value: Option<String>,
    /// The values of the two kinds of select.
    pub allowed_values: Vec<String>,
}
