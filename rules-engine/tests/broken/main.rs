//! Rules files that are wrong in one place, as people really are, and the reports about them.
//!
//! Beside each `NN-name.yaml` stands `NN-name.txt`, what is shown on a terminal. It has to name the place
//! and the cure. `UPDATE_REPORTS=1 cargo test -p rules-engine --test broken` writes the reports anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use rules_engine::{
    ArgumentRule, Environment, EventSource, FieldCatalogue, FieldClass, FieldDefinition, FieldType,
    PluginVersion, Provider, RulesFile, Settings, generic_class, load,
};

const NO_ARGUMENT: Option<ArgumentRule> = None;
const INDEX: Option<ArgumentRule> = Some(ArgumentRule { required: false, index: true, key: false });
const KEY: Option<ArgumentRule> = Some(ArgumentRule { required: true, index: false, key: true });

/// Some fields of audit events: name, whether it is a list, argument.
const FIELDS: [(&str, bool, Option<ArgumentRule>); 14] = [
    ("ka.impuser.name", false, NO_ARGUMENT),
    ("ka.req.pod.containers.image", true, INDEX),
    ("ka.req.pod.containers.privileged", true, INDEX),
    ("ka.response.code", false, NO_ARGUMENT),
    ("ka.sourceips", true, INDEX),
    ("ka.target.name", false, NO_ARGUMENT),
    ("ka.target.namespace", false, NO_ARGUMENT),
    ("ka.target.resource", false, NO_ARGUMENT),
    ("ka.target.subresource", false, NO_ARGUMENT),
    ("ka.uri", false, NO_ARGUMENT),
    ("ka.uri.param", false, KEY),
    ("ka.user.groups", true, NO_ARGUMENT),
    ("ka.user.name", false, NO_ARGUMENT),
    ("ka.verb", false, NO_ARGUMENT),
];

fn environment() -> Environment {
    let fields = FIELDS.map(|(name, is_list, argument)| FieldDefinition {
        name: name.to_owned(),
        kind: FieldType::String,
        is_list,
        argument,
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
    let source = |name: &str, classes| EventSource {
        name: name.to_owned(),
        fields: FieldCatalogue { classes, static_values: Vec::new() },
    };
    Environment {
        sources: vec![
            source("syscall", vec![generic_class()]),
            source("k8s_audit", vec![generic_class(), class]),
        ],
        plugins: vec![PluginVersion { name: "k8saudit".to_owned(), version: "0.18.0".to_owned() }],
    }
}

fn report(path: &Path, environment: &Environment) -> String {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let file = RulesFile { name, content: fs::read(path).unwrap() };
    let settings = Settings { stop_at_first_error: false, ..Settings::default() };
    load(vec![file], environment, &settings).reports[0].render(false) + "\n"
}

#[test]
fn every_broken_file_has_the_report_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 40, "found only {} files", files.len());
    let environment = environment();
    let mut different = Vec::new();
    for path in files {
        let report = report(&path, &environment);
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE_REPORTS").is_some() {
            fs::write(&expected, report).unwrap();
        } else if fs::read_to_string(&expected).ok().as_ref() != Some(&report) {
            different.push(format!("{}\n{report}", expected.display()));
        }
    }
    assert!(different.is_empty(), "these reports changed:\n{}", different.join("\n"));
}
