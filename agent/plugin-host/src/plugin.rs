//! One state of a plugin, from `init` to `destroy`.

use std::ffi::CString;
use std::fmt;
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::abi::{EventTypesFn, InitInput, PLUGIN_EVENT, StateHandle, copy_text};
use crate::extract::Extractor;
use crate::isolation::Remote;
use crate::library::{Functions, Library, Place};
use crate::owner::{self, LogSeverity, LogSink, Owner};
use crate::return_code::ReturnCode;
use crate::schema::{self, ConfigError};
use crate::source::{EventStream, OpenError};
use crate::tables::{self, StateTables};

/// One initialised state of a plugin; dropping it destroys the state.
///
/// It may move between threads but is used by one at a time, as the ABI asks. States of one
/// library are independent of each other.
pub struct Plugin {
    pub(crate) library: Arc<Library>,
    pub(crate) state: State,
    pub(crate) owner: &'static Owner,
    pub(crate) event_types: EventTypes,
    pub(crate) parsed_types: EventTypes,
    /// What it was initialised with.
    config: CString,
    protocol_errors: ProtocolErrors,
}

/// How often a state broke the rules of the ABI in a way that could be passed over.
#[derive(Debug, Default)]
struct ProtocolErrors {
    count: u64,
    taken: u64,
    logged: Option<Instant>,
}

/// Where the state is.
pub(crate) enum State {
    Here(LocalState),
    Child(Box<Remote>),
}

/// A state in this process.
#[derive(Clone, Copy)]
pub(crate) struct LocalState {
    pub(crate) handle: *mut StateHandle,
    pub(crate) functions: Functions,
}

// SAFETY: the ABI lets any thread call, one at a time, and every call of ours that takes a state
// goes through `&mut Plugin` or happens right after one, on the same thread.
unsafe impl Send for Plugin {}

/// The types of events that a plugin extracts fields from, or parses.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
        self.init_among(config, log, &StateTables::new())
    }

    /// Makes a new state of the plugin as [`Library::init`] does. It shares state tables with all others that are made with
    /// the same `tables`; these have to be used on the same thread.
    ///
    /// # Errors
    ///
    /// As [`Library::init`].
    pub fn init_among(
        self: &Arc<Self>,
        config: &str,
        log: Arc<LogSink>,
        tables: &Arc<StateTables>,
    ) -> Result<Plugin, InitError> {
        let config = schema::check(self.name(), self.init_schema(), config)?;
        let config = CString::new(config.as_ref())
            .map_err(|_| ConfigError::Nul { plugin: self.name().to_owned() })?;
        let version = self.about().api_version;
        let owner = Owner::leak(self.name(), version, Arc::clone(&log), Arc::clone(tables));
        let functions = match &self.place {
            Place::Here(functions) => *functions,
            Place::Child(isolation) => {
                let remote = Remote::init(self, isolation, &config, log);
                let remote = remote.map_err(|message| InitError::Failed {
                    plugin: self.name().to_owned(),
                    message,
                })?;
                return Ok(Plugin {
                    library: Arc::clone(self),
                    state: State::Child(Box::new(remote)),
                    owner,
                    event_types: EventTypes::All,
                    parsed_types: EventTypes::All,
                    config,
                    protocol_errors: ProtocolErrors::default(),
                });
            }
        };
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
        let handle = unsafe { (functions.init)(&raw const input, &raw mut rc) };
        // Made before the answer is looked at: a state that comes with a failure is destroyed too.
        let mut plugin = Plugin {
            library: Arc::clone(self),
            state: State::Here(LocalState { handle, functions }),
            owner,
            event_types: EventTypes::All,
            parsed_types: EventTypes::All,
            config,
            protocol_errors: ProtocolErrors::default(),
        };
        owner.tables().reclaim();
        if ReturnCode::from(rc) != ReturnCode::Success {
            return Err(InitError::Failed {
                plugin: self.name().to_owned(),
                message: plugin.last_error(),
            });
        }
        let types = functions.extract.and_then(|extract| extract.event_types);
        let sources = self.extraction().map(|extraction| &*extraction.sources);
        plugin.event_types = plugin.read_event_types(types, sources.unwrap_or_default());
        let types = functions.parse.and_then(|parse| parse.event_types);
        let sources = self.parsing().map(|parsing| &*parsing.sources);
        plugin.parsed_types = plugin.read_event_types(types, sources.unwrap_or_default());
        Ok(plugin)
    }
}

impl Plugin {
    /// The library that this is a state of.
    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// Makes another state of the plugin with the same configuration.
    ///
    /// # Errors
    ///
    /// As [`Library::init`].
    pub fn again(&self, tables: &Arc<StateTables>) -> Result<Self, InitError> {
        let config = self.config.to_str().expect("it was made from text");
        self.library.init_among(config, Arc::clone(self.owner.log_sink()), tables)
    }

