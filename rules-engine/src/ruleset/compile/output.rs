//! Outputs of rules, with what the configuration appends to them.

use crate::condition::DEPRECATED_FIELDS;
use crate::diagnostic::{Code, Context, Diagnostic};
use crate::field::FieldCatalogue;
use crate::load::{AppendOutput, ExtraField};
use crate::output::{ExtraValue, OutputError, OutputTemplate};
use crate::ruleset::{Checked, Findings, Rule};
use crate::text::{Span, TracedText};

/// A field that Falco removes from outputs; what it stood for is appended by configuration now.
const CONTAINER_INFO: &str = "%container.info";

/// An output whose fields exist.
pub(crate) struct CheckedOutput {
    /// With what the configuration appends.
    pub(crate) text: TracedText,
    pub(crate) template: OutputTemplate,
    pub(crate) extra_fields: Vec<(String, ExtraValue)>,
}

/// Checks the output of a rule with what the configuration appends.
pub(crate) fn check_output(
    rule: &Rule,
    append_output: &[AppendOutput],
    catalogue: &FieldCatalogue,
    findings: &mut Findings,
) -> Checked<CheckedOutput> {
    let context = &rule.output_context;
    let has_container_info = rule.output.as_str().contains(CONTAINER_INFO);
    let mut text = match has_container_info {
        true => without_container_info(&rule.output),
        false => rule.output.clone(),
    };
    let mut extra = Vec::new();
    for entry in append_output.iter().filter(|entry| entry.matches(rule)) {
        append(entry, catalogue, &mut text);
        extra.extend(&entry.extra_fields);
    }
    let template = OutputTemplate::parse(text.as_str(), catalogue)
        .map_err(|error| diagnostic(error, &text, context))
        .map_err(Box::new)?;
    if has_container_info {
        let message = "%container.info is deprecated and no longer useful in outputs; it is \
                       removed from the output of the rule";
        findings.warning(Diagnostic::new(Code::DeprecatedItem, message, context));
    }
    for field in DEPRECATED_FIELDS.iter().filter(|field| text.as_str().contains(*field)) {
        let message =
            format!("usage of deprecated field '{field}' has been detected in the rule output");
        let mut warning = Diagnostic::new(Code::DeprecatedItem, message, context);
        warning.deprecated_field = Some((*field).to_owned());
        findings.warning(warning);
    }
    let extra_fields = extra
        .into_iter()
        .map(|field| extra_field(field, catalogue))
        .collect::<Result<_, _>>()
        .map_err(|error| Diagnostic::new(Code::CompileOutput, error.message, context))
        .map_err(Box::new)?;
    Ok(CheckedOutput { text, template, extra_fields })
}

impl AppendOutput {
    fn matches(&self, rule: &Rule) -> bool {
        self.source.as_ref().is_none_or(|source| *source == rule.source)
            && self.rule.as_ref().is_none_or(|name| *name == rule.name)
            && self.tags.iter().all(|tag| rule.tags.contains(tag))
    }
}

fn append(entry: &AppendOutput, catalogue: &FieldCatalogue, text: &mut TracedText) {
    if let Some(extra) = &entry.extra_output {
        text.push_str(" ");
        text.push_str(extra);
    }
    if entry.suggested_output {
        let fields = catalogue.classes.iter().flat_map(|class| &class.fields);
        for field in fields.filter(|field| field.suggested) {
            text.push_str(&format!(" {}=%{}", field.name.replace('.', "_"), field.name));
        }
    }
}

fn extra_field(
    field: &ExtraField,
    catalogue: &FieldCatalogue,
) -> Result<(String, ExtraValue), OutputError> {
    match field {
        ExtraField::Field(name) => {
            ExtraValue::parse_field(name, catalogue).map(|value| (name.clone(), value))
        }
        ExtraField::Formatted { key, format } => OutputTemplate::parse(format, catalogue)
            .map(|template| (key.clone(), ExtraValue::Text(template))),
    }
}

fn without_container_info(output: &TracedText) -> TracedText {
    let source = output.as_str();
    let mut text = TracedText::default();
    let mut copied = 0;
    for (found, _) in source.match_indices(CONTAINER_INFO) {
        text.push_slice(output, copied, found);
        copied = found + CONTAINER_INFO.len();
    }
    text.push_slice(output, copied, source.len());
    text
}

fn diagnostic(error: OutputError, text: &TracedText, context: &Context) -> Diagnostic {
    let OutputError { message, offset, length, help } = error;
    let is_unknown = message.starts_with("unknown filter");
    let diagnostic = Diagnostic::new(Code::CompileOutput, message, context);
    if length > 0 {
        let name = &text.as_str()[offset..offset + length];
        let diagnostic =
            diagnostic.at(text.locate(Span { start: offset, end: offset + length })).help(help);
        return match is_unknown {
            true => diagnostic.title(format!("unknown field `{name}` in the output")),
            false => diagnostic,
        };
    }
    // The per cent sign is what people see; a width may stand behind it.
    let sign = text.as_str()[..offset].rfind('%').unwrap_or(offset);
    let diagnostic = diagnostic.at(text.locate(Span { start: sign, end: sign + 1 }));
    match text.as_str()[sign..].starts_with('%') {
        true => diagnostic
            .title("no field follows this `%`")
            .help(Some("a `%` always starts a field; say `percent` if none is meant".to_owned())),
        false => diagnostic,
    }
}

/// What looks like a field's name after each per cent sign.
pub(super) fn field_names(output: &str) -> Vec<&str> {
    let name =
        |text: &'_ str| text.find(|c: char| !(c.is_ascii_alphanumeric() || "._".contains(c)));
    output
        .split('%')
        .skip(1)
        .map(|text| &text[..name(text).unwrap_or(text.len())])
        .map(|text| text.trim_end_matches('.'))
        .collect()
}
