//! Finding parameters: those that predict what was measured.
//!
//! What is made small is the mean of |ln(predicted / measured)|: an error of 10 % counts the same at a
//! microsecond and at a minute, twice too long the same as half as long, and one odd measurement does not
//! pull the rest. Parameters are positive, and tried by factors.

mod form;

pub use form::Form;

/// The downhill simplex of Nelder and Mead (1965), on the logarithms of positive parameters.
///
/// It begins from the start and from places around it, always the same, so that the same
/// measurements give the same parameters on any machine. Returns the best parameters and what is
/// left of the loss.
///
/// ```
/// use fmi_model::fit::minimise;
/// // 3 + 5 · x at x = 1 and x = 2.
/// let loss = |p: &[f64]| (p[0] + p[1] - 8.0).abs() + (p[0] + 2.0 * p[1] - 13.0).abs();
/// let (found, left) = minimise(&[1.0, 1.0], loss);
/// assert!((found[0] - 3.0).abs() < 0.01 && (found[1] - 5.0).abs() < 0.01 && left < 0.01);
/// ```
#[must_use]
pub fn minimise(start: &[f64], mut loss: impl FnMut(&[f64]) -> f64) -> (Vec<f64>, f64) {
    let logs: Vec<f64> = start.iter().map(|value| libm::log(value.max(1e-300))).collect();
    let mut value = |point: &[f64]| {
        let parameters: Vec<f64> = point.iter().map(|log| libm::exp(*log)).collect();
        let value = loss(&parameters);
        if value.is_nan() { f64::INFINITY } else { value }
    };
    let mut best = (logs.clone(), value(&logs));
    // Valleys that the start is not in: each parameter a tenth, and ten times, of what was thought.
    for axis in 0..logs.len() {
        for far in [FAR, -FAR] {
            let mut start = logs.clone();
            start[axis] += far;
            let found = simplex(&start, STEPS[0], &mut value);
            if found.1 < best.1 {
                best = found;
            }
        }
    }
    for round in 0..ROUNDS {
        // From the best so far, with steps of another size and direction each time.
        let step = STEPS[round % STEPS.len()];
        let found = simplex(&best.0, step, &mut value);
        if found.1 < best.1 {
            best = found;
        }
    }
    (best.0.iter().map(|log| libm::exp(*log)).collect(), best.1)
}

/// As [`minimise`], where the start is near and a loss takes long: one parameter after the other is tried
/// larger and smaller, by factors that come nearer to 1.
///
/// ```
/// use fmi_model::fit::descend;
/// let loss = |p: &[f64]| (p[0] / 3e-6).ln().abs() + (p[1] / 5e-10).ln().abs();
/// let (found, left) = descend(&[1e-6, 1e-9], loss);
/// assert!((found[0] / 3e-6 - 1.0).abs() < 0.02 && (found[1] / 5e-10 - 1.0).abs() < 0.02 && left < 0.02);
/// ```
#[must_use]
pub fn descend(start: &[f64], mut loss: impl FnMut(&[f64]) -> f64) -> (Vec<f64>, f64) {
    let mut best = start.to_vec();
    let mut least = loss(&best);
    for factor in FACTORS {
        for _ in 0..PASSES {
            let before = least;
            for axis in 0..best.len() {
                for factor in [factor, 1.0 / factor] {
                    let mut next = best.clone();
                    next[axis] *= factor;
                    let mut value = loss(&next);
                    // As far as it goes.
                    while value < least * (1.0 - LITTLE) {
                        (best, least) = (next.clone(), value);
                        next[axis] *= factor;
                        value = loss(&next);
                    }
                }
            }
            if least > before * 0.999 {
                break;
            }
        }
    }
    (best, least)
}

/// By how much a parameter is tried to be larger or smaller.
const FACTORS: [f64; 7] = [8.0, 3.0, 1.6, 1.25, 1.1, 1.04, 1.015];
/// What is no better is no reason to go on: a parameter that nothing shows would go anywhere.
const LITTLE: f64 = 1e-5;
/// Over all parameters, with each factor.
const PASSES: usize = 6;

