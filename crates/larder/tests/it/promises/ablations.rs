//! The races of `races` with a rule of the protocol taken out: they must then find the stale values, since a test that cannot
//! fail proves nothing.

use larder::testing::Ablation;

use super::fixture::{self, rules_of};
use super::races::{READERS, REMOVALS, Removal, builder, stale_after, stale_joiners};

/// How often each race is forced: every round finds what the rule would have kept out.
const ROUNDS: u64 = 20;

#[test]
fn without_its_rule_each_race_finds_stale_values() {
    testkit::run(async {
        for reader in READERS {
            for removal in REMOVALS {
                let rules = rules_of(removal);
                let without = rules.iter().fold(builder(), |builder, rule| builder.without(*rule));
                let stale = stale_after(&fixture::build(without).await, reader, removal, ROUNDS).await;
                assert_eq!(stale, ROUNDS, "{reader:?} against {removal:?} without {rules:?}");
            }
        }
    });
}

#[test]
fn without_vouching_joiners_get_the_old_value() {
    testkit::run(async {
        for reader in READERS {
            // A set leaves a value to find, so that nobody joins.
            for removal in REMOVALS.into_iter().filter(|removal| *removal != Removal::Set) {
                let cache = fixture::build(builder().without(Ablation::Vouching)).await;
                let stale = stale_joiners(&cache, reader, removal, ROUNDS).await;
                assert_eq!(stale, ROUNDS, "{reader:?} joins after {removal:?}");
            }
        }
    });
}
