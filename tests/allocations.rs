//! What a pipeline allocates: as much for each chunk however many there are.
//!
//! An allocator counts. Ranks are in one process and one task, so that nothing else runs; the
//! same collective with 64 and with 256 chunks shows what one chunk more costs.

use fmi::{
    Communicator, Config, Result, op,
    plan::{Algorithm, CHUNK, allreduce, bcast, reduce, scan},
};
use futures::future::{BoxFuture, FutureExt, join_all};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static TRACES: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// Those that a chunk of payload would need.
static LARGE: AtomicUsize = AtomicUsize::new(0);

fn count(bytes: usize) {
    if COUNTS.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        if (CHUNK as usize / 2..CHUNK as usize * 2).contains(&bytes) {
            LARGE.fetch_add(1, Ordering::Relaxed);
        }
        trace(bytes);
    }
}

/// With `FMI_TRACE_ALLOCATIONS`, where every 97th comes from.
fn trace(bytes: usize) {
    static EVERY: AtomicUsize = AtomicUsize::new(0);
    if TRACES.load(Ordering::Relaxed) && EVERY.fetch_add(1, Ordering::Relaxed).is_multiple_of(97) {
        COUNTS.store(false, Ordering::Relaxed);
        let trace = std::backtrace::Backtrace::force_capture().to_string();
        let ours = trace.lines().filter(|line| line.contains("/fmi-")).take(4);
        eprintln!("{bytes} bytes {}", ours.map(str::trim).collect::<Vec<_>>().join(" < "));
        COUNTS.store(true, Ordering::Relaxed);
    }
}

// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RANKS: usize = 3;

/// A pipeline, and what it does for each chunk, on all ranks together.
///
/// Each message costs at most three small pieces: the slot of its receive, and, where the send
/// has to wait for room, a slot and a box. Each combination costs at most two, the result and its
/// count of readers; the result is a buffer of its own only where neither operand's memory is
/// free. Nothing else is allocated, and no content is copied.
struct Pipeline {
    algorithm: &'static Algorithm,
    call: fn(&Communicator, Vec<f64>) -> BoxFuture<'static, Result<()>>,
    messages: usize,
    combinations: usize,
}

const PIPELINES: &[Pipeline] = &[
    Pipeline {
        algorithm: &bcast::chain::ALGORITHM,
        call: |comm, value| comm.bcast(Some(value), 0).map(|end| end.map(drop)).boxed(),
        messages: RANKS - 1,
        combinations: 0,
    },
    Pipeline {
        algorithm: &reduce::chain::ALGORITHM,
        call: |comm, value| comm.reduce(value, op::sum(), 0).map(|end| end.map(drop)).boxed(),
        messages: RANKS,
        combinations: RANKS - 1,
    },
    Pipeline {
        algorithm: &allreduce::chain::ALGORITHM,
        call: |comm, value| comm.allreduce(value, op::sum()).map(|end| end.map(drop)).boxed(),
        messages: 2 * (RANKS - 1),
        combinations: RANKS - 1,
    },
    Pipeline {
        algorithm: &scan::chain::ALGORITHM,
        call: |comm, value| comm.scan(value, op::sum()).map(|end| end.map(drop)).boxed(),
        messages: RANKS - 1,
        combinations: RANKS - 1,
    },
];

#[test]
fn a_chunk_more_allocates_a_few_small_pieces() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = Config::default().job("allocations").size(RANKS).ranks(0..RANKS);
        let ranks = config.join_all().await.unwrap();
        for Pipeline { algorithm, call, messages, combinations } in PIPELINES {
            let mut counts = Vec::new();
            for chunks in [64, 256] {
                // The first warms up: queues grow to what they need. Of the others the fewest
                // count: buffers that were kept are freed when a busy machine lets us wait.
                let mut fewest = [usize::MAX; 2];
                for round in 0..5 {
                    let count = allocations(&ranks, algorithm, *call, chunks).await;
                    if round > 0 {
                        fewest = std::array::from_fn(|at| fewest[at].min(count[at]));
                    }
                }
                counts.push(fewest);
            }
            let slope = |at: usize| (counts[1][at] as f64 - counts[0][at] as f64) / (256.0 - 64.0);
            let (each, large) = (slope(0), slope(1));
            println!(
                "{algorithm}: {} allocations for 64 chunks, {} for 256: {each:.2} for each more, \
                 {large:.2} as large as a chunk",
                counts[0][0], counts[1][0]
            );
            let most = 3 * messages + 2 * combinations;
            assert!(each <= most as f64, "{algorithm}: {each:.2} allocations for each chunk");
            assert!(large <= *combinations as f64 + 0.1, "{algorithm}: {large:.2} large ones");
        }
    });
}

/// Allocations, and those about as large as a chunk, but not those of whole vectors.
async fn allocations(
    ranks: &[Communicator],
    algorithm: &'static Algorithm,
    call: fn(&Communicator, Vec<f64>) -> BoxFuture<'static, Result<()>>,
    chunks: usize,
) -> [usize; 2] {
    let len = chunks * CHUNK as usize / size_of::<f64>();
    let calls = ranks.iter().map(|comm| (comm.using(algorithm), vec![1.0; len]));
    let calls: Vec<_> = calls.collect();
    for count in [&ALLOCATIONS, &LARGE] {
        count.store(0, Ordering::SeqCst);
    }
    TRACES.store(
        std::env::var_os("FMI_TRACE_ALLOCATIONS").is_some() && chunks == 256,
        Ordering::SeqCst,
    );
    COUNTS.store(true, Ordering::SeqCst);
    let calls = calls.into_iter().map(|(comm, value)| call(&comm, value));
    let ends = join_all(calls).await;
    COUNTS.store(false, Ordering::SeqCst);
    assert_eq!(ends, vec![Ok(()); ranks.len()]);
    [&ALLOCATIONS, &LARGE].map(|count| count.load(Ordering::SeqCst))
}
