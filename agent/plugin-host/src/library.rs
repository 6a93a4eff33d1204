//! Opens a plugin's shared object and reads what it says about itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::abi::{self, TextFn};
use crate::async_events::AsyncEvents;
use crate::capability::{self, Capabilities, CapabilityError, Identity};
use crate::fields::{self, FieldInfo, FieldsError};
use crate::isolation::{self, Isolation};
use crate::object::SharedObject;
use crate::parse::Parsing;
use crate::version::Version;

/// The plugin API that this host offers.
pub const API_VERSION: Version = Version { major: 3, minor: 12, patch: 0 };

/// An opened plugin: its symbols are there, its API version fits, its metadata was read.
///
/// No code of it runs between calls of ours, and it stays loaded until the process ends.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    about: About,
    pub(crate) place: Place,
}

/// Where the code of a plugin runs.
#[derive(Debug)]
pub(crate) enum Place {
    /// In this process.
    Here(Functions),
    /// In child processes, one for each state.
    Child(Isolation),
}

/// What a plugin says about itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct About {
    /// The plugin API that it was built for.
    pub(crate) api_version: Version,
    name: String,
    description: String,
    contact: String,
    version: Version,
    capabilities: Capabilities,
    sourcing: Option<Sourcing>,
    extraction: Option<Extraction>,
    parsing: Option<Parsing>,
    async_events: Option<AsyncEvents>,
    init_schema: Option<String>,
}

/// What a plugin that produces events calls itself and its event source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sourcing {
    /// Stands in every event; 0 when the events are those of the system.
    pub id: u32,
    /// The event source, such as `k8s_audit`; empty when the events are those of the system.
    pub event_source: String,
}

/// What a plugin extracts, and from which events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extraction {
    /// In the plugin's own order; never empty.
    pub fields: Vec<FieldInfo>,
    /// The event sources it understands, its own among them; empty when it takes any.
    pub sources: Vec<String>,
}

impl Extraction {
    /// Can fields be extracted from the events of `source`?
    pub fn is_compatible_with(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|own| own == source)
    }
}

