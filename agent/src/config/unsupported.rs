//! Settings of Falco that have no effect here: those of kernel drivers, and those it removed.
//!
//! They are still checked as far as Falco refuses wrong values, so that a file means the same to both.

use super::number;
use super::section::Section;

/// Reads all of them and says once a group that it is ignored.
pub(super) fn read(root: &mut Section<'_, '_>) {
    read_engine(root);
    read_drop_actions(root);
    ignore(root, "syscall_event_timeouts", |section| {
        section.parsed("max_consecutives", 1000, |text| {
            number::integer(text).filter(|number| *number > 0).ok_or_else(|| {
                "the maximum consecutive timeouts without an event must be an unsigned integer > 0"
                    .to_string()
            })
        });
    });
    ignore(root, "base_syscalls", |section| {
        section.texts("custom_set");
        section.flag("repair", false);
        section.flag("all", false);
    });
    ignore(root, "falco_libs", |section| {
        section.number("thread_table_size", 262_144u32);
        section.number("thread_table_auto_purging_interval_s", 300u64);
        section.number("thread_table_auto_purging_thread_timeout_s", 300u64);
        section.number("snaplen", 0u64);
    });
    ignore(root, "capture", |section| {
        section.flag("enabled", false);
        section.text("path_prefix", "");
        section.word("mode", (), &[("rules", ()), ("all_rules", ())], |text| {
            format!("capture.mode '{text}' is not a valid mode.")
        });
        section.number("default_duration", 5000u64);
        section.number("max_file_size_mb", 0u64);
    });
    root.flag("buffer_format_base64", false);
    root.flag("plugins_hostinfo", true);
    read_removed(root);
}

fn read_engine(root: &mut Section<'_, '_>) {
    ignore_if(root, "engine", |section| {
        let kind = section.text("kind", "nodriver");
        match kind.as_str() {
            "nodriver" | "kmod" | "modern_ebpf" | "" => {}
            "ebpf" | "gvisor" => {
                let place = section.position("kind").map(ToString::to_string).unwrap_or_default();
                section.findings().warning(format!(
                    "{place}: engine.kind '{kind}' was removed from Falco and has no effect"
                ));
            }
            "replay" => section.problem("kind", "replaying capture files is not supported"),
            _ => section.problem("kind", &format!("engine.kind '{kind}' is not a valid kind.")),
        }
        section.section("kmod", |section| {
            section.number("buf_size_preset", 4u16);
            section.flag("drop_failed_exit", false);
        });
        section.section("modern_ebpf", |section| {
            section.number("cpus_for_each_buffer", 2u16);
            section.number("buf_size_preset", 4u16);
            section.flag("drop_failed_exit", false);
            section.flag("disable_iterators", false);
        });
        section.section("replay", |section| section.text("capture_file", ""));
        section.removed_key("ebpf", "the driver was removed from Falco");
        section.removed_key("gvisor", "the engine was removed from Falco");
        let names_driver = matches!(kind.as_str(), "kmod" | "modern_ebpf");
        names_driver || section.is_present("kmod") || section.is_present("modern_ebpf")
    });
}

fn read_drop_actions(root: &mut Section<'_, '_>) {
    ignore(root, "syscall_event_drops", |section| {
        let actions = section.texts("actions");
        let ignores = actions.iter().any(|action| action == "ignore");
        for action in &actions {
            match action.as_str() {
                "log" | "alert" if ignores => {
                    let message = format!(
                        "syscall event drop action \"{action}\" does not make sense with the \
                         \"ignore\" action"
                    );
                    section.problem("actions", &message);
                }
                "ignore" | "log" | "alert" | "exit" => {}
                _ => section.problem(
                    "actions",
                    "available actions for syscall event drops are \"ignore\", \"log\", \
                     \"alert\", and \"exit\"",
                ),
            }
        }
        section.parsed("threshold", (), |text| match number::float(text) {
            Some(threshold) if (0.0..=1.0).contains(&threshold) => Ok(()),
            _ => {
                Err("syscall event drops threshold must be a double in the range [0, 1]"
                    .to_string())
            }
        });
        section.parsed("rate", 0.0, |text| {
            number::float(text).ok_or_else(|| format!("expected a number, found `{text}`"))
        });
        section.number("max_burst", 1u64);
        section.flag("simulate_drops", false);
    });
}

fn read_removed(root: &mut Section<'_, '_>) {
    for (key, reason) in [
        ("grpc", "the gRPC server was removed from Falco"),
        ("grpc_output", "the gRPC output was removed from Falco"),
        ("outputs", "the rate limit of outputs was removed from Falco"),
        ("metadata_download", "fetching Kubernetes metadata was removed from Falco"),
        ("syscall_buf_size_preset", "it belongs to kernel drivers, which this build has not"),
        ("syscall_drop_failed_exit", "it belongs to kernel drivers, which this build has not"),
        ("modern_bpf", "it belongs to kernel drivers, which this build has not"),
        ("container_engines", "container metadata belongs to system calls"),
    ] {
        root.removed_key(key, reason);
    }
}

/// Reads a group, and says that it is ignored if it is there.
fn ignore(root: &mut Section<'_, '_>, key: &'static str, read: impl FnOnce(&mut Section<'_, '_>)) {
    ignore_if(root, key, |section| {
        read(section);
        true
    });
}

/// Like [`ignore`], where `read` decides whether there is anything to say.
fn ignore_if(
    root: &mut Section<'_, '_>,
    key: &'static str,
    read: impl FnOnce(&mut Section<'_, '_>) -> bool,
) {
    let matters = root.section(key, read);
    if matters && root.is_present(key) {
        root.findings()
            .info(format!("Ignoring '{key}' settings: this build has no kernel drivers"));
    }
}
