//! Files with tests of rules, read as configuration files are: typed, with the place of all that is wrong.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::finding::{ConfigError, Findings};
use super::schema::Shape;
use super::section::{Section, read_root};
use super::source::Source;
use super::tree::{self, Entry, Node, Value};
use crate::logging::with_causes;

/// The source of events if a test does not say.
const DEFAULT_SOURCE: &str = "k8s_audit";

/// A file with tests.
#[derive(Clone, Debug)]
pub(crate) struct Suite {
    pub(crate) path: PathBuf,
    /// The rules to test instead of those of the command line, in order.
    pub(crate) rules: Vec<PathBuf>,
    pub(crate) tests: Vec<RuleTest>,
}

/// Events, and the alerts that they raise.
#[derive(Clone, Debug)]
pub(crate) struct RuleTest {
    pub(crate) name: String,
    /// `file:line:column`
    pub(crate) place: String,
    pub(crate) source: String,
    /// The rule that it is about: alerts of other rules do not count.
    pub(crate) rule: Option<String>,
    pub(crate) events: Vec<Json>,
    /// Where some of the events come from.
    pub(crate) file: Option<PathBuf>,
    /// In order.
    pub(crate) expected: Vec<Expected>,
}

/// An alert that a test expects; what is not given is not compared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) rule: String,
    pub(crate) priority: Option<String>,
    pub(crate) output: Option<String>,
    pub(crate) output_contains: Vec<String>,
    pub(crate) fields: Vec<(String, Json)>,
}

impl Suite {
    /// Reads a file with tests.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, unknown keys included.
    pub(crate) fn read(path: &Path) -> Result<Suite, ConfigError> {
        let mut findings = Findings::default();
        let name = path.display().to_string();
        let text = fs::read_to_string(path).unwrap_or_else(|error| {
            findings.problem(format!("cannot read {name}: {error}"), None);
            String::new()
        });
        let source = Arc::new(Source { name, text });
        let suite = tree::parse(&source, 0, &mut findings).map(|root| {
            let folder = path.parent().unwrap_or(Path::new(""));
            read_root(&root, &mut findings, |root| read_suite(root, path, folder))
        });
        // What a configuration may have too much, a test must not: it would test less than it seems to.
        for notice in std::mem::take(&mut findings.notices) {
            findings.problem(notice.text.replace(" is ignored", ""), None);
        }
        findings.check()?;
        Ok(suite.expect("a file that is no YAML is a problem"))
    }
}

fn read_suite(root: &mut Section<'_, '_>, path: &Path, folder: &Path) -> Suite {
    let rules = root.texts("rules").iter().map(|rules| shortened(folder.join(rules))).collect();
    let source = root.text("source", DEFAULT_SOURCE);
    let bases: Vec<(String, Json)> =
        match root.entry("events", Shape::Any).map(|entry| &entry.value) {
            None => Vec::new(),
            Some(Node { value: Value::Map(entries), .. }) => {
                entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect()
            }
            Some(_) => {
                root.problem("events", "expected events by name");
                Vec::new()
            }
        };
    if !root.is_present("tests") {
        root.problem("tests", "there are no tests");
    }
    let tests = root.sections("tests", |test| read_test(test, &source, &bases, folder));
    Suite { path: path.to_owned(), rules, tests }
}

/// A path without `..`, for messages; as it is where nothing is there.
fn shortened(path: PathBuf) -> PathBuf {
    let Ok(whole) = path.canonicalize() else { return path };
    let current = std::env::current_dir().unwrap_or_default();
    whole.strip_prefix(current).map(Path::to_owned).unwrap_or(whole)
}

fn read_test(
    test: &mut Section<'_, '_>,
    source: &str,
    bases: &[(String, Json)],
    folder: &Path,
) -> RuleTest {
    let name = test.text("test", "");
    if name.is_empty() {
        test.problem("test", "a test needs a name that says what it shows");
    }
    let place = test.position("test").map_or_else(String::new, ToString::to_string);
    let rule = test.optional_text("rule").map(str::to_owned);
    let source = test.text("source", source);
    let base = match test.optional_text("base") {
        None => Json::Null,
        Some(name) => match bases.iter().find(|(known, _)| known == name) {
            Some((_, event)) => event.clone(),
            None => {
                test.problem("base", &format!("no event under `events` is called `{name}`"));
                Json::Null
            }
        },
    };
    let mut events = Vec::new();
    if let Some(entry) = test.entry("event", Shape::Any) {
        events.push(merged(base.clone(), &json(&entry.value)));
    }
    match test.entry("events", Shape::Any).map(|entry| &entry.value.value) {
        None => {}
        Some(Value::List(items)) => {
            events.extend(items.iter().map(|item| merged(base.clone(), &json(item))));
        }
        Some(_) => test.problem("events", "expected a list of events"),
    }
    let file = test.optional_text("file").map(|file| folder.join(file));
    if let Some(file) = &file {
        match read_events(file) {
            Ok(found) => events.extend(found),
            Err(error) => test.problem("file", &with_causes(&error)),
        }
    }
    if events.is_empty() && !base.is_null() {
        events.push(base);
    }
    if events.is_empty() {
        test.problem("event", "a test needs `event`, `events`, `file` or `base`");
    }
    if source == DEFAULT_SOURCE {
        events.iter_mut().for_each(give_id);
    }
    let expected = read_expected(test, rule.as_deref());
    RuleTest { name, place, source, rule, events, file, expected }
}

