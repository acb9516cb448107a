//! Asking GitHub for what rule files name, as the App and once for each kind of thing. What the answers mean for the files is
//! for `rules::names`; what could not be asked is said, and taken for neither right nor wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::why_no_properties;
use crate::{
    domain::{Login, Organization, cut, for_people, many},
    github::{App, CallError, ClientOptions, InstallationClients, Read},
    rules::{
        load::Loaded,
        names::{Known, MOST_NAMES, Name},
    },
    store::{Store, StoreError},
};

/// The most people who are in no list of members and are asked about one by one.
const ONE_BY_ONE: usize = 50;

/// Something that could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct NotAsked {
    /// What: `the teams of acme`.
    pub what: String,
    /// Why, fit to be shown.
    pub why: String,
}

/// What GitHub has of what the files name.
#[derive(Clone, Debug, Default)]
pub struct LookedUp {
    /// What there is.
    pub known: Known,
    /// What could not be asked.
    pub not_asked: Vec<NotAsked>,
}

/// Asks what there is of what `loaded` names, for requests to `own`; and `store`, where there is one, which team a slug
/// meant before.
pub async fn look_up(
    app: std::sync::Arc<App>,
    options: ClientOptions,
    store: Option<&Store>,
    own: &Login,
    loaded: &Loaded,
) -> LookedUp {
    let clients = InstallationClients::new(app.clone(), options);
    let asker = Asker { app: &app, clients: &clients, looked_up: LookedUp::default() };
    asker.ask(store, own, &Wanted::of(loaded, own)).await
}

/// What the files name, by whose it is.
#[derive(Default)]
struct Wanted {
    teams: BTreeSet<Login>,
    repositories: BTreeMap<Login, BTreeSet<String>>,
    properties: bool,
    logins: BTreeSet<Login>,
    too_many: bool,
}

impl Wanted {
    fn of(loaded: &Loaded, own: &Login) -> Self {
        let mut wanted = Self { too_many: loaded.named().len() > MOST_NAMES, ..Self::default() };
        for named in loaded.named() {
            match &named.name {
                Name::Team(team) => {
                    wanted.teams.insert(Login::new(team.organization_or(own)));
                }
                Name::Repository { organization, name } => {
                    let organization = organization.as_ref().unwrap_or(own).clone();
                    let names = wanted.repositories.entry(organization).or_default();
                    names.insert(name.to_ascii_lowercase());
                }
                Name::Property(_) => wanted.properties = true,
                Name::Login(login) => {
                    wanted.logins.insert(login.clone());
                }
            }
        }
        wanted
    }

    /// Whose things are named.
    fn organizations(&self) -> impl Iterator<Item = &Login> {
        self.teams.iter().chain(self.repositories.keys()).collect::<BTreeSet<_>>().into_iter()
    }
}

/// Asks as the App.
struct Asker<'a> {
    app: &'a App,
    clients: &'a InstallationClients,
    looked_up: LookedUp,
}

/// What can be asked of one organization.
struct Seat {
    organization: Organization,
    every_repository: bool,
    read: Read,
}

