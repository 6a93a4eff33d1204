//! The configuration as a whole: what files and options give.
//!
//! C01 to C82 are the conformance cases of the agent.

mod files;
mod plugins;
mod schema;

use std::fs;

use insta::assert_snapshot;
use rules_engine::{AppendOutput, ExtraField, Priority, RuleMatching, Selection};
use tempfile::TempDir;

use super::*;

/// Files in a directory of their own; the first is the main file.
struct Files {
    directory: TempDir,
    main: PathBuf,
}

impl Files {
    /// In texts, `DIR` stands for the directory.
    fn new(files: &[(&str, &str)]) -> Files {
        let directory = TempDir::new().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = text.replace("DIR", &directory.path().display().to_string());
            fs::write(path, text).unwrap();
        }
        Files { main: directory.path().join(files[0].0), directory }
    }

    fn load(&self, options: &[&str]) -> Result<Config, String> {
        let directory = self.directory.path().display().to_string();
        let options: Vec<_> =
            options.iter().map(|option| option.replace("DIR", &directory)).collect();
        let environment = |name: &str| match name {
            "PORT" => Some("9000".to_string()),
            "NAME" => Some("falco".to_string()),
            _ => None,
        };
        let main = Some(self.main.as_path());
        let loaded = Config::read_from(main, &options, &environment);
        if let Ok(config) = &loaded {
            let (root, _) = read_tree(main, &options, &environment, &mut Findings::default());
            schema::agrees(&root, config);
        }
        loaded.map_err(|error| error.to_string().replace(&directory, "DIR"))
    }

    /// The notices, one a line.
    fn notices(&self, config: &Config) -> String {
        let directory = self.directory.path().display().to_string();
        let lines = config.notices.iter().map(|notice| {
            format!("{:?} {}\n", notice.level, notice.text.replace(&directory, "DIR"))
        });
        lines.collect()
    }
}

