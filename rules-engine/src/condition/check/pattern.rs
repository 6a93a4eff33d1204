//! Patterns of `regex`: compiled once each to see whether they are right, and limited together.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::operator::Regex;

/// What the patterns of all rules together may be compiled to, in bytes. A usual one takes 2 to 10 KB, the largest 1 MB.
const MAX_COMPILED_BYTES: usize = 256 << 20;

/// The patterns that were checked so far.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    verdicts: RefCell<HashMap<Vec<u8>, Result<(), String>>>,
    compiled_bytes: Cell<usize>,
}

impl Patterns {
    /// Says what is wrong with a pattern.
    pub(super) fn check(&self, pattern: &[u8]) -> Result<(), String> {
        if let Some(verdict) = self.verdicts.borrow().get(pattern) {
            return verdict.clone();
        }
        // Beyond the limit nothing is compiled any more: that takes time, too.
        if self.compiled_bytes.get() > MAX_COMPILED_BYTES {
            return Err(format!(
                "invalid regex pattern: pattern too large - the patterns up to this one take more than {} MiB",
                MAX_COMPILED_BYTES >> 20
            ));
        }
        let verdict = match Regex::new(pattern) {
            Ok(regex) => {
                self.compiled_bytes.set(self.compiled_bytes.get() + regex.compiled_bytes());
                Ok(())
            }
            Err(error) => Err(format!("invalid regex pattern: {error}")),
        };
        self.verdicts.borrow_mut().insert(pattern.to_vec(), verdict.clone());
        verdict
    }
}
