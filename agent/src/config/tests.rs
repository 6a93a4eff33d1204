//! The configuration as a whole: what files and options give.

use std::fs;

use insta::assert_snapshot;
use rules_engine::Priority;
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
        Config::load(Some(&self.main), &options, &environment)
            .map_err(|error| error.to_string().replace(&directory, "DIR"))
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
    assert!(config.log.syslog && !config.log.stderr);
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
