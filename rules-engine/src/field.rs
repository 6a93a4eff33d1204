//! Field types, values, and the catalogue of fields that an event source offers.

use std::fmt;

use crate::condition::encode;
use crate::condition::typed::FieldRef;

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// Text: bytes without NUL, mostly UTF-8.
    String,
    /// An unsigned number.
    Uint64,
    /// Nanoseconds since some moment.
    RelTime,
    /// Nanoseconds since the Unix epoch.
    AbsTime,
    /// True or false.
    Bool,
    /// An IPv4 or IPv6 address.
    IpAddr,
    /// An IPv4 or IPv6 address that is compared with networks.
    IpNet,
}

impl FieldType {
    /// The name in listings and messages.
    ///
    /// Source: `param_type_to_string` in libs, as `--list -v` prints it.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::String => "CHARBUF",
            FieldType::Uint64 => "UINT64",
            FieldType::RelTime => "RELTIME",
            FieldType::AbsTime => "ABSTIME",
            FieldType::Bool => "BOOL",
            FieldType::IpAddr => "IPADDR",
            FieldType::IpNet => "IPNET",
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value of a field, borrowed from the store of the current event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value<'a> {
    /// A string, without the bytes from the first NUL on.
    String(&'a [u8]),
    /// A number or a time in nanoseconds.
    Number(u64),
    /// A truth value.
    Bool(bool),
    /// An address: 4 or 16 bytes in network order.
    Address(&'a [u8]),
}

/// Which arguments a field takes, as in `ka.uri.param[command]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgumentRule {
    /// The field has no value without an argument, so a rule must give one.
    pub required: bool,
    /// A decimal index is accepted.
    pub index: bool,
    /// Any text is accepted.
    pub key: bool,
}

/// A field that rules may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDefinition {
    /// The dotted name, such as `ka.verb`.
    pub name: String,
    /// The type of its values.
    pub kind: FieldType,
    /// Whether it yields a list.
    pub is_list: bool,
    /// `None` where an argument is an error.
    pub argument: Option<ArgumentRule>,
    /// What it means, for listings.
    pub description: String,
    /// Left out of listings.
    pub hidden: bool,
    /// Appended to outputs by `append_output: suggested_output`.
    pub suggested: bool,
}

/// Who answers for the values of a field class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// The engine itself: `evt.*`.
    Generic,
    /// The configuration: `static.*`, the same text for every event.
    Static,
    /// A plugin, by a number that its owner chose; the engine only hands it back.
    Plugin(usize),
}

/// The fields of one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldClass {
    /// The name in listings, such as `evt` or `k8saudit (plugin)`.
    pub name: String,
    /// One line for listings.
    pub description: String,
    /// Who answers for the values.
    pub provider: Provider,
    /// In the provider's own order: an index into it is what [`crate::FieldUse`] hands back.
    pub fields: Vec<FieldDefinition>,
}

/// All fields of one event source: generic ones, static ones, then each plugin's in load order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldCatalogue {
    /// In look-up order.
    pub classes: Vec<FieldClass>,
    /// Values of the [`Provider::Static`] class, in the order of its fields.
    pub static_values: Vec<String>,
}

/// Why a rule cannot name a field so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FieldError {
    #[error("filter_check called with nonexistent field {0}")]
    Unknown(String),
    #[error("filter '{text}': {name} requires an argument but none provided")]
    MissingArgument { text: String, name: String },
    #[error(
        "filter '{text}': {name} does not allow nor require an argument but one is provided: {argument}"
    )]
    UnwantedArgument { text: String, name: String, argument: String },
    #[error("filter '{text}': {name} has unbalanced argument brackets")]
    UnbalancedArgument { text: String, name: String },
    #[error("filter {text} {name} has an invalid index argument {reason}: {argument}")]
    InvalidIndex { text: String, name: String, reason: &'static str, argument: String },
    #[error("filter '{text}': {name} has an argument that is not UTF-8 text")]
    BinaryArgument { text: String, name: String },
}

