//! One lookup over many calls (PROTOCOL.md, sections 20 and 21).

mod doors;
mod random;

use doors::{Look, Probe, wire};
use netipc_proto::{
    Agreement, Ceilings, Declined, Found, HelloAck, Keys, Labels, LookupReplyHeader, Mismatch,
    Replies, Service, Shortfall, Step, Stitch, Text, Unwritable,
    kinds::{
        AppsLookup, CgroupsLookup, Orchestrator,
        cgroups_lookup::{Cgroup, CgroupItem, CgroupStatus},
    },
    respond_one,
};
use random::rounds;

/// A path like any other.
const A: &[u8] = b"/a";

type Paths<'a> = &'a [&'a [u8]];

#[test]
fn small_calls_find_what_one_large_call_finds() {
    rounds(300, |random| {
        let paths: Vec<_> =
            (0..random.below(60)).map(|_| [b"/", &random.text(30)[..]].concat()).collect();
        let paths: Vec<_> = paths.iter().map(Vec::as_slice).collect();
        let pids: Vec<_> = (0..random.below(60)).map(|_| random.number() as u32).collect();
        let large = limits(1 << 20, 1 << 20);
        // Every key and every answer fits alone; more than that is a matter of luck.
        let small = limits(60 + random.below(500) as u32, 400 + random.below(1000) as u32);

        let [large_reply, small_reply] = [&large, &small].map(|limits| {
            let nobody = std::iter::empty::<Vec<u8>>();
            let reply =
                doors::stitch::<CgroupsLookup>(&paths, limits, nobody, CgroupsLookup::answer);
            seen::<CgroupsLookup>(&reply.expect("every key can be answered"))
        });
        assert_eq!(small_reply, large_reply);
        let [large_reply, small_reply] = [&large, &small].map(|limits| {
            let nobody = std::iter::empty::<Vec<u8>>();
            let reply = doors::stitch::<AppsLookup>(&pids, limits, nobody, AppsLookup::answer);
            seen::<AppsLookup>(&reply.expect("every key can be answered"))
        });
        assert_eq!(small_reply, large_reply);
    });
}

fn seen<S: Probe>(reply: &[u8]) -> u64 {
    let view = S::read_reply(reply).expect("it was read before");
    Look::at(reply, |look| S::look_at_reply(&view, look).expect("it was read before"))
}

#[test]
fn asks_for_no_more_than_both_limits_hold() {
    // Whether the answers are short or long, the server below watches both limits.
    for name in [&b""[..], b"n", b"a name that takes more room than none"] {
        for limits in [limits(1024, 1024), limits(200, 4096), limits(4096, 400)] {
            let mut server = Server { name, ..Server::default() };
            let paths = [[A; 50], [&[b'x'; 150][..]; 50]].concat();
            let found = look_up(&paths, &limits, &mut server).expect("all are answered");
            assert_eq!(found.len(), 100);
        }
    }
}

#[test]
fn learns_how_many_answers_fit_a_reply() {
    let name = b"a name such as cgroups have, which makes an answer longer than a placeholder";
    let mut server = Server { name, ..Server::default() };
    let found = look_up(&[A; 5000], &limits(65536, 65536), &mut server).expect("all are answered");
    assert!(found.iter().all(|found| *found == Ok(())));
    // An answer takes 8 + align8(28 + 3 + 77) = 120 bytes, so a reply holds 546.
    assert!(server.asked.len() <= 11, "{:?}", server.asked);
}

#[test]
fn asks_for_as_many_as_just_fit() {
    // A placeholder for this path takes 40 bytes, without padding, and its answer no more.
    let path = &b"/123456789"[..];
    let mut server = Server { name: b"", ..Server::default() };
    // Two fill the reply to the last byte.
    look_up(&[path; 5], &limits(4096, 16 + 2 * 48), &mut server).expect("all are answered");
    assert_eq!(server.asked, [1, 2, 2]);
    // Two fill the request: 16 bytes each in the directory and the area, the last one not padded.
    let mut server = Server { name: b"", ..Server::default() };
    look_up(&[path; 4], &limits(16 + 24 + 8 + 11, 4096), &mut server).expect("all are answered");
    assert_eq!(server.asked, [2, 2]);
}

#[test]
fn learns_that_answers_are_short() {
    let mut server = Server { name: b"", ..Server::default() };
    look_up(&[A; 1000], &limits(1024, 1024), &mut server).expect("all are answered");
    // An answer takes 8 + align8(28 + 3 + 1) = 40 bytes, so a reply holds 25.
    assert!(server.asked.len() <= 41, "{:?}", server.asked);
}

#[test]
fn lets_the_server_say_that_a_reply_has_no_room() {
    let mut out = Vec::new();
    let ceilings = Ceilings { subcalls: 1, ..Ceilings::default() };
    let mut stitch = Stitch::<CgroupsLookup>::new(&[A, A], ceilings, &mut out).expect("new");
    let limits = limits(1024, 30);
    assert_eq!(stitch.next(&limits), Ok(Step::Ask));
    assert!(!stitch.halve(), "it was one key already");
    assert_eq!(stitch.next(&limits), Err(Mismatch::TooManyCalls));
}

#[test]
fn takes_a_whole_answer_as_it_stands() {
    let keys: Paths<'_> = &[b"/a", b"/b"];
    let mut out = Vec::new();
    let mut stitch = Stitch::new(keys, Ceilings::default(), &mut out).expect("new");
    assert_eq!(stitch.next(&limits(1024, 1024)), Ok(Step::Ask));
    let reply = items(1, &[(b"/a", CgroupStatus::Unknown), (b"/b", CgroupStatus::Unknown)]);
    let reply = CgroupsLookup::read_reply(&reply).expect("a reply");
    assert_eq!(stitch.take(reply), Ok(true), "nothing has to be put together");
}

#[test]
fn asks_again_for_what_a_full_reply_left_out() {
    let mut server = Server { name: b"a name that takes more room than none", ..Server::default() };
    let found = look_up(&[A; 10], &limits(1024, 420), &mut server).expect("all are answered");
    assert!(found.iter().all(|found| *found == Ok(())), "{found:?}");
    assert!(server.asked.len() > 1, "{:?}", server.asked);
}

#[test]
fn asks_half_as_much_where_a_reply_does_not_fit() {
    let mut server = Server { most: 3, ..Server::default() };
    let found = look_up(&[A; 10], &limits(1024, 4096), &mut server).expect("all are answered");
    assert_eq!(found.len(), 10);
    assert_eq!(server.asked, [10, 5, 2, 2, 2, 2, 2]);
}

#[test]
fn asks_once_for_the_generation_of_nothing() {
    let mut server = Server::default();
    let found = look_up(&[], &limits(1024, 1024), &mut server).expect("there is nothing to answer");
    assert!(found.is_empty());
    assert_eq!(server.asked, [0]);
}

#[test]
fn starts_over_when_the_provider_changes() {
    let mut server = Server { generations: vec![1, 2, 2, 2], most: 2, ..Server::default() };
    let found = look_up(&[A; 4], &limits(1024, 4096), &mut server).expect("all are answered");
    assert_eq!(found.len(), 4);
    assert_eq!(server.asked, [4, 2, 2, 2, 2], "refused, first half, changed, and both halves");
}

#[test]
fn gives_up_when_the_provider_changes_again() {
    let mut server = Server { generations: vec![1, 2, 3, 4], most: 2, ..Server::default() };
    let failed = look_up(&[A; 4], &limits(1024, 4096), &mut server);
    assert_eq!(failed, Err(Mismatch::Generation));
}

#[test]
fn believes_a_first_key_to_be_oversized_only_alone() {
    // As a server does that looks only at the room that is left.
    let oversized = items(1, &[(b"/a", CgroupStatus::Oversized), (b"/b", CgroupStatus::Unknown)]);
    let mut server = Server { scripted: vec![oversized], ..Server::default() };
    let found = look_up(&[b"/a", b"/b"], &limits(1024, 1024), &mut server);
    assert_eq!(found, Ok(vec![Ok(()), Ok(())]));
    assert_eq!(server.asked, [2, 1, 1]);

    let oversized = items(1, &[(b"/a", CgroupStatus::Oversized)]);
    let mut server = Server { scripted: vec![oversized], ..Server::default() };
    let found = look_up(&[b"/a"], &limits(1024, 1024), &mut server);
    assert_eq!(found, Ok(vec![Err(Shortfall::Oversized)]));
    assert_eq!(server.asked, [1]);
}

#[test]
fn a_key_asked_alone_does_not_make_the_next_ones_be() {
    use CgroupStatus::{Oversized, Unknown};

    let paths: Paths<'_> = &[b"/a", b"/b", b"/c"];
    let oversized =
        |generation| items(generation, &[(b"/a", Oversized), (b"/b", Unknown), (b"/c", Unknown)]);
    let mut server = Server { scripted: vec![oversized(1)], ..Server::default() };
    assert_eq!(look_up(paths, &limits(1024, 1024), &mut server), Ok(vec![Ok(()); 3]));
    assert_eq!(server.asked, [3, 1, 2]);

    // Nor does it when the provider changes in between, which is noticed.
    let generations = vec![2, 2, 2];
    let mut server = Server { scripted: vec![oversized(1)], generations, ..Server::default() };
    assert_eq!(look_up(paths, &limits(1024, 1024), &mut server), Ok(vec![Ok(()); 3]));
    assert_eq!(server.asked, [3, 1, 3]);

    // A later key that is too large was seen to be so beside an answer.
    let later = items(1, &[(b"/a", Unknown), (b"/b", Oversized), (b"/c", Unknown)]);
    let mut server = Server { scripted: vec![later], ..Server::default() };
    let found = look_up(paths, &limits(1024, 1024), &mut server);
    assert_eq!(found, Ok(vec![Ok(()), Err(Shortfall::Oversized), Ok(())]));
    assert_eq!(server.asked, [3]);
}

#[test]
fn answers_a_path_that_no_request_holds_itself() {
    let long = [b'x'; 2000];
    let mut server = Server::default();
    let found = look_up(&[b"/a", &long, b"/b"], &limits(1024, 4096), &mut server);
    assert_eq!(found, Ok(vec![Ok(()), Err(Shortfall::Oversized), Ok(())]));
    assert_eq!(server.asked, [1, 1]);
    let found = look_up(&[&long], &limits(1024, 4096), &mut Server::default());
    assert_eq!(found, Ok(vec![Err(Shortfall::Oversized)]));
}

#[test]
fn refuses_requests_that_hold_no_pid() {
    let mut out = Vec::new();
    let mut stitch = Stitch::<AppsLookup>::new(&[1], Ceilings::default(), &mut out).expect("new");
    let limits = limits(31, 4096);
    assert_eq!(stitch.next(&limits), Ok(Step::Grow(32)));
    stitch.no_larger_request();
    assert_eq!(stitch.next(&limits), Err(Mismatch::KeyTooLong));
}

#[test]
fn refuses_a_path_without_a_form() {
    for path in [&b""[..], b"/a\0b"] {
        let failed = look_up(&[path], &limits(1024, 4096), &mut Server::default());
        assert!(matches!(failed, Err(Mismatch::Unwritable(_))), "{failed:?}");
    }
}

#[test]
fn refuses_to_pass_a_ceiling() {
    let paths: Paths<'_> = &[A; 10];
    let limits = limits(40, 4096);
    let try_with = |ceilings| stitch_with(paths, &limits, ceilings, &mut Server::default());
    // 16 + 10 * 8 bytes before the items, which take 9 * 40 + 33.
    assert!(try_with(Ceilings { items: 10, subcalls: 10, response_bytes: 489 }).is_ok());
    let ceilings = Ceilings { items: 9, ..Ceilings::default() };
    assert_eq!(try_with(ceilings), Err(Mismatch::TooManyKeys));
    let ceilings = Ceilings { subcalls: 9, ..Ceilings::default() };
    assert_eq!(try_with(ceilings), Err(Mismatch::TooManyCalls));
    let ceilings = Ceilings { response_bytes: 488, ..Ceilings::default() };
    assert_eq!(try_with(ceilings), Err(Mismatch::TooLong));
}

#[test]
fn refuses_replies_to_other_questions() {
    use CgroupStatus::{PayloadExceeded, Unknown};

    let paths: Paths<'_> = &[b"/a", b"/b", b"/c"];
    let refused = |reply| {
        let mut server = Server { scripted: vec![reply], ..Server::default() };
        look_up(paths, &limits(1024, 1024), &mut server)
    };
    let too_few = items(1, &[(b"/a", Unknown), (b"/b", Unknown)]);
    assert_eq!(refused(too_few), Err(Mismatch::Count));
    let other = items(1, &[(b"/a", Unknown), (b"/b", Unknown), (b"/d", Unknown)]);
    assert_eq!(refused(other), Err(Mismatch::Keys));
    let hole = items(1, &[(b"/a", Unknown), (b"/b", PayloadExceeded), (b"/c", Unknown)]);
    assert_eq!(refused(hole), Err(Mismatch::Keys));
    let nothing: Vec<_> = paths.iter().map(|&path| (path, PayloadExceeded)).collect();
    assert_eq!(refused(items(1, &nothing)), Err(Mismatch::NoProgress));
}

#[test]
fn a_handler_that_finds_no_room_cannot_answer_another_key_instead() {
    let mut request = vec![0; 64];
    let length = CgroupsLookup::write_request(&[b"/a", b"/b"], &mut request).expect("it fits");
    let asked = CgroupsLookup::read_request(&request[..length]).expect("it was written");
    // Room for both keys without values, and for the first value if it were alone.
    let mut out = [0; 16 + 16 + 40 + 32];
    let mut reply = CgroupsLookup::build_reply(&asked, &mut out).expect("there is room");
    assert!(reply.push(&known(b"longer than nothing")).is_err());
    assert!(reply.push(&Cgroup::Unknown).is_err(), "meant for /b, it would answer /a");
    assert!(CgroupsLookup::finish_reply(reply).is_err());
}

#[test]
fn a_value_without_a_form_is_refused_even_where_there_is_no_room_for_it() {
    let mut request = vec![0; 64];
    let length = CgroupsLookup::write_request(&[b"/a", b"/b"], &mut request).expect("it fits");
    let asked = CgroupsLookup::read_request(&request[..length]).expect("it was written");
    let long = [b'x'; 200];
    let broken = Cgroup::Known {
        orchestrator: Orchestrator::DOCKER,
        name: Text::new(&long),
        labels: Labels::new(&[(b"key", b"a\0b")]),
    };
    let mut out = [0; 160];
    let mut reply = CgroupsLookup::build_reply(&asked, &mut out).expect("there is room");
    assert!(matches!(reply.push(&broken), Err(Unwritable::Invalid(_))), "before any other");
    assert_eq!(reply.push(&Cgroup::Unknown), Ok(()));
    assert!(matches!(reply.push(&broken), Err(Unwritable::Invalid(_))), "behind another");
    assert_eq!(reply.push(&known(&long)), Ok(()), "which is left out");
    assert!(CgroupsLookup::finish_reply(reply).is_ok());
}

/// A provider, and what it was asked.
struct Server {
    /// What it answers instead of what it knows, as long as there is any.
    scripted: Vec<Vec<u8>>,
    /// The generation of each reply; the last one stays.
    generations: Vec<u64>,
    /// More keys than this and it says that the reply does not fit.
    most: usize,
    /// The name of every cgroup.
    name: &'static [u8],
    /// How many keys each request had.
    asked: Vec<usize>,
}

impl Default for Server {
    fn default() -> Self {
        let (scripted, generations, asked) = (Vec::new(), vec![1], Vec::new());
        Server { scripted, generations, most: usize::MAX, name: b"n", asked }
    }
}

impl Server {
    fn answer(&mut self, request: &[u8], limits: &Agreement) -> Option<Vec<u8>> {
        let paths = CgroupsLookup::read_request(request).expect("a client wrote it");
        let placeholder = |path: &[u8]| 8 + (28 + path.len() + 2).next_multiple_of(8);
        let least = 16 + paths.iter().map(placeholder).sum::<usize>();
        let (request_limit, limit) =
            (limits.agreed_max_request_payload_bytes, limits.agreed_max_response_payload_bytes);
        assert!(request.len() <= request_limit as usize, "more than a request may have");
        assert!(least <= limit as usize, "more than any reply has room for");
        let keys = paths.len() as usize;
        self.asked.push(keys);
        if !self.scripted.is_empty() {
            return Some(self.scripted.remove(0));
        }
        if keys > self.most {
            return None;
        }
        let generation = match self.generations.len() {
            1 => self.generations[0],
            _ => self.generations.remove(0),
        };
        let handler = |asked: &Keys<'_, CgroupsLookup>, reply: &mut Replies<'_, CgroupsLookup>| {
            reply.generation = generation;
            asked.iter().try_for_each(|_| reply.push(&known(self.name)))?;
            Ok::<_, Declined>(())
        };
        let mut reply = vec![0; limit as usize];
        let length = respond_one::<CgroupsLookup>(&handler, request, &mut reply).ok()?;
        reply.truncate(length);
        Some(reply)
    }
}

fn known(name: &[u8]) -> Cgroup<'_> {
    let (orchestrator, labels) = (Orchestrator::DOCKER, Default::default());
    Cgroup::Known { orchestrator, name: Text::new(name), labels }
}

