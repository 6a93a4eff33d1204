//! The functions that plugins call: each checks what it is given and passes the call on to the table's owner.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::ptr::{self, NonNull};

use super::access::{FieldHandle, Holds, TableHandle};
use super::foreign::PluginTable;
use super::target::{FieldValue, Given, Target};
use crate::abi::{
    OwnerHandle, StateData, StateType, Table, TableEntry, TableField, TableFieldInfo, TableInfo,
    TableInput, TableIterator, TableIteratorState, checked_mut, state_type,
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
    let added = unsafe { PluginTable::read_input(table, owner) }
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
    let (mut fields, mut len): (*const _, _) = (NonNull::dangling().as_ptr(), 0);
    // SAFETY: plugins pass handles that they were given.
    if let Some((handle, target)) = unsafe { live(table) } {
        match target.fields() {
            Some(list) => (fields, len) = handle.user.tables().list_fields(list),
            None => drop(handle.fail(format_args!("lists no fields"))),
        }
    }
    // SAFETY: null or a place for the count, says the header.
    unsafe { write_count(count, len) };
    fields
}

pub(super) unsafe extern "C-unwind" fn get_table_field(
    table: *mut Table,
    name: *const c_char,
    field_type: StateType,
) -> *mut TableField {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ptr::null_mut() };
    // SAFETY: null or a C string for the time of this call, says the header.
    let Some(name) = (unsafe { text(name) }) else { return ptr::null_mut() };
    handle.give_field(&target, target.field(name, field_type), name, field_type)
}

pub(super) unsafe extern "C-unwind" fn add_table_field(
    table: *mut Table,
    name: *const c_char,
    field_type: StateType,
) -> *mut TableField {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ptr::null_mut() };
    // SAFETY: null or a C string for the time of this call, says the header.
    let Some(name) = (unsafe { text(name) }) else { return ptr::null_mut() };
    if field_type == state_type::TABLE || !state_type::is_known(field_type) {
        handle.fail(format_args!("takes no added field of type {field_type}"));
        return ptr::null_mut();
    }
    handle.give_field(&target, target.add_field(name, field_type), name, field_type)
}

pub(super) unsafe extern "C-unwind" fn get_table_name(table: *mut Table) -> *const c_char {
    // SAFETY: plugins pass handles that they were given.
    unsafe { TableHandle::of(table) }.map_or(c"".as_ptr(), |handle| handle.name().as_ptr())
}

/// All ones say "error".
pub(super) unsafe extern "C-unwind" fn get_table_size(table: *mut Table) -> u64 {
    // SAFETY: plugins pass handles that they were given.
    let Some((_, target)) = (unsafe { live(table) }) else { return u64::MAX };
    target.size().unwrap_or(u64::MAX)
}

pub(super) unsafe extern "C-unwind" fn get_table_entry(
    table: *mut Table,
    key: *const StateData,
) -> *mut TableEntry {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ptr::null_mut() };
    // SAFETY: null or a key, says the header.
    let Some(key) = (unsafe { handle.key(key) }) else { return ptr::null_mut() };
    let Some(entry) = target.entry(key) else { return ptr::null_mut() };
    handle.user.tables().keep(target, entry, Holds::Got);
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
    let Some(field) = (unsafe { handle.field(&target, entry, field) }) else {
        return ReturnCode::FAILURE;
    };
    // SAFETY: null or a place for a value, says the header.
    let Some(out) = (unsafe { checked_mut(out) }) else {
        return handle.fail(format_args!("needs a place for the value"));
    };
    match target.read(entry, field.raw(), field.field_type()) {
        Ok(FieldValue::Plain(value)) => *out = value,
        Ok(FieldValue::Table(table)) => {
            out.table = handle.user.tables().open_subtable(table, handle.user);
        }
        Err(reason) => return handle.fail(format_args!("{reason}")),
    }
    ReturnCode::SUCCESS
}

/// Also destroys an entry that is in no table.
pub(super) unsafe extern "C-unwind" fn release_table_entry(
    table: *mut Table,
    entry: *mut TableEntry,
) {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return };
    // What was released before is not released again.
    if let Some(holds) = handle.user.tables().forget(&target, entry, &[Holds::New, Holds::Got]) {
        target.release(entry, holds == Holds::New);
    }
}