impl FieldCatalogue {
    /// Finds a field by its exact name, in the first class that has it, and checks its argument.
    ///
    /// Source: the look-up of libs, engine 0.63, and its texts. Stock takes the first class with a
    /// field whose name is a prefix, so that one class can hide fields of another; here none does.
    pub(crate) fn resolve(
        &self,
        name: &str,
        argument: Option<&[u8]>,
    ) -> Result<FieldRef, FieldError> {
        let text = match argument {
            Some(argument) => format!("{name}[{}]", String::from_utf8_lossy(argument)),
            None => name.to_owned(),
        };
        let found = self.classes.iter().enumerate().find_map(|(class, candidate)| {
            let field = candidate.fields.iter().position(|field| field.name == name)?;
            Some((class, field))
        });
        let Some((class, field)) = found else { return Err(FieldError::Unknown(text)) };
        let definition = &self.classes[class].fields[field];
        let is_required = definition.argument.is_some_and(|rule| rule.required);
        let argument = match (argument, self.classes[class].provider) {
            (None, _) if is_required => {
                return Err(FieldError::MissingArgument { text, name: name.to_owned() });
            }
            (None, _) => None,
            (Some(argument), Provider::Plugin(_)) => {
                Some(definition.read_argument(argument, &text)?)
            }
            // Only fields of plugins know arguments.
            (Some(_), Provider::Generic | Provider::Static) => {
                return Err(FieldError::Unknown(text));
            }
        };
        let text = match &argument {
            Some(argument) => format!("{name}[{}]", encode(argument.as_bytes())),
            None => text,
        };
        let (kind, is_list) = (definition.kind, definition.is_list);
        Ok(FieldRef { class, field, argument, kind, is_list, text })
    }

    /// The names of all fields, for suggestions.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.classes.iter().flat_map(|class| &class.fields).map(|field| field.name.as_str())
    }
}

impl FieldDefinition {
    /// Checks an argument as stock does, which reads it out of `text`, the field as written: up to the
    /// first blank, and in it up to the first closing bracket.
    fn read_argument(&self, argument: &[u8], text: &str) -> Result<String, FieldError> {
        let name = self.name.clone();
        let cut = text.split(' ').next().unwrap_or(text).to_owned();
        let Some((read, _)) = cut[name.len() + 1..].split_once(']') else {
            return Err(FieldError::UnbalancedArgument { text: cut, name });
        };
        let read = read.to_owned();
        let Some(rule) = self.argument else {
            return Err(FieldError::UnwantedArgument { text: cut, name, argument: read });
        };
        if rule.index
            && !rule.key
            && let Some(reason) = why_no_index(&read)
        {
            let text = text.to_owned();
            return Err(FieldError::InvalidIndex { text, name, reason, argument: read });
        }
        if read.len() + name.len() + "[]".len() != text.len() {
            return Err(FieldError::Unknown(text.to_owned()));
        }
        if read.as_bytes() != argument || read.contains('\0') {
            // The plugin interface hands arguments over as C strings.
            return Err(FieldError::BinaryArgument { text: text.to_owned(), name });
        }
        Ok(read)
    }
}

