//! What an attacker without the token can do on a link: nothing but break it.

use super::{EPOCH, Kind, Process, SECRET, bounded, contains, foreign, letter, pair};
use fmi_actors::Member;
use fmi_channels::identity::Identity;
use rustls::pki_types::ServerName;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const SILENT: Duration = Duration::from_secs(2);
/// Magic, purpose and nonce.
const GREETING: usize = 37;

#[tokio::test]
async fn another_token_is_refused() {
    for kind in [Kind::Plain, Kind::Encrypted] {
        let processes = [Process::new(0, kind, SECRET), Process::new(1, kind, "another job's")];
        let members = processes.each_ref().map(|process| process.member.clone());
        let [one, other] = processes.map(|process| process.start(&members, SILENT));
        one.put(1, letter(1, 10)).await.unwrap();
        other.put(0, letter(1, 10)).await.unwrap();
        assert!(one.loss(1).await.contains("token"));
        assert!(other.loss(0).await.contains("token"));
    }
}

#[tokio::test]
async fn a_recorded_link_cannot_be_played_again() {
    for kind in [Kind::Plain, Kind::Encrypted] {
        let ([one, other], proxies) = pair(kind, SILENT);
        one.put(1, letter(1, 100)).await.unwrap();
        assert_eq!(other.take(0).await.unwrap(), letter(1, 100));
        one.flushed().await;
        let [said, answered] = proxies[1].heard();
        assert_eq!(contains(&said, &letter(1, 60)), kind == Kind::Plain);

        // To who accepted: it has another nonce now.
        let mut again = TcpStream::connect(proxies[1].address()).await.unwrap();
        again.write_all(&said).await.unwrap();
        let mut got = Vec::new();
        // It may hang up before it has read all of it.
        let _ = bounded(again.read_to_end(&mut got)).await;
        assert!(got.len() <= GREETING + 1, "{} bytes for a recording", got.len());
        // The next that it gets is the next that was sent.
        one.put(1, letter(2, 100)).await.unwrap();
        assert_eq!(other.take(0).await.unwrap(), letter(2, 100));

        // To who dials.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (victim, mut false_peer) =
            (Process::new(0, kind, SECRET), Process::new(1, kind, SECRET));
        false_peer.reached_at(listener.local_addr().unwrap());
        let members = [victim.member.clone(), false_peer.member.clone()];
        let victim = victim.start(&members, SILENT);
        victim.put(1, letter(3, 100)).await.unwrap();
        let player = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&answered).await.unwrap();
            let mut got = Vec::new();
            let _ = stream.read_to_end(&mut got).await;
            got
        };
        let got = bounded(player).await;
        assert!(!contains(&got, &letter(3, 60)));
        assert!(victim.loss(1).await.contains("token"));
    }
}

#[tokio::test]
async fn what_is_sent_back_proves_nothing() {
    let victim = Process::new(0, Kind::Plain, SECRET);
    let address = victim.channel.local_addr();
    let peer = Process::new(1, Kind::Plain, SECRET);
    let _victim = victim.start(&[Process::new(0, Kind::Plain, SECRET).member, peer.member], SILENT);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[b"FMI1\x02".as_slice(), &[7; 32]].concat()).await.unwrap();
    let mut greeting = [0; GREETING];
    stream.read_exact(&mut greeting).await.unwrap();
    // Its own nonce, as if it were a hello and a proof.
    stream.write_all(&[&[5, 0, 0, 0][..], &greeting].concat()).await.unwrap();
    let mut rest = Vec::new();
    let _ = bounded(stream.read_to_end(&mut rest)).await;
    assert!(rest.len() <= 1, "{rest:?}");
}

#[tokio::test]
async fn ends_that_disagree_about_encryption_do_not_talk() {
    for (left, right) in [(Kind::Encrypted, Kind::Plain), (Kind::Checked, Kind::Encrypted)] {
        let processes = [Process::new(0, left, SECRET), Process::new(1, right, SECRET)];
        let members = processes.each_ref().map(|process| process.member.clone());
        let [one, other] = processes.map(|process| process.start(&members, SILENT));
        one.put(1, letter(1, 10)).await.unwrap();
        other.put(0, letter(1, 10)).await.unwrap();
        for reason in [one.loss(1).await, other.loss(0).await] {
            assert!(reason.contains("encrypted") && reason.contains("say the same"), "{reason}");
        }
    }
}

#[tokio::test]
async fn the_wish_to_encrypt_cannot_be_taken_away() {
    // Some bit of the hello, wherever the wish may be in it.
    for at in [4, 12, 18] {
        let ([one, other], proxies) = pair(Kind::Encrypted, SILENT);
        proxies[1].flip(2 * GREETING + at);
        one.put(1, letter(1, 100)).await.unwrap();
        // Over another link: the proof covers the wish, so the first is none.
        assert_eq!(other.take(0).await.unwrap(), letter(1, 100));
        assert_eq!(proxies[1].flips(), 1);
        assert!(proxies[1].cut() > 1, "the altered greeting has made a link");
        assert!(!contains(&proxies[1].heard().concat(), &letter(1, 60)));
    }
}

