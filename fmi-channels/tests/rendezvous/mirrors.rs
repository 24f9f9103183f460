//! What processes learn of how they look from outside.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use fmi_channels::{
    dial,
    handshake::Token,
    rendezvous::{Client, Mirrors, Options, Reach, Server, mirror},
};
use tokio::net::{TcpSocket, UdpSocket};

use super::{Bed, JOIN, SECRET, bounded, given};

async fn asked(socket: &UdpSocket, at: SocketAddr, nonce: u64) -> SocketAddr {
    // A datagram may get lost, in principle.
    for _ in 0..20 {
        socket.send_to(&mirror::request(nonce), at).await.unwrap();
        let mut bytes = [0; 100];
        let answer = socket.recv_from(&mut bytes);
        if let Ok(answer) = tokio::time::timeout(Duration::from_secs(1), answer).await {
            let (length, from) = answer.unwrap();
            assert_eq!(from, at, "answers come from where was asked");
            let (back, seen) = mirror::answer(&bytes[..length]).unwrap();
            assert_eq!(back, nonce);
            return seen;
        }
    }
    panic!("{at} does not answer");
}

#[tokio::test]
async fn two_mirrors_for_datagrams_and_one_for_connections() {
    bounded(async {
        let bed = Bed::new().await;
        let client = bed.join(given("app", 1, &[0])).await.unwrap();
        let outside = client.outside().clone();
        assert_eq!(outside.observed, outside.local);
        assert_eq!(format!("tcp://{}", outside.server), bed.address);

        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let own = socket.local_addr().unwrap();
        let [first, second] = outside.udp_mirrors[..] else { panic!("two mirrors") };
        assert_eq!(first, outside.server);
        assert_ne!(second.port(), first.port());
        assert_eq!(asked(&socket, first, 1).await, own);
        assert_eq!(asked(&socket, second, 2).await, own);

        let at = outside.tcp_mirror.unwrap();
        assert_ne!(at, outside.server);
        let (seen, own) = mirror::tcp(None, at).await.unwrap();
        assert_eq!(seen, own);
    })
    .await;
}

#[tokio::test]
async fn a_server_on_all_addresses_answers_from_the_one_that_was_asked() {
    bounded(async {
        for listen in ["0.0.0.0:0", "[::]:0"] {
            let token = Token::new(SECRET);
            let Ok(server) = Server::bind(listen, token, Options::default()).await else {
                continue; // No IPv6 here.
            };
            let port = server.local_addr().port();
            tokio::spawn(server.run(std::future::pending::<()>()));
            // All of 127.0.0.0/8 is this machine; answers would come from 127.0.0.1 by themselves.
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let own = socket.local_addr().unwrap();
            for last in [1, 2, 77] {
                let at = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port));
                assert_eq!(asked(&socket, at, last.into()).await, own, "{listen}");
            }
            if listen.starts_with('[') {
                let socket = UdpSocket::bind("[::1]:0").await.unwrap();
                let at = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
                assert_eq!(asked(&socket, at, 5).await, socket.local_addr().unwrap());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_registration_comes_from_the_port_that_listens() {
    bounded(async {
        let bed = Bed::new().await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let listening = socket.listen(8).unwrap();
        dial::share(&listening).unwrap();
        let port = listening.local_addr().unwrap().port();
        let join = |job: &'static str| {
            let token = Token::new(SECRET);
            let address = bed.address.clone();
            async move {
                let register = |_| given(job, 1, &[0]);
                let reach = Reach { address, port: Some(port), ca: None };
                Client::connect_with(&reach, &token, register, JOIN).await.unwrap()
            }
        };
        let one = join("one").await;
        assert_eq!(one.registered().observed.port(), port);
        // A second one cannot have it, and gets through all the same.
        let two = join("two").await;
        assert_ne!(two.registered().observed.port(), port);
        let at = one.outside().tcp_mirror.unwrap();
        let (seen, own) = mirror::tcp(Some(port), at).await.unwrap();
        assert_eq!((seen.port(), own.port()), (port, port));
    })
    .await;
}

#[tokio::test]
async fn without_mirrors_nothing_is_promised() {
    bounded(async {
        let bed = Bed::with(Options { mirrors: Mirrors::Off, ..Options::default() }).await;
        let client = bed.join(given("app", 1, &[0])).await.unwrap();
        assert_eq!(client.outside().tcp_mirror, None);
        assert!(client.outside().udp_mirrors.is_empty());
    })
    .await;
}

#[tokio::test]
async fn noise_gets_no_answer() {
    bounded(async {
        let bed = Bed::new().await;
        let client = bed.join(given("app", 1, &[0])).await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = client.outside().udp_mirrors[0];
        for noise in [&[][..], &[0; 64], &mirror::request(1)[..63], &[7; 3000]] {
            socket.send_to(noise, at).await.unwrap();
        }
        // The first answer is to the first request.
        assert_eq!(asked(&socket, at, 9).await, socket.local_addr().unwrap());
    })
    .await;
}
