//! Permissions as sets of bits, so that "is all of this inside that" is a few instructions; no rules here.

use std::sync::LazyLock;

use crate::domain::{AccessLevel, KNOWN_PERMISSIONS, PermissionGroup, Permissions};

/// One bit for each documented permission.
type Bits = u128;

const _: () = assert!(KNOWN_PERMISSIONS.len() <= 128);

/// Levels from `read` to "stronger than anything known".
const LEVELS: usize = 4;
const STRONGEST: usize = LEVELS - 1;

/// What a token asks for, with unknown names and levels counted as the strongest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    at_least: [Bits; LEVELS],
    unknown_names: ByGroup<u32>,
}

impl Asked {
    pub(crate) fn of(permissions: &Permissions) -> Self {
        let mut asked = Self::default();
        for (group, name, level) in permissions.iter() {
            let Some(known) = known(group, name) else {
                *asked.unknown_names.of_mut(group) += 1;
                continue;
            };
            // A level that GitHub does not document for this permission is the strongest.
            let rank = if known.levels.contains(level) { rank(level) } else { STRONGEST };
            for bits in asked.at_least.iter_mut().take(rank + 1) {
                *bits |= known.bit;
            }
        }
        asked
    }

    /// Whether some documented permission is asked for beyond these levels.
    pub(crate) fn is_beyond(&self, most: &Most) -> bool {
        self.at_least.iter().zip(&most.0).any(|(asked, most)| asked & !most != 0)
    }

    /// Whether anything in `group` is at least `level`.
    pub(crate) fn anything(&self, group: PermissionGroup, level: &AccessLevel) -> bool {
        let bits = self.at_least.get(rank(level)).copied().unwrap_or_default();
        bits & group_bits(group) != 0 || *self.unknown_names.of(group) > 0
    }
}

/// The documented permissions that are allowed at each level, small enough for a list of them to be run through.
#[derive(Clone, Debug)]
pub(crate) struct Most([Bits; STRONGEST]);

impl Most {
    /// No bound at all.
    pub(crate) fn anything() -> Self {
        Self([Bits::MAX; STRONGEST])
    }

    /// What is inside both.
    pub(crate) fn and(&mut self, bound: &Within) {
        for ((most, inside), within) in self.0.iter_mut().zip(&bound.inside).zip(&bound.bound) {
            *most &= inside | !within;
        }
    }
}

/// The permissions that a rule names with "at least".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnyAtLeast {
    pub(crate) group: PermissionGroup,
    pub(crate) listed: Vec<(String, AccessLevel)>,
    needles: [Bits; LEVELS],
    anything: Option<AccessLevel>,
}

impl AnyAtLeast {
    /// `*` among the names stands for every name.
    pub(crate) fn new(group: PermissionGroup, listed: Vec<(String, AccessLevel)>) -> Self {
        let mut needles = [0; LEVELS];
        let mut anything: Option<AccessLevel> = None;
        for (name, level) in &listed {
            if name == "*" {
                anything = Some(level.clone());
            } else if let (Some(bit), Some(bits)) = (bit(group, name), needles.get_mut(rank(level)))
            {
                *bits |= bit;
            }
        }
        Self { group, listed, needles, anything }
    }

    /// Whether whatever matches `self` matches `other`.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        self.group == other.group
            && self.listed.iter().all(|(name, level)| {
                other
                    .listed
                    .iter()
                    .any(|(theirs, least)| (theirs == name || theirs == "*") && level >= least)
            })
    }

    pub(crate) fn matches(&self, asked: &Asked) -> bool {
        self.needles.iter().zip(&asked.at_least).any(|(needle, asked)| needle & asked != 0)
            || self.anything.as_ref().is_some_and(|level| asked.anything(self.group, level))
    }
}

/// An upper bound on permissions in some groups: what is not listed is outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Within {
    groups: Vec<PermissionGroup>,
    pub(crate) listed: Permissions,
    bound: [Bits; LEVELS],
    inside: [Bits; LEVELS],
}

impl Within {
    pub(crate) fn new(groups: &[PermissionGroup], listed: Permissions) -> Self {
        let bound = groups.iter().fold(0, |bits, group| bits | group_bits(*group));
        let mut inside = [0; LEVELS];
        for (group, name, level) in listed.iter() {
            if let Some(bit) = bit(group, name) {
                for bits in inside.iter_mut().take((rank(level) + 1).min(STRONGEST)) {
                    *bits |= bit;
                }
            }
        }
        // GitHub forces `metadata: read` on every token with repositories, so no bound can forbid it.
        if let (Some(bit), Some(bits)) =
            (bit(PermissionGroup::Repository, "metadata"), inside.first_mut())
        {
            *bits |= bit;
        }
        Self { groups: groups.to_vec(), listed, bound: [bound; LEVELS], inside }
    }

    pub(crate) fn groups(&self) -> &[PermissionGroup] {
        &self.groups
    }

    pub(crate) fn holds(&self, asked: &Asked) -> bool {
        self.outside(asked) == 0 && self.unknown(asked) == 0
    }

    /// How many of the permissions asked for are outside.
    pub(crate) fn count_outside(&self, asked: &Asked) -> u32 {
        self.outside(asked).count_ones() + self.unknown(asked)
    }

