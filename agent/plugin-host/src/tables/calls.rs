//! The functions that plugins call: each checks what it is given and passes the call on to the table's owner.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::ptr::{self, NonNull};

use super::access::{FieldHandle, TableHandle};
use super::registry::{Published, Target};
use crate::abi::{
    OwnerHandle, StateData, StateType, Table, TableEntry, TableField, TableFieldInfo, TableInfo,
    TableInput, TableIterator, TableIteratorState, checked, checked_mut, state_type,
};
use crate::owner::Owner;
use crate::return_code::ReturnCode;

pub(super) unsafe extern "C-unwind" fn list_tables(
    owner: *mut OwnerHandle,
    count: *mut u32,
) -> *mut TableInfo {
    // SAFETY: plugins hand back the owner they were given.
    let owner = unsafe { Owner::from_handle(owner) };
    // An empty array is not null: Rust plugins make a slice of it.
    let (tables, len) =
        owner.map_or((NonNull::dangling().as_ptr(), 0), |owner| owner.tables().list());
    // SAFETY: null or a place for the count, says the header.
    unsafe { write_count(count, len) };
    tables
}

pub(super) unsafe extern "C-unwind" fn get_table(
    owner: *mut OwnerHandle,
    name: *const c_char,
    key_type: StateType,
) -> *mut Table {
    // SAFETY: plugins hand back the owner they were given.
    let Some(owner) = (unsafe { Owner::from_handle(owner) }) else { return ptr::null_mut() };
    // SAFETY: null or a C string for the time of this call, says the header.
    let Some(name) = (unsafe { text(name) }) else { return ptr::null_mut() };
    let Some(handle) = owner.tables().open(name, owner) else { return ptr::null_mut() };
    if handle.key_type() != key_type {
        owner.set_error(format_args!(
            "the keys of table '{}' have type {}, not {key_type}",
            name.to_string_lossy(),
            handle.key_type()
        ));
        return ptr::null_mut();
    }
    handle.address()
}

pub(super) unsafe extern "C-unwind" fn add_table(
    owner: *mut OwnerHandle,
    table: *const TableInput,
) -> i32 {
    // SAFETY: plugins hand back the owner they were given.
    let Some(owner) = (unsafe { Owner::from_handle(owner) }) else { return ReturnCode::FAILURE };
    // SAFETY: null or a table input for the time of this call, says the header.
    let added = unsafe { Published::read(table, owner) }
        .map_err(str::to_owned)
        .and_then(|table| owner.tables().shared.add(table));
    match added {
        Ok(()) => ReturnCode::SUCCESS,
        Err(reason) => {
            owner.set_error(format_args!("cannot add a table: {reason}"));
            ReturnCode::FAILURE
        }
    }
}

pub(super) unsafe extern "C-unwind" fn list_table_fields(
    table: *mut Table,
    count: *mut u32,
) -> *const TableFieldInfo {
    let mut len = 0;
    let mut fields: *const TableFieldInfo = ptr::null();
    // SAFETY: plugins pass handles that they were given.
    if let Some((handle, target)) = unsafe { live(table) }
        && let Some(list) = target.fields.list_table_fields
    {
        // SAFETY: it is the owner's function for its table, and the out-pointer is valid for a write.
        fields = unsafe { list(target.table, &raw mut len) };
        if fields.is_null() && len != 0 {
            handle.fail(format_args!("lists no fields"));
        }
    }
    if fields.is_null() {
        (fields, len) = (NonNull::dangling().as_ptr(), 0);
    }
    // SAFETY: null or a place for the count, says the header.
    unsafe { write_count(count, len as usize) };
    fields
}

pub(super) unsafe extern "C-unwind" fn get_table_field(
    table: *mut Table,
    name: *const c_char,
    field_type: StateType,
) -> *mut TableField {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ptr::null_mut() };
    let (Some(get), false) = (target.fields.get_table_field, name.is_null()) else {
        return ptr::null_mut();
    };
    // SAFETY: it is the owner's function for its table, and the name is not null.
    let field = unsafe { get(target.table, name, field_type) };
    // SAFETY: not null, so a C string, says the header.
    unsafe { field_of(handle, field, name, field_type) }
}

