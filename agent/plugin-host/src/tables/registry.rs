//! Which tables there are.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::host::{HostTable, HostTables};
use super::target::Target;
use crate::abi::StateType;
use crate::owner::Owner;

/// The state tables that the plugins of one event source share.
///
/// Plugin states that are made with the same one see each other's tables, later ones those of earlier ones. There is a table
/// `threads` from the beginning, which is empty.
#[derive(Debug)]
pub struct StateTables {
    threads: HostTable,
    published: Mutex<Vec<Published>>,
    is_used: AtomicBool,
    /// How many plugin states see them.
    members: AtomicUsize,
}

/// A table that is offered to plugins.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) name: CString,
    pub(super) key_type: StateType,
    pub(super) target: Target,
}

impl StateTables {
    /// Those of no plugin yet.
    pub fn new() -> Arc<Self> {
        let threads = HostTables::new().threads();
        let published = Mutex::new(vec![Published::of_host(threads.clone())]);
        let (is_used, members) = (AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Self { threads, published, is_used, members })
    }

    /// Whether a plugin has ever offered a table, or got one.
    pub fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Offers a table to other plugins.
    pub(super) fn add(&self, table: Published) -> Result<(), String> {
        let mut published = self.lock();
        if let Some(other) = published.iter().find(|other| other.name == table.name) {
            return Err(format!(
                "{} has a table named '{}' already",
                other.target.owner_name(),
                table.name.to_string_lossy()
            ));
        }
        published.push(table);
        self.is_used.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn find(&self, name: &CStr) -> Option<Published> {
        let found = self.lock().iter().find(|table| table.name.as_c_str() == name).cloned();
        self.is_used.fetch_or(found.is_some(), Ordering::Relaxed);
        found
    }

    /// Name and key type of each.
    pub(super) fn list(&self) -> Vec<(CString, StateType)> {
        self.lock().iter().map(|table| (table.name.clone(), table.key_type)).collect()
    }

    pub(super) fn enter(&self) {
        self.members.fetch_add(1, Ordering::Relaxed);
    }

    /// Withdraws the tables of a plugin state that ends. What states put into the host's tables goes with the last of them.
    pub(super) fn leave(&self, owner: &'static Owner) {
        self.lock().retain(|table| !table.target.is_of(owner));
        if self.members.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.threads.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Published>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Published {
    pub(super) fn of_host(table: HostTable) -> Self {
        let kind = table.kind();
        Self {
            name: kind.name().to_owned(),
            key_type: kind.key_type(),
            target: Target::Host(table),
        }
    }
}
