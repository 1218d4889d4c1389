//! Values: how they become bytes and come back, and how a tier holds one without knowing its type.

use std::any::{Any, TypeId};
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind};
use crate::policy::Encoding;

/// What can be cached: anything that `serde` can write and read back, owned, and shareable between threads.
pub trait Value: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Value for T {}

/// Bytes that are stored as they are: a body that was rendered once and is served many times.
///
/// Other values are encoded as JSON; a `Blob` is its own encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Blob(pub Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<u8>::deserialize(deserializer).map(|bytes| Blob(bytes.into()))
    }
}

/// How deep what is read may be nested, which is serde_json's limit. Each level takes stack, and in MessagePack a list of a
/// few bytes may announce so many elements that serde reserves 1 MiB for them.
const MAX_DEPTH: usize = 128;

/// A value whose type only its readers know.
pub(crate) type Payload = Arc<dyn Erased>;

pub(crate) trait Erased: Any + Send + Sync {
    fn encode(&self) -> Result<Vec<u8>, Error>;
    fn encoded_len(&self) -> Result<u64, Error>;
}

impl<T: Value> Erased for T {
    fn encode(&self) -> Result<Vec<u8>, Error> {
        match (self as &dyn Any).downcast_ref::<Blob>() {
            Some(blob) => Ok(blob.0.to_vec()),
            None => serde_json::to_vec(self).map_err(|error| encode_error(&error)),
        }
    }

    fn encoded_len(&self) -> Result<u64, Error> {
        if let Some(blob) = (self as &dyn Any).downcast_ref::<Blob>() {
            return Ok(blob.0.len() as u64);
        }
        let mut counter = Counter(0);
        serde_json::to_writer(&mut counter, self).map_err(|error| encode_error(&error))?;
        Ok(counter.0)
    }
}

/// The value as a `T`: the very one that was stored where it is a `T`, else decoded anew from its bytes, as a tier that
/// holds bytes would do.
#[inline]
pub(crate) fn typed<T: Value>(payload: Payload) -> Result<Arc<T>, Error> {
    if (*payload).type_id() == TypeId::of::<T>() {
        let any: Arc<dyn Any + Send + Sync> = payload;
        return any
            .downcast::<T>()
            .map_err(|_other| Error::new(ErrorKind::Decode, "a type that is not itself"));
    }
    decode(payload.encode()?.into(), Encoding::Json).map(Arc::new)
}

/// The value, if it is a `T` itself: a copy of another type may have left out what a `T` is made of.
#[inline]
pub(crate) fn same<T: Value>(payload: Payload) -> Option<Arc<T>> {
    let is_same = (*payload).type_id() == TypeId::of::<T>();
    let any: Arc<dyn Any + Send + Sync> = payload;
    if is_same { any.downcast::<T>().ok() } else { None }
}

/// The value as its bytes, and how they are to be read.
pub(crate) fn encode<T: Value>(value: &T, encoding: Encoding) -> Result<(Encoding, Vec<u8>), Error> {
    if encoding == Encoding::Json || TypeId::of::<T>() == TypeId::of::<Blob>() {
        return Ok((Encoding::Json, Erased::encode(value)?));
    }
    let bytes = rmp_serde::to_vec_named(value).map_err(|_error| {
        // The words of a Serialize may quote the value.
        Error::new(ErrorKind::Encode, "the value cannot be written as MessagePack; look at its Serialize")
    })?;
    Ok((encoding, bytes))
}

/// The value that these bytes stand for. A [`Blob`] is the bytes themselves, without a copy.
pub(crate) fn decode<T: Value>(bytes: Bytes, encoding: Encoding) -> Result<T, Error> {
    if TypeId::of::<T>() == TypeId::of::<Blob>() {
        let blob: Box<dyn Any> = Box::new(Blob(bytes));
        return blob
            .downcast()
            .map(|value| *value)
            .map_err(|_other| Error::new(ErrorKind::Decode, "a blob that is none"));
    }
    // serde's own words may quote the value, so only the kind and the place are told.
    match encoding {
        Encoding::Json => serde_json::from_slice(&bytes).map_err(|error| {
            let place =
                format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column());
            not_a::<T>(&place)
        }),
        Encoding::MessagePack => message_pack(&bytes).ok_or_else(|| not_a::<T>("as MessagePack")),
    }
}

