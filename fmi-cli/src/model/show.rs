//! `fmi model show`: what is known of channels.

use super::source;
use crate::{failure::Failure, units};
use fmi::{Config, meter::Tariff};
use fmi_model::{
    Bytes, Dollars, Profile, Seconds,
    channel::{Channel, Leg, Turns},
    host::Effort,
};
use serde::Serialize;
use std::{fmt::Write as _, io::Write as _, process::ExitCode};

/// Shows the profiles that come with this program, or one in full: what is known of its channels, and
/// what messages take and cost on them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A profile that comes with this program, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,

    /// Print the profile as a file, to be changed and given to --profile. [default profile: aws-lambda]
    #[arg(long, conflicts_with = "json")]
    toml: bool,

    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  fmi model show                                            which there are
  fmi model show --profile aws-lambda
  fmi model show --profile lan --toml > mine.toml           to be changed
  fmi model simulate -n 64 --profile ./mine.toml";

/// Of which messages are told.
const LENGTHS: [Bytes; 5] =
    [Bytes::new(1), Bytes::new(1 << 10), Bytes::new(64 << 10), Bytes::mib(1), Bytes::mib(16)];

/// A profile in a list.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    source: String,
    date: String,
    channels: Vec<String>,
}

/// A profile, and what messages take.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    profile: &'a Profile,
    messages: Vec<Message<'a>>,
}

/// A message, one way.
#[derive(Debug, Serialize)]
struct Message<'a> {
    channel: &'a str,
    bytes: Bytes,
    seconds: Seconds,
    /// Requests, and two functions for so long.
    dollars: Dollars,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let text = match (&args.profile, args.toml) {
        (None, false) => list(args.json)?,
        (name, true) => {
            let name = name.as_deref().unwrap_or(Profile::SHIPPED[0]);
            let profile = source::profile(name)?;
            Profile::shipped_text(name).map_or_else(|| profile.to_toml(), str::to_owned)
        }
        (Some(name), false) => {
            let profile = source::profile(name)?;
            let tariff = Config::from_env()?.money.tariff()?;
            match args.json {
                true => json(&Whole { profile: &profile, messages: messages(&profile, &tariff) })?,
                false => whole(&profile, &tariff),
            }
        }
    };
    // Nobody may be reading any more.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

fn list(as_json: bool) -> Result<String, Failure> {
    let profiles: Vec<_> = Profile::SHIPPED.into_iter().filter_map(Profile::shipped).collect();
    if as_json {
        let entry = |profile: &Profile| Entry {
            name: profile.name.clone(),
            source: profile.source.clone(),
            date: profile.date.clone(),
            channels: profile.channels.keys().cloned().collect(),
        };
        return json(&profiles.iter().map(entry).collect::<Vec<_>>());
    }
    let mut text = String::new();
    for profile in &profiles {
        let Profile { name, source, date, .. } = profile;
        let channels = source::channels(profile);
        let _ = writeln!(text, "{name} ({date}): {channels}\n    {source}");
    }
    text.push_str("\nfmi model show --profile NAME has one in full.\n");
    Ok(text)
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::new(error.to_string()))?;
    Ok(text + "\n")
}

fn messages<'a>(profile: &'a Profile, tariff: &Tariff) -> Vec<Message<'a>> {
    let function = tariff.prices.function_second(tariff.memory);
    let message = |name: &'a str, channel: &Channel, bytes| {
        let seconds = channel.transfer(bytes);
        let request = |kind| tariff.prices.request(kind);
        let paid = channel.requests;
        let paid = paid.map_or(Dollars::ZERO, |paid| request(paid.send) + request(paid.receive));
        Message { channel: name, bytes, seconds, dollars: paid + function * seconds * 2.0 }
    };
    let channels = profile.channels.iter();
    channels
        .flat_map(|(name, channel)| LENGTHS.map(|bytes| message(name, channel, bytes)))
        .collect()
}

fn whole(profile: &Profile, tariff: &Tariff) -> String {
    let Profile { name, source, date, host, channels, corrections } = profile;
    let mut text = format!("{name} ({date})\n{source}\n\n");
    let mut say = |what: &str, value: String| {
        let _ = writeln!(text, "  {what:<11} {value}");
    };
    match host.cores {
        0 => say("cores", "one for each rank".to_owned()),
        cores => say("cores", format!("{cores}, shared by all ranks")),
    }
    let times = [
        ("call", host.call, "before the first step of a collective"),
        ("piece", host.piece, "for each further value of a message"),
    ];
    for (what, time, when) in times.into_iter().filter(|(_, time, _)| !time.is_zero()) {
        say(what, format!("{time} {when}"));
    }
    for (what, effort) in [("combine", host.combine), ("copy", host.copy)] {
        if effort != Effort::default() {
            say(what, format!("{}, {}", effort.fixed, rate(effort.per_byte)));
        }
    }
    for (name, channel) in channels {
        let _ = writeln!(text, "\n{name}");
        for (what, value) in parameters(channel, tariff) {
            let _ = writeln!(text, "  {what:<11} {value}");
        }
        if let Some(measured) = corrections.get(name) {
            let plans = units::count(measured.plans(), "plan");
            let _ = writeln!(
                text,
                "  {:<11} {plans}, which differ from what follows of that",
                "measured"
            );
        }
    }
    let messages = messages(profile, tariff);
    let head: Vec<_> = LENGTHS.iter().map(|bytes| format!("{bytes:>12}")).collect();
    let mut table = |title: &str, cell: &dyn Fn(&Message<'_>) -> String| {
        let _ = writeln!(text, "\n{title:<14}{}", head.concat());
        for of in messages.chunks(LENGTHS.len()) {
            let cells: Vec<_> = of.iter().map(|message| format!("{:>12}", cell(message))).collect();
            let _ = writeln!(text, "  {:<12}{}", of[0].channel, cells.concat());
        }
    };
    table("one way", &|message| message.seconds.to_string());
    table("a million", &|message| (message.dollars * 1e6).to_string());
    let _ = writeln!(
        text,
        "\nA million of them cost their requests, and two functions of {} while they are on their way ({}, {}, {}).",
        tariff.memory, tariff.prices.provider, tariff.prices.region, tariff.prices.date
    );
    text
}

