//! What a run found: every figure of every round, as the JSON file keeps it.

use anyhow::Error;
use serde::Serialize;

use crate::{
    placement::Placement,
    plan::{Case, Comparison, Measure},
    stats::Summary,
};

/// One case in one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Sample {
    pub(crate) calls: u64,
    pub(crate) ns_per_call: f64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) max_ns: u64,
    pub(crate) client_cpu_ns_per_call: f64,
    /// 0 without a server.
    pub(crate) server_cpu_ns_per_call: f64,
    /// Memory of the server before the client came, and with it there.
    pub(crate) server_idle_kib: u64,
    pub(crate) server_kib: u64,
    pub(crate) server_threads: u64,
}

impl Sample {
    pub(crate) fn cpu_ns_per_call(&self) -> f64 {
        self.client_cpu_ns_per_call + self.server_cpu_ns_per_call
    }

    pub(crate) fn figure(&self, measure: Measure) -> f64 {
        match measure {
            Measure::Mean => self.ns_per_call,
            Measure::P50 => self.p50_ns as f64,
            Measure::Cpu => self.cpu_ns_per_call(),
            Measure::ClientCpu => self.client_cpu_ns_per_call,
            Measure::CallsPerSecond => 1e9 / self.ns_per_call,
            Measure::Tail => self.p99_ns as f64 / self.p50_ns as f64,
            Measure::Slowest => self.ns_per_call,
        }
    }
}

/// How measuring a case went in one round.
#[derive(Debug)]
pub(crate) enum Outcome {
    Measured(Sample),
    /// The machine has not the CPUs for it, or a peer does not know the scenario.
    Skipped(String),
    Failed(Error),
}

/// A case and all its rounds.
#[derive(Debug, Serialize)]
pub(crate) struct CaseResult {
    pub(crate) name: String,
    pub(crate) placement: Placement,
    pub(crate) task: String,
    pub(crate) client: String,
    pub(crate) server: Option<String>,
    /// Calls a second it was held to; 0: as fast as they go.
    pub(crate) rate: u64,
    /// One for each round; none in a round that failed.
    pub(crate) rounds: Vec<Option<Sample>>,
    /// Why it has no figures in some round.
    pub(crate) trouble: Option<Trouble>,
}

/// Why a case has no figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trouble {
    Skipped(String),
    Failed(String),
}

impl CaseResult {
    pub(crate) fn new(case: &Case) -> Self {
        CaseResult {
            name: case.name.clone(),
            placement: case.placement,
            task: case.task.words().join(" "),
            client: case.client.name.clone(),
            server: (!case.task.is_solo()).then(|| case.server.name.clone()),
            rate: case.task.rate,
            rounds: Vec::new(),
            trouble: None,
        }
    }

    pub(crate) fn push(&mut self, outcome: Outcome) {
        let sample = match outcome {
            Outcome::Measured(sample) => Some(sample),
            Outcome::Skipped(why) => {
                self.trouble.get_or_insert(Trouble::Skipped(why));
                None
            }
            Outcome::Failed(error) => {
                self.trouble = Some(Trouble::Failed(format!("{error:#}")));
                None
            }
        };
        self.rounds.push(sample);
    }

    pub(crate) fn id(&self) -> String {
        format!("{} [{}]", self.name, self.placement)
    }

    /// One figure over all rounds.
    pub(crate) fn summary(&self, figure: impl Fn(&Sample) -> f64) -> Option<Summary> {
        Summary::of(self.rounds.iter().flatten().map(figure))
    }
}

/// A ratio over all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Ratio {
    pub(crate) case: String,
    pub(crate) floors: Vec<String>,
    pub(crate) measure: String,
    /// None if there is no round with all figures.
    pub(crate) ratio: Option<Summary>,
    pub(crate) goal: Option<String>,
    /// Whether the median meets the goal.
    pub(crate) met: Option<bool>,
}

impl Ratio {
    /// Compares within each round, where drift of the machine touches both sides alike.
    pub(crate) fn new(comparison: &Comparison, cases: &[CaseResult]) -> Self {
        let case = &cases[comparison.case];
        let floors: Vec<&CaseResult> = comparison.floors.iter().map(|&at| &cases[at]).collect();
        let figure = |sample: &Sample| sample.figure(comparison.measure);
        let ratio_in = |(round, sample): (usize, &Option<Sample>)| {
            let floor = floors.iter().map(|floor| {
                let sample = floor.rounds.get(round)?.as_ref()?;
                Some(figure(sample))
            });
            let floor: Option<f64> = floor.sum();
            let ratio = figure(sample.as_ref()?) / floor?;
            ratio.is_finite().then_some(ratio)
        };
        let held_against = |what: &str| vec![what.to_owned()];
        let (ratio, floors) = match comparison.measure {
            Measure::Slowest => {
                let rounds = case.summary(figure);
                let ratio = Summary::of(rounds.map(|rounds| rounds.max / rounds.min));
                (ratio, held_against("its best round"))
            }
            Measure::Tail => (case.summary(figure), held_against("its p50")),
            _ => {
                let ratio = Summary::of(case.rounds.iter().enumerate().filter_map(ratio_in));
                (ratio, floors.iter().map(|floor| floor.id()).collect())
            }
        };
        Ratio {
            case: case.id(),
            floors,
            measure: comparison.measure.to_string(),
            ratio,
            goal: comparison.goal.map(|goal| goal.to_string()),
            met: comparison.goal.zip(ratio).map(|(goal, ratio)| goal.is_met_by(ratio.median)),
        }
    }
}

