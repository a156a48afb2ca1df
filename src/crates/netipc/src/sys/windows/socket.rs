//! One end of a connection over a pipe.

use std::{
    fmt, io,
    os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle},
    path::Path,
    ptr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use windows_sys::{
    Wdk::Storage::FileSystem::{
        FILE_PIPE_CONNECTED_STATE, FILE_PIPE_LOCAL_INFORMATION, FilePipeLocalInformation,
        NtQueryInformationFile,
    },
    Win32::{
        Foundation::{ERROR_INVALID_PARAMETER, ERROR_PIPE_BUSY, INVALID_HANDLE_VALUE},
        Storage::FileSystem::{
            CreateFileW, FILE_FLAG_OVERLAPPED, FILE_GENERIC_READ, FILE_WRITE_ATTRIBUTES,
            FILE_WRITE_DATA, OPEN_EXISTING, SECURITY_IDENTIFICATION, SECURITY_SQOS_PRESENT,
        },
        System::{
            IO::IO_STATUS_BLOCK,
            Pipes::{DisconnectNamedPipe, PIPE_READMODE_MESSAGE, SetNamedPipeHandleState},
        },
    },
};

use super::{
    PeerCredentials,
    faults::number,
    operation::{Operation, Transfer},
    poller::{Port, Source, Watch, Watchable, forget},
    reading::{HEAD, Next, Reading},
    wait::{pause, wait_for},
    wide,
};
use crate::{
    error::{Error, ErrorKind, Result},
    sys::Interest,
    wait::Wait,
};

/// What a client asks for: no more than it needs, so that a server can grant no more.
const ACCESS: u32 = FILE_GENERIC_READ | FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES;

/// How many packets are thrown away in a row.
const MOST_SKIPPED: u32 = 64;

/// Between two attempts to connect to a server that has no instance free.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// One end of a connection that carries packets. No call on it ever blocks but those that say so.
///
/// A read of the first bytes of the next packet is under way whenever somebody waits for one. A
/// packet for which there is no room is under way itself: it is sent when that ends.
pub(crate) struct Socket(Arc<Pipe>);

/// What `Socket::receive` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// How many bytes were stored; 0 if the peer hung up.
    pub(crate) len: usize,
    /// The packet was longer than there was room, and the rest of it is lost.
    pub(crate) truncated: bool,
}

/// Which end of a pipe it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

struct Pipe {
    file: Arc<OwnedHandle>,
    side: Side,
    reading: Mutex<Reading>,
    writing: Mutex<Operation>,
    watch: Watch,
    /// Whether the file tells a port.
    attached: AtomicBool,
}

impl Socket {
    /// Whether a thread can sleep in the receive itself.
    pub(crate) const BLOCKS: bool = false;

    /// Connects to who listens at the pipe `path`. While it has no instance free, it tries again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if nobody listens there, [`ErrorKind::Incompatible`] if what listens
    /// there carries no messages, [`ErrorKind::PermissionDenied`], [`ErrorKind::Exhausted`],
    /// [`ErrorKind::Busy`] if no instance is free until the deadline, [`ErrorKind::Aborted`].
    pub(crate) fn connect(path: &Path, wait: Wait<'_>) -> Result<Self> {
        let context = || format!("connect to {}", path.display());
        let name = wide(&path.to_string_lossy());
        let mut rest = SHORTEST_PAUSE;
        let file = loop {
            match open(&name) {
                Ok(file) => break file,
                Err(cause) if number(&cause) == Some(ERROR_PIPE_BUSY) => {
                    pause(rest, wait).map_err(|error| match error.kind() {
                        ErrorKind::TimedOut => Error::new(ErrorKind::Busy, context()),
                        _ => error,
                    })?;
                    rest = (rest * 2).min(LONGEST_PAUSE);
                }
                Err(cause) => return Err(Error::system(context(), cause)),
            }
        };
        read_messages(&file).map_err(|cause| match number(&cause) {
            Some(ERROR_INVALID_PARAMETER) => {
                let context = format!("{}: a foreign program listens there", context());
                Error::system(context, cause).with_kind(ErrorKind::Incompatible)
            }
            _ => Error::system(context(), cause),
        })?;
        Socket::over(Arc::new(file), Side::Client, false)
            .map_err(|cause| Error::system(context(), cause))
    }

    /// One end of the pipe `file`, which is connected, open for overlapped operations and in
    /// message mode. `attached`: it tells a port already.
    pub(super) fn over(file: Arc<OwnedHandle>, side: Side, attached: bool) -> io::Result<Self> {
        Ok(Socket(Arc::new(Pipe {
            side,
            reading: Mutex::new(Reading::new(Arc::clone(&file))?),
            writing: Mutex::new(Operation::new(Arc::clone(&file))?),
            watch: Watch::default(),
            attached: AtomicBool::new(attached),
            file,
        })))
    }

