//! One panel: grid, lines, their names at their ends, and marked points.

use super::{
    Panel, Series,
    paint::{Fault, Page, Point, width},
    scale::Scale,
    style::Style,
};
use plotters::style::text_anchor::{HPos, VPos};

/// From the frame to the names, and between two names.
const ASIDE: i32 = 14;
const LINE: i32 = 19;
/// What stands for a line beside its name.
const SAMPLE: i32 = 26;

impl Panel {
    /// All that can be shown.
    pub(super) fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let marks = self.marks.iter().map(|mark| mark.at);
        self.series.iter().flat_map(Series::shown).chain(marks.filter(is_shown))
    }

    /// Draws it between two heights. `names` say which look a series has.
    pub(super) fn draw(
        &self,
        page: &Page<'_>,
        across: &Scale,
        (top, bottom): (i32, i32),
        names: &[&str],
    ) -> Result<(), Fault> {
        let up = Scale::of(self.y.unit, self.points().map(|(_, y)| y), (bottom, top), false);
        let (left, right) = across.ends();
        for (value, label) in &across.ticks {
            let x = across.at(*value);
            page.grid((x, top), (x, bottom))?;
            page.tick(label, (x, bottom + 8), (HPos::Center, VPos::Top))?;
        }
        for (value, label) in &up.ticks {
            let y = up.at(*value);
            page.grid((left, y), (right, y))?;
            page.tick(label, (left - 9, y), (HPos::Right, VPos::Center))?;
        }
        page.frame((left, top), (right, bottom))?;
        page.upright(&self.y.title, (22, (top + bottom) / 2))?;
        let lines: Vec<(Style, &str, Vec<Point>)> = self
            .series
            .iter()
            .map(|series| {
                let number = names.iter().position(|name| *name == series.name);
                let points = series.shown().map(|(x, y)| (across.at(x), up.at(y))).collect();
                (Style::of(number.unwrap_or(0)), series.name.as_str(), points)
            })
            .filter(|(.., points): &(_, _, Vec<Point>)| !points.is_empty())
            .collect();
        if lines.is_empty() {
            let middle = ((left + right) / 2, (top + bottom) / 2);
            return page.axis_title("nothing above 0 to be shown", middle);
        }
        for (style, _, points) in &lines {
            page.line(points, style)?;
        }
        for (style, _, points) in &lines {
            for point in points {
                page.marker(*point, style)?;
            }
        }
        self.mark(page, (across, &up), &lines)?;
        names_aside(page, right, (top, bottom), &lines)
    }

    fn mark(
        &self,
        page: &Page<'_>,
        (across, up): (&Scale, &Scale),
        lines: &[(Style, &str, Vec<Point>)],
    ) -> Result<(), Fault> {
        let ((left, right), (bottom, top)) = (across.ends(), up.ends());
        let frame = ((left, top), (right, bottom));
        let marks = self.marks.iter().filter(|mark| is_shown(&mark.at));
        let points: Vec<_> =
            marks.clone().map(|mark| (across.at(mark.at.0), up.at(mark.at.1))).collect();
        let rings: Vec<Area> =
            points.iter().map(|(x, y)| ((x - 7, y - 7), (x + 7, y + 7))).collect();
        let mut taken = Vec::new();
        for (mark, at) in marks.zip(&points) {
            page.ring(*at)?;
            let cost = |area: &Area| {
                let lines: usize = lines.iter().map(|(.., points)| covered(points, *area)).sum();
                let hidden = rings.iter().chain(&taken).filter(|it| overlap(it, area)).count();
                let outside = usize::from(!is_within(area, &frame));
                lines * 12 + (hidden + outside) * 10_000 + away(*at, area) * 4
            };
            let places = places(*at, width(&mark.label));
            if let Some(area) = places.into_iter().min_by_key(cost) {
                page.boxed(&mark.label, area)?;
                if away(*at, &area) > 16 {
                    page.leader(toward(*at, nearest(*at, &area)), nearest(*at, &area))?;
                }
                taken.push(area);
            }
        }
        Ok(())
    }
}

/// A box, from its upper left to its lower right.
type Area = (Point, Point);

/// Where the label of a point could stand, all around it.
fn places((x, y): Point, width: i32) -> Vec<Area> {
    let (half, high) = (width / 2 + 3, 8);
    let across = [0, half + 12, -half - 12, half / 2, -half / 2, half, -half];
    let down = [-20, 20, 0, -34, 34, -50, 50, -70, 70, -95, 95];
    let all = down.iter().flat_map(|dy| across.iter().map(move |dx| (*dx, *dy)));
    // Not on the point itself.
    let beside = all.filter(|(dx, dy)| *dy != 0 || dx.abs() > half);
    let area = |(dx, dy): Point| ((x + dx - half, y + dy - high), (x + dx + half, y + dy + high));
    beside.map(area).collect()
}

