//! Notices changed files, whatever way they change: written in place, moved over, swapped by a symbolic link, created later.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// Followed links in one path, so that a loop ends.
const MAX_LINKS: usize = 16;

/// Watches the directories in which files lie, never the files: those are replaced.
#[derive(Debug)]
pub(super) struct Watch {
    /// `None` where the system offers no notifications, so that the files must be looked at now and then.
    watcher: Option<RecommendedWatcher>,
    directories: BTreeSet<PathBuf>,
}

impl Watch {
    /// `on_change` is called on a thread of the watcher, and often: for every change in a watched directory.
    pub(super) fn new(on_change: impl Fn() + Send + 'static) -> Watch {
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Errors count as changes: the queue of notifications may have overflowed.
            if event.is_ok_and(|event| is_no_news(event.kind)) {
                return;
            }
            on_change();
        });
        let watcher = watcher.inspect_err(log_no_notifications).ok();
        Watch { watcher, directories: BTreeSet::new() }
    }

    /// Whether changes go unnoticed, so that the caller has to look by itself.
    pub(super) fn is_blind(&self) -> bool {
        self.watcher.is_none()
    }

    /// Watches what may change these files or directories, and nothing else.
    ///
    /// To be called again after each change: directories may have been created or replaced meanwhile.
    pub(super) fn arm<'a>(&mut self, paths: impl Iterator<Item = &'a Path>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let mut directories = BTreeSet::new();
        paths.for_each(|path| add_directories(path, MAX_LINKS, &mut directories));
        for gone in self.directories.difference(&directories) {
            // An error means that the directory does not exist any more, and the watch with it.
            watcher.unwatch(gone).ok();
        }
        for directory in &directories {
            if !self.directories.contains(directory) {
                tracing::debug!("Watching directory '{}'", directory.display());
            }
            // Also where it is watched already: it may be a new directory of the same name.
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive)
                && directory.exists()
            {
                log_no_notifications(&error);
                self.watcher = None;
                return;
            }
        }
        self.directories = directories;
    }
}

fn log_no_notifications(error: &notify::Error) {
    tracing::warn!("Cannot watch files, looking at them now and then instead: {error}");
}

/// Opening and reading, which we do ourselves, says nothing about a change. A file that is written is looked at when its
/// writer closes it, as in stock: our own output file may lie beside the rules, and gets a line with every alert.
fn is_no_news(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access != AccessKind::Close(AccessMode::Write),
        EventKind::Modify(ModifyKind::Data(_)) => true,
        _ => false,
    }
}

/// Adds the directories whose entries decide what `path` leads to: its parent, or where that does not exist yet, the
/// nearest one that does; itself if it is a directory; and the same for every symbolic link on the way.
fn add_directories(path: &Path, links_left: usize, directories: &mut BTreeSet<PathBuf>) {
    // Without a current directory a relative path leads nowhere, and there is nothing to watch.
    let Ok(path) = std::path::absolute(path) else {
        return;
    };
    if path.is_dir() {
        directories.insert(path.clone());
    }
    let ancestors = path.ancestors().skip(1);
    directories.extend(ancestors.clone().find(|a| a.is_dir()).map(Path::to_owned));
    for prefix in path.ancestors().filter(|prefix| prefix.is_symlink()) {
        let (Some(parent), Ok(target)) = (prefix.parent(), fs::read_link(prefix)) else {
            continue;
        };
        directories.insert(parent.to_owned());
        if links_left > 0 {
            add_directories(&parent.join(target), links_left - 1, directories);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Checks which directories are watched for a path; all paths are relative to the root of a small tree.
    #[track_caller]
    fn check(path: &str, expected: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("mount/..v1")).unwrap();
        fs::write(root.join("mount/..v1/a.yaml"), "").unwrap();
        symlink("..v1", root.join("mount/..data")).unwrap();
        symlink("..data/a.yaml", root.join("mount/a.yaml")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        fs::write(root.join("b.yaml"), "").unwrap();

        let mut found = BTreeSet::new();
        add_directories(&root.join(path), MAX_LINKS, &mut found);
        let expected: BTreeSet<_> = expected
            .iter()
            .map(|name| if name.is_empty() { root.to_owned() } else { root.join(name) })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_is_watched_through_its_directory() {
        check("b.yaml", &[""]);
    }

    #[test]
    fn what_does_not_exist_is_watched_through_the_nearest_directory() {
        check("later.yaml", &[""]);
        check("later.d/sub/x.yaml", &[""]);
    }

    #[test]
    fn a_directory_is_watched_with_its_parent() {
        check("mount", &["", "mount"]);
    }

    #[test]
    fn a_config_map_is_watched_where_its_links_are_swapped() {
        check("mount/a.yaml", &["mount", "mount/..data", "mount/..v1"]);
    }

    #[test]
    fn a_loop_of_links_ends() {
        check("loop", &[""]);
    }
}
