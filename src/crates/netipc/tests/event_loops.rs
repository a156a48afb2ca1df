//! The examples of event loops, which are programs that end by themselves.
#![cfg(all(target_os = "linux", not(loom)))]
#![allow(clippy::unwrap_used)]

#[path = "../examples/poll_loop/linux.rs"]
mod poll_loop;
#[path = "../examples/tokio_client/linux.rs"]
mod tokio_client;

#[test]
fn a_server_in_a_loop_of_its_own_serves_every_carrier() {
    poll_loop::run().unwrap();
}

#[test]
fn a_client_in_tokio_has_many_requests_in_flight() {
    tokio_client::run().unwrap();
}
