//! Text -> AST, by recursive descent: what counts as a word depends on the operator before it.
//!
//! Source: the grammar and the messages of libs' `filter/parser.cpp`, engine 0.63.

mod advice;
mod scan;
mod term;

use crate::condition::ast::{Ast, Check, Constant, Modifier, Operator, Span, Test};
use crate::condition::parse::advice::advise;
use crate::condition::parse::scan::{Scanner, identifier_length};

pub(crate) use advice::UNKNOWN_ESCAPE;
pub(super) use advice::class_for;
pub(super) use term::parse_output_terms;

/// The operators in the order of stock's message, which is also the order of matching.
const OPERATORS: &str = "'exists', '<=', '<', '>=', '>', '==', '=', '!=', 'glob', 'iglob', \
     'contains', 'icontains', 'bcontains', 'startswith', 'bstartswith', 'endswith', 'regex', \
     'intersects', 'in', 'pmatch'";
const TRANSFORMERS: &str =
    "'val', 'tolower', 'toupper', 'b64', 'basename', 'len', 'join', 'concat', 'getopt'";

const NUMBER_OPERATORS: [Operator; 4] =
    [Operator::LessOrEqual, Operator::Less, Operator::GreaterOrEqual, Operator::Greater];
const SYMBOL_OPERATORS: [Operator; 3] =
    [Operator::Equal { doubled: true }, Operator::Equal { doubled: false }, Operator::NotEqual];
const WORD_OPERATORS: [Operator; 9] = [
    Operator::Glob,
    Operator::IGlob,
    Operator::Contains,
    Operator::IContains,
    Operator::BContains,
    Operator::StartsWith,
    Operator::BStartsWith,
    Operator::EndsWith,
    Operator::Regex,
];
const LIST_OPERATORS: [Operator; 3] = [Operator::Intersects, Operator::In, Operator::Pmatch];

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Stock's text.
    pub(crate) message: String,
    /// Where in the text, in bytes; may be its end.
    pub(crate) offset: usize,
    /// What may have been meant.
    pub(crate) help: Option<String>,
}

/// Parses a condition whose productions nest less than `max_depth` deep.
///
/// # Errors
///
/// The first thing that does not fit the grammar.
pub(crate) fn parse(text: &str, max_depth: usize) -> Result<Ast, SyntaxError> {
    let mut parser = Parser::new(text, max_depth);
    parser.condition().map_err(|error| {
        let last = parser.scanner.last_token();
        let help = advise(text, error.offset, &last, &error.message);
        SyntaxError { help, ..error }
    })
}

struct Parser<'t> {
    scanner: Scanner<'t>,
    /// How many productions are open. Nothing goes on after an error, so only success closes them.
    depth: usize,
    max_depth: usize,
}

type Parsed<T> = Result<T, SyntaxError>;

impl<'t> Parser<'t> {
    fn new(text: &'t str, max_depth: usize) -> Self {
        Parser { scanner: Scanner::new(text), depth: 0, max_depth }
    }

    /// All of the text.
    fn condition(&mut self) -> Parsed<Ast> {
        if self.scanner.rest().is_empty() {
            return self.scanner.error("filter input string is empty");
        }
        let ast = self.or()?;
        if self.scanner.rest().is_empty() {
            return Ok(ast);
        }
        let last = self.scanner.last_token();
        let message = format!("unexpected token after '{last}', expecting 'or', 'and'");
        self.scanner.error(message)
    }

    fn open(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth < self.max_depth {
            return Ok(());
        }
        self.scanner.error(format!("exceeded max depth limit of {}", self.max_depth))
    }

    fn close(&mut self) {
        self.depth -= 1;
    }

    fn or(&mut self) -> Parsed<Ast> {
        self.open()?;
        self.scanner.blank();
        let mut children = vec![self.and()?];
        self.scanner.blank();
        while self.scanner.eat("or") {
            let child = if self.scanner.blank() { self.and()? } else { self.glued("or")? };
            children.push(child);
            self.scanner.blank();
        }
        self.close();
        Ok(single_or(children, Ast::Or))
    }

