//! Prints conditions as stock's `-L` does.

use std::fmt::{self, Display, Formatter};

use crate::condition::ast::{Ast, Check, Constant, Modifier, Operator, Term, Test, Transformer};
use crate::condition::quote::encode;

impl Operator {
    /// As rules spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operator::Equal { doubled: true } => "==",
            Operator::Equal { doubled: false } => "=",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Contains => "contains",
            Operator::IContains => "icontains",
            Operator::BContains => "bcontains",
            Operator::StartsWith => "startswith",
            Operator::BStartsWith => "bstartswith",
            Operator::EndsWith => "endswith",
            Operator::Glob => "glob",
            Operator::IGlob => "iglob",
            Operator::Regex => "regex",
            Operator::In => "in",
            Operator::Intersects => "intersects",
            Operator::Pmatch => "pmatch",
        }
    }
}

impl Modifier {
    /// All modifiers.
    pub(crate) const ALL: [Modifier; 3] = [Modifier::OneOf, Modifier::AnyOf, Modifier::AllOf];

    /// As rules spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Modifier::OneOf => "oneof",
            Modifier::AnyOf => "anyof",
            Modifier::AllOf => "allof",
        }
    }
}

impl Transformer {
    /// All transformers, in the order of messages.
    pub(crate) const ALL: [Transformer; 8] = [
        Transformer::ToLower,
        Transformer::ToUpper,
        Transformer::B64,
        Transformer::Basename,
        Transformer::Len,
        Transformer::Join,
        Transformer::Concat,
        Transformer::Getopt,
    ];

    /// As rules spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Transformer::ToLower => "tolower",
            Transformer::ToUpper => "toupper",
            Transformer::B64 => "b64",
            Transformer::Basename => "basename",
            Transformer::Len => "len",
            Transformer::Join => "join",
            Transformer::Concat => "concat",
            Transformer::Getopt => "getopt",
        }
    }
}

impl Display for Ast {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Ast::And(children) => write_list(f, children, " and "),
            Ast::Or(children) => write_list(f, children, " or "),
            Ast::Not(child) => write!(f, "not {child}"),
            Ast::Macro { name, .. } => f.write_str(name),
            Ast::Check(check) => check.fmt(f),
        }
    }
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let left = &self.left;
        match &self.test {
            Test::Exists => write!(f, "{left} exists"),
            Test::Constant { operator, constant } => {
                write!(f, "{left} {} {constant}", operator.name())
            }
            Test::Modified { operator, modifier, constants, .. } => {
                write!(f, "{left} {} {} ", operator.name(), modifier.name())?;
                write_list(f, constants, ", ")
            }
            Test::Set { operator, constants, .. } => {
                write!(f, "{left} {} ", operator.name())?;
                write_list(f, constants, ", ")
            }
            Test::Term { operator, right: right @ Term::Field { .. } } => {
                write!(f, "{left} {} val({right})", operator.name())
            }
            Test::Term { operator, right } => write!(f, "{left} {} {right}", operator.name()),
        }
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Term::Field { name, argument, .. } => {
                f.write_str(name)?;
                write_argument(f, argument.as_deref())
            }
            Term::Transformer { name, arguments, argument, .. } => {
                f.write_str(name.name())?;
                write_list(f, arguments, ",")?;
                write_argument(f, argument.as_deref())
            }
            Term::Constant { text, .. } => f.write_str(&encode(text)),
            Term::List { items, .. } => write_list(f, items, ","),
        }
    }
}

impl Display for Constant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.text))
    }
}

fn write_argument(f: &mut Formatter<'_>, argument: Option<&[u8]>) -> fmt::Result {
    argument.map_or(Ok(()), |argument| write!(f, "[{}]", encode(argument)))
}

fn write_list<T: Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    f.write_str("(")?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    f.write_str(")")
}
