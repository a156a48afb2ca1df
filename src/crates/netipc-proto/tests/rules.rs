//! Sessions, handshakes and retries: what the golden vectors do not reach (PROTOCOL.md, sections 7
//! to 13).

#[path = "doors/wire.rs"]
mod wire;

use netipc_proto::{
    Agreement, Fault, Header, Hello, Kind, Limits, Refusal, Role, Rules, Status, Terms,
    handshake::defaults,
    retry::{Capacity, Failure, Next, Retry},
};

#[test]
fn refuses_an_id_in_flight_until_it_is_answered() {
    let mut client = rules(Role::Client);
    let request = Header::request(1, 7, 8);
    assert_eq!(client.send(&request), Ok(()));
    assert_eq!(client.send(&request), Err(Fault::DuplicateId(7)));
    assert_eq!(client.receive(&response(7)), Ok(()));
    assert_eq!(client.send(&request), Ok(()));
}

#[test]
fn takes_back_what_could_not_be_sent() {
    let mut client = rules(Role::Client);
    let request = Header::request(1, 7, 8);
    assert_eq!(client.send(&request), Ok(()));
    client.unsend(&request);
    assert_eq!(client.receive(&response(7)), Err(Fault::UnknownId(7)));
    assert_eq!(client.send(&request), Ok(()));
}

#[test]
fn keeps_apart_what_is_in_flight_in_any_order() {
    let mut client = rules(Role::Client);
    let ids = [5, 0, u64::MAX, 9, 2];
    ids.iter().for_each(|&id| client.send(&Header::request(1, id, 0)).expect("an id comes once"));
    assert!(client.in_flight_ids().eq([0, 2, 5, 9, u64::MAX]));
    for id in [9, u64::MAX, 5, 2, 0] {
        assert_eq!(client.receive(&response(id)), Ok(()));
        assert_eq!(client.receive(&response(id)), Err(Fault::UnknownId(id)));
    }
    assert_eq!(client.in_flight(), 0);
}

#[test]
fn any_number_of_requests_may_be_in_flight() {
    let mut client = rules(Role::Client);
    let count = if cfg!(miri) { 1000 } else { 100_000 };
    for id in 0..count {
        assert_eq!(client.send(&Header::request(1, id, 8)), Ok(()));
    }
    assert_eq!(client.in_flight() as u64, count);
    for id in (0..count / 2).chain((count / 2..count).rev()) {
        assert_eq!(client.receive(&response(id)), Ok(()));
    }
    assert_eq!(client.in_flight(), 0);
}

#[test]
fn servers_keep_no_record_of_ids() {
    let mut server = rules(Role::Server);
    for _ in 0..2 {
        assert_eq!(server.receive(&Header::request(1, 7, 8)), Ok(()));
        assert_eq!(server.send(&response(7)), Ok(()));
        assert_eq!(server.send(&Header::request(1, 7, 8)), Ok(()));
    }
    assert_eq!(server.in_flight(), 0);
}

#[test]
fn names_a_repeated_id_before_a_limit() {
    let mut client = rules(Role::Client);
    client.outgoing = Limits { payload_bytes: 8, items: 1 };
    assert_eq!(client.send(&Header::request(1, 7, 8)), Ok(()));
    assert_eq!(client.send(&Header::request(1, 7, 9)), Err(Fault::DuplicateId(7)));
}

#[test]
fn sends_nothing_over_a_limit() {
    let mut client = rules(Role::Client);
    client.outgoing = Limits { payload_bytes: 8, items: 2 };
    let too_long = Header::request(1, 7, 9);
    assert_eq!(client.send(&too_long), Err(Fault::TooLong { payload: 9, limit: 8 }));
    let too_many = Header { item_count: 3, ..Header::request(1, 7, 8) };
    assert_eq!(client.send(&too_many), Err(Fault::TooManyItems { items: 3, limit: 2 }));
    assert_eq!(client.in_flight(), 0);
    assert_eq!(client.send(&Header { item_count: 2, ..Header::request(1, 7, 8) }), Ok(()));
}

