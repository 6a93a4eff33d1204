//! Event sourcing: an open event source and its batches.

mod progress;

use std::ffi::CString;
use std::fmt;
use std::ptr;
use std::slice;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::abi::{EventHeader, InstanceHandle};
use crate::event::{self, Event, EventError};
use crate::extract::Extractor;
use crate::isolation::RemoteBatch;
use crate::library::SourceFunctions;
use crate::metrics::Metric;
use crate::plugin::{CallError, Plugin, State};
use crate::return_code::ReturnCode;

pub use self::progress::Progress;

/// An open event source, with the plugin state it belongs to.
///
/// Dropping it closes the source and then destroys the state.
pub struct EventStream {
    plugin: Plugin,
    instance: Instance,
    plugin_id: u32,
    /// Why there will be no further batch, found out while the last one was still to be delivered.
    end: Option<NoBatch>,
    idle: IdleGuard,
    is_closed: bool,
}

/// Where the plugin keeps the open source.
enum Instance {
    Here { functions: SourceFunctions, handle: *mut InstanceHandle },
    Child(RemoteBatch),
}

// SAFETY: as for `Plugin`: any thread may call, one at a time, and every call takes `&mut self`.
unsafe impl Send for EventStream {}

/// Why an event source could not be opened.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum OpenError {
    #[error("plugin {plugin} has no event source")]
    NoSource { plugin: String },
    #[error("open params of plugin {plugin} contain a NUL character")]
    Nul { plugin: String },
    #[error("cannot open the event source")]
    Failed(#[source] CallError),
}

/// Why there are no events.
///
/// All but [`NoBatch::Timeout`] end the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoBatch {
    /// Nothing yet.
    #[error("no event yet")]
    Timeout,
    /// There will be no further event.
    #[error("end of the event source")]
    Eof,
    /// The plugin gave up.
    #[error(transparent)]
    Failure(CallError),
    /// What the plugin gave is not an event.
    #[error("malformed plugin event produced by plugin: '{plugin}'")]
    Malformed {
        /// The plugin's name.
        plugin: String,
        /// What is wrong with the event.
        source: EventError,
    },
}

/// Events that the plugin keeps until the next batch is asked for.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Each was accepted by `event::adopt`, or is one that this host made.
    pub(crate) events: &'a [*mut EventHeader],
    pub(crate) plugin: &'a mut Plugin,
}

impl<'a> Batch<'a> {
    /// The events in order. They do not borrow the batch: extract from them while iterating.
    pub fn events(&self) -> impl ExactSizeIterator<Item = Event<'a>> + use<'a> {
        self.events.iter().map(|&event| {
            // SAFETY: accepted by `adopt`, and the plugin leaves a batch alone until the next call
            // of `next_batch` or `close`, which the lifetime keeps away.
            unsafe { Event::borrow(event) }
        })
    }

    /// How many events there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Lends the state that made the events, for extraction.
    pub fn extractor(&mut self) -> Extractor<'_> {
        self.plugin.extractor()
    }

    /// The state that made the events.
    pub fn plugin(&self) -> &Plugin {
        self.plugin
    }

    pub(crate) fn plugin_mut(&mut self) -> &mut Plugin {
        self.plugin
    }
}

impl EventStream {
    pub(crate) fn open(mut plugin: Plugin, params: &str) -> Result<Self, OpenError> {
        let name = || plugin.library.name().to_owned();
        let Some(sourcing) = plugin.library.sourcing() else {
            return Err(OpenError::NoSource { plugin: name() });
        };
        let plugin_id = sourcing.id;
        let params = CString::new(params).map_err(|_| OpenError::Nul { plugin: name() })?;
        let local = match &mut plugin.state {
            State::Here(local) => *local,
            State::Child(remote) => {
                remote.open(&params).map_err(OpenError::Failed)?;
                let instance = Instance::Child(RemoteBatch::default());
                return Ok(Self::of(plugin, instance, plugin_id));
            }
        };
        let functions = local.functions.source.expect("told by `sourcing`");
        let mut rc = ReturnCode::UNWRITTEN;
        // SAFETY: the state lives until `plugin` drops and is owned here; `params` outlives the
        // call, and the out-pointer is valid for a write.
        let handle = unsafe { (functions.open)(local.handle, params.as_ptr(), &raw mut rc) };
        if ReturnCode::from(rc) != ReturnCode::Success {
            let error = plugin.call_error("open");
            if !handle.is_null() {
                // SAFETY: the instance came from this state's `open` and is closed once, here.
                unsafe { (functions.close)(local.handle, handle) };
            }
            return Err(OpenError::Failed(error));
        }
        let instance = Instance::Here { functions, handle };
        Ok(Self::of(plugin, instance, plugin_id))
    }

