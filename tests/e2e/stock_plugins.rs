//! Stock plugins, built from their Go modules: they run here unchanged and give the alerts that ours give.
//!
//! Where Go is missing or a module cannot be had, each test says so on standard error and ends.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::agent::{Setup, configmap_event};
use crate::commands::run;
use crate::http;

/// The plugins with their versions: a module proxy need not know which versions there are.
const PLUGINS: [(&str, &str); 6] = [
    ("k8saudit", "0.18.0"),
    ("json", "0.7.4"),
    ("dummy", "0.11.5"),
    ("cloudtrail", "0.17.1"),
    ("okta", "0.12.0"),
    ("github", "0.10.1"),
];

/// The stock library of a plugin, built the first time; `None`, and a line on standard error, where that is impossible.
fn stock(name: &str) -> Option<PathBuf> {
    let (_, version) = PLUGINS.iter().find(|(known, _)| *known == name).unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stock-plugins");
    fs::create_dir_all(&directory).unwrap();
    let library = directory.join(format!("lib{name}-{version}.so"));
    // Tests that need the same plugin wait for each other, in this process and in others.
    let lock = File::create(directory.join("lock")).unwrap();
    lock.lock().unwrap();
    if !library.exists() {
        let module = format!("github.com/falcosecurity/plugins/plugins/{name}@v{version}");
        let source = download(&module, &directory)
            .inspect_err(|reason| {
                // Not `eprintln!`, whose text is shown of failed tests only.
                let line = format!("SKIPPED a test of stock plugins: no {module}: {reason}\n");
                io::stderr().write_all(line.as_bytes()).unwrap();
            })
            .ok()?;
        build(&source, &library);
    }
    Some(library)
}

/// Fetches a module; returns the directory of its source, or why it cannot be had.
fn download(module: &str, directory: &Path) -> Result<PathBuf, String> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", module])
        .current_dir(directory)
        .output()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => "Go is not installed".to_owned(),
            _ => error.to_string(),
        })?;
    let answer: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let source = answer["Dir"].as_str().ok_or_else(|| answer["Error"].to_string())?;
    Ok(source.into())
}

