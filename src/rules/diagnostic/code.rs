//! The closed list of diagnostic codes; what each means stands in its documentation and in `docs/rules.md`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The files cannot be used.
    Error,
    /// They can, and do not do all they say.
    Warning,
    /// They can, and are probably not meant so.
    Lint,
}

macro_rules! codes {
    ($($severity:ident { $($name:ident = $text:literal: $doc:literal,)* })*) => {
        /// What kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[doc = $doc] #[serde(rename = $text)] $name,)*)*
        }

        impl Code {
            /// Every code, with what it means.
            pub const ALL: &'static [(Self, &'static str)] = &[$($((Self::$name, $doc),)*)*];

            /// The kebab-case name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($(Self::$name => $text,)*)* }
            }

            /// How bad it is.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $($(Self::$name => Severity::$severity,)*)* }
            }
        }
    };
}

codes! {
    Error {
        Syntax = "syntax": "The file is not TOML.",
        TooLarge = "too-large": "The files exceed a limit: 1 MB a file, 16 MB in all, 1,000 files, 10,000 rules, 2,000 cases, 16 MB of compiled regular expressions.",
        WrongLayer = "wrong-layer": "A file says of itself that it is another layer's than the one it is read for.",
        UnsupportedSchema = "unsupported-schema": "`schema` is missing, or is not a version this program knows.",
        UnknownKey = "unknown-key": "A key that means nothing here.",
        KeyBelowHeader = "key-below-header": "A key that belongs above the table header it stands below.",
        UnknownOperator = "unknown-operator": "A condition that exists, asked with an operator it does not have.",
        MissingKey = "missing-key": "Something mandatory is not there.",
        WrongType = "wrong-type": "A value of the wrong kind.",
        BadValue = "bad-value": "A value outside what is possible here.",
        BadDuration = "bad-duration": "A duration that cannot be read.",
        BadPattern = "bad-pattern": "A glob or regular expression that cannot be used.",
        BadName = "bad-name": "A name that cannot be one: of a team, a repository, a zone, an address, a rule.",
        EmptyList = "empty-list": "A list or table of nothing.",
        EmptyWhen = "empty-when": "A rule without conditions.",
        UnknownPermission = "unknown-permission": "A permission that GitHub does not document for this group.",
        UnknownLevel = "unknown-level": "A level that GitHub does not document for this permission.",
        ForbiddenPermission = "forbidden-permission": "A wildcard or the group `other` in an upper bound.",
        UnknownPlaceholder = "unknown-placeholder": "A placeholder that does not exist, or has no value here.",
        ReasonTooLong = "reason-too-long": "A text longer than the 1,024 characters GitHub takes.",
        DuplicateId = "duplicate-id": "Two rules, groups, policies, waivers or tests of one name, in one layer or in two.",
        DuplicateBlock = "duplicate-block": "Two files of one layer say the same thing twice.",
        UnknownGroup = "unknown-group": "`to` or `next` names reviewers that no table defines.",
        UnknownRule = "unknown-rule": "A waiver for a rule that does not exist.",
        WaiverOfHardRule = "waiver-of-hard-rule": "A waiver for a rule that none can silence.",
        WaiverTooLong = "waiver-too-long": "A waiver for more than 180 days.",
        Cycle = "cycle": "`next` leads back to where it began.",
        TooOften = "too-often": "A digest more than once a day.",
        BadTest = "bad-test": "A case that cannot be understood.",
        StateNow = "state-now": "A case that touches a clock or a waiver without saying what time it is.",
        FailingTest = "failing-test": "A case that does not come out as it says.",
    }
    Warning {
        DisabledByUpperLayer = "disabled-by-upper-layer": "A change of an upper layer made something of a lower one impossible: it is left out, and the rest stays.",
        ExpiredWaiver = "expired-waiver": "A waiver that has ended: its rule applies again.",
        WaiverFollowsWaiver = "waiver-follows-waiver": "A waiver that begins within a week of another's end, for the same rule and owner, so that both together last more than 180 days.",
        DateInThePast = "date-in-the-past": "A rule whose `clock` ended, so that it never applies again.",
        CutByUpperDefault = "cut-by-upper-default": "A lower layer's default would loosen the upper one's, and does not.",
        CutByCeiling = "cut-by-ceiling": "A rule allows more than the ceiling and is cut down to it.",
        UnknownTeam = "unknown-team": "With `--org`: the organization has no such team, or the App cannot see it.",
        AnotherTeam = "another-team": "With `--org`: a slug names another team now than when a rule first asked for it.",
        UnknownRepository = "unknown-repository": "With `--org`: the organization has no such repository, or the App cannot see it.",
        UnknownProperty = "unknown-property": "With `--org`: the organization defines no such custom property.",
        UnknownLogin = "unknown-login": "With `--org`: nobody in the organization has this login.",
    }
    Lint {
        ContradictoryBounds = "contradictory-bounds": "Bounds that nothing can be inside.",
        NothingLeft = "nothing-left": "An approve rule with no permission, lifetime or repository left under the ceiling.",
        ImpliedByDeny = "implied-by-deny": "An approve rule all of whose requests a deny rule refuses.",
        UnusedGroup = "unused-group": "Reviewers that nothing names.",
        SettableText = "settable-text": "A rule narrowed only by text that whoever asks, or administers a repository, can set.",
        UntestedApprove = "untested-approve": "An approve rule without a passing and a refusing test.",
    }
}

impl Code {
    /// Where it is explained.
    #[must_use]
    pub fn page(self) -> String {
        format!("docs/rules.md#{self}")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
