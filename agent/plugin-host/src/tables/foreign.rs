//! Tables that plugins have: the functions that they pass, and the calls of these.

use std::ffi::CStr;
use std::slice;

use super::registry::Published;
use super::target::{FieldValue, Given, Target};
use crate::abi::{
    FieldsVtableExt, OldTableInput, ReaderVtableExt, StateData, StateType, Table, TableEntry,
    TableField, TableFieldInfo, TableInput, TableIterator, TableIteratorState, WriterVtableExt,
    checked, state_type,
};
use crate::owner::Owner;
use crate::return_code::ReturnCode;

/// A table of a plugin.
#[derive(Debug, Clone)]
pub(super) struct PluginTable {
    /// As its owner names it. All functions were there when the table was taken.
    pub(super) table: *mut Table,
    pub(super) reader: ReaderVtableExt,
    pub(super) writer: WriterVtableExt,
    pub(super) fields: FieldsVtableExt,
    /// The plugin state that the table belongs to.
    pub(super) owner: &'static Owner,
}

// SAFETY: the pointer is only passed on to the owner's functions; on which threads these may be called, the plugins have to
// agree, says the header.
unsafe impl Send for PluginTable {}

impl PluginTable {
    /// Copies what a plugin tells about a table; it may lie on its stack.
    ///
    /// # Safety
    ///
    /// `input` and the pointers in it are null, or point to what the header of the owner's plugin API says they do.
    pub(super) unsafe fn read_input(
        input: *const TableInput,
        owner: &'static Owner,
    ) -> Result<Published, &'static str> {
        // SAFETY: null or a table input, says the caller, and each begins as those of plugin API 3.0.
        let old = unsafe { checked(input.cast::<OldTableInput>()) }.ok_or("no table was passed")?;
        if old.name.is_null() {
            return Err("the table has no name");
        }
        // SAFETY: not null, so a C string, says the caller.
        let name = unsafe { CStr::from_ptr(old.name) }.to_owned();
        let (reader, writer, fields) = if owner.has_old_tables() {
            extend(old)
        } else {
            // SAFETY: a table input of the kind that has these lists, says the caller.
            unsafe { read_lists(input) }?
        };
        if !has_all(&reader, &writer, &fields) {
            return Err("a function is missing");
        }
        if !are_same(old, &reader, &writer, &fields) {
            return Err("the lists of functions are not the same in both places");
        }
        if !state_type::can_be_key(old.key_type) {
            return Err("the type of its keys is none that keys can have");
        }
        let target = Target::Plugin(Self { table: old.table, reader, writer, fields, owner });
        Ok(Published { name, key_type: old.key_type, target })
    }

    pub(super) fn fields(&self) -> Option<Vec<TableFieldInfo>> {
        let mut len = 0;
        // SAFETY: it is the owner's function for its table, and the out-pointer is valid for a write.
        let fields = unsafe { self.fields.list_table_fields?(self.table, &raw mut len) };
        if len == 0 {
            return Some(Vec::new());
        }
        if fields.is_null() || !fields.is_aligned() {
            return None;
        }
        // SAFETY: neither null nor odd, so as many as it says, until the next call, says the header.
        Some(unsafe { slice::from_raw_parts(fields, len as usize) }.to_vec())
    }

    pub(super) fn field(&self, name: &CStr, field_type: StateType) -> Option<*mut TableField> {
        // SAFETY: it is the owner's function for its table.
        let field = unsafe { self.fields.get_table_field?(self.table, name.as_ptr(), field_type) };
        Some(field).filter(|field| !field.is_null())
    }

    pub(super) fn add_field(&self, name: &CStr, field_type: StateType) -> Option<*mut TableField> {
        // SAFETY: it is the owner's function for its table.
        let field = unsafe { self.fields.add_table_field?(self.table, name.as_ptr(), field_type) };
        Some(field).filter(|field| !field.is_null())
    }

    pub(super) fn size(&self) -> Option<u64> {
        // SAFETY: it is the owner's function for its table.
        let size = unsafe { self.reader.get_table_size?(self.table) };
        Some(size).filter(|&size| size != u64::MAX)
    }

    pub(super) fn entry(&self, key: Given<'_>) -> Option<*mut TableEntry> {
        // SAFETY: it is the owner's function for its table, and the key has the table's type.
        let entry = unsafe { self.reader.get_table_entry?(self.table, key.as_ptr()) };
        Some(entry).filter(|entry| !entry.is_null())
    }

    pub(super) fn create(&self) -> Option<*mut TableEntry> {
        // SAFETY: it is the owner's function for its table.
        let entry = unsafe { self.writer.create_table_entry?(self.table) };
        Some(entry).filter(|entry| !entry.is_null())
    }

    /// `entry` is one that the owner has made and nobody has given back.
    pub(super) fn add(&self, key: Given<'_>, entry: *mut TableEntry) -> Option<*mut TableEntry> {
        // SAFETY: it is the owner's function for its table and an entry of it; the key has the table's type.
        let entry = unsafe { self.writer.add_table_entry?(self.table, key.as_ptr(), entry) };
        Some(entry).filter(|entry| !entry.is_null())
    }

    /// Does nothing if the owner is gone.
    pub(super) fn release(&self, entry: *mut TableEntry, is_new: bool) {
        let function =
            if is_new { self.writer.destroy_table_entry } else { self.reader.release_table_entry };
        let Some(release) = function.filter(|_| !self.owner.is_gone()) else { return };
        // SAFETY: the owner gave out the entry of this table and gets it back once.
        unsafe { release(self.table, entry) };
    }

    pub(super) fn erase(&self, key: Given<'_>) -> bool {
        let Some(erase) = self.writer.erase_table_entry else { return false };
        // SAFETY: it is the owner's function for its table, and the key has the table's type.
        let rc = unsafe { erase(self.table, key.as_ptr()) };
        ReturnCode::from(rc) == ReturnCode::Success
    }

    pub(super) fn clear(&self) -> bool {
        let Some(clear) = self.writer.clear_table else { return false };
        // SAFETY: it is the owner's function for its table.
        let rc = unsafe { clear(self.table) };
        ReturnCode::from(rc) == ReturnCode::Success
    }

    pub(super) fn iterate(&self, mut visit: impl FnMut(*mut TableEntry) -> bool) -> bool {
        let Some(iterate) = self.reader.iterate_entries else { return false };
        let mut visit = Visit { visit: &mut visit, has_stopped: false };
        // SAFETY: it is the owner's function for its table, and what it hands to ours outlives the call.
        let rc = unsafe { iterate(self.table, Some(visit_entry), (&raw mut visit).cast()) };
        // Owners that are written with the SDK for Rust say "finished" in any case.
        rc != 0 && !visit.has_stopped
    }

    /// `entry` and `field` are of this table.
    pub(super) fn read(
        &self,
        entry: *mut TableEntry,
        field: *const TableField,
        field_type: StateType,
    ) -> Result<FieldValue, String> {
        let mut value = StateData { u64_: 0 };
        // SAFETY: it is the owner's function for its table, entry and field; the out-pointer is valid for a write.
        let rc = self
            .reader
            .read_entry_field
            .map(|read| unsafe { read(self.table, entry, field, &raw mut value) });
        if rc.map(ReturnCode::from) != Some(ReturnCode::Success) {
            return Err("cannot read a field".to_owned());
        }
        match field_type {
            state_type::TABLE => {
                // SAFETY: every bit pattern is a pointer, and this one is what the owner wrote.
                let table = unsafe { value.table };
                // SAFETY: the value of such a field is a table input or null, says the header.
                unsafe { Self::read_input(table.cast_const().cast(), self.owner) }
                    .map(FieldValue::Table)
                    .map_err(|reason| format!("cannot open a table in it: {reason}"))
            }
            state_type::STRING => {
                // SAFETY: every bit pattern is a pointer.
                let text = unsafe { value.str_ };
                let text = if text.is_null() { c"".as_ptr() } else { text };
                Ok(FieldValue::Plain(StateData { str_: text }))
            }
            _ => Ok(FieldValue::Plain(value)),
        }
    }

    /// `entry` and `field` are of this table, and the value has the field's type.
    pub(super) fn write(
        &self,
        entry: *mut TableEntry,
        field: *const TableField,
        value: Given<'_>,
    ) -> bool {
        let Some(write) = self.writer.write_entry_field else { return false };
        // SAFETY: it is the owner's function for its table, entry and field, and the value has the field's type.
        let rc = unsafe { write(self.table, entry, field, value.as_ptr()) };
        ReturnCode::from(rc) == ReturnCode::Success
    }
}

