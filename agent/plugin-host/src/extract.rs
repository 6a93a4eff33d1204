//! Field extraction: asks a plugin for one field of one event at a time.

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::slice;

use crate::abi::{
    ByteBuffer, EventInput, ExtractField, ExtractFn, ExtractInput, FieldResult, copy_text,
};
use crate::event::Event;
use crate::fields::{FieldInfo, FieldKind};
use crate::library::{Library, Place};
use crate::owner;
use crate::plugin::{Plugin, State};
use crate::return_code::ReturnCode;
use crate::tables;

/// What to ask a plugin for, prepared once so that asking allocates nothing.
#[derive(Debug, Clone)]
pub struct FieldRequest {
    /// Tells the plugin it was made for, if that is in this process: another one's answer would have another type.
    function: Option<ExtractFn>,
    pub(crate) index: u32,
    name: CString,
    pub(crate) kind: FieldKind,
    is_list: bool,
    pub(crate) argument: Option<Box<str>>,
    argument_key: Option<CString>,
    argument_index: u64,
}

/// Why a field cannot be asked for with an argument, or without one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum ArgumentError {
    #[error("field {field} takes no argument")]
    NotAllowed { field: String },
    #[error("field {field} requires an argument")]
    Missing { field: String },
    #[error("field {field} takes an index, and '{argument}' is none")]
    NotAnIndex { field: String, argument: String },
    #[error("name or argument of field {field} contains a NUL character")]
    Nul { field: String },
}

impl FieldRequest {
    /// Prepares to ask `library` for the field at `index` in its list of fields.
    ///
    /// # Errors
    ///
    /// When the field takes no such argument, or needs one.
    ///
    /// # Panics
    ///
    /// When the library has no such field.
    pub fn new(
        library: &Library,
        index: usize,
        argument: Option<&str>,
    ) -> Result<Self, ArgumentError> {
        let function = match &library.place {
            Place::Here(functions) => functions.extract.map(|extract| extract.extract_fields),
            Place::Child(_) => None,
        };
        let Some(extraction) = library.extraction() else {
            panic!("plugin {} is asked for a field and has none", library.name());
        };
        Self::prepare(&extraction.fields[index], index, argument, function)
    }

    fn prepare(
        field: &FieldInfo,
        index: usize,
        argument: Option<&str>,
        function: Option<ExtractFn>,
    ) -> Result<Self, ArgumentError> {
        let name = || field.name.clone();
        let nul = |_| ArgumentError::Nul { field: field.name.clone() };
        let mut request = Self {
            function,
            index: u32::try_from(index).expect("no plugin has four thousand million fields"),
            name: CString::new(field.name.as_str()).map_err(nul)?,
            kind: field.kind,
            is_list: field.is_list,
            argument: argument.map(Box::from),
            argument_key: None,
            argument_index: NO_INDEX,
        };
        match (field.argument, argument) {
            (None, Some(_)) => return Err(ArgumentError::NotAllowed { field: name() }),
            (Some(info), None) if info.required => {
                return Err(ArgumentError::Missing { field: name() });
            }
            (_, None) => {}
            (Some(info), Some(argument)) => {
                let number = if info.index { parse_index(argument) } else { None };
                if !info.key && number.is_none() {
                    return Err(ArgumentError::NotAnIndex {
                        field: name(),
                        argument: argument.to_owned(),
                    });
                }
                request.argument_index = number.unwrap_or(NO_INDEX);
                request.argument_key =
                    info.key.then(|| CString::new(argument)).transpose().map_err(nul)?;
            }
        }
        Ok(request)
    }
}

/// What stands for "no index" at the ABI, as stock Falco has it.
const NO_INDEX: u64 = u64::MAX;

