//! What the two sides of an attempt tell each other through the rendezvous.

use super::{Failure, sight::Face};
use fmi_actors::{channel::MAX_NOTE, codec};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// First byte of each note.
const VERSION: u8 = 1;
/// Nobody is further away.
const FARTHEST: Duration = Duration::from_secs(2);

/// An attempt: of two of one caller the later has the greater number; who has not seen the notes
/// does not know the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Id {
    pub(super) number: u64,
    pub(super) cookie: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) id: Id,
    pub(super) body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Body {
    /// The caller wants to be fired at.
    Call {
        offer: Offer,
        /// The caller has fired already: the answerer need not wait for it.
        fired: bool,
        /// The caller's clock.
        sent: u64,
    },
    /// The answerer fires.
    Ready {
        offer: Offer,
        /// `sent` of the call that this answers.
        sent: u64,
        /// Microseconds from that call's arrival to this note.
        held: u32,
        /// Microseconds from this note to the answerer's first shot.
        wait: u32,
        /// Number of the last call that the answerer made itself. It is over.
        called: u64,
    },
    /// The answerer's shots are refused.
    Refused { round: u8 },
    /// The attempt is over.
    Over(Failure),
}

/// What one side says of itself in a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offer {
    /// 0 is the plain schedule, others are volleys.
    pub(super) round: u8,
    pub(super) face: Face,
    /// Microseconds to the rendezvous and back.
    pub(super) round_trip: u32,
    /// This side's shots have been refused: the other's translation refuses.
    pub(super) refused: bool,
}

impl Offer {
    pub(super) fn round_trip(&self) -> Duration {
        span(self.round_trip)
    }
}

impl Note {
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![VERSION];
        bytes.extend(codec::encode(self).ok()?);
        (bytes.len() <= MAX_NOTE).then_some(bytes)
    }

    /// `None` if it is garbage.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let note: Self = match bytes {
            [VERSION, rest @ ..] if bytes.len() <= MAX_NOTE => codec::decode(rest).ok()?,
            _ => return None,
        };
        match &note.body {
            Body::Call { offer, .. } | Body::Ready { offer, .. } => {
                offer.face.makes_sense().then_some(note)
            }
            Body::Refused { .. } | Body::Over(_) => Some(note),
        }
    }
}

/// A note for people.
pub(super) fn summary(bytes: &[u8]) -> String {
    match Note::decode(bytes).map(|note| note.body) {
        None => "garbage".to_owned(),
        Some(Body::Call { offer, .. }) => format!("call, round {}", offer.round),
        Some(Body::Ready { offer, .. }) => format!("ready, round {}", offer.round),
        Some(Body::Refused { round }) => format!("refused, round {round}"),
        Some(Body::Over(failure)) => format!("over, {failure}"),
    }
}

/// Microseconds, as notes carry them.
pub(super) fn micros(span: Duration) -> u32 {
    span.as_micros().try_into().unwrap_or(u32::MAX)
}

/// The time that a note names, within reason.
pub(super) fn span(micros: u32) -> Duration {
    Duration::from_micros(micros.into()).min(FARTHEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::punch::sight::Sight;
    use proptest::prelude::*;

    fn call(addresses: usize) -> Note {
        let sight = Sight {
            port: 5,
            own: vec!["[2001:db8:1111:2222:3333:4444:5555:6666]:65535".parse().unwrap(); addresses],
            observed: vec!["[2001:db8::1]:65535".parse().unwrap(); addresses],
            spares: vec![65_535; addresses],
            round_trip: Duration::from_secs(100),
        };
        let offer = Offer {
            round: 9,
            face: Face::of(&sight),
            round_trip: micros(sight.round_trip),
            refused: true,
        };
        let id = Id { number: u64::MAX, cookie: u64::MAX };
        Note { id, body: Body::Call { offer, fired: true, sent: u64::MAX } }
    }

    #[test]
    fn the_longest_note_fits() {
        let note = call(100);
        let bytes = note.encode().unwrap();
        assert!(bytes.len() <= MAX_NOTE / 2, "{}", bytes.len());
        assert_eq!(Note::decode(&bytes), Some(note));
    }

    #[test]
    fn other_versions_and_too_long_lists_are_garbage() {
        let mut bytes = call(1).encode().unwrap();
        bytes[0] += 1;
        assert_eq!(Note::decode(&bytes), None);
        assert_eq!(Note::decode(&[]), None);
        let mut note = call(1);
        let Body::Call { offer, .. } = &mut note.body else { unreachable!() };
        offer.face.spares = vec![1; 33];
        assert_eq!(Note::decode(&note.encode().unwrap()), None);
    }

    proptest! {
        #[test]
        fn garbage_is_no_note_or_makes_sense(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            honest: bool,
            at: prop::sample::Index,
            value: u8,
        ) {
            if honest {
                bytes = call(3).encode().unwrap();
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(note) = Note::decode(&bytes) {
                prop_assert!(note.encode().is_some());
            }
        }
    }
}
