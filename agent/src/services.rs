//! What runs beside the event sources and follows the configuration: outputs, webserver, snapshots of metrics.
//!
//! A change comes in two steps: [`Services::prepare`] does all that can fail and changes nothing, [`Services::apply`] cannot
//! fail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::alert::AlertFormat;
use crate::config::Config;
use crate::metrics::{Facts, Metrics, SnapshotSetup, Snapshots, SnapshotsError};
use crate::outputs::{Outputs, PreparedOutputs, StartError};
use crate::readiness::Readiness;
use crate::statistics::Statistics;
use crate::webserver::{Webserver, WebserverError};

/// How long the snapshots of before get to write the one that they are at.
const GRACE: Duration = Duration::from_secs(1);

/// Why a configuration cannot be put into force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServicesError {
    #[error(transparent)]
    Outputs(#[from] StartError),
    #[error(transparent)]
    Webserver(#[from] WebserverError),
    #[error(transparent)]
    Snapshots(#[from] SnapshotsError),
}

/// The services, and what they work with over all configurations.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) outputs: Outputs,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) statistics: Arc<Statistics>,
    pub(crate) readiness: Arc<Readiness>,
    /// The body of `/versions`.
    pub(crate) versions: String,
    pub(crate) running: Mutex<Running>,
    /// `output_timeout` of the configuration.
    pub(crate) output_timeout: Mutex<Option<Duration>>,
}

/// The services that a configuration may switch off.
#[derive(Debug, Default)]
pub(crate) struct Running {
    webserver: Option<Webserver>,
    snapshots: Option<Snapshots>,
    /// The agent ends: nothing is started any more.
    is_closed: bool,
}

/// What a new configuration changes. Dropping it changes nothing.
#[derive(Debug)]
pub(crate) struct Prepared {
    outputs: Option<PreparedOutputs>,
    output_timeout: Option<Duration>,
    webserver: Change<Webserver>,
    snapshots: Change<Snapshots>,
}

#[derive(Debug)]
enum Change<T> {
    Keep,
    /// By the new one, if there is to be one.
    Replace(Option<T>),
}

/// The configuration and the format of alerts, as they are and as they shall be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings<'a> {
    pub(crate) config: &'a Config,
    pub(crate) format: &'a Arc<AlertFormat>,
}

impl Services {
    /// Starts what `new` needs beside what runs already for `old`; nothing runs yet where that is `None`.
    ///
    /// With `anew`, outputs and a webserver with TLS are replaced even without a change of their settings: certificates may
    /// have changed.
    ///
    /// # Errors
    ///
    /// When a certificate or a file cannot be used, or the webserver's port is taken.
    pub(crate) fn prepare(
        &self,
        old: Option<Settings<'_>>,
        new: Settings<'_>,
        anew: bool,
    ) -> Result<Prepared, ServicesError> {
        let is_same = |same: fn(&Config, &Config) -> bool| {
            old.is_some_and(|old| same(old.config, new.config))
        };
        let keeps_outputs = !anew
            && is_same(|old, new| old.outputs == new.outputs && old.alerts.json == new.alerts.json);
        let outputs = match old {
            // They were started before everything else.
            None => None,
            Some(_) if keeps_outputs => None,
            Some(_) => {
                let (config, json) = (&new.config.outputs, new.config.alerts.json);
                Some(self.outputs.prepare(config, json, &self.metrics)?)
            }
        };
        let uses_tls = new.config.webserver.tls_certificate.is_some();
        let keeps_webserver = !(anew && uses_tls)
            && is_same(|old, new| {
                old.webserver == new.webserver && old.metrics.enabled == new.metrics.enabled
            });
        let webserver = match keeps_webserver {
            true => Change::Keep,
            false => Change::Replace(self.webserver(new.config)?),
        };
        let keeps_snapshots = is_same(|old, new| old.metrics == new.metrics)
            && old.is_some_and(|old| old.format == new.format);
        let snapshots = match keeps_snapshots {
            true => Change::Keep,
            false => Change::Replace(Snapshots::start(SnapshotSetup {
                config: new.config.metrics.clone(),
                metrics: Arc::clone(&self.metrics),
                facts: Arc::clone(&self.facts),
                statistics: Arc::clone(&self.statistics),
                format: Arc::clone(new.format),
                alerts: self.outputs.sender(),
            })?),
        };
        let output_timeout = new.config.outputs.timeout;
        Ok(Prepared { outputs, output_timeout, webserver, snapshots })
    }

    fn webserver(&self, config: &Config) -> Result<Option<Webserver>, WebserverError> {
        if !config.webserver.enabled {
            return Ok(None);
        }
        let serves_metrics = config.webserver.serves_metrics && config.metrics.enabled;
        let webserver = Webserver::start(
            &config.webserver,
            self.versions.clone(),
            Arc::clone(&self.readiness),
            serves_metrics.then(|| Arc::clone(&self.metrics)),
            self.running().webserver.as_ref(),
            &self.runtime,
        )?;
        tracing::info!(
            "Starting health webserver with threadiness {}, listening on {}{}",
            self.runtime.metrics().num_workers(),
            webserver.address,
            if config.webserver.tls_certificate.is_some() { " (SSL)" } else { "" }
        );
        Ok(Some(webserver))
    }

    /// Puts into force what was prepared, and ends what it replaces.
    pub(crate) fn apply(&self, prepared: Prepared) {
        let mut running = self.running();
        if running.is_closed {
            return;
        }
        *self.output_timeout() = prepared.output_timeout;
        if let Some(outputs) = prepared.outputs {
            self.outputs.replace(outputs);
        }
        let webserver = prepared.webserver.apply_to(&mut running.webserver);
        let snapshots = prepared.snapshots.apply_to(&mut running.snapshots);
        drop(running);
        self.end(webserver, snapshots, GRACE);
    }

    /// Ends webserver and outputs, and with what they leave undone after `grace`, whoever waits for an output.
    pub(crate) fn close(&self, grace: Duration) {
        let mut running = self.running();
        running.is_closed = true;
        let Running { webserver, snapshots, .. } = std::mem::take(&mut *running);
        running.is_closed = true;
        drop(running);
        self.end(webserver, None, grace);
        self.outputs.close(grace);
        self.end(None, snapshots, grace);
    }

    fn end(&self, webserver: Option<Webserver>, snapshots: Option<Snapshots>, grace: Duration) {
        if let Some(webserver) = webserver {
            webserver.stop(&self.runtime);
        }
        if let Some(snapshots) = snapshots {
            snapshots.stop(grace);
        }
    }

    /// Says which outputs take long. To be called now and then.
    pub(crate) fn report_slow_outputs(&self) {
        let limit = *self.output_timeout();
        if let Some(limit) = limit {
            self.outputs.report_slow(limit);
        }
    }

    fn output_timeout(&self) -> MutexGuard<'_, Option<Duration>> {
        self.output_timeout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Change<T> {
    /// Returns what is to be ended.
    fn apply_to(self, running: &mut Option<T>) -> Option<T> {
        match self {
            Change::Keep => None,
            Change::Replace(new) => std::mem::replace(running, new),
        }
    }
}
