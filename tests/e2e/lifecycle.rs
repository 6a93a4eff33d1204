//! From the start of a plugin to its end: which are opened, what they hear, and what becomes of one that never returns.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use crate::agent::{Agent, Finished, Setup};
use crate::plugins::disguised;

/// What a copy of the plugin `chameleon` says of itself.
#[derive(Clone, Copy)]
pub(crate) struct Chameleon<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: u32,
    pub(crate) source: &'a str,
    pub(crate) field: &'a str,
    /// Another event source that it extracts from.
    pub(crate) from: &'a str,
}

pub(crate) const CHAMELEON: Chameleon<'static> =
    Chameleon { name: "chameleon", id: 900, source: "chameleon", field: "cham.value", from: "" };

/// The functions that make an event source, and those that do more than that and to extract.
const SOURCING: &[&str] = &["plugin_open", "plugin_close", "plugin_next_batch"];
pub(crate) const FURTHER: &[&str] =
    &["plugin_set_async_event_handler", "plugin_capture_open", "plugin_capture_close"];

impl Chameleon<'_> {
    fn text(&self) -> String {
        let Chameleon { name, id, source, field, from } = self;
        format!(
            "<name={name:<12};id={id:010};source={source:<12};field={field:<12};from={from:<14}>"
        )
    }

    /// Makes the library, without some of its functions.
    fn library(&self, setup: &Setup, without: &[&[&str]]) -> String {
        let file = format!("lib{}.so", self.name);
        let library = "libchameleon_plugin.so";
        let mut path = disguised(setup, library, &file, &CHAMELEON.text(), &self.text());
        for function in without.iter().copied().flatten() {
            let gone = function.replace("plugin_", "plugix_");
            path = disguised(setup, &path, &file, &format!("{function}\0"), &format!("{gone}\0"));
        }
        path
    }

    /// Its entry in the configuration.
    pub(crate) fn entry(
        &self,
        setup: &Setup,
        without: &[&[&str]],
        tasks: &str,
        open_params: &str,
    ) -> String {
        format!(
            "  - {{name: {}, library_path: {}, init_config: \"{tasks}\", open_params: {open_params}}}\n",
            self.name,
            self.library(setup, without)
        )
    }
}

/// Configures these plugins and no others.
pub(crate) fn load(setup: &Setup, entries: &[String]) {
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let name = |entry: &String| entry.split([':', ',']).nth(1).unwrap().trim().to_owned();
    let names: Vec<_> = entries.iter().map(name).collect();
    let load = format!("load_plugins: [{}]", names.join(", "));
    let config = config.replace("load_plugins: [k8saudit, json]", &load);
    let plugins = format!("plugins:\n{}", entries.concat());
    setup.write("config.yaml", &config.replace("plugins:\n", &plugins));
    setup.write("rules.yaml", "");
}

fn rule(source: &str, output: &str) -> String {
    format!(
        "- {{rule: Seen, desc: d, condition: evt.num > 0, output: \"Seen {output}\", priority: INFO, source: {source}}}\n"
    )
}

/// C22: the first of two plugins for one source
#[test]
fn of_two_plugins_for_one_source_the_first_is_opened_and_both_extract() {
    let setup = Setup::new();
    let one = Chameleon { name: "one", id: 900, source: "shared", field: "one.value", from: "" };
    let two = Chameleon { name: "two", id: 901, field: "two.value", ..one };
    load(&setup, &[one.entry(&setup, &[], "", "2"), two.entry(&setup, &[], "", "3")]);
    setup.write("rules.yaml", &rule("shared", "%one.value %two.value %evt.pluginname."));
    let finished = setup.run(&[]);
    assert!(finished.status.success(), "{finished:?}");
    for number in 1..=2 {
        let alert = format!("Seen one-{number} two-{number} one.");
        assert!(finished.stdout.contains(&alert), "{finished:?}");
    }
    assert!(!finished.stdout.contains("Seen one-3"), "{finished:?}");
    let warning = "'shared' can be opened with multiple loaded plugins, will use only 'one'";
    assert!(finished.stderr.contains(warning), "{finished:?}");
    assert!(!finished.stderr.contains("two: open"), "{finished:?}");
    assert!(finished.stderr.contains("First events of source 'shared'"), "{finished:?}");
}

