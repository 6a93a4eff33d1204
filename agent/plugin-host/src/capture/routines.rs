//! The threads of plugins that listen: each routine has one, which calls it over and over.

use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::abi::{OwnerHandle, RoutineFn, RoutineHandle, RoutineState, StateHandle};
use crate::owner::Owner;
use crate::return_code::ReturnCode;

/// So many routines a plugin state may have at a time.
const MOST: usize = 64;
/// A routine that returns sooner is not called again at once: that would take a whole core.
const HASTY: Duration = Duration::from_micros(100);
const PAUSE: Duration = Duration::from_millis(1);

/// The routines of one plugin state.
#[derive(Debug, Default)]
pub(crate) struct Routines(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The plugin state, while the event source is open.
    plugin: Option<Pointer<StateHandle>>,
    last_id: usize,
    by_id: HashMap<usize, Routine>,
}

#[derive(Debug)]
struct Routine {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// An address that only the plugin looks at.
#[derive(Debug)]
struct Pointer<T>(*mut T);

// SAFETY: the host only hands it back to the plugin, on a thread that the plugin asked for.
unsafe impl<T> Send for Pointer<T> {}

impl Routines {
    /// Lets routines be added; false if they could be before.
    pub(super) fn open(&self, plugin: *mut StateHandle) -> bool {
        let mut inner = self.lock();
        let is_new = inner.plugin.is_none();
        inner.plugin.get_or_insert(Pointer(plugin));
        is_new
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().plugin.is_some()
    }

    /// Ends all routines and waits for them.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.plugin = None;
        let routines: Vec<_> = inner.by_id.drain().map(|(_, routine)| routine).collect();
        // Routines that are still running may want it.
        drop(inner);
        for routine in &routines {
            routine.is_over.store(true, Ordering::Release);
        }
        routines.into_iter().for_each(Routine::end);
    }

    /// Starts a thread that calls a routine until that says that it is done, or is ended.
    fn add(
        &self,
        owner: &'static Owner,
        function: RoutineFn,
        state: *mut RoutineState,
    ) -> Result<usize, String> {
        let function = function.ok_or("there is no routine")?;
        let mut inner = self.lock();
        let Some(Pointer(plugin)) = inner.plugin else {
            return Err("routines run while an event source is open".to_owned());
        };
        let running = inner.by_id.values().filter(|routine| !routine.thread.is_finished());
        if running.count() >= MOST {
            return Err(format!("{MOST} routines run already"));
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let pointers = (Pointer(plugin), Pointer(state));
        let run = move || {
            let (Pointer(plugin), Pointer(state)) = { pointers };
            while !over.load(Ordering::Acquire) {
                let start = Instant::now();
                // SAFETY: the plugin state outlives its routines, which are waited for before it is
                // destroyed; the routine is the plugin's own and is called on one thread at a time.
                let goes_on = unsafe { function(plugin, state) };
                owner.tables().reclaim();
                if goes_on == 0 {
                    break;
                }
                if start.elapsed() < HASTY {
                    thread::sleep(PAUSE);
                }
            }
        };
        let name = format!("routine-{}", owner.plugin_name());
        let thread = thread::Builder::new().name(name).spawn(run);
        let thread = thread.map_err(|error| format!("no thread can be started: {error}"))?;
        inner.last_id += 1;
        let id = inner.last_id;
        inner.by_id.insert(id, Routine { is_over, thread });
        Ok(id)
    }

    /// Ends a routine and waits for it; false if there is none with this id.
    fn remove(&self, id: usize) -> bool {
        let routine = self.lock().by_id.remove(&id);
        let Some(routine) = routine else { return false };
        routine.is_over.store(true, Ordering::Release);
        routine.end();
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Routine {
    /// Waits for the call under way: afterwards the plugin frees what the routine uses.
    fn end(self) {
        // A routine that ends itself cannot wait for that.
        if self.thread.thread().id() != thread::current().id() {
            // A panic of the plugin's would have ended the process.
            self.thread.join().ok();
        }
    }
}

/// The `subscribe` of the ABI.
pub(super) unsafe extern "C-unwind" fn subscribe(
    owner: *mut OwnerHandle,
    function: RoutineFn,
    state: *mut RoutineState,
) -> *mut RoutineHandle {
    // SAFETY: plugins hand back the owner they were given.
    let Some(owner) = (unsafe { Owner::from_handle(owner) }) else { return ptr::null_mut() };
    match owner.routines().add(owner, function, state) {
        // Not an address: a plugin may hand back one that is over.
        Ok(id) => ptr::without_provenance_mut(id),
        Err(reason) => {
            owner.set_error(format_args!("cannot start a routine: {reason}"));
            ptr::null_mut()
        }
    }
}

/// The `unsubscribe` of the ABI.
pub(super) unsafe extern "C-unwind" fn unsubscribe(
    owner: *mut OwnerHandle,
    routine: *mut RoutineHandle,
) -> i32 {
    // SAFETY: plugins hand back the owner they were given.
    let Some(owner) = (unsafe { Owner::from_handle(owner) }) else { return ReturnCode::FAILURE };
    if owner.routines().remove(routine.addr()) {
        return ReturnCode::SUCCESS;
    }
    owner.set_error(format_args!("there is no such routine"));
    ReturnCode::FAILURE
}