/// Digits without a leading zero.
fn parse_index(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// The values of one field, borrowed from the plugin until it is called again.
///
/// There is at least one value, and exactly one unless the field is a list.
#[derive(Debug, Clone)]
pub enum Extracted<'e> {
    /// Of [`FieldKind::String`].
    Strings(StringValues<'e>),
    /// Of [`FieldKind::Uint64`], [`FieldKind::RelTime`] and [`FieldKind::AbsTime`].
    Numbers(&'e [u64]),
    /// Of [`FieldKind::Bool`]; 0 is false.
    Bools(&'e [u32]),
    /// Of [`FieldKind::IpAddr`] and [`FieldKind::IpNet`].
    Addresses(AddressValues<'e>),
}

/// Iterates over text, without its NUL; it need not be UTF-8.
#[derive(Debug, Clone)]
pub struct StringValues<'e>(slice::Iter<'e, *const c_char>);

impl<'e> Iterator for StringValues<'e> {
    type Item = &'e [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0.find(|text| !text.is_null())?;
        // SAFETY: not null, and the plugin keeps its strings until its next call, which the
        // lifetime keeps away.
        Some(unsafe { CStr::from_ptr(*text) }.to_bytes())
    }
}

/// Iterates over addresses: 4 or 16 bytes in network order.
#[derive(Debug, Clone)]
pub struct AddressValues<'e>(slice::Iter<'e, ByteBuffer>);

impl<'e> Iterator for AddressValues<'e> {
    type Item = &'e [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let address = self.0.find(|address| is_address(address))?;
        // SAFETY: not null, and the plugin keeps `len` bytes there until its next call, which the
        // lifetime keeps away.
        Some(unsafe { slice::from_raw_parts(address.ptr.cast(), address.len as usize) })
    }
}

fn is_address(buffer: &ByteBuffer) -> bool {
    !buffer.ptr.is_null() && matches!(buffer.len, 4 | 16)
}

/// A plugin state lent to be asked: for the fields of an event, to parse one, to add some.
///
/// It cannot be taken apart: what it borrows stays where it is as long as events of it are around.
#[derive(Debug)]
pub struct Extractor<'p> {
    pub(crate) plugin: &'p mut Plugin,
}

impl<'p> Extractor<'p> {
    pub(crate) fn new(plugin: &'p mut Plugin) -> Self {
        Self { plugin }
    }

    /// Lends it on.
    pub fn reborrow(&mut self) -> Extractor<'_> {
        Extractor { plugin: self.plugin }
    }

    /// The plugin that extracts.
    pub fn plugin(&self) -> &Plugin {
        self.plugin
    }

    /// Gets the values of a field; `None` when the event has none, or the plugin fails.
    ///
    /// `number` tells events apart: plugins keep what they parsed until it changes. It is never 0
    /// or `u64::MAX`, which mean "nothing parsed yet" to some, and no two events of one state share
    /// it. `source` is the event source of `event`; whether the plugin takes it is for the caller
    /// to know, see [`crate::Extraction::is_compatible_with`].
    ///
    /// # Panics
    ///
    /// When the request was made for another plugin.
    pub fn extract(
        &mut self,
        event: &Event<'_>,
        number: u64,
        source: &CStr,
        request: &FieldRequest,
    ) -> Option<Extracted<'_>> {
        debug_assert!(number != 0 && number != u64::MAX, "event numbers 0 and u64::MAX are taken");
        let local = match &mut self.plugin.state {
            State::Here(local) => *local,
            State::Child(_) => return self.extract_in_child(event, source, request),
        };
        let extract_fields = local.functions.extract?.extract_fields;
        assert!(
            request.function.is_some_and(|own| ptr::fn_addr_eq(extract_fields, own)),
            "a request is used with the plugin it was made for"
        );
        if !self.plugin.event_types.contains(event.event_type()) {
            return None;
        }
        let event = EventInput { evt: event.header(), evtnum: number, evtsrc: source.as_ptr() };
        // Always one field: plugins built with falco_plugin 0.5.1 mix up the values of several.
        let mut field = request.field();
        let input = ExtractInput {
            owner: self.plugin.owner.handle(),
            get_owner_last_error: Some(owner::last_error),
            num_fields: 1,
            fields: &raw mut field,
            table_reader: tables::READER,
            table_reader_ext: tables::reader_ext(),
            value_offsets: ptr::null_mut(),
        };
        // SAFETY: the state lives until the plugin drops, `&mut` keeps other calls out, the inputs
        // outlive the call, and the event stays as long as its own lifetime.
        let rc = unsafe { extract_fields(local.handle, &raw const event, &raw const input) };
        self.plugin.owner.tables().reclaim();
        if ReturnCode::from(rc) != ReturnCode::Success || field.res_len == 0 {
            return None;
        }
        match request.values(&field) {
            Ok(values) => Some(values),
            Err(reason) => {
                self.plugin.note_protocol_error(format_args!(
                    "field {}: {reason}",
                    request.name.to_string_lossy()
                ));
                None
            }
        }
    }

    fn extract_in_child(
        &mut self,
        event: &Event<'_>,
        source: &CStr,
        request: &FieldRequest,
    ) -> Option<Extracted<'_>> {
        let State::Child(remote) = &mut self.plugin.state else {
            unreachable!("told by the caller")
        };
        let mut field = request.field();
        // Its values lie in buffers of `remote`, which stay until it is asked again.
        let reason = match remote.extract(event, source, request, &mut field) {
            Ok(()) if field.res_len == 0 => return None,
            Ok(()) => match request.values(&field) {
                Ok(values) => return Some(values),
                Err(reason) => reason,
            },
            Err(reason) => reason,
        };
        let name = request.name.to_string_lossy();
        self.plugin.note_protocol_error(format_args!("field {name}: {reason}"));
        None
    }

    /// Prints an event, as the plugin does it or else by its first bytes.
    ///
    /// Meant for events that this plugin produced; `number` as in [`Extractor::extract`].
    pub fn event_to_string(&mut self, event: &Event<'_>, number: u64) -> String {
        let local = match &mut self.plugin.state {
            State::Here(local) => *local,
            State::Child(remote) => {
                let text = remote.event_to_string(event);
                return text.unwrap_or_else(|| describe(event.payload()));
            }
        };
        let print = local.functions.source.and_then(|source| source.event_to_string);
        let text = print.map_or(String::new(), |print| {
            let input = EventInput { evt: event.header(), evtnum: number, evtsrc: ptr::null() };
            // SAFETY: as in `extract`.
            let text = unsafe { print(local.handle, &raw const input) };
            // SAFETY: null or a C string that stays until the next call, says the header.
            unsafe { copy_text(text) }
        });
        if text.is_empty() { describe(event.payload()) } else { text }
    }
}

