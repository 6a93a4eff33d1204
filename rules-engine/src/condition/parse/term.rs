//! Fields and transformers, on either side of an operator and in outputs.

use crate::condition::ast::{Span, Term, Transformer};
use crate::condition::parse::{Parsed, Parser};

/// Parses the field or transformer that `text` starts with: with its argument, if it has one, and
/// then without. The number is how many bytes it takes.
pub(in crate::condition) fn parse_output_terms(text: &str, max_depth: usize) -> Vec<(Term, usize)> {
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

impl Parser<'_> {
    /// A field or a transformer, if there is one.
    pub(super) fn term(&mut self) -> Parsed<Option<Term>> {
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

    /// `val(field)` or a transformer, if one stands here.
    pub(super) fn right_term(&mut self) -> Parsed<Option<Term>> {
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
}
