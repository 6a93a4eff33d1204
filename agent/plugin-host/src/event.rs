//! One event as it lies in the plugin's memory.

use std::ptr::NonNull;
use std::slice;

use crate::abi::{EventHeader, PLUGIN_EVENT};
use crate::async_events::layout;

pub(crate) const TIMESTAMP: usize = 0;
pub(crate) const THREAD: usize = 8;
pub(crate) const LEN: usize = 16;
pub(crate) const TYPE: usize = 20;
pub(crate) const PARAMETERS: usize = 22;
/// Where the header ends; in plugin events two lengths, the plugin's id and the payload follow.
pub(crate) const HEADER: usize = 26;
pub(crate) const ID_LEN: usize = 26;
const PAYLOAD_LEN: usize = 30;
const ID: usize = 34;
const PAYLOAD: usize = 38;

/// An event of the current batch: checked, complete, and borrowed from the plugin.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The whole event; of a plugin event at least up to the payload.
    bytes: &'a [u8],
}

impl<'a> Event<'a> {
    /// Borrows an event that [`adopt`] has accepted.
    ///
    /// # Safety
    ///
    /// `start` was accepted, and nobody changes the event during `'a`.
    pub(crate) unsafe fn borrow(start: *mut EventHeader) -> Self {
        // SAFETY: the header can be read, says the caller; it may lie at any address.
        let len = unsafe { start.read_unaligned() }.len as usize;
        // SAFETY: an accepted event is `len` bytes long, and stays as it is, says the caller.
        Self { bytes: unsafe { slice::from_raw_parts(start.cast_const().cast(), len) } }
    }

    /// An event in memory of this host; `None` if it is too short to be one.
    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Option<Self> {
        let is_plugin_event = bytes.len() >= HEADER && {
            let event_type = u16::from_ne_bytes(field(bytes, TYPE));
            event_type == PLUGIN_EVENT
        };
        let least = if is_plugin_event { PAYLOAD } else { HEADER };
        let fits = bytes.len() >= least && number(bytes, LEN) as usize == bytes.len();
        fits.then_some(Self { bytes })
    }

    /// All of it, as it lies in memory.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// An event whose bytes were checked.
    pub(crate) fn of_checked(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The name of an event that a plugin has added at a time of its own.
    pub fn async_name(&self) -> Option<&'a str> {
        layout::check(self.bytes).ok().map(|()| layout::name(self.bytes))
    }

    /// When it happened, in nanoseconds since the epoch.
    pub fn timestamp_ns(&self) -> u64 {
        u64::from_ne_bytes(field(self.bytes, TIMESTAMP))
    }

    /// The id of the plugin that made it; 0 for an event of the system.
    pub fn plugin_id(&self) -> u32 {
        if self.event_type() == PLUGIN_EVENT {
            u32::from_ne_bytes(field(self.bytes, ID))
        } else {
            0
        }
    }

    /// What the plugin put into it; nothing for an event of the system.
    pub fn payload(&self) -> &'a [u8] {
        if self.event_type() == PLUGIN_EVENT { &self.bytes[PAYLOAD..] } else { &[] }
    }

    pub(crate) fn event_type(&self) -> u16 {
        u16::from_ne_bytes(field(self.bytes, TYPE))
    }

    pub(crate) fn header(&self) -> *const EventHeader {
        self.bytes.as_ptr().cast()
    }
}

/// The bytes of a plugin event; `None` if the payload is too long for one.
pub(crate) fn plugin_event(plugin_id: u32, timestamp_ns: u64, payload: &[u8]) -> Option<Vec<u8>> {
    let payload_len = u32::try_from(payload.len()).ok()?;
    let len = payload_len.checked_add(PAYLOAD as u32)?;
    let mut bytes = Vec::with_capacity(PAYLOAD + payload.len());
    bytes.extend(timestamp_ns.to_ne_bytes());
    bytes.extend([0xff; 8]);
    bytes.extend(len.to_ne_bytes());
    bytes.extend(PLUGIN_EVENT.to_ne_bytes());
    bytes.extend(2u32.to_ne_bytes());
    bytes.extend(4u32.to_ne_bytes());
    bytes.extend(payload_len.to_ne_bytes());
    bytes.extend(plugin_id.to_ne_bytes());
    bytes.extend(payload);
    Some(bytes)
}