impl Asker<'_> {
    async fn ask(mut self, store: Option<&Store>, own: &Login, wanted: &Wanted) -> LookedUp {
        if wanted.too_many {
            self.not(format!("the names after the first {MOST_NAMES}"), "these are too many");
        }
        // Without this one, nothing can be said that would be of use.
        let Some(seat) = self.seat(own).await else { return self.looked_up };
        self.things_of(&seat, own, wanted).await;
        if !wanted.teams.is_empty() {
            self.pins(&seat, store).await;
        }
        if wanted.properties {
            self.properties(&seat, own).await;
        }
        if !wanted.logins.is_empty() {
            self.logins(&seat, own, &wanted.logins).await;
        }
        for other in wanted.organizations().filter(|other| *other != own) {
            if let Some(seat) = self.seat(other).await {
                self.things_of(&seat, other, wanted).await;
            }
        }
        self.looked_up
    }

    /// What every organization may have something of that is named.
    async fn things_of(&mut self, seat: &Seat, organization: &Login, wanted: &Wanted) {
        if wanted.teams.contains(organization) {
            self.teams(seat, organization).await;
        }
        if let Some(named) = wanted.repositories.get(organization) {
            self.repositories(seat, organization, named).await;
        }
    }

    fn not(&mut self, what: String, why: impl std::fmt::Display) {
        let why = cut(&for_people(&why.to_string()), 300);
        self.looked_up.not_asked.push(NotAsked { what, why });
    }

    /// The App's place in an organization, which is told where there is none.
    async fn seat(&mut self, organization: &Login) -> Option<Seat> {
        let what = format!("anything of {organization}");
        let installed = match self.app.installation_on(organization).await {
            Ok(installed) => installed,
            Err(CallError::NotFound) => {
                self.not(what, "there is no such organization, or the App is not installed on it");
                return None;
            }
            Err(error) => {
                self.not(what, error);
                return None;
            }
        };
        if installed.installation.suspended {
            self.not(what, "the App's installation on it is suspended");
            return None;
        }
        match self.clients.read(installed.installation.id) {
            Ok(read) => Some(Seat {
                organization: installed.installation.organization,
                every_repository: installed.every_repository,
                read,
            }),
            Err(error) => {
                self.not(what, error);
                None
            }
        }
    }

    async fn teams(&mut self, seat: &Seat, organization: &Login) {
        match seat.read.teams(organization).await {
            Ok(teams) => {
                self.looked_up.known.teams.insert(lower(organization), teams);
            }
            Err(error) => self.not(format!("the teams of {organization}"), error),
        }
    }

    async fn pins(&mut self, seat: &Seat, store: Option<&Store>) {
        let Some(store) = store else { return };
        match store.known_teams(seat.organization.id).await {
            Ok(pinned) => self.looked_up.known.pinned = pinned,
            Err(error) => self.no_pins(&error),
        }
    }

    fn no_pins(&mut self, error: &StoreError) {
        self.not("which teams the slugs meant so far".to_owned(), error);
    }

    async fn repositories(&mut self, seat: &Seat, organization: &Login, named: &BTreeSet<String>) {
        let there = match seat.read.repository_names(organization).await {
            Ok(there) => there,
            Err(error) => return self.not(format!("the repositories of {organization}"), error),
        };
        let missing: Vec<&str> = named.difference(&there).map(String::as_str).collect();
        if seat.every_repository || missing.is_empty() {
            self.looked_up.known.repositories.insert(lower(organization), there);
            return;
        }
        // What it was not given it does not see, be it there or not.
        let what = format!("the repositories {} of {organization}", missing.join(", "));
        self.not(cut(&what, 300), "the App was given other repositories, and does not see these");
    }

    async fn properties(&mut self, seat: &Seat, own: &Login) {
        match seat.read.property_names(own).await {
            Ok(names) => self.looked_up.known.properties = Some(names),
            Err(error) => {
                self.not(format!("the custom properties of {own}"), why_no_properties(&error));
            }
        }
    }

    async fn logins(&mut self, seat: &Seat, own: &Login, wanted: &BTreeSet<Login>) {
        let mut there = match seat.read.member_logins(own).await {
            Ok(there) => there,
            Err(error) => return self.not(format!("the members of {own}"), error),
        };
        let missing: Vec<Login> = wanted.difference(&there).cloned().collect();
        if missing.len() > ONE_BY_ONE {
            let people = many(missing.len(), "person");
            let what = format!("whether {people} are billing managers of {own}");
            self.not(what, "that is a call for each");
        } else {
            // Who only sees the bills, or has not accepted an invitation yet, is in no list.
            for login in missing {
                match seat.read.role_of_login(&seat.organization, &login).await {
                    Err(CallError::NotFound) => {}
                    Ok(_) => drop(there.insert(login)),
                    Err(error) => {
                        self.not(format!("the role of {login} in {own}"), error);
                        there.insert(login);
                    }
                }
            }
        }
        self.looked_up.known.logins = Some(there);
    }
}

fn lower(login: &Login) -> String {
    login.as_str().to_ascii_lowercase()
}
