//! What a command needs that calls GitHub by itself: the App's key, the record, and how calls are made.

use std::{path::PathBuf, time::Duration};

use super::{
    AddressBook, AppIdentity, Problems, RulesSettings, Sources, api_url, app_id, logins, mail,
    private_key, rules, span, sqlite_path, write_interval,
};
use crate::{domain::Login, rules::policy::DigestBlock};

/// The settings of commands that call GitHub. Webhooks are none of their business.
pub struct Access {
    /// Who we are to GitHub.
    pub app: AppIdentity,
    /// The organizations that count; `None`: all.
    pub allowed_organizations: Option<Vec<Login>>,
    /// Where the record is.
    pub database: PathBuf,
    /// The least time between two changes in one organization.
    pub write_interval: Duration,
    /// The longest that one call may take.
    pub github_timeout: Duration,
    /// Where audit lines go.
    pub audit_log: Option<PathBuf>,
}

/// Who is written to.
pub struct Written {
    /// Under which addresses people are reached; `None`: no mail is set up.
    pub addresses: Option<AddressBook>,
    /// The digest of organizations for which no rules are in force.
    pub digest: Option<DigestBlock>,
}

/// The settings of commands that look into the record by the rules in force, and call nobody.
pub struct Looking {
    /// Where the record is.
    pub database: PathBuf,
    /// Where rules are.
    pub rules: RulesSettings,
    /// GitHub's API, from which the addresses of its pages follow.
    pub api_url: String,
    /// The digest of organizations for which no rules are in force.
    pub digest: Option<DigestBlock>,
}

impl Looking {
    /// Checks what was found.
    ///
    /// # Errors
    /// Every problem, each naming its place.
    pub fn check(mut sources: Sources) -> Result<Self, Problems> {
        let s = &mut sources;
        let database = s.parsed("database-url", sqlite_path);
        let rules = rules::check(s);
        let url = s.parsed("api-url", api_url);
        let digest = mail::digest(s);
        let all = database.zip(rules).zip(url);
        match all {
            Some(((database, rules), api_url)) if s.problems.is_empty() => {
                Ok(Self { database, rules, api_url, digest })
            }
            _ => Err(Problems(sources.problems)),
        }
    }
}

impl Access {
    /// Checks what was found.
    ///
    /// # Errors
    /// Every problem, each naming its place.
    pub fn check(mut sources: Sources) -> Result<Self, Problems> {
        let access = Self::read(&mut sources);
        match access {
            Some(access) if sources.problems.is_empty() => Ok(access),
            _ => Err(Problems(sources.problems)),
        }
    }

    /// The same with where rules are, for commands that judge.
    ///
    /// # Errors
    /// Every problem, each naming its place.
    pub fn check_with_rules(mut sources: Sources) -> Result<(Self, RulesSettings), Problems> {
        let access = Self::read(&mut sources);
        let rules = rules::check(&mut sources);
        match access.zip(rules) {
            Some(both) if sources.problems.is_empty() => Ok(both),
            _ => Err(Problems(sources.problems)),
        }
    }

    /// The same with whom mail goes to, for commands that write to people.
    ///
    /// # Errors
    /// Every problem, each naming its place.
    pub fn check_with_mail(
        mut sources: Sources,
    ) -> Result<(Self, RulesSettings, Written), Problems> {
        let access = Self::read(&mut sources);
        let rules = rules::check(&mut sources);
        let addresses = mail::check(&mut sources).map(|mail| mail.addresses);
        let written = Written { addresses, digest: mail::digest(&mut sources) };
        match access.zip(rules) {
            Some((access, rules)) if sources.problems.is_empty() => Ok((access, rules, written)),
            _ => Err(Problems(sources.problems)),
        }
    }

    fn read(s: &mut Sources) -> Option<Self> {
        let id = app_id(s);
        let private_key = private_key(s);
        let api_url = s.parsed("api-url", api_url);
        let allowed_organizations = s.parsed("allowed-organizations", logins);
        let database = s.parsed("database-url", sqlite_path);
        let write_interval = write_interval(s);
        let github_timeout = s.parsed("github-timeout", |text| span(text, (1, 300)));
        let audit_log = s.parsed("audit-log", |text| Ok(PathBuf::from(text)));
        Some(Self {
            app: AppIdentity { id: id?, private_key: private_key?, api_url: api_url? },
            allowed_organizations,
            database: database?,
            write_interval: write_interval?,
            github_timeout: github_timeout?,
            audit_log,
        })
    }
}
