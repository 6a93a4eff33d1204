//! The document of the current event.

use super::{Document, ParseError};
use crate::events::Events;

/// Parses an event's payload when the first field of it is asked for, and keeps the document for the others.
#[derive(Debug, Default)]
pub struct EventDocument {
    current: Option<(EventKey, Result<(), ParseError>)>,
    /// The event that [`Self::is_new`] was last asked about.
    seen: Option<EventKey>,
    document: Document,
    /// Events that the host is about to ask fields of.
    batch: Events,
    /// Those before this one were asked for.
    next: usize,
}

/// What tells one event from the next. The number alone does not: hosts start again at 1 with each capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EventKey {
    number: u64,
    timestamp_ns: u64,
    payload_address: usize,
    payload_len: usize,
}

impl EventKey {
    fn new(number: u64, timestamp_ns: u64, payload: &[u8]) -> Self {
        EventKey {
            number,
            timestamp_ns,
            payload_address: payload.as_ptr().addr(),
            payload_len: payload.len(),
        }
    }
}

impl EventDocument {
    /// The document in `payload`, which belongs to the event with this number and time.
    ///
    /// # Errors
    ///
    /// When the payload is not one JSON value.
    pub fn of(
        &mut self,
        number: u64,
        timestamp_ns: u64,
        payload: &[u8],
    ) -> Result<&Document, ParseError> {
        let key = EventKey::new(number, timestamp_ns, payload);
        let parsed = match self.current {
            Some((current, parsed)) if current == key => parsed,
            _ => {
                // A panic while parsing must not leave half a document under the old key.
                self.current = None;
                let parsed =
                    if self.take_over(payload) { Ok(()) } else { self.document.parse(payload) };
                self.current = Some((key, parsed));
                parsed
            }
        };
        parsed.map(|()| &self.document)
    }

    /// Whether nothing was asked of this event before: one value may then be looked for without parsing all.
    pub fn is_new(&mut self, number: u64, timestamp_ns: u64, payload: &[u8]) -> bool {
        let key = EventKey::new(number, timestamp_ns, payload);
        let is_parsed = self.current.is_some_and(|(current, _)| current == key);
        self.seen.replace(key) != Some(key) && !is_parsed
    }

    /// The events of the last batch, to be replaced by those of the next one: if the host asks for fields of these very
    /// events, what their reader found is used and they are not parsed again.
    pub fn batch(&mut self) -> &mut Events {
        self.next = 0;
        &mut self.batch
    }

    /// Takes the document over from the reader of the batch. What an event is called differs from host to host, so events
    /// are told apart by their payloads: with the next one at hand that is far quicker than to parse.
    fn take_over(&mut self, payload: &[u8]) -> bool {
        let mut events = (self.next..).map_while(|index| Some((index, self.batch.get(index)?)));
        let Some((index, event)) = events.find(|(_, event)| event.payload == payload) else {
            return false;
        };
        self.next = index + 1;
        let is_known = !event.nodes.is_empty();
        if is_known {
            self.document.set(payload, event.nodes);
        }
        is_known
    }
}
