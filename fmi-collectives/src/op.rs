//! Reduce operations.
//!
//! The kind of an operation says which plans may compute it (rule 9): a *commutative* one may
//! take operands in any order, an *associative* one in rank order but bracketed anyhow, an
//! *ordered* one only as the left fold in rank order, 0 to n−1, whatever the root. The function
//! always gets the lower rank's value on the left. On vectors it acts element by element.
//!
//! ```
//! use fmi_collectives::op;
//! let product = op::prod();
//! let longest = op::associative(|a: String, b: String| if b.len() > a.len() { b } else { a });
//! let minus = op::ordered(|a: f64, b: f64| a - b);
//! # let _ = (product, longest, minus);
//! ```

use crate::{
    Buf, Message, Scalar,
    message::hash,
    plan::{Demand, Side},
    store::Combiner,
};
use fmi_actors::{AlignedBuf, Error, Payload, Result};
use std::{any::type_name, marker::PhantomData};

/// Combines two values of type `T` into one.
pub trait Reduction<T>: Send + Sync + 'static {
    /// In which order and bracketing it must be applied.
    fn demand(&self) -> Demand;

    /// Name in error messages.
    fn name(&self) -> &'static str;

    /// Code by which ranks compare their operations.
    #[doc(hidden)]
    fn code(&self) -> u32 {
        hash(self.name())
    }

    /// Combines; `left` comes from the lower ranks.
    #[doc(hidden)]
    fn combine(&self, left: Payload, right: Payload) -> Result<Payload>;

    /// Whether it combines vectors element by element, so that they can be cut. Other operations
    /// take values as they are, of any length, and make values of any length.
    #[doc(hidden)]
    fn is_by_element(&self) -> bool {
        false
    }

    /// Whether [`combine_into`](Self::combine_into) works.
    #[doc(hidden)]
    fn is_in_place(&self) -> bool {
        false
    }

    /// Combines elements into those `here`, aligned for them; `side` is where `other` stands.
    /// False if it cannot.
    #[doc(hidden)]
    fn combine_into(&self, _here: &mut [u8], _other: &[u8], _side: Side) -> bool {
        false
    }
}

/// A reduction of values of one type, for content that has lost its type.
pub(crate) struct Typed<T, R>(R, PhantomData<fn(T) -> T>);

impl<T, R> Typed<T, R> {
    pub(crate) fn new(reduction: R) -> Self {
        Self(reduction, PhantomData)
    }
}

impl<T, R: Reduction<T>> Combiner for Typed<T, R> {
    fn combine(&self, left: Payload, right: Payload) -> Result<Payload> {
        self.0.combine(left, right)
    }
    fn combine_into(&self, here: &mut [u8], other: &[u8], side: Side) -> bool {
        self.0.combine_into(here, other, side)
    }
}

/// The sum; of integers it wraps around, as in MPI.
#[must_use]
pub fn sum() -> Builtin {
    Builtin::Sum
}

/// The product; of integers it wraps around, as in MPI.
#[must_use]
pub fn prod() -> Builtin {
    Builtin::Prod
}

/// The least value. Of floats, a number wins over NaN.
#[must_use]
pub fn min() -> Builtin {
    Builtin::Min
}

/// The greatest value. Of floats, a number wins over NaN.
#[must_use]
pub fn max() -> Builtin {
    Builtin::Max
}

/// A function that is commutative and associative.
pub fn commutative<T, F: Fn(T, T) -> T>(function: F) -> Function<T, F> {
    Function::new(Demand::Commutative, function)
}

/// A function that is associative.
pub fn associative<T, F: Fn(T, T) -> T>(function: F) -> Function<T, F> {
    Function::new(Demand::Associative, function)
}

/// A function that is neither: the result is the left fold in rank order.
pub fn ordered<T, F: Fn(T, T) -> T>(function: F) -> Function<T, F> {
    Function::new(Demand::Ordered, function)
}

