//! What goes on while the source is open: events that the plugin adds, and what it hears of.

use std::ffi::c_char;

use falco_plugin_api::{
    ss_plugin_async_event_handler_t, ss_plugin_capture_listen_input, ss_plugin_owner_t, ss_plugin_t,
};

use crate::{State, read};

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_async_events() -> *const c_char {
    c"[\"added\"]".as_ptr()
}

/// With the task `async with-thread` it adds an event that has a thread id, at once.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_set_async_event_handler(
    state: *mut ss_plugin_t,
    _owner: *mut ss_plugin_owner_t,
    handler: ss_plugin_async_event_handler_t,
) -> i32 {
    // SAFETY: the state was made by `init`.
    let state = unsafe { State::of(state) };
    if handler.is_none() {
        state.log("handler taken back");
        return state.act("take_handler_back");
    }
    state.log("handler set");
    state.handler = handler;
    if state.task("async") == "with-thread" {
        state.add(7);
    }
    state.act("set_async_event_handler")
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_capture_open(
    state: *mut ss_plugin_t,
    _input: *const ss_plugin_capture_listen_input,
) -> i32 {
    // SAFETY: the state was made by `init`.
    let state = unsafe { State::of(state) };
    state.log("capture opens");
    state.act("capture_open")
}

/// With the task `async late` it adds an event, though it may not any more.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_capture_close(
    state: *mut ss_plugin_t,
    _input: *const ss_plugin_capture_listen_input,
) -> i32 {
    // SAFETY: the state was made by `init`.
    let state = unsafe { State::of(state) };
    state.log("capture closes");
    if state.task("async") == "late" {
        state.add(u64::MAX);
    }
    state.act("capture_close")
}

impl State {
    /// Adds an event and logs what the host says.
    fn add(&self, thread: u64) {
        let Some(handler) = self.handler else { return };
        let name = b"added\0";
        let mut event = vec![0xff; 8];
        event.extend(thread.to_ne_bytes());
        event.extend((42 + name.len() as u32).to_ne_bytes());
        event.extend(402u16.to_ne_bytes());
        event.extend(3u32.to_ne_bytes());
        for length in [4, name.len() as u32, 0] {
            event.extend(length.to_ne_bytes());
        }
        event.extend(0u32.to_ne_bytes());
        event.extend(name);
        let mut error: [c_char; 1024] = [0; 1024];
        // SAFETY: owner and handler are the host's; event and buffer are whole and outlive the call.
        let rc = unsafe { handler(self.owner, event.as_ptr().cast(), error.as_mut_ptr()) };
        match rc {
            0 => self.log("added"),
            _ => self.log(&format!("refused: {}", read(error.as_ptr()))),
        }
    }
}
