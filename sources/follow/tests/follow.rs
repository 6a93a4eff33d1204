//! What happens to followed files, on real files. F1 to F13 are the file cases of the audit plugin; the rest of them stand there.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use follow::{FilePattern, Follower, Settings, Start};

const DEADLINE: Duration = Duration::from_secs(10);

/// A directory with log files, and a follower of some of them.
struct Scene {
    directory: tempfile::TempDir,
    settings: Settings,
    follower: Option<Follower>,
    notices: Vec<String>,
}

impl Scene {
    /// Prepares to follow `patterns`, which are relative to the directory.
    fn new(patterns: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let full = |pattern: &&str| {
            FilePattern::parse(directory.path().join(pattern).to_str().unwrap()).unwrap()
        };
        let settings = Settings {
            line_limit: 1000,
            poll_interval: Duration::from_millis(20),
            grace: Duration::from_millis(200),
            state_file: Some(directory.path().join("state/positions.json")),
            ..Settings::new(patterns.iter().map(full))
        };
        Self { directory, settings, follower: None, notices: Vec::new() }
    }

    fn following(patterns: &[&str]) -> Self {
        let mut scene = Self::new(patterns);
        scene.start();
        scene
    }

    fn start(&mut self) {
        self.follower = Some(Follower::open(self.settings.clone()).unwrap());
    }

