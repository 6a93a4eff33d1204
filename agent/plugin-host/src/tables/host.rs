//! The tables that the host has itself: `threads`, and those that lie in its entries.
//!
//! They are for plugins that work on system calls, which ask for them when they start. There are no system calls here, so
//! they hold only what plugins put into them. Everything that a plugin passes is looked up: an entry or a table that is no
//! more is refused.

mod schema;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use self::schema::Kind;
use self::schema::{Schema, THREAD_ID};
use super::registry::Published;
use super::target::{FieldValue, Given};
use crate::abi::{StateData, StateType, TableEntry, TableField, TableFieldInfo, state_type};

/// All tables of the host that the plugins of one event source share.
#[derive(Debug)]
pub(crate) struct HostTables {
    state: Mutex<State>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct HostTable {
    all: Arc<HostTables>,
    kind: Kind,
    id: usize,
}

#[derive(Debug)]
struct State {
    /// As [`Kind::ALL`].
    schemas: [Schema; Kind::ALL.len()],
    rows: HashMap<usize, Rows>,
    entries: HashMap<usize, Entry>,
    /// The next table or entry; what is gone leaves its number unused.
    next_id: usize,
}

/// What is in a table, by key.
type Rows = BTreeMap<u64, usize>;

#[derive(Debug)]
struct Entry {
    kind: Kind,
    /// By the index of the field; those that were never written are not there.
    values: HashMap<usize, Value>,
    /// How often plugins have it and have not given it back.
    holders: usize,
    is_in_table: bool,
}

#[derive(Debug)]
enum Value {
    /// Its bytes as in a value at the ABI; those that its type has not are 0.
    Number(u64),
    /// Plugins read it where it is, so it stays there until it is written over or the entry goes.
    Text(CString),
    Table(usize),
}

const ROOT: usize = 0;

impl HostTables {
    pub(crate) fn new() -> Arc<Self> {
        let schemas = Kind::ALL.map(Schema::new);
        let rows = HashMap::from([(ROOT, Rows::new())]);
        let state = State { schemas, rows, entries: HashMap::new(), next_id: ROOT + 1 };
        Arc::new(Self { state: Mutex::new(state) })
    }

    pub(crate) fn threads(self: &Arc<Self>) -> HostTable {
        HostTable { all: Arc::clone(self), kind: Kind::Threads, id: ROOT }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostTable {
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether both belong to the same plugins.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.all, &other.all)
    }

    pub(crate) fn fields(&self) -> Vec<TableFieldInfo> {
        self.all.lock().schema(self.kind).list()
    }

    pub(crate) fn field(&self, name: &CStr, field_type: StateType) -> Option<*mut TableField> {
        self.all.lock().schema(self.kind).find(name, field_type).map(field_handle)
    }

    pub(crate) fn add_field(&self, name: &CStr, field_type: StateType) -> Option<*mut TableField> {
        self.all.lock().schema(self.kind).add(name, field_type).map(field_handle)
    }

    pub(crate) fn size(&self) -> Option<u64> {
        self.all.lock().rows.get(&self.id).map(|rows| rows.len() as u64)
    }

    /// Holds the entry for the plugin that asks.
    pub(crate) fn entry(&self, key: u64) -> Option<*mut TableEntry> {
        let mut state = self.all.lock();
        let id = *state.rows.get(&self.id)?.get(&key)?;
        state.entries.get_mut(&id)?.holders += 1;
        Some(entry_handle(id))
    }

    /// An entry that is in no table yet.
    pub(crate) fn create(&self) -> *mut TableEntry {
        let mut state = self.all.lock();
        let id = state.new_id();
        let (kind, values) = (self.kind, HashMap::new());
        state.entries.insert(id, Entry { kind, values, holders: 1, is_in_table: false });
        entry_handle(id)
    }

    /// Puts an entry into the table, in the place of the one with the same key.
    pub(crate) fn add(&self, key: u64, entry: *mut TableEntry) -> bool {
        let mut state = self.all.lock();
        let id = entry.addr();
        if !state.rows.contains_key(&self.id) {
            return false;
        }
        match state.entries.get_mut(&id) {
            Some(entry) if entry.kind == self.kind && !entry.is_in_table => {
                entry.is_in_table = true;
                if self.kind == Kind::Threads {
                    entry.values.insert(THREAD_ID, Value::Number(key));
                }
            }
            _ => return false,
        }
        let replaced = state.rows.get_mut(&self.id).and_then(|rows| rows.insert(key, id));
        state.take_out(replaced);
        true
    }

    pub(crate) fn release(&self, entry: *mut TableEntry) {
        let mut state = self.all.lock();
        let Some(held) = state.entries.get_mut(&entry.addr()) else { return };
        held.holders = held.holders.saturating_sub(1);
        state.drop_if_unused(entry.addr());
    }