/// What is wrong with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum EventError {
    #[error("no event where one was announced")]
    Null,
    #[error("length {len} is too short")]
    Truncated { len: u32 },
    #[error("type {event_type} with {parameters} parameters is not a plugin event")]
    NotPluginEvent { event_type: u16, parameters: u32 },
    #[error("lengths {id} and {payload} do not add up to the length {len} of the event")]
    Lengths { id: u32, payload: u32, len: u32 },
    #[error("unexpected plugin ID in plugin event: expected_id={expected}, actual_id={actual}")]
    PluginId { expected: u32, actual: u32 },
    #[error("plugin event without a plugin ID")]
    NoPluginId,
}

/// Checks the event at `start` and fills in what the plugin left to the host.
///
/// `plugin_id` is the plugin's own, 0 if it produces system events.
///
/// Source: libs, `source_plugin.c`, with the bounds checks that are missing there.
///
/// # Safety
///
/// `start` is null or points to an event (a header, and then as many bytes as the header says)
/// that nobody else uses during the call.
pub(crate) unsafe fn adopt(
    start: *mut EventHeader,
    plugin_id: u32,
    now_ns: u64,
) -> Result<(), EventError> {
    let Some(start) = NonNull::new(start) else { return Err(EventError::Null) };
    // SAFETY: the header can be read, says the caller; it may lie at any address.
    let header = unsafe { start.read_unaligned() };
    let len = header.len;
    if (len as usize) < HEADER {
        return Err(EventError::Truncated { len });
    }
    // SAFETY: the event is `len` bytes long and ours for now, says the caller.
    let bytes = unsafe { slice::from_raw_parts_mut(start.as_ptr().cast::<u8>(), len as usize) };
    complete(bytes, plugin_id, now_ns)
}

/// The safe part of [`adopt`], on the bytes of one event of at least a header.
fn complete(bytes: &mut [u8], plugin_id: u32, now_ns: u64) -> Result<(), EventError> {
    let event_type = u16::from_ne_bytes(field(bytes, TYPE));
    if event_type == PLUGIN_EVENT {
        complete_plugin_event(bytes, plugin_id)?;
    } else if plugin_id != 0 {
        return Err(EventError::NotPluginEvent {
            event_type,
            parameters: number(bytes, PARAMETERS),
        });
    }
    if bytes[TIMESTAMP..THREAD] == [0xff; 8] {
        bytes[TIMESTAMP..THREAD].copy_from_slice(&now_ns.to_ne_bytes());
    }
    Ok(())
}

fn complete_plugin_event(bytes: &mut [u8], plugin_id: u32) -> Result<(), EventError> {
    let len = number(bytes, LEN);
    if bytes.len() < PAYLOAD {
        return Err(EventError::Truncated { len });
    }
    let parameters = number(bytes, PARAMETERS);
    if parameters != 2 {
        return Err(EventError::NotPluginEvent { event_type: PLUGIN_EVENT, parameters });
    }
    let (id, payload) = (number(bytes, ID_LEN), number(bytes, PAYLOAD_LEN));
    if id != 4 || payload as usize != bytes.len() - PAYLOAD {
        return Err(EventError::Lengths { id, payload, len });
    }
    match (plugin_id, number(bytes, ID)) {
        (0, 0) => return Err(EventError::NoPluginId),
        (0, _) => {}
        (own, 0) => bytes[ID..PAYLOAD].copy_from_slice(&own.to_ne_bytes()),
        (expected, actual) if expected != actual => {
            return Err(EventError::PluginId { expected, actual });
        }
        _ => {}
    }
    bytes[THREAD..LEN].fill(0xff);
    Ok(())
}

pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("events are checked to reach past their header")
}

