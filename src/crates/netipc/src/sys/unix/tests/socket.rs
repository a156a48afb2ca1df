use std::{
    fs, io,
    io::{IoSlice, Read},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Instant,
};

use rustix::{
    fs::Mode,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};

use super::{
    super::socket::{BLOCKING_TIME, Packet},
    LONG, SHORT, pair, receive, short, without_descriptors,
};
use crate::{
    Abort, ErrorKind, PeerCredentials, Wait,
    sys::{ListenSocket, Socket},
    testing::{part, run_child, scratch},
};

const END: Packet = Packet { len: 0, truncated: false };

fn listening(path: &Path, backlog: i32) -> ListenSocket {
    let socket = ListenSocket::bind(path, Mode::from_raw_mode(0o600)).unwrap();
    socket.listen(backlog).unwrap();
    socket
}

#[test]
fn sending_to_who_is_gone_is_an_error_and_no_signal() {
    if part().is_none() {
        run_child!(sending_to_who_is_gone_is_an_error_and_no_signal, "alone");
        return;
    }
    // As in a program that is not written in Rust, which ignores it from the start.
    // SAFETY: it takes no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let (a, b) = pair();
    drop(a);
    let error = b.send(b"hello", b"").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn the_longest_packet_can_be_sent_and_no_longer_one() {
    let (a, b) = pair();
    let body = vec![7; a.max_packet() as usize - 32];
    assert!(a.send(&[1; 32], &body).unwrap());
    assert_eq!(receive(&b, body.len()).0.len, a.max_packet() as usize);
    let error = a.send(&[1; 33], &body).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
}

#[test]
fn descriptors_that_a_peer_sends_along_are_closed() {
    let (a, b) = pair();
    let (mut reader, writer) = io::pipe().unwrap();
    let fds = [writer.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(&a, &[IoSlice::new(b"gift")], &mut control, SendFlags::empty()).unwrap();
    assert_eq!(receive(&b, 0), (Packet { len: 4, truncated: false }, b"gift".to_vec()));
    drop(writer);
    // Ends only when nobody has the other end open any more.
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

#[test]
fn knows_who_the_peer_is() {
    let dir = scratch();
    let path = dir.path().join("s");
    let listener = listening(&path, 1);
    let client = Socket::connect(&path, Wait::FOREVER).unwrap();
    let server = listener.accept().unwrap().unwrap();
    let own = PeerCredentials {
        pid: std::process::id(),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    };
    assert_eq!(client.peer().unwrap(), own);
    assert_eq!(server.peer().unwrap(), own);
}

#[test]
fn sessions_block_whoever_uses_their_descriptor_directly() {
    let dir = scratch();
    let path = dir.path().join("s");
    let listener = listening(&path, 1);
    let client = Socket::connect(&path, Wait::FOREVER).unwrap();
    let server = listener.accept().unwrap().unwrap();
    for fd in [OwnedFd::from(client), OwnedFd::from(server)] {
        assert!(!rustix::fs::fcntl_getfl(fd).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
    }
}

#[test]
fn says_why_it_cannot_connect() {
    let dir = scratch();
    let kind_and_text = |path: &Path| {
        let error = Socket::connect(path, Wait::FOREVER).unwrap_err();
        (error.kind(), error.to_string().replace(dir.path().to_str().unwrap(), "DIR"))
    };
    let missing = kind_and_text(&dir.path().join("missing"));
    let expected = "connect to DIR/missing: no such file or directory";
    assert_eq!(missing, (ErrorKind::NotFound, expected.to_owned()));

    let dead = dir.path().join("dead");
    drop(listening(&dead, 1));
    let expected = "connect to DIR/dead: connection refused";
    assert_eq!(kind_and_text(&dead), (ErrorKind::NotFound, expected.to_owned()));

    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(kind_and_text(&file).0, ErrorKind::NotFound);

    let foreign = dir.path().join("foreign");
    let _stream = UnixListener::bind(&foreign).unwrap();
    let (kind, text) = kind_and_text(&foreign);
    assert_eq!(kind, ErrorKind::Incompatible);
    assert!(text.starts_with("connect to DIR/foreign: a foreign program listens there"), "{text}");

    let long = dir.path().join("n".repeat(108));
    assert_eq!(kind_and_text(&long).0, ErrorKind::NameTooLong);
}

#[test]
fn a_busy_server_is_tried_again_until_it_has_room() {
    let dir = scratch();
    let path = dir.path().join("s");
    let listener = listening(&path, 0);
    let _first = Socket::connect(&path, Wait::FOREVER).unwrap();
    let begun = Instant::now();
    let error = Socket::connect(&path, short()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(begun.elapsed() >= SHORT);

    let abort = crate::Abort::new();
    thread::scope(|scope| {
        let busy = scope.spawn(|| Socket::connect(&path, Wait::at_most(LONG).or(&abort)));
        abort.set();
        assert_eq!(busy.join().unwrap().unwrap_err().kind(), ErrorKind::Aborted);
        let busy = scope.spawn(|| Socket::connect(&path, Wait::at_most(LONG)));
        assert!(listener.accept().unwrap().is_some());
        busy.join().unwrap().expect("there is room now");
    });
}

#[test]
fn without_descriptors_it_is_exhausted() {
    if part().is_none() {
        run_child!(without_descriptors_it_is_exhausted, "alone");
        return;
    }
    let dir = scratch();
    let path = dir.path().join("s");
    let listener = listening(&path, 1);
    let _client = Socket::connect(&path, Wait::FOREVER).unwrap();
    let (connected, accepted) =
        without_descriptors(|| (Socket::connect(&path, Wait::FOREVER), listener.accept()));
    let error = connected.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
    assert!(crate::sys::is_exhaustion(&accepted.unwrap_err()));
    // Nothing is lost: it is accepted once there is a descriptor.
    assert!(listener.accept().unwrap().is_some());
    assert!(listener.accept().unwrap().is_none());
    assert_eq!(listener.wait_readable(short()).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn signals_neither_end_nor_shorten_a_wait() {
    static CAUGHT: AtomicU32 = AtomicU32::new(0);
    extern "C" fn catch(_: libc::c_int) {
        CAUGHT.fetch_add(1, SeqCst);
    }
    if part().is_none() {
        run_child!(signals_neither_end_nor_shorten_a_wait, "alone");
        return;
    }
    // SAFETY: all zero is a valid action, and the handler only counts.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = catch as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
    }
    let (_a, b) = pair();
    let done = AtomicBool::new(false);
    let process = rustix::process::getpid().as_raw_pid();
    let waiter = rustix::thread::gettid().as_raw_pid();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                // SAFETY: the signal has a handler, and the waiter outlives this scope.
                unsafe { libc::syscall(libc::SYS_tgkill, process, waiter, libc::SIGUSR1) };
                thread::yield_now();
            }
        });
        let begun = Instant::now();
        let outcome = b.wait_readable(short());
        let waited = begun.elapsed();
        done.store(true, SeqCst);
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(waited >= SHORT);
    });
    assert!(CAUGHT.load(SeqCst) > 0);
}

fn shared_pair() -> (Socket, Arc<Socket>) {
    let (a, b) = pair();
    (a, Arc::new(b))
}

/// What ends a blocking receive, beside a packet.
fn blocked<T: Send>(
    socket: &Arc<Socket>,
    wait: Wait<'_>,
    end: impl FnOnce() -> T,
) -> (Result<Packet, ErrorKind>, T) {
    thread::scope(|scope| {
        let (id, ids) = mpsc::channel();
        let receiver = scope.spawn(move || {
            id.send(rustix::thread::gettid().as_raw_nonzero()).unwrap();
            socket.receive_within(&mut [0; 64], wait, Instant::now()).map_err(|error| error.kind())
        });
        let stat = format!("/proc/self/task/{}/stat", ids.recv().unwrap());
        while !fs::read_to_string(&stat).unwrap().contains(") S ") {
            thread::yield_now();
        }
        let ended = end();
        (receiver.join().unwrap(), ended)
    })
}

#[test]
fn a_blocking_receive_ends_with_a_packet_or_a_hang_up() {
    let (a, b) = shared_pair();
    let abort = Abort::new();
    for wait in [Wait::FOREVER, Wait::at_most(LONG), Wait::at_most(LONG).or(&abort)] {
        let (received, sent) = blocked(&b, wait, || a.send(b"hel", b"lo").unwrap());
        assert_eq!((received, sent), (Ok(Packet { len: 5, truncated: false }), true));
    }
    let (received, ()) = blocked(&b, Wait::at_most(LONG), || drop(a));
    assert_eq!(received, Ok(END));
}

#[test]
fn a_blocking_receive_ends_when_it_is_called_off_even_if_that_is_taken_back() {
    let abort = Abort::new();
    for wait in [Wait::FOREVER.or(&abort), Wait::at_most(LONG).or(&abort)] {
        let (_a, b) = shared_pair();
        let set_and_clear = || {
            abort.set();
            abort.clear();
        };
        assert_eq!(blocked(&b, wait, set_and_clear).0, Err(ErrorKind::Aborted));
    }
    let (a, b) = shared_pair();
    abort.set();
    assert!(a.send(b"x", b"").unwrap());
    let early =
        b.receive_within(&mut [0; 64], Wait::FOREVER.or(&abort), Instant::now()).unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Aborted, "it wins over a packet");

    let (reader, mut writer) = io::pipe().unwrap();
    let watching = Abort::watching(reader.into());
    let close = || io::Write::write_all(&mut writer, b"x").unwrap();
    let (_a, b) = shared_pair();
    let wait = Wait::at_most(LONG).or(&watching);
    assert_eq!(blocked(&b, wait, close).0, Err(ErrorKind::Aborted));
}

