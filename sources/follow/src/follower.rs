//! All followed files together.

use std::{
    collections::{HashMap, HashSet},
    fs, io, mem,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    Notice,
    batch::Batch,
    checkpoint::{Checkpoint, Restored, StateFile},
    file::{FollowedFile, Progress},
    paths::{self, FilePattern, Identity},
    wakeup::Wakeup,
};

const CHUNK_BYTES: usize = 64 << 10;

/// What to follow, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which files.
    pub patterns: Vec<FilePattern>,
    /// Where to start in files that exist at the very first start.
    pub start: Start,
    /// Longer lines are skipped.
    pub line_limit: usize,
    /// Where positions are kept; without it, every start is the first.
    pub state_file: Option<PathBuf>,
    /// How often files are looked at when inotify says nothing.
    pub poll_interval: Duration,
    /// How long a replaced file must be silent before it is closed.
    pub grace: Duration,
}

impl Settings {
    /// The defaults: from the end, lines up to 16 MiB, no state file.
    pub fn new(patterns: impl IntoIterator<Item = FilePattern>) -> Self {
        Self {
            patterns: patterns.into_iter().collect(),
            start: Start::End,
            line_limit: 16 << 20,
            state_file: None,
            poll_interval: Duration::from_millis(250),
            grace: Duration::from_secs(5),
        }
    }
}

/// Where reading starts in a file that was there before us and has no known position.
///
/// A file that appears later is always read from its first line.
/// As a setting of a plugin it is a word in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// At the first line.
    Begin,
    /// After the last line that has ended.
    End,
}

/// Why following could not begin.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum OpenError {
    #[error("no file to follow")]
    NoPattern,
    #[error("cannot keep positions in {}", path.display())]
    StateFile { path: PathBuf, source: io::Error },
}

/// Follows files and remembers how far their lines were processed.
#[derive(Debug)]
pub struct Follower {
    settings: Settings,
    files: Vec<FollowedFile>,
    /// Positions of the last run whose files were not met yet.
    unclaimed: Vec<Checkpoint>,
    /// Where to start in files without a position: only the first look may start at the end.
    start: Start,
    state: Option<StateFile>,
    wakeup: Wakeup,
    next_scan: Instant,
    /// The file to read first.
    turn: usize,
    batch: Batch,
    buffer: Vec<u8>,
    notices: Vec<Notice>,
    /// Paths with a reported problem, so that it is reported once.
    troubled: HashSet<PathBuf>,
}

