//! The plugin's `init_config`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use falco_plugin::schemars::JsonSchema;
use follow::Start;
use serde::{Deserialize, de::IgnoredAny};

/// What `init_config` of the plugin may hold.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(crate = "falco_plugin::schemars", title = "k8saudit")]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// PEM file with the certificate chain and the private key of the https webhook.
    pub ssl_certificate: PathBuf,
    /// PEM file with the private key, if it is not in the file of the certificate.
    pub ssl_key: Option<PathBuf>,
    /// PEM file with the authorities of client certificates; with it, the https webhook serves only clients that show one.
    #[serde(rename = "clientCA")]
    pub client_ca: Option<PathBuf>,
    /// Common names and subject alternative names; with them, a client certificate has to bear one of them.
    pub client_names: Option<Vec<String>>,
    /// File with bearer tokens, one a line; with it, every request has to carry one of them.
    pub bearer_token_file: Option<PathBuf>,
    /// Whether the webhook refuses to listen on other addresses than loopback by plain http.
    #[serde(rename = "requireTLS")]
    pub require_tls: bool,
    /// Seconds for which the webhook drops events that it got before; 0 drops none.
    pub duplicate_window: u32,
    /// Accepted for the sake of existing configurations, without effect.
    pub use_async: bool,
    /// Largest event, in bytes of JSON without blanks; without it, no event is dropped for its size.
    pub max_event_size: Option<u64>,
    /// Largest body of a webhook request, in bytes.
    pub webhook_max_batch_size: u64,
    /// Bytes that wait in the webhook at most; what more is sent is refused with 429. What arrived counts until its events
    /// were processed; copies of the bodies that are being parsed come on top.
    pub webhook_max_queued_bytes: u64,
    /// Where a followed file is first read from; later starts go on from `stateFile`.
    pub start_at: Start,
    /// File that keeps the position in a followed file; without it, every start is the first.
    pub state_file: Option<PathBuf>,
    /// Keys without a meaning: no error, since configurations with keys of other versions have to go on working.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: BTreeMap<String, IgnoredAny>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ssl_certificate: "/etc/falco/falco.pem".into(),
            ssl_key: None,
            client_ca: None,
            client_names: None,
            bearer_token_file: None,
            require_tls: false,
            // The API server tries five times, each for up to 30 seconds, with up to 100 seconds of pauses.
            duplicate_window: 300,
            use_async: true,
            max_event_size: None,
            webhook_max_batch_size: 12_582_912,
            webhook_max_queued_bytes: 64 << 20,
            start_at: Start::End,
            state_file: None,
            unknown: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Warns of keys that have no effect: a misspelt one might have been meant to keep strangers out.
    pub(crate) fn warn_of_unknown(&self) {
        for key in self.unknown.keys() {
            log::warn!("init_config has a key without effect: {key:?}");
        }
    }

    /// The file of the private key, and the key of the configuration that names it.
    pub(crate) fn key_file(&self) -> (&'static str, &PathBuf) {
        match &self.ssl_key {
            Some(path) => ("sslKey", path),
            None => ("sslCertificate", &self.ssl_certificate),
        }
    }

    /// How long an event is remembered, if at all.
    pub(crate) fn duplicate_window(&self) -> Option<Duration> {
        (self.duplicate_window > 0).then(|| Duration::from_secs(self.duplicate_window.into()))
    }

    /// The largest event, as a size in memory.
    pub(crate) fn max_event_bytes(&self) -> Option<usize> {
        self.max_event_size.map(size)
    }

    /// What waits at most, as a size in memory; a single body always fits.
    pub(crate) fn max_queued_bytes(&self) -> usize {
        size(self.webhook_max_queued_bytes)
    }

    /// The largest body, as a size in memory.
    pub(crate) fn max_body_bytes(&self) -> usize {
        size(self.webhook_max_batch_size)
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
