//! Faults in force, and what they mean for one call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Fault, Held, Hold, HoldState, Kind};

#[derive(Debug)]
struct Armed {
    id: u64,
    target: String,
    what: What,
    skip: u32,
    left: Option<u32>,
    fired: u32,
}

#[derive(Debug)]
enum What {
    Fault(Kind, bool),
    Hold(Arc<HoldState>, bool),
}

/// All faults and holds in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Mutex<Vec<Armed>>,
    last_id: AtomicU64,
}

/// How a call ends other than by its own answer.
#[derive(Debug, Clone)]
pub(crate) enum Terminal {
    Fault(Kind),
    Mute,
    Cut,
    Half,
}

/// What faults mean for one call.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delay: Duration,
    pub(crate) lag: Option<Duration>,
    pub(crate) lose_row: bool,
    pub(crate) holds_before: Vec<Arc<HoldState>>,
    pub(crate) holds_after: Vec<Arc<HoldState>>,
    pub(crate) before: Option<Terminal>,
    pub(crate) after: Option<Terminal>,
}

impl Plan {
    /// Whether the call takes time, and should go on if its caller leaves.
    pub(crate) fn waits(&self) -> bool {
        !self.delay.is_zero() || !self.holds_before.is_empty() || !self.holds_after.is_empty()
    }
}

impl Faults {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<Armed>) -> T) -> T {
        act(&mut self.armed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn add(&self, fault: Fault) -> u64 {
        let after = fault.after_effect || matches!(fault.kind, Kind::Half);
        self.arm(fault.target, What::Fault(fault.kind, after), fault.skip, fault.times)
    }

    fn arm(&self, target: String, what: What, skip: u32, left: Option<u32>) -> u64 {
        let id = self.last_id.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        self.with(|armed| armed.push(Armed { id, target, what, skip, left, fired: 0 }));
        id
    }

    pub(crate) fn hold(&self, hold: Hold) -> Held {
        let state = HoldState::new();
        let what = What::Hold(Arc::clone(&state), hold.after_effect);
        let id = self.arm(hold.target, what, hold.skip, Some(hold.times));
        Held { id, state }
    }

    /// Ends all faults and lets held calls go.
    pub(crate) fn clear(&self) {
        self.with(|armed| {
            for one in armed.drain(..) {
                if let What::Hold(state, _) = one.what {
                    state.decide(super::Verdict::Release);
                }
            }
        });
    }

    /// Ends one fault; whether there was one.
    pub(crate) fn remove(&self, id: u64) -> bool {
        self.with(|armed| {
            let before = armed.len();
            armed.retain(|one| one.id != id);
            armed.len() < before
        })
    }

    /// How often a fault has fired.
    pub(crate) fn fired(&self, id: u64) -> u32 {
        self.with(|armed| armed.iter().find(|one| one.id == id).map_or(0, |one| one.fired))
    }

    pub(crate) fn to_json(&self) -> Value {
        self.with(|armed| {
            let shown = armed.iter().map(|one| {
                let what = match &one.what {
                    What::Fault(kind, after) => format!("{kind:?}{}", if *after { " after the effect" } else { "" }),
                    What::Hold(state, after) => {
                        format!("Hold {} the effect, {} held", if *after { "after" } else { "before" }, state.arrived())
                    }
                };
                json!({ "id": one.id, "on": one.target, "what": what, "left": one.left, "fired": one.fired })
            });
            Value::Array(shown.collect())
        })
    }

    /// Uses up the faults of one call. Of those that end a call, the first wins and the others wait for the next.
    pub(crate) fn plan(&self, operation: &str, method: &str, path: &str, later_page: bool) -> Plan {
        let mut plan = Plan::default();
        self.with(|armed| {
            for one in armed.iter_mut() {
                if one.left == Some(0) || !matches(&one.target, operation, method, path) {
                    continue;
                }
                if !fits(&one.what, &plan, later_page) {
                    continue;
                }
                if one.skip > 0 {
                    one.skip -= 1;
                    continue;
                }
                one.left = one.left.map(|left| left - 1);
                one.fired = one.fired.saturating_add(1);
                enter(&one.what, &mut plan);
            }
        });
        plan
    }
}

/// Whether a fault can still have its way with this call.
fn fits(what: &What, plan: &Plan, later_page: bool) -> bool {
    match what {
        What::Fault(Kind::LoseRow, _) => later_page,
        What::Fault(Kind::Slow(_) | Kind::Lag(_), _) | What::Hold(..) => true,
        What::Fault(..) => plan.before.is_none() && plan.after.is_none(),
    }
}

fn enter(what: &What, plan: &mut Plan) {
    match what {
        What::Hold(state, false) => plan.holds_before.push(Arc::clone(state)),
        What::Hold(state, true) => plan.holds_after.push(Arc::clone(state)),
        What::Fault(Kind::Slow(delay), _) => plan.delay = plan.delay.saturating_add(*delay),
        What::Fault(Kind::Lag(by), _) => plan.lag = Some(*by),
        What::Fault(Kind::LoseRow, _) => plan.lose_row = true,
        What::Fault(kind, after) => {
            let terminal = match kind {
                Kind::Mute => Terminal::Mute,
                Kind::Cut => Terminal::Cut,
                Kind::Half => Terminal::Half,
                other => Terminal::Fault(other.clone()),
            };
            if *after {
                plan.after = Some(terminal);
            } else {
                plan.before = Some(terminal);
            }
        }
    }
}

/// Whether a target names this call.
fn matches(target: &str, operation: &str, method: &str, path: &str) -> bool {
    match target.split_once(' ') {
        None => target == "*" || target == operation,
        Some((wanted, glob)) => {
            (wanted == "*" || wanted.eq_ignore_ascii_case(method)) && path_matches(glob, path)
        }
    }
}

fn path_matches(glob: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    for want in glob.split('/') {
        if want == "**" {
            return true;
        }
        match parts.next() {
            Some(part) if want == "*" || want.eq_ignore_ascii_case(part) => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}
