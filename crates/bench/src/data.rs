//! What is cached and in which order it is asked for: the same for all that is compared.

use std::sync::Arc;

use bytes::Bytes;
use larder::{Blob, Tag};
use serde::{Deserialize, Serialize};

/// One entry: its name as a plain string, the id in it, and what it depends on where tags are measured.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) tags: [Tag; 2],
}

/// How many companies the deals belong to; each is a tag.
const COMPANIES: u64 = 85;

/// Names like those of the CRM, `deal:{uuid}`.
pub(crate) fn items(count: usize, seed: u64) -> Arc<[Item]> {
    let mut random = Random(seed);
    let item = |_| {
        let (high, low) = (random.next(), random.next());
        let id = format!(
            "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        );
        let tags = [Tag::new("deals", low % COMPANIES), Tag::named("exchange rates")];
        Item { name: format!("deal:{id}"), id, tags }
    };
    (0..count).map(item).collect()
}

/// Which items are asked for, one after the other: Zipf with an exponent of 0.99, as YCSB has it.
pub(crate) fn zipf(items: usize, requests: usize, seed: u64) -> Arc<[u32]> {
    const EXPONENT: f64 = 0.99;
    let mut random = Random(seed);
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=items)
        .map(|rank| {
            sum += (rank as f64).powf(-EXPONENT);
            sum
        })
        .collect();
    // The popular ones are spread over the set, and so over memory; the same for every seed.
    let mut places: Vec<u32> = (0..items as u32).collect();
    let mut shuffle = Random(1);
    for at in (1..items).rev() {
        places.swap(at, (shuffle.next() % (at as u64 + 1)) as usize);
    }
    let request = |_| {
        let point = (random.next() >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        places[sums.partition_point(|sum| *sum < point).min(items - 1)]
    };
    (0..requests).map(request).collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same sequence in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A typed value of ten fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deal {
    id: String,
    company: String,
    owner: String,
    title: String,
    stage: String,
    currency: String,
    amount_cents: i64,
    probability: f32,
    opened_on: u32,
    version: u64,
}

impl Deal {
    pub(crate) fn example() -> Deal {
        Deal {
            id: "0193e2a4-7b1c-7def-8123-456789abcdef".to_owned(),
            company: "0193e2a4-7b1c-7def-8123-000000000001".to_owned(),
            owner: "0193e2a4-7b1c-7def-8123-000000000002".to_owned(),
            title: "Renewal of the yearly contract".to_owned(),
            stage: "negotiation".to_owned(),
            currency: "EUR".to_owned(),
            amount_cents: 12_500_000,
            probability: 0.6,
            opened_on: 20_400,
            version: 7,
        }
    }
}

/// Bytes of 1 KiB: a body rendered once.
pub(crate) fn body() -> Blob {
    Blob(Bytes::from(vec![b'x'; 1 << 10]))
}
