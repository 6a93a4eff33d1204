//! How the conditions of rules are made up, and what each part says of an event.
//!
//! A [`Program`] has no macros and exceptions any more, and evaluates no more than it must. Here every
//! comparison becomes two rules of a program of its own, one that matches where the comparison holds and one
//! that matches where it does not. So each is answered for every event, by the same code that decides about alerts.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::condition::ast::{Ast, Check, Span};
use crate::condition::typed::{Comparison, Expression, Test, TypedAst};
use crate::condition::{check, parse};
use crate::detection::{Detection, OutputValue, RuleInfo};
use crate::field::FieldCatalogue;
use crate::load::{EventSource, RuleMatching, Ruleset};
use crate::output::{ExtraValue, OutputTemplate, Piece};
use crate::priority::Priority;
use crate::program::{Program, RuleToCompile};
use crate::ruleset::{Definitions, Lists, MAX_CONDITION_DEPTH, Rule, exception_condition};
use crate::text::{FileSpan, TracedText};

const LEFT: &str = "left";
const RIGHT: &str = "right";

/// The rules of one event source, taken apart.
#[derive(Debug)]
pub struct Anatomy {
    /// In load order, those that are switched off too.
    pub rules: Vec<RuleAnatomy>,
    /// By their numbers.
    pub(crate) comparisons: Vec<TypedAst>,
    program: Arc<Program>,
}

/// A rule, taken apart.
#[derive(Debug)]
pub struct RuleAnatomy {
    /// The rule.
    pub rule: Arc<RuleInfo>,
    /// What it is for, as its author describes it.
    pub description: String,
    /// Where the rule begins.
    pub place: Place,
    /// Its condition and its exceptions.
    pub condition: Part,
}

/// Where something stands in a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name as it was given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
}

/// A condition or a part of one.
#[derive(Debug)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Where it stands, if it stands in one place.
    pub place: Option<Place>,
}

/// What a [`Part`] is.
#[derive(Debug)]
pub enum PartKind {
    /// All must hold.
    And(Vec<Part>),
    /// One must hold.
    Or(Vec<Part>),
    /// It must not hold.
    Not(Box<Part>),
    /// A macro by name, and what it stands for.
    Macro(String, Box<Part>),
    /// An exception by name, and what it stands for. It is always in a [`PartKind::Not`].
    Exception(String, Box<Part>),
    /// A comparison: its number, which equal ones share, and its text.
    Comparison(usize, String),
}

/// What a comparison says of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Whether it holds.
    pub holds: bool,
    /// The value of its left side.
    pub left: OutputValue,
    /// The value of its right side, if that is a field too.
    pub right: Option<OutputValue>,
}

impl Ruleset {
    /// Takes the rules of an event source apart. `source` must be the one that the rules were loaded with.
    pub fn anatomy(&self, source: &EventSource) -> Anatomy {
        let lists = Lists::new(&self.definitions);
        let mut dissection = Dissection {
            definitions: &self.definitions,
            lists,
            catalogue: &source.fields,
            comparisons: FxHashMap::default(),
            probes: Vec::new(),
        };
        let mut rules = Vec::new();
        for info in self.rules().filter(|info| info.source == source.name) {
            let rule = self.definitions.rules.get(&info.name).expect("a loaded rule is defined");
            // Only limits on what is spliced in can be met here a second time.
            let Some(condition) = dissection.rule(rule) else { continue };
            let span = rule.context.span();
            let place = Place::of(&FileSpan { file: Arc::clone(rule.context.file()), span });
            let description = rule.description.trim().to_owned();
            rules.push(RuleAnatomy { rule: Arc::clone(info), description, place, condition });
        }
        let mut numbered: Vec<_> = dissection.comparisons.into_iter().collect();
        numbered.sort_by_key(|(_, number)| *number);
        let comparisons = numbered.into_iter().map(|(comparison, _)| comparison).collect();
        let probes = dissection.probes;
        let program = Program::compile(&source.name, probes, RuleMatching::All, &source.fields);
        Anatomy { rules, comparisons, program: Arc::new(program) }
    }
}

