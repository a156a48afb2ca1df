//! A client in tokio: many requests in flight in one task, while the runtime does other things.
//!
//! ```sh
//! cargo run -p netipc --example tokio_client
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
