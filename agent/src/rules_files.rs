//! Finds and reads rules files; the engine does no I/O.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use rules_engine::RulesFile;

/// Why the rules files could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RulesFilesError {
    #[error(
        "You must specify at least one rules file/directory via -r or a rules_file entry in falco.yaml"
    )]
    NoneGiven,
    #[error("Could not open file {} for reading", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("rules file {} was loaded and is gone", path.display())]
    Gone { path: PathBuf },
    #[error("{} is no regular file, it cannot be read a second time", path.display())]
    ReadOnce { path: PathBuf },
}

/// The rules files to load, in order.
#[derive(Debug, Default)]
pub(crate) struct RulesFiles {
    /// Regular files, named as they were configured or found.
    pub(crate) paths: Vec<PathBuf>,
    /// Configured entries that yield nothing: they do not exist, or are no `.yaml` or `.yml` file.
    pub(crate) ignored: Vec<PathBuf>,
}

/// Resolves the entries of `rules_files` and `-r` to files.
///
/// `arguments` (`-r`) replace `configured` completely, and must exist. `previous` are the files of the last load, if any:
/// a configured file among them must still be there, or its deletion would quietly disarm the agent. In a directory files
/// may come and go.
///
/// Source: `read_rules_file_directory` in Falco, engine 0.63.
///
/// # Errors
///
/// When there is no entry at all, and when one cannot be read or is gone.
pub(crate) fn find(
    configured: &[PathBuf],
    arguments: &[PathBuf],
    previous: &[PathBuf],
) -> Result<RulesFiles, RulesFilesError> {
    let mut found = RulesFiles::default();
    let mut has_directory = false;
    for path in arguments {
        let metadata = fs::metadata(path).map_err(|e| open_error(path, e))?;
        if metadata.is_dir() {
            has_directory = true;
            found.paths.extend(rules_files_of(path)?);
        } else if !metadata.is_file() && previous.contains(path) {
            return Err(RulesFilesError::ReadOnce { path: path.clone() });
        } else {
            // Whoever names a file means it, whatever its extension.
            found.paths.push(path.clone());
        }
    }
    for path in configured.iter().filter(|_| arguments.is_empty()) {
        if path.is_dir() {
            has_directory = true;
            found.paths.extend(rules_files_of(path)?);
        } else if path.exists() && is_rules_file(path) {
            found.paths.push(path.clone());
        } else if previous.contains(path) {
            return Err(RulesFilesError::Gone { path: path.clone() });
        } else {
            found.ignored.push(path.clone());
        }
    }
    // An empty directory is fine: rules may be put there later.
    if found.paths.is_empty() && !has_directory {
        return Err(RulesFilesError::NoneGiven);
    }
    Ok(found)
}

/// Reads rules files whole.
///
/// # Errors
///
/// When one cannot be read.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<RulesFile>, RulesFilesError> {
    paths
        .iter()
        .map(|path| {
            let content = fs::read(path).map_err(|e| open_error(path, e))?;
            Ok(RulesFile { name: path.display().to_string(), content })
        })
        .collect()
}

/// A number that differs, in all likelihood, when names or contents differ.
pub(crate) fn fingerprint(files: &[RulesFile]) -> u64 {
    let mut hasher = DefaultHasher::new();
    files.iter().for_each(|file| (&file.name, &file.content).hash(&mut hasher));
    hasher.finish()
}

/// The rules files in a directory, sorted by path; sub-directories are not entered.
fn rules_files_of(directory: &Path) -> Result<Vec<PathBuf>, RulesFilesError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(|e| open_error(directory, e))? {
        let path = entry.map_err(|e| open_error(directory, e))?.path();
        // Follows symbolic links: in a ConfigMap mount every file is one.
        if path.is_file() && is_rules_file(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_rules_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn open_error(path: &Path, source: io::Error) -> RulesFilesError {
    RulesFilesError::Open { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with rules files, other files, a sub-directory and a symbolic link.
    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir_all(path.join("rules.d/sub")).unwrap();
        fs::create_dir(path.join("x.yaml.d")).unwrap();
        fs::write(path.join("x.yaml.d/a.yaml.yaml"), "").unwrap();
        fs::write(path.join("x.yaml.d/b.yaml.txt"), "").unwrap();
        for name in ["a.yaml", "b.txt", "rules.d/2.yaml", "rules.d/10.yml", "rules.d/3.txt"] {
            fs::write(path.join(name), name).unwrap();
        }
        fs::write(path.join("rules.d/sub/1.yaml"), "").unwrap();
        std::os::unix::fs::symlink("../a.yaml", path.join("rules.d/link.yaml")).unwrap();
        directory
    }

    #[track_caller]
    fn check(configured: &[&str], arguments: &[&str], expected: Result<&[&str], &str>) {
        let directory = directory();
        let absolute = |names: &[&str]| -> Vec<PathBuf> {
            names.iter().map(|name| directory.path().join(name)).collect()
        };
        let found = find(&absolute(configured), &absolute(arguments), &absolute(&["gone.yaml"]));
        match expected {
            Ok(names) => assert_eq!(found.unwrap().paths, absolute(names)),
            Err(start) => {
                let message = found.unwrap_err().to_string();
                assert!(message.starts_with(start), "{message}");
            }
        }
    }

    /// C01, C74
    #[test]
    fn configured_entries_may_be_missing() {
        check(&["nope.yaml", "a.yaml", "b.txt"], &[], Ok(&["a.yaml"]));
        check(&["nope.yaml", "b.txt"], &[], Err("You must specify at least one rules file"));
        check(&[], &[], Err("You must specify at least one rules file"));
    }

    #[test]
    fn the_extension_is_what_follows_the_last_dot() {
        let only = &["x.yaml.d/a.yaml.yaml"];
        check(&["x.yaml.d/a.yaml.yaml", "x.yaml.d/b.yaml.txt"], &[], Ok(only));
        check(&["x.yaml.d"], &[], Ok(only));
    }

    #[test]
    fn what_was_loaded_must_still_be_there() {
        check(&["a.yaml", "gone.yaml"], &[], Err("rules file "));
        check(&["gone.yaml"], &["a.yaml"], Ok(&["a.yaml"]));
    }

    /// Case 121 of the rules language
    #[test]
    fn directories_give_their_files_sorted_by_path() {
        let all = &["rules.d/10.yml", "rules.d/2.yaml", "rules.d/link.yaml"];
        check(&["rules.d"], &[], Ok(all));
        check(&[], &["rules.d"], Ok(all));
        check(&["rules.d/sub", "a.yaml"], &[], Ok(&["rules.d/sub/1.yaml", "a.yaml"]));
    }

    /// C51
    #[test]
    fn arguments_replace_the_configured_list_and_must_exist() {
        check(&["a.yaml"], &["rules.d/2.yaml", "b.txt"], Ok(&["rules.d/2.yaml", "b.txt"]));
        check(&["a.yaml"], &["nope.yaml"], Err("Could not open file "));
    }

    #[test]
    fn a_pipe_is_read_once() {
        let pipe = [PathBuf::from("/dev/null")];
        assert_eq!(find(&[], &pipe, &[]).unwrap().paths, pipe);
        let error = find(&[], &pipe, &pipe).unwrap_err().to_string();
        assert_eq!(error, "/dev/null is no regular file, it cannot be read a second time");
    }

    #[test]
    fn a_directory_may_be_empty() {
        let directory = tempfile::tempdir().unwrap();
        let found = find(&[directory.path().to_owned()], &[], &[]).unwrap();
        assert!(found.paths.is_empty() && found.ignored.is_empty());
    }
}