type Answers = Vec<Result<(), Shortfall>>;

fn look_up(paths: Paths<'_>, limits: &Agreement, server: &mut Server) -> Result<Answers, Mismatch> {
    stitch_with(paths, limits, Ceilings::default(), server)
}

fn stitch_with(
    paths: Paths<'_>,
    limits: &Agreement,
    ceilings: Ceilings,
    server: &mut Server,
) -> Result<Answers, Mismatch> {
    let answers = |reply: &[u8]| {
        let found: Found<'_, CgroupsLookup> = CgroupsLookup::read_reply(reply).expect("a reply");
        assert!(found.iter().map(|item| item.key).eq(paths.iter().copied()));
        found.iter().map(|item| item.value.map(drop)).collect()
    };
    let mut out = Vec::new();
    let mut stitch = Stitch::<CgroupsLookup>::new(paths, ceilings, &mut out)?;
    loop {
        match stitch.next(limits)? {
            Step::Done => break,
            Step::Grow(needed) => {
                assert!(needed > limits.agreed_max_request_payload_bytes as usize);
                stitch.no_larger_request();
                continue;
            }
            Step::Ask => {}
        }
        let mut request = vec![0; stitch.request_len()];
        stitch.write(&mut request)?;
        let Some(reply) = server.answer(&request, limits) else {
            assert!(stitch.halve(), "one key is always answered");
            continue;
        };
        if stitch.take(CgroupsLookup::read_reply(&reply).expect("a reply"))? {
            return Ok(answers(&reply));
        }
    }
    stitch.finish();
    Ok(answers(&out))
}