/// What the text of the main file and the options give.
#[track_caller]
fn load(text: &str, options: &[&str]) -> Config {
    Files::new(&[("falco.yaml", text)]).load(options).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn load_error(text: &str, options: &[&str]) -> String {
    Files::new(&[("falco.yaml", text)]).load(options).expect_err("the configuration is wrong")
}

#[test]
fn an_empty_file_gives_the_defaults_of_stock() {
    let config = load("", &[]);
    assert!(config.rules.files.is_empty() && config.plugins.list.is_empty());
    assert_eq!(config.rules.priority, Priority::Debug);
    assert_eq!(config.rules.matching, RuleMatching::First);
    assert!(!config.alerts.json && config.alerts.json_output && config.alerts.json_tags);
    assert!(!config.outputs.is_any_enabled() && !config.webserver.enabled);
    assert_eq!((config.webserver.port, config.webserver.healthz_path.as_str()), (8765, "/healthz"));
    assert!(config.watch_config_files && !config.time_format_iso_8601);
    assert!(config.notices.is_empty());
}

#[test]
fn wrong_values_are_shown_all_at_once() {
    let error = load_error(
        "json_output: maybe\nwebserver:\n  enabled: true\n  listen_port: 70000\n",
        &["rule_matching=wrong"],
    );
    assert_snapshot!(error, @r#"
    rule_matching: Unknown rule matching strategy "wrong"--must be one of first, all
     --> -o:1:15
      |
    1 | rule_matching=wrong
      |               ^^^^^
    json_output: expected true or false, found `maybe`
     --> DIR/falco.yaml:1:14
      |
    1 | json_output: maybe
      |              ^^^^^
    webserver.listen_port: 70000 is out of range
     --> DIR/falco.yaml:4:16
      |
    4 |   listen_port: 70000
      |                ^^^^^
    "#);
}

/// C05, C20, C26, C28 to C30, C57, C58, C73
#[test]
fn problems_of_many_kinds_are_shown() {
    let check = |text: &str, options: &[&str], expected: &str| {
        let error = load_error(text, options);
        assert!(error.contains(expected), "{text:?} {options:?}: {error}");
    };
    // Not YAML, or not a map.
    check("a: [", &[], "invalid YAML");
    check("- a\n", &[], "expected a map of settings, found a list");
    check("a: *nowhere\n", &[], "invalid YAML");
    check("a: &a [*a]\n", &[], "an alias stands inside of what it stands for");
    // Wrong types.
    check("falco_libs: 512\n", &[], "falco_libs: expected settings (`falco_libs.…`), found `512`");
    check("webserver: []\n", &[], "webserver: expected settings (`webserver.…`), found a list");
    check("priority: [debug]\n", &[], "priority: expected a single value, found a list");
    check("rules_files:\n  a: b\n", &[], "rules_files: expected a list of texts, found a map");
    check("output_timeout: abc\n", &[], "output_timeout: expected a whole number, found `abc`");
    check("output_timeout: -1\n", &[], "output_timeout: -1 is out of range");
    check("static_fields:\n  a: [b]\n", &[], "static_fields.a: expected a single value");
    // Wrong values, in the words of stock.
    check(
        "priority: urgent\n",
        &[],
        "Unknown priority \"urgent\"--must be one of emergency, alert",
    );
    check(
        "rule_matching: wrong\n",
        &[],
        "Unknown rule matching strategy \"wrong\"--must be one of first, all",
    );
    check("log_level: INFO\n", &[], "Unknown log level INFO");
    check("libs_logger:\n  severity: loud\n", &[], "Unknown sinsp log severity loud");
    check("engine:\n  kind: foo\n", &[], "engine.kind 'foo' is not a valid kind.");
    check("engine:\n  kind: replay\n", &[], "replaying capture files is not supported");
    check("capture:\n  mode: some\n", &[], "capture.mode 'some' is not a valid mode.");
    for threshold in ["-1", "1.1", "x"] {
        let text = format!("syscall_event_drops:\n  threshold: {threshold}\n");
        check(&text, &[], "threshold must be a double in the range [0, 1]");
    }
    check(
        "syscall_event_drops:\n  actions: [ignore, log]\n",
        &[],
        "action \"log\" does not make sense with the \"ignore\" action",
    );
    check(
        "syscall_event_drops:\n  actions: [shout]\n",
        &[],
        "available actions for syscall event drops are",
    );
    check(
        "syscall_event_timeouts:\n  max_consecutives: 0\n",
        &[],
        "must be an unsigned integer > 0",
    );
    check(
        "file_output:\n  enabled: true\n",
        &[],
        "file output enabled but no filename in configuration block",
    );
    check(
        "program_output:\n  enabled: true\n",
        &[],
        "program output enabled but no program in configuration block",
    );
    check(
        "http_output:\n  enabled: true\n",
        &[],
        "http output enabled but no url in configuration block",
    );
    for interval in ["5000", "50ms", "30m1h"] {
        let text =
            format!("metrics:\n  enabled: true\n  output_rule: true\n  interval: {interval}\n");
        check(&text, &[], "Metrics interval must have a minimum value of 100ms");
    }
    check("metrics:\n  enabled: true\n", &[], "Metrics are enabled with no output configured");
    check(
        "rules_file: a.yaml\nrules_files: [b.yaml]\n",
        &[],
        "both 'rules_files' and 'rules_file' keys set",
    );
    check("rules: [{enable: {}}]\n", &[], "rules[0].enable: expected a `rule`, a `tag` or both");
    check("rules: [{}]\n", &[], "every item of `rules` needs either `enable` or `disable`");
    for path in ["healthz", "/{x}", "/metrics"] {
        let text = format!("webserver:\n  k8s_healthz_endpoint: {path:?}\n");
        check(&text, &[], &format!("webserver.k8s_healthz_endpoint: `{path}` is"));
    }
    // Options.
    check(
        "",
        &["json_output"],
        "Error parsing config option \"json_output\". Must be of the form key=val or key.subkey=val",
    );
    check("", &[r"a\x=1"], r#"Config error at key "a\x": Parsing error: `\x` is no escape"#);
    check("", &["a\\=1"], "Config error at key \"a\\\": Parsing error: a backslash at the end");
    check(
        "",
        &["rules_files[2]=a"],
        "Config error at key \"rules_files[2]\": the list has 0 items, so the next one is [0]",
    );
    check(
        "falco_libs: 512\n",
        &["falco_libs.snaplen=1"],
        "Config error at key \"falco_libs.snaplen\"",
    );
    check("", &["plugins[]={name: ["], "every plugin needs this setting");
}

/// C21
#[test]
fn listen_addresses_are_ip_addresses() {
    for address in ["::1", "0.0.0.0", "127.0.0.1", "::", "::ffff:1.2.3.4"] {
        let config = load("", &[&format!("webserver.listen_address={address}")]);
        assert_eq!(config.webserver.address.to_string(), address);
    }
    for address in ["327.0.0.1", "hostname", "1.2.3", "1.2.3.4.5", ":"] {
        let error = load_error("", &[&format!("webserver.listen_address={address}")]);
        let expected = format!("webserver listen address \"{address}\" is not a valid IP address");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn options_win_over_files() {
    let text = "json_output: false\nrules_files: [a.yaml, b.yaml]\nwebserver:\n  listen_port: 1\n";
    let config = load(
        text,
        &[
            "json_output=true",
            "rules_files[1]=c.yaml",
            "rules_files[]=d.yaml",
            "webserver.threadiness=2",
            "priority=info",
            "priority=Warning",
        ],
    );
    assert!(config.alerts.json);
    assert_eq!(config.rules.files, ["a.yaml", "c.yaml", "d.yaml"].map(PathBuf::from));
    assert_eq!((config.webserver.port, config.webserver.threads), (1, 2));
    assert_eq!(config.rules.priority, Priority::Warning);
}

#[test]
fn the_value_of_an_option_may_be_a_map_or_a_list() {
    let config = load(
        "plugins: [{name: json, library_path: libjson.so}]\nload_plugins: []\n",
        &[
            r#"plugins[]={"name": "k8saudit", "library_path": "libk8saudit.so"}"#,
            "load_plugins=[k8saudit,json]",
            "plugins[1].init_config.maxEventSize=5",
            "plugins[1].open_params= http://127.0.0.1:9765/k8s-audit ",
        ],
    );
    let names: Vec<_> = config.plugins.list.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(names, ["k8saudit", "json"]);
    assert_eq!(config.plugins.list[0].init_config, r#"{"maxEventSize":5}"#);
    assert_eq!(config.plugins.list[0].open_params, "http://127.0.0.1:9765/k8s-audit");
}

/// C22
#[test]
fn rules_are_selected_in_order() {
    let selection = |enable, rule: Option<&str>, tag: Option<&str>| Selection {
        enable,
        rule: rule.map(str::to_string),
        tag: tag.map(str::to_string),
    };
    let config = load(
        "rules:\n  - disable:\n      rule: '*'\n  - enable: {tag: k8s, rule: Foo*}\n",
        &["rules[].disable.tag=a", r#"rules[]={"enable":{"rule":"X*"}}"#],
    );
    assert_eq!(
        config.rules.selections,
        [
            selection(false, Some("*"), None),
            selection(true, Some("Foo*"), Some("k8s")),
            selection(false, None, Some("a")),
            selection(true, Some("X*"), None),
        ]
    );
}

/// C24
#[test]
fn outputs_are_appended_to() {
    let config = load(
        "append_output: [{suggested_output: true}]\n",
        &[
            r#"append_output[]={"match":{"source":"k8s_audit"},"extra_fields":["ka.verb",{"who":"%ka.user.name"}]}"#,
            r#"append_output[]={"match":{"tags":["a","b"]},"extra_output":"uri=%ka.uri"}"#,
        ],
    );
    let expected = [
        AppendOutput { suggested_output: true, ..AppendOutput::default() },
        AppendOutput {
            source: Some("k8s_audit".to_string()),
            extra_fields: vec![
                ExtraField::Field("ka.verb".to_string()),
                ExtraField::Formatted {
                    key: "who".to_string(),
                    format: "%ka.user.name".to_string(),
                },
            ],
            ..AppendOutput::default()
        },
        AppendOutput {
            tags: vec!["a".to_string(), "b".to_string()],
            extra_output: Some("uri=%ka.uri".to_string()),
            ..AppendOutput::default()
        },
    ];
    assert_eq!(config.alerts.append_output, expected);

    let twice = "append_output: [{extra_fields: [{a: '%ka.verb'}, {a: '%ka.uri'}]}]\n";
    assert!(load_error(twice, &[]).contains("append_output[0].extra_fields: `a` is defined twice"));
}

/// C25
#[test]
fn suggestions_are_switched_off_by_a_name_in_place_of_a_list() {
    let text = "append_output: [{suggested_output: true}]\n";
    let config = load(text, &["append_output.suggested_output=false"]);
    assert_eq!(config.alerts.append_output, [AppendOutput::default()]);
}

/// C04, C31, C73
#[test]
fn what_has_no_effect_is_said() {
    let files = Files::new(&[(
        "falco.yaml",
        "falco_libss: {}\n\
         webserver:\n  listenport: 1\n\
         xyz: 1\n\
         priority: debug\npriority: error\n\
         engine:\n  kind: modern_ebpf\n  modern_ebpf:\n    buf_size_preset: 4\n\
         syscall_event_drops:\n  threshold: .1\n  actions: [log, alert]\n  rate: .03333\n\
         grpc: {enabled: false}\n\
         rules_file: a.yaml\n\
         load_plugins: [container]\n",
    )]);
    let config = files.load(&[]).unwrap();
    assert_eq!(config.rules.priority, Priority::Debug);
    assert_eq!(
        config.files[0].schema_status,
        "failed for <root>[webserver][listenport]: unknown key"
    );
    assert_snapshot!(files.notices(&config), @r"
    Warning DIR/falco.yaml:6:1: `priority` stands here a second time; the first one counts
    Info Ignoring plugin 'container': it works on system calls, and this build has no kernel drivers
    Warning DIR/falco.yaml:3:3: unknown key `webserver.listenport` is ignored; did you mean `webserver.listen_port`?
    Info Ignoring 'engine' settings: this build has no kernel drivers
    Info Ignoring 'syscall_event_drops' settings: this build has no kernel drivers
    Warning DIR/falco.yaml:15:1: `grpc` has no effect: the gRPC server was removed from Falco
    Warning Using deprecated config key 'rules_file' (singular form). Please use new 'rules_files' config key (plural form).
    Warning DIR/falco.yaml:1:1: unknown key `falco_libss` is ignored; did you mean `falco_libs`?
    Warning DIR/falco.yaml:4:1: unknown key `xyz` is ignored
    ");
}

#[test]
fn the_log_goes_where_it_shall_in_the_form_that_is_wanted() {
    let log = load("", &[]).log;
    assert!(!log.stderr && log.syslog);
    assert_eq!(log.format, LogFormat::Text { iso_8601: false });
    let log = load("log_stderr: yes\nlog_syslog: no\ntime_format_iso_8601: true", &[]).log;
    assert!(log.stderr && !log.syslog);
    assert_eq!(log.format, LogFormat::Text { iso_8601: true });
    assert_eq!(load("log_format: json", &[]).log.format, LogFormat::Json);
    let error = load_error("log_format: xml", &[]);
    assert!(error.starts_with("log_format: expected text or json, found `xml`"), "{error}");
}

#[test]
fn a_driverless_engine_needs_no_notice() {
    let config = load("engine:\n  kind: nodriver\n", &[]);
    assert_eq!(
        (config.notices.as_slice(), config.files[0].schema_status.as_str()),
        (&[][..], "ok")
    );
}

#[test]
fn options_with_unknown_keys_are_accepted_with_a_warning() {
    let config = load("", &["json_ouput=true"]);
    let texts: Vec<_> = config.notices.iter().map(|notice| notice.text.as_str()).collect();
    assert_eq!(texts, ["-o:1:1: unknown key `json_ouput` is ignored; did you mean `json_output`?"]);
}

/// C03
#[test]
fn the_shipped_file_is_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/shikra.yaml");
    let config = Config::read_from(Some(&path), &[], &|_| None).unwrap();
    assert_eq!(config.notices, []);
    let names: Vec<_> = config.plugins.list.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(names, ["k8saudit", "filetail", "json"]);
    assert!(config.outputs.stdout && config.webserver.enabled && config.log.stderr);
}

#[test]
fn no_text_makes_it_panic() {
    let text = "webserver: {enabled: true, listen_address: '::1'}\nplugins:\n  - name: &a json\n    \
                library_path: *a\n    init_config: {a: [1, \"x\"]}\n    open_params: http://[::1]:8765/\n\
                rules: [{enable: {tag: é}}]\nstatic_fields: {a: ${X}}\n# end\n";
    for (offset, character) in text.char_indices() {
        for replacement in
            ["", "[", "}", ":", "\"", "'", "*", "&b ", "\n", "\t", "- ", "0", "$", "é"]
        {
            let rest = &text[offset + character.len_utf8()..];
            let text = format!("{}{replacement}{rest}", &text[..offset]);
            let source = Arc::new(Source { name: "x".to_string(), text });
            let mut findings = Findings::default();
            if let Some(root) = tree::parse(&source, 0, &mut findings) {
                read_root(&root, &mut findings, Config::read);
            }
            // Printing a problem slices the text at its place.
            if let Err(error) = findings.check() {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
