//! Peers at message pipes, which block.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read, Write},
    os::windows::io::{AsRawHandle, FromRawHandle},
    path::Path,
    ptr, thread,
    time::Instant,
};

use windows_sys::{
    Wdk::Storage::FileSystem::{
        FILE_PIPE_CONNECTED_STATE, FILE_PIPE_LOCAL_INFORMATION, FilePipeLocalInformation,
        NtQueryInformationFile,
    },
    Win32::{
        Foundation::{ERROR_PIPE_BUSY, ERROR_PIPE_CONNECTED, INVALID_HANDLE_VALUE},
        Storage::FileSystem::PIPE_ACCESS_DUPLEX,
        System::{
            IO::IO_STATUS_BLOCK,
            Pipes::{
                ConnectNamedPipe, CreateNamedPipeW, DisconnectNamedPipe, PIPE_NOWAIT,
                PIPE_READMODE_MESSAGE, PIPE_TYPE_MESSAGE, PIPE_UNLIMITED_INSTANCES, PIPE_WAIT,
                PeekNamedPipe, SetNamedPipeHandleState,
            },
        },
    },
};

use super::super::PATIENCE;

/// The instance that waits for the next client.
pub(super) struct Listener {
    name: Vec<u16>,
    instance: RefCell<File>,
}

impl Listener {
    pub(super) fn bind(dir: &Path, service: &str, _backlog: i32) -> Self {
        let name: Vec<u16> = pipe(dir, service).encode_utf16().chain([0]).collect();
        let instance = RefCell::new(new_instance(&name));
        Listener { name, instance }
    }

    pub(super) fn accept(&self) -> Connection {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_called() {
            assert!(Instant::now() < deadline, "no client came");
            thread::yield_now();
        }
        let file = self.instance.replace(new_instance(&self.name));
        set_mode(&file, PIPE_READMODE_MESSAGE | PIPE_WAIT);
        Connection(file)
    }

    pub(super) fn is_called(&self) -> bool {
        // SAFETY: the handle is open, and in a mode in which this returns at once.
        let connected =
            unsafe { ConnectNamedPipe(self.instance.borrow().as_raw_handle(), ptr::null_mut()) };
        let cause = io::Error::last_os_error().raw_os_error();
        assert_eq!(connected, 0, "a pipe that does not wait never says that it connected");
        cause == Some(ERROR_PIPE_CONNECTED.cast_signed())
    }
}

fn new_instance(name: &[u16]) -> File {
    // SAFETY: the name ends with a NUL, and no attributes are given.
    let handle = unsafe {
        CreateNamedPipeW(
            name.as_ptr(),
            PIPE_ACCESS_DUPLEX,
            PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_NOWAIT,
            PIPE_UNLIMITED_INSTANCES,
            65536,
            65536,
            0,
            ptr::null(),
        )
    };
    assert_ne!(handle, INVALID_HANDLE_VALUE, "{}", io::Error::last_os_error());
    // SAFETY: it was just made, and nobody else has it.
    unsafe { File::from_raw_handle(handle) }
}

pub(super) struct Connection(File);

impl Connection {
    pub(super) fn to(dir: &Path, service: &str) -> io::Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match File::options().read(true).write(true).open(pipe(dir, service)) {
                Ok(file) => {
                    set_mode(&file, PIPE_READMODE_MESSAGE);
                    return Ok(Connection(file));
                }
                Err(cause)
                    if cause.raw_os_error() == Some(ERROR_PIPE_BUSY.cast_signed())
                        && Instant::now() < deadline =>
                {
                    thread::yield_now();
                }
                Err(cause) => return Err(cause),
            }
        }
    }

    pub(super) fn to_now(dir: &Path, service: &str) -> Option<Self> {
        match File::options().read(true).write(true).open(pipe(dir, service)) {
            Ok(file) => {
                set_mode(&file, PIPE_READMODE_MESSAGE);
                Some(Connection(file))
            }
            Err(cause) if cause.raw_os_error() == Some(ERROR_PIPE_BUSY.cast_signed()) => None,
            Err(cause) => panic!("{cause}"),
        }
    }

    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        assert_eq!((&self.0).write(packet)?, packet.len());
        Ok(())
    }

    pub(super) fn receive(&self) -> Option<Vec<u8>> {
        let mut packet = vec![0; 300_000];
        match (&self.0).read(&mut packet) {
            Ok(0) => None,
            Ok(len) => {
                packet.truncate(len);
                Some(packet)
            }
            Err(cause) if is_end(&cause) => None,
            Err(cause) => panic!("nothing came: {cause}"),
        }
    }

    pub(super) fn is_readable(&self) -> bool {
        self.peek().is_none_or(|available| available > 0)
    }

    pub(super) fn hang_up(&self) {
        // SAFETY: the handle is open, and a server's.
        unsafe {
            DisconnectNamedPipe(self.0.as_raw_handle());
        }
    }

    pub(super) fn await_end(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.is_connected() {
            assert!(Instant::now() < deadline, "the other side is still there");
            thread::yield_now();
        }
    }

    /// What the system knows, even if there is something to read, which hides the end elsewhere.
    fn is_connected(&self) -> bool {
        let mut status = IO_STATUS_BLOCK::default();
        let mut about = FILE_PIPE_LOCAL_INFORMATION::default();
        // SAFETY: the handle is open, and there is room for the answer.
        let failed = unsafe {
            NtQueryInformationFile(
                self.0.as_raw_handle(),
                &mut status,
                (&raw mut about).cast(),
                size_of::<FILE_PIPE_LOCAL_INFORMATION>() as u32,
                FilePipeLocalInformation,
            )
        };
        failed == 0 && about.NamedPipeState == FILE_PIPE_CONNECTED_STATE
    }

    /// How many bytes can be read. `None`: the other side hung up.
    fn peek(&self) -> Option<u32> {
        let (mut available, none) = (0, ptr::null_mut());
        // SAFETY: the handle is open, and there is room for the answer.
        let peeked = unsafe {
            let handle = self.0.as_raw_handle();
            PeekNamedPipe(handle, none, 0, ptr::null_mut(), &mut available, ptr::null_mut())
        };
        (peeked != 0).then_some(available)
    }
}

fn set_mode(file: &File, mode: u32) {
    // SAFETY: the mode outlives the call, and nothing else is changed.
    let set =
        unsafe { SetNamedPipeHandleState(file.as_raw_handle(), &mode, ptr::null(), ptr::null()) };
    // A client that has gone already took its pipe with it.
    let cause = io::Error::last_os_error();
    assert!(set != 0 || is_end(&cause), "{cause}");
}

fn is_end(cause: &io::Error) -> bool {
    const BROKEN: i32 = 109;
    const NO_DATA: i32 = 232;
    const NOT_CONNECTED: i32 = 233;
    matches!(cause.raw_os_error(), Some(BROKEN | NO_DATA | NOT_CONNECTED))
}

/// As PROTOCOL.md says in section 25.1.
fn pipe(dir: &Path, service: &str) -> String {
    let hash = dir.to_str().unwrap().bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!(r"\\.\pipe\netipc-{hash:016x}-{service}")
}
