//! RULES.md says which test holds which rule: every rule is there, and every test exists.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The rows of all tables, as their cells, without heads.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        match cells[0] {
            "Rules" | "Rule" => {}
            cell if cell.starts_with("---") => {}
            _ => rows.push(cells),
        }
    }
    rows
}

/// The chapter and number of a rule: `R-3.10` is 10 of `R-3.`, `RM0` is 0 of `RM`.
fn number(id: &str) -> Option<(&str, u32)> {
    let at = id.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    Some((&id[..at], id[at..].parse().ok()?))
}

/// What is in each row: the rule, and what holds it.
fn held(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut held = BTreeMap::new();
    for row in rows(text).into_iter().filter(|row| number(row[0]).is_some()) {
        let tests = row[2].split("<br>").collect();
        assert!(held.insert(row[0], tests).is_none(), "{} twice", row[0]);
    }
    held
}

#[test]
fn every_rule_of_the_list_has_its_row() {
    let text = fs::read_to_string(here().join("RULES.md")).unwrap();
    let held = held(&text);
    let mut listed = 0;
    for row in rows(&text).into_iter().filter(|row| number(row[0]).is_none()) {
        let ((chapter, first), (same, last)) = (number(row[1]).unwrap(), number(row[2]).unwrap());
        assert_eq!(chapter, same);
        for rule in first..=last {
            let id = format!("{chapter}{rule}");
            assert!(held.contains_key(&*id), "{id} has no row");
            listed += 1;
        }
    }
    assert!(listed > 270, "only {listed} rules are listed");
}

/// The rules of rings have their numbers from PROTOCOL.md.
#[test]
fn every_rule_of_rings_has_its_row() {
    let protocol = fs::read_to_string(here().join("../../../../PROTOCOL.md")).unwrap();
    let text = fs::read_to_string(here().join("RULES.md")).unwrap();
    let held = held(&text);
    let (_, section) = protocol.split_once("\n## 27. ").unwrap();
    let ids = rows(section).into_iter().map(|row| row[0]);
    let rules: Vec<_> = ids.filter(|id| id.starts_with("RM") || id.starts_with("RR")).collect();
    assert_eq!(rules.len(), 14);
    for rule in rules {
        assert!(held.contains_key(rule), "{rule} has no row");
    }
}

#[test]
fn every_test_of_the_list_exists() {
    let text = fs::read_to_string(here().join("RULES.md")).unwrap();
    let mut places = BTreeMap::<String, BTreeSet<String>>::new();
    for (rule, tests) in held(&text) {
        for test in tests {
            if test.starts_with("n/a here: ") {
                continue;
            }
            let name = test.strip_prefix('`').and_then(|test| test.strip_suffix('`'));
            let (place, test) = name.and_then(|name| name.split_once("::")).unwrap();
            let tests = places.entry(place.to_owned()).or_insert_with(|| named(place));
            assert!(tests.contains(test), "{rule}: {place}::{test} does not exist");
        }
    }
    assert!(places.len() > 5);
}

/// What can be named as `place::name`.
fn named(place: &str) -> BTreeSet<String> {
    let crates = here().join("../..");
    match place {
        "src" => all_of(&crates.join("netipc/src"), "rs", tests_of),
        "proto" => all_of(&crates.join("netipc-proto/tests"), "rs", tests_of),
        "vectors" => all_of(&crates.join("../../vectors"), "json", ids_of),
        file => tests_of(&here().join(file).with_extension("rs")),
    }
}

/// All names in the files with this ending in a directory and below it.
fn all_of(dir: &Path, ending: &str, names: fn(&Path) -> BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_of(&path, ending, names));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.extend(names(&path));
        }
    }
    found
}

/// The names of the tests in a file.
fn tests_of(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let after_test = text.split("#[test]").skip(1);
    let name = |rest: &str| {
        let start = rest.find("fn ").unwrap() + 3;
        rest[start..].split('(').next().unwrap().to_owned()
    };
    after_test.map(name).collect()
}

/// The ids of the vectors in a file.
fn ids_of(file: &Path) -> BTreeSet<String> {
    let all: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let vectors = all["vectors"].as_array().unwrap().iter();
    vectors.map(|vector| vector["id"].as_str().unwrap().to_owned()).collect()
}
