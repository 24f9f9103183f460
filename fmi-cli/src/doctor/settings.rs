//! Configuration and rendezvous.

use super::{Finding, outside};
use fmi::{
    Config, Error,
    config::{Rendezvous, Scheme},
};
use fmi_channels::{
    dial,
    directory::{Directory, Register, Shared},
    handshake::Token,
    rendezvous::{Client, Ranks, Reach, Registration, Terms},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

/// How long the rendezvous may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The configuration as it was read.
pub(super) fn check(config: &fmi::Result<Config>) -> Vec<Finding> {
    const CHECK: &str = "config";
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            let advice = "correct it there; docs/configuration.md has all settings";
            return vec![Finding::problem(CHECK, error.to_string(), advice)];
        }
    };
    let mut findings = vec![match config.validate() {
        Ok(()) => Finding::ok(CHECK, format!("{}; from {}", describe(config), sources())),
        Err(error) => {
            let advice = format!("correct it; the settings come from {}", sources());
            Finding::problem(CHECK, error.to_string(), advice)
        }
    }];
    let ignored = config.unavailable();
    findings.extend(ignored.iter().map(|ignored| {
        Finding::note(
            CHECK,
            ignored.to_string(),
            "ranks do without it; nothing to do if that is fine",
        )
    }));
    findings
}

/// Whether the rendezvous answers and has our token: registers in a job of our own, and leaves.
/// Also how we look from there.
pub(super) async fn rendezvous(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "rendezvous";
    let Some(url) = &config.meeting() else {
        let none = "none set: all ranks are in one process, or `fmi run` sets it";
        return vec![Finding::ok(CHECK, none)];
    };
    let Some(token) = &config.token else {
        return vec![Finding::problem(
            CHECK,
            format!("{url} is set, but no token"),
            "set FMI_TOKEN to the token that the rendezvous was started with",
        )];
    };
    let token = Token::new(token.expose());
    match url.scheme() {
        Scheme::File => return vec![folder(url, token).await],
        Scheme::Redis | Scheme::S3 => return vec![super::stores::meeting(url)],
        _ => {}
    }
    let ca = config.rendezvous_ca.as_deref();
    let finding = match visit(&url.to_string(), &token, ca).await {
        Ok((took, mut seen)) => {
            let millis = took.as_secs_f64() * 1000.0;
            let text = format!("{url} took us in and the token is right ({millis:.1} ms)");
            seen.insert(0, Finding::ok(CHECK, text));
            return seen;
        }
        Err(error @ Error::WrongToken { .. }) => Finding::problem(
            CHECK,
            error.to_string(),
            "FMI_TOKEN here must be what the rendezvous was started with",
        ),
        Err(error) => Finding::problem(
            CHECK,
            error.to_string(),
            format!(
                "start it with `fmi rendezvous --listen 0.0.0.0:{}` on that machine; if it runs, \
                 look at host, port and firewall on the way",
                url.address().rsplit(':').next().unwrap_or("10000")
            ),
        ),
    };
    vec![finding]
}

/// Whether a job can meet in a folder: one of ours does.
async fn folder(url: &Rendezvous, token: Token) -> Finding {
    const CHECK: &str = "rendezvous";
    let directory = Shared::folder(url.address(), token, PATIENCE);
    let start = Instant::now();
    let visited = async {
        let registration = alone()?;
        let register: Register<'_> = Box::new(move |_| registration.clone());
        let place = directory.register(register, PATIENCE).await?;
        place.complete().await?;
        place.leave().await;
        Ok(())
    };
    let visited: fmi::Result<()> = visited.await;
    match visited {
        Ok(()) => {
            let millis = start.elapsed().as_secs_f64() * 1000.0;
            let text = format!("processes can meet in {url} ({millis:.1} ms)");
            let advice = "links are direct ones; punching and the relay take an `fmi rendezvous`";
            Finding::note(CHECK, text, advice)
        }
        Err(error) => Finding::problem(
            CHECK,
            error.to_string(),
            "all processes must be able to write to the folder: look at mounts and rights there",
        ),
    }
}

/// How long it took, and how we look from there.
async fn visit(
    url: &str,
    token: &Token,
    ca: Option<&Path>,
) -> fmi::Result<(Duration, Vec<Finding>)> {
    let start = Instant::now();
    // Asked from a port that listens, as that of a rank does.
    let listening = TcpListener::bind("0.0.0.0:0").await.and_then(|listening| {
        dial::share(&listening)?;
        let port = listening.local_addr()?.port();
        Ok((listening, port))
    });
    let port = listening.as_ref().ok().map(|(_, port)| *port);
    let registration = alone()?;
    let reach = Reach { address: url.to_owned(), port, ca: ca.map(Path::to_owned) };
    let client = Client::connect_with(&reach, token, |_| registration.clone(), PATIENCE).await?;
    client.complete().await?;
    let took = start.elapsed();
    let outside = client.outside().clone();
    client.leave().await;
    let seen = outside::look(&outside, outside.local.port()).await;
    Ok((took, seen))
}

/// A job of one process.
fn alone() -> fmi::Result<Registration> {
    // Nobody else's job has a name like this.
    let job = format!("doctor-{}", &Token::random()?.reveal()[..16]);
    Ok(Registration {
        job,
        size: Some(1),
        ranks: Ranks::Any(1),
        addresses: Vec::new(),
        machine: "doctor".to_owned(),
        threads: 1,
        cores: 0,
        after: None,
        terms: Terms::default(),
        fingerprint: None,
        model: String::new(),
    })
}

fn describe(config: &Config) -> String {
    let size = match config.size {
        Some(1) => "1 rank".to_owned(),
        Some(size) => format!("{size} ranks"),
        None => "size not set".to_owned(),
    };
    let here = match config.ranks.as_deref() {
        Some([rank]) => format!(", rank {rank} here"),
        Some(ranks) => format!(", {} of them here", ranks.len()),
        None => String::new(),
    };
    format!("job {:?}, {size}{here}", config.job)
}

/// Where settings come from, without their values.
fn sources() -> String {
    let file = match std::env::var("FMI_CONFIG") {
        Ok(path) if !path.is_empty() => Some(path),
        _ => ["fmi.toml", "fmi.json"]
            .into_iter()
            .find(|path| Path::new(path).is_file())
            .map(str::to_owned),
    };
    let mut variables: Vec<_> = std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("FMI_") && name != "FMI_CONFIG" && name != "FMI_LOG")
        .collect();
    variables.sort();
    let all: Vec<_> = file.into_iter().chain(variables).collect();
    if all.is_empty() { "defaults alone".to_owned() } else { all.join(", ") }
}
