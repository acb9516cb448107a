//! Whom `owners`, a team or an address means now, and under which addresses they can be reached.
//!
//! A list that cannot be read is an error, never a list of nobody: what is sent to nobody is not heard of.

use std::collections::{BTreeMap, BTreeSet};

use lettre::Address;

use super::{Engine, policy::is_an_answer};
use crate::{
    domain::{Login, Organization, Owner, Role, TeamRef},
    github::{CallError, Read},
    rules::policy::Detail,
    settings::Others,
    store::{InstallationRow, StoreError},
};

/// How many people's public profiles are looked at for one mail: a call for each.
const PROFILES_AT_ONCE: usize = 100;

/// Somebody who can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Where.
    pub address: Address,
    /// The most that may be told there: `minimal`, where the address comes from a public profile.
    pub most: Detail,
}

/// Who can be reached, and who cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients {
    /// Each address once, in order.
    reached: BTreeMap<String, Recipient>,
    /// Who was meant and has no address that we know.
    pub without_address: BTreeSet<Login>,
}

impl Recipients {
    /// Those who can be reached: each address once.
    pub fn reached(&self) -> impl Iterator<Item = &Recipient> {
        self.reached.values()
    }

    /// Whether nobody can be reached.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.reached.is_empty()
    }

    /// These and others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        for recipient in others.reached.into_values() {
            self.add(recipient);
        }
        self.without_address.extend(others.without_address);
        self
    }

    fn add(&mut self, recipient: Recipient) {
        // Mail servers may tell `Kim@` from `kim@`, and none does; a mail twice is what people notice.
        let key = recipient.address.to_string().to_lowercase();
        let known = self.reached.entry(key).or_insert_with(|| recipient.clone());
        // Known to the operator, it is as private as the operator says.
        if recipient.most == Detail::Full {
            known.most = Detail::Full;
        }
    }
}

/// Why nobody knows who is meant.
#[derive(Debug, thiserror::Error)]
pub enum RecipientsError {
    /// No mail is set up.
    #[error("no mail is set up: set PATWARDEN_MAIL and PATWARDEN_MAIL_FROM")]
    NoMail,
    /// A list could not be read.
    #[error("who `{whom}` is could not be read: {error}")]
    Unreadable {
        /// As rules write it.
        whom: String,
        /// What GitHub said.
        error: CallError,
    },
    /// A slug that names another team than before: whoever took it must not be told.
    #[error(
        "the slug `{team}` names another team than before; `patwarden policy trust {organization} --teams` accepts it"
    )]
    AnotherTeam {
        /// As rules write it.
        team: String,
        /// Whose rules.
        organization: Login,
    },
    /// Neither `owners` nor a team nor an address.
    #[error("`{0}` is neither `owners`, a team nor an address")]
    Nobody(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RecipientsError {
    /// Whether asking again may help. GitHub's word that there is no such team, or that we may not see it, stands until
    /// somebody changes something.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreadable { error, .. } => !is_an_answer(error),
            Self::Store(_) => true,
            Self::NoMail | Self::AnotherTeam { .. } | Self::Nobody(_) => false,
        }
    }
}

