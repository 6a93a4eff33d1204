//! Certificates and tokens in files, read again when the files change.
//!
//! cert-manager and its kind replace them long before they expire. Connections that are open keep what they began with.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum_server::tls_rustls::RustlsConfig;

use crate::{
    config::Config,
    webhook::{
        tls::{self, TlsError},
        token::{TokenError, Tokens},
    },
};

/// Why the webhook cannot know its clients, or they it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    #[error("init_config asks for {key}, which needs {needs}")]
    Unprotected { key: &'static str, needs: &'static str },
    #[error("clientNames is empty, so no client could send anything")]
    NoClients,
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// What is in the files of certificates and tokens.
pub(crate) struct Credentials {
    config: Config,
    /// What the acceptor uses; it changes under the acceptor's hands.
    pub(crate) tls: Option<RustlsConfig>,
    /// What requests are held to; likewise.
    pub(crate) tokens: Option<Arc<ArcSwap<Tokens>>>,
    tls_files: Files,
    token_file: Files,
}

impl Credentials {
    /// Reads the files that `config` names.
    pub(crate) fn read(config: &Config, is_tls: bool) -> Result<Self, CredentialsError> {
        check(config, is_tls)?;
        let certificates =
            [Some(&config.ssl_certificate), config.ssl_key.as_ref(), config.client_ca.as_ref()];
        let tls_files = certificates.into_iter().flatten().filter(|_| is_tls);
        // Looked at before they are read, so that a change in between is noticed as one.
        let tls_files = Files::new(tls_files);
        let token_file = Files::new(&config.bearer_token_file);
        let server_config = is_tls.then(|| tls::server_config(config)).transpose()?;
        let tokens = config.bearer_token_file.as_ref().map(Tokens::read).transpose()?;
        Ok(Self {
            config: config.clone(),
            tls: server_config.map(RustlsConfig::from_config),
            tokens: tokens.map(|tokens| Arc::new(ArcSwap::from_pointee(tokens))),
            tls_files,
            token_file,
        })
    }

    /// Looks at the files now and then, for as long as it is polled.
    pub(crate) async fn watch(mut self, pause: Duration) -> ! {
        loop {
            tokio::time::sleep(pause).await;
            tokio::task::block_in_place(|| self.refresh());
        }
    }

    fn refresh(&mut self) {
        if self.tls_files.changed()
            && let Some(tls) = &self.tls
        {
            let read = tls::server_config(&self.config);
            report("certificates", read.map(|config| tls.reload_from_config(config)));
        }
        if self.token_file.changed()
            && let (Some(tokens), Some(path)) = (&self.tokens, &self.config.bearer_token_file)
        {
            report("tokens", Tokens::read(path).map(|read| tokens.store(Arc::new(read))));
        }
    }
}

/// What is configured about clients must be able to take effect.
fn check(config: &Config, is_tls: bool) -> Result<(), CredentialsError> {
    if config.client_ca.is_some() && !is_tls {
        return Err(CredentialsError::Unprotected {
            key: "clientCA",
            needs: "https in open_params",
        });
    }
    match &config.client_names {
        Some(_) if config.client_ca.is_none() => {
            Err(CredentialsError::Unprotected { key: "clientNames", needs: "clientCA" })
        }
        Some(names) if names.is_empty() => Err(CredentialsError::NoClients),
        _ => Ok(()),
    }
}

/// Half of a pair of files may have been replaced: the old ones stay in force until both fit.
fn report<E: Into<anyhow::Error>>(what: &str, outcome: Result<(), E>) {
    match outcome {
        Ok(()) => log::info!("new {what} are in force"),
        Err(error) => log::error!("changed {what} are not taken: {:#}", error.into()),
    }
}

/// Files that may be replaced, also by way of a link to another folder.
#[derive(Debug)]
struct Files(Vec<(PathBuf, Option<Version>)>);

/// Device, inode and time of the last change of content, owner or mode.
type Version = (u64, u64, i64, i64);

impl Files {
    fn new<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| (path.clone(), version(path))).collect())
    }

    /// True if one of them is not what it was at the last call.
    fn changed(&mut self) -> bool {
        let mut changed = false;
        for (path, known) in &mut self.0 {
            let now = version(path);
            changed |= *known != now;
            *known = now;
        }
        changed
    }
}

/// A file that cannot be looked at has none; once it can be, that is a change.
fn version(path: &PathBuf) -> Option<Version> {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.ctime(), file.ctime_nsec()))
}
