//! What the ranks compute: the nearest of many points, each rank over a part of them.

use fmi::{Communicator, op};
use serde::{Deserialize, Serialize};

/// Points of the whole job. A real service would read its part from disk.
pub const POINTS: u32 = 10_000;

/// One rank's points: those whose number leaves `rank` when divided by `size`.
#[derive(Debug)]
pub struct Shard {
    points: Vec<(u32, [f64; 2])>,
}

impl Shard {
    /// The part of this rank. After a rejoin rank and size may be others, and so is the part.
    #[must_use]
    pub fn of(comm: &Communicator) -> Self {
        let own = (0..POINTS).skip(comm.rank()).step_by(comm.size());
        Self { points: own.map(|number| (number, point(number))).collect() }
    }
}

/// Finds the point next to `(x, y)`. Its fields travel from the driver to all ranks, which run
/// it with their shards.
#[derive(Debug, Serialize, Deserialize, fmi::Protocol)]
#[protocol(output = Found, state = Shard)]
pub struct Nearest {
    /// Where to look.
    pub x: f64,
    /// Where to look.
    pub y: f64,
}

/// The nearest point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, fmi::Message)]
pub struct Found {
    /// Its number.
    pub point: u32,
    /// How far it is.
    pub distance: f64,
    /// How many ranks looked.
    pub ranks: usize,
}

impl Nearest {
    async fn run(self, shard: &Shard, comm: &Communicator) -> fmi::Result<Found> {
        let ranks = comm.size();
        let far = Found { point: u32::MAX, distance: f64::INFINITY, ranks };
        let own = shard.points.iter().map(|(point, at)| Found {
            point: *point,
            distance: (at[0] - self.x).hypot(at[1] - self.y),
            ranks,
        });
        comm.allreduce(own.fold(far, nearer), op::whole(op::commutative(nearer))).await
    }
}

/// Where a point is: scattered, and the same on all ranks and in all runs.
#[must_use]
pub fn point(number: u32) -> [f64; 2] {
    let hash = |salt: u64| {
        let mixed = (u64::from(number) + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64
    };
    [hash(1) / f64::from(1 << 24), hash(1 << 32) / f64::from(1 << 24)]
}

/// Of equally near ones the first, so that all groups agree.
fn nearer(left: Found, right: Found) -> Found {
    if (right.distance, right.point) < (left.distance, left.point) { right } else { left }
}
