//! What the command line of `fmi bench` may say.

use super::Op;
use crate::units::bytes;
use clap::{ValueEnum, builder::PossibleValue};

/// An operation, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpChoice {
    All,
    One(Op),
}

impl OpChoice {
    pub(super) fn ops(self) -> Vec<Op> {
        match self {
            Self::All => Op::ALL.to_vec(),
            Self::One(op) => vec![op],
        }
    }
}

impl ValueEnum for OpChoice {
    fn value_variants<'a>() -> &'a [Self] {
        const VARIANTS: [OpChoice; Op::ALL.len() + 1] = {
            let mut variants = [OpChoice::All; Op::ALL.len() + 1];
            let mut at = 0;
            while at < Op::ALL.len() {
                variants[at + 1] = OpChoice::One(Op::ALL[at]);
                at += 1;
            }
            variants
        };
        &VARIANTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::All => "all",
            Self::One(op) => op.name(),
        }))
    }
}

impl Op {
    pub(super) const ALL: [Self; 12] = [
        Self::Pingpong,
        Self::Barrier,
        Self::Bcast,
        Self::Gather,
        Self::Scatter,
        Self::Allgather,
        Self::Alltoall,
        Self::Reduce,
        Self::Allreduce,
        Self::ReduceScatter,
        Self::Scan,
        Self::Exscan,
    ];

    /// Whether it moves anything but a signal.
    pub(crate) fn has_bytes(self) -> bool {
        self != Self::Barrier
    }

    /// As on the command line and in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pingpong => "pingpong",
            Self::Barrier => "barrier",
            Self::Bcast => "bcast",
            Self::Gather => "gather",
            Self::Scatter => "scatter",
            Self::Allgather => "allgather",
            Self::Alltoall => "alltoall",
            Self::Reduce => "reduce",
            Self::Allreduce => "allreduce",
            Self::ReduceScatter => "reduce_scatter",
            Self::Scan => "scan",
            Self::Exscan => "exscan",
        }
    }
}

/// Lengths with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ByteList(pub(super) Vec<usize>);

/// Reads `4,64KiB,1MiB`.
pub(super) fn byte_list(text: &str) -> Result<ByteList, String> {
    text.split(',').map(bytes).collect::<Result<_, _>>().map(ByteList)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lengths() {
        assert_eq!(
            byte_list("4, 64KiB,1 MiB,2MB,0"),
            Ok(ByteList(vec![4, 65536, 1048576, 2_000_000, 0]))
        );
        for text in ["", "4,", "KiB", "-1", "1.5", "4kib", "99999999999999999999", "9999999GiB"] {
            assert!(byte_list(text).unwrap_err().contains("is no length"), "{text}");
        }
    }

    #[test]
    fn every_operation_can_be_chosen_by_its_name_in_json() {
        assert_eq!(OpChoice::value_variants()[0], OpChoice::All);
        for op in Op::ALL {
            let choice = OpChoice::from_str(op.name(), false);
            assert_eq!(choice, Ok(OpChoice::One(op)));
            assert_eq!(serde_json::to_string(&op).unwrap(), format!("{:?}", op.name()));
        }
    }
}
