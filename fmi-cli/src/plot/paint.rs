//! Lines, words and markers on the page.

use super::style::{FAINT, FRAME, GRID, INK, Marker, Style};
use plotters::{
    coord::Shift,
    element::{Circle, PathElement, Polygon, Rectangle, Text},
    prelude::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea, SVGBackend},
    style::{
        Color, FontStyle, FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};
use std::io;

/// What is drawn on.
pub(super) struct Page<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

pub(super) type Fault = DrawingAreaErrorKind<io::Error>;
pub(super) type Point = (i32, i32);

const FONT: &str = "sans-serif";
pub(super) const SMALL: f64 = 13.0;
const LARGE: f64 = 17.0;

impl<'a> Page<'a> {
    pub(super) fn new(svg: &'a mut String, (width, height): Point) -> Result<Self, Fault> {
        let size = (width as u32, height as u32);
        let area = SVGBackend::with_string(svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        Ok(Self { area })
    }

    pub(super) fn end(self) -> Result<(), Fault> {
        self.area.present()
    }

    pub(super) fn title(&self, text: &str, at: Point) -> Result<(), Fault> {
        let font = (FONT, LARGE).into_font().style(FontStyle::Bold);
        let style = TextStyle::from(font).color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
        self.area.draw(&Text::new(text.to_owned(), at, style))
    }

    pub(super) fn axis_title(&self, text: &str, at: Point) -> Result<(), Fault> {
        self.text(text, at, (HPos::Center, VPos::Center), INK)
    }

    /// From the bottom to the top.
    pub(super) fn upright(&self, text: &str, at: Point) -> Result<(), Fault> {
        let font = (FONT, SMALL).into_font().transform(FontTransform::Rotate270);
        let style = TextStyle::from(font).color(&INK).pos(Pos::new(HPos::Center, VPos::Center));
        self.area.draw(&Text::new(text.to_owned(), at, style))
    }

    pub(super) fn tick(&self, text: &str, at: Point, pos: (HPos, VPos)) -> Result<(), Fault> {
        self.text(text, at, pos, FAINT)
    }

    pub(super) fn name(&self, text: &str, at: Point, color: RGBColor) -> Result<(), Fault> {
        self.text(text, at, (HPos::Left, VPos::Center), color)
    }

    /// A word with white around it, in a box that reaches from one corner to the other.
    pub(super) fn boxed(&self, text: &str, (one, other): (Point, Point)) -> Result<(), Fault> {
        self.area.draw(&Rectangle::new([one, other], WHITE.mix(0.85).filled()))?;
        let middle = ((one.0 + other.0) / 2, (one.1 + other.1) / 2);
        self.text(text, middle, (HPos::Center, VPos::Center), INK)
    }

    pub(super) fn grid(&self, from: Point, to: Point) -> Result<(), Fault> {
        self.area.draw(&PathElement::new(vec![from, to], GRID.stroke_width(1)))
    }

    pub(super) fn frame(&self, one: Point, other: Point) -> Result<(), Fault> {
        self.area.draw(&Rectangle::new([one, other], FRAME.stroke_width(1)))
    }

    /// From a line's end to its name.
    pub(super) fn leader(&self, from: Point, to: Point) -> Result<(), Fault> {
        self.area.draw(&PathElement::new(vec![from, to], FRAME.stroke_width(1)))
    }

    pub(super) fn line(&self, points: &[Point], style: &Style) -> Result<(), Fault> {
        let stroke = style.color.stroke_width(2);
        if style.dashes.is_empty() {
            return match points.len() {
                0 | 1 => Ok(()),
                _ => self.area.draw(&PathElement::new(points.to_vec(), stroke)),
            };
        }
        for dash in dashes(points, style.dashes) {
            self.area.draw(&PathElement::new(dash, stroke))?;
        }
        Ok(())
    }

    pub(super) fn marker(&self, (x, y): Point, style: &Style) -> Result<(), Fault> {
        let fill: ShapeStyle = if style.solid { style.color.filled() } else { WHITE.filled() };
        let edge = style.color.stroke_width(2);
        let corners = |offsets: &[Point]| -> Vec<Point> {
            offsets.iter().map(|(dx, dy)| (x + dx, y + dy)).collect()
        };
        let shape = match style.marker {
            Marker::Circle => {
                self.area.draw(&Circle::new((x, y), 4, fill))?;
                return match style.solid {
                    true => Ok(()),
                    false => self.area.draw(&Circle::new((x, y), 4, edge)),
                };
            }
            Marker::Square => corners(&[(-4, -4), (4, -4), (4, 4), (-4, 4)]),
            Marker::Triangle => corners(&[(0, -5), (5, 4), (-5, 4)]),
            Marker::Diamond => corners(&[(0, -5), (5, 0), (0, 5), (-5, 0)]),
        };
        self.area.draw(&Polygon::new(shape.clone(), fill))?;
        if style.solid {
            return Ok(());
        }
        let edges: Vec<_> = shape.iter().chain(shape.first()).copied().collect();
        self.area.draw(&PathElement::new(edges, edge))
    }

    /// A ring around a point.
    pub(super) fn ring(&self, at: Point) -> Result<(), Fault> {
        self.area.draw(&Circle::new(at, 7, INK.stroke_width(1)))
    }

    fn text(
        &self,
        text: &str,
        at: Point,
        (across, down): (HPos, VPos),
        color: RGBColor,
    ) -> Result<(), Fault> {
        let style = TextStyle::from((FONT, SMALL).into_font()).color(&color);
        let style = style.pos(Pos::new(across, down));
        self.area.draw(&Text::new(text.to_owned(), at, style))
    }
}

/// About how wide a word is: no font is asked, so that the picture is the same everywhere.
pub(super) fn width(text: &str) -> i32 {
    (text.chars().count() as f64 * SMALL * 0.48) as i32
}

/// A line cut into dashes, around its corners.
fn dashes(points: &[Point], pattern: &[f64]) -> Vec<Vec<Point>> {
    let mut all = Vec::new();
    let mut dash: Vec<Point> = points.first().copied().into_iter().collect();
    let (mut at, mut left) = (0, pattern[0]);
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
        let length = dx.hypot(dy);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let share = done / length;
            let point =
                (from.0 + (dx * share).round() as i32, from.1 + (dy * share).round() as i32);
            if at % 2 == 0 {
                dash.push(point);
                all.push(std::mem::take(&mut dash));
            } else {
                dash = vec![point];
            }
            at = (at + 1) % pattern.len();
            left = pattern[at];
        }
        left -= length - done;
        if at % 2 == 0 {
            dash.push(to);
        }
    }
    all.push(dash);
    all.retain(|dash| dash.len() > 1);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_follow_the_line() {
        let line = [(0, 0), (10, 0), (10, 10)];
        let cut = dashes(&line, &[6.0, 2.0]);
        assert_eq!(
            cut,
            [vec![(0, 0), (6, 0)], vec![(8, 0), (10, 0), (10, 4)], vec![(10, 6), (10, 10)]]
        );
        assert_eq!(dashes(&[(1, 1)], &[6.0, 2.0]), Vec::<Vec<Point>>::new());
        assert_eq!(dashes(&[], &[6.0, 2.0]), Vec::<Vec<Point>>::new());
    }
}
