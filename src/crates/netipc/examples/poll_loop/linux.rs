//! The loop itself, and clients to try it with.

use std::{collections::HashMap, error::Error, os::fd::AsFd, thread};

use netipc::{
    Client, ClientOptions, Declined, SessionOptions,
    kinds::{Increment, increment::Number},
    proto::{Header, Response, respond},
    transport::{Greeting, Listener, ListenerOptions, Session},
};
use rustix::event::{PollFd, PollFlags, poll};

/// A client of the loop.
enum Guest {
    /// It has not said yet what it wants.
    New(Greeting),
    /// It has a session. A response for which there was no room waits here.
    Served(Box<Session>, Option<(Header, Vec<u8>)>),
}

impl Guest {
    /// What to wait for. Over a socket a response waits until the descriptor is writable; over rings
    /// it is readable when there is something to read and when there is room.
    fn watch(&self) -> PollFd<'_> {
        match self {
            Guest::New(greeting) => PollFd::new(greeting, PollFlags::IN),
            Guest::Served(session, None) => PollFd::new(session, PollFlags::IN),
            Guest::Served(session, Some(_)) => PollFd::new(session, PollFlags::IN | PollFlags::OUT),
        }
    }

    /// Does what can be done without waiting.
    fn serve(self) -> netipc::Result<Guest> {
        let (mut session, mut unsent) = match self {
            Guest::Served(session, unsent) => (session, unsent),
            Guest::New(mut greeting) => match greeting.advance()? {
                Some(session) => (Box::new(session), None),
                None => return Ok(Guest::New(greeting)),
            },
        };
        loop {
            if let Some((header, payload)) = unsent.take()
                && !session.try_send(&header, &payload)?
            {
                return Ok(Guest::Served(session, Some((header, payload))));
            }
            let Some(request) = session.try_receive()? else {
                return Ok(Guest::Served(session, None));
            };
            let mut payload = vec![0; 64];
            let answer: Response =
                respond::<Increment>(&add_one, &request, session.payload(), &mut payload);
            payload.truncate(answer.header.payload_len as usize);
            unsent = Some((answer.header, payload));
        }
    }
}

fn add_one(asked: &u64, reply: &mut Number<'_>) -> Result<(), Declined> {
    reply.value = asked.wrapping_add(1);
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("netipc-poll-loop-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let options =
        ListenerOptions { session: SessionOptions::shared_memory(), ..Default::default() };
    let listener = Listener::bind(&dir, "increment", &options)?;

    let clients: Vec<_> = [SessionOptions::default(), SessionOptions::shared_memory()]
        .into_iter()
        .map(|session| {
            let dir = dir.clone();
            thread::spawn(move || -> netipc::Result<()> {
                let options = ClientOptions { session, ..ClientOptions::default() };
                let mut client = Client::<Increment>::with_options(dir, "increment", options);
                client.refresh();
                let mut number = 0;
                while number < 10_000 {
                    number = client.call(number)?;
                }
                let carrier = client.session().map(Session::carrier);
                println!("counted to {number} over {carrier:?}");
                Ok(())
            })
        })
        .collect();

    let mut guests = HashMap::new();
    // A server would go on for ever.
    let mut left = clients.len();
    for number in 0u32.. {
        if left == 0 {
            break;
        }
        let mut fds = vec![PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
        let order: Vec<u32> = guests.keys().copied().collect();
        fds.extend(order.iter().map(|key| guests.get(key).map(Guest::watch).expect("it is there")));
        poll(&mut fds, None)?;
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[0]
            && let Some(greeting) = listener.try_accept()?
        {
            guests.insert(number, Guest::New(greeting));
        }
        for (key, _) in order.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
            let guest = guests.remove(key).expect("it is there");
            // Whoever hung up or broke the rules is forgotten.
            match guest.serve() {
                Ok(guest) => drop(guests.insert(*key, guest)),
                Err(_) => left -= 1,
            }
        }
    }
    for client in clients {
        client.join().expect("a client does not panic")?;
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
