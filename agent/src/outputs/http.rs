//! Alerts sent by HTTP POST, for example to Falcosidekick.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::Agent;
use ureq::http::{StatusCode, header};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};

use super::log_pause::LogPause;
use super::{Output, Pending};
use crate::config::{CertificateAuthority, HttpOutputConfig};

/// The whole request, from resolving the name to the end of the answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// A request is not made larger than about this by further alerts.
const BATCH_BYTES: usize = 1 << 20;

/// More of an answer is neither read nor echoed.
const LONGEST_ECHO: u64 = 64 * 1024;

/// Posts alerts, one a request unless batches are configured.
///
/// Source: `outputs_http.cpp` in Falco 0.45-dev for the request. There the answer's status is not looked at and a
/// failed request loses its alert; here only a 2xx answer counts as delivered, a refusal for good (4xx but for 408
/// and 429) is logged and counted, and everything else is tried again.
#[derive(Debug)]
pub(crate) struct HttpOutput {
    agent: Agent,
    url: String,
    json: bool,
    echo: bool,
    headers: Vec<(String, String)>,
    /// Until a receiver refuses what is compressed.
    compresses: bool,
    batch_size: usize,
    /// Alerts of a refused batch that are sent alone, to find out which of them was meant.
    alone: usize,
    /// Alerts that the receiver refused for good, and that nobody has asked about yet.
    refused: u64,
    refusals: LogPause,
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
        Ok(HttpOutput {
            agent,
            url: config.url.clone(),
            json,
            echo: config.echo,
            headers: config.headers.clone(),
            compresses: config.compress,
            batch_size: config.batch_size,
            alone: 0,
            refused: 0,
            refusals: LogPause::default(),
        })
    }

    /// The body of a request with the first `count` alerts: one as it is, several as a JSON array or as lines.
    fn body<'a>(&self, alerts: &'a Pending, count: usize) -> Cow<'a, [u8]> {
        if self.batch_size == 1 {
            return alerts[0].line.as_bytes().into();
        }
        let lines: Vec<&str> = alerts.iter().take(count).map(|alert| &*alert.line).collect();
        match self.json {
            true => format!("[{}]", lines.join(",")).into_bytes().into(),
            false => lines.join("\n").into_bytes().into(),
        }
    }

    /// How many alerts the next request takes.
    fn count(&self, alerts: &Pending) -> usize {
        if self.alone > 0 {
            return 1;
        }
        let mut bytes = 0;
        let fitting = alerts.iter().take(self.batch_size).take_while(|alert| {
            bytes += alert.line.len();
            bytes <= BATCH_BYTES
        });
        fitting.count().max(1)
    }

    fn post(&self, body: &[u8]) -> Result<StatusCode, ureq::Error> {
        let content_type = if self.json { "application/json" } else { "text/plain" };
        let mut request = self.agent.post(&self.url).content_type(content_type);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = if self.compresses {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body)?;
            request.header(header::CONTENT_ENCODING, "gzip").send(encoder.finish()?)?
        } else {
            request.send(body)?
        };
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

    fn deliver(&mut self, alerts: &mut Pending) -> io::Result<()> {
        while !alerts.is_empty() {
            // Not the URL: it may hold a password.
            let failed = |reason: &dyn std::fmt::Display| {
                io::Error::other(format!("cannot deliver to http_output.url: {reason}"))
            };
            let count = self.count(alerts);
            let status = self.post(&self.body(alerts, count)).map_err(|error| failed(&error))?;
            match status.as_u16() {
                200..300 => {}
                408 | 429 | 500.. => return Err(failed(&format_args!("the answer was {status}"))),
                _ if self.compresses => {
                    // Falco never compresses, so its receivers may not understand what is compressed.
                    self.compresses = false;
                    tracing::warn!(
                        "http: compressed alerts were refused with {status}, sending them plain"
                    );
                    continue;
                }
                _ if count > 1 => {
                    self.alone = count;
                    continue;
                }
                _ => {
                    self.refused += 1;
                    if self.refusals.is_over() {
                        tracing::error!("http: an alert was refused with {status}");
                    }
                }
            }
            alerts.drain(..count);
            self.alone = self.alone.saturating_sub(count);
        }
        Ok(())
    }

    fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    fn reopen(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::net::TcpListener;
    use std::sync::Arc;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

    use super::super::tests::pending;
    use super::*;

    /// Head and body.
    type Request = (String, Vec<u8>);

    /// Answers one request after the other with the given status lines; returns what it was sent.
    fn serve(statuses: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<Request>>) {
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
                received.push((head, body));
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
            headers: Vec::new(),
            compress: false,
            batch_size: 1,
        }
    }

    /// C67, C68
    #[test]
    fn an_alert_is_sent_until_it_is_taken() {
        let (url, server) = serve(&["503 Busy", "200 OK", "400 Bad Request", "204 No Content"]);
        let mut output = HttpOutput::new(&config(url), true).unwrap();
        let mut alerts = pending(&["{\"a\":1}", "refused", "b"]);
        let error = output.deliver(&mut alerts).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot deliver to http_output.url: the answer was 503 Service Unavailable"
        );
        output.deliver(&mut alerts).unwrap();
        assert_eq!((output.take_refused(), output.take_refused()), (1, 0));
        let received = server.join().unwrap();
        let bodies: Vec<&[u8]> = received.iter().map(|(_, body)| &**body).collect();
        assert_eq!(bodies, [&b"{\"a\":1}"[..], b"{\"a\":1}", b"refused", b"b"]);
        for part in [
            "post /alerts http/1.1|",
            "content-type: application/json|",
            "user-agent: falcosecurity/falco|",
        ] {
            assert!(received[0].0.contains(part), "{part} is missing in {}", received[0].0);
        }
    }

    #[test]
    fn nobody_listening_keeps_the_alert() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let mut output = HttpOutput::new(&config(url), false).unwrap();
        let mut alerts = pending(&["a"]);
        output.deliver(&mut alerts).unwrap_err();
        assert_eq!(alerts.len(), 1);
    }

    /// Sends `lines`; the bodies of the requests.
    #[track_caller]
    fn check(
        statuses: &'static [&'static str],
        adapt: impl FnOnce(&mut HttpOutputConfig),
        json: bool,
        lines: &[&str],
        expected: &[&str],
    ) -> (HttpOutput, Vec<String>) {
        let (url, server) = serve(statuses);
        let mut config = config(url);
        adapt(&mut config);
        let mut output = HttpOutput::new(&config, json).unwrap();
        output.deliver(&mut pending(lines)).unwrap();
        let (heads, bodies): (Vec<_>, Vec<_>) = server.join().unwrap().into_iter().unzip();
        let bodies: Vec<String> = bodies.iter().map(|body| text_of(body)).collect();
        assert_eq!(bodies, expected);
        (output, heads)
    }

    /// Gzip is shown as `gzip TEXT`.
    fn text_of(body: &[u8]) -> String {
        let mut text = String::new();
        match flate2::read::GzDecoder::new(body).read_to_string(&mut text) {
            Ok(_) => format!("gzip {text}"),
            Err(_) => String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    #[test]
    fn alerts_share_requests_where_batches_are_configured() {
        let two = |config: &mut HttpOutputConfig| config.batch_size = 2;
        check(&["200 OK", "200 OK"], two, true, &["1", "2", "3"], &["[1,2]", "[3]"]);
        check(&["200 OK", "200 OK"], two, false, &["1", "2", "3"], &["1\n2", "3"]);
    }

    #[test]
    fn of_a_refused_batch_only_what_is_refused_alone_is_given_up() {
        let statuses = &["400 Bad", "200 OK", "400 Bad", "200 OK"];
        let two = |config: &mut HttpOutputConfig| config.batch_size = 2;
        let lines = &["1", "2", "3"];
        let (mut output, _) = check(statuses, two, true, lines, &["[1,2]", "[1]", "[2]", "[3]"]);
        assert_eq!(output.take_refused(), 1);
    }

    #[test]
    fn what_is_compressed_is_sent_plain_if_the_receiver_refuses_it() {
        let gzip = |config: &mut HttpOutputConfig| config.compress = true;
        let (_, heads) = check(&["200 OK"], gzip, true, &["1"], &["gzip 1"]);
        assert!(heads[0].contains("content-encoding: gzip|"), "{heads:?}");
        let statuses = &["415 Unsupported", "200 OK", "200 OK"];
        let (mut output, _) = check(statuses, gzip, true, &["1", "2"], &["gzip 1", "1", "2"]);
        assert_eq!(output.take_refused(), 0);
    }

    #[test]
    fn configured_headers_are_sent() {
        let token = |config: &mut HttpOutputConfig| {
            config.headers = vec![("Authorization".into(), "Bearer x".into())];
        };
        let (_, heads) = check(&["200 OK"], token, true, &["1"], &["1"]);
        assert!(heads[0].contains("authorization: bearer x|"), "{heads:?}");
    }

    /// An authority, and files with certificates and keys signed by it.
    struct Authority {
        issuer: CertifiedIssuer<'static, KeyPair>,
        folder: tempfile::TempDir,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer =
                CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("ca.crt"), issuer.pem()).unwrap();
            Authority { issuer, folder }
        }

        fn ca(&self) -> CertificateAuthority {
            CertificateAuthority::File(self.folder.path().join("ca.crt"))
        }

        fn sign(&self, name: &str) -> (PathBuf, PathBuf) {
            let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &self.issuer).unwrap();
            let path = |extension: &str| self.folder.path().join(format!("{name}.{extension}"));
            std::fs::write(path("crt"), certificate.pem()).unwrap();
            std::fs::write(path("key"), key.serialize_pem()).unwrap();
            (path("crt"), path("key"))
        }

        /// A receiver that shows a certificate of this authority and asks for one, and takes so many connections.
        fn receive(&self, connections: usize) -> (String, std::thread::JoinHandle<usize>) {
            let provider = Arc::new(ring::default_provider());
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let (chain, key) = self.sign("server");
            let server = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_client_cert_verifier(verifier.build().unwrap())
                .with_single_cert(
                    vec![CertificateDer::from_pem_file(chain).unwrap()],
                    PrivateKeyDer::from_pem_file(key).unwrap(),
                )
                .unwrap();
            let server = Arc::new(server);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
            let receiver = std::thread::spawn(move || {
                let mut received = 0;
                for _ in 0..connections {
                    let (connection, _) = listener.accept().unwrap();
                    let tls = ServerConnection::new(Arc::clone(&server)).unwrap();
                    let mut stream = StreamOwned::new(tls, connection);
                    let mut request = Vec::new();
                    let mut part = [0; 1024];
                    while !request.ends_with(b"alert") {
                        match stream.read(&mut part) {
                            Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
                            _ => break,
                        }
                    }
                    if request.ends_with(b"alert") {
                        received += 1;
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                    }
                }
                received
            });
            (url, receiver)
        }
    }

    #[test]
    fn both_sides_show_certificates_of_the_authority_that_is_asked_for() {
        let (authority, other) = (Authority::new(), Authority::new());
        let (url, receiver) = authority.receive(4);
        let deliver = |adapt: &dyn Fn(&mut HttpOutputConfig)| {
            let mut config = config(url.clone());
            config.certificate_authority = authority.ca();
            config.client_identity = Some(authority.sign("client"));
            adapt(&mut config);
            HttpOutput::new(&config, false).unwrap().deliver(&mut pending(&["alert"]))
        };
        deliver(&|_| {}).unwrap();
        deliver(&|config| config.client_identity = None).unwrap_err();
        deliver(&|config| config.client_identity = Some(other.sign("client"))).unwrap_err();
        deliver(&|config| config.certificate_authority = other.ca()).unwrap_err();
        assert_eq!(receiver.join().unwrap(), 1);

        let missing = CertificateAuthority::File("/nowhere/ca.crt".into());
        let mut config = config(url);
        config.certificate_authority = missing;
        let error = HttpOutput::new(&config, false).unwrap_err().to_string();
        assert_eq!(error, "http_output: cannot read certificates from /nowhere/ca.crt");
    }
}
