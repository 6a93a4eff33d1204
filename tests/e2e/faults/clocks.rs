//! Clocks that step: those that stamp the events, and the machine's own.

use super::model::{
    Load, assert_no_repeats, balanced_account, delivered, delivered_at, delivered_to, finish,
    wait_for_all,
};
use crate::agent::{Setup, configmap_event_by};
use crate::http;
use crate::receiver::{Mode, Receiver};

const FILE: &str = "file_output={enabled: true, filename: alerts.txt}";
const DAY: i64 = 86_400;

#[test]
fn events_with_times_that_step_are_events_like_others() {
    let setup = Setup::new();
    let agent = setup.start(&["-o", FILE]);
    let times = ["2150-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z"];
    let users: Vec<String> = (0..30).map(|number| format!("step-{number}")).collect();
    for (user, time) in users.iter().zip(times.iter().cycle()) {
        let event = configmap_event_by(user).replace("2018-10-20T00:18:28.428398Z", time);
        assert!(event.contains(time));
        assert_eq!(http::post(setup.webhook_port, &event).status, 200);
    }
    let finished = agent.stop();
    assert_eq!(balanced_account(&finished, "k8s_audit").evaluated, 30);
    assert_no_repeats(&wait_for_all(&users, || delivered_to(&setup.path("alerts.txt"))));
    assert_eq!(delivered(finished.stdout.lines().filter(|line| line.contains("user="))).len(), 30);
}

/// What is stored is delivered in its order and once, and what comes again is known, whatever the clock says meanwhile.
#[test]
fn a_machine_whose_clock_steps_delivers_in_order_and_once() {
    let setup = Setup::new();
    let receiver = Receiver::start(Mode::Down);
    let http = receiver.option();
    let options = ["-o", &http, "-o", "outputs_spool.directory=spool"];
    let post = |user: &str| {
        assert_eq!(http::post(setup.webhook_port, &configmap_event_by(user)).status, 200);
    };
    setup.write("offset", "0");
    let agent = setup.start_with_wrong_clock(&options);
    post("ann");
    for (days, user) in [(10, "bob"), (-9000, "cyd"), (30_000, "dan")] {
        setup.write("offset", &(days * DAY).to_string());
        post("ann");
        post(user);
    }
    let account = balanced_account(&agent.stop(), "k8s_audit");
    assert_eq!((account.evaluated, account.duplicates), (4, 3));

    setup.write("offset", &(-9000 * DAY).to_string());
    let agent = setup.start_with_wrong_clock(&options);
    receiver.set(Mode::Status(200));
    receiver.wait_for("user=dan");
    let finished = agent.stop();
    assert!(finished.stderr.contains("2002-"), "the clock was right: {finished:#?}");
    let order: Vec<_> = receiver.received();
    assert_eq!(order.len(), 4, "{order:#?}");
    for (alert, user) in order.iter().zip(["ann", "bob", "cyd", "dan"]) {
        assert!(alert.contains(&format!("user={user} ")), "{order:#?}");
    }
}

#[test]
fn a_clock_that_steps_under_load_changes_nothing() {
    let setup = Setup::new();
    let receiver = Receiver::start(Mode::Status(200));
    setup.write("offset", "0");
    let http = receiver.option();
    let options = ["-o", &http, "-o", "outputs_spool.directory=spool"];
    let agent = setup.start_with_wrong_clock(&options);
    let load = Load::start(setup.webhook_port, 3);
    for step in 0..10 {
        setup.write("offset", &((step - 5) * DAY).to_string());
        receiver.set(if step % 2 == 0 { Mode::Status(500) } else { Mode::Status(200) });
        receiver.wait_for_requests(2);
    }
    receiver.wait_for_requests(20);
    finish(agent, load, || delivered_at(&receiver));
}
