//! Entries: what is read is what was written, and nothing else.

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{Blob, Value, decode, encode};
use crate::entry::{self, Era, Parsed};
use crate::policy::Encoding;
use crate::remote::Root;

/// A value with one of everything. There is no float: serde_json reads some of them one bit off.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Row {
    id: u64,
    by: i32,
    on: bool,
    of: Option<char>,
    name: String,
    tags: Vec<String>,
    sums: BTreeMap<String, i64>,
    pair: (u8, Option<u16>),
    shape: Shape,
    body: Option<Blob>,
    under: Vec<Row>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
enum Shape {
    #[default]
    Dot,
    Disc(u32),
    Line(i8, i8),
    Rest {
        of: Option<Box<Shape>>,
    },
}

/// Bytes that lie under a name: they are read as what writes the very same bytes, or are foreign. And as a value of some
/// type they are read as something that survives being written.
///
/// # Panics
/// If that does not hold.
pub fn entry(bytes: &[u8]) {
    let payload = match entry::parse(bytes) {
        Parsed::Value { word, header, payload_at } => {
            let payload = &bytes[payload_at..];
            assert_eq!(entry::value(word, &header, payload), bytes, "a value is written as it was read");
            let next = word.filled();
            assert!(next != word && next.generation() == word.generation(), "a fill is another fill");
            payload
        }
        Parsed::Lease { word } => {
            let era = Era(bytes[14..].try_into().expect("a lease ends with its era"));
            assert_eq!(entry::lease(word, era), bytes, "a lease is written as it was read");
            return;
        }
        Parsed::Invalidated { word } => {
            assert_eq!(bytes.get(..14), Some(word.as_bytes()), "the word is what the entry begins with");
            return;
        }
        Parsed::Foreign => bytes,
    };
    if let Some(root) = Root::parse(bytes) {
        assert_eq!(root.to_bytes(), bytes, "a root is written as it was read");
    }
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        survives::<Row>(payload, encoding);
        survives::<Vec<Option<Vec<u64>>>>(payload, encoding);
        decode::<serde_json::Value>(Bytes::copy_from_slice(payload), encoding).ok();
        let blob = decode::<Blob>(Bytes::copy_from_slice(payload), encoding);
        assert_eq!(blob.expect("any bytes are a blob").0, payload);
    }
}

fn survives<T: Value + PartialEq + Debug>(bytes: &[u8], encoding: Encoding) {
    let Ok(value) = decode::<T>(Bytes::copy_from_slice(bytes), encoding) else { return };
    let (written_as, written) = encode(&value, encoding).expect("what was read can be written");
    let again = decode::<T>(written.into(), written_as).expect("what was written can be read");
    assert_eq!(again, value);
}

/// How many bytes [`entry`] may have allocated at any time. Each list of MessagePack that announces many elements gets
/// 1 MiB before it has any, one in each level of nesting; and one byte may be a whole row of default values.
pub fn most_allocated(input_bytes: usize) -> u64 {
    const NESTED: u64 = 128 << 20;
    NESTED + 16 * (size_of::<Row>() as u64) * input_bytes as u64
}
