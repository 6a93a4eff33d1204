//! State tables, of which this host has none.
//!
//! Plugins written in C++ read through these pointers without looking, so they must all be there.
//! No table handle is ever given out: what takes one cannot be called by a plugin in its senses.

use std::ffi::c_char;
use std::ptr::{self, NonNull};

use crate::abi::{
    FieldsVtable, FieldsVtableExt, OwnerHandle, ReaderVtable, ReaderVtableExt, StateData, Table,
    TableEntry, TableField, TableFieldInfo, TableInfo, TableInput, TableIterator,
    TableIteratorState, TablesInput, WriterVtableExt,
};
use crate::owner::Owner;
use crate::return_code::ReturnCode;

static FIELDS_EXT: FieldsVtableExt = FieldsVtableExt {
    list_table_fields: Some(list_table_fields),
    get_table_field: Some(get_table_field),
    add_table_field: Some(get_table_field),
};

static READER_EXT: ReaderVtableExt = ReaderVtableExt {
    get_table_name: Some(get_table_name),
    get_table_size: Some(get_table_size),
    get_table_entry: Some(get_table_entry),
    read_entry_field: Some(read_entry_field),
    release_table_entry: Some(release_table_entry),
    iterate_entries: Some(iterate_entries),
};

static WRITER_EXT: WriterVtableExt = WriterVtableExt {
    clear_table: Some(clear_table),
    erase_table_entry: Some(erase_table_entry),
    create_table_entry: Some(create_table_entry),
    destroy_table_entry: Some(release_table_entry),
    add_table_entry: Some(add_table_entry),
    write_entry_field: Some(write_entry_field),
};

/// The reader as inputs before plugin API 3.1 carry it.
pub(crate) const READER: ReaderVtable = ReaderVtable {
    get_table_name: Some(get_table_name),
    get_table_size: Some(get_table_size),
    get_table_entry: Some(get_table_entry),
    read_entry_field: Some(read_entry_field),
};

/// The reader as extraction takes it; nobody writes through the pointer.
pub(crate) fn reader_ext() -> *mut ReaderVtableExt {
    (&raw const READER_EXT).cast_mut()
}

/// What `init` hands to a plugin.
pub(crate) fn init_input() -> TablesInput {
    TablesInput {
        list_tables: Some(list_tables),
        get_table: Some(get_table),
        add_table: Some(add_table),
        fields: FieldsVtable {
            list_table_fields: Some(list_table_fields),
            get_table_field: Some(get_table_field),
            add_table_field: Some(get_table_field),
        },
        fields_ext: (&raw const FIELDS_EXT).cast_mut(),
        reader_ext: reader_ext(),
        writer_ext: (&raw const WRITER_EXT).cast_mut(),
    }
}

/// An empty array: not null, since Rust plugins make a slice of it.
unsafe extern "C-unwind" fn list_tables(
    _owner: *mut OwnerHandle,
    count: *mut u32,
) -> *mut TableInfo {
    if let Some(mut count) = NonNull::new(count) {
        // SAFETY: the header says that the plugin passes a place for the count.
        *unsafe { count.as_mut() } = 0;
    }
    NonNull::dangling().as_ptr()
}

unsafe extern "C-unwind" fn get_table(
    owner: *mut OwnerHandle,
    _name: *const c_char,
    _key_type: u32,
) -> *mut Table {
    // SAFETY: plugins hand back the owner they were given.
    unsafe { Owner::refuse_table(owner) };
    ptr::null_mut()
}

unsafe extern "C-unwind" fn add_table(owner: *mut OwnerHandle, _table: *const TableInput) -> i32 {
    // SAFETY: plugins hand back the owner they were given.
    unsafe { Owner::refuse_table(owner) };
    ReturnCode::NOT_SUPPORTED
}

unsafe extern "C-unwind" fn list_table_fields(
    _table: *mut Table,
    count: *mut u32,
) -> *const TableFieldInfo {
    if let Some(mut count) = NonNull::new(count) {
        // SAFETY: the header says that the plugin passes a place for the count.
        *unsafe { count.as_mut() } = 0;
    }
    NonNull::dangling().as_ptr()
}

unsafe extern "C-unwind" fn get_table_field(
    _table: *mut Table,
    _name: *const c_char,
    _type: u32,
) -> *mut TableField {
    ptr::null_mut()
}

unsafe extern "C-unwind" fn get_table_name(_table: *mut Table) -> *const c_char {
    c"".as_ptr()
}

/// All ones say "error".
unsafe extern "C-unwind" fn get_table_size(_table: *mut Table) -> u64 {
    u64::MAX
}

unsafe extern "C-unwind" fn get_table_entry(
    _table: *mut Table,
    _key: *const StateData,
) -> *mut TableEntry {
    ptr::null_mut()
}

unsafe extern "C-unwind" fn read_entry_field(
    _table: *mut Table,
    _entry: *mut TableEntry,
    _field: *const TableField,
    _out: *mut StateData,
) -> i32 {
    ReturnCode::NOT_SUPPORTED
}

unsafe extern "C-unwind" fn release_table_entry(_table: *mut Table, _entry: *mut TableEntry) {}

/// Zero says "stopped or failed".
unsafe extern "C-unwind" fn iterate_entries(
    _table: *mut Table,
    _visit: TableIterator,
    _state: *mut TableIteratorState,
) -> u32 {
    0
}

unsafe extern "C-unwind" fn clear_table(_table: *mut Table) -> i32 {
    ReturnCode::NOT_SUPPORTED
}

unsafe extern "C-unwind" fn erase_table_entry(_table: *mut Table, _key: *const StateData) -> i32 {
    ReturnCode::NOT_SUPPORTED
}

unsafe extern "C-unwind" fn create_table_entry(_table: *mut Table) -> *mut TableEntry {
    ptr::null_mut()
}

unsafe extern "C-unwind" fn add_table_entry(
    _table: *mut Table,
    _key: *const StateData,
    _entry: *mut TableEntry,
) -> *mut TableEntry {
    ptr::null_mut()
}

unsafe extern "C-unwind" fn write_entry_field(
    _table: *mut Table,
    _entry: *mut TableEntry,
    _field: *const TableField,
    _value: *const StateData,
) -> i32 {
    ReturnCode::NOT_SUPPORTED
}
