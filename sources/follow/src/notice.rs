//! What went wrong or was noticed while following; nothing of it stops the follower.

use std::{error::Error, io, path::PathBuf};

/// Something an operator wants to know about a followed file.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum Notice {
    #[error("{} was replaced, reading the rest of the old file and then the new one", path.display())]
    Rotated { path: PathBuf },
    #[error("{} was truncated, reading it from the start", path.display())]
    Truncated { path: PathBuf },
    #[error("{} line {number} is {length} bytes long, over the limit: skipped", path.display())]
    LineTooLong { path: PathBuf, number: u64, length: usize },
    #[error("cannot read {}, will try again", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{0} is no regular file; of a directory, name the files, for example by {0}/*", path.display())]
    NotAFile { path: PathBuf },
    #[error("{} was rotated while nobody followed it and its old file is gone: lines may be lost", path.display())]
    PredecessorGone { path: PathBuf },
    #[error("cannot watch {}, polling it instead", path.display())]
    Unwatched { path: PathBuf, source: notify::Error },
    #[error("cannot write positions to {}", path.display())]
    StateUnwritten { path: PathBuf, source: io::Error },
    #[error("positions in {} are damaged, reading all files from the start", path.display())]
    StateDamaged { path: PathBuf, source: serde_json::Error },
}

impl Notice {
    /// Writes the notice to the log: a warning, unless nothing is wrong.
    pub fn log(&self) {
        let level = match self {
            Self::Rotated { .. } => log::Level::Info,
            _ => log::Level::Warn,
        };
        match self.source() {
            Some(cause) => log::log!(level, "{self}: {cause}"),
            None => log::log!(level, "{self}"),
        }
    }
}
