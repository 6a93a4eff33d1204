//! From definitions to rules whose fields exist and whose operators suit: the checks after reading.

mod output;
mod unused;

use std::sync::Arc;

use crate::condition::ast::{Ast, Term};
use crate::condition::typed::TypedAst;
use crate::condition::{
    CheckError, CheckErrorKind, Lint, LintKind, Patterns, check_beside, lint, parse,
};
use crate::diagnostic::{Code, Context, Diagnostic};
use crate::field::FieldCatalogue;
use crate::load::{Environment, SYSCALL, Settings};
use crate::text::TracedText;

pub(crate) use output::{CheckedOutput, check_output};

use super::{
    Definitions, Findings, Lists, MAX_CONDITION_DEPTH, Macros, Rule, folded_condition,
    for_each_check, for_each_field, misused_list, syntax_diagnostic,
};

/// How Falco's message about a field that does not exist begins.
const UNKNOWN_FIELD: &str = "filter_check called with nonexistent field ";

/// How many errors and how many warnings of one condition are reported. Nobody reads more, and each is
/// searched for in the condition's text.
const MAX_REPORTED: usize = 50;

/// What a rule without errors asks for and shows.
pub(crate) struct CheckedRule {
    pub(crate) condition: TypedAst,
    pub(crate) output: CheckedOutput,
}

/// What checking found out about a rule.
enum Verdict {
    Fine(Box<CheckedRule>),
    /// It has errors, or it is to be left out; either was reported.
    Out,
    /// It is about system calls, which do not exist here.
    Skipped,
}

/// Checks everything that is defined, and reports what is wrong and what is of no use. Each rule that is right is handed
/// to `take` with its position among all; none of them is kept, they are large.
///
/// Returns the places of rules that were left out for being about system calls.
pub(crate) fn compile(
    definitions: &Definitions,
    environment: &Environment,
    settings: &Settings,
    findings: &mut Findings,
    take: &mut dyn FnMut(usize, &Rule, CheckedRule),
) -> Vec<Context> {
    let mut lists = Lists::new(definitions);
    let mut macros = Macros::new(definitions, &mut lists, findings);
    let mut skipped = Vec::new();
    let patterns = Patterns::default();
    let mut compiler =
        Compiler { lists: &mut lists, macros: &mut macros, patterns, environment, settings };
    for (position, rule) in definitions.rules.iter().enumerate() {
        match compiler.rule(rule, findings) {
            Verdict::Fine(checked) => take(position, rule, *checked),
            Verdict::Out => {}
            Verdict::Skipped => skipped.push(rule.context.clone()),
        }
    }
    if findings.errors.is_empty() {
        unused::warn(definitions, &lists, &macros, findings);
    }
    skipped
}

struct Compiler<'a> {
    lists: &'a mut Lists,
    macros: &'a mut Macros,
    patterns: Patterns,
    environment: &'a Environment,
    settings: &'a Settings,
}

/// A rule's condition on its way through the checks.
struct Condition {
    /// Exceptions folded in; what most reports show.
    shown: Arc<str>,
    /// Lists spliced in, too; what was parsed.
    text: TracedText,
    /// Macros resolved.
    ast: Ast,
}

