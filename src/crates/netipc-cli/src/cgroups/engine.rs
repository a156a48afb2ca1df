//! What a container engine calls its containers: one plain HTTP request over its socket.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde::Deserialize;

/// A container, as an engine lists it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) image: Option<String>,
}

/// An engine with this many bytes to tell of its containers is not believed.
const MAX_ANSWER: u64 = 32 << 20;
/// Of HTTP/1.0, so that the answer ends with the connection and comes in one piece (RFC 9112, 6.1).
/// Stopped containers too: a new one has its cgroup before it counts as running.
const REQUEST: &[u8] = b"GET /containers/json?all=1 HTTP/1.0\r\nHost: localhost\r\n\r\n";

/// The containers of the engine that listens at `socket`, of docker or podman.
///
/// # Errors
///
/// Nobody listens, the engine does not answer within `patience`, or what it says is no list.
pub(super) fn containers(socket: &Path, patience: Duration) -> io::Result<Vec<Container>> {
    let deadline = Instant::now() + patience;
    let mut engine = Bounded { stream: connected(socket)?, deadline };
    engine.write_all(REQUEST)?;
    let mut answer = Vec::new();
    if engine.take(MAX_ANSWER + 1).read_to_end(&mut answer)? as u64 > MAX_ANSWER {
        return Err(malformed("answer is too long"));
    }
    parse(body(&answer)?)
}

/// A connection that never blocks past its deadline.
struct Bounded {
    stream: UnixStream,
    deadline: Instant,
}

impl Bounded {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Bounded {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(to)
    }
}

impl Write for Bounded {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Connects without waiting: an engine whose backlog is full is as good as none.
fn connected(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// The body of an HTTP answer that says all is well.
fn body(answer: &[u8]) -> io::Result<&[u8]> {
    let (head, body) = split_head(answer).ok_or_else(|| malformed("answer is no HTTP"))?;
    let status = head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    if !head.starts_with(b"HTTP/1.") || status != b"200" {
        return Err(malformed("answer is no success"));
    }
    Ok(body)
}

fn split_head(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((&answer[..at], &answer[at + 4..]))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    image: Option<String>,
}

fn parse(body: &[u8]) -> io::Result<Vec<Container>> {
    let listed: Vec<Listed> = serde_json::from_slice(body).map_err(malformed)?;
    Ok(listed.into_iter().filter_map(container).collect())
}

fn container(listed: Listed) -> Option<Container> {
    let names = listed.names.unwrap_or_default();
    // A name with a second slash is what another container calls this one.
    let mut names = names.iter().map(|name| name.strip_prefix('/').unwrap_or(name));
    let name = names.find(|name| !name.contains('/') && is_presentable(name))?.to_owned();
    Some(Container {
        id: listed.id,
        name,
        image: listed.image.filter(|image| is_presentable(image)),
    })
}

/// Whether a text from outside may stand in a message and on a screen.
pub(super) fn is_presentable(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control)
}

fn malformed(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, thread};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Asks an engine that answers with `answer`.
    fn ask(answer: &'static [u8]) -> io::Result<Vec<Container>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let engine = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; REQUEST.len()];
            stream.read_exact(&mut asked).unwrap();
            // The client may have had enough before all is said.
            let _ = stream.write_all(answer);
            asked
        });
        let answered = containers(&path, PATIENCE);
        assert_eq!(engine.join().unwrap(), REQUEST);
        answered
    }

    #[test]
    fn reads_the_names_of_containers() {
        let answer = br#"HTTP/1.0 200 OK
Content-Type: application/json

[{"Id":"abc","Names":["/db/alias","/web-frontend"],"Image":"nginx:1.27","Labels":{"a":"b"}},
 {"Id":"def","Names":null},{"Id":"123","Names":["/bad\u0000name"]},{"Id":"456","Names":["pod"]}]"#;
        let answer = String::from_utf8(answer.to_vec()).unwrap().replace('\n', "\r\n");
        let listed = ask(answer.leak().as_bytes()).unwrap();
        let names: Vec<_> = listed.iter().map(|c| (&c.id[..], &c.name[..])).collect();
        assert_eq!(names, [("abc", "web-frontend"), ("456", "pod")]);
        assert_eq!(listed[0].image.as_deref(), Some("nginx:1.27"));
    }

    #[test]
    fn believes_nothing_else() {
        let answers: [&[u8]; 5] = [
            b"",
            b"HTTP/1.1 404 Not Found\r\n\r\n[]",
            b"SSH-2.0 200 \r\n\r\n[]",
            b"HTTP/1.0 200 OK\r\n\r\n{\"message\":\"no\"}",
            b"HTTP/1.0 200 OK\r\n\r\n[{\"Id\":\"abc\"",
        ];
        for answer in answers {
            let why = ask(answer).unwrap_err();
            assert_eq!(why.kind(), io::ErrorKind::InvalidData, "{}", answer.escape_ascii());
        }
    }

    #[test]
    fn does_not_wait_for_an_engine_that_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        assert_eq!(containers(&path, PATIENCE).unwrap_err().kind(), io::ErrorKind::NotFound);
        let _silent = UnixListener::bind(&path).unwrap();
        let why = containers(&path, Duration::from_millis(50)).unwrap_err();
        assert!(matches!(why.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock));
    }
}
