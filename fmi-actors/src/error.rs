//! The one error type of the library.

use std::time::Duration;

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, with what to do about it.
///
/// Errors are plain values: they can be cloned and compared, and they name the rank that reports
/// them, the peer and the operation wherever there is one. A token never appears in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A rank that the communicator does not have was named.
    ///
    /// Ranks go from 0 to `size - 1`. Check `FMI_RANK` against `FMI_SIZE`, or the argument.
    #[error("{operation}: rank {rank} does not exist, the size is {size} (ranks are 0..{size})")]
    RankOutOfRange {
        /// What was attempted.
        operation: &'static str,
        /// The rank that was named.
        rank: usize,
        /// How many ranks there are.
        size: usize,
    },

    /// Two processes registered one rank of a job.
    ///
    /// Give each process its own `FMI_RANK`, or another `FMI_JOB`.
    #[error("rank {rank} of job \"{job}\" is taken: give each process its own FMI_RANK")]
    RankTaken {
        /// The rank both want.
        rank: usize,
        /// The job.
        job: String,
    },

    /// Processes of one job disagree about its size.
    ///
    /// Set the same `FMI_SIZE` everywhere, or another `FMI_JOB`.
    #[error(
        "job \"{job}\" was started with size {theirs}, this process says {ours}: \
         set the same FMI_SIZE everywhere"
    )]
    SizeMismatch {
        /// The job.
        job: String,
        /// The size this process was given.
        ours: usize,
        /// The size that the job has.
        theirs: usize,
    },

    /// The other side holds another token.
    ///
    /// Set the same `FMI_TOKEN` for the rendezvous and for every process of the job.
    #[error("{at} holds another token: set the same FMI_TOKEN everywhere")]
    WrongToken {
        /// Address of the side that refused, or was refused.
        at: String,
    },

    /// Not every rank joined in time.
    ///
    /// Look at the logs of the missing ranks; raise `deadlines.join` if they start slowly.
    #[error("job \"{job}\": after {after:?} these of {size} ranks have not joined: {missing:?}")]
    Missing {
        /// The job.
        job: String,
        /// The first sixteen of the missing ranks.
        missing: Vec<usize>,
        /// How many ranks the job has.
        size: usize,
        /// How long this process waited.
        after: Duration,
    },

    /// An operation did not end before its deadline.
    ///
    /// The peer is alive but did not do its part: a missing send, another tag, a longer
    /// computation. Raise the deadline with `.deadline(d)` or `deadlines.operation`.
    #[error("rank {rank}: {operation}{} did not end within {after:?}", waits_for(*peer))]
    Timeout {
        /// The rank that waited.
        rank: usize,
        /// What it waited in.
        operation: &'static str,
        /// Whom it waited for, if for one.
        peer: Option<usize>,
        /// How long.
        after: Duration,
    },

    /// A rank is gone and the operation needs it.
    ///
    /// Call `rejoin()` on the communicator that `join` returned, or start the job again; the
    /// reason says why the rank ended.
    #[error("rank {rank} is lost: {reason}")]
    RankLost {
        /// The rank that is gone.
        rank: usize,
        /// Why.
        reason: Reason,
    },

    /// This process cannot take part in its job's next epoch.
    ///
    /// The reason says why, and what to do instead.
    #[error("job \"{job}\": cannot rejoin: {reason}")]
    Rejoin {
        /// The job.
        job: String,
        /// Why not.
        reason: NoRejoin,
    },

    /// A rank gave up a collective that this rank takes part in.
    ///
    /// The communicator stays usable. The reason says what happened on the other rank.
    #[error("{operation}: rank {rank} gave up: {reason}")]
    Abandoned {
        /// The rank that gave up first.
        rank: usize,
        /// The collective.
        operation: &'static str,
        /// Why.
        reason: Reason,
    },

    /// Ranks called different collectives, or one collective with different arguments.
    ///
    /// All ranks of a communicator call its collectives in the same order with the same root,
    /// type, length and operation.
    #[error("rank {rank} called {ours}, but rank {peer} called {theirs}")]
    Mismatch {
        /// The rank that reports this.
        rank: usize,
        /// What it called.
        ours: String,
        /// The other rank.
        peer: usize,
        /// What that one called.
        theirs: String,
    },

    /// A message of another type than the receive asks for.
    ///
    /// Receive the type that was sent, or use different tags for different types.
    #[error("rank {rank}: message from rank {peer} is {found}, the receive asks for {expected}")]
    Type {
        /// The receiving rank.
        rank: usize,
        /// The sending rank.
        peer: usize,
        /// The type that the receive asks for.
        expected: String,
        /// The type that was sent.
        found: String,
    },

    /// A message of a length that the receiving type cannot hold.
    ///
    /// Receive a `Vec`, which takes any length.
    #[error(
        "rank {rank}: message from rank {peer} has {found} bytes, the receive wants {expected}"
    )]
    Length {
        /// The receiving rank.
        rank: usize,
        /// The sending rank.
        peer: usize,
        /// Bytes that the type has.
        expected: usize,
        /// Bytes that arrived.
        found: usize,
    },

    /// A value could not be turned into bytes or back.
    ///
    /// Sender and receiver must be built with the same definition of the type.
    #[error("{what} cannot be coded: {reason}")]
    Codec {
        /// The type.
        what: String,
        /// What the codec says.
        reason: String,
    },

    /// A message is larger than this process can take.
    ///
    /// Send it in parts, or give the process more memory.
    #[error("a message of {bytes} bytes does not fit in memory")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },

    /// No channel reaches a peer.
    ///
    /// Check that the address is reachable from here (firewall, container network), or set
    /// `FMI_ADVERTISE` on that peer to an address that is.
    #[error("rank {peer} cannot be reached over {channel}: {reason}")]
    Unreachable {
        /// A rank of the process that cannot be reached.
        peer: usize,
        /// The channels that were tried.
        channel: String,
        /// What the last attempt gave.
        reason: String,
    },

    /// A store (Redis, S3) refuses, or could not be reached in time.
    ///
    /// The reason says what to do: another password, a permission, a server with more memory.
    #[error("{store}: {what}: {reason}")]
    Store {
        /// Which one, without its password.
        store: String,
        /// What was attempted.
        what: String,
        /// What it says, and what to do.
        reason: String,
    },

    /// A store has forgotten what was put there, and who put it there is gone.
    ///
    /// Start the job again; give the store memory that it does not evict from, or a disk.
    #[error("{store} has lost {what}")]
    Lost {
        /// Which one.
        store: String,
        /// What is lost.
        what: String,
    },

    /// The rendezvous cannot be reached or answered nonsense.
    ///
    /// Start one with `fmi rendezvous --listen ADDRESS` and set `FMI_RENDEZVOUS=tcp://ADDRESS`.
    #[error("rendezvous {address}: {reason}")]
    Rendezvous {
        /// Where it should be.
        address: String,
        /// What happened.
        reason: String,
    },

    /// An address to listen on is taken or not ours.
    ///
    /// Choose another port, or 0 for a free one.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What the system says.
        reason: String,
    },

    /// The configuration has a mistake.
    ///
    /// The message names the file (or variable), the line and the key.
    #[error("{origin}: {message}")]
    Config {
        /// File with line and column, or the environment variable.
        origin: String,
        /// What is wrong and what would be right.
        message: String,
    },

    /// An argument that makes no sense, such as a root without a value to broadcast.
    #[error("{operation}: {message}")]
    Argument {
        /// The operation.
        operation: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },

    /// A protocol failed with an error of its own, made by [`Error::failed`].
    ///
    /// Nothing is wrong with the group: the text is that of the protocol's code.
    #[error("{reason}")]
    Failed {
        /// What the protocol says.
        reason: String,
    },

    /// The communicator was closed.
    ///
    /// Nothing can be sent or received on it any more.
    #[error("{operation}: the communicator is closed")]
    Closed {
        /// What was attempted.
        operation: &'static str,
    },

    /// The operating system refused something the library needs.
    #[error("{what}: {reason}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// What the system says.
        reason: String,
    },
}

