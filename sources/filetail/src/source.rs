//! Event sourcing: followed lines to the SDK.

use std::ffi::{CStr, CString};
use std::time::Duration;

use anyhow::anyhow;
use falco_plugin::FailureReason;
use falco_plugin::event::PluginEvent;
use falco_plugin::event::events::Event;
use falco_plugin::source::{
    EventBatch, EventInput, OpenParam, SourcePlugin, SourcePluginInstance, serialize_open_params,
};
use follow::{Follower, Notice};
use plugin_support::counter::Counter;
use plugin_support::guard;

use crate::FileTail;
use crate::fields::line_text;
use crate::payload;

/// How long the host waits in `next_batch`, and so how late it may notice that it shall stop.
const WAIT: Duration = Duration::from_millis(100);
const BATCH_BYTES: usize = 1 << 20;

/// An open event source.
#[derive(Debug)]
pub struct LineStream {
    follower: Follower,
    /// Payload of one event; kept for its allocation.
    payload: Vec<u8>,
}

impl SourcePlugin for FileTail {
    type Instance = LineStream;
    type Event<'a> = Event<PluginEvent<&'a [u8]>>;

    const EVENT_SOURCE: &'static CStr = c"filetail";
    // Not registered by Falco; 999, which is for such plugins, is what many of them take.
    const PLUGIN_ID: u32 = 998;

    fn list_open_params(&mut self) -> anyhow::Result<&CStr> {
        let forms = [
            OpenParam::Item { value: "/var/log/auth.log", desc: "one file" },
            OpenParam::Item {
                value: "/var/log/**/*.log",
                desc: "all files that match, now or later",
            },
            OpenParam::Seq {
                values: &["/var/log/auth.log", "/var/log/nginx/*.log"],
                desc: "several of them",
                separator: ',',
            },
        ];
        guard("list_open_params", || serialize_open_params(&forms, &mut self.open_params))
    }

    fn open(&mut self, params: Option<&str>) -> anyhow::Result<LineStream> {
        let open = || {
            let settings = self.config.settings(params.unwrap_or_default())?;
            Ok(LineStream { follower: Follower::open(settings)?, payload: Vec::new() })
        };
        // The SDK passes on the outermost message alone, and the cause is what an operator needs.
        guard("open", open).map_err(|error| anyhow!("{error:#}"))
    }

    fn close(&mut self, stream: &mut LineStream) {
        let close = || {
            // The host is done with the last batch.
            stream.follower.acknowledge();
            stream.log_notices(&self.lines_too_long);
            Ok(())
        };
        if let Err(error) = guard("close", close) {
            log::error!("{error}");
        }
    }

    fn event_to_string(&mut self, event: &EventInput<Self::Event<'_>>) -> anyhow::Result<CString> {
        guard("event_to_string", || {
            Ok(line_text(payload::decode(event.event()?.params.event_data).line))
        })
    }
}

impl SourcePluginInstance for LineStream {
    type Plugin = FileTail;

    fn next_batch(
        &mut self,
        plugin: &mut FileTail,
        batch: &mut EventBatch<'_>,
    ) -> anyhow::Result<()> {
        guard("next_batch", || {
            self.follower.acknowledge();
            let lines = self.follower.next_lines(WAIT, BATCH_BYTES);
            for line in lines.lines() {
                payload::encode(line.path, line.number, line.text, &mut self.payload);
                batch.add(Self::plugin_event(&self.payload))?;
            }
            let count = lines.len();
            plugin.lines += count as u64;
            self.log_notices(&plugin.lines_too_long);
            // A batch without events would be an error to stock.
            if count == 0 { Err(FailureReason::Timeout.into()) } else { Ok(()) }
        })
    }
}

impl LineStream {
    /// Logs what happened to the files; long lines only now and then, since there may be many.
    fn log_notices(&mut self, lines_too_long: &Counter) {
        for notice in self.follower.take_notices() {
            match notice {
                Notice::LineTooLong { .. } => lines_too_long.report(|| notice.to_string()),
                _ => notice.log(),
            }
        }
    }
}
