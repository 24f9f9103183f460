//! The engine as quinn's runtime, and what of it runs on the service thread.

use super::{alarm::Alarm, engine::Engine, socket::Socket, watch::events};
use crate::watch::Watch;
use futures::future::BoxFuture;
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime};
use std::{
    future::{Future, poll_fn},
    io,
    net::UdpSocket,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::io::Interest;

/// What quinn runs on.
#[derive(Debug)]
pub(super) struct OnEngine {
    pub(super) engine: Arc<Engine>,
    pub(super) alarm: Arc<Alarm>,
}

impl Runtime for OnEngine {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(self.alarm.timer(at))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.engine.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(Socket::new(socket, Arc::clone(&self.engine), None)?)
    }
}

/// What is left to the service thread: timers, what nobody else attends to, a full socket. Ends
/// with the last future of the engine.
pub(super) async fn serve(
    engine: Arc<Engine>,
    alarm: Arc<Alarm>,
    socket: Arc<Socket>,
    watch: Arc<Watch>,
) {
    const LONG: Duration = Duration::from_secs(60);
    let mut sleep = pin!(tokio::time::sleep(LONG));
    let mut asleep_until = None;
    let mut drain: Option<BoxFuture<'static, ()>> = None;
    poll_fn(|context: &mut Context<'_>| {
        engine.porter().register(context.waker());
        engine.attend(|| alarm.ring(Instant::now()));
        if engine.is_idle() {
            return Poll::Ready(());
        }
        if socket.is_full() && drain.is_none() {
            drain = Some(Box::pin(drained(Arc::clone(&socket))));
        }
        if let Some(waiting) = &mut drain
            && waiting.as_mut().poll(context).is_ready()
        {
            drain = None;
            context.waker().wake_by_ref();
        }
        let next = alarm.next();
        if next.is_some() && next != asleep_until {
            asleep_until = next;
            let next = next.unwrap_or_else(Instant::now);
            sleep.as_mut().reset(tokio::time::Instant::from_std(next));
        }
        // Others have their turn before what is left.
        let due = asleep_until.is_some() && sleep.as_mut().poll(context).is_ready();
        if due {
            asleep_until = None;
        }
        if due || engine.has_work() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
    watch.end();
}

/// Waits until the socket takes more. It is watched for that only while it does not: a UDP socket
/// tells of every datagram that has left.
async fn drained(socket: Arc<Socket>) {
    match events(&socket, Interest::WRITABLE) {
        Ok(events) => {
            if let Ok(mut ready) = events.writable().await {
                ready.clear_ready();
            }
        }
        // Out of descriptors: look again soon.
        Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
    }
    socket.drained();
}
