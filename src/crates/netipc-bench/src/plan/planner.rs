//! All cases, by subject.

use super::{Case, Comparison, Goal, Measure, Plan};
use crate::{
    child::Peer,
    placement::Placement::{self, Across, Same, Unpinned},
    task::{
        Scenario, Task,
        Transport::{Ring, Shared, Socket},
        Waiting,
    },
};

/// Every case there is, and what each is held against.
pub(super) fn all(own: &Peer, foreign: &[Peer]) -> Plan {
    let mut planner = Planner { plan: Plan::default(), own };
    planner.small_calls_on_sockets();
    planner.small_calls_in_shared_memory();
    planner.paced_calls();
    planner.many_calls_at_once();
    planner.snapshots();
    planner.lookups();
    planner.cache();
    planner.sessions();
    planner.peers(foreign);
    planner.languages(foreign);
    planner.plan
}

struct Planner<'a> {
    plan: Plan,
    own: &'a Peer,
}

impl Planner<'_> {
    fn small_calls_on_sockets(&mut self) {
        for placement in [Same, Across, Unpinned] {
            let echo = self.add("raw socket echo", placement, floor(Scenario::FloorSocket));
            let call = self.add("increment, socket", placement, increment_on_socket());
            let goal = (placement == Same).then_some(Goal::AtMost(1.15));
            self.hold(call, &[echo], Measure::Mean, goal);
            if placement == Across {
                let spin = self.add("raw socket echo, spinning", placement, spinning_echo());
                self.hold(call, &[spin], Measure::Mean, Some(Goal::AtMost(1.5)));
            }
        }
    }

    fn small_calls_in_shared_memory(&mut self) {
        let copy = Task { items: crate::floors::MESSAGE, ..floor(Scenario::FloorCopy) };
        self.add("copy of 40 bytes, 4 times", Same, copy);
        let spin = self.add("line ping-pong, spinning", Across, line(Waiting::Spin));
        let wake = self.add("line ping-pong, futex wake for nobody", Across, line(Waiting::Wake));
        let flag = self.add("line ping-pong, waiter flag", Across, line(Waiting::Flag));
        let call = self.add("increment, shm", Across, increment_in_shared_memory());
        self.hold(call, &[wake], Measure::Mean, Some(Goal::AtMost(2.0)));
        self.hold(call, &[spin], Measure::Mean, None);
        self.hold(call, &[flag], Measure::Mean, None);
        let ring = self.add("increment, ring", Across, increment_over_rings());
        self.hold(ring, &[flag], Measure::Mean, Some(Goal::AtMost(2.5)));
        self.hold(ring, &[], Measure::Tail, Some(Goal::AtMost(10.0)));
        for placement in [Same, Unpinned] {
            let sleep = self.add("line ping-pong, sleep and wake", placement, line(Waiting::Block));
            let flag = self.add("line ping-pong, waiter flag", placement, line(Waiting::Flag));
            let call = self.add("increment, shm", placement, increment_in_shared_memory());
            self.hold(call, &[sleep], Measure::Mean, None);
            self.hold(call, &[flag], Measure::Mean, None);
            let ring = self.add("increment, ring", placement, increment_over_rings());
            let goal = (placement == Same).then_some(Goal::AtMost(1.5));
            self.hold(ring, &[sleep], Measure::Mean, goal);
            self.hold(ring, &[flag], Measure::Mean, None);
            if placement == Unpinned {
                self.hold(ring, &[], Measure::Slowest, Some(Goal::AtMost(3.0)));
            }
        }
        self.add("line ping-pong, sleep and wake", Across, line(Waiting::Block));
    }

    fn paced_calls(&mut self) {
        for (rate, words) in [(1_000, "1k/s"), (10_000, "10k/s")] {
            let at = |task| Task { rate, ..task };
            self.add(&format!("pacing alone, {words}"), Same, at(floor(Scenario::FloorPacing)));
            let pairs = [
                ("line ping-pong, sleep and wake", line(Waiting::Block), "increment, shm"),
                ("line ping-pong, sleep and wake", line(Waiting::Block), "increment, ring"),
                ("raw socket echo", floor(Scenario::FloorSocket), "increment, socket"),
            ];
            for (floor_name, floor_task, name) in pairs {
                let call = match name {
                    "increment, shm" => increment_in_shared_memory(),
                    "increment, ring" => increment_over_rings(),
                    _ => increment_on_socket(),
                };
                let floor = self.add(&format!("{floor_name}, {words}"), Across, at(floor_task));
                let call = self.add(&format!("{name}, {words}"), Across, at(call));
                self.hold(call, &[floor], Measure::P50, Some(Goal::AtMost(1.3)));
                self.hold(call, &[floor], Measure::Cpu, Some(Goal::AtMost(1.1)));
            }
        }
    }

    fn many_calls_at_once(&mut self) {
        const DEPTH: usize = 16;
        for placement in [Same, Across] {
            let raw = Task { depth: DEPTH, ..floor(Scenario::FloorSocket) };
            let raw = self.add("raw socket echo, 16 in flight", placement, raw);
            let pipeline = self.add("pipeline of 16, socket", placement, pipeline_of(DEPTH));
            self.hold(pipeline, &[raw], Measure::Mean, Some(Goal::AtMost(1.3)));
            let pipeline = Task { transport: Ring, ..pipeline_of(DEPTH) };
            self.add("pipeline of 16, ring", placement, pipeline);
            let batch = Task { depth: DEPTH, ..Task::new(Scenario::Batch) };
            let batch = self.add("batch of 16, socket", placement, batch);
            self.hold(batch, &[raw], Measure::Mean, None);
        }
    }

    fn snapshots(&mut self) {
        let round_trips = [
            (Socket, self.add("raw socket echo", Across, floor(Scenario::FloorSocket))),
            (Shared, self.add("line ping-pong, sleep and wake", Across, line(Waiting::Block))),
            (Ring, self.add("line ping-pong, waiter flag", Across, line(Waiting::Flag))),
        ];
        for items in [16, 1_000, 16_000] {
            let floor = Task { items, ..floor(Scenario::FloorSnapshot) };
            let floor = self.add(&format!("one copy and index, {items} items"), Same, floor);
            for (transport, round_trip) in round_trips {
                let task = Task { items, transport, ..Task::new(Scenario::Snapshot) };
                let name = format!("cache refresh, {transport}, {items} items");
                let refresh = self.add(&name, Across, task);
                // A small table costs less than the question for it.
                let small = items < 1_000;
                let goal = Some(Goal::AtMost(2.0));
                let floors = [floor, round_trip];
                self.hold(refresh, &floors[..1], Measure::ClientCpu, goal.filter(|_| !small));
                self.hold(refresh, &floors, Measure::ClientCpu, goal.filter(|_| small));
            }
            let task = Task { items, transport: Shared, ..Task::new(Scenario::Unchanged) };
            let name = format!("cache refresh, unchanged, shm, {items} items");
            let unchanged = self.add(&name, Across, task);
            self.hold(unchanged, &[floor], Measure::ClientCpu, None);
        }
    }

    fn lookups(&mut self) {
        let round_trips = [
            (Socket, self.add("raw socket echo, spinning", Across, spinning_echo())),
            (
                Shared,
                self.add("line ping-pong, futex wake for nobody", Across, line(Waiting::Wake)),
            ),
            (Ring, self.add("line ping-pong, waiter flag", Across, line(Waiting::Flag))),
        ];
        let kinds = [
            ("cgroups", Scenario::FloorCgroups, Scenario::Cgroups),
            ("apps", Scenario::FloorApps, Scenario::Apps),
        ];
        for (kind, floor_scenario, scenario) in kinds {
            for items in [16, 256, 8_192] {
                let pass = Task { items, ..floor(floor_scenario) };
                let pass = self.add(&format!("one pass, {kind}, {items} keys"), Same, pass);
                for (transport, round_trip) in round_trips {
                    let task = Task { items, transport, ..Task::new(scenario) };
                    let name = format!("lookup, {kind}, {transport}, {items} keys");
                    let lookup = self.add(&name, Across, task);
                    let goal = Some(Goal::AtMost(2.0));
                    self.hold(lookup, &[pass, round_trip], Measure::Mean, goal);
                    self.hold(lookup, &[pass, round_trip], Measure::Cpu, None);
                }
            }
        }
    }

    fn cache(&mut self) {
        for items in [16, 1_000, 100_000] {
            let mut one = [None; 2];
            for (threads, placement) in [(1, Same), (2, Unpinned)] {
                let sizes = format!("{items} items, threads: {threads}");
                let probe = Task { items, threads, ..floor(Scenario::FloorProbe) };
                let probe = self.add(&format!("plain hash lookup, {sizes}"), placement, probe);
                let cache = Task { items, threads, ..Task::new(Scenario::Cache) };
                let cache = self.add(&format!("cache lookup, {sizes}"), placement, cache);
                self.hold(cache, &[probe], Measure::Mean, Some(Goal::AtMost(1.5)));
                let direct = Task { items, threads, ..Task::new(Scenario::CacheDirect) };
                let direct = self.add(&format!("direct cache lookup, {sizes}"), placement, direct);
                self.hold(direct, &[probe], Measure::Mean, Some(Goal::AtMost(1.5)));
                for (case, one) in [probe, cache].into_iter().zip(&mut one) {
                    match *one {
                        None => *one = Some(case),
                        Some(one) => {
                            // Twice, less what starting and stopping two threads blurs.
                            let goal = (case == cache).then_some(Goal::AtLeast(1.9));
                            self.hold(case, &[one], Measure::CallsPerSecond, goal);
                        }
                    }
                }
            }
        }
    }

    fn sessions(&mut self) {
        let one = Task { workers: 4, ..Task::new(Scenario::Sessions) };
        let many = Task { sessions: 1_000, threads: 4, ..one.clone() };
        let one = self.add("1 session, 4 workers", Unpinned, one);
        let many = self.add("1000 sessions, 4 workers", Unpinned, many);
        self.hold(many, &[one], Measure::CallsPerSecond, Some(Goal::AtLeast(0.5)));
        let over_rings =
            |case: usize| Task { transport: Ring, ..self.plan.cases[case].task.clone() };
        let (one, many) = (over_rings(one), over_rings(many));
        let one = self.add("1 session, ring, 4 workers", Unpinned, one);
        let many = self.add("1000 sessions, ring, 4 workers", Unpinned, many);
        self.hold(many, &[one], Measure::CallsPerSecond, Some(Goal::AtLeast(0.5)));
    }

    /// Every ordered pair of two peers, at least one of them foreign, held against this program
    /// with itself, and small calls against their floor.
    fn peers(&mut self, foreign: &[Peer]) {
        if foreign.is_empty() {
            return;
        }
        let all = || [self.own].into_iter().chain(foreign);
        let pairs: Vec<(Peer, Peer)> = all()
            .flat_map(|server| all().map(move |client| (server.clone(), client.clone())))
            .filter(|(server, client)| server != self.own || client != self.own)
            .collect();
        let spin = self.add("raw socket echo, spinning", Across, spinning_echo());
        let wake = self.add("line ping-pong, futex wake for nobody", Across, line(Waiting::Wake));
        let flag = self.add("line ping-pong, waiter flag", Across, line(Waiting::Flag));
        for (transport, round_trip) in [(Socket, spin), (Shared, wake), (Ring, flag)] {
            let task = |scenario, items| Task { items, transport, ..Task::new(scenario) };
            let tasks = [
                (format!("increment, {transport}"), task(Scenario::Increment, 1)),
                (
                    format!("cache refresh, {transport}, 1000 items"),
                    task(Scenario::Snapshot, 1_000),
                ),
                (format!("lookup, cgroups, {transport}, 256 keys"), task(Scenario::Cgroups, 256)),
                (format!("lookup, apps, {transport}, 256 keys"), task(Scenario::Apps, 256)),
            ];
            for (name, task) in tasks {
                let own = self.add(&name, Across, task.clone());
                for (server, client) in &pairs {
                    let name = format!("{name}, {} to {}", client.name, server.name);
                    // One language against this one. Of mixed pairs either side may be at fault.
                    let goal = (server == client).then_some(Goal::AtMost(2.0));
                    let (server, client) = (server.clone(), client.clone());
                    let case = Case { name, placement: Across, task: task.clone(), server, client };
                    self.plan.cases.push(case);
                    let case = self.plan.cases.len() - 1;
                    self.hold(case, &[own], Measure::Mean, goal);
                    if task.scenario == Scenario::Increment {
                        self.hold(case, &[round_trip], Measure::Mean, None);
                    }
                }
            }
        }
    }

    /// Whatever has a goal, by each foreign peer with itself and held against this program: one
    /// language against another in every row. What a peer does not know is skipped.
    fn languages(&mut self, foreign: &[Peer]) {
        let is_judged = |c: &&Comparison| c.goal.is_some() && self.is_own(c.case);
        let rows: Vec<_> = self.plan.comparisons.iter().filter(is_judged).cloned().collect();
        for peer in foreign {
            for &Comparison { case: own, ref floors, measure, .. } in &rows {
                // A case beside itself stays that: it is not about the language.
                if floors.is_empty() {
                    continue;
                }
                let case = &self.plan.cases[own];
                let name = format!("{}, {} to {}", case.name, peer.name, peer.name);
                let (server, client) = (peer.clone(), peer.clone());
                let case = self.add_case(Case { name, server, client, ..case.clone() });
                let goal = match measure {
                    Measure::CallsPerSecond => Goal::AtLeast(0.5),
                    _ => Goal::AtMost(2.0),
                };
                let is_same =
                    |c: &Comparison| c.case == case && c.floors == [own] && c.measure == measure;
                if !self.plan.comparisons.iter().any(is_same) {
                    self.hold(case, &[own], measure, Some(goal));
                }
            }
        }
    }

    /// Whether this program plays both sides of a case.
    fn is_own(&self, case: usize) -> bool {
        let Case { server, client, .. } = &self.plan.cases[case];
        server == self.own && client == self.own
    }

    /// Adds a case of this program with itself, or finds it where it is already.
    fn add(&mut self, name: &str, placement: Placement, task: Task) -> usize {
        let own = self.own.clone();
        self.add_case(Case { name: name.into(), placement, task, server: own.clone(), client: own })
    }

    /// Adds a case, or finds it where it is already.
    fn add_case(&mut self, case: Case) -> usize {
        let known = self.plan.cases.iter().position(|c| c.to_string() == case.to_string());
        known.unwrap_or_else(|| {
            self.plan.cases.push(case);
            self.plan.cases.len() - 1
        })
    }

    fn hold(&mut self, case: usize, floors: &[usize], measure: Measure, goal: Option<Goal>) {
        self.plan.comparisons.push(Comparison { case, floors: floors.into(), measure, goal });
    }
}

fn floor(scenario: Scenario) -> Task {
    Task::new(scenario)
}

fn spinning_echo() -> Task {
    Task { waiting: Waiting::Spin, ..Task::new(Scenario::FloorSocket) }
}

fn line(waiting: Waiting) -> Task {
    Task { waiting, ..Task::new(Scenario::FloorLine) }
}

fn increment_on_socket() -> Task {
    Task::new(Scenario::Increment)
}

fn increment_in_shared_memory() -> Task {
    Task { transport: Shared, ..Task::new(Scenario::Increment) }
}

fn pipeline_of(depth: usize) -> Task {
    Task { depth, ..Task::new(Scenario::Pipeline) }
}

fn increment_over_rings() -> Task {
    Task { transport: Ring, ..Task::new(Scenario::Increment) }
}