/// Falco opens none either: it gets its system events from a driver.
#[test]
fn a_plugin_without_a_source_of_its_own_is_made_ready_but_not_opened() {
    let system = Chameleon { name: "system", id: 0, source: "", field: "sys.value", from: "" };
    let setup = Setup::new();
    let other = CHAMELEON.entry(&setup, &[], "", "1");
    load(&setup, &[system.entry(&setup, &[], "", "1"), other]);
    setup.write("rules.yaml", &rule("chameleon", "%cham.value %sys.value."));
    let finished = setup.run(&[]);
    assert!(finished.stdout.contains("Seen chameleon-1 system-1."), "{finished:?}");
    let warning = "Plugin 'system' is for events of 'syscall'";
    assert!(finished.stderr.contains(warning), "{finished:?}");
    assert!(!finished.stderr.contains("system: open"), "{finished:?}");

    // A wrong configuration shows, though it is of no use to any source that is open.
    let idle = Chameleon { from: "nosuch", ..system };
    for (tasks, succeeds) in [("", true), ("init fail", false)] {
        let setup = Setup::new();
        let other = CHAMELEON.entry(&setup, &[], "", "1");
        load(&setup, &[idle.entry(&setup, &[FURTHER], tasks, "1"), other]);
        let finished = setup.run(&[]);
        assert_eq!(finished.status.success(), succeeds, "{finished:?}");
        assert_eq!(finished.stderr.matches("system: init\n").count(), 1, "{finished:?}");
        let error = "could not initialize plugin system: init was told to fail";
        assert_eq!(finished.stderr.contains(error), !succeeds, "{finished:?}");
    }
}

#[test]
fn an_extractor_from_no_source_that_is_there_keeps_the_agent_from_starting() {
    let setup = Setup::new();
    let extractor = Chameleon { name: "lost", field: "lost.value", from: "nosuch", ..CHAMELEON };
    let other = CHAMELEON.entry(&setup, &[], "", "1");
    load(&setup, &[other, extractor.entry(&setup, &[SOURCING, FURTHER], "", "1")]);
    let finished = setup.run(&[]);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let error = "Plugin 'lost' is loaded but unused as not compatible with any known event source";
    assert!(finished.stderr.contains(error), "{finished:?}");
}

#[test]
fn a_plugin_that_needs_system_calls_starts_and_has_nothing_to_do() {
    let setup = Setup::new();
    let needy = Chameleon { name: "needy", field: "needy.value", from: "syscall", ..CHAMELEON };
    let other = CHAMELEON.entry(&setup, &[], "", "1");
    load(&setup, &[other, needy.entry(&setup, &[SOURCING, FURTHER], "", "1")]);
    setup.write("rules.yaml", &rule("chameleon", "%cham.value."));
    let finished = setup.run(&[]);
    assert!(finished.stdout.contains("Seen chameleon-1."), "{finished:?}");
    let warning = "Plugin 'needy' needs events of 'syscall', which no plugin offers";
    assert_eq!(finished.stderr.matches(warning).count(), 1, "{finished:?}");
    assert!(!finished.stderr.contains("Plugin 'chameleon' needs"), "{finished:?}");
}

/// A state that is of no use to any source that is open is destroyed on the main thread.
#[test]
fn a_plugin_that_never_returns_to_the_main_thread_keeps_the_agent_for_some_seconds_only() {
    let setup = Setup::new();
    let idle = Chameleon { name: "idle", field: "idle.value", from: "syscall", ..CHAMELEON };
    let other = CHAMELEON.entry(&setup, &[], "", "1 idle");
    load(&setup, &[idle.entry(&setup, &[SOURCING, FURTHER], "destroy hang", "1"), other]);
    let mut agent = setup.start(&[]);
    agent.wait_for_log("destroy hangs");
    agent.signal("TERM");
    agent.wait_for_log("Not ended 25 s after the signal");
    assert_eq!(agent.wait().status.code(), Some(1));
}

/// What plugins log, in order.
fn said(finished: &Finished, plugins: &[&str]) -> Vec<String> {
    let said = |line: &str| {
        let said = |plugin: &&str| {
            let (_, text) = line.split_once(&format!(" {plugin}: "))?;
            Some(format!("{plugin}: {text}"))
        };
        plugins.iter().find_map(said)
    };
    finished.stderr.lines().filter_map(said).collect()
}

