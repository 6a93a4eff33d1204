//! What the README and `config/` show works as it stands there.

use std::fs;
use std::path::Path;

use crate::agent::Setup;
use crate::commands::run;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(path).unwrap()
}

/// What stands between two lines.
#[track_caller]
fn between(text: &str, start: &str, end: &str) -> String {
    let (_, rest) = text.split_once(start).expect(start);
    rest.split_once(end).expect(end).0.to_owned()
}

#[test]
fn the_rule_of_the_readme_is_right() {
    let setup = Setup::new();
    let rule = between(&read("README.md"), "cat > my_rules.yaml <<'END'\n", "END\n");
    setup.write("my_rules.yaml", &rule);
    assert_eq!(run(&setup, &["-V", "my_rules.yaml"]), "my_rules.yaml: Ok");
}

#[test]
fn the_alert_of_the_readme_is_what_is_raised() {
    let setup = Setup::new();
    let path = |name: &str| format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"));
    let event = format!("plugins[0].open_params={}", path("tests/fixtures/configmap-event.json"));
    let rules = path("rules/k8s_audit_rules.yaml");
    let arguments = ["-r", &rules, "-o", &event, "-o", "time_format_iso_8601=false"];
    let printed = run(&setup, &arguments);
    let alert = between(&read("README.md"), "prints the alert:\n\n```\n", "\n```");
    assert_eq!(printed.lines().next(), Some(alert.as_str()));
}

/// What a command of the README prints there.
#[track_caller]
fn printed_in_readme(command: &str) -> String {
    between(&read("README.md"), &format!("$ target/release/shikra {command}"), "```")
        .split_once('\n')
        .expect("a line follows the command")
        .1
        .to_owned()
}

#[test]
fn the_first_rule_of_the_readme_says_what_stands_there() {
    let setup = Setup::new();
    let readme = read("README.md");
    let rule = between(&readme, "write `my_rules.yaml`:\n\n```yaml\n", "```");
    setup.write("my_rules.yaml", &rule);
    let broken = setup.run(&["-V", "my_rules.yaml"]);
    let shown = printed_in_readme("-c config/shikra.yaml -V my_rules.yaml");
    assert!(broken.stderr.contains(shown.trim_end()), "{broken:?}");

    setup.write("my_rules.yaml", &rule.replace("resuorce", "resource"));
    setup.write("my_tests.yaml", &between(&readme, "what the rule is to do:\n\n```yaml\n", "```"));
    let tested = setup.run(&["test", "-c", "config.yaml", "my_tests.yaml"]);
    assert_eq!(tested.stdout.trim_end(), printed_in_readme("test ").trim_end());

    setup.write("event.json", &between(&readme, "$ echo '", "' > event.json"));
    let rule = "Production Pod Deleted";
    let explain =
        ["explain", "-c", "config.yaml", "-r", "my_rules.yaml", "event.json", "--rule", rule];
    assert_eq!(run(&setup, &explain).trim_end(), printed_in_readme("explain ").trim_end());

    let better = setup.path("my_rules.yaml");
    let text = fs::read_to_string(&better).unwrap();
    fs::write(&better, text.replace("ka.verb = delete ", "ka.verb in (delete, deletecollection) "))
        .unwrap();
    assert_eq!(run(&setup, &["test", "-c", "config.yaml", "my_tests.yaml"]), "3 passed, 0 failed");
}

#[test]
fn the_configuration_in_the_manifest_is_right() {
    let setup = Setup::new();
    let manifest = read("config/daemonset.yaml");
    let file = |name: &str, end: &str| -> String {
        let text = between(&manifest, &format!("  {name}: |\n"), end);
        text.lines()
            .map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line)))
            .collect()
    };
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules").display().to_string();
    let settings = file("shikra.yaml", "  my_rules.yaml: |\n")
        .replace("/usr/local/share/shikra/rules", &rules)
        .replace("/etc/shikra/", "")
        .replace("${HOST_IP}", "127.0.0.1");
    setup.write("shikra.yaml", &settings);
    setup.write("my_rules.yaml", &file("my_rules.yaml", "---"));
    let plugins = std::env::current_exe().unwrap();
    let plugins = format!("plugins_dir={}", plugins.parent().unwrap().display());
    let checked = run(&setup, &["config", "check", "-c", "shikra.yaml", "-o", &plugins]);
    assert_eq!(checked, "shikra.yaml: Ok");
}
