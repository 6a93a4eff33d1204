//! What one plugin state got of the tables: handles, fields and entries.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::host::Kind;
use super::registry::{Published, StateTables};
use super::target::Target;
use super::{FIELDS, READER, WRITER, fields_ext, reader_ext, writer_ext};
use crate::abi::{
    StateType, Table, TableEntry, TableField, TableFieldInfo, TableInfo, TableInput, checked,
};
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
    handles: Vec<&'static TableHandle>,
    /// Those of tables in tables, which are used again and again.
    subtables: Vec<Subtable>,
    fields: HashMap<Accessor, &'static FieldHandle>,
    /// What `list_tables` gave last, and what it points to.
    listed: Vec<TableInfo>,
    listed_names: Vec<CString>,
    /// What `list_table_fields` gave last.
    listed_fields: Vec<TableFieldInfo>,
    entries: Vec<Entry>,
}

// SAFETY: the pointers are addresses that are passed on, or point to what stays beside them.
unsafe impl Send for State {}

/// A table as a plugin holds it: to the plugin it is a table input whose functions are the host's.
///
/// The SDK for Rust reads the type of the keys in it. It is there for the life of the process, because plugins keep it.
#[derive(Debug)]
#[repr(C)]
pub(super) struct TableHandle {
    input: TableInput,
    name: CString,
    /// `None` after the call in which a table in a table was got.
    target: Mutex<Option<Target>>,
    /// Whether it lies in no other.
    is_root: bool,
    /// The plugin state that was given the handle.
    pub(super) user: &'static Owner,
}

// SAFETY: once it is made nobody writes to it but to what is in the lock.
unsafe impl Sync for TableHandle {}
// SAFETY: likewise, and what it points to stays where it is.
unsafe impl Send for TableHandle {}

struct Subtable {
    /// The thread whose call it is good for, if it is in use.
    thread: Option<ThreadId>,
    handle: &'static TableHandle,
}

/// A field as a plugin holds it, for the life of the process.
#[derive(Debug)]
pub(super) struct FieldHandle(Accessor);

// SAFETY: the pointers are only compared and passed on to the owner's functions.
unsafe impl Sync for FieldHandle {}

/// A field, and which tables it is one of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Accessor {
    raw: *mut TableField,
    field_type: StateType,
    place: Place,
}

/// Where a field is good for. What a plugin calls the tables in its tables says nothing of which of them have the same fields.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    /// In a table of the plugin state whose owner has this address.
    Table(usize, *mut Table),
    /// In the tables that lie in its tables.
    Subtables(usize),
    Host(Kind),
}

/// An entry that a plugin was given and has not released.
#[derive(Debug)]
struct Entry {
    thread: ThreadId,
    target: Target,
    entry: *mut TableEntry,
    holds: Holds,
}

/// In which way a plugin has an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// It made it; it is in no table yet.
    New,
    /// It got it from a table.
    Got,
    /// It may look at it until the function ends that it was shown to.
    Shown,
}

impl TableHandle {
    fn leak(published: Published, is_root: bool, user: &'static Owner) -> &'static Self {
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
            target: Mutex::new(Some(target)),
            is_root,
            user,
        });
        handle.input.table = handle.address();
        Box::leak(handle)
    }

    /// # Safety
    ///
    /// `table` is null or a handle that this host has given out.
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

    /// Where calls go; `None` if it was of a table in a table, in a call that has ended.
    pub(super) fn target(&self) -> Option<Target> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Target>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// As the table's owner calls it.
    pub(super) fn raw(&self) -> *mut TableField {
        self.0.raw
    }

    pub(super) fn field_type(&self) -> StateType {
        self.0.field_type
    }

    pub(super) fn is_of(&self, handle: &TableHandle, target: &Target) -> bool {
        self.0.place == Place::of(handle, target)
    }
}

impl Place {
    fn of(handle: &TableHandle, target: &Target) -> Self {
        match target {
            Target::Host(table) => Self::Host(table.kind()),
            Target::Plugin(table) => {
                let owner = std::ptr::from_ref(table.owner).addr();
                if handle.is_root {
                    Self::Table(owner, table.table)
                } else {
                    Self::Subtables(owner)
                }
            }
        }
    }
}

impl Access {
    pub(crate) fn new(shared: Arc<StateTables>) -> Self {
        shared.enter();
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
        let handle = TableHandle::leak(self.shared.find(name)?, true, user);
        state.handles.push(handle);
        Some(handle)
    }

    /// A handle that is good until the call ends that the plugin is in.
    pub(super) fn open_subtable(&self, table: Published, user: &'static Owner) -> *mut Table {
        self.has_left.store(true, Ordering::Relaxed);
        let thread = Some(thread::current().id());
        let mut state = self.lock();
        let is_alike =
            |handle: &TableHandle| handle.name == table.name && handle.key_type() == table.key_type;
        let mut free = state.subtables.iter_mut().filter(|subtable| subtable.thread.is_none());
        if let Some(subtable) = free.find(|subtable| is_alike(subtable.handle)) {
            subtable.thread = thread;
            *subtable.handle.lock() = Some(table.target);
            return subtable.handle.address();
        }
        let handle = TableHandle::leak(table, false, user);
        state.subtables.push(Subtable { thread, handle });
        handle.address()
    }

