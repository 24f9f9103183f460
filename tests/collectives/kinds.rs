//! Which types and which operations are tried, by number.

use crate::{
    run::{Expect::Fold, Expect::Near, Outcomes, Run},
    values::{Sample, Value},
};
use bytes::Bytes;
use fmi::{Buf, op};

/// Types of [`moves`].
pub(crate) const TYPES: usize = 12;
/// Operations of [`reductions`].
pub(crate) const OPERATIONS: usize = 24;
/// Those on vectors of numbers, element by element, which can be cut.
pub(crate) const ON_VECTORS: std::ops::Range<usize> = 11..16;

/// Everything that moves values, of the type with this number.
pub(crate) async fn moves(run: &Run<'_>, number: usize) {
    match number {
        0 => run.moves::<u64>().await,
        1 => run.moves::<Vec<f64>>().await,
        2 => run.moves::<String>().await,
        3 => run.moves::<Sample>().await,
        4 => run.moves::<Vec<u8>>().await,
        5 => run.moves::<Buf<f64>>().await,
        6 => run.moves::<Bytes>().await,
        7 => run.moves::<u8>().await,
        8 => run.moves::<f64>().await,
        9 => run.moves::<Vec<f32>>().await,
        10 => run.moves::<Option<Vec<String>>>().await,
        _ => run.moves::<()>().await,
    }
}

/// Everything that combines, by the operation with this number.
pub(crate) async fn reductions(run: &Run<'_>, number: usize) -> Outcomes {
    match number {
        // Numbers.
        0 => run.reductions(op::sum, Fold(u64::wrapping_add)).await,
        1 => run.reductions(op::prod, Fold(u64::wrapping_mul)).await,
        2 => run.reductions(op::min, Fold(u8::min)).await,
        3 => run.reductions(op::max, Fold(f64::max)).await,
        4 => {
            run.reductions(|| op::commutative(|a: u64, b| a ^ b), Fold(|a: u64, b: u64| a ^ b))
                .await
        }
        // Not commutative: of each half of the word another operand.
        5 => run.reductions(|| op::associative(halves), Fold(halves)).await,
        6 => run.reductions(|| op::ordered(u64::wrapping_sub), Fold(u64::wrapping_sub)).await,
        7 => run.reductions(op::sum, Near(|a: f64, b| a + b, close)).await,
        8 => run.reductions(|| op::ordered(|a: f64, b| a - b), Fold(|a: f64, b| a - b)).await,
        9 => run.reductions(|| op::ordered(|a: f64, b| a / b), Fold(|a: f64, b| a / b)).await,
        10 => run.reductions(op::min, Fold(f64::min)).await,
        // Vectors of numbers, element by element.
        11 => run.reductions(op::sum, Near(|a, b| zip(a, b, |a, b| a + b), all_close)).await,
        12 => run.reductions(op::max, Fold(|a, b| zip(a, b, f64::max))).await,
        13 => run.reductions(op::sum, Fold(|a, b| bytes(a, b, u8::wrapping_add))).await,
        14 => {
            run.reductions(
                || op::ordered(|a: f64, b: f64| a - b),
                Fold::<Vec<f64>>(|a, b| zip(a, b, |a, b| a - b)),
            )
            .await
        }
        15 => {
            run.reductions(|| op::associative(later), Fold::<Vec<f64>>(|a, b| zip(a, b, later)))
                .await
        }
        // Whole values, that grow, or of the user's own type.
        16 => {
            run.reductions(
                || op::whole(op::associative(|a: Vec<f64>, b: Vec<f64>| [a, b].concat())),
                Fold(|a, b| [a, b].concat()),
            )
            .await
        }
        17 => {
            run.reductions(
                || op::whole(op::ordered(|a: Vec<u8>, b: Vec<u8>| [b, a].concat())),
                Fold(|a, b| [b, a].concat()),
            )
            .await
        }
        18 => {
            let concat = |a: String, b: String| a + &b;
            run.reductions(|| op::associative(concat), Fold(concat)).await
        }
        19 => run.reductions(|| op::ordered(bracket), Fold(bracket)).await,
        20 => run.reductions(|| op::commutative(larger), Fold(larger)).await,
        21 => run.reductions(|| op::associative(join), Fold(join)).await,
        22 => run.reductions(|| op::commutative(|(), ()| ()), Fold(|(), ()| ())).await,
        _ => {
            let add = || {
                op::whole(op::associative(|a: Buf<f64>, b: Buf<f64>| {
                    zip(a.into_vec(), b.into_vec(), |a, b| a + b).into()
                }))
            };
            let near = |a: &Buf<f64>, b: &Buf<f64>| all_close(&a.to_vec(), &b.to_vec());
            let fold =
                |a: Buf<f64>, b: Buf<f64>| zip(a.into_vec(), b.into_vec(), |a, b| a + b).into();
            run.reductions(add, Near(fold, near)).await
        }
    }
}

/// By all of them; the results' bits.
pub(crate) async fn all_reductions(run: &Run<'_>) -> Vec<Outcomes> {
    let mut outcomes = Vec::new();
    for number in 0..OPERATIONS {
        outcomes.push(reductions(run, number).await);
    }
    outcomes
}

pub(crate) fn close(a: &f64, b: &f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

#[allow(clippy::ptr_arg, reason = "compares values of one type, and that is Vec here")]
pub(crate) fn all_close(a: &Vec<f64>, b: &Vec<f64>) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b))
}

pub(crate) fn zip(a: Vec<f64>, b: Vec<f64>, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.into_iter().zip(b).map(|(a, b)| f(a, b)).collect()
}

fn bytes(a: Vec<u8>, b: Vec<u8>, f: impl Fn(u8, u8) -> u8) -> Vec<u8> {
    a.into_iter().zip(b).map(|(a, b)| f(a, b)).collect()
}

fn halves(a: u64, b: u64) -> u64 {
    a >> 32 << 32 | b & 0xffff_ffff
}

/// The upper half of the one, the lower of the other; of floats, whatever these are.
fn later(a: f64, b: f64) -> f64 {
    f64::from_bits(halves(a.to_bits(), b.to_bits()))
}

pub(crate) fn bracket(a: String, b: String) -> String {
    format!("({a} {b})")
}

fn larger(a: Sample, b: Sample) -> Sample {
    if b.bits() > a.bits() { b } else { a }
}

fn join(a: Option<Vec<String>>, b: Option<Vec<String>>) -> Option<Vec<String>> {
    match (a, b) {
        (Some(a), Some(b)) => Some([a, b].concat()),
        (a, b) => a.or(b),
    }
}
