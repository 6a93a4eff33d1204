//! The values of one event.

use crate::field::{FieldType, Value};

/// The values of one event in one arena, which is refilled for the next event without allocating.
#[derive(Debug, Default)]
pub(crate) struct ValueStore {
    bytes: Vec<u8>,
    values: Vec<StoredValue>,
}

#[derive(Clone, Copy, Debug)]
enum StoredValue {
    String(Span),
    Number(u64),
    Bool(bool),
    Address(Span),
}

/// A part of the arena.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

/// Where the values of one expression are in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueRange {
    start: usize,
    end: usize,
}

impl ValueRange {
    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl ValueStore {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.values.clear();
    }

    /// Where the next value will be.
    pub(crate) fn position(&self) -> usize {
        self.values.len()
    }

    /// Everything that was pushed since `start`, a former [`Self::position`].
    pub(crate) fn since(&self, start: usize) -> ValueRange {
        ValueRange { start, end: self.values.len() }
    }

    /// Forgets all values from `length` on.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.values.truncate(length);
    }

    pub(crate) fn get(
        &self,
        range: ValueRange,
    ) -> impl ExactSizeIterator<Item = Value<'_>> + Clone {
        self.values[range.start..range.end].iter().map(|stored| match *stored {
            StoredValue::String(span) => Value::String(&self.bytes[span.start..span.end]),
            StoredValue::Number(number) => Value::Number(number),
            StoredValue::Bool(truth) => Value::Bool(truth),
            StoredValue::Address(span) => Value::Address(&self.bytes[span.start..span.end]),
        })
    }

    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = Value<'_>> + Clone {
        self.get(self.since(0))
    }

    pub(crate) fn push_string(&mut self, text: &[u8]) {
        let span = self.push_bytes(text);
        self.values.push(StoredValue::String(span));
    }

    pub(crate) fn push_number(&mut self, number: u64) {
        self.values.push(StoredValue::Number(number));
    }

    fn push_bool(&mut self, truth: bool) {
        self.values.push(StoredValue::Bool(truth));
    }

    fn push_address(&mut self, address: &[u8]) {
        let span = self.push_bytes(address);
        self.values.push(StoredValue::Address(span));
    }

    pub(crate) fn push(&mut self, value: Value<'_>) {
        match value {
            Value::String(text) => self.push_string(text),
            Value::Number(number) => self.push_number(number),
            Value::Bool(truth) => self.push_bool(truth),
            Value::Address(address) => self.push_address(address),
        }
    }

    /// Pushes the string that `write` appends to the arena, or nothing if it gives up.
    pub(crate) fn push_string_with(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Option<()> {
        let start = self.bytes.len();
        let written = write(&mut self.bytes);
        match written {
            Some(()) => {
                let span = Span { start, end: self.bytes.len() };
                self.values.push(StoredValue::String(span));
            }
            None => self.bytes.truncate(start),
        }
        written
    }

    /// Repeats values that are in the store already.
    pub(crate) fn repeat(&mut self, range: ValueRange) {
        self.values.extend_from_within(range.start..range.end);
    }

    fn push_bytes(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span { start, end: self.bytes.len() }
    }
}

/// Where [`crate::Extract`] puts the values of the field it was asked for.
///
/// Values come from plugins and are not to be trusted: one that is not of the field's type is left
/// out.
#[derive(Debug)]
pub struct Values<'a> {
    store: &'a mut ValueStore,
    kind: FieldType,
}

impl<'a> Values<'a> {
    pub(crate) fn new(store: &'a mut ValueStore, kind: FieldType) -> Self {
        Values { store, kind }
    }

    /// Adds a string; it ends before its first NUL.
    pub fn push_string(&mut self, text: &[u8]) {
        if self.kind == FieldType::String {
            let end = memchr::memchr(0, text).unwrap_or(text.len());
            self.store.push_string(&text[..end]);
        }
    }

    /// Adds a number or a time.
    pub fn push_number(&mut self, number: u64) {
        if matches!(self.kind, FieldType::Uint64 | FieldType::RelTime | FieldType::AbsTime) {
            self.store.push_number(number);
        }
    }

    /// Adds a truth value.
    pub fn push_bool(&mut self, truth: bool) {
        if self.kind == FieldType::Bool {
            self.store.push_bool(truth);
        }
    }

    /// Adds an address in network order; one that has neither 4 nor 16 bytes is left out.
    pub fn push_address(&mut self, address: &[u8]) {
        let is_address = matches!(self.kind, FieldType::IpAddr | FieldType::IpNet);
        if is_address && matches!(address.len(), 4 | 16) {
            self.store.push_address(address);
        }
    }

    pub(crate) fn push_string_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.store.push_string_with(|text| {
            write(text);
            Some(())
        });
    }
}
