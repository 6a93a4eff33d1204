//! Alerts on disk, oldest first: what an output cannot deliver now waits there, also across restarts.
//!
//! A spool is a row of segments, small databases that are deleted once their alerts are delivered. So the disk space comes
//! back, and what a damaged file costs is bounded. Everything is synced before [`Spool::append`] returns.

mod segment;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use self::segment::{OpenError, Segment};
use super::Pending;

/// A segment that has taken this much is followed by the next one, or less in a small spool.
const SEGMENT_BYTES: u64 = 4 << 20;
/// How many segments a small spool has.
const SEGMENTS: u64 = 8;

/// The stored alerts of one output.
#[derive(Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    output: &'static str,
    max_bytes: u64,
    /// Oldest first; all but the last have alerts.
    segments: VecDeque<Segment>,
    /// The number of the next alert.
    next: u64,
    /// Alerts up to this number are delivered, even where they could not be removed yet.
    removed_to: u64,
}

/// Some of the oldest alerts.
#[derive(Debug, Default)]
pub(super) struct Front {
    pub(super) alerts: Pending,
    /// Their numbers.
    pub(super) numbers: VecDeque<u64>,
}

impl Spool {
    /// Opens the spool of `output` in a directory, which is made where it is missing. The number is that of damaged files.
    ///
    /// # Errors
    ///
    /// When the directory or a file cannot be used. A damaged file is no error: it is set aside.
    pub(super) fn open(
        directory: &Path,
        output: &'static str,
        max_bytes: u64,
    ) -> io::Result<(Self, u64)> {
        fs::create_dir_all(directory)?;
        let mut spool = Spool {
            directory: directory.to_owned(),
            output,
            max_bytes,
            segments: VecDeque::new(),
            next: 1,
            removed_to: 0,
        };
        let mut damaged = 0;
        for (number, path) in spool.files()? {
            match Segment::open(path.clone(), number) {
                Ok(segment) => {
                    spool.next = spool.next.max(segment.end);
                    spool.segments.push_back(segment);
                }
                Err(OpenError::Damaged(error)) => {
                    let aside = path.with_extension("damaged");
                    fs::rename(&path, &aside)?;
                    tracing::error!(
                        "{output}: a file of the spool is damaged ({error}), set aside as {}: its alerts are not delivered",
                        aside.display()
                    );
                    damaged += 1;
                    spool.next = spool.next.max(number + 1);
                }
                Err(OpenError::Io(error)) => return Err(error),
            }
        }
        spool.delete_empty();
        // Now, and not with the first alert that needs it, it turns out whether alerts can be stored.
        if spool.segments.is_empty() {
            spool.add_segment()?;
        }
        Ok((spool, damaged))
    }

