//! The child's side: a plugin on the one end, the agent's requests on the other.

use std::ffi::{CStr, CString};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use super::wire::{Body, Kind, Message, Receiver, Sender, split};
use super::with_causes;
use crate::event::Event;
use crate::extract::{Extracted, FieldRequest};
use crate::library::Library;
use crate::owner::{LogSeverity, LogSink};
use crate::plugin::{InitError, Plugin};
use crate::source::{Batch, EventStream, NoBatch, OpenError};

/// The longest line that a plugin may log.
const LONGEST_LINE: usize = 64 << 10;

/// Serves the library at `path` to the agent at the other end of standard input, until that asks for the end or is gone.
///
/// Takes the process over: it closes all other files and does not heed signals that are meant for the agent. To be called
/// before anything else.
///
/// # Errors
///
/// When standard input is no socket to an agent, or what comes from there makes no sense.
pub fn serve_child(path: &Path) -> io::Result<()> {
    match serve(path, take_over_process()?) {
        // The agent is gone.
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe) => {
            Ok(())
        }
        result => result,
    }
}

fn serve(path: &Path, socket: UnixStream) -> io::Result<()> {
    let (sender, receiver) = split(socket)?;
    let library = match Library::open(path) {
        Ok(library) => library,
        Err(error) => {
            let text = error.source.to_string();
            let cause = std::error::Error::source(&error.source);
            let text =
                cause.map_or(text.clone(), |cause| format!("{text}: {}", with_causes(cause)));
            return sender.send(Message::new(Kind::Failed).bytes(text.as_bytes()));
        }
    };
    let about = serde_json::to_vec(library.about()).expect("it has no maps");
    sender.send(Message::new(Kind::Answer).bytes(&about))?;
    let child = Child {
        library,
        sender,
        receiver,
        requests: Vec::new(),
        eager: Vec::new(),
        number: 0,
        body: Vec::new(),
    };
    child.serve()
}

