//! Which event sources a run opens.

/// Why the selection of event sources makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectError {
    #[error("You can not mix --enable-source and --disable-source")]
    Mixed,
    #[error("Attempted enabling an unknown event source: {0}")]
    UnknownEnabled(String),
    #[error("Attempted disabling an unknown event source: {0}")]
    UnknownDisabled(String),
    #[error("Must enable at least one event source")]
    Nothing,
}

/// The event sources to open, in load order: all, only the enabled ones, or all but the disabled ones.
///
/// Source: `select_event_sources` in Falco 0.44.
///
/// # Errors
///
/// When a name is unknown, or nothing is left.
pub(crate) fn select(
    loaded: Vec<&str>,
    enabled: &[String],
    disabled: &[String],
) -> Result<Vec<String>, SelectError> {
    if !enabled.is_empty() && !disabled.is_empty() {
        return Err(SelectError::Mixed);
    }
    let is_unknown = |name: &&String| !loaded.contains(&name.as_str());
    if let Some(name) = enabled.iter().find(is_unknown) {
        return Err(SelectError::UnknownEnabled(name.clone()));
    }
    if let Some(name) = disabled.iter().find(is_unknown) {
        return Err(SelectError::UnknownDisabled(name.clone()));
    }
    let selected: Vec<_> = loaded
        .into_iter()
        .map(str::to_owned)
        .filter(|name| (enabled.is_empty() || enabled.contains(name)) && !disabled.contains(name))
        .collect();
    if selected.is_empty() { Err(SelectError::Nothing) } else { Ok(selected) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(enabled: &str, disabled: &str, expected: Result<&[&str], &str>) {
        let list = |names: &str| names.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let selected = select(vec!["syscall", "a", "b"], &list(enabled), &list(disabled));
        match expected {
            Ok(names) => assert_eq!(selected.unwrap(), names),
            Err(message) => assert_eq!(selected.unwrap_err().to_string(), message),
        }
    }

    #[test]
    fn all_sources_are_enabled_unless_told_otherwise() {
        check("", "", Ok(&["syscall", "a", "b"]));
        check("b a b", "", Ok(&["a", "b"]));
        check("", "syscall syscall", Ok(&["a", "b"]));
        check("syscall", "", Ok(&["syscall"]));
    }

    /// C43, C44
    #[test]
    fn what_makes_no_sense_is_refused() {
        check("a", "b", Err("You can not mix --enable-source and --disable-source"));
        check("nope", "", Err("Attempted enabling an unknown event source: nope"));
        check("", "nope", Err("Attempted disabling an unknown event source: nope"));
        check("", "syscall a b", Err("Must enable at least one event source"));
    }
}
