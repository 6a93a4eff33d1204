//! The fields a plugin declares: the JSON text of `get_fields`, and the lists of event sources.

use serde::{Deserialize, Serialize};

/// A field that a plugin extracts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldInfo {
    /// What rules call it, such as `ka.verb`.
    pub name: String,
    /// The type of its values.
    pub kind: FieldKind,
    /// Whether an event may have several values of it.
    pub is_list: bool,
    /// What it takes in brackets; `None` when it takes no argument.
    pub argument: Option<ArgumentInfo>,
    /// What it means, for people.
    pub description: String,
    /// A short name for people; empty when there is none.
    pub display: String,
    /// Left out of listings.
    pub hidden: bool,
    /// Suggested for the output of every rule.
    pub add_output: bool,
}

/// The argument of a field: an index, a key, or either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgumentInfo {
    /// The field means nothing without it.
    pub required: bool,
    /// A number is taken.
    pub index: bool,
    /// A text is taken.
    pub key: bool,
}

/// The type of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the ABI")]
pub enum FieldKind {
    Uint64,
    String,
    /// Nanoseconds.
    RelTime,
    /// Nanoseconds since the epoch.
    AbsTime,
    Bool,
    IpAddr,
    IpNet,
}

impl FieldKind {
    /// The number the ABI knows it by.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Uint64 => 8,
            Self::String => 9,
            Self::RelTime => 20,
            Self::AbsTime => 21,
            Self::Bool => 25,
            Self::IpAddr => 40,
            Self::IpNet => 41,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "uint64" => Self::Uint64,
            "string" => Self::String,
            "reltime" => Self::RelTime,
            "abstime" => Self::AbsTime,
            "bool" => Self::Bool,
            "ipaddr" => Self::IpAddr,
            "ipnet" => Self::IpNet,
            _ => return None,
        })
    }
}

