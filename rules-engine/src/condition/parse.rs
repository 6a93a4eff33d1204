//! Text -> AST, by recursive descent: what counts as a word depends on the operator before it.
//!
//! Source: the grammar and the messages of libs' `filter/parser.cpp`, engine 0.63.

mod scan;

use crate::condition::ast::{
    Ast, Check, Constant, Modifier, Operator, Span, Term, Test, Transformer,
};
use crate::condition::parse::scan::{Scanner, identifier_length};
use crate::condition::suggest::closest;

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
    if text.is_empty() {
        return parser.scanner.error("filter input string is empty");
    }
    let ast = parser.or()?;
    if parser.scanner.rest().is_empty() {
        return Ok(ast);
    }
    let last = parser.scanner.last_token();
    let help = help_after(&last, parser.scanner.rest());
    let message = format!("unexpected token after '{last}', expecting 'or', 'and'");
    Err(SyntaxError { message, offset: parser.scanner.position(), help })
}

/// Parses the field or transformer that `text` starts with: with its argument, if it has one, and
/// then without. The number is how many bytes it takes.
pub(super) fn parse_output_terms(text: &str, max_depth: usize) -> Vec<(Term, usize)> {
    let mut parser = Parser::new(text, max_depth);
    let Ok(Some(head)) = parser.head() else { return Vec::new() };
    let length = parser.scanner.position();
    let bare = (head.clone().with_argument(None, parser.span_from(0)), length);
    match parser.argument() {
        Ok(Some(argument)) => {
            let whole = head.with_argument(Some(argument), parser.span_from(0));
            vec![(whole, parser.scanner.position()), bare]
        }
        _ => vec![bare],
    }
}

/// A field or a transformer up to its argument.
#[derive(Clone)]
enum Head {
    Field(String),
    Transformer(Transformer, Vec<Term>),
}

impl Head {
    fn with_argument(self, argument: Option<Vec<u8>>, span: Span) -> Term {
        match self {
            Head::Field(name) => Term::Field { name, argument, span },
            Head::Transformer(name, arguments) => {
                Term::Transformer { name, arguments, argument, span }
            }
        }
    }
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

    /// A field or a transformer, if there is one.
    fn term(&mut self) -> Parsed<Option<Term>> {
        let start = self.scanner.position();
        let Some(head) = self.head()? else { return Ok(None) };
        self.finish_term(head, start).map(Some)
    }

    fn finish_term(&mut self, head: Head, start: usize) -> Parsed<Term> {
        let argument = self.argument()?;
        Ok(head.with_argument(argument, self.span_from(start)))
    }

    fn head(&mut self) -> Parsed<Option<Head>> {
        if let Some(name) = self.scanner.field_name() {
            return self.field(name).map(Some);
        }
        match self.transformer_name() {
            Some(name) => self.transformer(name).map(Some),
            None => Ok(None),
        }
    }

    /// Falco counts fields as a level of nesting, too.
    fn field(&mut self, name: &str) -> Parsed<Head> {
        self.open()?;
        self.close();
        Ok(Head::Field(name.to_owned()))
    }

    fn argument(&mut self) -> Parsed<Option<Vec<u8>>> {
        if !self.scanner.eat("[") {
            return Ok(None);
        }
        let argument = match self.scanner.quoted()? {
            Some(quoted) => quoted,
            None => match self.scanner.bare_argument() {
                Some(bare) => bare.into(),
                None => {
                    return self.scanner.error(
                        "expected a valid field argument: a quoted string or a bare string",
                    );
                }
            },
        };
        if !self.scanner.eat("]") {
            return self.scanner.error("expected a ']' token");
        }
        Ok(Some(argument))
    }

    /// The name of a transformer with the parenthesis right behind it.
    fn transformer_name(&mut self) -> Option<Transformer> {
        let name = Transformer::ALL.into_iter().find(|transformer| {
            self.scanner
                .rest()
                .strip_prefix(transformer.name())
                .is_some_and(|behind| behind.starts_with('('))
        })?;
        self.scanner.eat(name.name());
        self.scanner.eat("(");
        Some(name)
    }

