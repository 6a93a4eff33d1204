//! A condition whose fields exist and whose operators suit their types.
//!
//! Only `check` builds these, so the compiler and the evaluator have no error paths. Everything is
//! plain data that can be compared and hashed: equal predicates of different rules become one.

use std::net::IpAddr;

use crate::condition::ast::{Modifier, Operator, Transformer};
use crate::field::FieldType;

/// A condition, ready to compile. `And` and `Or` have at least one child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TypedAst {
    And(Vec<TypedAst>),
    Or(Vec<TypedAst>),
    Not(Box<TypedAst>),
    Check(Comparison),
}

/// A comparison whose field exists and whose operator suits the field's type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Comparison {
    pub(crate) left: Expression,
    pub(crate) test: Test,
}

/// What is asked of the left side. Every test is false when the left side has no value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    Exists,
    /// A single value against one constant; never `In`, `Intersects`, `Pmatch`. Here and below, `=` and
    /// `==` are the one spelling `=`.
    Constant {
        operator: Operator,
        constant: Constant,
    },
    /// A single value against several; false when there are none.
    Modified {
        operator: Operator,
        modifier: Modifier,
        constants: Vec<Constant>,
    },
    /// `In`, `Intersects` (single value or list), `Pmatch` (single value).
    Set {
        operator: Operator,
        constants: Vec<Constant>,
    },
    /// Against values of the same event, of the same type and list-ness as the left side.
    Expression {
        operator: Operator,
        right: Expression,
    },
}

/// A constant in the form of the left side's type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Constant {
    /// For strings: no NUL, at most 255 bytes. For `Regex` a pattern that is known to compile.
    Text(Vec<u8>),
    Number(u64),
    Bool(bool),
    Address(IpAddr),
    /// Host bits may be set; `length` is at most 32 or 128.
    Network {
        address: IpAddr,
        length: u8,
    },
}

/// Something with values: a field, or transformers over fields and constants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Expression {
    Field(FieldRef),
    Transformed(Box<Transformed>),
    /// A quoted string or a number as spelt, inside a transformer.
    Constant(Vec<u8>),
    /// A list as written, `("-x", ka.verb)`; only an argument of `join` and `getopt`.
    List(Vec<Expression>),
}

impl Expression {
    /// The type of its values.
    pub(crate) fn kind(&self) -> FieldType {
        match self {
            Expression::Field(field) => field.kind,
            Expression::Transformed(transformed) => transformed.kind,
            Expression::Constant(_) | Expression::List(_) => FieldType::String,
        }
    }

    /// Whether it yields a list.
    pub(crate) fn is_list(&self) -> bool {
        match self {
            Expression::Field(field) => field.is_list,
            Expression::Transformed(transformed) => transformed.is_list,
            Expression::Constant(_) => false,
            Expression::List(_) => true,
        }
    }
}

/// A transformer and what it is applied to; argument count and types were checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Transformed {
    pub(crate) transformer: Transformer,
    pub(crate) arguments: Vec<Expression>,
    /// The option letter of `getopt(…)[x]`.
    pub(crate) option: Option<u8>,
    pub(crate) kind: FieldType,
    pub(crate) is_list: bool,
}

/// A field of the catalogue with its argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FieldRef {
    /// Index into [`crate::FieldCatalogue::classes`].
    pub(crate) class: usize,
    /// Index into the class's fields.
    pub(crate) field: usize,
    pub(crate) argument: Option<String>,
    pub(crate) kind: FieldType,
    pub(crate) is_list: bool,
    /// As the key of `output_fields` prints it: `ka.uri.param[command]`.
    pub(crate) text: String,
}
