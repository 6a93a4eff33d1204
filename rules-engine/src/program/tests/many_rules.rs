//! Ten thousand rules, of which the index leaves a few for each event: it finds what evaluating all of them finds.

use super::outline::compile;
use super::*;
use crate::load::RuleMatching;
use crate::program::RuleId;
use crate::program::index::{Demand, Index};

const RULES: usize = 10_000;
const EVENTS: usize = 100;

/// Shapes that look at different fields, demand one value, several or none, or look demanding and are not; `N` is a number.
const SHAPES: [&str; 10] = [
    "t.a = vN and t.b in (x, y, wN)",
    "t.a in (vN, v1, v2) and not t.c exists",
    "t.a = vN or t.b = wN",
    "not (t.a != vN or t.b != x)",
    "t.n = N and t.a exists",
    "t.n > N and t.b = x and t.c = uN",
    "not t.a = vN and t.n = N and t.c = u1",
    "t.ls intersects (lN, l1) and t.b = wN",
    "t.a = vN and t.a = wN",
    "t.b startswith wN and t.t = true and t.a = oneof (vN, v3)",
];

fn conditions() -> Vec<String> {
    let condition = |rule: usize| {
        let number = rule * 7 % 500;
        SHAPES[rule % SHAPES.len()].replace('N', &number.to_string())
    };
    (0..RULES).map(condition).collect()
}

/// Fields with values that some rules demand; every field is missing now and then.
fn event(number: usize) -> Fields {
    let value =
        |name: &str, most: usize, factor: usize| text(&format!("{name}{}", number * factor % most));
    let fields = [
        ("t.a", vec![value("v", 500, 13)], 7),
        ("t.b", vec![if number.is_multiple_of(3) { text("x") } else { value("w", 500, 11) }], 5),
        ("t.c", vec![value("u", 3, 1)], 2),
        ("t.n", vec![OwnedValue::Number((number * 17 % 500) as u64)], 11),
        ("t.t", vec![OwnedValue::Bool(number.is_multiple_of(2))], 13),
        ("t.ls", vec![value("l", 500, 3), text("l1")], 3),
    ];
    let is_there = |missing_every: usize| number % missing_every != missing_every - 1;
    let fields = fields.into_iter().filter(|(_, _, missing_every)| is_there(*missing_every));
    fields.map(|(name, values, _)| (name.to_owned(), values)).collect()
}

#[test]
fn ten_thousand_rules_find_the_same_with_and_without_an_index() {
    let conditions = conditions();
    let conditions: Vec<_> = conditions.iter().map(String::as_str).collect();
    let mut indexed = compile(&conditions);
    let mut plain = compile(&conditions);
    let demand_nothing = (0..RULES as u32).map(|rule| (RuleId(rule), Demand::default()));
    plain.index = Index::build(Vec::new(), &demand_nothing.collect::<Vec<_>>());
    let (mut with_index, mut without) = (Evaluator::new(), Evaluator::new());
    let (mut found, mut evaluated) = (0, 0);
    for matching in [RuleMatching::All, RuleMatching::First] {
        (indexed.matching, plain.matching) = (matching, matching);
        for number in 0..EVENTS {
            let event = event(number);
            let expected = evaluate(&mut without, &plain, &event);
            assert_eq!(evaluate(&mut with_index, &indexed, &event), expected, "{event:?}");
            found += expected.len();
        }
    }
    with_index.take_costs(|_, cost| evaluated += cost.evaluations as usize);
    // So that neither a test without matches nor an index that leaves all rules passes unnoticed.
    assert!(found > EVENTS * 10, "{found} detections");
    assert!(evaluated < EVENTS * 2 * RULES / 4, "{evaluated} evaluations");
}
