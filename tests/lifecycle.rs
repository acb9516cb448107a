//! The states of a request under events in every order: nothing is sent twice, nothing opens, nothing is stuck.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use patwarden::engine::lifecycle::{Event, Heard, Outcome, SettledBy, State, Verdict};
use proptest::prelude::*;

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Verdict::Approve), Just(Verdict::Deny)]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Approved), Just(Outcome::Denied), Just(Outcome::Cancelled)]
}

fn who() -> impl Strategy<Value = Heard> {
    prop_oneof![
        Just(Heard::Person("olga".to_owned())),
        Just(Heard::Bot("patwarden[bot]".to_owned())),
        Just(Heard::Nobody),
    ]
}

fn settled_by() -> impl Strategy<Value = SettledBy> {
    prop_oneof![
        Just(SettledBy::Rule),
        Just(SettledBy::Operator("operator olga@desk (local, unverified)".to_owned())),
        Just(SettledBy::Reviewers("@olga (7)".to_owned())),
        Just(SettledBy::Silence("owners, silent for 7d".to_owned())),
        Just(SettledBy::Person("olga".to_owned())),
        Just(SettledBy::Requester),
        Just(SettledBy::App("other[bot]".to_owned())),
        Just(SettledBy::Unknown),
    ]
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Waiting),
        Just(State::Escalated),
        Just(State::Held),
        verdict().prop_map(State::Decided),
        verdict().prop_map(State::Sent),
        Just(State::Checking),
        Just(State::Revoking),
        (prop_oneof![outcome(), Just(Outcome::Revoked)], settled_by())
            .prop_map(|(outcome, by)| State::Settled(outcome, by)),
        Just(State::Gone),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Woken),
        3 => (any::<bool>(), any::<bool>())
            .prop_map(|(changed, long_settled)| Event::Pending { changed, long_settled }),
        2 => (proptest::option::of(verdict()), any::<bool>())
            .prop_map(|(in_doubt, granted)| Event::Absent { in_doubt, granted }),
        4 => verdict().prop_map(Event::Judged),
        1 => Just(Event::Escalate),
        1 => Just(Event::Hold),
        4 => Just(Event::Sending),
        3 => verdict().prop_map(Event::Acknowledged),
        1 => Just(Event::Refused),
        1 => Just(Event::TurnedAway),
        1 => Just(Event::AnswerLost),
        1 => Just(Event::GrantFits),
        1 => Just(Event::GrantIsWider),
        1 => Just(Event::GrantMissing),
        1 => Just(Event::Revoked),
        3 => (outcome(), who(), proptest::option::of(verdict()))
            .prop_map(|(outcome, who, in_doubt)| Event::Heard { outcome, who, in_doubt }),
    ]
}

/// How many cases: more where somebody asks for more.
fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) }
}

