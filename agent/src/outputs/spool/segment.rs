//! One file of a spool.

use std::fs;
use std::io;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, StorageBackend, TableDefinition, TableError};
use rules_engine::Priority;

use super::Front;
use crate::alert::Alert;

/// The alerts by their numbers: a byte for the priority, then the line.
const ALERTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("alerts");

/// What an alert takes besides its text, about.
const OVERHEAD: u64 = 32;

/// More memory would hold pages that are not needed again.
const CACHE_BYTES: usize = 1 << 20;

/// A small database, and what is in it.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    /// Closed after a failure: a database that failed once wants to be opened anew.
    database: Option<Database>,
    /// All alerts have smaller numbers.
    pub(super) end: u64,
    pub(super) alerts: u64,
    pub(super) bytes: u64,
    /// With those that were removed.
    pub(super) bytes_ever: u64,
}

/// Why a file cannot be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// It is not what was written.
    Damaged(String),
    Io(io::Error),
}

/// How much of the spool's room an alert takes.
pub(super) fn size(alert: &Alert) -> u64 {
    alert.line.len() as u64 + OVERHEAD
}

impl Segment {
    /// Makes an empty one, for alerts from number `start` on.
    pub(super) fn create(path: PathBuf, start: u64) -> io::Result<Self> {
        // Under its name there is never a file that is half made.
        let temporary = path.with_extension("new");
        fs::remove_file(&temporary).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        let database = builder().create(&temporary).map_err(|error| io_error(error.into()))?;
        fs::rename(temporary, &path)?;
        let database = Some(database);
        Ok(Segment { path, database, end: start, alerts: 0, bytes: 0, bytes_ever: 0 })
    }

    /// Opens an existing one, for alerts from number `start` on, and checks it whole.
    pub(super) fn open(path: PathBuf, start: u64) -> Result<Self, OpenError> {
        let mut segment =
            Segment { path, database: None, end: start, alerts: 0, bytes: 0, bytes_ever: 0 };
        // The database panics on some damaged pages, before it has looked at their checksums.
        let checked = catch_unwind(|| check_and_count(&segment.path, start));
        let is_damaged =
            |kind| matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        let counted = match checked {
            Ok(Ok(counted)) => counted,
            Ok(Err(redb::Error::Io(error))) if !is_damaged(error.kind()) => {
                return Err(OpenError::Io(error));
            }
            Ok(Err(error @ redb::Error::DatabaseAlreadyOpen)) => {
                return Err(OpenError::Io(io_error(error)));
            }
            Ok(Err(error)) => return Err(OpenError::Damaged(error.to_string())),
            Err(_) => return Err(OpenError::Damaged("it cannot be read".to_owned())),
        };
        segment.end = counted.end;
        segment.alerts = counted.alerts;
        (segment.bytes, segment.bytes_ever) = (counted.bytes, counted.bytes);
        segment.database = Some(counted.database);
        Ok(segment)
    }

    pub(super) fn into_path(self) -> PathBuf {
        self.path
    }

