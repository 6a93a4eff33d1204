//! Plugins: what they are told, and where they are found.

use super::*;

/// C06, C07
#[test]
fn init_config_becomes_json() {
    let check = |init_config: &str, expected: &str| {
        let text =
            format!("plugins: [{{name: a, library_path: a.so, init_config: {init_config}}}]\n");
        assert_eq!(load(&text, &[]).plugins.list[0].init_config, expected, "{init_config}");
    };
    check("", "");
    check("null", "");
    check("''", "");
    check("'{\"a\": 1}'", "{\"a\": 1}");
    check("a b", "a b");
    check("{}", "{}");
    check(
        "{sslCertificate: /x, maxEventSize: 262144}",
        r#"{"maxEventSize":262144,"sslCertificate":"/x"}"#,
    );
    check("{b: {d: [], c: {}}, a: [1, x]}", r#"{"a":[1,"x"],"b":{"c":{},"d":[]}}"#);
    check(
        "{a: 1.5, b: on, c: ~, d: -3, e: 0123, f: 1e3}",
        r#"{"a":1.5,"b":true,"c":null,"d":-3,"e":83,"f":1000.0}"#,
    );
    // Stock would give 3000000000.0, 83, true and 1.
    check(
        "{a: 3000000000, b: \"0123\", c: 'on', d: !!str 1}",
        r#"{"a":3000000000,"b":"0123","c":"on","d":"1"}"#,
    );
    check(
        "{a: 18446744073709551615, b: -9223372036854775808}",
        r#"{"a":18446744073709551615,"b":-9223372036854775808}"#,
    );

    let list = "plugins: [{name: a, library_path: a.so, init_config: []}]\n";
    assert!(load_error(list, &[]).contains("could not load plugins config"));
}

/// C70, C71
#[test]
fn load_plugins_selects() {
    let plugins =
        "plugins:\n  - {name: a, library_path: a.so}\n  - {name: b, library_path: /b.so}\n";
    let check = |rest: &str, expected: &[&str]| {
        let config = load(&format!("{plugins}{rest}"), &[]);
        let names: Vec<_> = config.plugins.list.iter().map(|plugin| plugin.name.as_str()).collect();
        assert_eq!(names, expected, "{rest}");
    };
    check("", &["a", "b"]);
    check("load_plugins: []\n", &[]);
    check("load_plugins:\n", &[]);
    check("load_plugins: [b, a]\n", &["b", "a"]);
    check("load_plugins: b\n", &["b"]);
    check("load_plugins: [container, a]\n", &["a"]);
    check("  - {name: container, library_path: libcontainer.so}\n", &["a", "b"]);
    assert!(
        load_error(&format!("{plugins}load_plugins: [nope]\n"), &[])
            .contains("Cannot load plugin 'nope': plugin config not found for given name")
    );
}

/// C08, C09
#[test]
fn library_paths_stay_in_their_folder() {
    let plugin = |path: &str| format!("plugins: [{{name: a, library_path: {path:?}}}]\n");
    for path in ["../../tmp/evil.so", "a/../../evil.so", ".."] {
        let expected = format!(
            "plugin library_path '{path}' resolves outside the plugins directory \
             (/usr/share/falco/plugins)"
        );
        let error = load_error(&plugin(path), &[]);
        assert!(error.contains(&expected), "{error}");
    }
    assert!(load_error(&plugin(""), &[]).contains("library_path: every plugin needs this setting"));
    for path in ["/opt/x.so", "x.so", "a/../x.so", "./x.so"] {
        assert_eq!(load(&plugin(path), &[]).plugins.list[0].library_path, PathBuf::from(path));
    }
}

#[test]
fn libraries_are_found_beside_the_program() {
    let files = Files::new(&[
        ("falco.yaml", "plugins_dir: DIR/own\nplugins:\n  - {name: a, library_path: a.so}\n"),
        ("own/a.so", ""),
        ("usr/share/shikra/plugins/a.so", ""),
        ("usr/bin/a.so", ""),
    ]);
    let directory = files.directory.path();
    let plugins = files.load(&[]).unwrap().plugins;
    let find = || plugins.find(&plugins.list[0], &directory.join("usr/bin/shikra"));
    for place in ["own/a.so", "usr/share/shikra/plugins/a.so", "usr/bin/a.so"] {
        assert_eq!(find().unwrap(), directory.join(place));
        fs::remove_file(directory.join(place)).unwrap();
    }
    let error = find().unwrap_err().to_string().replace(&directory.display().to_string(), "DIR");
    assert_snapshot!(error, @"cannot find the library a.so of plugin 'a'; looked for DIR/own/a.so, DIR/usr/share/shikra/plugins/a.so, DIR/usr/bin/a.so, /usr/share/falco/plugins/a.so; Falco's plugins are installed by `falcoctl artifact install a`");
}

#[test]
fn the_webserver_and_a_webhook_cannot_share_a_port() {
    let text = "webserver: {enabled: true, listen_port: 9765}\nplugins:\n  - name: k8saudit\n    library_path: libk8saudit.so\n    open_params: \"http://127.0.0.1:9765/k8s-audit\"\n";
    assert_snapshot!(load_error(text, &[]), @r#"
    `webserver.listen_port` and `open_params` of plugin 'k8saudit' ask for the same port 9765: the agent's webserver and the plugin's webhook are two servers, so change one of them
     --> DIR/falco.yaml:5:18
      |
    5 |     open_params: "http://127.0.0.1:9765/k8s-audit"
      |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the webhook
      |
     ::: DIR/falco.yaml:1:41
      |
    1 | webserver: {enabled: true, listen_port: 9765}
      |                                         ---- the webserver
    "#);
    load(text, &["webserver.enabled=false"]);
    load(text, &["webserver.listen_port=8765"]);
    load(text, &["webserver.listen_port=0", "plugins[0].open_params=http://127.0.0.1:0/k8s-audit"]);
    let error = load_error(
        "webserver: {enabled: true}\nplugins: [{name: a, library_path: a.so}]\n",
        &["plugins[0].open_params=http://:8765/"],
    );
    assert!(error.contains("the same port 8765"), "{error}");
}
