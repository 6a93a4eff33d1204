//! Where alerts are sent.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ureq::http::{HeaderName, HeaderValue};

use super::section::Section;

/// The outputs, `None` where one is switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutputsConfig {
    pub(crate) stdout: bool,
    pub(crate) syslog: bool,
    pub(crate) file: Option<FileOutputConfig>,
    pub(crate) program: Option<ProgramOutputConfig>,
    pub(crate) http: Option<HttpOutputConfig>,
    /// A delivery that takes longer is a line in the log. `None` never is.
    pub(crate) timeout: Option<Duration>,
    /// How many alerts wait for one output at most; `None` leaves it to the agent.
    pub(crate) queue_capacity: Option<NonZeroUsize>,
    /// Where alerts wait that an output cannot deliver, if not in memory.
    pub(crate) spool: Option<SpoolConfig>,
}

/// Alerts on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpoolConfig {
    pub(crate) directory: PathBuf,
    /// For each output.
    pub(crate) max_bytes: u64,
    pub(crate) when_full: WhenFull,
}

/// What happens to alerts that the spool has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// The event source waits, so nothing is lost.
    Wait,
    /// The oldest stored alerts make room.
    DropOldest,
    /// They are dropped themselves.
    DropNewest,
}

/// Alerts appended to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileOutputConfig {
    pub(crate) filename: PathBuf,
    /// Whether the file stays open between alerts.
    pub(crate) keep_alive: bool,
}

/// Alerts written to the standard input of a shell command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProgramOutputConfig {
    pub(crate) program: String,
    /// Whether one process takes all alerts, instead of one each.
    pub(crate) keep_alive: bool,
}

/// Alerts sent by HTTP POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpOutputConfig {
    pub(crate) url: String,
    pub(crate) user_agent: String,
    /// Whether any certificate of the server will do.
    pub(crate) insecure: bool,
    pub(crate) certificate_authority: CertificateAuthority,
    /// The certificate and the key to show to the server.
    pub(crate) client_identity: Option<(PathBuf, PathBuf)>,
    /// Whether answers are printed on stdout.
    pub(crate) echo: bool,
    /// Sent with every request.
    pub(crate) headers: Vec<(String, String)>,
    /// Whether bodies are compressed with gzip.
    pub(crate) compress: bool,
    /// How many alerts share a request at most.
    pub(crate) batch_size: usize,
}

/// Who may have signed a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CertificateAuthority {
    /// The certificates in one PEM file.
    File(PathBuf),
    /// The certificates in a directory.
    Directory(PathBuf),
}

impl OutputsConfig {
    pub(super) fn read(root: &mut Section<'_, '_>) -> OutputsConfig {
        // An alert is written before its event is acknowledged. So this is only checked.
        root.flag("buffered_outputs", false);
        let timeout_ms = root.number::<u32>("output_timeout", 2000);
        OutputsConfig {
            stdout: root.section("stdout_output", |section| section.flag("enabled", false)),
            syslog: root.section("syslog_output", |section| section.flag("enabled", false)),
            file: root.section("file_output", FileOutputConfig::read),
            program: root.section("program_output", ProgramOutputConfig::read),
            http: root.section("http_output", HttpOutputConfig::read),
            timeout: (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into())),
            queue_capacity: root.section("outputs_queue", |section| {
                section.removed_key("recovery", "a full queue makes the agent wait");
                NonZeroUsize::new(section.number("capacity", 0))
            }),
            spool: root.section("outputs_spool", SpoolConfig::read),
        }
    }

    /// Whether alerts go anywhere at all.
    pub(crate) fn is_any_enabled(&self) -> bool {
        self.stdout
            || self.syslog
            || self.file.is_some()
            || self.program.is_some()
            || self.http.is_some()
    }
}