    /// The segments' files by the number of their first alert.
    fn files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(rest) = name.strip_prefix(self.output).and_then(|r| r.strip_prefix('-'))
            else {
                continue;
            };
            if let Some(number) = rest.strip_suffix(".spool").and_then(|n| n.parse().ok()) {
                files.push((number, path));
            } else if rest.ends_with(".new") {
                // Left by a crash: nothing was stored in it yet.
                fs::remove_file(&path)?;
            }
        }
        files.sort();
        Ok(files)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.alerts() == 0
    }

    /// How many alerts wait.
    pub(super) fn alerts(&self) -> u64 {
        let waits = |segment: &&Segment| segment.end > self.removed_to + 1;
        self.segments.iter().filter(waits).map(|segment| segment.alerts).sum()
    }

    /// How much room they take of `max_bytes`.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Stores alerts from the front and takes them off, as many as there is room for. They are on disk when this returns.
    ///
    /// # Errors
    ///
    /// When nothing could be stored.
    pub(super) fn append(&mut self, alerts: &mut Pending) -> io::Result<()> {
        let room = self.max_bytes.saturating_sub(self.bytes());
        let mut bytes = 0;
        let fits = alerts.iter().take_while(|alert| {
            bytes += segment::size(alert);
            bytes <= room
        });
        let count = fits.count();
        if count == 0 {
            return Ok(());
        }
        if self.segments.back().is_none_or(|segment| segment.bytes_ever >= self.segment_bytes()) {
            self.add_segment()?;
        }
        let next = self.next;
        let last = self.segments.back_mut().expect("one was added");
        last.append(next, alerts.iter().take(count))?;
        self.next += count as u64;
        alerts.drain(..count);
        Ok(())
    }

    /// Reads the oldest alerts, about `bytes` of them; at least one if there is one.
    pub(super) fn front(&mut self, bytes: u64) -> io::Result<Front> {
        let start = self.removed_to + 1;
        let Some(segment) = self.segments.iter_mut().find(|segment| segment.end > start) else {
            return Ok(Front::default());
        };
        segment.read(start, bytes)
    }

    /// Removes all alerts up to this number.
    ///
    /// # Errors
    ///
    /// When the disk fails; the alerts do not come back before a restart nevertheless.
    pub(super) fn remove_to(&mut self, last: u64) -> io::Result<()> {
        self.removed_to = self.removed_to.max(last);
        for segment in self.segments.iter_mut().filter(|segment| segment.alerts > 0) {
            segment.remove(0, |_, number| number <= last)?;
            if segment.alerts > 0 {
                break;
            }
        }
        self.delete_empty();
        Ok(())
    }

    /// The number of the last alert that was stored.
    pub(super) fn last(&self) -> u64 {
        self.next - 1
    }

    pub(super) fn has_room_for(&self, alerts: &Pending) -> bool {
        self.bytes() + total_size(alerts) <= self.max_bytes
    }

    /// Removes the oldest alerts after number `after` until there is room for `alerts`; returns how many.
    pub(super) fn drop_oldest(&mut self, after: u64, alerts: &Pending) -> io::Result<u64> {
        let (before, goal) = (self.alerts(), self.max_bytes.saturating_sub(total_size(alerts)));
        let mut used = self.bytes();
        for segment in &mut self.segments {
            if used <= goal {
                break;
            }
            let bytes = segment.bytes;
            segment.remove(after + 1, |freed, _| used - freed > goal)?;
            used -= bytes - segment.bytes;
        }
        self.delete_empty();
        Ok(before - self.alerts())
    }

    fn segment_bytes(&self) -> u64 {
        SEGMENT_BYTES.min(self.max_bytes / SEGMENTS)
    }

    fn add_segment(&mut self) -> io::Result<()> {
        let path = self.directory.join(format!("{}-{:020}.spool", self.output, self.next));
        let segment = Segment::create(path, self.next)?;
        File::open(&self.directory)?.sync_all()?;
        self.segments.push_back(segment);
        Ok(())
    }

    /// Deletes segments that were used up. The last one stays while it has room for more.
    fn delete_empty(&mut self) {
        while let Some(first) = self.segments.front()
            && first.alerts == 0
            && (self.segments.len() > 1 || first.bytes_ever >= self.segment_bytes())
        {
            let path = self.segments.pop_front().expect("there is a first").into_path();
            if let Err(error) = fs::remove_file(&path) {
                tracing::error!("cannot delete {}: {error}", path.display());
            }
        }
    }
}

