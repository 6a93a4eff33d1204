//! One state of a plugin, from `init` to `destroy`.

use std::ffi::CString;
use std::fmt;
use std::slice;
use std::sync::Arc;

use serde::Deserialize;

use crate::abi::{InitInput, PLUGIN_EVENT, StateHandle, copy_text};
use crate::extract::Extractor;
use crate::library::Library;
use crate::owner::{self, LogSeverity, LogSink, Owner};
use crate::return_code::ReturnCode;
use crate::schema::{self, ConfigError};
use crate::source::{EventStream, OpenError};
use crate::tables;

/// One initialised state of a plugin; dropping it destroys the state.
///
/// It may move between threads but is used by one at a time, as the ABI asks. States of one
/// library are independent of each other.
pub struct Plugin {
    pub(crate) library: Arc<Library>,
    pub(crate) state: *mut StateHandle,
    pub(crate) owner: &'static Owner,
    pub(crate) event_types: EventTypes,
    protocol_errors: u64,
}

// SAFETY: the ABI lets any thread call, one at a time, and every call of ours that takes a state
// goes through `&mut Plugin` or happens right after one, on the same thread.
unsafe impl Send for Plugin {}

/// The types of events that a plugin extracts fields from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EventTypes {
    All,
    Only(Vec<u16>),
}

impl EventTypes {
    pub(crate) fn contains(&self, event_type: u16) -> bool {
        match self {
            Self::All => true,
            Self::Only(types) => types.contains(&event_type),
        }
    }
}

/// Why a plugin state could not be made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum InitError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("could not initialize plugin {plugin}: {message}")]
    Failed { plugin: String, message: String },
}

/// A call that a plugin answered with a failure, in the plugin's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{function} of plugin {plugin} failed: {message}")]
pub struct CallError {
    /// The plugin's name.
    pub plugin: String,
    /// The function of the ABI.
    pub function: &'static str,
    /// What the plugin says.
    pub message: String,
}

/// A value that a plugin suggests for opening it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OpenParam {
    /// What to pass to [`Plugin::open`].
    pub value: String,
    /// What it does, for people.
    #[serde(rename = "desc", default)]
    pub description: String,
    /// What separates several values in one text, if the plugin takes several.
    #[serde(default)]
    pub separator: String,
}

impl Library {
    /// Makes a new state of the plugin.
    ///
    /// `config` is the text of `init_config`, checked against the plugin's schema first; `log`
    /// gets what the plugin logs and is kept until the process ends.
    ///
    /// # Errors
    ///
    /// When the configuration does not fit the schema, or the plugin refuses to start.
    pub fn init(self: &Arc<Self>, config: &str, log: Arc<LogSink>) -> Result<Plugin, InitError> {
        let config = schema::check(self.name(), self.init_schema(), config)?;
        let config = CString::new(config.as_ref())
            .map_err(|_| ConfigError::Nul { plugin: self.name().to_owned() })?;
        let owner = Owner::leak(self.name(), log);
        let tables = tables::init_input();
        let input = InitInput {
            config: config.as_ptr(),
            owner: owner.handle(),
            get_owner_last_error: Some(owner::last_error),
            tables: &raw const tables,
            log_fn: Some(owner::log),
        };
        let mut rc = ReturnCode::UNWRITTEN;
        // SAFETY: the input and all it points to outlive the call, the owner and the vtables the
        // process; the out-pointer is valid for a write.
        let state = unsafe { (self.functions.init)(&raw const input, &raw mut rc) };
        // Made before the answer is looked at: a state that comes with a failure is destroyed too.
        let mut plugin = Plugin {
            library: Arc::clone(self),
            state,
            owner,
            event_types: EventTypes::All,
            protocol_errors: 0,
        };
        if ReturnCode::from(rc) != ReturnCode::Success {
            return Err(InitError::Failed {
                plugin: self.name().to_owned(),
                message: plugin.last_error(),
            });
        }
        plugin.event_types = plugin.read_event_types();
        Ok(plugin)
    }
}

