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

/// The chapter and number of a rule: `R-3.10` is 10 of `R-3.`.
fn number(id: &str) -> Option<(&str, u32)> {
    let at = id.rfind(['.', '-'])? + 1;
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
    assert!(listed > 150, "only {listed} rules are listed");
}

#[test]
fn every_test_of_the_list_exists() {
    let text = fs::read_to_string(here().join("RULES.md")).unwrap();
    let mut files = BTreeMap::<String, BTreeSet<String>>::new();
    for (rule, tests) in held(&text) {
        for test in tests {
            if test == "no test" || test.starts_with("n/a here: ") {
                continue;
            }
            let name = test.strip_prefix('`').and_then(|test| test.strip_suffix('`'));
            let (file, test) = name.and_then(|name| name.split_once("::")).unwrap();
            let tests = files.entry(file.to_owned()).or_insert_with(|| tests_of(file));
            assert!(tests.contains(test), "{rule}: {file}::{test} does not exist");
        }
    }
    assert!(files.len() > 5);
}

/// The names of the tests in a file of this directory.
fn tests_of(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(here().join(file).with_extension("rs")).unwrap();
    let after_test = text.split("#[test]").skip(1);
    let name = |rest: &str| {
        let start = rest.find("fn ").unwrap() + 3;
        rest[start..].split('(').next().unwrap().to_owned()
    };
    after_test.map(name).collect()
}
