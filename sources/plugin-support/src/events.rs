//! Events between the place where they are read and the host.

use crate::json::{Node, Value};

/// Events in order, each with its time and its payload.
///
/// Whoever reads JSON events has parsed them, and so their fields need no second parse: what was found is kept, see
/// [`EventDocument::batch`](crate::json::EventDocument::batch).
#[derive(Debug, Default)]
pub struct Events {
    payloads: Vec<u8>,
    nodes: Vec<Node>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    timestamp_ns: u64,
    /// Where payload and nodes end; they start where those of the event before end.
    payload_end: usize,
    nodes_end: usize,
}

/// One of [`Events`].
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Nanoseconds since the Unix epoch; `u64::MAX` lets the host fill in the current time.
    pub timestamp_ns: u64,
    /// What the host gets.
    pub payload: &'a [u8],
    /// What parsing the payload finds; nothing if that is not known.
    pub nodes: &'a [Node],
}

impl Events {
    /// Adds an event of any kind.
    pub fn push(&mut self, timestamp_ns: u64, payload: &[u8]) {
        self.push_event(Event { timestamp_ns, payload, nodes: &[] });
    }

    /// Adds an event of another collection.
    pub fn push_event(&mut self, event: Event<'_>) {
        self.payloads.extend_from_slice(event.payload);
        self.nodes.extend_from_slice(event.nodes);
        self.end_event(event.timestamp_ns);
    }

    /// Adds an event whose payload is the compact text of `value`; gives up, and returns its length, if that is over
    /// `max_bytes`.
    ///
    /// # Errors
    ///
    /// The length of the text.
    pub fn push_json(
        &mut self,
        timestamp_ns: u64,
        value: Value<'_>,
        max_bytes: usize,
    ) -> Result<(), usize> {
        let start = self.payloads.len();
        value.write_parsed(&mut self.payloads, &mut self.nodes);
        let size = self.payloads.len() - start;
        if size > max_bytes {
            self.truncate(self.len());
            return Err(size);
        }
        self.end_event(timestamp_ns);
        Ok(())
    }

    fn end_event(&mut self, timestamp_ns: u64) {
        self.entries.push(Entry {
            timestamp_ns,
            payload_end: self.payloads.len(),
            nodes_end: self.nodes.len(),
        });
    }

    /// The event at `index`.
    pub fn get(&self, index: usize) -> Option<Event<'_>> {
        let entry = self.entries.get(index)?;
        let (payload_start, nodes_start) = self.ends(index);
        Some(Event {
            timestamp_ns: entry.timestamp_ns,
            payload: &self.payloads[payload_start..entry.payload_end],
            nodes: &self.nodes[nodes_start..entry.nodes_end],
        })
    }

    /// All events.
    pub fn iter(&self) -> impl Iterator<Item = Event<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is no event.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How much memory they take, once [`shrink_to_fit`](Self::shrink_to_fit) was called.
    pub fn bytes(&self) -> usize {
        self.payloads.len() + size_of_val(&*self.nodes) + size_of_val(&*self.entries)
    }

    /// Gives back the memory that growing has taken in advance.
    pub fn shrink_to_fit(&mut self) {
        self.payloads.shrink_to_fit();
        self.nodes.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// Keeps the payloads alone: whoever wants to know what is in them has to parse them again.
    pub fn forget_nodes(&mut self) {
        self.nodes = Vec::new();
        self.entries.iter_mut().for_each(|entry| entry.nodes_end = 0);
    }

    /// Removes all events after the first `len` ones.
    pub fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
        let (payload_end, nodes_end) = self.ends(self.len());
        self.payloads.truncate(payload_end);
        self.nodes.truncate(nodes_end);
    }

    /// Where payload and nodes of the first `count` events end.
    fn ends(&self, count: usize) -> (usize, usize) {
        let last = count.checked_sub(1).map(|last| self.entries[last]);
        last.map_or((0, 0), |last| (last.payload_end, last.nodes_end))
    }
}
