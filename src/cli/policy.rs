//! `patwarden policy`: whose rules come from where, whether they are in force, and who may say that another repository is
//! the right one.

use clap::Subcommand;

use super::{Exit, StoreArgs, output};
use crate::{
    domain::{Login, Organization, OrganizationId, RepositoryId, many},
    engine::{ENTERPRISE, EVERYBODY, trusted_as, whose_of},
    store::{PinnedBy, PolicyInForceRow, PolicyPlaceRow, Refused, Store},
};

/// Whose rules come from where, and whether they are in force.
#[derive(Subcommand)]
pub(super) enum Policy {
    /// Show each organization's policy: where it comes from, which repository and commit, its mode, what is wrong with it
    List(List),
    /// Accept what is there now in place of the repository that was followed
    ///
    /// A repository with rules is followed by its number. When another one has its name, or another organization has it,
    /// nothing is approved until somebody who may answer for it says that this is right. The same goes for an
    /// organization whose login belonged to another one.
    ///
    /// With --teams it is about teams instead: a slug in the rules means the team that had it when a rule first asked,
    /// until somebody says that whichever team has it now is meant. With --reviews about the repositories in which reviewers
    /// are asked: their names mean those that had them when people were first asked there, until somebody accepts the others
    /// that were found under them since.
    Trust(Trust),
}

#[derive(clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    store: StoreArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct Trust {
    #[command(flatten)]
    store: StoreArgs,
    /// Whose rules: an organization's login, as the settings name it; `enterprise`; or `everybody`
    #[arg(value_name = "ORG")]
    org: String,
    /// Forget which teams the slugs in the rules meant: each means the team that has it when a rule next asks
    #[arg(long)]
    teams: bool,
    /// Accept the other repositories that were found under the names of those for reviews, and none besides
    #[arg(long, conflicts_with = "teams")]
    reviews: bool,
    /// Do not ask: for scripts
    #[arg(long)]
    yes: bool,
}

impl Policy {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::List(list) => list.run().await,
            Self::Trust(trust) if trust.teams => trust.forget_teams().await,
            Self::Trust(trust) if trust.reviews => trust.accept_review_repositories().await,
            Self::Trust(trust) => trust.accept().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        let places = store.policy_places().await?;
        let policies = store.policies_in_force().await?;
        let ignored = store.ignored_installations().await?;
        let well = policies.iter().all(|policy| policy.broken.is_none());
        if self.json {
            output::json(&serde_json::json!({
                "policies": policies,
                "places": places.iter().map(place_json).collect::<Vec<_>>(),
                "ignored": ignored.iter().map(|(login, _)| login).collect::<Vec<_>>(),
            }))?;
            return Ok(if well { Exit::Well } else { Exit::NotWell });
        }
        if policies.is_empty() {
            output::line("The App was not seen installed anywhere yet; `patwarden serve` looks.");
        } else {
            output::table(
                &["ORGANIZATION", "RULES OF", "IN FORCE", "MODE", "STATE", "SINCE (UTC)"],
                policies.iter().map(|policy| {
                    let whose = policy.whose.as_deref().unwrap_or("nobody");
                    vec![
                        output::cell(policy.organization.login.as_str(), 40),
                        output::cell(whose, 50),
                        output::cell(&policy.source, 110),
                        mode(policy),
                        state(policy).to_owned(),
                        policy.since.strftime("%Y-%m-%d %H:%M").to_string(),
                    ]
                }),
            );
        }
        for policy in &policies {
            if let Some(why) = &policy.broken {
                output::line("");
                let login = output::cell(policy.organization.login.as_str(), 40);
                output::line(format_args!(
                    "{login}: nothing is approved: {}",
                    output::cell(why, 500)
                ));
            }
        }
        for place in &places {
            output::line("");
            print_place(place);
        }
        if !ignored.is_empty() {
            output::line("");
        }
        for (login, since) in &ignored {
            output::line(format_args!(
                "{}: IGNORED since {} UTC: the App is installed there, and allowed-organizations does not name it",
                output::cell(login.as_str(), 40),
                since.strftime("%Y-%m-%d %H:%M")
            ));
        }
        Ok(if well { Exit::Well } else { Exit::NotWell })
    }
}

fn mode(policy: &PolicyInForceRow) -> String {
    match policy.mode.as_deref() {
        Some("shadow") => "SHADOW".to_owned(),
        Some(mode) => mode.to_owned(),
        None => "none".to_owned(),
    }
}

fn state(policy: &PolicyInForceRow) -> &'static str {
    match (&policy.hash, &policy.broken) {
        (Some(_), None) => "valid",
        (Some(_), Some(_)) => "BROKEN",
        (None, _) => "NONE",
    }
}

