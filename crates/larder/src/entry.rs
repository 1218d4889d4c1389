//! The stored bytes: what an entry, a lease and a root look like in Redis. Pure; the form is kept for ever.
//!
//! ```text
//!  0 magic 1        0xFE, with which no UTF-8 text begins
//!  1 kind 1         'V' value, 'L' lease, 'I' invalidated
//!  2 gen 8          random: names the interval between two removals
//! 10 fill 4         how many fills there were in this interval; bytes 0..14 are the compare word
//! 14 era 8          of the root; a lease ends here
//! 22 format 2 | flags 2 | stored_at 8 ms | fresh_until 8 ms | load_cost 4 µs | version 8 | ntags 1
//! 55 ntags × (tag 8, token 8), then the payload
//! ```
//! Numbers are big-endian, times are milliseconds since 1970 by the server's clock. What does not parse is foreign: another
//! program's value, or one of a newer form. Nobody guesses at it.

use smallvec::SmallVec;

use crate::key::Tag;
use crate::policy::Encoding;

/// No UTF-8 text begins with this byte.
const MAGIC: u8 = 0xFE;

/// The length of a lease, and of what a value begins with.
pub(crate) const LEASE_BYTES: usize = 22;

/// The length of a value's header without its tags.
const HEADER_BYTES: usize = 55;

/// The length of one tag with its token.
const TAG_BYTES: usize = 16;

/// The bits of the flags that hold the encoding.
const ENCODING_BITS: u16 = 0b11;

/// The flag of a value that carries a row version.
const VERSIONED: u16 = 1 << 2;

/// The bytes that say which interval and which fill an entry is of. Whoever replaces an entry compares them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word([u8; 14]);

/// The token of a tag as an entry keeps it: of the tag's token and the era in which it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenHash(pub(crate) u64);

/// The name of an interval between two removals of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Era(pub(crate) [u8; 8]);

/// A tag that an entry depends on, with the token that was in force when its load began.
pub(crate) type Dependency = (Tag, TokenHash);

/// Those of one entry.
pub(crate) type Dependencies = SmallVec<[Dependency; 2]>;

/// What a value says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) era: Era,
    pub(crate) format: u16,
    pub(crate) encoding: Encoding,
    pub(crate) stored_at_ms: u64,
    /// The first millisecond in which it is no hit any more; `u64::MAX` is never.
    pub(crate) fresh_until_ms: u64,
    pub(crate) load_cost_us: u32,
    pub(crate) version: Option<u64>,
    pub(crate) depends_on: Dependencies,
}

/// What lies under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A value; its payload begins at this byte.
    Value { word: Word, header: Header, payload_at: usize },
    /// Somebody is loading.
    Lease { word: Word },
    /// A value that was removed, and is kept for when its source fails.
    Invalidated { word: Word },
    /// Nothing that this library wrote.
    Foreign,
}

impl Word {
    /// A new interval, in which nothing has been filled in yet.
    pub(crate) fn lease(generation: [u8; 8]) -> Word {
        Word::of(b'L', generation, 0)
    }

    /// A value that no load filled in.
    pub(crate) fn value(generation: [u8; 8]) -> Word {
        Word::of(b'V', generation, 1)
    }

    /// The word of the fill that replaces what has this word.
    pub(crate) fn filled(self) -> Word {
        let [.., a, b, c, d] = self.0;
        Word::of(b'V', self.generation(), u32::from_be_bytes([a, b, c, d]).wrapping_add(1))
    }

    pub(crate) fn generation(self) -> [u8; 8] {
        let mut generation = [0; 8];
        generation.copy_from_slice(&self.0[2..10]);
        generation
    }

    fn of(kind: u8, generation: [u8; 8], fill: u32) -> Word {
        let mut word = [0; 14];
        word[0] = MAGIC;
        word[1] = kind;
        word[2..10].copy_from_slice(&generation);
        word[10..].copy_from_slice(&fill.to_be_bytes());
        Word(word)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Word({:02x?})", &self.0[1..])
    }
}

/// The bytes of a lease.
pub(crate) fn lease(word: Word, era: Era) -> [u8; LEASE_BYTES] {
    let mut bytes = [0; LEASE_BYTES];
    bytes[..14].copy_from_slice(&word.0);
    bytes[14..].copy_from_slice(&era.0);
    bytes
}

