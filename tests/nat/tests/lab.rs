//! The lab itself: what its boxes let through, and how they translate.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use nat_tests::lab::{Distance, Family, Host, How, Kind, Lab, missing};

/// Long for a packet that comes; what does not come by then does not.
const AWAITED: Duration = Duration::from_secs(5);
const NOT_AWAITED: Duration = Duration::from_millis(100);
const PORT: u16 = 4_000;

/// The lab, or nothing where there can be none.
fn lab(builder: nat_tests::lab::Builder) -> Option<Lab> {
    if let Some(missing) = missing() {
        eprintln!("skipped: {missing}");
        return None;
    }
    Some(builder.build().expect("no lab"))
}

fn udp(host: &Host, port: u16) -> UdpSocket {
    let socket = host.namespace.within(|| UdpSocket::bind(SocketAddr::new(host.address, port)));
    let socket = socket.unwrap().unwrap();
    socket.set_read_timeout(Some(AWAITED)).unwrap();
    socket
}

/// As whom the receiver sees the sender; nothing if nothing comes.
fn told(from: &UdpSocket, to: &UdpSocket, at: SocketAddr, wait: Duration) -> Option<SocketAddr> {
    from.send_to(b"?", at).unwrap();
    to.set_read_timeout(Some(wait)).unwrap();
    to.recv_from(&mut [0; 8]).ok().map(|(_, from)| from)
}

fn connect(from: &Host, to: SocketAddr, wait: Duration) -> io::Result<TcpStream> {
    from.namespace.within(|| TcpStream::connect_timeout(&to, wait)).unwrap()
}

fn listen(host: &Host) -> TcpListener {
    host.namespace
        .within(|| TcpListener::bind(SocketAddr::new(host.address, PORT)))
        .unwrap()
        .unwrap()
}

/// The port that a host's UDP port is seen as by the server and by another site, and whether what
/// a stranger sends comes in.
fn look(kind: Kind, family: Family) -> Option<(u16, u16, bool)> {
    let lab = lab(Lab::pair(kind, Kind::None).family(family))?;
    let (own, other) = (&lab.sites()[0].hosts()[0], &lab.sites()[1].hosts()[0]);
    let (socket, server) = (udp(own, PORT), udp(lab.server(), 7));
    let (friend, stranger) = (udp(other, 7), udp(other, 8));
    let seen = told(&socket, &server, server.local_addr().unwrap(), AWAITED);
    let elsewhere = told(&socket, &friend, friend.local_addr().unwrap(), AWAITED);
    let (seen, elsewhere) = (seen.unwrap(), elsewhere.unwrap());
    assert_eq!(seen.ip(), lab.sites()[0].outside());
    // Answers pass everywhere.
    assert_eq!(told(&server, &socket, seen, AWAITED), Some(server.local_addr().unwrap()));
    let unasked = told(&stranger, &socket, seen, NOT_AWAITED).is_some();
    Some((seen.port(), elsewhere.port(), unasked))
}

#[test]
fn boxes_that_keep_ports() {
    for family in [Family::V4, Family::V6] {
        for (kind, open) in [
            (Kind::None, true),
            (Kind::FullCone, true),
            (Kind::Restricted, false),
            (Kind::Refusing, false),
            (Kind::NoInbound, false),
        ] {
            let Some(seen) = look(kind, family) else { return };
            assert_eq!(seen, (PORT, PORT, open), "{kind}, {family:?}");
        }
    }
}

#[test]
fn symmetric_ones_take_another_port_for_each_destination() {
    let Some((one, other, open)) = look(Kind::Symmetric, Family::V4) else { return };
    assert_ne!(one, other);
    assert!(!open);
}

#[test]
fn no_datagram_passes_where_there_is_no_udp() {
    let Some(lab) = lab(Lab::pair(Kind::NoUdp, Kind::None)) else { return };
    let (own, other) = (&lab.sites()[0].hosts()[0], &lab.sites()[1].hosts()[0]);
    let (socket, friend) = (udp(own, PORT), udp(other, 7));
    assert_eq!(told(&socket, &friend, friend.local_addr().unwrap(), NOT_AWAITED), None);
    let listener = listen(other);
    connect(own, listener.local_addr().unwrap(), AWAITED).unwrap();
}

#[test]
fn connections_that_nobody_asked_for() {
    for (kind, ends) in [
        (Kind::None, None),
        (Kind::FullCone, None),
        (Kind::Restricted, Some(io::ErrorKind::TimedOut)),
        (Kind::Refusing, Some(io::ErrorKind::ConnectionRefused)),
        (Kind::Symmetric, Some(io::ErrorKind::TimedOut)),
        (Kind::NoInbound, Some(io::ErrorKind::TimedOut)),
    ] {
        let Some(lab) = lab(Lab::pair(kind, Kind::None)) else { return };
        let (own, other) = (&lab.sites()[0].hosts()[0], &lab.sites()[1].hosts()[0]);
        let _listener = listen(own);
        let at = SocketAddr::new(lab.sites()[0].outside(), PORT);
        let wait = if ends == Some(io::ErrorKind::TimedOut) { NOT_AWAITED } else { AWAITED };
        assert_eq!(connect(other, at, wait).err().map(|error| error.kind()), ends, "{kind}");
    }
}

#[test]
fn hosts_of_a_site_reach_each_other() {
    let Some(lab) = lab(Lab::builder().site(Kind::Restricted, 3)) else { return };
    let hosts = lab.sites()[0].hosts();
    let listener = listen(&hosts[2]);
    connect(&hosts[0], listener.local_addr().unwrap(), AWAITED).unwrap();
}

#[test]
fn a_distance_is_kept() {
    let span = Duration::from_millis(40);
    let far = Lab::pair(Kind::Restricted, Kind::None).distance(Distance::round_trip(span));
    let Some(lab) = lab(far) else { return };
    let (own, other) = (&lab.sites()[0].hosts()[0], &lab.sites()[1].hosts()[0]);
    let listener = listen(other);
    let begun = Instant::now();
    let mut stream = connect(own, listener.local_addr().unwrap(), AWAITED).unwrap();
    assert!(begun.elapsed() >= span, "{:?}", begun.elapsed());
    let (mut accepted, _) = listener.accept().unwrap();
    let sent = vec![7; 1 << 20];
    let writer = std::thread::spawn({
        let sent = sent.clone();
        move || accepted.write_all(&sent)
    });
    let mut got = vec![0; sent.len()];
    stream.read_exact(&mut got).unwrap();
    writer.join().unwrap().unwrap();
    assert!(got == sent, "what went through is another");
}

#[test]
fn a_way_is_cut_and_mended() {
    let Some(lab) = lab(Lab::pair(Kind::None, Kind::NoInbound)) else { return };
    let (one, other) = (&lab.sites()[0].hosts()[0], &lab.sites()[1].hosts()[0]);
    let listener = listen(one);
    let at = listener.local_addr().unwrap();
    let mut stream = connect(other, at, AWAITED).unwrap();
    let cut = lab.cut(0, 1, How::Silently);
    assert_eq!(connect(other, at, NOT_AWAITED).unwrap_err().kind(), io::ErrorKind::TimedOut);
    cut.mend();
    connect(other, at, AWAITED).unwrap();
    let cut = lab.isolate(1, How::Reset);
    // A reset comes with the first packet that is not let through.
    stream.set_read_timeout(Some(AWAITED)).unwrap();
    stream.write_all(b"?").unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(connect(other, at, AWAITED).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    cut.mend();
    connect(other, at, AWAITED).unwrap();
}
