//! Line plots with logarithmic axes, as SVG: panels above each other with one x axis, named series,
//! points that are marked. The same input gives the same bytes.

mod paint;
mod panel;
mod scale;
mod style;

pub(crate) use scale::Unit;

use crate::failure::Failure;
use paint::Page;
use scale::Scale;

/// A picture.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    pub(crate) title: String,
    /// That of all panels.
    pub(crate) x: Axis,
    /// From the top to the bottom.
    pub(crate) panels: Vec<Panel>,
}

/// What a direction means.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) title: String,
    pub(crate) unit: Unit,
}

/// Lines over the x axis.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    pub(crate) y: Axis,
    /// Those of a name look the same in all panels.
    pub(crate) series: Vec<Series>,
    pub(crate) marks: Vec<Mark>,
}

/// One line. Points that are not above 0 have no place on a logarithmic axis and are left out.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A point that is worth a word: where two lines cross.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) at: (f64, f64),
    pub(crate) label: String,
}

/// In pixels.
const WIDTH: i32 = 860;
const HEAD: i32 = 52;
const FOOT: i32 = 56;
const LEFT: i32 = 92;
const RIGHT: i32 = 172;
const PANEL: i32 = 288;
const GAP: i32 = 40;

impl Plot {
    /// As SVG.
    pub(crate) fn svg(&self) -> Result<String, Failure> {
        let panels = self.panels.len() as i32;
        let height = HEAD + panels * PANEL + (panels - 1).max(0) * GAP + FOOT;
        let points = self.panels.iter().flat_map(Panel::points);
        let across = Scale::of(self.x.unit, points.map(|(x, _)| x), (LEFT, WIDTH - RIGHT), true);
        let names = self.names();
        let mut svg = String::new();
        let drawn = Page::new(&mut svg, (WIDTH, height)).and_then(|page| {
            page.title(&self.title, (LEFT, 24))?;
            for (number, panel) in (0..).zip(&self.panels) {
                let top = HEAD + number * (PANEL + GAP);
                panel.draw(&page, &across, (top, top + PANEL), &names)?;
            }
            page.axis_title(&self.x.title, ((LEFT + WIDTH - RIGHT) / 2, height - 16))?;
            page.end()
        });
        drawn.map_err(|error| Failure::new(format!("the plot: {error}")))?;
        Ok(svg)
    }

    /// Of all series, each once.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            if !names.contains(&series.name.as_str()) {
                names.push(&series.name);
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        let series = |name: &str, factor: f64| Series {
            name: name.to_owned(),
            points: (0..14)
                .map(|k| (f64::from(2 << k), factor * 1e-4 * f64::from(k + 1)))
                .collect(),
        };
        let panel = |title: &str, unit| Panel {
            y: Axis { title: title.to_owned(), unit },
            series: vec![series("allreduce", 2.0), series("bcast & <more>", 1.0)],
            marks: vec![Mark { at: (64.0, 6e-4), label: "64 ranks".to_owned() }],
        };
        Plot {
            title: "a title".to_owned(),
            x: Axis { title: "ranks".to_owned(), unit: Unit::Number },
            panels: vec![panel("time", Unit::Seconds), panel("money", Unit::Dollars)],
        }
    }

    #[test]
    fn a_plot_has_all_its_words_and_is_always_the_same() {
        let svg = plot().svg().unwrap();
        assert_eq!(svg, plot().svg().unwrap());
        for word in
            ["a title", "ranks", "time", "money", "allreduce", "bcast &amp; &lt;more&gt;", "1 ms"]
        {
            assert!(svg.contains(word), "{word} in\n{svg}");
        }
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn what_cannot_be_shown_is_left_out() {
        let mut nothing = plot();
        for panel in &mut nothing.panels {
            panel.marks.clear();
            for series in &mut panel.series {
                series.points = vec![(2.0, 0.0), (4.0, f64::NAN)];
            }
        }
        assert!(nothing.svg().unwrap().contains("nothing above 0"));
        let mut one = plot();
        for series in one.panels.iter_mut().flat_map(|panel| &mut panel.series) {
            series.points.truncate(1);
        }
        assert!(one.svg().unwrap().contains("allreduce"));
        assert!(Plot { panels: Vec::new(), ..plot() }.svg().is_ok());
    }
}
