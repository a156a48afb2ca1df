//! A server in an event loop of its own: one thread, one `poll`, any number of clients, whatever
//! carries their messages.
//!
//! ```sh
//! cargo run -p netipc --example poll_loop
//! ```

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
use elsewhere::run;
#[cfg(target_os = "linux")]
use linux::run;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run()
}
