//! Repository rules that the compiler does not hold: the floors of ARCHITECTURE.md, and the habits.
//!
//! **Imports run downstairs.** A module names only modules on floors below its own: never a neighbour on the same
//! floor, never the crate root, whose public names are for users of the crate. A module without a floor fails, and so does a floor with a module that is not there. Code
//! under `#[cfg(test)]` is exempt. The tables are below; to change one, change ARCHITECTURE.md in the same commit.

#[path = "floors/check.rs"]
mod check;
#[path = "floors/habits.rs"]
mod habits;
#[path = "floors/licences.rs"]
mod licences;
#[path = "floors/names.rs"]
mod names;
#[path = "floors/snippets.rs"]
mod snippets;
#[path = "floors/sources.rs"]
mod sources;

use check::House;

/// The library, bottom floor first.
const LARDER: House = House {
    krate: "larder",
    floors: &[
        &["error", "policy", "progress", "clock", "ablation"], // words: no I/O, no async
        &["key", "codec"],                                     // names and values
        &[
            "entry", "flight", "ticket", "token", "guess", "stats", "hottest", "lease", "lock", "limit",
            "tasks",
        ], // parts
        &["local"],                                            // the tier in this process
        &["remote"],             // that in Redis, and what ends copies of it in the one below
        &["service"],            // the one room that knows both tiers
        &["session"],            // what applications build on a cache
        &["builder"],            // the door
        &["testing", "fuzzing"], // the public testing aid; what fuzzers call
    ],
    domains: &[],
    rooms: &[],
};

/// The outbox, bottom floor first.
const OUTBOX: House = House {
    krate: "larder-outbox",
    floors: &[
        &["error", "dialect", "ablation"],  // what can go wrong; the statements
        &["cursor"],                        // up to where the record was read
        &["watermark"],                     // up to where Redis has heard of it
        &["database", "settings", "stats"], // connections of three kinds as one
        &["own", "triggers"],               // rows of this process; triggers that write rows
        &["record"],                        // the tables
        &["relay"],                         // from the tables to the cache
        &["outbox"],                        // the door
    ],
    domains: &[],
    rooms: &[],
};

/// What stands between axum and the library, bottom floor first.
const AXUM: House = House {
    krate: "larder-axum",
    floors: &[
        &["around", "body", "client", "cookies"], // services, bodies, addresses, tokens on their way
        &["served"],                              // answers to cached reads
        &["conditional", "limit", "origin", "session"], // the layers
    ],
    domains: &[],
    rooms: &[],
};

/// The checker, bottom floor first.
const FRESHNESS: House = House {
    krate: "freshness",
    floors: &[
        &["clock", "history", "rule", "schedule", "database"], // time, what was changed, what can go wrong
        &["judge", "loader"],                                  // whether a read was right; what is cached
        &["tally", "peers", "view"], // counts; caches that others have made; what a read answers
        &["crm"],                    // servers of the CRM
        &["subject"],                // the caches that are checked
        &["options", "worker"],      // what can be chosen; a process of a run
        &["ground"],                 // the servers and the processes
        &["run"],
        &["plot"],
        &["report"],
        &["ablations"], // runs without a rule
    ],
    domains: &[],
    rooms: &[],
};

/// The application: the ground floor, the domains in foreign-key order, and what is built on them.
const CRM: House = House {
    krate: "crm",
    floors: &[
        &["config", "error", "time", "words", "edit"], // settings and words; each stands alone
        &["checks", "lock", "caller", "password", "history"], // fields, one process at a time, who asks, how the cache did
        &["written"],                                         // the row of a write, until it is announced
        &["database"],                                        // connections, snapshots, changes
        &["page", "trail"],                                   // pages of lists; who changed what
        &["app"],                                             // what every request needs
        &["http"],
        &["companies"],
        &["users"],
        &["access"], // passwords, sessions and tokens
        &["contacts"],
        &["products"],
        &["deals"],
        &["activities"],
        &["analytics"],
        &["audit"],
        &["import"],
        &["demo"],
        &["warm"],
        &["backup"],
        &["web"],
        &["server"], // puts the router together, serves and drains
        &["cli"],    // the commands
    ],
    domains: &[
        "companies",
        "users",
        "access",
        "contacts",
        "products",
        "deals",
        "activities",
        "analytics",
        "audit",
    ],
    // `store` stands on `cache`: a write comes with what it made untrue, so that no action can forget it.
    rooms: &["model", "cache", "store", "actions", "routes"],
};

#[test]
fn imports_run_downstairs_in_larder() {
    check::workspace_crate(&LARDER);
}

#[test]
fn imports_run_downstairs_in_the_outbox() {
    check::workspace_crate(&OUTBOX);
}

#[test]
fn imports_run_downstairs_between_axum_and_the_library() {
    check::workspace_crate(&AXUM);
}

#[test]
fn imports_run_downstairs_in_the_checker() {
    check::workspace_crate(&FRESHNESS);
}

#[test]
fn imports_run_downstairs_in_crm() {
    check::workspace_crate(&CRM);
}
