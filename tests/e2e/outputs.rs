//! Where alerts go, and what happens when they cannot.

use std::fs;

use crate::agent::{Setup, configmap_event, configmap_event_by};
use crate::http;

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
