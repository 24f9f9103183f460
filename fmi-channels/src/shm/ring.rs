//! A ring of bytes in shared memory: one process writes, the other reads.
//!
//! `head` counts the bytes that were written, `tail` those that were read; each has one writer. What lies
//! in the ring is `head − tail` bytes. Neither side trusts the other's counter further than that: one that
//! says more than there can be ends the link, and what is copied stays in the ring in any case.
//!
//! A page that is written for the first time is dear. So who writes goes back to the ring's beginning when the other
//! side has read everything, and goes on to new pages as far as an eighth of what has gone through it
//! ([`SHARE`]): few messages need few pages, and many pay for the others by and by. Nor does it go further than the
//! ring's [`Reach`], unless that is less than [`FIRST`]. What is longer takes as much as it needs, and a ring that is never
//! found empty is used to its end.
//! `origin` is the count that lies at the beginning. It only changes while the ring is empty, and is written
//! before `head`: who has seen a byte by `head` has seen where it lies.
//!
//! Who is about to sleep says so first and looks once more then; who has moved a counter looks
//! after that whether the other side sleeps. Between the two lies a fence on both sides, so that one of
//! them sees the other (Dekker).

use super::{segment::Segment, traffic::Reach};
use fmi_actors::copies;
use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
    },
};

/// The smallest ring.
pub(super) const LEAST: usize = 64 << 10;
/// Into so many parts a ring is cut, if they are not larger than [`PART`]: when one has been copied the other side may
/// begin with it.
const PARTS: usize = 16;
const PART: usize = 64 << 10;
/// As far as a ring is used in any case.
const FIRST: u64 = 32 << 10;
/// Of what has gone through a ring, which part of it is used while the other side keeps up.
const SHARE: u64 = 8;
/// So many bytes are written before it is looked again whether the other side has kept up.
const PATIENCE: u64 = 16 << 10;

/// Counters of a ring, each side's on a cache line of its own; sleepers write theirs seldom.
#[repr(C)]
struct Counters {
    head: Line<Head>,
    tail: Line<AtomicU64>,
    reader_sleeps: Line<AtomicU32>,
    writer_sleeps: Line<AtomicU32>,
}

/// What the writer says.
#[repr(C)]
struct Head {
    count: AtomicU64,
    /// The count that lies at the beginning of the ring.
    origin: AtomicU64,
}

#[repr(C, align(128))]
struct Line<T>(T);

/// One ring of a segment.
#[derive(Debug)]
struct Ring {
    segment: Arc<Segment>,
    number: usize,
}

// The segment is made of zeros, which are valid counters.
impl Ring {
    fn counters(&self) -> &Counters {
        let place = self.segment.place(self.number).0;
        // SAFETY: a page of the mapping, aligned as pages are, lives as long as the segment, and the other
        // process, too, uses it as atomic integers only.
        unsafe { &*place.cast::<Counters>() }
    }

    fn size(&self) -> usize {
        self.segment.ring()
    }

    fn part(&self) -> usize {
        (self.size() / PARTS).min(PART)
    }

    /// Bytes from this count on that lie in one piece, at most `bytes`. Any origin leads into the ring.
    fn piece(&self, origin: u64, count: u64, bytes: usize) -> (*mut u8, usize) {
        let at = (count.wrapping_sub(origin) % self.size() as u64) as usize;
        let bytes = bytes.min(self.size() - at).min(self.part());
        (self.segment.place(self.number).1.wrapping_add(at), bytes)
    }
}

