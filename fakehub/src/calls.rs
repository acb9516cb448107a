//! The log of API calls, for tests that count them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

/// One call to the API. Calls to fakehub's own control routes are not logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Counts calls since the start, from 1.
    pub number: u64,
    /// GitHub's operation id; empty for a path nobody serves.
    pub operation: &'static str,
    /// The method.
    pub method: String,
    /// The path, without `/api/v3`.
    pub path: String,
    /// The raw query string.
    pub query: String,
    /// The JSON body, if there was one.
    pub body: Option<Value>,
    /// The status answered; `None` while the call is under way, and for ever if it was cut or muted.
    pub status: Option<u16>,
    /// When it came, by fakehub's clock.
    pub at: Timestamp,
    /// The installation whose token was used.
    pub installation: Option<u64>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
}

#[derive(Debug, Default)]
struct Log {
    calls: VecDeque<Call>,
    last: u64,
}

#[derive(Debug)]
pub(crate) struct Calls {
    log: Mutex<Log>,
    limit: usize,
}

impl Calls {
    pub(crate) fn new(limit: usize) -> Self {
        Self { log: Mutex::new(Log::default()), limit: limit.max(1) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Log) -> T) -> T {
        act(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Logs a call that came; gives its number.
    pub(crate) fn came(&self, mut call: Call) -> u64 {
        self.with(|log| {
            log.last = log.last.saturating_add(1);
            call.number = log.last;
            if log.calls.len() >= self.limit {
                log.calls.pop_front();
            }
            log.calls.push_back(call);
            log.last
        })
    }

    pub(crate) fn change(&self, number: u64, change: impl FnOnce(&mut Call)) {
        self.with(|log| {
            let first = log.calls.front().map_or(0, |call| call.number);
            let place = number.checked_sub(first).and_then(|place| usize::try_from(place).ok());
            if let Some(call) = place.and_then(|place| log.calls.get_mut(place)) {
                change(call);
            }
        });
    }

    pub(crate) fn all(&self) -> Vec<Call> {
        self.with(|log| log.calls.iter().cloned().collect())
    }

    pub(crate) fn of(&self, operation: &str) -> Vec<Call> {
        self.with(|log| {
            log.calls.iter().filter(|call| call.operation == operation).cloned().collect()
        })
    }

    /// Forgets all calls; numbers go on.
    pub(crate) fn reset(&self) {
        self.with(|log| log.calls.clear());
    }
}
