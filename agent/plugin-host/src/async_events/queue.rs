//! The events that plugins have added and that were not evaluated yet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::layout;
use crate::event::Event;
use crate::source::now_ns;

/// So many events wait at most, as under Falco,
const CAPACITY: usize = 4096;
/// and they have at most so many bytes.
const CAPACITY_BYTES: usize = 64 << 20;
/// How long a plugin waits for room. A plugin may keep locks meanwhile that the source's thread needs, so not for ever.
const PATIENCE: Duration = Duration::from_secs(1);
/// What lies further ahead is no time that an event can have.
const TOO_FAR_AHEAD_NS: u64 = 10_000_000_000;

/// The async events of one event source, in the order of time.
#[derive(Debug, Clone)]
pub struct AsyncQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    event_source: String,
    /// Of the plugin that produces the other events.
    plugin_id: u32,
    state: Mutex<State>,
    has_room: Condvar,
    /// How many events wait; a look without the lock.
    len: AtomicUsize,
    lost: AtomicU64,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    Taken,
    NoRoom,
    TooFarAhead,
}

#[derive(Debug, Default)]
struct State {
    /// By time, 0 if the plugin gave none, and then by arrival.
    events: BTreeMap<(u64, u64), Vec<u8>>,
    bytes: usize,
    arrived: u64,
    /// The thread that takes events and must not wait for itself.
    taker: Option<ThreadId>,
}

/// An event that a plugin has added.
#[derive(Debug)]
pub struct AsyncEvent(Vec<u8>);

impl AsyncEvent {
    /// The event as it is shown to plugins.
    pub fn as_event(&self) -> Event<'_> {
        Event::of_checked(&self.0)
    }
}

impl AsyncQueue {
    /// An empty queue for a source whose other events are of the plugin with `plugin_id`.
    pub fn new(event_source: &str, plugin_id: u32) -> Self {
        Self(Arc::new(Shared {
            event_source: event_source.to_owned(),
            plugin_id,
            state: Mutex::default(),
            has_room: Condvar::new(),
            len: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
        }))
    }

    pub(super) fn event_source(&self) -> &str {
        &self.0.event_source
    }

    pub(super) fn plugin_id(&self) -> u32 {
        self.0.plugin_id
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.0.len.load(Ordering::Acquire) == 0
    }

    /// How many events were lost since this was last asked: refused because there was no room, or dropped because they lie
    /// too far in the future.
    pub fn take_lost(&self) -> u64 {
        self.0.lost.swap(0, Ordering::Relaxed)
    }

