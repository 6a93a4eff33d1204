//! One line of an audit log.

use std::path::Path;

use plugin_support::events::Events;

use crate::event_list::EventReader;

/// Longest line, in bytes: a line may hold a whole list of events.
pub(crate) const LIMIT: usize = 64 << 20;

/// Adds the events of a line; a line that is not JSON is counted, logged and skipped, an empty one just skipped.
pub(crate) fn read(
    reader: &mut EventReader,
    path: &Path,
    number: u64,
    text: &[u8],
    events: &mut Events,
) {
    if text.is_empty() {
        return;
    }
    if let Err(error) = reader.read(text, events) {
        let why = || format!("{} line {number}: {error}", path.display());
        reader.counters().reject(&reader.counters().texts_not_json, why);
    }
}
