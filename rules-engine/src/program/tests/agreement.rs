//! Random rules and events: a program finds what the naive walk finds, with and without its index.

use proptest::prelude::*;
use proptest::{collection, sample};

use super::*;
use crate::condition::ast::Modifier;
use crate::condition::typed::{Comparison, Test};
use crate::load::RuleMatching;
use crate::program::RuleId;
use crate::program::index::{Demand, Index};

/// Conditions compare the first ones of [`FIELDS`], but for the network.
const COMPARED: usize = 9;
const NETWORK: usize = 6;

fn field(index: usize) -> Expression {
    let (name, kind, is_list) = FIELDS[index];
    Expression::Field(FieldRef {
        class: 2,
        field: index,
        argument: None,
        kind,
        is_list,
        text: name.to_owned(),
    })
}

fn transformed(
    transformer: Transformer,
    arguments: Vec<Expression>,
    kind: FieldType,
    is_list: bool,
) -> Expression {
    Expression::Transformed(Box::new(Transformed {
        transformer,
        arguments,
        option: None,
        kind,
        is_list,
    }))
}

/// Plain fields mostly: these are what the index looks at.
fn any_left() -> impl Strategy<Value = Expression> {
    let text = FieldType::String;
    prop_oneof![
        8 => prop_oneof![0..NETWORK, NETWORK + 1..COMPARED].prop_map(field),
        1 => (0..3usize).prop_map(move |index| {
            transformed(Transformer::ToUpper, vec![field(index)], text, false)
        }),
        1 => Just(transformed(Transformer::ToUpper, vec![field(7)], text, true)),
        1 => Just(transformed(Transformer::Len, vec![field(7)], FieldType::Uint64, false)),
        1 => Just(transformed(
            Transformer::Join,
            vec![
                Expression::Constant(b"-".to_vec()),
                Expression::List(vec![field(0), Expression::Constant(b"x".to_vec()), field(1)]),
            ],
            text,
            false,
        )),
        1 => Just(transformed(Transformer::Concat, vec![field(0), field(1)], text, false)),
    ]
}

fn any_value(kind: FieldType) -> BoxedStrategy<OwnedValue> {
    match kind {
        FieldType::String => prop_oneof!["x", "y", "X", "", "xy", "x-x-y"]
            .prop_map(|text| OwnedValue::String(text.into_bytes()))
            .boxed(),
        FieldType::Bool => any::<bool>().prop_map(OwnedValue::Bool).boxed(),
        FieldType::IpAddr | FieldType::IpNet => {
            prop_oneof![Just(vec![1; 4]), Just(vec![2; 4]), Just(vec![1; 16])]
                .prop_map(OwnedValue::Address)
                .boxed()
        }
        _ => (0..4u64).prop_map(OwnedValue::Number).boxed(),
    }
}

fn any_constant(kind: FieldType) -> impl Strategy<Value = Constant> + Clone {
    any_value(kind).prop_map(|value| match value {
        OwnedValue::String(text) => Constant::Text(text),
        OwnedValue::Number(number) => Constant::Number(number),
        OwnedValue::Bool(truth) => Constant::Bool(truth),
        OwnedValue::Address(octets) => Constant::Address(match <[u8; 4]>::try_from(&octets[..]) {
            Ok(octets) => octets.into(),
            Err(_) => <[u8; 16]>::try_from(&octets[..]).unwrap().into(),
        }),
    })
}

fn any_comparison() -> impl Strategy<Value = Comparison> {
    any_left().prop_flat_map(|left| {
        let test = if left.is_list() { any_list_test(&left) } else { any_single_test(&left) };
        test.prop_map(move |test| Comparison { left: left.clone(), test })
    })
}

fn any_list_test(left: &Expression) -> BoxedStrategy<Test> {
    prop_oneof![Just(Test::Exists), any_set(left), any_set_of_values(left)].boxed()
}

/// Equality mostly: that is what the index looks at.
fn any_single_test(left: &Expression) -> BoxedStrategy<Test> {
    let constant = any_constant(naive::kind(left));
    let modifier = prop_oneof![Just(Modifier::OneOf), Just(Modifier::AnyOf), Just(Modifier::AllOf)];
    let modified = (any_operator(left), modifier, collection::vec(constant.clone(), 0..4));
    let modified = modified.prop_map(|(operator, modifier, constants)| Test::Modified {
        operator,
        modifier,
        constants,
    });
    let constant = (any_operator(left), constant)
        .prop_map(|(operator, constant)| Test::Constant { operator, constant });
    prop_oneof![
        1 => Just(Test::Exists),
        4 => constant,
        1 => modified,
        3 => any_set(left),
        1 => any_set_of_values(left),
    ]
    .boxed()
}

