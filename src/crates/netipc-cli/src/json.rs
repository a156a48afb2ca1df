//! Bytes of any kind as JSON.

use serde::ser::{SerializeMap, Serializer};

/// Writes a field that holds bytes: the text, and where it is none also `KEY_hex` with all of it.
///
/// # Errors
///
/// Those of the writer.
pub fn bytes<M: SerializeMap>(
    map: &mut M,
    key: &'static str,
    bytes: &[u8],
) -> Result<(), M::Error> {
    map.serialize_entry(key, &String::from_utf8_lossy(bytes))?;
    if std::str::from_utf8(bytes).is_err() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        map.serialize_entry(&format!("{key}_hex"), &hex)?;
    }
    Ok(())
}

/// Labels as an object. A key that comes twice stays twice.
///
/// # Errors
///
/// Those of the writer.
pub fn labels<S: Serializer>(labels: &[(Vec<u8>, Vec<u8>)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(
        labels
            .iter()
            .map(|(key, value)| (String::from_utf8_lossy(key), String::from_utf8_lossy(value))),
    )
}

/// Labels as a value to be written with [`labels`].
#[derive(Debug)]
pub struct Labels<'a>(pub &'a [(Vec<u8>, Vec<u8>)]);

impl serde::Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        labels(self.0, to)
    }
}
