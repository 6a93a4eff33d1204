//! Macros: parsed, and put in place of their names on the parsed tree.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::condition::ast::{Ast, Span};
use crate::condition::{SyntaxError, UNKNOWN_ESCAPE, closest, parse};
use crate::diagnostic::{Code, Context, Diagnostic};
use crate::text::{FileSpan, TracedText};

use super::walk::{constant_count, for_each_macro, shift_spans};
use super::{Age, Definitions, Findings, Lists, MAX_CONDITION_DEPTH};

/// Offsets in the text of macro `n` are moved up by `n + 1` times this, those of a rule's own
/// condition stay. So a span in a resolved tree says which text it is about.
const TEXT_STRIDE: usize = 1 << 32;

/// All macros, resolved.
#[derive(Debug)]
pub(crate) struct Macros {
    macros: Vec<ResolvedMacro>,
    positions: FxHashMap<String, usize>,
    /// What all conditions consist of so far, see [`MAX_TOTAL_SIZE`].
    total_size: usize,
}

/// A macro without names of other macros in it.
#[derive(Debug)]
pub(crate) struct ResolvedMacro {
    name: String,
    /// Lists are spliced in.
    text: TracedText,
    /// `None` after an error, which was reported.
    ast: Option<Ast>,
    age: Age,
    pub(crate) is_used: bool,
}

/// Why a name in a condition could not be replaced.
#[derive(Debug)]
pub(crate) enum ResolveError {
    Undefined {
        name: String,
        span: Span,
    },
    Loop {
        name: String,
        span: Span,
    },
    /// With it the condition exceeds a limit, or all conditions together do.
    TooLarge {
        name: String,
        span: Span,
    },
    /// It is a macro that has an error of its own.
    Broken,
}

/// Limits of a condition with its macros put in. Macros that double each other would exhaust the
/// memory, and deep ones the stack of whoever walks the tree.
const MAX_CHECKS: usize = 1 << 15;
const MAX_TREE_DEPTH: usize = 500;
/// A limit of all conditions together, in checks and constants: a large macro in many rules would exhaust
/// the memory, too. The published rules come to some thousands.
const MAX_TOTAL_SIZE: usize = 2 << 20;

impl Macros {
    /// Parses all macros, then resolves each with those that were first defined before it last
    /// changed. What is wrong is reported, and whatever refers to it keeps quiet.
    pub(crate) fn new(
        definitions: &Definitions,
        lists: &mut Lists,
        findings: &mut Findings,
    ) -> Self {
        let mut macros = Vec::with_capacity(definitions.macros.len());
        for (position, definition) in definitions.macros.iter().enumerate() {
            let context = &definition.condition_context;
            let (text, ast) = match lists.substitute(&definition.condition) {
                Ok((text, _)) => {
                    let ast = parse(text.as_str(), MAX_CONDITION_DEPTH).map_err(|error| {
                        let error = syntax_diagnostic(error, &text, context);
                        findings.error(misused_list(error, &definition.condition, lists));
                    });
                    (text, ast.ok())
                }
                Err(error) => {
                    findings.error(error.diagnostic(context));
                    (TracedText::default(), None)
                }
            };
            let ast = ast.map(|mut ast| {
                shift_spans(&mut ast, (position + 1) * TEXT_STRIDE);
                ast
            });
            macros.push(ResolvedMacro {
                name: definition.name.clone(),
                text,
                ast,
                age: definition.age,
                is_used: false,
            });
        }
        let positions = macros.iter().enumerate().map(|(at, one)| (one.name.clone(), at)).collect();
        let mut resolved = Macros { macros, positions, total_size: 0 };
        for (position, definition) in definitions.macros.iter().enumerate() {
            let (text, context) = (&definition.condition, &definition.context);
            resolved.resolve_macro(position, text, context, lists, findings);
        }
        resolved
    }

