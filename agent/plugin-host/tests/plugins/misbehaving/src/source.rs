//! Sourcing: every call of `next_batch` takes the next step of the open params.

use std::ffi::c_char;
use std::ptr;
use std::time::Duration;

use falco_plugin_api::{ss_instance_t, ss_plugin_event, ss_plugin_event_input, ss_plugin_t};

use crate::{FAILURE, ID, State, fatal, read};

const SUCCESS: i32 = 0;
const TIMEOUT: i32 = -1;
const EOF: i32 = 2;
const UNSET: u64 = u64::MAX;

struct Instance {
    steps: std::vec::IntoIter<String>,
    /// A word of `fatal.rs`, from a first step `close-` and the word.
    on_close: String,
    events: Vec<Vec<u8>>,
    pointers: Vec<*mut ss_plugin_event>,
    made: usize,
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_id() -> u32 {
    ID
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_event_source() -> *const c_char {
    c"misbehaving".as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_list_open_params(
    state: *mut ss_plugin_t,
    rc: *mut i32,
) -> *const c_char {
    // SAFETY: the state was made by `init`.
    unsafe { State::of(state) }.log("list_open_params");
    // SAFETY: the host passes a place for the code.
    unsafe { *rc = SUCCESS };
    cr#"[{"value": "3,eof", "desc": "three events"}, {"value": "timeout", "separator": ","}]"#
        .as_ptr()
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
    let steps: Vec<String> = params.split(',').map(str::to_owned).collect();
    let (answer, with_instance) = match params {
        "fail" => (state.fail("told not to open"), false),
        "fail-with-instance" => (state.fail("told not to open"), true),
        "null-instance" => (SUCCESS, false),
        _ => (SUCCESS, true),
    };
    // SAFETY: the host passes a place for the code.
    unsafe { *rc = answer };
    let on_close = steps[0].strip_prefix("on-close-").unwrap_or_default().to_owned();
    let instance = Instance {
        steps: steps.into_iter(),
        on_close,
        events: Vec::new(),
        pointers: Vec::new(),
        made: 0,
    };
    if with_instance { Box::into_raw(Box::new(instance)).cast() } else { ptr::null_mut() }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_close(state: *mut ss_plugin_t, instance: *mut ss_instance_t) {
    // SAFETY: the state was made by `init`.
    let state = unsafe { State::of(state) };
    state.log("close");
    if !instance.is_null() {
        // SAFETY: the instance was made by `open`.
        let instance = unsafe { Box::from_raw(instance.cast::<Instance>()) };
        fatal::act(&instance.on_close, state);
    }
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
    if instance.is_null() {
        return EOF;
    }
    // SAFETY: the instance was made by `open`.
    let instance = unsafe { &mut *instance.cast::<Instance>() };
    let next = instance.steps.next().unwrap_or_else(|| "eof".to_owned());
    if next == "idle" {
        // From now on.
        instance.steps = vec![next].into_iter();
        std::thread::sleep(Duration::from_millis(5));
        return TIMEOUT;
    }
    let Some(rc) = step(&next, state, instance) else { return TIMEOUT };
    // SAFETY: the host passes a place for the count.
    unsafe {
        *count = if next.starts_with("endless-batch") {
            u32::MAX
        } else {
            instance.pointers.len() as u32
        }
    };
    let start = if next.starts_with("null-array") {
        ptr::null_mut()
    } else {
        instance.pointers.as_mut_ptr()
    };
    // SAFETY: the host passes a place for the array.
    unsafe { *events = start };
    rc
}

/// Takes one step: `3` gives three events, `eof+2` the end and two events with it; a word that
/// names a fault gives a good event, then the bad one. `None` leaves everything unwritten.
fn step(next: &str, state: &mut State, instance: &mut Instance) -> Option<i32> {
    instance.events.clear();
    let (word, count) = match next.split_once('+') {
        Some((word, count)) => (word, count.parse().unwrap_or(0)),
        None => (next, next.parse().unwrap_or(0)),
    };
    for _ in 0..count {
        instance.add(|_| {});
    }
    fatal::act(word, state);
    let rc = match word {
        "unwritten" => return None,
        "timeout" => TIMEOUT,
        "eof" => EOF,
        "failure" => state.fail("told to give up"),
        "not-supported" => state.fail("told to give up") + 2,
        "unknown-code" => state.fail("told to give up") + 76,
        _ => SUCCESS,
    };
    match word {
        "short-event" => instance.add(|event| event[16..20].copy_from_slice(&20u32.to_ne_bytes())),
        "wrong-id" => instance.add(|event| event[34..38].copy_from_slice(&5u32.to_ne_bytes())),
        "own-id" => instance.add(|event| event[34..38].copy_from_slice(&ID.to_ne_bytes())),
        "wrong-type" => instance.add(|event| event[20..22].copy_from_slice(&402u16.to_ne_bytes())),
        "long-payload" => {
            instance.add(|event| event[30..34].copy_from_slice(&9999u32.to_ne_bytes()))
        }
        "null-event" | "null-array" => instance.events.push(Vec::new()),
        "long-event" => {
            instance.add(|event| event[16..20].copy_from_slice(&(1u32 << 30).to_ne_bytes()));
            let len = (1u32 << 30) - 38;
            instance.events[0][30..34].copy_from_slice(&len.to_ne_bytes());
        }
        _ => {}
    }
    instance.pointers = instance.events.iter_mut().map(|event| pointer(event)).collect();
    if word == "wild-event" {
        instance.pointers.push(ptr::without_provenance_mut(8));
    }
    Some(rc)
}

fn pointer(event: &mut [u8]) -> *mut ss_plugin_event {
    if event.is_empty() { ptr::null_mut() } else { event.as_mut_ptr().cast() }
}

impl Instance {
    /// Adds an event that leaves time, thread and id to the host; its payload is its number.
    fn add(&mut self, spoil: impl FnOnce(&mut [u8])) {
        self.made += 1;
        let payload = self.made.to_string();
        let mut event = Vec::new();
        event.extend(UNSET.to_ne_bytes());
        event.extend(UNSET.to_ne_bytes());
        event.extend((38 + payload.len() as u32).to_ne_bytes());
        event.extend(322u16.to_ne_bytes());
        event.extend(2u32.to_ne_bytes());
        event.extend(4u32.to_ne_bytes());
        event.extend((payload.len() as u32).to_ne_bytes());
        event.extend(0u32.to_ne_bytes());
        event.extend(payload.as_bytes());
        spoil(&mut event);
        self.events.push(event);
    }
}

/// Fails for every event, as plugins do that cannot read one.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_event_to_string(
    state: *mut ss_plugin_t,
    _event: *const ss_plugin_event_input,
) -> *const c_char {
    // SAFETY: the state was made by `init`.
    debug_assert_eq!(unsafe { State::of(state) }.fail("cannot print"), FAILURE);
    ptr::null()
}
