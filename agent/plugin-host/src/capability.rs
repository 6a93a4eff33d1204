//! Which capabilities a shared object has, told from the symbols it exports.

use serde::{Deserialize, Serialize};

/// What a plugin can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capabilities {
    /// Produces events.
    pub sourcing: bool,
    /// Gets the values of fields out of events.
    pub extraction: bool,
    /// Looks at every event to keep state.
    pub parsing: bool,
    /// Adds events of its own to a source.
    pub async_events: bool,
    /// Wants to know when a source opens and closes.
    pub capture_listening: bool,
}

/// Why the exported symbols do not make a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum CapabilityError {
    #[error("broken plugin capabilities: {}", .0.join(", "))]
    Broken(Vec<&'static str>),
    #[error("plugin does not implement any capability")]
    Nothing,
    #[error("plugin can't implement the reserved event source 'syscall'")]
    ReservedSource,
}

/// What a plugin with sourcing calls itself; 0 and the empty text when it does not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) id: u32,
    pub(crate) event_source: &'a str,
}

/// Tells the capabilities from the names (without `plugin_`) for which `has` is true.
pub(crate) fn detect(
    has: impl Fn(&str) -> bool,
    identity: Identity<'_>,
) -> Result<Capabilities, CapabilityError> {
    let mut broken = Vec::new();

    let source_functions =
        ["open", "close", "next_batch"].into_iter().filter(|name| has(name)).count();
    if !matches!(source_functions, 0 | 3) {
        broken.push("must implement all of 'open', 'close' and 'next_batch' (event sourcing)");
    }
    let sourcing = source_functions == 3;
    if sourcing && (identity.id != 0) == identity.event_source.is_empty() {
        broken.push(
            "must implement both 'get_id' and 'get_event_source', or neither (event sourcing)",
        );
    }

    // A lone first function of these pairs declares something that nobody can call: not an error.
    let extraction = has("extract_fields");
    if extraction && !has("get_fields") {
        broken.push("must implement both 'get_fields' and 'extract_fields' (field extraction)");
    }
    let async_events = has("set_async_event_handler");
    if async_events && !has("get_async_events") {
        broken.push(
            "must implement both 'get_async_events' and 'set_async_event_handler' (async events)",
        );
    }
    let capture_listening = has("capture_open");
    if capture_listening && !has("capture_close") {
        broken.push("must implement both 'capture_open' and 'capture_close' (capture listening)");
    }

    if !broken.is_empty() {
        return Err(CapabilityError::Broken(broken));
    }
    if sourcing && identity.id != 0 && identity.event_source == "syscall" {
        return Err(CapabilityError::ReservedSource);
    }
    let found = Capabilities {
        sourcing,
        extraction,
        parsing: has("parse_event"),
        async_events,
        capture_listening,
    };
    if found == Capabilities::default() { Err(CapabilityError::Nothing) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: [&str; 3] = ["open", "close", "next_batch"];
    const NOBODY: Identity<'_> = Identity { id: 0, event_source: "" };

    fn describe(result: &Result<Capabilities, CapabilityError>) -> String {
        let found = match result {
            Ok(found) => found,
            Err(error) => return error.to_string(),
        };
        let names = [
            (found.sourcing, "sourcing"),
            (found.extraction, "extraction"),
            (found.parsing, "parsing"),
            (found.async_events, "async"),
            (found.capture_listening, "listening"),
        ];
        names.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn check(symbols: &[&str], identity: Identity<'_>, expected: &str) {
        let found = describe(&detect(|name| symbols.contains(&name), identity));
        if expected.starts_with("broken") {
            let capability = found.rsplit('(').next().unwrap().trim_end_matches(')');
            assert!(found.starts_with("broken plugin capabilities: must implement"), "{found}");
            assert_eq!(format!("broken {capability}"), expected);
        } else {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn sourcing_takes_all_three_functions() {
        check(&SOURCE, NOBODY, "sourcing");
        check(&SOURCE, Identity { id: 999, event_source: "test" }, "sourcing");
        check(&["open", "next_batch"], NOBODY, "broken event sourcing");
        check(&["close"], NOBODY, "broken event sourcing");
    }

    #[test]
    fn an_id_and_a_source_name_come_together() {
        check(&SOURCE, Identity { id: 999, event_source: "" }, "broken event sourcing");
        check(&SOURCE, Identity { id: 0, event_source: "test" }, "broken event sourcing");
        let syscall = Identity { id: 999, event_source: "syscall" };
        check(&SOURCE, syscall, "plugin can't implement the reserved event source 'syscall'");
    }

    #[test]
    fn of_a_pair_only_the_second_function_makes_a_capability() {
        check(&["get_fields", "extract_fields"], NOBODY, "extraction");
        check(&["extract_fields"], NOBODY, "broken field extraction");
        check(&["get_fields", "parse_event"], NOBODY, "parsing");
        check(&["get_async_events", "set_async_event_handler"], NOBODY, "async");
        check(&["set_async_event_handler"], NOBODY, "broken async events");
        check(&["capture_open", "capture_close"], NOBODY, "listening");
        check(&["capture_open"], NOBODY, "broken capture listening");
    }

    #[test]
    fn no_capability_is_an_error() {
        for symbols in [&[][..], &["get_fields"], &["get_async_events"], &["capture_close"]] {
            check(symbols, NOBODY, "plugin does not implement any capability");
        }
    }

    #[test]
    fn everything_broken_is_named_at_once() {
        let symbols = ["open", "extract_fields"];
        let found = describe(&detect(|name| symbols.contains(&name), NOBODY));
        assert!(
            found.contains("(event sourcing), ") && found.contains("(field extraction)"),
            "{found}"
        );
    }
}