fn overlap(one: &Area, other: &Area) -> bool {
    let apart =
        one.1.0 < other.0.0 || other.1.0 < one.0.0 || one.1.1 < other.0.1 || other.1.1 < one.0.1;
    !apart
}

fn is_within(area: &Area, frame: &Area) -> bool {
    let (one, other) = *area;
    one.0 > frame.0.0 && other.0 < frame.1.0 && one.1 > frame.0.1 && other.1 < frame.1.1
}

/// The point of a box that is nearest.
fn nearest((x, y): Point, (one, other): &Area) -> Point {
    (x.clamp(one.0, other.0), y.clamp(one.1, other.1))
}

/// How far a box is, in pixels.
fn away(at: Point, area: &Area) -> usize {
    let (x, y) = nearest(at, area);
    f64::from(x - at.0).hypot(f64::from(y - at.1)) as usize
}

/// The edge of the ring around a point, on the way to another.
fn toward(at: Point, to: Point) -> Point {
    let (dx, dy) = (f64::from(to.0 - at.0), f64::from(to.1 - at.1));
    let share = 7.0 / dx.hypot(dy).max(7.0);
    (at.0 + (dx * share).round() as i32, at.1 + (dy * share).round() as i32)
}

impl Series {
    fn shown(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points.iter().copied().filter(is_shown)
    }
}

fn is_shown((x, y): &(f64, f64)) -> bool {
    [x, y].into_iter().all(|value| *value > 0.0 && value.is_finite())
}

/// How much of a line lies in a box, in pixels.
fn covered(points: &[Point], (one, other): (Point, Point)) -> usize {
    let inside = |(x, y): Point| (one.0..=other.0).contains(&x) && (one.1..=other.1).contains(&y);
    let pixels = points.windows(2).flat_map(|pair| {
        let (from, to) = (pair[0], pair[1]);
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).max(1);
        (0..steps).map(move |step| {
            (from.0 + (to.0 - from.0) * step / steps, from.1 + (to.1 - from.1) * step / steps)
        })
    });
    pixels.filter(|pixel| inside(*pixel)).count()
}

/// Writes each name beside the end of its line, as near as there is room: no legend, and nothing that covers a line.
fn names_aside(
    page: &Page<'_>,
    right: i32,
    (top, bottom): (i32, i32),
    lines: &[(Style, &str, Vec<Point>)],
) -> Result<(), Fault> {
    let mut order: Vec<_> = lines.iter().filter_map(|line| Some((*line.2.last()?, line))).collect();
    order.sort_by_key(|((_, y), _)| *y);
    let wanted: Vec<_> = order.iter().map(|((_, y), _)| *y).collect();
    let places = spread(&wanted, (top + LINE / 2, bottom - LINE / 2), LINE);
    for ((end, (style, name, _)), y) in order.into_iter().zip(places) {
        let x = right + ASIDE;
        page.leader((end.0.min(right) + 7, end.1), (x - 3, y))?;
        page.line(&[(x, y), (x + SAMPLE, y)], style)?;
        page.marker((x + SAMPLE / 2, y), style)?;
        page.name(name, (x + SAMPLE + 7, y), style.color)?;
    }
    Ok(())
}

/// Heights near those that are wanted (in order), at least `apart`, within bounds if they fit.
fn spread(wanted: &[i32], (top, bottom): (i32, i32), apart: i32) -> Vec<i32> {
    let mut places = wanted.to_vec();
    let mut least = top;
    for place in &mut places {
        *place = (*place).max(least);
        least = *place + apart;
    }
    let mut most = bottom;
    for place in places.iter_mut().rev() {
        *place = (*place).min(most);
        most = *place - apart;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_apart() {
        assert_eq!(spread(&[10, 50, 90], (0, 100), 20), [10, 50, 90]);
        assert_eq!(spread(&[50, 51, 52], (0, 100), 20), [50, 70, 90]);
        assert_eq!(spread(&[90, 95, 99], (0, 100), 20), [60, 80, 100]);
        assert_eq!(spread(&[], (0, 100), 20), Vec::<i32>::new());
    }

    #[test]
    fn labels_stand_beside_their_points() {
        let places = places((100, 100), 60);
        assert!(places.iter().all(|area| (8..110).contains(&away((100, 100), area))), "{places:?}");
        let ring = ((93, 93), (107, 107));
        assert!(places.iter().all(|area| !overlap(area, &ring)));
        assert!(
            is_within(&ring, &((0, 0), (200, 200))) && !is_within(&ring, &((0, 0), (200, 100)))
        );
        assert_eq!(toward((0, 0), (0, 70)), (0, 7));
    }

    #[test]
    fn a_label_covers_what_is_under_it() {
        let line = [(0, 0), (100, 0)];
        assert_eq!(covered(&line, ((10, -5), (19, 5))), 10);
        assert_eq!(covered(&line, ((10, 5), (19, 15))), 0);
    }
}
