//! Signals, and what else asks the agent to act, as requests.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// How often a request is offered again that found no room.
const RETRY: Duration = Duration::from_millis(10);
/// By then everything has had its time to end. Orchestrators kill after 30 seconds, without a word in the log.
const LAST_RESORT: Duration = Duration::from_secs(25);

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
                if request == Request::Stop {
                    tokio::spawn(end_at_last());
                }
                // The main thread is busy. Signals of one kind that come meanwhile are one.
                while let Err(TrySendError::Full(_)) = requests.try_send(request) {
                    tokio::time::sleep(RETRY).await;
                }
            }
        });
    }
    Ok((requests, received))
}

/// Ends the process if it still runs long after it was asked to end: the main thread is in a call that does not return.
#[expect(clippy::exit, reason = "who would return does not")]
async fn end_at_last() {
    tokio::time::sleep(LAST_RESORT).await;
    tracing::error!(
        "Not ended {} s after the signal, a plugin may not return from a call: giving up",
        LAST_RESORT.as_secs()
    );
    std::process::exit(1);
}
