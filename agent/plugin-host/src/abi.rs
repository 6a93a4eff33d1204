//! The C side: the header's types under our names, its symbols with their types, and its layouts.
//!
//! Everything comes from `falco_plugin_api`, whose bindings stop at plugin API 3.11; nothing that
//! came later has a symbol this host calls.

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::mem::{offset_of, size_of};

pub(crate) use falco_plugin_api::{
    ss_instance_t as InstanceHandle, ss_plugin_async_event_handler_t as AsyncHandler,
    ss_plugin_byte_buffer as ByteBuffer, ss_plugin_capture_listen_input as ListenInput,
    ss_plugin_event as EventHeader, ss_plugin_event_input as EventInput,
    ss_plugin_event_parse_input as ParseInput, ss_plugin_extract_field as ExtractField,
    ss_plugin_extract_field__bindgen_ty_1 as FieldResult,
    ss_plugin_field_extract_input as ExtractInput, ss_plugin_init_input as InitInput,
    ss_plugin_init_tables_input as TablesInput, ss_plugin_metric as PluginMetric,
    ss_plugin_owner_t as OwnerHandle, ss_plugin_routine_fn_t as RoutineFn,
    ss_plugin_routine_state_t as RoutineState, ss_plugin_routine_t as RoutineHandle,
    ss_plugin_routine_vtable as RoutineVtable, ss_plugin_state_data as StateData,
    ss_plugin_state_type as StateType, ss_plugin_t as StateHandle,
    ss_plugin_table_entry_t as TableEntry, ss_plugin_table_field_t as TableField,
    ss_plugin_table_fieldinfo as TableFieldInfo, ss_plugin_table_fields_vtable as FieldsVtable,
    ss_plugin_table_fields_vtable_ext as FieldsVtableExt, ss_plugin_table_info as TableInfo,
    ss_plugin_table_input as TableInput, ss_plugin_table_iterator_func_t as TableIterator,
    ss_plugin_table_iterator_state_t as TableIteratorState,
    ss_plugin_table_reader_vtable as ReaderVtable,
    ss_plugin_table_reader_vtable_ext as ReaderVtableExt, ss_plugin_table_t as Table,
    ss_plugin_table_writer_vtable as WriterVtable,
    ss_plugin_table_writer_vtable_ext as WriterVtableExt,
};

/// The type of an event that carries a plugin's payload.
pub(crate) const PLUGIN_EVENT: u16 = 322;
/// The type of an event that a plugin adds to a source at a time of its own.
pub(crate) const ASYNC_EVENT: u16 = 402;

/// So many bytes has the buffer of an error that a handler reports, the NUL included.
pub(crate) const MAX_ERROR_LEN: usize = 1024;

/// The types of what state tables hold.
pub(crate) mod state_type {
    use super::StateType;

    pub(crate) const INT64: StateType = 4;
    pub(crate) const UINT8: StateType = 5;
    pub(crate) const UINT16: StateType = 6;
    pub(crate) const UINT32: StateType = 7;
    pub(crate) const UINT64: StateType = 8;
    pub(crate) const STRING: StateType = 9;
    pub(crate) const TABLE: StateType = 10;
    pub(crate) const BOOL: StateType = 25;

    pub(crate) fn is_known(state_type: StateType) -> bool {
        matches!(state_type, 1..=TABLE | BOOL)
    }

    pub(crate) fn can_be_key(state_type: StateType) -> bool {
        is_known(state_type) && state_type != TABLE
    }

    /// How many bytes a value has.
    pub(crate) fn size(state_type: StateType) -> usize {
        match state_type {
            1 | UINT8 => 1,
            2 | UINT16 => 2,
            3 | UINT32 | BOOL => 4,
            _ => 8,
        }
    }
}

/// A table as plugins describe it that were built for plugin API 3.0; later ones go on where this ends.
#[repr(C)]
pub(crate) struct OldTableInput {
    pub(crate) name: *const c_char,
    pub(crate) key_type: StateType,
    pub(crate) table: *mut Table,
    pub(crate) reader: ReaderVtable,
    pub(crate) writer: WriterVtable,
    pub(crate) fields: FieldsVtable,
}

