//! From JSON text to audit events.

use std::sync::Arc;

use plugin_support::{
    events::Events,
    json::{Document, Kind, ParseError, Value},
};

use crate::{counters::Counters, event_time};

/// Reads JSON texts and keeps the audit events in them.
#[derive(Debug)]
pub(crate) struct EventReader {
    document: Document,
    max_event_bytes: usize,
    counters: Arc<Counters>,
}

impl EventReader {
    /// Makes a reader that drops events longer than `max_event_bytes`.
    pub(crate) fn new(max_event_bytes: Option<usize>, counters: Arc<Counters>) -> Self {
        let max_event_bytes = max_event_bytes.unwrap_or(usize::MAX);
        Self { document: Document::default(), max_event_bytes, counters }
    }

    /// Where it counts what it drops. What is not JSON is for the caller to count, who knows where it stands.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Adds the events of one JSON text, such as a line of the audit log.
    pub(crate) fn read(&mut self, text: &[u8], events: &mut Events) -> Result<(), ParseError> {
        self.document.parse(text)?;
        let before = events.len();
        self.add_document(events);
        self.counters.received.add((events.len() - before) as u64);
        Ok(())
    }

    /// Adds the events of a request's body, which may hold several JSON texts one after the other.
    ///
    /// All or nothing: if one of them is not JSON, no event is added. The caller counts as received what it takes.
    pub(crate) fn read_body(&mut self, body: &[u8], events: &mut Events) -> Result<(), ParseError> {
        let before = events.len();
        let mut rest = body;
        loop {
            match self.document.parse_prefix(rest) {
                Ok(length) => rest = &rest[length..],
                Err(mut error) => {
                    events.truncate(before);
                    error.offset += body.len() - rest.len();
                    return Err(error);
                }
            }
            self.add_document(events);
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    fn add_document(&mut self, events: &mut Events) {
        let Self { document, max_event_bytes, counters } = self;
        let mut sink = Sink { events, max_event_bytes: *max_event_bytes, counters };
        let before = sink.events.len();
        if sink.add(document.root()).is_err() {
            // One foreign element spoils the whole array, as it does in stock.
            sink.events.truncate(before);
            let why = || "data not recognized as a k8s audit event".to_owned();
            sink.counters.reject(&sink.counters.texts_not_recognized, why);
        }
    }
}

/// Neither an event, nor a list of events, nor an array of these.
struct NotRecognized;

struct Sink<'a> {
    events: &'a mut Events,
    max_event_bytes: usize,
    counters: &'a Counters,
}

impl Sink<'_> {
    /// Source: `k8saudit` 0.18.0, `source.go`. An array may nest only as deep as a document, so recursion is bounded.
    fn add(&mut self, value: Value<'_>) -> Result<(), NotRecognized> {
        if value.kind() == Kind::Array {
            return value.elements().try_for_each(|element| self.add(element));
        }
        let kind = value.get(b"kind").and_then(Value::as_str).ok_or(NotRecognized)?;
        match &*kind {
            b"Event" => self.add_event(value),
            b"EventList" => {
                let items = value.get(b"items").filter(|items| items.kind() == Kind::Array);
                // The API server's lists leave the kind of their items out.
                items.ok_or(NotRecognized)?.elements().for_each(|item| self.add_event(item));
            }
            _ => return Err(NotRecognized),
        }
        Ok(())
    }

    fn add_event(&mut self, event: Value<'_>) {
        let time = event.get(b"stageTimestamp").and_then(Value::as_str);
        let Some(timestamp_ns) = time.and_then(|text| event_time::parse(&text)) else {
            self.counters.reject(&self.counters.events_without_time, || {
                let id = audit_id(event);
                format!("audit event {id} dropped: stageTimestamp missing or not valid")
            });
            return;
        };
        if let Err(size) = self.events.push_json(timestamp_ns, event, self.max_event_bytes) {
            self.counters.reject(&self.counters.events_too_large, || {
                let id = audit_id(event);
                format!("event larger than maxEventSize: size={size} auditID={id}")
            });
        }
    }
}

