//! How long an entry lives, and how it is written.

use std::time::Duration;

/// A lifetime, in milliseconds. The four classes are those of the specification.
///
/// ```
/// use larder::Ttl;
/// use std::time::Duration;
///
/// assert_eq!(Ttl::MEDIUM, Ttl::secs(1_800));
/// assert_eq!(Ttl::from(Duration::from_micros(1)), Ttl::millis(1)); // rounded up, never to nothing
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl {
    ms: u64,
}

impl Ttl {
    /// 5 minutes: data that changes often.
    pub const SHORT: Ttl = Ttl::secs(5 * 60);
    /// 30 minutes: data that changes now and then; the default of every entry that names no lifetime.
    pub const MEDIUM: Ttl = Ttl::secs(30 * 60);
    /// 1 hour: data that changes rarely.
    pub const LONG: Ttl = Ttl::secs(60 * 60);
    /// 24 hours: reference data.
    pub const DAY: Ttl = Ttl::secs(24 * 60 * 60);
    /// Until it is removed or evicted. Nothing lives for ever unless this is asked for.
    pub const FOREVER: Ttl = Ttl { ms: u64::MAX };

    /// A lifetime of whole seconds.
    pub const fn secs(secs: u64) -> Ttl {
        Ttl { ms: secs.saturating_mul(1_000) }
    }

    /// A lifetime of milliseconds.
    pub const fn millis(ms: u64) -> Ttl {
        Ttl { ms }
    }

    /// The lifetime in milliseconds; `u64::MAX` is for ever.
    pub const fn as_millis(self) -> u64 {
        self.ms
    }
}

impl From<Duration> for Ttl {
    /// Rounds up to whole milliseconds; what does not fit lives for ever.
    fn from(duration: Duration) -> Ttl {
        let ms = duration.as_nanos().div_ceil(1_000_000);
        Ttl { ms: u64::try_from(ms).unwrap_or(u64::MAX) }
    }
}

/// How a value is written as bytes. A [`Blob`](crate::Blob) is its own encoding: its bytes stand as they are, as if they were JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// Text that anybody can read in redis-cli.
    Json,
    /// [MessagePack](https://msgpack.org) with the names of fields, so that fields may be added and left out: smaller, and
    /// quicker to write and read than JSON.
    MessagePack,
}

impl Encoding {
    pub(crate) fn to_bits(self) -> u16 {
        match self {
            Encoding::Json => 0,
            Encoding::MessagePack => 1,
        }
    }

    pub(crate) fn from_bits(bits: u16) -> Option<Encoding> {
        match bits {
            0 => Some(Encoding::Json),
            1 => Some(Encoding::MessagePack),
            _ => None,
        }
    }
}
