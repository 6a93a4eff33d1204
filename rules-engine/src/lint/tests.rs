//! What `logic` says is held against every event of a small world.

use super::*;
use crate::field::tests::catalogue;
use crate::load::{Environment, RulesFile, Settings, load};
use crate::program::{Evaluator, EventInfo, Extract, FieldId, Program, Values};

/// Conditions that follow from each other, exclude each other, or have nothing to do with each other.
const CONDITIONS: [&str; 34] = [
    "t.s = a",
    "t.s = b",
    "t.s != a",
    "t.s in (a, b)",
    "t.s in (b, ab)",
    "t.s in ()",
    "t.s exists",
    "not t.s exists",
    "not t.s = a",
    "t.s startswith a",
    "t.s startswith ab",
    "t.s startswith \"\"",
    "t.s contains b",
    "t.s endswith b",
    "t.s = anyof (a, ab)",
    "t.s = oneof (a, b)",
    "t.s regex \"a.*\"",
    "t.u = 1",
    "t.u < 2",
    "t.u > 0",
    "t.u in (1, 2)",
    "t.ls in (a, b)",
    "t.ls in (a)",
    "t.ls intersects (a, b)",
    "t.ls intersects (a)",
    "t.net = 10.0.0.0/8",
    "t.net = 10.1.0.0/16",
    "t.net = 10.1.2.3/32",
    "t.net != 10.0.0.0/8",
    "t.ip = 10.1.2.3",
    "t.ip != 10.9.9.9",
    "t.ip in (10.1.2.3, 10.9.9.9)",
    "t.s = val(t.s)",
    "len(t.s) = 1",
];

/// The values of the fields by name.
type Event = Vec<(&'static str, Vec<&'static str>)>;

struct World<'p> {
    program: &'p Program,
    names: Vec<String>,
    event: Event,
}

impl Extract for World<'_> {
    fn extract(&mut self, field: FieldId, values: &mut Values<'_>) {
        let name = &self.names[self.program.fields()[field.index()].field];
        let found = self.event.iter().find(|(known, _)| known == name);
        for value in found.into_iter().flat_map(|(_, values)| values) {
            values.push_string(value.as_bytes());
            if let Ok(number) = value.parse() {
                values.push_number(number);
            }
            if let Ok(address) = value.parse::<std::net::Ipv4Addr>() {
                values.push_address(&address.octets());
            }
        }
    }

    fn plugin_info(&mut self) -> Option<String> {
        None
    }
}

fn events() -> Vec<Event> {
    let mut events = Vec::new();
    for text in [vec![], vec!["a"], vec!["b"], vec!["ab"], vec!["c"], vec![""]] {
        for number in [vec![], vec!["0"], vec!["1"], vec!["2"], vec!["3"]] {
            for address in [vec![], vec!["10.1.2.3"], vec!["10.9.9.9"], vec!["192.0.2.1"]] {
                for list in [vec![], vec!["a"], vec!["a", "b"], vec!["a", "c"], vec!["c"]] {
                    events.push(vec![
                        ("t.s", text.clone()),
                        ("t.u", number.clone()),
                        ("t.ip", address.clone()),
                        ("t.net", address.clone()),
                        ("t.ls", list),
                    ]);
                }
            }
        }
    }
    events
}

#[test]
fn what_follows_from_a_condition_is_so_for_every_event() {
    let mut conditions: Vec<String> = CONDITIONS.iter().map(|text| (*text).to_owned()).collect();
    for (one, other) in
        [(0, 6), (3, 9), (4, 12), (17, 20), (8, 6), (22, 23), (2, 10), (0, 4), (1, 9)]
    {
        conditions.push(format!("{} and {}", CONDITIONS[one], CONDITIONS[other]));
        conditions.push(format!("{} or {}", CONDITIONS[one], CONDITIONS[other]));
        conditions.push(format!("not ({} and {})", CONDITIONS[one], CONDITIONS[other]));
    }
    let mut rules = String::new();
    for (number, condition) in conditions.iter().enumerate() {
        let condition = condition.replace('\'', "''");
        rules += &format!(
            "- {{rule: r{number}, desc: d, condition: '{condition}', output: o, priority: NOTICE, source: s}}\n"
        );
    }
    let source = EventSource { name: "s".to_owned(), fields: catalogue() };
    let environment = Environment { sources: vec![source.clone()], plugins: Vec::new() };
    let file = RulesFile { name: "r".to_owned(), content: rules.into_bytes() };
    let loaded = load(vec![file], &environment, &Settings::default());
    let ruleset = loaded.ruleset.unwrap_or_else(|| panic!("{}", loaded.reports[0].render(false)));
    let anatomy = ruleset.anatomy(&source);
    let names: Vec<String> =
        source.fields.classes[2].fields.iter().map(|field| field.name.clone()).collect();
    let mut evaluator = Evaluator::new();
    let truths: Vec<Vec<bool>> = events()
        .into_iter()
        .map(|event| {
            let info = EventInfo {
                number: 1,
                timestamp_ns: 0,
                first_timestamp_ns: 0,
                source: "s",
                plugin_name: None,
                hostname: "",
                async_name: None,
                utc_offset_s: 0,
            };
            let mut world = World { program: anatomy.program(), names: names.clone(), event };
            let mut detections = Vec::new();
            evaluator.evaluate(anatomy.program(), &info, &mut world, &mut detections);
            let verdicts = anatomy.verdicts(detections);
            anatomy.rules.iter().map(|rule| rule.condition.holds(&verdicts)).collect()
        })
        .collect();
    let logic = Logic::new(&anatomy);
    let (mut implied, mut contradictions) = (0, 0);
    for (one, first) in anatomy.rules.iter().enumerate() {
        for (other, second) in anatomy.rules.iter().enumerate() {
            if logic.implies(Literal::of(&first.condition), Literal::of(&second.condition)) {
                implied += usize::from(one != other);
                let is_so = truths.iter().all(|truth| !truth[one] || truth[other]);
                assert!(is_so, "{} implies {}", conditions[one], conditions[other]);
            }
        }
        if logic.contradiction(Literal::of(&first.condition)).is_some() {
            contradictions += 1;
            assert!(truths.iter().all(|truth| !truth[one]), "{} never holds", conditions[one]);
        }
    }
    // The search leaves out no pair that comparing all finds.
    let fits = |rule: &&RuleAnatomy| logic.contradiction(Literal::of(&rule.condition)).is_none();
    let fitting: Vec<_> = anatomy.rules.iter().filter(fits).collect();
    let mut shadowed = Vec::new();
    for (position, &rule) in fitting.iter().enumerate() {
        let whole = Literal::of(&rule.condition);
        let mut earlier = fitting[..position].iter();
        let first = earlier.find(|other| logic.implies(whole, Literal::of(&other.condition)));
        shadowed.extend(first.map(|first| (&rule.rule.name, &first.rule.name)));
    }
    let pairs = shadow::shadowed(&anatomy, &fitting).into_iter();
    let pairs: Vec<_> = pairs.map(|(rule, first)| (&rule.rule.name, &first.rule.name)).collect();
    assert_eq!(pairs, shadowed);
    assert!(shadowed.len() > 20, "{shadowed:?}");
    // What is plain to see is seen.
    assert!(implied > 150, "{implied}");
    assert!(contradictions >= 3, "{contradictions}");
}