impl Follower {
    /// Starts to follow; files that exist now are positioned before this returns.
    ///
    /// # Errors
    ///
    /// Settings that can never work: no pattern, a state file that cannot be written.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        if settings.patterns.is_empty() {
            return Err(OpenError::NoPattern);
        }
        let mut notices = Vec::new();
        let (mut state, mut unclaimed, mut start) = (None, Vec::new(), settings.start);
        if let Some(path) = &settings.state_file {
            let (file, restored) = StateFile::open(path.clone())?;
            state = Some(file);
            match restored {
                Restored::FirstStart => {}
                // A file without a position came while we were away.
                Restored::Checkpoints(checkpoints) => {
                    (unclaimed, start) = (checkpoints, Start::Begin)
                }
                Restored::Damaged(notice) => {
                    notices.push(notice);
                    start = Start::Begin;
                }
            }
        }
        let mut follower = Self {
            files: Vec::new(),
            unclaimed,
            start,
            state,
            wakeup: Wakeup::new(&mut notices),
            next_scan: Instant::now(),
            turn: 0,
            batch: Batch::default(),
            buffer: vec![0; CHUNK_BYTES],
            notices,
            troubled: HashSet::new(),
            settings,
        };
        follower.scan();
        follower.start = Start::Begin;
        // From now on a restart knows what was there, even if it comes before the first line.
        follower.write_state();
        Ok(follower)
    }

    /// Hands out the next lines: at once if there are some, else when they come or time is up.
    ///
    /// About `budget_bytes` are read; the last chunk may go over it by 64 KiB and one line.
    pub fn next_lines(&mut self, timeout: Duration, budget_bytes: usize) -> &Batch {
        self.batch.clear();
        let deadline = Instant::now() + timeout;
        loop {
            if self.wakeup.take_names_changed() || Instant::now() >= self.next_scan {
                self.scan();
            }
            let read = self.read_files(budget_bytes);
            let now = Instant::now();
            if !self.batch.is_empty() || read >= budget_bytes || now >= deadline {
                return &self.batch;
            }
            self.wakeup.wait(deadline.min(self.next_scan).saturating_duration_since(now));
        }
    }

    /// All lines handed out so far were processed: a restart goes on after them.
    pub fn acknowledge(&mut self) {
        for file in &mut self.files {
            file.acknowledge();
        }
        self.write_state();
    }

    /// Takes what happened since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        mem::take(&mut self.notices)
    }

    fn write_state(&mut self) {
        let Some(state) = &mut self.state else { return };
        let known = self.files.iter().map(FollowedFile::checkpoint);
        let checkpoints = known.chain(self.unclaimed.iter().cloned()).collect();
        match state.write(checkpoints) {
            Ok(()) => {
                self.troubled.remove(state.path());
            }
            Err(notice) => {
                if self.troubled.insert(state.path().to_owned()) {
                    self.notices.push(notice);
                }
            }
        }
    }

    /// Compares the files that exist now with the open ones.
    fn scan(&mut self) {
        self.next_scan = Instant::now() + self.settings.poll_interval;
        let found = self.find_files();
        let newcomers = self.match_open_files(&found);
        let opened: Vec<_> =
            newcomers.into_iter().filter_map(|path| self.open_file(&path)).collect();
        // Not what was found: a rotation in between may have given the path to another file.
        let new: HashSet<Identity> = opened.iter().map(|(file, _)| file.identity).collect();
        for path in self.named_paths_without_a_file(&found) {
            self.open_rotated(&path, None, &new);
        }
        for (file, is_known) in opened {
            let inode = (!is_known).then_some(file.identity.inode);
            self.open_rotated(&PathBuf::from(&*file.path), Some(inode), &new);
            if is_known {
                self.files.push(file);
            } else {
                self.start(file);
            }
        }
        let patterns = &self.settings.patterns;
        self.unclaimed.retain(|checkpoint| {
            // Kept while the file may come back: it is named, or its directory is not mounted yet.
            patterns.iter().any(
                |pattern| matches!(pattern, FilePattern::Path(path) if *path == checkpoint.path),
            ) || !paths::parent(&checkpoint.path).is_dir()
        });
    }

    /// The files behind the patterns, each once, by the first of its names.
    fn find_files(&mut self) -> Vec<(PathBuf, Identity)> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for path in self.settings.patterns.iter().flat_map(FilePattern::expand).collect::<Vec<_>>()
        {
            self.wakeup.watch(paths::parent(&path), &mut self.notices);
            match fs::metadata(&path) {
                // Opening a pipe would wait for somebody to write.
                Ok(metadata) if !metadata.is_file() => {
                    self.trouble(&path, |path| Notice::NotAFile { path })
                }
                Ok(metadata) => {
                    let identity = Identity::of(&metadata);
                    if seen.insert(identity) {
                        found.push((path, identity));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => self.trouble(&path, |path| Notice::Unreadable { path, source }),
            }
        }
        found
    }

    /// Notes which open files still have a name; returns the paths of files that are not open.
    fn match_open_files(&mut self, found: &[(PathBuf, Identity)]) -> Vec<PathBuf> {
        let names: HashMap<Identity, &PathBuf> =
            found.iter().map(|(path, id)| (*id, path)).collect();
        let mut open = HashSet::new();
        for file in &mut self.files {
            open.insert(file.identity);
            if let Some(path) = names.get(&file.identity) {
                file.replaced_at = None;
                if *file.path != ***path {
                    file.path = path.as_path().into();
                }
            } else if file.replaced_at.is_none() {
                file.replaced_at = Some(Instant::now());
                self.notices.push(Notice::Rotated { path: file.path.to_path_buf() });
            }
        }
        let is_new = |(_, identity): &&(PathBuf, Identity)| !open.contains(identity);
        found.iter().filter(is_new).map(|(path, _)| path.clone()).collect()
    }

    /// Opens a file, at its last known position if there is one (then the second value is true).
    fn open_file(&mut self, path: &Path) -> Option<(FollowedFile, bool)> {
        let unclaimed = &mut self.unclaimed;
        let opened = FollowedFile::open(path, self.settings.line_limit).and_then(|mut file| {
            for index in 0..unclaimed.len() {
                if file.is_the_one_of(&unclaimed[index])? {
                    file.resume(&unclaimed.swap_remove(index));
                    return Ok((file, true));
                }
            }
            Ok((file, false))
        });
        match opened {
            Ok(opened) => {
                self.troubled.remove(path);
                Some(opened)
            }
            Err(source) => {
                self.trouble(path, |path| Notice::Unreadable { path, source });
                None
            }
        }
    }

    /// The named files that are away, but of which a position is known: they may have been rotated.
    fn named_paths_without_a_file(&self, found: &[(PathBuf, Identity)]) -> Vec<PathBuf> {
        let is_away = |path: &PathBuf| {
            self.unclaimed.iter().any(|known| known.path == *path)
                && found.iter().all(|(other, _)| other != path)
        };
        let named = self.settings.patterns.iter().filter_map(|pattern| match pattern {
            FilePattern::Path(path) => Some(path.clone()),
            FilePattern::Glob(_) => None,
        });
        named.filter(is_away).collect()
    }

    /// Opens the files that had the name `path` before and were not read to their end.
    ///
    /// Several rotations may have passed since the last look, above all while we did not run. `newcomer` is the file that has
    /// the name now, if there is one: its inode, unless its position is known. `new` are all files
    /// that were just opened.
    fn open_rotated(
        &mut self,
        path: &Path,
        newcomer: Option<Option<u64>>,
        new: &HashSet<Identity>,
    ) {
        // The same file with another content: it was cut while nobody looked.
        let cut = self
            .unclaimed
            .extract_if(.., |known| known.path == path && newcomer.flatten() == Some(known.inode));
        if cut.count() > 0 {
            self.notices.push(Notice::Truncated { path: path.to_owned() });
        }
        let mut inodes: Vec<u64> = self
            .unclaimed
            .iter()
            .filter(|known| known.path == path)
            .map(|known| known.inode)
            .collect();
        let was_known = !inodes.is_empty();
        let replaced = self.files.iter().rev().find(|open| *open.path == *path);
        inodes.extend(replaced.map(|replaced| replaced.identity.inode));
        if inodes.is_empty() {
            return;
        }
        let rotated = paths::rotated_files(path);
        let first = rotated.iter().position(|(_, identity)| inodes.contains(&identity.inode));
        if first.is_none() && was_known && newcomer.is_some() {
            self.notices.push(Notice::PredecessorGone { path: path.to_owned() });
        }
        for (rotated_path, identity) in &rotated[first.unwrap_or(rotated.len())..] {
            let is_open = self.files.iter().any(|open| open.identity == *identity);
            if is_open || new.contains(identity) {
                continue;
            }
            if let Some((mut rotated, _)) = self.open_file(rotated_path) {
                // Lines are known by the name under which they were written.
                rotated.path = path.into();
                rotated.replaced_at = Some(Instant::now());
                self.files.push(rotated);
            }
        }
        if newcomer.is_some() {
            self.unclaimed.retain(|known| known.path != path);
        }
    }

    fn start(&mut self, mut file: FollowedFile) {
        if self.start == Start::End
            && let Err(source) = file.skip_to_end(&mut self.buffer)
        {
            // Not opened: the next scan tries again.
            let path = file.path.to_path_buf();
            self.trouble(&path, |path| Notice::Unreadable { path, source });
            return;
        }
        self.files.push(file);
    }

    /// Reads what is there, about `budget` bytes; returns how many bytes were read.
    fn read_files(&mut self, budget: usize) -> usize {
        let mut total = 0;
        for _ in 0..self.files.len() {
            let index = self.turn % self.files.len();
            let file = &mut self.files[index];
            loop {
                if total >= budget {
                    // Others go first next time, unless this one must end before its successor.
                    self.turn = index + usize::from(file.replaced_at.is_none());
                    return total;
                }
                match file.read(&mut self.buffer, &mut self.batch, &mut self.notices) {
                    Ok(Progress::Bytes(read)) => {
                        total += read;
                        self.troubled.remove(&*file.path);
                    }
                    Ok(Progress::EndOfFile) => break,
                    Err(source) => {
                        let path = file.path.to_path_buf();
                        if self.troubled.insert(path.clone()) {
                            self.notices.push(Notice::Unreadable { path, source });
                        }
                        break;
                    }
                }
            }
            self.turn = index + 1;
        }
        self.turn = 0;
        self.end_drained_files();
        total
    }

    fn end_drained_files(&mut self) {
        let grace = self.settings.grace;
        for mut file in self.files.extract_if(.., |file| file.is_drained(grace)) {
            // The state file still has its last position, until its last line is acknowledged.
            file.finish(&mut self.batch, &mut self.notices);
        }
    }

    fn trouble(&mut self, path: &Path, notice: impl FnOnce(PathBuf) -> Notice) {
        if self.troubled.insert(path.to_owned()) {
            self.notices.push(notice(path.to_owned()));
        }
    }
}