    /// Sends `head` and `body` as one packet. `false` if there is no room for it now: call it again
    /// with the same packet, and no other.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn send(&self, head: &[u8], body: &[u8]) -> io::Result<bool> {
        let mut writing = self.0.writing();
        let written = if writing.is_under_way() {
            let written = writing.finish().transpose()?;
            let begun = writing.bytes();
            if begun.split_at_checked(head.len()) != Some((head, body)) {
                let why = "another packet is being sent";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            written
        } else {
            writing.write(head, body).transpose()?
        };
        match written {
            None => Ok(false),
            Some(written) if written.len == head.len() + body.len() => Ok(true),
            Some(_) => Err(io::Error::new(io::ErrorKind::WriteZero, "packet sent in part")),
        }
    }

    /// Receives one packet, its first bytes into `head` and the others, if there is a `body`, into
    /// that. `None` if there is none now.
    ///
    /// An empty packet looks like a hang-up: it cannot be told from one on all systems.
    pub(crate) fn receive(&self, head: &mut [u8], body: &mut [u8]) -> io::Result<Option<Packet>> {
        let (head, body) = match body {
            [] => head.split_at_mut(HEAD),
            _ => (head, body),
        };
        let mut reading = self.0.reading();
        reading.look();
        match reading.next {
            Next::Unknown => Ok(None),
            Next::End => Ok(Some(Packet { len: 0, truncated: false })),
            Next::Failed(number) => Err(io::Error::from_raw_os_error(number)),
            Next::Head(Transfer { len, more }) => {
                head[..len].copy_from_slice(&reading.operation.bytes()[..len]);
                reading.next = Next::Unknown;
                if !more {
                    return Ok(Some(Packet { len, truncated: false }));
                }
                let rest = match body.is_empty() {
                    true => Transfer { len: 0, more: true },
                    false => reading.operation.read_rest(body)?,
                };
                if rest.more {
                    reading.skip_rest()?;
                }
                Ok(Some(Packet { len: len + rest.len, truncated: rest.more }))
            }
        }
    }

    /// Receives one packet into `buffer`, and blocks until there is one. It is `now`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`], [`ErrorKind::Aborted`]; [`ErrorKind::Disconnected`] if the system
    /// knows of a failure.
    pub(crate) fn receive_within(
        &self,
        buffer: &mut [u8],
        wait: Wait<'_>,
        now: Instant,
    ) -> Result<Packet> {
        self.receive_beside(buffer, &mut [], wait, now)
    }

    /// The same into two pieces.
    ///
    /// # Errors
    ///
    /// As [`receive_within`](Self::receive_within).
    pub(crate) fn receive_beside(
        &self,
        head: &mut [u8],
        body: &mut [u8],
        wait: Wait<'_>,
        _now: Instant,
    ) -> Result<Packet> {
        loop {
            self.wait_readable(wait)?;
            match self.receive(head, body) {
                Ok(Some(packet)) => return Ok(packet),
                Ok(None) => {}
                Err(cause) => {
                    let error = Error::system("receive from the peer", cause);
                    return Err(error.with_kind(ErrorKind::Disconnected));
                }
            }
        }
    }

    /// Blocks until there is a packet to receive, or until receiving would say why there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`]; [`ErrorKind::Aborted`], which wins over a packet.
    pub(crate) fn wait_readable(&self, wait: Wait<'_>) -> Result<()> {
        wait.remaining()?;
        let done = {
            let mut reading = self.0.reading();
            reading.look();
            match reading.next {
                Next::Unknown => reading.operation.done(),
                _ => return Ok(()),
            }
        };
        wait_for(&[done.as_handle()], wait)
    }

    /// Whether there is a packet to receive; `None` if that is not known yet, and `false` if there
    /// will be none.
    pub(crate) fn has_packet(&self) -> Option<bool> {
        let mut reading = self.0.reading();
        reading.look();
        match reading.next {
            Next::Unknown => None,
            Next::Head(_) => Some(true),
            Next::End | Next::Failed(_) => Some(false),
        }
    }

    /// Another handle of the same end.
    pub(crate) fn share(&self) -> Socket {
        Socket(Arc::clone(&self.0))
    }