pub(super) unsafe extern "C-unwind" fn add_table_field(
    table: *mut Table,
    name: *const c_char,
    field_type: StateType,
) -> *mut TableField {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ptr::null_mut() };
    let (Some(add), false) = (target.fields.add_table_field, name.is_null()) else {
        return ptr::null_mut();
    };
    if field_type == state_type::TABLE || !state_type::is_known(field_type) {
        handle.fail(format_args!("takes no added field of type {field_type}"));
        return ptr::null_mut();
    }
    // SAFETY: it is the owner's function for its table, and the name is not null.
    let field = unsafe { add(target.table, name, field_type) };
    // SAFETY: not null, so a C string, says the header.
    unsafe { field_of(handle, field, name, field_type) }
}

/// What a plugin gets for a field that the owner has given out, or not.
///
/// # Safety
///
/// `name` is a C string.
unsafe fn field_of(
    handle: &TableHandle,
    field: *mut TableField,
    name: *const c_char,
    field_type: StateType,
) -> *mut TableField {
    if field.is_null() {
        // SAFETY: the caller vouches for it.
        let name = unsafe { CStr::from_ptr(name) };
        handle.fail(format_args!("has no field '{}' of type {field_type}", name.to_string_lossy()));
        return field;
    }
    handle.user.tables().field(field, field_type)
}

pub(super) unsafe extern "C-unwind" fn get_table_name(table: *mut Table) -> *const c_char {
    // SAFETY: plugins pass handles that they were given.
    unsafe { TableHandle::of(table) }.map_or(c"".as_ptr(), |handle| handle.name().as_ptr())
}

/// All ones say "error".
pub(super) unsafe extern "C-unwind" fn get_table_size(table: *mut Table) -> u64 {
    // SAFETY: plugins pass handles that they were given.
    let Some((_, target)) = (unsafe { live(table) }) else { return u64::MAX };
    // SAFETY: it is the owner's function for its table.
    target.reader.get_table_size.map_or(u64::MAX, |size| unsafe { size(target.table) })
}

pub(super) unsafe extern "C-unwind" fn get_table_entry(
    table: *mut Table,
    key: *const StateData,
) -> *mut TableEntry {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ptr::null_mut() };
    // SAFETY: null or a key, says the header.
    let is_key = unsafe { handle.is_key(key) };
    let (Some(get), true) = (target.reader.get_table_entry, is_key) else { return ptr::null_mut() };
    // SAFETY: it is the owner's function for its table, and the key has the table's type.
    let entry = unsafe { get(target.table, key) };
    if !entry.is_null() {
        handle.user.tables().keep(*target, entry, false);
    }
    entry
}

pub(super) unsafe extern "C-unwind" fn read_entry_field(
    table: *mut Table,
    entry: *mut TableEntry,
    field: *const TableField,
    out: *mut StateData,
) -> i32 {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ReturnCode::FAILURE };
    // SAFETY: plugins pass fields that they were given.
    let field = unsafe { FieldHandle::of(field) };
    // SAFETY: null or a place for a value, says the header.
    let out = unsafe { checked_mut(out) };
    let (Some(read), Some(field), Some(out), false) =
        (target.reader.read_entry_field, field, out, entry.is_null())
    else {
        return handle.fail(format_args!("cannot read nothing"));
    };
    let mut value = StateData { u64_: 0 };
    // SAFETY: it is the owner's function for its table, entry and field; the out-pointer is valid for a write.
    let rc = unsafe { read(target.table, entry, field.raw, &raw mut value) };
    if ReturnCode::from(rc) != ReturnCode::Success {
        return handle.fail(format_args!("cannot read a field"));
    }
    match field.field_type {
        state_type::TABLE => {
            // SAFETY: every bit pattern is a pointer, and this one is what the owner wrote.
            let table = unsafe { value.table };
            // SAFETY: the value of such a field is a table input or null, says the header.
            match unsafe { Published::read(table.cast_const().cast(), target.owner) } {
                Ok(table) => {
                    value.table = handle.user.tables().open_subtable(table, handle.user);
                }
                Err(reason) => {
                    return handle.fail(format_args!("cannot open a table in it: {reason}"));
                }
            }
        }
        // SAFETY: every bit pattern is a pointer.
        state_type::STRING if unsafe { value.str_ }.is_null() => value.str_ = c"".as_ptr(),
        _ => {}
    }
    *out = value;
    ReturnCode::SUCCESS
}

