//! `shikra replay` beside a run over the same file, core for core.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{Agent, RUNS, print_line};

/// Times a run that has one core, then a replay with one and with all of them.
///
/// A run has two threads that share the work and cannot use more; with one core each, what is compared is work done.
pub(crate) fn measure(agent: &Agent, events: &Path, count: u64) {
    let cores = thread::available_parallelism().unwrap().get();
    let (mut run, mut one, mut all) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        run = run.min(on_one_core(|| agent.time_of_run(events)));
        one = one.min(on_one_core(|| agent.time_of_replay(events)));
        all = all.min(agent.time_of_replay(events));
    }
    print_line("shikra on one core", run, count);
    print_line("replay on one core", one, count);
    print_line(&format!("replay on {cores} cores"), all, count);
    let ratio =
        |replay: Duration, cores: usize| run.as_secs_f64() / (replay.as_secs_f64() * cores as f64);
    println!("events a core, replay to run: {:.2}, {:.2}", ratio(one, 1), ratio(all, cores));
}

/// Processes that are started meanwhile have only the first of the cores that this one may use.
fn on_one_core<T>(action: impl FnOnce() -> T) -> T {
    let all = sched_getaffinity(None).unwrap();
    let first = (0..CpuSet::MAX_CPU).find(|&core| all.is_set(core)).unwrap();
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).unwrap();
    let result = action();
    sched_setaffinity(None, &all).unwrap();
    result
}
