//! The host as one plugin state sees it: where to log to, and what went wrong on our side.

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use crate::abi::{OwnerHandle, copy_text};
use crate::async_events::Emitter;
use crate::capture::Routines;
use crate::tables::{Access, StateTables};
use crate::version::Version;

/// Takes what plugins log: severity, component (or the plugin's name), message.
///
/// Called from any thread of a plugin, also while it starts and ends.
pub type LogSink = dyn Fn(LogSeverity, &str, &str) + Send + Sync;

/// How grave a plugin says its message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the ABI")]
pub enum LogSeverity {
    Fatal,
    Critical,
    Error,
    Warning,
    Notice,
    Info,
    Debug,
    Trace,
}

impl From<u32> for LogSeverity {
    /// A number the header does not know is informational.
    fn from(severity: u32) -> Self {
        match severity {
            1 => Self::Fatal,
            2 => Self::Critical,
            3 => Self::Error,
            4 => Self::Warning,
            5 => Self::Notice,
            7 => Self::Debug,
            8 => Self::Trace,
            _ => Self::Info,
        }
    }
}

/// What the `owner` argument of the ABI points to.
pub(crate) struct Owner {
    plugin_name: String,
    /// Whether it was built for plugin API 3.0, where tables are described by less.
    has_old_tables: bool,
    log: Arc<LogSink>,
    tables: Access,
    emitter: Emitter,
    routines: Routines,
    /// What went wrong last, by the thread that asked: it keeps the pointer until something else goes wrong there.
    errors: Mutex<HashMap<ThreadId, CString>>,
    /// Whether the state has ended that this is the owner of.
    is_gone: AtomicBool,
}

impl Owner {
    /// An owner that is never freed: libraries keep the pointer past the end of the state.
    pub(crate) fn leak(
        plugin_name: &str,
        api_version: Version,
        log: Arc<LogSink>,
        tables: Arc<StateTables>,
    ) -> &'static Self {
        Box::leak(Box::new(Self {
            plugin_name: plugin_name.to_owned(),
            has_old_tables: api_version.minor < 1,
            log,
            tables: Access::new(tables),
            emitter: Emitter::default(),
            routines: Routines::default(),
            errors: Mutex::default(),
            is_gone: AtomicBool::new(false),
        }))
    }

    pub(crate) fn plugin_name(&self) -> &str {
        &self.plugin_name
    }

    pub(crate) fn has_old_tables(&self) -> bool {
        self.has_old_tables
    }

    pub(crate) fn log_sink(&self) -> &Arc<LogSink> {
        &self.log
    }

    /// The state tables as the plugin sees them.
    pub(crate) fn tables(&self) -> &Access {
        &self.tables
    }

    /// Where its async events go.
    pub(crate) fn emitter(&self) -> &Emitter {
        &self.emitter
    }

    pub(crate) fn routines(&self) -> &Routines {
        &self.routines
    }

    /// To be called when the state ends: nobody may call into it any more.
    pub(crate) fn leave(&'static self) {
        self.is_gone.store(true, Ordering::Release);
        self.tables.withdraw(self);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    pub(crate) fn handle(&'static self) -> *mut OwnerHandle {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// # Safety
    ///
    /// `handle` is null or came from [`Owner::handle`].
    pub(crate) unsafe fn from_handle(handle: *mut OwnerHandle) -> Option<&'static Self> {
        // SAFETY: the pointer comes from a leaked `Owner`, which only shared references ever reach.
        unsafe { handle.cast::<Self>().cast_const().as_ref() }
    }

    pub(crate) fn log(&self, severity: LogSeverity, message: &str) {
        (self.log)(severity, &self.plugin_name, message);
    }

    /// Remembers what went wrong in a call of the plugin, for it to ask.
    pub(crate) fn set_error(&self, message: fmt::Arguments<'_>) {
        let text = message.to_string().replace('\0', "\u{fffd}");
        let text = CString::new(text).expect("NUL was replaced");
        self.lock_errors().insert(thread::current().id(), text);
    }

    fn lock_errors(&self) -> MutexGuard<'_, HashMap<ThreadId, CString>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").field("plugin", &self.plugin_name).finish_non_exhaustive()
    }
}

/// The `get_owner_last_error` of the ABI: null as long as nothing went wrong.
pub(crate) unsafe extern "C-unwind" fn last_error(handle: *mut OwnerHandle) -> *const c_char {
    // SAFETY: plugins hand back the owner they were given.
    let Some(owner) = (unsafe { Owner::from_handle(handle) }) else { return ptr::null() };
    // The text stays in its place when others come or go.
    owner.lock_errors().get(&thread::current().id()).map_or(ptr::null(), |text| text.as_ptr())
}

/// The `log_fn` of the ABI.
pub(crate) unsafe extern "C-unwind" fn log(
    handle: *mut OwnerHandle,
    component: *const c_char,
    message: *const c_char,
    severity: u32,
) {
    // SAFETY: plugins hand back the owner they were given.
    let Some(owner) = (unsafe { Owner::from_handle(handle) }) else { return };
    // SAFETY: null or a C string for the time of this call, says the header.
    let component = unsafe { copy_text(component) };
    // SAFETY: likewise.
    let message = unsafe { copy_text(message) };
    let component = if component.is_empty() { owner.plugin_name.as_str() } else { &component };
    (owner.log)(severity.into(), component, message.trim_end());
}
