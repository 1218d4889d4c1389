//! How deals are cached, and what changes with them.
//!
//! A deal is shown with the names of its contact, product and owner, so that it depends on those too.
//!
//! Not cached: the rows that a write reads before it changes them, which must be those of its own transaction.

use super::model::{Deal, DealId, DealQuery};
use crate::caller::{CompanyId, UserId};
use crate::contacts::contacts_of;
use crate::page::Filter;
use crate::products::any_product;
use crate::users::users_of;
use larder::{Builder, Id, Invalidation, KeyWriter, Policy, Space, Tag, Ttl};
use larder_axum::Body;

/// One deal.
pub static DEAL: Space<DealId, Body> = Space::new(
    "deal:{id}",
    "Read by whoever works on the deal; changes with each step of it; two people would work on different states.",
)
.ttl(Ttl::MEDIUM)
.weigher(Body::weight_bytes)
.prefix("deals");

/// The company that a deal belongs to, which says whether it is there for whoever asks, and what its view depends on.
pub(super) static HOME: Space<DealId, CompanyId> = Space::new(
    "deal:{id}:company",
    "Read before each deal; never changes while the deal exists; stale, it would point at a deal that is gone.",
)
.ttl(Ttl::DAY)
.prefix("deals");

/// One page of a company's deals.
pub static DEALS: Space<(CompanyId, u32, String), Body> = Space::new(
    "deals:company:{company}:page:{n}:{filter}",
    "Read by the board and the lists all day; changes with any deal of the company; a stale stage is worked on twice.",
)
.ttl(Ttl::SHORT)
.weigher(Body::weight_bytes)
.scope("company");

/// Makes the spaces known to a cache.
pub fn register(builder: Builder) -> Builder {
    builder.space(&DEAL).space(&HOME).space(&DEALS)
}

impl Id for DealId {
    const SEGMENTS: usize = 1;

    fn write(&self, key: &mut KeyWriter<'_>) {
        key.segment(self.as_str());
    }
}

/// What depends on any deal of a company: lists, sums, counts.
#[must_use]
pub fn deals_of(company: &CompanyId) -> Tag {
    Tag::new("deals", company)
}

/// What depends on the deals of one owner.
#[must_use]
pub fn deals_owned_by(user: &UserId) -> Tag {
    Tag::new("deals owned by", user)
}

/// What the names that a deal shows depend on.
fn names(company: &CompanyId) -> [Tag; 3] {
    [contacts_of(company), users_of(company), any_product()]
}

/// What one deal depends on besides itself, whose change removes it by name.
pub(super) fn view_policy(company: &CompanyId) -> Policy {
    Policy::new().tags(names(company))
}

/// What a page of the list depends on.
pub(super) fn list_policy(company: &CompanyId) -> Policy {
    Policy::new().tag(deals_of(company)).tags(names(company))
}

/// The company, the page and the rest of a query, as segments of a key.
pub(super) fn list_key(company: &CompanyId, query: &DealQuery) -> (CompanyId, u32, String) {
    let filter = Filter::new(query.paging, query.order.by.word(), query.order.descending)
        .and("stage", query.stage.map(|stage| stage.word()))
        .and("owner", query.owner.as_ref().map(|owner| owner.as_str()))
        .and("contact", query.contact.as_ref().map(|contact| contact.as_str()))
        .and("product", query.product.as_ref().map(|product| product.as_str()))
        .and("q", query.search.as_deref());
    (company.clone(), query.paging.page, filter.into_segment())
}

/// What is no longer true when a deal is added, or changed from what it was `before`.
pub(super) fn changed(before: Option<&Deal>, deal: &Deal) -> Invalidation {
    let owners = [before.and_then(|before| before.owner_id.as_ref()), deal.owner_id.as_ref()];
    let changed = Invalidation::new().key(DEAL.key(&deal.id)).tag(deals_of(&deal.company_id));
    owners.into_iter().flatten().fold(changed, |changed, owner| changed.tag(deals_owned_by(owner)))
}

/// What is no longer true when these deals belong to another owner.
pub(super) fn handed_over(company: &CompanyId, deals: &[DealId], owners: [&UserId; 2]) -> Invalidation {
    let changed = Invalidation::new().tag(deals_of(company));
    let changed = owners.into_iter().fold(changed, |changed, owner| changed.tag(deals_owned_by(owner)));
    deals.iter().fold(changed, |changed, deal| changed.key(DEAL.key(deal)))
}

/// What is no longer true when a deal is removed.
pub(super) fn removed(deal: &Deal) -> Invalidation {
    changed(None, deal).key(HOME.key(&deal.id))
}
