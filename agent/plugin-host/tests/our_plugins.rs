//! Our plugins away from home: what their shared objects export, and how they do in the SDK's own host.
//!
//! The tests are here and not beside the plugins, because loading one into another host takes `unsafe`.

#![expect(
    unsafe_code,
    reason = "the SDK's host takes a table of C functions, and nothing but C functions fill it"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::fs;
use std::path::PathBuf;

use falco_plugin_api::{plugin_api, ss_instance_t, ss_plugin_t};
use falco_plugin_runner::{CapturingPluginRunner, Event, PluginRunner, ScapStatus};
use libloading::Library;
use object::{Object, ObjectSymbol};

/// Cargo builds them as dev-dependencies, beside the test executable.
fn path(plugin: &str) -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(format!("lib{plugin}.so"))
}

#[track_caller]
fn check_exports(plugin: &str, capabilities: &[&[&str]]) {
    const BASE: &[&str] = &[
        "destroy",
        "get_contact",
        "get_description",
        "get_init_schema",
        "get_last_error",
        "get_metrics",
        "get_name",
        "get_required_api_version",
        "get_version",
        "init",
        "set_config",
    ];
    let mut expected: Vec<_> = BASE
        .iter()
        .chain(capabilities.iter().copied().flatten())
        .map(|name| format!("plugin_{name}"))
        .collect();
    expected.sort();
    let content = fs::read(path(plugin)).unwrap();
    let object = object::File::parse(&*content).unwrap();
    let mut exported: Vec<_> = object
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition() && symbol.is_global())
        .map(|symbol| symbol.name().unwrap().to_owned())
        .collect();
    exported.sort();
    assert_eq!(exported, expected, "{plugin}");
}

#[test]
fn shared_objects_export_the_functions_of_their_capabilities_and_nothing_else() {
    const SOURCING: &[&str] = &[
        "get_id",
        "get_event_source",
        "open",
        "close",
        "next_batch",
        // These are optional.
        "event_to_string",
        "get_progress",
        "list_open_params",
    ];
    const EXTRACTION: &[&str] = &[
        "get_fields",
        "extract_fields",
        // These are optional.
        "get_extract_event_sources",
        "get_extract_event_types",
    ];
    check_exports("k8saudit", &[SOURCING, EXTRACTION]);
    check_exports("filetail", &[SOURCING, EXTRACTION]);
    check_exports("json", &[EXTRACTION]);
}

/// What a plugin says of itself is read and checked as at every start.
#[test]
fn descriptions_are_complete() {
    let check = |plugin: &str, fields: usize, open_params: usize| {
        let library = plugin_host::Library::open(&path(plugin)).unwrap();
        assert_eq!(library.name(), plugin);
        assert_eq!(library.extraction().unwrap().fields.len(), fields, "{plugin}");
        assert!(library.extraction().unwrap().fields.iter().all(|f| !f.description.is_empty()));
        let schema: serde_json::Value =
            serde_json::from_str(library.init_schema().unwrap()).unwrap();
        assert_eq!(schema["type"], "object", "{plugin}");
        let mut plugin = library.init("", std::sync::Arc::new(|_, _: &str, _: &str| {})).unwrap();
        let suggested = plugin.list_open_params().unwrap();
        assert_eq!(suggested.len(), open_params);
        assert!(suggested.iter().all(|p| !p.value.is_empty() && !p.description.is_empty()));
    };
    check("k8saudit", 100, 4);
    check("filetail", 3, 3);
    check("json", 6, 0);
}

/// Fills one place of the table; the type comes with the place.
fn fill<F: Copy>(place: &mut Option<F>, library: &Library, name: &str) {
    // SAFETY: the plugins export functions with the types of the header, which are the table's.
    *place = unsafe { library.get::<F>(format!("plugin_{name}")) }.ok().map(|found| *found);
}

/// The functions of a plugin as the table that the SDK's host works with.
fn api(plugin: &str) -> &'static plugin_api {
    // SAFETY: the plugins are ours, and opening them runs nothing but the initialisers of std.
    let library = unsafe { Library::new(path(plugin)) }.unwrap();
    // Never closed, as in the agent.
    let library = Box::leak(Box::new(library));
    // SAFETY: the table is made of `Option`s of function pointers alone, for which zeros are `None`.
    let mut api: plugin_api = unsafe { std::mem::zeroed() };
    fill(&mut api.get_required_api_version, library, "get_required_api_version");
    fill(&mut api.get_version, library, "get_version");
    fill(&mut api.get_name, library, "get_name");
    fill(&mut api.get_description, library, "get_description");
    fill(&mut api.get_contact, library, "get_contact");
    fill(&mut api.get_init_schema, library, "get_init_schema");
    fill(&mut api.init, library, "init");
    fill(&mut api.destroy, library, "destroy");
    fill(&mut api.get_last_error, library, "get_last_error");
    fill(&mut api.set_config, library, "set_config");
    fill(&mut api.get_metrics, library, "get_metrics");
    let source = &mut api.__bindgen_anon_1;
    fill(&mut source.get_id, library, "get_id");
    fill(&mut source.get_event_source, library, "get_event_source");
    fill(&mut source.close, library, "close");
    fill(&mut source.next_batch, library, "next_batch");
    fill(&mut source.list_open_params, library, "list_open_params");
    fill(&mut source.event_to_string, library, "event_to_string");
    fill(&mut source.open, library, "open");
    let extract = &mut api.__bindgen_anon_2;
    fill(&mut extract.get_fields, library, "get_fields");
    fill(&mut extract.extract_fields, library, "extract_fields");
    fill(&mut extract.get_extract_event_sources, library, "get_extract_event_sources");
    fill(&mut extract.get_extract_event_types, library, "get_extract_event_types");
    Box::leak(Box::new(api))
}

