//! Where the ranks of a call are, and how far what they send goes.

use super::{Args, case::Case};
use crate::{
    failure::Failure,
    units::{count, human},
};
use fmi::plan::{Packing, Packs, trace::Event};
use fmi_model::topology::{Distance, Place, Topology};

/// Where the ranks are: processes with contiguous ranges of them, machines with contiguous ranges of processes.
#[derive(Debug, Clone)]
pub(super) struct Stand {
    topology: Topology,
    /// Whether somebody said so.
    told: bool,
}

/// What goes so far: messages, and what is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Traffic {
    pub(super) messages: usize,
    pub(super) bytes: u64,
}

/// By distance: inside a process, inside a machine, farther.
pub(super) type ByDistance = [Traffic; 3];

impl Stand {
    pub(super) fn new(args: &Args, cores: usize) -> Result<Self, Failure> {
        let ranks = args.ranks as usize;
        let processes = match args.packs {
            _ if args.together => 1,
            None => ranks,
            Some(packs) if packs <= args.ranks => packs as usize,
            Some(packs) => {
                let text = format!("--packs {packs}: there are only {}", count(ranks, "rank"));
                return Err(Failure::usage(text));
            }
        };
        let machines = match args.machines {
            Some(machines) if machines as usize > processes => {
                let there = count(processes, "process");
                return Err(Failure::usage(format!(
                    "--machines {machines}: there are only {there}"
                )));
            }
            Some(machines) => machines as usize,
            // With a profile of one machine its cores are shared.
            None if cores > 0 => 1,
            None => processes,
        };
        // The k-th part of n things in p parts begins with number ⌊k·n/p⌋.
        let part = |number: usize, parts: usize, of: usize| ((number + 1) * parts - 1) / of;
        let place = |rank: usize| {
            let process = part(rank, processes, ranks);
            let machine = part(process, machines, processes);
            let core = if cores > 0 { machine * cores + rank % cores } else { rank };
            Place { process: process as u32, machine: machine as u32, core: core as u32 }
        };
        let topology = Topology::new((0..ranks).map(place).collect());
        Ok(Self { topology, told: args.packs.is_some() || args.machines.is_some() })
    }

    pub(super) fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(super) fn is_together(&self) -> bool {
        self.topology.processes() == 1
    }

    pub(super) fn packs(&self) -> Packs {
        match self.is_together() {
            true => Packs::ALONE,
            false => Packs::of(self.topology.places().iter().map(|place| place.process)),
        }
    }

    pub(super) fn packing(&self) -> Packing {
        Packing::of(&self.packs())
    }

    /// `, in 2 processes`, if that is not what it would be anyway.
    pub(super) fn text(&self) -> String {
        if !self.told {
            return String::new();
        }
        match self.topology.processes() {
            1 => " in 1 process".to_owned(),
            processes => format!(" in {processes} processes"),
        }
    }

    /// How far events go.
    pub(super) fn traffic(&self, events: &[Event], bytes: impl Fn(&Event) -> u64) -> ByDistance {
        let mut all = ByDistance::default();
        for event in events {
            let Some(to) = event.to else { continue };
            let way = &mut all[match self.topology.distance(event.from, to) {
                Distance::Process => 0,
                Distance::Machine => 1,
                Distance::Network => 2,
            }];
            way.messages += 1;
            way.bytes += bytes(event);
        }
        all
    }
}

/// How far things go, for who asked where ranks are.
pub(super) fn told(case: &Case) -> Option<String> {
    case.traffic.as_ref().filter(|_| case.stand.told).and_then(text)
}

/// `24 inside processes (480 KiB), 2 remote (320 KiB)`; nothing if nothing moves.
pub(super) fn text(traffic: &ByDistance) -> Option<String> {
    let names = ["inside processes", "between processes of a machine", "remote"];
    let parts: Vec<String> = traffic
        .iter()
        .zip(names)
        .filter(|(traffic, _)| traffic.messages > 0)
        .map(|(traffic, name)| match traffic.bytes {
            0 => format!("{} {name}", traffic.messages),
            bytes => format!("{} {name} ({})", traffic.messages, human(bytes)),
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
