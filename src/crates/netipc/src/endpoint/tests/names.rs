//! Names and paths.

use std::path::Path;

use super::super::{region_path, socket_path};
use crate::{
    ErrorKind,
    testing::{unhex, vectors},
};

#[test]
fn accepts_exactly_the_service_names_of_the_contract() {
    for vector in vectors("derived.json", "service_name") {
        let name = String::from_utf8(unhex(&vector["input"]["hex"])).unwrap();
        let made = socket_path(Path::new("/run"), &name);
        assert_eq!(made.is_ok(), vector["valid"] == true, "{}", vector["id"]);
        assert_eq!(region_path(Path::new("/run"), &name, 1).is_ok(), made.is_ok());
        if let Err(error) = made {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }
}

#[test]
fn builds_the_paths_of_the_contract() {
    for vector in vectors("derived.json", "posix_paths") {
        let input = &vector["input"];
        let dir = Path::new(input["run_dir"].as_str().unwrap());
        let service = input["service"].as_str().unwrap();
        let made = socket_path(dir, service);
        if vector["valid"] == true {
            let region = region_path(dir, service, input["session_id"].as_u64().unwrap());
            let output = &vector["output"];
            assert_eq!(made.unwrap().to_str(), output["socket"].as_str(), "{}", vector["id"]);
            assert_eq!(region.unwrap().to_str(), output["region"].as_str(), "{}", vector["id"]);
        } else {
            assert_eq!(made.unwrap_err().kind(), ErrorKind::NameTooLong, "{}", vector["id"]);
        }
    }
}

#[test]
fn refuses_a_path_one_byte_too_long() {
    let service = "s".repeat(107 - "/d/.sock".len());
    assert_eq!(socket_path(Path::new("/d"), &service).unwrap().as_os_str().len(), 107);
    let error = socket_path(Path::new("/d"), &format!("{service}s")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NameTooLong);
    assert!(error.to_string().contains("108 bytes, of 107"), "{error}");

    let service = "s".repeat(255 - "/d/-0000000000000001.ipcshm".len());
    assert_eq!(region_path(Path::new("/d"), &service, 1).unwrap().as_os_str().len(), 255);
    let error = region_path(Path::new("/d"), &format!("{service}s"), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NameTooLong);
}
