//! Sourcing: as many events as the open params say, and how many of them have come as progress.

use std::ffi::c_char;
use std::ptr;
use std::thread::sleep;
use std::time::Duration;

use falco_plugin_api::{ss_instance_t, ss_plugin_event, ss_plugin_t};

use crate::{State, leak, part, read};

const SUCCESS: i32 = 0;
const TIMEOUT: i32 = -1;
const EOF: i32 = 2;

struct Instance {
    count: u32,
    made: u32,
    is_idle: bool,
    is_slow: bool,
    event: Vec<u8>,
    pointer: *mut ss_plugin_event,
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_id() -> u32 {
    part("id").parse().unwrap_or_default()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_event_source() -> *const c_char {
    leak(&part("source"))
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_open(
    state: *mut ss_plugin_t,
    params: *const c_char,
    rc: *mut i32,
) -> *mut ss_instance_t {
    // SAFETY: the state was made by `init`.
    let state = unsafe { State::of(state) };
    let params = read(params);
    state.log(&format!("open {params}"));
    // SAFETY: the host passes a place for the code.
    unsafe { *rc = state.act("open") };
    let count = params.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default();
    let instance = Instance {
        count,
        made: 0,
        is_idle: params.ends_with("idle"),
        is_slow: params.ends_with("slow"),
        event: Vec::new(),
        pointer: ptr::null_mut(),
    };
    Box::into_raw(Box::new(instance)).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_close(state: *mut ss_plugin_t, instance: *mut ss_instance_t) {
    // SAFETY: the state was made by `init`.
    let state = unsafe { State::of(state) };
    state.act("close");
    state.log("close");
    // SAFETY: the instance was made by `open`.
    drop(unsafe { Box::from_raw(instance.cast::<Instance>()) });
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_next_batch(
    state: *mut ss_plugin_t,
    instance: *mut ss_instance_t,
    count: *mut u32,
    events: *mut *mut *mut ss_plugin_event,
) -> i32 {
    // SAFETY: the state was made by `init`.
    let state = unsafe { State::of(state) };
    // SAFETY: the instance was made by `open`.
    let instance = unsafe { &mut *instance.cast::<Instance>() };
    state.act("next_batch");
    if instance.made == instance.count {
        if instance.is_idle {
            sleep(Duration::from_millis(5));
            return TIMEOUT;
        }
        return EOF;
    }
    if instance.is_slow {
        sleep(Duration::from_millis(20));
    }
    instance.made += 1;
    instance.event = event(&instance.made.to_string());
    instance.pointer = instance.event.as_mut_ptr().cast();
    // SAFETY: the host passes a place for the count.
    unsafe { *count = 1 };
    // SAFETY: the host passes a place for the array.
    unsafe { *events = &raw mut instance.pointer };
    SUCCESS
}

/// An event that leaves time, thread and id to the host.
fn event(payload: &str) -> Vec<u8> {
    let mut event = vec![0xff; 16];
    event.extend((38 + payload.len() as u32).to_ne_bytes());
    event.extend(322u16.to_ne_bytes());
    event.extend(2u32.to_ne_bytes());
    event.extend(4u32.to_ne_bytes());
    event.extend((payload.len() as u32).to_ne_bytes());
    event.extend(0u32.to_ne_bytes());
    event.extend(payload.as_bytes());
    event
}

/// May be told to say it in words (`words`), to say too much (`too much`), nothing (`nothing`), or what is no text (`no text`).
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_get_progress(
    state: *mut ss_plugin_t,
    instance: *mut ss_instance_t,
    progress: *mut u32,
) -> *const c_char {
    // SAFETY: the state was made by `init`.
    let state = unsafe { State::of(state) };
    // SAFETY: the instance was made by `open`.
    let instance = unsafe { &*instance.cast::<Instance>() };
    state.act("get_progress");
    let task = state.task("get_progress");
    let share = match task {
        "nothing" => return ptr::null(),
        "too much" => 10_001,
        _ => instance.made * 10_000 / instance.count.max(1),
    };
    // SAFETY: the host passes a place for it.
    unsafe { *progress = share };
    match task {
        "words" => leak(&format!("{} of {}\x1b[2J", instance.made, instance.count)),
        "no text" => c"\xff".as_ptr(),
        _ => ptr::null(),
    }
}
