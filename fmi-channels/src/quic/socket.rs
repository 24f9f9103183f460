//! The one UDP socket of a process, as quinn wants it.
//!
//! It never waits for events itself. When nothing is there to read, the endpoint is polled again
//! after a [`nudge`](Socket::nudge), by whoever looks (see [`watch`](super::watch)).

use super::{engine::Engine, transport};
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState},
};
use socket2::{Domain, SockRef, Socket as RawSocket, Type};
use std::{
    fmt,
    io::{self, ErrorKind, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// Bytes that the kernel is asked to hold for us, each way. It gives what it may.
const BUFFER: usize = 8 << 20;
/// Bytes that one call may send, in however many datagrams.
const MAX_SEND: usize = 65_000;
/// Bytes of a datagram that can be something else than QUIC.
const LONGEST_ASIDE: usize = 64;
/// Datagrams that a read asks for while few come.
const FEW: usize = 2;

/// Makes the socket.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = RawSocket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    transport::widen(&socket, BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// An address as a socket wants it: one for both families knows IPv4 as a part of IPv6.
pub(super) fn destination(io: &UdpSocket, to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(to) if io.local_addr().is_ok_and(|bound| bound.is_ipv6()) => {
            SocketAddr::new(to.ip().to_ipv6_mapped().into(), to.port())
        }
        to => to,
    }
}

/// The UDP socket of a process.
pub(super) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    engine: Arc<Engine>,
    /// The endpoint, while there is nothing to read.
    reader: AtomicWaker,
    /// The last read brought all there was, and nobody has nudged since.
    empty: AtomicBool,
    nudges: AtomicUsize,
    /// Datagrams that the next read asks for.
    batch: AtomicUsize,
    /// The kernel takes no more for now.
    full: AtomicBool,
    /// Who waits until it does.
    writers: Mutex<Vec<Waker>>,
    aside: Option<Aside>,
}

/// Takes a datagram that is no QUIC, and says whether it was one.
pub(super) type Aside = Box<dyn Fn(SocketAddr, &[u8]) -> bool + Send + Sync>;

impl Socket {
    /// `aside` is called by whoever reads: it must be quick, and leave the endpoint alone.
    pub(super) fn new(
        io: UdpSocket,
        engine: Arc<Engine>,
        aside: Option<Aside>,
    ) -> io::Result<Arc<Self>> {
        let state = UdpSocketState::new(UdpSockRef::from(&io))?;
        Ok(Arc::new(Self {
            io,
            state,
            engine,
            reader: AtomicWaker::new(),
            empty: AtomicBool::new(false),
            nudges: AtomicUsize::new(0),
            batch: AtomicUsize::new(FEW),
            full: AtomicBool::new(false),
            writers: Mutex::default(),
            aside,
        }))
    }

    /// Sends a datagram of our own. It may get lost here as anywhere.
    pub(super) fn fire(&self, to: SocketAddr, contents: &[u8]) {
        let destination = destination(&self.io, to);
        let transmit =
            Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None };
        if let Err(error) = self.state.try_send(UdpSockRef::from(&self.io), &transmit) {
            tracing::debug!(%to, %error, "a datagram was not sent");
        }
    }

    /// Lets the endpoint look whether something has come.
    pub(super) fn nudge(&self) {
        self.nudges.fetch_add(1, Ordering::SeqCst);
        self.empty.store(false, Ordering::SeqCst);
        self.reader.wake();
    }

    /// Bytes of datagrams that wait here at most.
    pub(super) fn receive_buffer(&self) -> usize {
        SockRef::from(&self.io).recv_buffer_size().unwrap_or(0)
    }

    /// Another handle, to wait for events on.
    pub(super) fn duplicate(&self) -> io::Result<UdpSocket> {
        self.io.try_clone()
    }

    /// Whether somebody waits until the kernel takes more.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// The kernel takes more.
    pub(super) fn drained(&self) {
        self.full.store(false, Ordering::Release);
        let writers = std::mem::take(&mut *self.writers.lock());
        writers.into_iter().for_each(Waker::wake);
    }

    /// Takes out what is no QUIC.
    fn sort(&self, bufs: &mut [IoSliceMut<'_>], meta: &[RecvMeta]) {
        let Some(aside) = &self.aside else { return };
        for (buf, meta) in bufs.iter_mut().zip(meta) {
            for datagram in buf[..meta.len].chunks_mut(meta.stride.max(1)) {
                if datagram.len() <= LONGEST_ASIDE && aside(meta.addr, datagram) {
                    // What remains begins like no packet of QUIC, and is dropped.
                    datagram[0] = 0;
                }
            }
        }
    }

    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let sent = self.state.send(UdpSockRef::from(&self.io), transmit);
        if sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            self.full.store(true, Ordering::Release);
            self.engine.porter().wake();
        }
        sent
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(segment) = transmit.segment_size.filter(|_| transmit.contents.len() > MAX_SEND)
        else {
            return self.send(transmit);
        };
        // What is sent again because a later part found no room is dropped over there.
        for contents in transmit.contents.chunks((MAX_SEND / segment).max(1) * segment) {
            let segment_size = Some(segment).filter(|segment| *segment < contents.len());
            self.send(&Transmit { contents, segment_size, ..transmit.clone() })?;
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        // Before the look: who nudges after it must find the waker.
        self.reader.register(context.waker());
        if self.empty.swap(false, Ordering::SeqCst) {
            return Poll::Pending;
        }
        loop {
            let nudges = self.nudges.load(Ordering::SeqCst);
            // Preparing to read many costs more than to read two, and mostly there is one.
            let batch = self.batch.load(Ordering::Relaxed).min(bufs.len());
            match self.state.recv(UdpSockRef::from(&self.io), &mut bufs[..batch], meta) {
                Ok(count) => {
                    if count < batch {
                        // A call saved, unless something has come meanwhile.
                        self.empty.store(true, Ordering::SeqCst);
                        if self.nudges.load(Ordering::SeqCst) != nudges {
                            self.empty.store(false, Ordering::SeqCst);
                        }
                    } else {
                        self.batch.store((batch * 2).min(bufs.len()), Ordering::Relaxed);
                    }
                    self.sort(bufs, &meta[..count]);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.batch.store(FEW, Ordering::Relaxed);
                    return Poll::Pending;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody's port is closed; its connection will find out.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        // Of several datagrams that come as one there are never more bytes than one may have.
        1
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.io).finish()
    }
}

/// Lets a connection wait until the kernel takes more.
#[derive(Debug)]
struct Writable(Arc<Socket>);

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = &self.0;
        if !socket.is_full() {
            return Poll::Ready(Ok(()));
        }
        {
            let mut writers = socket.writers.lock();
            if !writers.iter().any(|writer| writer.will_wake(context.waker())) {
                writers.push(context.waker().clone());
            }
        }
        // It may have drained in between, before it saw us.
        if socket.is_full() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}
