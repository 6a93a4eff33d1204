//! Signals, and what else asks the agent to act, as requests.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// How often a request is offered again that found no room.
const RETRY: Duration = Duration::from_millis(10);

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
/// The sender is for other reasons to ask, such as the end of an event source.
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
                // The main thread is busy. Signals of one kind that come meanwhile are one.
                while let Err(TrySendError::Full(_)) = requests.try_send(request) {
                    tokio::time::sleep(RETRY).await;
                }
            }
        });
    }
    Ok((requests, received))
}
