//! The centroids as a picture.

use std::{io, path::Path};

use plotters::{
    coord::Shift,
    prelude::{
        Color, DrawingArea, DrawingAreaErrorKind, IntoDrawingArea, IntoFont, RGBColor, Rectangle,
        SVGBackend, Text, WHITE,
    },
};

/// Writes an SVG with a caption for each centroid: square images where the number of features is
/// a square from 8 × 8 on, else lines of a heat map.
pub(crate) fn save(
    path: &Path,
    centroids: &[f64],
    columns: usize,
    captions: &[String],
) -> io::Result<()> {
    std::fs::write(path, svg(centroids, columns, captions).map_err(io::Error::other)?)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Fault = DrawingAreaErrorKind<io::Error>;

/// Height of a caption's line.
const LINE: usize = 20;
const FONT: f64 = 13.0;
const INK: RGBColor = RGBColor(20, 40, 90);

fn svg(centroids: &[f64], columns: usize, captions: &[String]) -> Result<String, Fault> {
    let mut svg = String::new();
    let side = columns.isqrt();
    if side * side == columns && (8..=64).contains(&side) {
        images(&mut svg, centroids, side, captions)?;
    } else {
        heat_map(&mut svg, centroids, columns, captions)?;
    }
    Ok(svg)
}

/// A grid of images, black at the largest value of all centroids, white at the smallest.
fn images(
    svg: &mut String,
    centroids: &[f64],
    side: usize,
    captions: &[String],
) -> Result<(), Fault> {
    let pixel = (128 / side).max(2);
    let gap = 16;
    let (cell_width, cell_height) = (side * pixel + gap, side * pixel + LINE + gap);
    let across = images_across(captions.len());
    let down = captions.len().div_ceil(across);
    let area = canvas(svg, across * cell_width + gap, down * cell_height + gap)?;
    let range = range_of(centroids.iter().copied());
    for (cluster, (centroid, caption)) in centroids.chunks(side * side).zip(captions).enumerate() {
        let left = gap + cluster % across * cell_width;
        let top = gap + cluster / across * cell_height;
        for (place, &value) in centroid.iter().enumerate() {
            let (x, y) = (left + place % side * pixel, top + place / side * pixel);
            cell(&area, (x, y), (pixel, pixel), shade(value, range))?;
        }
        frame(&area, (left, top), (side * pixel, side * pixel))?;
        text(&area, caption, (left, top + side * pixel + 4))?;
    }
    area.present()
}

/// A line a centroid, a column a feature; each column from white at its smallest value to ink at
/// its largest, since features differ in unit. Many columns are drawn as means of neighbours.
fn heat_map(
    svg: &mut String,
    centroids: &[f64],
    columns: usize,
    captions: &[String],
) -> Result<(), Fault> {
    let shown = columns.min(256);
    let width = (640 / shown).clamp(3, 64);
    let (gap, height) = (16, 24);
    let margin =
        gap + 8 * captions.iter().map(|caption| caption.chars().count()).max().unwrap_or(0);
    let area = canvas(svg, margin + shown * width + gap, captions.len() * height + LINE + 2 * gap)?;
    let binned: Vec<Vec<f64>> = centroids.chunks(columns).map(|row| means(row, shown)).collect();
    for column in 0..shown {
        let range = range_of(binned.iter().map(|row| row[column]));
        for (cluster, row) in binned.iter().enumerate() {
            let corner = (margin + column * width, gap + cluster * height);
            cell(&area, corner, (width, height - 2), shade(row[column], range))?;
        }
    }
    for (cluster, caption) in captions.iter().enumerate() {
        let top = gap + cluster * height;
        frame(&area, (margin, top), (shown * width, height - 2))?;
        text(&area, caption, (gap, top + 4))?;
    }
    let axis = format!("features 1 to {columns}, each from its smallest to its largest value");
    text(&area, &axis, (gap, gap + captions.len() * height + 6))?;
    area.present()
}

/// As square as it gets, and with full rows if some shape near that has them.
fn images_across(images: usize) -> usize {
    let square = images.isqrt() + usize::from(images.isqrt().pow(2) < images);
    (square..=2 * square).find(|&across| images.is_multiple_of(across)).unwrap_or(square)
}

/// Shrinks a row to `parts` means of neighbours.
fn means(row: &[f64], parts: usize) -> Vec<f64> {
    (0..parts)
        .map(|part| &row[row.len() * part / parts..row.len() * (part + 1) / parts])
        .map(|part| part.iter().sum::<f64>() / part.len() as f64)
        .collect()
}

fn range_of(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

/// 0 at the low end of the range, 1 at the high end.
fn shade(value: f64, (low, high): (f64, f64)) -> f64 {
    if high > low { (value - low) / (high - low) } else { 0.0 }
}

fn canvas(svg: &mut String, width: usize, height: usize) -> Result<Area<'_>, Fault> {
    let area = SVGBackend::with_string(svg, (width as u32, height as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    Ok(area)
}

fn cell(
    area: &Area<'_>,
    (x, y): (usize, usize),
    (width, height): (usize, usize),
    shade: f64,
) -> Result<(), Fault> {
    // The canvas is white already: most pixels of a picture of digits need no element.
    if shade < 1.0 / 256.0 {
        return Ok(());
    }
    let corners = [(x as i32, y as i32), ((x + width) as i32, (y + height) as i32)];
    let mix = |ink: u8| (255.0 - shade * f64::from(255 - ink)) as u8;
    let color = RGBColor(mix(INK.0), mix(INK.1), mix(INK.2));
    area.draw(&Rectangle::new(corners, color.filled()))
}

fn frame(
    area: &Area<'_>,
    (x, y): (usize, usize),
    (width, height): (usize, usize),
) -> Result<(), Fault> {
    let corners = [(x as i32, y as i32), ((x + width) as i32, (y + height) as i32)];
    area.draw(&Rectangle::new(corners, RGBColor(200, 200, 200)))
}

fn text(area: &Area<'_>, text: &str, (x, y): (usize, usize)) -> Result<(), Fault> {
    area.draw(&Text::new(text, (x as i32, y as i32), ("sans-serif", FONT).into_font()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captions(clusters: usize) -> Vec<String> {
        (0..clusters).map(|cluster| format!("<{cluster}> & more")).collect()
    }

    #[test]
    fn square_feature_counts_are_images() {
        let centroids: Vec<f64> = (0..10 * 64).map(|i| f64::from(i % 17)).collect();
        let svg = svg(&centroids, 64, &captions(10)).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("width=\"736\""), "five images a line");
        let black = "#14285A";
        assert!(svg.contains(black) && svg.contains("&lt;9&gt; &amp; more"));
    }

    #[test]
    fn other_feature_counts_are_heat_maps() {
        for columns in [1, 4, 65, 300, 100_000] {
            let centroids: Vec<f64> = (0..3 * columns).map(|i| i as f64).collect();
            let svg = svg(&centroids, columns, &captions(3)).unwrap();
            assert!(svg.contains(&format!("features 1 to {columns},")));
            assert!(svg.len() < 200_000);
        }
    }

    #[test]
    fn equal_values_draw_nothing_wrong() {
        assert_eq!(shade(3.0, (3.0, 3.0)), 0.0);
        assert!(svg(&[3.0; 128], 64, &captions(2)).is_ok());
    }

    #[test]
    fn images_fill_their_lines_where_they_can() {
        let found = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 100].map(images_across);
        assert_eq!(found, [1, 2, 3, 2, 5, 3, 3, 4, 3, 5, 4, 10]);
    }

    #[test]
    fn means_cover_every_column() {
        assert_eq!(means(&[1.0, 2.0, 3.0, 4.0, 5.0], 2), [1.5, 4.0]);
    }
}