    fn resolve_macro(
        &mut self,
        position: usize,
        unspliced: &TracedText,
        context: &Context,
        lists: &Lists,
        findings: &mut Findings,
    ) {
        let changed = self.macros[position].age.changed;
        let Some(ast) = self.macros[position].ast.take() else { return };
        // It stays in place meanwhile: a redefined macro can name itself, which is a loop.
        self.macros[position].ast = Some(ast.clone());
        let result = self.resolve(ast, changed);
        self.macros[position].ast = match result {
            Ok(ast) => Some(ast),
            Err(error) => {
                let text = self.macros[position].text.clone();
                let shown = unspliced.as_str().into();
                if let Some(error) = self.diagnostic(error, &shown, &text, context) {
                    findings.error(misused_list(error, unspliced, lists));
                }
                None
            }
        };
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ResolvedMacro> {
        self.macros.iter()
    }

    /// Whether a rule or another macro refers to it.
    pub(crate) fn is_used(&self, name: &str) -> bool {
        self.positions.get(name).is_some_and(|&position| self.macros[position].is_used)
    }

    /// Replaces macros by their trees and marks them as used. Only macros that were first defined
    /// before `horizon` are known.
    pub(crate) fn resolve(&mut self, mut ast: Ast, horizon: usize) -> Result<Ast, ResolveError> {
        let mut resolver = Resolver {
            macros: self,
            horizon,
            path: Vec::new(),
            found: Vec::new(),
            checks: 0,
            size: 0,
            deepest: 0,
        };
        let result = resolver.replace(&mut ast, 0);
        let (found, size) = (resolver.found, resolver.size);
        // What failed counts, too, or many failures would take long.
        self.total_size += size;
        result?;
        for position in found {
            self.macros[position].is_used = true;
        }
        Ok(ast)
    }

    /// The diagnostic of a failed [`Self::resolve`]; none for what was reported already.
    ///
    /// `shown` is the condition without and `text` with lists spliced in, `context` that of its
    /// rule or macro.
    pub(crate) fn diagnostic(
        &self,
        error: ResolveError,
        shown: &Arc<str>,
        text: &TracedText,
        context: &Context,
    ) -> Option<Diagnostic> {
        let is_undefined = matches!(error, ResolveError::Undefined { .. });
        let (name, span, message, title) = match error {
            ResolveError::Undefined { name, span } => {
                let message = format!("Undefined macro '{name}' used in filter.");
                let title = format!("undefined macro `{name}`");
                (name, span, message, title)
            }
            ResolveError::Loop { name, span } => {
                let message = format!("reference loop in macro '{name}'");
                let title = format!("macro `{name}` refers to itself");
                (name, span, message, title)
            }
            ResolveError::TooLarge { name, span } => {
                let message = format!("condition is too large with macro '{name}' in it");
                let title = format!("the condition is too large with macro `{name}` in it");
                (name, span, message, title)
            }
            ResolveError::Broken => return None,
        };
        let offset = Self::offset(span.start);
        let context = context.in_condition(shown, Some(offset));
        let known = self.macros.iter().map(|one| one.name.as_str());
        let help = match (is_undefined, self.positions.contains_key(&name)) {
            (false, _) => None,
            (true, true) => {
                Some("a macro can use only macros that are defined before it".to_owned())
            }
            (true, false) => {
                closest(&name, known).map(|other| format!("a similar macro exists: `{other}`"))
            }
        };
        let place = self.locate(span, text);
        Some(Diagnostic::new(Code::Validate, message, &context).title(title).at(place).help(help))
    }

    /// Where a span of a resolved tree stands; `own` is the text of the tree's own condition.
    pub(crate) fn locate(&self, span: Span, own: &TracedText) -> Option<FileSpan> {
        let text = match (span.start / TEXT_STRIDE).checked_sub(1) {
            Some(position) => &self.macros.get(position)?.text,
            None => own,
        };
        text.locate(Span { start: span.start % TEXT_STRIDE, end: span.end % TEXT_STRIDE })
    }

    /// Whether a span of a resolved tree is about the text of a macro.
    pub(crate) fn is_in_macro(span: Span) -> bool {
        span.start >= TEXT_STRIDE
    }

    /// The offset in the text it is about of an offset in a resolved tree.
    pub(crate) fn offset(offset: usize) -> usize {
        offset % TEXT_STRIDE
    }
}

/// One walk over a condition that puts macros in.
struct Resolver<'m> {
    macros: &'m Macros,
    horizon: usize,
    /// The macros that are being put in, outermost first.
    path: Vec<usize>,
    found: Vec<usize>,
    checks: usize,
    /// Checks and constants.
    size: usize,
    deepest: usize,
}

