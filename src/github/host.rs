//! Which GitHub: the address of its pages and that of its API, one from the other. Pure.

use url::Url;

use crate::domain::Login;

/// A GitHub: github.com, one of GHE.com, or a GitHub Enterprise Server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where its pages are, as `https://github.com`.
    web: String,
    /// Where its API is, as `https://api.github.com`.
    api: String,
}

impl Host {
    /// From the address of the API, as settings give it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_api(text: &str) -> Result<Self, String> {
        let url = checked(text)?;
        let api = text.trim_end_matches('/').to_owned();
        let mut web = url.clone();
        web.set_path("");
        if let Some(name) = url.host_str().and_then(|name| name.strip_prefix("api."))
            && (name == "github.com" || name.ends_with(".ghe.com"))
        {
            let name = name.to_owned();
            web.set_host(Some(&name)).map_err(|error| format!("`{text}`: {error}"))?;
        }
        Ok(Self { web: origin(&web), api })
    }

    /// From what somebody types: `github.com`, `acme.ghe.com`, `github.acme.example`, with `https://` or without.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn typed(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches('/');
        let with_scheme =
            if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let url = checked(&with_scheme)?;
        if !matches!(url.path(), "" | "/") {
            return Err(format!("`{text}` is more than a host: write it as in github.com"));
        }
        let web = origin(&url);
        let name = url.host_str().unwrap_or_default();
        let api = if name == "github.com" || name == "www.github.com" {
            return Self::of_api("https://api.github.com");
        } else if name.ends_with(".ghe.com") {
            web.replacen("://", "://api.", 1)
        } else {
            format!("{web}/api/v3")
        };
        Ok(Self { web, api })
    }

    /// Where its pages are, without a slash at the end.
    #[must_use]
    pub fn web(&self) -> &str {
        &self.web
    }

    /// Where its API is, without a slash at the end.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Whether it can send webhooks to this machine alone, as a fake one can.
    #[must_use]
    pub fn is_on_this_machine(&self) -> bool {
        Url::parse(&self.web).is_ok_and(|url| is_loopback(&url))
    }

    /// Where an App is registered from a manifest.
    #[must_use]
    pub fn registration_page(&self, organization: &Login) -> String {
        format!("{}/organizations/{organization}/settings/apps/new", self.web)
    }

    /// The page of an App: the one that GitHub named, where it is this GitHub's.
    #[must_use]
    pub fn app_page(&self, named: &str, slug: &str) -> String {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./~%".contains(&byte);
        match named.strip_prefix(&self.web) {
            Some(path) if path.starts_with('/') && path.bytes().all(is_plain) => named.to_owned(),
            _ if self.api.ends_with("/api/v3") => format!("{}/github-apps/{slug}", self.web),
            _ => format!("{}/apps/{slug}", self.web),
        }
    }
}

fn checked(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is not an address: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong into the address".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`{text}` is more than an address of a host"));
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(format!("`{text}` would be called in the clear; use https")),
        other => Err(format!("`{other}` is neither https nor http")),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Scheme, host and port, without a slash at the end.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::*;

    #[test]
    fn pages_and_api_follow_from_each_other() {
        for (api, web) in [
            ("https://api.github.com", "https://github.com"),
            ("https://api.acme.ghe.com", "https://acme.ghe.com"),
            ("https://github.acme.example/api/v3", "https://github.acme.example"),
            ("https://api.acme.example:8443/api/v3", "https://api.acme.example:8443"),
        ] {
            assert_eq!(Host::of_api(api).unwrap().web(), web);
            let typed = Host::typed(web).unwrap();
            assert_eq!((typed.api(), typed.web()), (api, web));
        }
        assert_eq!(
            Host::typed(" github.com/ ").unwrap(),
            Host::typed("https://github.com").unwrap()
        );
        assert_eq!(Host::of_api("http://127.0.0.1:4000").unwrap().web(), "http://127.0.0.1:4000");
    }

    #[test]
    fn what_is_no_host_or_would_be_called_in_the_clear_is_refused() {
        for text in [
            "",
            "http://github.com",
            "https://olga:secret@github.com",
            "github.com/acme",
            "github.com?x",
            "javascript:alert(1)",
            "ftp://github.com",
            "github.com; form-action *",
        ] {
            assert!(Host::typed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_that_is_elsewhere_is_not_linked_to() {
        let github = Host::typed("github.com").unwrap();
        let page = |named| github.app_page(named, "warden");
        assert_eq!(page("https://github.com/apps/warden-2"), "https://github.com/apps/warden-2");
        for named in [
            "https://github.com.evil.example/apps/x",
            "javascript:alert(1)",
            "https://github.com/\"><x",
            "",
        ] {
            assert_eq!(page(named), "https://github.com/apps/warden", "{named}");
        }
        let server = Host::typed("ghe.example").unwrap();
        assert_eq!(server.app_page("", "warden"), "https://ghe.example/github-apps/warden");
    }
}