    pub(crate) fn erase(&self, key: u64) -> bool {
        let mut state = self.all.lock();
        let erased = state.rows.get_mut(&self.id).and_then(|rows| rows.remove(&key));
        state.take_out(erased);
        erased.is_some()
    }

    pub(crate) fn clear(&self) -> bool {
        let mut state = self.all.lock();
        let Some(rows) = state.rows.get_mut(&self.id) else { return false };
        let rows = std::mem::take(rows);
        state.take_out(rows.into_values());
        true
    }

    /// Visits the entries that are there now until `visit` says "no"; false if it did, or the table is no more.
    ///
    /// Plugins may change the table meanwhile.
    pub(crate) fn iterate(&self, mut visit: impl FnMut(*mut TableEntry) -> bool) -> bool {
        let keys: Vec<_> = match self.all.lock().rows.get(&self.id) {
            Some(rows) => rows.keys().copied().collect(),
            None => return false,
        };
        keys.into_iter().all(|key| {
            let Some(entry) = self.entry(key) else { return true };
            let goes_on = visit(entry);
            self.release(entry);
            goes_on
        })
    }

    /// The value of a field; what was never written is 0 or empty.
    pub(crate) fn read(
        &self,
        entry: *mut TableEntry,
        field: *const TableField,
    ) -> Option<FieldValue> {
        let mut state = self.all.lock();
        let state = &mut *state;
        let (id, index) = (entry.addr(), index_of(field)?);
        let entry = state.entries.get_mut(&id).filter(|entry| entry.kind == self.kind)?;
        let field = state.schemas[self.kind as usize].get(index)?;
        let table = |id, kind| {
            let table = Self { all: Arc::clone(&self.all), kind, id };
            FieldValue::Table(Published::of_host(table))
        };
        let plain = |value| Some(FieldValue::Plain(value));
        match (entry.values.get(&index), field.holds) {
            (Some(Value::Table(id)), Some(kind)) => Some(table(*id, kind)),
            (_, Some(kind)) => {
                let id = state.next_id;
                state.next_id += 1;
                entry.values.insert(index, Value::Table(id));
                state.rows.insert(id, Rows::new());
                Some(table(id, kind))
            }
            (Some(Value::Text(text)), None) => plain(StateData { str_: text.as_ptr() }),
            (Some(Value::Number(number)), None) => plain(StateData { u64_: *number }),
            (_, None) if field.field_type == state_type::STRING => {
                plain(StateData { str_: c"".as_ptr() })
            }
            (_, None) => plain(StateData { u64_: 0 }),
        }
    }

    pub(crate) fn write(
        &self,
        entry: *mut TableEntry,
        field: *const TableField,
        value: Given<'_>,
    ) -> bool {
        let mut state = self.all.lock();
        let state = &mut *state;
        let Some(index) = index_of(field) else { return false };
        let entry = state.entries.get_mut(&entry.addr()).filter(|entry| entry.kind == self.kind);
        let field = state.schemas[self.kind as usize].get(index);
        let (Some(entry), Some(field)) = (entry, field) else { return false };
        if field.is_read_only || field.field_type != value.value_type() {
            return false;
        }
        let value = value.text().map_or(Value::Number(value.number()), |t| Value::Text(t.into()));
        entry.values.insert(index, value);
        true
    }
}

impl State {
    fn schema(&mut self, kind: Kind) -> &mut Schema {
        &mut self.schemas[kind as usize]
    }

    fn new_id(&mut self) -> usize {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Lets go of entries that have left their table.
    fn take_out(&mut self, ids: impl IntoIterator<Item = usize>) {
        for id in ids {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.is_in_table = false;
            }
            self.drop_if_unused(id);
        }
    }

    /// Drops an entry that is in no table and that nobody holds, with the tables in it.
    fn drop_if_unused(&mut self, id: usize) {
        let is_unused = |entry: &Entry| entry.holders == 0 && !entry.is_in_table;
        if !self.entries.get(&id).is_some_and(is_unused) {
            return;
        }
        let values = self.entries.remove(&id).map(|entry| entry.values).unwrap_or_default();
        for value in values.into_values() {
            let Value::Table(table) = value else { continue };
            let rows = self.rows.remove(&table).unwrap_or_default();
            // No deeper than this: what lies in the tables of a thread holds none.
            self.take_out(rows.into_values());
        }
    }
}

/// Entries are numbers to plugins: what one passes is looked up, never followed.
fn entry_handle(id: usize) -> *mut TableEntry {
    ptr::without_provenance_mut(id)
}

/// Fields too. None of them is null.
fn field_handle(index: usize) -> *mut TableField {
    ptr::without_provenance_mut(index + 1)
}

fn index_of(field: *const TableField) -> Option<usize> {
    field.addr().checked_sub(1)
}
