//! Distance: a program between the sites that keeps each packet for a while, or loses it.
//!
//! The router of the internet sends what passes through it to a TUN device; a thread reads there,
//! waits, and writes it back, for the router to pass on.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::OpenOptionsExt,
    },
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::Namespace;

/// What lies between any two sites.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Distance {
    /// Time that a packet takes, one way.
    pub delay: Duration,
    /// Part of the packets that are lost, 0 to 1; always the same ones in a row of packets.
    pub loss: f64,
}

impl Distance {
    /// One that a packet needs this long for, there and back.
    #[must_use]
    pub fn round_trip(span: Duration) -> Self {
        Self { delay: span / 2, loss: 0.0 }
    }
}

/// Interface that the packets go through.
pub(super) const DEVICE: &str = "far0";
/// Packets that are on their way at once; more are lost.
const UNDERWAY: usize = 16_384;
const PACKET: usize = 65_536;
/// After this a thread without packets looks whether it shall end.
const IDLE: Duration = Duration::from_millis(50);

/// The thread that keeps packets, until dropped.
#[derive(Debug)]
pub(super) struct Forwarder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Makes the device; routes are the caller's business.
    pub(super) fn start(internet: &Namespace, distance: Distance) -> io::Result<Self> {
        let device = internet.within(tun)??;
        internet.ip(&format!("link set {DEVICE} up txqueuelen 10000\n"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("distance".to_owned()).spawn(move || {
            if let Err(error) = forward(device, distance, &stopped) {
                eprintln!("the internet has ended: {error}");
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn forward(mut device: File, distance: Distance, stop: &AtomicBool) -> io::Result<()> {
    let mut underway: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut buffer = vec![0; PACKET];
    let mut dice = 0x9e37_79b9_7f4a_7c15;
    while !stop.load(Ordering::Relaxed) {
        let wait = underway.front().map_or(IDLE, |(due, _)| due.duration_since(Instant::now()));
        wait_readable(&device, wait)?;
        loop {
            match device.read(&mut buffer) {
                Ok(length) if underway.len() < UNDERWAY && roll(&mut dice) >= distance.loss => {
                    let due = Instant::now() + distance.delay;
                    underway.push_back((due, buffer[..length].to_vec()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while let Some((_, packet)) = underway.pop_front_if(|(due, _)| *due <= Instant::now()) {
            // What the system does not take is lost, as elsewhere.
            let _ = device.write(&packet);
        }
    }
    Ok(())
}

/// Waits until there is a packet, to some microseconds.
fn wait_readable(device: &File, wait: Duration) -> io::Result<()> {
    let mut poll =
        libc::pollfd { fd: device.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let wait = libc::timespec {
        tv_sec: wait.as_secs() as libc::time_t,
        tv_nsec: wait.subsec_nanos().into(),
    };
    // SAFETY: both outlive the call, and there is one descriptor.
    let ready = unsafe { libc::ppoll(&raw mut poll, 1, &raw const wait, ptr::null()) };
    let error = io::Error::last_os_error();
    if ready < 0 && error.kind() != io::ErrorKind::Interrupted { Err(error) } else { Ok(()) }
}

/// A TUN device of the namespace that this thread is in; packets without a header of its own.
fn tun() -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    // SAFETY: all zeros is a request without a name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(DEVICE.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the request outlives the call, which reads and writes nothing else.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if made == 0 { Ok(file) } else { Err(io::Error::last_os_error()) }
}

/// From 0 to 1, the same row in every run (xorshift).
fn roll(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1u64 << 53) as f64
}