impl Error {
    /// An error of a protocol's own code, such as a file that it cannot read:
    /// `std::fs::read(path).map_err(fmi::Error::failed)?`.
    pub fn failed(reason: impl std::fmt::Display) -> Self {
        Self::Failed { reason: reason.to_string() }
    }
}

/// Why a rank is gone or gave up. Travels between ranks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Its process ended or its machine is unreachable.
    #[error("its process died or cannot be reached")]
    Died,
    /// No channel reaches it.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It left the job in good order; nothing more will come from it.
    #[error("it has left the job")]
    Left,
    /// It has gone on to its job's next epoch; [rejoin](Error::RankLost) to meet it there.
    #[error("it has gone on to the job's next epoch: call rejoin() to meet it there")]
    Moved,
    /// Its `main` panicked.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// Its `main` returned an error.
    #[error("its main failed: {0}")]
    Failed(String),
    /// Its future was dropped before the operation ended.
    #[error("its future was dropped")]
    Dropped,
    /// Its deadline passed.
    #[error("its deadline passed")]
    Deadline,
    /// The operation failed there with an error of its own.
    #[error("{0}")]
    Error(String),
}

/// Why a process cannot rejoin its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRejoin {
    /// The group is whole.
    #[error("no rank is lost: go on with the communicator you have, or close it")]
    NotBroken,
    /// The others' next epoch began without this process.
    #[error(
        "the others went on without this process: drop this communicator and join() as a \
         newcomer, which succeeds when they lose a rank; raise deadlines.join to be waited for \
         longer"
    )]
    Late,
    /// This process is in the next epoch, or was.
    #[error(
        "this process has rejoined already: use the communicator that it got then, and call \
         rejoin() on that one after the next loss"
    )]
    Twice,
    /// The rendezvous does not know this process.
    #[error(
        "the rendezvous does not know this process in epoch {epoch}, as it was restarted or took \
         the process for dead: drop this communicator and join() as a newcomer"
    )]
    Forgotten {
        /// The epoch that the process comes from.
        epoch: u32,
    },
    /// All ranks live in this process.
    #[error("it has no rendezvous, all its ranks are in this process: join_all() anew")]
    NoRendezvous,
}

fn waits_for(peer: Option<usize>) -> String {
    peer.map(|rank| format!(" waiting for rank {rank}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_rank_peer_and_operation() {
        let error = Error::Timeout {
            rank: 3,
            operation: "recv",
            peer: Some(7),
            after: Duration::from_secs(2),
        };
        assert_eq!(error.to_string(), "rank 3: recv waiting for rank 7 did not end within 2s");
    }

    #[test]
    fn stays_small_enough_to_return_by_value() {
        assert!(size_of::<Error>() <= 96, "{}", size_of::<Error>());
    }
}
