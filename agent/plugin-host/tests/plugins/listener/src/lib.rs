//! Falco plugin `listener`, for tests: says in the log when an event source opens and closes, and has no other capability.
#![forbid(unsafe_code)]

use std::ffi::CStr;

use falco_plugin::base::Plugin;
use falco_plugin::listen::{CaptureListenInput, CaptureListenPlugin};
use falco_plugin::tables::TablesInput;

/// The plugin's state.
#[derive(Debug)]
pub struct Listener;

impl Plugin for Listener {
    const NAME: &'static CStr = c"listener";
    const PLUGIN_VERSION: &'static CStr = c"0.1.0";
    const DESCRIPTION: &'static CStr = c"listens";
    const CONTACT: &'static CStr = c"the Shikra authors";
    type ConfigType = ();

    fn new(_: Option<&TablesInput<'_>>, (): ()) -> anyhow::Result<Self> {
        Ok(Self)
    }
}

impl CaptureListenPlugin for Listener {
    fn capture_open(&mut self, _: &CaptureListenInput<'_>) -> anyhow::Result<()> {
        log::info!("heard that it opens");
        Ok(())
    }

    fn capture_close(&mut self, _: &CaptureListenInput<'_>) -> anyhow::Result<()> {
        log::info!("heard that it closes");
        Ok(())
    }
}

/// The C functions of the plugin; a module of its own, since the SDK's macros use what is denied elsewhere.
mod exports {
    use falco_plugin::{capture_listen_plugin, plugin};

    use crate::Listener;

    plugin!(Listener);
    capture_listen_plugin!(Listener);
}
