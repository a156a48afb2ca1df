//! Envelopes, part headers, the payloads of the handshake, and batches.

use netipc_proto::{Header, Hello, HelloAck, Items, ItemsWriter, PartHeader, Rule};
use serde_json::{Value, json};

use crate::{
    file::{Vector, hex, number},
    outcome::{decode, same},
};

pub(crate) fn header(vector: &Vector) -> Result<(), String> {
    decode(vector, |bytes| {
        let header = Header::read(bytes)?;
        Ok((header_fields(&header), Some(header.to_bytes().to_vec())))
    })
}

/// An envelope as the vectors spell it.
pub(crate) fn header_fields(header: &Header) -> Value {
    let &Header { kind, flags, code, transport_status, .. } = header;
    let &Header { payload_len, item_count, message_id, .. } = header;
    json!({
        "kind": kind.code(),
        "flags": flags,
        "code": code,
        "transport_status": transport_status,
        "payload_len": payload_len,
        "item_count": item_count,
        "message_id": message_id,
    })
}

pub(crate) fn part_header(vector: &Vector) -> Result<(), String> {
    decode(vector, |bytes| {
        let part = PartHeader::read(bytes)?;
        let fields = json!({
            "message_id": part.message_id,
            "total_message_len": part.total_message_len,
            "chunk_index": part.chunk_index,
            "chunk_count": part.chunk_count,
            "chunk_payload_len": part.chunk_payload_len.get(),
        });
        Ok((fields, Some(written(PartHeader::LEN, |to| part.write(to)))))
    })
}

pub(crate) fn hello(vector: &Vector) -> Result<(), String> {
    decode(vector, |bytes| {
        let hello = Hello::read(bytes)?;
        let fields = json!({
            "layout_version": 1,
            "flags": hello.flags,
            "supported_profiles": hello.supported_profiles,
            "preferred_profiles": hello.preferred_profiles,
            "max_request_payload_bytes": hello.max_request_payload_bytes,
            "max_request_batch_items": hello.max_request_batch_items,
            "max_response_payload_bytes": hello.max_response_payload_bytes,
            "max_response_batch_items": hello.max_response_batch_items,
            "auth_token": hello.auth_token,
            "packet_size": hello.packet_size,
        });
        Ok((fields, Some(written(Hello::LEN, |to| hello.write(to)))))
    })
}

pub(crate) fn hello_ack(vector: &Vector) -> Result<(), String> {
    decode(vector, |bytes| {
        let ack = HelloAck::read(bytes)?;
        let fields = json!({
            "layout_version": 1,
            "flags": 0,
            "server_supported_profiles": ack.server_supported_profiles,
            "intersection_profiles": ack.intersection_profiles,
            "selected_profile": ack.selected_profile,
            "agreed_max_request_payload_bytes": ack.agreed_max_request_payload_bytes,
            "agreed_max_request_batch_items": ack.agreed_max_request_batch_items,
            "agreed_max_response_payload_bytes": ack.agreed_max_response_payload_bytes,
            "agreed_max_response_batch_items": ack.agreed_max_response_batch_items,
            "agreed_packet_size": ack.agreed_packet_size,
            "session_id": ack.session_id,
        });
        Ok((fields, Some(written(HelloAck::LEN, |to| ack.write(to)))))
    })
}

pub(crate) fn batch(vector: &Vector) -> Result<(), String> {
    let count = number(&vector.get("context")["item_count"]);
    decode(vector, |bytes| {
        let items: Vec<_> = Items::read(bytes, count, Rule::Free(0))?.iter().collect();
        let fields = json!({ "items": items.iter().map(|item| hex(item)).collect::<Vec<_>>() });
        Ok((fields, Some(write_batch(&items))))
    })?;
    // One by one they are the same as in a row.
    if vector.is_valid() {
        let bytes = vector.bytes("hex");
        let items = Items::read(&bytes, count, Rule::Free(0)).map_err(|why| why.to_string())?;
        let by_index: Option<Vec<_>> = (0..count).map(|index| items.get(index)).collect();
        same("items by index", by_index, Some(items.iter().collect()))?;
        same("item behind the last", items.get(count), None)?;
    }
    Ok(())
}

fn write_batch(items: &[&[u8]]) -> Vec<u8> {
    let room = items.iter().map(|item| item.len() + 16).sum();
    let mut out = vec![0xAA; room];
    let mut writer = ItemsWriter::new(&mut out, 0, items.len() as u32).expect("there is room");
    for item in items {
        let copy = |to: &mut [u8]| {
            to[..item.len()].copy_from_slice(item);
            Ok(item.len())
        };
        writer.push(copy).expect("there is room");
    }
    let (_, length) = writer.finish_padded();
    out.truncate(length);
    out
}

fn written(length: usize, write: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = vec![0xAA; length];
    write(&mut bytes);
    bytes
}
