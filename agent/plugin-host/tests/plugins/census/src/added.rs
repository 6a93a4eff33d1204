//! Events that the plugin adds from a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use falco_plugin::async_event::{AsyncEventPlugin, AsyncHandler};

use crate::Census;

/// What the plugin and its thread tell each other.
#[derive(Debug, Default)]
pub(crate) struct Adding {
    may_begin: Mutex<bool>,
    begin: Condvar,
    is_done: AtomicBool,
}

impl Adding {
    /// Lets the thread begin; says whether it has added all.
    pub(crate) fn is_done(&self) -> bool {
        *self.may_begin.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.begin.notify_all();
        self.is_done.load(Ordering::Acquire)
    }

    fn wait(&self) {
        let mut may_begin = self.may_begin.lock().unwrap_or_else(PoisonError::into_inner);
        while !*may_begin {
            may_begin = self.begin.wait(may_begin).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl AsyncEventPlugin for Census {
    const ASYNC_EVENTS: &'static [&'static str] = &["tick", "tock"];
    const EVENT_SOURCES: &'static [&'static str] = &[];

    fn start_async(&mut self, handler: AsyncHandler) -> anyhow::Result<()> {
        log::info!("adding starts");
        let (name, count) = match self.task.as_str() {
            "cannot add" => anyhow::bail!("asked not to start"),
            "add wrong" => (c"wrong", 1),
            "add many" => (c"tick", 5000),
            "add" => (c"tick", 3),
            // Not due before the source ends.
            "add later" => (c"tick", 2),
            _ => return Ok(()),
        };
        let is_later = self.task == "add later";
        let adding = Arc::clone(&self.adding);
        let add = move || {
            adding.wait();
            for number in 0..count {
                let data = number.to_string();
                let mut event = Self::async_event(name, data.as_bytes());
                if is_later {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    let soon_ns = (now + Duration::from_secs(9)).as_nanos();
                    event.metadata.ts = u64::try_from(soon_ns).unwrap_or(u64::MAX);
                }
                if let Err(error) = handler.emit(event) {
                    log::warn!("not taken: {error:#}");
                    break;
                }
            }
            adding.is_done.store(true, Ordering::Release);
        };
        self.thread = Some(std::thread::spawn(add));
        Ok(())
    }

    fn stop_async(&mut self) -> anyhow::Result<()> {
        self.adding.is_done();
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow::anyhow!("the thread panicked"))?;
        }
        log::info!("adding stops");
        Ok(())
    }
}
