//! Where labels go: on their arrow, off each other and off as many other arrows as possible.

use super::layout::Point;

/// All labels of a picture.
#[derive(Debug)]
pub(super) struct Labels {
    lines: Vec<(Point, Point)>,
    placed: Vec<Area>,
}

#[derive(Debug, Clone, Copy)]
struct Area {
    middle: Point,
    half_width: f64,
}

/// Of a label.
pub(super) const HEIGHT: f64 = 17.0;
/// How far along the arrow, best first.
const PLACES: [f64; 9] = [0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78, 0.15, 0.85];

/// How wide a label is.
pub(super) fn width(text: &str) -> f64 {
    // The font is not known: a guess on the safe side.
    text.chars().count() as f64 * 6.6 + 9.0
}

impl Labels {
    pub(super) fn new(lines: &[(Point, Point)]) -> Self {
        // Both ends of an arrow have marks.
        let ends = lines.iter().flat_map(|(from, to)| [*from, *to]);
        let placed = ends.map(|middle| Area { middle, half_width: 7.0 }).collect();
        Self { lines: lines.to_vec(), placed }
    }

    /// The middle of a label on this arrow; `None` if there is no room.
    pub(super) fn place(&mut self, from: Point, to: Point, text: &str) -> Option<Point> {
        let half_width = width(text) / 2.0;
        let areas = PLACES.map(|t| {
            let middle = Point { x: from.x + (to.x - from.x) * t, y: from.y + (to.y - from.y) * t };
            Area { middle, half_width }
        });
        let free = areas.into_iter().filter(|area| !self.placed.iter().any(|it| it.meets(area)));
        // The first of those that cover fewest arrows.
        let others = |area: &Area| {
            let others = self.lines.iter().filter(|line| **line != (from, to));
            others.filter(|(from, to)| area.is_crossed(*from, *to)).count()
        };
        let best = free.min_by_key(others)?;
        self.placed.push(best);
        Some(best.middle)
    }
}

impl Area {
    fn meets(&self, other: &Self) -> bool {
        let (dx, dy) = (self.middle.x - other.middle.x, self.middle.y - other.middle.y);
        dx.abs() < self.half_width + other.half_width + 2.0 && dy.abs() < HEIGHT + 1.0
    }

    /// Whether a line goes through it (Liang & Barsky 1984).
    fn is_crossed(&self, from: Point, to: Point) -> bool {
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let (x, y) = (from.x - self.middle.x, from.y - self.middle.y);
        let sides = [
            (-dx, x + self.half_width),
            (dx, self.half_width - x),
            (-dy, y + HEIGHT / 2.0),
            (dy, HEIGHT / 2.0 - y),
        ];
        let (mut enters, mut leaves) = (0.0_f64, 1.0_f64);
        for (step, room) in sides {
            if step == 0.0 {
                if room < 0.0 {
                    return false;
                }
            } else if step < 0.0 {
                enters = enters.max(room / step);
            } else {
                leaves = leaves.min(room / step);
            }
        }
        enters <= leaves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, y: f64) -> Point {
        Point { x, y }
    }

    #[test]
    fn labels_keep_off_each_other() {
        let (left, right) = (point(0.0, 0.0), point(100.0, 60.0));
        let crossing = (point(100.0, 0.0), point(0.0, 60.0));
        let mut labels = Labels::new(&[(left, right), crossing]);
        let first = labels.place(left, right, "0").unwrap();
        let second = labels.place(crossing.0, crossing.1, "1").unwrap();
        assert!((first.x - second.x).abs() > width("0") || (first.y - second.y).abs() > HEIGHT);
        // Neither lies where the arrows cross.
        assert!(first != point(50.0, 30.0) && second != point(50.0, 30.0));
    }

    #[test]
    fn where_there_is_no_room_there_is_no_label() {
        let (from, to) = (point(0.0, 0.0), point(90.0, 60.0));
        let mut labels = Labels::new(&[(from, to)]);
        assert!(labels.place(from, to, "blocks").is_some());
        assert!(labels.place(from, to, "blocks").is_none());
    }
}
