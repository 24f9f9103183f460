//! A socket that is read and written by whoever polls, on any thread: no runtime's event queue
//! knows it. Who watches it [nudges](Wire::nudge).

use crate::events;
use fmi_actors::service::Service;
use futures::task::AtomicWaker;
use socket2::{SockRef, Socket, TcpKeepalive};
use std::{
    io::{self, ErrorKind},
    net::Shutdown,
    os::fd::OwnedFd,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, unix::AsyncFd};

/// A connected socket.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    reader: AtomicWaker,
    writer: AtomicWaker,
    /// Somebody waits until the kernel takes more.
    full: AtomicBool,
    /// Reads that brought something.
    heard: AtomicUsize,
}

/// The connection as the crate uses it.
#[derive(Debug)]
pub(super) struct WireIo(pub(super) Arc<Wire>);

impl Wire {
    /// A connection that has just been made. A server that is silent for so long is dead.
    pub(super) fn new(stream: std::net::TcpStream, silent: Duration) -> io::Result<Arc<Self>> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let socket = Socket::from(stream);
        let keepalive = TcpKeepalive::new().with_time(silent / 2).with_interval(silent / 4);
        SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(silent))?;
        Ok(Arc::new(Self {
            socket,
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            full: AtomicBool::new(false),
            heard: AtomicUsize::new(0),
        }))
    }

    /// Lets its connection look whether something has come, or can be written.
    pub(super) fn nudge(&self) {
        self.reader.wake();
        self.writer.wake();
    }

    /// Grows while something comes.
    pub(super) fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }

    /// Ends it, both ways.
    pub(super) fn cut(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        self.nudge();
    }

    /// Registers a duplicate of the socket with the current runtime's event queue.
    pub(super) fn events(&self, of: Interest) -> io::Result<AsyncFd<OwnedFd>> {
        events::watch(self.socket.try_clone()?, of)
    }

    /// Has the writer called when the kernel takes more.
    fn wait_for_room(self: &Arc<Self>) {
        if self.full.swap(true, Ordering::AcqRel) {
            return;
        }
        let wire = Arc::clone(self);
        Service::get().spawn(async move {
            match wire.events(Interest::WRITABLE) {
                Ok(events) => drop(events.writable().await.map(|_| ())),
                // Out of descriptors: look again soon.
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
            wire.full.store(false, Ordering::Release);
            wire.writer.wake();
        });
    }
}

impl AsyncRead for WireIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &self.0;
        let mut registered = false;
        loop {
            // SAFETY: the kernel writes initialised bytes only.
            match wire.socket.recv(unsafe { buf.unfilled_mut() }) {
                Ok(bytes) => {
                    // SAFETY: so many have been written.
                    unsafe { buf.assume_init(bytes) };
                    buf.advance(bytes);
                    if bytes > 0 {
                        wire.heard.fetch_add(1, Ordering::Relaxed);
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if registered {
                        return Poll::Pending;
                    }
                    // Once more: what came before the registration has nudged nobody.
                    wire.reader.register(context.waker());
                    registered = true;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for WireIo {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = &self.0;
        let mut registered = false;
        loop {
            match wire.socket.send(bytes) {
                Ok(bytes) => return Poll::Ready(Ok(bytes)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if registered {
                        wire.wait_for_room();
                        return Poll::Pending;
                    }
                    wire.writer.register(context.waker());
                    registered = true;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.0.socket.shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