    /// Whether one of the plugin states that this one was made among has offered a state table, or asked for one.
    pub fn shares_tables(&self) -> bool {
        self.owner.tables().are_shared()
    }

    /// The state, if it is in this process.
    pub(crate) fn local(&self) -> Option<LocalState> {
        match &self.state {
            State::Here(local) => Some(*local),
            State::Child(_) => None,
        }
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
        let local = match &mut self.state {
            State::Here(local) => *local,
            State::Child(remote) => return remote.list_open_params(),
        };
        let Some(list) = local.functions.source.and_then(|source| source.list_open_params) else {
            return Ok(Vec::new());
        };
        let mut rc = ReturnCode::UNWRITTEN;
        // SAFETY: the state lives until `self` drops, `&mut self` keeps other calls out, and the
        // out-pointer is valid for a write.
        let text = unsafe { list(local.handle, &raw mut rc) };
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

    /// Why the state cannot be used any more: the child process that it is in has ended or does not answer.
    ///
    /// What was extracted since then is not what the plugin would have given.
    pub fn crash(&self) -> Option<&str> {
        match &self.state {
            State::Here(_) => None,
            State::Child(remote) => remote.crash(),
        }
    }

    /// How often the plugin broke the rules of the ABI in a way that could be passed over.
    pub fn protocol_errors(&self) -> u64 {
        let of_child = match &self.state {
            State::Here(_) => 0,
            State::Child(remote) => remote.protocol_errors(),
        };
        self.protocol_errors.count + of_child
    }

    /// How many of these were not taken before.
    pub fn take_protocol_errors(&mut self) -> u64 {
        let all = self.protocol_errors();
        let new = all - self.protocol_errors.taken;
        self.protocol_errors.taken = all;
        new
    }

    /// Counts a broken rule. Logs the first one and then now and then one, since a plugin that breaks one does so often.
    pub(crate) fn note_protocol_error(&mut self, message: fmt::Arguments<'_>) {
        const LOG_EVERY: Duration = Duration::from_secs(10);
        let errors = &mut self.protocol_errors;
        errors.count += 1;
        if errors.logged.is_some_and(|logged| logged.elapsed() < LOG_EVERY) {
            return;
        }
        let text = match errors.logged {
            None => format!("protocol error, counted from now on: {message}"),
            Some(_) => format!("{} protocol errors so far, the last one: {message}", errors.count),
        };
        errors.logged = Some(Instant::now());
        self.owner.log(LogSeverity::Warning, &text);
    }

    /// The error of a call that has just reported failure on this thread.
    pub(crate) fn call_error(&self, function: &'static str) -> CallError {
        CallError { plugin: self.library.name().to_owned(), function, message: self.last_error() }
    }

    /// Must follow a failure at once: where nothing failed, Go plugins end the process.
    pub(crate) fn last_error(&self) -> String {
        let local = match &self.state {
            State::Here(local) if !local.handle.is_null() => local,
            _ => return "plugin handle or 'get_last_error' function not defined".to_owned(),
        };
        // SAFETY: the state lives, a call on it has just failed on this thread, and `Plugin` is
        // not `Sync`, so that no other thread is in it.
        let text = unsafe { (local.functions.last_error)(local.handle) };
        // SAFETY: null or a C string that stays until the next call on this state.
        unsafe { copy_text(text) }
    }

    /// Reads which events a capability is for that takes events of `sources`; may depend on the configuration.
    fn read_event_types(
        &mut self,
        event_types: Option<EventTypesFn>,
        sources: &[String],
    ) -> EventTypes {
        let default = || match sources.is_empty() || sources.iter().any(|own| own == "syscall") {
            true => EventTypes::All,
            false => EventTypes::Only(vec![PLUGIN_EVENT]),
        };
        let (State::Here(local), Some(event_types)) = (&self.state, event_types) else {
            return default();
        };
        let mut count = 0u32;
        // SAFETY: the state lives, `&mut self` keeps other calls out, and the out-pointer is valid.
        let types = unsafe { event_types(&raw mut count, local.handle) };
        if types.is_null() || count == 0 {
            return default();
        }
        // SAFETY: not null, and the header says that `count` numbers are there.
        EventTypes::Only(unsafe { slice::from_raw_parts(types, count as usize) }.to_vec())
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.extractor().stop_async_events();
        self.extractor().close_capture();
        self.owner.leave();
        if let State::Here(local) = self.state
            && !local.handle.is_null()
        {
            // SAFETY: the state came from `init` and is destroyed once, here.
            unsafe { (local.functions.destroy)(local.handle) };
        }
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("name", &self.library.name()).finish_non_exhaustive()
    }
}