impl FieldRequest {
    fn field(&self) -> ExtractField {
        ExtractField {
            res: FieldResult { str_: ptr::null_mut() },
            res_len: 0,
            field_id: self.index,
            field: self.name.as_ptr(),
            arg_key: self.argument_key.as_ref().map_or(ptr::null(), |key| key.as_ptr()),
            arg_index: self.argument_index,
            arg_present: u32::from(self.argument.is_some()),
            ftype: self.kind.code(),
            flist: u32::from(self.is_list),
        }
    }

    /// Looks at what the plugin wrote into `field`; an error says what is wrong with it.
    ///
    /// The caller bounds the lifetime to the time until the plugin's next call.
    fn values<'e>(&self, field: &ExtractField) -> Result<Extracted<'e>, &'static str> {
        const NO_VALUE: &str = "no usable value where some were announced";
        if field.res_len != 1 && !self.is_list {
            return Err("several values, but it is no list");
        }
        match self.kind {
            FieldKind::String => {
                // SAFETY: the type of the field says which member of the union is in use.
                let start = unsafe { field.res.str_ };
                // SAFETY: the plugin keeps its values until its next call.
                let strings = unsafe { array(start, field.res_len) }?;
                if strings.iter().all(|text| text.is_null()) {
                    return Err(NO_VALUE);
                }
                Ok(Extracted::Strings(StringValues(strings.iter())))
            }
            FieldKind::Uint64 | FieldKind::RelTime | FieldKind::AbsTime => {
                // SAFETY: the type of the field says which member of the union is in use.
                let start = unsafe { field.res.u64_ };
                // SAFETY: the plugin keeps its values until its next call.
                unsafe { array(start, field.res_len) }.map(Extracted::Numbers)
            }
            FieldKind::Bool => {
                // SAFETY: the type of the field says which member of the union is in use.
                let start = unsafe { field.res.boolean };
                // SAFETY: the plugin keeps its values until its next call.
                unsafe { array(start, field.res_len) }.map(Extracted::Bools)
            }
            FieldKind::IpAddr | FieldKind::IpNet => {
                // SAFETY: the type of the field says which member of the union is in use.
                let start = unsafe { field.res.buf };
                // SAFETY: the plugin keeps its values until its next call.
                let addresses = unsafe { array(start, field.res_len) }?;
                if !addresses.iter().any(is_address) {
                    return Err(NO_VALUE);
                }
                Ok(Extracted::Addresses(AddressValues(addresses.iter())))
            }
        }
    }
}