    fn of(plugin: Plugin, instance: Instance, plugin_id: u32) -> Self {
        let idle = IdleGuard::default();
        Self { plugin, instance, plugin_id, end: None, idle, is_closed: false }
    }

    /// The plugin state that the stream reads from.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    pub(crate) fn plugin_mut(&mut self) -> &mut Plugin {
        &mut self.plugin
    }

    /// Lends the state for extraction from events of other streams.
    pub fn extractor(&mut self) -> Extractor<'_> {
        self.plugin.extractor()
    }

    /// As [`Plugin::take_protocol_errors`].
    pub fn take_protocol_errors(&mut self) -> u64 {
        self.plugin.take_protocol_errors()
    }

    /// Asks the plugin for its metrics.
    pub fn metrics(&mut self) -> Vec<Metric> {
        self.plugin.metrics()
    }

    /// Closes the source, which says that the last batch was dealt with. The state can still be asked for its metrics.
    pub fn close(&mut self) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        self.end = Some(NoBatch::Eof);
        match (&mut self.plugin.state, &self.instance) {
            (State::Here(local), Instance::Here { functions, handle }) => {
                // SAFETY: the instance came from this state's `open` and is closed once, here; the
                // state is destroyed after this, when the field drops.
                unsafe { (functions.close)(local.handle, *handle) };
            }
            (State::Child(remote), _) => remote.close(),
            (State::Here(_), Instance::Child(_)) => {
                unreachable!("the stream is where its plugin is")
            }
        }
    }

    /// Waits for the next batch of events, at most as long as the plugin's own time-out.
    ///
    /// Asking says that the batch before was dealt with; sources acknowledge it to their senders.
    /// Events that come together with the end of the stream or a failure are delivered first.
    ///
    /// Source: `next_batch` in `plugin_api.h`, plugin API 3.12.
    ///
    /// # Errors
    ///
    /// [`NoBatch::Timeout`] when there is nothing yet. Anything else is final and is repeated.
    pub fn next_batch(&mut self) -> Result<Batch<'_>, NoBatch> {
        if let Some(end) = &self.end {
            return Err(end.clone());
        }
        let (State::Here(local), Instance::Here { functions, handle }) =
            (&self.plugin.state, &self.instance)
        else {
            return self.next_batch_of_child();
        };
        let asked = Instant::now();
        let mut count = 0u32;
        let mut events: *mut *mut EventHeader = ptr::null_mut();
        // SAFETY: state and instance live until `self` drops, `&mut self` keeps other calls out
        // and the last batch gone, and both out-pointers are valid for writes.
        let rc = unsafe {
            (functions.next_batch)(local.handle, *handle, &raw mut count, &raw mut events)
        };
        let rc = ReturnCode::from(rc);
        match rc {
            ReturnCode::Success | ReturnCode::Timeout => {}
            ReturnCode::Eof => self.end = Some(NoBatch::Eof),
            ReturnCode::Failure | ReturnCode::NotSupported => {
                self.end = Some(NoBatch::Failure(self.plugin.call_error("next_batch")));
            }
        }
        if count == 0 {
            return Err(self.no_events(rc, asked.elapsed()));
        }
        self.idle = IdleGuard::default();

        // SAFETY: the plugin keeps `count` pointers at `events` until the next call of `next_batch`
        // or `close`; both need `&mut self`, which the lifetime of the batch forbids.
        let events = unsafe { batch_of(events, count) };
        adopt(events, self.plugin_id, &mut self.plugin, &mut self.end)
    }

    /// Whether the plugin was asked for a batch and has not answered yet, though [`NoBatch::Timeout`] was. Only a plugin in a
    /// child process can be left alone so; what it answers is not to be lost, so the stream should not be dropped now.
    pub fn is_asked(&self) -> bool {
        match &self.plugin.state {
            State::Here(_) => false,
            State::Child(remote) => remote.is_asked(),
        }
    }

    fn next_batch_of_child(&mut self) -> Result<Batch<'_>, NoBatch> {
        let (State::Child(remote), Instance::Child(batch)) =
            (&mut self.plugin.state, &mut self.instance)
        else {
            unreachable!("the stream is where its plugin is");
        };
        match remote.next_batch(batch) {
            Ok(()) => {}
            Err(NoBatch::Timeout) => return Err(NoBatch::Timeout),
            Err(end) => {
                self.end = Some(end.clone());
                return Err(end);
            }
        }
        adopt(batch.events(), self.plugin_id, &mut self.plugin, &mut self.end)
    }

    /// What to answer when the plugin gave nothing.
    fn no_events(&mut self, rc: ReturnCode, took: Duration) -> NoBatch {
        if let Some(end) = &self.end {
            return end.clone();
        }
        if rc == ReturnCode::Success {
            self.plugin.note_protocol_error(format_args!("next_batch succeeded without an event"));
        }
        if let Some(pause) = self.idle.pause_after(took) {
            thread::sleep(pause);
        }
        NoBatch::Timeout
    }
}

