//! The shared object as the dynamic linker sees it.

use std::mem::ManuallyDrop;
use std::path::Path;

use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};

use crate::abi::Symbol;

/// An open shared object that is never closed.
///
/// Go libraries cannot be unloaded (their runtime's threads go on), and Rust ones keep the log
/// function of the last state; closing would gain a few pages and risk a jump into nothing.
pub(crate) struct SharedObject(ManuallyDrop<Handle>);

impl SharedObject {
    pub(crate) fn open(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: opening runs the object's initialisers. The user configured this plugin to run
        // inside the agent, which is all that can be asked of it; nothing will run at closing.
        let handle = unsafe { Handle::open(Some(path), RTLD_NOW | RTLD_LOCAL) }?;
        Ok(Self(ManuallyDrop::new(handle)))
    }

    /// The function that the object exports for `symbol`, good for the life of the process.
    pub(crate) fn resolve<F: Copy>(&self, symbol: &Symbol<F>) -> Option<F> {
        // SAFETY: `Symbol` pairs every name with the type the header declares for it, always a
        // function pointer, and `Option` of one is null-safe.
        let found = unsafe { self.0.get::<Option<F>>(exported(symbol.name).as_str()) };
        found.ok().and_then(|function| *function)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        // SAFETY: the symbol is neither called nor read.
        let found =
            unsafe { self.0.get::<Option<unsafe extern "C" fn()>>(exported(name).as_str()) };
        found.is_ok_and(|function| function.is_some())
    }
}

fn exported(name: &str) -> String {
    format!("plugin_{name}")
}
