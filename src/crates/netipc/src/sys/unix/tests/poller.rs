use super::pair;
use crate::sys::{Interest, Poller, Readiness};

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
