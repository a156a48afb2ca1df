//! The command as a user runs it, with a handful of calls for each case.
#![cfg(target_os = "linux")]

use std::{
    process::{Command, Output},
    thread::available_parallelism,
};

fn bench(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netipc-bench"));
    command.args(words).output().expect("the command can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the command writes UTF-8")
}

/// Runs the cases with `only` in their name and returns the report.
fn measure(only: &str) -> String {
    let words = ["--rounds", "1", "--duration", "60ms", "--count", "20", "--only", only];
    let output = bench(&words);
    let report = text(&output.stdout);
    assert!(output.status.success(), "{report}\n{}", text(&output.stderr));
    report
}

/// Measures them, and checks that each one got its figures.
fn every_case_is_measured(only: &str) {
    let names = text(&bench(&["--list", "--only", only]).stdout);
    assert!(!names.is_empty(), "no case has {only} in its name");
    let report = measure(only);
    let figures = report.split("## Figures").nth(1).expect("the report has figures");
    let figures = figures.split("## Not measured").next().unwrap_or_default();
    let one_cpu = available_parallelism().is_ok_and(|cpus| cpus.get() == 1);
    for name in names.lines().filter(|name| !(one_cpu && name.ends_with("[X]"))) {
        let row = figures.lines().find(|row| row.starts_with(&format!("| {name} ")));
        let row = row.unwrap_or_else(|| panic!("no figures of {name}:\n{report}"));
        let mean: f64 = row
            .split('|')
            .nth(2)
            .and_then(|cell| cell.trim().replace(',', "").parse().ok())
            .unwrap_or_else(|| panic!("no mean in {row}"));
        assert!(mean > 0.0, "{row}");
    }
}

#[test]
fn measures_every_socket_floor() {
    every_case_is_measured("raw socket echo");
}

#[test]
fn measures_every_shared_memory_floor() {
    every_case_is_measured("line ping-pong");
}

#[test]
fn measures_every_floor_of_one_process() {
    for only in ["copy", "one pass", "plain hash lookup", "pacing alone"] {
        every_case_is_measured(only);
    }
}

#[test]
fn measures_small_calls() {
    every_case_is_measured("increment");
}

#[test]
fn measures_pipelines_and_batches() {
    every_case_is_measured("of 16, socket");
}

#[test]
fn measures_lookups() {
    every_case_is_measured("lookup, cgroups");
    every_case_is_measured("lookup, apps");
}

#[test]
fn measures_snapshots_and_caches() {
    every_case_is_measured("cache ");
}

#[test]
fn measures_a_thousand_sessions() {
    every_case_is_measured("4 workers");
}

#[test]
fn a_foreign_peer_serves_and_calls() {
    let peer = format!("same={} peer", env!("CARGO_BIN_EXE_netipc-bench"));
    let words = ["--rounds", "1", "--duration", "60ms", "--count", "20", "--peer", &peer];
    for pair in ["rust to same", "same to rust"] {
        let output = bench(&[&words[..], &["--only", pair]].concat());
        let report = text(&output.stdout);
        assert!(output.status.success(), "{report}\n{}", text(&output.stderr));
        let one_cpu = available_parallelism().is_ok_and(|cpus| cpus.get() == 1);
        assert_eq!(report.contains("skipped"), one_cpu, "{report}");
    }
}

#[test]
fn a_peer_that_does_not_know_a_scenario_is_skipped() {
    let words = ["--rounds", "1", "--duration", "20ms", "--count", "5"];
    let peer = ["--peer", "other=sh -c echo${IFS}UNSUPPORTED", "--only", "other to other"];
    let output = bench(&[&words[..], &peer[..]].concat());
    let report = text(&output.stdout);
    assert!(output.status.success(), "{report}\n{}", text(&output.stderr));
    assert!(report.contains("skipped"), "{report}");
    assert!(report.contains("other server does not know the scenario"), "{report}");
}

#[test]
fn a_peer_that_dies_fails_its_cases_and_the_run() {
    let words = ["--rounds", "1", "--duration", "20ms", "--count", "5"];
    let peer = ["--peer", "broken=false", "--only", "broken to broken"];
    let output = bench(&[&words[..], &peer[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("broken server ended early"));
}

#[test]
fn results_are_written_as_markdown_and_json() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let out = dir.path().to_str().expect("its path is UTF-8");
    let words = ["--rounds", "2", "--duration", "20ms", "--count", "5", "--only", "copy of 40"];
    assert!(bench(&[&words[..], &["--out", out]].concat()).status.success());
    let files = std::fs::read_dir(dir.path()).expect("the directory can be read");
    let mut files: Vec<_> = files.map(|file| file.expect("an entry").path()).collect();
    files.sort();
    let [json, markdown] = files.as_slice() else { panic!("{files:?}") };
    let json = std::fs::read_to_string(json).expect("the JSON can be read");
    let results: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let case = &results["cases"][0];
    assert_eq!(case["rounds"].as_array().map(Vec::len), Some(2));
    assert!(case["rounds"][0]["ns_per_call"].as_f64().is_some_and(|mean| mean > 0.0));
    let markdown = std::fs::read_to_string(markdown).expect("the markdown can be read");
    assert!(markdown.starts_with("# netipc beside the floors"));
}