    fn and(&mut self) -> Parsed<Ast> {
        self.open()?;
        self.scanner.blank();
        let mut children = vec![self.not()?];
        self.scanner.blank();
        while self.scanner.eat("and") {
            let child = if self.scanner.blank() { self.not()? } else { self.glued("and")? };
            children.push(child);
            self.scanner.blank();
        }
        self.close();
        Ok(single_or(children, Ast::And))
    }

    /// The parentheses right behind a keyword.
    fn glued(&mut self, keyword: &str) -> Parsed<Ast> {
        if self.scanner.eat("(") {
            return self.embedded();
        }
        self.scanner.error(format!("expected blank or '(' after '{keyword}'"))
    }

    fn not(&mut self) -> Parsed<Ast> {
        self.open()?;
        self.scanner.blank();
        let mut is_negated = false;
        while self.scanner.eat_not() {
            is_negated = !is_negated;
        }
        let child = if self.scanner.eat("not(") {
            is_negated = !is_negated;
            self.embedded()?
        } else {
            self.check()?
        };
        self.close();
        Ok(if is_negated { Ast::Not(Box::new(child)) } else { child })
    }

    /// What follows an opening parenthesis.
    fn embedded(&mut self) -> Parsed<Ast> {
        self.open()?;
        self.scanner.blank();
        let child = self.or()?;
        self.scanner.blank();
        if !self.scanner.eat(")") {
            return self.scanner.error("expected a ')' token");
        }
        self.close();
        Ok(child)
    }

    fn check(&mut self) -> Parsed<Ast> {
        self.open()?;
        self.scanner.blank();
        let start = self.scanner.position();
        let ast = if self.scanner.eat("(") {
            self.embedded()?
        } else if let Some(comparison) = self.comparison()? {
            Ast::Check(Box::new(comparison))
        } else if let Some(name) = self.scanner.identifier() {
            Ast::Macro { name: name.to_owned(), span: self.span_from(start) }
        } else {
            return self.scanner.error("expected a '(' token, a field check, or an identifier");
        };
        self.close();
        Ok(ast)
    }

    fn comparison(&mut self) -> Parsed<Option<Check>> {
        let start = self.scanner.position();
        let Some(left) = self.term()? else { return Ok(None) };
        let test = self.test()?;
        Ok(Some(Check { left, test, span: self.span_from(start) }))
    }

    /// The operator and what stands right of it.
    fn test(&mut self) -> Parsed<Test> {
        self.open()?;
        self.scanner.blank();
        let test = if self.scanner.eat("exists") {
            Test::Exists
        } else if let Some(operator) = self.symbol(&NUMBER_OPERATORS) {
            self.scanner.blank();
            self.number_operand(operator)?
        } else if let Some(operator) = self.symbol(&SYMBOL_OPERATORS) {
            let is_spaced = self.scanner.blank();
            self.string_operand(operator, is_spaced)?
        } else if let Some(operator) =
            WORD_OPERATORS.into_iter().find(|word| self.scanner.eat_word(word.name()))
        {
            self.string_operand(operator, true)?
        } else if let Some(operator) = self.symbol(&LIST_OPERATORS) {
            self.scanner.blank();
            self.list_operand(operator)?
        } else {
            return self
                .scanner
                .error(format!("expected a valid check operator: one of {OPERATORS}"));
        };
        self.close();
        Ok(test)
    }

    fn symbol(&mut self, operators: &[Operator]) -> Option<Operator> {
        operators.iter().copied().find(|operator| self.scanner.eat(operator.name()))
    }

    fn number_operand(&mut self, operator: Operator) -> Parsed<Test> {
        self.open()?;
        let start = self.scanner.position();
        let test = if let Some(right) = self.right_term()? {
            Test::Term { operator, right }
        } else if let Some(number) = self.scanner.number() {
            let span = self.span_from(start);
            Test::Constant { operator, constant: Constant { text: number.into(), span } }
        } else {
            return self.scanner.error(format!(
                "expected a number value or a field with a valid transformer: {TRANSFORMERS}"
            ));
        };
        self.close();
        Ok(test)
    }