fn total_size(alerts: &Pending) -> u64 {
    alerts.iter().map(|alert| segment::size(alert)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::tests::pending;
    use super::*;

    const MAX: u64 = 80_000;

    fn open(folder: &Path) -> (Spool, u64) {
        Spool::open(folder, "http", MAX).unwrap()
    }

    fn lines(spool: &mut Spool) -> Vec<String> {
        let front = spool.front(u64::MAX).unwrap();
        assert_eq!(front.alerts.len(), front.numbers.len());
        front.alerts.iter().map(|alert| alert.line.clone()).collect()
    }

    #[test]
    fn alerts_survive_a_restart_until_they_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(folder.path());
        spool.append(&mut pending(&["a", "b"])).unwrap();
        spool.append(&mut pending(&["c"])).unwrap();
        drop(spool);
        let (mut spool, damaged) = open(folder.path());
        assert_eq!(
            (lines(&mut spool), spool.alerts(), damaged),
            (["a", "b", "c"].map(String::from).to_vec(), 3, 0)
        );
        spool.remove_to(2).unwrap();
        drop(spool);
        let (mut spool, _) = open(folder.path());
        assert_eq!((lines(&mut spool), spool.bytes()), (vec!["c".to_owned()], 33));
        spool.append(&mut pending(&["d"])).unwrap();
        assert_eq!((lines(&mut spool), spool.last()), (vec!["c".to_owned(), "d".to_owned()], 4));
        // The spools of other outputs are others.
        assert!(Spool::open(folder.path(), "file", MAX).unwrap().0.is_empty());
    }

    #[test]
    fn room_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(folder.path(), "http", 70).unwrap();
        let mut alerts = pending(&["a", "b", "c"]);
        spool.append(&mut alerts).unwrap();
        assert_eq!((alerts.len(), spool.alerts()), (1, 2));
        assert_eq!(spool.drop_oldest(1, &alerts).unwrap(), 1);
        spool.append(&mut alerts).unwrap();
        // The second went, since the first was not to be touched.
        assert_eq!((spool.alerts(), lines(&mut spool)), (2, vec!["a".to_owned()]));
        spool.remove_to(1).unwrap();
        assert_eq!(lines(&mut spool), ["c"]);
    }

    #[test]
    fn what_is_delivered_gives_its_disk_space_back() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(folder.path());
        let large = "x".repeat(3000);
        for _ in 0..20 {
            spool.append(&mut pending(&[&large])).unwrap();
        }
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        assert!(files() >= 5, "{}", files());
        spool.remove_to(19).unwrap();
        assert_eq!((files(), spool.alerts()), (1, 1));
        drop(spool);
        let (mut spool, _) = open(folder.path());
        assert_eq!(lines(&mut spool), [large]);
    }

    /// Wherever a file is damaged, the others keep their alerts, and what can be read is what was written.
    #[test]
    fn a_damaged_file_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(folder.path());
        let large = "x".repeat(10_000);
        spool.append(&mut pending(&["a", &large])).unwrap();
        spool.append(&mut pending(&["b", "c"])).unwrap();
        let (_, path) = spool.files().unwrap().remove(1);
        drop(spool);
        let good = std::fs::read(&path).unwrap();
        let (mut set_aside, mut whole) = (0, 0);
        for step in 0..60 {
            let mut bad = good.clone();
            match step % 4 {
                0 => bad.truncate(good.len() * step / 60),
                1 => bad[step * 97 % 4096] ^= 1 << (step % 8),
                2 => bad[good.len() * step / 60..].fill(0),
                _ => bad[good.len() * step / 60] ^= 0xff,
            }
            std::fs::write(&path, &bad).unwrap();
            let (mut spool, damaged) = open(folder.path());
            assert_eq!(lines(&mut spool)[0], "a");
            spool.remove_to(2).unwrap();
            let left = lines(&mut spool);
            match damaged {
                0 => assert!(matches!(left.len(), 0 | 2), "{step}: {left:?}"),
                _ => assert_eq!((damaged, left.len()), (1, 0), "{step}"),
            }
            (set_aside, whole) = (set_aside + damaged, whole + u64::from(!left.is_empty()));
            // It goes on.
            spool.append(&mut pending(&["d"])).unwrap();
            assert_eq!(lines(&mut spool).last().unwrap(), "d");
            spool.remove_to(u64::MAX - 1).unwrap();
            drop(spool);
            std::fs::remove_dir_all(folder.path()).unwrap();
            let (mut spool, _) = open(folder.path());
            spool.append(&mut pending(&["a", &large])).unwrap();
        }
        assert!(set_aside > 10 && whole > 0, "{set_aside} set aside, {whole} whole");
    }

    #[test]
    fn a_second_agent_does_not_get_the_spool() {
        let folder = tempfile::tempdir().unwrap();
        let _first = open(folder.path());
        Spool::open(folder.path(), "http", MAX).unwrap_err();
    }
}