impl Compiler<'_> {
    /// Checks one rule and reports all its errors, the one first that Falco reports.
    fn rule(&mut self, rule: &Rule, findings: &mut Findings) -> Verdict {
        let source = self.environment.sources.iter().find(|source| source.name == rule.source);
        let Some(source) = source else { return Verdict::Out };
        let catalogue = &source.fields;
        let folded = match folded_condition(rule) {
            Ok(folded) => folded,
            Err(error) => {
                findings.error(*error);
                return Verdict::Out;
            }
        };
        let output = check_output(rule, &self.settings.append_output, catalogue, findings);
        let condition = self.condition(rule, &folded).map(|condition| {
            let checked = check_beside(&self.patterns, &condition.ast, catalogue);
            (condition, checked)
        });
        let foreign = match &condition {
            Ok((_, Ok(_))) if output.is_ok() => None,
            Ok((condition, _)) => self.foreign_field(&condition.ast, rule),
            Err(_) => None,
        };
        if let Ok((_, checked)) = &condition
            && rule.source == SYSCALL
            && foreign.is_none()
            && is_about_system_calls(output.is_err(), checked)
        {
            return Verdict::Skipped;
        }
        let output = match output {
            Ok(output) => Some(output),
            Err(failure) if can_be_dropped(rule, &failure) => {
                findings.warning(dropped(*failure));
                return Verdict::Out;
            }
            Err(failure) => {
                let help = foreign.clone().or_else(|| failure.advice.help.clone());
                findings.error((*failure).help(help));
                None
            }
        };
        let typed = match condition {
            Ok((condition, checked)) => {
                let lints = lint(&condition.ast, catalogue);
                self.typed(rule, &condition, checked, lints, foreign.as_deref(), findings)
            }
            Err(error) => {
                error.into_iter().for_each(|error| findings.error(*error));
                None
            }
        };
        match (typed, output) {
            (Some(condition), Some(output)) => {
                Verdict::Fine(Box::new(CheckedRule { condition, output }))
            }
            _ => Verdict::Out,
        }
    }

    /// Reports what is odd or wrong in a condition, and returns it if nothing is wrong.
    fn typed(
        &self,
        rule: &Rule,
        condition: &Condition,
        checked: Result<TypedAst, Vec<CheckError>>,
        lints: Vec<Lint>,
        foreign: Option<&str>,
        findings: &mut Findings,
    ) -> Option<TypedAst> {
        // Falco finds odd constants only in conditions without errors.
        let is_reported = |lint: &Lint| lint.kind != LintKind::Constant || checked.is_ok();
        for lint in lints.into_iter().filter(is_reported).take(MAX_REPORTED) {
            findings.warning(self.lint_diagnostic(lint, rule, condition));
        }
        let errors = match checked {
            Ok(typed) => return Some(typed),
            Err(errors) => errors,
        };
        let mut errors = self.check_diagnostics(errors, rule, condition, foreign);
        if errors.first().is_some_and(|first| can_be_dropped(rule, first)) {
            findings.warning(dropped(errors.swap_remove(0)));
        } else {
            errors.into_iter().for_each(|error| findings.error(error));
        }
        None
    }

    /// Splices in lists, parses, puts macros in. No error if it was reported with a macro.
    fn condition(
        &mut self,
        rule: &Rule,
        folded: &TracedText,
    ) -> Result<Condition, Option<Box<Diagnostic>>> {
        let (text, _) = self
            .lists
            .substitute(folded)
            .map_err(|error| Box::new(error.diagnostic(&rule.condition_context)))?;
        let lists = &*self.lists;
        let ast = parse(text.as_str(), MAX_CONDITION_DEPTH)
            .map_err(|error| syntax_diagnostic(error, &text, &rule.condition_context))
            .map_err(|error| Box::new(misused_list(error, folded, lists)))?;
        match self.macros.resolve(ast, usize::MAX) {
            Ok(ast) => Ok(Condition { shown: folded.as_str().into(), text, ast }),
            Err(error) => {
                let shown = folded.as_str().into();
                let error = self.macros.diagnostic(error, &shown, &text, &rule.context);
                Err(error.map(|error| Box::new(misused_list(error, folded, lists))))
            }
        }
    }

    fn check_diagnostics(
        &self,
        errors: Vec<CheckError>,
        rule: &Rule,
        condition: &Condition,
        foreign: Option<&str>,
    ) -> Vec<Diagnostic> {
        let diagnostic = |error: CheckError| {
            let offset = Some(Macros::offset(error.stock_offset));
            let context = rule.condition_context.in_condition(&condition.shown, offset);
            let place = self.macros.locate(error.span, &condition.text);
            let help = error.help.or_else(|| foreign.map(str::to_owned));
            let unknown = error.message.strip_prefix(UNKNOWN_FIELD).map(str::to_owned);
            let mut diagnostic = Diagnostic::new(Code::CompileCondition, error.message, &context)
                .at(place)
                .help(help);
            if Macros::is_in_macro(error.span) {
                diagnostic.advice.used_by.push(rule.name.clone());
            }
            match unknown {
                Some(name) => diagnostic
                    .title(format!("unknown field `{name}`"))
                    .label(format!("no event of source `{}` has this field", rule.source)),
                None => diagnostic,
            }
        };
        errors.into_iter().take(MAX_REPORTED).map(diagnostic).collect()
    }

    fn lint_diagnostic(&self, lint: Lint, rule: &Rule, condition: &Condition) -> Diagnostic {
        let (code, offset) = match lint.kind {
            LintKind::UnsafeNaCheck => (Code::UnsafeNaCheck, None),
            LintKind::Deprecated => (Code::DeprecatedItem, None),
            LintKind::Constant => (Code::ConditionWarning, lint.stock_offset),
            LintKind::TypographicQuote => (Code::TypographicQuote, lint.stock_offset),
        };
        let offset = offset.map(Macros::offset);
        let context = rule.condition_context.in_condition(&condition.shown, offset);
        let place = self.macros.locate(lint.span, &condition.text);
        let mut diagnostic =
            Diagnostic::new(code, lint.message, &context).at(place).help(lint.help);
        diagnostic.deprecated_field = lint.deprecated_field;
        diagnostic
    }

    /// Help for a rule that names a field of another source, as one does that lacks `source:`.
    fn foreign_field(&self, ast: &Ast, rule: &Rule) -> Option<String> {
        let mut names = output::field_names(rule.output.as_str());
        for_each_check(ast, &mut |check| {
            for_each_field(check, &mut |field| {
                if let Term::Field { name, .. } = field {
                    names.push(name);
                }
            });
        });
        let own = self.environment.sources.iter().find(|source| source.name == rule.source);
        let is_missing = |name: &str| !own.is_some_and(|own| has_field(&own.fields, name));
        names.into_iter().filter(|name| is_missing(name)).find_map(|name| {
            let mut others = self.environment.sources.iter();
            let other = others.find(|source| has_field(&source.fields, name))?;
            let (own, other) = (&rule.source, &other.name);
            let cure = match rule.source == SYSCALL {
                true => format!("add `source: {other}` to the rule"),
                false => format!("the rule is of `{own}`"),
            };
            Some(format!("`{name}` is a field of source `{other}`: {cure}"))
        })
    }
}

/// Whether all that is wrong with a rule is that fields do not exist.
fn is_about_system_calls(output_fails: bool, checked: &Result<TypedAst, Vec<CheckError>>) -> bool {
    match checked {
        Ok(_) => output_fails,
        Err(errors) => errors.iter().all(|error| error.kind == CheckErrorKind::UnknownField),
    }
}

fn has_field(catalogue: &FieldCatalogue, name: &str) -> bool {
    catalogue.classes.iter().flat_map(|class| &class.fields).any(|field| field.name == name)
}

/// Whether the rule asks to be left out for this error.
fn can_be_dropped(rule: &Rule, error: &Diagnostic) -> bool {
    const UNKNOWN: [&str; 4] =
        ["nonexistent field", "invalid formatting token", "unknown event type", "unknown filter:"];
    rule.skip_if_unknown_filter && UNKNOWN.iter().any(|text| error.message.contains(text))
}

fn dropped(error: Diagnostic) -> Diagnostic {
    Diagnostic { code: Code::UnknownFilter, ..error }
}
