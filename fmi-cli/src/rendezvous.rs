//! `fmi rendezvous`: where the processes of jobs find each other.

mod metrics;

use crate::failure::Failure;
use fmi::Config;
use fmi_channels::{
    handshake::Token,
    rendezvous::{Certificate, Mirrors, Options, Server, TcPunch},
};
use metrics::Metrics;
use serde::Serialize;
use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

/// Runs the server where processes of different machines find each other.
///
/// It serves any number of jobs at a time, until Ctrl-C. Its token is FMI_TOKEN (or that of the
/// config file); without one it makes one up and prints it. Processes need the same token, and
/// FMI_RENDEZVOUS. Messages between ranks do not pass through here, unless two processes reach
/// each other in no other way: then it relays what they have encrypted.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to listen; port 0 is any free one.
    #[arg(short, long, value_name = "HOST:PORT", default_value = "0.0.0.0:10000")]
    listen: String,

    /// The second port where processes learn how they look from outside (TCP and UDP; the first
    /// is --listen's); `off` has none. By default the next free one.
    #[arg(long, value_name = "PORT", value_parser = mirrors)]
    mirror: Option<Mirrors>,

    /// A certificate (PEM, with those between it and a trusted one): processes then come over
    /// TLS, as tls://HOST:PORT.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,

    /// The private key of --certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,

    /// Serve figures for Prometheus there, at /metrics, to whoever asks.
    #[arg(long, value_name = "HOST:PORT")]
    metrics: Option<String>,

    /// Pair clients of TCPunch on this port, too. They prove nothing.
    #[arg(long, value_name = "PORT")]
    tcpunch: Option<u16>,

    /// Relayed links at once; 0 relays nothing.
    #[arg(long, value_name = "N", default_value_t = Options::default().relays)]
    relays: usize,

    /// Bytes that the relayed links of one job move; what comes faster waits at its sender.
    #[arg(long, value_name = "MIB_A_SECOND", default_value_t = Options::default().relay_rate >> 20,
        value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    relay_rate: u64,

    /// Jobs at once.
    #[arg(long, value_name = "N", default_value_t = Options::default().jobs)]
    jobs: usize,

    /// Processes of all jobs at once.
    #[arg(long, value_name = "N", default_value_t = Options::default().processes)]
    processes: usize,

    /// How long processes wait here for a job that does not become complete.
    #[arg(long, value_name = "SECONDS", default_value_t = Options::default().incomplete.as_secs())]
    incomplete: u64,

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
  fmi rendezvous --certificate meet.pem --key meet.key --metrics 127.0.0.1:9100

Then, for each process of a job:
  FMI_RENDEZVOUS=tcp://HOST:10000 FMI_TOKEN=… FMI_JOB=mine FMI_SIZE=2 FMI_RANK=0 ./prog";

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Started {
    listen: String,
    rendezvous: String,
    /// The second port of the mirrors.
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcpunch: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let given = Config::from_env()?.token;
    let token = match &given {
        Some(token) => Token::new(token.expose()),
        None => Token::random()?,
    };
    let certificate = match (&args.certificate, &args.key) {
        (Some(certificate), Some(key)) => Some(Certificate::load(certificate, key)?),
        _ => None,
    };
    let options = Options {
        mirrors: args.mirror.unwrap_or(Mirrors::Near),
        certificate,
        relays: args.relays,
        relay_rate: args.relay_rate << 20,
        jobs: args.jobs,
        processes: args.processes,
        incomplete: Duration::from_secs(args.incomplete),
        ..Options::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before anybody is told that we are here.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let server = Server::bind(&args.listen, token.clone(), options);
        let server = server.await.map_err(|error| {
            Failure::new(format!(
                "{error}\n  If another program has the port (`ss -ltnp` shows which), end it or \
                 choose another --listen; port 0 is any free one. The host must be an address of \
                 this machine, such as 0.0.0.0."
            ))
        })?;
        let mut tasks = JoinSet::new();
        let mut started = Started {
            listen: server.local_addr().to_string(),
            rendezvous: url(args.certificate.is_some(), server.local_addr()),
            mirror: server.mirror_port(),
            metrics: None,
            tcpunch: None,
            token: given.is_none().then(|| token.reveal().to_owned()),
        };
        if let Some(address) = &args.metrics {
            let metrics = Metrics::bind(address, server.monitor()).await?;
            started.metrics = Some(metrics.local_addr()?);
            tasks.spawn(metrics.run());
        }
        if let Some(port) = args.tcpunch {
            let at = SocketAddr::new(server.local_addr().ip(), port);
            let punch = TcPunch::bind(&at.to_string()).await?;
            started.tcpunch = Some(punch.local_addr());
            tasks.spawn(punch.run());
        }
        announce(args.json, &started)?;
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
fn announce(json: bool, started: &Started) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if json {
        let line = serde_json::to_string(started).map_err(|e| Failure::new(e.to_string()))?;
        writeln!(out, "{line}")?;
    } else {
        if let Some(token) = &started.token {
            writeln!(out, "export FMI_TOKEN={token}")?;
        }
        writeln!(out, "export FMI_RENDEZVOUS={}", started.rendezvous)?;
        eprintln!("fmi rendezvous: listening on {}; Ctrl-C ends it", started.listen);
        if let Some(port) = started.mirror {
            eprintln!("  the mirrors are on its port (UDP) and on port {port} (TCP and UDP)");
        }
        if let Some(address) = started.metrics {
            eprintln!("  figures for Prometheus: http://{address}/metrics");
        }
        if let Some(address) = started.tcpunch {
            eprintln!("  clients of TCPunch are paired on {address}");
        }
    }
    Ok(out.flush()?)
}

/// `FMI_RENDEZVOUS` for the processes.
fn url(encrypted: bool, address: SocketAddr) -> String {
    let scheme = if encrypted { "tls" } else { "tcp" };
    format!("{scheme}://{}", reachable(address))
}

fn mirrors(text: &str) -> Result<Mirrors, String> {
    match text {
        "off" => Ok(Mirrors::Off),
        port => port
            .parse()
            .map(Mirrors::At)
            .map_err(|_| format!("{port:?} is neither a port nor `off`")),
    }
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
