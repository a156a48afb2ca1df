//! Messages that peers wrote, against the vectors.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The messages every peer writes, by the names they have in the vectors.
const WANTED: [&str; 16] = [
    "hdr-batch-3",
    "chk-last",
    "hel-shm",
    "ack-shm",
    "bat-odd-lengths",
    "inc-9223372036854775808",
    "str-inner-nul",
    "snq",
    "snr-same-name-twice",
    "cgq-lengths",
    "cgr-labels",
    "cgr-status-1",
    "apq-extremes",
    "apr-full",
    "apr-host-root",
    "apr-status-1",
];

/// The bytes of each message, as hexadecimal digits.
pub(crate) struct Vectors(HashMap<String, String>);

impl Vectors {
    /// Reads the files of `dir` that have messages with a form of their own.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let mut messages = HashMap::new();
        for name in ["envelope", "basic", "snapshot", "cgroups_lookup", "apps_lookup"] {
            let path = dir.join(format!("{name}.json"));
            let text = fs::read_to_string(&path);
            let text = text.with_context(|| format!("read the vectors in {}", path.display()))?;
            let file: Value =
                serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            for vector in file["vectors"].as_array().into_iter().flatten() {
                if let (Some(id), Some(hex)) = (vector["id"].as_str(), vector["hex"].as_str()) {
                    messages.insert(id.to_owned(), hex.to_owned());
                }
            }
        }
        for id in WANTED {
            ensure!(messages.contains_key(id), "{}: no vector is named {id}", dir.display());
        }
        Ok(Vectors(messages))
    }

    /// Whether `file` has every message, and each with the right bytes: `NAME HEX` a line.
    pub(crate) fn compare(&self, file: &Path) -> Result<()> {
        let text = fs::read_to_string(file);
        let text = text.with_context(|| format!("read {}", file.display()))?;
        let written: HashMap<&str, &str> =
            text.lines().filter_map(|line| line.split_once(' ')).collect();
        for id in WANTED {
            let hex = written.get(id).with_context(|| format!("{id} is missing"))?;
            let wanted = &self.0[id];
            ensure!(hex == wanted, "{id}\n  is        {hex}\n  should be {wanted}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> Vectors {
        Vectors::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")).unwrap()
    }

    fn file(change: impl Fn(&str, &str) -> String) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let vectors = vectors();
        let lines: String = WANTED.iter().map(|id| change(id, &vectors.0[*id])).collect();
        fs::write(file.path(), lines).unwrap();
        file
    }

    #[test]
    fn the_right_bytes_are_accepted() {
        let file = file(|id, hex| format!("{id} {hex}\n"));
        vectors().compare(file.path()).unwrap();
    }

    #[test]
    fn a_wrong_byte_is_named() {
        let file = file(|id, hex| format!("{id} {}\n", if id == "snq" { "0100" } else { hex }));
        let error = vectors().compare(file.path()).unwrap_err().to_string();
        assert!(error.starts_with("snq\n") && error.contains("0100\n"), "{error}");
    }

    #[test]
    fn a_missing_message_is_named() {
        let file =
            file(|id, hex| if id == "snq" { String::new() } else { format!("{id} {hex}\n") });
        assert_eq!(vectors().compare(file.path()).unwrap_err().to_string(), "snq is missing");
    }
}
