//! The netipc protocol without any I/O: bytes in, bytes out.
//!
//! Programs on one host ask each other typed questions over sockets or shared memory. This crate
//! knows what they say and when they may say it: layouts, handshake, session rules, retries, and
//! the service kinds. It knows nothing of sockets, threads or clocks; the `netipc` crate adds them.
//! PROTOCOL.md at the root of the repository describes the same in prose and tables.
//!
//! Decoding allocates nothing: every view borrows the message it reads, and a message is checked
//! once, when it is read.
//!
//! ```
//! use netipc_proto::{Service, kinds::{CgroupsSnapshot, cgroups_snapshot::Cgroup}};
//!
//! // What a server does with a request, and a client with the reply.
//! let mut request = [0; 4];
//! CgroupsSnapshot::write_request((), &mut request)?;
//! let asked = CgroupsSnapshot::read_request(&request)?;
//!
//! let mut message = [0; 1024];
//! let mut reply = CgroupsSnapshot::build_reply(&asked, &mut message)?;
//! reply.generation = 7;
//! reply.push(&Cgroup {
//!     hash: 1,
//!     options: 0,
//!     enabled: 1,
//!     name: "nginx".into(),
//!     path: "/system.slice/nginx.service".into(),
//! })?;
//! let len = CgroupsSnapshot::finish_reply(reply)?;
//!
//! let view = CgroupsSnapshot::read_reply(&message[..len])?;
//! assert_eq!(view.item_count, 1);
//! assert_eq!(view.item(0)?.name, "nginx");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[macro_use]
mod layout;
mod envelope;
pub mod handshake;
mod item;
mod items;
pub mod kinds;
mod lookup;
pub mod parts;
mod pen;
mod respond;
pub mod retry;
mod ring;
mod service;
pub mod session;
mod stitch;
mod text;

pub use crate::{
    envelope::{Header, Kind, PartHeader, Status},
    handshake::{Agreement, Hello, HelloAck, Refusal, Terms},
    item::{LabelEntry, Labels, Reader},
    items::{DirectoryEntry, Items, ItemsWriter, Rule},
    layout::{Defect, Field, Layout, Malformed, Scalar, Span, Unwritable},
    lookup::{
        Found, Item, Keys, Lookup, LookupReplyHeader, LookupRequestHeader, Replies, Room,
        Shortfall, push_item,
    },
    pen::Pen,
    respond::{Declined, Handler, Response, respond, respond_one},
    ring::RingHeader,
    service::Service,
    session::{Fault, Limits, Role, Rules},
    stitch::{Ceilings, Mismatch, Step, Stitch},
    text::Text,
};
