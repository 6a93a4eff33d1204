//! `open_params`: where the events come from.

use std::path::PathBuf;

/// The forms that `open_params` may have, with an example and a description each.
pub(crate) const FORMS: [(&str, &str); 4] = [
    ("http://:9765/k8s-audit", "webhook on a port and a path"),
    ("https://:9765/k8s-audit", "webhook with TLS, certificate and key from `sslCertificate`"),
    ("file:///var/log/kubernetes/audit.log", "audit log that is followed across rotation"),
    ("/tmp/audit.jsonl", "file, or directory of files, that is read once from start to end"),
];

/// Where the events come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OpenParams {
    Webhook(Address),
    Follow(PathBuf),
    ReadOnce(PathBuf),
}

/// Where the webhook listens, and the path it answers on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) tls: bool,
    /// Host name or address; empty for all interfaces.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Ends with a slash if everything below it is meant, too.
    pub(crate) path: String,
}

/// Why `open_params` cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenParamsError {
    #[error(
        "open_params is empty: expected a webhook address, for example http://:9765/k8s-audit, or a file"
    )]
    Empty,
    #[error(
        "scheme \"{scheme}\" is not supported: expected http, https, file, or a path without one"
    )]
    Scheme { scheme: String },
    #[error("`{params}` has no path: write for example {params}/k8s-audit")]
    NoPath { params: String },
    #[error("`{params}` has no valid port: write for example http://:9765/k8s-audit")]
    Port { params: String },
    #[error("bad `%` escape in `{params}`")]
    Escape { params: String },
    #[error("`{params}` names no absolute path: write for example file:///var/log/audit.log")]
    NotAbsolute { params: String },
}

impl OpenParams {
    /// Reads the parameters; nothing is opened yet.
    pub(crate) fn parse(params: &str) -> Result<Self, OpenParamsError> {
        let params = params.trim();
        if params.is_empty() {
            return Err(OpenParamsError::Empty);
        }
        let Some((scheme, rest)) = split_scheme(params) else {
            return Ok(Self::ReadOnce(PathBuf::from(params)));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" => Address::parse(params, rest, false).map(Self::Webhook),
            "https" => Address::parse(params, rest, true).map(Self::Webhook),
            "file" => {
                // A host is ignored: `file://x/y` means /y, as in stock.
                let path = match rest.strip_prefix("//") {
                    Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
                    None => rest,
                };
                if !path.starts_with('/') {
                    return Err(OpenParamsError::NotAbsolute { params: params.into() });
                }
                Ok(Self::Follow(PathBuf::from(unescape(params, path)?)))
            }
            _ => Err(OpenParamsError::Scheme { scheme: scheme.into() }),
        }
    }
}

impl Address {
    fn parse(params: &str, rest: &str, tls: bool) -> Result<Self, OpenParamsError> {
        let port_error = || OpenParamsError::Port { params: params.into() };
        let rest = rest.strip_prefix("//").ok_or_else(port_error)?;
        // Query and fragment mean nothing to a listener.
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let Some(slash) = rest.find('/') else {
            return Err(OpenParamsError::NoPath { params: params.into() });
        };
        let (authority, path) = rest.split_at(slash);
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| port_error())?)
            }
            _ => return Err(port_error()),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { tls, host, port, path: unescape(params, path)? })
    }

    /// True if requests for `path`, which is as the client wrote it, are for this webhook.
    pub(crate) fn serves(&self, path: &str) -> bool {
        unescape(path, path).is_ok_and(|path| {
            path == self.path || (self.path.ends_with('/') && path.starts_with(&self.path))
        })
    }
}

/// `scheme:rest`, where a path such as `./a:b` has none.
fn split_scheme(params: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = params.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then_some((scheme, rest))
}

fn unescape(params: &str, text: &str) -> Result<String, OpenParamsError> {
    let error = || OpenParamsError::Escape { params: params.into() };
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        bytes.push(u8::from_str_radix(digits.ok_or_else(error)?, 16).map_err(|_| error())?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(params: &str, expected: OpenParams) {
        assert_eq!(OpenParams::parse(params), Ok(expected));
    }

    #[track_caller]
    fn check_error(params: &str, expected: &str) {
        assert_eq!(OpenParams::parse(params).unwrap_err().to_string(), expected);
    }

    fn webhook(tls: bool, host: &str, port: u16, path: &str) -> OpenParams {
        OpenParams::Webhook(Address { tls, host: host.into(), port, path: path.into() })
    }

    #[test]
    fn webhooks() {
        check("http://:9765/k8s-audit", webhook(false, "", 9765, "/k8s-audit"));
        check("HTTPS://127.0.0.1:443/a/", webhook(true, "127.0.0.1", 443, "/a/"));
        check("http://[::1]:80/", webhook(false, "::1", 80, "/"));
        check("http://me@host:1/a%20b?x#y", webhook(false, "host", 1, "/a b"));
    }

    #[test]
    fn files() {
        check("file:///var/log/a%25.log", OpenParams::Follow("/var/log/a%.log".into()));
        check("file:/a", OpenParams::Follow("/a".into()));
        check("file://x/y", OpenParams::Follow("/y".into()));
        check(" /tmp/a.json ", OpenParams::ReadOnce("/tmp/a.json".into()));
        check("./a:b", OpenParams::ReadOnce("./a:b".into()));
        check("audit.json", OpenParams::ReadOnce("audit.json".into()));
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        check_error("  ", &OpenParamsError::Empty.to_string());
        check_error(
            "ftp://a/b",
            "scheme \"ftp\" is not supported: expected http, https, file, or a path without one",
        );
        check_error(
            "http://:9765",
            "`http://:9765` has no path: write for example http://:9765/k8s-audit",
        );
        let port = |params| OpenParamsError::Port { params: String::from(params) }.to_string();
        check_error("http://host/a", &port("http://host/a"));
        check_error("http://host:99999/a", &port("http://host:99999/a"));
        check_error("http://[::1]/a", &port("http://[::1]/a"));
        check_error("http:/a", &port("http:/a"));
        check_error("file:///a%2", "bad `%` escape in `file:///a%2`");
        check_error(
            "file://x",
            "`file://x` names no absolute path: write for example file:///var/log/audit.log",
        );
    }

    #[test]
    fn a_path_is_meant_exactly_unless_it_ends_with_a_slash() {
        let serves = |own: &str, path| {
            Address { tls: false, host: String::new(), port: 1, path: own.into() }.serves(path)
        };
        assert!(serves("/k8s-audit", "/k8s-audit"));
        assert!(!serves("/k8s-audit", "/k8s-audit/"));
        assert!(serves("/a/", "/a/b"));
        assert!(!serves("/a/", "/a"));
        assert!(serves("/", "/x"));
        assert!(serves("/a b", "/a%20b"));
        assert!(!serves("/", "/%2"));
    }
}
