//! Time and memory to load rules files of different sizes: text in, one program out.
//!
//! ```sh
//! cargo bench -p rules-engine --bench load
//! cargo bench -p rules-engine --bench load -- memory  # without the times
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

mod many_rules;

use std::hint::black_box;
use std::process::Command;
use std::{env, fs};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group};
use rules_engine::{
    ArgumentRule, Environment, EventSource, FieldCatalogue, FieldClass, FieldDefinition, FieldType,
    Provider, RulesFile, Settings, generic_class, load,
};

const SOURCE: &str = "k8s_audit";
const COUNTS: [usize; 6] = [48, 100, 300, 1_000, 3_000, 10_000];
/// With this in the environment the bench only measures one load.
const MEASURE: &str = "SHIKRA_BENCH_MEASURE_LOAD";

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

fn file(count: usize) -> RulesFile {
    RulesFile { name: "bench.yaml".to_owned(), content: many_rules::rules(count).into_bytes() }
}

fn load_rules(criterion: &mut Criterion) {
    let environment = environment();
    let settings = Settings::default();
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    for count in COUNTS {
        let file = file(count);
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

/// Loads so many rules, once, and prints how much memory this process has had at most, in KiB.
fn measure_memory(count: usize) {
    let loaded = load(vec![file(count)], &environment(), &Settings::default());
    let loaded = loaded.ruleset.expect("the rules of the bench are right");
    assert_eq!(loaded.rules().len(), count);
    let status = fs::read_to_string("/proc/self/status").expect("the bench runs on Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    println!("{}", peak.expect("Linux tells it").trim());
}

/// In processes of their own, because what one has freed stays with it.
fn print_memory() {
    let peak = |count: usize| -> f64 {
        let this = env::current_exe().expect("the bench is a file");
        let output = Command::new(this).env(MEASURE, count.to_string()).output();
        let output = output.expect("the bench can be run again").stdout;
        let text = String::from_utf8(output).expect("a number is text");
        text.trim().parse::<f64>().expect("the bench prints a number") / 1024.0
    };
    let without_rules = peak(0);
    for count in COUNTS {
        let taken = peak(count) - without_rules;
        let text = file(count).content.len() as f64 / f64::from(1 << 20);
        println!("memory/{count:<6} at most {taken:5.1} MiB for a file of {text:.1} MiB");
    }
}

criterion_group!(benches, load_rules);

fn main() {
    if let Ok(count) = env::var(MEASURE) {
        return measure_memory(count.parse().expect("a number of rules"));
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    print_memory();
}
