//! The program of a rank: it owns a range of vertices.

use crate::{
    Failure,
    graph::Graph,
    power::{Limits, Part, alone, degrees, pull, push, share},
};
use app_report::{Output, Recorder, agree, progress};
use clap::ValueEnum;
use fmi::{Buf, Context, op};
use std::{path::PathBuf, sync::Arc};

/// Rank vertices with the ranks of a job: fmi run -n N --packs K -- pagerank rank FILE
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Edges, a pair of names a line; `-` is standard input. Rank 0 reads them
    file: PathBuf,

    /// Most iterations
    #[arg(long, value_name = "N", default_value_t = 100)]
    iterations: u32,

    /// Stop when the ranks change by less than this in all; 0: after all iterations
    #[arg(long, value_name = "SUM", default_value_t = 1e-9)]
    tolerance: f64,

    /// What ranks tell each other in an iteration
    #[arg(long, value_enum, default_value_t = Exchange::Slices)]
    exchange: Exchange,

    /// How many vertices are shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,

    /// Compare with a serial run
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    report: Output,
}

/// What ranks tell each other in an iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Exchange {
    /// Each rank what its vertices give, to all (allgatherv): ranks own the edges to their vertices
    Slices,
    /// What all vertices are given by its own, summed up (allreduce): ranks own the edges from their
    /// vertices
    Whole,
}

pub(crate) async fn run(ctx: Context, args: Arc<Args>) -> Result<(), Failure> {
    let mut recorder = Recorder::start(&ctx).await?;
    let loaded = if ctx.rank() == 0 { Graph::load(&args.file).map(Some) } else { Ok(None) };
    let Some(graph) = agree(&ctx, loaded).await? else { return Ok(()) };
    let (mut part, edges) = hand_out(&ctx, graph.as_ref(), args.exchange).await?;
    recorder.end_phase("load").await?;

    let iterations = iterate(&ctx, &args, &mut part, &edges).await?;
    recorder.end_phase("iterate").await?;

    let ranks = ctx.gatherv(part.ranks, 0).await?;
    recorder.end_phase("collect").await?;
    let report = recorder.report("pagerank").await?;
    let (Some(mut report), Some(ranks), Some(graph)) = (report, ranks, graph) else {
        return Ok(());
    };
    let ranks = ranks.concat();
    if args.check {
        check(&ranks, iterations, &graph, args.limits())?;
        report.say("check", "equal to a serial run: ok".to_owned());
    }
    let top = top(&ranks, args.top);
    if !args.report.is_json() {
        println!("{:>4}  {:>10}  vertex", "", "rank");
        for (place, vertex) in (1..).zip(&top) {
            println!("{place:4}  {:10.7}  {}", ranks[*vertex], graph.names[*vertex]);
        }
        println!();
    }
    let names: Vec<&str> = top.iter().map(|vertex| graph.names[*vertex].as_str()).collect();
    report.say("top", names.join(" "));
    report.say("vertices", graph.names.len() as u64);
    report.say("edges", graph.edges.len() as u64);
    report.say("iterations", u64::from(iterations));
    args.report.give(&report)?;
    Ok(())
}

impl Args {
    fn limits(&self) -> Limits {
        Limits { iterations: self.iterations, tolerance: self.tolerance }
    }
}

/// Rank 0 gives each rank its vertices' degrees and their edges.
async fn hand_out(
    ctx: &Context,
    graph: Option<&Graph>,
    exchange: Exchange,
) -> fmi::Result<(Part, Vec<(u32, u32)>)> {
    let size = ctx.size();
    let vertices = ctx.bcast(graph.map(|graph| graph.names.len()), 0).await?;
    let all_degrees = graph.map(|graph| {
        let all = degrees(vertices, &graph.edges);
        (0..size).map(|rank| all[share(vertices, rank, size)].to_vec()).collect()
    });
    let all_edges = graph.map(|graph| {
        let mut parts: Vec<Vec<u32>> = vec![Vec::new(); size];
        for (from, to) in &graph.edges {
            let vertex = match exchange {
                Exchange::Slices => *to,
                Exchange::Whole => *from,
            };
            parts[owner(vertices, vertex as usize, size)].extend([*from, *to]);
        }
        parts
    });
    let degrees = ctx.scatterv(all_degrees, 0).await?;
    let edges: Vec<u32> = ctx.scatterv(all_edges, 0).await?;
    let edges = edges.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    Ok((Part::new(vertices, share(vertices, ctx.rank(), size), degrees), edges))
}