#[test]
fn when_one_cannot_begin_all_that_were_told_of_the_opening_are_told_of_the_end() {
    let setup = Setup::new();
    let two = Chameleon { name: "two", field: "two.value", from: "chameleon", ..CHAMELEON };
    let three = Chameleon { name: "three", field: "three.value", ..two };
    let entries = [
        CHAMELEON.entry(&setup, &[], "", "1"),
        two.entry(&setup, &[SOURCING], "capture_open fail", "1"),
        three.entry(&setup, &[SOURCING], "", "1"),
    ];
    load(&setup, &entries);
    let finished = setup.run(&[]);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let error = "capture_open of plugin two failed: capture_open was told to fail";
    assert!(finished.stderr.contains(error), "{finished:?}");
    let said = said(&finished, &["chameleon", "two", "three"]);
    let said: Vec<_> = said.iter().filter(|line| !line.ends_with("init")).collect();
    assert_eq!(
        said[..12],
        [
            "chameleon: open 1",
            "chameleon: handler set",
            "two: handler set",
            "three: handler set",
            "chameleon: capture opens",
            "two: capture opens",
            "chameleon: close",
            "chameleon: handler taken back",
            "two: handler taken back",
            "three: handler taken back",
            "chameleon: capture closes",
            "two: capture closes",
        ]
    );
    assert!(said[12..].iter().all(|line| line.ends_with(": destroy")), "{said:?}");
}

/// Starts an agent in which a function of the plugin never returns.
fn start_hanging(setup: &Setup, function: &str) -> Agent {
    load(setup, &[CHAMELEON.entry(setup, &[], &format!("{function} hang"), "1 idle")]);
    setup.start(&["-o", "metrics.enabled=true", "-o", "webserver.prometheus_metrics_enabled=true"])
}

#[test]
fn a_plugin_that_never_returns_keeps_the_agent_from_ending_for_some_seconds_only() {
    let functions = [
        "open",
        "set_async_event_handler",
        "capture_open",
        "next_batch",
        "get_metrics",
        "close",
        "take_handler_back",
        "capture_close",
        "destroy",
    ];
    let agents = functions.map(|function| {
        let setup = Setup::new();
        let mut agent = start_hanging(&setup, function);
        match function {
            "close" | "take_handler_back" | "capture_close" | "destroy" => {
                agent.wait_for_log("First events of source 'chameleon'")
            }
            _ => agent.wait_for_log(&format!("{function} hangs")),
        };
        agent.signal("TERM");
        (function, setup, agent)
    });
    for (function, _setup, agent) in agents {
        let finished = agent.wait();
        assert_eq!(finished.status.code(), Some(0), "{function}: {finished:?}");
        assert!(finished.stderr.contains(&format!("{function} hangs")), "{finished:?}");
        let log = "event source 'chameleon' does not return, leaving it behind";
        assert!(finished.stderr.contains(log), "{function}: {finished:?}");
        assert!(finished.stdout.contains("Events detected: 0"), "{function}: {finished:?}");
    }
}

/// Nothing runs yet that would have to be ended in order.
#[test]
fn a_plugin_that_never_returns_from_init_leaves_signals_as_they_are() {
    let setup = Setup::new();
    let mut agent = start_hanging(&setup, "init");
    agent.wait_for_log("init hangs");
    agent.signal("TERM");
    assert_eq!(agent.wait().status.signal(), Some(15));
}

/// Others are opened one after the other, so those that come later are not.
#[test]
fn the_end_of_the_time_counts_while_a_plugin_opens_its_source() {
    let setup = Setup::new();
    let one = CHAMELEON.entry(&setup, &[], "open hang", "1");
    let two = Chameleon { name: "two", id: 901, source: "two", field: "two.value", from: "" };
    load(&setup, &[one, two.entry(&setup, &[], "", "1 idle")]);
    let finished = setup.run(&["-M", "1"]);
    assert!(finished.status.success(), "{finished:?}");
    assert!(!finished.stderr.contains("two: open"), "{finished:?}");
}