/// Also destroys an entry that is in no table.
pub(super) unsafe extern "C-unwind" fn release_table_entry(
    table: *mut Table,
    entry: *mut TableEntry,
) {
    // SAFETY: plugins pass handles that they were given.
    let Some(handle) = (unsafe { TableHandle::of(table) }) else { return };
    // What was released before is not released again.
    if let Some(is_new) = handle.user.tables().forget(entry) {
        handle.target.release(entry, is_new);
    }
}

/// A plugin's function for entries, and whether it has asked to stop.
struct Visit {
    function: unsafe extern "C-unwind" fn(*mut TableIteratorState, *mut TableEntry) -> u32,
    state: *mut TableIteratorState,
    has_stopped: bool,
}

/// Zero says "stopped or failed".
pub(super) unsafe extern "C-unwind" fn iterate_entries(
    table: *mut Table,
    visit: TableIterator,
    state: *mut TableIteratorState,
) -> u32 {
    // SAFETY: plugins pass handles that they were given.
    let Some((_, target)) = (unsafe { live(table) }) else { return 0 };
    let (Some(iterate), Some(function)) = (target.reader.iterate_entries, visit) else { return 0 };
    let mut visit = Visit { function, state, has_stopped: false };
    // SAFETY: it is the owner's function for its table, and what it hands to ours outlives the call.
    let rc = unsafe { iterate(target.table, Some(visit_entry), (&raw mut visit).cast()) };
    // Owners that are written with the SDK for Rust say "finished" in any case.
    u32::from(rc != 0 && !visit.has_stopped)
}

unsafe extern "C-unwind" fn visit_entry(
    state: *mut TableIteratorState,
    entry: *mut TableEntry,
) -> u32 {
    let visit: *mut Visit = state.cast();
    // SAFETY: the owner hands back what `iterate_entries` gave it, while that waits; null is checked for.
    let Some(visit) = (unsafe { visit.as_mut() }) else { return 0 };
    // SAFETY: it is the plugin's own function, with the state that goes with it.
    let goes_on = unsafe { (visit.function)(visit.state, entry) };
    visit.has_stopped |= goes_on == 0;
    goes_on
}

pub(super) unsafe extern "C-unwind" fn clear_table(table: *mut Table) -> i32 {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ReturnCode::FAILURE };
    let Some(clear) = target.writer.clear_table else { return ReturnCode::FAILURE };
    // SAFETY: it is the owner's function for its table.
    let rc = unsafe { clear(target.table) };
    handle.result(rc, "cannot be cleared")
}

pub(super) unsafe extern "C-unwind" fn erase_table_entry(
    table: *mut Table,
    key: *const StateData,
) -> i32 {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ReturnCode::FAILURE };
    // SAFETY: null or a key, says the header.
    let is_key = unsafe { handle.is_key(key) };
    let (Some(erase), true) = (target.writer.erase_table_entry, is_key) else {
        return ReturnCode::FAILURE;
    };
    // SAFETY: it is the owner's function for its table, and the key has the table's type.
    let rc = unsafe { erase(target.table, key) };
    handle.result(rc, "has no such entry to erase")
}

pub(super) unsafe extern "C-unwind" fn create_table_entry(table: *mut Table) -> *mut TableEntry {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ptr::null_mut() };
    let Some(create) = target.writer.create_table_entry else { return ptr::null_mut() };
    // SAFETY: it is the owner's function for its table.
    let entry = unsafe { create(target.table) };
    if entry.is_null() {
        handle.fail(format_args!("makes no entries"));
    } else {
        handle.user.tables().keep(*target, entry, true);
    }
    entry
}

