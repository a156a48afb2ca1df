//! Gives the shared library its soname.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        let major = env::var("CARGO_PKG_VERSION_MAJOR").expect("set by cargo");
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libnetipc.so.{major}");
    }
}
