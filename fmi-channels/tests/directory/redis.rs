//! Over a Redis server.

use crate::{
    ground::{Ground, suite},
    redis_server::RedisServer,
    suite::{job, join, registration},
};
use fmi_channels::{directory::Shared, handshake::Token, rendezvous::Ranks};
use std::time::Duration;

impl Ground for RedisServer {
    fn directory(&self, token: &str) -> Shared {
        Shared::redis(self.url(), Token::new(token), self.silent())
    }

    fn silent(&self) -> Duration {
        Duration::from_millis(800)
    }

    async fn left(&self) -> Vec<String> {
        let mut all = Vec::new();
        for key in self.ask::<Vec<String>>(&["KEYS", "*"]).await {
            let names = self.ask::<Vec<String>>(&["HKEYS", &key]).await;
            all.extend(names.into_iter().map(|name| format!("{key} {name}")));
        }
        all
    }

    async fn read(&self, name: &str) -> Vec<u8> {
        let (key, name) = name.split_once(' ').unwrap();
        let content: Vec<u8> = self.ask(&["HGET", key, name]).await;
        content[16..].to_vec()
    }

    async fn write(&self, name: &str, content: &[u8]) {
        let (key, name) = name.split_once(' ').unwrap();
        let now: (u64, u64) = self.ask(&["TIME"]).await;
        let mut stamped = format!("{:016}", now.0 * 1000).into_bytes();
        stamped.extend(content);
        self.set(key, name, &stamped).await;
    }

    async fn empty(&self) {
        self.ask::<()>(&["FLUSHALL"]).await;
    }
}

suite!(RedisServer::start(&[]).await);

async fn alone(url: &str) -> fmi_actors::Result<()> {
    let directory = Shared::redis(url, Token::new("secret"), Duration::from_secs(1));
    let (place, _) =
        join(&directory, registration("job", 1, Ranks::Any(1)), Duration::from_secs(1)).await?;
    place.leave().await;
    Ok(())
}

#[tokio::test]
async fn wrong_passwords_and_servers_are_told_at_once_and_not_repeated() {
    let Some(server) = RedisServer::start(&["--requirepass", "hunter2"]).await else { return };
    let port = server.port;
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
    let Some(server) = RedisServer::start(&[]).await else { return };
    let directory = server.directory("secret");
    let place = join(&directory, registration("job", 1, Ranks::Any(1)), Duration::ZERO).await;
    let keys: Vec<String> = server.ask(&["KEYS", "*"]).await;
    assert_eq!(keys, ["fmi:{job}:directory"]);
    let life: i64 = server.ask(&["PTTL", &keys[0]]).await;
    assert!((1..=60_000).contains(&life), "{life}");
    drop(place);
}

/// Nobody need look again and again: there is a bell.
#[tokio::test]
async fn processes_listen_for_word_as_long_as_they_are_there() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let directory = server.directory("secret");
    let places = job(&directory, "job", 3).await;
    let heard: (String, i64) = server.ask(&["PUBSUB", "NUMSUB", "fmi:{job}:bell"]).await;
    assert_eq!(heard.1, 3);
    for (place, _) in &places {
        place.leave().await;
    }
    drop(places);
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while server.ask::<(String, i64)>(&["PUBSUB", "NUMSUB", "fmi:{job}:bell"]).await.1 > 0 {
        assert!(std::time::Instant::now() < end, "they listen for ever");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