pub(super) unsafe extern "C-unwind" fn add_table_entry(
    table: *mut Table,
    key: *const StateData,
    entry: *mut TableEntry,
) -> *mut TableEntry {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ptr::null_mut() };
    // SAFETY: null or a key, says the header.
    let is_key = unsafe { handle.is_key(key) };
    let (Some(add), true) = (target.writer.add_table_entry, is_key) else { return ptr::null_mut() };
    // The owner takes it over, so it must be one that it has made, and only once.
    let tables = handle.user.tables();
    match tables.forget(entry) {
        Some(true) => {}
        Some(false) => {
            tables.keep(*target, entry, false);
            handle.fail(format_args!("takes no entry that is in a table"));
            return ptr::null_mut();
        }
        None => {
            handle.fail(format_args!("takes no entry that it has not made"));
            return ptr::null_mut();
        }
    }
    // SAFETY: it is the owner's function for its table and an entry of it; the key has the table's type.
    let added = unsafe { add(target.table, key, entry) };
    if added.is_null() {
        tables.keep(*target, entry, true);
        handle.fail(format_args!("does not take an entry"));
    } else {
        tables.keep(*target, added, false);
    }
    added
}

pub(super) unsafe extern "C-unwind" fn write_entry_field(
    table: *mut Table,
    entry: *mut TableEntry,
    field: *const TableField,
    value: *const StateData,
) -> i32 {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ReturnCode::FAILURE };
    // SAFETY: plugins pass fields that they were given.
    let field = unsafe { FieldHandle::of(field) };
    // SAFETY: null or a value, says the header.
    let given = unsafe { checked(value) };
    let (Some(write), Some(field), Some(given), false) =
        (target.writer.write_entry_field, field, given, entry.is_null())
    else {
        return handle.fail(format_args!("cannot write nothing"));
    };
    if field.field_type == state_type::TABLE {
        return handle.fail(format_args!("does not let a table in it be written"));
    }
    // SAFETY: every bit pattern is a pointer.
    if field.field_type == state_type::STRING && unsafe { given.str_ }.is_null() {
        return handle.fail(format_args!("takes no null as text"));
    }
    // SAFETY: it is the owner's function for its table, entry and field, and the value has the field's type.
    let rc = unsafe { write(target.table, entry, field.raw, value) };
    handle.result(rc, "does not let a field be written")
}

/// The handle and where its calls go, as long as the table's owner is there.
///
/// # Safety
///
/// `table` is null or a handle that was given out and not taken back.
unsafe fn live<'a>(table: *mut Table) -> Option<(&'a TableHandle, &'a Target)> {
    // SAFETY: the caller vouches for it.
    let handle = unsafe { TableHandle::of(table) }?;
    if handle.target.owner.is_gone() {
        handle.fail(format_args!("is gone"));
        return None;
    }
    Some((handle, &handle.target))
}

impl TableHandle {
    /// Whether `key` is one for this table.
    ///
    /// # Safety
    ///
    /// `key` is null or points to a value.
    unsafe fn is_key(&self, key: *const StateData) -> bool {
        // SAFETY: the caller vouches for it.
        let Some(key) = (unsafe { checked(key) }) else {
            self.fail(format_args!("needs a key"));
            return false;
        };
        // SAFETY: every bit pattern is a pointer.
        let is_null = self.key_type() == state_type::STRING && unsafe { key.str_ }.is_null();
        if is_null {
            self.fail(format_args!("takes no null as a key"));
        }
        !is_null
    }

    /// Remembers for the plugin what is wrong.
    fn fail(&self, what: fmt::Arguments<'_>) -> i32 {
        self.user.set_error(format_args!(
            "table '{}' of plugin '{}' {what}",
            self.name().to_string_lossy(),
            self.target.owner.plugin_name()
        ));
        ReturnCode::FAILURE
    }

    fn result(&self, rc: i32, failure: &str) -> i32 {
        match ReturnCode::from(rc) {
            ReturnCode::Success => ReturnCode::SUCCESS,
            _ => self.fail(format_args!("{failure}")),
        }
    }
}

/// # Safety
///
/// `count` is null or valid for a write.
unsafe fn write_count(count: *mut u32, value: usize) {
    // SAFETY: the caller vouches for it.
    if let Some(count) = unsafe { checked_mut(count) } {
        *count = u32::try_from(value).unwrap_or(u32::MAX);
    }
}

