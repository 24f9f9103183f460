//! FMI's own `fmi.json`, read unchanged.
//!
//! FMI (C++) reads it with Boost's property tree, which keeps every value as text: so numbers and
//! booleans in quotes are the same as without. A back end that does not say `enabled` is.

use std::time::Duration;

use fmi_actors::Result;

use super::channel::ChannelSpec;
use super::json_tree::{self, scalar};
use super::tree::{Document, Setting, Tree};
use super::{Config, Rendezvous, address, units};

const SECTIONS: [&str; 4] = ["backends", "backends.S3", "backends.Redis", "backends.Direct"];

const KEYS: [&str; 21] = [
    "backends",
    "backends.S3",
    "backends.S3.enabled",
    "backends.S3.bucket_name",
    "backends.S3.s3_region",
    "backends.S3.timeout",
    "backends.S3.max_timeout",
    "backends.Redis",
    "backends.Redis.enabled",
    "backends.Redis.host",
    "backends.Redis.port",
    "backends.Redis.timeout",
    "backends.Redis.max_timeout",
    "backends.Direct",
    "backends.Direct.enabled",
    "backends.Direct.host",
    "backends.Direct.port",
    "backends.Direct.max_timeout",
    "backends.Direct.resolve_host_dns",
    "hint",
    "model",
];

/// Reads a file's text.
pub(super) fn read(origin: &str, text: &str) -> Result<Config> {
    let document = Document { origin, text };
    let (root, model) = json_tree::parse(&document)?;
    let settings = document.settings(&root, &SECTIONS)?;
    let mut backends = Backends::default();
    for setting in &settings {
        if !KEYS.contains(&setting.path.as_str()) {
            return Err(document.unknown(setting, &KEYS));
        }
        set(&mut backends, setting).map_err(|wrong| document.wrong(setting, &wrong))?;
    }
    let mut config = Config { model, ..Config::default() };
    if let Some(setting) = settings.iter().find(|setting| setting.path == "hint") {
        let hint = setting.value.text().and_then(units::hint);
        config.hint = Some(hint.map_err(|wrong| document.wrong(setting, &wrong))?);
    }
    // An incomplete back end is reported at its own key.
    let section = |path: &str| settings.iter().find(|setting| setting.path == path);
    for (path, apply) in [
        ("backends.Direct", direct as fn(&mut Config, &Backend) -> Result<(), String>),
        ("backends.Redis", redis),
        ("backends.S3", s3),
    ] {
        let (Some(setting), Some(backend)) = (section(path), backends.get(path)) else { continue };
        if !backend.disabled {
            apply(&mut config, backend).map_err(|wrong| document.wrong(setting, &wrong))?;
        }
    }
    if config.channels.is_empty() {
        let at = section("backends").map_or(0, |setting| setting.at);
        let wrong = "no back end is enabled: set \"enabled\" of backends.Direct to true";
        return Err(document.error(at, wrong));
    }
    Ok(config)
}

#[derive(Default)]
struct Backends {
    s3: Backend,
    redis: Backend,
    direct: Backend,
}

impl Backends {
    fn get(&mut self, path: &str) -> Option<&mut Backend> {
        match path {
            "backends.S3" => Some(&mut self.s3),
            "backends.Redis" => Some(&mut self.redis),
            "backends.Direct" => Some(&mut self.direct),
            _ => None,
        }
    }
}

/// What any back end can say.
#[derive(Default)]
struct Backend {
    disabled: bool,
    host: Option<String>,
    port: Option<u16>,
    bucket: Option<String>,
    region: Option<String>,
    max_timeout: Option<Duration>,
}

fn set(backends: &mut Backends, setting: &Setting<'_>) -> Result<(), String> {
    let Some((path, key)) = setting.path.rsplit_once('.') else { return Ok(()) };
    let Some(backend) = backends.get(path) else { return Ok(()) };
    let value = setting.value;
    match key {
        "enabled" => backend.disabled = !flag(value)?,
        "host" => backend.host = Some(value.text()?.to_owned()),
        "port" => backend.port = Some(port(value)?),
        "bucket_name" => backend.bucket = Some(value.text()?.to_owned()),
        "s3_region" => backend.region = Some(value.text()?.to_owned()),
        "max_timeout" => backend.max_timeout = milliseconds(value)?,
        // The interval of polling; the library finds it by itself.
        "timeout" => drop(milliseconds(value)?),
        // Names are always resolved.
        _ => drop(flag(value)?),
    }
    Ok(())
}

/// FMI's hole-punched TCP: its host is the server where pairs meet, the rendezvous.
fn direct(config: &mut Config, backend: &Backend) -> Result<(), String> {
    let address = server(backend)?;
    config.rendezvous = Some(Rendezvous::read(&format!("tcp://{address}"))?);
    config.channels.push(ChannelSpec::Tcp);
    // In FMI an operation fails after so long. FMI does not join, so that deadline stays.
    if let Some(deadline) = backend.max_timeout {
        config.deadlines.operation = deadline;
    }
    Ok(())
}

fn redis(config: &mut Config, backend: &Backend) -> Result<(), String> {
    let address = server(backend)?;
    config.channels.push(ChannelSpec::read(&format!("redis://{address}"))?);
    Ok(())
}

fn s3(config: &mut Config, backend: &Backend) -> Result<(), String> {
    let bucket = given("bucket_name", &backend.bucket)?;
    let region = given("s3_region", &backend.region)?;
    config.channels.push(ChannelSpec::read(&format!("s3://{bucket}?region={region}"))?);
    Ok(())
}

fn server(backend: &Backend) -> Result<String, String> {
    let address = address::joined(given("host", &backend.host)?, *given("port", &backend.port)?);
    address::parts(&address)?;
    Ok(address)
}

fn given<'a, T>(key: &str, value: &'a Option<T>) -> Result<&'a T, String> {
    value.as_ref().ok_or_else(|| {
        format!("is enabled but has no {key:?}: add it, or set \"enabled\" to false")
    })
}

fn flag(value: &Tree) -> Result<bool, String> {
    match scalar(value)?.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => value.wrong("true or false"),
    }
}

fn port(value: &Tree) -> Result<u16, String> {
    let text = scalar(value)?;
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| format!("{text:?} is no port: write a number from 1 to 65535"))
}

/// A number of milliseconds; 0 means no time-out in FMI, here that the default stays.
fn milliseconds(value: &Tree) -> Result<Option<Duration>, String> {
    let text = scalar(value)?;
    let millis = text
        .parse()
        .map_err(|_| format!("{text:?} is no time: write a whole number of milliseconds"))?;
    let deadline = Some(Duration::from_millis(millis)).filter(|time| !time.is_zero());
    deadline.map_or(Ok(()), units::check_deadline)?;
    Ok(deadline)
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
