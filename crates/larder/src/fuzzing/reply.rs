//! What a server answers: read alike however it is cut.

use crate::remote::{Stop, parse_reply as parse};

/// At how many places an answer is cut at most.
const CUTS: usize = 64;

/// Bytes that come from a server: what is an answer needs none of the bytes behind it and all of its own, and of what is garbled
/// nothing more is waited for.
///
/// # Panics
/// If that does not hold.
pub fn reply(bytes: &[u8]) {
    match parse(bytes) {
        Ok((reply, taken)) => {
            let answer = &bytes[..taken];
            assert_eq!(parse(answer), Ok((reply, taken)), "what follows an answer is not looked at");
            for cut in (0..taken).step_by(taken.div_ceil(CUTS)) {
                match parse(&answer[..cut]) {
                    Err(Stop::Until(least)) => {
                        assert!(
                            cut < least && least <= taken,
                            "cut at {cut} of {taken} it waits for {least}"
                        );
                    }
                    other => panic!("cut at {cut} of {taken} it is {other:?}"),
                }
            }
        }
        Err(Stop::Until(least)) => assert!(bytes.len() < least, "it waits for what is there"),
        Err(Stop::Garbled) => {
            let more = [bytes, b"\r\n:1\r\n"].concat();
            assert_eq!(parse(&more), Err(Stop::Garbled), "more bytes do not help");
        }
    }
}

/// How many bytes may be allocated at once for so many from a server: room for a few answers at each level, and what there is.
pub const fn most_allocated_for_a_reply(bytes: usize) -> u64 {
    ((256 << 10) + 64 * bytes) as u64
}
