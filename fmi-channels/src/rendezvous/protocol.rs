//! What a process and the rendezvous say to each other, after the handshake.
//!
//! Frames are a length (u32, little endian) and one encoded [`Request`] or [`Answer`].
#![cfg_attr(
    not(feature = "tcp"),
    allow(dead_code, reason = "without the server, other directories use what is public")
)]

use std::{fmt, net::SocketAddr, time::Duration};

use fmi_actors::Reason;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Bytes that a request may have. 100,000 given ranks fit.
pub(super) const MAX_REQUEST: usize = 1 << 20;

/// Bytes that an answer may have; only that of a complete job comes near.
pub(super) const MAX_ANSWER: usize = MAX_LIST + MAX_MODEL + 64;

/// Bytes that the list of the members may have.
pub(super) const MAX_LIST: usize = 8 << 20;

/// Bytes that a [model](Registration::model) may have.
pub const MAX_MODEL: usize = 64 << 10;

/// Bytes of the name of the channel that a note belongs to.
pub(super) const MAX_CHANNEL: usize = 64;

/// Ranks that an answer about missing ranks names.
pub(super) const MISSING_NAMED: usize = 16;

/// Bytes of a reason's text that travel; a panic's message can be of any length.
const MAX_REASON: usize = 4096;

/// Which ranks a process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ranks {
    /// These.
    Given(Vec<u32>),
    /// So many, numbered by the rendezvous: the lowest that are free when it registers.
    Any(u32),
}

/// What a process tells the rendezvous about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The job. Jobs of different names never meet.
    #[serde(deserialize_with = "text")]
    pub job: String,
    /// How many ranks the job has; `None` takes what the other processes say.
    pub size: Option<u32>,
    /// The ranks of this process.
    pub ranks: Ranks,
    /// Where its channels can be reached: name of the channel and address.
    #[serde(deserialize_with = "texts")]
    pub addresses: Vec<(String, String)>,
    /// Which machine it runs on; equal on processes that can share memory.
    #[serde(deserialize_with = "text")]
    pub machine: String,
    /// How many arbiters (threads) its ranks are spread over.
    pub threads: u32,
    /// How many cores it may use; 0 where that is not known.
    pub cores: u32,
    /// Of a process that rejoins: where it was before. Its ranks are those that it had there;
    /// `ranks` counts for nothing.
    pub after: Option<After>,
    /// What it asks for should the group form anew.
    pub terms: Terms,
    /// SHA-256 of the certificate that it shows on encrypted links, for the others to pin.
    pub fingerprint: Option<[u8; 32]>,
    /// The model of time and money that it proposes, at most [`MAX_MODEL`] bytes; empty if it has
    /// none. All take that of the lowest process that has one.
    #[serde(deserialize_with = "model")]
    pub model: String,
}

impl Registration {
    /// What would be refused wherever it went, in words that say what to do.
    pub(crate) fn check(&self) -> Result<(), String> {
        let length = self.model.len();
        if length > MAX_MODEL {
            return Err(format!(
                "the model of this process has {length} bytes, at most {MAX_MODEL} are allowed: \
                 shorten the profile"
            ));
        }
        Ok(())
    }
}

/// A place in a broken epoch, whose process takes part in the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    pub(super) epoch: u32,
    pub(super) process: u32,
    /// The rank that it lost, should the rendezvous not know: one that cannot be reached.
    pub(super) lost: Option<(u32, Cause)>,
}

impl After {
    /// The place of process `process` of epoch `epoch`, which lost a rank of another process.
    #[must_use]
    pub fn new(epoch: u32, process: u32, lost: Option<(u32, Reason)>) -> Self {
        Self { epoch, process, lost: lost.map(|(rank, reason)| (rank, reason.into())) }
    }
}

/// What a process asks for when a broken group forms anew. Of all that come, the most demanding
/// terms hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How long survivors wait for replacements.
    pub grace: Duration,
    /// How long they wait for other members that live but do not rejoin.
    pub patience: Duration,
    /// With fewer ranks they do not go on.
    pub min_size: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self { grace: Duration::from_secs(5), patience: Duration::from_secs(30), min_size: 1 }
    }
}

