//! Time and money against ranks.

use super::rounds::{Row, Setting};
use crate::{
    failure::Failure,
    plot::{Axis, Panel, Plot, Series, Unit},
    units::human,
};

pub(super) fn draw(setting: &Setting<'_>, bytes: usize, rows: &[Row]) -> Result<String, Failure> {
    let series = |of: fn(&Row) -> f64| {
        let mut all: Vec<Series> = Vec::new();
        for row in rows {
            let point = (row.ranks as f64, of(row));
            match all.last_mut().filter(|series| series.name == row.op) {
                Some(series) => series.points.push(point),
                None => all.push(Series { name: row.op.to_owned(), points: vec![point] }),
            }
        }
        all
    };
    let panel = |title: &str, unit, of| Panel {
        y: Axis { title: title.to_owned(), unit },
        series: series(of),
        marks: Vec::new(),
    };
    let plot = Plot {
        title: format!(
            "{} a rank over {} of {}",
            human(bytes as u64),
            setting.channel,
            setting.profile.name
        ),
        x: Axis { title: "ranks".to_owned(), unit: Unit::Number },
        panels: vec![
            panel("time, median", Unit::Seconds, |row| row.median_us / 1e6),
            panel("money a call", Unit::Dollars, |row| row.bill.dollars.get()),
        ],
    };
    plot.svg()
}
