//! Plugins that do more than to produce events and to extract fields from them.

use std::fs;

use crate::agent::Setup;

const RULE: &str = "
- rule: Word
  desc: A word comes.
  condition: evt.num > 0
  output: >
    %evt.num %census.count %observer.count %observer.seen
  priority: INFO
  source: census
";

/// The plugin `census`, which keeps a state table, and `observer`, which looks into it.
fn setup(words: &str) -> Setup {
    let setup = Setup::new();
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let config =
        config.replace("load_plugins: [k8saudit, json]", "load_plugins: [census, observer]");
    let plugins = format!(
        "plugins:
  - name: census
    library_path: libcensus_plugin.so
    open_params: {words}
  - name: observer
    library_path: libobserver_plugin.so
"
    );
    setup.write("config.yaml", &config.replace("plugins:\n", &plugins));
    setup.write("rules.yaml", RULE);
    setup
}

/// What the alerts say, without what all of them have.
fn alerts(stdout: &str) -> Vec<&str> {
    stdout
        .lines()
        .filter_map(|line| line.split_once("Informational "))
        .map(|(_, text)| text)
        .collect()
}

#[test]
fn plugins_parse_events_in_order_and_share_a_table() {
    let setup = setup("a b a a");
    let finished = setup.run(&["-o", "evaluation_threads=4"]);
    assert!(finished.status.success(), "{}", finished.stderr);
    assert_eq!(alerts(&finished.stdout), ["1 1 1 1", "2 1 1 1", "3 2 2 2", "4 3 3 3"]);
    assert!(
        finished.stderr.contains("Event source 'census' is evaluated on one thread"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_plugin_that_needs_a_table_is_loaded_after_the_one_that_has_it() {
    let setup = setup("a");
    let finished = setup.run(&["-o", "load_plugins[0]=observer", "-o", "load_plugins[1]=census"]);
    assert!(!finished.status.success());
    assert!(
        finished
            .stderr
            .contains("could not initialize plugin observer: Could not get table \"words\""),
        "{}",
        finished.stderr
    );
}

/// Otherwise `observer` would hold on to a table of a state that is no more.
#[test]
fn all_plugins_that_share_tables_begin_anew_when_the_source_is_opened_again() {
    let setup = setup("a a fail");
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    setup.write(
        "config.yaml",
        &config.replace("    open_params: a", "    on_failure: reopen\n    open_params: a"),
    );
    let mut agent = setup.start(&[]);
    agent.wait_for_alert("3 1 1 1");
    agent.wait_for_alert("4 2 2 2");
}

/// The source of `census` waits for ever once it has given its words.
#[test]
fn a_reload_of_one_plugin_gives_all_that_share_tables_new_states() {
    let setup = setup("a a wait");
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let observer = |config: &str, task: &str| {
        let library = "library_path: libobserver_plugin.so\n";
        config.replace(library, &format!("{library}    init_config: {task}\n"))
    };
    let census = |config: &str, task: &str| {
        config
            .replace("    open_params: a", &format!("    init_config: {task}\n    open_params: a"))
    };
    let mut agent = setup.start(&[]);
    agent.wait_for_alert("2 2 2 2");
    setup.write("config.yaml", &observer(&config, "other"));
    agent.wait_for_log("Opened event source 'census' again");
    agent.wait_for_alert("3 1 1 1");
    agent.wait_for_alert("4 2 2 2");
    // What one refuses changes nothing for the other.
    setup.write("config.yaml", &observer(&census(&config, "other"), "wrong table"));
    let log = agent.wait_for_log("Configuration not reloaded, the old one stays in force");
    assert!(log.contains("Could not get table"), "{log}");
    // And what only shows when the source is opened is taken back for both.
    setup.write("config.yaml", &observer(&census(&config, "cannot listen"), "other"));
    agent.wait_for_log(
        "'census' cannot be opened with its new settings, the old ones stay in force",
    );
    agent.wait_for_alert("5 1 1 1");
    agent.wait_for_alert("6 2 2 2");
    let finished = agent.stop();
    assert_eq!(alerts(&finished.stdout).len(), 6, "{}", finished.stdout);
}

const TICK_RULES: &str = "
- rule: Any
  desc: Any event.
  condition: evt.num > 0
  output: any %evt.num %census.count
  priority: INFO
  source: census
- rule: Tick
  desc: A plugin has added an event.
  condition: evt.asynctype = tick
  output: tick %evt.num %evt.source %evt.is_async %evt.pluginname %evt.plugininfo %census.count
  priority: INFO
  source: census
";

#[test]
fn events_that_a_plugin_adds_are_evaluated_in_their_turn() {
    let setup = setup("a wait b");
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let config = config.replace("[census, observer]", "[census]");
    let config = config.replace("    open_params: a", "    init_config: add\n    open_params: a");
    setup.write("config.yaml", &(config + "rule_matching: all\n"));
    setup.write("rules.yaml", TICK_RULES);
    let finished = setup.run(&[]);
    assert!(finished.status.success(), "{}", finished.stderr);
    let tick = |number: u32| format!("tick {number} census true <NA> <NA> <NA>");
    let any = |number: u32, count: &str| format!("any {number} {count}");
    let expected = [
        any(1, "1"),
        any(2, "<NA>"),
        tick(2),
        any(3, "<NA>"),
        tick(3),
        any(4, "<NA>"),
        tick(4),
        any(5, "1"),
    ];
    assert_eq!(alerts(&finished.stdout), expected);
}

#[test]
fn events_that_still_wait_at_the_end_are_evaluated() {
    let setup = setup("a wait");
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let config = config.replace("[census, observer]", "[census]");
    let config =
        config.replace("    open_params: a", "    init_config: add later\n    open_params: a");
    setup.write("config.yaml", &config);
    setup.write("rules.yaml", TICK_RULES);
    let finished = setup.run(&[]);
    assert!(finished.status.success(), "{}", finished.stderr);
    assert_eq!(alerts(&finished.stdout), ["any 1 1", "any 2 <NA>", "any 3 <NA>"]);
}

#[test]
fn a_plugin_that_only_listens_hears_of_every_source() {
    let setup = setup("a");
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let listener = "  - name: listener\n    library_path: liblistener_plugin.so\n";
    let config = config.replace("[census, observer]", "[census, filetail, listener]");
    setup.write("config.yaml", &config.replace("plugins:\n", &format!("plugins:\n{listener}")));
    setup.write("rules.yaml", "");
    let mut agent = setup.start(&[]);
    agent.wait_for_log("heard that it closes");
    let finished = agent.stop();
    for (text, times) in [("heard that it opens", 2), ("heard that it closes", 2)] {
        assert_eq!(finished.stderr.matches(text).count(), times, "{}", finished.stderr);
    }
}

/// What a plugin that fails to begin says ends the start, as in Falco.
#[test]
fn a_plugin_that_cannot_begin_keeps_the_source_from_opening() {
    let setup = setup("a");
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    for (task, reason) in
        [("cannot add", "asked not to start"), ("cannot listen", "asked not to listen")]
    {
        let with_task = format!("    init_config: {task}\n    open_params: a");
        setup.write("config.yaml", &config.replace("    open_params: a", &with_task));
        let finished = setup.run(&[]);
        assert!(!finished.status.success());
        assert!(finished.stderr.contains(reason), "{}", finished.stderr);
    }
}
