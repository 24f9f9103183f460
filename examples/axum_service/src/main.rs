//! A replica of the service that forms a group for each request. See README.md.

use axum_service::{
    per_request::{Replica, Settings, router},
    shutdown::terminated,
};
use std::{fmt::Display, process::ExitCode};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("axum_service: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let settings = Settings::from_env()?;
    let address = settings.listen.clone();
    let listener =
        TcpListener::bind(&address).await.map_err(|error| format!("{address}: {error}"))?;
    let replica = Replica::start(settings).await?;
    println!("listening on http://{}", listener.local_addr().map_err(text)?);
    // Stops accepting at the signal, so nobody can invite this replica any more, and returns when all
    // requests have their answers: those of clients, and those of other replicas whose groups it is in.
    axum::serve(listener, router(replica)).with_graceful_shutdown(terminated()).await.map_err(text)
}

fn text(error: impl Display) -> String {
    error.to_string()
}
