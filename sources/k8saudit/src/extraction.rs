//! Field extraction: connects the table of fields to the SDK.

use std::ffi::{CStr, CString};

use falco_plugin::event::PluginEvent;
use falco_plugin::event::events::Event;
use falco_plugin::extract::{EventInput, ExtractFieldInfo, ExtractPlugin, ExtractRequest, field};
use plugin_support::json::Value;
use plugin_support::{c_string, guard};

use crate::K8sAudit;
use crate::fields::{FIELDS, Field, Method, audit_event};

impl ExtractPlugin for K8sAudit {
    type Event<'a> = Event<PluginEvent<&'a [u8]>>;
    // The SDK makes a context for every call, and hosts ask for one field a call: what is kept between fields of one
    // event is kept in the plugin's state.
    type ExtractContext = ();

    const EXTRACT_FIELDS: &'static [ExtractFieldInfo<Self>] = &NUMBERED;
}

/// The SDK tells a function only whom it calls, not which field it is called for: so each field has functions of its own,
/// made from its number in the table.
#[rustfmt::skip]
const NUMBERED: [ExtractFieldInfo<K8sAudit>; FIELDS.len()] = [
    info::< 0>(), info::< 1>(), info::< 2>(), info::< 3>(), info::< 4>(), info::< 5>(), info::< 6>(), info::< 7>(), info::< 8>(), info::< 9>(),
    info::<10>(), info::<11>(), info::<12>(), info::<13>(), info::<14>(), info::<15>(), info::<16>(), info::<17>(), info::<18>(), info::<19>(),
    info::<20>(), info::<21>(), info::<22>(), info::<23>(), info::<24>(), info::<25>(), info::<26>(), info::<27>(), info::<28>(), info::<29>(),
    info::<30>(), info::<31>(), info::<32>(), info::<33>(), info::<34>(), info::<35>(), info::<36>(), info::<37>(), info::<38>(), info::<39>(),
    info::<40>(), info::<41>(), info::<42>(), info::<43>(), info::<44>(), info::<45>(), info::<46>(), info::<47>(), info::<48>(), info::<49>(),
    info::<50>(), info::<51>(), info::<52>(), info::<53>(), info::<54>(), info::<55>(), info::<56>(), info::<57>(), info::<58>(), info::<59>(),
    info::<60>(), info::<61>(), info::<62>(), info::<63>(), info::<64>(), info::<65>(), info::<66>(), info::<67>(), info::<68>(), info::<69>(),
    info::<70>(), info::<71>(), info::<72>(), info::<73>(), info::<74>(), info::<75>(), info::<76>(), info::<77>(), info::<78>(), info::<79>(),
    info::<80>(), info::<81>(), info::<82>(), info::<83>(), info::<84>(), info::<85>(), info::<86>(), info::<87>(), info::<88>(), info::<89>(),
    info::<90>(), info::<91>(), info::<92>(), info::<93>(), info::<94>(), info::<95>(), info::<96>(), info::<97>(), info::<98>(), info::<99>(),
];

const fn info<const N: usize>() -> ExtractFieldInfo<K8sAudit> {
    let Field { name, description, .. } = FIELDS[N];
    match FIELDS[N].method {
        Method::Text(..) => field(name, &text::<N>),
        Method::Keyed(..) => field(name, &keyed::<N>),
        Method::List(..) => field(name, &list::<N>),
        Method::Indexed(..) => field(name, &indexed::<N>),
    }
    .with_description(description)
}

fn text<const N: usize>(
    plugin: &mut K8sAudit,
    ExtractRequest { event, .. }: ExtractRequest<K8sAudit>,
) -> anyhow::Result<Option<CString>> {
    plugin.extract_text(&FIELDS[N], event, c"")
}

fn keyed<const N: usize>(
    plugin: &mut K8sAudit,
    ExtractRequest { event, .. }: ExtractRequest<K8sAudit>,
    key: &CStr,
) -> anyhow::Result<Option<CString>> {
    plugin.extract_text(&FIELDS[N], event, key)
}

fn list<const N: usize>(
    plugin: &mut K8sAudit,
    ExtractRequest { event, .. }: ExtractRequest<K8sAudit>,
) -> anyhow::Result<Vec<CString>> {
    plugin.extract_list(&FIELDS[N], event, None)
}

fn indexed<const N: usize>(
    plugin: &mut K8sAudit,
    ExtractRequest { event, .. }: ExtractRequest<K8sAudit>,
    index: Option<u64>,
) -> anyhow::Result<Vec<CString>> {
    plugin.extract_list(&FIELDS[N], event, index)
}

type Input<'a> = EventInput<'a, <K8sAudit as ExtractPlugin>::Event<'a>>;

impl K8sAudit {
    fn extract_text(
        &mut self,
        field: &Field,
        input: &Input<'_>,
        key: &CStr,
    ) -> anyhow::Result<Option<CString>> {
        guard(field.name, || {
            let event = self.audit_event(input)?;
            Ok(event.and_then(|event| field.text(event, key.to_bytes())).map(c_string))
        })
    }

    fn extract_list(
        &mut self,
        field: &Field,
        input: &Input<'_>,
        index: Option<u64>,
    ) -> anyhow::Result<Vec<CString>> {
        guard(field.name, || {
            let event = self.audit_event(input)?;
            let texts = event.map_or_else(Vec::new, |event| field.list(event, index));
            Ok(texts.into_iter().map(c_string).collect())
        })
    }

    /// The audit event to extract from; `None` if it is JSON but no audit event.
    fn audit_event(&mut self, input: &Input<'_>) -> anyhow::Result<Option<Value<'_>>> {
        let number = input.event_number() as u64;
        let event = input.event()?;
        audit_event(self.document.of(number, event.metadata.ts, event.params.event_data)?)
    }
}
