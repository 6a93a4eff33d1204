//! What the plugins of a source do while it is open, beside being asked: they add events, and listen.

use plugin_host::{AsyncQueue, CallError, EventStream, Extractor, OpenError, Plugin};

use crate::evaluation::BatchEvaluator;

/// Tells the plugins of one source when it opens and closes.
///
/// Source: `sinsp.cpp` in libs, which has the same order: open, handlers, listeners; and to close them the same.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The events that plugins have added.
    pub(crate) queue: AsyncQueue,
}

impl Capture {
    /// For an event source whose other events are of the plugin with `plugin_id`.
    pub(crate) fn new(event_source: &str, plugin_id: u32) -> Capture {
        Capture { queue: AsyncQueue::new(event_source, plugin_id) }
    }

    /// Opens the source, and tells all plugins.
    ///
    /// # Errors
    ///
    /// When the source cannot be opened, or a plugin fails to begin. Then the others are told that it is closed.
    pub(crate) fn open(
        &self,
        plugin: Plugin,
        params: &str,
        evaluator: &mut BatchEvaluator,
    ) -> Result<EventStream, OpenError> {
        let mut stream = plugin.open(params)?;
        if let Err(error) = self.begin(stream.extractor(), evaluator) {
            stream.close();
            self.stop_adding(stream.extractor(), evaluator);
            self.end(stream.extractor(), evaluator);
            return Err(OpenError::Failed(error));
        }
        Ok(stream)
    }

    /// Tells those plugins that do not know yet that the source is open.
    ///
    /// # Errors
    ///
    /// When a plugin fails to begin.
    pub(crate) fn begin(
        &self,
        mut input: Extractor<'_>,
        evaluator: &mut BatchEvaluator,
    ) -> Result<(), CallError> {
        input.start_async_events(&self.queue)?;
        for plugin in evaluator.extractors() {
            plugin.extractor().start_async_events(&self.queue)?;
        }
        input.open_capture()?;
        evaluator.extractors().try_for_each(|plugin| plugin.extractor().open_capture())
    }

    /// Has all plugins stop adding events. What they have added is in the queue.
    pub(crate) fn stop_adding(&self, mut input: Extractor<'_>, evaluator: &mut BatchEvaluator) {
        input.stop_async_events();
        evaluator.extractors().for_each(|plugin| plugin.extractor().stop_async_events());
    }

    /// Tells all plugins that listen that the source is closed.
    pub(crate) fn end(&self, mut input: Extractor<'_>, evaluator: &mut BatchEvaluator) {
        input.close_capture();
        evaluator.extractors().for_each(|plugin| plugin.extractor().close_capture());
    }
}
