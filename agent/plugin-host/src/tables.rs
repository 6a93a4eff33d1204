//! State tables: what plugins of one event source know and let each other see.
//!
//! ```text
//! plugin A --add_table--> StateTables <--get_table-- plugin B
//!                              |                        | handle: `TableHandle`
//!                  `Target` <--+--- calls checked ------+ reads and writes entries
//!       `PluginTable` of A, or `HostTable`
//! ```
//!
//! A table belongs to a plugin, and every call on a handle ends in functions of that plugin; or it is `threads` of the host.
//! In between stands what checks all that is passed: a field, an entry or a table that was not given out for what it is used
//! for is refused, entries that are not released are given back, tables whose plugin is gone are refused. All plugins of a
//! source run on one thread; a plugin that uses tables on threads of its own has to agree with their owner, as under Falco.

mod access;
mod calls;
mod foreign;
mod host;
mod registry;
mod target;

pub(crate) use self::access::Access;
pub use self::registry::StateTables;

use crate::abi::{
    FieldsVtable, FieldsVtableExt, ReaderVtable, ReaderVtableExt, TablesInput, WriterVtable,
    WriterVtableExt,
};

static FIELDS_EXT: FieldsVtableExt = FieldsVtableExt {
    list_table_fields: Some(calls::list_table_fields),
    get_table_field: Some(calls::get_table_field),
    add_table_field: Some(calls::add_table_field),
};

static READER_EXT: ReaderVtableExt = ReaderVtableExt {
    get_table_name: Some(calls::get_table_name),
    get_table_size: Some(calls::get_table_size),
    get_table_entry: Some(calls::get_table_entry),
    read_entry_field: Some(calls::read_entry_field),
    release_table_entry: Some(calls::release_table_entry),
    iterate_entries: Some(calls::iterate_entries),
};

static WRITER_EXT: WriterVtableExt = WriterVtableExt {
    clear_table: Some(calls::clear_table),
    erase_table_entry: Some(calls::erase_table_entry),
    create_table_entry: Some(calls::create_table_entry),
    destroy_table_entry: Some(calls::release_table_entry),
    add_table_entry: Some(calls::add_table_entry),
    write_entry_field: Some(calls::write_entry_field),
};

const FIELDS: FieldsVtable = FieldsVtable {
    list_table_fields: FIELDS_EXT.list_table_fields,
    get_table_field: FIELDS_EXT.get_table_field,
    add_table_field: FIELDS_EXT.add_table_field,
};

/// The reader as inputs before plugin API 3.1 carry it.
pub(crate) const READER: ReaderVtable = ReaderVtable {
    get_table_name: READER_EXT.get_table_name,
    get_table_size: READER_EXT.get_table_size,
    get_table_entry: READER_EXT.get_table_entry,
    read_entry_field: READER_EXT.read_entry_field,
};

/// The writer as inputs before plugin API 3.1 carry it.
pub(crate) const WRITER: WriterVtable = WriterVtable {
    clear_table: WRITER_EXT.clear_table,
    erase_table_entry: WRITER_EXT.erase_table_entry,
    create_table_entry: WRITER_EXT.create_table_entry,
    destroy_table_entry: WRITER_EXT.destroy_table_entry,
    add_table_entry: WRITER_EXT.add_table_entry,
    write_entry_field: WRITER_EXT.write_entry_field,
};

/// The reader as plugins get it; nobody writes through the pointer.
pub(crate) fn reader_ext() -> *mut ReaderVtableExt {
    (&raw const READER_EXT).cast_mut()
}

/// The writer as plugins get it; nobody writes through the pointer.
pub(crate) fn writer_ext() -> *mut WriterVtableExt {
    (&raw const WRITER_EXT).cast_mut()
}

fn fields_ext() -> *mut FieldsVtableExt {
    (&raw const FIELDS_EXT).cast_mut()
}

/// What `init` hands to a plugin. None of it is null: plugins written in C++ read through these pointers without looking.
pub(crate) fn init_input() -> TablesInput {
    TablesInput {
        list_tables: Some(calls::list_tables),
        get_table: Some(calls::get_table),
        add_table: Some(calls::add_table),
        fields: FIELDS,
        fields_ext: fields_ext(),
        reader_ext: reader_ext(),
        writer_ext: writer_ext(),
    }
}

#[cfg(test)]
mod tests;