#[test]
fn a_limit_of_nothing_allows_nothing() {
    let mut client = rules(Role::Client);
    client.outgoing = Limits { payload_bytes: 0, items: 0 };
    assert!(matches!(client.send(&Header::request(1, 1, 1)), Err(Fault::TooLong { .. })));
    assert!(matches!(client.send(&Header::request(1, 1, 0)), Err(Fault::TooManyItems { .. })));
    assert_eq!(client.send(&Header { item_count: 0, ..Header::request(1, 1, 0) }), Ok(()));
}

#[test]
fn no_limit_allows_a_message_that_its_parts_cannot_count() {
    let mut client = rules(Role::Client);
    let most = u32::MAX - Header::LEN as u32;
    assert_eq!(client.send(&Header::request(1, 1, most)), Ok(()));
    assert!(matches!(client.send(&Header::request(1, 2, most + 1)), Err(Fault::TooLong { .. })));
    assert!(matches!(
        client.receive(&Header { payload_len: most + 1, ..response(1) }),
        Err(Fault::TooLong { .. })
    ));
}

#[test]
fn each_side_has_the_limits_of_its_direction() {
    let agreement = Agreement {
        agreed_max_request_payload_bytes: 10,
        agreed_max_request_batch_items: 1,
        agreed_max_response_payload_bytes: 20,
        agreed_max_response_batch_items: 2,
        ..wire::unlimited(100)
    };
    let request = Limits { payload_bytes: 10, items: 1 };
    let response = Limits { payload_bytes: 20, items: 2 };
    let client = Rules::new(Role::Client, &agreement);
    assert_eq!((client.outgoing, client.incoming), (request, response));
    let server = Rules::new(Role::Server, &agreement);
    assert_eq!((server.outgoing, server.incoming), (response, request));
}

#[test]
fn tells_nothing_of_its_profiles_without_the_token() {
    let stranger = Hello { auth_token: 8, supported_profiles: 8, ..hello() };
    assert_eq!(terms().agree(&stranger, 1), Err(Refusal::AuthFailed));
    let client = Hello { supported_profiles: 8, ..hello() };
    assert_eq!(terms().agree(&client, 1), Err(Refusal::NoProfile));
}

#[test]
fn says_so_when_a_hello_has_flags_it_does_not_know() {
    let refusal = Hello::from_packet(&Hello { flags: 1, ..hello() }.packet());
    let reply = refusal.expect_err("flags mean something nobody here knows").packet();
    let header = Header::read(&reply.expect("a HELLO is answered")).expect("an envelope");
    assert_eq!(header.transport_status, Status::BadEnvelope.code());
}

#[test]
fn replaces_limits_of_nothing_by_the_defaults() {
    let nothing = Hello { max_request_payload_bytes: 0, max_request_batch_items: 0, ..hello() };
    let agreed = terms().agree(&nothing, 1).expect("defaults are granted");
    assert_eq!(agreed.agreed_max_request_payload_bytes, defaults::REQUEST_BYTES);
    assert_eq!(agreed.agreed_max_request_batch_items, defaults::BATCH_ITEMS);
    assert_eq!(agreed.agreed_max_response_batch_items, defaults::BATCH_ITEMS);
    let tight = Terms { max_request_payload_bytes: 100, ..terms() };
    let agreed = tight.agree(&nothing, 1).expect("as much as there is");
    assert_eq!(agreed.agreed_max_request_payload_bytes, 100);
}

#[test]
fn grants_the_response_a_client_hopes_for_up_to_its_ceiling() {
    let granted = |hint| {
        let hello = Hello { max_response_payload_bytes: hint, ..hello() };
        terms().agree(&hello, 1).expect("a hint refuses nothing").agreed_max_response_payload_bytes
    };
    assert_eq!(granted(0), 4096);
    assert_eq!(granted(4097), 4097);
    assert_eq!(granted(8192), 8192);
    assert_eq!(granted(u32::MAX), 8192);
}

