//! A plugin that says of itself what a test wrote into a copy of its library, see `IDENTITY`, and that fails or hangs where it
//! is told to. Written against the raw bindings.
//!
//! * init config: what functions are to do, separated by commas: `open fail`, `capture_close hang`, `async late`
//! * open params: how many events there are, one a batch; then `idle` for a source that goes on without any, or `slow` for 20 ms
//!   before each event
//!
//! Everything that happens to it is logged, so that the tests see the order of the calls.

#![expect(unsafe_code, reason = "it stands for plugins written in C")]

mod added;
mod source;

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use falco_plugin_api::{
    ss_plugin_async_event_handler_t, ss_plugin_event_input, ss_plugin_field_extract_input,
    ss_plugin_init_input, ss_plugin_log_fn_t, ss_plugin_metric, ss_plugin_owner_t, ss_plugin_t,
};

const SUCCESS: i32 = 0;
const FAILURE: i32 = 1;

/// `from` is another event source that it extracts from.
#[used]
static IDENTITY: [u8; 92] =
    *b"<name=chameleon   ;id=0000000900;source=chameleon   ;field=cham.value  ;from=              >";

fn part(key: &str) -> String {
    // SAFETY: it is a static. Volatile, since it is not what the compiler sees here.
    let bytes = unsafe { (&raw const IDENTITY).read_volatile() };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut parts = text.trim_matches(['<', '>']).split(';').filter_map(|p| p.split_once('='));
    parts.find(|(name, _)| *name == key).map(|(_, part)| part.trim().to_owned()).unwrap_or_default()
}

/// Never freed: the host may keep it.
fn leak(text: &str) -> *mut c_char {
    CString::new(text.replace('\0', "")).unwrap_or_default().into_raw()
}

fn read<'t>(text: *const c_char) -> &'t str {
    // SAFETY: the host passes C strings that live during the call.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or("not UTF-8")
}

/// What lies behind the state pointer.
struct State {
    owner: *mut ss_plugin_owner_t,
    log: ss_plugin_log_fn_t,
    /// A function and what it is to do.
    tasks: Vec<(String, String)>,
    error: CString,
    handler: ss_plugin_async_event_handler_t,
    value: *const c_char,
}

impl State {
    /// # Safety
    ///
    /// `state` came from `init` and nobody else uses it.
    unsafe fn of<'s>(state: *mut ss_plugin_t) -> &'s mut Self {
        // SAFETY: the caller vouches for it.
        unsafe { &mut *state.cast::<Self>() }
    }

    fn log(&self, message: &str) {
        let message = CString::new(message).unwrap_or_default();
        if let Some(log) = self.log {
            // SAFETY: owner and function are the host's, and the message outlives the call.
            unsafe { log(self.owner, ptr::null(), message.as_ptr(), 6) };
        }
    }

    fn task(&self, function: &str) -> &str {
        let task = self.tasks.iter().find(|(of, _)| of == function);
        task.map(|(_, task)| task.as_str()).unwrap_or_default()
    }

    /// Does what the function is told to.
    fn act(&mut self, function: &str) -> i32 {
        match self.task(function) {
            "fail" => {
                self.error =
                    CString::new(format!("{function} was told to fail")).unwrap_or_default();
                FAILURE
            }
            "hang" => {
                self.log(&format!("{function} hangs"));
                loop {
                    std::thread::park();
                }
            }
            _ => SUCCESS,
        }
    }
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_required_api_version() -> *const c_char {
    c"3.12.0".as_ptr()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_version() -> *const c_char {
    c"0.1.0".as_ptr()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_name() -> *const c_char {
    leak(&part("name"))
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_description() -> *const c_char {
    c"is what it is told to be".as_ptr()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_contact() -> *const c_char {
    c"the Shikra authors".as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_init(
    input: *const ss_plugin_init_input,
    rc: *mut i32,
) -> *mut ss_plugin_t {
    // SAFETY: the host passes a complete input.
    let input = unsafe { &*input };
    let tasks = read(input.config).split(',').filter_map(|task| task.trim().split_once(' '));
    let mut state = State {
        owner: input.owner,
        log: input.log_fn,
        tasks: tasks.map(|(function, task)| (function.to_owned(), task.to_owned())).collect(),
        error: CString::default(),
        handler: None,
        value: ptr::null(),
    };
    state.log("init");
    let answer = state.act("init");
    // SAFETY: the host passes a place for the code.
    unsafe { *rc = answer };
    Box::into_raw(Box::new(state)).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_destroy(state: *mut ss_plugin_t) {
    // SAFETY: the state was made by `init`.
    let mut state = unsafe { Box::from_raw(state.cast::<State>()) };
    state.act("destroy");
    state.log("destroy");
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_get_last_error(state: *mut ss_plugin_t) -> *const c_char {
    // SAFETY: the state was made by `init`.
    unsafe { State::of(state) }.error.as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_get_metrics(
    state: *mut ss_plugin_t,
    count: *mut u32,
) -> *const ss_plugin_metric {
    // SAFETY: the state was made by `init`.
    unsafe { State::of(state) }.act("get_metrics");
    // SAFETY: the host passes a place for the count.
    unsafe { *count = 0 };
    ptr::null()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_extract_event_sources() -> *const c_char {
    match &*part("from") {
        "" => ptr::null(),
        source => leak(&format!("[\"{source}\"]")),
    }
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_fields() -> *const c_char {
    let name = part("field");
    leak(&format!(
        r#"[{{"name": "{name}", "type": "string", "desc": "the plugin's name and the event"}}]"#
    ))
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_extract_fields(
    state: *mut ss_plugin_t,
    event: *const ss_plugin_event_input,
    input: *const ss_plugin_field_extract_input,
) -> i32 {
    // SAFETY: the state was made by `init`.
    let state = unsafe { State::of(state) };
    // SAFETY: the host passes a complete input.
    let event = unsafe { &*event };
    // SAFETY: the host passes a complete input.
    let input = unsafe { &*input };
    // SAFETY: the host passes at least one field.
    let field = unsafe { &mut *input.fields };
    // SAFETY: the host passes an event.
    let len = unsafe { event.evt.read_unaligned() }.len as usize - 38;
    // SAFETY: it is 38 bytes and the payload.
    let start = unsafe { event.evt.cast::<u8>().add(38) };
    // SAFETY: as above.
    let payload = unsafe { std::slice::from_raw_parts(start, len) };
    state.value = leak(&format!("{}-{}", part("name"), String::from_utf8_lossy(payload)));
    field.res.str_ = &raw mut state.value;
    field.res_len = 1;
    state.act("extract_fields")
}