fn place_json(place: &PolicyPlaceRow) -> serde_json::Value {
    serde_json::json!({
        "whose": place.whose,
        "place": place.place,
        "organization_id": place.organization,
        "repository": place.pin.map(|pin| serde_json::json!({
            "id": pin.id, "owner_id": pin.owner, "pinned_by": pin.by, "full_name": place.full_name,
            "default_branch": place.default_branch, "public": place.public,
        })),
        "commit": place.good.as_ref().and_then(|good| good.commit.as_ref()),
        "url": place.good.as_ref().and_then(|good| good.url.as_ref()),
        "loaded_at": place.loaded_at,
        "refused": place.refused,
    })
}

fn print_place(place: &PolicyPlaceRow) {
    output::line(format_args!("{}: {}", place.whose, output::cell(&place.place, 300)));
    if let (Some(pin), Some(name)) = (place.pin, &place.full_name) {
        output::line(format_args!(
            "  follows {} (number {}, pinned by {}){}",
            output::cell(name, 150),
            pin.id,
            pin.by.as_str(),
            if place.public { ", which is PUBLIC: everybody can read the rules" } else { "" }
        ));
    }
    if let (Some(good), Some(at)) = (&place.good, place.loaded_at) {
        let commit = good.commit.as_deref().map(|commit| format!(" of commit {commit}"));
        output::line(format_args!(
            "  last good: {}{}, since {} UTC",
            many(good.files.len(), "file"),
            commit.unwrap_or_default(),
            at.strftime("%Y-%m-%d %H:%M:%S")
        ));
    }
    if let Some(Refused { why, since, .. }) = &place.refused {
        output::line(format_args!(
            "  REFUSED since {} UTC: {}",
            since.strftime("%Y-%m-%d %H:%M:%S"),
            output::cell(why, 500)
        ));
    }
}

impl Trust {
    /// Whose rules are meant.
    async fn whose(&self, store: &Store) -> anyhow::Result<String> {
        let whose = match self.org.as_str() {
            ENTERPRISE | EVERYBODY => self.org.clone(),
            login => whose_of(&Login::new(login)),
        };
        let mut known: Vec<String> = Vec::new();
        for place in store.policy_places().await? {
            known.push(trusted_as(&place.whose).to_owned());
        }
        let policies = store.policies_in_force().await?.into_iter();
        known
            .extend(policies.map(|policy| policy.organization.login.as_str().to_ascii_lowercase()));
        known.sort();
        known.dedup();
        if known.iter().any(|known| known.eq_ignore_ascii_case(&self.org)) {
            return Ok(whose);
        }
        anyhow::bail!(
            "no rules of `{}` are known; known are {}",
            output::cell(&self.org, 40),
            match known.as_slice() {
                [] => "nobody's yet: `patwarden serve` looks".to_owned(),
                known => output::cell(&known.join(", "), 1_000),
            }
        )
    }

    async fn accept(&self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        let whose = self.whose(&store).await?;
        let shown = output::cell(&self.org, 40);
        let place = store.policy_place(&whose).await?;
        let other = another_organization(&store, place.as_ref(), &self.org).await?;
        let refused = place.as_ref().and_then(|place| place.refused.as_ref());
        if refused.is_none() && other.is_none() {
            output::line(format_args!(
                "Nothing of {shown}'s is refused: there is nothing to accept."
            ));
            return Ok(Exit::Well);
        }
        if let Some(Refused { why, found, .. }) = refused {
            let pin = place.as_ref().and_then(|place| place.pin);
            if pin.is_some_and(|pin| pin.by == PinnedBy::Settings && pin.id != found.id) {
                anyhow::bail!("{why}: change it there, and start `patwarden serve` anew");
            }
            output::line(output::cell(why, 500));
            output::line(format_args!(
                "From now on the rules of {shown} come from {} (number {}), and whoever may push to its default branch decides what is approved.",
                output::cell(&found.full_name, 150),
                found.id
            ));
        }
        if let Some(id) = other {
            output::line(format_args!(
                "From now on {shown} is the organization of number {id}, and has the rules that the settings name for it."
            ));
        }
        if !self.confirmed().await? {
            return Ok(Exit::NotWell);
        }
        if let Some(Refused { found, .. }) = refused
            && !store.trust_repository(&whose, found).await?
        {
            anyhow::bail!("it changed meanwhile: look again");
        }
        if let Some(id) = other {
            store.trust_login(&whose, id).await?;
        }
        output::line("Accepted; `patwarden serve` looks at it within seconds.");
        Ok(Exit::Well)
    }