/// Zero says "stopped or failed".
pub(super) unsafe extern "C-unwind" fn iterate_entries(
    table: *mut Table,
    visit: TableIterator,
    state: *mut TableIteratorState,
) -> u32 {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return 0 };
    let Some(visit) = visit else { return 0 };
    let tables = handle.user.tables();
    let has_finished = target.iterate(|entry| {
        tables.keep(target.clone(), entry, Holds::Shown);
        // SAFETY: it is the plugin's own function, with the state that goes with it.
        let goes_on = unsafe { visit(state, entry) };
        tables.forget(&target, entry, &[Holds::Shown]);
        goes_on != 0
    });
    u32::from(has_finished)
}

pub(super) unsafe extern "C-unwind" fn clear_table(table: *mut Table) -> i32 {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ReturnCode::FAILURE };
    handle.result(target.clear(), "cannot be cleared")
}

pub(super) unsafe extern "C-unwind" fn erase_table_entry(
    table: *mut Table,
    key: *const StateData,
) -> i32 {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ReturnCode::FAILURE };
    // SAFETY: null or a key, says the header.
    let Some(key) = (unsafe { handle.key(key) }) else { return ReturnCode::FAILURE };
    handle.result(target.erase(key), "has no such entry to erase")
}

pub(super) unsafe extern "C-unwind" fn create_table_entry(table: *mut Table) -> *mut TableEntry {
    // SAFETY: plugins pass handles that they were given.
    let Some((handle, target)) = (unsafe { live(table) }) else { return ptr::null_mut() };
    let Some(entry) = target.create() else {
        handle.fail(format_args!("makes no entries"));
        return ptr::null_mut();
    };
    handle.user.tables().keep(target, entry, Holds::New);
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
    let Some(key) = (unsafe { handle.key(key) }) else { return ptr::null_mut() };
    // The owner takes it over, so it must be one that it has made, and only once.
    let tables = handle.user.tables();
    if tables.forget(&target, entry, &[Holds::New]).is_none() {
        handle.fail(format_args!("takes no entry that it has not made or that is in a table"));
        return ptr::null_mut();
    }
    match target.add(key, entry) {
        Some(added) => {
            tables.keep(target, added, Holds::Got);
            added
        }
        None => {
            tables.keep(target, entry, Holds::New);
            handle.fail(format_args!("does not take an entry"));
            ptr::null_mut()
        }
    }
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
    let Some(field) = (unsafe { handle.field(&target, entry, field) }) else {
        return ReturnCode::FAILURE;
    };
    // SAFETY: null or a value of the field's type, says the header.
    let Some(value) = (unsafe { Given::read(value, field.field_type()) }) else {
        return handle.fail(format_args!("takes neither null nor a table as a value"));
    };
    handle.result(target.write(entry, field.raw(), value), "does not let a field be written")
}

/// The handle and where its calls go, as long as there is somebody to answer.
///
/// # Safety
///
/// `table` is null or a handle that was given out.
unsafe fn live<'a>(table: *mut Table) -> Option<(&'a TableHandle, Target)> {
    // SAFETY: the caller vouches for it.
    let handle = unsafe { TableHandle::of(table) }?;
    let target = handle.target().filter(|target| !target.is_gone());
    if target.is_none() {
        handle.fail(format_args!("is gone"));
    }
    Some((handle, target?))
}

impl TableHandle {
    /// A key for this table.
    ///
    /// # Safety
    ///
    /// `key` is null or points to a value of the type of the keys.
    unsafe fn key<'a>(&self, key: *const StateData) -> Option<Given<'a>> {
        // SAFETY: the caller vouches for it.
        let key = unsafe { Given::read(key, self.key_type()) };
        if key.is_none() {
            self.fail(format_args!("needs a key"));
        }
        key
    }

