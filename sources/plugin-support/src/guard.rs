//! Keeps panics inside the plugin.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::anyhow;

/// Runs `call`, which the ABI reached as `name`, and turns a panic in it into an error.
///
/// A plugin has its own copy of std, so a panic that crosses the ABI aborts the host, and nothing in the host can
/// stop that. State that `call` was changing when it panicked must still be valid for the next call.
///
/// # Errors
///
/// The error of `call`, or one that carries the panic's message.
pub fn guard<T>(name: &str, call: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|panic| Err(anyhow!("{name} panicked: {}", message(panic.as_ref()))))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[track_caller]
    fn check(call: impl FnOnce() -> anyhow::Result<u32>, expected: Result<u32, &str>) {
        assert_eq!(
            guard("open", call).map_err(|error| error.to_string()),
            expected.map_err(str::to_owned)
        );
    }

    #[test]
    fn results_pass_and_panics_become_errors() {
        check(|| Ok(7), Ok(7));
        check(|| bail!("no such file"), Err("no such file"));
        check(|| panic!("fixed text"), Err("open panicked: fixed text"));
        check(|| panic!("formatted {}", 1), Err("open panicked: formatted 1"));
        check(|| std::panic::panic_any(1u8), Err("open panicked: no message"));
    }
}
