//! One open file that is being read.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    Notice,
    batch::Batch,
    checkpoint::{Checkpoint, Fingerprint, Position},
    paths::Identity,
    splitter::{LineSplitter, Split},
};

/// An open file and how far it was read.
#[derive(Debug)]
pub(crate) struct FollowedFile {
    pub(crate) path: Arc<Path>,
    pub(crate) identity: Identity,
    /// Since when the path leads elsewhere or nowhere.
    pub(crate) replaced_at: Option<Instant>,
    file: File,
    fingerprint: Fingerprint,
    splitter: LineSplitter,
    read_offset: u64,
    lines: u64,
    acknowledged: Position,
    last_data: Instant,
    /// Size and modification time when there was nothing to read.
    idle_at: Option<(u64, SystemTime)>,
}

/// What one read gave.
pub(crate) enum Progress {
    Bytes(usize),
    EndOfFile,
}

impl FollowedFile {
    pub(crate) fn open(path: &Path, line_limit: usize) -> io::Result<Self> {
        let file = File::open(path)?;
        let identity = Identity::of(&file.metadata()?);
        Ok(Self {
            path: Arc::from(path),
            identity,
            replaced_at: None,
            file,
            fingerprint: Fingerprint::EMPTY,
            splitter: LineSplitter::new(line_limit),
            read_offset: 0,
            lines: 0,
            acknowledged: Position::default(),
            last_data: Instant::now(),
            idle_at: None,
        })
    }

    /// True if the checkpoint was taken of this file.
    pub(crate) fn is_the_one_of(&self, checkpoint: &Checkpoint) -> io::Result<bool> {
        Ok(checkpoint.inode == self.identity.inode
            && self.file.metadata()?.len() >= checkpoint.position.offset
            && checkpoint.fingerprint.matches(&self.file)?)
    }

    /// Goes to a known position; the file was not read yet.
    pub(crate) fn resume(&mut self, checkpoint: &Checkpoint) {
        self.read_offset = checkpoint.position.offset;
        self.lines = checkpoint.position.lines;
        self.acknowledged = checkpoint.position;
        self.fingerprint = checkpoint.fingerprint;
    }

    /// Goes after the last line that has ended; its start is where a half-written line begins.
    pub(crate) fn skip_to_end(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let (mut offset, mut position) = (0, Position::default());
        loop {
            let read = self.file.read_at(buffer, offset)?;
            if read == 0 {
                break;
            }
            for end in memchr::memchr_iter(b'\n', &buffer[..read]) {
                position = Position { offset: offset + end as u64 + 1, lines: position.lines + 1 };
            }
            offset += read as u64;
        }
        self.read_offset = position.offset;
        self.lines = position.lines;
        self.acknowledged = position;
        self.fingerprint = Fingerprint::take(&self.file, position.offset)?;
        Ok(())
    }

    /// Reads the next chunk and adds the lines that ended to the batch.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        batch: &mut Batch,
        notices: &mut Vec<Notice>,
    ) -> io::Result<Progress> {
        let metadata = self.file.metadata()?;
        let state = (metadata.len(), metadata.modified()?);
        if self.idle_at == Some(state) {
            return Ok(Progress::EndOfFile);
        }
        if self.is_truncated(&metadata)? {
            notices.push(Notice::Truncated { path: self.path.to_path_buf() });
            self.rewind();
        }
        let read = self.file.read_at(buffer, self.read_offset)?;
        if read == 0 {
            self.idle_at = Some(state);
            return Ok(Progress::EndOfFile);
        }
        self.idle_at = None;
        self.last_data = Instant::now();
        self.read_offset += read as u64;
        let (path, lines) = (&self.path, &mut self.lines);
        self.splitter.push(&buffer[..read], |split| add(split, path, lines, batch, notices));
        if !self.fingerprint.is_complete() {
            self.fingerprint = Fingerprint::take(&self.file, self.read_offset)?;
        }
        Ok(Progress::Bytes(read))
    }

    /// True if a replaced file was silent so long that nobody writes it any more.
    pub(crate) fn is_drained(&self, grace: Duration) -> bool {
        self.replaced_at.is_some_and(|at| at.elapsed() >= grace)
            && self.last_data.elapsed() >= grace
            && (self.has_successor() || self.file.metadata().is_ok_and(|now| now.nlink() == 0))
    }

    /// Ends the file: nobody will write the line feed of its last line.
    pub(crate) fn finish(&mut self, batch: &mut Batch, notices: &mut Vec<Notice>) {
        let (path, lines) = (&self.path, &mut self.lines);
        self.splitter.finish(|split| add(split, path, lines, batch, notices));
    }

    /// Everything handed out so far was processed.
    pub(crate) fn acknowledge(&mut self) {
        let offset = self.read_offset - self.splitter.pending() as u64;
        self.acknowledged = Position { offset, lines: self.lines };
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            path: PathBuf::from(&*self.path),
            inode: self.identity.inode,
            position: self.acknowledged,
            fingerprint: self.fingerprint,
        }
    }

    fn has_successor(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|now| Identity::of(&now) != self.identity)
    }

    /// A file may be cut and grow over the old position between two looks, hence the fingerprint.
    fn is_truncated(&self, metadata: &Metadata) -> io::Result<bool> {
        Ok(metadata.len() < self.read_offset || !self.fingerprint.matches(&self.file)?)
    }

    fn rewind(&mut self) {
        self.read_offset = 0;
        self.lines = 0;
        self.splitter.reset();
        self.fingerprint = Fingerprint::EMPTY;
    }
}

fn add(
    split: Split<'_>,
    path: &Arc<Path>,
    lines: &mut u64,
    batch: &mut Batch,
    notices: &mut Vec<Notice>,
) {
    *lines += 1;
    match split {
        Split::Line(text) => batch.push(path, *lines, text),
        Split::TooLong { length } => {
            notices.push(Notice::LineTooLong { path: path.to_path_buf(), number: *lines, length });
        }
    }
}