proptest! {
    #![proptest_config(cases())]

    /// A call is begun from `decided` only, and `decided` comes from a judgement, or from a call that was begun.
    #[test]
    fn nothing_is_sent_that_was_not_judged(events in proptest::collection::vec(event(), 0..60)) {
        let mut state = State::Waiting;
        let mut judged = None;
        for event in events {
            let next = state.after(&event);
            if let (Event::Judged(verdict), State::Decided(now)) = (&event, &next) {
                prop_assert_eq!(now, verdict);
                judged = Some(*verdict);
            }
            match &next {
                State::Sent(verdict) if next != state => {
                    prop_assert_eq!(&state, &State::Decided(*verdict));
                    prop_assert_eq!(&event, &Event::Sending);
                }
                State::Decided(verdict) if next != state => prop_assert_eq!(judged, Some(*verdict)),
                _ => {}
            }
            state = next;
        }
    }

    /// While a call is under way nothing but its answer, a look, or the end of the request moves it.
    #[test]
    fn no_second_call_is_begun_while_one_is_under_way(said in verdict(), event in event()) {
        let next = State::Sent(said).after(&event);
        if let State::Decided(_) = next {
            let looked = matches!(event, Event::Pending { changed: false, .. });
            let turned_away = matches!(event, Event::Refused | Event::TurnedAway);
            prop_assert!(looked || turned_away, "{event:?}");
        }
        prop_assert_ne!(State::Sent(said).after(&Event::AnswerLost), State::Decided(said));
    }

    /// "Approved by a rule" is said only after the grant was compared, or looked for several times.
    #[test]
    fn nothing_is_approved_by_a_rule_before_the_grant_was_compared(state in state(), event in event()) {
        let done = State::Settled(Outcome::Approved, SettledBy::Rule);
        if state != done && state.after(&event) == done {
            prop_assert_eq!(&state, &State::Checking);
            prop_assert!(matches!(event, Event::GrantFits | Event::GrantMissing));
        }
    }

    /// Comparing and revoking are ended by what they find, never by what anybody says.
    #[test]
    fn no_webhook_and_no_list_ends_a_comparison(event in event()) {
        let ours = [Event::GrantFits, Event::GrantMissing, Event::GrantIsWider];
        if !ours.contains(&event) {
            let next = State::Checking.after(&event);
            let denied = State::Settled(Outcome::Denied, SettledBy::Rule);
            // 204 to a denial is proof, should GitHub ever say so.
            prop_assert!(next == State::Checking || (next == denied && event == Event::Acknowledged(Verdict::Deny)));
        }
        if event != Event::Revoked {
            prop_assert_eq!(State::Revoking.after(&event), State::Revoking);
        }
    }

    /// 204 is proof: whatever came in between, an approval of ours is compared and a denial is ours.
    #[test]
    fn an_acknowledged_call_is_ours_in_every_state(state in state()) {
        let approved = state.after(&Event::Acknowledged(Verdict::Approve));
        let known = match &state {
            State::Revoking | State::Settled(Outcome::Revoked, _) => true,
            State::Settled(Outcome::Approved, by) => by.is_ours(),
            _ => false,
        };
        prop_assert_eq!(approved, if known { state.clone() } else { State::Checking });
        if !known {
            let denied = state.after(&Event::Acknowledged(Verdict::Deny));
            let by_hand = matches!(&state, State::Settled(Outcome::Denied, by) if by.is_ours());
            let ours = State::Settled(Outcome::Denied, SettledBy::Rule);
            prop_assert_eq!(denied, if by_hand { state.clone() } else { ours });
        }
    }

    /// An operator's word changes who ended it, where it was us, and nothing else.
    #[test]
    fn an_operators_word_is_never_taken_for_anybody_elses(state in state()) {
        let martin = SettledBy::Operator("operator martin@desk (local, unverified)".to_owned());
        let by_hand = state.by_word_of(&martin);
        match &state {
            State::Settled(outcome @ (Outcome::Approved | Outcome::Denied), SettledBy::Rule) => {
                prop_assert_eq!(by_hand, State::Settled(*outcome, martin));
            }
            state => prop_assert_eq!(&by_hand, state),
        }
    }

    /// An approval that may be ours, by a call in doubt, is compared in whatever state it is heard of.
    #[test]
    fn an_approval_that_may_be_ours_is_compared(state in state()) {
        let open = !matches!(&state, State::Settled(..) | State::Revoking);
        let in_doubt = Some(Verdict::Approve);
        for who in [Heard::Bot("patwarden[bot]".to_owned()), Heard::Nobody] {
            let heard = Event::Heard { outcome: Outcome::Approved, who, in_doubt };
            if open {
                prop_assert_eq!(state.after(&heard), State::Checking);
            }
        }
        if open && state != State::Gone {
            prop_assert_eq!(state.after(&Event::Absent { in_doubt, granted: true }), State::Checking);
        }
    }

    /// What a person decided is a person's, unless we have proof that it was us.
    #[test]
    fn a_persons_decision_is_never_called_ours(state in state(), outcome in outcome(), in_doubt in proptest::option::of(verdict())) {
        let heard = Event::Heard { outcome, who: Heard::Person("olga".to_owned()), in_doubt };
        let next = state.after(&heard);
        if next != state {
            prop_assert!(matches!(next, State::Settled(_, SettledBy::Person(_) | SettledBy::Requester)), "{next:?}");
        }
    }

    /// Whatever happened, a request that GitHub shows as pending for long is worked on again; and one that is
    /// not there is never judged.
    #[test]
    fn no_state_is_a_dead_end(events in proptest::collection::vec(event(), 0..60)) {
        let state = events.iter().fold(State::Waiting, |state, event| state.after(event));
        let listed = state.after(&Event::Pending { changed: true, long_settled: true });
        prop_assert!(
            matches!(listed, State::Waiting | State::Checking | State::Revoking),
            "{state:?} stays {listed:?}"
        );
        let absent = state.after(&Event::Absent { in_doubt: None, granted: false });
        prop_assert!(
            matches!(absent, State::Gone | State::Settled(..) | State::Checking | State::Revoking),
            "{state:?} becomes {absent:?}"
        );
    }

    /// Over is over for every webhook: they come late and twice.
    #[test]
    fn a_webhook_reopens_nothing(outcome in outcome(), by in settled_by(), heard in (self::outcome(), who(), proptest::option::of(verdict()))) {
        let over = State::Settled(outcome, by.clone());
        let (said, who, in_doubt) = heard;
        let next = over.after(&Event::Heard { outcome: said, who, in_doubt });
        match next {
            State::Settled(now, _) => {
                prop_assert_eq!(now, outcome);
                prop_assert!(next == over || by == SettledBy::Unknown);
            }
            other => prop_assert!(false, "{other:?}"),
        }
        prop_assert_eq!(over.after(&Event::Woken), over);
    }

    /// The same event again changes nothing, but for looking and sending, which have a second meaning.
    #[test]
    fn the_same_news_twice_is_the_same_as_once(state in state(), event in event()) {
        let once = state.after(&event);
        let looks_or_sends = matches!(event, Event::Pending { .. } | Event::Absent { .. } | Event::Sending);
        if !looks_or_sends {
            prop_assert_eq!(once.after(&event), once);
        }
    }

    /// What the store keeps of a state is the state.
    #[test]
    fn every_state_can_be_kept_and_read_back(state in state()) {
        let (outcome, by) = match &state {
            State::Settled(outcome, by) => (Some(*outcome), Some(by.clone())),
            _ => (None, None),
        };
        let read = State::from_stored(
            state.as_str(),
            outcome.map(Outcome::as_str),
            by.as_ref().map(SettledBy::as_str),
            by.as_ref().and_then(SettledBy::actor),
        );
        prop_assert_eq!(read, state);
    }
}
