//! An ordered list that remembers what it showed a while ago, so that a lagging list can be served. Knows nothing of GitHub.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// How many rows that left the list are kept for lagging views.
const REMEMBERED: usize = 20_000;

/// Sorted by creation time (seconds), then id: the order of GitHub's `sort=created_at`.
type Key = (i64, u64);

#[derive(Debug)]
struct Row<T> {
    value: Arc<T>,
    since_ms: i64,
}

#[derive(Debug)]
struct Gone<T> {
    key: Key,
    row: Row<T>,
    until_ms: i64,
}

/// Rows by id, in order of creation.
#[derive(Debug)]
pub(crate) struct Ledger<T> {
    rows: BTreeMap<Key, Row<T>>,
    keys: HashMap<u64, Key>,
    gone: VecDeque<Gone<T>>,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), keys: HashMap::new(), gone: VecDeque::new() }
    }
}

impl<T> Ledger<T> {
    /// Puts a row in, or replaces the one with the same id, whose old form stays visible to a lagging view.
    pub(crate) fn put(&mut self, id: u64, created: i64, value: T, now_ms: i64) {
        let _ = self.remove(id, now_ms);
        self.keys.insert(id, (created, id));
        self.rows.insert((created, id), Row { value: Arc::new(value), since_ms: now_ms });
    }

    pub(crate) fn remove(&mut self, id: u64, now_ms: i64) -> Option<Arc<T>> {
        let key = self.keys.remove(&id)?;
        let row = self.rows.remove(&key)?;
        let value = Arc::clone(&row.value);
        if self.gone.len() >= REMEMBERED {
            self.gone.pop_front();
        }
        self.gone.push_back(Gone { key, row, until_ms: now_ms });
        Some(value)
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Arc<T>> {
        self.rows.get(self.keys.get(&id)?).map(|row| &row.value)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<T>> {
        self.rows.values().map(|row| &row.value)
    }

    /// What the list showed at that moment, oldest first.
    pub(crate) fn as_of(&self, at_ms: i64) -> Vec<&Arc<T>> {
        let now = self.rows.iter().filter(|(_, row)| row.since_ms <= at_ms);
        let then = self
            .gone
            .iter()
            .filter(|gone| gone.row.since_ms <= at_ms && at_ms < gone.until_ms)
            .map(|gone| (&gone.key, &gone.row));
        let sorted: BTreeMap<_, _> = now.chain(then).map(|(key, row)| (*key, &row.value)).collect();
        sorted.into_values().collect()
    }
}
