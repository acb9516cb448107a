//! Primary rate limits, really counted. Secondary limits come only as faults.
//!
//! Source: <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api>.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::auth::Caller;

/// Whose calls are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bucket {
    App,
    Installation(u64),
    User,
    Anonymous,
}

#[derive(Debug, Default)]
struct Window {
    reset: i64,
    used: u32,
}

/// Counters by caller, in windows of an hour.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    windows: HashMap<Bucket, Window>,
    pub(crate) per_hour: Option<u32>,
}

/// Where a caller stands; `reset` is in Unix seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) limit: u32,
    pub(crate) used: u32,
    pub(crate) reset: i64,
}

impl Standing {
    pub(crate) fn remaining(self) -> u32 {
        self.limit.saturating_sub(self.used)
    }

    pub(crate) fn headers(self) -> [(&'static str, String); 5] {
        [
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.remaining().to_string()),
            ("x-ratelimit-used", self.used.to_string()),
            ("x-ratelimit-reset", self.reset.to_string()),
            ("x-ratelimit-resource", "core".to_owned()),
        ]
    }

    pub(crate) fn to_json(self) -> Value {
        json!({ "limit": self.limit, "used": self.used, "remaining": self.remaining(), "reset": self.reset })
    }
}

impl Limits {
    pub(crate) fn new(per_hour: Option<u32>) -> Self {
        Self { windows: HashMap::new(), per_hour }
    }

    fn limit(&self, bucket: Bucket) -> Option<u32> {
        match bucket {
            Bucket::Anonymous => self.per_hour.map(|_| 60),
            _ => self.per_hour,
        }
    }

    fn window(&mut self, bucket: Bucket, now: i64) -> &mut Window {
        let window = self.windows.entry(bucket).or_default();
        if window.reset <= now {
            *window = Window { reset: now.saturating_add(3_600), used: 0 };
        }
        window
    }

    /// Where a caller stands, without counting.
    pub(crate) fn standing(&mut self, bucket: Bucket, now: i64) -> Option<Standing> {
        let limit = self.limit(bucket)?;
        let window = self.window(bucket, now);
        Some(Standing { limit, used: window.used, reset: window.reset })
    }

    /// Counts a call; `Err` when it is one too many.
    pub(crate) fn count(&mut self, bucket: Bucket, now: i64) -> Result<Option<Standing>, Standing> {
        let Some(limit) = self.limit(bucket) else {
            return Ok(None);
        };
        let window = self.window(bucket, now);
        if window.used >= limit {
            return Err(Standing { limit, used: window.used, reset: window.reset });
        }
        window.used = window.used.saturating_add(1);
        Ok(Some(Standing { limit, used: window.used, reset: window.reset }))
    }

    /// Takes a counted call back: a 304 costs nothing.
    pub(crate) fn refund(&mut self, bucket: Bucket, now: i64) -> Option<Standing> {
        let window = self.window(bucket, now);
        window.used = window.used.saturating_sub(1);
        self.standing(bucket, now)
    }

    /// Leaves a caller this many calls until the window ends.
    pub(crate) fn leave(&mut self, bucket: Bucket, remaining: u32, now: i64) {
        if let Some(limit) = self.limit(bucket) {
            self.window(bucket, now).used = limit.saturating_sub(remaining);
        }
    }
}

/// Whose bucket a caller's calls go into.
pub(crate) fn bucket_of(caller: &Caller) -> Bucket {
    match caller {
        Caller::Nobody => Bucket::Anonymous,
        Caller::App => Bucket::App,
        Caller::User => Bucket::User,
        Caller::Installation(caller) => Bucket::Installation(caller.id),
    }
}
