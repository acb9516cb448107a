//! One call as an endpoint sees it: path parameters, query, body, caller; and paging. No state.

use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::auth::{Caller, InstallationCaller};
use crate::installations::is_public;
use crate::render::{self, Urls};
use crate::world::{Organization, Repository};

/// A call that was routed and let in.
#[derive(Debug)]
pub(crate) struct Context {
    /// Path parameters by name, decoded.
    pub(crate) params: Vec<(&'static str, String)>,
    /// The path as it came, without prefix.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Option<Value>,
    /// Whether the call is to change something.
    pub(crate) writes: bool,
    pub(crate) caller: Caller,
    pub(crate) urls: Urls,
    pub(crate) accept: String,
    pub(crate) version: String,
    /// Serve lists as they were at this time (Unix milliseconds): a fault.
    pub(crate) as_of_ms: Option<i64>,
    /// Skip a row before later pages: a fault.
    pub(crate) lose_row: bool,
}

/// One page of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) number: usize,
    pub(crate) size: usize,
    pub(crate) skip: usize,
}

impl Context {
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str())
    }

    /// What follows the repository in the path.
    pub(crate) fn rest_of_repository(&self) -> String {
        self.path.splitn(5, '/').nth(4).map(|rest| format!("/{rest}")).unwrap_or_default()
    }

    /// A numeric path parameter; anything else is a 404.
    pub(crate) fn id(&self, name: &str) -> Result<u64, Box<Answer>> {
        self.param(name).parse().map_err(|_| Answer::not_found())
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// An array parameter: `name[]=a&name[]=b`; the bare name counts as one element.
    pub(crate) fn query_array(&self, name: &str) -> Vec<&str> {
        self.query
            .iter()
            .filter(|(known, _)| known.strip_suffix("[]").unwrap_or(known) == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        self.body.as_ref()?.get(name)
    }

    /// A repository of a list; the API version of 2026 no longer has `has_downloads`.
    pub(crate) fn repository(&self, repository: &Repository, organization: &Organization) -> Value {
        let mut out = render::minimal_repository(repository, organization, &self.urls);
        if self.version != "2022-11-28"
            && let Some(fields) = out.as_object_mut()
        {
            fields.remove("has_downloads");
        }
        out
    }

    pub(crate) fn installation(&self) -> Option<&InstallationCaller> {
        match &self.caller {
            Caller::Installation(caller) => Some(caller),
            _ => None,
        }
    }

    /// Whether a caller can see a repository: a public one, or one its installation and its token reach.
    pub(crate) fn sees(&self, organization: &Organization, repository: &Repository) -> bool {
        let reached = self.installation().is_some_and(|caller| {
            caller.organization == organization.id && caller.reaches(repository.id)
        });
        reached || is_public(repository)
    }

    /// `per_page` and `page`: nonsense counts as the default, and more than 100 as 100.
    pub(crate) fn page(&self) -> Page {
        let number = |name: &str| self.query(name).and_then(|text| text.parse::<usize>().ok());
        let size = number("per_page").filter(|size| *size > 0).unwrap_or(30).min(100);
        let page = number("page").filter(|page| *page > 0).unwrap_or(1);
        let lost = usize::from(self.lose_row && page > 1);
        Page { number: page, size, skip: (page - 1).saturating_mul(size).saturating_add(lost) }
    }

    /// A page of a list as a JSON array, with its `Link`. `base` is the path the links name.
    pub(crate) fn listed(&self, base: &str, total: usize, rows: Vec<Value>) -> Answer {
        self.with_link(base, total, Answer::ok(json!(rows)))
    }

    /// Pages through something already in memory.
    pub(crate) fn list_all<T>(&self, base: &str, all: &[T], render: impl Fn(&T) -> Value) -> Reply {
        let page = self.page();
        let rows = all.iter().skip(page.skip).take(page.size).map(render).collect();
        Ok(self.listed(base, all.len(), rows))
    }

    /// Adds the links to other pages of a list.
    pub(crate) fn with_link(&self, base: &str, total: usize, answer: Answer) -> Answer {
        let page = self.page();
        let last = total.div_ceil(page.size).max(1);
        let mut links = Vec::new();
        let mut link = |number: usize, rel: &str| {
            links.push(format!("<{}>; rel=\"{rel}\"", self.page_url(base, number)));
        };
        if page.number > 1 {
            link((page.number - 1).min(last), "prev");
        }
        if page.number < last {
            link(page.number + 1, "next");
            link(last, "last");
        }
        if page.number > 1 {
            link(1, "first");
        }
        if links.is_empty() {
            return answer;
        }
        answer.header("link", links.join(", "))
    }

    fn page_url(&self, base: &str, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.query.iter().filter(|(name, _)| name != "page") {
            query.append_pair(name, value);
        }
        query.append_pair("page", &page.to_string());
        format!("{}{base}?{}", self.urls.api, query.finish())
    }
}
