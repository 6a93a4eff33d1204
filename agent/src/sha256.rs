//! Hashes of files, as `sha256sum` prints them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::{fs, io};

use ring::digest;

/// The SHA-256 hash of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sha256([u8; digest::SHA256_OUTPUT_LEN]);

/// The text is not a hash.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a SHA-256 hash: 64 hexadecimal digits, as sha256sum prints them")]
pub(crate) struct NotAHash;

impl Sha256 {
    /// Hashes a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(crate) fn of_file(path: &Path) -> io::Result<Sha256> {
        Ok(Sha256::of(&fs::read(path)?))
    }

    pub(crate) fn of(content: &[u8]) -> Sha256 {
        let hash = digest::digest(&digest::SHA256, content);
        Sha256(hash.as_ref().try_into().expect("SHA-256 has one length"))
    }
}

impl FromStr for Sha256 {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Sha256, NotAHash> {
        let mut hash = [0; digest::SHA256_OUTPUT_LEN];
        // Bytes, since a character of several of them must not be cut.
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(NotAHash) };
        if pairs.len() != hash.len() {
            return Err(NotAHash);
        }
        for (byte, pair) in hash.iter_mut().zip(pairs) {
            for digit in pair {
                let digit = char::from(*digit).to_digit(16).ok_or(NotAHash)?;
                *byte = *byte << 4 | digit as u8;
            }
        }
        Ok(Sha256(hash))
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

    /// The hash of `abc` that the standard gives.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn hashes_are_read_and_printed_as_sha256sum_prints_them() {
        assert_eq!(Sha256::of(b"abc").to_string(), ABC);
        assert_eq!(ABC.parse(), Ok(Sha256::of(b"abc")));
        assert_eq!(ABC.to_uppercase().parse(), Ok(Sha256::of(b"abc")));
        for text in ["", "ba", &ABC[1..], &ABC[2..], &format!("{ABC}00"), &ABC.replace('b', "g")] {
            assert_eq!(text.parse::<Sha256>(), Err(NotAHash), "{text}");
        }
        // 64 bytes, but not 64 characters.
        assert_eq!("é".repeat(32).parse::<Sha256>(), Err(NotAHash));
    }
}
