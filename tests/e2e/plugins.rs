//! Which plugins may be loaded together, and which not at all.

use std::fs;

use crate::agent::Setup;

/// A copy of a library beside the test executable in which one text is another one of the same length.
pub(crate) fn disguised(setup: &Setup, library: &str, name: &str, from: &str, to: &str) -> String {
    assert_eq!(from.len(), to.len());
    let path = std::env::current_exe().unwrap().with_file_name(library);
    let mut bytes = fs::read(path).unwrap();
    let places: Vec<_> =
        bytes.windows(from.len()).enumerate().filter(|(_, at)| *at == from.as_bytes()).collect();
    let places: Vec<_> = places.iter().map(|(place, _)| *place).collect();
    assert!(!places.is_empty(), "no {from} in {library}");
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    let path = setup.path(name);
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

/// Loads plugins, by name and library, and checks that the agent does not start.
#[track_caller]
fn check(setup: &Setup, plugins: &[(&str, &str)], expected: &str) {
    let entry = |(name, library): &(&str, &str)| {
        format!(r#"{{"name": "{name}", "library_path": "{library}"}}"#)
    };
    let entries: Vec<_> = plugins.iter().map(entry).collect();
    let list = format!("plugins=[{}]", entries.join(", "));
    let names: Vec<_> = plugins.iter().map(|(name, _)| *name).collect();
    let load = format!("load_plugins=[{}]", names.join(", "));
    let finished = setup.run(&["-o", &list, "-o", &load]);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(finished.stderr.contains(expected), "no {expected:?} in {finished:?}");
}

const MISBEHAVING: (&str, &str) = ("misbehaving", "libmisbehaving_plugin.so");

#[test]
fn plugins_have_names_ids_and_fields_of_their_own() {
    let setup = Setup::new();
    check(
        &setup,
        &[MISBEHAVING, MISBEHAVING],
        "libmisbehaving_plugin.so: found another plugin with name misbehaving",
    );
    let other = disguised(
        &setup,
        "libmisbehaving_plugin.so",
        "libother.so",
        "misbehaving\0",
        "misbehavin2\0",
    );
    check(
        &setup,
        &[MISBEHAVING, ("misbehavin2", &other)],
        "libother.so: found another plugin with ID 999",
    );
    let json = disguised(&setup, "libjson.so", "libbad.so", "jevt.value", "bad.number");
    check(
        &setup,
        &[MISBEHAVING, ("json", &json)],
        "Plugin 'json' supports extraction of field 'bad.number' that is overlapping for source 'misbehaving'",
    );
}

#[test]
fn what_a_plugin_says_of_itself_must_make_sense() {
    let setup = Setup::new();
    for (from, to, expected) in [
        ("3.11.0\0", "3.13.0\0", "framework's minor is less than the requested one"),
        ("3.11.0\0", "4.11.0\0", "major versions disagree"),
        ("3.11.0\0", "x.11.0\0", "invalid required API version: 'x.11.0'"),
        ("1.2.3-test\0", "1.2-3-test\0", "invalid version string: '1.2-3-test'"),
        ("plugin_get_contact\0", "plugin_get_contacx\0", "not implemented: 'get_contact'"),
        ("plugin_next_batch\0", "plugin_next_batcx\0", "(event sourcing)"),
        ("plugin_get_fields\0", "plugin_get_fieldx\0", "(field extraction)"),
        ("plugin_get_id\0", "plugin_get_ix\0", "'get_id' and 'get_event_source'"),
        ("\"type\": \"uint64\"", "\"type\": \"uint65\"", "invalid field type uint65"),
        ("\"name\": \"bad.flag\"", "\"nama\": \"bad.flag\"", "has no name"),
    ] {
        let path = disguised(&setup, MISBEHAVING.1, "libx.so", from, to);
        check(&setup, &[("misbehaving", &path)], expected);
    }
}