#[test]
fn an_abort_leaves_the_sockets_alone_that_nobody_is_blocked_in() {
    let abort = Abort::new();
    let (a, b) = shared_pair();
    let wait = Wait::at_most(LONG).or(&abort);
    let (received, _) = blocked(&b, wait, || a.send(b"x", b"").unwrap());
    assert!(received.is_ok());
    abort.set();
    assert!(a.send(b"y", b"").unwrap());
    assert!(!a.peer_gone());
}

#[test]
fn a_blocking_receive_ends_at_its_deadline_and_not_before() {
    let (_a, b) = shared_pair();
    for timeout in [SHORT, BLOCKING_TIME + SHORT, SHORT] {
        let begun = Instant::now();
        let error =
            b.receive_within(&mut [0; 64], Wait::at_most(timeout), Instant::now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() >= timeout);
        assert!(begun.elapsed() < timeout + LONG);
    }
    // The time set for one receive is not that of the next.
    let (a, b) = shared_pair();
    assert!(
        b.receive_within(&mut [0; 64], Wait::at_most(BLOCKING_TIME * 2), Instant::now()).is_err()
    );
    let (received, _) = blocked(&b, Wait::FOREVER, || a.send(b"x", b"").unwrap());
    assert!(received.is_ok());
}

#[test]
fn a_receive_blocks_even_if_the_descriptor_was_made_non_blocking() {
    let (a, b) = shared_pair();
    rustix::io::ioctl_fionbio(&*b, true).unwrap();
    let (received, _) = blocked(&b, Wait::at_most(LONG), || a.send(b"x", b"").unwrap());
    assert_eq!(received, Ok(Packet { len: 1, truncated: false }));
}
