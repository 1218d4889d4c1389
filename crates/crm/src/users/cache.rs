//! How users are cached, and what changes with them.
//!
//! Not cached: the rows that a write reads before it changes them, which must be those of its own transaction.

use super::model::{User, UserQuery};
use crate::caller::{CompanyId, UserId};
use crate::page::Filter;
use larder::{Builder, Id, Invalidation, KeyWriter, Policy, Space, Tag, Ttl};
use larder_axum::Body;

/// One user.
pub static USER: Space<UserId, Body> = Space::new(
    "user:{id}",
    "Read by each page that names its user; changes with a profile, role or permission; a stale role lets the wrong in.",
)
.ttl(Ttl::LONG)
.weigher(Body::weight_bytes);

/// The company that a user belongs to, which says whether it is there for whoever asks.
pub(super) static HOME: Space<UserId, CompanyId> = Space::new(
    "user:{id}:company",
    "Read before each user; never changes while the user exists; stale, it would point at a user who is gone.",
)
.ttl(Ttl::DAY);

/// One page of a company's users.
pub static USERS: Space<(CompanyId, u32, String), Body> = Space::new(
    "users:company:{company}:page:{n}:{filter}",
    "Read wherever an owner is chosen; changes with any user of the company; somebody who has left would be given deals.",
)
.ttl(Ttl::MEDIUM)
.weigher(Body::weight_bytes)
.scope("company");

/// Makes the spaces known to a cache.
pub fn register(builder: Builder) -> Builder {
    builder.space(&USER).space(&HOME).space(&USERS)
}

impl Id for UserId {
    const SEGMENTS: usize = 1;

    fn write(&self, key: &mut KeyWriter<'_>) {
        key.segment(self.as_str());
    }
}

/// What depends on any user of a company: lists of them, counts, and whatever shows their names.
#[must_use]
pub fn users_of(company: &CompanyId) -> Tag {
    Tag::new("users", company)
}

/// What depends on what a user may do: its sessions.
#[must_use]
pub fn access_of(user: &UserId) -> Tag {
    Tag::new("access of", user)
}

/// What a page of the list depends on.
pub(super) fn list_policy(company: &CompanyId) -> Policy {
    Policy::new().tag(users_of(company))
}

/// The company, the page and the rest of a query, as segments of a key.
pub(super) fn list_key(company: &CompanyId, query: &UserQuery) -> (CompanyId, u32, String) {
    let filter = Filter::new(query.paging, query.order.by.word(), query.order.descending)
        .and("role", query.role.map(|role| role.word()))
        .and("active", query.active.map(|active| if active.0 { "true" } else { "false" }))
        .and("q", query.search.as_deref());
    (company.clone(), query.paging.page, filter.into_segment())
}

/// What is no longer true when a user is added or changed.
pub(super) fn changed(user: &User) -> Invalidation {
    Invalidation::new().key(USER.key(&user.id)).tag(users_of(&user.company_id)).tag(access_of(&user.id))
}

/// What is no longer true when a user is removed.
pub(super) fn removed(user: &User) -> Invalidation {
    changed(user).key(HOME.key(&user.id))
}
