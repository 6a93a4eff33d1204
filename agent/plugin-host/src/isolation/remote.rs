//! The agent's side: one plugin state in a child process.

use std::ffi::{CStr, c_char};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::wire::{Body, Kind, Message, Receiver, Sender, split};
use super::{ANSWER, Isolation, LOOK, START};
use crate::abi::{ByteBuffer, EventHeader, ExtractField};
use crate::event::Event;
use crate::extract::FieldRequest;
use crate::fields::FieldKind;
use crate::library::{About, Library};
use crate::metrics::Metric;
use crate::owner::{LogSeverity, LogSink};
use crate::plugin::{CallError, OpenParam};
use crate::source::NoBatch;

/// A field comes with each event if at least one of this many events of the last batch was asked for it: to ask takes about as
/// long as to extract some ten fields.
const EAGER_SHARE: u64 = 16;

/// How long a child may take to end after it has been asked to.
const END: Duration = Duration::from_secs(5);

/// One state of a plugin, in a child process that ends when this is dropped.
pub(crate) struct Remote {
    plugin: String,
    process: Process,
    /// The fields that were asked for, in the order of their numbers.
    fields: Vec<Field>,
    batch: Values,
    /// What the child answered last.
    answer: Vec<u8>,
    /// Values in the form of the ABI.
    decoded: Decoded,
    metrics: Vec<Metric>,
    protocol_errors: u64,
    is_asked: bool,
    /// Why it cannot be used any more.
    crash: Option<String>,
}

#[derive(Debug)]
struct Field {
    index: u32,
    argument: Option<Box<str>>,
    /// Its place among the values that came with the batch.
    place: Option<usize>,
    /// By how many events of the batch it was asked for.
    asked: u64,
}

/// What came with the last batch.
#[derive(Debug, Default)]
struct Values {
    /// Where the events lie, in order.
    addresses: Vec<usize>,
    bytes: Vec<u8>,
    /// For each event, and in it for each eager field.
    spans: Vec<(usize, usize)>,
    fields: usize,
}

#[derive(Debug, Default)]
struct Decoded {
    numbers: Vec<u64>,
    flags: Vec<u32>,
    texts: Vec<*const c_char>,
    addresses: Vec<ByteBuffer>,
}

/// The events of a batch.
#[derive(Debug, Default)]
pub(crate) struct RemoteBatch {
    bytes: Vec<u8>,
    events: Vec<*mut EventHeader>,
}

impl RemoteBatch {
    pub(crate) fn events(&self) -> &[*mut EventHeader] {
        &self.events
    }
}

/// A child process with the socket to it.
struct Process {
    child: process::Child,
    sender: Sender,
    receiver: Receiver,
    log: Arc<LogSink>,
}

/// Opens the library in a child process and asks what it is.
pub(crate) fn describe(path: &Path, isolation: &Isolation) -> Result<About, String> {
    Process::start(path, isolation, Arc::new(|_, _: &str, _: &str| {})).map(|(_, about)| about)
}