/// Takes whole values, also vectors: the function of the given operation is not applied
/// element by element. So they may differ in length between ranks, and none is cut: on long
/// vectors an operation by element is faster.
///
/// ```
/// use fmi_collectives::op;
/// let concat = op::whole(op::associative(|mut a: Vec<u8>, b: Vec<u8>| { a.extend(b); a }));
/// # let _ = concat;
/// ```
pub fn whole<T, F: Fn(T, T) -> T>(operation: Function<T, F>) -> Whole<T, F> {
    Whole(operation)
}

/// An operation of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Builtin {
    /// See [`sum`].
    Sum,
    /// See [`prod`].
    Prod,
    /// See [`min`].
    Min,
    /// See [`max`].
    Max,
}

/// A function of the user's; see [`commutative`], [`associative`], [`ordered`].
pub struct Function<T, F> {
    demand: Demand,
    function: F,
    values: PhantomData<fn(T, T) -> T>,
}

/// See [`whole`].
#[derive(Debug)]
pub struct Whole<T, F>(Function<T, F>);

impl<T, F> Function<T, F> {
    fn new(demand: Demand, function: F) -> Self {
        Self { demand, function, values: PhantomData }
    }
}

impl<T, F> std::fmt::Debug for Function<T, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Function({}, {})", self.demand, type_name::<F>())
    }
}

/// A number that [`Builtin`] operations work on.
pub trait Arithmetic: Scalar {
    #[doc(hidden)]
    fn apply(operation: Builtin, left: Self, right: Self) -> Self;
}

macro_rules! arithmetic {
    ($add:ident $mul:ident $($number:ty)*) => {$(
        impl Arithmetic for $number {
            #[inline]
            fn apply(operation: Builtin, left: Self, right: Self) -> Self {
                match operation {
                    Builtin::Sum => left.$add(right),
                    Builtin::Prod => left.$mul(right),
                    Builtin::Min => left.min(right),
                    Builtin::Max => left.max(right),
                }
            }
        }
    )*};
}

use std::ops::{Add, Mul};
arithmetic!(wrapping_add wrapping_mul u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 usize isize);
arithmetic!(add mul f32 f64);

impl Builtin {
    fn label(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Prod => "prod",
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    fn numbers_into<T: Arithmetic>(self, here: &mut [u8], other: &[u8], side: Side) -> bool {
        let Ok(here) = bytemuck::try_cast_slice_mut::<u8, T>(here) else { return false };
        // One loop an operation, so that each vectorises.
        match self {
            Self::Sum => into(here, other, side, |a, b| T::apply(Self::Sum, a, b)),
            Self::Prod => into(here, other, side, |a, b| T::apply(Self::Prod, a, b)),
            Self::Min => into(here, other, side, |a, b| T::apply(Self::Min, a, b)),
            Self::Max => into(here, other, side, |a, b| T::apply(Self::Max, a, b)),
        }
    }
}

impl<T: Arithmetic> Reduction<T> for Builtin {
    fn demand(&self) -> Demand {
        Demand::Commutative
    }
    fn name(&self) -> &'static str {
        self.label()
    }
    fn combine(&self, left: Payload, right: Payload) -> Result<Payload> {
        Ok(T::apply(*self, T::from_payload(left)?, T::from_payload(right)?).into_payload())
    }
    fn is_in_place(&self) -> bool {
        true
    }
    fn combine_into(&self, here: &mut [u8], other: &[u8], side: Side) -> bool {
        self.numbers_into::<T>(here, other, side)
    }
}

impl<T: Arithmetic> Reduction<Vec<T>> for Builtin {
    fn demand(&self) -> Demand {
        Demand::Commutative
    }
    fn name(&self) -> &'static str {
        self.label()
    }
    fn combine(&self, left: Payload, right: Payload) -> Result<Payload> {
        // One loop an operation, so that each vectorises.
        match self {
            Self::Sum => numbers(left, right, |a, b| T::apply(Self::Sum, a, b)),
            Self::Prod => numbers(left, right, |a, b| T::apply(Self::Prod, a, b)),
            Self::Min => numbers(left, right, |a, b| T::apply(Self::Min, a, b)),
            Self::Max => numbers(left, right, |a, b| T::apply(Self::Max, a, b)),
        }
    }
    fn is_by_element(&self) -> bool {
        true
    }
    fn is_in_place(&self) -> bool {
        true
    }
    fn combine_into(&self, here: &mut [u8], other: &[u8], side: Side) -> bool {
        self.numbers_into::<T>(here, other, side)
    }
}