/// An array of a plugin as a slice, if that can be.
///
/// # Safety
///
/// Where `start` is not null, `len` values stay there during `'e`.
unsafe fn array<'e, T>(start: *const T, len: u64) -> Result<&'e [T], &'static str> {
    let fits = usize::try_from(len).is_ok_and(|len| len <= isize::MAX as usize / size_of::<T>());
    if start.is_null() || !start.is_aligned() || !fits {
        return Err("a pointer or length that cannot be");
    }
    // SAFETY: not null, aligned and of a possible size; the caller vouches for the rest.
    Ok(unsafe { slice::from_raw_parts(start, len as usize) })
}

/// What stock Falco prints for an event whose plugin says nothing.
fn describe(payload: &[u8]) -> String {
    const SHOWN: usize = 50;
    let shown = &payload[..payload.len().min(SHOWN)];
    let printable = shown.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let text = if printable { String::from_utf8_lossy(shown) } else { "<binary>".into() };
    let more = if printable && payload.len() > SHOWN { "..." } else { "" };
    format!("datalen={} data={text}{more}", payload.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::StateHandle;
    use crate::fields::ArgumentInfo;

    unsafe extern "C-unwind" fn never_called(
        _state: *mut StateHandle,
        _event: *const EventInput,
        _input: *const ExtractInput,
    ) -> i32 {
        ReturnCode::UNWRITTEN
    }

    /// Prints what the plugin would be asked, for a field with the given argument flags.
    #[track_caller]
    fn check(flags: &str, argument: Option<&str>, expected: &str) {
        let info = ArgumentInfo {
            required: flags.contains("required"),
            index: flags.contains("index"),
            key: flags.contains("key"),
        };
        let field = FieldInfo {
            name: "a.b".to_owned(),
            kind: FieldKind::String,
            is_list: false,
            argument: (info.index || info.key).then_some(info),
            description: String::new(),
            display: String::new(),
            hidden: false,
            add_output: false,
        };
        let found = match FieldRequest::prepare(&field, 0, argument, Some(never_called)) {
            Ok(request) => {
                let index = request.argument_index as i64;
                format!(
                    "present {} index {index} key {:?}",
                    request.argument.is_some(),
                    request.argument_key
                )
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_field_without_argument() {
        check("", None, "present false index -1 key None");
        check("", Some("x"), "field a.b takes no argument");
        check("index", None, "present false index -1 key None");
        check("required key", None, "field a.b requires an argument");
    }

    #[test]
    fn an_index_is_digits() {
        check("index", Some("12"), "present true index 12 key None");
        check("index", Some("0"), "present true index 0 key None");
        for bad in ["012", "00", "-1", "+1", "x", "", "18446744073709551616"] {
            check("index", Some(bad), &format!("field a.b takes an index, and '{bad}' is none"));
        }
    }

    #[test]
    fn a_key_is_any_text_and_may_be_an_index_too() {
        check("key", Some("/a b]"), r#"present true index -1 key Some("/a b]")"#);
        check("key", Some("7"), r#"present true index -1 key Some("7")"#);
        check("key index", Some("7"), r#"present true index 7 key Some("7")"#);
        check("key index", Some("abc"), r#"present true index -1 key Some("abc")"#);
        check("key", Some("a\0b"), "name or argument of field a.b contains a NUL character");
    }

    #[test]
    fn an_event_is_described_by_its_first_bytes() {
        assert_eq!(describe(b""), "datalen=0 data=");
        assert_eq!(describe(b"short"), "datalen=5 data=short");
        assert_eq!(describe(&[b'x'; 60]), format!("datalen=60 data={}...", "x".repeat(50)));
        assert_eq!(describe(&[b'x'; 50]), format!("datalen=50 data={}", "x".repeat(50)));
        assert_eq!(describe(b"ab\x01"), "datalen=3 data=<binary>");
    }
}