/// Without an id a text is no audit event, so that no field would have a value; in a test nobody cares which it is.
fn give_id(event: &mut Json) {
    if let Json::Object(event) = event {
        event.entry("auditID").or_insert_with(|| "test".into());
    }
}

/// `silence`, `alert` (of the rule that the test is about), the name of a rule, one alert in full, or a list of these.
fn read_expected(test: &mut Section<'_, '_>, rule: Option<&str>) -> Vec<Expected> {
    let Some(entry) = test.entry("expect", Shape::Any) else {
        test.problem(
            "expect",
            "missing: write `silence`, `alert`, the name of a rule, or a list of alerts",
        );
        return Vec::new();
    };
    let of_rule = |name: &str| vec![Expected { rule: name.to_owned(), ..Expected::default() }];
    match &entry.value.value {
        Value::Scalar(scalar) if scalar.text == "silence" => return Vec::new(),
        Value::Scalar(scalar) if scalar.text == "alert" => {
            if rule.is_none() {
                test.problem("expect", "`alert` needs `rule`, which says of which rule");
            }
            return of_rule(rule.unwrap_or_default());
        }
        Value::Scalar(scalar) => return of_rule(&scalar.text),
        Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Scalar(_))) => {
            return test.texts("expect").iter().flat_map(|name| of_rule(name)).collect();
        }
        _ => {}
    }
    test.sections("expect", |alert| {
        let name = alert.optional_text("rule").or(rule).map(str::to_owned);
        if name.is_none() {
            alert.problem("rule", "missing: say which rule alerts");
        }
        Expected {
            rule: name.unwrap_or_default(),
            priority: alert.optional_text("priority").map(str::to_owned),
            output: alert.optional_text("output").map(str::to_owned),
            output_contains: alert.texts("output_contains"),
            fields: match alert.entry("fields", Shape::Any).map(|entry| &entry.value.value) {
                None => Vec::new(),
                Some(Value::Map(entries)) => {
                    entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect()
                }
                Some(_) => {
                    alert.problem("fields", "expected values by field");
                    Vec::new()
                }
            },
        }
    })
}

/// Why there are no events.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventsError {
    #[error("cannot read {place}")]
    Read { place: String, source: io::Error },
    #[error("{place} is no JSON")]
    Json { place: String, source: serde_json::Error },
    #[error("{place} has a list of events without `items`")]
    NoItems { place: String },
}

/// Events from a file: JSON texts one after the other, lists of events taken apart.
///
/// # Errors
///
/// When there is no such file, or something else is in it.
pub(crate) fn read_events(path: &Path) -> Result<Vec<Json>, EventsError> {
    let place = path.display().to_string();
    match fs::read(path) {
        Ok(bytes) => parse_events(&bytes, &place),
        Err(source) => Err(EventsError::Read { place, source }),
    }
}

/// As [`read_events`], from what was read. `place` says where, in messages.
///
/// # Errors
///
/// When it is something else than events.
pub(crate) fn parse_events(bytes: &[u8], place: &str) -> Result<Vec<Json>, EventsError> {
    let mut events = Vec::new();
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<Json>() {
        let value =
            value.map_err(|source| EventsError::Json { place: place.to_owned(), source })?;
        match value {
            Json::Array(items) => events.extend(items),
            Json::Object(mut object)
                if object.get("kind").is_some_and(|kind| kind == "EventList") =>
            {
                match object.remove("items") {
                    Some(Json::Array(items)) => events.extend(items),
                    _ => return Err(EventsError::NoItems { place: place.to_owned() }),
                }
            }
            event => events.push(event),
        }
    }
    Ok(events)
}

/// `over` put on top of `base`: maps key by key, all else replaced. Nothing (`~`) takes a key away.
fn merged(base: Json, over: &Json) -> Json {
    let Json::Object(over) = over else { return over.clone() };
    let mut object = match base {
        Json::Object(object) => object,
        _ => Map::new(),
    };
    for (key, value) in over {
        if value.is_null() {
            object.remove(key);
        } else {
            let below = object.remove(key).unwrap_or(Json::Null);
            object.insert(key.clone(), merged(below, value));
        }
    }
    Json::Object(object)
}

/// YAML as JSON: plain numbers, `true` and `false` as such, all else as text.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Scalar(scalar) if scalar.quoted => Json::from(scalar.text.as_str()),
        Value::Scalar(scalar) => match scalar.text.parse::<Json>() {
            Ok(plain @ (Json::Number(_) | Json::Bool(_))) => plain,
            _ => Json::from(scalar.text.as_str()),
        },
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(entries) => {
            let member = |entry: &Entry| (entry.key.clone(), json(&entry.value));
            Json::Object(entries.iter().map(member).collect())
        }
    }
}
