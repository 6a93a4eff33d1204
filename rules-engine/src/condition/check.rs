//! AST -> typed AST: every field exists, every operator suits its field, every constant is read.
//!
//! Source: the filter compiler of libs, engine 0.63; the messages are its own.

mod constant;
mod expression;
mod output;
mod pattern;
#[cfg(test)]
mod tests;

use crate::condition::ast::{self, Ast, Operator, Span, Term};
use crate::condition::typed::{Comparison, Expression, Test, TypedAst};
use crate::field::{FieldCatalogue, FieldType};

pub(crate) use output::output_expression;
pub(crate) use pattern::Patterns;

/// Why a comparison cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckError {
    /// Stock's text.
    pub(crate) message: String,
    /// The word that is wrong, or else the whole comparison.
    pub(crate) span: Span,
    /// Where stock says it is: the start of the comparison.
    pub(crate) stock_offset: usize,
    /// What may have been meant.
    pub(crate) help: Option<String>,
    pub(crate) kind: CheckErrorKind,
}

/// What a [`CheckError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckErrorKind {
    /// No class of the catalogue has the field.
    UnknownField,
    /// An argument is missing, unwanted or malformed.
    FieldArgument,
    /// A transformer has the wrong arguments.
    Transformer,
    /// The operator does not suit the types of its sides.
    Operator,
    /// A constant is none of its field's type.
    Constant,
}

/// Checks a condition alone whose macros are resolved, as [`check_beside`] does.
pub(crate) fn check(ast: &Ast, catalogue: &FieldCatalogue) -> Result<TypedAst, Vec<CheckError>> {
    check_beside(&Patterns::default(), ast, catalogue)
}

/// Checks a condition whose macros are resolved, beside those with the patterns that were checked before.
///
/// # Errors
///
/// Every comparison that is wrong, with the first thing wrong in it. Stock reports the first of them.
///
/// # Panics
///
/// If a macro is left.
pub(crate) fn check_beside(
    patterns: &Patterns,
    ast: &Ast,
    catalogue: &FieldCatalogue,
) -> Result<TypedAst, Vec<CheckError>> {
    let mut errors = Vec::new();
    match check_tree(ast, catalogue, patterns, &mut errors) {
        Some(typed) if errors.is_empty() => Ok(typed),
        _ => Err(errors),
    }
}

/// `None` where the tree would consist of nothing but errors.
fn check_tree(
    ast: &Ast,
    catalogue: &FieldCatalogue,
    patterns: &Patterns,
    errors: &mut Vec<CheckError>,
) -> Option<TypedAst> {
    let mut check_all = |children: &[Ast]| {
        // `collect` would leave room for more, and there are many of these.
        let mut typed = Vec::with_capacity(children.len());
        let children = children.iter();
        typed.extend(children.filter_map(|child| check_tree(child, catalogue, patterns, errors)));
        typed
    };
    match ast {
        Ast::And(children) => Some(TypedAst::And(check_all(children))),
        Ast::Or(children) => Some(TypedAst::Or(check_all(children))),
        Ast::Not(child) => check_tree(child, catalogue, patterns, errors)
            .map(|child| TypedAst::Not(Box::new(child))),
        Ast::Macro { name, .. } => unreachable!("macro {name} is resolved before check"),
        Ast::Check(comparison) => {
            let checker = Checker { catalogue, patterns, start: comparison.span.start };
            checker
                .comparison(comparison)
                .map_err(|error| errors.push(error))
                .ok()
                .map(TypedAst::Check)
        }
    }
}

/// Checks the parts of one comparison, or of one expression of an output.
struct Checker<'c> {
    catalogue: &'c FieldCatalogue,
    patterns: &'c Patterns,
    /// Where the comparison starts.
    start: usize,
}

type Checked<T> = Result<T, CheckError>;

