//! What one plugin state got of other plugins' tables: handles, fields and entries.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::registry::{Published, StateTables, Target};
use super::{FIELDS, READER, WRITER, fields_ext, reader_ext, writer_ext};
use crate::abi::{StateType, Table, TableEntry, TableField, TableInfo, TableInput, checked};
use crate::owner::Owner;

/// The tables as one plugin state sees them.
pub(crate) struct Access {
    pub(super) shared: Arc<StateTables>,
    state: Mutex<State>,
    /// Whether `state` may hold something that a call left over; spares the calls of plugins without tables the lock.
    has_left: AtomicBool,
}

#[derive(Default)]
struct State {
    /// For the life of the process: plugins keep them.
    handles: Vec<&'static TableHandle>,
    /// By what the table's owner calls the field, and its type. For the life of the process, too.
    fields: HashMap<(usize, StateType), &'static FieldHandle>,
    /// What `list_tables` gave last.
    listed: Vec<TableInfo>,
    entries: Vec<Entry>,
    subtables: Vec<(ThreadId, Box<TableHandle>)>,
}

// SAFETY: the pointers are addresses that are passed on, and `listed` points to names that stay in `shared`.
unsafe impl Send for State {}

/// A table as a plugin holds it: to the plugin it is a table input whose functions are the host's.
///
/// The SDK for Rust reads the type of the keys in it.
#[repr(C)]
#[derive(Debug)]
pub(super) struct TableHandle {
    input: TableInput,
    name: CString,
    pub(super) target: Target,
    /// The plugin state that was given the handle.
    pub(super) user: &'static Owner,
}

// SAFETY: nobody writes to a handle once it is made.
unsafe impl Sync for TableHandle {}
// SAFETY: likewise, and what it points to stays where it is.
unsafe impl Send for TableHandle {}

/// A field as a plugin holds it.
#[derive(Debug)]
pub(super) struct FieldHandle {
    pub(super) raw: *mut TableField,
    pub(super) field_type: StateType,
}

// SAFETY: the pointer is only passed on to the owner's functions.
unsafe impl Sync for FieldHandle {}

/// An entry that a plugin was given and has not released.
#[derive(Debug)]
struct Entry {
    thread: ThreadId,
    target: Target,
    entry: *mut TableEntry,
    /// Made by the plugin and in no table yet.
    is_new: bool,
}

impl TableHandle {
    fn new(published: Published, user: &'static Owner) -> Box<Self> {
        let Published { name, key_type, target } = published;
        let mut handle = Box::new(Self {
            input: TableInput {
                name: name.as_ptr(),
                key_type,
                table: std::ptr::null_mut(),
                reader: READER,
                writer: WRITER,
                fields: FIELDS,
                reader_ext: reader_ext(),
                writer_ext: writer_ext(),
                fields_ext: fields_ext(),
            },
            name,
            target,
            user,
        });
        handle.input.table = handle.address();
        handle
    }

    /// # Safety
    ///
    /// `table` is null or a handle that this host has given out and not taken back.
    pub(super) unsafe fn of<'a>(table: *mut Table) -> Option<&'a Self> {
        // SAFETY: the caller vouches for it, and nobody writes to handles.
        unsafe { checked(table.cast_const().cast::<Self>()) }
    }

    pub(super) fn address(&self) -> *mut Table {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    pub(super) fn name(&self) -> &CStr {
        &self.name
    }

    pub(super) fn key_type(&self) -> StateType {
        self.input.key_type
    }
}

impl FieldHandle {
    /// # Safety
    ///
    /// `field` is null or came from [`Access::field`].
    pub(super) unsafe fn of<'a>(field: *const TableField) -> Option<&'a Self> {
        // SAFETY: the caller vouches for it, and nobody writes to handles.
        unsafe { checked(field.cast::<Self>()) }
    }
}

impl Access {
    pub(crate) fn new(shared: Arc<StateTables>) -> Self {
        Self { shared, state: Mutex::default(), has_left: AtomicBool::new(false) }
    }

    /// Whether plugins of the event source share tables.
    pub(crate) fn are_shared(&self) -> bool {
        self.shared.is_used()
    }

