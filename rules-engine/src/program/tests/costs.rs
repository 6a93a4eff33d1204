//! What rules are said to have cost.

use std::cell::Cell;
use std::time::Duration;

use super::outline::compile;
use super::*;

/// The index looks at `t.a`, which the first two rules demand a value of.
const CONDITIONS: [&str; 5] =
    ["t.a = x", "t.a = y", "t.a startswith x", "not t.a = z", "t.b = x and t.a exists"];

/// Evaluates an event for each value of `t.a`, by a clock that moves a second whenever it is asked; then prints rule,
/// evaluations, matches and seconds.
fn costs(values: &[&str]) -> String {
    let program = compile(&CONDITIONS);
    let mut evaluator = Evaluator::new();
    let seconds = Cell::new(0);
    let clock = || {
        seconds.set(seconds.get() + 1);
        Duration::from_secs(seconds.get())
    };
    for value in values {
        let event = Fields::from([("t.a".to_owned(), vec![text(value)])]);
        let mut extract = TestExtract { program: &program, event: &event, asked: Vec::new() };
        evaluator.evaluate_timed(&program, &EVENT, &mut extract, &clock, &mut Vec::new());
    }
    evaluate(&mut evaluator, &program, &Fields::new());
    let mut found = Vec::new();
    evaluator.take_costs(|rule, cost| {
        found.push(format!("{rule}: {} {} {:?}", cost.evaluations, cost.matches, cost.time));
    });
    evaluator.take_costs(|rule, cost| panic!("{rule} is taken twice: {cost:?}"));
    found.sort();
    found.join("\n")
}

#[test]
fn rules_cost_only_where_they_are_candidates() {
    insta::assert_snapshot!(costs(&["x", "x", "q"]), @r"
    0: 2 2 2s
    2: 4 2 3s
    3: 4 4 3s
    4: 4 0 3s
    ");
}