/// # Safety
///
/// `text` is null or a C string that stays during `'a`.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: not null where it is called, and the caller vouches for the rest.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::owner;
    use crate::tables::StateTables;

    fn new_owner() -> &'static Owner {
        let log: Arc<crate::LogSink> = Arc::new(|_, _: &str, _: &str| {});
        Owner::leak("test", log, StateTables::new())
    }

    #[test]
    fn null_and_odd_addresses_are_refused() {
        for address in [0, 1] {
            let table = ptr::without_provenance_mut(address);
            let key = ptr::without_provenance(address);
            let mut count = 7;
            // SAFETY: at none of the addresses can be what the functions look for.
            let fields = unsafe { list_table_fields(table, &raw mut count) };
            assert!(!fields.is_null() && count == 0);
            // SAFETY: likewise.
            assert!(unsafe { get_table_field(table, c"a".as_ptr(), 8) }.is_null());
            // SAFETY: likewise.
            assert!(unsafe { add_table_field(table, c"a".as_ptr(), 8) }.is_null());
            // SAFETY: likewise.
            assert_eq!(unsafe { get_table_size(table) }, u64::MAX);
            // SAFETY: likewise.
            assert!(unsafe { get_table_entry(table, key) }.is_null());
            // SAFETY: likewise.
            let read =
                unsafe { read_entry_field(table, ptr::null_mut(), ptr::null(), ptr::null_mut()) };
            assert_eq!(read, ReturnCode::FAILURE);
            // SAFETY: likewise.
            unsafe { release_table_entry(table, ptr::null_mut()) };
            // SAFETY: likewise.
            assert_eq!(unsafe { iterate_entries(table, None, ptr::null_mut()) }, 0);
            // SAFETY: likewise.
            assert_eq!(unsafe { clear_table(table) }, ReturnCode::FAILURE);
            // SAFETY: likewise.
            assert_eq!(unsafe { erase_table_entry(table, key) }, ReturnCode::FAILURE);
            // SAFETY: likewise.
            assert!(unsafe { create_table_entry(table) }.is_null());
            // SAFETY: likewise.
            assert!(unsafe { add_table_entry(table, key, ptr::null_mut()) }.is_null());
            // SAFETY: likewise.
            let written = unsafe { write_entry_field(table, ptr::null_mut(), ptr::null(), key) };
            assert_eq!(written, ReturnCode::FAILURE);
        }
    }

    #[track_caller]
    fn check_add(change: impl FnOnce(&mut TableInput), expected: &str) {
        let owner = new_owner();
        let mut input = TableInput {
            name: c"t".as_ptr(),
            key_type: 8,
            table: ptr::null_mut(),
            reader: super::super::READER,
            writer: super::super::WRITER,
            fields: super::super::FIELDS,
            reader_ext: super::super::reader_ext(),
            writer_ext: super::super::writer_ext(),
            fields_ext: super::super::fields_ext(),
        };
        change(&mut input);
        // SAFETY: the owner is one, and the input is null, odd or as it should be in all its parts.
        let rc = unsafe { add_table(owner.handle(), &raw const input) };
        // SAFETY: the owner is one.
        let error = unsafe { owner::last_error(owner.handle()) };
        // SAFETY: null or the owner's text, which nothing changes meanwhile.
        let error =
            unsafe { text(error) }.map_or(String::new(), |e| e.to_string_lossy().into_owned());
        assert_eq!(error.trim_start_matches("cannot add a table: "), expected);
        assert_eq!(rc == ReturnCode::SUCCESS, expected.is_empty());
    }

    #[test]
    fn only_a_complete_table_is_added() {
        check_add(|_| {}, "");
        check_add(|input| input.name = ptr::null(), "the table has no name");
        check_add(|input| input.reader_ext = ptr::null_mut(), "a list of functions is missing");
        let odd = ptr::without_provenance_mut(1);
        check_add(|input| input.writer_ext = odd, "a list of functions is missing");
        let differs = "the lists of functions are not the same in both places";
        check_add(|input| input.reader.get_table_size = None, differs);
        let key = "the type of its keys is none that keys can have";
        check_add(|input| input.key_type = state_type::TABLE, key);
        check_add(|input| input.key_type = 77, key);
        // SAFETY: null is no table.
        let rc = unsafe { add_table(new_owner().handle(), ptr::null()) };
        assert_eq!(rc, ReturnCode::FAILURE);
        // SAFETY: null is no owner.
        let rc = unsafe { add_table(ptr::null_mut(), ptr::null()) };
        assert_eq!(rc, ReturnCode::FAILURE);
    }
}
