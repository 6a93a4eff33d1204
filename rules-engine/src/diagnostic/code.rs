//! The codes of diagnostics. They are Falco's own, so scripts keep working; a few more are for people
//! alone, and in no report that scripts read.

/// What kind of mistake a diagnostic is about.
///
/// Source: `falco_load_result.cpp`, engine 0.63. Codes that concern embedders only are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    YamlParse,
    YamlValidate,
    CompileCondition,
    CompileOutput,
    Validate,
    UnknownSource,
    UnsafeNaCheck,
    UnknownFilter,
    UnusedMacro,
    UnusedList,
    UnknownItem,
    DeprecatedItem,
    AppendNoValues,
    ExceptionNameNotUnique,
    InvalidMacroName,
    InvalidListName,
    ConditionWarning,
    UnknownKey,
    DuplicateKey,
    TypographicQuote,
}

impl Code {
    pub(crate) fn is_error(self) -> bool {
        matches!(
            self,
            Code::YamlParse
                | Code::YamlValidate
                | Code::CompileCondition
                | Code::CompileOutput
                | Code::Validate
        )
    }

    /// Whether Falco knows the code.
    pub(crate) fn is_falcos(self) -> bool {
        !matches!(self, Code::DuplicateKey | Code::TypographicQuote)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Code::YamlParse => "LOAD_ERR_YAML_PARSE",
            Code::YamlValidate => "LOAD_ERR_YAML_VALIDATE",
            Code::CompileCondition => "LOAD_ERR_COMPILE_CONDITION",
            Code::CompileOutput => "LOAD_ERR_COMPILE_OUTPUT",
            Code::Validate => "LOAD_ERR_VALIDATE",
            Code::UnknownSource => "LOAD_UNKNOWN_SOURCE",
            Code::UnsafeNaCheck => "LOAD_UNSAFE_NA_CHECK",
            Code::UnknownFilter => "LOAD_UNKNOWN_FILTER",
            Code::UnusedMacro => "LOAD_UNUSED_MACRO",
            Code::UnusedList => "LOAD_UNUSED_LIST",
            Code::UnknownItem => "LOAD_UNKNOWN_ITEM",
            Code::DeprecatedItem => "LOAD_DEPRECATED_ITEM",
            Code::AppendNoValues => "LOAD_APPEND_NO_VALUES",
            Code::ExceptionNameNotUnique => "LOAD_EXCEPTION_NAME_NOT_UNIQUE",
            Code::InvalidMacroName => "LOAD_INVALID_MACRO_NAME",
            Code::InvalidListName => "LOAD_INVALID_LIST_NAME",
            Code::ConditionWarning => "LOAD_COMPILE_CONDITION",
            Code::UnknownKey => "LOAD_UNKNOWN_KEY",
            Code::DuplicateKey => "LOAD_DUPLICATE_KEY",
            Code::TypographicQuote => "LOAD_TYPOGRAPHIC_QUOTE",
        }
    }

    /// Falco's few words for it.
    pub(crate) fn short_text(self) -> &'static str {
        match self {
            Code::YamlParse => "YAML parse error",
            Code::YamlValidate => "Error validating internal structure of YAML file",
            Code::CompileCondition => "Error compiling condition",
            Code::CompileOutput => "Error compiling output",
            Code::Validate => "Error validating rule/macro/list/exception objects",
            Code::UnknownSource => "Unknown event source",
            Code::UnsafeNaCheck => "Unsafe <NA> comparison in condition",
            Code::UnknownFilter => "Unknown field or event-type in condition or output",
            Code::UnusedMacro => "Unused macro",
            Code::UnusedList => "Unused list",
            Code::UnknownItem => "Unknown rules file item",
            Code::DeprecatedItem => "Used deprecated item",
            Code::AppendNoValues => "Overriding/appending with no values",
            Code::ExceptionNameNotUnique => "Multiple exceptions defined with the same name",
            Code::InvalidMacroName => "Invalid macro name",
            Code::InvalidListName => "Invalid list name",
            Code::ConditionWarning => "Warning in rule condition",
            Code::UnknownKey => "Unknown key in item definition",
            Code::DuplicateKey => "Duplicate key",
            Code::TypographicQuote => "Typographic quote in a text",
        }
    }

    /// What it means and what to do about it. Errors say only the short text in `codedesc`.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Code::UnknownSource => {
                "No loaded plugin offers the event source that the rule names, so the rule is \
                 left out. Load the plugin if the rule is wanted."
            }
            Code::UnsafeNaCheck => {
                "The condition compares a field with the text <NA>. A field without a value \
                 equals nothing, not even <NA>; use `exists` instead."
            }
            Code::UnknownFilter => {
                "The condition or the output names a field that does not exist. The rule asks to \
                 be left out in this case (skip-if-unknown-filter), so it is."
            }
            Code::UnusedMacro => {
                "A macro is defined, but no rule and no other macro refers to it. It can be removed."
            }
            Code::UnusedList => {
                "A list is defined, but no rule, macro or other list refers to it. It can be removed."
            }
            Code::UnknownItem => {
                "An item of the file is neither a rule, a macro, a list nor a required version. \
                 It is ignored."
            }
            Code::DeprecatedItem => {
                "The file uses something that still works and that a later version may refuse."
            }
            Code::AppendNoValues => "An exception is extended or replaced without any values.",
            Code::ExceptionNameNotUnique => {
                "Two exceptions of one rule have the same name. Both are in force."
            }
            Code::InvalidMacroName => "A condition cannot refer to a macro of this name.",
            Code::InvalidListName => "A condition may not be able to refer to a list of this name.",
            Code::ConditionWarning => {
                "The condition is valid, but probably not what was meant, or slower than need be."
            }
            Code::UnknownKey => {
                "An item has a key that does not belong to its kind. It is ignored."
            }
            Code::YamlParse
            | Code::YamlValidate
            | Code::CompileCondition
            | Code::CompileOutput
            | Code::Validate
            | Code::DuplicateKey
            | Code::TypographicQuote => self.short_text(),
        }
    }
}
