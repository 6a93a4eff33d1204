//! Follows files line by line, and forgets nothing: not at rotation, not at a restart.
//!
//! ```text
//! patterns --paths--> files on disk --file--> chunks --splitter--> lines --> next_lines()
//!              ^                      |                                          |
//!    wakeup (inotify, polling)        +--------- positions <--- acknowledge() ---+
//!                                                    |
//!                                               checkpoint (state file)
//! ```
//!
//! A file is known by its device and inode, not by its name, so a rename or a swapped symlink does
//! not lose the lines still to come in the old file. Nothing that happens to a file ends the
//! follower: it is told as a [`Notice`], and following goes on.
//!
//! ```
//! use std::time::Duration;
//!
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("app.log");
//! std::fs::write(&path, "one\ntwo\n")?;
//!
//! let mut follower = follow::Follower::open(follow::Settings {
//!     start: follow::Start::Begin,
//!     ..follow::Settings::new([follow::FilePattern::Path(path)])
//! })?;
//! let batch = follower.next_lines(Duration::from_secs(5), 1 << 20);
//! let texts: Vec<&[u8]> = batch.lines().map(|line| line.text).collect();
//! assert_eq!(texts, [b"one", b"two"]);
//! follower.acknowledge();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod batch;
mod checkpoint;
mod file;
mod follower;
mod notice;
mod paths;
mod splitter;
mod wakeup;

pub use batch::{Batch, Line};
pub use follower::{Follower, OpenError, Settings, Start};
pub use notice::Notice;
pub use paths::FilePattern;
pub use splitter::{LineSplitter, Split};
