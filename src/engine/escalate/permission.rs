//! Who may decide: read live, by number, at the moment of the answer. What cannot be read is no yes.

use crate::{
    domain::{Login, Organization, Owner, TeamRef, UserId},
    engine::{is_an_answer, worker::Worker},
    github::CallError,
    rules::policy::Reviewers,
};

use super::{Case, Trouble};

/// After so many failures of a step in a row, what cannot be read is said and not waited for.
const READ_AGAIN: i64 = 3;

/// Whether somebody may decide for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum May {
    Yes,
    No,
    /// It could not be read, and why.
    Unread(String),
}

impl Worker<'_> {
    /// Whether this user may decide for a group. A failure that may pass is one: it is asked again before it counts as unread.
    pub(super) async fn may_decide(
        &self,
        case: &Case<'_>,
        (user, login): (UserId, &Login),
        group: &Reviewers,
    ) -> Result<May, Trouble> {
        let organization = &case.installation.organization;
        let mut unread = None;
        if !group.may_decide.roles.is_empty() {
            let person = Owner { id: user, login: login.clone() };
            match case.read.role(organization, &person).await {
                Ok(role) if group.may_decide.roles.contains(&role) => return Ok(May::Yes),
                // Nobody who is no member, as far as we may see: GitHub says the same of both.
                Ok(_) | Err(CallError::NotFound) => {}
                Err(error) => {
                    unread = Some(self.unread(case, "the role in the organization", error)?);
                }
            }
        }
        for team in &group.may_decide.teams {
            match self.is_in(case, organization, team, user).await {
                Ok(Ok(true)) => return Ok(May::Yes),
                Ok(Ok(false)) => {}
                Ok(Err(why)) => unread = Some(why),
                Err(Trouble::Call(error)) => {
                    let what = format!("the members of `{}`", team.kept_as(&organization.login));
                    unread = Some(self.unread(case, &what, error)?);
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(unread.map_or(May::No, May::Unread))
    }

    /// Why it is not known, or the failure where asking again may help.
    fn unread(&self, case: &Case<'_>, what: &str, error: CallError) -> Result<String, Trouble> {
        let limited = matches!(error, CallError::RateLimited { .. });
        if limited || (!is_an_answer(&error) && case.row.failures < READ_AGAIN) {
            return Err(error.into());
        }
        Ok(format!("{what} could not be read: {error}"))
    }

    async fn is_in(
        &self,
        case: &Case<'_>,
        organization: &Organization,
        team: &TeamRef,
        user: UserId,
    ) -> Result<Result<bool, String>, Trouble> {
        let of = team.organization_or(&organization.login);
        let kept_as = team.kept_as(&organization.login);
        let members = match case.read.team_members(of, team.slug()).await {
            Err(CallError::NotFound) => {
                return Ok(Err(format!("there is no team `{kept_as}` that the App can see")));
            }
            members => members?,
        };
        // After the members: a slug that changes hands in between is then found to name another team.
        let id = case.read.team(of, team.slug()).await?;
        match self.engine.store.known_teams(organization.id).await?.get(&kept_as) {
            Some(known) if *known != id => Ok(Err(format!(
                "the slug `{kept_as}` names another team than before; `patwarden policy trust {} --teams` accepts it",
                organization.login
            ))),
            Some(_) => Ok(Ok(members.contains(&user))),
            None => {
                let mut tx = self.begin().await?;
                tx.note_team(organization.id, &kept_as, id, self.engine.clock.now()).await?;
                tx.commit().await?;
                Ok(Ok(members.contains(&user)))
            }
        }
    }

    /// Who has this login now, if it is somebody who may decide for one of the groups that are asked.
    pub(super) async fn reviewer(
        &self,
        case: &Case<'_>,
        login: &Login,
    ) -> Result<Result<UserId, May>, Trouble> {
        let organization = &case.installation.organization;
        let user = match case.read.user_of(organization, login).await {
            Ok(user) => user,
            Err(CallError::NotFound) => {
                return Ok(Err(May::No));
            }
            Err(error) => {
                return Ok(Err(May::Unread(self.unread(case, "the membership", error)?)));
            }
        };
        if user == case.request.owner.id {
            return Ok(Err(May::No));
        }
        let mut why = May::No;
        for group in &case.groups {
            match self.may_decide(case, (user, login), &case.defined(&group.name)).await? {
                May::Yes => return Ok(Ok(user)),
                May::No => {}
                unread @ May::Unread(_) => why = unread,
            }
        }
        Ok(Err(why))
    }
}