/// The rendezvous' answer to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Number of this process: unique in the job's epoch, not dense.
    pub process: u32,
    /// Which run of this job it is. A name that is used anew gets another epoch; never 0.
    pub epoch: u32,
    /// How often ranks of this process had been registered, and lost, before.
    pub incarnation: u16,
    /// The ranks of this process, in the order given, or ascending when numbered here. In a job
    /// that forms anew they may become lower: what holds is in the list of the members.
    pub ranks: Vec<u32>,
    /// How many ranks the job has when all have come.
    pub size: u32,
    /// This process' address as the rendezvous sees it.
    pub observed: SocketAddr,
    /// Where the rendezvous says how sockets look from there.
    pub mirrors: MirrorPorts,
    /// After how much silence either side takes the other for dead.
    pub silent: Duration,
}

/// The ports on which the rendezvous has [mirrors](super::mirror), at the address that it was
/// reached at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorPorts {
    /// For TCP connections; another port than the rendezvous' own.
    pub tcp: Option<u16>,
    /// For datagrams.
    pub udp: Vec<u16>,
}

/// A process of a complete job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number.
    pub process: u32,
    /// Its ranks.
    pub ranks: Vec<u32>,
    /// Where its channels can be reached: name of the channel and address.
    #[serde(deserialize_with = "texts")]
    pub addresses: Vec<(String, String)>,
    /// Which machine it runs on.
    #[serde(deserialize_with = "text")]
    pub machine: String,
    /// How many arbiters its ranks are spread over.
    pub threads: u32,
    /// How many cores it may use; 0 where that is not known.
    pub cores: u32,
    /// How often its ranks had been registered before.
    pub incarnation: u16,
    /// Its address as the rendezvous sees it.
    pub observed: Option<SocketAddr>,
    /// SHA-256 of the certificate that it shows on encrypted links.
    pub fingerprint: Option<[u8; 32]>,
}

/// As the channels see it.
impl From<&Member> for fmi_actors::Member {
    fn from(member: &Member) -> Self {
        Self {
            process: member.process,
            ranks: member.ranks.clone(),
            addresses: member.addresses.clone(),
            machine: member.machine.clone(),
            threads: member.threads,
            cores: member.cores,
            incarnation: member.incarnation,
            observed: member.observed,
            fingerprint: member.fingerprint,
        }
    }
}

/// Client to server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// First on every connection, and only first.
    Register(Box<Registration>),
    WhoIsMissing,
    /// "I am alive"; comes back as [`Answer::Beat`].
    Beat,
    /// A rank failed.
    Abort {
        rank: u32,
        reason: Cause,
    },
    /// In good order; the server closes the connection.
    Leave,
    /// A note of a channel to the same channel of another process. It may get lost.
    Tell {
        to: u32,
        #[serde(deserialize_with = "text")]
        channel: String,
        note: Vec<u8>,
    },
}

/// Server to client. After `Registered` a process gets the job's log, entry by entry: `Abort`,
/// `Complete`, `Gone`, `Left` and `Moved` reach every process in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    Registered(Registered),
    Refused(Refusal),
    Complete {
        members: Vec<Member>,
        /// Of all, once: the text of the lowest process that has one.
        #[serde(deserialize_with = "model")]
        model: String,
    },
    Missing(Missing),
    Beat,
    /// Only after `Complete`, so that the process' ranks need not be told again.
    Gone {
        process: u32,
    },
    /// Only after `Complete`.
    Left {
        process: u32,
    },
    /// To the next epoch. Only after `Complete`.
    Moved {
        process: u32,
    },
    /// The first failure of the job; later ones are not relayed.
    Abort {
        rank: u32,
        reason: Cause,
    },
    /// A note from another process. No part of the log.
    Told {
        from: u32,
        #[serde(deserialize_with = "text")]
        channel: String,
        note: Vec<u8>,
    },
}

/// Who has not come yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Missing {
    /// The first [`MISSING_NAMED`] of them.
    pub(super) ranks: Vec<u32>,
    /// How many ranks have come.
    pub(super) joined: u32,
    pub(super) size: u32,
}

