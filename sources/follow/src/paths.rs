//! Which files a pattern means, and which files are rotated parts of another.

use std::{
    cmp::Reverse,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use glob::{MatchOptions, Pattern};

/// As a shell expands them: `*` does not match a leading dot.
const MATCH_OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    device: u64,
    pub(crate) inode: u64,
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Which files to follow.
#[derive(Debug, Clone)]
pub enum FilePattern {
    /// One file, which need not exist yet.
    Path(PathBuf),
    /// All files that match, now or later.
    Glob(Pattern),
}

impl FilePattern {
    /// Reads a pattern with `*`, `?`, `[..]` or `**`; a text without these is a path.
    ///
    /// # Errors
    ///
    /// When the text is not a pattern, such as `a[`.
    pub fn parse(text: &str) -> Result<Self, glob::PatternError> {
        if text.contains(['*', '?', '[']) {
            Pattern::new(text).map(Self::Glob)
        } else {
            Ok(Self::Path(PathBuf::from(text)))
        }
    }

    /// The paths that exist now; a plain path is returned in any case.
    pub(crate) fn expand(&self) -> Vec<PathBuf> {
        match self {
            Self::Path(path) => vec![path.clone()],
            Self::Glob(pattern) => glob::glob_with(pattern.as_str(), MATCH_OPTIONS)
                // A directory that cannot be read has no files that could be followed.
                .map(|paths| paths.filter_map(Result::ok).filter(|path| !path.is_dir()).collect())
                .unwrap_or_default(),
        }
    }
}

/// Files that rotation made out of the one at `path`, oldest first.
///
/// Their names differ by a number or a time: `audit-2026-01-02T03-04-05.678.log` (lumberjack),
/// `audit.log.1`, `audit.log-20260102` (logrotate). Compressed ones are not listed.
pub(crate) fn rotated_files(path: &Path) -> Vec<(PathBuf, Identity)> {
    // While files are renamed, a list of them may lack some.
    let mut listed = list_rotated_files(path);
    for _ in 0..MAX_LISTS {
        let again = list_rotated_files(path);
        if again == listed {
            break;
        }
        listed = again;
    }
    listed
}

/// How often a list is taken anew if it differs from the one before: renaming files takes less than a millisecond each.
const MAX_LISTS: usize = 100;

fn list_rotated_files(path: &Path) -> Vec<(PathBuf, Identity)> {
    let directory = parent(path);
    let mut found: Vec<(SystemTime, PathBuf, Identity)> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| is_rotated_name(path, Path::new(&entry.file_name())))
        .filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(Metadata::is_file)?;
            Some((metadata.modified().ok()?, entry.path(), Identity::of(&metadata)))
        })
        .collect();
    // Of two that were written in the same moment, the one with the higher number is older.
    found.sort_by_cached_key(|(time, path, _)| {
        (*time, Reverse(rotation_number(path)), path.clone())
    });
    found.into_iter().map(|(_, path, identity)| (path, identity)).collect()
}

/// The number in `audit.log.1`.
fn rotation_number(path: &Path) -> Option<u32> {
    path.extension()?.to_str()?.parse().ok()
}

fn is_rotated_name(path: &Path, candidate: &Path) -> bool {
    let text =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, extension) = (text(path.file_stem()), text(path.extension()));
    let candidate = candidate.to_string_lossy();
    let Some(rest) = candidate.strip_prefix(stem.as_str()) else { return false };
    let rest = rest.replacen(&format!(".{extension}"), "", 1);
    rest.contains(|c: char| c.is_ascii_digit())
        && rest.chars().all(|c| c.is_ascii_digit() || "-._:TZ".contains(c))
}

/// The directory that holds `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, candidate: &str, expected: bool) {
        assert_eq!(is_rotated_name(Path::new(path), Path::new(candidate)), expected, "{candidate}");
    }

    #[test]
    fn rotation_adds_a_number_or_a_time() {
        check("/l/audit.log", "audit-2026-01-02T03-04-05.678.log", true);
        check("/l/audit.log", "audit.log.1", true);
        check("/l/audit.log", "audit.log-20260102", true);
        check("/l/audit", "audit.2", true);
        check("/l/audit.log", "audit.log", false);
        check("/l/audit.log", "audit-policy.log", false);
        check("/l/audit.log", "audit.log.1.gz", false);
        check("/l/audit.log", "other.log.1", false);
    }
}
