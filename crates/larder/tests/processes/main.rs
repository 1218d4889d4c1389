//! Several processes on one Redis: races across them, one load for all of them, and holders that die or fall asleep.

mod races;
mod stampede;
mod worker;

/// What a worker runs: this binary starts itself anew for each. On its own it has nothing to do and passes.
#[test]
fn worker() {
    if let Ok(url) = std::env::var(worker::REDIS) {
        worker::serve(&url);
    }
}
