//! Async events as bytes: a header, three lengths, and then the plugin's id, a name and data.

use crate::abi::{ASYNC_EVENT, EventHeader};
use crate::event::{HEADER, ID_LEN, LEN, PARAMETERS, THREAD, TIMESTAMP, TYPE, field, number};

const NAME_LEN: usize = 30;
const DATA_LEN: usize = 34;
const ID: usize = 38;
const NAME: usize = 42;
/// What is longer is no event but a mistake.
const LONGEST: usize = 64 << 20;

/// What is wrong with an async event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AsyncEventError {
    #[error("no event")]
    Null,
    #[error("length {0} cannot be")]
    Length(usize),
    #[error("type {event_type} with {parameters} parameters is not an async event")]
    NotAsync { event_type: u16, parameters: u32 },
    #[error("lengths {id}, {name} and {data} do not add up to the length {len} of the event")]
    Lengths { id: u32, name: u32, data: u32, len: usize },
    #[error("the name is no text that ends where it should")]
    Name,
}

/// Copies an event that a plugin keeps.
///
/// # Safety
///
/// `event` is null or points to an event: a header, and then as many bytes as the header says.
pub(super) unsafe fn copy(event: *const EventHeader) -> Result<Vec<u8>, AsyncEventError> {
    if event.is_null() {
        return Err(AsyncEventError::Null);
    }
    // SAFETY: not null, so a header can be read, says the caller; it may lie at any address.
    let len = unsafe { event.read_unaligned() }.len as usize;
    if !(HEADER..=LONGEST).contains(&len) {
        return Err(AsyncEventError::Length(len));
    }
    // SAFETY: the event is `len` bytes long, says the caller.
    let bytes = unsafe { std::slice::from_raw_parts(event.cast::<u8>(), len) };
    check(bytes)?;
    Ok(bytes.to_vec())
}

/// The safe part of [`copy`], on at least a header.
pub(crate) fn check(bytes: &[u8]) -> Result<(), AsyncEventError> {
    let event_type = u16::from_ne_bytes(field(bytes, TYPE));
    let parameters = number(bytes, PARAMETERS);
    if event_type != ASYNC_EVENT || parameters != 3 {
        return Err(AsyncEventError::NotAsync { event_type, parameters });
    }
    let len = bytes.len();
    if len < NAME {
        return Err(AsyncEventError::Length(len));
    }
    let (id, name, data) =
        (number(bytes, ID_LEN), number(bytes, NAME_LEN), number(bytes, DATA_LEN));
    if id != 4 || NAME as u64 + u64::from(name) + u64::from(data) != len as u64 {
        return Err(AsyncEventError::Lengths { id, name, data, len });
    }
    let name = &bytes[NAME..NAME + name as usize];
    match name.iter().position(|&byte| byte == 0) {
        Some(end) if end + 1 == name.len() && std::str::from_utf8(name).is_ok() => Ok(()),
        _ => Err(AsyncEventError::Name),
    }
}

/// The name of an event that was checked.
pub(crate) fn name(bytes: &[u8]) -> &str {
    let end = NAME + number(bytes, NAME_LEN) as usize - 1;
    std::str::from_utf8(&bytes[NAME..end]).expect("the name was checked")
}

#[cfg(test)]
pub(super) fn plugin_id(bytes: &[u8]) -> u32 {
    number(bytes, ID)
}

pub(super) fn has_thread(bytes: &[u8]) -> bool {
    bytes[THREAD..LEN] != [0xff; 8]
}

/// When the plugin says it happened.
pub(super) fn timestamp_ns(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_ne_bytes(field(bytes, TIMESTAMP))).filter(|&ns| ns != u64::MAX)
}

/// Fills in the time if the plugin left it out.
pub(super) fn complete(bytes: &mut [u8], now_ns: u64) {
    if timestamp_ns(bytes).is_none() {
        bytes[TIMESTAMP..THREAD].copy_from_slice(&now_ns.to_ne_bytes());
    }
}

/// Writes in whose event source the event belongs to.
pub(super) fn set_plugin_id(bytes: &mut [u8], plugin_id: u32) {
    bytes[ID..NAME].copy_from_slice(&plugin_id.to_ne_bytes());
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An event as plugins build it.
    pub(crate) fn event(timestamp: u64, name: &[u8], data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(timestamp.to_ne_bytes());
        bytes.extend([0xff; 8]);
        bytes.extend(((NAME + name.len() + data.len()) as u32).to_ne_bytes());
        bytes.extend(ASYNC_EVENT.to_ne_bytes());
        bytes.extend(3u32.to_ne_bytes());
        bytes.extend(4u32.to_ne_bytes());
        bytes.extend((name.len() as u32).to_ne_bytes());
        bytes.extend((data.len() as u32).to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(name);
        bytes.extend(data);
        bytes
    }

    #[track_caller]
    fn check_error(at: usize, value: &[u8], expected: &str) {
        let mut bytes = event(5, b"tick\0", b"xy");
        bytes[at..at + value.len()].copy_from_slice(value);
        // SAFETY: a vector holds the event; no length below goes past its end.
        let copied = unsafe { copy(bytes.as_ptr().cast()) };
        assert_eq!(copied.unwrap_err().to_string(), expected);
    }

    #[test]
    fn only_what_adds_up_is_an_async_event() {
        let good = event(5, b"tick\0", b"xy");
        // SAFETY: a vector holds the event.
        let copied = unsafe { copy(good.as_ptr().cast()) }.unwrap();
        assert_eq!((name(&copied), copied.len()), ("tick", 49));
        check_error(LEN, &25u32.to_ne_bytes(), "length 25 cannot be");
        check_error(LEN, &41u32.to_ne_bytes(), "length 41 cannot be");
        check_error(LEN, &u32::MAX.to_ne_bytes(), "length 4294967295 cannot be");
        check_error(
            TYPE,
            &322u16.to_ne_bytes(),
            "type 322 with 3 parameters is not an async event",
        );
        let parameters = "type 402 with 2 parameters is not an async event";
        check_error(PARAMETERS, &2u32.to_ne_bytes(), parameters);
        let lengths = "lengths 4, 4294967295 and 2 do not add up to the length 49 of the event";
        check_error(NAME_LEN, &u32::MAX.to_ne_bytes(), lengths);
        check_error(NAME + 4, b"x", "the name is no text that ends where it should");
        check_error(NAME + 1, b"\0", "the name is no text that ends where it should");
        check_error(NAME, b"\xff", "the name is no text that ends where it should");
        // SAFETY: null is allowed.
        let null = unsafe { copy(std::ptr::null()) };
        assert_eq!(null, Err(AsyncEventError::Null));
    }
}
