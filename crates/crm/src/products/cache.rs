//! How products are cached, and what changes with them.
//!
//! Not cached: the rows that a write reads before it changes them, which must be those of its own transaction.

use larder::{Builder, Invalidation, Policy, Space, Tag, Ttl};
use larder_axum::Body;

/// The whole price list.
pub static PRODUCTS: Space<(), Body> = Space::new(
    "reference:products",
    "Read wherever a product is chosen, by all companies; changes when somebody edits a price; a stale price is quoted.",
)
.ttl(Ttl::DAY)
.weigher(Body::weight_bytes);

/// Makes the spaces known to a cache.
pub fn register(builder: Builder) -> Builder {
    builder.space(&PRODUCTS)
}

/// What depends on any product: the price list, and whatever shows a product's name.
#[must_use]
pub fn any_product() -> Tag {
    Tag::named("products")
}

/// What the price list depends on.
pub(super) fn list_policy() -> Policy {
    Policy::new().tag(any_product())
}

/// What is no longer true when a product is added or changed.
pub(super) fn changed() -> Invalidation {
    Invalidation::new().tag(any_product())
}
