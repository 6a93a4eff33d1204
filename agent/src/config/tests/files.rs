//! Files: which are read, and how they are merged.

use super::*;

/// C10 to C12, C76
#[test]
fn included_files_are_merged_by_root_key() {
    let main = "rules_files: [a.yaml]\nwebserver: {enabled: true, listen_port: 1}\nconfig_files:\n";
    let second = "rules_files: [b.yaml]\nwebserver: {listen_port: 2}\npriority: error\n";
    let check = |item: &str, rules: &[&str], webserver: (bool, u16)| {
        let files =
            Files::new(&[("falco.yaml", &format!("{main}  - {item}\n")), ("b.yaml", second)]);
        let config = files.load(&[]).unwrap();
        let rules: Vec<_> = rules.iter().map(PathBuf::from).collect();
        assert_eq!(config.rules.files, rules, "{item}");
        assert_eq!((config.webserver.enabled, config.webserver.port), webserver, "{item}");
        assert_eq!(config.rules.priority, Priority::Error, "{item}");
    };
    // A map is replaced as a whole, so its other settings fall back to their defaults.
    check("DIR/b.yaml", &["a.yaml", "b.yaml"], (false, 2));
    check("{path: DIR/b.yaml, strategy: append}", &["a.yaml", "b.yaml"], (false, 2));
    check("{path: DIR/b.yaml, strategy: wrong}", &["a.yaml", "b.yaml"], (false, 2));
    check("{path: DIR/b.yaml, strategy: override}", &["b.yaml"], (false, 2));
    check("{path: DIR/b.yaml, strategy: add-only}", &["a.yaml"], (true, 1));
}

/// C15, C16
#[test]
fn included_directories_are_read_in_order() {
    let files = Files::new(&[
        ("falco.yaml", "config_files: [DIR/config.d, DIR/missing.yaml]\n"),
        ("config.d/20.conf", "priority: alert\nrules_files: [second]\n"),
        ("config.d/10.yaml", "priority: error\nrules_files: [first]\n"),
        ("config.d/sub/30.yaml", "priority: debug\n"),
    ]);
    let config = files.load(&[]).unwrap();
    assert_eq!(config.rules.priority, Priority::Alert);
    assert_eq!(config.rules.files, ["first", "second"].map(PathBuf::from));
    let names: Vec<_> = config.files.iter().map(|file| file.path.file_name().unwrap()).collect();
    assert_eq!(names, ["10.yaml", "20.conf", "falco.yaml"]);
}

/// C17
#[test]
fn includes_may_come_from_options() {
    let files = Files::new(&[
        ("falco.yaml", "priority: debug\nlog_level: info\n"),
        ("b.yaml", "priority: error\nlog_level: alert\n"),
    ]);
    let config = files.load(&["config_files=DIR/b.yaml", "log_level=debug"]).unwrap();
    assert_eq!((config.rules.priority, config.log.level), (Priority::Error, Priority::Debug));
}

/// C13, C14
#[test]
fn includes_do_not_nest() {
    let main = ("falco.yaml", "config_files: [DIR/b.yaml]\n");
    let files = Files::new(&[main, ("b.yaml", "config_files: []\n")]);
    assert_snapshot!(files.load(&[]).unwrap_err(), @r"
    Config error: 'config_files' directive in included config file DIR/b.yaml.
     --> DIR/b.yaml:1:1
      |
    1 | config_files: []
      | ^^^^^^^^^^^^
    ");
    let error = load_error("config_files: [DIR/falco.yaml]\n", &[]);
    assert!(
        error.contains("tried to recursively include main config file: DIR/falco.yaml."),
        "{error}"
    );
}

/// C18
#[test]
fn variables_are_expanded_in_files_only() {
    let files = Files::new(&[
        (
            "falco.yaml",
            "webserver:\n  listen_port: ${PORT}\n  threadiness: ${UNSET}\nconfig_files: ['DIR/${NAME}2.yaml']\n",
        ),
        (
            "falco2.yaml",
            "rules_files: ['${NAME}_rules.yaml']\nhttp_output:\n  user_agent: ${UNSET}\n",
        ),
    ]);
    let config = files.load(&["http_output.enabled=true", "http_output.url=${NAME}"]).unwrap();
    assert_eq!((config.webserver.port, config.webserver.threads), (9000, 0));
    assert_eq!(config.rules.files, [PathBuf::from("falco_rules.yaml")]);
    let http = config.outputs.http.unwrap();
    assert_eq!((http.url.as_str(), http.user_agent.as_str()), ("${NAME}", ""));
}

#[test]
fn aliases_do_not_blow_up() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_string();
    for level in 1..10 {
        let inner = format!("*a{}, ", level - 1).repeat(10);
        text += &format!("a{level}: &a{level} [{inner}]\n");
    }
    assert!(load_error(&text, &[]).contains("more than 100000 values"));
}

#[test]
fn a_missing_file_is_an_error() {
    let error = Config::read_from(Some(Path::new("/nope.yaml")), &[], &|_| None).unwrap_err();
    assert!(error.to_string().starts_with("cannot read config file /nope.yaml: "), "{error}");
}

#[test]
fn without_a_file_there_are_options() {
    let options = ["json_output=true".to_string()];
    let config = Config::read_from(None, &options, &|_| None).unwrap();
    assert!(config.alerts.json && config.files.is_empty());
}
