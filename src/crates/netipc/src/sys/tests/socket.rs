use std::thread;

use super::{LONG, pair, receive, short};
use crate::{Error, ErrorKind, Wait, sys::imp::Packet};

const END: Packet = Packet { len: 0, truncated: false };

#[test]
fn a_packet_arrives_in_two_parts_as_it_was_sent() {
    let (a, b) = pair();
    for body in [0, 1, 100, 4000] {
        let sent: Vec<u8> = (0..32 + body).map(|n| n as u8).collect();
        assert!(a.send(&sent[..32], &sent[32..]).unwrap());
        let (packet, bytes) = receive(&b, 4000);
        assert_eq!(packet, Packet { len: sent.len(), truncated: false });
        assert_eq!(bytes, sent);
    }
    // Shorter than the first part.
    assert!(a.send(b"hello", b"").unwrap());
    assert_eq!(receive(&b, 0).1, b"hello");
}

#[test]
fn a_packet_that_is_too_long_is_said_to_be() {
    let (a, b) = pair();
    assert!(a.send(&[1; 32], &[2; 101]).unwrap());
    assert_eq!(receive(&b, 100).0, Packet { len: 132, truncated: true });
    assert!(a.send(&[1; 32], &[2; 100]).unwrap());
    assert_eq!(receive(&b, 100).0, Packet { len: 132, truncated: false });
}

#[test]
fn nothing_to_receive_is_no_error() {
    let (a, b) = pair();
    assert_eq!(b.receive(&mut [0; 32], &mut []).unwrap(), None);
    assert_eq!(b.wait_readable(short()).unwrap_err().kind(), ErrorKind::TimedOut);
    drop(a);
    b.wait_readable(Wait::at_most(LONG)).unwrap();
    assert_eq!(b.receive(&mut [0; 32], &mut []).unwrap(), Some(END));
}

#[test]
fn what_was_sent_before_a_hang_up_is_received() {
    let (a, b) = pair();
    assert!(!b.peer_gone());
    assert!(a.send(b"last words", b"").unwrap());
    assert!(!b.peer_gone());
    drop(a);
    assert!(b.peer_gone());
    assert_eq!(receive(&b, 0).1, b"last words");
    assert_eq!(b.receive(&mut [0; 32], &mut []).unwrap(), Some(END));
}

#[test]
fn a_shutdown_is_noticed_at_both_ends() {
    let (a, b) = pair();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| b.wait_readable(Wait::at_most(LONG)));
        b.shutdown();
        waiting.join().unwrap().unwrap();
    });
    assert!(a.peer_gone());
    assert_eq!(a.receive(&mut [0; 32], &mut []).unwrap(), Some(END));
}

#[test]
fn a_full_socket_takes_packets_again_once_they_are_received() {
    let (a, b) = pair();
    let mut sent = 0;
    while a.send(&[1; 32], &[2; 10_000]).unwrap() {
        sent += 1;
    }
    assert!(sent > 0);
    assert_eq!(a.wait_writable(short()).unwrap_err().kind(), ErrorKind::TimedOut);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| a.wait_writable(Wait::at_most(LONG)));
        for _ in 0..sent {
            assert_eq!(receive(&b, 10_000).0.len, 10_032);
        }
        waiting.join().unwrap().unwrap();
    });
    assert!(a.send(&[1; 32], &[2; 10_000]).unwrap());
}

#[test]
fn who_waits_for_room_notices_that_the_peer_is_gone() {
    let (a, b) = pair();
    while a.send(&[1; 32], &[2; 10_000]).unwrap() {}
    thread::scope(|scope| {
        let waiting = scope.spawn(|| a.wait_writable(Wait::at_most(LONG)));
        drop(b);
        waiting.join().unwrap().unwrap();
    });
    let error = Error::system("send", a.send(&[1; 32], b"").unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Disconnected);
}
