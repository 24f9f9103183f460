//! A plan as a picture: a column a rank, time downwards, an arrow a message.

mod label;
mod layout;
mod paint;

use super::{
    case::Case,
    text::{blocks, cost, operands},
    traffic,
};
use crate::{failure::Failure, units::human};
use fmi::plan::{
    Blocks,
    trace::{Event, Kind},
};
use label::Labels;
use layout::{Content, Layout, Point};
use paint::{Ink, Paper};

/// With more ranks nobody would see anything.
const RANKS_MAX: usize = 64;
/// Rounds that are drawn; of longer plans the first.
const ROUNDS_MAX: usize = 150;
/// Characters of a label.
const LABEL_MAX: usize = 9;

pub(super) fn draw(case: &Case) -> Result<String, Failure> {
    let size = case.question.size;
    let trace = match &case.trace {
        Some(trace) if size <= RANKS_MAX => trace,
        _ => {
            return Err(Failure::usage(format!(
                "--svg draws up to {RANKS_MAX} ranks, not {size}: take -n {RANKS_MAX} or fewer, the \
                 pattern is the same"
            )));
        }
    };
    let rounds = trace.report.rounds.min(ROUNDS_MAX);
    let events: Vec<&Event> = trace.events.iter().take_while(|e| e.round <= rounds).collect();
    let inks = inks(&events);
    let note = note(case);
    let legend_width = inks.iter().map(|ink| entry(ink.name())).sum::<f64>() + label::width(&note);
    let spans = (1..=rounds).map(|round| span(&events, round)).collect();
    let early = events.first().is_some_and(|event| event.round == 0);
    let layout = Layout::new(&Content { ranks: size, spans, legend: legend_width, early });
    let title = format!("{} · {}", case.algorithm, heading(case));
    let mut paper = Paper::new(layout.width, layout.height, &title);

    paper.text("title", layout.left(), 36.0, &title);
    let left_out = trace.report.rounds - rounds;
    let moves = traffic::told(case).map_or_else(String::new, |moves| format!(" · {moves}"));
    let more =
        if left_out > 0 { format!(" · the last {left_out} are left out") } else { String::new() };
    paper.text(
        "subtitle",
        layout.left(),
        59.0,
        &format!("{}{moves}{more}", cost(case).replace(", ", " · ")),
    );
    legend(&mut paper, &layout, &inks, &note);
    grid(&mut paper, &layout, case, rounds);

    let mut labels =
        Labels::new(&events.iter().filter_map(|e| line(&layout, e)).collect::<Vec<_>>());
    for event in &events {
        paper.open(&told(case, event));
        arrow(&mut paper, &layout, event);
        paper.close();
    }
    // Above all arrows.
    for event in events.iter().filter(|_| layout.labelled) {
        let text = short(case, event);
        if let (Some((from, to)), false) = (line(&layout, event), text.is_empty()) {
            if let Some(at) = labels.place(from, to, &text) {
                paper.label(at, label::width(&text), ink(event.kind), &text);
            }
        } else if let (Kind::Publish { .. }, false) = (event.kind, text.is_empty()) {
            let Point { x, y } = layout.sent(event.from, event.sent);
            let half = label::width(&text) / 2.0;
            let at = Point { x: x + half + 9.0, y: y - 9.0 };
            paper.label(at, 2.0 * half, Ink::Publish, &text);
        }
    }
    Ok(paper.finish())
}

/// `4 ranks · 4.0 MiB`.
fn heading(case: &Case) -> String {
    let ranks = case.ranks().replace(", ", " · ");
    match case.bytes {
        0 => ranks,
        bytes => format!("{ranks} · {}", human(bytes)),
    }
}

fn ink(kind: Kind) -> Ink {
    match kind {
        Kind::Send => Ink::Send,
        Kind::Combine(_) => Ink::Combine,
        Kind::Publish { .. } => Ink::Publish,
        Kind::Fetch => Ink::Fetch,
        Kind::CombineShared(_) => Ink::CombineShared,
        Kind::Copy => Ink::Copy,
    }
}

/// Those that occur, in order.
fn inks(events: &[&Event]) -> Vec<Ink> {
    let mut inks: Vec<Ink> = events.iter().map(|event| ink(event.kind)).collect();
    inks.sort_unstable();
    inks.dedup();
    inks
}

/// How many columns the arrows that lie in a round span: the middle one of them.
fn span(events: &[&Event], round: usize) -> usize {
    let own = events.iter().filter(|event| (event.sent, event.round) == (round, round));
    let mut spans: Vec<usize> = own.filter_map(|e| Some(e.to?.abs_diff(e.from))).collect();
    spans.sort_unstable();
    spans.get(spans.len() / 2).copied().unwrap_or(0)
}

