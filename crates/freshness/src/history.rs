//! What was changed and acknowledged, when: a file in memory that all processes of a run share, and that outlives each of them.
//!
//! Each row of the database has a ring of its latest changes there, and each change a place by its version: who writes version 7 of a
//! row holds the database's lock on it, or is its only writer. A change is noted before its commit, and once more when its removal is
//! acknowledged; that it was committed is noted beside that, by whoever knows first: its writer, or a reader of the database. Whoever judges a read looks at what had been acknowledged by the time at which the read began. What is noted late, or
//! overwritten, or torn by a reader that looks at the same moment, is known to nobody: that lets a wrong read pass, but never
//! accuses one that was right.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// 32: at two changes of a row a second, a quarter of a minute.
pub(crate) const RING: u64 = 32;

/// Seven numbers of 8 bytes, and room so that no place crosses a page: a page is written at once.
const PLACE_BYTES: usize = 64;

/// Where the number stands that is written by itself, behind those that belong together: when the commit was known.
const COMMITTED_AT: usize = 48;

const ROW_BYTES: usize = RING as usize * PLACE_BYTES;

/// What no torn place is likely to say.
const SEAL: u64 = 0x6C61_7264_6572_2121;

/// One change of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) version: u64,
    /// What the row says beside its version, so that a change that was rolled back is told from the one that took its place.
    pub(crate) nonce: u64,
    /// It was given up, and never committed: noted before the database was told so.
    pub(crate) rolled_back: bool,
    /// When its removal had been acknowledged as applied, 0 if it was not.
    pub(crate) applied_ns: u64,
    /// When it had been acknowledged as durable and no more, 0 if it was not.
    pub(crate) durable_ns: u64,
    /// When it was known to be committed, in whole microseconds, 0 if it is not.
    pub(crate) committed_ns: u64,
}

/// What is known of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Its latest changes, in no order.
    pub(crate) known: Vec<Change>,
    /// At which versions' places, modulo the ring, something is being written just now.
    pub(crate) torn: Vec<u64>,
}

/// The file.
#[derive(Debug)]
pub(crate) struct History {
    file: File,
}

impl History {
    /// An empty one.
    pub(crate) fn create(path: &Path, rows: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.set_len(rows * ROW_BYTES as u64)?;
        Ok(History { file })
    }

    /// The one that another process has made.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(History { file: OpenOptions::new().read(true).write(true).open(path)? })
    }

    /// Notes a change that is about to be committed. To be called under the database's lock on the row, or by its only writer.
    pub(crate) fn begin(&self, row: u64, change: Change) -> io::Result<()> {
        self.file.write_all_at(&encode(change), at(row, change.version))
    }

    /// Notes that a change has been committed by then.
    pub(crate) fn committed(&self, row: u64, version: u64, at_ns: u64) -> io::Result<()> {
        let word = (at_ns / 1_000) << ROUND_BITS | round(version);
        self.file.write_all_at(&word.to_ne_bytes(), at(row, version) + COMMITTED_AT as u64)
    }

    /// Notes what has become of it, unless its place is another one's by now.
    pub(crate) fn update(&self, row: u64, change: Change) -> io::Result<()> {
        let mut place = [0; PLACE_BYTES];
        self.file.read_exact_at(&mut place, at(row, change.version))?;
        match decode(&place) {
            Some(there) if (there.version, there.nonce) == (change.version, change.nonce) => {
                self.file.write_all_at(&encode(change)[..COMMITTED_AT], at(row, change.version))
            }
            _ => Ok(()),
        }
    }

    /// The latest changes of a row.
    pub(crate) fn changes(&self, row: u64) -> io::Result<Changes> {
        let mut ring = [0; ROW_BYTES];
        self.file.read_exact_at(&mut ring, row * ROW_BYTES as u64)?;
        let mut changes = Changes::default();
        for (at, place) in (0..).zip(ring.as_chunks::<PLACE_BYTES>().0) {
            match decode(place) {
                Some(change) => changes.known.push(change),
                None if place.iter().any(|byte| *byte != 0) => changes.torn.push(at),
                None => {}
            }
        }
        Ok(changes)
    }
}

