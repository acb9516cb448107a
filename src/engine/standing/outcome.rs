//! PURE: what is done with the tokens that a standing policy selects: reported, taken, or nothing before somebody
//! confirms.

use jiff::{SignedDuration, Timestamp};

use crate::{
    domain::{agrees, many},
    rules::{Mode, Policy, revocation::Revocation},
    store::{NoticeRow, Notified},
};

/// How the owner of a token can be told before it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// By mail.
    Address,
    /// No mail address of theirs is known.
    NoAddress,
    /// No mail is sent at all.
    NoMail,
}

/// What is to be done about a token that a policy selects, which may act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is revoked.
    Take,
    /// It is revoked if somebody says so: its owner could not be told, and the time that was to be left is over.
    Ask,
    /// Its owner is told.
    Tell,
    /// Nothing yet.
    Wait,
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

/// What is to be done now about a token. `notice`: what is on record of it, for whatever access it had.
pub(super) fn due(
    revocation: &Revocation,
    notice: Option<&NoticeRow>,
    access_granted_at: Timestamp,
    reach: Reach,
    now: Timestamp,
) -> Due {
    let grace = SignedDuration::from_secs(revocation.grace.seconds());
    if grace.is_zero() {
        return Due::Take;
    }
    let is_over = |since: Timestamp| now.duration_since(since) >= grace;
    let notice = notice.filter(|notice| notice.access_granted_at == access_granted_at);
    let told = notice.map_or(Notified::No, |notice| notice.told);
    match (told, reach) {
        (Notified::Delivered(at), _) if is_over(at) => Due::Take,
        (Notified::Delivered(_), _) | (_, Reach::NoMail) => Due::Wait,
        (Notified::No, Reach::Address) => Due::Tell,
        (Notified::No | Notified::Refused | Notified::OnTheWay, _)
            if notice.is_some_and(|notice| is_over(notice.selected_at)) =>
        {
            Due::Ask
        }
        (Notified::No | Notified::Refused | Notified::OnTheWay, _) => Due::Wait,
    }
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
            "{}{lately} {} more than max_per_run = {}",
            many(tokens, "token"),
            agrees(tokens, "is", "are"),
            revocation.max_per_run
        ));
    }
    // Those that it took are not among the active ones any more.
    let share = i64::from(revocation.max_share?);
    let of = active.saturating_add(before);
    (all.saturating_mul(100) > share.saturating_mul(of)).then(|| {
        format!(
            "{tokens} of {}{lately} {} a larger share than max_share = \"{share}%\"",
            many(active, "active token"),
            agrees(tokens, "is", "are"),
        )
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
        let notice = |told| NoticeRow {
            grant_id: crate::domain::GrantId(1),
            access_granted_at: at(0),
            selected_at: at(1),
            told,
        };
        let says = |told, reach, day| due(revocation, Some(&notice(told)), at(0), reach, at(day));
        let told = Notified::Delivered(at(10));
        assert_eq!(says(told, Reach::Address, 11), Due::Wait);
        // Whatever became of the address since: they were told.
        for reach in [Reach::Address, Reach::NoAddress, Reach::NoMail] {
            assert_eq!(says(told, reach, 12), Due::Take);
        }
        let other_access = due(revocation, Some(&notice(told)), at(5), Reach::Address, at(99));
        assert_eq!(other_access, Due::Tell);
        assert_eq!(due(revocation, None, at(0), Reach::NoMail, at(99)), Due::Wait);
    }

    #[test]
    fn whose_owner_cannot_be_told_is_asked_about_once_the_same_time_is_over() {
        let policy = policy("enforce", "grace = \"2d\"\nmax_per_run = 5");
        let revocation = policy.revocations().get("x").unwrap();
        let at = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        let says = |told, reach, day| {
            let grant_id = crate::domain::GrantId(1);
            let notice = NoticeRow { grant_id, access_granted_at: at(0), selected_at: at(1), told };
            due(revocation, Some(&notice), at(0), reach, at(day))
        };
        for (told, reach) in [
            (Notified::No, Reach::NoAddress),
            (Notified::Refused, Reach::Address),
            (Notified::OnTheWay, Reach::Address),
        ] {
            assert_eq!(says(told, reach, 2), Due::Wait, "{told:?}");
            assert_eq!(says(told, reach, 3), Due::Ask, "{told:?}");
        }
        assert_eq!(says(Notified::No, Reach::Address, 99), Due::Tell, "an address was found since");
        assert_eq!(due(revocation, None, at(0), Reach::NoAddress, at(99)), Due::Wait);
    }
}
