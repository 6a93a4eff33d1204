//! Hands events over from other threads to `next_batch`, bounded by bytes, and tells when they were processed.
//!
//! The ABI has one signal from host to source: when the host asks for the next batch, or closes the source, it is done
//! with the batch before. So a sender's [`Ticket`] resolves at that moment and not earlier, and what a sender offers
//! counts against the capacity until then.
//!
//! ```
//! use plugin_support::events::Events;
//! use plugin_support::handover::{BatchLimit, handover};
//!
//! let (sender, mut receiver) = handover(1 << 20);
//! let mut events = Events::default();
//! events.push(u64::MAX, b"{}");
//! let ticket = sender.reserve(2)?.offer(events)?;
//!
//! let limit = BatchLimit { events: 100, bytes: 1 << 20 };
//! let wait = std::time::Duration::from_millis(10);
//! assert_eq!(receiver.pull(wait, limit, |_event| Ok(()))?, 1);
//! assert_eq!(receiver.pull(wait, limit, |_event| Ok(()))?, 0);
//! assert!(ticket.blocking_processed());
//! # Ok::<(), anyhow::Error>(())
//! ```

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::events::{Event, Events};

/// Makes the two ends of a hand-over that holds at most `capacity` bytes.
pub fn handover(capacity: usize) -> (Sender, Receiver) {
    let shared = Arc::new(Shared { capacity, state: Mutex::default(), arrived: Condvar::new() });
    let sender = Sender { shared: Arc::clone(&shared) };
    (sender, Receiver { shared, current: None, handed_out: Vec::new() })
}

/// Why something is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum Refusal {
    #[error("too much waits to be processed")]
    Full,
    #[error("the event source is closed")]
    Closed,
}

/// The end that offers events.
#[derive(Debug, Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

impl Sender {
    /// Takes room for `bytes`, before they are read from a client.
    ///
    /// # Errors
    ///
    /// At once, when there is no room or nobody will come for the events.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation, Refusal> {
        let mut reservation = Reservation { shared: Arc::clone(&self.shared), bytes: 0 };
        reservation.grow(bytes)?;
        Ok(reservation)
    }
}

/// Room for events; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Reservation {
    /// Bytes reserved.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes room for `bytes` more.
    ///
    /// # Errors
    ///
    /// As [`Sender::reserve`].
    pub fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let mut state = self.shared.lock();
        if state.is_closed {
            return Err(Refusal::Closed);
        }
        if state.used_bytes.saturating_add(bytes) > self.shared.capacity {
            return Err(Refusal::Full);
        }
        state.used_bytes += bytes;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes as much room as the events need. What parsing found in them is kept only while there is plenty: it may need
    /// several times the room of the text, and can be found again.
    fn settle(&mut self, events: &mut Events) {
        let mut state = self.shared.lock();
        state.used_bytes -= self.bytes;
        if state.used_bytes.saturating_add(events.bytes()) > self.shared.capacity / 2 {
            events.forget_nodes();
            self.bytes = self.bytes.min(events.bytes());
        } else {
            self.bytes = events.bytes();
        }
        state.used_bytes += self.bytes;
    }

    /// Hands the events over; the room that they need stays taken until they were processed.
    ///
    /// Without any event, the ticket tells when everything was processed that was handed over before.
    ///
    /// # Errors
    ///
    /// When nobody will come for them.
    pub fn offer(mut self, mut events: Events) -> Result<Ticket, Refusal> {
        events.shrink_to_fit();
        self.settle(&mut events);
        let (done, ticket) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if state.is_closed {
            // The lock must be free before `self` drops and gives its room back.
            drop(state);
            return Err(Refusal::Closed);
        }
        state.queue.push_back(Parcel { events, next: 0, done, _room: self });
        drop(state);
        shared.arrived.notify_one();
        Ok(Ticket(ticket))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.lock().used_bytes -= self.bytes;
    }
}

/// Tells what became of the events of one offer.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<()>);

impl Ticket {
    /// Waits; true when all events were processed, false when the source was closed before.
    pub async fn processed(self) -> bool {
        self.0.await.is_ok()
    }

    /// As [`processed`](Self::processed), outside async code.
    pub fn blocking_processed(self) -> bool {
        self.0.blocking_recv().is_ok()
    }
}

/// Where a batch ends; the first event always fits.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimit {
    /// Most events in a batch.
    pub events: usize,
    /// Most payload bytes in a batch.
    pub bytes: usize,
}

/// The end that `next_batch` pulls at.
///
/// Dropping it is the host's `close`: the last batch was processed, what was not handed out never will be.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    /// Handed out in part.
    current: Option<Parcel>,
    /// Handed out to their end by the last pull.
    handed_out: Vec<Parcel>,
}

