//! Event sourcing: connects the three inputs to the SDK.

use std::ffi::{CStr, CString};
use std::time::Duration;

use anyhow::anyhow;
use falco_plugin::FailureReason;
use falco_plugin::event::PluginEvent;
use falco_plugin::event::events::{Event, EventMetadata};
use falco_plugin::source::{
    EventBatch, EventInput, OpenParam, ProgressInfo, SourcePlugin, SourcePluginInstance,
    serialize_open_params,
};
use plugin_support::events::Event as ReadEvent;
use plugin_support::handover::BatchLimit;
use plugin_support::{c_string, guard};

use crate::K8sAudit;
use crate::counters::Counters;
use crate::open_params::{self, OpenParams};
use crate::read_ahead::ReadAhead;
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
}

#[derive(Debug)]
enum Input {
    Webhook(Box<Webhook>),
    Tail(Box<Tail>),
    Files(ReadAhead),
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
                    Input::Webhook(Box::new(Webhook::open(&address, &self.config, &self.counters)?))
                }
                OpenParams::Follow(path) => {
                    Input::Tail(Box::new(Tail::open(path, &self.config, &self.counters)?))
                }
                OpenParams::ReadOnce(path) => {
                    let files = ReadOnce::open(&path, &self.config, &self.counters)?;
                    Input::Files(ReadAhead::start(files)?)
                }
            })
        };
        // The SDK passes on the outermost message alone, and the cause is what an operator needs.
        let input = guard("open", input).map_err(|error| anyhow!("{error:#}"))?;
        Ok(AuditStream { input: Some(input) })
    }

    fn close(&mut self, stream: &mut AuditStream) {
        if let Err(error) = guard("close", || stream.close(&self.counters)) {
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
        guard("next_batch", || self.fill(batch, plugin))
    }

    /// Only files that are read once have an end.
    fn get_progress(&mut self) -> ProgressInfo<'_> {
        let value = match &self.input {
            Some(Input::Files(files)) => files.percent(),
            _ => 0.0,
        };
        ProgressInfo { value, detail: None }
    }
}

impl AuditStream {
    fn fill(&mut self, batch: &mut EventBatch<'_>, plugin: &mut K8sAudit) -> anyhow::Result<()> {
        let events = plugin.document.batch();
        let mut add = |event: ReadEvent<'_>| {
            let mut added = Self::plugin_event(event.payload);
            added.metadata = EventMetadata { ts: event.timestamp_ns, ..EventMetadata::default() };
            batch.add(added)?;
            plugin.counters.events.add(1);
            anyhow::Ok(())
        };
        match self.input.as_mut().ok_or(FailureReason::Eof)? {
            Input::Webhook(webhook) => {
                events.truncate(0);
                let add = |event: ReadEvent<'_>| {
                    events.push_event(event);
                    add(event)
                };
                if webhook.pull(WAIT, LIMIT, add)? == 0 {
                    return Err(FailureReason::Timeout.into());
                }
                return Ok(());
            }
            Input::Tail(tail) => {
                events.truncate(0);
                tail.read(WAIT, LIMIT.bytes, events);
            }
            Input::Files(files) => files.next(WAIT, events)?,
        }
        // A batch without events would be an error to stock.
        if events.is_empty() {
            return Err(FailureReason::Timeout.into());
        }
        events.iter().try_for_each(add)
    }

    /// The host is done with the last batch.
    fn close(&mut self, counters: &Counters) -> anyhow::Result<()> {
        match self.input.take() {
            Some(Input::Tail(mut tail)) => tail.acknowledge(),
            Some(Input::Webhook(webhook)) => drop(webhook),
            Some(Input::Files(files)) => counters.events_unprocessed.add(files.close()? as u64),
            None => {}
        }
        Ok(())
    }
}
