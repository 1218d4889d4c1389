//! The back end in this process: what it promises as every other one does, and what is true of it alone.

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
mod allocations;
mod memory;
mod patience;
mod paused;
mod precision;
mod replay;
mod sweeping;
mod tasks;
mod weight;
