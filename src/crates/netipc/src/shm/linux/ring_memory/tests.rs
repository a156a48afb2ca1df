//! Memory made, handed over, and refused.

use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use super::{
    super::super::{
        atomic::Ordering::Relaxed,
        ring::{Reader, START, Writer},
    },
    *,
};

const PROTOCOL: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../PROTOCOL.md"));

fn memory() -> (RingMemory, OwnedFd) {
    RingMemory::create(Lengths::for_payloads(1024, 65536)).unwrap()
}

/// Memory of this size with these bytes at its start.
fn made(size: usize, start: &[u8], seals: SealFlags) -> OwnedFd {
    let fd = memfd_create(c"test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&fd, size as u64).unwrap();
    rustix::io::pwrite(&fd, start, 0).unwrap();
    fcntl_add_seals(&fd, seals).unwrap();
    fd
}

/// A number of its own for each direction.
fn number_of(direction: Direction) -> u64 {
    direction as u64 + 1
}

fn refusal(fd: OwnedFd) -> String {
    let error = RingMemory::attach(fd).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    error.to_string()
}

#[test]
fn lies_as_the_protocol_says() {
    let (_, table) = PROTOCOL.split_once("| Where | What |\n").unwrap();
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let places = [0, CLIENT_SLEEPS, SERVER_SLEEPS, REQUESTS_TAKEN, RESPONSES_TAKEN, SLOTS_AT];
    for (at, what) in places.into_iter().zip([
        "RingHeader",
        "the client sleeps",
        "the server sleeps",
        "request records",
        "response records",
        "request_slots",
    ]) {
        let begin = format!("| {at} |");
        let row = rows.iter().find(|row| row.starts_with(&begin));
        assert!(row.unwrap_or_else(|| panic!("no row for {at}")).contains(what), "{at}");
    }
    let (_, table) = PROTOCOL.split_once("### Layout: RingSlot (64 bytes)").unwrap();
    assert!(table.contains(&format!("| 0 | {WORD} | announcement |")));
    assert!(table.contains(&format!("| {WORD} | {START} | start |")));
    assert_eq!(WORD + START, SLOT);
}

#[test]
fn both_sides_see_the_same_rings() {
    let (server, fd) = memory();
    let client = RingMemory::attach(fd).unwrap();
    assert_eq!(client.lengths, server.lengths);
    for direction in [Direction::Request, Direction::Response] {
        let mut writer = Writer::new(client.track(direction));
        let mut reader = Reader::new(server.track(direction));
        for length in [32, 56, 57, 4000, 32] {
            let sent: Vec<_> = (0..length).map(|at| at as u8).collect();
            assert_eq!(writer.push(&sent[..32], &sent[32..], 0), Ok(length));
            assert_eq!(reader.open(), Ok(Some(length)));
            let mut received = vec![0; length];
            reader.copy(0, &mut received);
            assert_eq!(received, sent);
            let _ = reader.close(length);
        }
        server.sleeps(direction).store(number_of(direction), Relaxed);
    }
    for direction in [Direction::Request, Direction::Response] {
        assert_eq!(client.sleeps(direction).load(Relaxed), number_of(direction));
    }
}

#[test]
fn nobody_can_change_its_size() {
    let (server, fd) = memory();
    let size = server.lengths.size() as u64;
    assert!(ftruncate(&fd, size - 1).is_err());
    assert!(ftruncate(&fd, size + 1).is_err());
    assert!(fcntl_add_seals(&fd, SealFlags::WRITE).is_err());
    assert!(fcntl_add_seals(&fd, SealFlags::FUTURE_WRITE).is_err());
}

#[test]
fn huge_messages_do_not_make_huge_rings() {
    let bulk = |limit| Length::for_payload(limit).bulk;
    assert_eq!([0, 100, 1024].map(bulk), [4096, 4096, 16_384], "16 of the longest");
    assert_eq!([2048, 65_536, 131_072].map(bulk), [32_768; 3], "as long as that is enough");
    assert_eq!(
        [131_073 * 4, 1 << 20, u32::MAX].map(bulk),
        [262_144; 3],
        "a quarter of the longest"
    );
    assert!(Lengths::for_payloads(1024, 65_536).size() < 70_000);
    assert!(Lengths::for_payloads(0, 0).request.is_possible());
}

#[test]
fn refuses_what_is_no_memory_or_could_be_cut_short() {
    let sealed = SealFlags::SHRINK | SealFlags::GROW;
    let (server, _) = memory();
    let (size, mut header) = (server.lengths.size(), [0; RingHeader::LEN]);
    server.lengths.header().write(&mut header);

    assert!(RingMemory::attach(made(size, &header, sealed)).is_ok());
    assert!(refusal(made(size, &header, SealFlags::GROW)).contains("not sealed"));
    assert!(refusal(made(size, &header, SealFlags::SHRINK)).contains("not sealed"));
    assert!(refusal(made(SLOTS_AT - 1, &header, sealed)).contains("too small"));
    assert!(refusal(made(size + 8, &header, sealed)).contains("as long as"));
    assert!(refusal(made(size, &[], sealed)).contains("RingHeader"));
    for (at, value) in [(8, 2), (8, 3), (8, 1 << 17), (12, 128), (16, 0), (20, 1 << 27), (20, 4097)]
    {
        let mut header = header;
        header[at..at + 4].copy_from_slice(&u32::to_ne_bytes(value));
        assert!(refusal(made(size, &header, sealed)).contains("cannot be"), "{value} at {at}");
    }
    let status = std::fs::File::open("/proc/self/status").unwrap();
    assert!(refusal(status.into()).contains("not sealed"));
}

#[test]
fn what_its_maker_did_not_back_is_backed_before_it_is_used() {
    let (server, _) = memory();
    let (size, mut header) = (server.lengths.size(), [0; RingHeader::LEN]);
    server.lengths.header().write(&mut header);
    let fd = made(size, &header, SealFlags::SHRINK | SealFlags::GROW);
    let file = std::fs::File::from(fd.try_clone().unwrap());
    let backed = || std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512;
    assert!(backed() < size as u64);
    let _client = RingMemory::attach(fd).unwrap();
    assert!(backed() >= size as u64, "{} of {size} bytes", backed());
}