    fn stop(&mut self) {
        self.follower = None;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Waits for exactly these lines and leaves them unacknowledged.
    #[track_caller]
    fn read(&mut self, expected: &[&str]) {
        let follower = self.follower.as_mut().unwrap();
        let deadline = Instant::now() + DEADLINE;
        let mut lines = Vec::new();
        while lines.len() < expected.len() && Instant::now() < deadline {
            let batch = follower.next_lines(Duration::from_millis(50), 1 << 20);
            lines.extend(batch.lines().map(|line| String::from_utf8_lossy(line.text).into_owned()));
            self.notices.extend(follower.take_notices().iter().map(ToString::to_string));
        }
        assert_eq!(lines, expected, "notices: {:?}", self.notices);
    }

    /// Waits for exactly these lines and acknowledges them.
    #[track_caller]
    fn check(&mut self, expected: &[&str]) {
        self.read(expected);
        self.follower.as_mut().unwrap().acknowledge();
    }

    #[track_caller]
    fn check_notice(&mut self, part: &str) {
        self.notices
            .extend(self.follower.as_mut().unwrap().take_notices().iter().map(ToString::to_string));
        assert!(self.notices.iter().any(|notice| notice.contains(part)), "{:?}", self.notices);
    }
}

/// F1
#[test]
fn starts_at_the_end_of_what_exists_or_at_its_beginning() {
    let mut scene = Scene::new(&["a.log"]);
    scene.write("a.log", "old\n");
    scene.start();
    scene.append("a.log", "new\n");
    scene.check(&["new"]);

    let mut scene = Scene::new(&["a.log"]);
    scene.settings.start = Start::Begin;
    scene.write("a.log", "old\n");
    scene.start();
    scene.append("a.log", "new\n");
    scene.check(&["old", "new"]);
}

#[test]
fn a_half_line_at_the_start_is_delivered_whole() {
    let mut scene = Scene::new(&["a.log"]);
    scene.write("a.log", "old\nhalf");
    scene.start();
    scene.append("a.log", " whole\n");
    scene.check(&["half whole"]);
}

/// F2
#[test]
fn a_torn_line_waits_for_its_rest() {
    let mut scene = Scene::following(&["a.log"]);
    scene.append("a.log", "first\nto");
    scene.check(&["first"]);
    scene.append("a.log", "rn\nnext\n");
    scene.check(&["torn", "next"]);
}

/// F3, F4
#[test]
fn rotation_by_rename_loses_nothing_even_late_lines() {
    let mut scene = Scene::following(&["a.log"]);
    let mut old = File::create(scene.path("a.log")).unwrap();
    old.write_all(b"1\n").unwrap();
    scene.check(&["1"]);
    scene.rename("a.log", "a.log.1");
    old.write_all(b"2\n").unwrap();
    scene.check(&["2"]);
    scene.write("a.log", "3\n");
    scene.check(&["3"]);
    old.write_all(b"late\n").unwrap();
    scene.check(&["late"]);
    scene.append("a.log", "4\n");
    scene.check(&["4"]);
}

#[test]
fn the_rest_of_the_old_file_comes_before_the_new_file() {
    let mut scene = Scene::following(&["a.log"]);
    scene.write("a.log", "1\n");
    scene.check(&["1"]);
    scene.append("a.log", "2\n");
    scene.rename("a.log", "a.log.1");
    scene.write("a.log", "3\n");
    scene.check(&["2", "3"]);
}

#[test]
fn the_last_line_of_an_old_file_needs_no_line_feed() {
    let mut scene = Scene::following(&["a.log"]);
    scene.write("a.log", "1\nlast");
    scene.check(&["1"]);
    scene.rename("a.log", "a.log.1");
    scene.write("a.log", "2\n");
    scene.check(&["2", "last"]);
}

/// F5
#[test]
fn a_truncated_file_is_read_from_its_start() {
    let mut scene = Scene::following(&["a.log"]);
    scene.write("a.log", "one\ntwo\n");
    scene.check(&["one", "two"]);
    scene.write("a.log", "3\n");
    scene.check(&["3"]);
    scene.check_notice("truncated");
}

/// F6
#[test]
fn truncation_is_noticed_even_if_the_file_grew_past_the_old_position() {
    let mut scene = Scene::following(&["a.log"]);
    scene.write("a.log", "one\n");
    scene.check(&["one"]);
    scene.write("a.log", "two is longer\nthree\n");
    scene.check(&["two is longer", "three"]);
}

/// F7
#[test]
fn files_that_appear_later_are_read_whole() {
    let mut scene = Scene::following(&["sub/a.log"]);
    fs::create_dir(scene.path("sub")).unwrap();
    scene.write("sub/a.log", "1\n");
    scene.check(&["1"]);
    scene.append("sub/a.log", "2\n");
    scene.check(&["2"]);
}

/// F8
#[test]
fn a_long_line_is_skipped_alone() {
    let mut scene = Scene::following(&["a.log"]);
    scene.append("a.log", &format!("1\n{}\n3\n4\n", "x".repeat(3000)));
    scene.check(&["1", "3", "4"]);
    scene.check_notice("a.log line 2 is 3000 bytes long");
}

/// F9
#[test]
fn symlinks_are_followed_and_may_be_swapped() {
    let mut scene = Scene::new(&["current.log"]);
    fs::create_dir(scene.path("elsewhere")).unwrap();
    scene.write("elsewhere/1.log", "");
    symlink(scene.path("elsewhere/1.log"), scene.path("current.log")).unwrap();
    scene.start();
    scene.append("elsewhere/1.log", "1\n");
    scene.check(&["1"]);
    scene.write("elsewhere/2.log", "2\n");
    symlink(scene.path("elsewhere/2.log"), scene.path("swap")).unwrap();
    scene.append("elsewhere/1.log", "last of 1\n");
    scene.rename("swap", "current.log");
    scene.check(&["last of 1", "2"]);
}

/// F10
#[test]
fn a_file_renamed_over_the_path_is_read_whole() {
    let mut scene = Scene::following(&["a.log"]);
    scene.write("a.log", "1\n");
    scene.check(&["1"]);
    scene.write("b", "2\n3\n");
    scene.rename("b", "a.log");
    scene.check(&["2", "3"]);
}

#[test]
fn a_removed_file_may_come_back() {
    let mut scene = Scene::following(&["a.log"]);
    scene.write("a.log", "1\n");
    scene.check(&["1"]);
    fs::remove_file(scene.path("a.log")).unwrap();
    scene.check(&[]);
    scene.write("a.log", "2\n");
    scene.check(&["2"]);
}

#[test]
fn patterns_find_many_files_and_rotation_inside_a_pattern_repeats_nothing() {
    let mut scene = Scene::following(&["*.log", "other/x.log"]);
    scene.write("a.log", "a1\n");
    scene.check(&["a1"]);
    scene.write("b.log", "b1\n");
    scene.check(&["b1"]);
    scene.write("c.txt", "c1\n");
    scene.rename("a.log", "a-1.log");
    scene.write("a.log", "a2\n");
    scene.check(&["a2"]);
    scene.append("a-1.log", "late\n");
    scene.check(&["late"]);
}

#[test]
fn lines_know_their_path_and_number() {
    let mut scene = Scene::new(&["a.log"]);
    scene.write("a.log", "1\n2\n");
    scene.start();
    scene.append("a.log", "3\n");
    let path = scene.path("a.log");
    let deadline = Instant::now() + DEADLINE;
    let follower = scene.follower.as_mut().unwrap();
    loop {
        let batch = follower.next_lines(Duration::from_millis(50), 1 << 20);
        if let Some(line) = batch.lines().next() {
            assert_eq!((line.path, line.number, line.text), (Path::new(&path), 3, b"3".as_slice()));
            break;
        }
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn the_budget_bounds_a_batch_and_the_rest_follows() {
    let mut scene = Scene::following(&["a.log"]);
    let text = "0123456789abcde\n".repeat(20_000);
    scene.write("a.log", &text);
    let follower = scene.follower.as_mut().unwrap();
    let (mut lines, mut batches) = (0, 0);
    let deadline = Instant::now() + DEADLINE;
    while lines < 20_000 && Instant::now() < deadline {
        let batch = follower.next_lines(Duration::from_millis(50), 1000);
        assert!(batch.len() <= (64 << 10) / 16 + 1);
        lines += batch.len();
        batches += 1;
    }
    assert_eq!(lines, 20_000);
    assert!(batches >= 5);
}

#[test]
fn a_restart_goes_on_after_the_last_acknowledged_line() {
    let mut scene = Scene::following(&["a.log"]);
    scene.append("a.log", "1\n2\n");
    scene.check(&["1", "2"]);
    scene.append("a.log", "3\nto");
    scene.read(&["3"]);
    scene.stop();
    scene.append("a.log", "rn\n");
    scene.start();
    scene.check(&["3", "torn"]);
    scene.stop();
    scene.start();
    scene.append("a.log", "4\n");
    scene.check(&["4"]);
}

#[test]
fn a_restart_before_the_first_line_does_not_skip_it() {
    let mut scene = Scene::following(&["a.log"]);
    scene.stop();
    scene.write("a.log", "1\n");
    scene.start();
    scene.check(&["1"]);
}

#[test]
fn rotations_while_nobody_followed_lose_nothing() {
    let mut scene = Scene::following(&["audit.log"]);
    scene.append("audit.log", "1\n2\n");
    scene.check(&["1", "2"]);
    scene.stop();
    scene.append("audit.log", "3\n");
    scene.rename("audit.log", "audit-2026-01-01T00-00-00.000.log");
    scene.write("audit.log", "4\n");
    scene.rename("audit.log", "audit-2026-01-02T00-00-00.000.log");
    scene.write("audit.log", "5\n");
    scene.write("audit-policy.log", "not a rotated file\n");
    scene.start();
    scene.check(&["3", "4", "5"]);
}

/// `audit.log.1` becomes `audit.log.2` and so on; compressed ones are for nobody.
#[test]
fn a_chain_of_renames_is_caught_up_with_before_the_file_is_back() {
    let mut scene = Scene::following(&["audit.log"]);
    scene.append("audit.log", "1\n");
    scene.check(&["1"]);
    scene.stop();
    scene.append("audit.log", "2\n");
    scene.rename("audit.log", "audit.log.2");
    scene.write("audit.log.1", "3\n");
    scene.write("audit.log.3.gz", "\x1f\u{8b}\n");
    scene.start();
    scene.check(&["2", "3"]);
    scene.write("audit.log", "4\n");
    scene.check(&["4"]);
}

#[test]
fn an_old_file_that_was_not_read_to_its_end_is_caught_up_with_too() {
    let mut scene = Scene::following(&["audit.log"]);
    scene.append("audit.log", "1\n");
    scene.check(&["1"]);
    scene.rename("audit.log", "audit.log.1");
    scene.write("audit.log", "2\n");
    scene.check(&["2"]);
    scene.stop();
    // Whoever writes has not noticed the rotation yet.
    scene.append("audit.log.1", "late\n");
    scene.append("audit.log", "3\n");
    scene.start();
    scene.check(&["late", "3"]);
}

#[test]
fn a_file_cut_or_lost_while_nobody_followed_is_told() {
    let mut scene = Scene::following(&["a.log"]);
    scene.append("a.log", "one\n");
    scene.check(&["one"]);
    scene.stop();
    scene.write("a.log", "two is longer\n");
    scene.start();
    scene.check(&["two is longer"]);
    scene.check_notice("truncated");
    scene.stop();
    scene.write("b", "3\n");
    scene.rename("b", "a.log");
    scene.start();
    scene.check(&["3"]);
    scene.check_notice("its old file is gone");
}

#[test]
fn damaged_positions_repeat_lines_rather_than_lose_them() {
    let mut scene = Scene::following(&["a.log"]);
    scene.append("a.log", "1\n");
    scene.check(&["1"]);
    scene.stop();
    scene.write("state/positions.json", "{");
    scene.start();
    scene.check(&["1"]);
    scene.check_notice("are damaged");
}

#[test]
fn settings_that_can_never_work_are_errors() {
    let refuse = |settings: Settings| Follower::open(settings).unwrap_err().to_string();
    assert_eq!(refuse(Settings::new([])), "no file to follow");
    let settings = Settings {
        state_file: Some("/dev/null/positions".into()),
        ..Settings::new([FilePattern::Path("/a".into())])
    };
    assert_eq!(refuse(settings), "cannot keep positions in /dev/null/positions");
}

#[test]
fn what_cannot_be_followed_is_told_once() {
    let mut scene = Scene::new(&["sub", "a.log"]);
    fs::create_dir(scene.path("sub")).unwrap();
    scene.start();
    scene.append("a.log", "1\n");
    scene.check(&["1"]);
    scene.check_notice("is no regular file");
    assert_eq!(scene.notices.len(), 1, "{:?}", scene.notices);
}
