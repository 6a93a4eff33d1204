//! Time for one event against programs of different sizes, with values at hand: the engine alone.
//!
//! The rules are of the kind that grows with an organisation: most name a namespace or a user that
//! no event has. One event in fifty matches.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rules_engine::{
    ArgumentRule, Environment, Evaluator, EventInfo, EventSource, Extract, FieldCatalogue,
    FieldClass, FieldDefinition, FieldId, FieldType, Program, Provider, RulesFile, Settings,
    Values, generic_class, load,
};

const SOURCE: &str = "k8s_audit";

/// Name, and whether it is a list. `jevt.value` takes an argument.
const FIELDS: [(&str, bool); 10] = [
    ("ka.verb", false),
    ("ka.target.resource", false),
    ("ka.target.subresource", false),
    ("ka.target.namespace", false),
    ("ka.target.name", false),
    ("ka.user.name", false),
    ("ka.useragent", false),
    ("ka.response.code", false),
    ("ka.req.pod.volumes.hostpath", true),
    ("jevt.value", false),
];

const MACROS: &str = "
- macro: kevt
  condition: (jevt.value[/stage] in (ResponseComplete))
- macro: kcreate
  condition: ka.verb=create
- macro: kmodify
  condition: (ka.verb in (create, update, patch))
- macro: pod
  condition: ka.target.resource=pods and not ka.target.subresource exists
- macro: response_successful
  condition: (ka.response.code startswith 2)
";

/// Conditions of rules; `N` is the rule's number.
const CONDITIONS: [&str; 6] = [
    "kevt and pod and kcreate and ka.target.namespace=team-N \
     and ka.req.pod.volumes.hostpath intersects (/, /etc, /lib/N)",
    "kevt and ka.target.resource=secrets and ka.verb in (get, list, watch) \
     and ka.target.namespace=team-N and not ka.user.name in (a-N, b-N, c-N)",
    "kevt and ka.target.resource=configmaps and kmodify and ka.target.namespace=team-N \
     and ka.target.name=app-N and response_successful",
    "kevt and ka.user.name=\"person-N@corp.example\" and kmodify",
    "kevt and ka.target.namespace=team-N and ka.useragent startswith \"curl/\"",
    "kevt and ka.verb=delete and ka.target.resource in (deployments, statefulsets, daemonsets) \
     and ka.target.namespace=team-N and response_successful",
];

fn rules(count: usize) -> String {
    let mut text = MACROS.to_owned();
    for number in 0..count {
        let condition = CONDITIONS[number % CONDITIONS.len()].replace('N', &number.to_string());
        text.push_str(&format!(
            "- rule: rule {number}
  desc: d
  condition: {condition}
  source: {SOURCE}
  priority: INFO
  output: something (user=%ka.user.name verb=%ka.verb ns=%ka.target.namespace)
"
        ));
    }
    text
}

fn compile(rules: &str) -> Arc<Program> {
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
    let plugin = FieldClass {
        name: "k8saudit (plugin)".to_owned(),
        description: String::new(),
        provider: Provider::Plugin(0),
        fields: fields.into(),
    };
    let catalogue =
        FieldCatalogue { classes: vec![generic_class(), plugin], static_values: Vec::new() };
    let environment = Environment {
        sources: vec![EventSource { name: SOURCE.to_owned(), fields: catalogue }],
        plugins: Vec::new(),
    };
    let file = RulesFile { name: "bench.yaml".to_owned(), content: rules.as_bytes().to_vec() };
    let loaded = load(vec![file], &environment, &Settings::default());
    let ruleset = loaded.ruleset.expect("the rules of the bench are right");
    ruleset.program(SOURCE).expect("the bench has rules for this source")
}

/// Values by field, in the order of [`FIELDS`]; empty means missing.
type Event = [String; FIELDS.len()];

/// Mostly reads, as an API server logs them. Every fiftieth matches a rule.
fn events() -> Vec<Event> {
    let verbs =
        ["get", "get", "get", "get", "list", "watch", "update", "create", "patch", "delete"];
    let resources =
        ["pods", "secrets", "configmaps", "leases", "nodes", "deployments", "endpoints"];
    (0..1_000usize)
        .map(|number| {
            let field = |name: &str| match name {
                "ka.verb" => verbs[number * 7 % verbs.len()].to_owned(),
                "ka.target.resource" => resources[number * 3 % resources.len()].to_owned(),
                "ka.target.namespace" if number % 50 == 0 => "team-4".to_owned(),
                "ka.useragent" if number % 50 == 0 => "curl/8.5.0".to_owned(),
                "ka.target.namespace" => "kube-system".to_owned(),
                "ka.target.name" => format!("name-{number}"),
                "ka.user.name" => {
                    format!("system:serviceaccount:kube-system:account-{}", number % 20)
                }
                "ka.useragent" => "kube-controller-manager/v1.31.0 (linux/amd64)".to_owned(),
                "ka.response.code" => "200".to_owned(),
                "jevt.value" => "ResponseComplete".to_owned(),
                _ => String::new(),
            };
            FIELDS.map(|(name, _)| field(name))
        })
        .collect()
}