    /// Lets the slugs in the rules mean whichever teams have them now.
    async fn forget_teams(&self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        let whose = self.whose(&store).await?;
        let teams = pinned_teams(&store, &whose, &self.org).await?;
        if teams.is_empty() {
            output::line(format_args!(
                "No rule of {}'s has asked for a team yet: there is nothing to forget.",
                output::cell(&self.org, 40)
            ));
            return Ok(Exit::Well);
        }
        for (organization, slugs) in &teams {
            output::line(format_args!(
                "In the rules for {} each of these will mean whichever team has that slug when a rule next asks, and its members \
                 are judged by it: {}",
                output::cell(organization.login.as_str(), 40),
                output::cell(&slugs.join(", "), 1_000)
            ));
        }
        if !self.confirmed().await? {
            return Ok(Exit::NotWell);
        }
        for (organization, _) in teams {
            store.forget_teams(organization.id).await?;
        }
        output::line("Forgotten; requests that wait for it are judged again within minutes.");
        Ok(Exit::Well)
    }

    /// Lets the names in `notify` mean whichever repositories have them now.
    async fn accept_review_repositories(&self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        let whose = self.whose(&store).await?;
        let mut found = Vec::new();
        for organization in organizations_under(&store, &whose, &self.org).await? {
            let refused = store.refused_review_repositories(organization.id).await?;
            if !refused.is_empty() {
                found.push((organization, refused));
            }
        }
        if found.is_empty() {
            output::line(format_args!(
                "No other repository was found under a name in which people of {} were asked: there is nothing to accept.",
                output::cell(&self.org, 40)
            ));
            return Ok(Exit::Well);
        }
        for (organization, refused) in &found {
            let name = |(name, known, other): &(String, RepositoryId, RepositoryId)| {
                format!("{name} (number {other}, until now {known})")
            };
            let names: Vec<String> = refused.iter().map(name).collect();
            output::line(format_args!(
                "In {} each of these names will mean the repository that was found under it last, and whoever reads that sees what \
                 is asked: {}",
                output::cell(organization.login.as_str(), 40),
                output::cell(&names.join(", "), 1_000)
            ));
        }
        if !self.confirmed().await? {
            return Ok(Exit::NotWell);
        }
        for (organization, refused) in found {
            let these: Vec<_> = refused.into_iter().map(|(name, _, other)| (name, other)).collect();
            let now = crate::clock::Clock::system().now();
            store.trust_review_repositories(organization.id, &these, now).await?;
        }
        output::line("Accepted; people are asked within minutes.");
        Ok(Exit::Well)
    }

    /// Whether somebody says yes, here or by a flag.
    async fn confirmed(&self) -> anyhow::Result<bool> {
        let yes = self.yes || asked().await?;
        if !yes {
            output::line("Left as it is.");
        }
        Ok(yes)
    }
}

/// The teams whose ids are remembered, of every organization under these rules.
async fn pinned_teams(
    store: &Store,
    whose: &str,
    login: &str,
) -> anyhow::Result<Vec<(Organization, Vec<String>)>> {
    let mut found = Vec::new();
    for organization in organizations_under(store, whose, login).await? {
        let teams = store.known_teams(organization.id).await?;
        let mut slugs: Vec<String> = teams.into_keys().collect();
        slugs.sort();
        if !slugs.is_empty() {
            found.push((organization, slugs));
        }
    }
    Ok(found)
}

/// Every organization under these rules.
async fn organizations_under(
    store: &Store,
    whose: &str,
    login: &str,
) -> anyhow::Result<Vec<Organization>> {
    let concerned = |policy: &PolicyInForceRow| {
        whose == ENTERPRISE
            || policy.whose.as_deref() == Some(whose)
            || policy.organization.login == Login::new(login)
    };
    let policies = store.policies_in_force().await?.into_iter().filter(concerned);
    Ok(policies.map(|policy| policy.organization).collect())
}

/// The organization that has the login now, where it is another than had it.
async fn another_organization(
    store: &Store,
    place: Option<&PolicyPlaceRow>,
    login: &str,
) -> anyhow::Result<Option<OrganizationId>> {
    let Some(before) = place.and_then(|place| place.organization) else { return Ok(None) };
    let login = Login::new(login);
    let installed = store.installations().await?;
    let now = installed.iter().find(|row| row.organization.login == login);
    Ok(now.map(|row| row.organization.id).filter(|id| *id != before))
}

async fn asked() -> anyhow::Result<bool> {
    output::line("Type `yes` if that is right:");
    let typed = output::typed().await?;
    Ok(typed.trim() == "yes")
}
