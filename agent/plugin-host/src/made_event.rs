//! Events that no plugin gave: to see what plugins extract from a payload.

use std::ptr;

use crate::abi::EventHeader;
use crate::event;
use crate::plugin::Plugin;
use crate::source::Batch;

/// An event with a payload of the caller's choice.
#[derive(Debug)]
pub struct MadeEvent {
    bytes: Vec<u8>,
    start: [*mut EventHeader; 1],
}

impl MadeEvent {
    /// Makes an event as the plugin with this id would; `None` if the payload is over four gigabytes.
    pub fn new(plugin_id: u32, timestamp_ns: u64, payload: &[u8]) -> Option<Self> {
        let bytes = event::plugin_event(plugin_id, timestamp_ns, payload)?;
        Some(Self { bytes, start: [ptr::null_mut()] })
    }
}

impl Plugin {
    /// Lends the state for extraction from an event, as if the plugin had produced it.
    pub fn batch_of<'a>(&'a mut self, event: &'a mut MadeEvent) -> Batch<'a> {
        event.start = [event.bytes.as_mut_ptr().cast()];
        Batch { events: &event.start, plugin: self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, adopt};

    #[test]
    fn a_made_event_is_one_that_a_plugin_could_have_given() {
        let mut made = MadeEvent::new(7, 5, b"payload").unwrap();
        let start = made.bytes.as_mut_ptr().cast();
        // SAFETY: the vector holds an event and nobody else uses it.
        unsafe { adopt(start, 7, 0) }.unwrap();
        // SAFETY: it was accepted, and the vector is not touched below.
        let event = unsafe { Event::borrow(start) };
        assert_eq!((event.timestamp_ns(), event.plugin_id()), (5, 7));
        assert_eq!(event.payload(), b"payload");
    }
}