impl Receiver {
    /// Acknowledges the batch before, then calls `deliver` with each event of the next one.
    ///
    /// Waits at most `wait` for the first event; returns the number of events.
    ///
    /// # Errors
    ///
    /// The error of `deliver`; what the batch touched is then reported as not processed.
    pub fn pull(
        &mut self,
        wait: Duration,
        limit: BatchLimit,
        mut deliver: impl FnMut(Event<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<usize> {
        self.acknowledge();
        let (mut events, mut bytes) = (0, 0);
        // Kept here until the batch is complete: if `deliver` fails or panics, the host never sees the batch, and
        // dropping the parcels says so.
        let mut handed_out = Vec::new();
        let mut current = self.current.take();
        while let Some(mut parcel) =
            current.take().or_else(|| self.next_parcel(wait, !handed_out.is_empty()))
        {
            while let Some(event) = parcel.events.get(parcel.next) {
                let size = event.payload.len();
                if events > 0 && (events >= limit.events || bytes + size > limit.bytes) {
                    self.current = Some(parcel);
                    self.handed_out = handed_out;
                    return Ok(events);
                }
                deliver(event)?;
                parcel.next += 1;
                events += 1;
                bytes += size;
            }
            handed_out.push(parcel);
        }
        self.handed_out = handed_out;
        Ok(events)
    }

    /// As dropping it; tells how many events were never handed out.
    pub fn close(mut self) -> usize {
        let current: usize = self.current.iter().map(Parcel::left).sum();
        let mut state = self.shared.lock();
        state.is_closed = true;
        let unprocessed = mem::take(&mut state.queue);
        drop(state);
        self.acknowledge();
        current + unprocessed.iter().map(Parcel::left).sum::<usize>()
    }

    /// Bytes of what was announced, offered or handed out, and not processed yet.
    pub fn used_bytes(&self) -> usize {
        self.shared.lock().used_bytes
    }

    fn acknowledge(&mut self) {
        for parcel in mem::take(&mut self.handed_out) {
            // The sender may have stopped to wait, for example because its client went away.
            parcel.done.send(()).ok();
        }
    }

    fn next_parcel(&self, wait: Duration, has_parcels: bool) -> Option<Parcel> {
        let mut state = self.shared.lock();
        let deadline = Instant::now() + wait;
        while state.queue.is_empty() && !has_parcels {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.shared.arrived.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.queue.pop_front()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.acknowledge();
        let mut state = self.shared.lock();
        state.is_closed = true;
        let unprocessed = mem::take(&mut state.queue);
        // Their reservations take the lock when they drop.
        drop(state);
        drop(unprocessed);
    }
}

#[derive(Debug)]
struct Shared {
    capacity: usize,
    state: Mutex<State>,
    arrived: Condvar,
}

impl Shared {
    /// Every change under the lock is complete in itself, so a panic elsewhere does not spoil the state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct State {
    used_bytes: usize,
    queue: VecDeque<Parcel>,
    is_closed: bool,
}

/// The events of one offer.
#[derive(Debug)]
struct Parcel {
    events: Events,
    /// Index of the next event to hand out.
    next: usize,
    done: oneshot::Sender<()>,
    _room: Reservation,
}

impl Parcel {
    /// How many events were not handed out.
    fn left(&self) -> usize {
        self.events.len() - self.next
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;
    use crate::json::Document;

    const WAIT: Duration = Duration::from_millis(5);
    const LIMIT: BatchLimit = BatchLimit { events: 2, bytes: 10 };

    fn offer(sender: &Sender, payloads: &[&str]) -> Result<Ticket, Refusal> {
        let mut events = Events::default();
        for payload in payloads {
            events.push(7, payload.as_bytes());
        }
        sender.reserve(payloads.concat().len())?.offer(events)
    }

    #[track_caller]
    fn check(receiver: &mut Receiver, expected: &[&str]) {
        let mut got = Vec::new();
        let deliver = |event: Event<'_>| {
            got.push(String::from_utf8_lossy(event.payload).into_owned());
            Ok(())
        };
        let count = receiver.pull(WAIT, LIMIT, deliver).unwrap();
        assert_eq!(got, expected);
        assert_eq!(count, expected.len());
    }

    fn is_waiting(ticket: &mut Ticket) -> bool {
        ticket.0.try_recv() == Err(oneshot::error::TryRecvError::Empty)
    }

    #[test]
    fn a_ticket_resolves_when_the_batch_after_its_last_event_is_pulled() {
        let (sender, mut receiver) = handover(100);
        let mut first = offer(&sender, &["a", "b", "c"]).unwrap();
        let mut second = offer(&sender, &["d"]).unwrap();
        check(&mut receiver, &["a", "b"]);
        check(&mut receiver, &["c", "d"]);
        assert!(is_waiting(&mut first) && is_waiting(&mut second));
        check(&mut receiver, &[]);
        assert!(first.blocking_processed() && second.blocking_processed());
    }

    #[test]
    fn a_ticket_without_events_waits_for_what_was_offered_before() {
        let (sender, mut receiver) = handover(100);
        let mut first = offer(&sender, &["a", "b", "c"]).unwrap();
        let mut none = offer(&sender, &[]).unwrap();
        check(&mut receiver, &["a", "b"]);
        check(&mut receiver, &["c"]);
        assert!(is_waiting(&mut first) && is_waiting(&mut none));
        check(&mut receiver, &[]);
        assert!(first.blocking_processed() && none.blocking_processed());

        let none = offer(&sender, &[]).unwrap();
        check(&mut receiver, &[]);
        check(&mut receiver, &[]);
        assert!(none.blocking_processed());
    }

    #[test]
    fn a_batch_ends_before_the_event_that_does_not_fit() {
        let (sender, mut receiver) = handover(100);
        offer(&sender, &["12345678901234567890", "1234", "1234567"]).unwrap();
        check(&mut receiver, &["12345678901234567890"]);
        check(&mut receiver, &["1234"]);
        check(&mut receiver, &["1234567"]);
    }

    #[test]
    fn room_is_taken_until_the_events_were_processed() {
        let (sender, mut receiver) = handover(5);
        offer(&sender, &["123"]).unwrap();
        assert_eq!(offer(&sender, &["456"]).unwrap_err(), Refusal::Full);
        check(&mut receiver, &["123"]);
        assert_eq!(receiver.used_bytes(), 3);
        assert_eq!(offer(&sender, &["456"]).unwrap_err(), Refusal::Full);
        check(&mut receiver, &[]);
        offer(&sender, &["45678"]).unwrap();
    }

    #[test]
    fn room_that_is_not_used_is_given_back() {
        let (sender, _receiver) = handover(5);
        let mut reservation = sender.reserve(3).unwrap();
        assert_eq!(reservation.grow(3), Err(Refusal::Full));
        reservation.grow(2).unwrap();
        drop(reservation);
        sender.reserve(5).unwrap();
    }

    /// What parsing has found takes room while there is plenty, and is given up before a sender is refused.
    #[test]
    fn room_follows_what_the_events_need() {
        let mut document = Document::default();
        document.parse(b"[1,2,3,4,5,6,7,8]").unwrap();
        let mut events = Events::default();
        events.push_json(7, document.root(), usize::MAX).unwrap();
        let (text, parsed) = (document.text().len(), events.bytes());
        let offer = |sender: &Sender| {
            let mut events = Events::default();
            events.push_json(7, document.root(), usize::MAX).unwrap();
            sender.reserve(text).unwrap().offer(events).unwrap()
        };
        let nodes_of_next = |receiver: &mut Receiver| {
            let mut nodes = Vec::new();
            let one = BatchLimit { events: 1, bytes: 100 };
            let deliver = |event: Event<'_>| {
                nodes.push(event.nodes.len());
                Ok(())
            };
            receiver.pull(WAIT, one, deliver).unwrap();
            nodes
        };
        let (sender, mut receiver) = handover(4 * parsed - 1);
        let _tickets = [offer(&sender), offer(&sender)];
        assert_eq!(receiver.used_bytes(), parsed + text);
        assert_eq!(nodes_of_next(&mut receiver), [9]);
        assert_eq!(nodes_of_next(&mut receiver), [0]);
        assert_eq!(receiver.used_bytes(), text);
    }

    #[test]
    fn closing_acknowledges_the_last_batch_and_refuses_the_rest() {
        let (sender, mut receiver) = handover(100);
        let handed_out = offer(&sender, &["a"]).unwrap();
        let in_part = offer(&sender, &["b", "c"]).unwrap();
        let queued = offer(&sender, &["d"]).unwrap();
        check(&mut receiver, &["a", "b"]);
        assert_eq!(receiver.close(), 2);
        assert!(handed_out.blocking_processed());
        assert!(!in_part.blocking_processed());
        assert!(!queued.blocking_processed());
        assert_eq!(offer(&sender, &["e"]).unwrap_err(), Refusal::Closed);
    }

    #[test]
    fn a_batch_that_the_host_never_saw_is_not_processed() {
        let (sender, mut receiver) = handover(100);
        let first = offer(&sender, &["a"]).unwrap();
        let second = offer(&sender, &["b"]).unwrap();
        let fail_at_b = |event: Event<'_>| if event.payload == b"b" { bail!("no") } else { Ok(()) };
        receiver.pull(WAIT, LIMIT, fail_at_b).unwrap_err();
        check(&mut receiver, &[]);
        assert!(!first.blocking_processed());
        assert!(!second.blocking_processed());
    }

    #[test]
    fn a_waiting_pull_wakes_up_when_events_arrive() {
        let (sender, mut receiver) = handover(100);
        let pulling = std::thread::spawn(move || {
            receiver.pull(Duration::from_secs(60), LIMIT, |_| Ok(())).unwrap()
        });
        offer(&sender, &["a"]).unwrap();
        assert_eq!(pulling.join().unwrap(), 1);
    }
}