pub(crate) fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(field(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 7_000;
    const UNSET: u64 = u64::MAX;

    /// A plugin event as plugins build it, with the lengths right.
    fn plugin_event(timestamp: u64, thread: u64, id: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(timestamp.to_ne_bytes());
        bytes.extend(thread.to_ne_bytes());
        bytes.extend((PAYLOAD as u32 + payload.len() as u32).to_ne_bytes());
        bytes.extend(PLUGIN_EVENT.to_ne_bytes());
        bytes.extend(2u32.to_ne_bytes());
        bytes.extend(4u32.to_ne_bytes());
        bytes.extend((payload.len() as u32).to_ne_bytes());
        bytes.extend(id.to_ne_bytes());
        bytes.extend(payload);
        bytes
    }

    fn with(mut bytes: Vec<u8>, at: usize, value: &[u8]) -> Vec<u8> {
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    }

    /// Adopts the event for a plugin with the given id and prints what became of it.
    #[track_caller]
    fn check(mut bytes: Vec<u8>, plugin_id: u32, expected: &str) {
        let start = bytes.as_mut_ptr().cast::<EventHeader>();
        // SAFETY: the vector holds an event and nobody else uses it.
        let adopted = unsafe { adopt(start, plugin_id, NOW) };
        let found = match adopted {
            Ok(()) => {
                // SAFETY: it was accepted, and the vector is not touched below.
                let event = unsafe { Event::borrow(start) };
                let thread = u64::from_ne_bytes(field(event.bytes, THREAD));
                format!(
                    "ts {} thread {} id {} {:?}",
                    event.timestamp_ns(),
                    thread as i64,
                    event.plugin_id(),
                    String::from_utf8_lossy(event.payload())
                )
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_the_plugin_left_out_is_filled_in() {
        check(plugin_event(5, UNSET, 999, b"x"), 999, r#"ts 5 thread -1 id 999 "x""#);
        check(plugin_event(UNSET, UNSET, 0, b""), 999, r#"ts 7000 thread -1 id 999 """#);
        check(plugin_event(UNSET, 3, 0, b"xy"), 999, r#"ts 7000 thread -1 id 999 "xy""#);
    }

    #[test]
    fn only_own_plugin_events_come_from_a_plugin_with_an_id() {
        check(
            plugin_event(5, UNSET, 5, b""),
            999,
            "unexpected plugin ID in plugin event: expected_id=999, actual_id=5",
        );
        let other_type = with(plugin_event(5, UNSET, 0, b""), TYPE, &402u16.to_ne_bytes());
        check(other_type, 999, "type 402 with 2 parameters is not a plugin event");
        let three = with(plugin_event(5, UNSET, 0, b""), PARAMETERS, &3u32.to_ne_bytes());
        check(three, 999, "type 322 with 3 parameters is not a plugin event");
    }

    #[test]
    fn a_plugin_without_an_id_produces_any_event_but_a_nameless_plugin_event() {
        check(plugin_event(5, UNSET, 0, b""), 0, "plugin event without a plugin ID");
        check(plugin_event(5, UNSET, 7, b"x"), 0, r#"ts 5 thread -1 id 7 "x""#);
        let system = with(plugin_event(UNSET, 3, 0, b"x"), TYPE, &1u16.to_ne_bytes());
        check(system, 0, r#"ts 7000 thread 3 id 0 """#);
    }

    #[test]
    fn nothing_is_read_past_the_end() {
        let of_len = |len: u32| with(plugin_event(5, UNSET, 0, b"xy"), LEN, &len.to_ne_bytes());
        check(of_len(0), 999, "length 0 is too short");
        check(of_len(25), 999, "length 25 is too short");
        check(of_len(26), 999, "length 26 is too short");
        check(of_len(37), 999, "length 37 is too short");
        check(of_len(39), 999, "lengths 4 and 2 do not add up to the length 39 of the event");
        let id = with(plugin_event(5, UNSET, 0, b"xy"), ID_LEN, &8u32.to_ne_bytes());
        check(id, 999, "lengths 8 and 2 do not add up to the length 40 of the event");
        let payload = with(plugin_event(5, UNSET, 0, b"xy"), PAYLOAD_LEN, &u32::MAX.to_ne_bytes());
        check(payload, 999, "lengths 4 and 4294967295 do not add up to the length 40 of the event");
    }
}