/// What is to be done with each entry, and whether it has asked to stop.
struct Visit<'a> {
    visit: &'a mut dyn FnMut(*mut TableEntry) -> bool,
    has_stopped: bool,
}

unsafe extern "C-unwind" fn visit_entry(
    state: *mut TableIteratorState,
    entry: *mut TableEntry,
) -> u32 {
    let visit: *mut Visit<'_> = state.cast();
    // SAFETY: the owner hands back what `iterate` gave it, while that waits; null is checked for.
    let Some(visit) = (unsafe { visit.as_mut() }) else { return 0 };
    let goes_on = (visit.visit)(entry);
    visit.has_stopped |= !goes_on;
    u32::from(goes_on)
}

type Lists = (ReaderVtableExt, WriterVtableExt, FieldsVtableExt);

/// The functions of a table of plugin API 3.0, which knew neither to release entries nor to iterate.
fn extend(old: &OldTableInput) -> Lists {
    let OldTableInput { reader, writer, fields, .. } = *old;
    let reader = ReaderVtableExt {
        get_table_name: reader.get_table_name,
        get_table_size: reader.get_table_size,
        get_table_entry: reader.get_table_entry,
        read_entry_field: reader.read_entry_field,
        release_table_entry: Some(release_nothing),
        iterate_entries: Some(iterate_nothing),
    };
    let writer = WriterVtableExt {
        clear_table: writer.clear_table,
        erase_table_entry: writer.erase_table_entry,
        create_table_entry: writer.create_table_entry,
        destroy_table_entry: writer.destroy_table_entry,
        add_table_entry: writer.add_table_entry,
        write_entry_field: writer.write_entry_field,
    };
    let fields = FieldsVtableExt {
        list_table_fields: fields.list_table_fields,
        get_table_field: fields.get_table_field,
        add_table_field: fields.add_table_field,
    };
    (reader, writer, fields)
}

