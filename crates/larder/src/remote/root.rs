//! The root: the era that is in force, and which server it was put into.

use crate::entry::{Era, TokenHash};
use rand::RngExt;
use xxhash_rust::xxh3::xxh3_64;

/// The length of an incarnation: two of Redis's ids, of 20 bytes each.
const INCARNATION_BYTES: usize = 40;

/// The length of a root.
const ROOT_BYTES: usize = 8 + INCARNATION_BYTES;

/// Which life of which server it is: `master_replid` with `run_id`. A restart and a promotion each begin another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incarnation([u8; INCARNATION_BYTES]);

/// The value of the key `!root`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) era: Era,
    pub(crate) incarnation: Incarnation,
}

/// What is in force for a tag: random, and never drawn twice.
pub(crate) type Token = [u8; 8];

/// What an entry keeps of a token: it holds no longer once the tag is invalidated, or another era begins.
pub(crate) fn token_hash(token: Token, era: Era) -> TokenHash {
    let mut both = [0; 16];
    both[..8].copy_from_slice(&token);
    both[8..].copy_from_slice(&era.0);
    TokenHash(xxh3_64(&both))
}

impl Incarnation {
    /// That of a server that refuses to say it.
    pub(crate) const UNKNOWN: Incarnation = Incarnation([0; INCARNATION_BYTES]);

    /// Reads it out of the answer to INFO; [`UNKNOWN`](Self::UNKNOWN) where it is not told.
    pub(crate) fn of_info(info: &str) -> Incarnation {
        let mut bytes = [0; INCARNATION_BYTES];
        let [replid, run_id] = ["master_replid", "run_id"].map(|name| field(info, name).and_then(id));
        match (replid, run_id) {
            (Some(replid), Some(run_id)) => {
                bytes[..20].copy_from_slice(&replid);
                bytes[20..].copy_from_slice(&run_id);
                Incarnation(bytes)
            }
            _ => Incarnation::UNKNOWN,
        }
    }

    /// Whether both are lives of one process, in whatever role: what was sent to one may still be executed by the other.
    pub(crate) fn is_same_process(self, other: Incarnation) -> bool {
        self.is_known() && self.0[20..] == other.0[20..]
    }

    pub(crate) fn is_known(self) -> bool {
        self != Incarnation::UNKNOWN
    }

    /// A short form of it, for records of what it has heard of; `None` where it is not known.
    pub(crate) fn digest(self) -> Option<u64> {
        self.is_known().then(|| xxh3_64(&self.0))
    }
}

impl std::fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Incarnation({:02x?}…)", &self.0[..4])
    }
}

impl Root {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Root> {
        let bytes: &[u8; ROOT_BYTES] = bytes.try_into().ok()?;
        let (mut era, mut incarnation) = ([0; 8], [0; INCARNATION_BYTES]);
        era.copy_from_slice(&bytes[..8]);
        incarnation.copy_from_slice(&bytes[8..]);
        Some(Root { era: Era(era), incarnation: Incarnation(incarnation) })
    }

    /// The root of an era that has never been, of the same incarnation.
    pub(crate) fn next(self) -> Root {
        Root::new(self.incarnation)
    }

    /// The root of an era that has never been.
    pub(crate) fn new(incarnation: Incarnation) -> Root {
        Root { era: Era(rand::rng().random()), incarnation }
    }

    pub(crate) fn to_bytes(self) -> [u8; ROOT_BYTES] {
        let mut bytes = [0; ROOT_BYTES];
        bytes[..8].copy_from_slice(&self.era.0);
        bytes[8..].copy_from_slice(&self.incarnation.0);
        bytes
    }
}

/// One field of an answer to INFO.
pub(crate) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// Forty hexadecimal digits.
fn id(text: &str) -> Option<[u8; 20]> {
    let digits = text.as_bytes();
    if digits.len() != 40 {
        return None;
    }
    let mut bytes = [0; 20];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\n# Replication\r\nmaster_replid:fedcba9876543210fedcba9876543210fedcba98\r\nmaster_replid2:0000000000000000000000000000000000000000\r\n";

    #[test]
    fn an_incarnation_is_read_and_kept_in_the_root() {
        let incarnation = Incarnation::of_info(INFO);
        assert!(incarnation.is_known());
        assert_eq!(incarnation.0[0], 0xfe);
        assert_eq!(incarnation.0[39], 0x67);
        let root = Root { era: Era(*b"12345678"), incarnation };
        assert_eq!(Root::parse(&root.to_bytes()), Some(root));
        let golden = b"12345678\xfe\xdc\xba\x98\x76\x54\x32\x10\xfe\xdc\xba\x98\x76\x54\x32\x10\xfe\xdc\xba\x98\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67";
        assert_eq!((&root.to_bytes(), Root::parse(golden)), (golden, Some(root)));
        assert_eq!(Root::parse(b"short"), None);
        let promoted = Incarnation::of_info(&INFO.replace("master_replid:fedc", "master_replid:0000"));
        assert!(promoted != incarnation && promoted.is_same_process(incarnation));
        let restarted = Incarnation::of_info(&INFO.replace("run_id:0123", "run_id:0000"));
        assert!(!restarted.is_same_process(incarnation));
        assert!(!Incarnation::UNKNOWN.is_same_process(Incarnation::UNKNOWN));
    }

    #[test]
    fn what_is_not_told_is_unknown() {
        for info in
            ["", "run_id:0123456789abcdef0123456789abcdef01234567\r\n", "run_id:x\r\nmaster_replid:y\r\n"]
        {
            assert!(!Incarnation::of_info(info).is_known(), "{info:?}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        assert_eq!(field(INFO, "redis_version"), Some("7.0.15"));
        assert_eq!(field(INFO, "master_replid").map(|id| &id[..4]), Some("fedc"));
        assert_eq!(field(INFO, "version"), None);
    }

    #[test]
    fn a_token_of_another_era_is_another() {
        let token = *b"a token!";
        assert_ne!(token_hash(token, Era([1; 8])), token_hash(token, Era([2; 8])));
    }
}