/// The reading end.
#[derive(Debug)]
pub(super) struct Inlet {
    ring: Ring,
    /// Ours, which the other side could have written over.
    tail: AtomicU64,
    /// This side has said that it sleeps.
    sleeps: AtomicBool,
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Outlet {
    ring: Ring,
    /// As far as the ring is used while the other side keeps up.
    reach: Reach,
    head: AtomicU64,
    /// As it was when it was last looked at.
    tail: AtomicU64,
    /// Ours, which the other side could have written over.
    origin: AtomicU64,
    /// How far the ring had been used when it was last begun anew.
    used: AtomicU64,
    /// From which count on it is asked again how far the ring is used, and looked whether it is empty.
    returns: AtomicU64,
}

/// Both ends that belong to one side: who has made the segment writes ring 0, and either goes back to the beginning
/// of its ring when it is used as far as `reach` says, if it can.
pub(super) fn ends(segment: &Arc<Segment>, maker: bool, reach: Reach) -> (Inlet, Outlet) {
    let ring = |number| Ring { segment: Arc::clone(segment), number };
    let inlet = Inlet {
        ring: ring(usize::from(maker)),
        tail: AtomicU64::new(0),
        sleeps: AtomicBool::new(false),
    };
    let outlet = Outlet {
        ring: ring(usize::from(!maker)),
        reach,
        head: AtomicU64::new(0),
        tail: AtomicU64::new(0),
        origin: AtomicU64::new(0),
        used: AtomicU64::new(0),
        returns: AtomicU64::new(FIRST),
    };
    (inlet, outlet)
}

impl Inlet {
    /// Bytes that can be read.
    pub(super) fn filled(&self) -> io::Result<usize> {
        let head = self.ring.counters().head.0.count.load(Ordering::Acquire);
        let filled = head.wrapping_sub(self.tail.load(Ordering::Relaxed));
        if filled > self.ring.size() as u64 {
            return Err(broken());
        }
        Ok(filled as usize)
    }

    /// Reads into `place` first, then into `spare`; how many bytes, and how many more there were.
    pub(super) fn read(
        &self,
        place: &mut [MaybeUninit<u8>],
        spare: &mut [MaybeUninit<u8>],
    ) -> io::Result<(usize, usize)> {
        let filled = self.filled()?;
        // The same as long as something of that is left to be read.
        let origin = self.ring.counters().head.0.origin.load(Ordering::Relaxed);
        let mut left = filled;
        for part in [place, spare] {
            let wanted = part.len().min(left);
            self.copy_out(origin, &mut part[..wanted]);
            left -= wanted;
        }
        Ok((filled - left, left))
    }

    fn copy_out(&self, origin: u64, mut to: &mut [MaybeUninit<u8>]) {
        let mut tail = self.tail.load(Ordering::Relaxed);
        while !to.is_empty() {
            let (from, bytes) = self.ring.piece(origin, tail, to.len());
            let (now, later) = to.split_at_mut(bytes);
            // SAFETY: the piece lies in the ring, `now` is as long and not in it. The other side
            // writes there only after `tail` has moved; if it does not keep to that, other bytes
            // are copied, whose meaning is checked like that of any bytes that come from outside.
            unsafe { copy(from, now.as_mut_ptr().cast(), bytes) };
            tail = tail.wrapping_add(bytes as u64);
            self.tail.store(tail, Ordering::Relaxed);
            self.ring.counters().tail.0.store(tail, Ordering::Release);
            to = later;
        }
    }

    /// Whether the other side sleeps until there is room, which there is now. It is told once.
    ///
    /// Not asked, as a fence is dear, if a read found less than half of the ring filled: the other side had
    /// room then. If it has filled the ring meanwhile, and sleeps, the next read finds more than half, or this side
    /// asks before it sleeps.
    pub(super) fn wakes_writer(&self, found: usize) -> bool {
        if found < self.ring.size() / 2 {
            return false;
        }
        fence(Ordering::SeqCst);
        self.finds_writer_asleep()
    }

    /// As [`wakes_writer`](Self::wakes_writer), behind a fence: for who [sleeps](Self::sleep) after reads that did
    /// not ask.
    pub(super) fn finds_writer_asleep(&self) -> bool {
        let sleeps = &self.ring.counters().writer_sleeps.0;
        sleeps.load(Ordering::Relaxed) != 0 && sleeps.swap(0, Ordering::Relaxed) != 0
    }

