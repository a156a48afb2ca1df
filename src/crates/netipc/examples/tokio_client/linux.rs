//! The client, and a server to try it with.

use std::{
    error::Error,
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    thread,
    time::Duration,
};

use netipc::{
    Declined, Server, ServerOptions, SessionOptions, Wait,
    kinds::{Increment, increment::Number},
    proto::{Header, Service},
    transport::Session,
};
use tokio::io::{Interest, unix::AsyncFd};

/// A session as tokio takes it.
struct Watched(Session);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Asks for the number after each of `numbers`, all of them at once.
async fn ask(session: Session, numbers: &[u64]) -> netipc::Result<Vec<u64>> {
    let system = |cause: io::Error| netipc::Error::system("wait for the session", cause);
    let interest = Interest::READABLE | Interest::WRITABLE;
    // SAFETY: the session closes its descriptor when it is dropped, which the `AsyncFd` does, and it
    // gives another one at no time.
    let registered = unsafe { AsyncFd::register_with_interest(Watched(session), interest) };
    let mut fd = registered.map_err(|error| system(error.into()))?;
    let mut answers = vec![0; numbers.len()];
    let (mut sent, mut received) = (0, 0);
    while received < numbers.len() {
        let session = &mut fd.get_mut().0;
        // What is there is taken first; over rings this also tells the peer to wake us.
        while let Some(response) = session.try_receive()? {
            answers[response.message_id as usize] = Increment::read_reply(session.payload())?;
            received += 1;
        }
        let mut has_room = true;
        while sent < numbers.len() && has_room {
            let request = Header::request(Increment::METHOD, sent as u64, 8);
            has_room = session.try_send(&request, &numbers[sent].to_ne_bytes())?;
            sent += usize::from(has_room);
        }
        if received == numbers.len() {
            break;
        }
        // Over a socket, room is told as writable; over rings, all is told as readable.
        let awaited = if has_room { Interest::READABLE } else { interest };
        let mut ready = fd.ready(awaited).await.map_err(system)?;
        ready.clear_ready();
    }
    Ok(answers)
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("netipc-tokio-client-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let options = ServerOptions { session: SessionOptions::shared_memory(), ..Default::default() };
    let server = Server::<Increment>::bind(
        &dir,
        "increment",
        options,
        |&asked: &u64, reply: &mut Number<'_>| {
            reply.value = asked.checked_add(1).ok_or(Declined::Failed)?;
            Ok(())
        },
    )?;
    let running = thread::spawn({
        let server = server.clone();
        move || server.run()
    });

    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let numbers: Vec<u64> = (0..10_000).map(|number| number * 3).collect();
    for options in [SessionOptions::default(), SessionOptions::shared_memory()] {
        let wait = Wait::at_most(Duration::from_secs(5));
        let session = Session::connect(&dir, "increment", &options, wait)?;
        let carrier = session.carrier();
        let answers = runtime.block_on(ask(session, &numbers))?;
        assert!(numbers.iter().zip(&answers).all(|(number, answer)| number + 1 == *answer));
        println!("{} answers over {carrier:?}", answers.len());
    }
    server.stop();
    running.join().expect("the server does not panic");
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
