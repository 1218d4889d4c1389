//! What an [axum](https://docs.rs/axum) application puts between its routes and [`larder`]: cached bodies with entity tags,
//! sessions, limits, and a check of who sends what changes something.
//!
//! | | |
//! |---|---|
//! | [`Body`], [`Served`] | a body that is made once, stored, and sent from where it is stored, with `ETag`, `X-Cache` and `Age` |
//! | [`Conditional`] | answers 304 to a reader who has the answer |
//! | [`Sessions`], [`Current`], [`TokenCookie`] | finds out who asks, at the price of a cache hit |
//! | [`Limited`], [`ClientAddress`] | counts requests over all processes, and says what is left |
//! | [`SameOrigin`] | refuses what a page of another site would change |
//!
//! The layers are [`tower::Layer`]s, and know nothing of each other but their order: the last that is added sees a request first.
//! A whole application of sixty lines stands in `examples/notes.rs`:
//!
//! ```no_run
#![doc = include_str!("../examples/notes.rs")]
//! ```

mod around;
mod body;
mod client;
mod conditional;
mod cookies;
mod limit;
mod origin;
mod served;
mod session;

pub use around::Around;
pub use body::{Body, NAME_BYTES, digest};
pub use client::ClientAddress;
pub use conditional::{Conditional, Weak, names_tag};
pub use cookies::TokenCookie;
pub use limit::Limited;
pub use origin::SameOrigin;
pub use served::{Served, Source, X_CACHE};
pub use session::{Current, NotSignedIn, Sessions};
