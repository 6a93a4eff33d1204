//! What is wrong with a rules file, as plain data.

mod code;
mod place;
mod render;
mod report;
mod snippet;

pub(crate) use code::Code;
pub(crate) use place::{Context, Subject};
pub use report::FileReport;

use crate::text::FileSpan;

/// One error or warning.
#[derive(Clone, Debug)]
pub(crate) struct Diagnostic {
    pub(crate) code: Code,
    /// As Falco words it.
    pub(crate) message: String,
    /// Where Falco says it is.
    pub(crate) context: Context,
    /// The name of the deprecated field that the warning is about.
    pub(crate) deprecated_field: Option<String>,
    pub(crate) advice: Advice,
}

/// What helps a person more than Falco's words and places do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Advice {
    /// Said instead of the message.
    pub(crate) title: Option<String>,
    /// Marked instead of the context's place.
    pub(crate) place: Option<FileSpan>,
    /// Said at the mark.
    pub(crate) label: Option<String>,
    pub(crate) help: Option<String>,
    /// Rules that a mistake in a macro breaks; those of equal diagnostics are shown together.
    pub(crate) used_by: Vec<String>,
}

impl Diagnostic {
    pub(crate) fn new(code: Code, message: impl Into<String>, context: &Context) -> Self {
        Diagnostic {
            code,
            message: message.into(),
            context: context.clone(),
            deprecated_field: None,
            advice: Advice::default(),
        }
    }

    pub(crate) fn at(mut self, place: Option<FileSpan>) -> Self {
        self.advice.place = place;
        self
    }

    pub(crate) fn title(mut self, title: impl Into<String>) -> Self {
        self.advice.title = Some(title.into());
        self
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.advice.label = Some(label.into());
        self
    }

    pub(crate) fn help(mut self, help: Option<String>) -> Self {
        self.advice.help = help;
        self
    }
}