/// The name of an exported function, without its `plugin_` prefix, and the type the header gives it.
///
/// Only the constants below exist, so a name cannot meet the wrong type.
pub(crate) struct Symbol<F> {
    pub(crate) name: &'static str,
    function: PhantomData<F>,
}

impl<F> Symbol<F> {
    const fn new(name: &'static str) -> Self {
        Self { name, function: PhantomData }
    }
}

pub(crate) type TextFn = unsafe extern "C-unwind" fn() -> *const c_char;
pub(crate) type IdFn = unsafe extern "C-unwind" fn() -> u32;
pub(crate) type InitSchemaFn = unsafe extern "C-unwind" fn(*mut u32) -> *const c_char;
pub(crate) type InitFn =
    unsafe extern "C-unwind" fn(*const InitInput, *mut i32) -> *mut StateHandle;
pub(crate) type DestroyFn = unsafe extern "C-unwind" fn(*mut StateHandle);
pub(crate) type LastErrorFn = unsafe extern "C-unwind" fn(*mut StateHandle) -> *const c_char;
pub(crate) type MetricsFn =
    unsafe extern "C-unwind" fn(*mut StateHandle, *mut u32) -> *const PluginMetric;
pub(crate) type OpenFn =
    unsafe extern "C-unwind" fn(*mut StateHandle, *const c_char, *mut i32) -> *mut InstanceHandle;
pub(crate) type CloseFn = unsafe extern "C-unwind" fn(*mut StateHandle, *mut InstanceHandle);
pub(crate) type NextBatchFn = unsafe extern "C-unwind" fn(
    *mut StateHandle,
    *mut InstanceHandle,
    *mut u32,
    *mut *mut *mut EventHeader,
) -> i32;
pub(crate) type OpenParamsFn =
    unsafe extern "C-unwind" fn(*mut StateHandle, *mut i32) -> *const c_char;
pub(crate) type EventToStringFn =
    unsafe extern "C-unwind" fn(*mut StateHandle, *const EventInput) -> *const c_char;
pub(crate) type ProgressFn =
    unsafe extern "C-unwind" fn(*mut StateHandle, *mut InstanceHandle, *mut u32) -> *const c_char;
pub(crate) type EventTypesFn =
    unsafe extern "C-unwind" fn(*mut u32, *mut StateHandle) -> *const u16;
pub(crate) type ExtractFn =
    unsafe extern "C-unwind" fn(*mut StateHandle, *const EventInput, *const ExtractInput) -> i32;

pub(crate) type ParseFn =
    unsafe extern "C-unwind" fn(*mut StateHandle, *const EventInput, *const ParseInput) -> i32;

pub(crate) type SetAsyncHandlerFn =
    unsafe extern "C-unwind" fn(*mut StateHandle, *mut OwnerHandle, AsyncHandler) -> i32;
pub(crate) type CaptureFn =
    unsafe extern "C-unwind" fn(*mut StateHandle, *const ListenInput) -> i32;

pub(crate) const GET_REQUIRED_API_VERSION: Symbol<TextFn> = Symbol::new("get_required_api_version");
pub(crate) const GET_VERSION: Symbol<TextFn> = Symbol::new("get_version");
pub(crate) const GET_NAME: Symbol<TextFn> = Symbol::new("get_name");
pub(crate) const GET_DESCRIPTION: Symbol<TextFn> = Symbol::new("get_description");
pub(crate) const GET_CONTACT: Symbol<TextFn> = Symbol::new("get_contact");
pub(crate) const GET_INIT_SCHEMA: Symbol<InitSchemaFn> = Symbol::new("get_init_schema");
pub(crate) const INIT: Symbol<InitFn> = Symbol::new("init");
pub(crate) const DESTROY: Symbol<DestroyFn> = Symbol::new("destroy");
pub(crate) const GET_LAST_ERROR: Symbol<LastErrorFn> = Symbol::new("get_last_error");
pub(crate) const GET_METRICS: Symbol<MetricsFn> = Symbol::new("get_metrics");
pub(crate) const GET_ID: Symbol<IdFn> = Symbol::new("get_id");
pub(crate) const GET_EVENT_SOURCE: Symbol<TextFn> = Symbol::new("get_event_source");
pub(crate) const OPEN: Symbol<OpenFn> = Symbol::new("open");
pub(crate) const CLOSE: Symbol<CloseFn> = Symbol::new("close");
pub(crate) const NEXT_BATCH: Symbol<NextBatchFn> = Symbol::new("next_batch");
pub(crate) const LIST_OPEN_PARAMS: Symbol<OpenParamsFn> = Symbol::new("list_open_params");
pub(crate) const GET_PROGRESS: Symbol<ProgressFn> = Symbol::new("get_progress");
pub(crate) const EVENT_TO_STRING: Symbol<EventToStringFn> = Symbol::new("event_to_string");
pub(crate) const GET_FIELDS: Symbol<TextFn> = Symbol::new("get_fields");
pub(crate) const EXTRACT_FIELDS: Symbol<ExtractFn> = Symbol::new("extract_fields");
pub(crate) const GET_EXTRACT_EVENT_SOURCES: Symbol<TextFn> =
    Symbol::new("get_extract_event_sources");