/// What is known of a channel, as people say it.
fn parameters(channel: &Channel, tariff: &Tariff) -> Vec<(&'static str, String)> {
    let Channel { send, latency, receive, side_by_side, server, bucket, .. } = channel;
    let Channel { full_memory, tail, requests, machine, turns, .. } = channel;
    let mut all = vec![("sends", leg(send))];
    if *latency > Seconds::ZERO {
        all.push(("latency", latency.to_string()));
    }
    if !turns.is_nothing() {
        let Turns { switch, idle, look, per_byte } = turns;
        let mut text =
            format!("where ranks share cores: {switch} to another, {idle} if it was idle");
        if *look > Seconds::ZERO {
            let _ = write!(text, ", {look} for each further one");
        }
        if *per_byte > Seconds::ZERO {
            let _ = write!(text, "; {} more", rate(*per_byte));
        }
        all.push(("turns", text));
    }
    let beside = match side_by_side {
        0 | 1 => String::new(),
        count => format!(", {count} side by side"),
    };
    all.push(("receives", leg(receive) + &beside));
    if let Some(server) = server {
        let busy = format!("{} a request, {}", server.request, rate(server.per_byte));
        let place = if server.here { ", on a core of the ranks" } else { "" };
        all.push(("server", format!("{busy}, one after the other{place}")));
    }
    if let Some(bucket) = bucket {
        all.push((
            "network",
            format!("{} at full rate, then {}", bucket.burst, rate(bucket.per_byte)),
        ));
    }
    if let Some(memory) = full_memory {
        all.push(("memory", format!("with less than {memory} bytes take longer, in proportion")));
    }
    if !tail.is_none() {
        let late = |of| tail.late(of, fmi_model::channel::Quantile::MEDIAN);
        let of = [16, 256, 4096].map(|of| format!("{} of {of}", late(of)));
        all.push(("stragglers", format!("the slowest is late by {}", of.join(", "))));
    }
    if let Some(paid) = requests {
        let price = |kind| tariff.prices.request(kind);
        let (put, get) = (price(paid.send), price(paid.receive));
        let mut text = format!("a {} {put}, a {} {get}", paid.send, paid.receive);
        if paid.look > Seconds::ZERO {
            let _ = write!(text, "; who waits looks every {}", paid.look);
        }
        all.push(("requests", text));
    }
    if let Some(machine) = machine {
        let price = tariff.prices.hourly.get(machine);
        let price = price.map_or("without a price".to_owned(), |price| format!("{price} an hour"));
        all.push(("machine", format!("{machine}, {price}")));
    }
    all
}

fn leg(leg: &Leg) -> String {
    if *leg == Leg::default() {
        return "at once".to_owned();
    }
    let mut text = format!("{} a message, {}", leg.fixed, rate(leg.per_byte));
    if leg.lag > Seconds::ZERO {
        let _ = write!(text, "; it takes {} and {} until it is fast", leg.lag, leg.knee);
    }
    text
}

/// So many bytes a second; what takes no time has none.
fn rate(per_byte: Seconds) -> String {
    match per_byte > Seconds::ZERO {
        true => (Leg { per_byte, ..Leg::default() }).rate().to_string(),
        false => "any length".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fmi_model::prices::Prices;

    #[test]
    fn every_profile_can_be_told() {
        let tariff = Tariff { prices: Prices::aws(), memory: Bytes::gib(2), machines: Vec::new() };
        for name in Profile::SHIPPED {
            let profile = Profile::shipped(name).unwrap();
            let text = whole(&profile, &tariff);
            assert!(profile.channels.keys().all(|channel| text.contains(channel)), "{text}");
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert!(text.lines().all(|line| line.chars().count() < 160), "{text}");
        }
        let lambda = Profile::shipped("aws-lambda").unwrap();
        let text = whole(&lambda, &tariff);
        for part in
            ["1.36 GB/s", "78.1 MB/s", "t2.micro, $0.0116 an hour", "a put $0.000005", "16 MiB"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
