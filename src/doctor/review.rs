//! Who may change the rules without anybody looking, and whether the repositories are there in which reviewers are asked.

use super::{Finding, Level, found};
use crate::github::{BranchRules, CallError, RemoteRepository};

/// Whether somebody else must look at a change of the rules before it is in force. `place` is the repository and its branch,
/// for people.
#[must_use]
pub fn about_the_branch(place: &str, seen: &Result<BranchRules, CallError>) -> Finding {
    const ABOUT: &str = "rules";
    let anybody =
        "Whoever may push there can decide who gets a token, and nobody else has to look.";
    let mend = "Add a ruleset for that branch that requires a pull request with an approval, and let few bypass it.";
    match seen {
        Ok(BranchRules { approvals: Some(approvals @ 1..), .. }) => Finding::well(
            ABOUT,
            format!(
                "a change of {place} needs a pull request with {approvals} or more approvals; GitHub does not show an App who may bypass that"
            ),
        ),
        Ok(BranchRules { approvals: Some(0), .. }) => found(
            Level::Warning,
            ABOUT,
            format!("a change of {place} needs a pull request, and nobody's approval"),
            anybody,
            mend,
        ),
        Ok(BranchRules { approvals: None, protected: true }) => found(
            Level::Note,
            ABOUT,
            format!("{place} is protected, and what that asks for is not shown to an App"),
            anybody,
            "See the branch's protection: it should require a pull request with an approval. A ruleset would show here.",
        ),
        Ok(BranchRules { approvals: None, protected: false }) => found(
            Level::Warning,
            ABOUT,
            format!("a change of {place} needs no review"),
            anybody,
            mend,
        ),
        Err(error) => found(
            Level::Note,
            ABOUT,
            format!("whether a change of {place} needs a review could not be read: {error}"),
            anybody,
            "See the branch's rules yourself.",
        ),
    }
}

/// Whether the repository is there in which reviewers are asked. `name` is what the rules call it.
#[must_use]
pub fn about_a_place_for_reviews(
    organization: &str,
    name: &str,
    seen: &Result<RemoteRepository, CallError>,
) -> Finding {
    match seen {
        Ok(repository) if repository.public => found(
            Level::Note,
            organization,
            format!("reviewers are asked in {name}, which everybody can read"),
            "Issues there say only who asks and since when; reviewers look the rest up on GitHub.",
            "Use a private repository.",
        ),
        Ok(_) => Finding::well(organization, format!("reviewers are asked in {name}")),
        Err(CallError::NotFound) => found(
            Level::Warning,
            organization,
            format!("reviewers are to be asked in {name}, which is not there, or not for the App"),
            "Nobody is asked there; requests wait.",
            "Make that repository, install the App on it, or name another in `notify` of the rules.",
        ),
        Err(error) => found(
            Level::Note,
            organization,
            format!(
                "whether {name} is there, where reviewers are to be asked, could not be read: {error}"
            ),
            "Where it is not, nobody is asked.",
            "Try again.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Login, Organization, OrganizationId, RepositoryId};

    #[test]
    fn rules_that_one_person_can_change_alone_are_a_warning() {
        let level = |approvals, protected| {
            about_the_branch("acme/rules (main)", &Ok(BranchRules { approvals, protected })).level
        };
        assert_eq!(level(Some(2), true), Level::Well);
        assert_eq!(level(Some(0), true), Level::Warning);
        assert_eq!(level(None, true), Level::Note);
        assert_eq!(level(None, false), Level::Warning);
        assert_eq!(about_the_branch("", &Err(CallError::NotFound)).level, Level::Note);
    }

    #[test]
    fn a_place_for_reviews_is_there_and_not_for_everybody() {
        let repository = |public| RemoteRepository {
            id: RepositoryId(1),
            owner: Organization { id: OrganizationId(1), login: Login::new("acme") },
            name: "reviews".to_owned(),
            default_branch: "main".to_owned(),
            public,
            private: !public,
            archived: false,
            url: String::new(),
        };
        let level = |seen| about_a_place_for_reviews("acme", "acme/reviews", &seen).level;
        assert_eq!(level(Ok(repository(false))), Level::Well);
        assert_eq!(level(Ok(repository(true))), Level::Note);
        assert_eq!(level(Err(CallError::NotFound)), Level::Warning);
    }
}
