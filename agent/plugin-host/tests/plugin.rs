//! Drives the misbehaving plugin through its shared object, as the agent would.
//!
//! Each `check` prints what happened as one text; the plugin logs every call it gets.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use plugin_host::{
    EventStream, Extracted, FieldRequest, Library, LogSink, NoBatch, OpenError, Plugin,
};

/// Cargo builds it as a dev-dependency, beside the test executable.
fn plugin_path() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libmisbehaving_plugin.so")
}

/// The plugin, and what its states log.
struct Fixture {
    library: Arc<Library>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Fixture {
    fn new() -> Self {
        Self { library: Library::open(&plugin_path()).unwrap(), log: Arc::default() }
    }

    fn init(&self, config: &str) -> Result<Plugin, plugin_host::InitError> {
        let log = Arc::clone(&self.log);
        let sink: Arc<LogSink> = Arc::new(move |severity, component: &str, message: &str| {
            log.lock().unwrap().push(format!("{severity:?} {component}: {message}"));
        });
        self.library.init(config, sink)
    }

    fn open(&self, params: &str) -> Result<EventStream, OpenError> {
        self.init("").unwrap().open(params)
    }

    /// What was logged since the last time, without severity and name where they are the usual ones.
    fn logged(&self) -> String {
        let lines = std::mem::take(&mut *self.log.lock().unwrap());
        lines
            .iter()
            .map(|line| line.trim_start_matches("Info misbehaving: "))
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// Prints an error and all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

mod loading {
    use super::*;

    #[test]
    fn metadata_is_read_without_a_state() {
        let library = Library::open(&plugin_path()).unwrap();
        assert_eq!(library.path(), plugin_path());
        assert_eq!(
            (library.name(), library.description(), library.contact()),
            ("misbehaving", "breaks rules", "")
        );
        assert_eq!(library.version().to_string(), "1.2.3");
        let sourcing = library.sourcing().unwrap();
        assert_eq!((sourcing.id, sourcing.event_source.as_str()), (999, "misbehaving"));
        let extraction = library.extraction().unwrap();
        assert_eq!(extraction.fields.len(), 17);
        assert_eq!(extraction.sources, ["misbehaving"], "its own source is added");
        let capabilities = library.capabilities();
        assert!(capabilities.sourcing && capabilities.extraction);
        assert!(
            !capabilities.parsing && !capabilities.async_events && !capabilities.capture_listening
        );
        assert!(library.init_schema().unwrap().contains("mode"));
    }

    #[track_caller]
    fn check(path: &Path, expected: &str) {
        let error = Library::open(path).unwrap_err();
        assert_eq!(chain(&error), expected.replace("PATH", &path.display().to_string()));
    }

    #[test]
    fn what_is_no_plugin_is_refused() {
        check(Path::new(""), "cannot load plugin PATH: the path is empty");
        check(
            Path::new("/nowhere/libx.so"),
            "cannot load plugin PATH: can't load plugin dynamic library: \
             dlopen failed: PATH: cannot open shared object file: No such file or directory",
        );
        let source_file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let error = chain(&Library::open(&source_file).unwrap_err());
        assert!(error.contains("can't load plugin dynamic library: "), "{error}");
        check(
            Path::new("libc.so.6"),
            "cannot load plugin PATH: required symbol not implemented: 'get_required_api_version'",
        );
    }
}

mod init {
    use super::*;

    #[track_caller]
    fn check(config: &str, expected: &str) {
        let fixture = Fixture::new();
        let outcome = match fixture.init(config) {
            Ok(plugin) => {
                drop(plugin);
                String::new()
            }
            Err(error) => format!("error: {}; ", chain(&error)),
        };
        assert_eq!(outcome + &fixture.logged(), expected);
    }

    #[test]
    fn the_configuration_is_checked_and_passed_on() {
        check("", "init {}; destroy");
        check(r#"{ "mode": "" }"#, r#"init { "mode": "" }; destroy"#);
        check(
            r#"{"mode": 1}"#,
            r#"error: error in plugin misbehaving init config: In <root>[mode], its value is not of type "string"; "#,
        );
    }

    #[test]
    fn a_state_that_comes_with_a_failure_is_destroyed() {
        check(
            r#"{"mode": "fail"}"#,
            r#"error: could not initialize plugin misbehaving: told to fail; init {"mode": "fail"}; destroy"#,
        );
        check(
            r#"{"mode": "leave-rc-unwritten"}"#,
            "error: could not initialize plugin misbehaving: left rc unwritten; \
             init {\"mode\": \"leave-rc-unwritten\"}; destroy",
        );
    }

    #[test]
    fn a_failure_without_a_state_is_not_asked_for_its_reason() {
        check(
            r#"{"mode": "fail-without-state"}"#,
            "error: could not initialize plugin misbehaving: plugin handle or 'get_last_error' function not defined; \
             init {\"mode\": \"fail-without-state\"}",
        );
    }

    #[test]
    fn tables_can_be_asked_for_by_every_plugin() {
        check(
            r#"{"mode": "ask-for-tables"}"#,
            "init {\"mode\": \"ask-for-tables\"}; vtables complete: true; owner error before: null; \
             table: true, owner error after: null; destroy",
        );
    }
}

mod sourcing {
    use super::*;

    #[track_caller]
    fn check_open(params: &str, expected: &str) {
        let fixture = Fixture::new();
        let outcome = match fixture.open(params) {
            Ok(_stream) => String::new(),
            Err(error) => format!("error: {}; ", chain(&error)),
        };
        assert_eq!(outcome + &fixture.logged(), expected);
    }

    #[test]
    fn a_source_is_closed_before_its_state_is_destroyed() {
        check_open("1", "init {}; open 1; close; destroy");
        check_open("", "init {}; open; close; destroy");
        check_open("null-instance", "init {}; open null-instance; close; destroy");
    }

    #[test]
    fn a_source_that_does_not_open_is_closed_only_if_there_is_an_instance() {
        let error = "error: cannot open the event source: open of plugin misbehaving failed: told not to open";
        check_open("fail", &format!("{error}; init {{}}; open fail; destroy"));
        check_open(
            "fail-with-instance",
            &format!("{error}; init {{}}; open fail-with-instance; close; destroy"),
        );
        check_open(
            "a\0b",
            "error: open params of plugin misbehaving contain a NUL character; init {}; destroy",
        );
    }

    #[test]
    fn suggestions_are_listed() {
        let params = Fixture::new().init("").unwrap().list_open_params().unwrap();
        let texts: Vec<_> =
            params.iter().map(|p| [&*p.value, &p.description, &p.separator]).collect();
        assert_eq!(texts, [["3,eof", "three events", ""], ["timeout", "", ","]]);
    }

    /// Reads until the stream has ended twice; a batch is printed as the payloads of its events.
    #[track_caller]
    fn check(steps: &str, expected: &str) {
        let mut stream = Fixture::new().open(steps).unwrap();
        let mut found = String::new();
        let mut end = None;
        loop {
            match stream.next_batch() {
                Ok(batch) => {
                    assert_eq!(batch.events().len(), batch.len());
                    for event in batch.events() {
                        assert_eq!(event.plugin_id(), 999);
                        assert!(
                            (1_700_000_000_000_000_000..u64::MAX).contains(&event.timestamp_ns())
                        );
                        write!(found, "{} ", String::from_utf8_lossy(event.payload())).unwrap();
                    }
                    found += "| ";
                }
                Err(NoBatch::Timeout) => found += "timeout | ",
                Err(last) if end.is_none() => end = Some(last),
                Err(last) => {
                    assert_eq!(end, Some(last.clone()), "an end is repeated");
                    found += &chain(&last);
                    break;
                }
            }
        }
        assert_eq!(found, expected);
    }

    const END: &str = "end of the event source";

    #[test]
    fn events_come_before_what_came_with_them() {
        check("3,1", &format!("1 2 3 | 4 | {END}"));
        check("timeout,timeout+2,1,eof", &format!("timeout | 1 2 | 3 | {END}"));
        check("eof+2,1", &format!("1 2 | {END}"));
        let failure = "next_batch of plugin misbehaving failed: told to give up";
        check("failure,1", failure);
        check("1,failure+2,1", &format!("1 | 2 3 | {failure}"));
        check("not-supported", failure);
        check("unknown-code", failure);
    }

    #[test]
    fn nothing_is_a_time_out() {
        check("unwritten,1", &format!("timeout | 1 | {END}"));
        check("success+0,1", &format!("timeout | 1 | {END}"));
    }

    #[test]
    fn success_without_events_is_logged_once() {
        let fixture = Fixture::new();
        let mut stream = fixture.open("success+0,success+0").unwrap();
        assert_eq!(stream.next_batch().unwrap_err(), NoBatch::Timeout);
        assert_eq!(stream.next_batch().unwrap_err(), NoBatch::Timeout);
        assert_eq!(stream.plugin().protocol_errors(), 2);
        assert_eq!(
            fixture.logged(),
            "init {}; open success+0,success+0; Warning misbehaving: protocol error, counted from now on: \
             next_batch succeeded without an event"
        );
    }

    #[test]
    fn a_malformed_event_ends_the_stream_after_the_good_ones() {
        let malformed = "malformed plugin event produced by plugin: 'misbehaving'";
        check("short-event+2,1", &format!("1 2 | {malformed}: length 20 is too short"));
        check(
            "wrong-id",
            &format!(
                "{malformed}: unexpected plugin ID in plugin event: expected_id=999, actual_id=5"
            ),
        );
        check("own-id", &format!("1 | {END}"));
        check(
            "wrong-type",
            &format!("{malformed}: type 402 with 2 parameters is not a plugin event"),
        );
        check(
            "long-payload",
            &format!("{malformed}: lengths 4 and 9999 do not add up to the length 39 of the event"),
        );
        check("null-event+1", &format!("1 | {malformed}: no event where one was announced"));
        check("null-array+1", &format!("{malformed}: no event where one was announced"));
    }
}

mod metrics {
    use super::*;

    #[track_caller]
    fn check(mode: &str, expected: &str) {
        let fixture = Fixture::new();
        let mut plugin = fixture.init(&format!(r#"{{"mode": "{mode}"}}"#)).unwrap();
        fixture.logged();
        let metrics = plugin.metrics().into_iter().map(|metric| {
            let sign = if metric.is_monotonic { "+" } else { "" };
            format!("{}{sign}={:?}", metric.name, metric.value)
        });
        let found = metrics.collect::<Vec<_>>().join(" ");
        assert_eq!(format!("{found}; {}", fixture.logged()), expected);
    }

    #[test]
    fn metrics_have_values_of_any_type() {
        check("none", "; ");
        check(
            "metrics",
            "u32+=Unsigned(1) s32=Signed(-1) u64+=Unsigned(18446744073709551615) s64=Signed(-2) \
             double=Float(0.5) float=Float(0.25) int=Signed(3); ",
        );
    }

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        let protocol_error =
            "Warning misbehaving: protocol error, counted from now on: get_metrics";
        check("metrics-at-null", &format!("; {protocol_error} promised 7 metrics at null"));
        check(
            "metrics-without-sense",
            &format!("good+=Unsigned(2); {protocol_error} gave a metric without name or type"),
        );
    }
}

mod extraction {
    use super::*;

    fn print(values: &Extracted<'_>) -> String {
        match values {
            Extracted::Strings(strings) => {
                strings.clone().map(String::from_utf8_lossy).collect::<Vec<_>>().join(", ")
            }
            Extracted::Numbers(numbers) => format!("{numbers:?}"),
            Extracted::Bools(flags) => format!("{flags:?}"),
            Extracted::Addresses(addresses) => {
                format!("{:?}", addresses.clone().collect::<Vec<_>>())
            }
        }
    }

    /// Extracts a field, `name` or `name[argument]`, from the second event of a batch.
    #[track_caller]
    fn check(field: &str, expected: &str) {
        let fixture = Fixture::new();
        let (name, argument) = match field.strip_suffix(']').and_then(|field| field.split_once('['))
        {
            Some((name, argument)) => (name, Some(argument)),
            None => (field, None),
        };
        let fields = &fixture.library.extraction().unwrap().fields;
        let index = fields.iter().position(|info| info.name == name).unwrap();
        let request = FieldRequest::new(&fixture.library, index, argument).unwrap();

        let mut stream = fixture.open("2").unwrap();
        let mut batch = stream.next_batch().unwrap();
        let event = batch.events().nth(1).unwrap();
        let mut extractor = batch.extractor();
        let mut found = extractor
            .extract(&event, 7, c"misbehaving", &request)
            .map_or("none".to_owned(), |v| print(&v));
        if extractor.plugin().protocol_errors() != 0 {
            found += " (protocol error)";
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn values_come_back_with_their_type() {
        check("bad.payload", "2");
        check("bad.number", "[7]");
        check("bad.flag", "[1]");
        check("bad.address", "[[127, 0, 0, 1]]");
    }

    #[test]
    fn a_plugin_is_asked_as_stock_falco_asks() {
        let common = "1 fields, present";
        let rest = "type 9 list 0, reader true offsets false";
        check(
            "bad.asked",
            &format!("bad.asked of misbehaving: {common} 0 index -1 key null, {rest}"),
        );
        check(
            "bad.asked[7]",
            &format!("bad.asked of misbehaving: {common} 1 index 7 key 7, {rest}"),
        );
        check(
            "bad.asked[/a b]",
            &format!("bad.asked of misbehaving: {common} 1 index -1 key /a b, {rest}"),
        );
    }

    #[test]
    fn no_value_is_no_error() {
        check("bad.failure", "none");
        check("bad.empty", "none");
        check("bad.untouched", "none");
    }

    #[test]
    fn what_cannot_be_a_value_is_none() {
        check("bad.null_string", "none (protocol error)");
        check("bad.null_values", "none (protocol error)");
        check("bad.two_values", "none (protocol error)");
        check("bad.five_bytes", "none (protocol error)");
        check("bad.misaligned", "none (protocol error)");
        check("bad.endless", "none (protocol error)");
    }

    #[test]
    fn what_cannot_be_in_a_list_is_left_out() {
        check("bad.list", "a, c");
        check(
            "bad.networks",
            "[[127, 0, 0, 1], [127, 0, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]]",
        );
    }

    #[test]
    fn events_of_other_types_are_not_shown_to_the_plugin() {
        let fixture = Fixture::new();
        let request = FieldRequest::new(&fixture.library, 0, None).unwrap();
        let mut stream = fixture.open("1").unwrap();
        let event = stream.next_batch().unwrap().events().next().unwrap();
        let mut other = fixture.init(r#"{"mode": "async-events-only"}"#).unwrap();
        assert!(other.extractor().extract(&event, 1, c"misbehaving", &request).is_none());
        let mut same = fixture.init("").unwrap();
        assert!(same.extractor().extract(&event, 1, c"misbehaving", &request).is_some());
    }

    #[test]
    fn an_event_is_printed_even_if_the_plugin_cannot() {
        let mut stream = Fixture::new().open("1").unwrap();
        let mut batch = stream.next_batch().unwrap();
        let event = batch.events().next().unwrap();
        assert_eq!(batch.extractor().event_to_string(&event, 1), "datalen=1 data=1");
    }
}
