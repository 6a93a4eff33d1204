//! The host as one plugin state sees it: where to log to, and what went wrong on our side.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::abi::{OwnerHandle, copy_text};

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
    log: Arc<LogSink>,
    table_refused: AtomicBool,
}

impl Owner {
    /// An owner that is never freed: libraries keep the pointer past the end of the state.
    pub(crate) fn leak(plugin_name: &str, log: Arc<LogSink>) -> &'static Self {
        Box::leak(Box::new(Self {
            plugin_name: plugin_name.to_owned(),
            log,
            table_refused: AtomicBool::new(false),
        }))
    }

    pub(crate) fn handle(&'static self) -> *mut OwnerHandle {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// # Safety
    ///
    /// `handle` is null or came from [`Owner::handle`].
    unsafe fn from_handle(handle: *mut OwnerHandle) -> Option<&'static Self> {
        // SAFETY: the pointer comes from a leaked `Owner`, which only shared references ever reach.
        unsafe { handle.cast::<Self>().cast_const().as_ref() }
    }

    pub(crate) fn log(&self, severity: LogSeverity, message: &str) {
        (self.log)(severity, &self.plugin_name, message);
    }

    /// Remembers that the plugin asked for a state table.
    ///
    /// # Safety
    ///
    /// `handle` is null or came from [`Owner::handle`].
    pub(crate) unsafe fn refuse_table(handle: *mut OwnerHandle) {
        // SAFETY: the caller's promise is the same.
        if let Some(owner) = unsafe { Self::from_handle(handle) } {
            owner.table_refused.store(true, Ordering::Relaxed);
        }
    }
}

/// The `get_owner_last_error` of the ABI: null as long as nothing went wrong.
pub(crate) unsafe extern "C-unwind" fn last_error(handle: *mut OwnerHandle) -> *const c_char {
    const NO_TABLES: &CStr = c"this host has no state tables";
    // SAFETY: plugins hand back the owner they were given.
    match unsafe { Owner::from_handle(handle) } {
        Some(owner) if owner.table_refused.load(Ordering::Relaxed) => NO_TABLES.as_ptr(),
        _ => ptr::null(),
    }
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
