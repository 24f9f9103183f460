//! The report as a picture: a bar a phase for time, and one for bytes inside and outside of packs.

use crate::{Report, human};
use plotters::{
    coord::Shift,
    prelude::{
        Color, DrawingArea, DrawingAreaErrorKind, IntoDrawingArea, IntoFont, RGBColor, Rectangle,
        SVGBackend, Text, WHITE,
    },
};
use std::io;

/// The picture.
pub(crate) fn draw(report: &Report) -> io::Result<String> {
    let mut svg = String::new();
    paint(&mut svg, report).map_err(io::Error::other)?;
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Fault = DrawingAreaErrorKind<io::Error>;

/// In pixels.
const WIDTH: i32 = 760;
const LEFT: i32 = 130;
const LONGEST: i32 = 480;
const LINE: i32 = 26;
const BAR: i32 = 16;
const TOP: i32 = 44;

const TIME: RGBColor = RGBColor(60, 90, 160);
const INSIDE: RGBColor = RGBColor(90, 160, 90);
const OUTSIDE: RGBColor = RGBColor(200, 110, 50);

fn paint(svg: &mut String, report: &Report) -> Result<(), Fault> {
    let phases = report.phases.len() as i32;
    let bottom = TOP + 2 * (phases * LINE + LINE) + LINE / 2;
    let height = bottom + LINE;
    let area = SVGBackend::with_string(svg, (WIDTH as u32, height as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let Report { program, ranks, processes, .. } = report;
    let title = format!("{program}: {ranks} ranks in {processes} processes");
    text(&area, &title, (16, 12), 16.0)?;

    text(&area, "seconds of the slowest rank", (LEFT, TOP), 13.0)?;
    let longest = report.phases.iter().map(|phase| phase.slowest_seconds).fold(0.0, f64::max);
    for (number, phase) in (1..).zip(&report.phases) {
        let y = TOP + number * LINE;
        let end = bar(&area, (LEFT, y), share(phase.slowest_seconds, longest), TIME)?;
        text(&area, &phase.name, (16, y + 2), 13.0)?;
        text(&area, &format!("{:.3} s", phase.slowest_seconds), (end + 8, y + 2), 13.0)?;
    }

    let top = TOP + (phases + 1) * LINE + LINE / 2;
    text(&area, "bytes inside of packs (green), to other processes (orange)", (LEFT, top), 13.0)?;
    let both = |phase: &crate::Phase| phase.inside.bytes + phase.outside.bytes;
    let most = report.phases.iter().map(both).max().unwrap_or(0) as f64;
    for (number, phase) in (1..).zip(&report.phases) {
        let y = top + number * LINE;
        let (inside, outside) = (phase.inside.bytes, phase.outside.bytes);
        let middle = bar(&area, (LEFT, y), share(inside as f64, most), INSIDE)?;
        let end = bar(&area, (middle, y), share(outside as f64, most), OUTSIDE)?;
        text(&area, &phase.name, (16, y + 2), 13.0)?;
        let label = format!("{} + {}", human(inside), human(outside));
        text(&area, &label, (end + 8, y + 2), 13.0)?;
    }

    let (requests, dollars) = (report.requests, report.dollars);
    let peak = report.peak_memory_bytes.map(human);
    let peak = peak.map_or(String::new(), |peak| format!("; largest process: {peak}"));
    let money =
        format!("requests to stores: {requests}; as functions of 1 GiB: ${dollars:.6}{peak}");
    text(&area, &money, (LEFT, bottom), 13.0)?;
    area.present()
}

/// How long a bar is.
fn share(value: f64, most: f64) -> i32 {
    if most > 0.0 { (value / most * f64::from(LONGEST)).round() as i32 } else { 0 }
}

/// Draws it and says where it ends.
fn bar(area: &Area<'_>, (x, y): (i32, i32), length: i32, color: RGBColor) -> Result<i32, Fault> {
    area.draw(&Rectangle::new([(x, y), (x + length, y + BAR)], color.filled()))?;
    Ok(x + length)
}

fn text(area: &Area<'_>, text: &str, at: (i32, i32), size: f64) -> Result<(), Fault> {
    area.draw(&Text::new(text.to_owned(), at, ("sans-serif", size).into_font()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_in_it_twice() {
        let mut report = Report::alone("sort <a>", &[("read & share", 1.5), ("write", 0.0)]);
        report.phases[0].outside.bytes = 1000;
        let svg = draw(&report).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("sort &lt;a&gt;"), "{svg}");
        assert_eq!(svg.matches("read &amp; share").count(), 2);
        assert!(svg.contains("0 B + 1.00 kB") && svg.contains("requests to stores: 0"));
        assert!(draw(&Report::alone("nothing", &[])).is_ok());
    }
}