impl Anatomy {
    /// The program whose detections [`Self::verdicts`] reads.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// A rule by name.
    pub fn rule(&self, name: &str) -> Option<&RuleAnatomy> {
        self.rules.iter().find(|rule| rule.rule.name == name)
    }

    /// What every comparison says of an event, by its number.
    ///
    /// # Panics
    ///
    /// When the detections are not those of [`Self::program`] for one event.
    pub fn verdicts(&self, detections: Vec<Detection>) -> Vec<Verdict> {
        assert_eq!(detections.len(), self.comparisons.len(), "a comparison holds or it does not");
        let mut verdicts: Vec<(usize, Verdict)> = Vec::with_capacity(detections.len());
        for detection in detections {
            let position = detection.rule.position;
            let mut sides = [None, None];
            for (name, value) in detection.fields {
                match &*name {
                    LEFT => sides[0] = Some(value),
                    RIGHT => sides[1] = Some(value),
                    _ => {}
                }
            }
            let [left, right] = sides;
            let left = left.unwrap_or(OutputValue::Missing);
            verdicts.push((position / 2, Verdict { holds: position % 2 == 1, left, right }));
        }
        verdicts.sort_by_key(|(number, _)| *number);
        verdicts.into_iter().map(|(_, verdict)| verdict).collect()
    }
}

impl Part {
    /// Whether it holds, as the comparisons in it do.
    pub fn holds(&self, verdicts: &[Verdict]) -> bool {
        match &self.kind {
            PartKind::And(parts) => parts.iter().all(|part| part.holds(verdicts)),
            PartKind::Or(parts) => parts.iter().any(|part| part.holds(verdicts)),
            PartKind::Not(part) => !part.holds(verdicts),
            PartKind::Macro(_, part) | PartKind::Exception(_, part) => part.holds(verdicts),
            PartKind::Comparison(number, _) => verdicts[*number].holds,
        }
    }

    /// A word for it in messages: the name of a macro, or a comparison, cut if it is long.
    pub fn short_text(&self) -> String {
        const LONGEST: usize = 60;
        let text = match &self.kind {
            PartKind::And(_) => "… and …".to_owned(),
            PartKind::Or(_) => "… or …".to_owned(),
            PartKind::Not(inner) => format!("not {}", inner.short_text()),
            PartKind::Macro(name, _) | PartKind::Exception(name, _) => name.clone(),
            PartKind::Comparison(_, text) => text.clone(),
        };
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }

    /// The parts that it consists of.
    pub fn children(&self) -> &[Part] {
        match &self.kind {
            PartKind::And(parts) | PartKind::Or(parts) => parts,
            PartKind::Not(part) | PartKind::Macro(_, part) | PartKind::Exception(_, part) => {
                std::slice::from_ref(part)
            }
            PartKind::Comparison(..) => &[],
        }
    }
}

impl Place {
    pub(crate) fn of(span: &FileSpan) -> Place {
        let (line, column) = span.file.line_column(span.span.start);
        Place { file: span.file.name().to_owned(), line: line + 1, column: column + 1 }
    }
}

struct Dissection<'a> {
    definitions: &'a Definitions,
    lists: Lists,
    catalogue: &'a FieldCatalogue,
    /// The number of each comparison.
    comparisons: FxHashMap<TypedAst, usize>,
    probes: Vec<RuleToCompile>,
}

