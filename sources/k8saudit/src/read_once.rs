//! A file, or all files of a directory, read once from start to end.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use follow::{LineSplitter, Split};
use plugin_support::events::Events;

use crate::{config::Config, counters::Counters, event_list::EventReader, line};

const CHUNK_BYTES: usize = 256 << 10;

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub(crate) struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// How far files have been read, seen from any thread.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// What the files held when they were opened; 0 where nobody knows, as for a pipe.
    total_bytes: u64,
    read_bytes: AtomicU64,
}

impl Progress {
    /// From 0 to 100.
    pub(crate) fn percent(&self) -> f64 {
        let read = self.read_bytes.load(Ordering::Relaxed).min(self.total_bytes);
        read as f64 * 100.0 / self.total_bytes.max(1) as f64
    }
}

/// Files that are read one after the other.
#[derive(Debug)]
pub(crate) struct ReadOnce {
    current: Option<OpenFile>,
    next: VecDeque<PathBuf>,
    splitter: LineSplitter,
    reader: EventReader,
    counters: Arc<Counters>,
    progress: Arc<Progress>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: File,
    lines: u64,
}

impl ReadOnce {
    /// Opens a file, or lists a directory.
    pub(crate) fn open(
        path: &Path,
        config: &Config,
        counters: &Arc<Counters>,
    ) -> Result<Self, ReadError> {
        let error = |source| ReadError { path: path.to_owned(), source };
        let (mut current, mut next) = (None, VecDeque::new());
        let total_bytes;
        if path.is_dir() {
            (next, total_bytes) = oldest_first(path).map_err(error)?;
        } else {
            let open = OpenFile::open(path.to_owned()).map_err(error)?;
            total_bytes = open.file.metadata().map_err(error)?.len();
            current = Some(open);
        }
        Ok(Self {
            current,
            next,
            splitter: LineSplitter::new(line::LIMIT),
            reader: EventReader::new(config.max_event_bytes(), Arc::clone(counters)),
            counters: Arc::clone(counters),
            progress: Arc::new(Progress { total_bytes, read_bytes: AtomicU64::new(0) }),
            buffer: vec![0; CHUNK_BYTES],
        })
    }

    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Reads on until there are events; false at the end of the last file.
    pub(crate) fn read(&mut self, events: &mut Events) -> bool {
        while events.is_empty() {
            let Self { current, next, splitter, reader, counters, progress, buffer } = self;
            let Some(open) = current else {
                let Some(path) = next.pop_front() else { return false };
                match OpenFile::open(path.clone()) {
                    Ok(file) => *current = Some(file),
                    Err(error) => log::error!("cannot read {}: {error}", path.display()),
                }
                continue;
            };
            let mut add = |split: Split<'_>| {
                open.lines += 1;
                match split {
                    Split::Line(text) => line::read(reader, &open.path, open.lines, text, events),
                    Split::TooLong { length } => {
                        counters.reject(&counters.lines_too_long, || {
                            let (path, number) = (open.path.display(), open.lines);
                            format!(
                                "{path} line {number} is {length} bytes long, over the limit: skipped"
                            )
                        });
                    }
                }
            };
            match open.file.read(buffer) {
                Ok(0) => {
                    splitter.finish(add);
                    *current = None;
                }
                Ok(read) => {
                    progress.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
                    splitter.push(&buffer[..read], &mut add);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::error!("cannot read {}: {error}", open.path.display());
                    splitter.reset();
                    *current = None;
                }
            }
        }
        true
    }
}

impl OpenFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        Ok(Self { file: File::open(&path)?, path, lines: 0 })
    }
}

/// The files of a directory, hidden ones too, subdirectories not, and how many bytes they hold.
fn oldest_first(directory: &Path) -> io::Result<(VecDeque<PathBuf>, u64)> {
    let mut found: Vec<(SystemTime, PathBuf)> = Vec::new();
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            // A link to nowhere, or a file that was just removed, must not keep the others from being read.
            Err(error) => {
                log::error!("cannot read {}: {error}", path.display());
                continue;
            }
        };
        if metadata.is_dir() {
            continue;
        }
        if path.extension().is_some_and(|extension| extension == "gz") {
            log::warn!("{} is compressed: skipped", path.display());
            continue;
        }
        bytes += metadata.len();
        found.push((metadata.modified()?, path));
    }
    found.sort();
    Ok((found.into_iter().map(|(_, path)| path).collect(), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str) -> String {
        format!(r#"{{"kind":"Event","auditID":"{id}","stageTimestamp":"2024-01-02T03:04:05Z"}}"#)
    }

    #[track_caller]
    fn check(path: &Path, expected: &[&str]) {
        let mut files = ReadOnce::open(path, &Config::default(), &Arc::default()).unwrap();
        let (mut payloads, mut events) = (Vec::new(), Events::default());
        assert_eq!(files.progress().percent(), 0.0);
        while files.read(&mut events) {
            payloads.extend(
                events.iter().map(|event| String::from_utf8_lossy(event.payload).into_owned()),
            );
            events.truncate(0);
        }
        assert_eq!(payloads, expected.iter().map(|id| event(id)).collect::<Vec<_>>());
    }

    #[test]
    fn progress_is_what_was_read_of_all_files() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["1", "2", "3", "4"] {
            fs::write(directory.path().join(name), event(name)).unwrap();
        }
        let mut files =
            ReadOnce::open(directory.path(), &Config::default(), &Arc::default()).unwrap();
        let (progress, mut events) = (Arc::clone(files.progress()), Events::default());
        for percent in [25.0, 50.0, 75.0, 100.0] {
            assert!(files.read(&mut events));
            events.truncate(0);
            assert_eq!(progress.percent(), percent);
        }
        assert!(!files.read(&mut events));
        assert_eq!(Progress::default().percent(), 0.0, "of a pipe nobody knows the end");
    }

    /// F12
    #[test]
    fn lines_end_in_any_way_and_bad_ones_cost_only_themselves() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let (a, b, c) = (event("a"), event("b"), event("c"));
        fs::write(&path, format!("{a}\r\n\n{b}\ngarbage\n  \n{c}")).unwrap();
        check(&path, &["a", "b", "c"]);
        fs::write(&path, "").unwrap();
        check(&path, &[]);
    }

    /// F11
    #[test]
    fn a_long_line_is_an_event_like_any_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let (a, padding) = (event("a"), " ".repeat(5 << 20));
        fs::write(&path, format!("{padding}{a}\n{}\n", event("b"))).unwrap();
        check(&path, &["a", "b"]);
    }

    /// F13
    #[test]
    fn a_directory_is_read_oldest_file_first() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, age: u64, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            let time = SystemTime::now() - std::time::Duration::from_secs(age);
            File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        };
        write("2.jsonl", 10, &event("2"));
        write("3.jsonl", 30, &event("3"));
        write(".hidden", 20, &event("hidden"));
        write("old.gz", 40, "\x1f");
        fs::create_dir(directory.path().join("sub")).unwrap();
        std::os::unix::fs::symlink("nowhere", directory.path().join("dangling")).unwrap();
        check(directory.path(), &["3", "hidden", "2"]);
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_it() {
        let error =
            ReadOnce::open(Path::new("/nowhere/audit.jsonl"), &Config::default(), &Arc::default())
                .unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/audit.jsonl");
    }
}
