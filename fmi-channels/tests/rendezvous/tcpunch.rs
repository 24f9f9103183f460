//! Clients that speak TCPunch's protocol, written from its description.

use std::net::{Ipv4Addr, SocketAddr};

use fmi_channels::{dial, rendezvous::TcPunch};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::bounded;

async fn server() -> SocketAddr {
    let server = TcPunch::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr();
    tokio::spawn(server.run());
    address
}

async fn address(from: &mut TcpStream) -> SocketAddr {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes).await.unwrap();
    let ip = Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
    (ip, u16::from_be_bytes([bytes[4], bytes[5]])).into()
}

/// Says its name and learns how it looks.
async fn come(server: SocketAddr, name: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(name.as_bytes()).await.unwrap();
    assert_eq!(address(&mut stream).await, stream.local_addr().unwrap());
    stream
}

#[tokio::test]
async fn two_of_a_name_learn_each_others_address_and_connect() {
    bounded(async {
        let server = server().await;
        let mut stranger = come(server, "another").await;
        let mut one = come(server, "mine").await;
        let mut two = come(server, "mine").await;
        assert_eq!(address(&mut one).await, two.local_addr().unwrap());
        assert_eq!(address(&mut two).await, one.local_addr().unwrap());
        for stream in [&mut one, &mut two] {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "closed");
        }
        // A third one of that name begins anew.
        let mut three = come(server, "mine").await;
        let mut four = come(server, "mine").await;
        assert_eq!(address(&mut three).await, four.local_addr().unwrap());
        assert_eq!(address(&mut four).await, three.local_addr().unwrap());
        let mut last = come(server, "another").await;
        assert_eq!(address(&mut stranger).await, last.local_addr().unwrap());
        assert_eq!(address(&mut last).await, stranger.local_addr().unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_client_dials_the_other_at_the_port_that_it_came_from() {
    bounded(async {
        let server = server().await;
        // As TCPunch does: it listens on the port that it came from.
        let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
        dial::share(&listening).unwrap();
        let port = listening.local_addr().unwrap().port();
        let mut one = dial::from(Some(port), server).await.unwrap();
        one.write_all(b"mine").await.unwrap();
        assert_eq!(address(&mut one).await.port(), port);
        let mut two = come(server, "mine").await;
        let mut dialled = TcpStream::connect(address(&mut two).await).await.unwrap();
        let (mut accepted, _) = listening.accept().await.unwrap();
        dialled.write_all(b"hello").await.unwrap();
        let mut hello = [0; 5];
        accepted.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"hello");
    })
    .await;
}

#[tokio::test]
async fn who_has_gone_is_paired_with_nobody() {
    bounded(async {
        let server = server().await;
        drop(come(server, "mine").await);
        // Whether the server has noticed yet or not: they find each other sooner or later.
        loop {
            let mut one = come(server, "mine").await;
            let mut two = come(server, "mine").await;
            let (a, b) = (one.local_addr().unwrap(), two.local_addr().unwrap());
            if address(&mut two).await == a {
                assert_eq!(address(&mut one).await, b);
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_says_no_name_gets_no_answer() {
    bounded(async {
        let server = server().await;
        let mut stream = TcpStream::connect(server).await.unwrap();
        stream.write_all(&[0; 20]).await.unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        assert!(bytes.is_empty());
    })
    .await;
}
