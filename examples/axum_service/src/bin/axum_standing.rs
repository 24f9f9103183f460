//! The standing group: the service where `FMI_RANK` is 0, elsewhere a worker. See README.md.

use axum_service::{
    shutdown::terminated,
    standing::{group, http, worker},
};
use fmi::Config;
use std::{fmt::Display, process::ExitCode};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("axum_standing: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let config = Config::from_env().map_err(text)?;
    match config.ranks.as_deref() {
        Some([0]) => service(config).await,
        _ => worker::serve(config, terminated()).await.map_err(text),
    }
}

async fn service(config: Config) -> Result<(), String> {
    let address = std::env::var("HTTP_LISTEN").unwrap_or("127.0.0.1:8080".to_owned());
    let listener =
        TcpListener::bind(&address).await.map_err(|error| format!("{address}: {error}"))?;
    let (group, keeper) = group::drive(config).await.map_err(text)?;
    println!("listening on http://{}", listener.local_addr().map_err(text)?);
    // Stops accepting at the signal, and returns when all requests have their answers.
    axum::serve(listener, http::router(group))
        .with_graceful_shutdown(terminated())
        .await
        .map_err(text)?;
    keeper.close().await.map_err(text)
}

fn text(error: impl Display) -> String {
    error.to_string()
}