    /// A field for an entry of this table that the plugin has.
    ///
    /// # Safety
    ///
    /// `field` is null or one that was given out.
    unsafe fn field<'a>(
        &self,
        target: &Target,
        entry: *mut TableEntry,
        field: *const TableField,
    ) -> Option<&'a FieldHandle> {
        // SAFETY: the caller vouches for it.
        let field = unsafe { FieldHandle::of(field) }.filter(|field| field.is_of(self, target));
        if field.is_none() {
            self.fail(format_args!("has no such field"));
            return None;
        }
        if !self.user.tables().has(target, entry) {
            self.fail(format_args!("has given out no such entry"));
            return None;
        }
        field
    }

    /// What a plugin gets for a field that the table has, or has not.
    fn give_field(
        &self,
        target: &Target,
        field: Option<*mut TableField>,
        name: &CStr,
        field_type: StateType,
    ) -> *mut TableField {
        let Some(field) = field else {
            let name = name.to_string_lossy();
            self.fail(format_args!("has no field '{name}' of type {field_type}"));
            return ptr::null_mut();
        };
        self.user.tables().field(self, target, field, field_type)
    }

    /// Remembers for the plugin what is wrong.
    fn fail(&self, what: fmt::Arguments<'_>) -> i32 {
        let name = self.name().to_string_lossy();
        match self.target() {
            Some(target) => self
                .user
                .set_error(format_args!("table '{name}' of {} {what}", target.owner_name())),
            None => self.user.set_error(format_args!("table '{name}' {what}")),
        }
        ReturnCode::FAILURE
    }

    fn result(&self, is_done: bool, failure: &str) -> i32 {
        if is_done { ReturnCode::SUCCESS } else { self.fail(format_args!("{failure}")) }
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
    use crate::abi::OldTableInput;
    use crate::library::API_VERSION;
    use crate::owner;
    use crate::tables::StateTables;
    use crate::version::Version;

    const OLD: Version = Version { major: 3, minor: 0, patch: 0 };

    fn new_owner(api_version: Version, tables: &Arc<StateTables>) -> &'static Owner {
        let log: Arc<crate::LogSink> = Arc::new(|_, _: &str, _: &str| {});
        Owner::leak("test", api_version, log, Arc::clone(tables))
    }

    fn last_error(owner: &'static Owner) -> String {
        // SAFETY: the owner is one.
        let error = unsafe { owner::last_error(owner.handle()) };
        // SAFETY: null or the owner's text, which nothing changes meanwhile.
        unsafe { text(error) }.map_or(String::new(), |e| e.to_string_lossy().into_owned())
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

    fn table_input() -> TableInput {
        TableInput {
            name: c"t".as_ptr(),
            key_type: 8,
            table: ptr::null_mut(),
            reader: super::super::READER,
            writer: super::super::WRITER,
            fields: super::super::FIELDS,
            reader_ext: super::super::reader_ext(),
            writer_ext: super::super::writer_ext(),
            fields_ext: super::super::fields_ext(),
        }
    }

    #[track_caller]
    fn check_add(change: impl FnOnce(&mut TableInput), expected: &str) {
        let owner = new_owner(API_VERSION, &StateTables::new());
        let mut input = table_input();
        change(&mut input);
        // SAFETY: the owner is one, and the input is null, odd or as it should be in all its parts.
        let rc = unsafe { add_table(owner.handle(), &raw const input) };
        let error = last_error(owner);
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
        let owner = new_owner(API_VERSION, &StateTables::new());
        // SAFETY: null is no table.
        let rc = unsafe { add_table(owner.handle(), ptr::null()) };
        assert_eq!(rc, ReturnCode::FAILURE);
        // SAFETY: null is no owner.
        let rc = unsafe { add_table(ptr::null_mut(), ptr::null()) };
        assert_eq!(rc, ReturnCode::FAILURE);
    }

    /// A box of that size, so that the sanitizer sees what is read behind it.
    #[test]
    fn a_table_of_plugin_api_3_0_ends_before_the_lists() {
        let TableInput { name, key_type, table, reader, writer, fields, .. } = table_input();
        let old = OldTableInput { name, key_type, table, reader, writer, fields };
        let old: *mut OldTableInput = Box::leak(Box::new(old));
        let tables = StateTables::new();
        let add = |owner: &'static Owner| {
            // SAFETY: the owner is one, and of the kind that passes such tables.
            unsafe { add_table(owner.handle(), old.cast_const().cast()) }
        };
        let owner = new_owner(OLD, &tables);
        assert_eq!(add(owner), ReturnCode::SUCCESS, "{}", last_error(owner));
        assert_eq!(add(owner), ReturnCode::FAILURE);
        let error = "cannot add a table: plugin 'test' has a table named 't' already";
        assert_eq!(last_error(owner), error);
        // Such a plugin cannot be asked to iterate.
        let user = new_owner(API_VERSION, &tables);
        // SAFETY: the owner is one, and the name a C string.
        let table = unsafe { get_table(user.handle(), c"t".as_ptr(), 8) };
        assert!(!table.is_null());
        // SAFETY: the handle was just given out.
        assert_eq!(unsafe { iterate_entries(table, Some(stop), ptr::null_mut()) }, 0);
    }

    unsafe extern "C-unwind" fn stop(_: *mut TableIteratorState, _: *mut TableEntry) -> u32 {
        0
    }
}
