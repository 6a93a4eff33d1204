//! The agent's own server (health, versions, metrics), and its port against those of webhooks.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::metrics::parse_interval;
use super::plugins::PluginsConfig;
use super::section::Section;

/// Paths that the server uses for something else.
const TAKEN_PATHS: [&str; 3] = ["/metrics", "/readyz", "/versions"];

/// The settings of the agent's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebserverConfig {
    pub(crate) enabled: bool,
    pub(crate) address: IpAddr,
    /// 0 takes any free port.
    pub(crate) port: u16,
    /// How many threads serve; 0 is the number of CPUs.
    pub(crate) threads: usize,
    /// Begins with a slash.
    pub(crate) healthz_path: String,
    /// A PEM file with certificate and private key, if the server speaks TLS.
    pub(crate) tls_certificate: Option<PathBuf>,
    /// How long an open event source may have no event before `/readyz` tells; `None` for ever.
    pub(crate) max_silence: Option<Duration>,
    /// Whether `/metrics` is served, if metrics are enabled at all.
    pub(crate) serves_metrics: bool,
}

impl WebserverConfig {
    pub(super) fn read(root: &mut Section<'_, '_>) -> WebserverConfig {
        root.section("webserver", |section| {
            let default_address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            let uses_tls = section.flag("ssl_enabled", false);
            let certificate = section.path("ssl_certificate", "/etc/falco/falco.pem");
            WebserverConfig {
                enabled: section.flag("enabled", false),
                address: section.parsed("listen_address", default_address, |text| {
                    text.parse().map_err(|_| {
                        format!("webserver listen address \"{text}\" is not a valid IP address")
                    })
                }),
                port: section.number("listen_port", 8765),
                threads: section.number::<u8>("threadiness", 0).into(),
                healthz_path: section.parsed(
                    "k8s_healthz_endpoint",
                    "/healthz".to_string(),
                    healthz_path,
                ),
                tls_certificate: uses_tls.then_some(certificate),
                max_silence: section.parsed("readyz_event_within", None, |text| {
                    let wrong = || format!("expected a time such as 10m, found `{text}`");
                    parse_interval(text).map(Some).ok_or_else(wrong)
                }),
                serves_metrics: section.flag("prometheus_metrics_enabled", false),
            }
        })
    }
}

fn healthz_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/')
        || text.contains(|c: char| !c.is_ascii_graphic() || "?#{}*".contains(c))
    {
        return Err(format!("`{text}` is not the path of a URL"));
    }
    if TAKEN_PATHS.contains(&text) {
        return Err(format!("`{text}` is served already"));
    }
    Ok(text.to_string())
}

/// Reports plugins that would listen on the port of the server.
pub(super) fn check_ports(
    root: &mut Section<'_, '_>,
    webserver: &WebserverConfig,
    plugins: &PluginsConfig,
) {
    if !webserver.enabled || webserver.port == 0 {
        return;
    }
    for plugin in &plugins.list {
        if listening_port(&plugin.open_params) != Some(webserver.port) {
            continue;
        }
        let message = format!(
            "`webserver.listen_port` and `open_params` of plugin '{}' ask for the same port {}: the \
             agent's webserver and the plugin's webhook are two servers, so change one of them",
            plugin.name, webserver.port
        );
        let mut places = Vec::new();
        places.extend(plugin.open_params_position.clone().map(|place| (place, "the webhook")));
        let port = root.section("webserver", |section| section.position("listen_port").cloned());
        places.extend(port.map(|place| (place, "the webserver")));
        root.problem_at(message, places);
    }
}

/// The port that a plugin listens on, if its parameters are the URL of a place on this machine.
///
/// Other plugins use URLs of remote servers, whose port does not matter.
fn listening_port(open_params: &str) -> Option<u16> {
    let (scheme, rest) = open_params.split_once("://")?;
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_here =
        host.is_empty() || host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok();
    if !is_here {
        return None;
    }
    if port.is_empty() { Some(default_port) } else { port.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(open_params: &str, expected: Option<u16>) {
        assert_eq!(listening_port(open_params), expected);
    }

    #[test]
    fn the_port_of_a_local_url_is_found() {
        check("http://127.0.0.1:8765/k8s-audit", Some(8765));
        check("http://:9765/k8s-audit", Some(9765));
        check("HTTPS://localhost:9765/", Some(9765));
        check("http://[::1]:9765/k8s-audit", Some(9765));
        check("http://user@0.0.0.0:1?x=:2", Some(1));
        check("http://127.0.0.1/k8s-audit", Some(80));
        check("https://[::]", Some(443));
    }

    #[test]
    fn other_parameters_have_no_port() {
        check("", None);
        check("/var/log/audit.log", None);
        check("file:///var/log/audit.log", None);
        check("https://events.example.com:8765/stream", None);
        check("http://127.0.0.1:99999/", None);
    }
}
