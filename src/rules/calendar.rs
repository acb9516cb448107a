//! What the calendar says of a policy. Apart from loading, which reads no clock: a file means the same on every day.

use jiff::civil::Date;

use super::{
    condition::Condition,
    diagnostic::{Code, Diagnostic},
    policy::Policy,
    rule::Part,
};

/// What has ended by `today`, a day in UTC: waivers, and rules that were for a time.
#[must_use]
pub fn outdated(policy: &Policy, today: Date) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for rule in &policy.rules {
        for waiver in rule.waivers.iter().filter(|waiver| waiver.until < today) {
            let message =
                format!("`{}` ended on {}; `{}` applies again", waiver.id, waiver.until, rule.id);
            let help = "remove it, or have it granted anew with a record of why";
            found.push(
                Diagnostic::new(Code::ExpiredWaiver, waiver.place.clone(), message).help(help),
            );
        }
        let ended = rule.checks.iter().filter(|check| check.part == Part::When).find_map(|check| {
            match &check.condition {
                // A day in the zone of the window may be a day later than in UTC.
                Condition::Clock(window) => {
                    window.until.filter(|until| until.tomorrow().is_ok_and(|next| next < today))
                }
                _ => None,
            }
        });
        if let Some(until) = ended {
            let message = format!("`{}` was for a time that ended on {until}", rule.id);
            found.push(Diagnostic::new(Code::DateInThePast, rule.place.clone(), message));
        }
    }
    found
}