/// The bytes of a value.
pub(crate) fn value(word: Word, header: &Header, payload: &[u8]) -> Vec<u8> {
    // More tags than fit into a byte are refused long before: a call declares 8 at most, a name carries a few.
    let ntags = u8::try_from(header.depends_on.len()).unwrap_or(u8::MAX);
    let size = HEADER_BYTES + TAG_BYTES * usize::from(ntags) + payload.len();
    let flags = header.encoding.to_bits() | if header.version.is_some() { VERSIONED } else { 0 };
    let mut bytes = Vec::with_capacity(size);
    bytes.extend_from_slice(&word.0);
    bytes.extend_from_slice(&header.era.0);
    bytes.extend_from_slice(&header.format.to_be_bytes());
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&header.stored_at_ms.to_be_bytes());
    bytes.extend_from_slice(&header.fresh_until_ms.to_be_bytes());
    bytes.extend_from_slice(&header.load_cost_us.to_be_bytes());
    bytes.extend_from_slice(&header.version.unwrap_or(0).to_be_bytes());
    bytes.push(ntags);
    for (tag, token) in header.depends_on.iter().take(usize::from(ntags)) {
        bytes.extend_from_slice(&tag.as_u64().to_be_bytes());
        bytes.extend_from_slice(&token.0.to_be_bytes());
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// The form of a value that carries a row version: its bytes 22 to 26.
pub(crate) fn form(format: u16, encoding: Encoding) -> [u8; 4] {
    let [a, b] = format.to_be_bytes();
    let [c, d] = (encoding.to_bits() | VERSIONED).to_be_bytes();
    [a, b, c, d]
}

/// Reads what lies under a name.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    try_parse(bytes).unwrap_or(Parsed::Foreign)
}

