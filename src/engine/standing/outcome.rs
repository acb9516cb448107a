//! PURE: what is done with the tokens that a standing policy selects: reported, taken, or nothing before somebody
//! confirms.

use jiff::{SignedDuration, Timestamp};

use crate::{
    rules::{Mode, Policy, revocation::Revocation},
    store::NoticeRow,
};

/// How owners are told before their tokens are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// Not at all: nothing is delivered, and so no grace begins.
    None,
}

impl Channel {
    /// Why nobody is told, for people.
    pub(super) fn why_not(self) -> &'static str {
        match self {
            Self::None => {
                "nobody can be told before: mail to owners is not set up, and no grace begins without it"
            }
        }
    }
}

/// Why a policy only reports, whatever it selects; `None`: it may act.
pub(super) fn only_reports(
    policy: &Policy,
    revocation: &Revocation,
    broken: Option<&str>,
) -> Option<String> {
    match policy.mode() {
        Mode::Shadow => return Some("shadow: nothing is revoked".to_owned()),
        Mode::ApproveOnly => return Some("approve-only: nothing is revoked".to_owned()),
        Mode::Enforce => {}
    }
    if let Some(why) = broken {
        return Some(format!(
            "nothing is revoked under rules that are not those that are there: {why}"
        ));
    }
    (revocation.is_about_coverage() && policy.approvals_were_disabled()).then(|| {
        "an upper layer made approve rules of this organization impossible: what they covered is not revoked for that"
            .to_owned()
    })
}

/// Whether the owner of a token was told long enough ago.
pub(super) fn told_in_time(
    revocation: &Revocation,
    notice: Option<&NoticeRow>,
    access_granted_at: Timestamp,
    now: Timestamp,
) -> bool {
    let grace = revocation.grace.seconds();
    if grace == 0 {
        return true;
    }
    let told = notice.filter(|notice| notice.access_granted_at == access_granted_at);
    told.and_then(|notice| notice.delivered_at)
        .is_some_and(|at| now.duration_since(at) >= SignedDuration::from_secs(grace))
}

/// Why so many tokens at once are too many, where they are. `before`: how many it took by itself within a day.
pub(super) fn too_many(
    revocation: &Revocation,
    tokens: usize,
    before: i64,
    active: i64,
) -> Option<String> {
    let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
    let all = tokens.saturating_add(before);
    let lately = if before > 0 {
        format!(", with {before} that it took within a day,")
    } else {
        String::new()
    };
    if all > i64::from(revocation.max_per_run) {
        return Some(format!(
            "{tokens} tokens{lately} are more than max_per_run = {}",
            revocation.max_per_run
        ));
    }
    // Those that it took are not among the active ones any more.
    let share = i64::from(revocation.max_share?);
    let of = active.saturating_add(before);
    (all.saturating_mul(100) > share.saturating_mul(of)).then(|| {
        format!("{tokens} of {active} active tokens{lately} are a larger share than max_share = \"{share}%\"")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::*;
    use crate::rules::{SourceFile, load::load};

    fn policy(mode: &str, block: &str) -> Policy {
        let text = format!(
            "schema = 1\nmode = \"{mode}\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n\
             [revoke.x]\nwhen.unused_for = \"90d\"\n{block}\n"
        );
        load(&[SourceFile::new("rules.toml", text)]).policy.unwrap()
    }

    #[test]
    fn only_valid_rules_in_enforce_take_anything() {
        let block = "grace = \"0d\"\nmax_per_run = 5";
        let says = |mode, broken| {
            let policy = policy(mode, block);
            let revocation = policy.revocations().get("x").unwrap();
            only_reports(&policy, revocation, broken).is_some()
        };
        assert!(!says("enforce", None));
        assert!(says("enforce", Some("a typing error")));
        assert!(says("approve-only", None) && says("shadow", None));
    }

    #[test]
    fn one_more_than_a_limit_is_too_many_also_when_they_come_in_drops() {
        let policy = policy("enforce", "grace = \"0d\"\nmax_per_run = 5\nmax_share = \"10%\"");
        let revocation = policy.revocations().get("x").unwrap();
        assert_eq!(too_many(revocation, 5, 0, 50), None);
        assert!(too_many(revocation, 6, 0, 1_000).unwrap().contains("max_per_run = 5"));
        assert!(too_many(revocation, 5, 0, 49).unwrap().contains("max_share = \"10%\""));
        assert_eq!(too_many(revocation, 1, 4, 1_000), None);
        assert!(too_many(revocation, 1, 5, 1_000).unwrap().contains("5 that it took"));
    }

    #[test]
    fn grace_runs_from_the_delivery_and_for_the_access_that_was_told_of() {
        let policy = policy("enforce", "grace = \"2d\"\nmax_per_run = 5");
        let revocation = policy.revocations().get("x").unwrap();
        let at = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        let notice = |delivered_at| NoticeRow {
            grant_id: crate::domain::GrantId(1),
            access_granted_at: at(0),
            selected_at: at(1),
            told_at: delivered_at,
            delivered_at,
        };
        let ripe = |notice: NoticeRow, now| told_in_time(revocation, Some(&notice), at(0), at(now));
        assert!(!ripe(notice(None), 99));
        assert!(!ripe(notice(Some(at(10))), 11));
        assert!(ripe(notice(Some(at(10))), 12));
        assert!(!told_in_time(revocation, Some(&notice(Some(at(10)))), at(5), at(99)));
        assert!(!told_in_time(revocation, None, at(0), at(99)));
    }
}
