//! Jobs for tests: ranks in this process, each joined on its own over TCP, or all on `local`.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use fmi::{Communicator, Config, Result, prelude::Context};
use fmi_channels::{
    handshake::Token,
    rendezvous::{Options, Server},
};
use futures::future::{BoxFuture, join_all};
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

pub const TOKEN: &str = "a token for tests";
/// No test may take longer, whatever hangs.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Starts a rendezvous on a free port.
pub async fn rendezvous() -> SocketAddr {
    let server = Server::bind("127.0.0.1:0", Token::new(TOKEN), Options::default()).await.unwrap();
    let address = server.local_addr();
    tokio::spawn(server.run(std::future::pending::<()>()));
    address
}

/// The configuration of one rank.
pub fn config(rendezvous: SocketAddr, rank: usize, size: usize) -> Config {
    Config::default()
        .size(size)
        .rank(rank)
        .token(TOKEN)
        .rendezvous(&format!("tcp://{rendezvous}"))
        .and_then(|config| config.listen("127.0.0.1:0"))
        .unwrap()
        .join_deadline(Duration::from_secs(20))
        .operation_deadline(Duration::from_secs(20))
}

/// Joins all ranks of a job, each a process of its own as far as the library knows.
pub async fn tcp(size: usize) -> Vec<Communicator> {
    tcp_with(size, |config| config).await
}

pub async fn tcp_with(size: usize, tweak: impl Fn(Config) -> Config) -> Vec<Communicator> {
    let address = rendezvous().await;
    let joins = (0..size).map(|rank| tweak(config(address, rank, size)).join());
    join_all(joins).await.into_iter().collect::<Result<_>>().unwrap()
}

/// Joins all ranks of a job in one process.
pub async fn local(size: usize) -> Vec<Communicator> {
    let config = Config::default().size(size).operation_deadline(Duration::from_secs(20));
    config.ranks(0..size).join_all().await.unwrap()
}

/// Runs `main` on every rank of both kinds of job and returns what the ranks returned, in rank
/// order, first of `local`, then of `tcp`.
pub async fn both<T, F>(
    size: usize,
    main: impl Fn(Communicator) -> F + Send + Sync + 'static,
) -> [Vec<T>; 2]
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let main: Arc<dyn Fn(Communicator) -> BoxFuture<'static, T> + Send + Sync> =
        Arc::new(move |comm| Box::pin(main(comm)));
    [everywhere(local(size).await, &main).await, everywhere(tcp(size).await, &main).await]
}

async fn everywhere<T: Send + 'static>(
    ranks: Vec<Communicator>,
    main: &Arc<dyn Fn(Communicator) -> BoxFuture<'static, T> + Send + Sync>,
) -> Vec<T> {
    let tasks = ranks.into_iter().map(|comm| {
        let result = main(comm.clone());
        // A rank that goes without a word counts as dead.
        tokio::spawn(async move { (result.await, drop(comm.close().await)).0 })
    });
    let all = tokio::time::timeout(PATIENCE, join_all(tasks)).await.expect("a rank hangs");
    all.into_iter().map(|result| result.unwrap()).collect()
}

/// Waits for a future, but not for ever.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("hangs")
}

/// Runs a rank program in this process.
pub fn run<F, Fut>(size: usize, main: F) -> Result<()>
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: fmi::Outcome> + 'static,
{
    fmi::run_with(Config::default().size(size), main)
}
