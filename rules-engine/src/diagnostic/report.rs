//! What became of one rules file, in the forms that Falco prints.

use std::fmt::Write;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::Diagnostic;
use super::render::render;
use super::snippet::snippet;
use crate::schema::SchemaStatus;

/// The outcome of loading one rules file.
#[derive(Debug)]
pub struct FileReport {
    pub(crate) name: String,
    /// All errors. Falco stops at the first, so only that one is in [`Self::to_text`] and the
    /// serialised form.
    pub(crate) errors: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
    /// How many of the warnings come before the first error.
    pub(crate) warnings_before_error: usize,
    pub(crate) schema: SchemaStatus,
    /// Rules left out because the agent sees no system calls.
    pub(crate) skipped_syscall_rules: usize,
}

impl FileReport {
    /// The file's name, as the caller gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the file has no error.
    pub fn is_successful(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether there are warnings; a failed schema check is none.
    pub fn has_warnings(&self) -> bool {
        !self.reported_warnings().is_empty()
    }

    /// Whether [`Self::render`] has anything to show. It knows a few warnings that Falco does not.
    pub fn has_diagnostics(&self) -> bool {
        !self.errors.is_empty() || !self.warnings.is_empty()
    }

    /// `ok`, `failed` with the first violation, or `none`, as the agent logs it.
    pub fn schema_status(&self) -> String {
        self.schema.to_string()
    }

    /// Whether the file has the shape that the schema of rules files asks for.
    pub fn is_schema_valid(&self) -> bool {
        self.schema.is_valid() != Some(false)
    }

    /// One line about rules for system calls that were left out, if there are any.
    pub fn skipped(&self) -> Option<String> {
        let count = self.skipped_syscall_rules;
        let rules = if count == 1 { "rule" } else { "rules" };
        (count > 0)
            .then(|| format!("{count} {rules} of source 'syscall' skipped: no syscall support"))
    }

    fn reported_errors(&self) -> Vec<&Diagnostic> {
        self.errors.iter().take(1).collect()
    }

    /// The warnings that Falco knows, up to the first error.
    fn reported_warnings(&self) -> Vec<&Diagnostic> {
        let count =
            if self.is_successful() { self.warnings.len() } else { self.warnings_before_error };
        self.warnings[..count].iter().filter(|warning| warning.code.is_falcos()).collect()
    }

    /// The first line of [`Self::to_text`]: the name and `Ok`, `Ok, with warnings` or `Invalid`.
    pub fn summary(&self) -> String {
        let verdict = match (self.is_successful(), self.has_warnings()) {
            (false, _) => "Invalid",
            (true, true) => "Ok, with warnings",
            (true, false) => "Ok",
        };
        format!("{}: {verdict}", self.name)
    }

    /// The verbose report. It ends with a line end if it is longer than the first line.
    ///
    /// Source: `load_result::as_verbose_string` in Falco's rule loader, engine 0.63.
    pub fn to_text(&self) -> String {
        let mut text = self.summary();
        let has_more = !self.is_successful() || self.has_warnings() || !self.is_schema_valid();
        if has_more {
            text.push('\n');
        }
        if self.schema.is_valid() == Some(false) {
            let warnings = self.schema.warnings();
            text += &format!("{} Schema warnings:\n", warnings.len());
            for warning in warnings {
                text += &format!("------\n{warning}\n");
            }
            text += "------\n\n";
        }
        for (kind, diagnostics) in
            [("Errors", self.reported_errors()), ("Warnings", self.reported_warnings())]
        {
            if !diagnostics.is_empty() {
                text += &format!("{} {kind}:\n", diagnostics.len());
            }
            for diagnostic in diagnostics {
                write_verbose(&mut text, diagnostic);
            }
        }
        text
    }

    /// All errors and warnings for people: the line, the word, and what may help.
    pub fn render(&self, color: bool) -> String {
        render(self.errors.iter().chain(&self.warnings), color)
    }
}

/// The entry of `falco_load_results`, its keys in order.
///
/// Source: `load_result::as_json` in Falco's rule loader, engine 0.63.
impl Serialize for FileReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_map(None)?;
        report.serialize_entry("errors", &Entries(self.reported_errors()))?;
        report.serialize_entry("name", &self.name)?;
        if let Some(is_valid) = self.schema.is_valid() {
            report.serialize_entry("schema_valid", &is_valid)?;
            report.serialize_entry("schema_warnings", self.schema.warnings())?;
        }
        report.serialize_entry("successful", &self.is_successful())?;
        report.serialize_entry("warnings", &Entries(self.reported_warnings()))?;
        report.end()
    }
}

/// Diagnostics as JSON, of which only one at a time is in memory: there may be a hundred thousand.
struct Entries<'d>(Vec<&'d Diagnostic>);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|diagnostic| diagnostic_json(diagnostic)))
    }
}

fn write_verbose(text: &mut String, diagnostic: &Diagnostic) {
    for (index, (item, name, position)) in diagnostic.context.positions().iter().enumerate() {
        let start = if index == 0 { "In " } else { "    " };
        let name = if name.is_empty() { String::new() } else { format!(" '{name}'") };
        let _written = writeln!(
            text,
            "{start}{}{name}: ({}:{}:{})",
            item.text(),
            position.name,
            position.line,
            position.column
        );
    }
    let (shown, offset) = diagnostic.context.shown_text();
    let code = diagnostic.code;
    let _written = writeln!(
        text,
        "------\n{}------\n{} ({}): {}",
        snippet(shown, offset),
        code.name(),
        code.short_text(),
        diagnostic.message
    );
}

fn diagnostic_json(diagnostic: &Diagnostic) -> Value {
    let locations: Vec<Value> = diagnostic
        .context
        .positions()
        .into_iter()
        .map(|(item, name, position)| {
            json!({
                "item_type": item.text(),
                "item_name": name,
                "position": {
                    "name": position.name,
                    "line": position.line,
                    "column": position.column,
                    "offset": position.offset,
                },
            })
        })
        .collect();
    let (shown, offset) = diagnostic.context.shown_text();
    let mut entry = json!({
        "code": diagnostic.code.name(),
        "codedesc": diagnostic.code.description(),
        "message": diagnostic.message,
        "context": {"locations": locations, "snippet": snippet(shown, offset)},
    });
    if let Some(field) = &diagnostic.deprecated_field {
        entry["deprecated_field"] = json!(field);
    }
    entry
}
