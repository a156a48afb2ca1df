//! Which cases are measured, and what each is held against.

mod planner;

use std::fmt;

use crate::{args::Options, child::Peer, placement::Placement, task::Task};

/// One thing to measure: by whom, where, what.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) placement: Placement,
    pub(crate) task: Task,
    pub(crate) server: Peer,
    pub(crate) client: Peer,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.name, self.placement)
    }
}

/// Which figure of two cases is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Mean,
    P50,
    /// CPU time of both sides for a call.
    Cpu,
    /// CPU time of the client for a call.
    ClientCpu,
    CallsPerSecond,
    /// The case beside itself: its p99 over its p50.
    Tail,
    /// The case beside itself: the mean of its slowest round over that of its best.
    Slowest,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Measure::Mean => "mean",
            Measure::P50 => "p50",
            Measure::Cpu => "CPU per call",
            Measure::ClientCpu => "client CPU per call",
            Measure::CallsPerSecond => "calls/s",
            Measure::Tail => "p99",
            Measure::Slowest => "slowest round",
        })
    }
}

/// What a ratio should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    pub(crate) fn is_met_by(self, ratio: f64) -> bool {
        match self {
            Goal::AtMost(most) => ratio <= most,
            Goal::AtLeast(least) => ratio >= least,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::AtMost(most) => write!(f, "≤ {most}"),
            Goal::AtLeast(least) => write!(f, "≥ {least}"),
        }
    }
}

/// A case held against the sum of some floors, or against itself.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    /// Index of the case.
    pub(crate) case: usize,
    /// Indices of what it is held against.
    pub(crate) floors: Vec<usize>,
    pub(crate) measure: Measure,
    pub(crate) goal: Option<Goal>,
}

/// All cases in the order of a round, a floor next to what is held against it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) cases: Vec<Case>,
    pub(crate) comparisons: Vec<Comparison>,
}

impl Plan {
    /// The plan for `options`; `own` is this program as a peer.
    pub(crate) fn new(options: &Options, own: &Peer) -> Self {
        let mut plan = planner::all(own, &options.peers).only(&options.only);
        for case in &mut plan.cases {
            case.task.duration = options.duration;
            case.task.count = options.count;
        }
        plan
    }

    /// Leaves the cases with any of `texts` in their name, and their floors.
    fn only(self, texts: &[String]) -> Self {
        let named = |case: &Case| texts.iter().any(|text| case.to_string().contains(text.as_str()));
        let mut kept: Vec<bool> = self.cases.iter().map(|c| texts.is_empty() || named(c)).collect();
        let comparisons: Vec<_> = self.comparisons.into_iter().filter(|c| kept[c.case]).collect();
        comparisons.iter().flat_map(|c| &c.floors).for_each(|&floor| kept[floor] = true);
        let place = |old: usize| kept[..old].iter().filter(|&&kept| kept).count();
        Plan {
            comparisons: comparisons
                .into_iter()
                .map(|c| Comparison {
                    case: place(c.case),
                    floors: c.floors.iter().map(|&floor| place(floor)).collect(),
                    ..c
                })
                .collect(),
            cases: self.cases.into_iter().zip(&kept).filter(|(_, k)| **k).map(|(c, _)| c).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{placement::Placement::Across, task::Waiting};

    fn peer(name: &str) -> Peer {
        Peer { name: name.into(), command: vec![name.into()] }
    }

    #[test]
    fn no_case_is_planned_twice() {
        let plan = Plan::new(&Options::default(), &peer("rust"));
        let names: HashSet<_> = plan.cases.iter().map(Case::to_string).collect();
        assert_eq!(names.len(), plan.cases.len());
    }

    #[test]
    fn a_spinning_pair_never_shares_a_cpu() {
        let plan = Plan::new(&Options::default(), &peer("rust"));
        for case in &plan.cases {
            let spins = matches!(case.task.waiting, Waiting::Spin | Waiting::Wake);
            assert!(!spins || case.placement == Across, "{case}");
        }
    }

    #[test]
    fn choosing_a_case_keeps_what_it_is_held_against() {
        let only = vec!["increment, shm [X]".to_owned()];
        let plan = Plan::new(&Options { only, ..Options::default() }, &peer("rust"));
        assert_eq!(plan.comparisons.len(), 3);
        for comparison in &plan.comparisons {
            assert_eq!(plan.cases[comparison.case].to_string(), "increment, shm [X]");
            assert!(plan.cases[comparison.floors[0]].name.starts_with("line ping-pong"));
        }
    }

    #[test]
    fn a_foreign_peer_plays_both_sides_with_every_other() {
        let peers = vec![peer("c"), peer("go")];
        let plan = Plan::new(&Options { peers, ..Options::default() }, &peer("rust"));
        let pairs = plan.cases.iter().filter(|case| case.name.contains(" to "));
        let mixed = pairs.filter(|case| case.server != case.client).count();
        assert_eq!(mixed, 3 * 4 * 6);
    }

    #[test]
    fn every_row_that_has_a_goal_is_there_in_every_language() {
        let peers = vec![peer("c"), peer("go")];
        let own = peer("rust");
        let plan = Plan::new(&Options { peers, ..Options::default() }, &own);
        let has_goal = |c: &&Comparison| c.goal.is_some() && !c.floors.is_empty();
        let rows = plan.comparisons.iter().filter(has_goal);
        for row in rows.filter(|row| plan.cases[row.case].server == own) {
            for name in ["c", "go"] {
                let its = format!("{}, {name} to {name}", plan.cases[row.case].name);
                let is_its = |c: &&Comparison| {
                    let case = &plan.cases[c.case];
                    case.name == its && case.placement == plan.cases[row.case].placement
                };
                let held = plan.comparisons.iter().filter(is_its);
                let held = held.filter(|c| c.floors == [row.case] && c.measure == row.measure);
                assert_eq!(held.filter(|c| c.goal.is_some()).count(), 1, "{its}");
            }
        }
        let names: HashSet<_> = plan.cases.iter().map(Case::to_string).collect();
        assert_eq!(names.len(), plan.cases.len());
    }
}