/// The event's `auditID` for a log line, unless it looks like something else: logs must not repeat what a client sent.
fn audit_id(event: Value<'_>) -> String {
    event
        .get(b"auditID")
        .and_then(Value::as_str)
        .and_then(|id| String::from_utf8(id.into_owned()).ok())
        .filter(|id| id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
        .unwrap_or_else(|| "without a plain auditID".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line;
    use plugin_support::counter::Counter;

    fn reader(max_event_bytes: Option<usize>) -> EventReader {
        EventReader::new(max_event_bytes, Arc::default())
    }

    /// An event as in the payload cases of the audit plugin, P1 to P16.
    fn event(id: &str) -> String {
        event_at(id, "\"2024-01-02T03:04:05.123456Z\"")
    }

    fn event_at(id: &str, time: &str) -> String {
        format!(r#"{{"kind":"Event","auditID":"{id}","stageTimestamp":{time}}}"#)
    }

    fn ids(events: &Events) -> Vec<String> {
        let mut document = Document::default();
        let mut id = |payload| {
            document.parse(payload).unwrap();
            String::from_utf8(document.root().get(b"auditID").unwrap().as_str().unwrap().into())
                .unwrap()
        };
        events.iter().map(|event| id(event.payload)).collect()
    }

    /// One text as a line and as a body.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let mut reader = reader(None);
        let (mut line, mut body) = (Events::default(), Events::default());
        reader.read(text.as_bytes(), &mut line).unwrap();
        reader.read_body(text.as_bytes(), &mut body).unwrap();
        assert_eq!(ids(&line), expected, "line");
        assert_eq!(ids(&body), expected, "body");
    }

    #[track_caller]
    fn check_body(text: &str, expected: Result<&[&str], &str>) {
        let mut events = Events::default();
        let outcome = reader(None).read_body(text.as_bytes(), &mut events);
        let got = outcome.map(|()| ids(&events)).map_err(|error| error.to_string());
        let expected = expected.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(got, expected.map_err(str::to_owned));
        assert!(got.is_ok() || events.is_empty());
    }

    /// P1, P2, P3
    #[test]
    fn events_lists_and_arrays_are_taken() {
        check(&event("a"), &["a"]);
        check(
            &format!(
                r#"{{"kind":"EventList","items":[{},{{"auditID":"x"}},{},null,{{"auditID":"b","stageTimestamp":"x"}},
                    {{"auditID":"nk","stageTimestamp":"2024-01-02T03:04:05Z"}}]}}"#,
                event("1"),
                event("2")
            ),
            &["1", "2", "nk"],
        );
        let list = format!(r#"{{"kind":"EventList","items":[{}]}}"#, event("2"));
        check(&format!("[{},{list},[{}]]", event("1"), event("3")), &["1", "2", "3"]);
    }

    /// P4, P5, P7, P8
    #[test]
    fn what_is_foreign_is_dropped() {
        check(&format!(r#"[{},{{"kind":"Foo"}},{}]"#, event("1"), event("3")), &[]);
        check(&format!(r#"[{},[5]]"#, event("1")), &[]);
        check(
            &format!("[{},{},{}]", event("1"), event_at("2", "\"bad\""), event("3")),
            &["1", "3"],
        );
        check(r#"{"auditID":"x","stageTimestamp":"2024-01-02T03:04:05Z"}"#, &[]);
        check(r#"{"kind":"EventList","items":[]}"#, &[]);
        check(r#"{"kind":"EventList"}"#, &[]);
        check(r#"{"kind":"EventList","items":{}}"#, &[]);
        check(r#"{"kind":"Foo","kind":"Event","stageTimestamp":"2024-01-02T03:04:05Z"}"#, &[]);
        for text in ["[]", "5", "null", "{}", r#"{"kind":0}"#, r#""Event""#] {
            check(text, &[]);
        }
    }

    /// P13
    #[test]
    fn an_event_without_a_valid_time_is_dropped() {
        for time in ["1704164645", "null", "\"\"", "\"2024-01-02T03:04:60Z\""] {
            check(&event_at("a", time), &[]);
        }
        let others = r#","requestReceivedTimestamp":"2024-01-02T03:04:05Z""#;
        check(&event_at("a", &format!("\"\"{others}")), &[]);
        check(r#"{"kind":"Event","auditID":"a"}"#, &[]);
    }

    /// P6, P9
    #[test]
    fn a_body_may_hold_several_texts_but_only_whole() {
        let (one, two) = (event("1"), event("2"));
        check_body(&format!("{one}\n{two}\n"), Ok(&["1", "2"]));
        check_body(&format!("{one}{two}"), Ok(&["1", "2"]));
        check_body("", Err("invalid JSON at byte 0: a value is missing"));
        check_body("{not json", Err("invalid JSON at byte 1: an object's key is missing"));
        check_body(&format!("{one}\nx"), Err("invalid JSON at byte 78: expected a value"));
        let mut events = Events::default();
        reader(None).read(format!("{one}\n{two}").as_bytes(), &mut events).unwrap_err();
        assert!(events.is_empty());
    }

    /// P15
    #[test]
    fn the_payload_is_the_event_without_blanks() {
        let mut events = Events::default();
        let text = "  {\"kind\": \"Event\", \"auditID\":\"w\",\n \"stageTimestamp\":\"2024-01-02T03:04:05Z\" , \"esc\":\"\\u0041\\/\"}  ";
        reader(None).read(text.as_bytes(), &mut events).unwrap();
        let payload = r#"{"kind":"Event","auditID":"w","stageTimestamp":"2024-01-02T03:04:05Z","esc":"\u0041\/"}"#;
        let event = events.get(0).unwrap();
        assert_eq!(event.timestamp_ns, 1_704_164_645_000_000_000);
        assert_eq!(event.payload, payload.as_bytes());
    }

    /// P16
    #[test]
    fn only_an_explicit_limit_drops_long_events() {
        let text = event("a");
        let kept = |limit| {
            let mut events = Events::default();
            reader(limit).read(text.as_bytes(), &mut events).unwrap();
            events.len()
        };
        assert_eq!(kept(Some(text.len())), 1);
        assert_eq!(kept(Some(text.len() - 1)), 0);
        assert_eq!(kept(None), 1);
    }

    #[test]
    fn logs_repeat_nothing_that_a_client_made_up() {
        let mut document = Document::default();
        let mut id = |text: &str| {
            document.parse(text.as_bytes()).unwrap();
            audit_id(document.root())
        };
        assert_eq!(id(r#"{"auditID":"33fa264e-1124"}"#), "33fa264e-1124");
        assert_eq!(id(r#"{"auditID":"a\nERROR forged"}"#), "without a plain auditID");
        assert_eq!(id("{}"), "without a plain auditID");
    }

    #[test]
    fn everything_that_arrives_is_counted_once() {
        let mut reader = reader(Some(100));
        let long = event(&"x".repeat(100));
        let texts =
            ["{", "5", &event("a"), &event_at("b", "0"), &long, &format!("[{}]", event("c"))];
        for text in texts {
            let path = std::path::Path::new("audit.log");
            line::read(&mut reader, path, 1, text.as_bytes(), &mut Events::default());
        }
        let Counters {
            events_without_time,
            events_too_large,
            texts_not_recognized,
            texts_not_json,
            ..
        } = &*reader.counters;
        let counts = [events_without_time, events_too_large, texts_not_recognized, texts_not_json]
            .map(Counter::value);
        assert_eq!(counts, [1, 1, 1, 1]);
        assert_eq!(reader.counters.received.value(), 4 + 2);
    }
}
