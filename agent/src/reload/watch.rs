//! Notices changed files, whatever way they change: written in place, moved over, swapped by a symbolic link, created later.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// Followed links in one path, so that a loop ends.
const MAX_LINKS: usize = 16;

/// Watches the directories in which files lie, never the files: those are replaced.
#[derive(Debug)]
pub(super) struct Watch {
    /// `None` where the system offers no notifications, so that the files must be looked at now and then.
    watcher: Option<RecommendedWatcher>,
    /// Shared with the thread of the watcher.
    watched: Arc<ArcSwap<Watched>>,
}

/// What is watched, and which changes there matter.
#[derive(Debug, Default)]
struct Watched {
    directories: BTreeSet<PathBuf>,
    /// Those of them that were named, so that whatever is in them matters.
    whole: BTreeSet<PathBuf>,
    /// In the others what is so called: it stands on the way to a file. Names only, since the system may tell a directory by
    /// another one of its paths.
    names: BTreeSet<OsString>,
}

impl Watch {
    /// `on_change` is called on a thread of the watcher for every change that may be one of what is watched.
    pub(super) fn new(on_change: impl Fn() + Send + 'static) -> Watch {
        let watched = Arc::<ArcSwap<Watched>>::default();
        let of_watcher = Arc::clone(&watched);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Errors count as changes: the queue of notifications may have overflowed.
            if event
                .is_ok_and(|event| is_no_news(event.kind) || !of_watcher.load().concerns(&event))
            {
                return;
            }
            on_change();
        });
        let watcher = watcher.inspect_err(log_no_notifications).ok();
        Watch { watcher, watched }
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
        let mut new = Watched::default();
        paths.for_each(|path| new.add(path, true, MAX_LINKS));
        let new = Arc::new(new);
        // First what matters, then the watching, so that no change is passed over.
        let old = self.watched.swap(Arc::clone(&new));
        for gone in old.directories.difference(&new.directories) {
            // An error means that the directory does not exist any more, and the watch with it.
            watcher.unwatch(gone).ok();
        }
        for directory in &new.directories {
            if !old.directories.contains(directory) {
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
    }
}

impl Watched {
    /// Adds the directories whose entries decide what `path` leads to: its parent, or where that does not exist yet, the
    /// nearest one that does; itself if it is a directory; and the same for every symbolic link on the way.
    fn add(&mut self, path: &Path, is_named: bool, links_left: usize) {
        // Without a current directory a relative path leads nowhere, and there is nothing to watch.
        let Ok(path) = std::path::absolute(path) else {
            return;
        };
        self.names.extend(path.iter().map(OsStr::to_owned));
        if path.is_dir() {
            self.directories.insert(path.clone());
            if is_named {
                self.whole.insert(path.clone());
            }
        }
        let ancestors = path.ancestors().skip(1);
        self.directories.extend(ancestors.clone().find(|a| a.is_dir()).map(Path::to_owned));
        for prefix in path.ancestors().filter(|prefix| prefix.is_symlink()) {
            let (Some(parent), Ok(target)) = (prefix.parent(), fs::read_link(prefix)) else {
                continue;
            };
            self.directories.insert(parent.to_owned());
            if links_left > 0 {
                self.add(&parent.join(target), is_named && prefix == path, links_left - 1);
            }
        }
    }

    /// Whether the event may change what the watched paths lead to.
    fn concerns(&self, event: &Event) -> bool {
        let is_on_the_way = |path: &PathBuf| {
            path.file_name().is_none_or(|name| self.names.contains(name))
                || path.parent().is_some_and(|directory| self.whole.contains(directory))
        };
        event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(is_on_the_way)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use notify::event::Flag;

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

        let mut found = Watched::default();
        found.add(&root.join(path), true, MAX_LINKS);
        let expected: BTreeSet<_> = expected
            .iter()
            .map(|name| if name.is_empty() { root.to_owned() } else { root.join(name) })
            .collect();
        assert_eq!(found.directories, expected);
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

    /// Checks whether a change at `changed` matters, of which the system may tell by another path of the same directory.
    #[track_caller]
    fn check_concerns(watched: &str, changed: &str, expected: bool) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("rules.d")).unwrap();
        fs::create_dir_all(root.join("mount/..v1")).unwrap();
        fs::write(root.join("mount/..v1/a.yaml"), "").unwrap();
        symlink("..v1", root.join("mount/..data")).unwrap();
        symlink("..data/a.yaml", root.join("mount/a.yaml")).unwrap();
        let mut found = Watched::default();
        found.add(&root.join(watched), true, MAX_LINKS);
        let event = Event::new(EventKind::Any).add_path(root.join(changed));
        assert_eq!(found.concerns(&event), expected, "{found:?}");
    }

    #[test]
    fn what_lies_beside_a_file_does_not_matter() {
        check_concerns("rules.yaml", "rules.yaml", true);
        check_concerns("rules.yaml", "alerts.jsonl", false);
        check_concerns("later.d/sub/x.yaml", "later.d", true);
        check_concerns("later.d/sub/x.yaml", "alerts.jsonl", false);
    }

    #[test]
    fn all_that_is_in_a_directory_matters() {
        check_concerns("rules.d", "rules.d/new.yaml", true);
        check_concerns("rules.d", "rules.d", true);
        check_concerns("rules.d", "alerts.jsonl", false);
    }

    #[test]
    fn a_swapped_link_matters_and_the_file_it_leads_to() {
        check_concerns("mount/a.yaml", "mount/..data", true);
        check_concerns("mount/a.yaml", "mount/..v1/a.yaml", true);
        check_concerns("mount/a.yaml", "mount/..data/a.yaml", true);
        check_concerns("mount/a.yaml", "mount/..data/alerts.jsonl", false);
    }

    #[test]
    fn a_full_queue_of_notifications_matters() {
        let event = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(Watched::default().concerns(&event));
    }
}
