//! The back end in Redis: what it promises as every other one does, and what is true of it alone.

#![expect(clippy::duplicate_mod, reason = "the promises are tested once for each back end")]

mod fixture;

// What every back end promises: another one lists the same.
#[path = "../promises/batches.rs"]
mod batches;
#[path = "../promises/flights.rs"]
mod flights;
#[path = "../promises/handles.rs"]
mod handles;
#[path = "../promises/limits.rs"]
mod limits_kept;
#[path = "../promises/locks.rs"]
mod locks;
#[path = "../promises/model/mod.rs"]
mod model;
#[path = "../promises/names.rs"]
mod names;
#[path = "../promises/permits.rs"]
mod permits;
#[path = "../promises/policy.rs"]
mod policy;
#[path = "../promises/races.rs"]
mod races;
#[path = "../promises/spaces.rs"]
mod spaces;
#[path = "../promises/specification.rs"]
mod specification;
#[path = "../promises/tagged.rs"]
mod tagged;
#[path = "../promises/trouble.rs"]
mod trouble;
#[path = "../promises/versions.rs"]
mod versions;
#[path = "../promises/vouching.rs"]
mod vouching;

// The races again, without the rules that win them: for a back end whose fixture says which rule wins which.
#[path = "../promises/ablations.rs"]
mod ablations;

// What is true of this back end alone.
mod away;
mod copies;
mod copies_bounded;
mod copies_raced;
mod foreign;
mod given_back;
mod limits;
mod processes;
mod recovery;
mod stampede;
mod tags;
mod waiting;
mod worker;
