//! Where the ranks are: in which process, on which machine, on which core.

use serde::{Deserialize, Serialize};

/// How far apart two ranks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// In one process.
    Process,
    /// On one machine.
    Machine,
    /// On different machines.
    Network,
}

/// Where a rank is. Numbers mean nothing but that equal ones are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its process.
    pub process: u32,
    /// Its machine.
    pub machine: u32,
    /// Its core, counted over all machines: ranks of one core take turns.
    pub core: u32,
}

/// Where all ranks of a group are.
///
/// ```
/// use fmi_model::topology::{Distance, Topology};
/// let functions = Topology::apart(8);
/// assert_eq!(functions.distance(0, 7), Distance::Network);
/// let packs = Topology::packs(8, 4);
/// assert_eq!(packs.distance(0, 3), Distance::Process);
/// assert_eq!((packs.processes(), packs.farthest()), (2, Distance::Network));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topology {
    places: Vec<Place>,
}

/// Whether ranks of one process take turns on so few threads that one of them serves all others sooner than each
/// looks after itself. Threads that are more than two look side by side.
#[must_use]
pub fn take_turns(ranks: usize, threads: usize) -> bool {
    ranks > threads && (1..=2).contains(&threads)
}

impl Topology {
    /// Each rank on a machine of its own: functions.
    #[must_use]
    pub fn apart(ranks: usize) -> Self {
        Self::packs(ranks, 1)
    }

    /// Machines of one process with so many ranks each, which have a core each.
    #[must_use]
    pub fn packs(ranks: usize, pack: usize) -> Self {
        let place = |rank: usize| {
            let process = (rank / pack.max(1)) as u32;
            Place { process, machine: process, core: rank as u32 }
        };
        Self { places: (0..ranks).map(place).collect() }
    }

    /// One machine with so many cores, and processes of so many ranks on it. Ranks take cores in turn.
    #[must_use]
    pub fn machine(ranks: usize, pack: usize, cores: usize) -> Self {
        let place = |rank: usize| Place {
            process: (rank / pack.max(1)) as u32,
            machine: 0,
            core: (rank % cores.max(1)) as u32,
        };
        Self { places: (0..ranks).map(place).collect() }
    }

    /// As these places say.
    #[must_use]
    pub fn new(places: Vec<Place>) -> Self {
        Self { places }
    }

    /// How many ranks there are.
    #[must_use]
    pub fn ranks(&self) -> usize {
        self.places.len()
    }

    /// Where each rank is.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// How many processes there are.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.count(|place| place.process)
    }

    /// How many cores the ranks have together.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.count(|place| place.core)
    }

    /// Whether processes share a core; where there is but one process, whether its ranks [take
    /// turns](take_turns).
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        if self.processes() == 1 {
            return take_turns(self.ranks(), self.cores());
        }
        let mut processes: Vec<(u32, u32)> =
            self.places.iter().map(|place| (place.core, place.process)).collect();
        processes.sort_unstable();
        processes.dedup();
        processes.len() > self.cores()
    }

    /// How far apart two ranks are.
    #[must_use]
    pub fn distance(&self, one: usize, other: usize) -> Distance {
        let (one, other) = (self.places[one], self.places[other]);
        match () {
            () if one.process == other.process => Distance::Process,
            () if one.machine == other.machine => Distance::Machine,
            () => Distance::Network,
        }
    }

    /// The distance of those ranks that are farthest apart.
    #[must_use]
    pub fn farthest(&self) -> Distance {
        match () {
            () if self.count(|place| place.process) <= 1 => Distance::Process,
            () if self.count(|place| place.machine) <= 1 => Distance::Machine,
            () => Distance::Network,
        }
    }

    fn count(&self, of: impl Fn(&Place) -> u32) -> usize {
        let mut all: Vec<u32> = self.places.iter().map(of).collect();
        all.sort_unstable();
        all.dedup();
        all.len()
    }
}
