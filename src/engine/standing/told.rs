//! PURE: what owners are told before a standing policy takes their tokens: one mail for each of them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Selected, Sorted, named, outcome::Reach};
use crate::{
    digest::Pages,
    domain::{Login, UserId},
    notify::{Notice, NoticeToken},
    rules::revocation::Revocation,
    settings::AddressBook,
    store::{InstallationRow, MailRow, NoticeMail},
};

/// How many logins a sentence names.
const LOGINS_NAMED: usize = 10;

/// How somebody can be told.
pub(super) fn reach(addresses: Option<&AddressBook>, owner: &Login) -> Reach {
    match addresses {
        None => Reach::NoMail,
        Some(addresses) if addresses.addresses.contains_key(owner) => Reach::Address,
        Some(_) => Reach::NoAddress,
    }
}

/// The mails to the owners who are to be told.
pub(super) fn mails(
    (addresses, api_url): (Option<&AddressBook>, &str),
    installation: &InstallationRow,
    (id, revocation): (&str, &Revocation),
    sorted: &Sorted<'_>,
    now: Timestamp,
) -> Vec<NoticeMail> {
    let mut by_owner: BTreeMap<UserId, Vec<&Selected>> = BTreeMap::new();
    for one in &sorted.tell {
        by_owner.entry(one.grant.owner.id).or_default().push(one);
    }
    let organization = &installation.organization;
    let mail = |tokens: Vec<&Selected>| {
        let owner = &tokens.first()?.grant.owner;
        let address = addresses?.addresses.get(&owner.login)?;
        let notice = Notice {
            organization: organization.login.clone(),
            owner: owner.login.clone(),
            policy: named(id),
            grace: revocation.grace,
            not_before: now
                .saturating_add(SignedDuration::from_secs(revocation.grace.seconds()))
                .unwrap_or(now),
            owners: Pages::of(api_url, &organization.login).owners,
            use_keeps: revocation.is_about_use(),
            tokens: tokens.iter().map(|one| token(one)).collect(),
        };
        // A token that is selected anew another day is told of anew.
        let key = format!(
            "notice/{}/{}/{}/{}",
            organization.id,
            named(id),
            owner.id,
            now.as_millisecond()
        );
        let mail = MailRow {
            key,
            organization: organization.id,
            recipient: address.to_string(),
            subject: notice.subject(),
            text: notice.text(),
            html: notice.html(),
            list: String::new(),
            attempts: 0,
        };
        Some(NoticeMail { mail, grants: tokens.iter().map(|one| one.grant.id).collect() })
    };
    by_owner.into_values().filter_map(mail).collect()
}

fn token(selected: &Selected) -> NoticeToken {
    let why: Vec<String> =
        selected.reasons.iter().filter_map(|reason| reason.for_its_owner()).collect();
    NoticeToken {
        name: selected.grant.token.name.clone(),
        why: why.join("; "),
        last_used_at: selected.grant.token.last_used_at,
    }
}

/// What the report says of tokens whose owners are told now.
pub(super) fn said(revocation: &Revocation) -> String {
    let unless = if revocation.is_about_use() { ", unless they are used meanwhile" } else { "" };
    format!(
        "their owners are told by mail: revoked {} after the mail arrived{unless}",
        revocation.grace
    )
}

/// Why a run asks of tokens whose owners could not be told.
pub(super) fn nobody_to_tell(tokens: &[&Selected]) -> String {
    let mut logins: Vec<&str> = tokens.iter().map(|one| one.grant.owner.login.as_str()).collect();
    logins.sort_unstable();
    logins.dedup();
    let more = logins.len().saturating_sub(LOGINS_NAMED);
    logins.truncate(LOGINS_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "no mail reaches {}{more}: their tokens are not revoked before somebody confirms",
        logins.join(", ")
    )
}
