//! Alerts sent by HTTP POST, for example to Falcosidekick.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};

use super::Output;
use crate::alert::Alert;
use crate::config::{CertificateAuthority, HttpOutputConfig};

/// The whole request, from resolving the name to the end of the answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// More of an answer is neither read nor echoed.
const LONGEST_ECHO: u64 = 64 * 1024;

/// Posts one alert a request.
///
/// Source: `outputs_http.cpp` in Falco 0.45-dev for the request. There the answer's status is not looked at and a
/// failed request loses its alert; here only a 2xx answer counts as delivered, a refusal for good (4xx but for 408
/// and 429) is logged and counted, and everything else is tried again.
#[derive(Debug)]
pub(crate) struct HttpOutput {
    agent: Agent,
    url: String,
    content_type: &'static str,
    echo: bool,
    alerts: VecDeque<String>,
    /// Alerts that the receiver refused for good.
    refused: u64,
}

/// Why the configured certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpOutputError {
    #[error("http_output: cannot read certificates from {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("http_output: no certificate in {}", path.display())]
    NoCertificate { path: PathBuf },
    #[error("http_output: no private key in {}", path.display())]
    NoKey { path: PathBuf, source: ureq::Error },
}

impl HttpOutput {
    /// Reads the certificates; connects with the first alert.
    pub(crate) fn new(config: &HttpOutputConfig, json: bool) -> Result<Self, HttpOutputError> {
        let tls = TlsConfig::builder();
        let tls = if config.url.starts_with("https:") {
            let tls = match &config.certificate_authority {
                _ if config.insecure => tls,
                CertificateAuthority::File(path) => {
                    tls.root_certs(roots(&certificates(path)?, path)?)
                }
                CertificateAuthority::Directory(path) => {
                    tls.root_certs(roots(&certificates_below(path)?, path)?)
                }
            };
            let identity = config.client_identity.as_ref();
            let identity = identity.map(|(chain, key)| identity_of(chain, key)).transpose()?;
            tls.disable_verification(config.insecure).client_cert(identity).build()
        } else {
            tls.build()
        };
        let agent = Agent::config_builder()
            .timeout_global(Some(DEADLINE))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(&config.user_agent)
            .tls_config(tls)
            .build()
            .new_agent();
        let content_type = if json { "application/json" } else { "text/plain" };
        let (url, echo) = (config.url.clone(), config.echo);
        Ok(HttpOutput { agent, url, content_type, echo, alerts: VecDeque::new(), refused: 0 })
    }

    fn post(&self, alert: &str) -> Result<StatusCode, ureq::Error> {
        let request = self.agent.post(&self.url).content_type(self.content_type);
        let mut response = request.send(alert)?;
        // Read to its end, the connection can serve the next request.
        let body = response.body_mut().with_config().limit(LONGEST_ECHO).read_to_vec();
        // The alert has arrived, whatever becomes of the answer's text.
        if self.echo
            && let Err(error) = body.map_err(io::Error::other).and_then(|body| echo(&body))
        {
            tracing::error!("http: cannot echo an answer: {error}");
        }
        Ok(response.status())
    }
}

fn echo(answer: &[u8]) -> io::Result<()> {
    use io::Write as _;
    let mut stdout = io::stdout().lock();
    stdout.write_all(answer)?;
    stdout.write_all(b"\n")
}