    /// Takes the events up to a point in time, in order. Those without a time are of now and come first.
    pub fn take_until(&self, timestamp_ns: u64) -> Vec<AsyncEvent> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut state = self.lock();
        state.taker = Some(thread::current().id());
        let later = match timestamp_ns.checked_add(1) {
            Some(next) => state.events.split_off(&(next, 0)),
            None => BTreeMap::new(),
        };
        let taken = std::mem::replace(&mut state.events, later);
        state.bytes -= taken.values().map(Vec::len).sum::<usize>();
        self.0.len.store(state.events.len(), Ordering::Release);
        drop(state);
        self.0.has_room.notify_all();
        let now = now_ns();
        taken
            .into_values()
            .map(|mut bytes| {
                layout::complete(&mut bytes, now);
                AsyncEvent(bytes)
            })
            .collect()
    }

    /// Takes the events up to now.
    pub fn take_due(&self) -> Vec<AsyncEvent> {
        if self.is_empty() { Vec::new() } else { self.take_until(now_ns()) }
    }

    /// Adds an event when there is room, unless there is none for a while or waiting `is_over`.
    pub(super) fn add(&self, bytes: Vec<u8>, is_over: impl Fn() -> bool) -> Added {
        let added = self.try_add(bytes, is_over);
        if added != Added::Taken {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
        added
    }

    fn try_add(&self, mut bytes: Vec<u8>, is_over: impl Fn() -> bool) -> Added {
        layout::set_plugin_id(&mut bytes, self.0.plugin_id);
        let timestamp = layout::timestamp_ns(&bytes);
        if timestamp.is_some_and(|ts| ts > now_ns().saturating_add(TOO_FAR_AHEAD_NS)) {
            return Added::TooFarAhead;
        }
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.lock();
        while !state.has_room(bytes.len()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || is_over() || state.taker == Some(thread::current().id()) {
                return Added::NoRoom;
            }
            let waited = self.0.has_room.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.arrived += 1;
        state.bytes += bytes.len();
        let key = (timestamp.unwrap_or(0), state.arrived);
        state.events.insert(key, bytes);
        self.0.len.store(state.events.len(), Ordering::Release);
        Added::Taken
    }

    /// Has those who wait for room look again whether they still should.
    pub(super) fn wake_waiting(&self) {
        // With the lock, so that nobody is between looking and waiting.
        drop(self.lock());
        self.0.has_room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, bytes: usize) -> bool {
        self.events.is_empty()
            || (self.events.len() < CAPACITY && self.bytes + bytes <= CAPACITY_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(queue: &AsyncQueue, timestamp: u64, data: &[u8]) -> Added {
        queue.add(event(timestamp, data), || false)
    }

    fn event(timestamp: u64, data: &[u8]) -> Vec<u8> {
        layout::tests::event(timestamp, b"tick\0", data)
    }

    fn data(events: &[AsyncEvent]) -> String {
        let of = |event: &AsyncEvent| String::from_utf8_lossy(&event.0[47..]).into_owned();
        events.iter().map(of).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn events_come_in_the_order_of_time_and_then_of_arrival() {
        let queue = AsyncQueue::new("test", 7);
        for (timestamp, text) in [(30, "c"), (10, "a"), (10, "b"), (u64::MAX, "now"), (40, "d")] {
            assert_eq!(add(&queue, timestamp, text.as_bytes()), Added::Taken);
        }
        assert_eq!(data(&queue.take_until(9)), "now");
        assert_eq!(data(&queue.take_until(30)), "a b c");
        assert!(!queue.is_empty());
        let last = queue.take_due();
        assert_eq!(data(&last), "d");
        assert_eq!(last[0].as_event().async_name(), Some("tick"));
        assert_eq!(layout::plugin_id(&last[0].0), 7);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_lies_far_ahead_is_dropped_and_counted() {
        let queue = AsyncQueue::new("test", 7);
        assert_eq!(add(&queue, now_ns() + 9_000_000_000, b""), Added::Taken);
        assert_eq!(add(&queue, now_ns() + 20_000_000_000, b""), Added::TooFarAhead);
        assert_eq!((queue.take_until(u64::MAX).len(), queue.take_lost()), (1, 1));
    }

    #[test]
    fn a_full_queue_makes_plugins_wait() {
        let queue = AsyncQueue::new("test", 7);
        for _ in 0..CAPACITY {
            assert_eq!(add(&queue, 1, b""), Added::Taken);
        }
        let nobody_waits = queue.add(event(1, b""), || true);
        assert_eq!(nobody_waits, Added::NoRoom);
        let other = queue.clone();
        let waiting = thread::spawn(move || add(&other, 2, b"late"));
        let mut taken = 0;
        while taken <= CAPACITY {
            taken += queue.take_until(u64::MAX).len();
            thread::yield_now();
        }
        assert_eq!(waiting.join().unwrap(), Added::Taken);
        for _ in 0..CAPACITY {
            assert_eq!(add(&queue, 1, b""), Added::Taken);
        }
        queue.lock().taker = Some(thread::current().id());
        let who_takes_does_not_wait = add(&queue, 1, b"");
        assert_eq!(who_takes_does_not_wait, Added::NoRoom);
    }

    #[test]
    fn few_large_events_fill_the_queue_too() {
        let queue = AsyncQueue::new("test", 7);
        let large = vec![0; CAPACITY_BYTES / 2];
        assert_eq!(add(&queue, 1, &large), Added::Taken);
        assert_eq!(queue.add(event(1, &large), || true), Added::NoRoom);
        queue.take_until(1);
        assert_eq!(add(&queue, 1, &large), Added::Taken);
    }
}
