//! Versions of plugins and of the plugin API.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Three numbers, ordered as a semantic version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Changes when something is taken away.
    pub major: u32,
    /// Changes when something is added.
    pub minor: u32,
    /// Changes when something is put right.
    pub patch: u32,
}

impl Version {
    /// Is what this version offers enough for a caller that was written for `required`?
    pub fn satisfies(self, required: Version) -> bool {
        self.major == required.major && self >= required
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The text does not start with three numbers separated by dots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version of three numbers")]
pub struct ParseVersionError;

impl FromStr for Version {
    type Err = ParseVersionError;

    /// Reads three numbers from the start of the text; what follows them is ignored, as in Falco.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or(ParseVersionError);
        let (major, minor, rest) = (part()?, part()?, part()?);
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        Ok(Self { major: number(major)?, minor: number(minor)?, patch: number(&rest[..digits])? })
    }
}

/// Unlike `u32::from_str`, takes no sign.
fn number(text: &str) -> Result<u32, ParseVersionError> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseVersionError);
    }
    text.parse().map_err(|_| ParseVersionError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(text.parse::<Version>().ok().map(|v| v.to_string()).as_deref(), expected);
    }

    #[test]
    fn three_numbers_are_read_and_the_rest_is_ignored() {
        check("0.18.0", Some("0.18.0"));
        check("3.12.0", Some("3.12.0"));
        check("1.2.3-rc1", Some("1.2.3"));
        check("1.2.3.4", Some("1.2.3"));
        check("abc", None);
        check("", None);
        check("1.2", None);
        check("1.2.", None);
        check("1..3", None);
        check("+1.2.3", None);
        check("1.2.-3", None);
        check("4294967296.0.0", None);
    }

    #[track_caller]
    fn check_satisfies(offered: &str, required: &str, expected: bool) {
        let (offered, required): (Version, Version) =
            (offered.parse().unwrap(), required.parse().unwrap());
        assert_eq!(offered.satisfies(required), expected, "{offered} for {required}");
    }

    #[test]
    fn an_offer_needs_the_same_major_and_at_least_the_rest() {
        for required in ["3.0.0", "3.11.0", "3.11.9", "3.12.0"] {
            check_satisfies("3.12.0", required, true);
        }
        for required in ["2.0.0", "4.0.0", "3.13.0", "3.12.1"] {
            check_satisfies("3.12.0", required, false);
        }
    }
}