/// Checks and completes the events up to the first bad one, which is why the stream comes to its `end`.
fn adopt<'a>(
    events: &'a [*mut EventHeader],
    plugin_id: u32,
    plugin: &'a mut Plugin,
    end: &mut Option<NoBatch>,
) -> Result<Batch<'a>, NoBatch> {
    let now_ns = now_ns();
    for (index, &event) in events.iter().enumerate() {
        // SAFETY: the plugin passes events to the host, which may change them until it asks
        // for the next batch; null and lengths that make no sense are refused.
        if let Err(source) = unsafe { event::adopt(event, plugin_id, now_ns) } {
            let fault = NoBatch::Malformed { plugin: plugin.library.name().to_owned(), source };
            *end = Some(fault.clone());
            return match index {
                0 => Err(fault),
                accepted => Ok(Batch { events: &events[..accepted], plugin }),
            };
        }
    }
    Ok(Batch { events, plugin })
}

/// A null array counts as one null event, so that it is reported like one.
///
/// # Safety
///
/// `events` is null or points to `count` pointers that stay during `'a`; `count` is not 0.
unsafe fn batch_of<'a>(events: *mut *mut EventHeader, count: u32) -> &'a [*mut EventHeader] {
    if events.is_null() {
        return &[ptr::null_mut()];
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { slice::from_raw_parts(events, count as usize) }
}

pub(crate) fn now_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX - 1)
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("plugin", &self.plugin)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// Keeps a plugin that says "nothing yet" without waiting from using up a core.
///
/// Only a run of such answers counts: some plugins say it for every record they skip.
#[derive(Debug, Default)]
struct IdleGuard {
    hasty: u32,
}

impl IdleGuard {
    fn pause_after(&mut self, took: Duration) -> Option<Duration> {
        const HASTY: Duration = Duration::from_micros(100);
        const TOLERATED: u32 = 100;
        if took >= HASTY {
            self.hasty = 0;
            return None;
        }
        self.hasty = self.hasty.saturating_add(1);
        (self.hasty > TOLERATED).then_some(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_of_hasty_answers_is_slowed_down() {
        let mut guard = IdleGuard::default();
        let hasty = Duration::from_micros(1);
        assert!((0..100).all(|_| guard.pause_after(hasty).is_none()));
        assert_eq!(guard.pause_after(hasty), Some(Duration::from_millis(1)));
        assert_eq!(guard.pause_after(Duration::from_millis(30)), None);
        assert_eq!(guard.pause_after(hasty), None);
    }
}
