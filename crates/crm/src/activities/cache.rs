//! How activities are cached, and what changes with them. They go with what they are about, and lose their author with that user.
//!
//! Not cached: the rows that a write reads before it changes them, which must be those of its own transaction.

use super::model::{Activity, ActivityId, ActivityQuery, Subject};
use crate::caller::CompanyId;
use crate::page::Filter;
use crate::users::users_of;
use larder::{Builder, Id, Invalidation, KeyWriter, Policy, Space, Tag, Ttl};
use larder_axum::Body;

/// One activity.
pub static ACTIVITY: Space<ActivityId, Body> = Space::new(
    "activity:{id}",
    "Read when one is opened; changes when somebody corrects or finishes it; a task would be done twice.",
)
.ttl(Ttl::MEDIUM)
.weigher(Body::weight_bytes)
.prefix("activities");

/// The company that an activity belongs to, which says whether it is there for whoever asks.
pub(super) static HOME: Space<ActivityId, CompanyId> = Space::new(
    "activity:{id}:company",
    "Read before each activity; never changes while it exists; stale, it would point at one that is gone.",
)
.ttl(Ttl::DAY)
.prefix("activities");

/// One page of the activities of a deal or contact.
pub static ACTIVITIES: Space<(String, u32, String), Body> = Space::new(
    "activities:of:{subject}:page:{n}:{filter}",
    "Read with each deal and contact; changes with any activity of it; what was agreed would be missed.",
)
.ttl(Ttl::MEDIUM)
.weigher(Body::weight_bytes)
.scope("subject");

/// Makes the spaces known to a cache.
pub fn register(builder: Builder) -> Builder {
    builder.space(&ACTIVITY).space(&HOME).space(&ACTIVITIES)
}

impl Id for ActivityId {
    const SEGMENTS: usize = 1;

    fn write(&self, key: &mut KeyWriter<'_>) {
        key.segment(self.as_str());
    }
}

/// What depends on any activity of a deal or contact.
fn activities_of(subject: &str) -> Tag {
    Tag::new("activities of", subject)
}

/// What a page of the list depends on: what it is about, too, with which it goes.
pub(super) fn list_policy(company: &CompanyId, subject: &Subject) -> Policy {
    let goes_with = match subject {
        Subject::Deal(_) => crate::deals::deals_of(company),
        Subject::Contact(_) => crate::contacts::contacts_of(company),
    };
    Policy::new().tag(activities_of(subject.id())).tag(goes_with).tag(users_of(company))
}

/// What one activity depends on besides itself: what it goes with.
pub(super) fn policy(company: &CompanyId) -> Policy {
    Policy::new().tags([
        crate::deals::deals_of(company),
        crate::contacts::contacts_of(company),
        users_of(company),
    ])
}

/// What it is about, the page and the rest of a query, as segments of a key.
pub(super) fn list_key(subject: &Subject, query: &ActivityQuery) -> (String, u32, String) {
    let filter = Filter::new(query.paging, "created", true).and("kind", query.kind.map(|kind| kind.word()));
    (subject.id().to_owned(), query.paging.page, filter.into_segment())
}

/// What is no longer true when an activity is added, changed or removed.
pub(super) fn changed(activity: &Activity) -> Invalidation {
    let changed = Invalidation::new().key(ACTIVITY.key(&activity.id)).key(HOME.key(&activity.id));
    let subject = activity.subject();
    subject.iter().fold(changed, |changed, subject| changed.tag(activities_of(subject.id())))
}
