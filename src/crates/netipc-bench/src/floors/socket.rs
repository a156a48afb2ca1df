//! A raw seqpacket echo: one `send` and one `recv` of 40 bytes on each side for a call.
//!
//! `waiting=block` sleeps in `recv`; `waiting=spin` asks again and again without blocking.
//! `depth=N` keeps N messages in flight: the same system calls, with fewer sleeps.

use anyhow::{Context, Result, bail, ensure};
use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with,
        bind, connect, listen, recv, send, socket_with,
    },
};

use super::MESSAGE;
use crate::{
    peer::{Case, exit_when_the_driver_leaves, say},
    task::Waiting,
};

pub(crate) fn serve(case: &Case<'_>) -> Result<()> {
    let listener = seqpacket()?;
    bind(&listener, &address(case)?).context("bind the echo socket")?;
    listen(&listener, 1).context("listen on the echo socket")?;
    exit_when_the_driver_leaves();
    say("READY")?;
    let socket = accept_with(&listener, SocketFlags::CLOEXEC).context("accept the echo client")?;
    let mut message = [0; MESSAGE];
    while receive(&socket, &mut message, case.task.waiting)? {
        match send(&socket, &message, SendFlags::NOSIGNAL) {
            Ok(_) => {}
            // It left with messages in flight.
            Err(Errno::PIPE | Errno::CONNRESET) => break,
            Err(error) => return Err(error).context("echo"),
        }
    }
    Ok(())
}

pub(crate) fn call(case: &Case<'_>) -> Result<()> {
    let socket = seqpacket()?;
    connect(&socket, &address(case)?).context("connect to the echo socket")?;
    let mut message = [0x5a; MESSAGE];
    for _ in 1..case.task.depth {
        send(&socket, &message, SendFlags::NOSIGNAL).context("fill the pipeline")?;
    }
    let waiting = case.task.waiting;
    case.measure(
        1,
        vec![move || {
            send(&socket, &message, SendFlags::NOSIGNAL).context("send")?;
            ensure!(receive(&socket, &mut message, waiting)?, "the echo server hung up");
            Ok(())
        }],
    )
}

/// Receives one message; false when the peer has hung up.
fn receive(socket: &OwnedFd, message: &mut [u8; MESSAGE], waiting: Waiting) -> Result<bool> {
    let flags = match waiting {
        Waiting::Spin => RecvFlags::DONTWAIT,
        _ => RecvFlags::empty(),
    };
    loop {
        match recv(socket, &mut message[..], flags) {
            Ok((MESSAGE, _)) => return Ok(true),
            Ok((0, _)) | Err(Errno::CONNRESET) => return Ok(false),
            Ok((len, _)) => bail!("a message of {len} bytes"),
            Err(Errno::AGAIN) => std::hint::spin_loop(),
            Err(error) => return Err(error).context("receive"),
        }
    }
}

fn seqpacket() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).context("make a socket")
}

fn address(case: &Case<'_>) -> Result<SocketAddrUnix> {
    let path = case.path("echo");
    SocketAddrUnix::new(&path).with_context(|| format!("use {} as an address", path.display()))
}