impl Resolver<'_> {
    fn replace(&mut self, ast: &mut Ast, depth: usize) -> Result<(), ResolveError> {
        match ast {
            Ast::And(children) | Ast::Or(children) => {
                children.iter_mut().try_for_each(|child| self.replace(child, depth + 1))
            }
            Ast::Not(child) => self.replace(child, depth + 1),
            Ast::Check(check) => {
                self.checks += 1;
                self.size += 1 + constant_count(check);
                self.deepest = self.deepest.max(depth);
                Ok(())
            }
            Ast::Macro { name, span } => {
                let too_large = || ResolveError::TooLarge { name: name.clone(), span: *span };
                if self.macros.total_size + self.size > MAX_TOTAL_SIZE {
                    return Err(too_large());
                }
                let mut tree = self.tree(name, *span)?;
                self.replace(&mut tree, depth)?;
                self.path.pop();
                if self.checks > MAX_CHECKS || self.deepest > MAX_TREE_DEPTH {
                    return Err(too_large());
                }
                *ast = tree;
                Ok(())
            }
        }
    }

    /// The tree of a macro, which is on the path from now on.
    fn tree(&mut self, name: &str, span: Span) -> Result<Ast, ResolveError> {
        let Macros { macros, positions, .. } = self.macros;
        let position = positions.get(name).copied();
        let position = position.filter(|&at| macros[at].age.defined < self.horizon);
        let Some(position) = position else {
            return Err(ResolveError::Undefined { name: name.to_owned(), span });
        };
        if self.path.contains(&position) {
            return Err(ResolveError::Loop { name: name.to_owned(), span });
        }
        let tree = macros[position].ast.clone().ok_or(ResolveError::Broken)?;
        if !self.found.contains(&position) {
            self.found.push(position);
        }
        self.path.push(position);
        Ok(tree)
    }
}

/// The diagnostic of a condition that does not parse; `context` is that of the condition.
pub(crate) fn syntax_diagnostic(
    error: SyntaxError,
    text: &TracedText,
    context: &Context,
) -> Diagnostic {
    let context = context.in_condition(&text.as_str().into(), Some(error.offset));
    let offset = error.offset.min(text.as_str().len());
    // Falco stops behind the text with the escape; people look for the escape.
    let escape = error.message.strip_prefix(UNKNOWN_ESCAPE);
    let start = escape.and_then(|escape| text.as_str()[..offset].rfind(escape)).unwrap_or(offset);
    let rest = &text.as_str()[start..];
    let word = rest.find(|c: char| c.is_whitespace() || "()=,".contains(c)).unwrap_or(rest.len());
    let length = escape.map_or(word.max(1), str::len);
    let place = text.locate(Span { start, end: start + length });
    Diagnostic::new(Code::CompileCondition, error.message, &context).at(place).help(error.help)
}

/// Says so if the error comes from a list that stands where a comparison is expected: its items were
/// spliced in there, which no condition survives. `unspliced` is the condition without that.
pub(crate) fn misused_list(error: Diagnostic, unspliced: &TracedText, lists: &Lists) -> Diagnostic {
    let Ok(ast) = parse(unspliced.as_str(), MAX_CONDITION_DEPTH) else { return error };
    let mut lists_as_macros = Vec::new();
    for_each_macro(&ast, &mut |name, span| {
        if lists.get(name).is_some() {
            lists_as_macros.push((name, span));
        }
    });
    let Some((name, span)) = lists_as_macros.first() else { return error };
    let help = format!("a list stands in parentheses behind an operator: `a.b in ({name})`");
    error
        .title(format!("list `{name}` stands where a comparison or a macro is expected"))
        .at(unspliced.locate(*span))
        .help(Some(help))
}