/// Why a plugin's declaration of its fields cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum FieldsError {
    #[error("get_fields returned a null string")]
    Null,
    #[error("get_fields returned an invalid JSON")]
    Json(#[source] serde_json::Error),
    #[error("field JSON entry {index} has no {key}")]
    Missing { index: usize, key: &'static str },
    #[error("field {field} has an invalid field type {kind}")]
    Kind { field: String, kind: String },
    #[error("field {field} requires an argument but takes neither an index nor a key")]
    Argument { field: String },
    #[error("plugins with extraction capability must export at least one field")]
    Nothing,
    #[error("'{function}' did not return a json array of strings")]
    Sources { function: &'static str, source: serde_json::Error },
}

/// One entry of `get_fields` as written; any key may be missing or null.
#[derive(Deserialize)]
struct Entry {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    desc: Option<String>,
    display: Option<String>,
    #[serde(rename = "isList")]
    is_list: Option<bool>,
    arg: Option<EntryArgument>,
    properties: Option<Vec<String>>,
    #[serde(rename = "addOutput")]
    add_output: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryArgument {
    is_required: Option<bool>,
    is_index: Option<bool>,
    is_key: Option<bool>,
}

/// Reads what `get_fields` returned.
///
/// Source: plugin API 3.8 and later, `plugin_api.h`.
pub(crate) fn parse_fields(json: &str) -> Result<Vec<FieldInfo>, FieldsError> {
    if json.is_empty() {
        return Err(FieldsError::Null);
    }
    let entries: Vec<Entry> = serde_json::from_str(json).map_err(FieldsError::Json)?;
    if entries.is_empty() {
        return Err(FieldsError::Nothing);
    }
    entries.into_iter().enumerate().map(|(index, entry)| field(index, entry)).collect()
}

fn field(index: usize, entry: Entry) -> Result<FieldInfo, FieldsError> {
    let need = |key, value: Option<String>| {
        value.filter(|text| !text.is_empty()).ok_or(FieldsError::Missing { index, key })
    };
    let name = need("name", entry.name)?;
    let kind = need("type", entry.kind)?;
    let Some(kind) = FieldKind::from_name(&kind) else {
        return Err(FieldsError::Kind { field: name, kind });
    };
    let argument = match entry.arg {
        Some(argument) => argument_info(&name, &argument)?,
        None => None,
    };
    Ok(FieldInfo {
        description: need("desc", entry.desc)?,
        name,
        kind,
        is_list: entry.is_list.unwrap_or_default(),
        argument,
        display: entry.display.unwrap_or_default(),
        hidden: entry.properties.is_some_and(|all| all.iter().any(|property| property == "hidden")),
        add_output: entry.add_output.unwrap_or_default(),
    })
}

fn argument_info(field: &str, entry: &EntryArgument) -> Result<Option<ArgumentInfo>, FieldsError> {
    let info = ArgumentInfo {
        required: entry.is_required.unwrap_or_default(),
        index: entry.is_index.unwrap_or_default(),
        key: entry.is_key.unwrap_or_default(),
    };
    match info {
        ArgumentInfo { index: false, key: false, required: true } => {
            Err(FieldsError::Argument { field: field.to_owned() })
        }
        ArgumentInfo { index: false, key: false, required: false } => Ok(None),
        _ => Ok(Some(info)),
    }
}

/// Reads a list of event sources; empty names and an empty text count as not there.
pub(crate) fn parse_sources(
    function: &'static str,
    json: &str,
) -> Result<Vec<String>, FieldsError> {
    if json.is_empty() {
        return Ok(Vec::new());
    }
    let mut sources: Vec<String> =
        serde_json::from_str(json).map_err(|source| FieldsError::Sources { function, source })?;
    sources.retain(|source| !source.is_empty());
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prints `name:type`, then `[]` for a list, then the argument's flags and the other marks.
    fn print(field: &FieldInfo) -> String {
        let argument = field.argument.map_or(String::new(), |argument| {
            let flags =
                [(argument.required, "required"), (argument.index, "index"), (argument.key, "key")];
            let names: Vec<_> = flags.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
            format!(" ({})", names.join(" "))
        });
        let list = if field.is_list { "[]" } else { "" };
        let hidden = if field.hidden { " hidden" } else { "" };
        let add_output = if field.add_output { " output" } else { "" };
        format!("{}:{:?}{list}{argument}{hidden}{add_output}", field.name, field.kind)
    }

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let found = match parse_fields(json) {
            Ok(fields) => fields.iter().map(print).collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn fields_are_read() {
        check(r#"[{"name":"a.b","type":"string","desc":"d"}]"#, "a.b:String");
        check(
            r#"[{"name":"a.b","type":"uint64","desc":"d","isList":true,"display":null,"arg":null,"unknown":1},
                {"name":"a.c","type":"ipnet","desc":"d","addOutput":true,"properties":["info","hidden"]}]"#,
            "a.b:Uint64[], a.c:IpNet hidden output",
        );
        for (kind, expected) in
            [("reltime", "RelTime"), ("abstime", "AbsTime"), ("bool", "Bool"), ("ipaddr", "IpAddr")]
        {
            check(
                &format!(r#"[{{"name":"a.b","type":"{kind}","desc":"d"}}]"#),
                &format!("a.b:{expected}"),
            );
        }
    }

    #[test]
    fn an_argument_is_an_index_a_key_or_both() {
        let with =
            |arg: &str| format!(r#"[{{"name":"a.b","type":"string","desc":"d","arg":{arg}}}]"#);
        check(&with("{}"), "a.b:String");
        check(&with(r#"{"isIndex":true}"#), "a.b:String (index)");
        check(&with(r#"{"isKey":true,"isRequired":true}"#), "a.b:String (required key)");
        check(
            &with(r#"{"isKey":true,"isIndex":true,"isRequired":null}"#),
            "a.b:String (index key)",
        );
        check(
            &with(r#"{"isRequired":true}"#),
            "field a.b requires an argument but takes neither an index nor a key",
        );
        check(&with(r#"{"isKey":"yes"}"#), "get_fields returned an invalid JSON");
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        check("", "get_fields returned a null string");
        check("{", "get_fields returned an invalid JSON");
        check("[]", "plugins with extraction capability must export at least one field");
        check(r#"[{"type":"string","desc":"d"}]"#, "field JSON entry 0 has no name");
        check(r#"[{"name":"a.b","desc":"d"}]"#, "field JSON entry 0 has no type");
        check(r#"[{"name":"a.b","type":"string","desc":""}]"#, "field JSON entry 0 has no desc");
        check(
            r#"[{"name":"a.b","type":"int","desc":"d"}]"#,
            "field a.b has an invalid field type int",
        );
        check(
            r#"[{"name":"a.b","type":"string","desc":"d","isList":1}]"#,
            "get_fields returned an invalid JSON",
        );
        check(
            r#"[{"name":"a.b","type":"string","desc":"d","properties":"x"}]"#,
            "get_fields returned an invalid JSON",
        );
    }

    #[track_caller]
    fn check_sources(json: &str, expected: Result<&[&str], &str>) {
        let found =
            parse_sources("get_extract_event_sources", json).map_err(|error| error.to_string());
        assert_eq!(
            found.as_deref().map_err(String::as_str),
            expected
                .map(|s| s.iter().map(ToString::to_string).collect::<Vec<_>>())
                .as_deref()
                .map_err(|e| *e)
        );
    }

    #[test]
    fn source_lists_are_read() {
        check_sources("", Ok(&[]));
        check_sources("[]", Ok(&[]));
        check_sources(r#"["k8s_audit","","x"]"#, Ok(&["k8s_audit", "x"]));
        check_sources(
            "{}",
            Err("'get_extract_event_sources' did not return a json array of strings"),
        );
    }
}