/// The mean of |ln(predicted / measured)| over pairs of both.
#[must_use]
pub fn log_error(pairs: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    let (sum, count) =
        pairs.into_iter().fold((0.0, 0u32), |(sum, count), (predicted, measured)| {
            let ratio = predicted.max(1e-300) / measured.max(1e-300);
            (sum + libm::log(ratio).abs(), count + 1)
        });
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

/// The mean of *e / (e + 0.3)* with *e* = |ln(predicted / measured)|, over pairs of both: what is far off counts
/// little more than what is a third off. For the last steps to what most measurements say, where some are odd, from
/// where [`log_error`] has led.
#[must_use]
pub fn bounded_error(pairs: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    const FAR: f64 = 0.3;
    let (sum, count) = pairs.into_iter().fold((0.0, 0u32), |(sum, count), pair| {
        let error = log_error([pair]);
        (sum + error / (error + FAR), count + 1)
    });
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

/// The median, 0 of nothing.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

const FAR: f64 = core::f64::consts::LN_10;
const ROUNDS: usize = 12;
const STEPS: [f64; 6] = [0.5, -1.0, 0.1, 2.0, -0.3, 0.03];
const TURNS: usize = 400;

fn simplex(start: &[f64], step: f64, value: &mut impl FnMut(&[f64]) -> f64) -> (Vec<f64>, f64) {
    let mut corners = vec![(start.to_vec(), value(start))];
    for axis in 0..start.len() {
        let mut corner = start.to_vec();
        corner[axis] += step;
        let height = value(&corner);
        corners.push((corner, height));
    }
    let last = corners.len() - 1;
    for _ in 0..TURNS * start.len() {
        corners.sort_by(|one, other| one.1.total_cmp(&other.1));
        if (corners[last].1 - corners[0].1).abs() < 1e-10 {
            break;
        }
        let centre: Vec<f64> = (0..start.len())
            .map(|axis| {
                corners[..last].iter().map(|corner| corner.0[axis]).sum::<f64>() / last as f64
            })
            .collect();
        let along = |factor: f64| -> Vec<f64> {
            let worst = &corners[last].0;
            centre
                .iter()
                .zip(worst)
                .map(|(centre, worst)| centre + factor * (centre - worst))
                .collect()
        };
        let mirrored = along(1.0);
        let height = value(&mirrored);
        let next = if height < corners[0].1 {
            let further = along(2.0);
            let far = value(&further);
            if far < height { (further, far) } else { (mirrored, height) }
        } else if height < corners[last - 1].1 {
            (mirrored, height)
        } else {
            let nearer = along(if height < corners[last].1 { 0.5 } else { -0.5 });
            let near = value(&nearer);
            if near < height.min(corners[last].1) {
                (nearer, near)
            } else {
                // Everything towards the best.
                let best = corners[0].0.clone();
                for corner in &mut corners[1..] {
                    for (at, best) in corner.0.iter_mut().zip(&best) {
                        *at = f64::midpoint(*at, *best);
                    }
                    corner.1 = value(&corner.0);
                }
                continue;
            }
        };
        corners[last] = next;
    }
    corners.sort_by(|one, other| one.1.total_cmp(&other.1));
    corners.swap_remove(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_line_are_found_in_spite_of_an_outlier() {
        let measured: Vec<(f64, f64)> = (0..20)
            .map(|step| {
                let x = f64::from(1 << step);
                (x, if step == 7 { 1e6 } else { 40.0 + 0.003 * x })
            })
            .collect();
        let loss = |p: &[f64]| log_error(measured.iter().map(|(x, y)| (p[0] + p[1] * x, *y)));
        let (found, _) = minimise(&[1.0, 1.0], loss);
        assert!((found[0] / 40.0 - 1.0).abs() < 0.01, "{found:?}");
        assert!((found[1] / 0.003 - 1.0).abs() < 0.01, "{found:?}");
        assert_eq!(minimise(&[1.0, 1.0], loss).0, found);
    }

    #[test]
    fn medians() {
        assert_eq!(median([]), 0.0);
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