impl Engine {
    /// Whom `to` means now: each `owners`, a team, or an address, as `[digest]` and `email:` of `[reviewers]` have it.
    ///
    /// # Errors
    /// When one of them could not be read. Whoever would rather reach some than none asks for each by itself.
    pub async fn recipients(
        &self,
        installation: &InstallationRow,
        to: &[String],
    ) -> Result<Recipients, RecipientsError> {
        let Some(book) = self.options.addresses.as_deref() else {
            return Err(RecipientsError::NoMail);
        };
        let organization = &installation.organization;
        let mut recipients = Recipients::default();
        let mut people = BTreeMap::new();
        for whom in to {
            if whom.contains('@') {
                let address = whom.parse().map_err(|_| RecipientsError::Nobody(whom.clone()))?;
                recipients.add(Recipient { address, most: Detail::Full });
                continue;
            }
            let unreadable = |error| RecipientsError::Unreadable { whom: whom.clone(), error };
            let read = self.clients.read(installation.id).map_err(unreadable)?;
            let members = if whom == "owners" {
                owners(&read, organization).await.map_err(unreadable)?
            } else {
                self.team(&read, organization, whom).await?
            };
            people.extend(members.into_iter().map(|owner| (owner.id, owner)));
        }
        let mut looked_up = 0;
        for person in people.into_values() {
            if let Some(address) = book.addresses.get(&person.login) {
                recipients.add(Recipient { address: address.clone(), most: Detail::Full });
                continue;
            }
            let mut public = None;
            if book.others == Others::ByPublicProfile && looked_up < PROFILES_AT_ONCE {
                looked_up += 1;
                let whom = || person.login.to_string();
                let unreadable = |error| RecipientsError::Unreadable { whom: whom(), error };
                let read = self.clients.read(installation.id).map_err(unreadable)?;
                public = read.public_address(&person).await.map_err(unreadable)?;
            }
            // A stranger wrote it: what is no address is none.
            match public.and_then(|text| text.parse::<Address>().ok()) {
                Some(address) => recipients.add(Recipient { address, most: Detail::Minimal }),
                None => drop(recipients.without_address.insert(person.login)),
            }
        }
        Ok(recipients)
    }

    /// The members of the team that rules mean by a slug, which may have changed hands.
    async fn team(
        &self,
        read: &Read,
        organization: &Organization,
        whom: &str,
    ) -> Result<Vec<Owner>, RecipientsError> {
        let team = TeamRef::parse(whom).map_err(|_| RecipientsError::Nobody(whom.to_owned()))?;
        let unreadable = |error| RecipientsError::Unreadable { whom: whom.to_owned(), error };
        let (of, slug) = (team.organization_or(&organization.login), team.slug());
        let members = read.people_of_team(of, slug).await.map_err(unreadable)?;
        // After the members: a slug that changes hands in between is then found to name another team.
        let id = read.team(of, slug).await.map_err(unreadable)?;
        let kept_as = team.kept_as(&organization.login);
        match self.store.known_teams(organization.id).await?.get(&kept_as) {
            Some(known) if *known != id => {
                return Err(RecipientsError::AnotherTeam {
                    team: kept_as,
                    organization: organization.login.clone(),
                });
            }
            Some(_) => {}
            None => {
                let mut tx = self.store.begin().await?;
                tx.note_team(organization.id, &kept_as, id, self.clock.now()).await?;
                tx.commit().await?;
            }
        }
        Ok(members)
    }
}

async fn owners(read: &Read, organization: &Organization) -> Result<Vec<Owner>, CallError> {
    let owners = read.members(organization, Role::Owner).await?;
    if owners.is_empty() {
        // An organization has an owner: a list without any is not one.
        return Err(CallError::Unreadable { why: "GitHub listed no owner at all".to_owned() });
    }
    Ok(owners)
}

#[cfg(test)]
mod tests {
    use super::{Recipient, Recipients};
    use crate::rules::policy::Detail;

    fn recipient(address: &str, most: Detail) -> Recipient {
        Recipient { address: address.parse().expect("an address"), most }
    }

    #[test]
    fn an_address_is_written_to_once_and_told_all_that_its_most_private_source_allows() {
        let mut some = Recipients::default();
        some.add(recipient("kim@example.com", Detail::Minimal));
        some.without_address.insert(crate::domain::Login::new("lee"));
        let mut others = Recipients::default();
        others.add(recipient("Kim@example.com", Detail::Full));
        others.add(recipient("olga@example.com", Detail::Minimal));
        let all = some.and(others);
        let told: Vec<_> = all.reached().map(|one| (one.address.to_string(), one.most)).collect();
        assert_eq!(
            told,
            [
                ("kim@example.com".to_owned(), Detail::Full),
                ("olga@example.com".to_owned(), Detail::Minimal)
            ]
        );
        assert_eq!(all.without_address.len(), 1);
    }
}
