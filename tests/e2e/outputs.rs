//! Where alerts go, and what happens when they cannot.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::agent::{Setup, configmap_event, configmap_event_by};
use crate::http;
use crate::receiver::{Mode, Receiver};

/// Shows a value that is missing and one that must be escaped.
const SHORT_RULE: &str = r#"
- rule: Short
  desc: d
  condition: ka.verb exists
  output: say "%ka.user.name" %ka.req.service.type
  priority: WARNING
  source: k8s_audit
"#;

/// Runs over one event; returns the first line on standard output.
fn first_alert(setup: &Setup, arguments: &[&str]) -> String {
    setup.write("rules.yaml", SHORT_RULE);
    setup.write("audit.jsonl", &configmap_event());
    let source = ["-o", "plugins[0].open_params=audit.jsonl"];
    let finished = setup.run(&[source.as_slice(), arguments].concat());
    assert!(finished.status.success(), "{finished:?}");
    finished.stdout.lines().next().unwrap().to_owned()
}

/// C45, C49
#[test]
fn all_outputs_get_the_same_line() {
    let setup = Setup::new();
    let file = "file_output={enabled: true, filename: file.txt}";
    let program = "program_output={enabled: true, program: cat > program.txt}";
    let alert = first_alert(&setup, &["-o", file, "-o", program]);
    let line = r#"2018-10-20T00:18:28.428398000+0000: Warning say \"minikube-user\" <NA>"#;
    assert_eq!(alert, line);
    for name in ["file.txt", "program.txt"] {
        assert_eq!(fs::read_to_string(setup.path(name)).unwrap(), format!("{line}\n"), "{name}");
    }
}

