//! The document of the current event.

use super::{Document, ParseError};

/// Parses an event's payload when the first field of it is asked for, and keeps the document for the others.
#[derive(Debug, Default)]
pub struct EventDocument {
    current: Option<(EventKey, Result<(), ParseError>)>,
    document: Document,
}

/// What tells one event from the next. The number alone does not: hosts start again at 1 with each capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EventKey {
    number: u64,
    timestamp_ns: u64,
    payload_address: usize,
    payload_len: usize,
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
        let key = EventKey {
            number,
            timestamp_ns,
            payload_address: payload.as_ptr().addr(),
            payload_len: payload.len(),
        };
        let parsed = match self.current {
            Some((current, parsed)) if current == key => parsed,
            _ => {
                // A panic while parsing must not leave half a document under the old key.
                self.current = None;
                let parsed = self.document.parse(payload);
                self.current = Some((key, parsed));
                parsed
            }
        };
        parsed.map(|()| &self.document)
    }
}
