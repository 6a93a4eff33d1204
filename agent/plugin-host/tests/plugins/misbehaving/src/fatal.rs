//! What no host can survive in its own process.

use std::ffi::c_int;
use std::io::{Read, Write};

use crate::State;

unsafe extern "C" {
    fn close(file: c_int) -> c_int;
}

/// Does the worst that the word stands for; a word that stands for nothing does nothing.
#[expect(clippy::exit, reason = "plugins do that")]
pub(crate) fn act(word: &str, state: &State) {
    match word {
        "abort" => std::process::abort(),
        "exit" => std::process::exit(0),
        "panic" => panic!("told to panic"),
        "segfault" => {
            // SAFETY: none, which is the point.
            unsafe { std::ptr::without_provenance_mut::<u64>(8).write_volatile(1) };
        }
        "overflow-stack" => {
            std::hint::black_box(recurse(0));
        }
        "hang" => loop {
            std::thread::park();
        },
        "spin" => loop {
            std::hint::spin_loop();
        },
        "close-files" => {
            for file in 3..1024 {
                // SAFETY: none, which is the point.
                unsafe { close(file) };
            }
        }
        "flood-log" => (0..20_000).for_each(|line| state.log(&format!("line {line}"))),
        // What is in the way of alerts, or read in the place of the host. All may fail.
        "print" => {
            std::io::stdout().write_all(b"not an alert\n").ok();
            std::io::stdout().flush().ok();
        }
        "read-input" => drop(std::io::stdin().read(&mut [0; 64])),
        "corrupt-heap" => corrupt_heap(),
        _ => {}
    }
}

#[expect(unconditional_recursion, reason = "until there is no stack left")]
fn recurse(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 1024]);
    recurse(depth + 1) + here[depth as usize % 1024]
}

/// Overwrites what lies around many small blocks, then frees these.
fn corrupt_heap() {
    let blocks: Vec<_> = (0..100).map(|_| Box::into_raw(Box::new([0u64; 2]))).collect();
    for &block in &blocks {
        let before = block.cast::<u8>().wrapping_sub(16);
        // SAFETY: none, which is the point.
        unsafe { before.write_bytes(0xff, 64) };
    }
    for &block in &blocks {
        // SAFETY: none, which is the point.
        drop(unsafe { Box::from_raw(block) });
    }
    std::process::abort();
}
