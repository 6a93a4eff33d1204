//! An output with a spool: what it cannot deliver soon goes to disk, and counts as delivered for who waits.
//!
//! ```text
//! queue --Intake--> in memory, as long as the output keeps up ------> deliverer --> output
//!              \--> spool, while it does not; oldest first ------------^
//! ```
//!
//! An output that keeps up costs no disk access. Alerts stay in order: nothing is handed over in memory while something is in
//! the spool.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::delivery::{Delivery, GivenUp};
use super::log_pause::LogPause;
use super::spool::Spool;
use super::{Pending, StartError, worker};
use crate::config::{SpoolConfig, WhenFull};
use crate::metrics::OutputCounters;

/// How long an output may take before alerts go to disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// Alerts of about this size are read from the spool together.
const TOGETHER_BYTES: u64 = 1 << 20;

/// How often what has to wait for room, or for a disk that fails, looks again at least.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How often an idle deliverer looks, and one that cannot read.
const IDLE: Duration = Duration::from_secs(10);

/// Takes alerts in, on the thread of the output's queue.
#[derive(Debug)]
pub(super) struct Intake {
    name: &'static str,
    when_full: WhenFull,
    pub(super) counters: OutputCounters,
    shared: Arc<Shared>,
    log_pause: LogPause,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    spool: Spool,
    /// What the deliverer shall take without the spool.
    offered: Option<Pending>,
    in_hand: InHand,
    is_failing: bool,
    /// No more alerts will come.
    is_closed: bool,
    /// The deliverer has ended, and why.
    ended: Option<GivenUp>,
}

/// What the deliverer is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InHand {
    Nothing,
    /// Alerts that are nowhere else.
    Memory,
    /// Alerts up to this number, which stay in the spool until they are delivered.
    Stored(u64),
}

/// Opens the spool and starts the thread that delivers.
pub(super) fn start(
    delivery: Delivery,
    config: &SpoolConfig,
) -> Result<(Intake, JoinHandle<()>), StartError> {
    let name = delivery.name();
    let (spool, damaged) = Spool::open(&config.directory, name, config.max_bytes)
        .map_err(|source| StartError::Spool { directory: config.directory.clone(), source })?;
    if !spool.is_empty() {
        tracing::info!(
            "{name}: {} alerts wait in the spool, delivering them first",
            spool.alerts()
        );
    }
    let counters = delivery.counters.clone();
    counters.damaged_spool_files.inc_by(damaged);
    counters.show_spool(spool.alerts(), spool.bytes());
    let state = State {
        spool,
        offered: None,
        in_hand: InHand::Nothing,
        is_failing: false,
        is_closed: false,
        ended: None,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
    let deliverer = Deliverer { delivery, shared: Arc::clone(&shared) };
    let thread = worker::spawn(format!("spool-{name}"), move || deliverer.run())?;
    let when_full = config.when_full;
    Ok((Intake { name, when_full, counters, shared, log_pause: LogPause::default() }, thread))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Intake {
    /// Returns when the alerts are delivered, on disk, or dropped because that was asked for.
    ///
    /// # Errors
    ///
    /// [`GivenUp`] when the deliverer ended before.
    pub(super) fn take(&mut self, alerts: &mut Pending) -> Result<(), GivenUp> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if state.is_idle() && state.ended.is_none() && !state.is_failing {
            state = offer(&shared, state, alerts);
        }
        while !alerts.is_empty() {
            let stored = state.spool.append(alerts);
            self.counters.show_spool(state.spool.alerts(), state.spool.bytes());
            shared.changed.notify_all();
            if alerts.is_empty() {
                return Ok(());
            }
            if let Some(reason) = state.ended {
                return Err(reason);
            }
            match (stored, self.when_full) {
                (Err(error), _) => {
                    self.log(|name| {
                        format!("{name}: cannot write to the spool ({error}), event sources wait")
                    });
                    state = self.deliver_directly(&shared, state, alerts);
                }
                (Ok(()), WhenFull::Wait) => {
                    self.log(|name| format!("{name}: the spool is full, event sources wait"));
                    state = self.deliver_directly(&shared, state, alerts);
                }
                (Ok(()), WhenFull::DropOldest) => match state.drop_oldest(alerts) {
                    // What the deliverer is at stays.
                    0 => self.drop_all(alerts),
                    dropped => self.count_dropped(dropped),
                },
                (Ok(()), WhenFull::DropNewest) => self.drop_all(alerts),
            }
        }
        Ok(())
    }

    fn drop_all(&mut self, alerts: &mut Pending) {
        self.count_dropped(alerts.len() as u64);
        alerts.clear();
    }

    fn count_dropped(&mut self, alerts: u64) {
        self.counters.count_dropped(alerts);
        let total = self.counters.dropped.get();
        self.log(|name| format!("{name}: the spool is full, {total} alerts dropped so far"));
    }

    /// Waits for the deliverer; where it has nothing else to do, it gets the alerts without the spool.
    fn deliver_directly<'a>(
        &self,
        shared: &'a Shared,
        state: MutexGuard<'a, State>,
        alerts: &mut Pending,
    ) -> MutexGuard<'a, State> {
        if state.is_idle() { offer(shared, state, alerts) } else { shared.wait(state, LOOK_AGAIN) }
    }

    pub(super) fn wake(&self) {
        self.shared.changed.notify_all();
    }

    /// Of many lines that come soon after each other, only the first.
    fn log(&mut self, text: impl FnOnce(&str) -> String) {
        if self.log_pause.is_over() {
            tracing::error!("{}", text(self.name));
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

/// Lets the deliverer take alerts in memory, and waits as long as the output keeps up; else they are stored.
///
/// Leaves in `alerts` what is neither delivered nor stored nor with the deliverer any more.
fn offer<'a>(
    shared: &'a Shared,
    mut state: MutexGuard<'a, State>,
    alerts: &mut Pending,
) -> MutexGuard<'a, State> {
    state.offered = Some(alerts.clone());
    shared.changed.notify_all();
    let deadline = Instant::now() + PATIENCE;
    loop {
        state = shared.wait(state, LOOK_AGAIN);
        let is_delivered = state.offered.is_none() && state.in_hand == InHand::Nothing;
        if is_delivered && state.ended.is_none() {
            alerts.clear();
        }
        if is_delivered || state.ended.is_some() {
            return state;
        }
        if !state.is_failing && Instant::now() < deadline {
            continue;
        }
        // All or nothing: with a part in the spool nobody could tell what the deliverer may take off.
        if state.spool.has_room_for(alerts) && state.spool.append(alerts).is_ok() {
            match state.offered.take() {
                Some(_) => {}
                None => state.in_hand = InHand::Stored(state.spool.last()),
            }
            shared.changed.notify_all();
            return state;
        }
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.in_hand == InHand::Nothing && self.offered.is_none() && self.spool.is_empty()
    }

    /// Makes room for `alerts`, leaving what the deliverer is at. Returns how many alerts that cost.
    fn drop_oldest(&mut self, alerts: &Pending) -> u64 {
        let after = match self.in_hand {
            InHand::Stored(last) => last,
            InHand::Nothing | InHand::Memory => 0,
        };
        // A spool that cannot be written keeps the old ones, and the new ones go.
        self.spool.drop_oldest(after, alerts).unwrap_or_default()
    }
}

