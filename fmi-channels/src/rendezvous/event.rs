//! What a process is told of the others of its job.

use fmi_actors::Reason;

/// What happens in a job after its processes have found each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A process ended without leaving, or cannot be reached.
    Gone {
        /// Its number.
        process: u32,
        /// Its ranks.
        ranks: Vec<u32>,
        /// Why.
        reason: Reason,
    },
    /// A process left in good order.
    Left {
        /// Its number.
        process: u32,
        /// Its ranks.
        ranks: Vec<u32>,
    },
    /// A process went on to the job's next epoch.
    Moved {
        /// Its number.
        process: u32,
        /// Its ranks.
        ranks: Vec<u32>,
    },
    /// A rank of another process failed. Comes once a job, with the first cause.
    Abort {
        /// The rank.
        rank: u32,
        /// What happened to it.
        reason: Reason,
    },
    /// A note has come.
    Told {
        /// The process that sent it.
        from: u32,
        /// The channel that it is for.
        channel: String,
        /// What it says.
        note: Vec<u8>,
    },
    /// The rendezvous is gone. The job goes on; nothing more will come.
    RendezvousLost,
}
