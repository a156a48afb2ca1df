//! Names, which must be those of other implementations.

use std::{io, path::Path};

use super::{fnv1a_64, is_taken, region_prefix, socket_path};
use crate::{
    ErrorKind,
    shm::Place,
    testing::{unhex, vectors},
};

#[test]
fn hashes_as_the_vectors_say() {
    for vector in vectors("derived.json", "fnv1a64") {
        let hash = fnv1a_64(&unhex(&vector["input"]["hex"]));
        assert_eq!(format!("{hash:016x}"), vector["output"], "{}", vector["id"]);
    }
}

#[test]
fn names_objects_as_the_vectors_say() {
    for vector in vectors("derived.json", "windows_names") {
        let (input, output) = (&vector["input"], &vector["output"]);
        let dir = Path::new(input["run_dir"].as_str().unwrap());
        let service = input["service"].as_str().unwrap();
        let pipe = socket_path(dir, service).unwrap();
        assert_eq!(pipe.to_str().unwrap(), output["pipe"], "{}", vector["id"]);
        let prefix = region_prefix(&Place {
            dir,
            service,
            session_id: input["session_id"].as_u64().unwrap(),
            profile: input["profile"].as_u64().unwrap() as u32,
            auth_token: input["auth_token"].as_u64().unwrap(),
        })
        .unwrap();
        for (object, field) in [
            ("mapping", "mapping"),
            ("req_event", "request_event"),
            ("resp_event", "response_event"),
        ] {
            assert_eq!(format!("{prefix}{object}"), output[field], "{}", vector["id"]);
        }
    }
}

#[test]
fn takes_names_as_long_as_the_system_does_and_no_longer() {
    let dir = Path::new("d");
    let longest = 255 - r"\\.\pipe\netipc-0123456789abcdef-".len();
    assert!(socket_path(dir, &"s".repeat(longest)).is_ok());
    let error = socket_path(dir, &"s".repeat(longest + 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NameTooLong);
    let error = region_prefix(&Place::new(dir, &"s".repeat(longest), 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NameTooLong);
    for name in ["", ".", "..", "a/b", r"a\b", "ä"] {
        assert_eq!(socket_path(dir, name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
    }
}

#[test]
fn knows_by_the_error_that_a_name_is_taken() {
    for (number, taken) in [(5, true), (231, true), (2, false), (8, false)] {
        assert_eq!(is_taken(&io::Error::from_raw_os_error(number)), taken, "{number}");
    }
}
