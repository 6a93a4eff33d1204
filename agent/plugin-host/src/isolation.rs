//! Plugins in child processes: what crashes, hangs or writes where it must not is not the agent.
//!
//! ```text
//! agent                                 socket pair            child, one for each state
//! Library::open_isolated -- describe -> starts, opens the library, tells about it, ends
//! Plugin ---- Remote ------ init, next_batch, extract, … ----> Library, Plugin, EventStream
//!                     <---- events, values, log lines --------
//! ```
//!
//! In the child the plugin runs on this same crate as it would in the agent. What comes from there is looked at again here:
//! a plugin may have spoiled the memory of the child's own code.
//!
//! To ask for each field of each event would cost a turn through the kernel every time. So the agent names, with each
//! request for a batch, the fields that were asked for often in the last one, and gets their values together with the events.

mod child;
mod remote;
mod wire;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use self::child::serve_child;
pub(crate) use self::remote::{Remote, RemoteBatch, describe};

/// How child processes are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// A program that calls [`serve_child`] when it is given the arguments and, last, the path of a library.
    pub program: PathBuf,
    /// See there.
    pub arguments: Vec<OsString>,
}

/// How long a plugin may take to answer, but for a batch: to that it may take for ever.
const ANSWER: Duration = Duration::from_secs(10);
/// How long it may take to start and to open its source.
const START: Duration = Duration::from_secs(60);
/// How long one look for a batch takes, after which others get a turn.
const LOOK: Duration = Duration::from_millis(100);

/// An error and what caused it, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