    fn outside(&self, asked: &Asked) -> Bits {
        let mut outside = 0;
        for ((asked, inside), bound) in asked.at_least.iter().zip(&self.inside).zip(&self.bound) {
            outside |= asked & !inside & bound;
        }
        outside
    }

    fn unknown(&self, asked: &Asked) -> u32 {
        self.groups.iter().map(|group| *asked.unknown_names.of(*group)).sum()
    }

    /// Whether one permission of a request is inside: the slow way, for explanations.
    pub(crate) fn allows(&self, group: PermissionGroup, name: &str, level: &AccessLevel) -> bool {
        let mut one = Permissions::default();
        let names = match group {
            PermissionGroup::Repository => &mut one.repository,
            PermissionGroup::Organization => &mut one.organization,
            PermissionGroup::Other => &mut one.other,
        };
        names.insert(name.to_owned(), level.clone());
        self.holds(&Asked::of(&one))
    }
}

fn rank(level: &AccessLevel) -> usize {
    match level {
        AccessLevel::Read => 0,
        AccessLevel::Write => 1,
        AccessLevel::Admin => 2,
        AccessLevel::Unrecognized(_) => STRONGEST,
    }
}

/// One value for each group.
#[derive(Clone, Debug, Default)]
struct ByGroup<T> {
    repository: T,
    organization: T,
    other: T,
}

impl<T> ByGroup<T> {
    fn of(&self, group: PermissionGroup) -> &T {
        match group {
            PermissionGroup::Repository => &self.repository,
            PermissionGroup::Organization => &self.organization,
            PermissionGroup::Other => &self.other,
        }
    }

    fn of_mut(&mut self, group: PermissionGroup) -> &mut T {
        match group {
            PermissionGroup::Repository => &mut self.repository,
            PermissionGroup::Organization => &mut self.organization,
            PermissionGroup::Other => &mut self.other,
        }
    }
}

/// What is known of a documented permission.
struct Known {
    group: PermissionGroup,
    name: &'static str,
    bit: Bits,
    levels: &'static [AccessLevel],
}

static BY_NAME: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let mut names = Vec::new();
    for (i, &(group, name, levels)) in KNOWN_PERMISSIONS.iter().enumerate() {
        names.push(Known { group, name, bit: 1 << i, levels });
    }
    names.sort_unstable_by_key(|known| (known.group, known.name));
    names
});

static BY_GROUP: LazyLock<ByGroup<Bits>> = LazyLock::new(|| {
    let mut groups = ByGroup::default();
    for known in BY_NAME.iter() {
        *groups.of_mut(known.group) |= known.bit;
    }
    groups
});

fn known(group: PermissionGroup, name: &str) -> Option<&'static Known> {
    let names = &*BY_NAME;
    let at = names.binary_search_by(|known| (known.group, known.name).cmp(&(group, name))).ok()?;
    names.get(at)
}

fn bit(group: PermissionGroup, name: &str) -> Option<Bits> {
    known(group, name).map(|known| known.bit)
}

fn group_bits(group: PermissionGroup) -> Bits {
    *BY_GROUP.of(group)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::{AnyAtLeast, Asked, Within};
    use crate::domain::{AccessLevel, PermissionGroup as G, Permissions};

    fn asks(text: &str) -> Permissions {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_not_listed_is_outside_and_metadata_is_inside() {
        let allow =
            Within::new(&G::ALL, asks(r#"{"repository":{"contents":"write","issues":"read"}}"#));
        let holds = |text| allow.holds(&Asked::of(&asks(text)));
        assert!(holds(r#"{"repository":{"contents":"read","metadata":"read"}}"#));
        assert!(holds("{}"));
        assert!(!holds(r#"{"repository":{"issues":"write"}}"#));
        assert!(!holds(r#"{"repository":{"metadata":"write"}}"#));
        assert!(!holds(r#"{"organization":{"members":"read"}}"#));
        assert!(!holds(r#"{"other":{"anything":"read"}}"#));
        assert!(!holds(r#"{"repository":{"contents":"maintain"}}"#));
        assert!(!holds(r#"{"repository":{"brand_new":"read"}}"#));
        let many =
            asks(r#"{"repository":{"issues":"write","brand_new":"read","contents":"write"}}"#);
        assert_eq!(allow.count_outside(&Asked::of(&many)), 2);
    }

    #[test]
    fn the_unknown_is_the_strongest() {
        let writes = AnyAtLeast::new(G::Repository, vec![("*".into(), AccessLevel::Write)]);
        let contents =
            AnyAtLeast::new(G::Repository, vec![("contents".into(), AccessLevel::Write)]);
        for (text, any, this) in [
            (r#"{"repository":{"contents":"read"}}"#, false, false),
            (r#"{"repository":{"contents":"write"}}"#, true, true),
            (r#"{"repository":{"contents":"maintain"}}"#, true, true),
            (r#"{"repository":{"contents":"admin"}}"#, true, true),
            (r#"{"repository":{"brand_new":"read"}}"#, true, false),
            (r#"{"organization":{"members":"write"}}"#, false, false),
        ] {
            let asked = Asked::of(&asks(text));
            assert_eq!((writes.matches(&asked), contents.matches(&asked)), (any, this), "{text}");
        }
    }
}
