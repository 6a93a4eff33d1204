//! The plugin's `init_config`.

use std::path::PathBuf;

use falco_plugin::schemars::JsonSchema;
use serde::Deserialize;

/// What `init_config` of the plugin may hold; keys that are not listed are ignored.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(crate = "falco_plugin::schemars", title = "k8saudit")]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// PEM file with the certificate chain and the private key of the https webhook.
    pub ssl_certificate: PathBuf,
    /// Accepted for the sake of existing configurations, without effect.
    pub use_async: bool,
    /// Largest event, in bytes of JSON without blanks.
    pub max_event_size: u64,
    /// Largest body of a webhook request, in bytes.
    pub webhook_max_batch_size: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ssl_certificate: "/etc/falco/falco.pem".into(),
            use_async: true,
            max_event_size: 262_144,
            webhook_max_batch_size: 12_582_912,
        }
    }
}
