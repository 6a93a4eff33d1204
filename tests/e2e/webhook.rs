//! Audit events that are posted.

use serde_json::{Value, json};

use crate::agent::{Setup, configmap_event, configmap_event_by};
use crate::http::{self, Answer};

/// C66
#[test]
fn a_posted_event_becomes_an_alert_before_it_is_answered() {
    let setup = Setup::new();
    let mut agent = setup.start(&[]);
    assert_eq!(http::post(setup.webhook_port, &configmap_event()).status, 200);
    let alert = agent.wait_for_alert("ConfigMap seen");
    let start = "2018-10-20T00:18:28.428398000+0000: Warning ConfigMap seen \
                 (user=minikube-user verb=create name=my-config data=";
    assert!(alert.starts_with(start), "{alert}");
    assert!(alert.contains("aws_access_key_id = MY-ID"), "{alert}");

    let finished = agent.stop();
    assert!(
        finished.stdout.ends_with(
            "Events detected: 1\nRule counts by severity:\n   WARNING: 1\nTriggered rules by rule name:\n   ConfigMap seen: 1"
        ),
        "{finished:?}"
    );
}

/// C46
#[test]
fn a_json_alert_has_falcos_keys() {
    let setup = Setup::new();
    let mut agent = setup.start(&["-o", "json_output=true"]);
    http::post(setup.webhook_port, &configmap_event());
    let line = agent.wait_for_alert("ConfigMap seen");
    let alert: Value = serde_json::from_str(&line).unwrap();
    let keys: Vec<_> = alert.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["hostname", "output", "output_fields", "priority", "rule", "source", "tags", "time"]
    );
    assert_eq!(alert["hostname"], "test-host");
    assert_eq!(alert["source"], "k8s_audit");
    assert_eq!(alert["priority"], "Warning");
    assert_eq!(alert["tags"], json!(["k8s"]));
    assert_eq!(alert["time"], "2018-10-20T00:18:28.428398000Z");
    let fields = &alert["output_fields"];
    assert_eq!(fields["evt.time.iso8601"], 1_539_994_708_428_398_000_u64);
    assert_eq!(fields["ka.user.name"], "minikube-user");
}

#[test]
fn an_event_list_is_as_good_as_its_events() {
    let setup = Setup::new();
    let mut agent = setup.start(&[]);
    let list = format!(
        r#"{{"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [{}, {}]}}"#,
        configmap_event_by("ann"),
        configmap_event_by("bob"),
    );
    assert_eq!(http::post(setup.webhook_port, &list).status, 200);
    agent.wait_for_alert("user=ann");
    agent.wait_for_alert("user=bob");
}

#[test]
fn what_is_refused_harms_no_later_event() {
    let setup = Setup::new();
    let mut agent =
        setup.start(&["-o", r#"plugins[0].init_config={"webhookMaxBatchSize": 3000000}"#]);
    let port = setup.webhook_port;
    let status = |answer: Answer| answer.status;
    assert_eq!(status(http::post(port, "{\"broken\": ")), 400);
    assert_eq!(status(http::get(port, "/k8s-audit")), 405);
    assert_eq!(status(http::get(port, "/healthz")), 404);
    let text = "POST /k8s-audit HTTP/1.1\r\nContent-Type: text/plain";
    assert_eq!(status(http::request(port, text, &configmap_event())), 400);
    assert_eq!(status(http::post(port, &" ".repeat(4_000_000))), 413);

    let large = configmap_event_by("eve").replace("color.bad=yellow", &"x".repeat(1 << 20));
    assert_eq!(status(http::post(port, &large)), 200);
    agent.wait_for_alert("user=eve");
}

/// C59, C60, C63
#[test]
fn the_webserver_answers_on_its_own_port() {
    let setup = Setup::new();
    let _agent = setup.start(&[]);
    let port = setup.webserver_port;
    let body = r#"{"status": "ok"}"#.to_owned();
    let answer = http::get(port, "/healthz");
    assert_eq!((answer.status, answer.body), (200, body));
    let readiness = http::get_until(port, "/readyz", 200);
    assert_eq!(readiness.status, 200, "{readiness:?}");
    assert!(readiness.body.contains(r#""k8s_audit":"open""#), "{readiness:?}");
    let versions: Value = serde_json::from_str(&http::get(port, "/versions").body).unwrap();
    assert_eq!(versions["plugin_versions"]["k8saudit"], "0.18.0");
    assert_eq!(versions["plugin_sha256"]["k8saudit"].as_str().unwrap().len(), 64);
    assert_eq!(versions["plugin_api_version"], "3.12.0");
    assert_eq!(http::post(port, &configmap_event()).status, 404);
    assert_eq!(http::get(port, "/metrics").status, 404);
}

/// C61
#[test]
fn the_path_for_probes_can_be_configured() {
    let setup = Setup::new();
    let _agent = setup.start(&["-o", "webserver.k8s_healthz_endpoint=/livez"]);
    assert_eq!(http::get(setup.webserver_port, "/livez").status, 200);
    assert_eq!(http::get(setup.webserver_port, "/healthz").status, 404);
}

#[test]
fn a_source_without_events_may_make_the_agent_not_ready() {
    let setup = Setup::new();
    let _agent = setup.start(&["-o", "webserver.readyz_event_within=1s"]);
    let port = setup.webserver_port;
    // Before that it is not open yet, which is 503 too.
    assert_eq!(http::get_until(port, "/readyz", 200).status, 200);
    let readiness = http::get_until(port, "/readyz", 503);
    assert!(readiness.body.contains(r#""k8s_audit":"silent""#), "{readiness:?}");
    assert_eq!(http::post(setup.webhook_port, &configmap_event()).status, 200);
    assert_eq!(http::get_until(port, "/readyz", 200).status, 200);
    // Liveness is another question.
    assert_eq!(http::get(port, "/healthz").status, 200);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn the_webserver_listens_on_ipv6() {
    let setup = Setup::new();
    let address = (std::net::Ipv6Addr::LOCALHOST, setup.webserver_port);
    if std::net::TcpListener::bind(address).is_err() {
        eprintln!("skipped: no IPv6 here");
        return;
    }
    let mut agent = setup.start(&["-o", "webserver.listen_address=::1"]);
    let shown = format!("listening on [::1]:{}", setup.webserver_port);
    agent.wait_for_log(&shown);
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, request).unwrap();
    let answer = std::io::read_to_string(stream).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(r#"{"status": "ok"}"#),
        "{answer}"
    );
}
