//! What a plugin's function answers.

/// A return code of the ABI; the numbers are `ss_plugin_rc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReturnCode {
    Success,
    Failure,
    Timeout,
    Eof,
    NotSupported,
}

impl ReturnCode {
    /// What an out-variable holds before a call: real plugins leave error paths without writing it.
    pub(crate) const UNWRITTEN: i32 = 1;
    /// What our own functions answer to plugins.
    pub(crate) const SUCCESS: i32 = 0;
    pub(crate) const FAILURE: i32 = 1;
}

impl From<i32> for ReturnCode {
    /// A number the header does not know is a failure.
    fn from(rc: i32) -> Self {
        match rc {
            Self::SUCCESS => Self::Success,
            -1 => Self::Timeout,
            2 => Self::Eof,
            3 => Self::NotSupported,
            _ => Self::Failure,
        }
    }
}