/// Width of an entry of the legend.
fn entry(name: &str) -> f64 {
    43.0 + label::width(name) + 20.0
}

/// What labels mean.
fn note(case: &Case) -> String {
    match case.blocks() {
        0 => "signals only, no data".to_owned(),
        _ if case.question.size > layout::LABELLED_MAX => {
            "point at an arrow to see its blocks".to_owned()
        }
        1 => String::new(),
        _ => {
            let each = human(case.bytes_of(&Blocks::from(0)));
            format!("numbers are blocks, of {each} each")
        }
    }
}

fn legend(paper: &mut Paper, layout: &Layout, inks: &[Ink], note: &str) {
    let mut x = layout.left();
    for ink in inks {
        let (from, to) = (Point { x, y: 82.0 }, Point { x: x + 30.0, y: 82.0 });
        match ink {
            Ink::Publish => paper.square(Point { x: x + 22.0, ..from }),
            Ink::Copy => paper.diamond(Point { x: x + 22.0, ..from }),
            _ => {
                paper.arrow(*ink, from, to, if ink.combines() { 8.0 } else { 0.0 });
                if ink.combines() {
                    paper.operator(*ink, to);
                }
            }
        }
        paper.text("legend", x + 43.0, 86.0, ink.name());
        x += entry(ink.name());
    }
    paper.text("legend", x, 86.0, note);
}

/// Ranks, their life lines, rounds, and what each rank sends.
fn grid(paper: &mut Paper, layout: &Layout, case: &Case, rounds: usize) {
    for round in 1..=rounds {
        let y = layout.round(round);
        if round % 2 == 1 {
            paper.stripe(layout.left(), y, layout.right() - layout.left(), layout.row(round));
        }
        let text = if rounds == 1 || layout.row(1) > 50.0 {
            format!("round {round}")
        } else {
            round.to_string()
        };
        paper.text("round", layout.left() + 8.0, y + layout.row(round) / 2.0 + 4.0, &text);
    }
    let bottom = layout.round(rounds + 1);
    for rank in 0..case.question.size {
        let x = layout.x(rank);
        paper.lifeline(x, layout.head, bottom + 6.0);
        let root = case.question.collective.is_rooted() && rank == case.shape.root;
        paper.rank(Point { x, y: layout.head }, rank, layout.radius, root);
        if layout.labelled && case.bytes > 0 {
            let bytes = human(case.ranks[rank].bytes_sent);
            paper.text("total", x, bottom + 22.0, &bytes);
        }
    }
    if layout.labelled && case.bytes > 0 {
        paper.text("round", layout.left() + 8.0, bottom + 22.0, "sends");
    }
}

/// From where to where an event goes, if it goes anywhere.
fn line(layout: &Layout, event: &Event) -> Option<(Point, Point)> {
    let to = event.to?;
    Some((layout.sent(event.from, event.sent), layout.done(to, event.round)))
}

fn arrow(paper: &mut Paper, layout: &Layout, event: &Event) {
    let ink = ink(event.kind);
    let Some((from, to)) = line(layout, event) else {
        match event.kind {
            Kind::Publish { .. } => paper.square(layout.sent(event.from, event.sent)),
            _ => paper.diamond(layout.alone(event.from, event.round)),
        }
        return;
    };
    let gap = if ink.combines() { layout.operator } else { 1.0 };
    paper.arrow(ink, from, to, gap);
    if event.kind.is_message() {
        paper.dot(ink, from);
    }
    if ink.combines() {
        paper.operator(ink, to);
    }
}

/// On the arrow.
fn short(case: &Case, event: &Event) -> String {
    let text = match case.blocks() {
        0 => return String::new(),
        1 => human(case.bytes_of(&event.blocks)),
        _ if event.blocks == event.into => event.blocks.to_string(),
        _ => {
            let both = format!("{} → {}", event.blocks, event.into);
            if both.chars().count() <= LABEL_MAX { both } else { event.blocks.to_string() }
        }
    };
    match text.chars().count() > LABEL_MAX {
        true => text.chars().take(LABEL_MAX - 1).chain(['…']).collect(),
        false => text,
    }
}

/// When one points at it.
fn told(case: &Case, event: &Event) -> String {
    let who =
        event.to.map_or_else(|| event.from.to_string(), |to| format!("{} → {to}", event.from));
    let how = event.kind.side().map_or_else(String::new, |side| format!(", {}", operands(side)));
    let (what, bytes) = (blocks(event), human(case.bytes_of(&event.blocks)));
    format!("round {}: {} {who}, {what}, {bytes}{how}", event.round, ink(event.kind).name())
}