impl Checker<'_> {
    fn error<T>(&self, kind: CheckErrorKind, span: Span, message: String) -> Checked<T> {
        self.error_with_help(kind, span, message, None)
    }

    fn error_with_help<T>(
        &self,
        kind: CheckErrorKind,
        span: Span,
        message: String,
        help: Option<String>,
    ) -> Checked<T> {
        Err(CheckError { message, span, stock_offset: self.start, help, kind })
    }

    fn comparison(&self, check: &ast::Check) -> Checked<Comparison> {
        let left = self.expression(&check.left)?;
        let test = match &check.test {
            ast::Test::Exists => Test::Exists,
            ast::Test::Constant { operator, constant } => {
                let operator = self.suitable(*operator, &left, check.span)?;
                let constant = self.constant(left.kind(), operator, constant)?;
                Test::Constant { operator, constant }
            }
            ast::Test::Modified { operator, modifier, constants, .. } => {
                let operator = self.suitable_with_modifier(*operator, &left, check.span)?;
                let constants = self.constants(left.kind(), operator, constants)?;
                Test::Modified { operator, modifier: *modifier, constants }
            }
            ast::Test::Set { operator, constants, .. } => {
                let operator = self.suitable(*operator, &left, check.span)?;
                let constants = self.constants(left.kind(), operator, constants)?;
                Test::Set { operator, constants }
            }
            ast::Test::Term { operator, right } => {
                let operator = self.suitable(*operator, &left, check.span)?;
                let right = self.right_side(operator, &left, right, check.span)?;
                Test::Expression { operator, right }
            }
        };
        Ok(Comparison { left, test })
    }

    /// The operator, in the one spelling that typed trees have, if it suits the left side.
    fn suitable(&self, operator: Operator, left: &Expression, span: Span) -> Checked<Operator> {
        let (suits, class) = suits(operator, left);
        let operator = unified(operator);
        if suits {
            return Ok(operator);
        }
        let message = format!("filter error: '{}' operator not supported {class}", operator.name());
        let help = Some(suitable_operators(left));
        self.error_with_help(CheckErrorKind::Operator, span, message, help)
    }

    fn suitable_with_modifier(
        &self,
        operator: Operator,
        left: &Expression,
        span: Span,
    ) -> Checked<Operator> {
        let is_address = matches!(left.kind(), FieldType::IpAddr | FieldType::IpNet);
        if is_address && !left.is_list() && !suits(operator, left).0 {
            let message = format!(
                "'{}' with modifier not supported for ip address and network filters",
                operator.name()
            );
            return self.error(CheckErrorKind::Operator, span, message);
        }
        self.suitable(operator, left, span)
    }

    fn right_side(
        &self,
        operator: Operator,
        left: &Expression,
        right: &Term,
        span: Span,
    ) -> Checked<Expression> {
        let right = self.expression(right)?;
        let message = if matches!(operator, Operator::Regex | Operator::Pmatch) {
            let name = operator.name().to_ascii_uppercase();
            format!("operator '{name}' doesn't support right-hand side fields")
        } else if left.kind() == FieldType::IpNet {
            "field type 'IPNET' doesn't support right-hand side fields".to_owned()
        } else if (left.kind(), left.is_list()) != (right.kind(), right.is_list()) {
            format!(
                "field '{}' has type '{}' while the right-hand side field '{}' has incompatible \
                 type '{}'",
                self.field_name(left),
                type_name(left),
                self.field_name(&right),
                type_name(&right),
            )
        } else {
            return Ok(right);
        };
        self.error(CheckErrorKind::Operator, span, message)
    }
}

/// Whether an operator suits the left side, and what stock calls that class of sides.
fn suits(operator: Operator, left: &Expression) -> (bool, &'static str) {
    let is_set = matches!(operator, Operator::In | Operator::Intersects);
    let is_equality = matches!(operator, Operator::Equal { .. } | Operator::NotEqual);
    let is_order = matches!(
        operator,
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual
    );
    if left.is_list() {
        return (is_set, "list filters");
    }
    match left.kind() {
        FieldType::String => {
            (!matches!(operator, Operator::BContains | Operator::BStartsWith), "for string filters")
        }
        FieldType::Uint64 | FieldType::RelTime | FieldType::AbsTime => {
            (is_set || is_equality || is_order, "for numeric filters")
        }
        FieldType::Bool => (is_set || is_equality, "for numeric filters"),
        FieldType::IpAddr | FieldType::IpNet => {
            (is_set || is_equality, "for ip address and network filters")
        }
    }
}

/// Help for an operator that does not suit.
fn suitable_operators(left: &Expression) -> String {
    let (what, operators) = match left.kind() {
        _ if left.is_list() => ("a list", "`in`, `intersects` and `exists`"),
        FieldType::String => ("a text", "all operators but `bcontains` and `bstartswith`"),
        FieldType::Uint64 | FieldType::RelTime | FieldType::AbsTime => {
            ("a number", "`=`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `intersects` and `exists`")
        }
        FieldType::Bool => ("a truth value", "`=`, `!=`, `in`, `intersects` and `exists`"),
        FieldType::IpAddr | FieldType::IpNet => {
            ("an address", "`=`, `!=`, `in`, `intersects` and `exists`")
        }
    };
    format!("the left side is {what}, which takes {operators}")
}

/// `=` and `==` are one meaning, so that equal predicates are equal.
fn unified(operator: Operator) -> Operator {
    match operator {
        Operator::Equal { .. } => Operator::Equal { doubled: false },
        other => other,
    }
}

fn type_name(expression: &Expression) -> String {
    let list = if expression.is_list() { " (list)" } else { "" };
    format!("{}{list}", expression.kind())
}
