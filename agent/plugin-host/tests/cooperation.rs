//! Plugins that are written with the SDK and do more than to produce events and to extract fields from them.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::sync::Arc;

use plugin_host::{
    EventStream, Extracted, FieldRequest, InitError, Library, LogSink, Plugin, StateTables,
};

/// Cargo builds them as dev-dependencies, beside the test executable.
fn open(plugin: &str) -> Arc<Library> {
    let file = format!("lib{plugin}_plugin.so");
    Library::open(&std::env::current_exe().unwrap().with_file_name(file)).unwrap()
}

fn quiet() -> Arc<LogSink> {
    Arc::new(|_, _: &str, _: &str| {})
}

/// The plugin `census` with its source opened, and `observer` beside it.
struct Pair {
    census: EventStream,
    observer: Plugin,
    number: u64,
}

impl Pair {
    fn new(words: &str) -> Self {
        let tables = StateTables::new();
        let census = open("census").init_among("", quiet(), &tables).unwrap();
        let observer = open("observer").init_among("", quiet(), &tables).unwrap();
        Self { census: census.open(words).unwrap(), observer, number: 0 }
    }

    /// Has both plugins parse all events and prints the value of a field of each.
    fn run(&mut self, of_census: usize, of_observer: usize) -> String {
        let requests = [(of_census, "census"), (of_observer, "observer")]
            .map(|(field, plugin)| FieldRequest::new(&open(plugin), field, None).unwrap());
        let mut text = String::new();
        while let Ok(mut batch) = self.census.next_batch() {
            for event in batch.events() {
                self.number += 1;
                batch.extractor().parse(&event, self.number, c"census");
                self.observer.extractor().parse(&event, self.number, c"census");
                let word = String::from_utf8_lossy(event.payload()).into_owned();
                let mut extractor = batch.extractor();
                let of_census = extractor.extract(&event, self.number, c"census", &requests[0]);
                let of_census = print(of_census);
                let mut extractor = self.observer.extractor();
                let of_observer = extractor.extract(&event, self.number, c"census", &requests[1]);
                text += &format!("{word} {of_census} {}, ", print(of_observer));
            }
        }
        text.trim_end_matches(", ").to_owned()
    }
}

fn print(value: Option<Extracted<'_>>) -> String {
    match value {
        None => "-".to_owned(),
        Some(Extracted::Numbers(numbers)) => numbers[0].to_string(),
        Some(Extracted::Strings(mut strings)) => {
            String::from_utf8_lossy(strings.next().unwrap()).into_owned()
        }
        Some(other) => format!("{other:?}"),
    }
}

const COUNT: usize = 0;
const NOTE: usize = 1;

#[test]
fn capabilities_and_their_sources_are_read() {
    let census = open("census");
    assert!(census.capabilities().parsing);
    assert_eq!(census.parsing().unwrap().sources, ["census"], "its own source is added");
    let observer = open("observer");
    assert!(observer.parsing().unwrap().is_compatible_with("anything"));
    assert!(observer.sourcing().is_none());
}

#[test]
fn events_are_parsed_once_before_fields_are_extracted() {
    let mut pair = Pair::new("a b a a");
    assert_eq!(pair.run(COUNT, 0), "a 1 1, b 1 1, a 2 2, a 3 3");
}

#[test]
fn a_field_is_added_to_the_table_of_another_plugin() {
    let mut pair = Pair::new("a b a a");
    assert_eq!(pair.run(COUNT, 1), "a 1 1, b 1 1, a 2 2, a 3 3");
}

#[test]
fn tables_lie_in_tables() {
    let mut pair = Pair::new("abc d");
    assert_eq!(pair.run(COUNT, 2), "abc 1 a.b.c.a, d 1 d.d");
}

#[test]
fn tables_are_listed_and_iterated() {
    let mut pair = Pair::new("a b a");
    let expected = "a 1 words 1 1 Finished Exited, b 1 words 2 2 Finished Exited, \
                    a 2 words 2 3 Finished Exited";
    assert_eq!(pair.run(COUNT, 3), expected);
    let mut pair = Pair::new("a");
    assert_eq!(pair.run(COUNT, 4), "a 1 table of key type 4; table of key type 9; ");
}

#[test]
fn entries_are_erased_inserted_and_cleared() {
    let mut pair = Pair::new("a b erase");
    assert_eq!(pair.run(NOTE, 0), "a  1, b  1, erase erased once 1");
    let mut pair = Pair::new("a insert x");
    let expected = "a  words 1 1 Finished Exited, \
                    insert count is read-only words 3 2 Finished Exited, \
                    x  words 4 3 Finished Exited";
    assert_eq!(pair.run(NOTE, 3), expected);
    let mut pair = Pair::new("a clear b");
    assert_eq!(pair.run(COUNT, 0), "a 1 1, clear - -, b 1 1");
}

/// The SDK keeps an entry locked until it is released; then its owner cannot use it.
#[test]
fn an_entry_that_is_not_released_is_taken_back_after_the_call() {
    let mut pair = Pair::new("leak leak leak");
    assert_eq!(pair.run(COUNT, 0), "leak 1 1, leak 2 2, leak 3 3");
}

#[track_caller]
fn check_init(config: &str, expected: &str) {
    let tables = StateTables::new();
    let _census = open("census").init_among("", quiet(), &tables).unwrap();
    let error = open("observer").init_among(config, quiet(), &tables).unwrap_err();
    let message = error.to_string();
    let expected = format!("could not initialize plugin observer: {expected}");
    assert!(message.starts_with(&expected), "{message}");
}

#[test]
fn what_a_table_cannot_give_is_said() {
    check_init("wrong key", "the keys of table 'words' have type 9, not 8");
    check_init("wrong table", "Could not get table \"nothing\"");
    check_init("wrong field", "table 'words' of plugin 'census' has no field 'count' of type 9");
    check_init("other type", "table 'words' of plugin 'census' has no field 'added' of type 9");
}

#[test]
fn tables_are_seen_by_later_states_of_the_same_group() {
    let of_another = StateTables::new();
    let failed = |result: Result<Plugin, InitError>| result.unwrap_err().to_string();
    let message = failed(open("observer").init_among("", quiet(), &of_another));
    assert!(message.contains("Could not get table \"words\""), "{message}");
    let first = open("census").init_among("", quiet(), &of_another).unwrap();
    assert!(first.shares_tables());
    let message = failed(open("census").init_among("", quiet(), &of_another));
    assert!(
        message.contains("cannot add a table: plugin 'census' has a table named 'words' already"),
        "{message}"
    );
    drop(first);
    open("census").init_among("", quiet(), &of_another).unwrap();
}

#[test]
fn a_table_whose_plugin_is_gone_is_refused() {
    let mut pair = Pair::new("a b");
    let mut other = Pair::new("a b");
    assert_eq!(pair.run(COUNT, 1), "a 1 1, b 1 1");
    // The stream of the other pair meets an observer whose table belongs to a state that ends here.
    let Pair { census, observer, number } = pair;
    drop(census);
    other.observer = observer;
    other.number = number;
    assert_eq!(other.run(COUNT, 1), "a 1 -, b 1 -");
}
