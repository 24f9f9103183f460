//! Message passing for functions that cannot see each other: serverless functions, containers,
//! batch tasks, processes, threads.
//!
//! The interface is MPI's (ranks, communicators, point-to-point, collectives), the ergonomics an
//! actor system's (async, typed, supervised), and the wires are whatever the platform allows.
//!
//! ```
//! use fmi::prelude::*;
//!
//! #[fmi::rank]
//! async fn main(ctx: fmi::Context) -> fmi::Result<()> {
//!     let sum = ctx.allreduce(ctx.rank() as u64, op::sum()).await?;
//!     if ctx.rank() == 0 {
//!         println!("{} ranks, their numbers add up to {sum}", ctx.size());
//!     }
//!     Ok(())
//! }
//! ```
//!
//! With nothing set this runs `min(cores, 4)` ranks as actors in one process. `fmi run -n 4 --
//! PROGRAM` starts it as four processes that find each other and talk TCP. See the repository's
//! README for both, and [`config`] for the environment.
//!
//! | feature | what it adds |
//! |---|---|
//! | `tcp` (default) | TCP links, hole punching, the relay, the rendezvous server and folders |
//! | `quic` | QUIC links |
//! | `redis` | mailboxes in a Redis server, which can be the rendezvous, too |
//! | `s3` | mailboxes in an S3 bucket, which can be the rendezvous, too |
//! | `lambda` | functions of AWS Lambda as ranks |
//! | `full` | all of these |

#[cfg(any(feature = "tcp", feature = "redis", feature = "s3"))]
mod adopt;
pub mod config;
mod join;
#[cfg(feature = "lambda")]
pub mod lambda;
mod logging;
pub mod meter {
    //! What a process sends, asks of stores and waits for, and what that costs:
    //! [`Context::meter`](crate::Context::meter) shows it. `docs/model.md` says what is counted.
    //!
    //! ```
    //! use fmi::{Config, op};
    //!
    //! fmi::run_with(Config::default().size(4), |ctx| async move {
    //!     let (rank, size) = (ctx.rank(), ctx.size());
    //!     let token: u64 = ctx.sendrecv(1_u64, (rank + 1) % size, 0, (rank + size - 1) % size, 0).await?;
    //!     assert_eq!(ctx.allreduce(token, op::sum()).await?, 4);
    //!     let bill = ctx.meter().expect("this process is in the job");
    //!     assert!(bill.counts().messages > 0);
    //!     println!("{bill}");
    //!     Ok::<_, fmi::Error>(())
    //! })?;
    //! # Ok::<(), fmi::Error>(())
    //! ```

    pub use fmi_actors::meter::{
        Bill, Bytes, Calls, Counts, Dollars, GibSeconds, Line, Machine, Prices, Request, Seconds,
        Tariff, Tier,
    };
}
#[cfg(any(feature = "tcp", feature = "redis", feature = "s3"))]
mod meet;
mod report;
mod run;
#[cfg(feature = "s3")]
pub mod s3 {
    //! Objects in a bucket that are the program's own, not the job's: its input, its output.
    //!
    //! They are found and asked for as the channel `s3` does: the same URLs, credentials and patience.
    //!
    //! ```no_run
    //! use fmi::s3::Object;
    //!
    //! # async fn f(ctx: fmi::Context) -> fmi::Result<()> {
    //! let input = Object::at("s3://bucket/in?region=eu-west-1").await?;
    //! let length = input.length().await?.unwrap_or(0);
    //! let at = |rank| length * rank as u64 / ctx.size() as u64;
    //! let own = input.read(at(ctx.rank())..at(ctx.rank() + 1)).await?;
    //! # drop(own);
    //! # Ok(())
    //! # }
    //! ```

    pub use fmi_channels::s3::{Object, Part, Upload};
}
#[cfg(feature = "tcp")]
mod serve;
pub mod sim;
pub mod testing;

pub use config::Config;
pub use fmi_actors::{Error, NoRejoin, PeerAttempt, Reason, Result, channel::Rung};
pub use fmi_collectives::{
    ANY, Any, Buf, Communicator, Connecting, Context, Driver, Message, Operation, PeerInfo,
    Protocol, Request, Scalar, Source, Status, TagFilter, Worker, op, plan,
};
pub use fmi_macros::{Message, Protocol, rank, test};
pub use run::{Outcome, run, run_with};
#[cfg(feature = "tcp")]
pub use serve::RendezvousServer;

/// What most programs use.
pub mod prelude {
    pub use crate::{ANY, Buf, Communicator, Context, Message, op};
}

/// For generated code.
#[doc(hidden)]
pub mod __private {
    pub use serde::{Serialize, de::DeserializeOwned};
}

/// The code in `docs/protocols.md` runs.
#[cfg(doctest)]
#[doc = include_str!("../docs/protocols.md")]
struct ProtocolsPage;

/// The code in `docs/collectives.md` runs.
#[cfg(doctest)]
#[doc = include_str!("../docs/collectives.md")]
struct CollectivesPage;
