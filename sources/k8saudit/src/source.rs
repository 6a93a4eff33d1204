//! Event sourcing: connects the three inputs to the SDK.

use std::ffi::{CStr, CString};
use std::time::Duration;

use anyhow::anyhow;
use falco_plugin::FailureReason;
use falco_plugin::event::PluginEvent;
use falco_plugin::event::events::{Event, EventMetadata};
use falco_plugin::source::{
    EventBatch, EventInput, OpenParam, SourcePlugin, SourcePluginInstance, serialize_open_params,
};
use plugin_support::handover::{BatchLimit, Events};
use plugin_support::{c_string, guard};

use crate::K8sAudit;
use crate::counters::Counters;
use crate::open_params::{self, OpenParams};
use crate::read_once::ReadOnce;
use crate::tail::Tail;
use crate::webhook::Webhook;

/// How long the host waits in `next_batch`, and so how late it may notice that it shall stop.
const WAIT: Duration = Duration::from_millis(100);
const LIMIT: BatchLimit = BatchLimit { events: 1024, bytes: 4 << 20 };

/// An open event source.
#[derive(Debug)]
pub struct AuditStream {
    /// Gone after `close`.
    input: Option<Input>,
    /// Events of one batch from files; kept for its allocations.
    events: Events,
}

#[derive(Debug)]
enum Input {
    Webhook(Webhook),
    Tail(Box<Tail>),
    ReadOnce(ReadOnce),
}

impl SourcePlugin for K8sAudit {
    type Instance = AuditStream;
    type Event<'a> = Event<PluginEvent<&'a [u8]>>;

    const EVENT_SOURCE: &'static CStr = c"k8s_audit";
    const PLUGIN_ID: u32 = 1;

    fn list_open_params(&mut self) -> anyhow::Result<&CStr> {
        let forms = open_params::FORMS.map(|(value, desc)| OpenParam::Item { value, desc });
        guard("list_open_params", || serialize_open_params(&forms, &mut self.open_params))
    }

    fn open(&mut self, params: Option<&str>) -> anyhow::Result<AuditStream> {
        let input = || {
            Ok(match OpenParams::parse(params.unwrap_or_default())? {
                OpenParams::Webhook(address) => {
                    Input::Webhook(Webhook::open(&address, &self.config, &self.counters)?)
                }
                OpenParams::Follow(path) => {
                    Input::Tail(Box::new(Tail::open(path, &self.config, &self.counters)?))
                }
                OpenParams::ReadOnce(path) => {
                    Input::ReadOnce(ReadOnce::open(&path, &self.config, &self.counters)?)
                }
            })
        };
        // The SDK passes on the outermost message alone, and the cause is what an operator needs.
        let input = guard("open", input).map_err(|error| anyhow!("{error:#}"))?;
        Ok(AuditStream { input: Some(input), events: Events::default() })
    }

    fn close(&mut self, stream: &mut AuditStream) {
        if let Err(error) = guard("close", || stream.close()) {
            log::error!("{error}");
        }
    }

    fn event_to_string(&mut self, event: &EventInput<Self::Event<'_>>) -> anyhow::Result<CString> {
        guard("event_to_string", || Ok(c_string(event.event()?.params.event_data.to_vec())))
    }
}

impl SourcePluginInstance for AuditStream {
    type Plugin = K8sAudit;

    fn next_batch(
        &mut self,
        plugin: &mut K8sAudit,
        batch: &mut EventBatch<'_>,
    ) -> anyhow::Result<()> {
        guard("next_batch", || self.fill(batch, &plugin.counters))
    }
}

impl AuditStream {
    fn fill(&mut self, batch: &mut EventBatch<'_>, counters: &Counters) -> anyhow::Result<()> {
        let mut add = |timestamp_ns, payload: &[u8]| {
            let mut event = Self::plugin_event(payload);
            event.metadata = EventMetadata { ts: timestamp_ns, ..EventMetadata::default() };
            batch.add(event)?;
            counters.events.add(1);
            Ok(())
        };
        self.events.truncate(0);
        match self.input.as_mut().ok_or(FailureReason::Eof)? {
            Input::Webhook(webhook) => {
                if webhook.pull(WAIT, LIMIT, add)? == 0 {
                    return Err(FailureReason::Timeout.into());
                }
                return Ok(());
            }
            Input::Tail(tail) => tail.read(WAIT, LIMIT.bytes, &mut self.events),
            Input::ReadOnce(files) => {
                if !files.read(&mut self.events) {
                    return Err(FailureReason::Eof.into());
                }
            }
        }
        // A batch without events would be an error to stock.
        if self.events.is_empty() {
            return Err(FailureReason::Timeout.into());
        }
        self.events.iter().try_for_each(|(timestamp_ns, payload)| add(timestamp_ns, payload))
    }

    /// The host is done with the last batch.
    fn close(&mut self) -> anyhow::Result<()> {
        match self.input.take() {
            Some(Input::Tail(mut tail)) => tail.acknowledge(),
            Some(Input::Webhook(webhook)) => drop(webhook),
            Some(Input::ReadOnce(_)) | None => {}
        }
        Ok(())
    }
}