fn any_operator(left: &Expression) -> BoxedStrategy<Operator> {
    let equal = any::<bool>().prop_map(|doubled| Operator::Equal { doubled });
    let others = match naive::kind(left) {
        FieldType::String => {
            vec![Operator::NotEqual, Operator::Less, Operator::Contains, Operator::StartsWith]
        }
        FieldType::Uint64 => vec![Operator::NotEqual, Operator::Less],
        _ => vec![Operator::NotEqual],
    };
    prop_oneof![equal, sample::select(others)].boxed()
}

fn any_set(left: &Expression) -> impl Strategy<Value = Test> + use<> {
    (any_set_operator(), collection::vec(any_constant(naive::kind(left)), 0..4))
        .prop_map(|(operator, constants)| Test::Set { operator, constants })
}

/// The left side against itself: all that is sure to have its type.
fn any_set_of_values(left: &Expression) -> impl Strategy<Value = Test> + use<> {
    let right = left.clone();
    any_set_operator().prop_map(move |operator| Test::Expression { operator, right: right.clone() })
}

fn any_set_operator() -> impl Strategy<Value = Operator> {
    prop_oneof![Just(Operator::In), Just(Operator::Intersects)]
}

fn any_condition() -> impl Strategy<Value = TypedAst> {
    any_comparison().prop_map(TypedAst::Check).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            3 => collection::vec(inner.clone(), 1..4).prop_map(TypedAst::And),
            2 => collection::vec(inner.clone(), 1..4).prop_map(TypedAst::Or),
            1 => inner.prop_map(|inner| TypedAst::Not(Box::new(inner))),
        ]
    })
}

fn any_event() -> impl Strategy<Value = Fields> {
    let fields: Vec<_> = FIELDS[..COMPARED]
        .iter()
        .map(|(name, kind, is_list)| {
            let most = if *is_list { 3 } else { 1 };
            collection::vec(any_value(*kind), 0..=most)
                .prop_map(|values| ((*name).to_owned(), values))
        })
        .collect();
    fields.prop_map(|fields| fields.into_iter().filter(|(_, values)| !values.is_empty()).collect())
}

fn compile(conditions: &[TypedAst], matching: RuleMatching) -> Program {
    let catalogue = catalogue();
    let rules: Vec<_> = conditions
        .iter()
        .enumerate()
        .map(|(position, condition)| RuleToCompile {
            info: info(position),
            condition: condition.clone(),
            output: OutputTemplate { pieces: Vec::new() },
            extra_fields: Vec::new(),
        })
        .collect();
    Program::compile("test", rules, matching, &catalogue)
}

proptest! {
    // `PROPTEST_CASES` asks for more.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

    #[test]
    fn a_program_finds_what_the_naive_walk_finds(
        conditions in collection::vec(any_condition(), 1..16),
        events in collection::vec(any_event(), 1..6),
    ) {
        let all = compile(&conditions, RuleMatching::All);
        let first = compile(&conditions, RuleMatching::First);
        let mut without_index = compile(&conditions, RuleMatching::All);
        let rules = (0..conditions.len() as u32).map(RuleId);
        let demand_nothing: Vec<_> = rules.map(|rule| (rule, Demand::default())).collect();
        without_index.index = Index::build(Vec::new(), &demand_nothing);

        // One evaluator for all programs: what it keeps of one must not show in another.
        let mut evaluator = Evaluator::new();
        let mut found = |program: &Program, event: &Fields| -> Vec<usize> {
            let detections = evaluate(&mut evaluator, program, event);
            detections.iter().map(|detection| detection.rule.position).collect()
        };
        for event in &events {
            let matches = |rule: &usize| naive::holds(&conditions[*rule], event);
            let expected: Vec<_> = (0..conditions.len()).filter(matches).collect();
            prop_assert_eq!(&found(&all, event), &expected);
            prop_assert_eq!(&found(&first, event), &expected[..expected.len().min(1)]);
            prop_assert_eq!(&found(&without_index, event), &expected);
        }
    }
}
