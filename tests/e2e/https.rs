//! TLS: who may send to the webhook, and certificates that are renewed.

use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::agent::{Setup, configmap_event};
use crate::http;

const TOKEN: &str = "Bearer a-token-that-no-log-shows";

/// An authority, whose certificates all bear the name `localhost` and a common name.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate and its key, as PEM.
    fn sign(&self, common_name: &str) -> [String; 2] {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        [params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem()]
    }

    /// A client that trusts this authority, with a certificate of `common_name`.
    fn client(&self, common_name: Option<&str>) -> ureq::Agent {
        let root = Certificate::from_pem(self.0.pem().as_bytes()).unwrap();
        let identity = common_name.map(|name| {
            let [certificate, key] = self.sign(name);
            let certificate = Certificate::from_pem(certificate.as_bytes()).unwrap();
            let key = PrivateKey::from_pem(key.as_bytes()).unwrap();
            ClientCert::new_with_certs(&[certificate], key)
        });
        let tls = TlsConfig::builder().root_certs(RootCerts::from([root])).client_cert(identity);
        let timeout = Some(Duration::from_secs(30));
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(timeout)
            .tls_config(tls.build())
            .build()
            .new_agent()
    }
}

/// The status of the answer, or why there is none.
fn post(client: &ureq::Agent, setup: &Setup, token: &str) -> Result<u16, ureq::Error> {
    let url = format!("https://localhost:{}/k8s-audit", setup.webhook_port);
    let request = client.post(url).content_type("application/json").header("authorization", token);
    Ok(request.send(configmap_event())?.status().as_u16())
}

#[test]
fn only_known_clients_may_send() {
    let (setup, authority) = (Setup::new(), Authority::new());
    let [certificate, key] = authority.sign("webhook");
    setup.write("tls.crt", &certificate);
    setup.write("tls.key", &key);
    setup.write("ca.crt", &authority.0.pem());
    setup.write("token", TOKEN.strip_prefix("Bearer ").unwrap());
    let mut agent = setup.start(&[
        "-o",
        &format!("plugins[0].open_params=https://127.0.0.1:{}/k8s-audit", setup.webhook_port),
        "-o",
        r#"plugins[0].init_config={"sslCertificate": "tls.crt", "sslKey": "tls.key",
            "clientCA": "ca.crt", "clientNames": ["kube-apiserver"], "bearerTokenFile": "token"}"#,
    ]);
    agent.wait_for_log("k8saudit: listening on");

    let api_server = authority.client(Some("kube-apiserver"));
    assert_eq!(post(&api_server, &setup, TOKEN).unwrap(), 200);
    agent.wait_for_alert("ConfigMap seen");
    // As after a time-out: taken, but no second alert.
    assert_eq!(post(&api_server, &setup, TOKEN).unwrap(), 200);
    assert_eq!(post(&api_server, &setup, "Bearer other").unwrap(), 401);
    post(&authority.client(Some("kubelet")), &setup, TOKEN).unwrap_err();
    agent.wait_for_log("refused: its certificate bears none of clientNames");
    post(&authority.client(None), &setup, TOKEN).unwrap_err();

    let renewed = Authority::new();
    let [certificate, key] = renewed.sign("webhook");
    setup.write("tls.crt", &certificate);
    setup.write("tls.key", &key);
    setup.write("ca.crt", &renewed.0.pem());
    let api_server = renewed.client(Some("kube-apiserver"));
    let deadline = Instant::now() + Duration::from_secs(30);
    while post(&api_server, &setup, TOKEN).ok() != Some(200) {
        assert!(Instant::now() < deadline, "the new certificate is not shown");
    }

    let finished = agent.stop();
    assert!(finished.stdout.contains("Events detected: 1\n"), "{finished:?}");
    assert!(finished.stderr.contains("it has no token of bearerTokenFile"), "{finished:?}");
    assert!(!finished.stderr.contains("a-token-that-no-log-shows"), "{finished:?}");
}

#[test]
fn the_webserver_takes_a_renewed_certificate_and_keeps_the_old_one_instead_of_a_broken() {
    let (setup, authority) = (Setup::new(), Authority::new());
    setup.write("server.pem", &authority.sign("webserver").concat());
    let mut agent = setup.start(&[
        "-o",
        "webserver.ssl_enabled=true",
        "-o",
        "webserver.ssl_certificate=server.pem",
    ]);
    agent.wait_for_log("Opening 'k8s_audit' source");
    let health = |authority: &Authority| {
        let url = format!("https://localhost:{}/healthz", setup.webserver_port);
        authority.client(None).get(url).call().ok().map(|answer| answer.status().as_u16())
    };
    assert_eq!(health(&authority), Some(200));

    setup.write("server.pem", "no certificate");
    agent.wait_for_log("cannot use webserver.ssl_certificate server.pem");
    assert_eq!(health(&authority), Some(200));

    let renewed = Authority::new();
    setup.write("new.pem", &renewed.sign("webserver").concat());
    std::fs::rename(setup.path("new.pem"), setup.path("server.pem")).unwrap();
    agent.wait_for_log("Rules reloaded");
    assert_eq!((health(&renewed), health(&authority)), (Some(200), None));
}

/// The address as Falco's documentation has it.
#[test]
fn plain_http_for_all_is_said_or_refused() {
    let setup = Setup::new();
    let all = format!("plugins[0].open_params=http://:{}/k8s-audit", setup.webhook_port);
    let mut agent = setup.start(&["-o", &all]);
    agent.wait_for_log("takes plain http from anyone who reaches it; prefer https or 127.0.0.1");
    assert_eq!(http::post(setup.webhook_port, &configmap_event()).status, 200);
    agent.stop();

    let strict = "plugins[0].init_config={requireTLS: true}";
    let finished = setup.run(&["-o", &all, "-o", strict]);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(finished.stderr.contains("requireTLS forbids plain http on "), "{finished:?}");
}

#[test]
fn a_misspelt_key_is_said() {
    let setup = Setup::new();
    let mut agent = setup.start(&["-o", r#"plugins[0].init_config={"clientCa": "ca.crt"}"#]);
    agent.wait_for_log(r#"k8saudit: init_config has a key without effect: "clientCa""#);
}

#[test]
fn files_that_do_not_work_end_the_start_with_their_name() {
    let setup = Setup::new();
    let finished = setup.run(&[
        "-o",
        &format!("plugins[0].open_params=https://127.0.0.1:{}/k8s-audit", setup.webhook_port),
        "-o",
        r#"plugins[0].init_config={"sslCertificate": "absent.pem"}"#,
    ]);
    assert!(!finished.status.success(), "{finished:?}");
    let expected = "cannot read the certificate from sslCertificate absent.pem: ";
    assert!(finished.stderr.contains(expected), "{finished:?}");
}
