//! Which tables there are, and how their owners are called.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::abi::{
    FieldsVtableExt, ReaderVtableExt, StateType, Table, TableInfo, TableInput, WriterVtableExt,
    checked, state_type,
};
use crate::owner::Owner;

/// The state tables that the plugins of one event source share.
///
/// Plugin states that are made with the same one see each other's tables, later ones those of earlier ones.
#[derive(Debug, Default)]
pub struct StateTables {
    published: Mutex<Vec<Published>>,
    is_used: AtomicBool,
}

/// A table that a plugin offers to others.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) name: CString,
    pub(super) key_type: StateType,
    pub(super) target: Target,
}

/// Where the calls on a table go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
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
unsafe impl Send for Target {}

impl StateTables {
    /// No tables yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether a plugin has ever offered a table.
    pub fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Offers a table to other plugins.
    pub(super) fn add(&self, table: Published) -> Result<(), String> {
        let mut published = self.lock();
        if let Some(other) = published.iter().find(|other| other.name == table.name) {
            return Err(format!(
                "plugin '{}' has a table named '{}' already",
                other.target.owner.plugin_name(),
                table.name.to_string_lossy()
            ));
        }
        published.push(table);
        self.is_used.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn find(&self, name: &CStr) -> Option<Published> {
        self.lock().iter().find(|table| table.name.as_c_str() == name).cloned()
    }

    /// Name and key type of each. The names are those of the plugins, which keep them.
    pub(super) fn list(&self) -> Vec<TableInfo> {
        let info =
            |table: &Published| TableInfo { name: table.name.as_ptr(), key_type: table.key_type };
        self.lock().iter().map(info).collect()
    }

    /// Withdraws the tables of a plugin state that ends.
    pub(super) fn remove_of(&self, owner: &'static Owner) {
        self.lock().retain(|table| !std::ptr::eq(table.target.owner, owner));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Published>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Published {
    /// Copies what a plugin tells about a table; it may lie on its stack.
    ///
    /// # Safety
    ///
    /// `input` and the pointers in it are null, or point to what the header says they do.
    pub(super) unsafe fn read(
        input: *const TableInput,
        owner: &'static Owner,
    ) -> Result<Self, &'static str> {
        // SAFETY: null or a table input, says the caller.
        let input = unsafe { checked(input) }.ok_or("no table was passed")?;
        if input.name.is_null() {
            return Err("the table has no name");
        }
        // SAFETY: not null, so a C string, says the caller.
        let name = unsafe { CStr::from_ptr(input.name) }.to_owned();
        // SAFETY: null or a vtable, says the caller.
        let reader = unsafe { checked(input.reader_ext) }.copied();
        // SAFETY: likewise.
        let writer = unsafe { checked(input.writer_ext) }.copied();
        // SAFETY: likewise.
        let fields = unsafe { checked(input.fields_ext) }.copied();
        let (Some(reader), Some(writer), Some(fields)) = (reader, writer, fields) else {
            return Err("a list of functions is missing");
        };
        if !has_all(&reader, &writer, &fields) {
            return Err("a function is missing");
        }
        if !are_same(input, &reader, &writer, &fields) {
            return Err("the lists of functions are not the same in both places");
        }
        if !state_type::can_be_key(input.key_type) {
            return Err("the type of its keys is none that keys can have");
        }
        let target = Target { table: input.table, reader, writer, fields, owner };
        Ok(Self { name, key_type: input.key_type, target })
    }
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
    input: &TableInput,
    reader: &ReaderVtableExt,
    writer: &WriterVtableExt,
    fields: &FieldsVtableExt,
) -> bool {
    same!(input.reader, reader, get_table_name, get_table_size, get_table_entry, read_entry_field)
        && same!(input.writer, writer, clear_table, erase_table_entry, create_table_entry)
        && same!(input.writer, writer, destroy_table_entry, add_table_entry, write_entry_field)
        && same!(input.fields, fields, list_table_fields, get_table_field, add_table_field)
}
