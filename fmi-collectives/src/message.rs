//! What can be sent: types, and how they travel.

use crate::Buf;
use bytes::Bytes;
use fmi_actors::{Error, Payload, Result, frame::Datatype};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    any::type_name,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    hash::Hash,
};

/// A value that ranks can send each other.
///
/// Numbers, `String`, [`Bytes`], [`Buf`] and vectors of numbers travel as raw little-endian
/// bytes; everything else by serde. Inside a process no value is encoded, it is handed over.
/// For your own types write `#[derive(Serialize, Deserialize, fmi::Message)]`.
///
/// ```
/// # use fmi_collectives as fmi;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Particle { id: u64, position: [f64; 3] }
/// impl fmi::Message for Particle {} // what #[derive(fmi::Message)] writes
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent",
    note = "write `#[derive(Serialize, Deserialize, fmi::Message)]` on it"
)]
pub trait Message: Serialize + DeserializeOwned + Send + 'static {
    /// Code of the type, compared at the receiver.
    #[doc(hidden)]
    fn datatype() -> Datatype {
        named::<Self>()
    }

    /// What length a payload of this type may have.
    #[doc(hidden)]
    fn extent() -> Extent {
        Extent::Opaque
    }

    #[doc(hidden)]
    fn into_payload(self) -> Payload {
        Payload::value(self)
    }

    #[doc(hidden)]
    fn from_payload(payload: Payload) -> Result<Self> {
        payload.into_value()
    }

    #[doc(hidden)]
    fn vec_datatype() -> Datatype {
        named::<Vec<Self>>()
    }

    #[doc(hidden)]
    fn vec_extent() -> Extent {
        Extent::Opaque
    }

    #[doc(hidden)]
    fn vec_into_payload(vec: Vec<Self>) -> Payload {
        Payload::value(vec)
    }

    #[doc(hidden)]
    fn vec_from_payload(payload: Payload) -> Result<Vec<Self>> {
        payload.into_value()
    }

    #[doc(hidden)]
    fn vec_into_values(vec: Vec<Self>) -> Values {
        Values::Each(vec.into_iter().map(Self::into_payload).collect())
    }

    #[doc(hidden)]
    fn vec_from_values(values: Values) -> Result<Vec<Self>> {
        match values {
            Values::Each(each) => each.into_iter().map(Self::from_payload).collect(),
            Values::Joined(payload) => Self::vec_from_payload(payload),
        }
    }
}

/// Several values, one for each rank.
#[doc(hidden)]
#[derive(Debug)]
pub enum Values {
    /// Numbers, one after the other.
    Joined(Payload),
    /// Anything else.
    Each(Vec<Payload>),
}

/// Lengths that a type's payload can have, in bytes.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Exactly so many.
    Fixed(usize),
    /// A multiple.
    Elements(usize),
    /// Whatever serde makes of it.
    Opaque,
}

impl Extent {
    /// Whether a payload of `bytes` can be of this extent; else the length that would do.
    pub(crate) fn check(self, bytes: usize) -> Result<(), usize> {
        match self {
            Self::Fixed(size) if bytes != size => Err(size),
            Self::Elements(size) if !bytes.is_multiple_of(size) => {
                Err(bytes.next_multiple_of(size))
            }
            _ => Ok(()),
        }
    }

    /// Length that all ranks must agree on, if the type has one that they can compare.
    pub(crate) fn agreed(self, bytes: usize) -> Option<usize> {
        (self != Self::Opaque).then_some(bytes)
    }

    /// Bytes of an element, if the value can be cut between elements.
    pub(crate) fn element(self) -> Option<usize> {
        match self {
            Self::Elements(size) => Some(size),
            Self::Fixed(_) | Self::Opaque => None,
        }
    }
}

/// A number: travels as its bytes, and so do vectors of it.
pub trait Scalar: Message + bytemuck::Pod {}

