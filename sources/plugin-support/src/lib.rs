//! What the plugins in `sources/` share.
//!
//! - [`json`]: JSON text as a flat list of spans, lenient in the way Falco's own plugins are.
//! - [`guard()`]: turns a panic into a failure of the one call, since a panic that leaves a plugin aborts its host.
#![forbid(unsafe_code)]

mod guard;
pub mod json;

pub use guard::guard;