    pub(super) fn list(&self) -> (*mut TableInfo, usize) {
        let mut state = self.lock();
        let (names, key_types): (Vec<_>, Vec<_>) = self.shared.list().into_iter().unzip();
        let info =
            |(name, key_type): (&CString, StateType)| TableInfo { name: name.as_ptr(), key_type };
        state.listed = names.iter().zip(key_types).map(info).collect();
        state.listed_names = names;
        (state.listed.as_mut_ptr(), state.listed.len())
    }

    pub(super) fn list_fields(
        &self,
        fields: Vec<TableFieldInfo>,
    ) -> (*const TableFieldInfo, usize) {
        let mut state = self.lock();
        state.listed_fields = fields;
        (state.listed_fields.as_ptr(), state.listed_fields.len())
    }

    /// The handle of a field, the same for the same field.
    pub(super) fn field(
        &self,
        handle: &TableHandle,
        target: &Target,
        raw: *mut TableField,
        field_type: StateType,
    ) -> *mut TableField {
        let place = Place::of(handle, target);
        let accessor = Accessor { raw, field_type, place };
        let mut state = self.lock();
        let field = state
            .fields
            .entry(accessor.clone())
            .or_insert_with(|| Box::leak(Box::new(FieldHandle(accessor))));
        std::ptr::from_ref(*field).cast_mut().cast()
    }

    /// Remembers an entry until it is released, or the call ends that the plugin is in.
    pub(super) fn keep(&self, target: Target, entry: *mut TableEntry, holds: Holds) {
        let thread = thread::current().id();
        self.lock().entries.push(Entry { thread, target, entry, holds });
        self.has_left.store(true, Ordering::Relaxed);
    }

    /// Whether the plugin has the entry, of a table like this.
    pub(super) fn has(&self, target: &Target, entry: *mut TableEntry) -> bool {
        self.lock().entries.iter().rev().any(|kept| kept.is(target, entry))
    }

    /// Forgets an entry that the plugin has in one of these ways; `None` if it has not. Tells in which.
    pub(super) fn forget(
        &self,
        target: &Target,
        entry: *mut TableEntry,
        ways: &[Holds],
    ) -> Option<Holds> {
        let mut state = self.lock();
        let is_it = |kept: &Entry| kept.is(target, entry) && ways.contains(&kept.holds);
        let index = state.entries.iter().rposition(is_it)?;
        Some(state.entries.swap_remove(index).holds)
    }

    /// Takes back what the call that ends now on this thread has left over.
    pub(crate) fn reclaim(&self) {
        if !self.has_left.load(Ordering::Relaxed) {
            return;
        }
        let here = thread::current().id();
        let mut state = self.lock();
        for subtable in state.subtables.iter_mut().filter(|s| s.thread == Some(here)) {
            subtable.thread = None;
            *subtable.handle.lock() = None;
        }
        let left: Vec<_> = state.entries.extract_if(.., |entry| entry.thread == here).collect();
        if state.subtables.iter().all(|s| s.thread.is_none()) && state.entries.is_empty() {
            self.has_left.store(false, Ordering::Relaxed);
        }
        drop(state);
        for Entry { target, entry, holds, .. } in
            left.into_iter().filter(|e| e.holds != Holds::Shown)
        {
            target.release(entry, holds == Holds::New);
        }
    }

    /// Withdraws the tables of the plugin state, which ends.
    pub(crate) fn withdraw(&self, owner: &'static Owner) {
        self.reclaim();
        self.shared.leave(owner);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is(&self, target: &Target, entry: *mut TableEntry) -> bool {
        self.entry == entry && self.target.has_entries_of(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::API_VERSION;

    #[test]
    fn an_entry_is_forgotten_once() {
        let log: Arc<crate::LogSink> = Arc::new(|_, _: &str, _: &str| {});
        let owner = Owner::leak("test", API_VERSION, log, StateTables::new());
        let target = owner.tables().shared.find(c"threads").expect("it is there").target;
        let entry = std::ptr::without_provenance_mut(8);
        for holds in [Holds::New, Holds::Got, Holds::Shown] {
            owner.tables().keep(target.clone(), entry, holds);
        }
        let forget = |ways: &[Holds]| owner.tables().forget(&target, entry, ways);
        let released = [Holds::New, Holds::Got];
        assert_eq!([forget(&released), forget(&released)], [Some(Holds::Got), Some(Holds::New)]);
        assert_eq!(forget(&released), None);
        assert_eq!(forget(&[Holds::Shown]), Some(Holds::Shown));
        assert!(!owner.tables().has(&target, entry));
    }
}
