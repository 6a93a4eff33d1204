//! Progress: how far an event source has come that has an end.

use std::ffi::CStr;

use super::{EventStream, Instance};
use crate::plugin::State;

/// How far an event source has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// From 0 to 1; also 0 where the plugin cannot tell.
    pub share: f64,
    /// What the plugin says of it in words; mostly empty.
    pub text: String,
}

impl EventStream {
    /// Asks the plugin how far the source has come. `None` if it does not tell, or is busy in a process of its own.
    ///
    /// Source: `get_progress` in `plugin_api.h`, plugin API 3.12. It has no way to fail.
    pub fn progress(&mut self) -> Option<Progress> {
        const WHOLE: u32 = 10_000;
        let (share, text) = self.ask_for_progress()?;
        if share > WHOLE {
            self.plugin.note_protocol_error(format_args!("get_progress gave {share} of {WHOLE}"));
            return None;
        }
        let text = String::from_utf8(text).unwrap_or_else(|_| {
            self.plugin.note_protocol_error(format_args!("get_progress gave what is not UTF-8"));
            String::new()
        });
        Some(Progress { share: f64::from(share) / f64::from(WHOLE), text })
    }

    /// What the plugin says: ten-thousandths, and words as they are.
    pub(crate) fn ask_for_progress(&mut self) -> Option<(u32, Vec<u8>)> {
        const LONGEST: usize = 1024;
        if self.is_closed {
            return None;
        }
        let (local, functions, handle) = match (&mut self.plugin.state, &self.instance) {
            (State::Here(local), Instance::Here { functions, handle }) => {
                (*local, functions, *handle)
            }
            (State::Child(remote), _) => return remote.progress(),
            (State::Here(_), Instance::Child(_)) => {
                unreachable!("the stream is where its plugin is")
            }
        };
        let get_progress = functions.get_progress.filter(|_| !handle.is_null())?;
        let mut share = 0u32;
        // SAFETY: state and instance live until `self` drops, `&mut self` keeps other calls out, and the
        // out-pointer is valid for a write.
        let text = unsafe { get_progress(local.handle, handle, &raw mut share) };
        if text.is_null() {
            return Some((share, Vec::new()));
        }
        // SAFETY: not null, so a C string that stays until the next call, says the header.
        let text = unsafe { CStr::from_ptr(text) }.to_bytes();
        Some((share, text[..text.len().min(LONGEST)].to_vec()))
    }
}
