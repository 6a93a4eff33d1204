//! Checks a plugin's init configuration against the JSON schema the plugin declares.

use std::borrow::Cow;

use serde_json::Value;

/// Why an init configuration cannot be given to its plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum ConfigError {
    #[error(
        "error in plugin {plugin}: get_init_schema did not return a usable JSON schema: {reason}"
    )]
    Schema { plugin: String, reason: String },
    #[error("error in plugin {plugin}: init config is not a valid json: {reason}")]
    Json { plugin: String, reason: String },
    #[error("error in plugin {plugin} init config: In {location}, {reason}")]
    Violation { plugin: String, location: String, reason: String },
    #[error("error in plugin {plugin}: init config contains a NUL character")]
    Nul { plugin: String },
}

/// Checks `config` and gives the text to pass to the plugin.
///
/// With a schema an empty configuration becomes `{}`: Go plugins parse theirs unconditionally.
/// Drafts 4 to 2020-12 are understood, by the schema's `$schema`; formats are not checked.
pub(crate) fn check<'c>(
    plugin: &str,
    schema: Option<&str>,
    config: &'c str,
) -> Result<Cow<'c, str>, ConfigError> {
    let Some(schema) = schema else { return Ok(Cow::Borrowed(config)) };
    let unusable = |reason: String| ConfigError::Schema { plugin: plugin.to_owned(), reason };
    let schema: Value =
        serde_json::from_str(schema).map_err(|error| unusable(error.to_string()))?;
    if !schema.is_object() {
        return Err(unusable("it is not an object".to_owned()));
    }
    let validator =
        jsonschema::validator_for(&schema).map_err(|error| unusable(error.to_string()))?;

    let config = if config.is_empty() { "{}" } else { config };
    let value: Value = serde_json::from_str(config).map_err(|error| ConfigError::Json {
        plugin: plugin.to_owned(),
        reason: error.to_string(),
    })?;
    validator.validate(&value).map_err(|violation| ConfigError::Violation {
        plugin: plugin.to_owned(),
        location: location(violation.instance_path().as_str()),
        // Without the value itself, which may be a secret.
        reason: violation.masked_with("its value").to_string(),
    })?;
    Ok(Cow::Borrowed(config))
}

/// Writes a JSON pointer as Falco does: `<root>[key][0]`.
fn location(pointer: &str) -> String {
    pointer.split('/').skip(1).fold("<root>".to_owned(), |path, token| {
        path + "[" + &token.replace("~1", "/").replace("~0", "~") + "]"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Go's `alecthomas/jsonschema` writes them.
    const DRAFT_4: &str = r##"{
        "$schema": "http://json-schema.org/draft-04/schema#",
        "$ref": "#/definitions/Config",
        "definitions": {"Config": {
            "required": ["maxEventSize"],
            "properties": {"maxEventSize": {"type": "integer", "title": "size", "x-ours": 1}, "cert": {"type": "string"}},
            "additionalProperties": false,
            "type": "object"
        }}
    }"##;
    /// As Rust's `schemars` writes them.
    const DRAFT_2020: &str = r##"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Config", "type": "object",
        "properties": {"ports": {"type": "array", "items": {"$ref": "#/$defs/Port"}}},
        "$defs": {"Port": {"type": "integer", "format": "uint16", "minimum": 0, "maximum": 65535}}
    }"##;

    #[track_caller]
    fn check_config(schema: Option<&str>, config: &str, expected: &str) {
        let found = match check("p", schema, config) {
            Ok(text) => text.into_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn without_a_schema_anything_passes() {
        check_config(None, "", "");
        check_config(None, "not json", "not json");
    }

    #[test]
    fn with_a_schema_the_empty_text_is_an_object() {
        check_config(Some(DRAFT_2020), "", "{}");
        check_config(Some("{}"), "", "{}");
        check_config(
            Some(DRAFT_4),
            "",
            r#"error in plugin p init config: In <root>, "maxEventSize" is a required property"#,
        );
    }

    #[test]
    fn what_fits_is_passed_as_written() {
        check_config(Some(DRAFT_4), r#"{ "maxEventSize": 1 }"#, r#"{ "maxEventSize": 1 }"#);
        check_config(Some(DRAFT_2020), r#"{"ports":[80],"more":0}"#, r#"{"ports":[80],"more":0}"#);
    }

    #[test]
    fn what_does_not_fit_names_its_place() {
        check_config(
            Some(DRAFT_4),
            r#"{"maxEventSize":"x"}"#,
            r#"error in plugin p init config: In <root>[maxEventSize], its value is not of type "integer""#,
        );
        check_config(
            Some(DRAFT_2020),
            r#"{"ports":[80,70000]}"#,
            "error in plugin p init config: In <root>[ports][1], its value is greater than the maximum of 65535",
        );
        check_config(
            Some("{}"),
            "{",
            "error in plugin p: init config is not a valid json: EOF while parsing an object at line 1 column 1",
        );
    }

    #[test]
    fn a_schema_that_is_none_is_an_error() {
        let prefix = "error in plugin p: get_init_schema did not return a usable JSON schema: ";
        check_config(Some("[]"), "", &format!("{prefix}it is not an object"));
        check_config(
            Some("{"),
            "",
            &format!("{prefix}EOF while parsing an object at line 1 column 1"),
        );
    }
}