#[tokio::test]
async fn encrypted_links_show_nothing() {
    for kind in [Kind::Plain, Kind::Checked, Kind::Encrypted] {
        let ([one, other], proxies) = pair(kind, SILENT);
        for len in [60, 5_000, 2 << 20] {
            one.put(1, letter(len as u64, len)).await.unwrap();
            assert_eq!(other.take(0).await.unwrap(), letter(len as u64, len));
        }
        let heard = proxies[1].heard().concat();
        assert_eq!(
            contains(&heard, b"a letter that nobody else may read"),
            kind != Kind::Encrypted
        );
        assert!(heard.len() > 2 << 20 && !contains(&heard, SECRET.as_bytes()));
    }
}

#[tokio::test]
async fn garbage_ends_a_link_and_no_more() {
    for kind in [Kind::Plain, Kind::Checked, Kind::Encrypted] {
        let ([one, other], proxies) = pair(kind, SILENT);
        one.put(1, letter(1, 100)).await.unwrap();
        other.take(0).await.unwrap();
        one.flushed().await;
        // The first byte of a frame, or of a record.
        proxies[1].flip(0);
        one.put(1, letter(2, 100)).await.unwrap();
        assert_eq!(other.take(0).await.unwrap(), letter(2, 100), "{kind:?}");
        assert_eq!(proxies[1].flips(), 1);
    }
}

#[tokio::test]
async fn who_sits_in_the_middle_is_found_out() {
    // Somebody who passes the greeting on and speaks TLS with both; once as he is, once with a
    // rendezvous that tells both his fingerprint as the other's.
    for lie in [false, true] {
        let mut processes = [0, 1].map(|process| Process::new(process, Kind::Encrypted, SECRET));
        let attacker = Arc::new(Identity::new().unwrap());
        for process in &mut processes {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let target = process.channel.local_addr();
            process.reached_at(listener.local_addr().unwrap());
            let (attacker, pinned) = (Arc::clone(&attacker), process.identity.fingerprint());
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let attacker = Arc::clone(&attacker);
                    tokio::spawn(async move {
                        let _ = sit_between(stream, target, &attacker, pinned).await;
                    });
                }
            });
        }
        let honest = processes.each_ref().map(|process| process.member.clone());
        let told = |own: usize| {
            honest.clone().map(|member| match lie && member.process != own as u32 {
                true => Member { fingerprint: Some(attacker.fingerprint()), ..member },
                false => member,
            })
        };
        let [one, other] = processes;
        let (one, other) = (one.start(&told(0), SILENT), other.start(&told(1), SILENT));
        one.put(1, letter(1, 100)).await.unwrap();
        let reason = one.loss(1).await;
        assert!(
            reason.contains("sits in the middle") || (lie && reason.contains("handshake")),
            "{reason}"
        );
        assert!(other.node.peer(0).unwrap().link().is_none());
        assert_eq!(one.node.epoch(), EPOCH);
    }
}

/// A peer whose fingerprint the rendezvous tells wrongly is not talked to.
#[tokio::test]
async fn another_certificate_than_the_one_told_is_refused() {
    let processes = [0, 1].map(|process| Process::new(process, Kind::Encrypted, SECRET));
    let honest = processes.each_ref().map(|process| process.member.clone());
    let [one, other] = processes;
    // Each side is lied to in its turn: the one that opens, and the one that accepts.
    let mut lied = honest.clone();
    lied[1].fingerprint = Some(foreign());
    let (one, other) = (one.start(&lied, SILENT), other.start(&honest, SILENT));
    one.put(1, letter(1, 10)).await.unwrap();
    other.put(0, letter(1, 10)).await.unwrap();
    assert!(one.loss(1).await.contains("another certificate"));
    // Here the other end breaks it off.
    other.loss(0).await;
}

/// Passes the greeting on, then speaks TLS with both sides and passes on what they say.
async fn sit_between(
    mut client: TcpStream,
    server: SocketAddr,
    attacker: &Identity,
    pinned: [u8; 32],
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    pass(&mut client, &mut server, GREETING).await?;
    pass(&mut server, &mut client, GREETING).await?;
    let length = pass_length(&mut client, &mut server).await?;
    pass(&mut client, &mut server, length + 32).await?;
    pass(&mut server, &mut client, 1).await?;
    let length = pass_length(&mut server, &mut client).await?;
    pass(&mut server, &mut client, length + 32).await?;
    let wrong = std::io::Error::other::<String>;
    let acceptor = attacker.acceptor().map_err(|error| wrong(error.to_string()))?;
    let opener = attacker.opener(pinned).map_err(|error| wrong(error.to_string()))?;
    let name = ServerName::try_from("fmi").unwrap();
    let mut client = TlsAcceptor::from(Arc::new(acceptor)).accept(client).await?;
    let mut server = TlsConnector::from(Arc::new(opener)).connect(name, server).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

async fn pass(from: &mut TcpStream, to: &mut TcpStream, bytes: usize) -> std::io::Result<()> {
    let mut buffer = vec![0; bytes];
    from.read_exact(&mut buffer).await?;
    to.write_all(&buffer).await
}

async fn pass_length(from: &mut TcpStream, to: &mut TcpStream) -> std::io::Result<usize> {
    let length = from.read_u32_le().await?;
    to.write_u32_le(length).await?;
    Ok(length as usize)
}
