//! Files that are mounted one by one, as `subPath` does in Kubernetes: a change of what they come from never reaches them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Says so of each of these files, so that nobody waits for a reload.
pub(super) fn report<'a>(files: impl Iterator<Item = &'a Path>) {
    // Unknown where `/proc` is missing; then nothing is said.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points: Vec<_> = mount_points(&mounts).collect();
    let files: BTreeSet<_> = files.filter(|file| file.is_file()).collect();
    for file in files {
        if file.canonicalize().is_ok_and(|path| points.contains(&path)) {
            tracing::info!(
                "{} is mounted by itself, so it may never change while this runs; mount its folder to have changes noticed",
                file.display()
            );
        }
    }
}

/// Source: `proc_pid_mountinfo(5)`. Paths with blanks are written otherwise there, and are not found.
fn mount_points(mounts: &str) -> impl Iterator<Item = PathBuf> {
    mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_the_fifth_field() {
        let mounts = "22 1 0:21 / /proc rw,relatime - proc proc rw\n\
                      1047 980 8:1 /var/x/falco.yaml /etc/falco/falco.yaml ro - ext4 /dev/sda1 rw\n\n";
        let points: Vec<_> = mount_points(mounts).collect();
        assert_eq!(points, [Path::new("/proc"), Path::new("/etc/falco/falco.yaml")]);
    }
}
