//! Bearer tokens: what a client shows that has no certificate.

use std::{fmt, fs, io, path::PathBuf};

use axum::http::{HeaderMap, header};
use subtle::{Choice, ConstantTimeEq};

const SCHEME: &[u8] = b"bearer ";

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("cannot read bearerTokenFile {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("bearerTokenFile {} holds no token", path.display())]
    NoToken { path: PathBuf },
}

/// The tokens that are valid; several, so that one can follow the other without a gap.
pub(crate) struct Tokens(Vec<Vec<u8>>);

impl Tokens {
    /// Reads a file with one token a line.
    pub(crate) fn read(path: &PathBuf) -> Result<Self, TokenError> {
        let text =
            fs::read(path).map_err(|source| TokenError::Read { path: path.clone(), source })?;
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let tokens: Vec<_> = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
        if tokens.is_empty() {
            return Err(TokenError::NoToken { path: path.clone() });
        }
        Ok(Self(tokens))
    }

    /// True if a request carries one of the tokens; how long that takes tells nothing about them but their lengths.
    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()) else {
            return false;
        };
        let (scheme, token) = value.split_at(value.len().min(SCHEME.len()));
        let is_known = self.0.iter().fold(Choice::from(0), |is_known, known| {
            is_known | known.as_slice().ct_eq(token.trim_ascii())
        });
        scheme.eq_ignore_ascii_case(SCHEME) && bool::from(is_known)
    }
}

/// Shows no token.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, authorization: &str, expected: bool) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        fs::write(&path, file).unwrap();
        let headers =
            HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())]);
        assert_eq!(Tokens::read(&path).unwrap().allow(&headers), expected, "{authorization}");
    }

    #[test]
    fn a_token_of_the_file_is_asked_for() {
        check("secret", "Bearer secret", true);
        check("secret\n", "bearer  secret", true);
        check("old\r\n\n new\n", "Bearer old", true);
        check("old\r\n\n new\n", "Bearer new", true);
        check("old\nnew\n", "Bearer oldnew", false);
        check("secret", "Bearer secre", false);
        check("secret", "Bearer secretx", false);
        check("secret", "Bearer ", false);
        check("secret", "Basic secret", false);
        check("secret", "secret", false);
    }

    #[test]
    fn no_token_is_shown() {
        assert_eq!(format!("{:?}", Tokens(vec![b"secret".to_vec()])), "1 tokens");
    }
}
