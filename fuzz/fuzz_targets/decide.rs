//! Deciding: the fast way and the one with a trace say the same, and what must never be approved is not. A NUL stands between
//! the rules and the request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patwarden::rules::{
    Effect, SourceFile, cases, decide, decide_with_trace, facts::Facts, load::load, near_miss,
    plan::{self, Names, Recorded},
    render,
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((rules, request)) = text.split_once('\0') else { return };
    let Some(policy) = load(&[SourceFile::new("rules.toml", rules)]).policy else { return };
    let Ok((request, facts)) = cases::parse_situation("request", request, policy.needs()) else {
        return;
    };
    let decision = decide(&policy, &request, &facts);
    let (traced, trace) = decide_with_trace(&policy, &request, &facts);
    assert_eq!(decision, traced);
    if decision.effect == Effect::Approve {
        assert!(request.token.expires_at.is_some());
        assert!(request.permissions.other.is_empty());
        assert!(!decision.by.is_empty());
    } else {
        assert_eq!(near_miss(&trace), decision.near_miss);
    }
    assert_eq!(decision.reason.is_some(), decision.effect == Effect::Deny);
    assert!(decision.reason.iter().all(|reason| reason.chars().count() <= 1_024));
    assert!(!render::sentence(&decision).contains('\n'));
    assert!(!render::tree(&trace).contains('\u{1b}'));
    // With nothing read, nothing is approved or denied that was not before.
    let poor = decide(&policy, &request, &Facts::nothing_read(facts.now));
    assert!(poor.effect == Effect::Escalate || poor.effect == decision.effect);
    let recorded = Recorded { standing: plan::Standing::Over, request, facts };
    let plan = plan::plan(&policy, &policy, [recorded]);
    assert!(plan.changes_nothing());
    assert!(plan.markdown(65_535, Names::Shown).chars().count() <= 65_535);
});