    /// `is_spaced`: a blank stands before the cursor, so a modifier may follow.
    fn string_operand(&mut self, operator: Operator, is_spaced: bool) -> Parsed<Test> {
        self.open()?;
        let test = if is_spaced && let Some(modifier) = self.modifier() {
            let start = self.scanner.position();
            let constants = match self.constants()? {
                Some(constants) => constants,
                None => self.identifier_as_constant().into_iter().collect(),
            };
            Test::Modified { operator, modifier, constants, list: self.span_from(start) }
        } else if let Some(right) = self.right_term()? {
            Test::Term { operator, right }
        } else if let Some(constant) = self.constant()? {
            Test::Constant { operator, constant }
        } else {
            return self.scanner.error(format!(
                "expected a string value or a field with a valid transformer: {TRANSFORMERS}"
            ));
        };
        self.close();
        Ok(test)
    }

    fn list_operand(&mut self, operator: Operator) -> Parsed<Test> {
        self.open()?;
        let start = self.scanner.position();
        let test = if let Some(constants) = self.constants()? {
            Test::Set { operator, constants, list: self.span_from(start) }
        } else if let Some(right) = self.right_term()? {
            Test::Term { operator, right }
        } else if let Some(constant) = self.identifier_as_constant() {
            Test::Set { operator, constants: vec![constant], list: self.span_from(start) }
        } else {
            return self.scanner.error(format!(
                "expected a list, an identifier, or a field with a valid transformer: \
                 {TRANSFORMERS}"
            ));
        };
        self.close();
        Ok(test)
    }

    /// A modifier, if one stands here with its list behind it; else the word is a constant.
    fn modifier(&mut self) -> Option<Modifier> {
        let modifier = Modifier::ALL.into_iter().find(|modifier| {
            let Some(behind) = self.scanner.rest().strip_prefix(modifier.name()) else {
                return false;
            };
            let mut ahead = Scanner::new(behind);
            if !ahead.blank() {
                return false;
            }
            let list = ahead.rest();
            let name = &list[..identifier_length(list)];
            list.starts_with('(') || !matches!(name, "" | "and" | "or" | "not")
        })?;
        self.scanner.eat_word(modifier.name());
        Some(modifier)
    }

    /// Constants in parentheses, if these stand here.
    fn constants(&mut self) -> Parsed<Option<Vec<Constant>>> {
        if !self.scanner.eat("(") {
            return Ok(None);
        }
        self.scanner.blank();
        let mut constants = Vec::new();
        if let Some(first) = self.constant()? {
            constants.push(first);
            self.scanner.blank();
            while self.scanner.eat(",") {
                self.scanner.blank();
                match self.constant()? {
                    Some(constant) => constants.push(constant),
                    None => return self.scanner.error("expected a string value"),
                }
                self.scanner.blank();
            }
        }
        if !self.scanner.eat(")") {
            return self.scanner.error("expected a ')' token");
        }
        Ok(Some(constants))
    }

    fn constant(&mut self) -> Parsed<Option<Constant>> {
        let start = self.scanner.position();
        let text = match self.scanner.quoted()? {
            Some(text) => Some(text),
            None => self.scanner.bare().map(Vec::from),
        };
        Ok(text.map(|text| Constant { text, span: self.span_from(start) }))
    }

    fn identifier_as_constant(&mut self) -> Option<Constant> {
        let start = self.scanner.position();
        let text = self.scanner.identifier()?.into();
        Some(Constant { text, span: self.span_from(start) })
    }

    fn span_from(&self, start: usize) -> Span {
        Span { start, end: self.scanner.position() }
    }
}

fn single_or(mut children: Vec<Ast>, combine: fn(Vec<Ast>) -> Ast) -> Ast {
    match children.pop() {
        Some(only) if children.is_empty() => only,
        last => {
            children.extend(last);
            combine(children)
        }
    }
}