impl Plugin {
    /// The library that this is a state of.
    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// Lends the state for extraction.
    pub fn extractor(&mut self) -> Extractor<'_> {
        Extractor::new(self)
    }

    /// Opens the event source.
    ///
    /// # Errors
    ///
    /// When the plugin has none or cannot open it; the state is destroyed then.
    pub fn open(self, params: &str) -> Result<EventStream, OpenError> {
        EventStream::open(self, params)
    }

    /// Asks what the event source could be opened with.
    ///
    /// # Errors
    ///
    /// When the plugin fails, or answers something else than a JSON list of values.
    pub fn list_open_params(&mut self) -> Result<Vec<OpenParam>, CallError> {
        const FUNCTION: &str = "list_open_params";
        let Some(list) = self.library.functions.source.and_then(|source| source.list_open_params)
        else {
            return Ok(Vec::new());
        };
        let mut rc = ReturnCode::UNWRITTEN;
        // SAFETY: the state lives until `self` drops, `&mut self` keeps other calls out, and the
        // out-pointer is valid for a write.
        let text = unsafe { list(self.state, &raw mut rc) };
        if ReturnCode::from(rc) != ReturnCode::Success {
            return Err(self.call_error(FUNCTION));
        }
        // SAFETY: null or a C string that stays until the next call, says the header.
        let text = unsafe { copy_text(text) };
        if text.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_str(&text).map_err(|error| CallError {
            plugin: self.library.name().to_owned(),
            function: FUNCTION,
            message: format!("not a json array of values: {error}"),
        })
    }

    /// How often the plugin broke the rules of the ABI in a way that could be passed over.
    pub fn protocol_errors(&self) -> u64 {
        self.protocol_errors
    }

    /// Counts a broken rule and logs the first one, since a plugin that breaks one does so often.
    pub(crate) fn note_protocol_error(&mut self, message: fmt::Arguments<'_>) {
        self.protocol_errors += 1;
        if self.protocol_errors == 1 {
            self.owner.log(
                LogSeverity::Warning,
                &format!("protocol error, counted from now on: {message}"),
            );
        }
    }

    /// The error of a call that has just reported failure on this thread.
    pub(crate) fn call_error(&self, function: &'static str) -> CallError {
        CallError { plugin: self.library.name().to_owned(), function, message: self.last_error() }
    }

    /// Must follow a failure at once: where nothing failed, Go plugins end the process.
    pub(crate) fn last_error(&self) -> String {
        if self.state.is_null() {
            return "plugin handle or 'get_last_error' function not defined".to_owned();
        }
        // SAFETY: the state lives, a call on it has just failed on this thread, and `Plugin` is
        // not `Sync`, so that no other thread is in it.
        let text = unsafe { (self.library.functions.last_error)(self.state) };
        // SAFETY: null or a C string that stays until the next call on this state.
        unsafe { copy_text(text) }
    }

    /// Reads which events the plugin extracts from; may depend on the configuration.
    fn read_event_types(&mut self) -> EventTypes {
        let Some(extraction) = self.library.extraction() else { return EventTypes::All };
        let default = || {
            if extraction.is_compatible_with("syscall") {
                EventTypes::All
            } else {
                EventTypes::Only(vec![PLUGIN_EVENT])
            }
        };
        let Some(event_types) =
            self.library.functions.extract.and_then(|extract| extract.event_types)
        else {
            return default();
        };
        let mut count = 0u32;
        // SAFETY: the state lives, `&mut self` keeps other calls out, and the out-pointer is valid.
        let types = unsafe { event_types(&raw mut count, self.state) };
        if types.is_null() || count == 0 {
            return default();
        }
        // SAFETY: not null, and the header says that `count` numbers are there.
        EventTypes::Only(unsafe { slice::from_raw_parts(types, count as usize) }.to_vec())
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        if !self.state.is_null() {
            // SAFETY: the state came from `init` and is destroyed once, here.
            unsafe { (self.library.functions.destroy)(self.state) };
        }
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.library.name())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
