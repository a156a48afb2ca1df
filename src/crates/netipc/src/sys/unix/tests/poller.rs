use std::time::Instant;

use super::pair;
use crate::sys::{Interest, Poller, Readiness, Signal};

fn now() -> Option<Instant> {
    Some(Instant::now())
}

#[test]
fn says_whether_a_wait_would_end_and_leaves_the_event_to_who_waits() {
    let poller = Poller::new().unwrap();
    let (a, b) = pair();
    poller.add(&b, 7, Interest::Readable).unwrap();
    assert!(!poller.is_ready());
    assert!(a.send(b"hello", b"").unwrap());
    assert!(poller.is_ready() && poller.is_ready());
    assert_eq!(poller.wait(None).unwrap(), Readiness::Ready { token: 7, hangup: false });
    assert!(!poller.is_ready());
    poller.wake();
    assert!(poller.is_ready());
}

#[test]
fn one_for_one_thread_reports_what_is_there_until_it_is_taken() {
    let poller = Poller::for_one_thread().unwrap();
    assert!(poller.stays_armed());
    let (a, b) = pair();
    let ready = Readiness::Ready { token: 7, hangup: false };
    poller.add(&b, 7, Interest::Readable).unwrap();
    for _ in 0..2 {
        assert!(a.send(b"hello", b"").unwrap());
        assert_eq!(poller.wait(None).unwrap(), ready);
        assert_eq!(poller.wait(None).unwrap(), ready);
        assert!(b.receive(&mut [0; 32], &mut []).unwrap().is_some());
        assert_eq!(poller.wait(now()).unwrap(), Readiness::TimedOut);
    }
    poller.rearm(&b, 7, Interest::Clients).unwrap();
    assert!(a.send(b"hello", b"").unwrap());
    assert_eq!(poller.wait(None).unwrap(), ready);
    assert_eq!(poller.wait(now()).unwrap(), Readiness::TimedOut, "clients are reported once");
}

#[test]
fn what_is_followed_is_reported_each_time_though_nobody_takes_it() {
    for poller in [Poller::new().unwrap(), Poller::for_one_thread().unwrap()] {
        let (bell, (a, b)) = (Signal::new().unwrap(), pair());
        poller.follow(&bell, 7, Interest::Readable).unwrap();
        poller.follow(&b, 7, Interest::Hangup).unwrap();
        assert_eq!(poller.wait(now()).unwrap(), Readiness::TimedOut);
        for _ in 0..3 {
            bell.raise();
            assert!(poller.is_ready());
            assert_eq!(poller.wait(None).unwrap(), Readiness::Ready { token: 7, hangup: false });
            assert!(!poller.is_ready());
            assert_eq!(poller.wait(now()).unwrap(), Readiness::TimedOut);
        }
        drop(a);
        assert_eq!(poller.wait(None).unwrap(), Readiness::Ready { token: 7, hangup: true });
        assert_eq!(poller.wait(now()).unwrap(), Readiness::TimedOut);
    }
}

#[test]
fn a_bell_whose_counter_is_full_is_heard_all_the_same() {
    let (poller, bell) = (Poller::new().unwrap(), Signal::new().unwrap());
    poller.follow(&bell, 7, Interest::Readable).unwrap();
    rustix::io::write(&bell, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    for _ in 0..2 {
        assert_eq!(poller.wait(None).unwrap(), Readiness::Ready { token: 7, hangup: false });
        bell.raise();
    }
}
