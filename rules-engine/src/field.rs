//! Field types, values, and the catalogue of fields that an event source offers.

use std::fmt;

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
