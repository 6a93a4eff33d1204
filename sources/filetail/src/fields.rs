//! The `filetail.*` fields.

use std::ffi::CString;

use falco_plugin::event::PluginEvent;
use falco_plugin::event::events::Event;
use falco_plugin::extract::{EventInput, ExtractFieldInfo, ExtractPlugin, ExtractRequest, field};
use plugin_support::{c_string, guard};

use crate::FileTail;
use crate::payload::{self, Located};

impl ExtractPlugin for FileTail {
    type Event<'a> = Event<PluginEvent<&'a [u8]>>;
    type ExtractContext = ();

    const EXTRACT_FIELDS: &'static [ExtractFieldInfo<Self>] = &[
        field("filetail.path", &path).with_description("Path of the file, as it was found"),
        field("filetail.line", &line).with_description("The line, without its end of line"),
        field("filetail.number", &number)
            .with_description("Number of the line in its file, 1 for the first"),
    ];
}

fn path(
    _: &mut FileTail,
    ExtractRequest { event, .. }: ExtractRequest<FileTail>,
) -> anyhow::Result<Option<CString>> {
    extract("filetail.path", event, |located| located.place.map(|(path, _)| c_string(path)))
}

fn line(
    _: &mut FileTail,
    ExtractRequest { event, .. }: ExtractRequest<FileTail>,
) -> anyhow::Result<Option<CString>> {
    extract("filetail.line", event, |located| Some(line_text(located.line)))
}

fn number(
    _: &mut FileTail,
    ExtractRequest { event, .. }: ExtractRequest<FileTail>,
) -> anyhow::Result<Option<u64>> {
    extract("filetail.number", event, |located| located.place.map(|(_, number)| number))
}

fn extract<T>(
    name: &str,
    input: &EventInput<'_, <FileTail as ExtractPlugin>::Event<'_>>,
    value: impl FnOnce(Located<'_>) -> Option<T>,
) -> anyhow::Result<Option<T>> {
    guard(name, || Ok(value(payload::decode(input.event()?.params.event_data))))
}

/// The line as text for the C interface.
///
/// A NUL would end it there, and who writes the log could hide the rest of a line from all rules.
pub(crate) fn line_text(line: &[u8]) -> CString {
    let mut text = Vec::with_capacity(line.len() + 1);
    for (index, part) in line.split(|byte| *byte == 0).enumerate() {
        if index > 0 {
            text.extend_from_slice("\u{fffd}".as_bytes());
        }
        text.extend_from_slice(part);
    }
    c_string(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_hidden_behind_a_nul() {
        let check =
            |line: &[u8], expected: &str| assert_eq!(line_text(line).to_str(), Ok(expected));
        check(b"plain", "plain");
        check(b"", "");
        check(b"a\0b\0", "a\u{fffd}b\u{fffd}");
    }
}