    /// Says that this side has to be woken from now on. False if there is something to read.
    pub(super) fn sleep(&self) -> bool {
        self.sleeps.store(true, Ordering::Relaxed);
        self.ring.counters().reader_sleeps.0.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // What is wrong is found by who reads.
        self.filled().is_ok_and(|bytes| bytes == 0)
    }

    /// Says that this side looks by itself.
    pub(super) fn watch(&self) {
        if self.sleeps.load(Ordering::Relaxed) {
            self.sleeps.store(false, Ordering::Relaxed);
            self.ring.counters().reader_sleeps.0.store(0, Ordering::Relaxed);
        }
    }
}

impl Outlet {
    /// Bytes that can be written. Only for who writes.
    pub(super) fn room(&self) -> io::Result<usize> {
        let tail = self.ring.counters().tail.0.load(Ordering::Acquire);
        self.tail.store(tail, Ordering::Relaxed);
        self.room_before(tail)
    }

    fn room_before(&self, tail: u64) -> io::Result<usize> {
        let filled = self.head.load(Ordering::Relaxed).wrapping_sub(tail);
        if filled > self.ring.size() as u64 {
            return Err(broken());
        }
        Ok(self.ring.size() - filled as usize)
    }

    /// Writes as much of the parts as there is room for.
    pub(super) fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let wanted: usize = parts.iter().map(|part| part.len()).sum();
        let origin = self.origin(wanted)?;
        let mut room = self.room_before(self.tail.load(Ordering::Relaxed))?;
        if room < wanted {
            room = self.room()?;
        }
        let before = room;
        let mut head = self.head.load(Ordering::Relaxed);
        let mut unsaid = 0;
        for part in parts {
            let mut from = &part[..part.len().min(room)];
            room -= from.len();
            while !from.is_empty() {
                let (to, bytes) = self.ring.piece(origin, head, from.len());
                // SAFETY: the piece lies in the ring, `from` has as many bytes and is not in it. The
                // other side reads there only after `head` has moved.
                unsafe { copy(from.as_ptr(), to, bytes) };
                head = head.wrapping_add(bytes as u64);
                unsaid += bytes;
                // What is short is said once, at the end: the other side wants it whole.
                if unsaid >= self.ring.part() {
                    self.say(head);
                    unsaid = 0;
                }
                from = &from[bytes..];
            }
        }
        if unsaid > 0 {
            self.say(head);
        }
        Ok(before - room)
    }

    /// Where the next bytes, so many, are counted from: from here, if the ring is empty and has been used as far as it is
    /// worth.
    fn origin(&self, wanted: usize) -> io::Result<u64> {
        let (head, origin) =
            (self.head.load(Ordering::Relaxed), self.origin.load(Ordering::Relaxed));
        if head == origin || head + wanted as u64 <= self.returns.load(Ordering::Relaxed) {
            return Ok(origin);
        }
        let used = self.used.load(Ordering::Relaxed).max(head - origin);
        let share = (head / SHARE).max(used).min(self.reach.after(head)).max(FIRST);
        let size = self.ring.size() as u64;
        if share >= size {
            self.returns.store(head + size, Ordering::Relaxed);
            return Ok(origin);
        }
        if self.room()? < self.ring.size() {
            self.returns.store(head + PATIENCE, Ordering::Relaxed);
            return Ok(origin);
        }
        self.origin.store(head, Ordering::Relaxed);
        self.used.store(used, Ordering::Relaxed);
        self.returns.store(head + share, Ordering::Relaxed);
        // The reader finds it with the next head.
        self.ring.counters().head.0.origin.store(head, Ordering::Relaxed);
        Ok(head)
    }

    fn say(&self, head: u64) {
        self.head.store(head, Ordering::Relaxed);
        self.ring.counters().head.0.count.store(head, Ordering::Release);
    }

    /// Whether the other side sleeps until there is something to read, which there is now. It is told
    /// once.
    pub(super) fn wakes_reader(&self) -> bool {
        fence(Ordering::SeqCst);
        let sleeps = &self.ring.counters().reader_sleeps.0;
        sleeps.load(Ordering::Relaxed) != 0 && sleeps.swap(0, Ordering::Relaxed) != 0
    }

