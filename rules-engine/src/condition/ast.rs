//! A condition as written: fields and macros are still names, constants are still text.

pub(crate) use crate::text::Span;

/// A condition as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ast {
    And(Vec<Ast>),
    Or(Vec<Ast>),
    Not(Box<Ast>),
    /// A macro by name; gone after `ruleset` resolved it.
    Macro {
        name: String,
        span: Span,
    },
    /// Boxed, because the parser passes trees up through a thousand frames.
    Check(Box<Check>),
}

/// One comparison as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) left: Term,
    pub(crate) test: Test,
    pub(crate) span: Span,
}

/// What can stand on the left, and on the right after `val(` or as a transformer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    Field {
        name: String,
        argument: Option<Vec<u8>>,
        span: Span,
    },
    Transformer {
        name: Transformer,
        arguments: Vec<Term>,
        argument: Option<Vec<u8>>,
        span: Span,
    },
    /// Only inside a transformer: a quoted string (decoded) or a number (as spelt).
    Constant {
        text: Vec<u8>,
        is_number: bool,
        span: Span,
    },
    /// Only inside a transformer: `(a, b)`.
    List {
        items: Vec<Term>,
        span: Span,
    },
}

/// What is asked of the left side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Exists,
    /// `OP constant`
    Constant {
        operator: Operator,
        constant: Constant,
    },
    /// `OP oneof (…)` and its kin
    Modified {
        operator: Operator,
        modifier: Modifier,
        constants: Vec<Constant>,
        /// The list with its parentheses.
        list: Span,
    },
    /// `in (…)`, `intersects (…)`, `pmatch (…)`
    Set {
        operator: Operator,
        constants: Vec<Constant>,
        /// The list with its parentheses.
        list: Span,
    },
    /// `OP val(field)` or `OP transformer(…)`
    Term {
        operator: Operator,
        right: Term,
    },
}

/// A constant, escapes decoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Constant {
    pub(crate) text: Vec<u8>,
    pub(crate) span: Span,
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operator {
    /// `=` and `==` mean the same; the spelling is kept for printing.
    Equal {
        doubled: bool,
    },
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    IContains,
    BContains,
    StartsWith,
    BStartsWith,
    EndsWith,
    Glob,
    IGlob,
    Regex,
    In,
    Intersects,
    Pmatch,
}

/// How many of several constants must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::enum_variant_names, reason = "named as rules spell them")]
pub(crate) enum Modifier {
    /// Exactly one; equal constants count separately.
    OneOf,
    AnyOf,
    AllOf,
}

/// A function of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Transformer {
    ToLower,
    ToUpper,
    B64,
    Basename,
    Len,
    Join,
    Concat,
    Getopt,
}