/// What the agent's service manager tells the agent, and no other process.
const OF_SERVICE_MANAGER: [&str; 6] = [
    "NOTIFY_SOCKET",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

impl Process {
    /// Starts a child that opens the library at `path`, and reads what it says about it.
    fn start(
        path: &Path,
        isolation: &Isolation,
        log: Arc<LogSink>,
    ) -> Result<(Process, About), String> {
        let spawn = || -> io::Result<Process> {
            let (ours, theirs) = UnixStream::pair()?;
            let (sender, receiver) = split(ours)?;
            let mut command = Command::new(&isolation.program);
            command.args(&isolation.arguments).arg(path).stdin(OwnedFd::from(theirs));
            // Standard output is for alerts.
            command.stdout(io::stderr());
            // What a terminal sends to the agent is not meant for the child, which must outlive its own last batch.
            command.process_group(0);
            command.arg0("shikra");
            for name in OF_SERVICE_MANAGER {
                command.env_remove(name);
            }
            Ok(Process { child: command.spawn()?, sender, receiver, log })
        };
        let mut process =
            spawn().map_err(|error| format!("its process cannot be started: {error}"))?;
        let mut about = Vec::new();
        match process.receive(Some(START), &mut about)? {
            Some(Kind::Answer) => {
                let about =
                    Body(&about).bytes().and_then(|about| serde_json::from_slice(about).ok());
                Ok((process, about.ok_or("what its process says of it makes no sense")?))
            }
            Some(Kind::Failed) => Err(lossy(Body(&about).bytes().unwrap_or_default())),
            _ => Err("its process does not answer".to_owned()),
        }
    }

    /// Waits for what the child answers, and logs what it logs meanwhile. An error says why there is nothing to be expected
    /// any more.
    fn receive(
        &mut self,
        wait: Option<Duration>,
        body: &mut Vec<u8>,
    ) -> Result<Option<Kind>, String> {
        let deadline = wait.map(|wait| Instant::now() + wait);
        loop {
            // A time-out of 0 is none.
            let left = deadline.map(|deadline| {
                deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
            });
            match self.receiver.receive(left, body) {
                Ok(Some(Kind::Log)) => self.log(body).ok_or("a log line that makes no sense")?,
                Ok(Some(kind @ (Kind::Answer | Kind::Failed))) => return Ok(Some(kind)),
                Ok(Some(_)) => return Err("its process does not keep to the protocol".to_owned()),
                Ok(None) => {}
                Err(error) => return Err(self.end(&error)),
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
        }
    }

    fn log(&self, body: &[u8]) -> Option<()> {
        let mut body = Body(body);
        let severity = LogSeverity::from(u32::from(body.byte()?) + 1);
        let (component, text) = (body.bytes()?, body.bytes()?);
        (self.log)(severity, &String::from_utf8_lossy(component), &String::from_utf8_lossy(text));
        Some(())
    }

    /// Ends the child; says how it ended, if that is why nothing came from it.
    fn end(&mut self, error: &io::Error) -> String {
        // It hangs up a moment before it has ended.
        let deadline = Instant::now() + Duration::from_millis(200);
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return format!("its process has ended: {status}"),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(None) | Err(_) => break,
            }
        }
        self.kill();
        format!("its process was ended, since it does not keep to the protocol: {error}")
    }

    fn kill(&mut self) {
        // Both fail only where it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Remote {
    pub(crate) fn init(
        library: &Library,
        isolation: &Isolation,
        config: &CStr,
        log: Arc<LogSink>,
    ) -> Result<Remote, String> {
        let (process, _) = Process::start(library.path(), isolation, log)?;
        let mut remote = Remote {
            plugin: library.name().to_owned(),
            process,
            fields: Vec::new(),
            batch: Values::default(),
            answer: Vec::new(),
            decoded: Decoded::default(),
            metrics: Vec::new(),
            protocol_errors: 0,
            is_asked: false,
            crash: None,
        };
        remote.ask(Message::new(Kind::Init).bytes(config.to_bytes()), START)?;
        Ok(remote)
    }

    pub(crate) fn open(&mut self, params: &CStr) -> Result<(), CallError> {
        let asked = self.ask(Message::new(Kind::Open).bytes(params.to_bytes()), START);
        asked.map(drop).map_err(|message| self.error("open", message))
    }

    pub(crate) fn list_open_params(&mut self) -> Result<Vec<OpenParam>, CallError> {
        let asked = self.ask(&mut Message::new(Kind::ListOpenParams), ANSWER);
        let params = asked.and_then(|mut body| {
            let params = body.bytes().and_then(|params| serde_json::from_slice(params).ok());
            params.ok_or_else(|| "an answer that makes no sense".to_owned())
        });
        params.map_err(|message| self.error("list_open_params", message))
    }

    /// What the plugin tells about itself; what it told last while it is asked for a batch.
    pub(crate) fn metrics(&mut self) -> Vec<Metric> {
        if !self.is_asked
            && let Ok(mut body) = self.ask(&mut Message::new(Kind::Metrics), ANSWER)
        {
            let errors = body.long();
            let metrics = body.bytes().and_then(|metrics| serde_json::from_slice(metrics).ok());
            if let (Some(errors), Some(metrics)) = (errors, metrics) {
                self.metrics = metrics;
                // The child may count what it likes.
                self.protocol_errors = self.protocol_errors.max(errors);
            }
        }
        self.metrics.clone()
    }

    /// How far the source has come, in ten-thousandths and in the plugin's words. `None` while it is asked for a batch.
    pub(crate) fn progress(&mut self) -> Option<(u32, Vec<u8>)> {
        if self.is_asked {
            return None;
        }
        let mut body = self.ask(&mut Message::new(Kind::Progress), ANSWER).ok()?;
        Some((body.number()?, body.bytes()?.to_vec()))
    }

    /// How often the plugin had broken the rules when it was last asked for its metrics.
    pub(crate) fn protocol_errors(&self) -> u64 {
        self.protocol_errors
    }

    /// Closes the source. To close tells senders that their events were processed: so not while a batch is under way.
    pub(crate) fn close(&mut self) {
        if !self.is_asked {
            // One that does not close in time is ended.
            self.ask(&mut Message::new(Kind::Close), END).ok();
        }
    }

    /// Whether a batch was asked for and has not come yet.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked && self.crash.is_none()
    }

    pub(crate) fn crash(&self) -> Option<&str> {
        self.crash.as_deref()
    }

    fn error(&self, function: &'static str, message: String) -> CallError {
        CallError { plugin: self.plugin.clone(), function, message }
    }

    /// Sends a request and waits for its answer. An error is the plugin's, or says why there will be no further answer.
    fn ask(&mut self, request: &mut Message, wait: Duration) -> Result<Body<'_>, String> {
        if let Some(crash) = &self.crash {
            return Err(crash.clone());
        }
        let sent = self.process.sender.send(request).map_err(|error| self.process.end(&error));
        let received = sent.and_then(|()| self.process.receive(Some(wait), &mut self.answer));
        match received {
            Ok(Some(Kind::Answer)) => Ok(Body(&self.answer)),
            Ok(Some(_)) => Err(lossy(Body(&self.answer).bytes().unwrap_or_default())),
            Ok(None) => {
                self.process.kill();
                let seconds = wait.as_secs();
                Err(self.crashed(format!(
                    "its process was ended, since it gave no answer in {seconds} s"
                )))
            }
            Err(message) => Err(self.crashed(message)),
        }
    }

    fn crashed(&mut self, message: String) -> String {
        self.crash = Some(message.clone());
        message
    }

    /// Asks for a batch if it was not asked for yet, and looks for it.
    pub(crate) fn next_batch(&mut self, batch: &mut RemoteBatch) -> Result<(), NoBatch> {
        let found = self.look_for_batch(batch).map_err(|message| self.crashed(message));
        match found {
            Ok(Found::Batch) => Ok(()),
            Ok(Found::Timeout) => Err(NoBatch::Timeout),
            Ok(Found::Eof) => Err(NoBatch::Eof),
            Ok(Found::Failure(message)) | Err(message) => {
                Err(NoBatch::Failure(self.error("next_batch", message)))
            }
        }
    }

    /// An error says why there will be nothing further.
    fn look_for_batch(&mut self, batch: &mut RemoteBatch) -> Result<Found, String> {
        if let Some(crash) = &self.crash {
            return Err(crash.clone());
        }
        if !self.is_asked {
            let mut request = self.request_for_batch();
            self.process.sender.send(&mut request).map_err(|error| self.process.end(&error))?;
            self.is_asked = true;
        }
        let Some(kind) = self.process.receive(Some(LOOK), &mut batch.bytes)? else {
            return Ok(Found::Timeout);
        };
        self.is_asked = false;
        let found = match kind {
            Kind::Failed => Body(&batch.bytes).bytes().map(|text| Found::Failure(lossy(text))),
            _ => read_batch(batch, &mut self.batch),
        };
        found.ok_or_else(|| {
            self.process.kill();
            "its process was ended, since its batch makes no sense".to_owned()
        })
    }

    /// Names the fields that shall come with the events, judged by the last batch.
    fn request_for_batch(&mut self) -> Message {
        let events = self.batch.addresses.len() as u64;
        let mut request = Message::new(Kind::NextBatch);
        let place = request.len();
        request.number(0);
        let mut count = 0;
        for (number, field) in (0..).zip(&mut self.fields) {
            // Without events nothing is known that was not known before.
            let is_eager = match events {
                0 => field.place.is_some(),
                events => field.asked * EAGER_SHARE >= events,
            };
            field.place = is_eager.then_some(count);
            field.asked = 0;
            if is_eager {
                request.number(number);
                count += 1;
            }
        }
        request.set_number(place, u32::try_from(count).expect("they were counted by 32 bits"));
        self.batch.fields = count;
        self.batch.addresses.clear();
        request
    }

    /// Gets the values of a field and lets `answer` point to them, as a plugin does. They stay until the next call.
    pub(crate) fn extract(
        &mut self,
        event: &Event<'_>,
        source: &CStr,
        request: &FieldRequest,
        answer: &mut ExtractField,
    ) -> Result<(), &'static str> {
        let is_same =
            |field: &Field| field.index == request.index && field.argument == request.argument;
        let known = self.fields.iter().position(is_same);
        let number = known.unwrap_or(self.fields.len());
        let place = self.batch.place_of(event);
        if let Some(field) = known.and_then(|known| self.fields.get_mut(known)) {
            field.asked += u64::from(place.is_some());
            if let (Some(event), Some(field)) = (place, field.place) {
                let (start, end) = self.batch.spans[event * self.batch.fields + field];
                let values = &self.batch.bytes[start..end];
                return self.decoded.read(values, request.kind, answer);
            }
        }
        let mut question = self.question(Kind::Extract, event, source, place);
        question.number(number as u32);
        if known.is_none() {
            question.number(request.index);
            match &request.argument {
                None => question.byte(0),
                Some(argument) => question.byte(1).bytes(argument.as_bytes()),
            };
            let (index, argument) = (request.index, request.argument.clone());
            self.fields.push(Field { index, argument, place: None, asked: 1 });
        }
        // The source is going to hear of it.
        if self.ask(&mut question, ANSWER).is_err() {
            answer.res_len = 0;
            return Ok(());
        }
        let values = Body(&self.answer).bytes().ok_or("values that make no sense")?;
        self.decoded.read(values, request.kind, answer)
    }

    pub(crate) fn event_to_string(&mut self, event: &Event<'_>) -> Option<String> {
        let place = self.batch.place_of(event);
        let mut question = self.question(Kind::Print, event, c"", place);
        let text = self.ask(&mut question, ANSWER).ok()?.bytes()?;
        Some(lossy(text))
    }

    /// A message about an event: its place in the batch, or all of it if it is of another plugin.
    fn question(
        &self,
        kind: Kind,
        event: &Event<'_>,
        source: &CStr,
        place: Option<usize>,
    ) -> Message {
        let mut question = Message::new(kind);
        match place {
            Some(place) => question.byte(0).number(place as u32),
            None => question.byte(1).bytes(source.to_bytes()).bytes(event.bytes()),
        };
        question
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // The plugin closes its source now at the latest, as in `close`.
        if !self.is_asked {
            // The process is ended anyway.
            self.ask(&mut Message::new(Kind::End), END).ok();
        }
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

enum Found {
    Batch,
    Timeout,
    Eof,
    Failure(String),
}

/// Takes an answer apart. `None` if it makes no sense.
fn read_batch(batch: &mut RemoteBatch, values: &mut Values) -> Option<Found> {
    let mut body = Body(&batch.bytes);
    match body.byte()? {
        0 => {}
        1 => return Some(Found::Timeout),
        2 => return Some(Found::Eof),
        3 => return Some(Found::Failure(lossy(body.bytes()?))),
        _ => return None,
    }
    let count = body.number()? as usize;
    let mut places = Vec::new();
    for _ in 0..count {
        let event = body.bytes()?;
        Event::of_bytes(event)?;
        places.push(batch.bytes.len() - body.0.len() - event.len());
    }
    values.bytes.clear();
    values.bytes.extend_from_slice(body.0);
    values.spans.clear();
    let mut body = Body(&values.bytes);
    for _ in 0..count * values.fields {
        let length = body.bytes()?.len();
        let end = values.bytes.len() - body.0.len();
        values.spans.push((end - length, end));
    }
    let start = batch.bytes.as_mut_ptr();
    // The lengths were checked, so that each event lies within the bytes.
    batch.events = places.iter().map(|place| start.wrapping_add(*place).cast()).collect();
    values.addresses = batch.events.iter().map(|event| event.addr()).collect();
    (count > 0).then_some(Found::Batch)
}

impl Values {
    /// Which event of the batch this is.
    fn place_of(&self, event: &Event<'_>) -> Option<usize> {
        self.addresses.binary_search(&event.header().addr()).ok()
    }
}

impl Decoded {
    /// Lets `answer` point to values in the form of the ABI.
    fn read(
        &mut self,
        values: &[u8],
        kind: FieldKind,
        answer: &mut ExtractField,
    ) -> Result<(), &'static str> {
        let mut body = Body(values);
        answer.res_len = 0;
        if values.is_empty() {
            return Ok(());
        }
        let read = match kind {
            FieldKind::String => self.read_texts(&mut body),
            FieldKind::Uint64 | FieldKind::RelTime | FieldKind::AbsTime => {
                self.read_numbers(&mut body)
            }
            FieldKind::Bool => self.read_flags(&mut body),
            FieldKind::IpAddr | FieldKind::IpNet => self.read_addresses(&mut body),
        };
        answer.res_len = read.ok_or("values that make no sense")? as u64;
        match kind {
            FieldKind::String => answer.res.str_ = self.texts.as_mut_ptr(),
            FieldKind::Uint64 | FieldKind::RelTime | FieldKind::AbsTime => {
                answer.res.u64_ = self.numbers.as_mut_ptr();
            }
            FieldKind::Bool => answer.res.boolean = self.flags.as_mut_ptr(),
            FieldKind::IpAddr | FieldKind::IpNet => answer.res.buf = self.addresses.as_mut_ptr(),
        }
        Ok(())
    }

    fn read_texts(&mut self, body: &mut Body<'_>) -> Option<usize> {
        self.texts.clear();
        for _ in 0..body.number()? {
            let length = body.number()? as usize;
            let text = CStr::from_bytes_with_nul(body.take(length.checked_add(1)?)?).ok()?;
            self.texts.push(text.as_ptr());
        }
        Some(self.texts.len())
    }

    fn read_numbers(&mut self, body: &mut Body<'_>) -> Option<usize> {
        self.numbers.clear();
        for _ in 0..body.number()? {
            self.numbers.push(body.long()?);
        }
        Some(self.numbers.len())
    }

    fn read_flags(&mut self, body: &mut Body<'_>) -> Option<usize> {
        self.flags.clear();
        for _ in 0..body.number()? {
            self.flags.push(body.number()?);
        }
        Some(self.flags.len())
    }

    fn read_addresses(&mut self, body: &mut Body<'_>) -> Option<usize> {
        self.addresses.clear();
        for _ in 0..body.number()? {
            let bytes = body.bytes()?;
            let len = u32::try_from(bytes.len()).ok()?;
            self.addresses.push(ByteBuffer { len, ptr: bytes.as_ptr().cast() });
        }
        Some(self.addresses.len())
    }
}
