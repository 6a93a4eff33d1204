//! Hashes of files, as `sha256sum` prints them.

use std::fmt;

use ring::digest;

/// The SHA-256 hash of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sha256([u8; digest::SHA256_OUTPUT_LEN]);

impl Sha256 {
    pub(crate) fn of(content: &[u8]) -> Sha256 {
        let hash = digest::digest(&digest::SHA256, content);
        Sha256(hash.as_ref().try_into().expect("SHA-256 has one length"))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_printed_as_sha256sum_prints_them() {
        // The standard's own example.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Sha256::of(b"abc").to_string(), abc);
    }
}