    /// Whether the other side looks by itself now.
    pub(super) fn is_watched(&self) -> bool {
        self.ring.counters().reader_sleeps.0.load(Ordering::Relaxed) == 0
    }

    /// Says that this side has to be woken when there is room. False if there is.
    pub(super) fn sleep(&self) -> bool {
        self.ring.counters().writer_sleeps.0.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // Not noted: who sleeps is not always who writes, and would put the count back that a writer has seen
        // meanwhile.
        let tail = self.ring.counters().tail.0.load(Ordering::Acquire);
        self.room_before(tail).is_ok_and(|bytes| bytes == 0)
    }
}

/// As [`ptr::copy_nonoverlapping`], and takes [as long wherever it lies](copies).
///
/// # Safety
/// As there.
unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    let at_once = copies::at_once(from, to, bytes).max(1);
    for start in (0..bytes).step_by(at_once) {
        let next = at_once.min(bytes - start);
        // SAFETY: a part of what the caller has promised.
        unsafe { ptr::copy_nonoverlapping(from.add(start), to.add(start), next) };
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a counter of the shared memory makes no sense")
}

#[cfg(test)]
mod tests {
    use super::{super::traffic::Traffic, *};
    use std::thread;

    fn pair(size: usize) -> ((Inlet, Outlet), (Inlet, Outlet)) {
        reaching(size, size)
    }

    fn reaching(size: usize, reach: usize) -> ((Inlet, Outlet), (Inlet, Outlet)) {
        let segment = Arc::new(Segment::create(size).unwrap().0);
        let ends = |maker| ends(&segment, maker, Traffic::default().reach(reach));
        (ends(true), ends(false))
    }

    fn read(inlet: &Inlet, place: usize, spare: usize) -> Vec<u8> {
        read_some(inlet, place, spare).0
    }

    /// What is read, and what was there.
    fn read_some(inlet: &Inlet, place: usize, spare: usize) -> (Vec<u8>, usize) {
        let mut bytes = vec![MaybeUninit::new(0); place + spare];
        let (first, second) = bytes.split_at_mut(place);
        let (count, left) = inlet.read(first, second).unwrap();
        // SAFETY: all of them were initialised.
        let read = bytes[..count].iter().map(|byte| unsafe { byte.assume_init() }).collect();
        (read, count + left)
    }

    #[test]
    fn what_is_written_is_read_across_the_end_of_the_ring() {
        let ((here, ours), (there, theirs)) = pair(LEAST);
        let mut next = 0u8;
        for length in [1, 64, 1000, LEAST - 1, LEAST, 7, LEAST / 2 + 1] {
            let bytes: Vec<u8> =
                (0..length).map(|at| next.wrapping_add((at % 251) as u8)).collect();
            next = next.wrapping_add(17);
            let parts = [IoSlice::new(&bytes[..length / 3]), IoSlice::new(&bytes[length / 3..])];
            assert_eq!(ours.write(&parts).unwrap(), length);
            assert_eq!(theirs.write(&parts).unwrap(), length);
            assert_eq!(there.filled().unwrap(), length);
            let mut got = read(&there, length / 2, 3);
            got.extend(read(&there, 0, LEAST));
            assert!(got == bytes && read(&here, 0, LEAST) == bytes);
        }
    }

    #[test]
    fn a_ring_is_used_as_far_as_it_is_worth() {
        // To its end, not at all, and as far as it may.
        for (reach, most) in [(8 * LEAST, 8 * LEAST), (0, FIRST as usize), (3 * LEAST, 3 * LEAST)] {
            a_ring_is_used_up_to(reach, most);
        }
    }