unsafe extern "C-unwind" fn release_nothing(_: *mut Table, _: *mut TableEntry) {}

/// Zero says "failed".
unsafe extern "C-unwind" fn iterate_nothing(
    _: *mut Table,
    _: TableIterator,
    _: *mut TableIteratorState,
) -> u32 {
    0
}

/// # Safety
///
/// `input` points to a table input of plugin API 3.1 or later, as [`PluginTable::read_input`] asks for.
unsafe fn read_lists(input: *const TableInput) -> Result<Lists, &'static str> {
    // SAFETY: the caller vouches for it.
    let input = unsafe { checked(input) }.ok_or("no table was passed")?;
    // SAFETY: null or a vtable, says the caller.
    let reader = unsafe { checked(input.reader_ext) }.copied();
    // SAFETY: likewise.
    let writer = unsafe { checked(input.writer_ext) }.copied();
    // SAFETY: likewise.
    let fields = unsafe { checked(input.fields_ext) }.copied();
    let (Some(reader), Some(writer), Some(fields)) = (reader, writer, fields) else {
        return Err("a list of functions is missing");
    };
    Ok((reader, writer, fields))
}

fn has_all(reader: &ReaderVtableExt, writer: &WriterVtableExt, fields: &FieldsVtableExt) -> bool {
    reader.get_table_name.is_some()
        && reader.get_table_size.is_some()
        && reader.get_table_entry.is_some()
        && reader.read_entry_field.is_some()
        && reader.release_table_entry.is_some()
        && reader.iterate_entries.is_some()
        && writer.clear_table.is_some()
        && writer.erase_table_entry.is_some()
        && writer.create_table_entry.is_some()
        && writer.destroy_table_entry.is_some()
        && writer.add_table_entry.is_some()
        && writer.write_entry_field.is_some()
        && fields.list_table_fields.is_some()
        && fields.get_table_field.is_some()
        && fields.add_table_field.is_some()
}

/// Compares functions by their addresses: the types differ from one to the next, and all are there.
macro_rules! same {
    ($old:expr, $new:expr, $($function:ident),+) => {
        $($old.$function.map(|f| f as usize) == $new.$function.map(|f| f as usize))&&+
    };
}

/// Whether the functions that stand in the input itself, as before plugin API 3.1, are those of the lists.
fn are_same(
    input: &OldTableInput,
    reader: &ReaderVtableExt,
    writer: &WriterVtableExt,
    fields: &FieldsVtableExt,
) -> bool {
    same!(input.reader, reader, get_table_name, get_table_size, get_table_entry, read_entry_field)
        && same!(input.writer, writer, clear_table, erase_table_entry, create_table_entry)
        && same!(input.writer, writer, destroy_table_entry, add_table_entry, write_entry_field)
        && same!(input.fields, fields, list_table_fields, get_table_field, add_table_field)
}
