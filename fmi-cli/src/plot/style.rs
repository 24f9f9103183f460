//! How a series looks: colour, dashes and marker, so that it is known without colours, too.

use plotters::style::RGBColor;

/// A look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) color: RGBColor,
    /// Lengths of what is drawn and what is left out, in pixels; none: a whole line.
    pub(super) dashes: &'static [f64],
    pub(super) marker: Marker,
    /// The marker is filled.
    pub(super) solid: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

pub(super) const INK: RGBColor = RGBColor(45, 45, 50);
pub(super) const FAINT: RGBColor = RGBColor(110, 110, 118);
pub(super) const GRID: RGBColor = RGBColor(228, 228, 232);
pub(super) const FRAME: RGBColor = RGBColor(160, 160, 166);

impl Style {
    /// That of the series with this number. Colours are those of Okabe and Ito, darker where they are pale on white.
    pub(super) fn of(number: usize) -> Self {
        const COLORS: [RGBColor; 7] = [
            RGBColor(0, 94, 150),
            RGBColor(200, 82, 0),
            RGBColor(0, 128, 96),
            RGBColor(160, 80, 130),
            RGBColor(150, 112, 0),
            RGBColor(60, 60, 66),
            RGBColor(46, 140, 190),
        ];
        const DASHES: [&[f64]; 5] =
            [&[], &[9.0, 5.0], &[3.0, 4.0], &[12.0, 4.0, 3.0, 4.0], &[18.0, 5.0]];
        const MARKERS: [Marker; 4] =
            [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond];
        Self {
            color: COLORS[number % COLORS.len()],
            dashes: DASHES[number % DASHES.len()],
            marker: MARKERS[number % MARKERS.len()],
            solid: (number / MARKERS.len()).is_multiple_of(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_of_a_plot_look_alike_without_colours() {
        let look = |number| {
            let Style { dashes, marker, solid, .. } = Style::of(number);
            (dashes.to_vec(), marker, solid)
        };
        for one in 0..20 {
            assert!((0..one).all(|other| look(one) != look(other)), "{one}");
        }
    }
}
