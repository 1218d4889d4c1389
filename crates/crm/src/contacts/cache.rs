//! How contacts are cached, and what changes with them.
//!
//! Not cached: the rows that a write reads before it changes them, which must be those of its own transaction.

use super::model::{Contact, ContactId, ContactQuery};
use crate::caller::CompanyId;
use crate::page::Filter;
use larder::{Builder, Id, Invalidation, KeyWriter, Policy, Space, Tag, Ttl};
use larder_axum::Body;

/// One contact.
pub static CONTACT: Space<ContactId, Body> = Space::new(
    "contact:{id}",
    "Read when somebody calls or writes; changes now and then; a stale number reaches nobody.",
)
.ttl(Ttl::MEDIUM)
.weigher(Body::weight_bytes)
.prefix("contacts");

/// The company that a contact belongs to, which says whether it is there for whoever asks.
pub(super) static HOME: Space<ContactId, CompanyId> = Space::new(
    "contact:{id}:company",
    "Read before each contact; never changes while the contact exists; stale, it would point at one that is gone.",
)
.ttl(Ttl::DAY)
.prefix("contacts");

/// One page of a company's contacts.
pub static CONTACTS: Space<(CompanyId, u32, String), Body> = Space::new(
    "contacts:company:{company}:page:{n}:{filter}",
    "Read by the contact list and its search; changes with any contact of the company; a new contact would be missed.",
)
.ttl(Ttl::MEDIUM)
.weigher(Body::weight_bytes)
.scope("company");

/// Makes the spaces known to a cache.
pub fn register(builder: Builder) -> Builder {
    builder.space(&CONTACT).space(&HOME).space(&CONTACTS)
}

impl Id for ContactId {
    const SEGMENTS: usize = 1;

    fn write(&self, key: &mut KeyWriter<'_>) {
        key.segment(self.as_str());
    }
}

/// What depends on any contact of a company: lists of them, counts, and whatever shows their names.
#[must_use]
pub fn contacts_of(company: &CompanyId) -> Tag {
    Tag::new("contacts", company)
}

/// What a page of the list depends on.
pub(super) fn list_policy(company: &CompanyId) -> Policy {
    Policy::new().tag(contacts_of(company))
}

/// The company, the page and the rest of a query, as segments of a key.
pub(super) fn list_key(company: &CompanyId, query: &ContactQuery) -> (CompanyId, u32, String) {
    let filter = Filter::new(query.paging, query.order.by.word(), query.order.descending)
        .and("kind", query.kind.map(|kind| kind.word()))
        .and("country", query.country.as_deref())
        .and("owner", query.owner.as_ref().map(|owner| owner.as_str()))
        .and("q", query.search.as_deref());
    (company.clone(), query.paging.page, filter.into_segment())
}

/// What is no longer true when a contact is added or changed.
pub(super) fn changed(contact: &Contact) -> Invalidation {
    Invalidation::new().key(CONTACT.key(&contact.id)).tag(contacts_of(&contact.company_id))
}

/// What is no longer true when a contact is removed.
pub(super) fn removed(contact: &Contact) -> Invalidation {
    changed(contact).key(HOME.key(&contact.id))
}

/// What is no longer true when these contacts belong to another owner.
pub(super) fn handed_over(company: &CompanyId, contacts: &[ContactId]) -> Invalidation {
    let changed = Invalidation::new().tag(contacts_of(company));
    contacts.iter().fold(changed, |changed, contact| changed.key(CONTACT.key(contact)))
}
