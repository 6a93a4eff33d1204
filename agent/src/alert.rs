//! Alerts: detections in the form in which outputs write them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use rules_engine::{Detection, OutputValue, Priority};
use serde::Serialize;

use crate::config::AlertsConfig;

/// How alerts look: one setting for all outputs.
///
/// Source: `falco_formats::format_event` in Falco 0.45-dev; agent.md 4.4 and 4.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlertFormat {
    /// JSON lines instead of text.
    pub(crate) json: bool,
    /// JSON key `message`: the output without time and priority.
    pub(crate) include_message: bool,
    /// JSON key `output`.
    pub(crate) include_output: bool,
    /// JSON key `output_fields`.
    pub(crate) include_output_fields: bool,
    /// JSON key `tags`.
    pub(crate) include_tags: bool,
    /// The prefix shows UTC in ISO 8601 instead of the local time of day.
    pub(crate) iso_8601: bool,
    /// JSON key `hostname`.
    pub(crate) hostname: String,
}

/// One line for the outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    /// Text or JSON, without a newline.
    pub(crate) line: String,
    pub(crate) priority: Priority,
}

/// The keys of a JSON alert. They are declared in byte order, which is the order of the output.
#[derive(Serialize)]
struct JsonAlert<'a, F: Serialize> {
    hostname: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_fields: Option<F>,
    priority: &'a str,
    rule: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a [String]>,
    time: String,
}

impl AlertFormat {
    pub(crate) fn new(config: &AlertsConfig, iso_8601: bool, hostname: String) -> Self {
        AlertFormat {
            json: config.json,
            include_message: config.json_message,
            include_output: config.json_output,
            include_output_fields: config.json_output_fields,
            include_tags: config.json_tags,
            iso_8601,
            hostname,
        }
    }

    /// The alert for a detection. Local times are shown `utc_offset_s` seconds east of UTC.
    pub(crate) fn alert(&self, detection: &Detection, utc_offset_s: i32) -> Alert {
        let rule = &detection.rule;
        let time = detection.timestamp_ns;
        let prefix =
            if self.iso_8601 { iso_8601(time, "+0000") } else { time_of_day(time, utc_offset_s) };
        let output = format!("{prefix}: {} {}", rule.priority, detection.message);
        let line = if self.json {
            let mut fields: BTreeMap<&str, &OutputValue> =
                detection.fields.iter().map(|(name, value)| (&**name, value)).collect();
            let event_time = OutputValue::Time(time.cast_signed());
            let key = if self.iso_8601 { "evt.time.iso8601" } else { "evt.time" };
            fields.entry(key).or_insert(&event_time);
            json_line(&JsonAlert {
                hostname: &self.hostname,
                message: self.include_message.then_some(&detection.message),
                output: self.include_output.then_some(&output),
                output_fields: self.include_output_fields.then_some(fields),
                priority: rule.priority.name(),
                rule: &rule.name,
                source: &rule.source,
                tags: self.include_tags.then_some(&rule.tags),
                time: iso_8601(time, "Z"),
            })
        } else {
            escape(&output)
        };
        Alert { line, priority: rule.priority }
    }

    /// A message of the agent itself, with source `internal`.
    ///
    /// Source: rules-language.md 5.7. The time is local even where `iso_8601` is set.
    pub(crate) fn internal(
        &self,
        rule: &str,
        priority: Priority,
        message: &str,
        fields: &BTreeMap<&str, serde_json::Value>,
        now_ns: u64,
        utc_offset_s: i32,
    ) -> Alert {
        let line = if self.json {
            json_line(&JsonAlert {
                hostname: &self.hostname,
                message: None,
                output: Some(message),
                output_fields: Some(fields),
                priority: priority.name(),
                rule,
                source: "internal",
                tags: None,
                time: iso_8601(now_ns, "Z"),
            })
        } else {
            let fields: Vec<String> = fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let prefix = time_of_day(now_ns, utc_offset_s);
            escape(&format!("{prefix}: {priority} {message} ({})", fields.join(" ")))
        };
        Alert { line, priority }
    }
}

fn json_line(alert: &impl Serialize) -> String {
    serde_json::to_string(alert).expect("keys are strings and values have no error paths")
}

