//! The freshness protocol of larder as a small model, to be searched exhaustively.
//!
//! One row, two writers, three readers in two processes, one server with a replica. Every order of their steps is tried, and no read may
//! return a version older than one whose removal had been acknowledged when it began; a copy in a process may be older for as long as
//! the word of a change is on its way, and by a second at most. What the steps are is written in `writer`, `reader` and `world`, what there is in `state`; the rules
//! that can be taken out are those of [`Rule`], and each of them is missed.
//!
//! What is not modelled: how long anything takes but that second; what happens between two commands of one pipeline, which here are one step; a value
//! that holds no more and becomes a lease in the step that finds it, where the library compares and sets in a second one; that
//! each process confirms a new server for itself, and in several steps; hits that are shared by those who waited for another process's load; the
//! eviction of the root, which is a new era; a second failover; what a process owes that has no record; a watermark that reaches back; large
//! fills; scopes, which are tags. What a writer was told by a server that is no more counts when it has met the new one, and the relay has seen
//! to its row: nothing is promised of a split brain while it lasts.

mod config;
mod protocol;
mod reader;
mod search;
mod state;
mod world;
mod writer;

pub use config::{Config, Removal, Rule};
pub use search::{Found, search};
