//! Ranks meet: each greets, and rank 0 says how many there were.
//!
//! ```text
//! cargo run --example hello                                        # ranks in this process
//! FMI_SIZE=8 cargo run --example hello                             # eight of them
//! fmi run -n 4 --channel tcp -- target/debug/examples/hello        # four processes
//! ```
//!
//! Nothing but the environment (`FMI_RANK`, `FMI_SIZE`, …) tells a rank who it is.

use fmi::prelude::*;

#[fmi::rank]
async fn main(ctx: fmi::Context) -> fmi::Result<()> {
    println!("hello from rank {} of {}", ctx.rank(), ctx.size());
    let met = ctx.allreduce(1_u64, op::sum()).await?;
    if ctx.rank() == 0 {
        match ctx.size() {
            1 => println!("{met} rank, alone"),
            _ => println!("{met} ranks met over {}", ctx.peer(1)?),
        }
    }
    Ok(())
}
