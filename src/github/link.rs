//! The `Link` header: where the next page is.

/// The path and query of the page called `next`, relative to the API's base path.
///
/// Only path and query are taken: the client would drop its credentials on an absolute address off
/// github.com, and an answer must not be able to send our credentials elsewhere.
/// Source: <https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api>.
pub(super) fn next(header: &str, base_path: &str) -> Option<String> {
    let target = header.split(',').find_map(|part| {
        let (target, parameters) = part.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters
            .split(';')
            .any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then_some(target)
    })?;
    let uri: http::Uri = target.parse().ok()?;
    let path = uri.path_and_query()?.as_str();
    Some(path.strip_prefix(base_path.trim_end_matches('/')).unwrap_or(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn the_next_page_is_asked_for_by_path_alone() {
        let header = r#"<https://ghe.example/api/v3/orgs/acme/members?page=1>; rel="prev", <https://ghe.example/api/v3/orgs/acme/members?page=3&role=admin>; rel="next""#;
        assert_eq!(
            next(header, "/api/v3").as_deref(),
            Some("/orgs/acme/members?page=3&role=admin")
        );
        assert_eq!(
            next(header, "/api/v3/").as_deref(),
            Some("/orgs/acme/members?page=3&role=admin")
        );
        let foreign = r#"<https://evil.example/steal?page=2>; rel="next""#;
        assert_eq!(next(foreign, "/").as_deref(), Some("/steal?page=2"));
    }

    #[test]
    fn the_last_page_has_no_next() {
        assert_eq!(next(r#"<https://api.github.com/x?page=1>; rel="first""#, "/"), None);
        assert_eq!(next("", "/"), None);
        assert_eq!(next("nonsense, <unclosed", "/"), None);
    }
}