    fn a_ring_is_used_up_to(reach: usize, most: usize) {
        let ((_, ours), (there, _)) = reaching(8 * LEAST, reach);
        let touched = || {
            let (start, size) = (ours.ring.segment.place(ours.ring.number).1, ours.ring.size());
            // SAFETY: the bytes of the ring, which nobody writes meanwhile.
            let bytes = unsafe { std::slice::from_raw_parts(start, size) };
            bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1) as u64
        };
        let write = |length, byte: u8| {
            let bytes = vec![byte; length];
            assert_eq!(ours.write(&[IoSlice::new(&bytes)]).unwrap(), length);
            bytes
        };
        let mut through = 0;
        for (round, length) in [20_000, 80, 3_000, 20_000].into_iter().cycle().take(500).enumerate()
        {
            let bytes = write(length, round as u8 | 1);
            assert!(read(&there, length / 2, length) == bytes);
            through += length as u64;
            assert!(touched() <= (through / SHARE).max(FIRST), "{} of {through}", touched());
        }
        // What comes next may need more than is left of it.
        assert!(
            (most as u64 - 20_000..=most as u64).contains(&touched()),
            "{} of {most}",
            touched()
        );
        // All of it is there for what is long.
        assert!(read(&there, 1, 0).is_empty());
        let long = write(8 * LEAST, 1);
        assert!(read(&there, long.len(), 0) == long);
        assert_eq!(touched(), ours.ring.size() as u64);
    }

    #[test]
    fn a_ring_is_used_less_when_others_are_used_more() {
        let traffic = Traffic::default();
        let through = |outlet: &Outlet, inlet: &Inlet, bytes: usize| {
            for _ in 0..bytes / 1024 {
                assert_eq!(outlet.write(&[IoSlice::new(&[1; 1024])]).unwrap(), 1024);
                assert_eq!(read(inlet, 1024, 0).len(), 1024);
            }
        };
        let [(here, there), (others, them)] = [(), ()].map(|()| {
            let segment = Arc::new(Segment::create(8 * LEAST).unwrap().0);
            let ends = |maker| ends(&segment, maker, traffic.reach(8 * LEAST));
            (ends(true).1, ends(false).0)
        });
        let used = || here.head.load(Ordering::Relaxed) - here.origin.load(Ordering::Relaxed);
        // Alone it goes round and round; beside one with nine times its traffic it goes back after less than two tenths.
        through(&here, &there, 128 * LEAST);
        assert!(used() > 8 * LEAST as u64);
        for _ in 0..200 {
            through(&others, &them, 9 * LEAST);
            through(&here, &there, LEAST);
        }
        assert!(used() <= 2 * LEAST as u64, "{}", used());
    }

    #[test]
    fn what_has_not_been_read_is_not_written_over() {
        let ((_, ours), (there, _)) = pair(8 * LEAST);
        for round in 0..20 {
            let kept: Vec<_> = (0..6).map(|at| vec![round * 6 + at; 20_000]).collect();
            for bytes in &kept {
                assert_eq!(ours.write(&[IoSlice::new(bytes)]).unwrap(), bytes.len());
            }
            assert!(kept.iter().all(|bytes| read(&there, 20_000, 0) == *bytes), "{round}");
            let long = vec![round; 8 * LEAST];
            assert_eq!(ours.write(&[IoSlice::new(&long)]).unwrap(), long.len());
            assert!(read(&there, long.len(), 0) == long);
        }
    }

    #[test]
    fn a_full_ring_takes_nothing_and_an_empty_one_gives_nothing() {
        let ((_, ours), (there, _)) = pair(LEAST);
        let bytes = vec![1; LEAST + 5];
        assert_eq!(ours.write(&[IoSlice::new(&bytes)]).unwrap(), LEAST);
        assert_eq!(ours.write(&[IoSlice::new(&bytes)]).unwrap(), 0);
        assert_eq!(read(&there, 0, 10).len(), 10);
        assert_eq!(ours.write(&[IoSlice::new(&bytes)]).unwrap(), 10);
        assert_eq!(read(&there, 0, 2 * LEAST).len(), LEAST);
        assert!(read(&there, 4, 4).is_empty());
    }

    #[test]
    fn who_sleeps_is_woken_once() {
        let ((_, ours), (there, _)) = pair(LEAST);
        assert!(there.sleep() && !ours.is_watched());
        ours.write(&[IoSlice::new(&[1])]).unwrap();
        assert!(ours.wakes_reader() && !ours.wakes_reader());
        assert!(!there.sleep(), "there is something to read");
        there.watch();
        assert!(ours.is_watched() && !ours.wakes_reader());
        assert!(!ours.sleep(), "there is room");
        ours.write(&[IoSlice::new(&[0; LEAST])]).unwrap();
        assert!(ours.sleep());
        let (_, found) = read_some(&there, 0, 1);
        assert!(there.wakes_writer(found) && !there.wakes_writer(found));
    }

    #[test]
    fn a_writer_that_fills_the_ring_behind_a_read_is_woken_by_the_next() {
        let ((_, ours), (there, _)) = pair(LEAST);
        ours.write(&[IoSlice::new(&[0; 100])]).unwrap();
        // What the reader sees before the writer goes on.
        let seen = there.filled().unwrap();
        ours.write(&[IoSlice::new(&[0; LEAST])]).unwrap();
        assert!(ours.sleep());
        read(&there, 0, seen);
        assert!(!there.wakes_writer(seen));
        let (_, found) = read_some(&there, 0, 1);
        assert!(there.wakes_writer(found));
    }

    #[test]
    fn counters_that_make_no_sense_are_errors() {
        let ((_, ours), (there, _)) = pair(LEAST);
        // More than fits was written, and less than nothing; read before it was written.
        for wrong in [LEAST as u64 + 1, u64::MAX] {
            there.ring.counters().head.0.count.store(wrong, Ordering::Relaxed);
            assert!(there.filled().is_err() && there.read(&mut [], &mut []).is_err());
        }
        // Any origin leads into the ring.
        there.ring.counters().head.0.count.store(10, Ordering::Relaxed);
        for wrong in [1, LEAST as u64 + 1, u64::MAX] {
            there.ring.counters().head.0.origin.store(wrong, Ordering::Relaxed);
            assert_eq!(read(&there, 1, 1).len(), 2);
        }
        for wrong in [1, LEAST as u64 + 1] {
            ours.ring.counters().tail.0.store(wrong, Ordering::Relaxed);
            assert!(ours.room().is_err());
        }
    }

    #[test]
    fn two_threads_lose_nothing_and_sleep_through_nothing() {
        for (size, reach) in [(LEAST, LEAST), (4 * LEAST, 4 * LEAST), (4 * LEAST, LEAST)] {
            two_threads_lose_nothing(size, reach);
        }
    }

    fn two_threads_lose_nothing(size: usize, reach: usize) {
        const BYTES: usize = 8 << 20;
        // No part of a ring's size: a byte that is a lap early or late is another one.
        const PERIOD: u8 = 251;
        let ((_, ours), (there, _)) = reaching(size, reach);
        let (writer, reader) = (thread::current(), Arc::new(std::sync::OnceLock::new()));
        let known = Arc::clone(&reader);
        let reading = thread::spawn(move || {
            known.set(thread::current()).unwrap();
            let (mut got, mut expected) = (0, 0u8);
            while got < BYTES {
                let (bytes, found) = read_some(&there, 100, 5000);
                for byte in &bytes {
                    assert_eq!(*byte, expected);
                    expected = (expected + 1) % PERIOD;
                }
                got += bytes.len();
                if there.wakes_writer(found) {
                    writer.unpark();
                }
                if bytes.is_empty() && there.sleep() {
                    thread::park();
                }
            }
        });
        let pattern: Vec<u8> = (0..PERIOD).cycle().take(1 << 16).collect();
        let mut sent = 0;
        while sent < BYTES {
            let from = &pattern[sent % usize::from(PERIOD)..];
            let length = from.len().min(BYTES - sent).min(1 + sent % 9973);
            let wrote = ours.write(&[IoSlice::new(&from[..length])]).unwrap();
            sent += wrote;
            if ours.wakes_reader() {
                reader.wait().unpark();
            }
            if wrote == 0 && ours.sleep() {
                thread::park();
            }
        }
        reading.join().unwrap();
    }
}