/// All that a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    /// Facts of machine and build, in the order of the report.
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) cases: Vec<CaseResult>,
    pub(crate) ratios: Vec<Ratio>,
}

impl Results {
    /// Whether some case failed; one that was skipped did not.
    pub(crate) fn has_failures(&self) -> bool {
        self.cases.iter().any(|case| matches!(case.trouble, Some(Trouble::Failed(_))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Goal;

    fn case(name: &str, means: &[Option<f64>]) -> CaseResult {
        let sample = |mean: f64| Sample { ns_per_call: mean, ..Sample::default() };
        CaseResult {
            name: name.into(),
            placement: Placement::Across,
            task: String::new(),
            client: "rust".into(),
            server: None,
            rate: 0,
            rounds: means.iter().map(|mean| mean.map(sample)).collect(),
            trouble: None,
        }
    }

    fn compare(floors: Vec<usize>, measure: Measure, goal: Goal, cases: &[CaseResult]) -> Ratio {
        Ratio::new(&Comparison { case: 0, floors, measure, goal: Some(goal) }, cases)
    }

    #[test]
    fn ratios_are_made_within_a_round() {
        let cases = [
            case("call", &[Some(10.0), Some(40.0), Some(90.0)]),
            case("floor", &[Some(10.0), Some(20.0), Some(30.0)]),
        ];
        let ratio = compare(vec![1], Measure::Mean, Goal::AtMost(2.0), &cases);
        let summary = ratio.ratio.unwrap();
        assert_eq!((summary.min, summary.median, summary.max), (1.0, 2.0, 3.0));
        assert_eq!(ratio.met, Some(true));
    }

    #[test]
    fn a_round_without_all_figures_does_not_count() {
        let cases = [
            case("call", &[Some(10.0), None, Some(90.0)]),
            case("floor", &[Some(10.0), Some(20.0), None]),
        ];
        let ratio = compare(vec![1], Measure::Mean, Goal::AtMost(2.0), &cases);
        assert_eq!(ratio.ratio.unwrap().max, 1.0);
        let cases = [case("call", &[None]), case("floor", &[Some(1.0)])];
        let ratio = compare(vec![1], Measure::Mean, Goal::AtMost(2.0), &cases);
        assert_eq!((ratio.ratio, ratio.met), (None, None));
    }

    #[test]
    fn floors_are_added_up() {
        let cases = [
            case("call", &[Some(30.0)]),
            case("pass", &[Some(10.0)]),
            case("round trip", &[Some(5.0)]),
        ];
        let ratio = compare(vec![1, 2], Measure::Mean, Goal::AtMost(1.9), &cases);
        assert_eq!(ratio.ratio.unwrap().median, 2.0);
        assert_eq!(ratio.met, Some(false));
    }

    #[test]
    fn more_calls_a_second_are_better() {
        let cases = [case("two", &[Some(5.0)]), case("one", &[Some(10.0)])];
        let ratio = compare(vec![1], Measure::CallsPerSecond, Goal::AtLeast(1.9), &cases);
        assert_eq!((ratio.ratio.unwrap().median, ratio.met), (2.0, Some(true)));
    }

    #[test]
    fn a_case_is_held_against_itself() {
        let mut call = case("call", &[Some(40.0), Some(10.0), None, Some(20.0)]);
        let slowest = compare(vec![], Measure::Slowest, Goal::AtMost(3.0), &[call]);
        assert_eq!((slowest.ratio.unwrap().median, slowest.met), (4.0, Some(false)));
        assert_eq!(slowest.floors, ["its best round"]);
        let sample = |p99_ns| Some(Sample { p50_ns: 100, p99_ns, ..Sample::default() });
        call = case("call", &[]);
        call.rounds = [200, 900, 5_000].map(sample).into();
        let tail = compare(vec![], Measure::Tail, Goal::AtMost(10.0), &[call]);
        assert_eq!((tail.ratio.unwrap().median, tail.met), (9.0, Some(true)));
    }

    #[test]
    fn a_failure_outweighs_being_skipped() {
        let mut result = case("call", &[]);
        result.push(Outcome::Skipped("one CPU".into()));
        assert_eq!(result.trouble, Some(Trouble::Skipped("one CPU".into())));
        result.push(Outcome::Failed(anyhow::anyhow!("it broke")));
        assert_eq!(result.trouble, Some(Trouble::Failed("it broke".into())));
        assert!(Results { facts: vec![], cases: vec![result], ratios: vec![] }.has_failures());
    }
}
