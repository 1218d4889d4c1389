//! Every order of steps is right, and without any of the rules one is not.

use std::time::Duration;

use clap::ValueEnum;
use model::{Config, Rule, search};

/// 2 minutes: what the small size may take in all.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn every_order_of_steps_is_right() {
    testkit::run_sync(LIMIT, || {
        for config in Config::small() {
            let found = search(config);
            assert_eq!(found.wrong, None, "{config:?}");
            assert!(found.states > 100, "{config:?} has {} states: it does nothing", found.states);
        }
    });
}

#[test]
fn without_any_of_the_rules_a_read_is_wrong() {
    testkit::run_sync(LIMIT, || {
        for rule in Rule::value_variants() {
            let without = Some(*rule);
            let is_missed = |config| search(Config { without, ..config }).wrong.is_some();
            assert!(Config::small().into_iter().any(is_missed), "{rule:?} is not missed");
        }
    });
}
