//! A Redis server of a test's own.

use redis::{FromRedisValue, aio::MultiplexedConnection};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Ends with the test.
pub(crate) struct RedisServer {
    process: Child,
    pub(crate) port: u16,
    password: Option<String>,
}

impl RedisServer {
    /// `None`, with a message, where there is no `redis-server` and none is required.
    pub(crate) async fn start(options: &[&str]) -> Option<Self> {
        for _ in 0..10 {
            let port = free_port();
            let mut command = Command::new("redis-server");
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
            command.args(["--save", "", "--appendonly", "no", "--dir", "/tmp"]);
            command.args(options).stdin(Stdio::null()).stdout(Stdio::null());
            let process = match command.spawn() {
                Ok(process) => process,
                Err(error) if std::env::var("FMI_TEST_REDIS").as_deref() != Ok("required") => {
                    eprintln!("skipped: redis-server cannot be started: {error}");
                    return None;
                }
                Err(error) => panic!("redis-server cannot be started: {error}"),
            };
            let password = options.iter().skip_while(|option| **option != "--requirepass").nth(1);
            let password = password.map(|password| (*password).to_owned());
            let mut server = Self { process, port, password };
            if server.answers().await {
                return Some(server);
            }
        }
        panic!("no redis-server came up");
    }

    pub(crate) fn url(&self) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}@"));
        format!("redis://{}127.0.0.1:{}", password.unwrap_or_default(), self.port)
    }

    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query_async(&mut self.connection().await.unwrap()).await.unwrap()
    }

    pub(crate) async fn set(&self, key: &str, name: &str, content: &[u8]) {
        let mut command = redis::cmd("HSET");
        command.arg(key).arg(name).arg(content);
        command.query_async(&mut self.connection().await.unwrap()).await.unwrap()
    }

    async fn connection(&self) -> redis::RedisResult<MultiplexedConnection> {
        redis::Client::open(self.url())?.get_multiplexed_async_connection().await
    }

    /// False if it has ended: somebody else has the port.
    async fn answers(&mut self) -> bool {
        let end = Instant::now() + Duration::from_secs(20);
        while self.connection().await.is_err() {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < end, "redis-server does not answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