pub(crate) const GET_EXTRACT_EVENT_TYPES: Symbol<EventTypesFn> =
    Symbol::new("get_extract_event_types");
pub(crate) const PARSE_EVENT: Symbol<ParseFn> = Symbol::new("parse_event");
pub(crate) const GET_PARSE_EVENT_SOURCES: Symbol<TextFn> = Symbol::new("get_parse_event_sources");
pub(crate) const GET_PARSE_EVENT_TYPES: Symbol<EventTypesFn> = Symbol::new("get_parse_event_types");
pub(crate) const GET_ASYNC_EVENTS: Symbol<TextFn> = Symbol::new("get_async_events");
pub(crate) const GET_ASYNC_EVENT_SOURCES: Symbol<TextFn> = Symbol::new("get_async_event_sources");
pub(crate) const SET_ASYNC_EVENT_HANDLER: Symbol<SetAsyncHandlerFn> =
    Symbol::new("set_async_event_handler");
pub(crate) const CAPTURE_OPEN: Symbol<CaptureFn> = Symbol::new("capture_open");
pub(crate) const CAPTURE_CLOSE: Symbol<CaptureFn> = Symbol::new("capture_close");

/// Copies a C string; null is the empty text, and what is not UTF-8 is replaced.
///
/// # Safety
///
/// `text` is null or points to a NUL-terminated string that stays as it is during the call.
pub(crate) unsafe fn copy_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Reads what a plugin passes; `None` if it is null or at an address where no such value can be.
///
/// # Safety
///
/// Where the address can be one, a value is there, and nobody writes to it during `'a`.
pub(crate) unsafe fn checked<'a, T>(pointer: *const T) -> Option<&'a T> {
    if !pointer.is_aligned() {
        return None;
    }
    // SAFETY: null or aligned, and the caller vouches for the rest.
    unsafe { pointer.as_ref() }
}

/// Like [`checked`], for a place that the host writes to.
///
/// # Safety
///
/// Where the address can be one, the place is valid for reads and writes and nobody else uses it during `'a`.
pub(crate) unsafe fn checked_mut<'a, T>(pointer: *mut T) -> Option<&'a mut T> {
    if !pointer.is_aligned() {
        return None;
    }
    // SAFETY: null or aligned, and the caller vouches for the rest.
    unsafe { pointer.as_mut() }
}

