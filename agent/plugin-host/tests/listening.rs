//! Plugins that add events of their own and that listen, written with the SDK.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plugin_host::{AsyncEvent, AsyncQueue, CallError, EventStream, Library, LogSink, NoBatch};

/// Cargo builds them as dev-dependencies, beside the test executable.
fn library(plugin: &str) -> Arc<Library> {
    let file = format!("lib{plugin}_plugin.so");
    Library::open(&std::env::current_exe().unwrap().with_file_name(file)).unwrap()
}

fn census() -> Arc<Library> {
    library("census")
}

/// With the SDK all states of a library log to where the last one does.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A log that can be read.
#[derive(Default, Clone)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn sink(&self) -> Arc<LogSink> {
        let lines = Arc::clone(&self.0);
        Arc::new(move |_, _: &str, message: &str| {
            // Debug builds of the SDK put file, line and level first, and say what calls return.
            if !message.starts_with("Plugin error") && !message.contains("Plugin error") {
                let text = message.split_once("] ").map_or(message, |(_, text)| text);
                lines.lock().unwrap().push(text.to_owned());
            }
        })
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().join("; ")
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.text().contains(text) {
            assert!(start.elapsed() < DEADLINE, "no {text} in {}", self.text());
            std::thread::yield_now();
        }
    }
}

const DEADLINE: Duration = Duration::from_secs(30);

/// The plugin with its source opened, and how it began to add events and to listen.
fn begin(task: &str, source: &str, log: &Log) -> (EventStream, AsyncQueue, Result<(), CallError>) {
    let queue = AsyncQueue::new(source, 997);
    let mut stream = census().init(task, log.sink()).unwrap().open("wait a").unwrap();
    let mut plugin = stream.extractor();
    let begun = plugin.start_async_events(&queue).and_then(|()| plugin.open_capture());
    (stream, queue, begun)
}

/// Reads until the plugin has added all of its events, and takes these.
fn take_all(stream: &mut EventStream, queue: &AsyncQueue) -> Vec<AsyncEvent> {
    let start = Instant::now();
    let mut taken = Vec::new();
    while matches!(stream.next_batch(), Err(NoBatch::Timeout)) {
        assert!(start.elapsed() < DEADLINE);
        taken.extend(queue.take_due());
    }
    taken.extend(queue.take_until(u64::MAX));
    taken
}

#[test]
fn a_plugin_adds_events_from_a_thread_of_its_own() {
    let _guard = one_at_a_time();
    let log = Log::default();
    let (mut stream, queue, begun) = begin("add", "census", &log);
    begun.unwrap();
    let taken = take_all(&mut stream, &queue);
    let names: Vec<_> = taken.iter().map(|event| event.as_event().async_name()).collect();
    assert_eq!(names, [Some("tick"); 3]);
    assert!(taken.iter().all(|event| event.as_event().timestamp_ns() != u64::MAX));
    let library = census();
    let added = library.async_events().unwrap();
    assert_eq!(
        (&*added.names, &*added.sources),
        (&["tick".into(), "tock".into()][..], &["census".into()][..])
    );
}

#[test]
fn what_must_not_be_added_is_refused_with_a_reason() {
    let _guard = one_at_a_time();
    let log = Log::default();
    let (mut stream, queue, begun) = begin("add wrong", "census", &log);
    begun.unwrap();
    assert!(take_all(&mut stream, &queue).is_empty());
    log.wait_for("plugin 'census' adds no async events named 'wrong'");
    let log = Log::default();
    let (mut stream, queue, begun) = begin("add", "another", &log);
    begun.unwrap();
    assert!(take_all(&mut stream, &queue).is_empty());
    log.wait_for("plugin 'census' adds no async events to the open event source 'another'");
}

#[test]
fn no_event_is_lost_as_long_as_somebody_takes_them() {
    let _guard = one_at_a_time();
    let log = Log::default();
    let (mut stream, queue, begun) = begin("add many", "census", &log);
    begun.unwrap();
    assert_eq!(take_all(&mut stream, &queue).len(), 5000);
    assert_eq!(queue.take_lost(), 0);
}

#[test]
fn a_plugin_that_waits_for_room_is_stopped() {
    let _guard = one_at_a_time();
    let log = Log::default();
    let (mut stream, queue, begun) = begin("add many", "census", &log);
    begun.unwrap();
    stream.extractor().stop_async_events();
    assert_eq!(queue.take_until(u64::MAX).len(), 4096);
    log.wait_for(
        "not taken: there is no room for an async event, event source 'census' does not keep up",
    );
    assert_eq!(queue.take_lost(), 1);
    assert!(log.text().ends_with("adding stops"), "{}", log.text());
}

#[test]
fn plugins_are_told_in_order_when_the_source_opens_and_closes() {
    let _guard = one_at_a_time();
    let log = Log::default();
    let (mut stream, _queue, begun) = begin("", "census", &log);
    begun.unwrap();
    stream.close();
    drop(stream);
    let expected =
        "adding stops; adding starts; capture opens; adding stops; capture closes; the state ends";
    assert_eq!(log.text(), expected);
    let log = Log::default();
    let (stream, _, begun) = begin("cannot add", "census", &log);
    let error = begun.unwrap_err().to_string();
    assert!(
        error.contains("set_async_event_handler of plugin census failed: asked not to start"),
        "{error}"
    );
    drop(stream);
    let (stream, _, begun) = begin("cannot listen", "census", &log);
    let error = begun.unwrap_err().to_string();
    assert!(error.contains("capture_open of plugin census failed: asked not to listen"), "{error}");
    drop(stream);
    // It may have begun something before it failed.
    assert!(
        log.text().ends_with("capture opens; adding stops; capture closes; the state ends"),
        "{}",
        log.text()
    );
}

#[test]
fn routines_are_called_until_they_are_done_or_the_source_closes() {
    let _guard = one_at_a_time();
    let log = Log::default();
    let (stream, _queue, begun) = begin("listen", "census", &log);
    begun.unwrap();
    log.wait_for("call 3");
    drop(stream);
    let text = log.text();
    assert!(!text.contains("call 4"), "{text}");
    assert_eq!(text.matches("unsubscribed once").count(), 2, "{text}");
    assert!(text.ends_with("capture closes; the state ends"), "{text}");
}

/// What the plugin `chameleon` logs from its start to its end, when it is told what to do.
fn life_of_chameleon(tasks: &str) -> String {
    let log = Log::default();
    let queue = AsyncQueue::new("chameleon", 900);
    let mut stream = library("chameleon").init(tasks, log.sink()).unwrap().open("0").unwrap();
    let mut plugin = stream.extractor();
    plugin.start_async_events(&queue).and_then(|()| plugin.open_capture()).unwrap();
    stream.close();
    stream.extractor().stop_async_events();
    drop(stream);
    assert!(queue.take_until(u64::MAX).is_empty());
    log.text()
}

#[test]
fn an_event_with_a_thread_is_refused_and_one_after_the_handler_was_taken_back() {
    let text = life_of_chameleon("async with-thread");
    let refused = "refused: async events of a plugin's event source have no thread id";
    assert!(text.contains(&format!("handler set; {refused}; capture opens")), "{text}");
    let text = life_of_chameleon("async late");
    let refused = "refused: the async event handler is not set";
    assert!(
        text.ends_with(&format!("handler taken back; capture closes; {refused}; destroy")),
        "{text}"
    );
}