    /// Blocks until there is room to send, or until sending would say why not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`]; [`ErrorKind::Aborted`], which wins.
    pub(crate) fn wait_writable(&self, wait: Wait<'_>) -> Result<()> {
        wait.remaining()?;
        let done = {
            let writing = self.0.writing();
            match writing.is_under_way() {
                true => writing.done(),
                false => return Ok(()),
            }
        };
        wait_for(&[done.as_handle()], wait)
    }

    /// Whether the peer hung up, in which case nothing new can come. Packets it sent before may
    /// still wait to be received.
    pub(crate) fn peer_gone(&self) -> bool {
        self.0.peer_gone()
    }

    /// Hangs up without closing: the peer notices, and so does who waits on this end. What the peer
    /// has not read yet is lost. Only servers can.
    pub(crate) fn shutdown(&self) {
        debug_assert_eq!(self.0.side, Side::Server);
        // Fails only if the peer was faster.
        // SAFETY: the handle is open.
        unsafe { DisconnectNamedPipe(self.0.file.as_raw_handle()) };
    }

    /// Who the peer was when the connection was made.
    pub(crate) fn peer(&self) -> io::Result<PeerCredentials> {
        PeerCredentials::of(&self.0.file, self.0.side)
    }

    /// The longest packet that can be sent, in bytes. Pipes know no limit.
    pub(crate) fn max_packet(&self) -> u32 {
        u32::MAX
    }
}

impl AsHandle for Socket {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.0.file.as_handle()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.0.file).finish()
    }
}

impl Watchable for Socket {
    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.0) as _
    }
}

impl Pipe {
    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, Operation> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peer_gone(&self) -> bool {
        let mut status = IO_STATUS_BLOCK::default();
        let mut about = FILE_PIPE_LOCAL_INFORMATION::default();
        // SAFETY: both outlive the call, which is done when it returns: it asks and waits for
        // nothing. The size is that of what the class of information is stored in.
        let failed = unsafe {
            NtQueryInformationFile(
                self.file.as_raw_handle(),
                &mut status,
                (&raw mut about).cast(),
                size_of::<FILE_PIPE_LOCAL_INFORMATION>() as u32,
                FilePipeLocalInformation,
            )
        };
        failed != 0 || about.NamedPipeState != FILE_PIPE_CONNECTED_STATE
    }
}

impl Source for Pipe {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn join(&self, this: &Weak<dyn Source>, port: &Port) -> io::Result<()> {
        // Relaxed: it is added by the thread that made it.
        if !self.attached.swap(true, Relaxed) {
            port.attach(&self.file)?;
        }
        port.expect(self.reading().operation.id(), this);
        port.expect(self.writing().id(), this);
        Ok(())
    }

    fn leave(&self, port: &Port) {
        port.forget(self.reading().operation.id());
        port.forget(self.writing().id());
    }

    fn is_ready(&self, interest: Interest) -> Option<bool> {
        let mut reading = self.reading();
        reading.look();
        for skipped in 0.. {
            match (reading.next, interest) {
                (Next::End | Next::Failed(_), _) => return Some(true),
                (Next::Head(_), Interest::Readable) => return Some(false),
                (Next::Head(_), Interest::Hangup) => {
                    // One who floods us is as good as gone; at least it does not hold us up.
                    if skipped == MOST_SKIPPED || reading.skip().is_err() {
                        return Some(true);
                    }
                }
                (Next::Head(_), Interest::Writable) if self.peer_gone() => return Some(true),
                (Next::Unknown | Next::Head(_), _) => break,
            }
        }
        drop(reading);
        let writing = self.writing();
        let has_room = !writing.is_under_way() || writing.is_done();
        (interest == Interest::Writable && has_room).then_some(false)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        forget(self);
    }
}

/// Opens a client's end of the pipe `name`.
fn open(name: &[u16]) -> io::Result<OwnedHandle> {
    // The server may find out who we are, but not act as us.
    let flags = FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION;
    // SAFETY: the name ends with a NUL; no attributes and no template are given.
    let file = unsafe {
        CreateFileW(name.as_ptr(), ACCESS, 0, ptr::null(), OPEN_EXISTING, flags, ptr::null_mut())
    };
    if file == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just opened, and nobody else has it.
    Ok(unsafe { OwnedHandle::from_raw_handle(file) })
}

/// Makes reads end where messages do.
fn read_messages(file: &OwnedHandle) -> io::Result<()> {
    let mode = PIPE_READMODE_MESSAGE;
    // SAFETY: the mode outlives the call, and nothing else is changed.
    let set =
        unsafe { SetNamedPipeHandleState(file.as_raw_handle(), &mode, ptr::null(), ptr::null()) };
    if set == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
