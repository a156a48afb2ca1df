//! Reads golden vectors: what `vectors/README.md` describes.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// One vector, as it stands in its file.
#[derive(Clone)]
pub(crate) struct Vector(Value);

impl Vector {
    pub(crate) fn id(&self) -> &str {
        self.0["id"].as_str().expect("a vector has an id")
    }

    pub(crate) fn target(&self) -> &str {
        self.0["target"].as_str().expect("a vector has a target")
    }

    /// Whether its bytes must be accepted.
    pub(crate) fn is_valid(&self) -> bool {
        self.0["valid"].as_bool().expect("a vector is valid or not")
    }

    /// Whether an encoder must produce exactly its bytes.
    pub(crate) fn is_canonical(&self) -> bool {
        self.0["canonical"].as_bool().unwrap_or(false)
    }

    /// The class that an invalid one must be refused with.
    pub(crate) fn error(&self) -> &str {
        self.0["error"].as_str().expect("an invalid vector names its error")
    }

    /// The rule of PROTOCOL.md that an invalid one breaks.
    pub(crate) fn rule(&self) -> Option<&str> {
        self.0["rule"].as_str()
    }

    pub(crate) fn fields(&self) -> &Value {
        &self.0["fields"]
    }

    pub(crate) fn get(&self, key: &str) -> &Value {
        &self.0[key]
    }

    /// The bytes of a hex string.
    pub(crate) fn bytes(&self, key: &str) -> Vec<u8> {
        unhex(&self.0[key])
    }

    /// The other outcome that is as good, if there is one.
    pub(crate) fn alternative(&self) -> Option<Vector> {
        let mut vector = self.0.as_object()?.clone();
        let other = vector.remove("alternative")?;
        let other = other.as_object().expect("an alternative is an object");
        vector.extend(other.clone());
        if other.contains_key("error") {
            vector.insert("valid".into(), false.into());
        }
        // What the alternative decodes to is not spelled out, only what it is made from.
        if other.contains_key("reply") || other.contains_key("hex") {
            let fields = vector.remove("fields").unwrap_or_default();
            vector.insert("generation".into(), fields["generation"].clone());
        }
        Some(Vector(vector.into()))
    }
}

/// All vectors of this project, and those of the directory that `NETIPC_VECTORS` names.
pub(crate) fn load() -> Vec<Vector> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../vectors");
    let more = env::var_os("NETIPC_VECTORS").map(PathBuf::from);
    [Some(ours), more].into_iter().flatten().flat_map(|dir| load_directory(&dir)).collect()
}

fn load_directory(dir: &Path) -> Vec<Vector> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap_or_else(|why| panic!("open {}: {why}", dir.display()))
        .map(|entry| entry.expect("a directory can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no vectors in {}", dir.display());
    files.iter().flat_map(|path| load_file(path)).collect()
}

fn load_file(path: &Path) -> Vec<Vector> {
    let name = path.display();
    let text = fs::read_to_string(path).unwrap_or_else(|why| panic!("read {name}: {why}"));
    let mut file: Value =
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("parse {name}: {why}"));
    assert_eq!(file["format"], 1, "{name} is of another format");
    assert_eq!(file["byte_order"], "little", "{name} is of another byte order");
    let Value::Array(vectors) = file["vectors"].take() else { panic!("{name} has no vectors") };
    assert!(!vectors.is_empty(), "{name} is empty");
    vectors.into_iter().map(Vector).collect()
}

/// The bytes of a hex string, or of a string in the form of the vectors, `{"hex": …}`.
pub(crate) fn unhex(value: &Value) -> Vec<u8> {
    let text = value["hex"].as_str().or(value.as_str());
    let text = text.unwrap_or_else(|| panic!("{value} holds no hex"));
    assert!(text.len().is_multiple_of(2), "odd number of hex digits in {text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits"))
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn number<T: TryFrom<u64>>(value: &Value) -> T {
    let number = value.as_u64().unwrap_or_else(|| panic!("{value} is no number"));
    T::try_from(number).unwrap_or_else(|_| panic!("{number} is out of range"))
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}
