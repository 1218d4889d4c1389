//! A finished answer: the JSON as it is sent, its entity tag, and whose it is.

use crate::error::Error;
use larder::ENTRY_OVERHEAD_BYTES;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Room for the name that a body is kept under, in bytes, which a weigher is not shown: no name here is longer (see
/// [`MAX_FILTER_BYTES`](crate::page::MAX_FILTER_BYTES)).
pub const NAME_BYTES: u64 = 384;

/// The body of a read, ready to be sent: made once, stored, and served without decoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The id of the company whose data this is; `None` for what all companies share.
    pub company: Option<String>,
    /// The strong entity tag, with its quotes: 128 bits of the SHA-256 of the JSON.
    pub etag: String,
    /// The JSON; boxed, because it is kept, and a string that has grown holds up to twice what it needs.
    pub json: Box<str>,
}

impl Body {
    /// The body that shows `view`, data of `company`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the view cannot be written as JSON.
    pub fn of(company: &impl ToString, view: &impl Serialize) -> Result<Self, Error> {
        Ok(Self { company: Some(company.to_string()), ..Self::shared(view)? })
    }

    /// The body that shows `view`, which all companies share.
    ///
    /// # Errors
    /// [`Error::Internal`] when the view cannot be written as JSON.
    pub fn shared(view: &impl Serialize) -> Result<Self, Error> {
        let json = serde_json::to_string(view).map_err(Error::internal)?;
        let etag = format!("\"{}\"", digest(&json));
        Ok(Self { company: None, etag, json: json.into_boxed_str() })
    }

    /// What the body weighs in the cache: the bytes that it takes in memory. Its encoded size would be that of JSON within
    /// JSON, with each quote escaped, and encoding it only to count costs more than storing it.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        let texts =
            self.json.len() + self.etag.capacity() + self.company.as_ref().map_or(0, String::capacity);
        (size_of::<Self>() + texts) as u64 + NAME_BYTES + ENTRY_OVERHEAD_BYTES
    }
}

/// 128 bits of the SHA-256 of a text, in hexadecimal digits: nobody finds two texts of one digest.
pub(crate) fn digest(text: &str) -> String {
    let bytes = Sha256::digest(text.as_bytes());
    bytes.iter().take(16).fold(String::with_capacity(32), |mut digits, byte| {
        digits.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        digits.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        digits
    })
}

/// The body is what goes over the wire, so that it can be sent from where it is stored.
impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.json.as_bytes()
    }
}
