//! A chunk of whole lines, and how it gets into a plugin's pipe.

use std::fs::File;
use std::io::{self, PipeWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use super::read_error;
use crate::app::AppError;

/// What is looked at in one go to find the end of a line: most lines are shorter.
const LOOK_BYTES: usize = 4 << 10;

/// What is copied in one go where the kernel cannot hand out pages.
const COPY_BYTES: usize = 64 << 10;

/// Whole lines.
#[derive(Debug)]
pub(super) enum Chunk {
    /// That were unpacked.
    Text(Vec<u8>),
    /// That stand in a file: the kernel hands its pages to the plugin, and they are copied once as in a run.
    Lines { of: Arc<OpenFile>, range: Range<u64> },
}

#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    file: File,
}

/// Cuts a file that is not packed.
#[derive(Debug)]
pub(super) struct PlainFile {
    file: Arc<OpenFile>,
    position: u64,
    length: u64,
}

impl PlainFile {
    pub(super) fn new(file: File, path: &Path, length: u64) -> PlainFile {
        let file = Arc::new(OpenFile { path: path.to_owned(), file });
        PlainFile { file, position: 0, length }
    }

    /// The next lines, of at least so many bytes together if there are so many; `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn next_chunk(&mut self, bytes: u64) -> io::Result<Option<Chunk>> {
        if self.position == self.length {
            return Ok(None);
        }
        let start = self.position;
        // The line that the last of these bytes belongs to.
        self.position = self.end_of_line(start.saturating_add(bytes - 1))?;
        let of = Arc::clone(&self.file);
        Ok(Some(Chunk::Lines { of, range: start..self.position }))
    }

    /// The position behind the first end of a line at or after `position`.
    fn end_of_line(&self, mut position: u64) -> io::Result<u64> {
        let mut buffer = [0; LOOK_BYTES];
        while position < self.length {
            let read = self.file.file.read_at(&mut buffer, position)?;
            if read == 0 {
                break;
            }
            if let Some(end) = memchr::memchr(b'\n', &buffer[..read]) {
                return Ok((position + end as u64 + 1).min(self.length));
            }
            position += read as u64;
        }
        Ok(self.length)
    }
}

impl Chunk {
    pub(super) fn length(&self) -> u64 {
        match self {
            Chunk::Text(text) => text.len() as u64,
            Chunk::Lines { range, .. } => range.end - range.start,
        }
    }

    /// Writes the lines, the last with its end even if the file has none. `None` if the plugin does not read any more.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn write_to(&self, pipe: &mut PipeWriter) -> Result<Option<()>, AppError> {
        match self {
            Chunk::Text(text) => Ok(pipe.write_all(text).ok()),
            Chunk::Lines { of, range } => {
                of.write_to(range.clone(), pipe).map_err(|error| read_error(&of.path, error))
            }
        }
    }
}

impl OpenFile {
    fn write_to(&self, range: Range<u64>, pipe: &mut PipeWriter) -> io::Result<Option<()>> {
        let mut position = range.start;
        while position < range.end {
            let rest = (range.end - position) as usize;
            let flags = SpliceFlags::empty();
            match splice(&self.file, Some(&mut position), &mut *pipe, None, rest, flags) {
                // Somebody has cut the file meanwhile.
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::PIPE) => return Ok(None),
                // Some file systems hand out no pages.
                Err(Errno::INVAL) => match self.copy_to(position..range.end, pipe)? {
                    Some(0) => break,
                    Some(copied) => position += copied as u64,
                    None => return Ok(None),
                },
                Err(error) => return Err(error.into()),
            }
        }
        let mut last = [0];
        self.file.read_at(&mut last, range.end - 1)?;
        // The next file's first line must not go on with this one's last.
        let is_ended = last == *b"\n" || pipe.write_all(b"\n").is_ok();
        Ok(is_ended.then_some(()))
    }

    /// Copies the first bytes of a range, and tells how many: 0 behind the end of the file, `None` if the plugin does not read any more.
    fn copy_to(&self, range: Range<u64>, pipe: &mut PipeWriter) -> io::Result<Option<usize>> {
        let mut buffer = [0; COPY_BYTES];
        let wanted = (range.end - range.start).min(COPY_BYTES as u64) as usize;
        let read = self.file.read_at(&mut buffer[..wanted], range.start)?;
        Ok(pipe.write_all(&buffer[..read]).is_ok().then_some(read))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_cannot_be_handed_out_is_copied() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\nthree\n").unwrap();
        let file = OpenFile { path: PathBuf::new(), file };
        let (mut from, mut to) = io::pipe().unwrap();

        assert_eq!(file.copy_to(4..8, &mut to).unwrap(), Some(4));
        assert_eq!(file.copy_to(14..20, &mut to).unwrap(), Some(0));

        drop(to);
        let mut copied = String::new();
        from.read_to_string(&mut copied).unwrap();
        assert_eq!(copied, "two\n");
    }
}
