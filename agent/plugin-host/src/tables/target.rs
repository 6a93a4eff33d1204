//! Where the calls on a table go: to functions of the plugin that it belongs to, or to the host's own tables.

use std::ffi::CStr;

use super::foreign::PluginTable;
use super::host::HostTable;
use super::registry::Published;
use crate::abi::{
    StateData, StateType, TableEntry, TableField, TableFieldInfo, checked, state_type,
};
use crate::owner::Owner;

/// Who has a table.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Plugin(PluginTable),
    Host(HostTable),
}

/// What is read from a field.
pub(super) enum FieldValue {
    Plain(StateData),
    Table(Published),
}

/// A value that a plugin passes, of the type that it has to have: a key, or what is to be written.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    data: &'a StateData,
    value_type: StateType,
    /// That of a text.
    text: Option<&'a CStr>,
}

impl<'a> Given<'a> {
    /// `None` for null, also if that is in the place of a text, and for what is no value but a table.
    ///
    /// # Safety
    ///
    /// `data` is null or points to a value of the type, which stays as it is during `'a`.
    pub(super) unsafe fn read(data: *const StateData, value_type: StateType) -> Option<Self> {
        // SAFETY: the caller vouches for it.
        let data = unsafe { checked(data) }?;
        let text = match value_type {
            state_type::STRING => {
                // SAFETY: every bit pattern is a pointer.
                let text = unsafe { data.str_ };
                // SAFETY: not null, and the caller vouches for the rest.
                Some((!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })?)
            }
            state_type::TABLE => return None,
            _ => None,
        };
        Some(Self { data, value_type, text })
    }

    pub(super) fn as_ptr(&self) -> *const StateData {
        self.data
    }

    pub(super) fn value_type(&self) -> StateType {
        self.value_type
    }

    pub(super) fn text(&self) -> Option<&'a CStr> {
        self.text
    }

    /// A number as its bytes; those that its type has not are 0.
    pub(super) fn number(&self) -> u64 {
        // SAFETY: every bit pattern is a number; plugins may leave the bytes behind it as they are.
        let mut bytes = unsafe { self.data.u64_ }.to_ne_bytes();
        bytes[state_type::size(self.value_type)..].fill(0);
        u64::from_ne_bytes(bytes)
    }
}

impl Target {
    /// Whether there is nobody any more who would answer.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Plugin(table) if table.owner.is_gone())
    }

    /// For messages.
    pub(super) fn owner_name(&self) -> String {
        match self {
            Self::Plugin(table) => format!("plugin '{}'", table.owner.plugin_name()),
            Self::Host(_) => "the host".to_owned(),
        }
    }

    pub(super) fn is_of(&self, owner: &'static Owner) -> bool {
        matches!(self, Self::Plugin(table) if std::ptr::eq(table.owner, owner))
    }

    /// Whether entries of one may be passed to the other.
    pub(super) fn has_entries_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plugin(own), Self::Plugin(other)) => {
                own.table == other.table && std::ptr::eq(own.owner, other.owner)
            }
            (Self::Host(own), Self::Host(other)) => own.is_beside(other),
            _ => false,
        }
    }

    pub(super) fn fields(&self) -> Option<Vec<TableFieldInfo>> {
        match self {
            Self::Plugin(table) => table.fields(),
            Self::Host(table) => Some(table.fields()),
        }
    }

    pub(super) fn field(&self, name: &CStr, field_type: StateType) -> Option<*mut TableField> {
        match self {
            Self::Plugin(table) => table.field(name, field_type),
            Self::Host(table) => table.field(name, field_type),
        }
    }

    pub(super) fn add_field(&self, name: &CStr, field_type: StateType) -> Option<*mut TableField> {
        match self {
            Self::Plugin(table) => table.add_field(name, field_type),
            Self::Host(table) => table.add_field(name, field_type),
        }
    }

    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Plugin(table) => table.size(),
            Self::Host(table) => table.size(),
        }
    }

    pub(super) fn entry(&self, key: Given<'_>) -> Option<*mut TableEntry> {
        match self {
            Self::Plugin(table) => table.entry(key),
            Self::Host(table) => table.entry(key.number()),
        }
    }

    pub(super) fn create(&self) -> Option<*mut TableEntry> {
        match self {
            Self::Plugin(table) => table.create(),
            Self::Host(table) => Some(table.create()),
        }
    }

    /// Takes over an entry that it has made; gives it as it is in the table.
    pub(super) fn add(&self, key: Given<'_>, entry: *mut TableEntry) -> Option<*mut TableEntry> {
        match self {
            Self::Plugin(table) => table.add(key, entry),
            Self::Host(table) => table.add(key.number(), entry).then_some(entry),
        }
    }

    /// Gives an entry back, once.
    pub(super) fn release(&self, entry: *mut TableEntry, is_new: bool) {
        match self {
            Self::Plugin(table) => table.release(entry, is_new),
            Self::Host(table) => table.release(entry),
        }
    }

    pub(super) fn erase(&self, key: Given<'_>) -> bool {
        match self {
            Self::Plugin(table) => table.erase(key),
            Self::Host(table) => table.erase(key.number()),
        }
    }

    pub(super) fn clear(&self) -> bool {
        match self {
            Self::Plugin(table) => table.clear(),
            Self::Host(table) => table.clear(),
        }
    }

    /// Calls `visit` with each entry until it says "no"; false if it did, or on failure.
    pub(super) fn iterate(&self, visit: impl FnMut(*mut TableEntry) -> bool) -> bool {
        match self {
            Self::Plugin(table) => table.iterate(visit),
            Self::Host(table) => table.iterate(visit),
        }
    }

    /// The reason is for the plugin that asks.
    pub(super) fn read(
        &self,
        entry: *mut TableEntry,
        field: *const TableField,
        field_type: StateType,
    ) -> Result<FieldValue, String> {
        match self {
            Self::Plugin(table) => table.read(entry, field, field_type),
            Self::Host(table) => {
                table.read(entry, field).ok_or_else(|| "has no such entry".to_owned())
            }
        }
    }

    pub(super) fn write(
        &self,
        entry: *mut TableEntry,
        field: *const TableField,
        value: Given<'_>,
    ) -> bool {
        match self {
            Self::Plugin(table) => table.write(entry, field, value),
            Self::Host(table) => table.write(entry, field, value),
        }
    }
}