fn try_parse(bytes: &[u8]) -> Option<Parsed> {
    let mut rest = bytes;
    let word = Word(take(&mut rest)?);
    let era = Era(take(&mut rest)?);
    match word.0 {
        [MAGIC, b'L', ..] if rest.is_empty() => return Some(Parsed::Lease { word }),
        [MAGIC, b'V' | b'I', ..] => {}
        _ => return None,
    }
    let format = u16::from_be_bytes(take(&mut rest)?);
    let flags = u16::from_be_bytes(take(&mut rest)?);
    let stored_at_ms = u64::from_be_bytes(take(&mut rest)?);
    let fresh_until_ms = u64::from_be_bytes(take(&mut rest)?);
    let load_cost_us = u32::from_be_bytes(take(&mut rest)?);
    let version = u64::from_be_bytes(take(&mut rest)?);
    let [ntags] = take(&mut rest)?;
    let mut depends_on = Dependencies::new();
    for _ in 0..ntags {
        let tag = Tag::from_u64(u64::from_be_bytes(take(&mut rest)?));
        depends_on.push((tag, TokenHash(u64::from_be_bytes(take(&mut rest)?))));
    }
    if flags & !(ENCODING_BITS | VERSIONED) != 0 {
        return None; // of a newer form
    }
    if word.0[1] == b'I' {
        return Some(Parsed::Invalidated { word });
    }
    let header = Header {
        era,
        format,
        encoding: Encoding::from_bits(flags & ENCODING_BITS)?,
        stored_at_ms,
        fresh_until_ms,
        load_cost_us,
        version: match flags & VERSIONED {
            0 if version != 0 => return None, // nothing that we wrote
            0 => None,
            _ => Some(version),
        },
        depends_on,
    };
    Some(Parsed::Value { word, header, payload_at: bytes.len() - rest.len() })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::codec;

    fn header() -> Header {
        Header {
            era: Era(*b"the era!"),
            format: 3,
            encoding: Encoding::Json,
            stored_at_ms: 1_700_000_000_000,
            fresh_until_ms: 1_700_000_300_000,
            load_cost_us: 1_234,
            version: Some(7),
            depends_on: [(Tag::from_u64(1), TokenHash(2)), (Tag::from_u64(3), TokenHash(4))]
                .into_iter()
                .collect(),
        }
    }

    /// These bytes are in Redis servers: whatever changes, they are read for ever.
    #[test]
    fn the_golden_bytes_are_read_and_written() {
        const JSON: &[u8] = b"\xFEVinterval\0\0\0\x02the era!\0\x03\0\x04\0\0\x01\x8b\xcf\xe5\x68\x00\0\0\x01\x8b\xcf\xe9\xfb\xe0\0\0\x04\xd2\0\0\0\0\0\0\0\x07\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04{\"a\":1}";
        const MESSAGE_PACK: &[u8] = b"\xFEVinterval\0\0\0\x01the era!\0\x01\0\x01\0\0\x01\x8b\xcf\xe5\x68\x00\xff\xff\xff\xff\xff\xff\xff\xff\0\0\x04\xd2\0\0\0\0\0\0\0\0\0\x81\xa1a\x01";
        let plain = Header {
            format: 1,
            encoding: Encoding::MessagePack,
            fresh_until_ms: u64::MAX,
            version: None,
            depends_on: Dependencies::new(),
            ..header()
        };
        for (golden, fill, header, payload) in
            [(JSON, 2, header(), &br#"{"a":1}"#[..]), (MESSAGE_PACK, 1, plain, b"\x81\xa1a\x01")]
        {
            let word = Word::of(b'V', *b"interval", fill);
            assert_eq!(value(word, &header, payload), golden);
            let Parsed::Value { word: read, header: read_header, payload_at } = parse(golden) else {
                panic!("it is a value");
            };
            assert_eq!((read, &read_header), (word, &header));
            assert_eq!(&golden[payload_at..], payload);
            let read = codec::decode::<BTreeMap<String, u8>>(payload.into(), header.encoding);
            assert_eq!(read.expect("it is of that type"), BTreeMap::from([("a".to_owned(), 1)]));
        }

        // Nothing writes these yet.
        let mut invalidated = JSON.to_vec();
        invalidated[1] = b'I';
        assert_eq!(parse(&invalidated), Parsed::Invalidated { word: Word::of(b'I', *b"interval", 2) });

        let golden_lease = b"\xFELinterval\0\0\0\0the era!";
        assert_eq!(&lease(Word::lease(*b"interval"), Era(*b"the era!")), golden_lease);
        assert_eq!(parse(golden_lease), Parsed::Lease { word: Word::lease(*b"interval") });
    }

    #[test]
    fn every_cut_and_every_foreign_text_is_foreign() {
        let whole = value(Word::value(*b"interval"), &header(), b"");
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), Parsed::Foreign, "{length} bytes");
        }
        assert!(matches!(parse(&whole), Parsed::Value { .. }));
        for text in ["", "{\"a\":1}", "1", "L", "\u{fe}"] {
            assert_eq!(parse(text.as_bytes()), Parsed::Foreign, "{text:?}");
        }
        let mut longer = lease(Word::lease(*b"interval"), Era([0; 8])).to_vec();
        longer.push(0);
        assert_eq!(parse(&longer), Parsed::Foreign, "a lease with more behind it");
    }

    #[test]
    fn unknown_flags_and_encodings_are_of_a_newer_form() {
        for (at, bits) in [(24, 0x80), (25, 0x08), (25, 0b11)] {
            let mut bytes = value(Word::value([1; 8]), &header(), b"x");
            bytes[at] |= bits;
            assert_eq!(parse(&bytes), Parsed::Foreign, "{bits:#b} at {at}");
        }
        let mut bytes = value(Word::value([1; 8]), &Header { version: None, ..header() }, b"x");
        bytes[46 + 7] = 1;
        assert_eq!(parse(&bytes), Parsed::Foreign, "a version in a value that says it has none");
    }

    #[test]
    fn a_fill_keeps_the_interval_and_changes_the_word() {
        let lease = Word::lease([9; 8]);
        let first = lease.filled();
        assert_eq!(first.generation(), lease.generation());
        assert_eq!(first, Word::of(b'V', [9; 8], 1));
        assert_eq!(first.filled(), Word::of(b'V', [9; 8], 2));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(generation: [u8; 8], era: [u8; 8], format: u16, times: [u64; 2], load_cost_us: u32, version: Option<u64>, tags: Vec<(u64, u64)>, payload: Vec<u8>) {
            let depends_on = tags.iter().take(200).map(|(tag, token)| (Tag::from_u64(*tag), TokenHash(*token))).collect();
            let header = Header { era: Era(era), format, encoding: Encoding::MessagePack, stored_at_ms: times[0], fresh_until_ms: times[1], load_cost_us, version, depends_on };
            let bytes = value(Word::value(generation), &header, &payload);
            let Parsed::Value { word, header: read, payload_at } = parse(&bytes) else { panic!("it is a value") };
            proptest::prop_assert_eq!((word, read), (Word::value(generation), header));
            proptest::prop_assert_eq!(&bytes[payload_at..], &payload[..]);
        }
    }
}
