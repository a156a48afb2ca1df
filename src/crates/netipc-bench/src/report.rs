//! A run for people: one table of figures, one of ratios.

use std::fmt::Write;

use crate::{
    plan::Measure,
    results::{CaseResult, Ratio, Results, Sample, Trouble},
    stats::Summary,
};

/// The whole report as markdown, its tables aligned so that they read well on a terminal too.
pub(crate) fn markdown(results: &Results) -> String {
    let mut out = String::from("# netipc beside the floors of one machine\n\n");
    for (name, fact) in &results.facts {
        writeln!(out, "- {name}: {fact}").expect("a string takes everything");
    }
    out.push_str(METHOD);
    out.push_str("\n## Ratios\n\n");
    let ratios = results.ratios.iter().map(ratio_row).collect();
    table(&mut out, &["case", "by", "held against", "ratio", "min–max", "goal", ""], ratios);
    out.push_str("\n## Figures\n\n");
    table(&mut out, FIGURES, results.cases.iter().filter_map(figures_row).collect());
    let footprints: Vec<_> = results.cases.iter().filter_map(footprint_row).collect();
    if !footprints.is_empty() {
        out.push_str("\n## Server memory and threads\n\n");
        table(&mut out, &["case", "threads", "KiB before", "KiB with sessions"], footprints);
    }
    let trouble: Vec<_> = results.cases.iter().filter_map(trouble_row).collect();
    if !trouble.is_empty() {
        out.push_str("\n## Not measured\n\n");
        table(&mut out, &["case", "", "why"], trouble);
    }
    out
}

const METHOD: &str = "
X: each side on a CPU of its own. S: both on one CPU. N: not pinned.
Ratios are made within each round; shown are the median and the extremes over the rounds.
Figures are medians over the rounds, in nanoseconds unless said otherwise; the spread is that of the mean.
Mean: time over calls, no clock read between calls. Percentiles: each step timed; of a step of many
calls (batch, hash and cache lookups), the step's time over its calls. Paced cases time every call.
CPU: user and system time of all threads, read by the driver from outside.
";

const FIGURES: &[&str] =
    &["case", "mean", "min–max", "p50", "p99", "calls/s", "client CPU/call", "server CPU/call"];

fn figures_row(case: &CaseResult) -> Option<Vec<String>> {
    let mean = case.summary(|sample| sample.ns_per_call)?;
    let median = |figure: fn(&Sample) -> f64| {
        case.summary(figure).map_or(String::new(), |summary| number(summary.median))
    };
    let or_nothing = |shown: bool, text: String| if shown { text } else { String::new() };
    Some(vec![
        case.id(),
        number(mean.median),
        range(&mean),
        median(|sample| sample.p50_ns as f64),
        median(|sample| sample.p99_ns as f64),
        or_nothing(case.rate == 0, median(|sample| sample.figure(Measure::CallsPerSecond))),
        median(|sample| sample.client_cpu_ns_per_call),
        or_nothing(case.server.is_some(), median(|sample| sample.server_cpu_ns_per_call)),
    ])
}

fn ratio_row(ratio: &Ratio) -> Vec<String> {
    let verdict = match ratio.met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    };
    let two = |figure: f64| format!("{figure:.2}");
    vec![
        ratio.case.clone(),
        ratio.measure.clone(),
        ratio.floors.join(" + "),
        ratio.ratio.map_or("none".into(), |ratio| two(ratio.median)),
        ratio.ratio.map_or(String::new(), |r| format!("{}–{}", two(r.min), two(r.max))),
        ratio.goal.clone().unwrap_or_default(),
        verdict.into(),
    ]
}

/// Only where there are many sessions: elsewhere it says nothing about the server.
fn footprint_row(case: &CaseResult) -> Option<Vec<String>> {
    if !case.name.contains("session") {
        return None;
    }
    let median = |figure: fn(&Sample) -> f64| Some(number(case.summary(figure)?.median));
    Some(vec![
        case.id(),
        median(|sample| sample.server_threads as f64)?,
        median(|sample| sample.server_idle_kib as f64)?,
        median(|sample| sample.server_kib as f64)?,
    ])
}

fn trouble_row(case: &CaseResult) -> Option<Vec<String>> {
    let (what, why) = match case.trouble.as_ref()? {
        Trouble::Skipped(why) => ("skipped", why),
        Trouble::Failed(why) => ("FAILED", why),
    };
    Some(vec![case.id(), what.into(), why.replace('\n', " ")])
}

/// Three digits below a thousand, none behind the point above.
fn number(figure: f64) -> String {
    match figure {
        f if f < 10.0 => format!("{f:.2}"),
        f if f < 100.0 => format!("{f:.1}"),
        f => grouped(f),
    }
}

fn range(summary: &Summary) -> String {
    format!("{}–{}", number(summary.min), number(summary.max))
}

/// 1234567 as 1,234,567.
fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Writes a markdown table whose columns are padded to one width.
fn table(out: &mut String, head: &[&str], rows: Vec<Vec<String>>) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count(), 3]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        for (at, (cell, &width)) in cells.zip(&widths).enumerate() {
            // Names to the left, figures to the right.
            let figure = cell.starts_with(|c: char| c.is_ascii_digit()) && at > 0;
            let done = if figure {
                write!(out, "| {cell:>width$} ")
            } else {
                write!(out, "| {cell:<width$} ")
            };
            done.expect("a string takes everything");
        }
        out.push_str("|\n");
    };
    line(&mut head.iter().copied());
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    line(&mut rule.iter().map(String::as_str));
    for row in &rows {
        line(&mut row.iter().map(String::as_str));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_they_deserve() {
        assert_eq!(number(7.126), "7.13");
        assert_eq!(number(71.26), "71.3");
        assert_eq!(number(712.6), "713");
        assert_eq!(number(1234567.8), "1,234,568");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = String::new();
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        table(&mut out, &["case", "n"], vec![row("a", "1"), row("longer", "1,000")]);
        let wanted = "\
| case   | n     |
| ------ | ----- |
| a      |     1 |
| longer | 1,000 |
";
        assert_eq!(out, wanted);
    }
}
