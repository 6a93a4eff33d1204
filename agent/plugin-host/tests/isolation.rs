//! A plugin in a child process answers as it does in this one.
//!
//! The child is this test executable again, told to run nothing but `child_process`.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plugin_host::{
    Extracted, FieldRequest, Isolation, Library, LogSink, NoBatch, Plugin, serve_child,
};

fn library_path(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(name)
}

fn isolation(program: PathBuf, arguments: &[&str]) -> Isolation {
    Isolation { program, arguments: arguments.iter().map(OsString::from).collect() }
}

fn isolated(library: &str) -> Arc<Library> {
    let arguments = ["child_process", "--exact", "--nocapture"];
    let isolation = isolation(std::env::current_exe().unwrap(), &arguments);
    Library::open_isolated(&library_path(library), isolation).unwrap()
}

/// Not a test but the program of the children: they have the path of a library for their last argument.
#[test]
fn child_process() {
    let last = std::env::args().next_back().unwrap();
    if last.ends_with(".so") {
        serve_child(last.as_ref()).unwrap();
    }
}

fn init(library: &Arc<Library>, config: &str) -> (Plugin, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let sink = Arc::clone(&lines);
    let log: Arc<LogSink> = Arc::new(move |severity, component: &str, text: &str| {
        sink.lock().unwrap().push(format!("{severity:?} {component}: {text}"));
    });
    (library.init(config, log).unwrap(), lines)
}

fn print(values: Option<Extracted<'_>>) -> String {
    match values {
        None => "none".to_owned(),
        Some(Extracted::Strings(texts)) => {
            texts.map(|text| String::from_utf8_lossy(text).into_owned() + ",").collect()
        }
        Some(Extracted::Numbers(numbers)) => format!("{numbers:?}"),
        Some(Extracted::Bools(flags)) => format!("{flags:?}"),
        Some(Extracted::Addresses(addresses)) => format!("{:?}", addresses.collect::<Vec<_>>()),
    }
}

/// All fields of all events of a stream, and how it ended. `foreign` is asked too, as one is for events of others.
fn read_all(library: &Arc<Library>, params: &str, foreign: &mut Plugin) -> String {
    let fields = &library.extraction().unwrap().fields;
    let request = |(index, field): (usize, &plugin_host::FieldInfo)| {
        let argument = field.argument.map(|_| "7");
        FieldRequest::new(library, index, argument).unwrap()
    };
    let requests: Vec<_> = fields.iter().enumerate().map(request).collect();
    let (plugin, lines) = init(library, "");
    let mut stream = plugin.open(params).unwrap();
    let mut found = String::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut number = 0;
    loop {
        assert!(Instant::now() < deadline, "no end after {found}");
        let mut batch = match stream.next_batch() {
            Ok(batch) => batch,
            Err(NoBatch::Timeout) => continue,
            Err(end) => break found += &format!("{end}\n"),
        };
        for event in batch.events() {
            number += 1;
            for (request, field) in requests.iter().zip(fields) {
                let mut extractor = batch.extractor();
                found += &print(extractor.extract(&event, number, c"misbehaving", request));
                // A child gives events of others numbers of its own.
                if field.name == "bad.number" {
                    continue;
                }
                let mut extractor = foreign.extractor();
                found += &print(extractor.extract(&event, number, c"misbehaving", request));
                found.push(' ');
            }
            found += &batch.extractor().event_to_string(&event, number);
            found.push('\n');
        }
    }
    assert!(stream.plugin().crash().is_none());
    stream.close();
    stream.metrics();
    found += &format!("{} protocol errors\n", stream.plugin().protocol_errors());
    drop(stream);
    found + &lines.lock().unwrap().join("\n")
}

