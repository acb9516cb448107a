//! Matched, not matched, unknown: Kleene's tables. No conditions here, only how their answers combine.

use serde::{Deserialize, Serialize};

/// What a condition or a whole rule says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// It holds.
    Matched,
    /// It is known not to hold.
    NotMatched,
    /// A fact that it asks for could not be read.
    Unknown,
}

impl Truth {
    /// A known answer.
    #[must_use]
    pub fn of(holds: bool) -> Self {
        if holds { Self::Matched } else { Self::NotMatched }
    }

    /// An answer that may be missing.
    #[must_use]
    pub fn of_option(holds: Option<bool>) -> Self {
        holds.map_or(Self::Unknown, Self::of)
    }

    /// Both: one known "no" is enough for "no".
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::NotMatched, _) | (_, Self::NotMatched) => Self::NotMatched,
            (Self::Matched, Self::Matched) => Self::Matched,
            _ => Self::Unknown,
        }
    }

    /// Either: one known "yes" is enough for "yes".
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.negated().and(other.negated()).negated()
    }

    /// The opposite; the opposite of unknown is unknown.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Matched => Self::NotMatched,
            Self::NotMatched => Self::Matched,
            Self::Unknown => Self::Unknown,
        }
    }

    /// All of `answers`; of none of them, matched.
    pub fn all(answers: impl IntoIterator<Item = Self>) -> Self {
        let mut so_far = Self::Matched;
        for answer in answers {
            so_far = so_far.and(answer);
            if so_far == Self::NotMatched {
                break;
            }
        }
        so_far
    }

    /// Any of `answers`; of none of them, not matched.
    pub fn any(answers: impl IntoIterator<Item = Self>) -> Self {
        Self::all(answers.into_iter().map(Self::negated)).negated()
    }

    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::NotMatched => "not matched",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::Truth::{self, Matched as M, NotMatched as N, Unknown as U};

    #[test]
    fn the_tables_are_kleenes() {
        let and = [[M, N, U], [N, N, N], [U, N, U]];
        let or = [[M, M, M], [M, N, U], [M, U, U]];
        for (i, a) in [M, N, U].into_iter().enumerate() {
            for (j, b) in [M, N, U].into_iter().enumerate() {
                assert_eq!(a.and(b), and[i][j], "{a:?} and {b:?}");
                assert_eq!(a.or(b), or[i][j], "{a:?} or {b:?}");
            }
        }
        assert_eq!(Truth::all([]), M);
        assert_eq!(Truth::any([]), N);
        assert_eq!(Truth::any([U, M]), M);
        assert_eq!(Truth::all([U, N]), N);
    }
}