    /// Stores alerts under the numbers from `first` on.
    pub(super) fn append<'a>(
        &mut self,
        first: u64,
        alerts: impl ExactSizeIterator<Item = &'a Arc<Alert>>,
    ) -> io::Result<()> {
        let (mut bytes, count) = (0, alerts.len() as u64);
        self.with_database(|database| {
            let transaction = database.begin_write()?;
            let mut table = transaction.open_table(ALERTS)?;
            for (number, alert) in (first..).zip(alerts) {
                let mut value = vec![alert.priority as u8];
                value.extend_from_slice(alert.line.as_bytes());
                table.insert(number, value.as_slice())?;
                bytes += size(alert);
            }
            drop(table);
            Ok(transaction.commit()?)
        })?;
        self.end = first + count;
        self.alerts += count;
        self.bytes += bytes;
        self.bytes_ever += bytes;
        Ok(())
    }

    /// The oldest alerts from number `start` on, about `limit` bytes of them; at least one if there is one.
    pub(super) fn read(&mut self, start: u64, limit: u64) -> io::Result<Front> {
        let (mut bytes, end) = (0, self.end);
        let mut front = Front::default();
        let visit = |number, value: &[u8]| {
            if number >= end {
                return false;
            }
            bytes += value.len() as u64;
            front.numbers.push_back(number);
            front.alerts.push_back(Arc::new(alert(value)));
            bytes < limit
        };
        if self.database.is_none() {
            self.database = self.reopen().ok();
        }
        match self.database {
            Some(_) => self.with_database(|database| each(database, start, visit))?,
            None => each(&self.copy()?, start, visit).map_err(io_error)?,
        }
        Ok(front)
    }

    /// Removes the oldest alerts from number `start` on, as long as `is_wanted`, which is told how many bytes are freed
    /// already, and the alert's number.
    pub(super) fn remove(
        &mut self,
        start: u64,
        is_wanted: impl Fn(u64, u64) -> bool,
    ) -> io::Result<()> {
        let (mut freed, mut removed) = (0, 0);
        self.with_database(|database| {
            let mut end = None;
            each(database, start, |number, value| {
                if !is_wanted(freed, number) {
                    return false;
                }
                freed += value.len() as u64 - 1 + OVERHEAD;
                removed += 1;
                end = Some(number);
                true
            })?;
            let Some(end) = end else { return Ok(()) };
            let transaction = database.begin_write()?;
            transaction.open_table(ALERTS)?.retain_in(start..=end, |_, _| false)?;
            Ok(transaction.commit()?)
        })?;
        self.alerts -= removed;
        self.bytes -= freed;
        Ok(())
    }

    fn with_database<T>(
        &mut self,
        act: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> io::Result<T> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.reopen().map_err(io_error)?,
        };
        let done = act(&database).map_err(io_error)?;
        self.database = Some(database);
        Ok(done)
    }

    /// Opens the file after a failure. What a failed append has left is not wanted: its alerts were not taken off.
    fn reopen(&self) -> Result<Database, redb::Error> {
        let database = builder().open(&self.path)?;
        let transaction = database.begin_write()?;
        transaction.open_table(ALERTS)?.retain_in(self.end.., |_, _| false)?;
        transaction.commit()?;
        Ok(database)
    }

    /// What is in the file, for a disk that can only be read: a database is written to when it is opened.
    fn copy(&self) -> io::Result<Database> {
        let content = fs::read(&self.path)?;
        let memory = InMemoryBackend::new();
        memory.set_len(content.len() as u64)?;
        memory.write(0, &content)?;
        builder().create_with_backend(memory).map_err(|error| io_error(error.into()))
    }
}

struct Counted {
    database: Database,
    end: u64,
    alerts: u64,
    bytes: u64,
}

fn check_and_count(path: &Path, start: u64) -> Result<Counted, redb::Error> {
    let mut database = builder().open(path)?;
    // After a clean end the database checks nothing by itself.
    database.check_integrity()?;
    let (mut end, mut alerts, mut bytes) = (start, 0, 0);
    each(&database, 0, |number, value| {
        end = number + 1;
        alerts += 1;
        bytes += value.len() as u64 - 1 + OVERHEAD;
        true
    })?;
    Ok(Counted { database, end, alerts, bytes })
}

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Calls `visit` with numbers and stored values from number `start` on, as long as it returns true.
fn each(
    database: &Database,
    start: u64,
    mut visit: impl FnMut(u64, &[u8]) -> bool,
) -> Result<(), redb::Error> {
    let table = match database.begin_read()?.open_table(ALERTS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in table.range(start..)? {
        let (number, value) = entry?;
        if value.value().is_empty() {
            return Err(redb::Error::Corrupted("an alert without its priority".to_owned()));
        }
        if !visit(number.value(), value.value()) {
            break;
        }
    }
    Ok(())
}

fn alert(value: &[u8]) -> Alert {
    let (priority, line) = value.split_first().expect("`each` has looked");
    let priority = Priority::ALL.into_iter().find(|known| *known as u8 == *priority);
    Alert {
        line: String::from_utf8_lossy(line).into_owned(),
        // The database's checksums say that this is what was written, so it is known.
        priority: priority.unwrap_or(Priority::Debug),
    }
}

fn io_error(error: redb::Error) -> io::Error {
    match error {
        redb::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
