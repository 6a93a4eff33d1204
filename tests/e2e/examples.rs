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
