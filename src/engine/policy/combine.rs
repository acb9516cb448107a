//! PURE: which policy is in force, from what is known of the enterprise's files and of an organization's. What is new and
//! invalid, or cannot be read, leaves the last good version of that layer in force, and says why.

use std::sync::Arc;

use crate::{
    domain::many,
    rules::{
        Policy, SourceFile, Sources, Standing,
        diagnostic::Diagnostic,
        load::{Loaded, load_layers},
    },
    store::PolicyFiles,
};

/// What is known of the files at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    /// The place, for people.
    pub(super) place: String,
    /// The files as they are now, or why nobody knows them.
    pub(super) now: Result<Arc<PolicyFiles>, String>,
    /// The last ones that were in force.
    pub(super) good: Option<Arc<PolicyFiles>>,
    /// The repository that has them.
    pub(super) repository: Option<Known>,
}

/// A repository with rules, as we know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: Option<crate::domain::RepositoryId>,
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) default_branch: Option<String>,
}

impl Layer {
    /// The versions that may be in force, the newest first.
    fn versions(&self) -> Vec<Arc<PolicyFiles>> {
        let now = self.now.as_ref().ok().cloned();
        let same =
            |good: &Arc<PolicyFiles>| now.as_ref().is_some_and(|now| now.files == good.files);
        let good = self.good.clone().filter(|good| !same(good));
        now.clone().into_iter().chain(good).collect()
    }

    fn standing(&self, files: &PolicyFiles) -> Standing {
        match &self.good {
            Some(good) if good.files == files.files => Standing::Before,
            _ => Standing::New,
        }
    }

