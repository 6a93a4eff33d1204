//! What the plugins in `sources/` share.
//!
//! - [`counter`]: counts, with a log line now and then.
//! - [`events`]: events of one batch, with what parsing them found.
//! - [`handover`]: events from other threads to `next_batch`, bounded, acknowledged when processed.
//! - [`json`]: JSON text as a flat list of spans, lenient in the way Falco's own plugins are.
//! - [`c_string()`]: text as the C interface carries it.
//! - [`guard()`]: turns a panic into a failure of the one call, since a panic that leaves a plugin aborts its host.
#![forbid(unsafe_code)]

mod c_string;
pub mod counter;
pub mod events;
mod guard;
pub mod handover;
pub mod json;

pub use c_string::c_string;
pub use guard::guard;