/// Why a registration is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(super) enum Refusal {
    #[error("rank {rank} is taken")]
    RankTaken { rank: u32 },
    #[error("rank {rank} does not exist, the size is {size}")]
    RankOutOfRange { rank: u32, size: u32 },
    #[error("the job has size {size}")]
    SizeMismatch { size: u32 },
    #[error("no process has said how many ranks the job has: set FMI_SIZE")]
    SizeUnknown,
    #[error("the job is full: {free} of {size} ranks are free, {wanted} are wanted")]
    JobFull { size: u32, free: u32, wanted: u32 },
    #[error("a job and a process have at least one rank")]
    NoRanks,
    #[error(
        "the job goes on with {size} of its {full} ranks and takes no others until a rank is lost: \
         raise deadlines.grace if replacements take longer to start"
    )]
    GoesOn { size: u32, full: u32 },
    #[error("no rejoin: {0}")]
    Rejoin(RejoinRefusal),
    #[error("too many {what}: this rendezvous takes at most {limit}")]
    Limit { what: Limit, limit: u64 },
}

/// Why a process cannot rejoin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(super) enum RejoinRefusal {
    #[error("no rank is lost")]
    NotBroken,
    #[error("the next epoch has begun")]
    Late,
    #[error("this process has rejoined already")]
    Twice,
    #[error("this process is not in epoch {epoch}")]
    Forgotten { epoch: u32 },
}

/// What a rendezvous has a limit for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Limit {
    Jobs,
    Ranks,
    Processes,
    Incarnations,
    JobName,
    Machine,
    Addresses,
    Address,
    List,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jobs => "jobs",
            Self::Ranks => "ranks in a job",
            Self::Processes => "processes",
            Self::Incarnations => "registrations of one rank",
            Self::JobName => "bytes in the job's name",
            Self::Machine => "bytes in the machine's name",
            Self::Addresses => "addresses of one process",
            Self::Address => "bytes in an address",
            Self::List => "bytes in the list of a job's processes",
        })
    }
}

/// A [`Reason`] on the wire: its text is bounded, and a kind this version does not know degrades
/// to its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cause {
    Died,
    Left,
    Moved,
    Panicked(#[serde(deserialize_with = "text")] String),
    Failed(#[serde(deserialize_with = "text")] String),
    Dropped,
    Deadline,
    Error(#[serde(deserialize_with = "text")] String),
    Unreachable(#[serde(deserialize_with = "text")] String),
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Died => Self::Died,
            Reason::Left => Self::Left,
            Reason::Moved => Self::Moved,
            Reason::Panicked(text) => Self::Panicked(short(text)),
            Reason::Failed(text) => Self::Failed(short(text)),
            Reason::Dropped => Self::Dropped,
            Reason::Deadline => Self::Deadline,
            Reason::Error(text) => Self::Error(short(text)),
            Reason::Unreachable(text) => Self::Unreachable(short(text)),
            other => Self::Error(short(other.to_string())),
        }
    }
}

impl From<Cause> for Reason {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Died => Self::Died,
            Cause::Left => Self::Left,
            Cause::Moved => Self::Moved,
            Cause::Panicked(text) => Self::Panicked(text),
            Cause::Failed(text) => Self::Failed(text),
            Cause::Dropped => Self::Dropped,
            Cause::Deadline => Self::Deadline,
            Cause::Error(text) => Self::Error(text),
            Cause::Unreachable(text) => Self::Unreachable(text),
        }
    }
}

fn short(mut text: String) -> String {
    if text.len() > MAX_REASON {
        text.truncate(text.floor_char_boundary(MAX_REASON));
        text.push('…');
    }
    text
}

/// Decodes a string by borrowing it first.
///
/// The codec's own path to an owned `String` allocates the announced length before it looks how
/// many bytes there are, so a forged length would panic. The borrowed path checks.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Text::deserialize(deserializer).map(|text| text.0)
}

/// Decodes a [model](Registration::model), unless it is too long.
pub(crate) fn model<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let model = text(deserializer)?;
    match model.len() {
        0..=MAX_MODEL => Ok(model),
        long => Err(D::Error::custom(format_args!(
            "a model of {long} bytes, at most {MAX_MODEL} are allowed"
        ))),
    }
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let pairs = Vec::<(Text, Text)>::deserialize(deserializer)?;
    Ok(pairs.into_iter().map(|(channel, address)| (channel.0, address.0)).collect())
}

struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use fmi_actors::codec;
    use proptest::prelude::*;

    use super::*;

    fn registration() -> Registration {
        Registration {
            job: "scoring".to_owned(),
            size: Some(4),
            ranks: Ranks::Given(vec![0, 3]),
            addresses: vec![("tcp".to_owned(), "10.0.0.1:9".to_owned())],
            machine: "m".to_owned(),
            threads: 2,
            cores: 4,
            after: Some(After::new(7, 1, Some((2, Reason::Unreachable("far".to_owned()))))),
            terms: Terms::default(),
            fingerprint: Some([7; 32]),
            model: "slow = 1".to_owned(),
        }
    }

    #[test]
    fn round_trips() {
        let requests = [
            Request::Register(Box::new(registration())),
            Request::WhoIsMissing,
            Request::Abort { rank: 3, reason: Cause::Panicked("oh".to_owned()) },
            Request::Tell { to: 3, channel: "tcp".to_owned(), note: vec![1, 2] },
        ];
        for request in requests {
            let bytes = codec::encode(&request).unwrap();
            assert_eq!(codec::decode::<Request>(&bytes).unwrap(), request);
        }
        let answer = Answer::Refused(Refusal::Limit { what: Limit::Jobs, limit: 3 });
        let bytes = codec::encode(&answer).unwrap();
        assert_eq!(codec::decode::<Answer>(&bytes).unwrap(), answer);
    }

    #[test]
    fn a_model_is_as_long_as_is_allowed_and_no_longer() {
        let of = |length| Registration { model: "m".repeat(length), ..registration() };
        for (length, fits) in [(0, true), (MAX_MODEL, true), (MAX_MODEL + 1, false)] {
            let one = of(length);
            assert_eq!(one.check().is_ok(), fits);
            let bytes = codec::encode(&one).unwrap();
            assert_eq!(codec::decode::<Registration>(&bytes).ok(), fits.then_some(one));
            let all = Answer::Complete { members: Vec::new(), model: "m".repeat(length) };
            let bytes = codec::encode(&all).unwrap();
            assert_eq!(codec::decode::<Answer>(&bytes).ok(), fits.then_some(all));
        }
    }

    #[test]
    fn reasons_survive_and_long_texts_are_cut() {
        for reason in [
            Reason::Died,
            Reason::Left,
            Reason::Moved,
            Reason::Panicked("a".to_owned()),
            Reason::Failed("b".to_owned()),
            Reason::Dropped,
            Reason::Deadline,
            Reason::Error("c".to_owned()),
            Reason::Unreachable("d".to_owned()),
        ] {
            assert_eq!(Reason::from(Cause::from(reason.clone())), reason);
        }
        let Reason::Panicked(text) = Cause::from(Reason::Panicked("ß".repeat(1 << 20))).into()
        else {
            panic!("another kind")
        };
        assert_eq!(text.len(), MAX_REASON + '…'.len_utf8());
    }

    #[test]
    fn forged_string_length_is_an_error() {
        // Register, then a job name of u64::MAX bytes.
        let mut bytes = vec![0, 0xfd];
        bytes.extend([0xff; 8]);
        bytes.extend(b"job");
        assert!(codec::decode::<Request>(&bytes).is_err());
        // Abort by rank 1 that panicked with u64::MAX / 2 bytes of text.
        let mut bytes = vec![3, 1, 3, 0xfd];
        bytes.extend((u64::MAX / 2).to_le_bytes());
        assert!(codec::decode::<Request>(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_decode_or_fail(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            kind in 0u8..10,
        ) {
            let _ = codec::decode::<Request>(&bytes);
            let _ = codec::decode::<Answer>(&bytes);
            // With a valid kind in front, and with a huge length right after it.
            let tagged = [&[kind][..], &bytes].concat();
            let _ = codec::decode::<Request>(&tagged);
            let _ = codec::decode::<Answer>(&tagged);
            let forged = [&[kind, 0xfd][..], &[0xff; 8], &bytes].concat();
            let _ = codec::decode::<Request>(&forged);
            let _ = codec::decode::<Answer>(&forged);
        }

        #[test]
        fn damaged_messages_decode_or_fail(at in 0..60usize, value: u8, cut in 0..60usize) {
            let mut bytes = codec::encode(&Request::Register(Box::new(registration()))).unwrap();
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = codec::decode::<Request>(&bytes);
            bytes.truncate(cut);
            let _ = codec::decode::<Request>(&bytes);
        }
    }
}
