//! What compiled programs share, and what their indices look at.

use std::fmt::Write;

use super::*;
use crate::condition;
use crate::load::RuleMatching;
use crate::program::expression::Origin;
use crate::program::index::IndexNode;
use crate::program::predicate::CompiledTest;
use crate::program::{Combination, ExpressionId, Node, NodeId};

pub(super) fn compile(conditions: &[&str]) -> Program {
    let catalogue = catalogue();
    let rules: Vec<_> = conditions
        .iter()
        .enumerate()
        .map(|(position, condition)| {
            let ast = condition::parse(condition, 1000).unwrap();
            RuleToCompile {
                info: info(position),
                condition: condition::check(&ast, &catalogue).unwrap(),
                output: OutputTemplate::parse("%t.a", &catalogue).unwrap(),
                extra_fields: Vec::new(),
            }
        })
        .collect();
    Program::compile("test", rules, RuleMatching::All, &catalogue)
}

/// Each node once, in the order of evaluation, then the tree of the index.
fn outline(program: &Program) -> String {
    let mut text = String::new();
    for (number, node) in program.nodes.iter().enumerate() {
        let join = |parts: &[NodeId], word| {
            let parts: Vec<_> = parts.iter().map(|part| format!("n{}", part.0)).collect();
            parts.join(word)
        };
        let shown = match node {
            Node::Predicate(predicate) => {
                let left = expression(program, predicate.left);
                match &predicate.test {
                    CompiledTest::Exists => format!("{left} exists"),
                    CompiledTest::Some(_) => format!("some value of {left} matches"),
                    CompiledTest::Every(_) => format!("every value of {left} matches"),
                    CompiledTest::Modified(modifier, matchers) => {
                        format!("{left} matches {modifier:?} {}", matchers.len())
                    }
                    CompiledTest::Expression(operator, right) => {
                        format!("{left} {operator:?} {}", expression(program, *right))
                    }
                }
            }
            Node::Combination(Combination::Not(inner)) => format!("not n{}", inner.0),
            Node::Combination(Combination::And(parts)) => join(parts, " and "),
            Node::Combination(Combination::Or(parts)) => join(parts, " or "),
        };
        writeln!(text, "n{number}: {shown}").unwrap();
    }
    for rule in &program.rules {
        writeln!(text, "{}: n{}", rule.info.name, rule.condition.0).unwrap();
    }
    outline_index(program, program.index.root(), 0, &mut text);
    text
}

fn outline_index(program: &Program, node: &IndexNode, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match node {
        IndexNode::Candidates(rules) => {
            let rules: Vec<_> =
                rules.iter().map(|id| program.rule(*id).info.name.as_str()).collect();
            writeln!(text, "{indent}-> {}", rules.join(", ")).unwrap();
        }
        IndexNode::Split { lookup, branches, others } => {
            let name = expression(program, program.index.lookups[lookup.index()].expression);
            let mut branches: Vec<_> = branches.iter().collect();
            branches.sort_by_key(|(symbol, _)| **symbol);
            for (symbol, branch) in branches {
                let key = program.index.lookups[lookup.index()].key(*symbol);
                writeln!(text, "{indent}{name} = {key}").unwrap();
                outline_index(program, program.index.node(*branch), depth + 1, text);
            }
            writeln!(text, "{indent}whatever {name} is").unwrap();
            outline_index(program, program.index.node(*others), depth + 1, text);
        }
    }
}

fn expression(program: &Program, id: ExpressionId) -> String {
    let list = |ids: &[ExpressionId]| {
        let items: Vec<_> = ids.iter().map(|id| expression(program, *id)).collect();
        items.join(", ")
    };
    match &program.expression(id).origin {
        Origin::Plugin(field) => FIELDS[program.fields()[field.index()].field].0.to_owned(),
        Origin::Generic(field) => format!("{field:?}"),
        Origin::Constant(text) => format!("{:?}", String::from_utf8_lossy(text)),
        Origin::List(items) => format!("({})", list(items)),
        Origin::Transformed(transform, arguments) => {
            format!("{:?}({})", transform.transformer, list(arguments))
        }
    }
}

#[test]
fn equal_parts_of_rules_are_shared() {
    let program = compile(&[
        "t.a = x and (t.b in (x, y) or not t.c exists)",
        "(t.b in (x, y) or not t.c exists) and t.a == x",
        "not not t.a = x and t.a = x",
        "not t.c exists and t.ls in (a) and t.ls intersects (a) and t.n = oneof (1, 2)",
        "t.a = val(t.b) and join(\"-\", (t.a, \"x\")) = x",
    ]);
    insta::assert_snapshot!(outline(&program), @r#"
    n0: some value of t.a matches
    n1: some value of t.b matches
    n2: t.c exists
    n3: not n2
    n4: n1 or n3
    n5: n0 and n4
    n6: every value of t.ls matches
    n7: some value of t.ls matches
    n8: t.n matches OneOf 2
    n9: n3 and n6 and n7 and n8
    n10: t.a Equal { doubled: false } t.b
    n11: some value of Join("-", (t.a, "x")) matches
    n12: n10 and n11
    rule 0: n5
    rule 1: n5
    rule 2: n0
    rule 3: n9
    rule 4: n12
    t.a = x
      -> rule 0, rule 1, rule 2
    whatever t.a is
      -> rule 3, rule 4
    "#);
}

#[test]
fn the_index_looks_at_what_tells_most_rules_apart() {
    let program = compile(&[
        "t.a = x and t.b = create and t.c = pods",
        "t.a = x and t.b in (create, update) and t.c = secrets",
        "t.a = x and t.b = delete and t.n = 1",
        "t.a = x and not t.b = get and t.c = pods",
        "t.a = x and (t.c = pods and t.b = get or t.c = nodes and t.b = list)",
        "t.a = x and (t.c = pods or t.b = get)",
        "t.t = true",
        "t.c = pods and t.c = nodes",
        "t.a in ()",
        "t.ls intersects (x)",
        "not t.a != x",
    ]);
    insta::assert_snapshot!(outline(&program), @r#"
    n0: some value of t.a matches
    n1: some value of t.b matches
    n2: some value of t.c matches
    n3: n0 and n1 and n2
    n4: some value of t.b matches
    n5: some value of t.c matches
    n6: n0 and n4 and n5
    n7: some value of t.b matches
    n8: some value of t.n matches
    n9: n0 and n7 and n8
    n10: some value of t.b matches
    n11: not n10
    n12: n0 and n2 and n11
    n13: n2 and n10
    n14: some value of t.c matches
    n15: some value of t.b matches
    n16: n14 and n15
    n17: n13 or n16
    n18: n0 and n17
    n19: n2 or n10
    n20: n0 and n19
    n21: some value of t.t matches
    n22: n2 and n14
    n23: some value of t.a matches
    n24: some value of t.ls matches
    n25: some value of t.a matches
    n26: not n25
    rule 0: n3
    rule 1: n6
    rule 2: n9
    rule 3: n12
    rule 4: n18
    rule 5: n20
    rule 6: n21
    rule 7: n22
    rule 8: n23
    rule 9: n24
    rule 10: n26
    t.a = x
      t.b = create
        -> rule 0, rule 1
      t.b = update
        -> rule 1
      t.b = delete
        -> rule 2
      t.b = get
        -> rule 4
      t.b = list
        -> rule 4
      whatever t.b is
        -> rule 3, rule 5
    whatever t.a is
      -> rule 6, rule 9, rule 10
    "#);
}
