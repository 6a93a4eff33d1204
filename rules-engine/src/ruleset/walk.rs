//! Walks over conditions as written.

use crate::condition::ast::{Ast, Check, Constant, Span, Term, Test};

/// Moves all spans of a condition up, into a range of offsets of its own.
pub(super) fn shift_spans(ast: &mut Ast, by: usize) {
    let shift = |span: &mut Span| {
        span.start += by;
        span.end += by;
    };
    match ast {
        Ast::And(children) | Ast::Or(children) => {
            children.iter_mut().for_each(|child| shift_spans(child, by));
        }
        Ast::Not(child) => shift_spans(child, by),
        Ast::Macro { span, .. } => shift(span),
        Ast::Check(check) => {
            shift(&mut check.span);
            shift_term(&mut check.left, &shift);
            match &mut check.test {
                Test::Exists => {}
                Test::Constant { constant, .. } => shift(&mut constant.span),
                Test::Modified { constants, .. } | Test::Set { constants, .. } => {
                    constants.iter_mut().for_each(|Constant { span, .. }| shift(span));
                }
                Test::Term { right, .. } => shift_term(right, &shift),
            }
        }
    }
}

fn shift_term(term: &mut Term, shift: &impl Fn(&mut Span)) {
    match term {
        Term::Field { span, .. } | Term::Constant { span, .. } => shift(span),
        Term::Transformer { arguments, span, .. } => {
            shift(span);
            arguments.iter_mut().for_each(|argument| shift_term(argument, shift));
        }
        Term::List { items, span } => {
            shift(span);
            items.iter_mut().for_each(|item| shift_term(item, shift));
        }
    }
}

/// Calls `visit` for the name of every macro, and where it stands.
pub(crate) fn for_each_macro<'a>(ast: &'a Ast, visit: &mut impl FnMut(&'a str, Span)) {
    match ast {
        Ast::And(children) | Ast::Or(children) => {
            children.iter().for_each(|child| for_each_macro(child, visit));
        }
        Ast::Not(child) => for_each_macro(child, visit),
        Ast::Macro { name, span } => visit(name, *span),
        Ast::Check(_) => {}
    }
}

/// Calls `visit` for every comparison, in order.
pub(crate) fn for_each_check<'a>(ast: &'a Ast, visit: &mut impl FnMut(&'a Check)) {
    match ast {
        Ast::And(children) | Ast::Or(children) => {
            children.iter().for_each(|child| for_each_check(child, visit));
        }
        Ast::Not(child) => for_each_check(child, visit),
        Ast::Macro { .. } => {}
        Ast::Check(check) => visit(check),
    }
}

/// How many constants a comparison has on its right.
pub(super) fn constant_count(check: &Check) -> usize {
    match &check.test {
        Test::Modified { constants, .. } | Test::Set { constants, .. } => constants.len(),
        Test::Constant { .. } => 1,
        Test::Exists | Test::Term { .. } => 0,
    }
}

/// Calls `visit` for every field of a comparison, on both sides.
pub(crate) fn for_each_field<'a>(check: &'a Check, visit: &mut impl FnMut(&'a Term)) {
    in_term(&check.left, visit);
    if let Test::Term { right, .. } = &check.test {
        in_term(right, visit);
    }
}

fn in_term<'a>(term: &'a Term, visit: &mut impl FnMut(&'a Term)) {
    match term {
        Term::Field { .. } => visit(term),
        Term::Transformer { arguments: terms, .. } | Term::List { items: terms, .. } => {
            terms.iter().for_each(|term| in_term(term, visit));
        }
        Term::Constant { .. } => {}
    }
}