struct Deliverer {
    delivery: Delivery,
    shared: Arc<Shared>,
}

impl Deliverer {
    fn run(mut self) {
        let reason = loop {
            match self.deliver_next() {
                Ok(true) => {}
                Ok(false) => break None,
                Err(reason) => break Some(reason),
            }
        };
        let mut state = self.shared.lock();
        state.ended = reason.or(Some(GivenUp::Ended));
        if !state.spool.is_empty() {
            tracing::warn!(
                "{}: {} alerts stay in the spool for the next start",
                self.delivery.name(),
                state.spool.alerts()
            );
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Delivers the oldest alerts; false when no more will come.
    fn deliver_next(&mut self) -> Result<bool, GivenUp> {
        let shared = Arc::clone(&self.shared);
        let Some((mut alerts, numbers)) = self.next(&shared)? else { return Ok(false) };
        let control = Arc::clone(&self.delivery.control);
        let result = self.delivery.deliver(&mut alerts, || {
            let mut state = shared.lock();
            state.is_failing = true;
            // Whoever waits stores its alerts now.
            shared.changed.notify_all();
            // What is stored need not be delivered before the end.
            if state.is_closed && state.offered.is_none() && state.in_hand != InHand::Memory {
                control.abandon();
            }
        });
        let mut state = shared.lock();
        let done = match state.in_hand {
            // Of those with known numbers; the others were stored together while they were in hand.
            InHand::Stored(last) if numbers.is_empty() => Some(last - alerts.len() as u64),
            InHand::Stored(_) => {
                (numbers.len() - alerts.len()).checked_sub(1).map(|index| numbers[index])
            }
            InHand::Memory | InHand::Nothing => None,
        };
        if let Some(last) = done
            && let Err(error) = state.spool.remove_to(last)
        {
            tracing::error!(
                "{}: cannot remove delivered alerts from the spool: {error}",
                self.delivery.name()
            );
        }
        state.in_hand = InHand::Nothing;
        state.is_failing = result.is_err();
        self.delivery.counters.show_spool(state.spool.alerts(), state.spool.bytes());
        state.ended = result.err();
        drop(state);
        shared.changed.notify_all();
        result.map(|()| true)
    }

    /// Waits for alerts; those from the spool come with their numbers.
    fn next(&mut self, shared: &Shared) -> Result<Option<(Pending, VecDeque<u64>)>, GivenUp> {
        let mut state = shared.lock();
        loop {
            if self.delivery.control.is_abandoned() {
                return Err(GivenUp::Ended);
            }
            match state.spool.front(TOGETHER_BYTES) {
                Ok(front) if !front.alerts.is_empty() => {
                    let last = *front.numbers.back().expect("as many numbers as alerts");
                    state.in_hand = InHand::Stored(last);
                    return Ok(Some((front.alerts, front.numbers)));
                }
                Ok(_) => {
                    if let Some(alerts) = state.offered.take() {
                        state.in_hand = InHand::Memory;
                        return Ok(Some((alerts, VecDeque::new())));
                    }
                    if state.is_closed {
                        return Ok(None);
                    }
                }
                Err(error) => {
                    tracing::error!("{}: cannot read the spool: {error}", self.delivery.name());
                    if state.is_closed {
                        return Err(GivenUp::Ended);
                    }
                }
            }
            state = shared.wait(state, IDLE);
            self.delivery.apply_changes();
        }
    }
}
