//! A plugin that breaks the rules of the ABI on demand, written against the raw bindings.
//!
//! * init config: `{"mode": ".."}`, see `plugin_init`
//! * open params: what each call of `next_batch` is to do, separated by commas, see `step` in `source.rs`
//! * fields: one for each way to answer, see `FIELDS` in `extract.rs`
//!
//! Everything that happens to it is logged, so that the tests see the order of the calls.

#![expect(unsafe_code, reason = "it stands for plugins written in C")]

mod extract;
mod fatal;
mod metrics;
mod source;

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use falco_plugin_api::{ss_plugin_init_input, ss_plugin_metric, ss_plugin_owner_t, ss_plugin_t};

pub(crate) const ID: u32 = 999;
pub(crate) const SUCCESS: i32 = 0;
pub(crate) const FAILURE: i32 = 1;

/// What lies behind the state pointer.
pub(crate) struct State {
    owner: *mut ss_plugin_owner_t,
    log: falco_plugin_api::ss_plugin_log_fn_t,
    error: CString,
    event_types: Vec<u16>,
    pub(crate) values: extract::Values,
    pub(crate) metrics: Vec<ss_plugin_metric>,
}

impl State {
    /// # Safety
    ///
    /// `state` came from `init` and nobody else uses it.
    pub(crate) unsafe fn of<'s>(state: *mut ss_plugin_t) -> &'s mut Self {
        // SAFETY: the caller vouches for it.
        unsafe { &mut *state.cast::<Self>() }
    }

    pub(crate) fn log(&self, message: &str) {
        let message = text(message);
        if let Some(log) = self.log {
            // SAFETY: owner and function are the host's, and the message outlives the call.
            unsafe { log(self.owner, ptr::null(), message.as_ptr(), 6) };
        }
    }

    pub(crate) fn fail(&mut self, message: &str) -> i32 {
        self.error = text(message);
        FAILURE
    }
}

pub(crate) fn text(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

/// Reads a C string that the host passes.
pub(crate) fn read<'t>(text: *const c_char) -> &'t str {
    if text.is_null() {
        return "null";
    }
    // SAFETY: the host passes C strings that live during the call.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or("not UTF-8")
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_required_api_version() -> *const c_char {
    c"3.11.0".as_ptr()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_version() -> *const c_char {
    c"1.2.3-test".as_ptr()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_name() -> *const c_char {
    c"misbehaving".as_ptr()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_description() -> *const c_char {
    c"breaks rules".as_ptr()
}

/// Null counts as the empty text.
#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_contact() -> *const c_char {
    ptr::null()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn plugin_get_init_schema(schema_type: *mut u32) -> *const c_char {
    // SAFETY: the host passes a place for the type.
    unsafe { *schema_type = 1 };
    cr#"{"type": "object", "properties": {"mode": {"type": "string"}}}"#.as_ptr()
}

/// A mode that is a word of `fatal.rs` does its worst. The others are `fail`, `fail-without-state`, `leave-rc-unwritten`, `ask-for-tables`, `async-events-only` and those of
/// `metrics.rs`.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_init(
    input: *const ss_plugin_init_input,
    rc: *mut i32,
) -> *mut ss_plugin_t {
    // SAFETY: the host passes a complete input.
    let input = unsafe { &*input };
    let config = read(input.config);
    let mut state = State {
        owner: input.owner,
        log: input.log_fn,
        error: text("nothing failed"),
        event_types: Vec::new(),
        values: extract::Values::default(),
        metrics: Vec::new(),
    };
    state.log(&format!("init {config}"));
    let mut answer = SUCCESS;
    match config.split('"').nth(3).unwrap_or_default() {
        "fail" => answer = state.fail("told to fail"),
        "fail-without-state" => {
            // SAFETY: the host passes a place for the code.
            unsafe { *rc = FAILURE };
            return ptr::null_mut();
        }
        "leave-rc-unwritten" => {
            state.fail("left rc unwritten");
            return Box::into_raw(Box::new(state)).cast();
        }
        "ask-for-tables" => ask_for_tables(input, &state),
        "async-events-only" => state.event_types.push(402),
        mode => {
            fatal::act(mode, &state);
            state.metrics = metrics::of_mode(mode);
        }
    }
    // SAFETY: the host passes a place for the code.
    unsafe { *rc = answer };
    Box::into_raw(Box::new(state)).cast()
}

/// Does what the C++ SDK does without looking, then asks for a table.
fn ask_for_tables(input: &ss_plugin_init_input, state: &State) {
    // SAFETY: the host passes tables to every plugin.
    let tables = unsafe { &*input.tables };
    let complete = !tables.fields_ext.is_null()
        && !tables.reader_ext.is_null()
        && !tables.writer_ext.is_null();
    state.log(&format!("vtables complete: {complete}"));
    let Some(last_error) = input.get_owner_last_error else { return };
    // SAFETY: the owner is the host's.
    let before = unsafe { last_error(input.owner) };
    state.log(&format!("owner error before: {}", read(before)));
    let Some(get_table) = tables.get_table else { return };
    // SAFETY: owner and name are good.
    let table = unsafe { get_table(input.owner, c"threads".as_ptr(), 4) };
    // SAFETY: the owner is the host's.
    let after = unsafe { last_error(input.owner) };
    state.log(&format!("table: {}, owner error after: {}", !table.is_null(), read(after)));
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_destroy(state: *mut ss_plugin_t) {
    // SAFETY: the state was made by `init`.
    let state = unsafe { Box::from_raw(state.cast::<State>()) };
    state.log("destroy");
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_get_last_error(state: *mut ss_plugin_t) -> *const c_char {
    // SAFETY: the state was made by `init`.
    unsafe { State::of(state) }.error.as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn plugin_get_extract_event_types(
    count: *mut u32,
    state: *mut ss_plugin_t,
) -> *const u16 {
    // SAFETY: the state was made by `init`.
    let types = &unsafe { State::of(state) }.event_types;
    // SAFETY: the host passes a place for the count.
    unsafe { *count = types.len() as u32 };
    types.as_ptr()
}