#[test]
fn events_values_ends_and_logs_are_the_same_from_a_child() {
    let here = Library::open(&library_path("libmisbehaving_plugin.so")).unwrap();
    let there = isolated("libmisbehaving_plugin.so");
    assert_eq!(format!("{:?}", there.extraction()), format!("{:?}", here.extraction()));
    assert_eq!(there.capabilities(), here.capabilities());
    let (mut foreign_here, _) = init(&here, "");
    let (mut foreign_there, _) = init(&there, "");
    for params in ["1,20,3,eof+2", "1,timeout+2,failure+1", "2,1,not-supported"] {
        assert_eq!(
            read_all(&there, params, &mut foreign_there),
            read_all(&here, params, &mut foreign_here),
            "{params}"
        );
    }
    assert_eq!(foreign_there.list_open_params().unwrap(), foreign_here.list_open_params().unwrap());
    let (mut plugin, _) = init(&there, r#"{"mode": "metrics"}"#);
    assert_eq!(plugin.metrics(), init(&here, r#"{"mode": "metrics"}"#).0.metrics());
    let refused =
        there.init(r#"{"mode": "fail"}"#, Arc::new(|_, _: &str, _: &str| {})).unwrap_err();
    assert_eq!(refused.to_string(), "could not initialize plugin misbehaving: told to fail");
}

#[test]
fn a_child_that_talks_nonsense_is_an_error() {
    let check = |script: &str, expected: &str| {
        let isolation = isolation("/bin/sh".into(), &["-c", script]);
        let error = Library::open_isolated("x.so".as_ref(), isolation).unwrap_err();
        let found = error.source.to_string();
        assert!(found.contains(expected), "{script}: {found}");
    };
    check("exit 3", "its process has ended: exit status: 3");
    check("kill -9 $$", "its process has ended: signal: 9");
    // Standard input is the socket.
    check(r"printf '\001\000\000\000\143x' >&0; sleep 60", "a message of an unknown kind");
    check(r"printf '\377\377\377\377\010' >&0; sleep 60", "a message that is too long");
    check(r"printf '\004\000\000\000\012xxxx' >&0", "what its process says of it makes no sense");
    let isolation = isolation("/nowhere/program".into(), &[]);
    let error = Library::open_isolated("x.so".as_ref(), isolation).unwrap_err().source.to_string();
    assert!(error.contains("its process cannot be started"), "{error}");
}

#[test]
fn progress_is_told_here_and_there_and_looked_at() {
    let here = Library::open(&library_path("libchameleon_plugin.so")).unwrap();
    let there = isolated("libchameleon_plugin.so");
    for library in [&here, &there] {
        let check = |config: &str, expected: &[(f64, &str)], protocol_error: &str| {
            let (plugin, lines) = init(library, config);
            let mut stream = plugin.open("4").unwrap();
            let mut found = Vec::new();
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                found.extend(stream.progress().map(|progress| (progress.share, progress.text)));
                match stream.next_batch() {
                    Ok(_) => {}
                    Err(NoBatch::Timeout) => assert!(Instant::now() < deadline),
                    Err(_) => break,
                }
            }
            let found: Vec<_> = found.iter().map(|(share, text)| (*share, &**text)).collect();
            assert_eq!(found, expected, "{config}");
            stream.close();
            assert_eq!(stream.progress(), None);
            let has_logged =
                lines.lock().unwrap().iter().any(|line| line.contains("protocol error"));
            assert_eq!(has_logged, !protocol_error.is_empty(), "{:?}", lines.lock().unwrap());
            assert!(
                protocol_error.is_empty()
                    || lines.lock().unwrap().iter().any(|line| line.contains(protocol_error))
            );
        };
        let shares = [0.0, 0.25, 0.5, 0.75, 1.0];
        check("", &shares.map(|share| (share, "")), "");
        let words =
            ["0 of 4", "1 of 4", "2 of 4", "3 of 4", "4 of 4"].map(|t| format!("{t}\x1b[2J"));
        let words: Vec<_> = shares.into_iter().zip(words.iter().map(String::as_str)).collect();
        check("get_progress words", &words, "");
        check("get_progress nothing", &[(0.0, ""); 5], "");
        check("get_progress too much", &[], "get_progress gave 10001 of 10000");
        check(
            "get_progress no text",
            &shares.map(|share| (share, "")),
            "get_progress gave what is not UTF-8",
        );
    }
}
