//! Waiting until something may have changed: inotify where it works, time where it does not.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    time::Duration,
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};

use crate::Notice;

/// Wakes the follower up when a watched directory changes.
///
/// Only a hint that saves latency: symlinks to elsewhere, network file systems and an overflown
/// queue stay silent, so the follower polls as well.
#[derive(Debug)]
pub(crate) struct Wakeup {
    watcher: Option<RecommendedWatcher>,
    changes: Receiver<()>,
    names_changed: Arc<AtomicBool>,
    watched: HashSet<PathBuf>,
}

impl Wakeup {
    pub(crate) fn new(notices: &mut Vec<Notice>) -> Self {
        // One slot: a second wake-up before the first is taken would say the same.
        let (sender, changes) = sync_channel(1);
        let names_changed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&names_changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            match event.map(|event| event.kind) {
                // Our own reads are such events, too.
                Ok(EventKind::Access(_)) => return,
                Ok(EventKind::Modify(ModifyKind::Data(_))) => {}
                Ok(_) | Err(_) => flag.store(true, Ordering::Relaxed),
            }
            // Full means that a wake-up waits already, closed that the follower is gone.
            sender.try_send(()).ok();
        });
        let watcher = watcher
            .map_err(|source| {
                notices.push(Notice::Unwatched { path: PathBuf::from("files"), source });
            })
            .ok();
        Self { watcher, changes, names_changed, watched: HashSet::new() }
    }

    /// Watches a directory from now on, if it exists.
    pub(crate) fn watch(&mut self, directory: &Path, notices: &mut Vec<Notice>) {
        let Some(watcher) = &mut self.watcher else { return };
        if self.watched.contains(directory) || !directory.is_dir() {
            return;
        }
        self.watched.insert(directory.to_owned());
        if let Err(source) = watcher.watch(directory, RecursiveMode::NonRecursive) {
            notices.push(Notice::Unwatched { path: directory.to_owned(), source });
        }
    }

    /// Waits for a change, at most as long as `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) {
        if self.watcher.is_none() {
            // Nothing will be sent; without a watcher the sender is gone, and `recv` would not wait.
            std::thread::sleep(timeout);
        } else {
            // Time out or change: the caller looks at the files in both cases.
            self.changes.recv_timeout(timeout).ok();
        }
    }

    /// True once after files were made, renamed or removed.
    pub(crate) fn take_names_changed(&self) -> bool {
        self.names_changed.swap(false, Ordering::Relaxed)
    }
}
