//! Memory that two processes share: a file without a name, whose size nobody can change, so that
//! nobody can take pages away that the other side uses.

use memmap2::{MmapOptions, MmapRaw};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};
use tokio::{io::Interest, net::UnixStream};

/// Bytes of a page, in which each ring keeps its counters.
pub(super) const PAGE: usize = 4096;
/// The largest ring that is taken from the other side.
const LARGEST: usize = 64 << 20;
/// It stays as large as it is, and that stays so.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);
/// What the message with the file begins with.
const MAGIC: [u8; 8] = *b"fmi shm2";
const OFFER: usize = MAGIC.len() + 8;

/// A segment with two rings of so many bytes, mapped here.
#[derive(Debug)]
pub(super) struct Segment {
    map: MmapRaw,
    ring: usize,
}

impl Segment {
    /// A new one, and the file to be given to the other side.
    pub(super) fn create(ring: usize) -> io::Result<(Self, OwnedFd)> {
        let file = memfd_create("fmi", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let file = File::from(file);
        file.set_len(size(ring) as u64)?;
        fcntl_add_seals(&file, SEALS)?;
        Ok((Self::map(&file, ring)?, file.into()))
    }

    /// One that another process has made, if it is what it says it is.
    pub(super) fn open(file: OwnedFd, ring: usize) -> io::Result<Self> {
        let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
        if !ring.is_power_of_two() || !(super::ring::LEAST..=LARGEST).contains(&ring) {
            return refused("a ring of an odd size");
        }
        if u64::try_from(fstat(&file)?.st_size) != Ok(size(ring) as u64) {
            return refused("a segment of another size than was said");
        }
        if !fcntl_get_seals(&file)?.contains(SEALS) {
            return refused("a segment that can be made smaller");
        }
        Self::map(&File::from(file), ring)
    }

    fn map(file: &File, ring: usize) -> io::Result<Self> {
        Ok(Self { map: MmapOptions::new().len(size(ring)).map_raw(file)?, ring })
    }

    /// Bytes of a ring.
    pub(super) fn ring(&self) -> usize {
        self.ring
    }

    /// Where the counters and the bytes of a ring begin.
    pub(super) fn place(&self, ring: usize) -> (*mut u8, *mut u8) {
        let start = ring * (PAGE + self.ring);
        assert!(start + PAGE + self.ring <= self.map.len(), "there are two rings");
        let counters = self.map.as_mut_ptr().wrapping_add(start);
        (counters, counters.wrapping_add(PAGE))
    }
}

fn size(ring: usize) -> usize {
    2 * (PAGE + ring)
}

/// Gives a segment to the other side.
pub(super) async fn give(stream: &UnixStream, file: &OwnedFd, ring: usize) -> io::Result<()> {
    let mut offer = [0; OFFER];
    offer[..MAGIC.len()].copy_from_slice(&MAGIC);
    offer[MAGIC.len()..].copy_from_slice(&(ring as u64).to_le_bytes());
    let sent = stream.async_io(Interest::WRITABLE, || {
        let files = [file.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        rights.push(SendAncillaryMessage::ScmRights(&files));
        Ok(sendmsg(stream, &[IoSlice::new(&offer)], &mut rights, SendFlags::NOSIGNAL)?)
    });
    // A socket that has just said a few words takes a few more.
    if sent.await? == OFFER { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Takes the segment that the other side gives.
pub(super) async fn take(stream: &UnixStream) -> io::Result<Segment> {
    let mut offer = [0; OFFER];
    let received = stream.async_io(Interest::READABLE, || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut offer)];
        let message = recvmsg(stream, parts, &mut rights, RecvFlags::CMSG_CLOEXEC)?;
        let files = rights.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        Ok((message.bytes, files.filter(|_| !message.flags.contains(ReturnFlags::CTRUNC))))
    });
    let (bytes, file) = received.await?;
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "it offers no memory to share");
    let file = file.ok_or_else(odd)?;
    let ring = offer[MAGIC.len()..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    match ring.and_then(|ring| usize::try_from(ring).ok()) {
        Some(ring) if bytes == OFFER && offer.starts_with(&MAGIC) => Segment::open(file, ring),
        _ => Err(odd()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::ftruncate;

    fn refusal(file: OwnedFd, ring: usize) -> String {
        Segment::open(file, ring).unwrap_err().to_string()
    }

    #[test]
    fn nobody_changes_its_size() {
        let (_, file) = Segment::create(1 << 16).unwrap();
        assert!(ftruncate(&file, 0).is_err() && ftruncate(&file, 1 << 30).is_err());
        assert!(Segment::open(file, 1 << 16).is_ok());
    }

    #[test]
    fn what_is_not_what_it_says_is_refused() {
        let loose = || {
            let file = memfd_create("fmi", MemfdFlags::ALLOW_SEALING).unwrap();
            ftruncate(&file, size(1 << 16) as u64).unwrap();
            file
        };
        assert!(refusal(loose(), 1 << 16).contains("can be made smaller"));
        assert!(refusal(loose(), 1 << 17).contains("another size"));
        for odd in [0, 1, 3 << 15, usize::MAX, 1 << 63] {
            assert!(refusal(loose(), odd).contains("odd"), "{odd}");
        }
    }

    #[tokio::test]
    async fn it_is_given_through_a_socket() {
        let (one, other) = UnixStream::pair().unwrap();
        let (ours, file) = Segment::create(1 << 16).unwrap();
        give(&one, &file, 1 << 16).await.unwrap();
        let theirs = take(&other).await.unwrap();
        // SAFETY: both are mapped, and nothing else is done to them.
        unsafe {
            ours.place(1).1.write(7);
            assert_eq!(theirs.place(1).1.read(), 7);
        }
        // Words without a file, and a file without words.
        one.try_write(&MAGIC).unwrap();
        assert!(take(&other).await.is_err());
        give(&one, &file, 3).await.unwrap();
        assert!(take(&other).await.is_err());
        drop(one);
        assert!(take(&other).await.is_err());
    }
}
