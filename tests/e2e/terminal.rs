//! What is seen on a terminal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::agent::Setup;
use crate::lifecycle::{CHAMELEON, FURTHER, load};

const DEADLINE: Duration = Duration::from_secs(60);

/// Runs an agent whose standard output and error are a terminal, and returns what it writes there.
fn run_on_terminal(setup: &Setup) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let path = ptsname(&terminal, Vec::new()).unwrap();
    // The test itself must not get it for its own terminal.
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
    let mut options = File::options();
    options.read(true).write(true).custom_flags(flags);
    let other_end = || Stdio::from(options.open(OsStr::from_bytes(path.as_bytes())).unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_shikra"))
        .args(["-c", "config.yaml"])
        .current_dir(setup.path(""))
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(other_end())
        .stderr(other_end())
        .spawn()
        .unwrap();
    let (done, read) = sync_channel(1);
    let mut terminal = File::from(terminal);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // It ends with an error, when nobody has the other end any more.
        terminal.read_to_end(&mut bytes).unwrap_err();
        done.send(bytes).unwrap();
    });
    let bytes = read.recv_timeout(DEADLINE);
    child.kill().ok();
    assert!(child.wait().unwrap().success());
    String::from_utf8(bytes.unwrap()).unwrap()
}

/// The lines that are seen once all of this was written.
fn screen(written: &str) -> Vec<String> {
    let (mut lines, mut column) = (vec![String::new()], 0);
    let mut rest = written;
    while let Some(first) = rest.chars().next() {
        let line = lines.last_mut().unwrap();
        if let Some(after) = rest.strip_prefix("\x1b[K") {
            line.truncate(column);
            rest = after;
            continue;
        }
        // Wrapping off and on.
        if let Some(after) = ["\x1b[?7l", "\x1b[?7h"].iter().find_map(|s| rest.strip_prefix(s)) {
            rest = after;
            continue;
        }
        match first {
            '\r' => column = 0,
            '\n' => lines.push(String::new()),
            '\x1b' => panic!("{rest:?}"),
            // All of it is ASCII, and what is there is written over.
            _ => {
                let end = line.len().min(column + 1);
                line.replace_range(column..end, &first.to_string());
                column += 1;
            }
        }
        rest = &rest[first.len_utf8()..];
    }
    lines
}

const EVENTS: usize = 60;

fn setup(tasks: &str, isolation: &str) -> Setup {
    let setup = Setup::new();
    let entry = CHAMELEON.entry(&setup, &[FURTHER], tasks, &format!("{EVENTS} slow"));
    load(&setup, &[entry.replace('}', &format!(", isolation: {isolation}}}"))]);
    setup.write(
        "rules.yaml",
        "- {rule: Seen, desc: d, condition: evt.num > 0, output: \"Seen %cham.value.\", priority: INFO, source: chameleon}\n",
    );
    setup
}

#[test]
fn a_source_that_has_an_end_shows_its_progress_below_alerts_and_log() {
    for isolation in ["none", "process"] {
        let setup = setup("get_progress words", isolation);
        let written = run_on_terminal(&setup);
        let (until, _) = written.rsplit_once(" s left").unwrap_or_else(|| panic!("{written:?}"));
        let lines = screen(until);
        let (bar, above) = lines.split_last().unwrap();
        assert!(bar.starts_with("chameleon [#") && bar.contains(" events/s  "), "{lines:#?}");
        assert!(written.contains(&format!(" of {EVENTS}\\u{{1b}}[2J")), "{written:?}");
        let all = screen(&written);
        assert!(above.len() > 20, "{lines:#?}");
        for lines in [above, &all[..]] {
            assert!(lines.iter().all(|line| !line.contains("events/s")), "{lines:#?}");
        }
        for number in 1..=EVENTS {
            let end = format!("Seen chameleon-{number}.");
            assert!(all.iter().any(|line| line.ends_with(&end)), "{end} in {all:#?}");
        }
        assert_eq!(all.iter().filter(|line| line.contains("Seen ")).count(), EVENTS, "{all:#?}");
        assert!(all.iter().any(|line| line == "Rule counts by severity:"), "{all:#?}");
    }
}

#[test]
fn without_an_end_or_a_terminal_there_is_no_progress() {
    let written = run_on_terminal(&setup("get_progress nothing", "none"));
    assert!(!written.contains("events/s") && !written.contains('\x1b'), "{written:?}");
    let finished = setup("", "none").run(&[]);
    assert!(finished.status.success(), "{finished:?}");
    let written = finished.stdout + &finished.stderr;
    assert!(!written.contains("events/s") && !written.contains('\x1b'), "{written:?}");
}