fn roots(certificates: &[Certificate<'static>], path: &Path) -> Result<RootCerts, HttpOutputError> {
    if certificates.is_empty() {
        return Err(HttpOutputError::NoCertificate { path: path.to_owned() });
    }
    Ok(RootCerts::new_with_certs(certificates))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, HttpOutputError> {
    let pem = read(path)?;
    Ok(ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect())
}

/// The certificates of all files in a directory. Files that hold none, and links to nowhere, are normal there.
fn certificates_below(path: &Path) -> Result<Vec<Certificate<'static>>, HttpOutputError> {
    let read_error = |source| HttpOutputError::Read { path: path.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        if path.is_file() {
            found.append(&mut certificates(&path).unwrap_or_default());
        }
    }
    Ok(found)
}

fn identity_of(chain: &Path, key: &Path) -> Result<ClientCert, HttpOutputError> {
    let certificates = certificates(chain)?;
    if certificates.is_empty() {
        return Err(HttpOutputError::NoCertificate { path: chain.to_owned() });
    }
    let no_key = |source| HttpOutputError::NoKey { path: key.to_owned(), source };
    let key = PrivateKey::from_pem(&read(key)?).map_err(no_key)?;
    Ok(ClientCert::new_with_certs(&certificates, key))
}

fn read(path: &Path) -> Result<Vec<u8>, HttpOutputError> {
    std::fs::read(path).map_err(|source| HttpOutputError::Read { path: path.to_owned(), source })
}

impl Output for HttpOutput {
    fn name(&self) -> &'static str {
        "http"
    }

    fn push(&mut self, alert: &Alert) {
        self.alerts.push_back(alert.line.clone());
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Some(alert) = self.alerts.front() {
            // Not the URL: it may hold a password.
            let failed = |reason: &dyn std::fmt::Display| {
                io::Error::other(format!("cannot deliver to http_output.url: {reason}"))
            };
            let status = self.post(alert).map_err(|error| failed(&error))?;
            match status.as_u16() {
                200..300 => {}
                408 | 429 | 500.. => return Err(failed(&format_args!("the answer was {status}"))),
                _ => {
                    self.refused += 1;
                    tracing::error!(
                        "http: an alert was refused with {status}, {} so far",
                        self.refused
                    );
                }
            }
            self.alerts.pop_front();
        }
        Ok(())
    }

    fn reopen(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    use super::super::tests::alert;
    use super::*;

    /// Answers one request after the other with the given status lines; returns what it was sent.
    fn serve(statuses: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/alerts", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut received = Vec::new();
            for status in statuses {
                let (mut connection, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(connection.try_clone().unwrap());
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let line = line.trim().to_ascii_lowercase();
                    if line.is_empty() {
                        break;
                    }
                    if let Some(value) = line.strip_prefix("content-length: ") {
                        length = value.parse().unwrap();
                    }
                    head += &format!("{line}|");
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                received.push(head + std::str::from_utf8(&body).unwrap());
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                connection.write_all(answer.as_bytes()).unwrap();
            }
            received
        });
        (url, server)
    }

    fn config(url: String) -> HttpOutputConfig {
        HttpOutputConfig {
            url,
            user_agent: "falcosecurity/falco".into(),
            insecure: false,
            certificate_authority: CertificateAuthority::Directory("/etc/ssl/certs".into()),
            client_identity: None,
            echo: false,
        }
    }

    /// C67, C68
    #[test]
    fn an_alert_is_sent_until_it_is_taken() {
        let (url, server) = serve(&["503 Busy", "200 OK", "400 Bad Request", "204 No Content"]);
        let mut output = HttpOutput::new(&config(url), true).unwrap();
        for line in ["{\"a\":1}", "refused", "b"] {
            output.push(&alert(line));
        }
        let error = output.flush().unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot deliver to http_output.url: the answer was 503 Service Unavailable"
        );
        output.flush().unwrap();
        assert_eq!(output.refused, 1);
        let received = server.join().unwrap();
        let bodies: Vec<&str> = received.iter().map(|r| r.rsplit('|').next().unwrap()).collect();
        assert_eq!(bodies, ["{\"a\":1}", "{\"a\":1}", "refused", "b"]);
        for part in [
            "post /alerts http/1.1|",
            "content-type: application/json|",
            "user-agent: falcosecurity/falco|",
        ] {
            assert!(received[0].contains(part), "{part} is missing in {}", received[0]);
        }
    }

    #[test]
    fn nobody_listening_keeps_the_alert() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let mut output = HttpOutput::new(&config(url), false).unwrap();
        output.push(&alert("a"));
        output.flush().unwrap_err();
        assert_eq!(output.alerts.len(), 1);
    }
}