#[test]
fn clients_refuse_what_they_did_not_offer() {
    let granted = terms().agree(&hello(), 1).expect("the terms meet");
    let refused = |agreement: Agreement| {
        matches!(hello().agreement(&agreement.packet()), Err(Refusal::BadGrant(_)))
    };
    assert_eq!(hello().agreement(&granted.packet()), Ok(granted));
    assert!(refused(Agreement { selected_profile: 8, ..granted }));
    assert!(refused(Agreement { selected_profile: 3, ..granted }));
    assert!(refused(Agreement { selected_profile: 0, ..granted }));
    assert!(refused(Agreement { agreed_max_request_payload_bytes: 1025, ..granted }));
    assert!(refused(Agreement { agreed_max_request_batch_items: 3, ..granted }));
    assert!(refused(Agreement { agreed_packet_size: 901, ..granted }));
    assert!(refused(Agreement { agreed_packet_size: 32, ..granted }));
    // A response limit above or below the hint is the server's business.
    let large = Agreement { agreed_max_response_payload_bytes: u32::MAX, ..granted };
    assert_eq!(hello().agreement(&large.packet()), Ok(large));
}

#[test]
fn another_version_is_told_apart_by_each_side() {
    let agreed = terms().agree(&hello(), 1).expect("the terms meet").packet();
    let patched = |mut packet: Vec<u8>, changes: &[(usize, u8)]| {
        changes.iter().for_each(|&(at, byte)| packet[at] = byte);
        packet
    };
    // Version, length of the header, kind.
    let changes: [&[(usize, u8)]; 3] = [&[(4, 2)], &[(4, 2), (6, 40)], &[(4, 2), (8, 1)]];
    for change in changes {
        // A client takes whatever another version answers for just that.
        let refused = hello().agreement(&patched(agreed.to_vec(), change));
        assert_eq!(refused, Err(Refusal::Incompatible), "{change:?}");
        // A server answers a HELLO, and nothing else.
        let refused = Hello::from_packet(&patched(hello().packet().to_vec(), change));
        assert_eq!(refused == Err(Refusal::Incompatible), change.len() == 1, "{refused:?}");
        assert!(refused.is_err());
    }
}

#[test]
fn sends_once_more_what_a_broken_session_lost() {
    let mut retry = Retry::default();
    assert_eq!(retry.after(Failure::Broken), Next::Again);
    assert_eq!(retry.after(Failure::Broken), Next::GiveUp);
}

#[test]
fn sends_seven_times_more_with_larger_limits() {
    let mut retry = Retry::default();
    for _ in 0..7 {
        assert_eq!(retry.after(Failure::Overflow), Next::Grow);
    }
    assert_eq!(retry.after(Failure::Overflow), Next::GiveUp);
}

#[test]
fn does_not_repeat_what_would_fail_again() {
    assert_eq!(Retry::default().after(Failure::Final), Next::GiveUp);
}

#[test]
fn limits_grow_in_powers_of_two_up_to_their_ceiling() {
    let mut capacity = Capacity::growing(1024, 5000);
    assert!(!capacity.need(1024));
    assert!(capacity.need(1025));
    assert_eq!(capacity.bytes(), 2048);
    assert!(!capacity.need(10), "a limit never falls");
    assert!(capacity.need(u64::MAX));
    assert_eq!(capacity.bytes(), 5000);
    assert!(!capacity.need(u64::MAX));
}

#[test]
fn a_configured_limit_stays_as_it_is() {
    assert_eq!(Capacity::growing(3000, 1024).ceiling(), 3000);
    let mut fixed = Capacity::configured(3000, 1024);
    assert!(!fixed.need(4000));
    assert_eq!(fixed.bytes(), 3000);
    let mut free = Capacity::configured(0, 1024);
    assert_eq!((free.bytes(), free.ceiling()), (1024, defaults::GROWTH_BYTES));
    assert!(free.need(4000));
}

fn rules(role: Role) -> Rules {
    Rules::new(role, &wire::unlimited(65536))
}

fn response(id: u64) -> Header {
    Header { kind: Kind::Response, ..Header::request(1, id, 8) }
}

fn hello() -> Hello {
    Hello {
        flags: 0,
        supported_profiles: 3,
        preferred_profiles: 2,
        max_request_payload_bytes: 1024,
        max_request_batch_items: 2,
        max_response_payload_bytes: 1024,
        max_response_batch_items: 2,
        auth_token: 7,
        packet_size: 900,
    }
}

fn terms() -> Terms {
    Terms {
        supported_profiles: 7,
        preferred_profiles: 2,
        max_request_payload_bytes: 4096,
        max_response_payload_bytes: 4096,
        max_response_ceiling: 8192,
        auth_token: 7,
        packet_size: 1000,
    }
}