fn why_no_index(argument: &str) -> Option<&'static str> {
    if !argument.bytes().all(|b| b.is_ascii_digit()) {
        Some("not composed only by digits")
    } else if argument.is_empty() || (argument.len() > 1 && argument.starts_with('0')) {
        Some("starting with 0")
    } else if argument.parse::<u64>().is_err() {
        Some("beyond 64 bits")
    } else {
        None
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A field of each type, as single value and as list, and each kind of argument.
    pub(crate) fn catalogue() -> FieldCatalogue {
        let required = |index, key| Some(ArgumentRule { required: true, index, key });
        let allowed = |index, key| Some(ArgumentRule { required: false, index, key });
        let field = |name: &str, kind, is_list, argument| FieldDefinition {
            name: name.to_owned(),
            kind,
            is_list,
            argument,
            description: String::new(),
            hidden: false,
            suggested: false,
        };
        let class = |name: &str, provider, fields| FieldClass {
            name: name.to_owned(),
            description: String::new(),
            provider,
            fields,
        };
        let types = [
            ("s", FieldType::String),
            ("u", FieldType::Uint64),
            ("rel", FieldType::RelTime),
            ("abs", FieldType::AbsTime),
            ("b", FieldType::Bool),
            ("ip", FieldType::IpAddr),
            ("net", FieldType::IpNet),
        ];
        let singles = types.map(|(name, kind)| field(&format!("t.{name}"), kind, false, None));
        let lists = types.map(|(name, kind)| field(&format!("t.l{name}"), kind, true, None));
        let arguments = [
            field("t.key", FieldType::String, false, required(false, true)),
            field("t.idx", FieldType::String, true, allowed(true, false)),
            field("t.any", FieldType::String, false, allowed(true, true)),
            field("t.s.sub", FieldType::String, false, None),
            field("ka.verb", FieldType::String, false, None),
        ];
        let number = field("evt.num", FieldType::Uint64, false, None);
        let hostname = field("static.host", FieldType::String, false, None);
        let fields = singles.into_iter().chain(lists).chain(arguments).collect();
        FieldCatalogue {
            classes: vec![
                class("evt", Provider::Generic, vec![number]),
                class("static", Provider::Static, vec![hostname]),
                class("t (plugin)", Provider::Plugin(0), fields),
            ],
            static_values: vec!["here".to_owned()],
        }
    }

    /// `expected` is the field as printed, or the message.
    #[track_caller]
    fn check(name: &str, argument: Option<&str>, expected: &str) {
        let resolved = catalogue().resolve(name, argument.map(str::as_bytes));
        let text = resolved.map_or_else(|error| error.to_string(), |field| field.text);
        assert_eq!(text, expected);
    }

    /// Case 21
    #[test]
    fn names_are_exact() {
        check("t.s", None, "t.s");
        check("t.s.sub", None, "t.s.sub");
        check("static.host", None, "static.host");
        check("t.su", None, "filter_check called with nonexistent field t.su");
        check("T.S", None, "filter_check called with nonexistent field T.S");
    }

    /// Case 17
    #[test]
    fn arguments_are_checked() {
        check("t.key", Some("a"), "t.key[a]");
        check("t.key", Some(""), "t.key[]");
        check("t.key", Some("a=b"), "t.key[\"a=b\"]");
        check("t.key", None, "filter 't.key': t.key requires an argument but none provided");
        check(
            "t.s",
            Some("0"),
            "filter 't.s[0]': t.s does not allow nor require an argument but one is provided: 0",
        );
        check("t.key", Some("a b"), "filter 't.key[a': t.key has unbalanced argument brackets");
        check("t.key", Some("x[0]"), "filter_check called with nonexistent field t.key[x[0]]");
        check(
            "t.key",
            Some("a\0"),
            "filter 't.key[a\0]': t.key has an argument that is not UTF-8 text",
        );
        check("evt.num", Some("1"), "filter_check called with nonexistent field evt.num[1]");
    }

    #[test]
    fn an_index_is_a_plain_number() {
        let invalid = |argument: &str, reason: &str| {
            check(
                "t.idx",
                Some(argument),
                &format!(
                    "filter t.idx[{argument}] t.idx has an invalid index argument {reason}: {argument}"
                ),
            );
        };
        check("t.idx", None, "t.idx");
        check("t.idx", Some("0"), "t.idx[0]");
        check("t.idx", Some("18446744073709551615"), "t.idx[18446744073709551615]");
        invalid("01", "starting with 0");
        invalid("", "starting with 0");
        invalid("-1", "not composed only by digits");
        invalid("+1", "not composed only by digits");
        invalid("18446744073709551616", "beyond 64 bits");
        check("t.any", Some("01"), "t.any[01]");
        check("t.any", Some("x"), "t.any[x]");
    }
}
