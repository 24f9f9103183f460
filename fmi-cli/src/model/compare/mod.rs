//! `fmi model compare`: all channels times all plans.

mod field;
mod output;
mod picture;
mod table;

use super::{
    call::Call,
    lists::{Lengths, Sizes},
    setting::{Setting, Wanted},
    way::Way,
};
use crate::failure::Failure;
use field::{Field, Over};
use fmi::plan::Collective;
use std::{fs, io::Write as _, path::PathBuf, process::ExitCode};

/// Compares channels and plans: what takes and costs how much, which is best, and from where on.
///
/// For one number of ranks and one length, all plans on all channels of the profile. For a list of
/// either, the best plan of each channel, and the crossovers: where another channel or plan becomes the best. All
/// plans that can run are compared; which the library takes by itself, `fmi model predict` says.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Collectives, pingpong or fanout. [default: allreduce]
    #[arg(value_enum, value_name = "OP")]
    ops: Vec<Call>,

    /// How many ranks: a number, a list (64,1024) or a range, doubled each time (2..1024) or times what
    /// stands after an x (2..16384x4). [default: 64; of pingpong 2]
    #[arg(short = 'n', long, value_name = "N")]
    ranks: Option<Sizes>,

    /// Bytes, as `fmi model predict` counts them: a length, a list (8,64KiB) or a range (8..16MiB,
    /// 1KiB..1GiBx4).
    #[arg(long, value_name = "B", default_value = "1KiB")]
    bytes: Lengths,

    /// Channels of the profile: links, stores, or links with a store beside them (tcp,s3,tcp+s3). [default:
    /// each by itself]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    channels: Vec<String>,

    #[command(flatten)]
    wanted: Wanted,

    /// Draw time and money into this file, against bytes or ranks, whichever is a list.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Print one line of JSON for each operation.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  fmi model compare allreduce bcast -n 64 --bytes 1MiB
  fmi model compare bcast -n 64 --bytes 1KiB..64MiB --channels tcp,s3,tcp+s3
  fmi model compare fanout -n 2..1024 --bytes 1MiB --svg fanout.svg
  fmi model compare barrier -n 8..4096x2 --objective cheap --often 3600
  fmi model compare allreduce -n 64 --bytes 8..16MiBx8 --json

Prices are those of FMI_PRICES or fmi.toml, as `fmi model prices` shows them.";

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let setting = args.wanted.setting()?;
    let ways = args.channels.iter().map(|text| Way::read(&setting.profile, "--channels", text));
    let ways: Vec<Way> = ways.collect::<Result<_, _>>()?;
    let default = [Call::Collective(Collective::Allreduce)];
    let calls = if args.ops.is_empty() { &default[..] } else { &args.ops };
    let fields = calls.iter().map(|call| field(args, *call, &setting, &ways));
    let fields: Vec<Field<'_>> = fields.collect::<Result<_, _>>()?;
    if args.svg.is_some() {
        match &fields[..] {
            [one] if one.grid.len() > 1 => {}
            [_] => {
                return Err(Failure::usage(
                    "--svg draws against ranks or bytes: give a list of one of them (-n 2..1024, \
                     --bytes 8..16MiB)",
                ));
            }
            _ => return Err(Failure::usage("--svg draws one operation: give one OP")),
        }
    }
    let bar = output::bar(&fields, args.json);
    for field in &fields {
        field.find(|| bar.inc(1));
        let text = match (field.grid[..].len(), args.json) {
            (1, true) => output::point(field)?,
            (_, true) => output::list(field)?,
            (1, false) => table::point(field),
            (_, false) => table::list(field),
        };
        // Nobody may be reading any more.
        bar.suspend(|| drop(std::io::stdout().lock().write_all(text.as_bytes())));
    }
    bar.finish_and_clear();
    if let (Some(file), Some(field)) = (&args.svg, fields.first()) {
        fs::write(file, picture::draw(field)?)
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn field<'a>(
    args: &Args,
    call: Call,
    setting: &'a Setting,
    ways: &'a [Way],
) -> Result<Field<'a>, Failure> {
    let usual = if call == Call::PingPong { 2 } else { 64 };
    let ranks = args.ranks.as_ref().map_or_else(|| vec![usual], |sizes| sizes.0.clone());
    // A signal is as long as any other.
    let bytes = if call.has_bytes() { args.bytes.0.clone() } else { vec![0] };
    for ranks in &ranks {
        setting.check(call, *ranks)?;
    }
    let (over, grid) = match (&ranks[..], &bytes[..]) {
        ([ranks], _) => (Over::Bytes { ranks: *ranks }, bytes),
        (_, [bytes]) => (Over::Ranks { bytes: *bytes }, ranks),
        _ => {
            return Err(Failure::usage(
                "-n and --bytes are both lists: give one number of ranks, or one of bytes",
            ));
        }
    };
    Ok(Field::new(call, setting, ways, (over, grid)))
}
