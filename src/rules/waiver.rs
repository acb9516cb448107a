//! Whether a waiver silences a rule for one request; what a file says of a waiver stands in `policy`.

use jiff::{civil::Date, tz::TimeZone};

use crate::domain::{PermissionGroup, RepositorySelection};

use super::{
    diagnostic::Place, permission_set::Within, policy::Waiver, quantity::Bounds, subject::Subject,
    trace::WaiverTrace,
};

/// A waiver, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub(crate) id: String,
    pub(crate) record: String,
    owner: String,
    granted: Date,
    pub(crate) until: Date,
    permissions: Option<Within>,
    lifetime: Option<i64>,
    selection: Option<RepositorySelection>,
    /// Where it names its rule.
    pub(crate) place: Place,
}

impl Compiled {
    pub(crate) fn new(id: &str, waiver: &Waiver, place: Place) -> Self {
        Self {
            place,
            id: format!("waiver.{id}"),
            record: waiver.record.clone(),
            owner: waiver.owner.as_str().to_ascii_lowercase(),
            granted: waiver.granted,
            until: waiver.until,
            permissions: waiver
                .max_permissions
                .clone()
                .map(|permissions| Within::new(&PermissionGroup::ALL, permissions)),
            lifetime: waiver.max_lifetime,
            selection: waiver.max_repository_selection,
        }
    }

    /// The same without its place.
    pub(crate) fn meaning(&self) -> impl PartialEq + use<> {
        (
            (self.id.clone(), self.record.clone(), self.owner.clone(), self.granted, self.until),
            (self.permissions.clone(), self.lifetime, self.selection),
        )
    }

    /// Whether it is about the one who asks.
    pub(crate) fn concerns(&self, subject: &Subject<'_>) -> bool {
        self.owner == subject.owner
    }

    /// Whether it silences its rule for this request.
    pub(crate) fn applies(&self, subject: &Subject<'_>) -> bool {
        self.concerns(subject) && self.lacks(subject).is_empty()
    }

    /// What keeps it from applying to a request of its owner's. Everything it asks for stands in the request, so
    /// nothing of it is ever unknown.
    fn lacks(&self, subject: &Subject<'_>) -> Vec<String> {
        let mut lacks = Vec::new();
        let today = subject.facts.now.to_zoned(TimeZone::UTC).date();
        if today < self.granted {
            lacks.push(format!("it begins on {}", self.granted));
        }
        if today > self.until {
            lacks.push(format!("it ended on {}", self.until));
        }
        if self.permissions.as_ref().is_some_and(|most| !most.holds(&subject.asked)) {
            lacks.push("the token asks for more than max.permissions".to_owned());
        }
        if let Some(most) = self.lifetime
            && !Bounds::at_most(most).hold(subject.lifetime)
        {
            lacks.push(format!("the lifetime is over max.lifetime, {most}d"));
        }
        if let Some(most) = self.selection
            && reach(subject.request.repository_selection) > reach(most)
        {
            lacks.push(format!(
                "the token is for more than max.repository_selection, {}",
                most.as_str()
            ));
        }
        lacks
    }

    /// For the trace: whether it applies, and why not.
    pub(crate) fn trace(&self, subject: &Subject<'_>) -> WaiverTrace {
        let lacks = self.lacks(subject);
        WaiverTrace {
            waiver: self.id.clone(),
            record: self.record.clone(),
            until: self.until,
            applies: lacks.is_empty(),
            lacks,
        }
    }
}

/// How far a selection reaches.
fn reach(selection: RepositorySelection) -> u8 {
    match selection {
        RepositorySelection::None => 0,
        RepositorySelection::Subset => 1,
        RepositorySelection::All => 2,
    }
}
