//! Who may send, and what the webhook shows: TLS, client certificates, bearer tokens.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    SanType,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tempfile::TempDir;

use super::*;

/// An authority, and a folder for what it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key as PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: tempfile::tempdir().unwrap() };
        authority.write("ca.pem", &authority.issuer.pem());
        authority.write_server();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn sign(&self, common_name: &str, alternatives: Vec<SanType>) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = alternatives;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A certificate for `localhost` and its key, in `certificate.pem`, `key.pem` and both in `both.pem`.
    fn write_server(&self) {
        let localhost = SanType::DnsName("localhost".try_into().unwrap());
        let Identity { certificate, key } = self.sign("webhook", vec![localhost]);
        self.write("certificate.pem", &certificate);
        self.write("key.pem", &key);
        self.write("both.pem", &(key + &certificate));
    }

    /// A configuration with the certificate, and with client certificates.
    fn config(&self) -> Config {
        Config { client_ca: Some(self.path("ca.pem")), ..self.open_config() }
    }

    /// A configuration with the certificate.
    fn open_config(&self) -> Config {
        Config { ssl_certificate: self.path("both.pem"), ..Config::default() }
    }

    /// A client that trusts this authority.
    fn client(&self, identity: Option<&Identity>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        })
    }
}

fn https() -> Address {
    Address { tls: true, ..local("/k8s-audit") }
}

fn open_https(config: &Config) -> Webhook {
    let limits = Limits { refresh: Duration::from_millis(10), ..LIMITS };
    Webhook::open_with(&https(), config, &Arc::default(), limits).unwrap()
}

fn connect(
    address: SocketAddr,
    client: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    let name = "localhost".try_into().unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(client), name).unwrap(), tcp)
}

fn request(headers: &str) -> String {
    format!("POST /k8s-audit HTTP/1.1\r\nhost: x\r\n{JSON}content-length: 2\r\n{headers}\r\n{{}}")
}

/// The status of the answer to a request that is the last of its connection, or why there is none.
fn try_post(address: SocketAddr, client: &Arc<ClientConfig>) -> Result<String, String> {
    try_post_with(address, client, "")
}

fn try_post_with(
    address: SocketAddr,
    client: &Arc<ClientConfig>,
    headers: &str,
) -> Result<String, String> {
    let mut stream = connect(address, client);
    let request = request(&format!("{headers}connection: close\r\n"));
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text.split(' ').nth(1).unwrap().to_owned())
}

#[test]
fn https_works_with_key_and_certificate_in_two_files_or_in_one() {
    let authority = Authority::new();
    let two = Config {
        ssl_certificate: authority.path("certificate.pem"),
        ssl_key: Some(authority.path("key.pem")),
        ..Config::default()
    };
    for config in [two, authority.open_config()] {
        let webhook = open_https(&config);
        let answer = try_post(webhook.address, &authority.client(None));
        assert_eq!(answer.as_deref(), Ok("200"));
    }
}

#[test]
fn both_versions_of_http_and_of_tls_are_spoken() {
    let authority = Authority::new();
    let webhook = open_https(&authority.open_config());
    let mut client = Arc::unwrap_or_clone(authority.client(None));
    for protocol in [b"h2".as_slice(), b"http/1.1"] {
        client.alpn_protocols = vec![protocol.to_vec()];
        let mut stream = connect(webhook.address, &Arc::new(client.clone()));
        stream.conn.complete_io(&mut stream.sock).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(protocol));
    }
    assert_eq!(post_by_http2(open(&Config::default()).address), "200 OK");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut roots = RootCertStore::empty();
        roots.add(authority.issuer.der().clone()).unwrap();
        let client = builder.with_protocol_versions(&[version]).unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        assert_eq!(try_post(webhook.address, &Arc::new(client)).as_deref(), Ok("200"));
    }
}