/// The functions that need a plugin state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Functions {
    pub(crate) init: abi::InitFn,
    pub(crate) destroy: abi::DestroyFn,
    pub(crate) last_error: abi::LastErrorFn,
    pub(crate) metrics: Option<abi::MetricsFn>,
    pub(crate) source: Option<SourceFunctions>,
    pub(crate) extract: Option<ExtractFunctions>,
    pub(crate) parse: Option<ParseFunctions>,
    pub(crate) set_async_event_handler: Option<abi::SetAsyncHandlerFn>,
    pub(crate) capture: Option<CaptureFunctions>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceFunctions {
    pub(crate) open: abi::OpenFn,
    pub(crate) close: abi::CloseFn,
    pub(crate) next_batch: abi::NextBatchFn,
    pub(crate) list_open_params: Option<abi::OpenParamsFn>,
    pub(crate) get_progress: Option<abi::ProgressFn>,
    pub(crate) event_to_string: Option<abi::EventToStringFn>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ExtractFunctions {
    pub(crate) extract_fields: abi::ExtractFn,
    pub(crate) event_types: Option<abi::EventTypesFn>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ParseFunctions {
    pub(crate) parse_event: abi::ParseFn,
    pub(crate) event_types: Option<abi::EventTypesFn>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct CaptureFunctions {
    pub(crate) open: abi::CaptureFn,
    pub(crate) close: abi::CaptureFn,
}

/// A plugin that could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("cannot load plugin {}", path.display())]
pub struct LoadError {
    /// The shared object.
    pub path: PathBuf,
    /// What is wrong with it.
    pub source: LoadFailure,
}

/// Why a shared object is not a plugin for this host.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum LoadFailure {
    #[error("the path is empty")]
    EmptyPath,
    #[error("can't load plugin dynamic library")]
    Open(#[source] libloading::Error),
    #[error("required symbol not implemented: '{0}'")]
    MissingSymbol(&'static str),
    #[error("plugin provided an invalid required API version: '{0}'")]
    InvalidApiVersion(String),
    #[error("plugin required API version '{required}' not compatible with the framework's API version '{API_VERSION}': {}", disagreement(*required))]
    ApiVersion { required: Version },
    #[error("plugin provided an invalid version string: '{0}'")]
    InvalidVersion(String),
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    #[error("error in plugin {plugin}")]
    Fields { plugin: String, source: FieldsError },
    #[error("error in plugin {plugin}: unknown init schema type {schema_type}")]
    SchemaType { plugin: String, schema_type: u32 },
    #[error("{0}")]
    Child(String),
}

fn disagreement(required: Version) -> &'static str {
    if required.major != API_VERSION.major {
        "major versions disagree"
    } else if required.minor > API_VERSION.minor {
        "framework's minor is less than the requested one"
    } else {
        "framework's patch is less than the requested one"
    }
}

impl Library {
    /// Opens the shared object at `path` as it is written: no directory is searched, no ending added.
    ///
    /// # Errors
    ///
    /// When it cannot be loaded, wants another plugin API, or what it says of itself makes no sense.
    pub fn open(path: &Path) -> Result<Arc<Self>, LoadError> {
        Self::load(path).map(Arc::new).map_err(|source| LoadError { path: path.to_owned(), source })
    }

    fn load(path: &Path) -> Result<Self, LoadFailure> {
        // The dynamic linker takes an empty path for the main program.
        if path.as_os_str().is_empty() {
            return Err(LoadFailure::EmptyPath);
        }
        let object = SharedObject::open(path).map_err(LoadFailure::Open)?;
        let api_version =
            check_api_version(&call(require(&object, &abi::GET_REQUIRED_API_VERSION)?))?;

        let name = call(require(&object, &abi::GET_NAME)?);
        let description = call(require(&object, &abi::GET_DESCRIPTION)?);
        let contact = call(require(&object, &abi::GET_CONTACT)?);
        let version = call(require(&object, &abi::GET_VERSION)?);
        let init = require(&object, &abi::INIT)?;
        let destroy = require(&object, &abi::DESTROY)?;
        let last_error = require(&object, &abi::GET_LAST_ERROR)?;
        let version = version.parse().map_err(|_| LoadFailure::InvalidVersion(version))?;

        let identity = read_identity(&object);
        let of_identity = Identity { id: identity.id, event_source: &identity.event_source };
        let capabilities = capability::detect(|name| object.has(name), of_identity)?;
        let source = source_functions(&object);
        let sourcing = source.is_some().then_some(identity);
        let extraction = read_extraction(&object, capabilities, sourcing.as_ref())
            .map_err(|source| LoadFailure::Fields { plugin: name.clone(), source })?;
        let parsing = read_parsing(&object, capabilities, sourcing.as_ref())
            .map_err(|source| LoadFailure::Fields { plugin: name.clone(), source })?;
        let async_events = read_async_events(&object, capabilities, sourcing.as_ref())
            .map_err(|source| LoadFailure::Fields { plugin: name.clone(), source })?;

        Ok(Self {
            path: path.to_owned(),
            about: About {
                api_version,
                init_schema: read_init_schema(&object, &name)?,
                name,
                description,
                contact,
                version,
                capabilities,
                sourcing,
                extraction,
                parsing,
                async_events,
            },
            place: Place::Here(Functions {
                init,
                destroy,
                last_error,
                metrics: object.resolve(&abi::GET_METRICS),
                source,
                extract: extract_functions(&object),
                parse: parse_functions(&object),
                set_async_event_handler: object.resolve(&abi::SET_ASYNC_EVENT_HANDLER),
                capture: capture_functions(&object),
            }),
        })
    }

    /// Opens the shared object at `path` in a child process, where all of its states are going to be too, each in one of its
    /// own: whatever the plugin does, this process goes on.
    ///
    /// # Errors
    ///
    /// As [`Library::open`], and when the child process cannot be started or does not answer.
    pub fn open_isolated(path: &Path, isolation: Isolation) -> Result<Arc<Self>, LoadError> {
        let about = isolation::describe(path, &isolation);
        match about {
            Ok(about) => {
                Ok(Arc::new(Self { path: path.to_owned(), about, place: Place::Child(isolation) }))
            }
            Err(message) => {
                Err(LoadError { path: path.to_owned(), source: LoadFailure::Child(message) })
            }
        }
    }

    /// Whether its code runs in child processes.
    pub fn is_isolated(&self) -> bool {
        matches!(self.place, Place::Child(_))
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the plugin calls itself.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// A line on what the plugin is for.
    pub fn description(&self) -> &str {
        &self.about.description
    }

    /// Where its authors can be reached.
    pub fn contact(&self) -> &str {
        &self.about.contact
    }

    /// The plugin's own version.
    pub fn version(&self) -> Version {
        self.about.version
    }

    /// What the plugin can do.
    pub fn capabilities(&self) -> Capabilities {
        self.about.capabilities
    }

    /// The event source it produces, if it does.
    pub fn sourcing(&self) -> Option<&Sourcing> {
        self.about.sourcing.as_ref()
    }

    /// The fields it extracts, if it does.
    pub fn extraction(&self) -> Option<&Extraction> {
        self.about.extraction.as_ref()
    }

    /// The events it parses, if it does.
    pub fn parsing(&self) -> Option<&Parsing> {
        self.about.parsing.as_ref()
    }

    /// The events it adds at times of its own, if it does.
    pub fn async_events(&self) -> Option<&AsyncEvents> {
        self.about.async_events.as_ref()
    }

    /// The JSON schema of its init configuration.
    pub fn init_schema(&self) -> Option<&str> {
        self.about.init_schema.as_deref()
    }
}

fn require<F: Copy>(object: &SharedObject, symbol: &abi::Symbol<F>) -> Result<F, LoadFailure> {
    object.resolve(symbol).ok_or(LoadFailure::MissingSymbol(symbol.name))
}

/// Calls one of the functions that describe a plugin; null is the empty text.
fn call(function: TextFn) -> String {
    // SAFETY: these functions take nothing and may be called at any time, also before `init`.
    let text = unsafe { function() };
    // SAFETY: null or a C string that stays until the function is called again, says the header.
    unsafe { abi::copy_text(text) }
}

fn check_api_version(text: &str) -> Result<Version, LoadFailure> {
    let required: Version =
        text.parse().map_err(|_| LoadFailure::InvalidApiVersion(text.to_owned()))?;
    match API_VERSION.satisfies(required) {
        true => Ok(required),
        false => Err(LoadFailure::ApiVersion { required }),
    }
}

fn read_identity(object: &SharedObject) -> Sourcing {
    let id = object.resolve(&abi::GET_ID).map_or(0, |get_id| {
        // SAFETY: it takes nothing and may be called at any time, also before `init`.
        unsafe { get_id() }
    });
    Sourcing {
        id,
        event_source: object.resolve(&abi::GET_EVENT_SOURCE).map_or(String::new(), call),
    }
}

fn source_functions(object: &SharedObject) -> Option<SourceFunctions> {
    Some(SourceFunctions {
        open: object.resolve(&abi::OPEN)?,
        close: object.resolve(&abi::CLOSE)?,
        next_batch: object.resolve(&abi::NEXT_BATCH)?,
        list_open_params: object.resolve(&abi::LIST_OPEN_PARAMS),
        get_progress: object.resolve(&abi::GET_PROGRESS),
        event_to_string: object.resolve(&abi::EVENT_TO_STRING),
    })
}

fn extract_functions(object: &SharedObject) -> Option<ExtractFunctions> {
    Some(ExtractFunctions {
        extract_fields: object.resolve(&abi::EXTRACT_FIELDS)?,
        event_types: object.resolve(&abi::GET_EXTRACT_EVENT_TYPES),
    })
}

fn parse_functions(object: &SharedObject) -> Option<ParseFunctions> {
    Some(ParseFunctions {
        parse_event: object.resolve(&abi::PARSE_EVENT)?,
        event_types: object.resolve(&abi::GET_PARSE_EVENT_TYPES),
    })
}

fn capture_functions(object: &SharedObject) -> Option<CaptureFunctions> {
    Some(CaptureFunctions {
        open: object.resolve(&abi::CAPTURE_OPEN)?,
        close: object.resolve(&abi::CAPTURE_CLOSE)?,
    })
}

fn read_extraction(
    object: &SharedObject,
    capabilities: Capabilities,
    sourcing: Option<&Sourcing>,
) -> Result<Option<Extraction>, FieldsError> {
    if !capabilities.extraction {
        return Ok(None);
    }
    let fields =
        fields::parse_fields(&object.resolve(&abi::GET_FIELDS).map_or(String::new(), call))?;
    let sources = read_sources(object, &abi::GET_EXTRACT_EVENT_SOURCES, sourcing)?;
    Ok(Some(Extraction { fields, sources }))
}

fn read_parsing(
    object: &SharedObject,
    capabilities: Capabilities,
    sourcing: Option<&Sourcing>,
) -> Result<Option<Parsing>, FieldsError> {
    if !capabilities.parsing {
        return Ok(None);
    }
    let sources = read_sources(object, &abi::GET_PARSE_EVENT_SOURCES, sourcing)?;
    Ok(Some(Parsing { sources }))
}

fn read_async_events(
    object: &SharedObject,
    capabilities: Capabilities,
    sourcing: Option<&Sourcing>,
) -> Result<Option<AsyncEvents>, FieldsError> {
    if !capabilities.async_events {
        return Ok(None);
    }
    let names = object.resolve(&abi::GET_ASYNC_EVENTS).map_or(String::new(), call);
    let names = fields::parse_sources(abi::GET_ASYNC_EVENTS.name, &names)?;
    let sources = read_sources(object, &abi::GET_ASYNC_EVENT_SOURCES, sourcing)?;
    Ok(Some(AsyncEvents { names, sources }))
}

/// The event sources that a capability is for: those declared, and the plugin's own.
fn read_sources(
    object: &SharedObject,
    symbol: &abi::Symbol<TextFn>,
    sourcing: Option<&Sourcing>,
) -> Result<Vec<String>, FieldsError> {
    let declared = object.resolve(symbol).map_or(String::new(), call);
    let mut sources = fields::parse_sources(symbol.name, &declared)?;
    if let Some(own) = sourcing.filter(|own| own.id != 0 && !sources.contains(&own.event_source)) {
        sources.push(own.event_source.clone());
    }
    Ok(sources)
}

fn read_init_schema(object: &SharedObject, plugin: &str) -> Result<Option<String>, LoadFailure> {
    /// The only type of schema the header knows, besides 0 for "none".
    const JSON: u32 = 1;
    let Some(get_init_schema) = object.resolve(&abi::GET_INIT_SCHEMA) else { return Ok(None) };
    let mut schema_type = 0;
    // SAFETY: it may be called before `init`, and the out-pointer is valid for a write.
    let text = unsafe { get_init_schema(&raw mut schema_type) };
    // SAFETY: null or a C string that stays until the function is called again, says the header.
    let text = unsafe { abi::copy_text(text) };
    match schema_type {
        _ if text.is_empty() => Ok(None),
        0 => Ok(None),
        JSON => Ok(Some(text)),
        schema_type => Err(LoadFailure::SchemaType { plugin: plugin.to_owned(), schema_type }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(required: &str, expected: &str) {
        let found = check_api_version(required)
            .map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
        assert_eq!(found, expected);
    }

    #[test]
    fn the_api_version_is_a_gate() {
        for required in ["3.0.0", "3.6.0", "3.11.0", "3.12.0"] {
            check(required, "accepted");
        }
        let refused = |required: &str, reason: &str| {
            let text = format!(
                "plugin required API version '{required}' not compatible with the framework's API version '3.12.0': {reason}"
            );
            check(required, &text);
        };
        refused("2.0.0", "major versions disagree");
        refused("4.0.0", "major versions disagree");
        refused("3.13.0", "framework's minor is less than the requested one");
        refused("3.12.1", "framework's patch is less than the requested one");
        check("abc", "plugin provided an invalid required API version: 'abc'");
        check("", "plugin provided an invalid required API version: ''");
    }

    #[test]
    fn an_extractor_without_sources_takes_any() {
        let of = |sources: &[&str]| Extraction {
            fields: Vec::new(),
            sources: sources.iter().map(ToString::to_string).collect(),
        };
        assert!(of(&[]).is_compatible_with("k8s_audit"));
        assert!(of(&["a", "k8s_audit"]).is_compatible_with("k8s_audit"));
        assert!(!of(&["a"]).is_compatible_with("k8s_audit"));
    }
}
