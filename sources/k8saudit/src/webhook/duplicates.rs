//! Events that came before.
//!
//! The API server sends a whole batch again unless it hears 200 in time, although its events may wait here or may have been
//! processed already. An event is a duplicate when it equals an earlier one in every byte, `auditID` and `stage` included.
//! These two alone would not do: a client of the API server may choose the id of its request, and could hide one request
//! behind another.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use plugin_support::{
    events::Events,
    handover::{Refusal, Reservation, Ticket},
};
use rustc_hash::FxHashSet;

/// Most events that are remembered, which takes about 16 MiB: more than a minute at the rate to which the API server limits itself.
const MAX_REMEMBERED: usize = 1 << 18;

/// Remembers events for a while by their fingerprints.
#[derive(Debug)]
pub(crate) struct Duplicates {
    window: Duration,
    /// Secret to each process, so that no sender can make up two events with one fingerprint. By chance, a new event has
    /// the fingerprint of one that is remembered once in 2^46 events.
    keys: RandomState,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    fingerprints: FxHashSet<u64>,
    /// The same, oldest first.
    order: VecDeque<(Instant, u64)>,
}

/// What stands for an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprint(u64);

impl Duplicates {
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, keys: RandomState::new(), recent: Mutex::default() }
    }

    /// The fingerprints of events, in their order.
    pub(crate) fn fingerprints(&self, events: &Events) -> Vec<Fingerprint> {
        events.iter().map(|event| Fingerprint(self.keys.hash_one(event.payload))).collect()
    }

    /// Hands over the events that did not come before; returns the ticket and how many did.
    ///
    /// An event that came before may still wait. It stands before what is handed over here, and events are processed in
    /// order, so the ticket covers it too, even where nothing else is left of the request.
    ///
    /// # Errors
    ///
    /// When nobody will come for them. That ends this webhook, so nothing is remembered that was not processed.
    pub(crate) fn offer_new(
        &self,
        reservation: Reservation,
        events: Events,
        fingerprints: &[Fingerprint],
    ) -> Result<(Ticket, usize), Refusal> {
        // Held until the offer is made: nobody may take an event for one that waits before it is in the queue.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        recent.forget(now.checked_sub(self.window));
        let is_new: Vec<bool> = fingerprints.iter().map(|print| recent.add(*print, now)).collect();
        let duplicates = is_new.iter().filter(|is_new| !**is_new).count();
        let events = if duplicates == 0 { events } else { only(&events, &is_new) };
        Ok((reservation.offer(events)?, duplicates))
    }
}

impl Recent {
    /// Forgets what is older than `start`, and the oldest of what is too much.
    fn forget(&mut self, start: Option<Instant>) {
        while let Some((time, fingerprint)) = self.order.front() {
            if self.order.len() <= MAX_REMEMBERED && start.is_none_or(|start| *time >= start) {
                return;
            }
            self.fingerprints.remove(fingerprint);
            self.order.pop_front();
        }
    }

    /// Remembers an event; false if it came before.
    fn add(&mut self, Fingerprint(fingerprint): Fingerprint, now: Instant) -> bool {
        let is_new = self.fingerprints.insert(fingerprint);
        if is_new {
            self.order.push_back((now, fingerprint));
        }
        is_new
    }
}

fn only(events: &Events, wanted: &[bool]) -> Events {
    let mut kept = Events::default();
    for (event, wanted) in events.iter().zip(wanted) {
        if *wanted {
            kept.push_event(event);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the fingerprints are new, each a second after the one before, with a window of `window` seconds.
    #[track_caller]
    fn check(window: u64, fingerprints: &[u64], expected: &[u64]) {
        let start = Instant::now();
        let mut recent = Recent::default();
        let new: Vec<u64> = fingerprints
            .iter()
            .zip(window..)
            .filter(|(fingerprint, second)| {
                let now = start + Duration::from_secs(*second);
                recent.forget(Some(now - Duration::from_secs(window)));
                recent.add(Fingerprint(**fingerprint), now)
            })
            .map(|(fingerprint, _)| *fingerprint)
            .collect();
        assert_eq!(new, expected);
    }

    #[test]
    fn an_event_is_new_once_in_a_window() {
        check(10, &[1, 2, 1, 2, 3, 3], &[1, 2, 3]);
        check(2, &[1, 1, 1, 1, 1], &[1, 1]);
        check(3, &[1, 2, 3, 4, 1, 2], &[1, 2, 3, 4, 1, 2]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::default();
        let now = Instant::now();
        for fingerprint in 0..MAX_REMEMBERED as u64 + 10 {
            recent.add(Fingerprint(fingerprint), now);
            recent.forget(None);
        }
        assert_eq!(
            (recent.order.len(), recent.fingerprints.len()),
            (MAX_REMEMBERED, MAX_REMEMBERED)
        );
        assert!(recent.add(Fingerprint(0), now));
        assert!(!recent.add(Fingerprint(10), now));
    }
}
