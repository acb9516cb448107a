//! The `Link` header: where the next page is.

use http::{HeaderMap, header::LINK};

/// The path and query of the page called `next`, relative to the API's base path; `None` on the last page.
///
/// Only path and query are taken: the client would drop its credentials on an absolute address off
/// github.com, and an answer must not be able to send our credentials elsewhere.
/// Source: <https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api>.
///
/// # Errors
/// When there is a header that cannot be read to its end: half a list must never pass for the whole of it.
pub(super) fn next(headers: &HeaderMap, base_path: &str) -> Result<Option<String>, &'static str> {
    let mut found = None;
    for header in headers.get_all(LINK) {
        let mut rest = header.to_str().map_err(|_| UNREADABLE)?.trim();
        while !rest.is_empty() {
            // Up to the closing bracket: a comma may be part of the address.
            let (target, after) =
                rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or(UNREADABLE)?;
            let (parameters, following) = after.split_once(",").unwrap_or((after, ""));
            if parameters.split(';').any(is_next) {
                found.get_or_insert(target);
            }
            rest = following.trim_start();
        }
    }
    let Some(target) = found else { return Ok(None) };
    let uri: http::Uri = target.parse().map_err(|_| UNREADABLE)?;
    let path = uri.path_and_query().ok_or(UNREADABLE)?.as_str();
    let path = path.strip_prefix(base_path.trim_end_matches('/')).unwrap_or(path);
    if !path.starts_with('/') {
        return Err(UNREADABLE);
    }
    Ok(Some(path.to_owned()))
}

const UNREADABLE: &str = "its `Link` header, which names the next page, is not one";

fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
    name.trim().eq_ignore_ascii_case("rel") && relations.any(|it| it.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use http::{HeaderMap, HeaderValue, header::LINK};

    fn next(lines: &[&str], base_path: &str) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(LINK, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        super::next(&headers, base_path)
    }

    fn found(lines: &[&str], base_path: &str) -> String {
        next(lines, base_path).unwrap().unwrap()
    }

    #[test]
    fn the_next_page_is_asked_for_by_path_alone() {
        let header = r#"<https://ghe.example/api/v3/orgs/acme/members?page=1>; rel="prev", <https://ghe.example/api/v3/orgs/acme/members?page=3&role=admin>; rel="next""#;
        assert_eq!(found(&[header], "/api/v3"), "/orgs/acme/members?page=3&role=admin");
        assert_eq!(found(&[header], "/api/v3/"), "/orgs/acme/members?page=3&role=admin");
        let foreign = r#"<https://evil.example/steal?page=2>; rel="next""#;
        assert_eq!(found(&[foreign], "/"), "/steal?page=2");
    }

    #[test]
    fn the_last_page_has_no_next() {
        assert_eq!(next(&[r#"<https://api.github.com/x?page=1>; rel="first""#], "/"), Ok(None));
        assert_eq!(next(&[], "/"), Ok(None));
        assert_eq!(next(&[""], "/"), Ok(None));
    }

    #[test]
    fn what_a_proxy_may_write_otherwise_is_read_all_the_same() {
        let first = r#"<https://api.github.com/x?page=1>; rel="first""#;
        let last = r#"<https://api.github.com/x?a=1,2&page=2>; REL=Next; title="x""#;
        assert_eq!(found(&[first, last], "/"), "/x?a=1,2&page=2");
        assert_eq!(found(&[&format!("{last},{first}")], "/"), "/x?a=1,2&page=2");
        assert_eq!(
            found(&[r#"<https://api.github.com/x?page=2>; rel="last next""#], "/"),
            "/x?page=2"
        );
    }

    #[test]
    fn half_a_list_never_passes_for_the_whole_of_it() {
        for unreadable in [
            "nonsense, <unclosed",
            r#"https://api.github.com/x?page=2; rel="next""#,
            r#"<https://api.github.com/x?q=é&page=2>; rel="next""#,
            r#"<>; rel="next""#,
            r#"<https://ghe.example/api/v3evil.example:80>; rel="next""#,
        ] {
            assert!(next(&[unreadable], "/api/v3").is_err(), "{unreadable}");
        }
    }
}
