//! Two collectives of one's own, made of sends and receives: a halo exchange and a ring allreduce.
//!
//! ```text
//! cargo run --example custom_collective                              # ranks in this process
//! fmi run -n 4 --channel tcp -- target/debug/examples/custom_collective
//! ```
//!
//! A rod is heated in its middle. Each rank has a piece of it and, step after step, lets the heat
//! spread; for that it needs the cells next to its own, which its neighbours have: the *halo*.
//! Every now and then all ranks add up their heat, which must stay the same, around a *ring*.

use fmi::prelude::*;

/// Cells of the whole rod.
const CELLS: usize = 60;
const STEPS: usize = 200;
/// How much of a difference flows in one step; stable up to a half.
const RATE: f64 = 0.25;

/// The cells on both sides of a rank's own.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Halo {
    /// The lower neighbour's last cell; `None` at the end of the rod.
    before: Option<f64>,
    /// The upper neighbour's first cell.
    after: Option<f64>,
}

/// Every rank gets its neighbours' outermost cells. It only lends its own.
#[derive(fmi::Protocol)]
#[protocol(output = Halo)]
struct Exchange<'a> {
    cells: &'a [f64],
}

impl Exchange<'_> {
    // Tags may be anything: they live in this call and meet nobody else's.
    const UP: u32 = 0;
    const DOWN: u32 = 1;

    async fn run(self, comm: &Communicator) -> fmi::Result<Halo> {
        let below = comm.rank().checked_sub(1);
        let above = Some(comm.rank() + 1).filter(|rank| *rank < comm.size());
        let [first, .., last] = *self.cells else {
            return Err(fmi::Error::failed("a rank needs two cells at least"));
        };
        // Sends end when the message is on its way: nobody waits for anybody here.
        if let Some(above) = above {
            comm.send(last, above, Self::UP).await?;
        }
        if let Some(below) = below {
            comm.send(first, below, Self::DOWN).await?;
        }
        let mut halo = Halo { before: None, after: None };
        if let Some(below) = below {
            halo.before = Some(comm.recv(below, Self::UP).await?);
        }
        if let Some(above) = above {
            halo.after = Some(comm.recv(above, Self::DOWN).await?);
        }
        Ok(halo)
    }
}

/// The sum of all ranks' vectors, on every rank.
///
/// Ring allreduce: the vector is cut into as many parts as there are ranks. In `n - 1` rounds
/// every part goes around and collects its sum, in `n - 1` more the sums go around. Each rank
/// sends `2 (n - 1) / n` of its vector in all, however many ranks there are.
#[derive(fmi::Protocol)]
#[protocol(output = Vec<f64>)]
struct RingSum {
    values: Vec<f64>,
}

impl RingSum {
    async fn run(mut self, comm: &Communicator) -> fmi::Result<Vec<f64>> {
        let (rank, size) = (comm.rank(), comm.size());
        let (next, previous) = ((rank + 1) % size, (rank + size - 1) % size);
        let length = self.values.len();
        let part = |number: usize| {
            let number = number % size;
            number * length / size..(number + 1) * length / size
        };
        for round in 0..2 * (size - 1) {
            let sent = self.values[part(rank + 2 * size - round)].to_vec();
            let got: Vec<f64> = comm.sendrecv(sent, next, 0, previous, 0).await?;
            let place = &mut self.values[part(rank + 2 * size - round - 1)];
            if got.len() != place.len() {
                return Err(fmi::Error::failed("ranks have vectors of different lengths"));
            }
            if round < size - 1 {
                place.iter_mut().zip(got).for_each(|(here, more)| *here += more);
            } else {
                place.copy_from_slice(&got);
            }
        }
        Ok(self.values)
    }
}

/// One step of the heat on a piece of the rod; nothing flows through the rod's ends.
fn diffuse(cells: &[f64], halo: Halo) -> Vec<f64> {
    let at = |index: usize| cells[index];
    (0..cells.len())
        .map(|index| {
            let before = index.checked_sub(1).map(at).or(halo.before).unwrap_or(at(index));
            let after = cells.get(index + 1).copied().or(halo.after).unwrap_or(at(index));
            at(index) + RATE * (before - 2.0 * at(index) + after)
        })
        .collect()
}

