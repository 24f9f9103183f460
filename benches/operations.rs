//! How fast built-in operations combine vectors: `cargo bench --bench operations`.
//!
//! Prints gigabytes of memory moved a second (two operands read, one written), beside a plain
//! copy (one read, one written) of the same length, on one thread. A vector of 8 MiB lies in the
//! cache of large machines; 64 MiB does in none.

use fmi::op::{self, Reduction};
use fmi_actors::Payload;
use std::{hint::black_box, time::Instant};

const ROUNDS: usize = 30;

fn main() {
    println!("{:<22}{:>12}{:>12}", "GB/s", "8 MiB", "64 MiB");
    let row = |name: &str, rate: fn(usize) -> f64| {
        println!("{name:<22}{:>12.1}{:>12.1}", rate(8 << 20), rate(64 << 20));
    };
    row("copy", copy);
    row("sum of f64", |bytes| combined::<f64>(bytes, 1.0, op::sum()));
    row("sum of f32", |bytes| combined::<f32>(bytes, 1.0, op::sum()));
    row("max of f64", |bytes| combined::<f64>(bytes, 1.0, op::max()));
    row("sum of u32", |bytes| combined::<u32>(bytes, 1, op::sum()));
    row("prod of u64", |bytes| combined::<u64>(bytes, 1, op::prod()));
    row("a function of f64", |bytes| {
        combined::<f64>(bytes, 1.0, op::commutative(|a: f64, b: f64| a.mul_add(0.5, b)))
    });
}

fn copy(bytes: usize) -> f64 {
    let (from, mut to) = (vec![1_u8; bytes], vec![0_u8; bytes]);
    2.0 * fastest(bytes, || {
        to.copy_from_slice(black_box(&from));
        black_box(&to);
    })
}

fn combined<T: fmi::Scalar>(bytes: usize, one: T, op: impl Reduction<Vec<T>>) -> f64 {
    let len = bytes / size_of::<T>();
    let mut here = Some(Payload::from_vec(vec![one; len]));
    let mut other = Payload::from_vec(vec![one; len]);
    3.0 * fastest(bytes, || {
        let left = here.take().expect("put back each time");
        let right = other.share().expect("bytes can be shared");
        here = Some(op.combine(left, right).expect("equal lengths"));
    })
}

/// Gigabytes a second, if each run is over so many bytes.
fn fastest(bytes: usize, mut run: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    let least = (0..ROUNDS).map(once).fold(f64::INFINITY, f64::min);
    bytes as f64 / least / 1e9
}