/// Plugins are built from the C header; these are its sizes and offsets on 64-bit systems.
const _: () = {
    assert!(size_of::<EventHeader>() == 26);
    assert!(offset_of!(EventHeader, ts) == 0 && offset_of!(EventHeader, tid) == 8);
    assert!(offset_of!(EventHeader, len) == 16 && offset_of!(EventHeader, type_) == 20);
    assert!(offset_of!(EventHeader, nparams) == 22);

    assert!(size_of::<EventInput>() == 24);
    assert!(offset_of!(EventInput, evt) == 0 && offset_of!(EventInput, evtnum) == 8);
    assert!(offset_of!(EventInput, evtsrc) == 16);

    assert!(size_of::<ByteBuffer>() == 16);
    assert!(offset_of!(ByteBuffer, len) == 0 && offset_of!(ByteBuffer, ptr) == 8);

    assert!(size_of::<ExtractField>() == 64);
    assert!(offset_of!(ExtractField, res) == 0 && offset_of!(ExtractField, res_len) == 8);
    assert!(offset_of!(ExtractField, field_id) == 16 && offset_of!(ExtractField, field) == 24);
    assert!(offset_of!(ExtractField, arg_key) == 32 && offset_of!(ExtractField, arg_index) == 40);
    assert!(offset_of!(ExtractField, arg_present) == 48 && offset_of!(ExtractField, ftype) == 52);
    assert!(offset_of!(ExtractField, flist) == 56);

    assert!(size_of::<ExtractInput>() == 80);
    assert!(
        offset_of!(ExtractInput, owner) == 0 && offset_of!(ExtractInput, get_owner_last_error) == 8
    );
    assert!(offset_of!(ExtractInput, num_fields) == 16 && offset_of!(ExtractInput, fields) == 24);
    assert!(
        offset_of!(ExtractInput, table_reader) == 32
            && offset_of!(ExtractInput, table_reader_ext) == 64
    );
    assert!(offset_of!(ExtractInput, value_offsets) == 72);

    assert!(size_of::<InitInput>() == 40);
    assert!(offset_of!(InitInput, config) == 0 && offset_of!(InitInput, owner) == 8);
    assert!(
        offset_of!(InitInput, get_owner_last_error) == 16 && offset_of!(InitInput, tables) == 24
    );
    assert!(offset_of!(InitInput, log_fn) == 32);

    assert!(size_of::<PluginMetric>() == 32);
    assert!(offset_of!(PluginMetric, name) == 0 && offset_of!(PluginMetric, type_) == 8);
    assert!(offset_of!(PluginMetric, value) == 16 && offset_of!(PluginMetric, value_type) == 24);

    assert!(size_of::<TablesInput>() == 72);
    assert!(offset_of!(TablesInput, list_tables) == 0 && offset_of!(TablesInput, get_table) == 8);
    assert!(offset_of!(TablesInput, add_table) == 16 && offset_of!(TablesInput, fields) == 24);
    assert!(offset_of!(TablesInput, fields_ext) == 48 && offset_of!(TablesInput, reader_ext) == 56);
    assert!(offset_of!(TablesInput, writer_ext) == 64);

    assert!(size_of::<ParseInput>() == 112);
    assert!(offset_of!(ParseInput, owner) == 0);
    assert!(offset_of!(ParseInput, get_owner_last_error) == 8);
    assert!(offset_of!(ParseInput, table_reader) == 16);
    assert!(offset_of!(ParseInput, table_writer) == 48);
    assert!(offset_of!(ParseInput, table_reader_ext) == 96);
    assert!(offset_of!(ParseInput, table_writer_ext) == 104);

    assert!(size_of::<ListenInput>() == 40);
    assert!(offset_of!(ListenInput, owner) == 0 && offset_of!(ListenInput, routine) == 8);
    assert!(offset_of!(ListenInput, table_reader_ext) == 16);
    assert!(offset_of!(ListenInput, table_writer_ext) == 24);
    assert!(offset_of!(ListenInput, get_owner_last_error) == 32);
    assert!(size_of::<RoutineVtable>() == 16);

    assert!(size_of::<TableInput>() == 152);
    assert!(offset_of!(TableInput, name) == 0 && offset_of!(TableInput, key_type) == 8);
    assert!(offset_of!(TableInput, table) == 16 && offset_of!(TableInput, reader) == 24);
    assert!(offset_of!(TableInput, writer) == 56 && offset_of!(TableInput, fields) == 104);
    assert!(offset_of!(TableInput, reader_ext) == 128);
    assert!(offset_of!(TableInput, writer_ext) == 136);
    assert!(offset_of!(TableInput, fields_ext) == 144);

    assert!(size_of::<OldTableInput>() == offset_of!(TableInput, reader_ext));
    assert!(offset_of!(OldTableInput, reader) == 24 && offset_of!(OldTableInput, fields) == 104);

    assert!(size_of::<TableInfo>() == 16 && size_of::<TableFieldInfo>() == 16);
    assert!(size_of::<StateData>() == 8);
    assert!(size_of::<FieldsVtable>() == 24 && size_of::<FieldsVtableExt>() == 24);
    assert!(size_of::<ReaderVtable>() == 32 && size_of::<ReaderVtableExt>() == 48);
    assert!(size_of::<WriterVtableExt>() == 48);
};
