//! Where the measured ranks run.

use super::{Layout, Plan, Row, cases};
use crate::{
    embedded::Embedded,
    failure::Failure,
    run::{self, Job, Pipes, WAITING, launch},
};
use fmi::{Config, Context, config::ChannelSpec};
use std::{process::ExitCode, sync::mpsc, thread};
use tokio::sync::mpsc::channel;

/// Measures; `report` gets each row when it is done.
pub(super) fn run(plan: &Plan, report: impl FnMut(Row)) -> Result<(), Failure> {
    match plan.layout {
        Layout::Processes => processes(plan, report),
        Layout::Threads if plan.channel == ChannelSpec::Local.name() => local(plan, report),
        Layout::Threads => nodes(plan, report),
    }
}

/// What `fmi bench` starts a process with; not for people.
#[derive(Debug, clap::Args)]
pub(crate) struct RankArgs {
    plan: String,
}

/// One process of a benchmark. Rank 0 prints rows as JSON.
pub(crate) fn run_rank(args: &RankArgs) -> Result<ExitCode, Failure> {
    let plan: Plan =
        serde_json::from_str(&args.plan).map_err(|error| Failure::new(error.to_string()))?;
    let config = Config::from_env()?.threads(plan.threads);
    fmi::run_with(config, main_of(&plan, print))?;
    Ok(ExitCode::SUCCESS)
}

/// All ranks as actors of one process, spread over the threads.
fn local(plan: &Plan, report: impl FnMut(Row)) -> Result<(), Failure> {
    let config = Config::default().size(plan.ranks).threads(plan.threads);
    in_this_process(vec![config], plan, report)
}

/// Each rank its own node of this process, linked to the others as processes are.
fn nodes(plan: &Plan, report: impl FnMut(Row)) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let rendezvous = runtime.block_on(Embedded::start("127.0.0.1:0"))?;
    let config = |rank| {
        Config::default()
            .job("bench")
            .size(plan.ranks)
            .rank(rank)
            .threads(1)
            .token(rendezvous.token())
            .rendezvous(&rendezvous.url())?
            .channels(plan.spec())?
            .listen("127.0.0.1:0")
    };
    let configs = (0..plan.ranks).map(config).collect::<fmi::Result<_>>()?;
    in_this_process(configs, plan, report)
}

/// This program once a pack, started as `fmi run` starts programs.
fn processes(plan: &Plan, mut report: impl FnMut(Row)) -> Result<(), Failure> {
    let text = serde_json::to_string(plan).map_err(|error| Failure::new(error.to_string()))?;
    let mut job = Job::new(
        std::env::current_exe()?.into(),
        vec!["bench-rank".into(), text.into()],
        plan.ranks,
    );
    job.packs = plan.packs;
    job.channel = Some(plan.spec().parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (send, mut lines) = channel(WAITING);
        let reading = async {
            while let Some(news) = lines.recv().await {
                let run::News::Line { text, .. } = news else { continue };
                match serde_json::from_str(&text) {
                    Ok(row) => report(row),
                    Err(_) => println!("{text}"),
                }
            }
        };
        let (code, ()) = tokio::join!(launch(&job, Pipes::First, send), reading);
        match code? {
            0 => Ok(()),
            code => Err(Failure::new("the benchmark has failed").with_code(code)),
        }
    })
}

enum News {
    Row(Row),
    End(fmi::Result<()>),
}

/// Runs each configuration on a thread of its own, and reports here.
fn in_this_process(
    configs: Vec<Config>,
    plan: &Plan,
    mut report: impl FnMut(Row),
) -> Result<(), Failure> {
    let (send, news) = mpsc::channel();
    let mut running = configs.len();
    for config in configs {
        let rows = send.clone();
        let main = main_of(plan, move |row| {
            let _ = rows.send(News::Row(row));
        });
        let send = send.clone();
        let run = move || {
            let _ = send.send(News::End(fmi::run_with(config, main)));
        };
        thread::Builder::new().name("fmi-bench".to_owned()).spawn(run)?;
    }
    while running > 0 {
        match news.recv() {
            Ok(News::Row(row)) => report(row),
            // The first one is the cause of the others; its threads end with this process.
            Ok(News::End(result)) => {
                result?;
                running -= 1;
            }
            Err(_) => break,
        }
    }
    Ok(())
}

/// What a rank does.
fn main_of<R>(
    plan: &Plan,
    report: R,
) -> impl Fn(Context) -> std::pin::Pin<Box<dyn Future<Output = fmi::Result<()>>>> + Send + Sync + 'static
where
    R: Fn(Row) + Clone + Send + Sync + 'static,
{
    let plan = plan.clone();
    move |context| {
        let (plan, report) = (plan.clone(), report.clone());
        Box::pin(async move { cases::rank(&context, &plan, report).await })
    }
}

fn print(row: Row) {
    match serde_json::to_string(&row) {
        Ok(line) => println!("{line}"),
        Err(error) => eprintln!("fmi bench: {error}"),
    }
}
