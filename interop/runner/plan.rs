//! Which cells there are: pairs of peers, scenarios, transports.

use std::{fmt, path::PathBuf};

use anyhow::{Context, Result, bail};

use crate::{
    args::Options,
    peer::Peer,
    scenario::{self, Scenario, Transport},
};

/// One place in the table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) scenario: Scenario,
    pub(crate) transport: Transport,
    pub(crate) client: Peer,
    pub(crate) server: Peer,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cell { scenario, transport, client, server } = self;
        let name = scenario.name;
        if scenario.group.is_empty() {
            write!(f, "{transport}, {name}, {} to {}", client.name, server.name)
        } else {
            let keys = &scenario.title;
            write!(f, "{transport}, {name} of {keys}, {} to {}", client.name, server.name)
        }
    }
}

/// One line of the table: its cells, in the order of the columns; nothing where there is none.
pub(crate) type Row = Vec<Option<Cell>>;

/// The lines for one transport, and the columns that have a cell in any of them.
pub(crate) struct Section {
    pub(crate) transport: Transport,
    pub(crate) columns: Vec<Scenario>,
    pub(crate) rows: Vec<Row>,
}

/// The sections of the table that `options` choose.
pub(crate) fn sections(options: &Options) -> Result<Vec<Section>> {
    let peers = peers(options)?;
    let scenarios = scenario::all(options.quick);
    let transports =
        Transport::ALL.into_iter().filter(|&t| options.transport.is_none_or(|o| o == t));
    let sections: Vec<Section> =
        transports.map(|transport| section(options, transport, &scenarios, &peers)).collect();
    if sections.iter().all(|section| section.rows.is_empty()) {
        bail!("no cell has {} in its name", options.only.join(" or "));
    }
    Ok(sections)
}

fn section(
    options: &Options,
    transport: Transport,
    scenarios: &[Scenario],
    peers: &[Peer],
) -> Section {
    let cell = |client: &Peer, server: &Peer, scenario: &Scenario| {
        let (client, server) = (client.clone(), server.clone());
        let cell = Cell { scenario: scenario.clone(), transport, client, server };
        let name = cell.to_string();
        let only = &options.only;
        let is_chosen = only.is_empty() || only.iter().any(|text| name.contains(text.as_str()));
        (is_chosen && scenario.transports.contains(&transport)).then_some(cell)
    };
    let pairs = peers.iter().flat_map(|client| peers.iter().map(move |server| (client, server)));
    let rows: Vec<Row> = pairs
        .filter(|(client, server)| client.dir_prefix == server.dir_prefix)
        .map(|(client, server)| scenarios.iter().map(|s| cell(client, server, s)).collect())
        .filter(|row: &Row| row.iter().any(Option::is_some))
        .collect();
    let is_used = |column: usize| rows.iter().any(|row| row[column].is_some());
    let used: Vec<usize> = (0..scenarios.len()).filter(|&column| is_used(column)).collect();
    Section {
        transport,
        columns: used.iter().map(|&column| scenarios[column].clone()).collect(),
        rows: rows.iter().map(|row| used.iter().map(|&c| row[c].clone()).collect()).collect(),
    }
}

/// The built-in peers that were built, and those that were given.
fn peers(options: &Options) -> Result<Vec<Peer>> {
    let program = std::env::current_exe().context("find this program")?;
    let beside = program.parent().context("this program is in no directory")?.to_owned();
    let places: Vec<PathBuf> = options.built.iter().cloned().chain([beside]).collect();
    let mut peers = Vec::new();
    for name in ["rust", "c", "go"] {
        if options.without.iter().any(|without| without == name) {
            continue;
        }
        let file = format!("netipc-interop-{name}");
        match places.iter().map(|place| place.join(&file)).find(|path| path.is_file()) {
            Some(path) => {
                let path = path.to_str().context("the path of a peer is not UTF-8")?.to_owned();
                peers.push(Peer {
                    name: name.into(),
                    command: vec![path],
                    dir_prefix: String::new(),
                });
            }
            None => eprintln!("without the {name} peer: no {file} was built"),
        }
    }
    peers.extend(options.peers.iter().cloned());
    for (index, peer) in peers.iter().enumerate() {
        if peers[..index].iter().any(|other| other.name == peer.name) {
            bail!("two peers are named {}", peer.name);
        }
    }
    Ok(peers)
}
