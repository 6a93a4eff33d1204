//! Messages over a socket: a length, a kind, and a body of numbers and bytes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The largest body that is sent or taken; a batch of a plugin is far smaller.
pub(super) const LARGEST: usize = 256 << 20;
/// How long the other side may take over the rest of a message, or to take one.
const REST: Duration = Duration::from_secs(30);

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    // To the child.
    Init,
    Open,
    ListOpenParams,
    NextBatch,
    Extract,
    Print,
    Metrics,
    Progress,
    /// Close the source.
    Close,
    /// End the process in good order.
    End,
    // From the child.
    /// What was asked for.
    Answer,
    /// The plugin could not, in its own words.
    Failed,
    /// Nobody asked: a line for the log.
    Log,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        use Kind::*;
        let all = [
            Init,
            Open,
            ListOpenParams,
            NextBatch,
            Extract,
            Print,
            Metrics,
            Progress,
            Close,
            End,
            Answer,
            Failed,
            Log,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A message that is being written.
#[derive(Debug)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new(kind: Kind) -> Message {
        Message(vec![0, 0, 0, 0, kind as u8])
    }

    pub(super) fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    pub(super) fn number(&mut self, number: u32) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(super) fn long(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    /// Bytes after their length.
    ///
    /// # Panics
    ///
    /// When there are more than 32 bits can count.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(u32::try_from(bytes.len()).expect("no event and no value is that long"));
        self.0.extend(bytes);
        self
    }

    /// Where what is written next will be.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Overwrites a number that was written at `place`.
    pub(super) fn set_number(&mut self, place: usize, number: u32) {
        self.0[place..place + 4].copy_from_slice(&number.to_le_bytes());
    }
}

/// The end of a socket that messages are sent to, from any thread.
#[derive(Debug, Clone)]
pub(super) struct Sender(Arc<Mutex<UnixStream>>);

impl Sender {
    pub(super) fn send(&self, message: &mut Message) -> io::Result<()> {
        let length = message.0.len() - 5;
        if length > LARGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is too long"));
        }
        message.set_number(0, u32::try_from(length).expect("that is shorter"));
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        socket.write_all(&message.0)
    }
}

/// The end of a socket that messages come from.
#[derive(Debug)]
pub(super) struct Receiver {
    socket: BufReader<UnixStream>,
    timeout: Option<Duration>,
}

/// Both ends of a socket.
pub(super) fn split(socket: UnixStream) -> io::Result<(Sender, Receiver)> {
    socket.set_write_timeout(Some(REST))?;
    let sender = Sender(Arc::new(Mutex::new(socket.try_clone()?)));
    Ok((sender, Receiver { socket: BufReader::with_capacity(16 << 10, socket), timeout: None }))
}

impl Receiver {
    /// Waits for a message, at most as long as `wait`, and puts what it holds into `body`. `None` if there is none yet.
    pub(super) fn receive(
        &mut self,
        wait: Option<Duration>,
        body: &mut Vec<u8>,
    ) -> io::Result<Option<Kind>> {
        if self.socket.buffer().is_empty() {
            self.set_timeout(wait)?;
            match self.socket.fill_buf() {
                Ok([]) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let mut head = [0; 5];
        if self.socket.buffer().len() < head.len() {
            self.set_timeout(Some(REST))?;
        }
        self.socket.read_exact(&mut head)?;
        let [length @ .., kind] = head;
        let length = u32::from_le_bytes(length) as usize;
        let garbled = |text| io::Error::new(io::ErrorKind::InvalidData, text);
        let kind = Kind::from_byte(kind).ok_or_else(|| garbled("a message of an unknown kind"))?;
        if length > LARGEST {
            return Err(garbled("a message that is too long"));
        }
        if self.socket.buffer().len() < length {
            self.set_timeout(Some(REST))?;
        }
        body.clear();
        body.resize(length, 0);
        self.socket.read_exact(body)?;
        Ok(Some(kind))
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        if self.timeout != timeout {
            self.socket.get_ref().set_read_timeout(timeout)?;
            self.timeout = timeout;
        }
        Ok(())
    }
}

/// Reads a body. `None` from any of its methods says that the body is not what it should be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body<'b>(pub(super) &'b [u8]);

impl<'b> Body<'b> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        self.take(length as usize)
    }

    pub(super) fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let (one, other) = UnixStream::pair().unwrap();
        let (sender, _) = split(one).unwrap();
        let (_, mut receiver) = split(other).unwrap();
        let mut body = Vec::new();
        let soon = Some(Duration::from_millis(1));
        assert_eq!(receiver.receive(soon, &mut body).unwrap(), None);
        let mut message = Message::new(Kind::Extract);
        message.byte(1).number(2).long(3).bytes(b"four");
        sender.send(&mut message).unwrap();
        sender.send(&mut Message::new(Kind::Close)).unwrap();
        assert_eq!(receiver.receive(None, &mut body).unwrap(), Some(Kind::Extract));
        let mut read = Body(&body);
        assert_eq!((read.byte(), read.number(), read.long()), (Some(1), Some(2), Some(3)));
        assert_eq!((read.text(), read.byte()), (Some("four"), None));
        assert_eq!(receiver.receive(None, &mut body).unwrap(), Some(Kind::Close));
        drop(sender);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let check = |bytes: &[u8], expected: &str| {
            let (mut one, other) = UnixStream::pair().unwrap();
            one.write_all(bytes).unwrap();
            drop(one);
            let (_, mut receiver) = split(other).unwrap();
            let error = receiver.receive(None, &mut Vec::new()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(&[0, 0, 0, 0, 99], "a message of an unknown kind");
        check(&[255, 255, 255, 255, 0], "a message that is too long");
        check(&[9, 0, 0, 0, 0, 1], "failed to fill whole buffer");
        check(&[], "unexpected end of file");
    }
}