macro_rules! scalars {
    ($($scalar:ty = $code:literal),*) => {
        $(
            impl Scalar for $scalar {}
            impl Message for $scalar {
                fn datatype() -> Datatype {
                    Datatype($code | align_of::<$scalar>().trailing_zeros() << 28)
                }
                fn extent() -> Extent {
                    Extent::Fixed(size_of::<$scalar>())
                }
                fn into_payload(self) -> Payload {
                    Payload::copy_from(bytemuck::bytes_of(&self), 1).unwrap_or_else(|_| Payload::empty())
                }
                fn from_payload(payload: Payload) -> Result<Self> {
                    payload.into_value_with(|bytes| bytemuck::try_pod_read_unaligned(bytes).ok())
                }
                fn vec_datatype() -> Datatype {
                    Self::datatype()
                }
                fn vec_extent() -> Extent {
                    Extent::Elements(size_of::<$scalar>())
                }
                fn vec_into_payload(vec: Vec<Self>) -> Payload {
                    Payload::from_vec(vec)
                }
                fn vec_from_payload(payload: Payload) -> Result<Vec<Self>> {
                    payload.into_vec()
                }
                fn vec_into_values(vec: Vec<Self>) -> Values {
                    Values::Joined(Payload::from_vec(vec))
                }
            }
        )*

        /// Name of a type that is not the user's own.
        fn builtin(datatype: Datatype) -> Option<&'static str> {
            $(if datatype == <$scalar>::datatype() { return Some(stringify!($scalar)); })*
            (datatype == STRING).then_some("String")
        }
    };
}

#[cfg(target_endian = "big")]
compile_error!("fmi sends numbers as little-endian bytes and is not built for big-endian machines");

scalars!(
    u8 = 1,
    i8 = 2,
    u16 = 3,
    i16 = 4,
    u32 = 5,
    i32 = 6,
    u64 = 7,
    i64 = 8,
    u128 = 9,
    i128 = 10,
    f32 = 11,
    f64 = 12,
    usize = 13,
    isize = 14
);

const STRING: Datatype = Datatype(32);

impl Message for String {
    fn datatype() -> Datatype {
        STRING
    }
    fn into_payload(self) -> Payload {
        Payload::from_vec(self.into_bytes())
    }
    fn from_payload(payload: Payload) -> Result<Self> {
        Self::from_utf8(payload.into_vec()?)
            .map_err(|error| Error::Codec { what: "String".to_owned(), reason: error.to_string() })
    }
}

impl Message for Bytes {
    fn datatype() -> Datatype {
        u8::datatype()
    }
    fn extent() -> Extent {
        Extent::Elements(1)
    }
    fn into_payload(self) -> Payload {
        self.into()
    }
    fn from_payload(payload: Payload) -> Result<Self> {
        payload.into_bytes()
    }
}

impl<T: Message> Message for Vec<T> {
    fn datatype() -> Datatype {
        T::vec_datatype()
    }
    fn extent() -> Extent {
        T::vec_extent()
    }
    fn into_payload(self) -> Payload {
        T::vec_into_payload(self)
    }
    fn from_payload(payload: Payload) -> Result<Self> {
        T::vec_from_payload(payload)
    }
}

impl<T: Scalar> Message for Buf<T> {
    fn datatype() -> Datatype {
        T::datatype()
    }
    fn extent() -> Extent {
        T::vec_extent()
    }
    fn into_payload(self) -> Payload {
        self.into_shared()
    }
    fn from_payload(payload: Payload) -> Result<Self> {
        Self::from_shared(payload)
    }
}

impl Message for () {}
impl Message for bool {}
impl Message for char {}
impl Message for std::time::Duration {}
impl<T: Message> Message for Option<T> {}
impl<T: Message> Message for Box<T> {}
impl<T: Message, E: Message> Message for Result<T, E> {}
impl<T: Message> Message for VecDeque<T> {}
impl<T: Message + Ord> Message for BTreeSet<T> {}
impl<K: Message + Ord, V: Message> Message for BTreeMap<K, V> {}
impl<T: Message + Eq + Hash> Message for HashSet<T> {}
impl<K: Message + Eq + Hash, V: Message> Message for HashMap<K, V> {}
impl<T: Message, const N: usize> Message for [T; N] where Self: Serialize + DeserializeOwned {}

macro_rules! tuples {
    ($(($($name:ident)+))*) => { $(impl<$($name: Message),+> Message for ($($name,)+) {})* };
}
tuples!((A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H));

/// How errors call a type that arrived.
pub(crate) fn name_of(datatype: Datatype) -> String {
    builtin(datatype).map_or_else(|| format!("another type (#{:08x})", datatype.0), str::to_owned)
}

/// How errors call a type of ours.
pub(crate) fn name<T: Message>() -> String {
    builtin(T::datatype()).map_or_else(|| type_name::<T>().to_owned(), str::to_owned)
}

/// The code of a type that has only its name.
fn named<T: ?Sized>() -> Datatype {
    Datatype(hash(type_name::<T>()) & 0x0fff_ffff | 1 << 31)
}

/// A number for a name, the same in all processes. Asked for at every call, so eight bytes at a time.
pub(crate) fn hash(name: &str) -> u32 {
    let mut hash = name.len() as u64;
    for part in name.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        hash = fmi_actors::mix(hash ^ u64::from_le_bytes(word));
    }
    (hash >> 32) as u32
}
