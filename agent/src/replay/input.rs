//! Log files, packed or not, as chunks of whole lines.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::chunk::{Chunk, PlainFile};
use super::read_error;
use crate::app::AppError;

/// A chunk is at least so long, save for the last one of a file.
const CHUNK_BYTES: usize = 1 << 20;

/// How packed files begin.
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A file to replay.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// Chunks for whichever worker asks next.
#[derive(Debug)]
pub(super) struct Chunks(Mutex<Receiver<Chunk>>);

impl Chunks {
    pub(super) fn new(received: Receiver<Chunk>) -> Chunks {
        Chunks(Mutex::new(received))
    }

    /// The next chunk; `None` when all files have been read.
    pub(super) fn next(&self) -> Option<Chunk> {
        self.0.lock().ok()?.recv().ok()
    }
}

/// The files at the paths; a directory stands for the files in it, so for a rotated set, without sub-directories.
///
/// # Errors
///
/// When a path is not there.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<LogFile>, AppError> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|error| read_error(path, error))?;
        if !metadata.is_dir() {
            files.push(LogFile { path: path.clone(), bytes: metadata.len() });
            continue;
        }
        for entry in fs::read_dir(path).map_err(|error| read_error(path, error))? {
            let path = entry.map_err(|error| read_error(path, error))?.path();
            let metadata = fs::metadata(&path).map_err(|error| read_error(&path, error))?;
            if metadata.is_file() {
                files.push(LogFile { path, bytes: metadata.len() });
            }
        }
    }
    // Largest first: else one thread might be left alone with it in the end.
    files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    Ok(files)
}

/// Reads files from the queue until it is empty or nobody takes chunks any more.
///
/// # Errors
///
/// When a file cannot be read or unpacked.
pub(super) fn read_files(
    queue: &Mutex<VecDeque<LogFile>>,
    chunks: &SyncSender<Chunk>,
    bytes_read: &AtomicU64,
) -> Result<(), AppError> {
    loop {
        let next = queue.lock().map(|mut files| files.pop_front());
        let Ok(Some(file)) = next else { return Ok(()) };
        let read = read_file(&file.path, chunks, bytes_read);
        if read.map_err(|error| read_error(&file.path, error))?.is_none() {
            return Ok(());
        }
    }
}

/// Sends the lines of a file; `None` if nobody takes them any more.
fn read_file(
    path: &Path,
    chunks: &SyncSender<Chunk>,
    bytes_read: &AtomicU64,
) -> io::Result<Option<()>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut start = Vec::new();
    file.by_ref().take(4).read_to_end(&mut start)?;
    let is_packed = start.starts_with(GZIP) || start == ZSTD;
    // What has no length, such as a pipe, is read as it comes.
    if metadata.is_file() && metadata.len() > 0 && !is_packed {
        let mut plain = PlainFile::new(file, path, metadata.len());
        while let Some(chunk) = plain.next_chunk(CHUNK_BYTES as u64)? {
            bytes_read.fetch_add(chunk.length(), Ordering::Relaxed);
            if chunks.send(chunk).is_err() {
                return Ok(None);
            }
        }
        return Ok(Some(()));
    }
    bytes_read.fetch_add(start.len() as u64, Ordering::Relaxed);
    let mut text = unpacked(start, Counted { file, bytes_read })?;
    let mut rest = Vec::new();
    loop {
        let mut chunk = std::mem::take(&mut rest);
        chunk.reserve(CHUNK_BYTES);
        let read = text.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        if read == 0 {
            if !chunk.is_empty() {
                // The next file's first line must not go on with it.
                chunk.push(b'\n');
            }
            return Ok(if chunk.is_empty() || chunks.send(Chunk::Text(chunk)).is_ok() {
                Some(())
            } else {
                None
            });
        }
        match memchr::memrchr(b'\n', &chunk) {
            Some(end) => {
                rest = chunk.split_off(end + 1);
                if chunks.send(Chunk::Text(chunk)).is_err() {
                    return Ok(None);
                }
            }
            None => rest = chunk,
        }
    }
}

/// Tells by the first bytes how a file is packed, which have been read.
fn unpacked<'r>(start: Vec<u8>, file: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let is_gzip = start.starts_with(GZIP);
    let is_zstd = start == ZSTD;
    let whole = io::Cursor::new(start).chain(file);
    Ok(if is_gzip {
        Box::new(MultiGzDecoder::new(whole))
    } else if is_zstd {
        Box::new(StreamingDecoder::new(whole).map_err(io::Error::other)?)
    } else {
        Box::new(whole)
    })
}

/// Counts what is read of a file as it lies on disk.
struct Counted<'c> {
    file: File,
    bytes_read: &'c AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