/// Leaves the process with nothing of the agent but the socket.
fn take_over_process() -> io::Result<UnixStream> {
    // SAFETY: nothing is open yet that this process has opened itself, so nobody will use these.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1] {
        // SAFETY: to ignore a signal runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    // A plugin that reads standard input must not read what the agent asks.
    let null: OwnedFd = std::fs::File::open("/dev/null")?.into();
    // SAFETY: both are open.
    if unsafe { libc::dup2(null.as_raw_fd(), libc::STDIN_FILENO) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let socket = UnixStream::from(socket);
    let hung_up = socket.try_clone()?;
    std::thread::spawn(move || end_with_agent(&hung_up));
    Ok(socket)
}

/// Ends the process when the agent is gone, whatever the plugin is at. Nothing is closed: that would tell senders that
/// their events were processed.
fn end_with_agent(socket: &UnixStream) {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: one descriptor, which is open.
    while unsafe { libc::poll(&raw mut poll, 1, -1) } < 0 {}
    // SAFETY: it does not return.
    unsafe { libc::_exit(1) };
}

struct Child {
    library: Arc<Library>,
    sender: Sender,
    receiver: Receiver,
    /// The fields that the agent has asked for, by the number that it gave them.
    requests: Vec<FieldRequest>,
    /// Those that it wants with each event.
    eager: Vec<usize>,
    /// Of the last event. Plugins keep what they know of an event by its number.
    number: u64,
    /// Of the request at hand.
    body: Vec<u8>,
}

/// What is asked for an event that is not of the plugin's own batch.
struct Foreign {
    bytes: Vec<u8>,
    source: CString,
}

impl Child {
    fn serve(mut self) -> io::Result<()> {
        let mut plugin = None;
        let mut stream: Option<EventStream> = None;
        let mut kind = self.next()?;
        loop {
            match (kind, &mut stream) {
                (Kind::Init, None) => plugin = self.init()?,
                (Kind::Open, None) => stream = self.open(plugin.take().ok_or_else(garbled)?)?,
                (Kind::NextBatch, Some(stream)) => {
                    self.read_eager().ok_or_else(garbled)?;
                    match stream.next_batch() {
                        Ok(batch) => {
                            kind = self.serve_batch(batch)?;
                            continue;
                        }
                        Err(no_batch) => self.send_no_batch(&no_batch)?,
                    }
                }
                (Kind::Progress, Some(stream)) => {
                    let mut message = Message::new(Kind::Answer);
                    if let Some((share, text)) = stream.ask_for_progress() {
                        message.number(share).bytes(&text);
                    }
                    self.sender.send(&mut message)?;
                }
                (Kind::Close, Some(stream)) => {
                    stream.close();
                    self.sender.send(&mut Message::new(Kind::Answer))?;
                }
                (Kind::End, _) => {
                    drop(stream);
                    drop(plugin);
                    return self.sender.send(&mut Message::new(Kind::Answer));
                }
                (kind, Some(stream)) => self.serve_call(kind, stream.plugin_mut())?,
                (kind, None) => self.serve_call(kind, plugin.as_mut().ok_or_else(garbled)?)?,
            }
            kind = self.next()?;
        }
    }

    fn next(&mut self) -> io::Result<Kind> {
        loop {
            if let Some(kind) = self.receiver.receive(None, &mut self.body)? {
                return Ok(kind);
            }
        }
    }

    fn fail(&self, text: &str) -> io::Result<()> {
        self.sender.send(Message::new(Kind::Failed).bytes(text.as_bytes()))
    }

    fn init(&self) -> io::Result<Option<Plugin>> {
        let config = Body(&self.body).text().ok_or_else(garbled)?;
        match self.library.init(config, log_to(self.sender.clone())) {
            Ok(plugin) => {
                self.sender.send(&mut Message::new(Kind::Answer))?;
                Ok(Some(plugin))
            }
            Err(InitError::Failed { message, .. }) => self.fail(&message).map(|()| None),
            Err(error) => self.fail(&error.to_string()).map(|()| None),
        }
    }

    fn open(&self, plugin: Plugin) -> io::Result<Option<EventStream>> {
        let params = Body(&self.body).text().ok_or_else(garbled)?;
        match plugin.open(params) {
            Ok(stream) => {
                self.sender.send(&mut Message::new(Kind::Answer))?;
                Ok(Some(stream))
            }
            Err(OpenError::Failed(error)) => self.fail(&error.message).map(|()| None),
            Err(error) => self.fail(&error.to_string()).map(|()| None),
        }
    }

    fn send_no_batch(&self, no_batch: &NoBatch) -> io::Result<()> {
        let mut message = Message::new(Kind::Answer);
        match no_batch {
            NoBatch::Timeout => message.byte(1),
            NoBatch::Eof => message.byte(2),
            NoBatch::Failure(error) => message.byte(3).bytes(error.message.as_bytes()),
            malformed @ NoBatch::Malformed { .. } => {
                message.byte(3).bytes(with_causes(malformed).as_bytes())
            }
        };
        self.sender.send(&mut message)
    }

    /// Reads which fields the agent wants with the events.
    fn read_eager(&mut self) -> Option<()> {
        let mut body = Body(&self.body);
        self.eager.clear();
        for _ in 0..body.number()? {
            let id = body.number()? as usize;
            self.eager.push(id);
            self.requests.get(id)?;
        }
        Some(())
    }

    /// Sends a batch, and answers questions about it until something else is asked for.
    fn serve_batch(&mut self, mut batch: Batch<'_>) -> io::Result<Kind> {
        let source = self.own_source();
        let first = self.number + 1;
        let mut message = Message::new(Kind::Answer);
        message.byte(0).number(u32::try_from(batch.len()).map_err(|_| garbled())?);
        for event in batch.events() {
            message.bytes(event.bytes());
        }
        for event in batch.events() {
            self.number += 1;
            for id in &self.eager {
                let mut extractor = batch.extractor();
                let values = extractor.extract(&event, self.number, &source, &self.requests[*id]);
                write_values(&mut message, values);
            }
        }
        match self.sender.send(&mut message) {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                self.fail("gave a batch that is too large for a plugin in a process of its own")?;
            }
            sent => sent?,
        }
        drop(message);
        loop {
            let kind = self.next()?;
            let mut body = Body(&self.body);
            if !matches!(kind, Kind::Extract | Kind::Print) {
                if matches!(kind, Kind::Metrics | Kind::ListOpenParams) {
                    self.serve_call(kind, batch.plugin_mut())?;
                    continue;
                }
                return Ok(kind);
            }
            match body.byte().ok_or_else(garbled)? {
                0 => {
                    let index = body.number().ok_or_else(garbled)? as usize;
                    let event = batch.events().nth(index).ok_or_else(garbled)?;
                    let (number, rest) = (first + index as u64, body.0.to_vec());
                    self.serve_event(kind, &rest, event, number, &source, batch.plugin_mut())?;
                }
                _ => self.serve_call(kind, batch.plugin_mut())?,
            }
        }
    }

    /// Answers what can be asked at any time.
    fn serve_call(&mut self, kind: Kind, plugin: &mut Plugin) -> io::Result<()> {
        match kind {
            Kind::Metrics => {
                let metrics = serde_json::to_vec(&plugin.metrics()).expect("it has no maps");
                let mut message = Message::new(Kind::Answer);
                self.sender.send(message.long(plugin.protocol_errors()).bytes(&metrics))
            }
            Kind::ListOpenParams => match plugin.list_open_params() {
                Ok(params) => {
                    let params = serde_json::to_vec(&params).expect("it has no maps");
                    self.sender.send(Message::new(Kind::Answer).bytes(&params))
                }
                Err(error) => self.fail(&error.message),
            },
            Kind::Extract | Kind::Print => {
                let mut body = Body(&self.body);
                let foreign = read_foreign(&mut body).ok_or_else(garbled)?;
                let event = Event::of_bytes(&foreign.bytes).ok_or_else(garbled)?;
                self.number += 1;
                let (number, rest) = (self.number, body.0.to_vec());
                self.serve_event(kind, &rest, event, number, &foreign.source, plugin)
            }
            _ => Err(garbled()),
        }
    }

    fn serve_event(
        &mut self,
        kind: Kind,
        rest: &[u8],
        event: Event<'_>,
        number: u64,
        source: &CStr,
        plugin: &mut Plugin,
    ) -> io::Result<()> {
        let mut message = Message::new(Kind::Answer);
        if kind == Kind::Print {
            let text = plugin.extractor().event_to_string(&event, number);
            return self.sender.send(message.bytes(text.as_bytes()));
        }
        let id = self.request(Body(rest)).ok_or_else(garbled)?;
        let mut extractor = plugin.extractor();
        let values = extractor.extract(&event, number, source, &self.requests[id]);
        write_values(&mut message, values);
        self.sender.send(&mut message)
    }

    /// The field that is asked for, which is described the first time.
    fn request(&mut self, mut body: Body<'_>) -> Option<usize> {
        let id = body.number()? as usize;
        if id == self.requests.len() {
            let index = body.number()? as usize;
            let argument = match body.byte()? {
                0 => None,
                _ => Some(body.text()?),
            };
            self.library.extraction()?.fields.get(index)?;
            self.requests.push(FieldRequest::new(&self.library, index, argument).ok()?);
        }
        (id < self.requests.len()).then_some(id)
    }

    fn own_source(&self) -> CString {
        let name = self.library.sourcing().map(|sourcing| sourcing.event_source.clone());
        CString::new(name.unwrap_or_default()).expect("it came from a C string")
    }
}

