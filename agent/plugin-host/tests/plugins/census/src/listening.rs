//! Routines that run while the source is open.

use std::ops::ControlFlow;

use falco_plugin::listen::{CaptureListenInput, CaptureListenPlugin};

use crate::Census;

impl CaptureListenPlugin for Census {
    fn capture_open(&mut self, input: &CaptureListenInput<'_>) -> anyhow::Result<()> {
        log::info!("capture opens");
        if self.task == "cannot listen" {
            anyhow::bail!("asked not to listen");
        }
        if self.task == "listen" {
            let mut calls = 0;
            self.routines.push(input.thread_pool.subscribe(move || {
                calls += 1;
                log::info!("call {calls}");
                if calls < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?);
            self.routines.push(input.thread_pool.subscribe(|| ControlFlow::Continue(()))?);
        }
        Ok(())
    }

    fn capture_close(&mut self, input: &CaptureListenInput<'_>) -> anyhow::Result<()> {
        for routine in self.routines.drain(..) {
            input.thread_pool.unsubscribe(&routine)?;
            if input.thread_pool.unsubscribe(&routine).is_err() {
                log::info!("unsubscribed once");
            }
        }
        log::info!("capture closes");
        Ok(())
    }
}