struct ExtractFromMemory<'a> {
    program: &'a Program,
    event: &'a Event,
}

impl Extract for ExtractFromMemory<'_> {
    fn extract(&mut self, field: FieldId, values: &mut Values<'_>) {
        let value = &self.event[self.program.fields()[field.index()].field];
        if !value.is_empty() {
            values.push_string(value.as_bytes());
        }
    }

    fn plugin_info(&mut self) -> Option<String> {
        None
    }
}

/// Evaluates all events and counts detections.
fn evaluate_all(evaluator: &mut Evaluator, program: &Program, events: &[Event]) -> usize {
    let mut detections = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let info = EventInfo {
            number: number as u64 + 1,
            timestamp_ns: 1_700_000_000_000_000_000,
            first_timestamp_ns: 1_700_000_000_000_000_000,
            source: SOURCE,
            plugin_name: Some("k8saudit"),
            hostname: "host",
            async_name: None,
            utc_offset_s: 0,
        };
        let mut extract = ExtractFromMemory { program, event };
        evaluator.evaluate(program, &info, &mut extract, &mut detections);
    }
    detections.len()
}

fn evaluate(criterion: &mut Criterion) {
    let events = events();
    let mut group = criterion.benchmark_group("evaluate");
    group.throughput(Throughput::Elements(events.len() as u64));
    for count in [48, 100, 300, 1_000, 3_000, 10_000] {
        let program = compile(&rules(count));
        let mut evaluator = Evaluator::new();
        assert_eq!(evaluate_all(&mut evaluator, &program, &events), events.len() / 50);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| black_box(evaluate_all(&mut evaluator, &program, &events)));
        });
    }
    group.finish();
}

/// What a match costs beyond its evaluation: the same rule on the same events with outputs of different lengths.
fn format(criterion: &mut Criterion) {
    let events = events();
    let mut group = criterion.benchmark_group("format");
    group.throughput(Throughput::Elements(events.len() as u64));
    for (name, output) in [
        ("no field", "something"),
        ("three fields", "something (user=%ka.user.name verb=%ka.verb ns=%ka.target.namespace)"),
    ] {
        let rule = format!(
            "- {{rule: r, desc: d, condition: ka.verb exists, source: {SOURCE}, priority: INFO, output: '{output}'}}\n"
        );
        let program = compile(&rule);
        let mut evaluator = Evaluator::new();
        assert_eq!(evaluate_all(&mut evaluator, &program, &events), events.len());
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(evaluate_all(&mut evaluator, &program, &events)));
        });
    }
    group.finish();
}

/// One predicate in each form that it could have. Denied, since no index can answer then; no event has any of the values.
fn operands(criterion: &mut Criterion) {
    let events = events();
    let mut group = criterion.benchmark_group("operands");
    group.throughput(Throughput::Elements(events.len() as u64));
    for count in [1, 4, 16, 256] {
        let each = |form: &str| -> Vec<String> {
            (0..count).map(|n| form.replace('N', &n.to_string())).collect()
        };
        let mut forms = vec![
            ("in", format!("ka.user.name in ({})", each("someone-N").join(", "))),
            ("or of =", each("ka.user.name = someone-N").join(" or ")),
            ("pmatch", format!("ka.user.name pmatch ({})", each("/home/N").join(", "))),
            ("or of startswith", each("ka.user.name startswith /home/N").join(" or ")),
            ("or of contains", each("ka.useragent contains scanner-N").join(" or ")),
        ];
        // A pattern has at most 255 bytes.
        if count <= 16 {
            let words = each("scanner-N").join("|");
            forms.push(("one regex", format!("ka.useragent regex \".*({words}).*\"")));
        }
        for (name, condition) in forms {
            let program = compile(&format!(
                "- {{rule: r, desc: d, condition: 'not ({condition})', source: {SOURCE}, priority: INFO, output: o}}\n"
            ));
            let mut evaluator = Evaluator::new();
            assert_eq!(evaluate_all(&mut evaluator, &program, &events), events.len());
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| black_box(evaluate_all(&mut evaluator, &program, &events)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, evaluate, format, operands);
criterion_main!(benches);
