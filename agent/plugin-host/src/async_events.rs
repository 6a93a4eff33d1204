//! Async events: what plugins add to an event source from threads of their own.
//!
//! ```text
//! plugin's thread --handler--> checks --> AsyncQueue --take--> the source's thread, in the order of time
//!                                          bounded: full means that the plugin waits, then that it is refused
//! ```

pub(crate) mod layout;
mod queue;

use std::ffi::c_char;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use self::layout::AsyncEventError;
use self::queue::Added;
pub use self::queue::{AsyncEvent, AsyncQueue};
use crate::abi::{EventHeader, MAX_ERROR_LEN, OwnerHandle};
use crate::extract::Extractor;
use crate::owner::{LogSeverity, Owner};
use crate::plugin::CallError;
use crate::return_code::ReturnCode;

/// Which events a plugin adds, and to which sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsyncEvents {
    /// The names that its events have.
    pub names: Vec<String>,
    /// The event sources they are for, the plugin's own among them; empty when for any.
    pub sources: Vec<String>,
}

impl AsyncEvents {
    /// Can events be added to `source`?
    pub fn is_compatible_with(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|own| own == source)
    }
}

/// Where the events of one plugin state go, as long as it may add some.
#[derive(Debug, Default)]
pub(crate) struct Emitter(Mutex<Option<Arc<Outlet>>>);

#[derive(Debug)]
struct Outlet {
    queue: AsyncQueue,
    may_add: AsyncEvents,
    /// Whether the plugin is to come to an end, so that none of its threads must wait for room.
    is_closing: AtomicBool,
    has_logged_loss: AtomicBool,
}

impl Emitter {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Outlet>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an event is not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the async event handler is not set")]
    NoHandler,
    #[error("malformed async event produced by plugin: '{plugin}': {source}")]
    Malformed { plugin: String, source: AsyncEventError },
    #[error("plugin '{plugin}' adds no async events named '{name}'")]
    Name { plugin: String, name: String },
    #[error("plugin '{plugin}' adds no async events to the open event source '{event_source}'")]
    Source { plugin: String, event_source: String },
    #[error("async events of a plugin's event source have no thread id")]
    Thread,
    #[error("there is no room for an async event, event source '{event_source}' does not keep up")]
    Full { event_source: String },
}

impl Extractor<'_> {
    /// Lets the plugin add events to the source that `queue` belongs to, if it can and does not do so yet.
    ///
    /// # Errors
    ///
    /// When the plugin fails to begin.
    pub fn start_async_events(&mut self, queue: &AsyncQueue) -> Result<(), CallError> {
        const FUNCTION: &str = "set_async_event_handler";
        let Some(local) = self.plugin.local() else { return Ok(()) };
        let (Some(set_handler), Some(may_add)) =
            (local.functions.set_async_event_handler, self.plugin.library.async_events().cloned())
        else {
            return Ok(());
        };
        if self.plugin.owner.emitter().lock().is_some() {
            return Ok(());
        }
        let outlet = Outlet {
            queue: queue.clone(),
            may_add,
            is_closing: AtomicBool::new(false),
            has_logged_loss: AtomicBool::new(false),
        };
        // Before the call: the plugin may add events while it is in it.
        *self.plugin.owner.emitter().lock() = Some(Arc::new(outlet));
        // SAFETY: the state lives until the plugin drops, `&mut` keeps other calls out, and the
        // handler takes calls from any thread at any time.
        let rc = unsafe { set_handler(local.handle, self.plugin.owner.handle(), Some(handle)) };
        if ReturnCode::from(rc) == ReturnCode::Success {
            return Ok(());
        }
        let error = self.plugin.call_error(FUNCTION);
        *self.plugin.owner.emitter().lock() = None;
        Err(error)
    }

    /// Has the plugin stop adding events. What it added before stays in the queue.
    pub fn stop_async_events(&mut self) {
        let Some(local) = self.plugin.local() else { return };
        let Some(set_handler) = local.functions.set_async_event_handler else { return };
        let Some(outlet) = self.plugin.owner.emitter().lock().clone() else { return };
        outlet.is_closing.store(true, Ordering::Release);
        outlet.queue.wake_waiting();
        // SAFETY: as in `start_async_events`; without a handler the plugin has to stop its threads
        // before it returns.
        let rc = unsafe { set_handler(local.handle, self.plugin.owner.handle(), None) };
        if ReturnCode::from(rc) != ReturnCode::Success {
            let error = self.plugin.call_error("set_async_event_handler");
            self.plugin.owner.log(LogSeverity::Error, &error.message);
        }
        *self.plugin.owner.emitter().lock() = None;
    }
}

/// The handler of the ABI.
unsafe extern "C-unwind" fn handle(
    owner: *mut OwnerHandle,
    event: *const EventHeader,
    error: *mut c_char,
) -> i32 {
    // SAFETY: plugins hand back the owner they were given.
    let Some(owner) = (unsafe { Owner::from_handle(owner) }) else { return ReturnCode::FAILURE };
    // SAFETY: null or an event, says the header.
    match unsafe { add(owner, event) } {
        Ok(()) => ReturnCode::SUCCESS,
        Err(refusal) => {
            let error: *mut u8 = error.cast();
            if !error.is_null() {
                let mut text = refusal.to_string().replace('\0', " ").into_bytes();
                text.truncate(MAX_ERROR_LEN - 1);
                text.push(0);
                // SAFETY: not null, so a buffer of `MAX_ERROR_LEN` bytes, says the header.
                unsafe { error.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
            }
            ReturnCode::FAILURE
        }
    }
}

/// # Safety
///
/// `event` is null or points to an event: a header, and then as many bytes as the header says.
unsafe fn add(owner: &Owner, event: *const EventHeader) -> Result<(), Refusal> {
    let plugin = || owner.plugin_name().to_owned();
    let outlet = owner.emitter().lock().clone().ok_or(Refusal::NoHandler)?;
    // SAFETY: the caller vouches for it.
    let bytes = unsafe { layout::copy(event) }
        .map_err(|source| Refusal::Malformed { plugin: plugin(), source })?;
    let queue = &outlet.queue;
    let name = layout::name(&bytes);
    if !outlet.may_add.names.iter().any(|own| own == name) {
        return Err(Refusal::Name { plugin: plugin(), name: name.to_owned() });
    }
    let event_source = || queue.event_source().to_owned();
    if !outlet.may_add.is_compatible_with(queue.event_source()) {
        return Err(Refusal::Source { plugin: plugin(), event_source: event_source() });
    }
    if queue.plugin_id() != 0 && layout::has_thread(&bytes) {
        return Err(Refusal::Thread);
    }
    let (what, result) = match queue.add(bytes, || outlet.is_closing.load(Ordering::Acquire)) {
        Added::Taken => return Ok(()),
        Added::NoRoom => ("no room", Err(Refusal::Full { event_source: event_source() })),
        // To the plugin all is well, in Falco too.
        Added::TooFarAhead => ("more than 10 s in the future", Ok(())),
    };
    if !outlet.has_logged_loss.swap(true, Ordering::Relaxed) {
        owner.log(
            LogSeverity::Warning,
            &format!("an async event is lost, further ones are only counted: {what}"),
        );
    }
    result
}
