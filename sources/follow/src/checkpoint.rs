//! Where reading stopped, kept in one JSON file.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Notice, OpenError};

/// How much of a file's beginning identifies it. A line of any log has its time in the first
/// kilobyte, and an audit event its `auditID`, so two files do not start alike.
const FINGERPRINT_BYTES: u64 = 1024;

/// The position after the last line that was processed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) path: PathBuf,
    // No device: its number changes across reboots. The fingerprint tells reused inodes apart.
    pub(crate) inode: u64,
    pub(crate) position: Position,
    pub(crate) fingerprint: Fingerprint,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Bytes before the next line.
    pub(crate) offset: u64,
    /// Lines before the next line.
    pub(crate) lines: u64,
}

/// A hash of a file's first bytes: log lines may hold secrets, so they are not kept themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    length: u64,
    hash: u64,
}

impl Fingerprint {
    /// Of a file of which nothing was read.
    pub(crate) const EMPTY: Self = Self { length: 0, hash: FNV_OFFSET };

    /// Takes the fingerprint of a file of which `available` bytes were read.
    pub(crate) fn take(file: &File, available: u64) -> io::Result<Self> {
        let length = available.min(FINGERPRINT_BYTES);
        let mut bytes = [0; FINGERPRINT_BYTES as usize];
        let bytes = &mut bytes[..length as usize];
        file.read_exact_at(bytes, 0)?;
        Ok(Self { length, hash: fnv1a(bytes) })
    }

    /// True if the file still starts as it did when the fingerprint was taken.
    pub(crate) fn matches(&self, file: &File) -> io::Result<bool> {
        match Self::take(file, self.length) {
            Ok(now) => Ok(now == *self),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// True if reading on would not change it.
    pub(crate) fn is_complete(&self) -> bool {
        self.length == FINGERPRINT_BYTES
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: unlike the hashes of std, it is the same in every release.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(FNV_OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The state file and what was last written to it.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    written: Option<Vec<Checkpoint>>,
}

/// What the state file said at the start.
#[derive(Debug)]
pub(crate) enum Restored {
    /// There is none yet.
    FirstStart,
    Checkpoints(Vec<Checkpoint>),
    Damaged(Notice),
}

impl StateFile {
    /// Reads the state file, and checks that it can be written, so that a wrong path is known now.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, Restored), OpenError> {
        let failed = |source| OpenError::StateFile { path: path.clone(), source };
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let restored = match fs::read(&path) {
            Ok(text) => match serde_json::from_slice::<Vec<Checkpoint>>(&text) {
                Ok(checkpoints) => Restored::Checkpoints(checkpoints),
                Err(source) => {
                    Restored::Damaged(Notice::StateDamaged { path: path.clone(), source })
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Restored::FirstStart,
            Err(error) => return Err(failed(error)),
        };
        let temporary = temporary_path(&path);
        File::create(&temporary).and_then(|_| fs::remove_file(&temporary)).map_err(failed)?;
        Ok((Self { path, written: None }, restored))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file's content in one step, if it would change.
    ///
    /// Not synced: this happens with every batch. A rename survives the end of the process; after a
    /// power failure the file may be older or damaged, which repeats lines but loses none.
    pub(crate) fn write(&mut self, checkpoints: Vec<Checkpoint>) -> Result<(), Notice> {
        if self.written.as_ref() == Some(&checkpoints) {
            return Ok(());
        }
        let temporary = temporary_path(&self.path);
        let write = || {
            fs::write(&temporary, serde_json::to_vec(&checkpoints).map_err(io::Error::other)?)?;
            fs::rename(&temporary, &self.path)
        };
        write().map_err(|source| Notice::StateUnwritten { path: self.path.clone(), source })?;
        self.written = Some(checkpoints);
        Ok(())
    }
}

fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}