/// As of vectors: a value that others read as well is left as it is.
impl<T: Arithmetic> Reduction<Buf<T>> for Builtin {
    fn demand(&self) -> Demand {
        Reduction::<Vec<T>>::demand(self)
    }
    fn name(&self) -> &'static str {
        self.label()
    }
    fn combine(&self, left: Payload, right: Payload) -> Result<Payload> {
        Reduction::<Vec<T>>::combine(self, left, right)
    }
    fn is_by_element(&self) -> bool {
        Reduction::<Vec<T>>::is_by_element(self)
    }
    fn is_in_place(&self) -> bool {
        Reduction::<Vec<T>>::is_in_place(self)
    }
    fn combine_into(&self, here: &mut [u8], other: &[u8], side: Side) -> bool {
        self.numbers_into::<T>(here, other, side)
    }
}

impl<T: Message, F: Fn(T, T) -> T + Send + Sync + 'static> Reduction<T> for Function<T, F> {
    fn demand(&self) -> Demand {
        self.demand
    }
    fn name(&self) -> &'static str {
        "a function"
    }
    fn code(&self) -> u32 {
        hash(type_name::<F>())
    }
    fn combine(&self, left: Payload, right: Payload) -> Result<Payload> {
        Ok((self.function)(T::from_payload(left)?, T::from_payload(right)?).into_payload())
    }
}

impl<T: Message, F: Fn(T, T) -> T + Send + Sync + 'static> Reduction<Vec<T>> for Function<T, F> {
    fn demand(&self) -> Demand {
        self.demand
    }
    fn name(&self) -> &'static str {
        "a function"
    }
    fn code(&self) -> u32 {
        hash(type_name::<F>())
    }
    fn combine(&self, left: Payload, right: Payload) -> Result<Payload> {
        let (left, right) = (T::vec_from_payload(left)?, T::vec_from_payload(right)?);
        same_length(left.len(), right.len())?;
        let each = left.into_iter().zip(right).map(|(a, b)| (self.function)(a, b));
        Ok(T::vec_into_payload(each.collect()))
    }
    fn is_by_element(&self) -> bool {
        true
    }
}

impl<T: Message, F: Fn(T, T) -> T + Send + Sync + 'static> Reduction<T> for Whole<T, F> {
    fn demand(&self) -> Demand {
        self.0.demand
    }
    fn name(&self) -> &'static str {
        "a function of whole values"
    }
    fn code(&self) -> u32 {
        hash(type_name::<F>())
    }
    fn combine(&self, left: Payload, right: Payload) -> Result<Payload> {
        Reduction::<T>::combine(&self.0, left, right)
    }
}

/// Combines element by element into `here`; short messages need not be aligned.
fn into<T: Scalar>(here: &mut [T], other: &[u8], side: Side, f: impl Fn(T, T) -> T) -> bool {
    if other.len() != size_of_val(here) {
        return false;
    }
    let left = side == Side::Left;
    let combine = |a: T, b: T| if left { f(b, a) } else { f(a, b) };
    match bytemuck::try_cast_slice::<u8, T>(other) {
        Ok(other) => here.iter_mut().zip(other).for_each(|(a, b)| *a = combine(*a, *b)),
        Err(_) => here.iter_mut().zip(other.chunks_exact(size_of::<T>())).for_each(|(a, b)| {
            *a = combine(*a, bytemuck::pod_read_unaligned(b));
        }),
    }
    true
}