fn at(row: u64, version: u64) -> u64 {
    row * ROW_BYTES as u64 + version % RING * PLACE_BYTES as u64
}

/// 8 bits: which change of its place it is that was committed, so that nobody who is late says so of a later one.
const ROUND_BITS: u32 = 8;

fn round(version: u64) -> u64 {
    (version / RING) % (1 << ROUND_BITS)
}

fn encode(change: Change) -> [u8; PLACE_BYTES] {
    let Change { version, nonce, rolled_back, applied_ns, durable_ns, committed_ns: _ } = change;
    let mut words = [version, nonce, u64::from(rolled_back), applied_ns, durable_ns, 0];
    words[5] = seal(&words);
    let mut place = [0; PLACE_BYTES];
    for (bytes, word) in place.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_ne_bytes();
    }
    place
}

/// The change of a place, if one was ever noted there and nobody is writing it now.
fn decode(place: &[u8; PLACE_BYTES]) -> Option<Change> {
    let mut words = [0; 7];
    for (word, bytes) in words.iter_mut().zip(place.as_chunks::<8>().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    let [version, nonce, rolled_back, applied_ns, durable_ns, sealed, committed] = words;
    let is_its = committed % (1 << ROUND_BITS) == round(version);
    let committed_ns = if is_its { (committed >> ROUND_BITS) * 1_000 } else { 0 };
    let rolled_back = rolled_back != 0;
    let change = Change { version, nonce, rolled_back, applied_ns, durable_ns, committed_ns };
    (version != 0 && sealed == seal(&words)).then_some(change)
}

fn seal(words: &[u64]) -> u64 {
    words[..5]
        .iter()
        .fold(SEAL, |seal, word| (seal ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29))
}

#[cfg(test)]
mod tests {
    use super::{Change, Changes, History, PLACE_BYTES, RING, encode};
    use std::os::unix::fs::FileExt;

    fn change(version: u64, nonce: u64) -> Change {
        Change { version, nonce, applied_ns: 2, ..Change::default() }
    }

    #[test]
    fn what_one_notes_another_finds_and_what_is_torn_nobody() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("history");
        let ours = History::create(&path, 2).expect("it can be made");
        let theirs = History::open(&path).expect("it is there");
        for version in 1..=RING + 3 {
            ours.begin(1, change(version, version)).expect("it can be written");
        }
        let look = |row| theirs.changes(row).expect("it can be read");
        let mut versions: Vec<u64> = look(1).known.iter().map(|change| change.version).collect();
        versions.sort_unstable();
        assert_eq!(versions, (4..=RING + 3).collect::<Vec<_>>());
        assert_eq!(look(0), Changes::default());

        // Of a change whose place is another one's by now, nothing is noted.
        ours.update(1, change(3, 3)).expect("it can be written");
        assert!(look(1).known.contains(&change(RING + 3, RING + 3)));

        // What is known to be committed stays so when the change is acknowledged, and is said of that change alone.
        let version = RING + 3;
        theirs.committed(1, version, 7_000).expect("it can be written");
        let committed = Change { committed_ns: 7_000, ..change(version, version) };
        ours.update(1, Change { applied_ns: 9_000, ..committed }).expect("it can be written");
        assert!(look(1).known.contains(&Change { applied_ns: 9_000, ..committed }));
        theirs.committed(1, 3, 8_000).expect("it can be written");
        assert!(look(1).known.contains(&Change { applied_ns: 9_000, committed_ns: 0, ..committed }));

        // The one half of a place with the other half of another one.
        let mut torn = encode(change(5, 5));
        torn[8..16].copy_from_slice(&encode(change(5, 6))[8..16]);
        ours.file.write_all_at(&torn, super::at(0, 5)).expect("it can be written");
        assert_eq!(look(0), Changes { known: vec![], torn: vec![5] });
        assert_eq!(4_096 % PLACE_BYTES, 0, "no place crosses a page");
    }
}
