//! What follows from answers and from silence, for any of them: silence approves nothing, and nobody counts who may not.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use patwarden::{
    domain::{Fingerprint, Login, UserId},
    engine::lifecycle::Verdict,
    review::escalation::{Asked, Due, Standing, Vote},
    rules::{
        Span,
        policy::{Finally, FinallyDecision, Next, Reviewers},
    },
};
use proptest::prelude::*;

const GROUPS: [&str; 3] = ["owners", "security", "platform"];
const REQUESTER: UserId = UserId(0);

fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) }
}

fn hour(hours: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
}

fn fingerprint(now: bool) -> Fingerprint {
    Fingerprint::from_stored(if now { "now" } else { "before" }.to_owned())
}

fn span() -> impl Strategy<Value = Span> {
    (1_i64..100).prop_map(|hours| Span(hours * 3_600))
}

fn group() -> impl Strategy<Value = Reviewers> {
    let finally = (span(), any::<bool>()).prop_map(|(after, deny)| Finally {
        after,
        decision: if deny { FinallyDecision::Deny } else { FinallyDecision::LeavePending },
        reason: deny.then(|| "Nobody answered.".to_owned()),
    });
    let next =
        (span(), 0..GROUPS.len()).prop_map(|(after, to)| Next { after, to: GROUPS[to].to_owned() });
    (
        1_u32..4,
        any::<bool>(),
        proptest::option::of(span()),
        proptest::option::of(next),
        proptest::option::of(finally),
    )
        .prop_map(|(quorum, comment_required, remind_every, next, finally)| Reviewers {
            quorum,
            comment_required,
            remind_every,
            next,
            finally,
            ..Reviewers::owners()
        })
}

fn asked() -> impl Strategy<Value = Vec<Asked>> {
    let one = (group(), proptest::option::of(0_i64..200), proptest::option::of(0..GROUPS.len()));
    proptest::collection::vec(one, 0..=GROUPS.len()).prop_map(|groups| {
        let asked =
            groups.into_iter().zip(GROUPS).map(|((group, reached, instead_of), name)| Asked {
                name: name.to_owned(),
                group,
                instead_of: instead_of.map(|of| GROUPS[of].to_owned()).filter(|of| of != name),
                reached_at: reached.map(hour),
                reminded_at: None,
                denies_from: None,
            });
        asked.collect()
    })
}

fn vote() -> impl Strategy<Value = Vote> {
    (
        0_i64..6,
        any::<bool>(),
        any::<bool>(),
        proptest::collection::btree_set(0..GROUPS.len(), 0..3),
        any::<bool>(),
        1_i64..1_000,
    )
        .prop_map(|(user, yes, now, groups, commented, comment_id)| Vote {
            user: UserId(user),
            login: Login::new(format!("user-{user}")),
            verdict: if yes { Verdict::Approve } else { Verdict::Deny },
            fingerprint: fingerprint(now),
            counts_in: groups.into_iter().map(|group| GROUPS[group].to_owned()).collect(),
            comment: if commented { "looked at it" } else { "" }.to_owned(),
            comment_id,
        })
}

fn standing() -> impl Strategy<Value = Standing> {
    (asked(), proptest::collection::vec(vote(), 0..8)).prop_map(|(asked, votes)| Standing {
        fingerprint: fingerprint(true),
        requester: REQUESTER,
        asked,
        votes,
    })
}

/// Whether a vote may count at all.
fn may_count(standing: &Standing, vote: &Vote) -> bool {
    vote.user != REQUESTER
        && vote.fingerprint == standing.fingerprint
        && standing.asked.iter().any(|asked| vote.counts_in.contains(&asked.name))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn silence_never_approves(standing in standing(), hours in 0_i64..100_000) {
        let silent = Standing { votes: Vec::new(), ..standing };
        prop_assert!(!matches!(silent.due(hour(hours)), Due::Approve(_) | Due::Deny(_)));
    }

    /// Time alone turns no answer into another one.
    #[test]
    fn no_time_approves_what_answers_do_not(standing in standing(), hours in 0_i64..100_000) {
        let approved = |due: &Due| matches!(due, Due::Approve(_));
        prop_assert_eq!(approved(&standing.due(hour(0))), approved(&standing.due(hour(hours))));
    }

    #[test]
    fn who_may_not_or_asks_or_meant_something_else_never_counts(standing in standing(), hours in 0_i64..1_000) {
        let mut without = standing.clone();
        without.votes.retain(|vote| may_count(&standing, vote));
        prop_assert_eq!(standing.due(hour(hours)), without.due(hour(hours)));
        if let Due::Approve(votes) = standing.due(hour(hours)) {
            prop_assert!(votes.iter().all(|vote| may_count(&standing, vote)));
        }
    }

    #[test]
    fn one_denial_is_enough(standing in standing(), vote in vote(), hours in 0_i64..1_000) {
        let mut denied = standing;
        let denial = Vote { verdict: Verdict::Deny, comment_id: 5_000, ..vote };
        let counts = may_count(&denied, &denial);
        denied.votes.push(denial);
        if counts {
            prop_assert!(matches!(denied.due(hour(hours)), Due::Deny(_)));
        }
    }

    /// As many different people as the quorum says, and not one fewer.
    #[test]
    fn a_quorum_is_what_it_says(group in group(), people in 0_i64..6, hours in 0_i64..1_000) {
        let asked = Asked {
            name: "owners".to_owned(),
            group: Reviewers { finally: None, next: None, remind_every: None, ..group },
            instead_of: None,
            reached_at: Some(hour(0)),
            reminded_at: None,
            denies_from: None,
        };
        let quorum = i64::from(asked.group.quorum);
        // Each says it twice.
        let votes = (0..people * 2).map(|number| Vote {
            user: UserId(1 + number % people),
            login: Login::new("somebody"),
            verdict: Verdict::Approve,
            fingerprint: fingerprint(true),
            counts_in: BTreeSet::from(["owners".to_owned()]),
            comment: "looked at it".to_owned(),
            comment_id: number,
        });
        let standing = Standing {
            fingerprint: fingerprint(true),
            requester: REQUESTER,
            asked: vec![asked],
            votes: votes.collect(),
        };
        let approved = matches!(standing.due(hour(hours)), Due::Approve(_));
        prop_assert_eq!(approved, people >= quorum);
    }

    /// No span runs before somebody was reached.
    #[test]
    fn nothing_comes_of_time_before_somebody_was_reached(standing in standing(), hours in 0_i64..100_000) {
        let mut unreached = Standing { votes: Vec::new(), ..standing };
        unreached.asked.iter_mut().for_each(|asked| asked.reached_at = None);
        prop_assert_eq!(unreached.due(hour(hours)), Due::Nothing(None));
    }

    /// What is due later is told, and it is due then.
    #[test]
    fn the_next_moment_is_the_one_at_which_something_is_due(standing in standing(), hours in 0_i64..300) {
        if let Due::Nothing(Some(next)) = standing.due(hour(hours)) {
            prop_assert!(next > hour(hours));
            let early = next - SignedDuration::from_secs(1);
            prop_assert!(matches!(standing.due(early.max(hour(hours))), Due::Nothing(_)));
            prop_assert!(!matches!(standing.due(next), Due::Nothing(Some(again)) if again <= next));
            prop_assert!(!matches!(standing.due(next), Due::Nothing(_)));
        }
    }
}
