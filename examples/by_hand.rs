//! A protocol without the derive: what `#[derive(fmi::Protocol)]` writes, written by hand.
//!
//! ```text
//! cargo run --example by_hand                                        # ranks in this process
//! fmi run -n 4 --channel tcp -- target/debug/examples/by_hand        # four processes
//! ```
//!
//! Each rank has a number. The protocol finds their mean and how far from it they are spread. Its
//! fields are one rank's input; what it does is ordinary async code. Everything that the ranks
//! say to each other in it stays in it.

use fmi::prelude::*;
use std::future::Future;

/// One rank's number, on its way into the mean and deviation of all.
struct Spread {
    x: f64,
}

/// What every rank gets.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Summary {
    mean: f64,
    deviation: f64,
}

impl Spread {
    /// What you write with the derive, too.
    async fn run(self, comm: &Communicator) -> fmi::Result<Summary> {
        let n = comm.size() as f64;
        let mean = comm.allreduce(self.x, op::sum()).await? / n;
        let squares = comm.allreduce((self.x - mean).powi(2), op::sum()).await?;
        Ok(Summary { mean, deviation: (squares / n).sqrt() })
    }
}

/// What `#[derive(fmi::Protocol)] #[protocol(output = Summary)]` writes. `S` is what a rank that
/// serves has besides the message; this protocol needs none, and so runs with any.
impl<S: ?Sized + Sync> fmi::Protocol<S> for Spread {
    type Output = Summary;

    fn enact(
        self,
        _: &S,
        comm: &Communicator,
    ) -> impl Future<Output = fmi::Result<Summary>> + Send {
        Self::run(self, comm)
    }
}

#[fmi::rank]
async fn main(ctx: fmi::Context) -> fmi::Result<()> {
    let x = (ctx.rank() * ctx.rank()) as f64;
    println!("rank {}: my number is {x}", ctx.rank());
    let Summary { mean, deviation } = ctx.call(Spread { x }).await?;
    if ctx.rank() == 0 {
        println!("all ranks: the mean is {mean}, the standard deviation {deviation:.3}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, derived.
    #[derive(fmi::Protocol)]
    #[protocol(output = Summary)]
    struct Derived {
        x: f64,
    }

    impl Derived {
        async fn run(self, comm: &Communicator) -> fmi::Result<Summary> {
            Spread { x: self.x }.run(comm).await
        }
    }

    #[fmi::test(ranks = 5)]
    async fn by_hand_and_derived_give_the_same(ctx: fmi::Context) -> fmi::Result<()> {
        let x = ctx.rank() as f64;
        let expected = Summary { mean: 2.0, deviation: 2.0_f64.sqrt() };
        assert_eq!(ctx.call(Spread { x }).await?, expected);
        assert_eq!(ctx.call(Derived { x }).await?, expected);
        Ok(())
    }
}