    /// The handle for a table, the same for the same name; `None` if there is no such table.
    pub(super) fn open(&self, name: &CStr, user: &'static Owner) -> Option<&'static TableHandle> {
        let mut state = self.lock();
        if let Some(handle) = state.handles.iter().find(|handle| handle.name() == name) {
            return Some(handle);
        }
        let handle = &*Box::leak(TableHandle::new(self.shared.find(name)?, user));
        state.handles.push(handle);
        Some(handle)
    }

    /// A handle that is good until the call ends that the plugin is in.
    pub(super) fn open_subtable(&self, table: Published, user: &'static Owner) -> *mut Table {
        let handle = TableHandle::new(table, user);
        let address = handle.address();
        self.lock().subtables.push((thread::current().id(), handle));
        self.has_left.store(true, Ordering::Relaxed);
        address
    }

    pub(super) fn list(&self) -> (*mut TableInfo, usize) {
        let mut state = self.lock();
        state.listed = self.shared.list();
        (state.listed.as_mut_ptr(), state.listed.len())
    }

    /// The handle of a field, the same for the same field.
    pub(super) fn field(&self, raw: *mut TableField, field_type: StateType) -> *mut TableField {
        let mut state = self.lock();
        let handle = state
            .fields
            .entry((raw.addr(), field_type))
            .or_insert_with(|| Box::leak(Box::new(FieldHandle { raw, field_type })));
        std::ptr::from_ref(*handle).cast_mut().cast()
    }

    /// Remembers an entry until it is released, or the call ends that the plugin is in.
    pub(super) fn keep(&self, target: Target, entry: *mut TableEntry, is_new: bool) {
        let thread = thread::current().id();
        self.lock().entries.push(Entry { thread, target, entry, is_new });
        self.has_left.store(true, Ordering::Relaxed);
    }

    /// Forgets an entry; `None` if the plugin does not have it. Tells whether it is in no table.
    pub(super) fn forget(&self, entry: *mut TableEntry) -> Option<bool> {
        let mut state = self.lock();
        let index = state.entries.iter().rposition(|kept| kept.entry == entry)?;
        Some(state.entries.swap_remove(index).is_new)
    }

    /// Takes back what the call that ends now on this thread has left over.
    pub(crate) fn reclaim(&self) {
        if !self.has_left.load(Ordering::Relaxed) {
            return;
        }
        let here = thread::current().id();
        let mut state = self.lock();
        state.subtables.retain(|(thread, _)| *thread != here);
        let left: Vec<_> = state.entries.extract_if(.., |entry| entry.thread == here).collect();
        if state.subtables.is_empty() && state.entries.is_empty() {
            self.has_left.store(false, Ordering::Relaxed);
        }
        drop(state);
        for Entry { target, entry, is_new, .. } in left {
            target.release(entry, is_new);
        }
    }

    /// Withdraws the tables of the plugin state, which ends.
    pub(crate) fn withdraw(&self, owner: &'static Owner) {
        self.reclaim();
        self.shared.remove_of(owner);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target {
    /// Gives an entry back to its owner, if that is still there.
    pub(super) fn release(&self, entry: *mut TableEntry, is_new: bool) {
        let function =
            if is_new { self.writer.destroy_table_entry } else { self.reader.release_table_entry };
        let Some(release) = function.filter(|_| !self.owner.is_gone()) else { return };
        // SAFETY: the owner gave out the entry of this table and gets it back once.
        unsafe { release(self.table, entry) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_forgotten_once() {
        let log: Arc<crate::LogSink> = Arc::new(|_, _: &str, _: &str| {});
        let owner = Owner::leak("test", log, StateTables::new());
        let (reader, writer) = (reader_ext(), writer_ext());
        let target = Target {
            table: std::ptr::null_mut(),
            // SAFETY: the host's own lists, which nobody writes to.
            reader: unsafe { *reader },
            // SAFETY: likewise.
            writer: unsafe { *writer },
            // SAFETY: likewise.
            fields: unsafe { *fields_ext() },
            owner,
        };
        let entry = std::ptr::without_provenance_mut(8);
        owner.tables().keep(target, entry, true);
        owner.tables().keep(target, entry, false);
        let forget = || owner.tables().forget(entry);
        assert_eq!([forget(), forget(), forget()], [Some(false), Some(true), None]);
    }
}
