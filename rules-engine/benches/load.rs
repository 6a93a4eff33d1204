//! Time to load rules files of different sizes: text in, one program out.
//!
//! The rules are of the kind that grows with an organisation: one for each namespace and concern, on top of
//! common macros.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rules_engine::{
    ArgumentRule, Environment, EventSource, FieldCatalogue, FieldClass, FieldDefinition, FieldType,
    Provider, RulesFile, Settings, generic_class, load,
};

const SOURCE: &str = "k8s_audit";

/// Name, and whether it is a list. `jevt.value` takes an argument.
const FIELDS: [(&str, bool); 9] = [
    ("ka.verb", false),
    ("ka.target.resource", false),
    ("ka.target.subresource", false),
    ("ka.target.namespace", false),
    ("ka.target.name", false),
    ("ka.user.name", false),
    ("ka.response.code", false),
    ("ka.req.pod.containers.image", true),
    ("jevt.value", false),
];

const MACROS: &str = "
- list: write_verbs
  items: [create, update, patch, delete]
- macro: finished
  condition: (jevt.value[/stage] = ResponseComplete)
- macro: succeeded
  condition: (finished and ka.response.code startswith 2)
- macro: writes
  condition: (succeeded and ka.verb in (write_verbs))
- macro: pod
  condition: (ka.target.resource = pods and not ka.target.subresource exists)
";

/// What rules ask for; `N` is the rule's number.
const CONDITIONS: [&str; 4] = [
    "writes and pod and ka.target.namespace = team-N
    and not ka.req.pod.containers.image intersects (registry.example.com/team-N/api,
    registry.example.com/team-N/worker)",
    "finished and ka.target.resource = secrets and ka.verb in (get, list, watch)
    and ka.target.namespace = team-N and not ka.user.name in (vault-N, \"backup of N\")",
    "writes and ka.target.resource = configmaps and ka.target.namespace = team-N
    and ka.target.name startswith app-N",
    "writes and ka.user.name = \"person-N@example.com\"",
];

fn rules(count: usize) -> RulesFile {
    let mut text = MACROS.to_owned();
    for number in 0..count {
        let condition = CONDITIONS[number % CONDITIONS.len()].replace('N', &number.to_string());
        text.push_str(&format!(
            "
- rule: Concern {number} of an organisation
  desc: >
    What is watched for team {number}, and whom to call when it happens.
  condition: >
    {condition}
  output: Concern {number} (user=%ka.user.name verb=%ka.verb name=%ka.target.name ns=%ka.target.namespace)
  priority: WARNING
  source: {SOURCE}
  tags: [k8s, team_{number}]
"
        ));
    }
    RulesFile { name: "bench.yaml".to_owned(), content: text.into_bytes() }
}

fn environment() -> Environment {
    let fields = FIELDS.map(|(name, is_list)| FieldDefinition {
        name: name.to_owned(),
        kind: FieldType::String,
        is_list,
        argument: (name == "jevt.value").then_some(ArgumentRule {
            required: true,
            index: false,
            key: true,
        }),
        description: String::new(),
        hidden: false,
        suggested: false,
    });
    let class = FieldClass {
        name: "k8saudit (plugin)".to_owned(),
        description: String::new(),
        provider: Provider::Plugin(0),
        fields: fields.into(),
    };
    let catalogue =
        FieldCatalogue { classes: vec![generic_class(), class], static_values: Vec::new() };
    Environment {
        sources: vec![EventSource { name: SOURCE.to_owned(), fields: catalogue }],
        plugins: Vec::new(),
    }
}

fn load_rules(criterion: &mut Criterion) {
    let environment = environment();
    let settings = Settings::default();
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    for count in [48, 100, 300, 1_000, 3_000, 10_000] {
        let file = rules(count);
        let loaded = load(vec![file.clone()], &environment, &settings);
        let loaded = loaded.ruleset.expect("the rules of the bench are right");
        assert_eq!(loaded.rules().len(), count);
        drop(loaded);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let files = || vec![file.clone()];
            bencher.iter_batched(
                files,
                |files| black_box(load(files, &environment, &settings)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, load_rules);
criterion_main!(benches);
