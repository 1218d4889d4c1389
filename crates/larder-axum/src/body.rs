//! A finished answer: the JSON as it is sent, its entity tag, and whose it is.

use std::sync::Arc;

use axum::body::{Body as Payload, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use larder::ENTRY_OVERHEAD_BYTES;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};

/// Room for the name that a body is kept under, in bytes, which a weigher is not shown.
pub const NAME_BYTES: u64 = 384;

/// The body of a read, ready to be sent: made once, stored, and served without decoding.
///
/// Where the cache is in Redis it is stored as `{"owner":"…","etag":"\"…\"","json":{…}}`: the JSON stands in it as it is
/// sent, for `redis-cli` to show, and whoever reads it back looks for its end and no further. A space of bodies is therefore encoded as JSON,
/// which is the default: from MessagePack no body is read back, and each read over Redis would load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Body {
    /// Whose data this is, as a tenant's id; `None` for what is anybody's.
    pub owner: Option<String>,
    /// The strong entity tag, with its quotes: 128 bits of the SHA-256 of the JSON.
    pub etag: String,
    /// The JSON; boxed, because it is kept, and a string that has grown holds up to twice what it needs.
    pub json: Box<RawValue>,
}

impl Body {
    /// The body that shows `view`, data of `owner`.
    ///
    /// # Errors
    /// When the view cannot be written as JSON.
    pub fn of(owner: &(impl ToString + ?Sized), view: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self { owner: Some(owner.to_string()), ..Self::shared(view)? })
    }

    /// The body that shows `view`, which is anybody's.
    ///
    /// # Errors
    /// When the view cannot be written as JSON.
    pub fn shared(view: &impl Serialize) -> Result<Self, serde_json::Error> {
        let json = to_raw_value(view)?;
        let etag = format!("\"{}\"", digest(json.get()));
        Ok(Self { owner: None, etag, json })
    }

    /// What the body weighs in the cache, for [`Space::weigher`](larder::Space::weigher): the bytes that it takes in memory.
    /// Encoding it only to count costs more than storing it.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        let texts =
            self.json.get().len() + self.etag.capacity() + self.owner.as_ref().map_or(0, String::capacity);
        (size_of::<Self>() + texts) as u64 + NAME_BYTES + ENTRY_OVERHEAD_BYTES
    }

    /// The answer that sends it from where it is stored, with its entity tag.
    #[must_use]
    pub fn respond(self: &Arc<Self>, status: StatusCode) -> Response {
        let mut response = Response::new(Payload::from(Bytes::from_owner(Shared(Arc::clone(self)))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(etag) = HeaderValue::try_from(self.etag.as_str()) {
            headers.insert(header::ETAG, etag);
        }
        response
    }
}

/// The body is what goes over the wire, so that it can be sent from where it is stored.
struct Shared(Arc<Body>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.json.get().as_bytes()
    }
}

/// 128 bits of the SHA-256 of a text, in hexadecimal digits: nobody finds two texts of one digest.
#[must_use]
pub fn digest(text: &str) -> String {
    let bytes = Sha256::digest(text.as_bytes());
    bytes.iter().take(16).fold(String::with_capacity(32), |mut digits, byte| {
        digits.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        digits.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        digits
    })
}

/// Equal when every byte is: raw JSON does not compare itself.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        (&self.owner, &self.etag, self.json.get()) == (&other.owner, &other.etag, other.json.get())
    }
}

impl Eq for Body {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stored_body_shows_its_json_and_comes_back_byte_for_byte() {
        let view = json!({"name": "Ärzte \"& Söhne\"", "deals": [1, {"value": null}], "share": 0.1});
        let body = Body::of("abc", &view).unwrap();
        let stored = serde_json::to_string(&body).unwrap();
        let etag = body.etag.trim_matches('"');
        let shown = body.json.get();
        assert_eq!(stored, format!(r#"{{"owner":"abc","etag":"\"{etag}\"","json":{shown}}}"#));
        let back: Body = serde_json::from_slice(stored.as_bytes()).unwrap();
        assert_eq!(back, body);
        assert_eq!(back.json.get().as_bytes(), serde_json::to_vec(&view).unwrap());
        assert_eq!(body.weight_bytes() - 3, Body::shared(&view).unwrap().weight_bytes());
        assert!((400..body.weight_bytes() + 1).contains(&back.weight_bytes()), "no memory beside the bytes");
        assert_ne!(Body::shared(&view).unwrap(), body);
    }

    #[test]
    fn what_is_no_body_is_refused() {
        for wrong in [r#"{"owner":null,"etag":"","json":}"#, r#"{"owner":null,"etag":""}"#, "{}", "1"] {
            assert!(serde_json::from_str::<Body>(wrong).is_err(), "{wrong}");
        }
    }
}