/// Posts over one HTTP/2 connection without TLS.
fn post_by_http2(address: SocketAddr) -> String {
    let post = async {
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = h2::client::handshake(tcp).await.unwrap();
        tokio::spawn(connection);
        let request = axum::http::Request::post("http://x/k8s-audit")
            .header("content-type", "application/json")
            .body(())
            .unwrap();
        let (answer, mut body) = client.send_request(request, false).unwrap();
        body.send_data("{}".into(), true).unwrap();
        answer.await.unwrap().status().to_string()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(post)
}

#[test]
fn a_client_that_does_not_finish_its_handshake_is_disconnected() {
    let authority = Authority::new();
    let limits = Limits { greeting: Duration::from_millis(100), ..LIMITS };
    let config = authority.open_config();
    let webhook = Webhook::open_with(&https(), &config, &Arc::default(), limits).unwrap();
    let mut silent = TcpStream::connect(webhook.address).unwrap();
    silent.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
}

#[track_caller]
fn check_client(config: &Config, client: &Arc<ClientConfig>, expected: Result<&str, &str>) {
    let webhook = open_https(config);
    let got = try_post(webhook.address, client);
    match (&got, expected) {
        (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
        _ => assert_eq!(got.as_deref().map_err(String::as_str), expected),
    }
}

#[test]
fn client_certificates_are_asked_for_and_verified() {
    let authority = Authority::new();
    let config = authority.config();
    let own = authority.sign("kube-apiserver", Vec::new());
    check_client(&config, &authority.client(Some(&own)), Ok("200"));
    check_client(&config, &authority.client(None), Err("CertificateRequired"));
    let foreign = Authority::new().sign("kube-apiserver", Vec::new());
    check_client(&config, &authority.client(Some(&foreign)), Err("alert"));
    // A certificate does no harm where none is asked for.
    check_client(&authority.open_config(), &authority.client(Some(&own)), Ok("200"));
}

#[test]
fn client_names_are_common_names_and_alternative_names() {
    let authority = Authority::new();
    let check = |allowed: &[&str], expected| {
        let names = vec![
            SanType::DnsName("api.example".try_into().unwrap()),
            SanType::Rfc822Name("api@example".try_into().unwrap()),
            SanType::URI("spiffe://example/api".try_into().unwrap()),
        ];
        let identity = authority.sign("kube-apiserver", names);
        let names = Some(allowed.iter().map(|name| (*name).to_owned()).collect());
        let config = Config { client_names: names, ..authority.config() };
        check_client(&config, &authority.client(Some(&identity)), expected);
    };
    check(&["kube-apiserver"], Ok("200"));
    check(&["other", "api.example"], Ok("200"));
    check(&["api@example"], Ok("200"));
    check(&["spiffe://example/api"], Ok("200"));
    check(&["kube-apiserve", "KUBE-APISERVER", "example", ""], Err("AccessDenied"));
}

#[track_caller]
fn check_token(address: SocketAddr, authorization: &str, expected: &str) {
    let headers = format!("{JSON}{authorization}content-length: 2\r\n");
    let mut stream = send(address, "POST /k8s-audit", &headers, "{}");
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with(&format!("HTTP/1.1 {expected}")), "{text}");
}

#[test]
fn a_bearer_token_is_asked_for_when_there_is_a_file_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "secret\n").unwrap();
    let config = Config { bearer_token_file: Some(file.clone()), ..Config::default() };
    let limits = Limits { refresh: Duration::from_millis(10), ..LIMITS };
    let counters = Arc::new(Counters::default());
    let webhook = Webhook::open_with(&local("/k8s-audit"), &config, &counters, limits).unwrap();
    check_token(webhook.address, "authorization: Bearer secret\r\n", "200 ");
    check_token(webhook.address, "", "401 ");
    check_token(webhook.address, "authorization: Bearer other\r\n", "401 ");
    check_token(webhook.address, "authorization: Basic secret\r\n", "401 ");
    // Strangers do not learn the path.
    assert_eq!(answer(send(webhook.address, "POST /other", "", "")), "401 unauthorized");
    assert_eq!(counters.requests_unauthorized.value(), 4);

    replace(&file, "new");
    let new = "authorization: Bearer new\r\ncontent-length: 0\r\n";
    let deadline = Instant::now() + DEADLINE;
    while answer(send(webhook.address, "GET /k8s-audit", new, "")).starts_with("401") {
        assert!(Instant::now() < deadline, "the new token is not taken");
    }
    check_token(webhook.address, "authorization: Bearer secret\r\n", "401 ");
}