/// Whose vertex it is: the inverse of [`share`].
fn owner(vertices: usize, vertex: usize, size: usize) -> usize {
    ((vertex + 1) * size - 1) / vertices
}

/// What `power::alone` does, with one exchange an iteration. Returns how many there were.
async fn iterate(
    ctx: &Context,
    args: &Args,
    part: &mut Part,
    edges: &[(u32, u32)],
) -> Result<u32, Failure> {
    let bar = progress(ctx.rank() == 0, "iterate", u64::from(args.iterations), Some("iterations"));
    for iteration in 0..args.iterations {
        let (given, [dangling, change]) = match args.exchange {
            Exchange::Slices => slices(ctx, part, edges).await?,
            Exchange::Whole => whole(ctx, part, edges).await?,
        };
        // The same on all ranks.
        if change < args.tolerance {
            bar.finish_and_clear();
            return Ok(iteration);
        }
        part.step(&given, dangling);
        bar.inc(1);
        bar.set_message(format!("change {change:.2e}"));
    }
    bar.finish_and_clear();
    Ok(args.iterations)
}

async fn slices(
    ctx: &Context,
    part: &Part,
    edges: &[(u32, u32)],
) -> fmi::Result<(Vec<f64>, [f64; 2])> {
    // Both are under way at once. Ranks of a process read the slices in one place.
    let gifts = ctx.allgatherv(Buf::from(part.gifts()));
    let sums = ctx.allreduce(part.sums().to_vec(), op::sum());
    let (gifts, sums) = futures::try_join!(gifts, sums)?;
    let gifts: Vec<f64> = gifts.iter().flat_map(|slice| slice.iter().copied()).collect();
    Ok((pull(edges, &gifts, part.own()), [sums[0], sums[1]]))
}

async fn whole(
    ctx: &Context,
    part: &Part,
    edges: &[(u32, u32)],
) -> fmi::Result<(Vec<f64>, [f64; 2])> {
    let vertices = part.vertices();
    let mut given = vec![0.0; vertices + 2];
    push(edges, &part.gifts(), part.own(), &mut given[..vertices]);
    given[vertices..].copy_from_slice(&part.sums());
    let all = ctx.allreduce(given, op::sum()).await?;
    Ok((all[part.own()].to_vec(), [all[vertices], all[vertices + 1]]))
}

/// The highest ranks first, of equal ones the vertex that came first.
fn top(ranks: &[f64], count: usize) -> Vec<usize> {
    let mut vertices: Vec<usize> = (0..ranks.len()).collect();
    vertices.sort_by(|one, other| ranks[*other].total_cmp(&ranks[*one]));
    vertices.truncate(count);
    vertices
}

fn check(ranks: &[f64], iterations: u32, graph: &Graph, limits: Limits) -> Result<(), Failure> {
    let (alone, expected) = alone(graph.names.len(), &graph.edges, limits);
    if iterations != expected {
        let text = format!("{iterations} iterations, a serial run has {expected}");
        return Err(Failure::Check(text));
    }
    // Sums over parts round otherwise than one over all vertices.
    let differs = |(one, other): &(&f64, &f64)| (*one - *other).abs() > 1e-12;
    match ranks.iter().zip(&alone).position(|pair| differs(&pair)) {
        None => Ok(()),
        Some(vertex) => Err(Failure::Check(format!(
            "{} has rank {}, in a serial run {}",
            graph.names[vertex], ranks[vertex], alone[vertex]
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_those_who_have_them() {
        for (vertices, size) in [(1, 1), (2, 5), (10, 3), (64, 64), (1000, 7)] {
            for rank in 0..size {
                for vertex in share(vertices, rank, size) {
                    assert_eq!(owner(vertices, vertex, size), rank);
                }
            }
        }
    }

    #[test]
    fn the_highest_come_first() {
        assert_eq!(top(&[0.1, 0.4, 0.2, 0.4], 3), [1, 3, 2]);
    }
}
