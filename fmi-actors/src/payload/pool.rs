//! Large buffers that are used again.
//!
//! The memory of a large allocation that was freed goes back to the system, and each page of the
//! next one costs a fault: about as much as to copy its content twice. Programs send vectors of
//! the same lengths again and again, so buffers are kept by their exact layout, and few of them.

use parking_lot::Mutex;
use std::{
    alloc::{Layout, dealloc},
    collections::VecDeque,
    ptr::NonNull,
};

/// Smaller buffers are left to the allocator.
const LEAST: usize = 32 << 10;
/// Bytes and buffers that are kept at most.
const BYTES: usize = 64 << 20;
const BUFFERS: usize = 256;
/// Buffers of one layout. What a rank only sends comes here and nobody takes it: that is freed at once,
/// while it is still in the cache, and the next vector of the program is made of it.
const ALIKE: usize = 16;

static POOL: Mutex<Pool> = Mutex::new(Pool { kept: VecDeque::new(), bytes: 0 });

struct Pool {
    /// The latest last.
    kept: VecDeque<Kept>,
    bytes: usize,
}

/// An allocation of the global allocator, made with this layout.
struct Kept(NonNull<u8>, Layout);

// SAFETY: it owns its memory alone.
unsafe impl Send for Kept {}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: made with this layout, and handed out to nobody.
        unsafe { dealloc(self.0.as_ptr(), self.1) };
    }
}

/// A buffer of exactly this layout, if one is kept.
pub(super) fn take(layout: Layout) -> Option<NonNull<u8>> {
    if layout.size() < LEAST {
        return None;
    }
    let mut pool = POOL.lock();
    let at = pool.kept.iter().rposition(|kept| kept.1 == layout)?;
    let kept = std::mem::ManuallyDrop::new(pool.kept.remove(at)?);
    pool.bytes -= layout.size();
    Some(kept.0)
}

/// Keeps a buffer, or frees it.
///
/// # Safety
/// It was allocated with this layout, whose size is not zero, and is not used any more.
pub(super) unsafe fn put(buffer: NonNull<u8>, layout: Layout) {
    let buffer = Kept(buffer, layout);
    if !(LEAST..=BYTES).contains(&layout.size()) {
        return;
    }
    // Freed after the lock is released.
    let mut old = smallvec::SmallVec::<[Kept; 4]>::new();
    let mut pool = POOL.lock();
    if pool.kept.iter().filter(|kept| kept.1 == layout).count() >= ALIKE {
        old.push(buffer);
        return;
    }
    while pool.bytes + layout.size() > BYTES || pool.kept.len() == BUFFERS {
        let Some(oldest) = pool.kept.pop_front() else { break };
        pool.bytes -= oldest.1.size();
        old.push(oldest);
    }
    pool.bytes += layout.size();
    pool.kept.push_back(buffer);
    drop(pool);
}

/// Frees all of them: nothing has happened for some time.
pub(crate) fn clear() {
    let kept = {
        let mut pool = POOL.lock();
        pool.bytes = 0;
        std::mem::take(&mut pool.kept)
    };
    drop(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AlignedBuf;

    // One test, since there is one pool.
    #[test]
    fn large_buffers_of_the_same_layout_come_back() {
        clear();
        let place = |capacity, align| {
            AlignedBuf::with_capacity(capacity, align).unwrap().spare().as_ptr() as usize
        };
        let first = place(LEAST + 7, 8);
        assert_eq!(place(LEAST + 7, 8), first);
        assert_eq!(POOL.lock().kept.len(), 1);
        // Of a vector, too, and into one.
        let vec = vec![1u64; LEAST];
        let mine = vec.as_ptr() as usize;
        drop(AlignedBuf::from_vec(vec));
        assert_eq!(place(8 * LEAST, 8), mine);
        // Not of another alignment, not small ones.
        assert_ne!(place(8 * LEAST, 16), mine);
        drop(AlignedBuf::with_capacity(100, 8));
        assert!(POOL.lock().kept.iter().all(|kept| kept.1.size() >= LEAST));
        // Bounded.
        for size in 0..2 * BUFFERS {
            drop(AlignedBuf::with_capacity(LEAST + size, 8));
        }
        assert_eq!(POOL.lock().kept.len(), BUFFERS);
        let alike: Vec<_> =
            (0..2 * ALIKE).map(|_| AlignedBuf::zeroed(LEAST, 64).unwrap()).collect();
        drop(alike);
        let layout = Layout::from_size_align(LEAST, 64).unwrap();
        assert_eq!(POOL.lock().kept.iter().filter(|kept| kept.1 == layout).count(), ALIKE);
        for _ in 0..3 {
            let several: Vec<_> =
                (0..5).map(|_| AlignedBuf::with_capacity(BYTES / 4, 8).unwrap()).collect();
            drop(several);
        }
        let kept: usize = POOL.lock().kept.iter().map(|kept| kept.1.size()).sum();
        assert_eq!((kept, POOL.lock().bytes), (BYTES, BYTES));
        clear();
        assert_eq!(POOL.lock().bytes, 0);
    }
}
