//! Systems without `poll` on what a session waits for.

pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    Err("this example is for Linux".into())
}
