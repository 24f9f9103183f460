//! `fmi rendezvous`: where the processes of jobs find each other.

use crate::failure::Failure;
use fmi::Config;
use fmi_channels::{
    handshake::Token,
    rendezvous::{Options, Server},
};
use serde::Serialize;
use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::ExitCode,
};
use tokio::signal::unix::{SignalKind, signal};

/// Runs the server where processes of different machines find each other.
///
/// It serves any number of jobs at a time, until Ctrl-C. Its token is FMI_TOKEN (or that of the
/// config file); without one it makes one up and prints it. Processes need the same token, and
/// FMI_RENDEZVOUS. Messages between ranks do not pass through here.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to listen; port 0 is any free one.
    #[arg(short, long, value_name = "HOST:PORT", default_value = "0.0.0.0:10000")]
    listen: String,

    /// Print the address (and the token, if it is new) as one line of JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  FMI_TOKEN=$(openssl rand -hex 32) fmi rendezvous --listen 0.0.0.0:10000
  fmi rendezvous             makes a token up; stdout is what to export for the processes
  fmi rendezvous --listen 127.0.0.1:0 --json
      {\"listen\":\"127.0.0.1:40123\",\"rendezvous\":\"tcp://127.0.0.1:40123\",\"token\":\"…\"}

Then, for each process of a job:
  FMI_RENDEZVOUS=tcp://HOST:10000 FMI_TOKEN=… FMI_JOB=mine FMI_SIZE=2 FMI_RANK=0 ./prog";

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Started {
    listen: String,
    rendezvous: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let given = Config::from_env()?.token;
    let token = match &given {
        Some(token) => Token::new(token.expose()),
        None => Token::random()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before anybody is told that we are here.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let server = Server::bind(&args.listen, token.clone(), Options::default());
        let server = server.await.map_err(|error| {
            Failure::new(format!(
                "{error}\n  If another program has the port (`ss -ltnp` shows which), end it or \
                 choose another --listen; port 0 is any free one. The host must be an address of \
                 this machine, such as 0.0.0.0."
            ))
        })?;
        let address = server.local_addr();
        announce(args.json, address, given.is_none().then_some(&token))?;
        server
            .run(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            })
            .await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Says where it is. A new token goes to stdout alone, which is no log.
fn announce(json: bool, address: SocketAddr, new: Option<&Token>) -> Result<(), Failure> {
    let rendezvous = format!("tcp://{}", reachable(address));
    let mut out = std::io::stdout().lock();
    if json {
        let token = new.map(|token| token.reveal().to_owned());
        let started = Started { listen: address.to_string(), rendezvous, token };
        let line = serde_json::to_string(&started).map_err(|e| Failure::new(e.to_string()))?;
        writeln!(out, "{line}")?;
    } else {
        if let Some(token) = new {
            writeln!(out, "export FMI_TOKEN={}", token.reveal())?;
        }
        writeln!(out, "export FMI_RENDEZVOUS={rendezvous}")?;
        eprintln!("fmi rendezvous: listening on {address}; Ctrl-C ends it");
    }
    Ok(out.flush()?)
}

/// Where others are likely to reach a listener on all addresses: at the address that this
/// machine has towards other networks.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let outward = || {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        // Chooses a route and sends nothing. The address is one for documentation.
        socket.connect("192.0.2.1:9").ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    address.set_ip(outward().unwrap_or(Ipv4Addr::LOCALHOST.into()));
    address
}
