//! Over a Redis server.

use crate::{
    ground::{Ground, suite},
    suite::{job, join, registration},
};
use fmi_channels::{directory::Shared, handshake::Token, rendezvous::Ranks};
use std::time::Duration;
use test_servers::redis::Server;

impl Ground for Server {
    fn directory(&self, token: &str) -> Shared {
        Shared::redis(self.url(), Token::new(token), self.silent())
    }

    fn silent(&self) -> Duration {
        Duration::from_millis(800)
    }

    async fn left(&self) -> Vec<String> {
        let mut all = Vec::new();
        for key in self.keys("") {
            let names = self.ask(&["HKEYS", &key]);
            all.extend(names.into_iter().map(|name| format!("{key} {name}")));
        }
        all
    }

    async fn read(&self, name: &str) -> Vec<u8> {
        let (key, name) = name.split_once(' ').unwrap();
        let mut content = self.ask_bytes(&[b"HGET", key.as_bytes(), name.as_bytes()]);
        content[0].split_off(16)
    }

    async fn write(&self, name: &str, content: &[u8]) {
        let (key, name) = name.split_once(' ').unwrap();
        let seconds: u64 = self.ask(&["TIME"])[0].parse().unwrap();
        let stamp = format!("{:016}", seconds * 1000);
        let stamped = [stamp.as_bytes(), content].concat();
        self.ask_bytes(&[b"HSET", key.as_bytes(), name.as_bytes(), &stamped]);
    }

    async fn empty(&self) {
        self.ask(&["FLUSHALL"]);
    }
}

suite!(Server::start(&[]));

async fn alone(url: &str) -> fmi_actors::Result<()> {
    let directory = Shared::redis(url, Token::new("secret"), Duration::from_secs(1));
    let (place, _) =
        join(&directory, registration("job", 1, Ranks::Any(1)), Duration::from_secs(1)).await?;
    place.leave().await;
    Ok(())
}

#[tokio::test]
async fn wrong_passwords_and_servers_are_told_at_once_and_not_repeated() {
    let Some(server) = Server::start(&["--requirepass", "hunter2"]) else { return };
    let port = server.port();
    alone(&format!("redis://:hunter2@127.0.0.1:{port}")).await.unwrap();
    for (url, text) in [
        (format!("redis://:hunter3@127.0.0.1:{port}"), "password"),
        (format!("redis://127.0.0.1:{port}"), "password"),
        ("redis://:hunter3@127.0.0.1:1".to_owned(), "127.0.0.1:1"),
        ("redis://:hunter3@no-such-host.invalid:1".to_owned(), "no-such-host.invalid"),
    ] {
        let wrong = alone(&url).await.unwrap_err().to_string();
        assert!(wrong.contains(text) && !wrong.contains("hunter"), "{wrong}");
    }
}

/// What a crash leaves behind has an end.
#[tokio::test]
async fn all_there_has_a_time_to_live() {
    let Some(server) = Server::start(&[]) else { return };
    let directory = server.directory("secret");
    let place = join(&directory, registration("job", 1, Ranks::Any(1)), Duration::ZERO).await;
    let keys = server.keys("");
    assert_eq!(keys, ["fmi:{job}:directory"]);
    let life: i64 = server.ask(&["PTTL", &keys[0]])[0].parse().unwrap();
    assert!((1..=60_000).contains(&life), "{life}");
    drop(place);
}

/// Nobody need look again and again: there is a bell.
#[tokio::test]
async fn processes_listen_for_word_as_long_as_they_are_there() {
    let Some(server) = Server::start(&[]) else { return };
    let directory = server.directory("secret");
    let places = job(&directory, "job", 3).await;
    let heard = || server.ask(&["PUBSUB", "NUMSUB", "fmi:{job}:bell"]).remove(1);
    assert_eq!(heard(), "3");
    for (place, _) in &places {
        place.leave().await;
    }
    drop(places);
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while heard() != "0" {
        assert!(std::time::Instant::now() < end, "they listen for ever");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