/// As strict as JSON's reader: not deeper, and nothing behind the value.
fn message_pack<T: Value>(bytes: &[u8]) -> Option<T> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
    reader.set_max_depth(MAX_DEPTH);
    let value = T::deserialize(&mut reader).ok()?;
    // What would be read next tells whether anything is left: only at the end is there no marker to read.
    let end = matches!(<()>::deserialize(&mut reader), Err(rmp_serde::decode::Error::InvalidMarkerRead(_)));
    end.then_some(value)
}

fn not_a<T>(place: &str) -> Error {
    let kind = type_name::<T>();
    let message = format!(
        "the stored value is no {kind}: {place}; read it as the type that it was stored as, or remove it"
    );
    Error::new(ErrorKind::Decode, message)
}

fn encode_error(error: &serde_json::Error) -> Error {
    // The words of a Serialize may quote the value, so only the kind is told.
    let message =
        format!("the value cannot be written as JSON: {:?} error; look at its Serialize", error.classify());
    Error::new(ErrorKind::Encode, message)
}

fn type_name<T>() -> &'static str {
    std::any::type_name::<T>()
}

/// Counts bytes instead of keeping them.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_itself_without_a_copy() {
        let stored = Arc::new(String::from("x"));
        let back = typed::<String>(stored.clone()).expect("it is a String");
        assert!(Arc::ptr_eq(&stored, &back));
    }

    #[test]
    fn another_type_reads_the_encoding() {
        let stored: Payload = Arc::new(vec![1_u8, 2]);
        assert_eq!(*typed::<serde_json::Value>(stored.clone()).expect("JSON"), serde_json::json!([1, 2]));
        assert_eq!(&*typed::<Blob>(stored.clone()).expect("bytes").0, b"[1,2]");
        let text: Payload = Arc::new(Blob(Bytes::from_static(b"{\"a\":1}")));
        assert_eq!(*typed::<serde_json::Value>(text).expect("JSON"), serde_json::json!({"a": 1}));
    }

    #[test]
    fn a_type_that_does_not_fit_is_an_error_that_keeps_the_value_to_itself() {
        let stored: Payload = Arc::new(String::from("secret"));
        let error = typed::<u64>(stored).expect_err("a string is no number");
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn each_encoding_is_read_as_it_was_written() {
        let value = vec![Some(String::from("ä")), None];
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let (written, bytes) = encode(&value, encoding).expect("it can be written");
            assert_eq!(written, encoding);
            assert_eq!(Encoding::from_bits(written.to_bits()), Some(encoding));
            assert_eq!(
                decode::<Vec<Option<String>>>(bytes.clone().into(), written).expect("it is that"),
                value
            );
            assert_eq!(
                decode::<u64>(bytes.into(), written).expect_err("it is no number").kind(),
                ErrorKind::Decode
            );
        }
        let blob = Blob(Bytes::from_static(b"{\"a\":1}"));
        let (written, bytes) = encode(&blob, Encoding::MessagePack).expect("it is bytes");
        assert_eq!((written, &bytes[..]), (Encoding::Json, &blob.0[..]));
    }

    #[test]
    fn message_pack_is_read_to_its_end_and_no_deeper_than_json() {
        let nested =
            |depth: usize, open: &[u8], close: &[u8]| [open.repeat(depth), close.repeat(depth)].concat();
        for depth in [126, 127, 128, 2_000] {
            let json = decode::<serde_json::Value>(nested(depth, b"[", b"]").into(), Encoding::Json);
            let mut bytes = nested(depth - 1, b"\x91", b"");
            bytes.push(0x90);
            let packed = decode::<serde_json::Value>(bytes.into(), Encoding::MessagePack);
            assert_eq!(packed.is_ok(), json.is_ok(), "{depth} levels");
        }
        for rest in [&b"\x01"[..], b"\xc0", b"\x91", b"\xc1", b"\xa5ab", b"\xc7"] {
            let bytes = [b"\x07", rest].concat();
            let error = decode::<u64>(bytes.into(), Encoding::MessagePack).expect_err("there is more");
            assert_eq!(error.kind(), ErrorKind::Decode);
        }
        assert_eq!(decode::<u64>(Bytes::from_static(b"\x07"), Encoding::MessagePack).expect("a number"), 7);
    }

    #[test]
    fn the_encoded_length_is_counted_without_encoding() {
        assert_eq!(vec![1_u8, 2].encoded_len().expect("JSON"), 5);
        assert_eq!(Blob(Bytes::from_static(b"abc")).encoded_len().expect("bytes"), 3);
    }
}