/// Builds the main package of the module as the module itself asks: with its own versions of what it depends on.
#[track_caller]
fn build(source: &Path, library: &Path) {
    // Beside it, so that a build that is broken off leaves nothing behind that looks like a library.
    let unfinished = library.with_extension("unfinished");
    let output = Command::new("go")
        .arg("build")
        .arg("-C")
        .arg(source)
        .args(["-buildvcs=false", "-buildmode=c-shared", "-o"])
        .arg(&unfinished)
        .arg("./plugin")
        .env("CGO_ENABLED", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(unfinished, library).unwrap();
}

/// The option that gives the plugin at `index` of the configuration another library.
fn use_library(index: usize, library: &Path) -> String {
    format!("plugins[{index}].library_path={}", library.display())
}

#[test]
fn stock_plugins_are_listed_and_described_if_go_is_there() {
    let Some(libraries) = PLUGINS.iter().map(|(name, _)| stock(name)).collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let setup = Setup::new();
    let plugins = PLUGINS.iter().zip(&libraries).map(|((name, _), library)| {
        format!("  - {{name: {name}, library_path: {}}}\n", library.display())
    });
    let config = format!("log_stderr: false\nplugins:\n{}", plugins.collect::<String>());
    setup.write("config.yaml", &config);

    let listing = run(&setup, &["--list-plugins"]);
    // What stock prints for these two.
    assert!(
        listing.starts_with(
            "6 Plugins Loaded:

Name: k8saudit
Description: Read Kubernetes Audit Events and monitor Kubernetes Clusters
Contact: github.com/falcosecurity/plugins
Version: 0.18.0
Capabilities: 
  - Event Sourcing (ID=1, source='k8s_audit')
  - Field Extraction

Name: json
Description: implements extracting arbitrary fields from inputs formatted as JSON
Contact: github.com/falcosecurity/plugins/
Version: 0.7.4
Capabilities: 
  - Field Extraction

Name: dummy
"
        ),
        "{listing}"
    );
    for (name, _) in PLUGINS {
        let info = run(&setup, &["--plugin-info", name]);
        assert!(info.starts_with(&format!("Name: {name}\n")), "{info}");
        assert!(
            info.contains("  - Field Extraction\n\nInit config schema type: JSON\n{"),
            "{info}"
        );
    }
    let ending = |name| {
        let info = run(&setup, &["--plugin-info", name]);
        let (text, _hash) = info.rsplit_once("SHA-256: ").unwrap();
        text[text.rfind(r#""type":"object"}}}"#).unwrap()..].to_owned()
    };
    // What stock prints after the schema: only a source has open params.
    assert_eq!(ending("json"), "\"type\":\"object\"}}}\n\n");
    assert_eq!(
        ending("k8saudit"),
        "\"type\":\"object\"}}}\n\nNo suggested open params available: plugin has not been configured, or it does not \
         implement the open params suggestion functionality\n\n"
    );
    let fields = run(&setup, &["--list", "-N"]);
    for field in ["ka.verb", "json.value", "dummy.value", "ct.name", "okta.app", "github.repo"] {
        assert!(fields.lines().any(|line| line == field), "{field} in {fields}");
    }
}

/// Prints what all plugins agree on: the fields on which stock is wrong are listed in docs/differences-from-falco.md.
const RULES: &str = "
- rule: Audit event
  desc: Any audit event.
  condition: evt.num > 0
  output: >
    %evt.num %evt.time %evt.plugininfo | %ka.auditid %ka.stage %ka.auth.decision %ka.auth.reason %ka.user.name %ka.user.groups
    %ka.verb %ka.uri %ka.uri.param[command] %ka.uri.param[container] %ka.target.name %ka.target.namespace %ka.target.resource
    %ka.target.subresource %ka.req.binding.subjects %ka.req.binding.role %ka.req.configmap.name %ka.req.configmap.obj
    %ka.req.pod.containers.image %ka.req.pod.containers.image[1] %ka.req.pod.containers.image.repository
    %ka.req.pod.containers.host_port %ka.req.pod.containers.privileged %ka.req.pod.host_network %ka.req.pod.host_pid
    %ka.req.pod.run_as_user %ka.req.pod.volumes.hostpath %ka.req.pod.volumes.volume_type %ka.req.role.rules
    %ka.req.role.rules.verbs %ka.req.role.rules.apiGroups %ka.req.role.rules.resources %ka.req.role.rules.nonResourceURLs
    %ka.resp.name %ka.response.code %ka.response.reason %ka.useragent
    | %jevt.rawtime %jevt.value[/user/username] %json.value[/requestObject/data] %json.value[/annotations] %jevt.obj
  priority: WARNING
  source: k8s_audit
- rule: Privileged pod
  desc: Rules of both plugins.
  condition: >
    ka.req.pod.containers.privileged intersects (true) and jevt.value[/objectRef/namespace] = shop
    and ka.user.groups intersects (devs, ops)
  output: Privileged pod (user=%ka.user.name)
  priority: ERROR
  source: k8s_audit
";

#[test]
fn alerts_are_the_same_with_stock_plugins_and_ours_if_go_is_there() {
    let (Some(k8saudit), Some(json)) = (stock("k8saudit"), stock("json")) else { return };
    let setup = Setup::new();
    setup.write("rules.yaml", RULES);
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/audit-events.jsonl");
    let open_params = format!("plugins[0].open_params={}", events.display());
    let alerts = |libraries: &[&str]| {
        let mut arguments =
            vec!["-o", &open_params, "-o", "json_output=true", "-o", "rule_matching=all"];
        arguments.extend(libraries.iter().flat_map(|library| ["-o", *library]));
        let stdout = run(&setup, &arguments);
        stdout.lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect::<Vec<_>>()
    };
    let [k8saudit, json] = [use_library(0, &k8saudit), use_library(1, &json)];
    let ours = alerts(&[]);
    assert_eq!(ours.len(), 7, "{ours:#?}");
    assert_eq!(alerts(&[&k8saudit]), ours, "stock k8saudit beside our json");
    assert_eq!(alerts(&[&json]), ours, "our k8saudit beside stock json");
    assert_eq!(alerts(&[&k8saudit, &json]), ours, "both stock");
}

#[test]
fn the_webhook_of_stock_k8saudit_works_if_go_is_there() {
    let Some(k8saudit) = stock("k8saudit") else { return };
    let setup = Setup::new();
    let mut agent = setup.start(&["-o", &use_library(0, &k8saudit)]);
    assert_eq!(http::post(setup.webhook_port, &configmap_event()).status, 200);
    agent.wait_for_alert("user=minikube-user");
    agent.stop();
}

#[test]
fn stock_dummy_runs_if_go_is_there() {
    let Some(dummy) = stock("dummy") else { return };
    let setup = Setup::new();
    let plugin = format!(
        r#"plugins[]={{"name": "dummy", "library_path": "{}", "init_config": {{"jitter": 0}},
            "open_params": "{{\"start\": 1, \"maxEvents\": 4}}"}}"#,
        dummy.display()
    );
    setup.write(
        "rules.yaml",
        "
- rule: Even
  desc: Rules of a stock plugin with numbers and an index.
  condition: dummy.divisible[2] = 1 and dummy.value > 2
  output: Even (value=%dummy.value text=%dummy.strvalue info=%evt.plugininfo)
  priority: INFO
  source: dummy
",
    );
    let stdout = run(&setup, &["-o", &plugin, "-o", "load_plugins=[dummy]"]);
    let alerts: Vec<_> =
        stdout.lines().filter_map(|line| line.split_once("Informational ")).collect();
    // The samples are 2, 3, 4 and 5.
    assert_eq!(alerts.len(), 1, "{stdout}");
    assert_eq!(alerts[0].1, r#"Even (value=4 text=4 info={\"sample\": \"4\"})"#);
}

#[test]
fn stock_dummy_may_crash_in_a_process_of_its_own_if_go_is_there() {
    let Some(dummy) = stock("dummy") else { return };
    let setup = Setup::new();
    let plugin = format!(
        r#"plugins[]={{"name": "dummy", "library_path": "{}", "isolation": "process", "init_config": {{"jitter": 0}},
            "open_params": "{{\"start\": 1, \"maxEvents\": 4}}"}}"#,
        dummy.display()
    );
    setup.write(
        "rules.yaml",
        "
- rule: Fatal
  desc: Division by zero ends the process of a plugin in Go.
  condition: dummy.value > 4 and dummy.divisible[0] = 1
  output: Fatal
  priority: INFO
  source: dummy
- rule: Seen
  desc: Any sample.
  condition: dummy.value exists
  output: Seen (value=%dummy.value)
  priority: INFO
  source: dummy
",
    );
    let mut agent = setup.start(&["-o", &plugin, "-o", "load_plugins=[dummy]"]);
    // The alerts of the events before are written, and the source is opened again and again.
    agent.wait_for_alert("Seen (value=4)");
    agent.wait_for_log("plugin dummy crashed: its process has ended: signal: 6 (SIGABRT)");
    agent.wait_for_log("Opened event source 'dummy' again");
    agent.wait_for_alert("Seen (value=4)");
    agent.stop();
}
