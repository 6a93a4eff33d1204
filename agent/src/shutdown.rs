//! Signals, and what else asks the agent to act, as requests.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::signal::unix::{SignalKind, signal};

/// What the main thread is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGINT or SIGTERM: end in order.
    Stop,
    /// SIGHUP: load the rules again.
    Reload,
    /// SIGUSR1: outputs close and open again.
    Reopen,
    /// The thread of this event source has ended, by its index.
    SourceEnded(usize),
}

/// Starts listening; from now on these signals do not end the process by themselves.
///
/// A second request of the same kind while the first is still waiting is dropped. The sender is for other
/// reasons to ask, such as a changed file.
pub(crate) fn listen(
    runtime: &tokio::runtime::Handle,
) -> io::Result<(SyncSender<Request>, Receiver<Request>)> {
    let (requests, received) = sync_channel(8);
    let _guard = runtime.enter();
    for (kind, name, request) in [
        (SignalKind::interrupt(), "SIGINT received, exiting...", Request::Stop),
        (SignalKind::terminate(), "SIGINT received, exiting...", Request::Stop),
        (SignalKind::hangup(), "SIGHUP received, restarting...", Request::Reload),
        (SignalKind::user_defined1(), "SIGUSR1 received, reopening outputs...", Request::Reopen),
    ] {
        let mut signals = signal(kind)?;
        let requests = requests.clone();
        runtime.spawn(async move {
            while signals.recv().await.is_some() {
                tracing::info!("{name}");
                // Full means that eight requests wait already, of which one is surely like this.
                requests.try_send(request).ok();
            }
        });
    }
    Ok((requests, received))
}