/// A reply without values, as no handler could write it.
fn items(generation: u64, items: &[(&[u8], CgroupStatus)]) -> Vec<u8> {
    let (mut directory, mut area) = (Vec::new(), Vec::new());
    for &(path, status) in items {
        area.resize(area.len().next_multiple_of(8), 0);
        let length = CgroupItem::LEN + path.len() + 2;
        directory.extend([area.len() as u32, length as u32].map(u32::to_ne_bytes).concat());
        let mut head = [0; CgroupItem::LEN];
        let path_at = CgroupItem::LEN as u32;
        CgroupItem {
            status,
            orchestrator: Orchestrator::UNKNOWN,
            path: netipc_proto::Span { offset: path_at, length: path.len() as u32 },
            name: netipc_proto::Span { offset: path_at + path.len() as u32 + 1, length: 0 },
            label_count: 0,
        }
        .write(&mut head);
        area.extend([&head, path, b"\0\0"].concat());
    }
    let mut head = [0; LookupReplyHeader::LEN];
    LookupReplyHeader { item_count: items.len() as u32, generation }.write(&mut head);
    [&head[..], &directory, &area].concat()
}

fn limits(request: u32, response: u32) -> Agreement {
    HelloAck {
        agreed_max_request_payload_bytes: request,
        agreed_max_response_payload_bytes: response,
        ..wire::unlimited(65536)
    }
}
