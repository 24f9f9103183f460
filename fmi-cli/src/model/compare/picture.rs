//! Time and money of each channel's best plan, and where the lines cross.

use super::{
    field::{Crossover, Field, Over},
    table,
};
use crate::{
    failure::Failure,
    model::setting::Candidate,
    plot::{Axis, Mark, Panel, Plot, Series, Unit},
};
use fmi_model::{Estimate, Objective};

pub(super) fn draw(field: &Field<'_>) -> Result<String, Failure> {
    let unit = match field.over {
        Over::Bytes { .. } => Unit::Bytes,
        Over::Ranks { .. } => Unit::Number,
    };
    let plot = Plot {
        title: format!("{} with the profile {}", table::title(field), field.setting.profile.name),
        x: Axis { title: table::over(field.over).to_owned(), unit },
        panels: vec![
            panel(field, ("time, median", Unit::Seconds), Objective::Fast, |price| {
                price.time.get()
            }),
            panel(field, ("money a call", Unit::Dollars), Objective::Cheap, |price| {
                price.money.get()
            }),
        ],
    };
    plot.svg()
}

fn panel(
    field: &Field<'_>,
    (title, unit): (&str, Unit),
    wanted: Objective,
    of: fn(&Estimate) -> f64,
) -> Panel {
    let crossovers = field.crossovers(wanted);
    let series = field.names().into_iter().map(|name| {
        // Lines meet where they cross, and bend where their plan changes.
        let both = |it: &&Crossover| [&it.before, &it.after].iter().any(|it| it.way == name);
        let own = crossovers.iter().filter(both).map(|crossover| crossover.at);
        let mut places: Vec<usize> = field.grid.iter().copied().chain(own).collect();
        places.sort_unstable();
        places.dedup();
        let points = places.into_iter().filter_map(|at| {
            let bests = field.bests(at);
            let own = bests.iter().find(|candidate| candidate.way == name)?;
            Some((at as f64, of(&own.price)))
        });
        Series { points: points.collect(), name }
    });
    let mark = |crossover: &Crossover| Mark {
        at: (crossover.at as f64, of(&crossover.after.price)),
        label: label(field, crossover),
    };
    Panel {
        y: Axis { title: title.to_owned(), unit },
        series: series.collect(),
        marks: crossovers.iter().map(mark).collect(),
    }
}

/// What is new: the channel, or else the plan.
fn label(field: &Field<'_>, Crossover { at, before, after }: &Crossover) -> String {
    let Candidate { way, .. } = after;
    let new = if *way == before.way { after.kind() } else { way };
    format!("{new} from {}", table::number(field.over, *at))
}