    /// What follows the opening parenthesis of a transformer.
    fn transformer(&mut self, name: Transformer) -> Parsed<Head> {
        self.open()?;
        let mut arguments = Vec::new();
        loop {
            arguments.push(self.transformer_argument()?);
            self.scanner.blank();
            if !self.scanner.eat(",") {
                break;
            }
        }
        if !self.scanner.eat(")") {
            return self.scanner.error("expected a ')' token closing the transformer");
        }
        self.close();
        Ok(Head::Transformer(name, arguments))
    }

    fn transformer_argument(&mut self) -> Parsed<Term> {
        self.open()?;
        self.scanner.blank();
        let start = self.scanner.position();
        let term = if self.scanner.eat("(") {
            self.transformer_list(start)?
        } else if let Some(item) = self.transformer_item()? {
            item
        } else {
            return self.scanner.error(
                "expected field transformer argument: \
                 field, transformer, quoted string, number, or transformer list",
            );
        };
        self.close();
        Ok(term)
    }

    /// What follows the opening parenthesis of a list inside a transformer.
    fn transformer_list(&mut self, start: usize) -> Parsed<Term> {
        let mut items = Vec::new();
        self.scanner.blank();
        if !self.scanner.rest().starts_with(')') {
            loop {
                self.scanner.blank();
                let Some(item) = self.transformer_item()? else {
                    return self.scanner.error(
                        "expected transformer list argument: \
                         field, transformer, quoted string, or number",
                    );
                };
                items.push(item);
                self.scanner.blank();
                if !self.scanner.eat(",") {
                    break;
                }
            }
        }
        if !self.scanner.eat(")") {
            return self.scanner.error("expected ')'");
        }
        Ok(Term::List { items, span: self.span_from(start) })
    }

    /// A number, a quoted string, a field or a transformer, if there is one.
    fn transformer_item(&mut self) -> Parsed<Option<Term>> {
        let start = self.scanner.position();
        if let Some(number) = self.scanner.number() {
            let span = self.span_from(start);
            return Ok(Some(Term::Constant { text: number.into(), is_number: true, span }));
        }
        if let Some(text) = self.scanner.quoted()? {
            let span = self.span_from(start);
            return Ok(Some(Term::Constant { text, is_number: false, span }));
        }
        self.term()
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
            let message = format!("expected a valid check operator: one of {OPERATORS}");
            let help = help_for_operator(self.scanner.rest());
            return Err(SyntaxError { message, offset: self.scanner.position(), help });
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

    /// `val(field)` or a transformer, if one stands here.
    fn right_term(&mut self) -> Parsed<Option<Term>> {
        self.open()?;
        let start = self.scanner.position();
        let term = if self.scanner.eat("val(") {
            Some(self.val()?)
        } else if let Some(name) = self.transformer_name() {
            let head = self.transformer(name)?;
            Some(self.finish_term(head, start)?)
        } else {
            None
        };
        self.close();
        Ok(term)
    }

    /// What follows `val(`.
    fn val(&mut self) -> Parsed<Term> {
        self.scanner.blank();
        let start = self.scanner.position();
        let Some(name) = self.scanner.field_name() else {
            return self.scanner.error("expected a field within 'val' transformer");
        };
        let head = self.field(name)?;
        let field = self.finish_term(head, start)?;
        self.scanner.blank();
        if !self.scanner.eat(")") {
            return self.scanner.error("expected a ')' token closing the transformer");
        }
        if self.scanner.rest().starts_with('[') {
            return self
                .scanner
                .error("filter error: transformer 'val' does not support field arguments");
        }
        Ok(field)
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

fn help_for_operator(rest: &str) -> Option<String> {
    let word = &rest[..identifier_length(rest)];
    if word == "not" {
        return Some("`not` stands before the field: `not a.b in (…)`".to_owned());
    }
    let words = WORD_OPERATORS.iter().chain(&LIST_OPERATORS).map(|operator| operator.name());
    closest(word, words.chain(["exists"]))
        .map(|word| format!("a similar operator exists: `{word}`"))
}

/// Help where a condition should have ended after the token `last`.
fn help_after(last: &str, rest: &str) -> Option<String> {
    if rest.starts_with('(') {
        return closest(last, Transformer::ALL.map(Transformer::name))
            .filter(|name| *name != last)
            .map(|name| format!("a similar transformer exists: `{name}`"));
    }
    let word = rest[..identifier_length(rest)].to_ascii_lowercase();
    matches!(word.as_str(), "and" | "or" | "not")
        .then(|| format!("keywords are written in lower case: `{word}`"))
}