impl Dissection<'_> {
    /// `None` for a rule with errors; a loaded rule has none.
    fn rule(&mut self, rule: &Rule) -> Option<Part> {
        let condition = self.text(&rule.condition)?;
        let mut parts = Vec::new();
        for exception in rule.exceptions.iter().filter(|exception| !exception.values.is_empty()) {
            let text = exception_condition(exception).ok()?;
            let inner = self.text(&text)?;
            let span = exception.context.span();
            let file = Arc::clone(exception.context.file());
            let place = Some(Place::of(&FileSpan { file, span }));
            let kind = PartKind::Exception(exception.name.clone(), Box::new(inner));
            let named = Part { kind, place: place.clone() };
            parts.push(Part { kind: PartKind::Not(Box::new(named)), place });
        }
        if parts.is_empty() {
            return Some(condition);
        }
        let place = condition.place.clone();
        let kind = match condition.kind {
            PartKind::And(mut all) => {
                all.append(&mut parts);
                PartKind::And(all)
            }
            kind => {
                parts.insert(0, Part { kind, place: place.clone() });
                PartKind::And(parts)
            }
        };
        Some(Part { kind, place })
    }

    fn text(&mut self, text: &TracedText) -> Option<Part> {
        let (text, _) = self.lists.substitute(text).ok()?;
        let ast = parse(text.as_str(), MAX_CONDITION_DEPTH).ok()?;
        self.part(&ast, &text)
    }

    fn part(&mut self, ast: &Ast, text: &TracedText) -> Option<Part> {
        let mut all = |children: &[Ast]| -> Option<Vec<Part>> {
            children.iter().map(|child| self.part(child, text)).collect()
        };
        let place = |span: Span| text.locate(span).as_ref().map(Place::of);
        Some(match ast {
            Ast::And(children) => {
                let parts = all(children)?;
                Part { place: parts[0].place.clone(), kind: PartKind::And(parts) }
            }
            Ast::Or(children) => {
                let parts = all(children)?;
                Part { place: parts[0].place.clone(), kind: PartKind::Or(parts) }
            }
            Ast::Not(child) => {
                let part = self.part(child, text)?;
                Part { place: part.place.clone(), kind: PartKind::Not(Box::new(part)) }
            }
            Ast::Macro { name, span } => {
                let definition = self.definitions.macros.get(name)?;
                let part = self.text(&definition.condition)?;
                Part { kind: PartKind::Macro(name.clone(), Box::new(part)), place: place(*span) }
            }
            Ast::Check(one) => Part { kind: self.comparison(ast, one)?, place: place(one.span) },
        })
    }

    fn comparison(&mut self, ast: &Ast, one: &Check) -> Option<PartKind> {
        let typed = check(ast, self.catalogue).ok()?;
        let text = Ast::Check(Box::new(one.clone())).to_string();
        if let Some(number) = self.comparisons.get(&typed) {
            return Some(PartKind::Comparison(*number, text));
        }
        let number = self.comparisons.len();
        self.comparisons.insert(typed.clone(), number);
        self.probes.push(probe(2 * number + 1, typed.clone(), &typed));
        self.probes.push(probe(2 * number, TypedAst::Not(Box::new(typed.clone())), &typed));
        Some(PartKind::Comparison(number, text))
    }
}

/// A rule that tells the values of a comparison where `condition` holds.
fn probe(position: usize, condition: TypedAst, comparison: &TypedAst) -> RuleToCompile {
    let mut extra_fields = Vec::new();
    if let TypedAst::Check(Comparison { left, test }) = comparison {
        extra_fields.push((LEFT.to_owned(), value(left)));
        if let Test::Expression { right, .. } = test {
            extra_fields.push((RIGHT.to_owned(), value(right)));
        }
    }
    let info = RuleInfo {
        name: String::new(),
        priority: Priority::Debug,
        source: String::new(),
        tags: Arc::default(),
        position,
    };
    let output = OutputTemplate { pieces: Vec::new() };
    RuleToCompile { info: Arc::new(info), condition, output, extra_fields }
}

fn value(expression: &Expression) -> ExtraValue {
    match expression {
        Expression::Field(field) => ExtraValue::Field(field.clone()),
        other => {
            let piece = Piece::Expression { expression: other.clone(), width: None };
            ExtraValue::Text(OutputTemplate { pieces: vec![piece] })
        }
    }
}