/// Escapes a text line like a JSON string without its quotes, so that no field value can forge a line.
fn escape(line: &str) -> String {
    let quoted = serde_json::Value::from(line).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// `2023-11-14T22:13:20.123456789` in UTC and a suffix.
pub(crate) fn iso_8601(time_ns: u64, suffix: &str) -> String {
    format!("{}{suffix}", civil(time_ns, 0).strftime("%Y-%m-%dT%H:%M:%S.%9f"))
}

/// `22:13:20.123456789`, `utc_offset_s` seconds east of UTC.
fn time_of_day(time_ns: u64, utc_offset_s: i32) -> String {
    civil(time_ns, utc_offset_s).strftime("%H:%M:%S.%9f").to_string()
}

fn civil(time_ns: u64, utc_offset_s: i32) -> jiff::civil::DateTime {
    // 64 bits of nanoseconds end in the year 2554, which `jiff` reaches, and no clock is a day off UTC.
    let timestamp = Timestamp::from_nanosecond(time_ns.into()).unwrap_or_default();
    let offset = Offset::from_seconds(utc_offset_s).unwrap_or(Offset::UTC);
    timestamp.to_zoned_datetime(TimeZone::fixed(offset)).datetime()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rules_engine::RuleInfo;

    use super::*;

    const TIME: u64 = 1_700_000_000_123_456_789;

    fn format() -> AlertFormat {
        AlertFormat {
            json: false,
            include_message: false,
            include_output: true,
            include_output_fields: true,
            include_tags: true,
            iso_8601: false,
            hostname: "cp-1".into(),
        }
    }

    fn detection(message: &str) -> Detection {
        let rule = RuleInfo {
            name: "Secret read".into(),
            priority: Priority::Warning,
            source: "k8s_audit".into(),
            tags: ["k8s".into()].into(),
            position: 0,
        };
        let user = OutputValue::Text("eve \"x\"".into());
        let groups = OutputValue::List(vec![OutputValue::Text("a".into()), OutputValue::Missing]);
        Detection {
            rule: Arc::new(rule),
            timestamp_ns: TIME,
            message: message.into(),
            fields: vec![("ka.user.groups".into(), groups), ("ka.user.name".into(), user)],
        }
    }

    #[track_caller]
    fn check(format: &AlertFormat, utc_offset_s: i32, message: &str, expected: &str) {
        assert_eq!(format.alert(&detection(message), utc_offset_s).line, expected);
    }

    /// C80, and case 128 of the rules language
    #[test]
    fn text_shows_local_time_and_escapes_what_could_forge_a_line() {
        check(&format(), 0, "read by eve", "22:13:20.123456789: Warning read by eve");
        check(&format(), 3600, "x", "23:13:20.123456789: Warning x");
        let raw = "l1\nl2\t\"q\"\\z\u{1}\u{7f}é";
        let escaped = r#"22:13:20.123456789: Warning l1\nl2\t\"q\"\\z\u0001"#.to_owned();
        check(&format(), 0, raw, &(escaped + "\u{7f}é"));
    }

    #[test]
    fn iso_time_is_utc_whatever_the_offset() {
        let iso = AlertFormat { iso_8601: true, ..format() };
        check(&iso, 3600, "x", "2023-11-14T22:13:20.123456789+0000: Warning x");
    }

    /// C46 to C48
    #[test]
    fn json_has_falcos_keys_in_order() {
        let json = AlertFormat { json: true, include_message: true, ..format() };
        check(
            &json,
            0,
            "read",
            r#"{"hostname":"cp-1","message":"read","output":"22:13:20.123456789: Warning read","output_fields":{"evt.time":1700000000123456789,"ka.user.groups":["a",null],"ka.user.name":"eve \"x\""},"priority":"Warning","rule":"Secret read","source":"k8s_audit","tags":["k8s"],"time":"2023-11-14T22:13:20.123456789Z"}"#,
        );
        let bare = AlertFormat {
            json: true,
            include_output: false,
            include_output_fields: false,
            include_tags: false,
            ..format()
        };
        check(
            &bare,
            0,
            "read",
            r#"{"hostname":"cp-1","priority":"Warning","rule":"Secret read","source":"k8s_audit","time":"2023-11-14T22:13:20.123456789Z"}"#,
        );
    }

    #[test]
    fn internal_messages_have_no_tags_and_show_their_fields() {
        let fields = BTreeMap::from([("reason", "a \"b\"".into()), ("files", 2.into())]);
        let text = format().internal(
            "Falco internal: x",
            Priority::Critical,
            "went wrong",
            &fields,
            TIME,
            0,
        );
        // The field's JSON text is escaped once more with the whole line.
        assert_eq!(
            text.line,
            r#"22:13:20.123456789: Critical went wrong (files=2 reason=\"a \\\"b\\\"\")"#
        );
        let json = AlertFormat { json: true, ..format() };
        let json =
            json.internal("Falco internal: x", Priority::Critical, "went wrong", &fields, TIME, 0);
        assert_eq!(
            json.line,
            r#"{"hostname":"cp-1","output":"went wrong","output_fields":{"files":2,"reason":"a \"b\""},"priority":"Critical","rule":"Falco internal: x","source":"internal","time":"2023-11-14T22:13:20.123456789Z"}"#
        );
    }
}