/// The rod at the start: cold, but for the middle.
fn rod() -> Vec<f64> {
    (0..CELLS).map(|cell| if cell.abs_diff(CELLS / 2) < 4 { 100.0 } else { 0.0 }).collect()
}

/// What one rank alone would get.
fn serial() -> Vec<f64> {
    let ends = Halo { before: None, after: None };
    (0..STEPS).fold(rod(), |cells, _| diffuse(&cells, ends))
}

/// All ranks together; rank 0 gets the whole rod.
async fn heat(comm: &Communicator) -> fmi::Result<Option<Vec<f64>>> {
    let (rank, size) = (comm.rank(), comm.size());
    let mut cells = rod()[rank * CELLS / size..(rank + 1) * CELLS / size].to_vec();
    for step in 0..STEPS {
        if step % 50 == 0 {
            // Heat of the rank's own piece, one entry a rank, zero elsewhere.
            let mut values = vec![0.0; size];
            values[rank] = cells.iter().sum();
            let heat = comm.call(RingSum { values }).await?;
            if rank == 0 {
                println!("step {step:3}: heat by rank {heat:6.1?}, all {:.1}", total(&heat));
            }
        }
        let halo = comm.call(Exchange { cells: &cells }).await?;
        cells = diffuse(&cells, halo);
    }
    // Pieces may differ by a cell: as values, which may have any length.
    let pieces = comm.gather(Some(cells), 0).await?;
    Ok(pieces.map(|pieces| pieces.into_iter().flatten().flatten().collect()))
}

fn total(values: &[f64]) -> f64 {
    values.iter().sum()
}

#[fmi::rank]
async fn main(ctx: fmi::Context) -> fmi::Result<()> {
    if let Some(rod) = heat(&ctx).await? {
        println!("step {STEPS:3}: {}", drawn(&rod));
        let same = rod == serial();
        println!("one rank alone gets {}", if same { "the same" } else { "something else!" });
    }
    Ok(())
}

/// The rod as a line of shades.
fn drawn(rod: &[f64]) -> String {
    let shades = [' ', '.', ':', '-', '=', '+', '*', '#'];
    let most = rod.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    rod.iter().map(|heat| shades[(heat / most * 7.0) as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[fmi::test(ranks = 7)]
    async fn heat_spreads_as_on_one_rank(ctx: fmi::Context) -> fmi::Result<()> {
        if let Some(rod) = heat(&ctx).await? {
            assert_eq!(rod, serial());
            assert!((total(&rod) - total(&super::rod())).abs() < 1e-9);
        }
        Ok(())
    }

    #[fmi::test(ranks = 5)]
    async fn the_ring_adds_up_vectors_of_any_length(ctx: fmi::Context) -> fmi::Result<()> {
        for length in [0, 1, 4, 5, 23] {
            let values = (0..length).map(|index| (ctx.rank() * index) as f64).collect();
            let expected: Vec<_> = (0..length).map(|index| (10 * index) as f64).collect();
            assert_eq!(ctx.call(RingSum { values }).await?, expected);
        }
        Ok(())
    }

    #[fmi::test(ranks = 1)]
    async fn one_rank_alone_has_no_halo(ctx: fmi::Context) -> fmi::Result<()> {
        let halo = ctx.call(Exchange { cells: &[1.0, 2.0] }).await?;
        assert_eq!(halo, Halo { before: None, after: None });
        assert_eq!(ctx.call(RingSum { values: vec![1.0] }).await?, [1.0]);
        Ok(())
    }

    #[fmi::test(ranks = 3)]
    #[should_panic(expected = "two cells")]
    async fn too_small_a_piece_is_told(ctx: fmi::Context) -> fmi::Result<()> {
        ctx.call(Exchange { cells: &[1.0] }).await.map(drop)
    }
}
