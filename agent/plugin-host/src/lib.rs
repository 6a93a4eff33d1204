//! The Falco plugin ABI as safe Rust.
//!
//! ```text
//! libk8saudit.so --Library::open--> Library --init--> Plugin --open--> EventStream
//!                                                       |                  | next_batch
//!                                                       |                  v
//!                              FieldRequest ------------+-> Extractor <- Batch -> Event
//!                                                               | extract
//!                                                               v
//!                                                           Extracted
//! ```
//!
//! The memory rules of `plugin_api.h` are lifetimes here, its threading rules are `&mut self` and
//! the absence of `Sync`. A plugin is code inside the agent and can bring it down, but what it
//! returns is looked at first: null pointers, lengths and types that cannot be become errors.
//!
//! ```no_run
//! use std::{path::Path, sync::Arc};
//! use plugin_host::{FieldRequest, Library, NoBatch};
//!
//! let library = Library::open(Path::new("/usr/share/falco/plugins/libk8saudit.so"))?;
//! let first_field = FieldRequest::new(&library, 0, None)?;
//!
//! let log = Arc::new(|_, component: &str, message: &str| eprintln!("{component}: {message}"));
//! let mut stream = library.init("", log)?.open("http://:9765/k8s-audit")?;
//! let mut number = 0;
//! loop {
//!     let mut batch = match stream.next_batch() {
//!         Ok(batch) => batch,
//!         Err(NoBatch::Timeout) => continue,
//!         Err(end) => return Err(end.into()),
//!     };
//!     for event in batch.events() {
//!         number += 1;
//!         let _value = batch.extractor().extract(&event, number, c"k8s_audit", &first_field);
//!     }
//! }
//! # #[expect(unreachable_code, reason = "fixes the type of the error")]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Plugins that parse events ([`Extractor::parse`]) and share state tables ([`StateTables`]) belong to one event source and
//! one thread. What plugins add by themselves comes out of an [`AsyncQueue`]; [`Extractor::open_capture`] tells those that listen.

#![expect(
    unsafe_code,
    reason = "plugins are called through C functions and pointers; no other crate does that"
)]

mod abi;
mod async_events;
mod capability;
mod capture;
mod event;
mod extract;
mod fields;
mod isolation;
mod library;
mod made_event;
mod memory;
mod metrics;
mod object;
mod owner;
mod parse;
mod plugin;
mod return_code;
mod schema;
mod source;
mod tables;
mod version;

pub use async_events::{AsyncEvent, AsyncEvents, AsyncQueue};
pub use capability::{Capabilities, CapabilityError};
pub use event::{Event, EventError};
pub use extract::{AddressValues, ArgumentError, Extracted, Extractor, FieldRequest, StringValues};
pub use fields::{ArgumentInfo, FieldInfo, FieldKind, FieldsError};
pub use isolation::{Isolation, serve_child};
pub use library::{API_VERSION, Extraction, Library, LoadError, LoadFailure, Sourcing};
pub use made_event::MadeEvent;
pub use memory::{release_free_memory, return_large_blocks};
pub use metrics::{Metric, MetricValue};
pub use owner::{LogSeverity, LogSink};
pub use parse::Parsing;
pub use plugin::{CallError, InitError, OpenParam, Plugin};
pub use schema::ConfigError;
pub use source::{Batch, EventStream, NoBatch, OpenError, Progress};
pub use tables::StateTables;
pub use version::{ParseVersionError, Version};