    /// Where files came from, for the record.
    pub(super) fn source(&self, files: &PolicyFiles) -> String {
        match (&self.repository, &files.commit) {
            (Some(Known { owner, name, .. }), Some(commit)) => format!("{owner}/{name}@{commit}"),
            _ => self.place.clone(),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Combined {
    pub(super) policy: Option<Policy>,
    /// Where its files came from.
    pub(super) source: String,
    /// Why it is not made of what is there now, or why there is none.
    pub(super) broken: Option<String>,
    /// The files that it is made of.
    pub(super) enterprise: Option<Arc<PolicyFiles>>,
    pub(super) organization: Option<Arc<PolicyFiles>>,
    /// What the files as they are now are told.
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Makes one policy of what both layers say.
pub(super) fn combine(enterprise: Option<&Layer>, organization: &Layer) -> Combined {
    let mut combined = Combined { source: organization.place.clone(), ..Combined::default() };
    let layers = enterprise.into_iter().chain([organization]);
    combined.broken = layers.filter_map(|layer| layer.now.clone().err()).next();
    let mut first = combined.broken.is_none();
    let above: Vec<Option<Arc<PolicyFiles>>> = match enterprise {
        Some(layer) => layer.versions().into_iter().map(Some).collect(),
        None => vec![None],
    };
    for upper in &above {
        for lower in organization.versions() {
            let standing = organization.standing(&lower);
            let sources = sources(upper.as_deref(), &lower, standing);
            let Loaded { policy, diagnostics, .. } = load_layers(&sources);
            if std::mem::take(&mut first) {
                if policy.is_none() {
                    let place = blame(&diagnostics, &sources, enterprise, organization);
                    combined.broken = Some(errors(place, &diagnostics));
                }
                combined.diagnostics = diagnostics;
            }
            let Some(policy) = policy else { continue };
            combined.source = organization.source(&lower);
            if let Some((layer, upper)) = enterprise.zip(upper.as_deref()) {
                combined.source += &format!(", under {}", layer.source(upper));
            }
            let url = lower.url.clone().unwrap_or_default();
            combined.policy = Some(policy.with_policy_url(url));
            combined.enterprise.clone_from(upper);
            combined.organization = Some(lower);
            return combined;
        }
    }
    combined
}

fn sources(upper: Option<&PolicyFiles>, lower: &PolicyFiles, standing: Standing) -> Sources {
    let mut enterprise = upper.map(|upper| upper.files.clone()).unwrap_or_default();
    let taken = |file: &SourceFile| lower.files.iter().any(|other| other.name == file.name);
    if enterprise.iter().any(taken) {
        // Both call a file the same: whoever reads a diagnostic must know whose it is.
        for file in &mut enterprise {
            file.name = format!("enterprise/{}", file.name);
        }
    }
    Sources { enterprise, organization: lower.files.clone(), standing }
}

/// The place of the first error.
fn blame<'a>(
    diagnostics: &[Diagnostic],
    sources: &Sources,
    enterprise: Option<&'a Layer>,
    organization: &'a Layer,
) -> &'a str {
    let first = diagnostics.iter().find(|diagnostic| diagnostic.is_error());
    let upper = enterprise.filter(|_| {
        first.is_some_and(|first| sources.enterprise.iter().any(|f| f.name == first.place.file))
    });
    &upper.unwrap_or(organization).place
}

fn errors(place: &str, diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let first = diagnostics.iter().find(|diagnostic| diagnostic.is_error());
    let first = first.map(|diagnostic| diagnostic.message.clone()).unwrap_or_default();
    format!(
        "the rules at {place} have {}: {first} (`patwarden rules check` shows all)",
        many(errors, "error"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Arc<PolicyFiles> {
        let files = vec![SourceFile::new("rules.toml", text)];
        Arc::new(PolicyFiles { files, commit: None, url: None })
    }

    fn layer(now: Result<&str, &str>, good: Option<&str>) -> Layer {
        Layer {
            place: "here".to_owned(),
            now: now.map(files).map_err(str::to_owned),
            good: good.map(files),
            repository: None,
        }
    }

    const BELOW: &str = "schema = 1\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n\
        [approve.a]\nwhen.owner.role = [\"member\"]\nallow.lifetime = \"90d\"\nallow.repositories = [\"*\"]\n\
        allow.permissions.repository = { contents = \"read\" }\n";
    const OTHER: &str =
        "schema = 1\nmode = \"shadow\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n";
    const ABOVE: &str = "schema = 1\nlayer = \"enterprise\"\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n";
    /// Takes the lower layer's id.
    const CONTRADICTING: &str = "schema = 1\nlayer = \"enterprise\"\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n\
        [approve.a]\nwhen.owner.role = [\"owner\"]\nallow.lifetime = \"9d\"\nallow.repositories = [\"*\"]\n\
        allow.permissions.repository = { contents = \"read\" }\n";

    fn rules(combined: &Combined) -> usize {
        combined.policy.as_ref().map_or(99, Policy::rule_count)
    }

    #[test]
    fn what_is_broken_or_unread_leaves_the_last_good_version_of_its_layer() {
        let of = |now, good| combine(None, &layer(now, good));
        assert!(of(Ok(BELOW), None).broken.is_none());
        let broken = of(Ok("nonsense"), Some(BELOW));
        assert_eq!(rules(&broken), 1);
        assert!(broken.broken.is_some_and(|why| why.contains("the rules at here")));
        let unread = of(Err("gone"), Some(BELOW));
        assert_eq!((rules(&unread), unread.broken.as_deref()), (1, Some("gone")));
        let never = of(Err("gone"), None);
        assert!(never.policy.is_none() && never.broken.is_some());
    }

    #[test]
    fn a_broken_layer_does_not_keep_the_other_from_being_new() {
        // The organization's is broken: the enterprise's new file binds what was good below.
        let below = layer(Ok("nonsense"), Some(BELOW));
        let one = combine(Some(&layer(Ok(CONTRADICTING), Some(ABOVE))), &below);
        assert_eq!(rules(&one), 1);
        assert_eq!(one.enterprise, Some(files(CONTRADICTING)));
        assert!(one.broken.is_some());
        // And the other way round.
        let one =
            combine(Some(&layer(Ok("nonsense"), Some(ABOVE))), &layer(Ok(OTHER), Some(BELOW)));
        assert_eq!((rules(&one), one.organization), (0, Some(files(OTHER))));
        assert!(one.broken.is_some());
        // Without any good version of the enterprise's there is no policy at all: it is never left out.
        let one = combine(Some(&layer(Err("gone"), None)), &layer(Ok(BELOW), Some(BELOW)));
        assert!(one.policy.is_none() && one.broken.is_some());
    }

    #[test]
    fn who_was_there_before_is_not_to_blame() {
        let above = layer(Ok(CONTRADICTING), Some(ABOVE));
        let before = combine(Some(&above), &layer(Ok(BELOW), Some(BELOW)));
        assert!(before.broken.is_none() && before.organization.is_some());
        let new = combine(Some(&above), &layer(Ok(BELOW), None));
        assert!(new.broken.is_some_and(|why| why.contains("the rules at here")));
    }
}