type Open =
    unsafe extern "C-unwind" fn(*mut ss_plugin_t, *const c_char, *mut i32) -> *mut ss_instance_t;

thread_local! {
    /// What `open_with_params` is to call, and with what.
    static OPEN: RefCell<Option<(Open, CString)>> = const { RefCell::new(None) };
}

/// Stands in for a plugin's `open`: the SDK's host cannot be told what to open.
unsafe extern "C-unwind" fn open_with_params(
    state: *mut ss_plugin_t,
    _none: *const c_char,
    rc: *mut i32,
) -> *mut ss_instance_t {
    OPEN.with_borrow(|open| {
        let (open, params) = open.as_ref().expect("the test said what to open");
        // SAFETY: state and place for the code are the host's; the text outlives the call.
        unsafe { open(state, params.as_ptr(), rc) }
    })
}

/// A host that runs `plugin` as the source, opened with `params`, and `json` on its events.
fn start(plugin: &str, config: &str, params: &str) -> CapturingPluginRunner {
    let mut source = *api(plugin);
    let open = source.__bindgen_anon_1.open.replace(open_with_params).unwrap();
    OPEN.set(Some((open, CString::new(params).unwrap())));
    let mut runner = PluginRunner::new();
    runner.register_plugin(Box::leak(Box::new(source)), &CString::new(config).unwrap()).unwrap();
    runner.register_plugin(api("json"), c"{}").unwrap();
    runner.start_capture().unwrap()
}

/// The next event; time-outs are waited for.
fn next_event(runner: &mut CapturingPluginRunner) -> Event {
    loop {
        match runner.next_event() {
            Ok(event) => return event,
            Err(error) => {
                assert_eq!(error.downcast_ref(), Some(&ScapStatus::Timeout), "{error:#}");
            }
        }
    }
}

#[track_caller]
fn check_field(runner: &mut CapturingPluginRunner, event: &Event, field: &str, expected: &str) {
    let value = runner.extract_field(event, field).expect("a plugin has the field").unwrap();
    assert_eq!(value.to_string(), expected, "{field}");
}

#[track_caller]
fn check_metric(runner: &mut CapturingPluginRunner, name: &str, expected: u64) {
    let metrics = runner.get_metrics();
    let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
    assert_eq!(metric.value, falco_plugin_runner::MetricValue::U64(expected));
}

#[test]
fn k8saudit_and_json_run_in_the_host_of_the_sdk() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("audit.jsonl");
    let event = |id: u32, rest: &str| {
        format!(
            r#"{{"kind":"Event","auditID":"{id}","stageTimestamp":"2026-01-02T03:04:05Z"{rest}}}"#
        )
    };
    let events = [
        event(1, r#","verb":"get","user":{"username":"ann","groups":["a","b"]}"#),
        event(2, r#","verb":"create""#),
    ];
    fs::write(&file, events.join("\n")).unwrap();
    let mut runner = start("k8saudit", "{}", file.to_str().unwrap());
    let first = next_event(&mut runner);
    check_field(&mut runner, &first, "ka.verb", "get");
    check_field(&mut runner, &first, "ka.user.groups", "(a,b)");
    check_field(&mut runner, &first, "jevt.value[/user/groups/1]", "b");
    check_field(&mut runner, &first, "evt.plugininfo", &events[0]);
    let second = next_event(&mut runner);
    check_field(&mut runner, &second, "ka.verb", "create");
    check_field(&mut runner, &second, "json.value[/auditID]", "2");
    check_metric(&mut runner, "k8saudit.events", 2);
    runner.stop_capture().unwrap();
}

#[test]
fn filetail_runs_in_the_host_of_the_sdk() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.log");
    fs::write(&file, "{\"level\": \"debug\"}\nplain\n").unwrap();
    let mut runner = start("filetail", r#"{"startAt": "begin"}"#, file.to_str().unwrap());
    let first = next_event(&mut runner);
    check_field(&mut runner, &first, "filetail.line", r#"{"level": "debug"}"#);
    check_field(&mut runner, &first, "filetail.number", "1");
    check_field(&mut runner, &first, "filetail.path", file.to_str().unwrap());
    check_field(&mut runner, &first, "json.value[/level]", "debug");
    let second = next_event(&mut runner);
    check_field(&mut runner, &second, "filetail.line", "plain");
    check_metric(&mut runner, "filetail.lines", 2);
    runner.stop_capture().unwrap();
}