/// Combines element by element into whichever operand nobody else reads, or into a new one.
fn numbers<T: Scalar>(left: Payload, right: Payload, f: impl Fn(T, T) -> T) -> Result<Payload> {
    let size = size_of::<T>();
    same_length(left.size_hint() / size, right.size_hint() / size)?;
    if !left.is_unique() && !right.is_unique() {
        return apart(&Buf::from_shared(left)?, &Buf::from_shared(right)?, f);
    }
    if left.is_unique() {
        let (mut into, other) = (left.into_vec::<T>()?, Buf::<T>::from_shared(right)?);
        into.iter_mut().zip(other.iter()).for_each(|(a, b)| *a = f(*a, *b));
        Ok(Payload::from_vec(into))
    } else {
        let (other, mut into) = (Buf::<T>::from_shared(left)?, right.into_vec::<T>()?);
        into.iter_mut().zip(other.iter()).for_each(|(b, a)| *b = f(*a, *b));
        Ok(Payload::from_vec(into))
    }
}

/// Combines into a new buffer.
fn apart<T: Scalar>(left: &[T], right: &[T], f: impl Fn(T, T) -> T) -> Result<Payload> {
    let mut into = AlignedBuf::with_capacity(size_of_val(left), align_of::<T>())?;
    // In pieces that stay in the cache between the copy and the operation.
    for (left, right) in left.chunks(1024).zip(right.chunks(1024)) {
        let start = into.len();
        into.extend(bytemuck::cast_slice(left));
        let place: &mut [T] = bytemuck::cast_slice_mut(&mut into.as_mut_slice()[start..]);
        place.iter_mut().zip(right).for_each(|(a, b)| *a = f(*a, *b));
    }
    Ok(into.into())
}

/// Ranks of one collective compare their lengths before; vectors inside opaque values differ
/// unnoticed until here.
fn same_length(left: usize, right: usize) -> Result<()> {
    if left == right {
        return Ok(());
    }
    Err(Error::Argument {
        operation: "reduce",
        message: format!("cannot combine {left} elements with {right}: give all ranks one length"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both<T: Message, R: Reduction<T>>(op: &R, left: T, right: T) -> T {
        T::from_payload(op.combine(left.into_payload(), right.into_payload()).unwrap()).unwrap()
    }

    #[test]
    fn builtin_operations() {
        assert_eq!(both(&sum(), 2, 3), 5);
        assert_eq!(both(&sum(), u8::MAX, 1), 0);
        assert_eq!(both(&prod(), vec![2.0, 3.0], vec![4.0, 5.0]), [8.0, 15.0]);
        assert_eq!(both(&min(), f64::NAN, 1.0), 1.0);
        assert_eq!(both(&max(), vec![1i64, -5], vec![0, 7]), [1, 7]);
        let kept = Buf::from(vec![1, 2]);
        assert_eq!(both(&sum(), kept.clone(), Buf::from(vec![3, 4]))[..], [4, 6]);
        assert_eq!(both(&sum(), kept.clone(), kept.clone())[..], [2, 4]);
        assert_eq!(kept[..], [1, 2]);
    }

    #[test]
    fn the_lower_rank_stands_on_the_left_whoever_owns_the_memory() {
        let mut left = Payload::from_vec((0..100).map(f64::from).collect());
        let right = || Payload::from_vec(vec![1.0; 100]);
        let reader = left.share().unwrap();
        let minus = |a: f64, b: f64| a - b;
        let into_right = numbers(left, right(), minus).unwrap().into_vec::<f64>().unwrap();
        let into_left = numbers(reader, right(), minus).unwrap().into_vec::<f64>().unwrap();
        assert_eq!(into_left, into_right);
        assert_eq!(into_left[0], -1.0);
    }

    #[test]
    fn functions_act_per_element_unless_whole() {
        let minus = ordered(|a: i32, b: i32| a - b);
        assert_eq!(both(&minus, vec![5, 7], vec![1, 2]), [4, 5]);
        let concat = whole(associative(|a: Vec<i32>, b: Vec<i32>| [a, b].concat()));
        assert_eq!(both(&concat, vec![5], vec![1, 2]), [5, 1, 2]);
    }
}
