//! A finished answer: the JSON as it is sent, its entity tag, and whose it is.

use crate::error::Error;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
        let etag =
            Sha256::digest(json.as_bytes()).iter().take(16).fold(String::from("\""), |mut tag, byte| {
                tag.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
                tag.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
                tag
            });
        Ok(Self { company: None, etag: etag + "\"", json: json.into_boxed_str() })
    }
}

/// The body is what goes over the wire, so that it can be sent from where it is stored.
impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.json.as_bytes()
    }
}