/// C46 to C49, and 133 of the rules language
#[test]
fn json_alerts_have_the_keys_that_are_asked_for() {
    let setup = Setup::new();
    let json = ["-o", "json_output=true"];
    let alert = first_alert(&setup, &json);
    let (output, rest) = (
        r#""output":"2018-10-20T00:18:28.428398000+0000: Warning say \"minikube-user\" <NA>","#,
        r#""output_fields":{"evt.time.iso8601":1539994708428398000,"ka.req.service.type":null,"ka.user.name":"minikube-user"},"priority":"Warning","rule":"Short","source":"k8s_audit","#,
    );
    let end = r#""time":"2018-10-20T00:18:28.428398000Z"}"#;
    let start = r#"{"hostname":"test-host","#;
    assert_eq!(alert, format!(r#"{start}{output}{rest}"tags":[],{end}"#));
    let less = ["json_include_output_property=false", "json_include_tags_property=false"];
    let alert = first_alert(&setup, &[json.as_slice(), &["-o", less[0], "-o", less[1]]].concat());
    assert_eq!(alert, format!("{start}{rest}{end}"));
}

/// C69, and better: stock drops what does not fit
#[test]
fn no_event_is_acknowledged_before_its_alert_is_delivered() {
    let setup = Setup::new();
    let file = "file_output={enabled: true, filename: later/alerts.txt}";
    let mut agent = setup.start(&["-o", file, "-o", "outputs_queue.capacity=1"]);
    let port = setup.webhook_port;
    let post = std::thread::spawn(move || http::post(port, &configmap_event()));
    agent.wait_for_log("failed to open output file later/alerts.txt");
    assert!(!post.is_finished());
    fs::create_dir(setup.path("later")).unwrap();
    assert_eq!(post.join().unwrap().status, 200);
    let alerts = fs::read_to_string(setup.path("later/alerts.txt")).unwrap();
    assert!(alerts.contains("ConfigMap seen"), "{alerts}");
    agent.stop();
}

/// What Falco lacks: a spool.
#[test]
fn alerts_wait_on_disk_over_a_crash() {
    let setup = Setup::new();
    let receiver = Receiver::start(Mode::Down);
    let http = receiver.option();
    let options = ["-o", &http, "-o", "outputs_spool.directory=spool"];
    let agent = setup.start(&options);
    for user in ["ann", "bob"] {
        assert_eq!(http::post(setup.webhook_port, &configmap_event_by(user)).status, 200);
    }
    agent.signal("KILL");
    agent.wait();
    assert!(receiver.received().is_empty());
    receiver.set(Mode::Status(200));
    let mut agent = setup.start(&options);
    agent.wait_for_log("http: 2 alerts wait in the spool, delivering them first");
    receiver.wait_for("user=bob");
    assert_eq!(http::post(setup.webhook_port, &configmap_event_by("cyd")).status, 200);
    agent.stop();
    let received = receiver.received();
    let users: Vec<_> = ["ann", "bob", "cyd"].map(|user| format!("user={user}")).into();
    assert_eq!(received.len(), 3, "{received:#?}");
    assert!(received.iter().zip(&users).all(|(alert, user)| alert.contains(user)), "{received:#?}");
}

#[test]
fn with_a_spool_a_hanging_receiver_holds_nobody_up_for_long() {
    let setup = Setup::new();
    let receiver = Receiver::start(Mode::Hang);
    let http = receiver.option();
    let agent = setup.start(&["-o", &http, "-o", "outputs_spool.directory=spool"]);
    for user in ["ann", "bob"] {
        let start = Instant::now();
        assert_eq!(http::post(setup.webhook_port, &configmap_event_by(user)).status, 200);
        // The output itself would wait for ten seconds.
        assert!(start.elapsed() < Duration::from_secs(8));
    }
    drop(agent);
}

#[test]
fn a_reload_puts_a_wrong_receiver_right() {
    let setup = Setup::new();
    let (wrong, right) = (Receiver::start(Mode::Status(503)), Receiver::start(Mode::Status(200)));
    let config = fs::read_to_string(setup.path("config.yaml")).unwrap();
    let to = |receiver: &Receiver| {
        format!(
            "{config}http_output: {{enabled: true, url: \"http://127.0.0.1:{}/\"}}\n",
            receiver.port
        )
    };
    setup.write("config.yaml", &to(&wrong));
    let agent = setup.start(&[]);
    let port = setup.webhook_port;
    let post = std::thread::spawn(move || http::post(port, &configmap_event()));
    wrong.wait_for_requests(1);
    assert!(!post.is_finished());
    setup.write("config.yaml", &to(&right));
    assert_eq!(post.join().unwrap().status, 200);
    assert_eq!(right.received().len(), 1);
    agent.stop();
}

#[test]
fn a_spool_that_cannot_be_used_is_an_error_at_the_start() {
    let setup = Setup::new();
    setup.write("occupied", "");
    let file = "file_output={enabled: true, filename: alerts.txt}";
    let finished = setup.run(&["-o", file, "-o", "outputs_spool.directory=occupied"]);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(finished.stderr.contains("outputs_spool.directory occupied"), "{finished:?}");
}

/// C65
#[test]
fn a_rotated_file_is_opened_again() {
    let setup = Setup::new();
    let file = "file_output={enabled: true, keep_alive: true, filename: alerts.txt}";
    let mut agent = setup.start(&["-o", file]);
    assert_eq!(http::post(setup.webhook_port, &configmap_event_by("ann")).status, 200);
    fs::rename(setup.path("alerts.txt"), setup.path("alerts.txt.1")).unwrap();
    agent.signal("USR1");
    agent.wait_for_log("SIGUSR1 received, reopening outputs...");
    // Alerts may overtake the request on its way to the outputs, but not for long.
    let users = (0..1000).map(|number| format!("user-{number}"));
    let reopened = users.into_iter().any(|user| {
        assert_eq!(http::post(setup.webhook_port, &configmap_event_by(&user)).status, 200);
        setup.path("alerts.txt").exists()
    });
    assert!(reopened, "no new file after 1000 alerts");
    agent.stop();
    let old = fs::read_to_string(setup.path("alerts.txt.1")).unwrap();
    assert!(old.contains("user=ann"), "{old}");
}

#[test]
fn without_a_syslog_daemon_other_outputs_work() {
    let setup = Setup::new();
    let mut agent = setup.start(&["-o", "syslog_output.enabled=true"]);
    if !Path::new("/dev/log").exists() {
        agent.wait_for_log("syslog: no daemon listens on /dev/log");
    }
    assert_eq!(http::post(setup.webhook_port, &configmap_event()).status, 200);
    agent.wait_for_alert("ConfigMap seen");
    agent.stop();
}

#[test]
fn an_output_that_takes_long_is_said_once() {
    let (setup, receiver) = (Setup::new(), Receiver::start(Mode::Hang));
    let mut agent = setup.start(&["-o", &receiver.option(), "-o", "output_timeout=50"]);
    let port = setup.webhook_port;
    let post = std::thread::spawn(move || http::post(port, &configmap_event()).status);
    agent.wait_for_log("\"http\" output timeout: it has been delivering for more than 50 ms");
    receiver.set(Mode::Status(200));
    assert_eq!(post.join().unwrap(), 200);
    receiver.wait_for("ConfigMap seen");
    let finished = agent.stop();
    assert_eq!(finished.stderr.matches("output timeout").count(), 1, "{finished:?}");
}
