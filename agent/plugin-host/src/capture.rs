//! Capture listening: tells a plugin when the event source opens and closes, and lends it threads meanwhile.

mod routines;

pub(crate) use self::routines::Routines;
use crate::abi::{ListenInput, RoutineVtable};
use crate::extract::Extractor;
use crate::owner::{self, LogSeverity};
use crate::plugin::{CallError, LocalState};
use crate::return_code::ReturnCode;
use crate::tables;

static ROUTINES: RoutineVtable = RoutineVtable {
    subscribe: Some(routines::subscribe),
    unsubscribe: Some(routines::unsubscribe),
};

impl Extractor<'_> {
    /// Tells the plugin that the event source is open, if it listens and does not know yet.
    ///
    /// # Errors
    ///
    /// When the plugin fails. It is to hear of the end all the same, as in Falco: it may have begun something.
    pub fn open_capture(&mut self) -> Result<(), CallError> {
        const FUNCTION: &str = "capture_open";
        let Some(local) = self.plugin.local() else { return Ok(()) };
        let Some(capture) = local.functions.capture else { return Ok(()) };
        if !self.plugin.owner.routines().open(local.handle) {
            return Ok(());
        }
        let rc = self.call_capture(local, capture.open);
        if rc == ReturnCode::Success {
            return Ok(());
        }
        Err(self.plugin.call_error(FUNCTION))
    }

    /// Tells the plugin that the event source is closed, if it was told of the opening, and waits for its routines to end.
    pub fn close_capture(&mut self) {
        let Some(local) = self.plugin.local() else { return };
        let Some(capture) = local.functions.capture else { return };
        if !self.plugin.owner.routines().is_open() {
            return;
        }
        let rc = self.call_capture(local, capture.close);
        if rc != ReturnCode::Success {
            let error = self.plugin.call_error("capture_close");
            self.plugin.owner.log(LogSeverity::Error, &error.to_string());
        }
        self.plugin.owner.routines().close();
    }

    fn call_capture(&mut self, local: LocalState, function: crate::abi::CaptureFn) -> ReturnCode {
        let input = ListenInput {
            owner: self.plugin.owner.handle(),
            routine: (&raw const ROUTINES).cast_mut(),
            table_reader_ext: tables::reader_ext(),
            table_writer_ext: tables::writer_ext(),
            get_owner_last_error: Some(owner::last_error),
        };
        // SAFETY: the state lives until the plugin drops, `&mut` keeps other calls out but those of
        // routines, which the plugin asks for itself, and the input outlives the call.
        let rc = unsafe { function(local.handle, &raw const input) };
        self.plugin.owner.tables().reclaim();
        ReturnCode::from(rc)
    }
}