impl SpoolConfig {
    fn read(section: &mut Section<'_, '_>) -> Option<SpoolConfig> {
        let words = [
            ("wait", WhenFull::Wait),
            ("drop_oldest", WhenFull::DropOldest),
            ("drop_newest", WhenFull::DropNewest),
        ];
        let config = SpoolConfig {
            directory: section.path("directory", ""),
            max_bytes: section.number("max_bytes", 256 << 20),
            when_full: section.word("when_full", WhenFull::Wait, &words, |text| {
                format!("expected wait, drop_oldest or drop_newest, found `{text}`")
            }),
        };
        (!config.directory.as_os_str().is_empty()).then_some(config)
    }
}

impl FileOutputConfig {
    fn read(section: &mut Section<'_, '_>) -> Option<FileOutputConfig> {
        let enabled = section.flag("enabled", false);
        let config = FileOutputConfig {
            keep_alive: section.flag("keep_alive", false),
            filename: section.path("filename", ""),
        };
        let missing = config.filename.as_os_str().is_empty();
        let message = "file output enabled but no filename in configuration block";
        checked(section, config, enabled, missing.then_some(("filename", message)))
    }
}

impl ProgramOutputConfig {
    fn read(section: &mut Section<'_, '_>) -> Option<ProgramOutputConfig> {
        let enabled = section.flag("enabled", false);
        let config = ProgramOutputConfig {
            keep_alive: section.flag("keep_alive", false),
            program: section.text("program", ""),
        };
        let missing = config.program.is_empty();
        let message = "program output enabled but no program in configuration block";
        checked(section, config, enabled, missing.then_some(("program", message)))
    }
}

impl HttpOutputConfig {
    fn read(section: &mut Section<'_, '_>) -> Option<HttpOutputConfig> {
        let enabled = section.flag("enabled", false);
        let url = section.text("url", "");
        // The first that is set wins.
        let mut authority = |key| section.optional_text(key).filter(|path| !path.is_empty());
        let (ca_cert, ca_bundle) = (authority("ca_cert"), authority("ca_bundle"));
        let ca_path = authority("ca_path").unwrap_or("/etc/ssl/certs");
        let certificate_authority = match ca_cert.or(ca_bundle) {
            Some(file) => CertificateAuthority::File(file.into()),
            None => CertificateAuthority::Directory(ca_path.into()),
        };
        let client_identity = (
            section.path("client_cert", "/etc/ssl/certs/client.crt"),
            section.path("client_key", "/etc/ssl/certs/client.key"),
        );
        let config = HttpOutputConfig {
            url: without_quotes(&url).to_string(),
            user_agent: section.text("user_agent", "falcosecurity/falco"),
            insecure: section.flag("insecure", false),
            certificate_authority,
            client_identity: section.flag("mtls", false).then_some(client_identity),
            echo: section.flag("echo", false),
            headers: section.map_of_texts("headers"),
            compress: section.flag("compress_uploads", false),
            batch_size: section.number("batch_size", 1),
        };
        if config.batch_size == 0 {
            section.problem("batch_size", "a request takes at least one alert");
        }
        for (name, value) in &config.headers {
            if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
                // Not the value: it may be a secret.
                section.problem("headers", &format!("`{name}` is no header of HTTP"));
            }
        }
        // Connections are kept and requests repeated in any case. So these are only checked.
        section.flag("keep_alive", false);
        section.number::<u8>("max_consecutive_timeouts", 5);
        let missing = config.url.is_empty();
        let message = "http output enabled but no url in configuration block";
        checked(section, config, enabled, missing.then_some(("url", message)))
    }
}

/// The output if it is enabled, which is when something missing is a problem.
fn checked<T>(
    section: &mut Section<'_, '_>,
    config: T,
    enabled: bool,
    missing: Option<(&str, &str)>,
) -> Option<T> {
    if let Some((key, message)) = missing.filter(|_| enabled) {
        section.problem(key, message);
    }
    enabled.then_some(config)
}

/// Takes off a pair of quotes that is part of the value itself.
fn without_quotes(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote).and_then(|text: &str| text.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}
