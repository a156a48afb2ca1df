//! A pipe at which peers connect: some instances of it that wait for clients.

use std::{
    fmt, io, mem,
    os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle, RawHandle},
    path::Path,
    ptr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use windows_sys::Win32::{
    Foundation::INVALID_HANDLE_VALUE,
    Storage::FileSystem::{
        FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, PIPE_ACCESS_DUPLEX,
    },
    System::Pipes::{
        CreateNamedPipeW, PIPE_READMODE_MESSAGE, PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_MESSAGE,
        PIPE_UNLIMITED_INSTANCES, PIPE_WAIT,
    },
};

use super::{
    access::Access,
    operation::Operation,
    poller::{Port, Source, Watch, Watchable, forget},
    socket::{Side, Socket},
    wait::wait_for,
    wide,
};
use crate::{error::Result, sys::Interest, wait::Wait};

/// How many bytes one side may be ahead of the other. Larger packets are sent while they are read.
const BUFFER: u32 = 65536;

/// The most instances that wait for clients: as many as can be waited for at once, with room for
/// what calls a wait off.
const MOST_INSTANCES: u32 = 60;

/// A pipe at which peers connect.
pub(crate) struct ListenSocket(Arc<Listening>);

struct Listening {
    name: Vec<u16>,
    access: Access,
    /// All of them wait for clients or have one.
    instances: Mutex<Vec<Instance>>,
    watch: Watch,
    /// Whether the files of all instances tell a port.
    attached: AtomicBool,
}

struct Instance {
    file: Arc<OwnedHandle>,
    connect: Operation,
    /// A client was there at once.
    has_client: bool,
}

impl ListenSocket {
    /// Makes the pipe `path`, which nobody else may have, and lets peers connect: as many as
    /// `access` allows, on this machine only. `backlog` of them may wait to be accepted.
    pub(crate) fn bind(path: &Path, access: Access, backlog: u32) -> io::Result<Self> {
        let name = wide(&path.to_string_lossy());
        let listening = Listening {
            instances: Mutex::new(vec![Instance::new(&name, &access, true)?]),
            name,
            access,
            watch: Watch::default(),
            attached: AtomicBool::new(false),
        };
        for _ in 1..backlog.min(MOST_INSTANCES) {
            let another = Instance::new(&listening.name, &listening.access, false)?;
            listening.instances().push(another);
        }
        Ok(ListenSocket(Arc::new(listening)))
    }

    /// Takes the next connection. `None` if nobody waits.
    ///
    /// Another instance takes the place of the client's before this returns, so that the pipe never
    /// is without one. If there can be none, the client goes on waiting.
    pub(crate) fn accept(&self) -> io::Result<Option<Socket>> {
        let port = self.0.watch.port();
        let mut instances = self.0.instances();
        let Some(called) = instances.iter_mut().position(Instance::is_called) else {
            return Ok(None);
        };
        let next = Instance::new(&self.0.name, &self.0.access, false)?;
        if let Some(port) = &port {
            port.attach(&next.file)?;
            port.forget(instances[called].connect.id());
            let this = Arc::downgrade(&self.0) as Weak<dyn Source>;
            port.expect(next.connect.id(), &this);
        }
        let Instance { file, .. } = mem::replace(&mut instances[called], next);
        Socket::over(file, Side::Server, self.0.attached.load(Relaxed)).map(Some)
    }

    /// The file of an instance that waits for a client. Another one takes its place when it has one.
    pub(crate) fn instance(&self) -> RawHandle {
        let instances = self.0.instances();
        instances.first().map_or(ptr::null_mut(), |instance| instance.file.as_raw_handle())
    }

    /// Blocks until somebody waits to be accepted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut),
    /// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted).
    pub(crate) fn wait_readable(&self, wait: Wait<'_>) -> Result<()> {
        wait.remaining()?;
        let done: Vec<_> = {
            let mut instances = self.0.instances();
            if instances.iter_mut().any(Instance::is_called) {
                return Ok(());
            }
            instances.iter().map(|instance| instance.connect.done()).collect()
        };
        let handles: Vec<_> = done.iter().map(|done| done.as_handle()).collect();
        wait_for(&handles, wait)
    }
}

impl Listening {
    fn instances(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    /// A new instance that waits for a client.
    fn new(name: &[u16], access: &Access, first: bool) -> io::Result<Self> {
        let first = if first { FILE_FLAG_FIRST_PIPE_INSTANCE } else { 0 };
        let attributes = access.attributes();
        // SAFETY: the name ends with a NUL, and the attributes outlive the call.
        let file = unsafe {
            CreateNamedPipeW(
                name.as_ptr(),
                PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | first,
                PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
                PIPE_UNLIMITED_INSTANCES,
                BUFFER,
                BUFFER,
                0,
                &attributes,
            )
        };
        if file == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else has it.
        let file = Arc::new(unsafe { OwnedHandle::from_raw_handle(file) });
        let mut connect = Operation::new(Arc::clone(&file))?;
        // A failure says that a client is there, or was: what is left of it, a read tells.
        let has_client = connect.connect().is_some();
        Ok(Instance { file, connect, has_client })
    }

    fn is_called(&mut self) -> bool {
        self.has_client = self.has_client || self.connect.finish().is_some();
        self.has_client
    }
}

impl Source for Listening {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn join(&self, this: &Weak<dyn Source>, port: &Port) -> io::Result<()> {
        let instances = self.instances();
        for instance in &*instances {
            port.attach(&instance.file)?;
            port.expect(instance.connect.id(), this);
        }
        // Relaxed: whoever accepts has the lock, or comes later.
        self.attached.store(true, Relaxed);
        Ok(())
    }

    fn leave(&self, port: &Port) {
        for instance in &*self.instances() {
            port.forget(instance.connect.id());
        }
    }

    fn is_ready(&self, _interest: Interest) -> Option<bool> {
        self.instances().iter_mut().any(Instance::is_called).then_some(false)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        forget(self);
    }
}

impl Watchable for ListenSocket {
    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.0) as _
    }
}

impl fmt::Debug for ListenSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<_> =
            self.0.instances().iter().map(|instance| instance.file.as_raw_handle()).collect();
        f.debug_tuple("ListenSocket").field(&files).finish()
    }
}