fn read_foreign(body: &mut Body<'_>) -> Option<Foreign> {
    (body.byte()? == 1).then_some(())?;
    let source = CString::new(body.bytes()?).ok()?;
    Some(Foreign { source, bytes: body.bytes()?.to_vec() })
}

/// Sends what a plugin logs.
fn log_to(sender: Sender) -> Arc<LogSink> {
    Arc::new(move |severity: LogSeverity, component: &str, text: &str| {
        let mut message = Message::new(Kind::Log);
        // Cut between any bytes: whoever reads it replaces what is no text.
        let text = &text.as_bytes()[..text.len().min(LONGEST_LINE)];
        message.byte(severity as u8).bytes(component.as_bytes()).bytes(text);
        // The agent is gone: then so is this process, a moment later.
        sender.send(&mut message).ok();
    })
}

/// Values as a count and then each, or nothing.
fn write_values(message: &mut Message, values: Option<Extracted<'_>>) {
    let place = message.len();
    message.number(0);
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    match values {
        None => return,
        Some(Extracted::Strings(strings)) => {
            message.number(count(strings.clone().count()));
            for text in strings {
                message.bytes(text).byte(0);
            }
        }
        Some(Extracted::Numbers(numbers)) => {
            message.number(count(numbers.len()));
            for number in numbers {
                message.long(*number);
            }
        }
        Some(Extracted::Bools(flags)) => {
            message.number(count(flags.len()));
            for flag in flags {
                message.number(*flag);
            }
        }
        Some(Extracted::Addresses(addresses)) => {
            message.number(count(addresses.clone().count()));
            for address in addresses {
                message.bytes(address);
            }
        }
    }
    message.set_number(place, count(message.len() - place - 4));
}

fn garbled() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a request that makes no sense")
}
