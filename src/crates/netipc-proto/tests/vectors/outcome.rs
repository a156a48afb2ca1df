//! What came out, against what should have.

use core::fmt::Debug;

use netipc_proto::{Defect, Malformed, Unwritable};
use serde_json::Value;

use crate::file::{Vector, hex};

/// Decodes the bytes of a vector with `read`, which returns the fields and, where there is a way to
/// write them, the bytes they make.
pub(crate) fn decode(
    vector: &Vector,
    read: impl Fn(&[u8]) -> Result<(Value, Option<Vec<u8>>), Malformed>,
) -> Result<(), String> {
    let bytes = vector.bytes("hex");
    let (fields, again) = match (read(&bytes), vector.is_valid()) {
        (Ok(decoded), true) => decoded,
        (Ok((fields, _)), false) => return Err(format!("accepted as {fields}")),
        (Err(why), true) => return Err(format!("refused: {why}")),
        (Err(why), false) => return same("class", class(why.defect), vector.error()),
    };
    same("fields", &fields, &plain(vector.fields()))?;
    let Some(again) = again else { return Ok(()) };
    if vector.is_canonical() {
        same("bytes", hex(&again), hex(&bytes))?;
    }
    let (fields_again, _) = read(&again).map_err(|why| format!("written, then refused: {why}"))?;
    same("fields once written and read", fields_again, fields)
}

/// Complains unless both are the same.
pub(crate) fn same<A: Debug + PartialEq<B>, B: Debug>(
    what: &str,
    is: A,
    should: B,
) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("{what}: is {is:?}, should be {should:?}")) }
}

/// The fields without the readable form of their strings.
pub(crate) fn plain(fields: &Value) -> Value {
    match fields {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| *key != "text" || !map.contains_key("hex"))
            .map(|(key, value)| (key.clone(), plain(value)))
            .collect(),
        Value::Array(values) => values.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// The class of PROTOCOL.md, section 3, of bytes that were refused.
pub(crate) fn class(defect: Defect) -> &'static str {
    match defect {
        Defect::Truncated => "TRUNCATED",
        Defect::BadMagic => "BAD_MAGIC",
        Defect::BadVersion => "BAD_VERSION",
        Defect::BadHeaderLen => "BAD_HEADER_LEN",
        Defect::BadKind => "BAD_KIND",
        Defect::BadLayout => "BAD_LAYOUT",
        Defect::OutOfBounds => "OUT_OF_BOUNDS",
        Defect::MissingNul => "MISSING_NUL",
        Defect::BadAlignment => "BAD_ALIGNMENT",
        Defect::BadItemCount => "BAD_ITEM_COUNT",
        other => panic!("a defect without a class: {other:?}"),
    }
}

/// The class of what cannot be written.
pub(crate) fn unwritable(why: Unwritable) -> &'static str {
    match why {
        Unwritable::Full => "OVERFLOW",
        Unwritable::Invalid(_) => "BAD_LAYOUT",
        Unwritable::TooFew => "BAD_ITEM_COUNT",
    }
}