/// As a volume of Kubernetes does it: nobody sees half of a file.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn a_new_certificate_is_taken_without_closing_connections() {
    let (old, new) = (Authority::new(), Authority::new());
    let config = Config {
        ssl_certificate: old.path("certificate.pem"),
        ssl_key: Some(old.path("key.pem")),
        ..old.config()
    };
    let webhook = open_https(&config);
    let (old_name, new_name) = (old.sign("a", Vec::new()), new.sign("a", Vec::new()));
    let mut open = connect(webhook.address, &old.client(Some(&old_name)));
    let mut ask = || {
        open.write_all(request("").as_bytes()).unwrap();
        let mut answer = [0; 12];
        open.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        // The rest of the answer is its headers.
        let mut end = [0; 4];
        while end != *b"\r\n\r\n" {
            end.rotate_left(1);
            open.read_exact(&mut end[3..]).unwrap();
        }
    };
    ask();

    let read = |name: &str| fs::read_to_string(new.path(name)).unwrap();
    for name in ["key.pem", "certificate.pem", "ca.pem"] {
        replace(&old.path(name), &read(name));
    }
    let client = new.client(Some(&new_name));
    let deadline = Instant::now() + DEADLINE;
    while try_post(webhook.address, &client).as_deref() != Ok("200") {
        assert!(Instant::now() < deadline, "the new certificate is not shown");
    }
    try_post(webhook.address, &old.client(Some(&old_name))).unwrap_err();
    ask();
}

#[test]
fn changed_files_that_do_not_work_change_nothing() {
    let authority = Authority::new();
    authority.write("token", "first");
    let config =
        Config { bearer_token_file: Some(authority.path("token")), ..authority.open_config() };
    let webhook = open_https(&config);
    replace(&authority.path("both.pem"), "nonsense");
    replace(&authority.path("token"), "second");
    // Certificates are looked at before tokens, so that the token is taken says that the certificate was not.
    let post = |token: &str| {
        let headers = format!("authorization: Bearer {token}\r\n");
        try_post_with(webhook.address, &authority.client(None), &headers).unwrap()
    };
    let deadline = Instant::now() + DEADLINE;
    while post("second") != "200" {
        assert!(Instant::now() < deadline, "the new token is not taken");
    }
}

/// The whole chain of causes, as `open` reports it.
fn error_of(address: &Address, config: &Config) -> String {
    let error = Webhook::open(address, config, &Arc::default()).unwrap_err();
    format!("{:#}", anyhow::Error::from(error))
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = error_of(&Address { port, ..local("/") }, &Config::default());
    let expected = format!("cannot listen on 127.0.0.1:{port}: Address already in use");
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn files_that_do_not_work_are_named_with_their_key() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.write("empty", "\n");
    let path = |name: &str| authority.path(name);
    let check = |config: &Config, expected: &str| {
        let error = error_of(&https(), config);
        let error = error.replace(&format!("{}/", authority.folder.path().display()), "");
        assert!(error.starts_with(expected), "{error}");
    };
    let certificate = |file| Config { ssl_certificate: path(file), ..Config::default() };
    check(&certificate("absent"), "cannot read the certificate from sslCertificate absent: ");
    check(&certificate("key.pem"), "there is no certificate in sslCertificate key.pem");
    check(
        &certificate("certificate.pem"),
        "cannot read the private key from sslCertificate certificate.pem: ",
    );
    let key = |key| Config { ssl_key: Some(key), ..certificate("certificate.pem") };
    check(&key(path("absent")), "cannot read the private key from sslKey absent: ");
    check(&key(other.path("key.pem")), "sslCertificate certificate.pem and the key in ");
    let ca = |file| Config { client_ca: Some(path(file)), ..authority.config() };
    check(&ca("absent"), "cannot read the certificate from clientCA absent: ");
    check(&ca("empty"), "there is no certificate in clientCA empty");
    let token = |file| Config { bearer_token_file: Some(path(file)), ..authority.config() };
    check(&token("absent"), "cannot read bearerTokenFile absent: No such file");
    check(&token("empty"), "bearerTokenFile empty holds no token");
}

#[test]
fn what_could_not_take_effect_is_refused() {
    let authority = Authority::new();
    let check = |address: &Address, config: Config, expected: &str| {
        assert_eq!(error_of(address, &config), expected);
    };
    let needs_https = "init_config asks for clientCA, which needs https in open_params";
    check(&local("/"), authority.config(), needs_https);
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let config = Config { client_names: names(&["a"]), ..authority.open_config() };
    check(&https(), config, "init_config asks for clientNames, which needs clientCA");
    let config = Config { client_names: names(&[]), ..authority.config() };
    check(&https(), config, "clientNames is empty, so no client could send anything");
}

#[test]
fn plain_http_for_all_can_be_forbidden() {
    let all = Address { host: "0.0.0.0".into(), ..local("/") };
    let strict = Config { require_tls: true, ..Config::default() };
    let error = error_of(&all, &strict);
    assert!(error.starts_with("requireTLS forbids plain http on 0.0.0.0:"), "{error}");
    Webhook::open(&local("/"), &strict, &Arc::default()).unwrap();
    Webhook::open(&all, &Config::default(), &Arc::default()).unwrap();
}
